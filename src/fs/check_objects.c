/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Each object by itself, with keys; then what publications name.
 *
 * Verdicts wait until everything that names an object was read: one that does not
 * open is short if it must be longer, replaced if something names it, and foreign
 * if nothing does.
 *
 * A listing is no moment: a publication may arrive while we read, its carrier be in
 * the listing and its other segments not.  So what seems absent is looked for once
 * more before it is called so.
 */
#include "checking.h"
#include <ecluse/error.h>
#include <errno.h>
#include <stdlib.h>

/* --- the list --------------------------------------------------------------------------- */

static int list_object(void *ctx, const struct id128 *id, uint64_t size)
{
    struct checking *c = ctx;

    if (c->count == c->capacity) {
        size_t room = c->capacity ? 2 * c->capacity : 1024;
        struct checked *v = realloc(c->objects, room * sizeof *v);
        if (!v)
            return -ENOMEM;
        c->objects = v;
        c->capacity = room;
    }
    c->objects[c->count++] = (struct checked){ .id = *id, .size = size };
    c->report->objects++;
    c->report->bytes += size;
    return 0;
}

static int list_foreign(void *ctx, const char *path)
{
    tell_finding(ctx, &(struct check_finding){ CHECK_FOREIGN, CHECK_BECAUSE_NOT_OURS, path, 0, 0 });
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct id128));
}

int check_list(struct checking *c)
{
    int rc = store_list(c->o->store, list_object, list_foreign, c);

    if (!rc && c->count)
        qsort(c->objects, c->count, sizeof *c->objects, by_id);
    return rc;
}

struct checked *checked_find(const struct checking *c, const struct id128 *id)
{
    return c->count ? bsearch(id, c->objects, c->count, sizeof *c->objects, by_id) : NULL;
}

void give_verdict(struct checked *x, enum check_verdict verdict, enum check_reason reason, uint64_t number)
{
    if (x->verdict != CHECK_OK)
        return;
    x->verdict = (uint8_t)verdict;
    x->reason = (uint8_t)reason;
    x->number = number;
}

/* --- opening ------------------------------------------------------------------------------ */

enum inspection checked_open(struct checking *c, const struct checked *x)
{
    return inspect_object(c->o->keys, c->o->store, &x->id, &c->seen);
}

bool checked_again(struct checking *c, struct checked *x)
{
    enum inspection now = checked_open(c, x);

    if (now == INSPECT_GONE)
        x->inspection = INSPECT_GONE;   /* judged at the end */
    else if (now != INSPECT_WHOLE)
        give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_CHANGING, 0);
    return now == INSPECT_WHOLE;
}

int checked_publication(const struct checking *c, struct publication_view *v)
{
    return publication_parse(c->seen.view.payload, c->seen.view.payload_len, v);
}

static int add_link(struct checking *c, size_t object, const struct publication_view *v)
{
    if (c->link_count == c->link_capacity) {
        size_t room = c->link_capacity ? 2 * c->link_capacity : 256;
        struct link *links = realloc(c->links, room * sizeof *links);
        if (!links)
            return -ENOMEM;
        c->links = links;
        c->link_capacity = room;
    }
    struct link *l = &c->links[c->link_count++];
    *l = (struct link){ .self = { .actor = v->actor, .seq = v->seq }, .before = v->before, .more = v->more,
                        .around = v->around, .shard = v->shard, .last = v->last, .size = v->rows_len,
                        .time = (int64_t)v->time, .object = object };
    crypto_sha256(c->seen.view.payload, c->seen.view.payload_len, l->self.hash);
    return 0;
}

static int look_at(struct checking *c, size_t k)
{
    struct checked *x = &c->objects[k];
    struct publication_view v;

    x->inspection = (uint8_t)checked_open(c, x);
    x->error = c->seen.error;
    if (x->inspection == INSPECT_UNREADABLE && (x->error == -ENOMEM || x->error == -EMFILE || x->error == -ENFILE))
        return x->error;
    if (x->inspection != INSPECT_WHOLE || c->seen.view.kind != PAYLOAD_PUBLICATION)
        return 0;
    if (checked_publication(c, &v)) {
        x->inspection = INSPECT_MALFORMED;
        return 0;
    }
    x->named_by = v.seq;
    return add_link(c, k, &v);
}

