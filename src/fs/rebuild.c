/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The index from the store: the history of publications, applied in order.
 *
 * Invariants
 *   1. The new index after the history equals the tree at the cut of its last
 *      publication, row by row.
 *   2. A publication is applied only after all that it follows, and with its
 *      whole series of parts; nothing is applied of one whose segments are not
 *      all there (chain.c has cut such ones off).
 *   3. What is passed over is counted in the report, and unless the caller
 *      accepts that (`partial`), ends the rebuild before anything is made.
 *
 * Each publication goes through the same steps as one of our own: its rows, its
 * segments as an intent, done.  So the tables end up as the publisher leaves
 * them, and its numbers go on from there.  One payload is in memory at a time.
 * A device that has no state goes on with what an interruption left (resume.c); a
 * rebuild over an old state begins anew.
 *
 * The hash of a carrier's file is not known from its publication and is left out
 * of its row; computing it would mean reading the store as a whole.
 */
#include "rebuild.h"
#include "layout.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define GENERATION 1u
#define COUNTER_BITS 48
#define SYNC_EVERY (2u << 20)    /* bytes of rows between two syncs, which also shorten the log */

int rebuild_progress(const struct rebuild *b, enum rebuild_phase phase, uint64_t done, uint64_t total)
{
    return b->o->progress ? b->o->progress(b->o->ctx, phase, done, total) : 0;
}

/* --- the old index --------------------------------------------------------------------- */

/* What it knew of publications, read without a change to it. That it cannot be read
 * is no error: it is why we are here. */
static void open_old(struct rebuild *b)
{
    struct publication_row last;
    uint64_t actor;

    if (!b->o->old || !b->o->old->keys || b->o->old->keys != b->o->keys)
        return;
    int rc = index_open(&b->old, b->o->old->path, keyring_local_key(b->o->keys), true);
    if (!rc)
        rc = index_counter(b->old, COUNTER_ACTOR, &actor);
    if (rc == -ENOENT)
        rc = 0;                  /* never mounted for writing */
    if (rc && b->old) {
        index_close(b->old);
        b->old = NULL;
    }
    log_info("ECL-0342 rebuild: the old index: %s", error_name(rc));
    if (!b->old || index_last_publication(b->old, &last))
        return;
    b->report->seen = last.seq;
    /* An intent may never have reached the store. */
    b->intent = last.done ? 0 : last.seq;
    if (!last.done && (last.seq < 2 || index_publication(b->old, last.seq - 1, &last)))
        return;
    b->seen.seq = last.seq;
    memcpy(b->seen.hash, last.hash, sizeof last.hash);
    for (uint32_t k = 0; k < ACTOR_LIMIT; k++) {
        uint64_t id, first;
        if (index_counter(b->old, (enum counter)(COUNTER_ACTOR + k), &id) ||
            index_counter(b->old, (enum counter)(COUNTER_CHAIN + k), &first) || first > last.seq)
            return;
        b->seen.actor = id;
    }
}

/* --- the order ---------------------------------------------------------------------------- */

static void tell(const struct rebuild *b)
{
    const struct chain *c = &b->chain;

    log_info("ECL-0343 rebuild: %zu publications, %zu behind them, %zu pending, %zu of other branches, "
             "%zu twice, %zu forked, %zu broken", c->count, c->loose, c->pending, c->branches, c->duplicates,
             c->forked, c->broken);
    for (size_t k = 0; k < b->survey.link_count; k++) {
        const struct link *l = &b->survey.links[k];
        char id[ID_TEXT];
        if (l->verdict != LINK_PENDING && l->verdict != LINK_FORKED && l->verdict != LINK_BROKEN)
            continue;
        id_format(&b->survey.objects[l->object].id, id);
        log_warning("ECL-0344 rebuild: publication %016llx/%llu (object %s): %s", (unsigned long long)l->self.actor,
                    (unsigned long long)l->self.seq, id, l->verdict == LINK_PENDING ? "pending"
                    : l->verdict == LINK_FORKED ? "another one has its number" : "follows another one than is there");
    }
}

uint64_t history_end(const struct rebuild *b)
{
    size_t all = b->chain.count + b->chain.loose;
    return all ? b->survey.links[b->chain.order[all - 1]].self.seq : 0;
}

static bool is_seen(const struct rebuild *b, const struct publication_head *h)
{
    return h->seq == b->seen.seq && memcmp(h->hash, b->seen.hash, sizeof h->hash) == 0;
}

/* Is what the old index knew as published part of the history? Also a part whose
 * series has no end yet was published. */
static bool has_seen(const struct rebuild *b)
{
    size_t all = b->chain.count + b->chain.loose;

    if (!b->seen.seq)
        return true;
    for (size_t k = 0; k < all; k++) {
        const struct link *l = &b->survey.links[b->chain.order[k]];
        if (is_seen(b, &l->self) || is_seen(b, &l->before))
            return true;
    }
    /* Older than the beginning, and no longer there. */
    return b->chain.count && b->seen.seq < b->survey.links[b->chain.order[0]].before.seq;
}

/* Segments of this vault without any publication: those have not arrived, or are lost
 * (ecluse salvage). An empty tree would be a lie. */
static bool lacks_history(const struct rebuild *b)
{
    for (size_t k = 0; !b->chain.count && k < b->survey.count; k++)
        if (b->survey.objects[k].headed && !b->survey.objects[k].staged)
            return true;
    return false;
}

