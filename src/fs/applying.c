/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The history of publications into a new index, in order.
 *
 * Each publication goes through the same steps as one of our own: its rows, its
 * segments as an intent, done; but in one transaction, so that an index that was cut
 * anywhere has the first so many of them.  The tables end up as the publisher
 * leaves them, and its numbers go on from there.  One payload is in memory at a time.
 *
 * The hash of a carrier's file is not known from its publication and is left out
 * of its row; computing it would mean reading the store as a whole.
 */
#include "rebuild.h"
#include <stdlib.h>

#define GENERATION 1u
#define COUNTER_BITS 48
#define SYNC_EVERY (2u << 20)    /* bytes of rows between two syncs, which also shorten the log */

int object_number(struct rebuild *b, struct object *o, const uint8_t *sha256, struct buf *rows)
{
    struct segment_row row = { .state = o->staged ? SEGMENT_STAGED : SEGMENT_PUBLISHED, .id = o->id,
                               .epoch = o->epoch, .length = o->staged ? o->valid : o->size };

    if (o->number)
        return 0;
    if (b->numbers.segment == UINT32_MAX)
        return -EOVERFLOW;
    row.number = o->number = ++b->numbers.segment;
    if (sha256)
        memcpy(row.sha256, sha256, sizeof row.sha256);
    batch_segment(rows, &row);
    return 0;
}

static uint64_t actor_of_view(const void *ctx, size_t k)
{
    return publication_actor(ctx, k);
}

int publication_meaning(struct rebuild *b, struct publication_view *v, struct meaning *m)
{
    struct publication_view walk = *v;
    struct publication_segment s;

    *m = (struct meaning){ .segments = calloc(v->segment_count + 1, sizeof *m->segments) };
    if (!m->segments)
        return -ENOMEM;
    while (publication_next_segment(&walk, &s)) {
        struct object *o = survey_named(&b->survey, &s);
        if (o)
            m->segments[m->segment_count++] = (struct segment_meaning){ s.number, o };
    }
    return meaning_actors(&b->numbers, m, v->actor_count, actor_of_view, v);
}

static void add_fresh(struct buf *fresh, const struct object *o, const uint8_t *sha256)
{
    struct segment_row row = { .number = o->number, .state = SEGMENT_STAGED, .id = o->id, .epoch = o->epoch,
                               .length = o->size };
    if (sha256)
        memcpy(row.sha256, sha256, sizeof row.sha256);
    batch_segment(fresh, &row);
}

/* Rows of segments: those that are new with this publication as an intent has
 * them, carrier last; others, should this history not have met them, at once. */
static int number_segments(struct rebuild *b, struct publication_view v, struct buf *fresh, struct buf *rows,
                           uint32_t *carrier)
{
    struct publication_segment s;
    struct object *last = NULL;
    struct buf unused = { 0 };
    int rc = 0;

    while (!rc && publication_next_segment(&v, &s)) {
        struct object *o = survey_named(&b->survey, &s);
        if (!o)
            return E_NOT_ARRIVED;
        if (!s.fresh) {
            rc = object_number(b, o, s.again ? s.sha256 : NULL, rows);
            continue;
        }
        rc = object_number(b, o, NULL, &unused);
        if (s.carrier)
            last = o;
        else
            add_fresh(fresh, o, s.sha256);
    }
    buf_free(&unused);
    if (rc || !last)
        return rc ? rc : E_FORMAT;
    *carrier = last->number;
    add_fresh(fresh, last, NULL);
    return 0;
}

static int translate_rows(struct rebuild *b, const struct publication_view *v, const struct meaning *m,
                          struct buf *out)
{
    struct reader in = reader_over(v->rows, v->rows_len);
    struct record *rec = malloc(sizeof *rec);
    int rc = rec ? 1 : -ENOMEM;

    while (rc == 1 && (rc = batch_next(&in, rec)) == 1) {
        int done = translate_inodes(m, &b->numbers, rec);
        if (!done)
            done = translate_runs(m, rec);
        if (done)
            rc = done;
        else
            record_encode(out, rec);
    }
    free(rec);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}

/* How far numbers were given out, for whoever goes on with this index. */
static void note_numbers(struct rebuild *b, const struct publication_view *v, struct buf *rows)
{
    struct numbers *n = &b->numbers;

    if (v->next_ino > n->ino + 1)
        n->ino = v->next_ino - 1;
    if (v->next_cookie > n->cookie + 1)
        n->cookie = v->next_cookie - 1;
    batch_counter(rows, COUNTER_INO, n->ino + 1);
    batch_counter(rows, COUNTER_COOKIE, n->cookie + 1);
    for (; n->noted < n->actor_count; n->noted++)
        batch_counter(rows, (enum counter)(COUNTER_ACTOR + n->noted), n->actors[n->noted]);
}

/* All of it or nothing: the index says by itself how far it has come. */
static int take_publication(struct rebuild *b, const struct link *l, const struct buf *rows, const struct buf *fresh,
                            uint32_t carrier)
{
    struct publication_row row = { .seq = l->self.seq, .time = l->time, .carrier = carrier, .size = l->size,
                                   .shard = l->shard, .last = l->last };

    memcpy(row.hash, l->self.hash, sizeof row.hash);
    return index_take(b->index, &row, rows, fresh, GENERATION);
}