int check_objects(struct checking *c)
{
    int rc = 0;

    for (size_t k = 0; !rc && k < c->count; k++) {
        if (k % 16 == 0)
            check_progress(c, CHECK_PHASE_OBJECTS, k, c->count);
        rc = look_at(c, k);
    }
    return rc;
}

/* --- names -------------------------------------------------------------------------------- */

void note_missing(struct checking *c, const struct id128 *id, uint64_t by)
{
    struct missing m = { *id, by };
    buf_append(&c->missing, &m, sizeof m);
}

bool checked_named(struct checking *c, const struct id128 *id, uint64_t by, uint64_t length, const uint8_t *sha256)
{
    struct checked *x = checked_find(c, id);
    uint64_t size;

    if (!x) {
        if (store_size(c->o->store, id, &size) == 0 && (!length || size == length))
            return true;         /* it arrived meanwhile */
        note_missing(c, id, by);
        return false;
    }
    if (x->named_by < by)
        x->named_by = by;
    if (length && !x->length)
        x->length = length;
    if (sha256 && !x->hashed) {
        memcpy(x->sha256, sha256, SHA256_SIZE);
        x->hashed = true;
    }
    return !length || x->size == length;
}

static int name_segments(struct checking *c, struct link *l)
{
    struct publication_view v;
    struct publication_segment s;

    if (!checked_again(c, &c->objects[l->object]) || checked_publication(c, &v))
        return 0;
    while (publication_next_segment(&v, &s)) {
        static const uint8_t unknown[SHA256_SIZE];
        bool told = (s.fresh && !s.carrier) || s.again;
        bool hashed = told && memcmp(s.sha256, unknown, sizeof unknown);
        if (s.carrier) {
            if (!id_equal(&s.id, &c->objects[l->object].id))
                l->incomplete = true;
        } else if (!checked_named(c, &s.id, v.seq, told ? s.length : 0, hashed ? s.sha256 : NULL) && !s.gone) {
            l->incomplete = true;
        }
    }
    return c->missing.failed ? -ENOMEM : 0;
}

int check_names(struct checking *c)
{
    int rc = 0;

    for (size_t k = 0; !rc && k < c->link_count; k++)
        rc = name_segments(c, &c->links[k]);
    return rc;
}

/* --- verdicts -------------------------------------------------------------------------------- */

static void judge_strange(struct checked *x)
{
    if (x->named_by)
        give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_REPLACED, 0);
    else
        give_verdict(x, CHECK_FOREIGN, CHECK_BECAUSE_OTHER_VAULT, 0);
}

static void judge(const struct checking *c, struct checked *x)
{
    switch ((enum inspection)x->inspection) {
    case INSPECT_WHOLE:
        if (x->length && x->length != x->size)
            give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_MALFORMED, 0);
        return;
    case INSPECT_GONE:
        if (x->named_by >= check_needed_from(c))
            give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_ABSENT, 0);
        return;
    case INSPECT_SHORT: give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_SHORT, 0); return;
    case INSPECT_FILLING: give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_FILLING, 0); return;
    case INSPECT_TRAILER:
        if (x->length > x->size)
            give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_SHORT, 0);
        give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_TRAILER, 0);
        return;
    case INSPECT_FRONT: give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_FRONT, 0); return;
    case INSPECT_MISPLACED: give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_MISPLACED, 0); return;
    case INSPECT_LONGER: give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_LONGER, 0); return;
    case INSPECT_FOOTER: give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_FOOTER, 0); return;
    case INSPECT_STRANGE: judge_strange(x); return;
    case INSPECT_NEWER: give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_NEWER, 0); return;
    case INSPECT_MALFORMED: give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_MALFORMED, 0); return;
    case INSPECT_UNREADABLE: give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_UNREADABLE, 0); return;
    }
}

void check_judge(struct checking *c)
{
    for (size_t k = 0; k < c->count; k++)
        judge(c, &c->objects[k]);
}