static int decide_order(struct rebuild *b)
{
    struct rebuild_report *r = b->report;

    tell(b);
    doubts_count(b);
    int rc = rebuild_heads(b);
    r->publications = b->chain.count - b->chain.base;
    r->pending = b->chain.pending;
    r->branches = b->chain.branches;
    r->refused = b->chain.forked + b->chain.broken;
    if (b->chain.count)
        r->time = b->survey.links[b->chain.order[b->chain.count - 1]].time;
    if (rc)
        return rc;
    if (b->o->partial)
        return 0;
    if (b->chain.forked)
        return E_FORKED;
    if (b->chain.broken)
        return E_AUTH;
    if (!has_seen(b))
        return E_OLDER_STATE;
    if (b->chain.pending || lacks_history(b))
        return E_NOT_ARRIVED;
    return r->altered ? E_AUTH : r->late ? E_NOT_ARRIVED : 0;
}

/* --- the history ---------------------------------------------------------------------------- */

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

static int apply_history(struct rebuild *b)
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

static int put_counters(struct rebuild *b)
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

/* --- the whole ---------------------------------------------------------------------------------- */

static int make_index(struct rebuild *b)
{
    const uint8_t *key = keyring_local_key(b->o->keys);

    if (b->index)                /* it is gone on with */
        return 0;
    int rc = index_create(b->renewal.files.path, key, b->o->uid, b->o->gid);
    return rc ? rc : index_open(&b->index, b->renewal.files.path, key, false);
}

static int close_index(struct rebuild *b, int rc)
{
    struct index_totals totals;

    if (!b->index)
        return rc;
    if (!rc)
        rc = index_totals(b->index, &totals);
    if (!rc) {
        b->report->inodes = totals.inodes;
        b->report->bytes = totals.object_bytes;
        b->report->gone = b->survey.gone_count;
    }
    int closed = index_close(b->index);
    b->index = NULL;
    return rc ? rc : closed;
}

/* Staged segments that the new state does not use stay where the old files are. */
static void count_left(struct rebuild *b)
{
    for (size_t k = 0; k < b->survey.count; k++) {
        const struct object *o = &b->survey.objects[k];
        if (!o->staged || o->number)
            continue;
        b->report->left++;
        b->report->left_bytes += o->size;
    }
}

static int fill(struct rebuild *b)
{
    int rc = make_index(b);
    if (!rc)
        rc = apply_history(b);
    if (!rc)
        rc = keep_unpublished(b);
    if (!rc)
        rc = put_counters(b);
    rc = close_index(b, rc);
    if (!rc)
        rc = layout_journal(b->renewal.files.dir, keyring_local_key(b->o->keys));
    if (!rc)
        rc = keyring_save(b->o->keys, b->renewal.files.dir, "keyring");
    if (!rc)
        rc = rebuild_keep_heads(b);
    if (!rc && b->o->old)
        rc = audit_keep(b->o->old->dir, b->renewal.files.dir);
    if (!rc)
        rc = ballast_make(b->renewal.files.dir);
    /* Nothing that another device may have is in it: it needs not become somebody else. */
    return rc || b->o->old ? rc : state_adopt(&b->renewal.files);
}

/* What was found damaged only when it was gone on with is made once more. */
static int make(struct rebuild *b)
{
    int rc = b->resumed ? fill(b) : 0;

    if (rc == E_STATE_DAMAGED)
        resume_give_up(b);
    else if (b->resumed)
        return rc;
    rc = renewal_begin(&b->renewal, b->o->path, b->o->old != NULL);
    if (!rc && !b->o->old)
        rc = keyring_save(b->o->keys, b->renewal.files.dir, "keyring");
    return rc ? rc : fill(b);
}

static int run(struct rebuild *b)
{
    int rc = b->o->old ? renewal_settle(b->o->old) : 0;
    if (rc)
        return rc;
    open_old(b);
    rc = resume_open(b);
    if (!rc)
        rc = survey_take(b);
    if (!rc)
        resume_check(b);
    if (!rc)
        rc = decide_order(b);
    if (!rc)                     /* until here nothing is changed on disk */
        rc = make(b);
    if (b->old)
        index_close(b->old);
    b->old = NULL;
    if (!rc) {
        count_left(b);
        rc = renewal_switch(&b->renewal, b->o->old != NULL, b->report->damaged);
    }
    log_info("ECL-0346 rebuild: %llu publications, %zu of them since before, %llu applied, %llu unpublished rows kept, "
             "%llu lost: %s", (unsigned long long)b->report->publications, b->resumed, (unsigned long long)b->applied,
             (unsigned long long)b->report->kept, (unsigned long long)b->report->lost, error_name(rc));
    return rc;
}

int rebuild_state(const struct rebuild_options *o, struct rebuild_report *report)
{
    struct rebuild *b = calloc(1, sizeof *b);

    *report = (struct rebuild_report){ 0 };
    if (!b)
        return -ENOMEM;
    b->o = o;
    b->report = report;
    b->numbers = (struct numbers){ .ino = ROOT_INO, .cookie = 2 };
    b->renewal.basefd = b->renewal.files.dir = b->renewal.files.staging = b->renewal.files.lock = -1;
    int rc = run(b);
    resume_end(b, rc);
    renewal_end(&b->renewal);
    survey_free(&b->survey);
    chain_free(&b->chain);
    buf_free(&b->heads);
    free(b->numbers.actors);
    free(b);
    return rc;
}
