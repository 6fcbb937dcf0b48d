/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What an auditor or a host can verify who holds no key.
 *
 * Form (header, name, size class), whether the body looks random (body.c), and
 * whether it is what the manifest has.  Nothing is authenticated here, so nothing is
 * called an attack: what differs is damaged.  What is in no manifest that was given
 * is foreign, though it may be ours and later than the manifest.
 */
#include "body.h"
#include "checking.h"
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT_VAULT = 24, AT_SEGMENT = 40 };   /* in a segment's header */

/* --- the manifest -------------------------------------------------------------------- */

static int by_id(const void *a, const void *b) { return memcmp(a, b, sizeof(struct id128)); }

static struct manifest_line *find_line(const struct manifest *m, const struct id128 *id)
{
    return m && m->count ? bsearch(id, m->lines, m->count, sizeof *m->lines, by_id) : NULL;
}

bool manifest_agrees(const struct checking *c, const struct id128 *id, const uint8_t sha256[SHA256_SIZE],
                     bool *listed)
{
    struct manifest_line *l = find_line(c->o->manifest, id);

    *listed = l || !c->o->manifest;
    if (!l)
        return true;
    l->seen = true;
    return memcmp(l->sha256, sha256, SHA256_SIZE) == 0;
}

static void check_header(struct checking *c)
{
    const struct manifest *m = c->o->manifest;
    const char *name = store_header_name(c->o->store);
    struct check_finding f = { CHECK_DAMAGED, CHECK_BECAUSE_DIFFERS, name, 0, 0 };
    uint8_t sum[SHA256_SIZE];

    crypto_sha256(c->o->header, c->o->header_len, sum);
    if (!m->has_header || strcmp(m->header_name, name)) {
        f.verdict = CHECK_FOREIGN;
        f.reason = CHECK_BECAUSE_UNLISTED;
        tell_finding(c, &f);
    } else if (memcmp(sum, m->header, sizeof sum)) {
        tell_finding(c, &f);
    }
}

void check_manifest_rest(struct checking *c)
{
    const struct manifest *m = c->o->manifest;

    if (!m)
        return;
    check_header(c);
    for (size_t k = 0; k < m->count; k++)
        if (!m->lines[k].seen && !checked_find(c, &m->lines[k].id))
            note_missing(c, &m->lines[k].id, NAMED_NOW);
}

/* --- one object ----------------------------------------------------------------------- */

struct sight {
    int fd;
    uint64_t size;
    uint8_t front[SEGMENT_DATA];
    bool has_front, listed, agrees;
    struct body body;
};

static int look(struct checking *c, const struct checked *x, struct sight *s)
{
    struct stat st;

    if (fstat(s->fd, &st))
        return -errno;
    s->size = (uint64_t)st.st_size;
    s->has_front = s->size >= SEGMENT_DATA;
    int rc = s->has_front ? io_read_at(s->fd, s->front, sizeof s->front, 0) : 0;
    if (!rc && s->size <= SEGMENT_MAX)
        rc = body_read(s->fd, s->size, &s->body);
    if (!rc)
        s->agrees = manifest_agrees(c, &x->id, s->body.sha256, &s->listed);
    return rc;
}

/* Equal but for some flipped bits? Two random ids agree in one byte of 256. */
static bool resembles(const uint8_t *found, const struct id128 *id)
{
    unsigned same = 0;

    for (size_t k = 0; k < sizeof id->b; k++)
        same += found[k] == id->b[k];
    return 2 * same >= sizeof id->b;
}

/* Does it say that it is of this vault? A header that is right in itself and names
 * another vault belongs there, whatever its segment is called. */
static bool claims(const struct checking *c, const struct checked *x, const struct sight *s)
{
    struct segment_header h;

    if (!s->has_front || resembles(s->front + AT_VAULT, &c->o->vault->vault))
        return s->has_front;
    return segment_header_parse(s->front, &h) && resembles(s->front + AT_SEGMENT, &x->id);
}

/* Is the listed object there, and something behind it? */
static bool begins_as_listed(const struct checking *c, const struct checked *x, const struct sight *s)
{
    struct body front;
    bool listed;

    if (!c->o->manifest || !s->listed)
        return false;
    for (uint64_t size = SEGMENT_MIN; size < s->size && size <= SEGMENT_MAX; size *= 2)
        if (body_read(s->fd, size, &front) == 0 && manifest_agrees(c, &x->id, front.sha256, &listed))
            return true;
    return false;
}

static void judge_size(struct checking *c, struct checked *x, const struct sight *s)
{
    if (begins_as_listed(c, x, s) || s->size > SEGMENT_MAX)
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_LONGER, 0);
    else if (segment_size_class(s->size) != s->size)
        give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_SHORT, 0);
    else if (s->body.zero_page)
        give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_FILLING, 0);
}

static void judge_front(struct checking *c, struct checked *x, const struct sight *s)
{
    struct segment_header h;

    int rc = segment_header_parse(s->front, &h);
    if (rc == E_NEWER_FORMAT)
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_NEWER, 0);
    else if (rc || !id_equal(&h.vault, &c->o->vault->vault) || h.suite != c->o->vault->suite)
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_MALFORMED, 0);
    else if (!id_equal(&h.segment, &x->id))
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_MISPLACED, 0);
}

static void judge(struct checking *c, struct checked *x, const struct sight *s)
{
    bool nobodys = s->has_front && !claims(c, x, s) && !s->body.zero_page;

    if (nobodys && !(c->o->manifest && s->listed)) {
        give_verdict(x, CHECK_FOREIGN, CHECK_BECAUSE_OTHER_VAULT, 0);
        return;
    }
    judge_size(c, x, s);
    if (x->verdict != CHECK_OK)
        return;
    judge_front(c, x, s);
    if (!s->body.random)
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_NOT_RANDOM, 0);
    if (!s->agrees)
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_DIFFERS, 0);
    if (!s->listed)
        give_verdict(x, CHECK_FOREIGN, CHECK_BECAUSE_UNLISTED, 0);
}

static int check_one(struct checking *c, struct checked *x)
{
    struct sight s = { .fd = store_get(c->o->store, &x->id) };

    int rc = s.fd < 0 ? s.fd : look(c, x, &s);
    if (!rc)
        judge(c, x, &s);
    if (s.fd >= 0)
        close(s.fd);
    if (!rc || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)
        return rc;
    x->error = rc;
    if (rc == -ENODATA || rc == E_NOT_ARRIVED)
        give_verdict(x, CHECK_NOT_ARRIVED, rc == -ENODATA ? CHECK_BECAUSE_SHORT : CHECK_BECAUSE_ABSENT, 0);
    else
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_UNREADABLE, 0);
    return 0;
}

int check_blind(struct checking *c)
{
    int rc = 0;

    for (size_t k = 0; !rc && k < c->count; k++) {
        check_progress(c, CHECK_PHASE_DATA, k, c->count);
        rc = check_one(c, &c->objects[k]);
    }
    return rc;
}
