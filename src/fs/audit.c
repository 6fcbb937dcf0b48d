/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Writing the audit log.
 *
 *   {"seq":7,"time":"2026-11-27T16:20:00Z","uid":1000,"by":"mount","event":"unlocked",
 *    "outcome":"ok","with":"passphrase","hash":"<64 hex>"}             on one line
 *
 * hash = SHA-256(hash of the record before, in hex ‖ newline ‖ the line up to `,"hash"`); so
 * no record can be changed, removed or put in without changing all that follow.
 *
 * Invariants: a record is one write at the end of the file, under flock; what another
 * process or thread writes comes before or after it.  A write that failed half-way is
 * taken back.  What a power cut left of the last record, which no newline ends, is cut off and
 * noted by the next event.  Bytes that were written are never changed.
 *
 * Room for some hundred records is reserved behind the end, so that a full disk keeps
 * nothing from being noted for a while.
 *
 * What it proves, and what not: docs/design.md.
 */
#include "audit.h"
#include <ecluse/log.h>
#include <ecluse/state.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TAIL 65536u                  /* looked at for the last record */
#define RESERVE 65536u
#define RESERVE_LEAST 16384u
#define AT_ONCE_PATIENCE 200u        /* milliseconds; locks of the vault may be held */

static const struct { const char *name; bool at_once; } events[AUDIT_EVENT_COUNT] = {
#define X(id, name, at_once) [AUDIT_##id] = { name, at_once },
    AUDIT_EVENTS(X)
#undef X
};

const char audit_no_hash[AUDIT_HASH_TEXT] = "0000000000000000000000000000000000000000000000000000000000000000";

static const char *command = "ecluse";   /* set once, before there are threads */
static atomic_ullong missed;         /* events of this process that could not be written */

/* One passage: the file under its lock, and what is about to be written. */
struct writing {
    int dir, fd;
    uint64_t end;                    /* of the last whole record */
    uint64_t torn;                   /* bytes behind it */
    struct audit_record last;        /* seq 0: none */
    bool anew;                       /* the head is replaced whatever it says */
    struct buf lines;
};

void audit_command(const char *name) { command = name; }

const char *audit_slot(enum slot_kind kind)
{
    switch (kind) {
    case SLOT_PASSPHRASE: return "passphrase";
    case SLOT_RECOVERY: return "recovery";
    case SLOT_KEYFILE: return "keyfile";
    case SLOT_COMMAND: return "command";
    case SLOT_CREDENTIAL: return "credential";
    }
    return "other";
}

void audit_hash(const char previous[AUDIT_HASH_TEXT], const char *body, size_t len, char out[AUDIT_HASH_TEXT])
{
    char bytes[AUDIT_HASH_TEXT + AUDIT_LINE_MAX];
    uint8_t hash[SHA256_SIZE];

    memcpy(bytes, previous, AUDIT_HASH_TEXT - 1);
    bytes[AUDIT_HASH_TEXT - 1] = '\n';
    memcpy(bytes + AUDIT_HASH_TEXT, body, len);
    crypto_sha256(bytes, AUDIT_HASH_TEXT + len, hash);
    for (size_t k = 0; k < sizeof hash; k++)
        snprintf(out + 2 * k, 3, "%02x", hash[k]);
}

/* --- what is there ------------------------------------------------------------------------- */

int audit_lock(int fd, int how, unsigned milliseconds)
{
    const struct timespec step = { .tv_nsec = 10 * 1000000 };

    while (flock(fd, how | LOCK_NB)) {
        if (errno != EINTR && errno != EWOULDBLOCK)
            return -errno;
        if (milliseconds < 10)
            return -EBUSY;
        milliseconds -= 10;
        nanosleep(&step, NULL);
    }
    return 0;
}

