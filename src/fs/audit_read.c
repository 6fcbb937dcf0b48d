/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading the audit log, and judging it.
 *
 * A line is taken only if it is, byte for byte, what audit.c could have written: members
 * in their order, no blanks, numbers without leading zeros.  So every altered byte is
 * either no such line any more or has another hash.  Events and fields that are not known
 * are taken all the same: a later version may have written them.
 *
 * Behind a break the chain counts for nothing, but what can be read is still shown.
 */
#include "audit.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- one line ----------------------------------------------------------------------------- */

struct cursor { const char *p, *end; };

static bool take(struct cursor *c, const char *text)
{
    size_t len = strlen(text);

    if ((size_t)(c->end - c->p) < len || memcmp(c->p, text, len))
        return false;
    c->p += len;
    return true;
}

static bool take_number(struct cursor *c, uint64_t *out)
{
    const char *start = c->p;

    for (*out = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        unsigned digit = (unsigned)(*c->p - '0');
        if (*out > (UINT64_MAX - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    return c->p > start && (*start != '0' || c->p == start + 1);
}

/* What stands between quotes, of these characters only. */
static bool take_word(struct cursor *c, const char *allowed, char out[AUDIT_WORD_MAX])
{
    size_t len = 0;

    if (!take(c, "\""))
        return false;
    for (; c->p < c->end && *c->p && strchr(allowed, *c->p); c->p++) {
        if (len + 1 == AUDIT_WORD_MAX)
            return false;
        out[len++] = *c->p;
    }
    out[len] = '\0';
    return len && take(c, "\"");
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define WORD LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-"

static bool take_time(struct cursor *c, int64_t *out)
{
    char text[AUDIT_WORD_MAX], again[AUDIT_WORD_MAX] = "";
    struct tm tm = { 0 };

    if (!take_word(c, WORD, text))
        return false;
    const char *stop = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!stop || *stop)
        return false;
    time_t t = timegm(&tm);
    *out = t;
    gmtime_r(&t, &tm);
    strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return strcmp(text, again) == 0;
}

static bool take_fields(struct cursor *c, struct audit_record *r)
{
    while (c->p < c->end && !(c->end - c->p > 9 && memcmp(c->p, AUDIT_HASH_AT, strlen(AUDIT_HASH_AT)) == 0)) {
        if (r->field_count == AUDIT_FIELDS_MAX || !take(c, ","))
            return false;
        size_t k = r->field_count++;
        if (!take_word(c, LOWER "_", r->fields[k].name) || !take(c, ":"))
            return false;
        r->fields[k].is_word = c->p < c->end && *c->p == '"';
        if (r->fields[k].is_word ? !take_word(c, WORD, r->fields[k].word) : !take_number(c, &r->fields[k].number))
            return false;
    }
    return true;
}

static bool take_hash(struct cursor *c, char out[AUDIT_HASH_TEXT])
{
    if (!take(c, AUDIT_HASH_AT) || c->end - c->p != AUDIT_HASH_TEXT - 1 + 2)
        return false;
    memcpy(out, c->p, AUDIT_HASH_TEXT - 1);
    out[AUDIT_HASH_TEXT - 1] = '\0';
    c->p += AUDIT_HASH_TEXT - 1;
    return strspn(out, "0123456789abcdef") == AUDIT_HASH_TEXT - 1 && take(c, "\"}");
}

int audit_parse(const char *line, size_t len, struct audit_record *out)
{
    struct cursor c = { line, line + len };
    uint64_t uid;

    *out = (struct audit_record){ 0 };
    bool good = len < AUDIT_LINE_MAX && take(&c, "{\"seq\":") && take_number(&c, &out->seq) && out->seq &&
                take(&c, ",\"time\":") && take_time(&c, &out->time) && take(&c, ",\"uid\":") &&
                take_number(&c, &uid) && uid <= UINT32_MAX && take(&c, ",\"by\":") &&
                take_word(&c, LOWER "-", out->by) && take(&c, ",\"event\":") &&
                take_word(&c, LOWER "-", out->event) && take(&c, ",\"outcome\":") &&
                take_word(&c, WORD, out->outcome) && take_fields(&c, out) && take_hash(&c, out->hash) && c.p == c.end;
    if (!good)
        return E_FORMAT;
    out->uid = (uint32_t)uid;
    return 0;
}

/* --- the chain ------------------------------------------------------------------------------ */

struct reading {
    const struct id128 *vault;
    int (*visit)(void *ctx, const struct audit_record *r, const char *line);
    void *ctx;
    struct audit_report *out;
    struct audit_head head;
    bool has_head, passed;         /* the record that the head names was there */
    uint64_t unlocked;             /* records that a holder of the keys wrote, of one kind */
    uint64_t line, at;             /* of the end of the present line in the file */
    uint64_t size;                 /* of the file when it was locked */
};

static bool is_next(const struct reading *g, const struct audit_record *r, const char *line, size_t len)
{
    const struct audit_report *o = g->out;
    char hash[AUDIT_HASH_TEXT], id[ID_TEXT];

    if (r->seq != o->records + 1)
        return false;
    audit_hash(o->records ? o->hash : audit_no_hash, line, len - strlen(AUDIT_HASH_AT) - (AUDIT_HASH_TEXT - 1) - 2, hash);
    if (strcmp(hash, r->hash))
        return false;
    if (r->seq > 1 || !g->vault)
        return true;
    id_format(g->vault, id);       /* another vault's log, put here */
    return strcmp(r->event, "log-begun") == 0 && (!r->field_count || strcmp(r->fields[0].word, id) == 0);
}

static int take_line(struct reading *g, char *line, size_t len)
{
    struct audit_report *o = g->out;
    struct audit_record r;

    g->line++;
    line[len] = '\0';
    int rc = audit_parse(line, len, &r);
    if (o->harm == AUDIT_WHOLE && (rc || !is_next(g, &r, line, len))) {
        o->harm = AUDIT_BROKEN;
        o->line = g->line;
    }
    if (o->harm == AUDIT_WHOLE) {
        o->records = r.seq;
        g->unlocked += strcmp(r.event, "unlocked") == 0 && strcmp(r.outcome, "ok") == 0;
        o->first = o->first ? o->first : r.time;
        o->last = r.time;
        memcpy(o->hash, r.hash, sizeof o->hash);
        if (g->has_head && r.seq == g->head.seq && g->at == g->head.end && strcmp(r.hash, g->head.hash) == 0)
            g->passed = true;
    }
    return rc || !g->visit ? 0 : g->visit(g->ctx, &r, line);
}

/* One line without its newline, cut where it is longer than any of ours; false when none ends it. */
static bool read_line(struct reading *g, FILE *file, char line[AUDIT_LINE_MAX + 1], size_t *len)
{
    int c = 0;

    for (*len = 0; g->at < g->size && (c = getc(file)) != EOF && c != '\n'; g->at++)
        if (*len < AUDIT_LINE_MAX)
            line[(*len)++] = (char)c;
    g->at += c == '\n';
    return c == '\n';
}

static int read_lines(struct reading *g, FILE *file)
{
    char line[AUDIT_LINE_MAX + 1];
    size_t len;
    int rc = 0;

    while (!rc && read_line(g, file, line, &len))
        rc = take_line(g, line, len);
    g->out->incomplete = rc ? 0 : len;
    return !rc && ferror(file) ? -EIO : rc;
}

static void judge(struct reading *g, int head, const struct keyring *keys)
{
    struct audit_report *o = g->out;

    o->sealed = g->has_head ? g->head.seq : 0;
    if (o->harm != AUDIT_WHOLE)
        return;
    if (o->incomplete)
        o->harm = AUDIT_INCOMPLETE;
    else if (head)
        o->harm = head != -ENOENT ? AUDIT_HEAD_FORGED : g->unlocked ? AUDIT_NO_HEAD : AUDIT_WHOLE;
    else if (keys && audit_head_check(&g->head, keys))
        o->harm = AUDIT_HEAD_FORGED;
    else if (!g->passed)
        o->harm = g->head.seq > o->records ? AUDIT_CUT : AUDIT_DIFFERS;
}

/* What is written after the file was locked is not looked at: it may be half there. */
static int open_log(struct reading *g, int dir, bool locked, FILE **out)
{
    struct stat st;

    int fd = openat(dir, AUDIT_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = locked ? 0 : audit_lock(fd, LOCK_SH, AUDIT_PATIENCE);
    if (!rc && fstat(fd, &st))
        rc = -errno;
    if (!rc && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    g->size = rc ? 0 : (uint64_t)st.st_size;
    if (!locked)
        flock(fd, LOCK_UN);
    *out = rc ? NULL : fdopen(fd, "r");
    if (*out)
        return 0;
    rc = rc ? rc : -errno;
    close(fd);
    return rc;
}

/* The head first: it never runs ahead of its log. */
static int read_log(struct reading *g, int dir, bool locked, const struct keyring *keys)
{
    FILE *file = NULL;

    *g->out = (struct audit_report){ 0 };
    int head = audit_head_read(dir, &g->head);
    g->has_head = head == 0;
    int rc = head && head != -ENOENT && head != E_FORMAT ? head : open_log(g, dir, locked, &file);
    if (rc == -ENOENT)
        g->out->harm = AUDIT_NO_LOG;
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = read_lines(g, file);
    fclose(file);
    judge(g, head, keys);
    if (g->size == 0)
        g->out->harm = AUDIT_NO_LOG;
    return rc;
}

int audit_read_locked(int dir, int (*visit)(void *ctx, const struct audit_record *r, const char *line), void *ctx,
                      struct audit_report *out)
{
    struct reading g = { .visit = visit, .ctx = ctx, .out = out };
    return read_log(&g, dir, true, NULL);
}

int audit_read(int dir, const struct id128 *vault, const struct keyring *keys,
               int (*visit)(void *ctx, const struct audit_record *r, const char *line), void *ctx,
               struct audit_report *out)
{
    struct reading g = { .vault = vault, .visit = visit, .ctx = ctx, .out = out };
    return read_log(&g, dir, false, keys);
}
