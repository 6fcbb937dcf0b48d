/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Does the store have what this device knows?
 *
 * The index is read only, and closed without a write.  It knows of every object
 * that was published its length and, of those that this device made, the hash; and
 * the last publication, whose absence means that the store is older than what this
 * device has seen.  Segments that were not published yet are no part of the store
 * and are left out, and so are rows that only the journal has.
 */
#include "checking.h"
#include "seen.h"
#include <ecluse/error.h>
#include <ecluse/log.h>
#include <errno.h>
#include <stdlib.h>

/* What concerns the state as a whole. */
static int index_flaw(const struct checking *c, int rc, enum check_reason reason)
{
    if (rc == -ENOMEM)
        return rc;
    log_error("ECL-0360 check: the index: %s", error_name(rc));
    tell_finding(c, &(struct check_finding){ CHECK_DAMAGED, reason, c->o->state->path, 0, rc });
    return 0;
}

static void note_actor(struct checking *c, uint64_t seq)
{
    for (uint32_t k = 0; k < ACTOR_LIMIT; k++) {
        uint64_t id, first;
        if (index_counter(c->index, (enum counter)(COUNTER_ACTOR + k), &id) ||
            index_counter(c->index, (enum counter)(COUNTER_CHAIN + k), &first) || first > seq)
            return;
        c->wish.seen.actor = id;
    }
}

/* The last publication that is known to have reached the store. */
static int note_last(struct checking *c)
{
    struct publication_row last;
    struct segment_row carrier;

    int rc = index_last_publication(c->index, &last);
    if (!rc && !last.done)
        rc = last.seq < 2 ? -ENOENT : index_publication(c->index, last.seq - 1, &last);
    if (!rc && last.seq <= c->heads.accepted)
        rc = c->heads.relied ? index_publication(c->index, c->heads.relied, &last) : -ENOENT;
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    c->wish.seen.seq = last.seq;
    memcpy(c->wish.seen.hash, last.hash, SHA256_SIZE);
    note_actor(c, last.seq);
    rc = index_segment(c->index, last.carrier, &carrier);
    if (rc)
        return rc == -ENOENT ? E_STATE_DAMAGED : rc;
    uint64_t size;
    c->last_carrier = carrier.id;
    c->older = !checked_find(c, &carrier.id) && store_size(c->o->store, &carrier.id, &size) == E_NOT_ARRIVED;
    return 0;
}

int check_index_open(struct checking *c)
{
    c->wish.actor = keyring_actor(c->o->keys);
    if (!c->o->state)
        return 0;
    int rc = index_open(&c->index, c->o->state->path, keyring_local_key(c->o->keys), true);
    if (!rc)
        rc = heads_read(&c->heads, c->o->state->dir, c->o->keys);
    if (!rc)
        rc = note_last(c);
    if (!rc)
        return 0;
    if (c->index)
        index_discard(c->index);
    c->index = NULL;
    return index_flaw(c, rc, CHECK_BECAUSE_STATE);
}

/* --- others' ends ---------------------------------------------------------------------- */

/* The last number of that actor that the index knows; 0 for strangers. */
static uint64_t last_known(const struct checking *c, uint64_t actor)
{
    struct publication_row last;
    uint64_t id, next;

    for (uint32_t k = 0; k < ACTOR_LIMIT && !index_counter(c->index, (enum counter)(COUNTER_ACTOR + k), &id); k++) {
        if (id != actor)
            continue;
        if (index_counter(c->index, (enum counter)(COUNTER_CHAIN + k + 1), &next) == 0)
            return next - 1;
        return index_last_publication(c->index, &last) ? 0 : last.seq;
    }
    return 0;
}

/* This one, or a later one of the same actor. */
static bool is_seen_again(const struct checking *c, const struct publication_head *h)
{
    for (size_t k = 0; k < c->link_count; k++) {
        const struct publication_head *l = &c->links[k].self;
        if (l->actor == h->actor && (l->seq > h->seq ||
                                     (l->seq == h->seq && memcmp(l->hash, h->hash, SHA256_SIZE) == 0)))
            return true;
    }
    return false;
}

void check_heads(struct checking *c)
{
    char path[OBJECT_PATH];

    for (size_t k = 0; c->index && k < c->heads.count; k++) {
        const struct head *h = &c->heads.v[k];
        /* An object that is there and does not open has its own verdict. */
        if (checked_find(c, &h->object) || is_seen_again(c, &h->self) || h->self.seq <= last_known(c, h->self.actor))
            continue;
        c->report->older = true;
        object_path(&h->object, path);
        tell_finding(c, &(struct check_finding){ CHECK_ATTACK, CHECK_BECAUSE_OLDER, path, h->self.seq, 0 });
    }
}

/* --- objects -------------------------------------------------------------------------- */

static int name_published(void *ctx, const struct segment_row *s)
{
    static const uint8_t none[SHA256_SIZE];
    struct checking *c = ctx;

    if (c->older && id_equal(&s->id, &c->last_carrier))
        return 0;                /* told as such */
    checked_named(c, &s->id, NAMED_NOW, s->length, memcmp(s->sha256, none, sizeof none) ? s->sha256 : NULL);
    return c->missing.failed ? -ENOMEM : 0;
}

int check_index_names(struct checking *c)
{
    if (!c->index)
        return 0;
    int rc = index_scan_segments(c->index, SEGMENT_PUBLISHED, name_published, c);
    return rc ? index_flaw(c, rc, CHECK_BECAUSE_STATE) : 0;
}

/* --- rows ------------------------------------------------------------------------------- */

struct index_rows { struct checking *c; struct buf numbers, needs; };
struct numbered { uint32_t number; struct id128 id; };

static int note_number(void *ctx, const struct segment_row *s)
{
    struct index_rows *r = ctx;
    struct numbered n = { s->number, s->id };

    buf_append(&r->numbers, &n, sizeof n);
    return r->numbers.failed ? -ENOMEM : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Of staged segments there is nothing to compare with. */
static int note_runs(void *ctx, const struct run *runs, uint32_t count)
{
    struct index_rows *r = ctx;

    for (uint32_t k = 0; k < count; k++) {
        struct numbered key = { .number = runs[k].segment };
        const struct numbered *n = r->numbers.len ? bsearch(&key, r->numbers.data, r->numbers.len / sizeof key,
                                                            sizeof key, by_number) : NULL;
        if (n)
            add_need(&r->needs, &n->id, &runs[k]);
    }
    return r->needs.failed ? -ENOMEM : 0;
}

static int note_flaw(void *ctx, enum index_flaw flaw, uint64_t a, uint64_t b, uint64_t c)
{
    (void)flaw;
    (void)a;
    (void)b;
    (void)c;
    ++*(uint64_t *)ctx;
    return 0;
}

int check_index_rows(struct checking *c)
{
    struct index_rows r = { .c = c };
    uint64_t flaws = 0;

    if (!c->index)
        return 0;
    int rc = index_scan_segments(c->index, SEGMENT_PUBLISHED, note_number, &r);
    if (!rc)
        rc = index_scan_runs(c->index, note_runs, &r);
    if (!rc)
        rc = check_needs(c, &r.needs);
    if (!rc)
        rc = index_scan_flaws(c->index, note_flaw, &flaws);
    buf_free(&r.numbers);
    buf_free(&r.needs);
    if (rc)
        return index_flaw(c, rc, CHECK_BECAUSE_STATE);
    return flaws ? index_flaw(c, E_STATE_DAMAGED, CHECK_BECAUSE_INDEX) : 0;
}