/* Nothing is left in a directory of somebody else, whatever a path led to. */
static int open_log(struct writing *w, bool at_once)
{
    struct stat st;

    if (fstat(w->dir, &st))
        return -errno;
    if (st.st_uid != geteuid())
        return -EPERM;
    w->fd = openat(w->dir, AUDIT_FILE, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return -errno;
    int rc = audit_lock(w->fd, LOCK_EX, at_once ? AT_ONCE_PATIENCE : AUDIT_PATIENCE);
    if (rc)
        return rc;
    if (fstat(w->fd, &st))
        return -errno;
    w->end = (uint64_t)st.st_size;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return w->end || fchmod(w->fd, 0600) == 0 ? 0 : -errno;   /* whatever the umask was */
}

/* The last whole record, and what is behind it. One that cannot be read ends the chain:
 * what follows begins a new one, and whoever verifies is told. */
static int find_last(struct writing *w)
{
    char *tail = malloc(TAIL);
    size_t len = w->end < TAIL ? (size_t)w->end : TAIL;

    int rc = tail ? io_read_at(w->fd, tail, len, w->end - len) : -ENOMEM;
    const char *stop = !rc && len ? memrchr(tail, '\n', len) : NULL;
    if (!rc && stop) {
        const char *start = memrchr(tail, '\n', (size_t)(stop - tail));
        start = start ? start + 1 : tail;
        if (audit_parse(start, (size_t)(stop - start), &w->last))
            w->last = (struct audit_record){ 0 };
    }
    if (!rc) {
        w->torn = stop ? (uint64_t)(tail + len - stop - 1) : w->end <= TAIL ? len : 0;
        w->end -= w->torn;
        if (!stop && w->end)         /* no record of ours is as long: left as it is, and found by whoever verifies */
            buf_byte(&w->lines, '\n');
    }
    free(tail);
    return rc;
}

/* --- a record ------------------------------------------------------------------------------- */

static void put(struct buf *b, const char *text) { buf_append(b, text, strlen(text)); }

static void put_number(struct buf *b, const char *key, uint64_t value)
{
    char text[AUDIT_WORD_MAX + 32];

    snprintf(text, sizeof text, "%s\"%.40s\":%llu", b->len > 1 ? "," : "", key, (unsigned long long)value);
    put(b, text);
}

static bool is_word(const char *word)
{
    size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-");
    return len && len < AUDIT_WORD_MAX && !word[len];
}

static void put_word(struct buf *b, const char *key, const char *word)
{
    char text[2 * AUDIT_WORD_MAX + 16];

    snprintf(text, sizeof text, ",\"%.40s\":\"%.40s\"", key, is_word(word) ? word : "unknown");
    put(b, text);
}

static void put_time(struct buf *b)
{
    time_t t = (time_t)clock_now();
    char text[32];
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    put_word(b, "time", text);
}

static int add_record(struct writing *w, enum audit_event event, int result, const struct audit_field *fields)
{
    struct buf line = { 0 };
    char hash[AUDIT_HASH_TEXT];

    put(&line, "{");
    put_number(&line, "seq", w->last.seq + 1);
    put_time(&line);
    put_number(&line, "uid", getuid());
    put_word(&line, "by", command);
    put_word(&line, "event", events[event].name);
    put_word(&line, "outcome", result ? error_name(result) : "ok");
    for (size_t k = 0; fields && fields[k].name && k < AUDIT_FIELDS_MAX; k++) {
        if (fields[k].word)
            put_word(&line, fields[k].name, fields[k].word);
        else
            put_number(&line, fields[k].name, fields[k].number);
    }
    int rc = line.failed ? -ENOMEM : line.len + AUDIT_HASH_TEXT + 16 > AUDIT_LINE_MAX ? -EMSGSIZE : 0;
    if (!rc) {
        audit_hash(w->last.seq ? w->last.hash : audit_no_hash, (const char *)line.data, line.len, hash);
        put(&line, AUDIT_HASH_AT);
        put(&line, hash);
        put(&line, "\"}\n");
        buf_append(&w->lines, line.data, line.len);
        w->last.seq++;
        memcpy(w->last.hash, hash, sizeof hash);
        rc = line.failed || w->lines.failed ? -ENOMEM : 0;
    }
    buf_free(&line);
    return rc;
}

/* --- what the keys vouch for ------------------------------------------------------------------ */

static int count_unlocked(void *ctx, const struct audit_record *r, const char *line)
{
    (void)line;
    *(unsigned *)ctx += strcmp(r->event, "unlocked") == 0 && strcmp(r->outcome, "ok") == 0;
    return 0;
}

/* The head is made before the first record that it is to vouch for; so it may be missing
 * beside one such record at most: a power cut came first. */
static const char *without_head(struct writing *w)
{
    struct audit_report report;
    unsigned unlocked = 0;

    audit_read_locked(w->dir, count_unlocked, &unlocked, &report);
    return unlocked > 1 ? "head-missing" : NULL;
}

/* Is the record that the head names where it was? NULL, or what is wrong. */
static const char *compare_head(struct writing *w, const struct keyring *keys)
{
    char line[AUDIT_LINE_MAX];
    struct audit_record r;
    struct audit_head h;

    int rc = audit_head_read(w->dir, &h);
    if (rc == -ENOENT)
        return without_head(w);
    if (rc || audit_head_check(&h, keys))
        return "head-forged";
    if (h.end > w->end || !h.end)
        return "log-cut";
    size_t len = h.end < sizeof line ? (size_t)h.end : sizeof line;
    if (io_read_at(w->fd, line, len, h.end - len) || line[len - 1] != '\n')
        return "log-differs";
    const char *start = memrchr(line, '\n', len - 1);
    start = start ? start + 1 : line;
    rc = audit_parse(start, (size_t)(line + len - 1 - start), &r);
    return rc || r.seq != h.seq || strcmp(r.hash, h.hash) ? "log-differs" : NULL;
}

/* A rebuilt state has other keys, and a new vault no past. */
static bool begins_anew(enum audit_event event)
{
    return event == AUDIT_VAULT_MADE || event == AUDIT_RECOVERED || event == AUDIT_REBUILT;
}

static int add_altered(struct writing *w, const struct keyring *keys, enum audit_event event)
{
    const char *why = begins_anew(event) ? NULL : compare_head(w, keys);
    w->anew = why || begins_anew(event);
    if (!why)
        return 0;
    log_system(LOG_LEVEL_ERROR, "ECL-0371 the audit log was altered: %s", why);
    return add_record(w, AUDIT_LOG_ALTERED, 0, AUDIT_FIELDS(AUDIT_WORD("why", why)));
}

/* --- one event ----------------------------------------------------------------------------------- */

static int begin_log(struct writing *w, const struct keyring *keys)
{
    char id[ID_TEXT] = "";

    if (keys)
        id_format(keyring_vault(keys), id);
    return add_record(w, AUDIT_LOG_BEGUN, 0, keys ? AUDIT_FIELDS(AUDIT_WORD("vault", id)) : NULL);
}

static int compose(struct writing *w, const struct keyring *keys, enum audit_event event, int result,
                   const struct audit_field *fields, unsigned long long lost)
{
    int rc = w->last.seq ? 0 : begin_log(w, keys);
    if (!rc && w->torn)
        rc = add_record(w, AUDIT_LOG_TORN, 0, AUDIT_FIELDS(AUDIT_NUMBER("bytes", w->torn)));
    if (!rc && keys)
        rc = add_altered(w, keys, event);
    if (!rc && lost)
        rc = add_record(w, AUDIT_LOG_MISSED, 0, AUDIT_FIELDS(AUDIT_NUMBER("count", lost)));
    return rc ? rc : add_record(w, event, result, fields);
}

/* So much is there, whatever fills the disk meanwhile. Not every filesystem can. */
static void reserve(const struct writing *w, uint64_t size)
{
    struct stat st;

    if (fstat(w->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 < size + RESERVE_LEAST &&
        fallocate(w->fd, FALLOC_FL_KEEP_SIZE, (off_t)size, RESERVE))
        return;
}

/* Nothing, or all of it. */
static int write_lines(struct writing *w)
{
    if (w->torn && ftruncate(w->fd, (off_t)w->end))
        return -errno;
    int rc = io_write_at(w->fd, w->lines.data, w->lines.len, w->end, FAULT_audit);
    if (rc && ftruncate(w->fd, (off_t)w->end))
        log_debug("ECL-0372 audit: %s", error_name(-errno));
    if (!rc)
        reserve(w, w->end + w->lines.len);
    return rc;
}

static int append(struct writing *w, const struct keyring *keys, enum audit_event event, int result,
                  const struct audit_field *fields)
{
    unsigned long long lost = atomic_exchange(&missed, 0);

    int rc = open_log(w, events[event].at_once);
    if (!rc && keys)
        rc = audit_head_prepare(w->dir);
    if (!rc)
        rc = find_last(w);
    if (!rc)
        rc = compose(w, keys, event, result, fields, lost);
    if (!rc)
        rc = write_lines(w);
    if (rc)
        atomic_fetch_add(&missed, lost);
    if (w->fd >= 0)
        flock(w->fd, LOCK_UN);       /* whoever waits need not wait for the disk */
    if (!rc && !events[event].at_once)
        rc = io_sync(w->fd, FAULT_audit);
    return rc;
}

int audit_append(int dir, const struct keyring *keys, enum audit_event event, int result,
                 const struct audit_field *fields)
{
    struct writing w = { .dir = dir, .fd = -1 };
    int saved = errno;

    keys = events[event].at_once ? NULL : keys;
    int rc = append(&w, keys, event, result, fields);
    if (rc) {
        atomic_fetch_add(&missed, 1);
        log_system(LOG_LEVEL_WARNING, "ECL-0370 audit: %s (%s) could not be noted: %s", events[event].name,
                    result ? error_name(result) : "ok", error_name(rc));
    } else {
        log_system(LOG_LEVEL_INFO, "ECL-0373 audit: %llu %s %s %s", (unsigned long long)w.last.seq, events[event].name,
                 result ? error_name(result) : "ok", w.last.hash);
    }
    if (!rc && keys) {
        struct audit_head h = { .seq = w.last.seq, .end = w.end + w.lines.len };
        memcpy(h.hash, w.last.hash, sizeof h.hash);
        rc = audit_head_write(dir, keys, &h, w.anew);
        if (rc)
            log_warning("ECL-0374 audit: its head: %s", error_name(rc));
    }
    if (w.fd >= 0)
        close(w.fd);
    buf_free(&w.lines);
    errno = saved;
    return rc;
}

void audit_append_at(const char *state_dir, const struct id128 *vault, enum audit_event event, int result,
                     const struct audit_field *fields)
{
    char path[PATH_MAX];

    if (state_path(path, state_dir, vault))
        return;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return;
    audit_append(dir, NULL, event, result, fields);
    close(dir);
}

/* A second name: the old directory keeps its own. A rebuild that is gone on with has it. */
int audit_keep(int old_dir, int new_dir)
{
    int rc = linkat(old_dir, AUDIT_FILE, new_dir, AUDIT_FILE, 0) ? -errno : 0;
    return rc == -ENOENT || rc == -EEXIST ? 0 : rc;
}