int publication_read(struct rebuild *b, const struct link *l, struct buf *footer, struct publication_view *v)
{
    uint8_t hash[SHA256_SIZE];

    int rc = object_publication(b, &b->survey.objects[l->object], footer, v, hash);
    if (!rc && memcmp(hash, l->self.hash, sizeof hash))
        rc = E_AUTH;
    return rc;
}

/* What the publications before the beginning are still needed for: new ones name
 * them as their heads. */
static int record_head(struct rebuild *b, const struct publication_head *h)
{
    struct publication_row row = { .seq = h->seq };
    struct buf none = { 0 };

    memcpy(row.hash, h->hash, sizeof row.hash);
    int rc = index_intend(b->index, &row, &none, 0);
    return rc ? rc : index_published(b->index, row.seq);
}

static int note_beginning(struct rebuild *b, const struct publication_view *v)
{
    struct publication_view walk = *v;
    struct publication_head h;
    uint64_t last = 0;
    int rc = 0;

    while (!rc && publication_next_head(&walk, &h)) {
        rc = record_head(b, &h);
        buf_append(&b->heads, &h, sizeof h);
        last = h.seq;
    }
    if (!rc && v->around.seq > last)
        rc = record_head(b, &v->around);
    return rc ? rc : b->heads.failed ? -ENOMEM : 0;
}

static int apply_publication(struct rebuild *b, const struct link *l, size_t *pending)
{
    struct buf footer = { 0 }, rows = { 0 }, fresh = { 0 };
    struct publication_view v;
    struct meaning m = { 0 };
    uint32_t carrier = 0;

    int rc = publication_read(b, l, &footer, &v);
    if (!rc)
        rc = publication_meaning(b, &v, &m);
    if (!rc)
        rc = number_segments(b, v, &fresh, &rows, &carrier);
    if (!rc)
        rc = translate_rows(b, &v, &m, &rows);
    if (!rc)
        note_numbers(b, &v, &rows);
    if (!rc)
        rc = fresh.failed || rows.failed ? -ENOMEM : fault_hit(FAULT_rebuild);
    if (!rc && l == &b->survey.links[b->chain.order[b->chain.base]])
        rc = note_beginning(b, &v);
    if (!rc)
        rc = take_publication(b, l, &rows, &fresh, carrier);
    b->applied += !rc;
    *pending += rows.len + fresh.len;
    meaning_free(&m);
    buf_free(&footer);
    buf_free(&rows);
    buf_free(&fresh);
    if (rc)
        log_error("ECL-0345 rebuild: publication %llu: %s", (unsigned long long)l->self.seq, error_name(rc));
    return rc;
}

int history_apply(struct rebuild *b)
{
    size_t pending = 0;
    int rc = 0;

    for (size_t k = b->chain.base + b->resumed; !rc && k < b->chain.count; k++) {
        rc = rebuild_progress(b, REBUILD_APPLY, k - b->chain.base, b->chain.count - b->chain.base);
        if (!rc)
            rc = apply_publication(b, &b->survey.links[b->chain.order[k]], &pending);
        if (!rc && k == b->chain.base)
            rc = resume_note(b);
        if (!rc && (pending > SYNC_EVERY || k == b->chain.base)) {
            rc = index_sync(b->index);
            pending = 0;
        }
    }
    return rc;
}

/* --- what the rows do not say -------------------------------------------------------------- */

/* The number of the last publication of an actor, as the heads of the beginning and
 * the history tell; 0: none. */
static uint64_t last_of(const struct rebuild *b, uint64_t actor)
{
    const struct publication_head *heads = (const void *)b->heads.data;
    uint64_t last = 0;

    for (size_t k = 0; k < b->heads.len / sizeof *heads; k++)
        if (heads[k].actor == actor)
            last = heads[k].seq;
    for (size_t k = b->chain.base; k < b->chain.count; k++) {
        const struct link *l = &b->survey.links[b->chain.order[k]];
        if (l->self.actor == actor)
            last = l->self.seq;
    }
    return last;
}

/* The number of the first publication of each actor; of one that has none, that
 * of the next. */
static void count_actors(struct rebuild *b, struct buf *out)
{
    const struct numbers *n = &b->numbers;
    uint64_t first = 1;

    for (size_t k = 0; k < n->actor_count; k++) {
        uint64_t last = last_of(b, n->actors[k]);
        batch_counter(out, (enum counter)(COUNTER_ACTOR + k), n->actors[k]);
        batch_counter(out, (enum counter)(COUNTER_CHAIN + k), first);
        if (last >= first)
            first = last + 1;
    }
}

int history_counters(struct rebuild *b)
{
    const struct numbers *n = &b->numbers;
    struct buf out = { 0 };

    if ((n->ino + 1) >> COUNTER_BITS || n->cookie == INT64_MAX)
        return -EOVERFLOW;
    batch_counter(&out, COUNTER_INO, n->ino + 1);
    batch_counter(&out, COUNTER_COOKIE, n->cookie + 1);
    batch_counter(&out, COUNTER_SEGMENT, (uint64_t)n->segment + 1);
    count_actors(b, &out);
    int rc = out.failed ? -ENOMEM : index_apply(b->index, &out, false, GENERATION);
    buf_free(&out);
    return rc;
}
