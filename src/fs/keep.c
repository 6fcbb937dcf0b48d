/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the old state held and nobody published, put over the rebuilt tree.
 *
 * Three sources, in this order; each row is the value at its time, so later ones
 * win:
 *
 *   1. publications behind the history: fixed but never in the store, or parts
 *      of a series without its end.  Their notes are gone from the old index,
 *      their rows are told by themselves
 *   2. the rows that the old index notes as unpublished
 *   3. the records of the journal that the old index has not taken
 *
 * The old index counts only if it knows the last publication that is in the
 * store: an older one (its log was lost) would turn published files back.
 * Without it, only whole publications of source 1 count.
 *
 * Sources are walked twice.  First, inodes are marked of which a row cannot be
 * read or refers to bytes that are not there or do not open: a file is kept with
 * all that changed of it or not at all, so that no content is a mixture of two
 * versions.  Then the rows of all others are applied, and noted: the new actor
 * publishes them.  If any was left out, mend.c makes the rest fit.
 */
#include "rebuild.h"
#include "layout.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define GENERATION 1u
#define FLUSH_AT (256u << 10)
#define SYNC_EVERY (2u << 20)

/* What the old index and its journal say of a segment. */
struct held { struct segment_row row; size_t order; };

struct keep {
    struct rebuild *b;
    bool use_old;              /* sources 2 and 3 */
    size_t loose;              /* how many of source 1 */
    struct journal *journal;   /* a copy; NULL: none */
    bool torn;                 /* in the middle: its end cannot be read */
    int scratch;
    struct buf held;           /* struct held…, by number once sorted */
    struct meaning old;        /* of the old index's numbers */
    bool marking;
    struct buf bad;            /* inode numbers, sorted after marking */
    struct kept_reader reader;
    struct record *rec;
    struct buf rows;           /* to be applied */
    bool inodes_waiting;       /* inodes are among them */
    size_t unsynced;
    struct row_hold hold;
    uint64_t walked;
};

/* --- what the old index knew of segments ----------------------------------------------- */

static struct held *held_rows(const struct keep *k, size_t *count)
{
    *count = k->held.len / sizeof(struct held);
    return (struct held *)(void *)k->held.data;
}

static int note_held(void *ctx, const struct segment_row *row)
{
    struct keep *k = ctx;
    struct held h = { *row, k->held.len };

    buf_append(&k->held, &h, sizeof h);
    return k->held.failed ? -ENOMEM : 0;
}

/* The newest row of a number comes last. */
static int by_number(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    if (x->row.number != y->row.number)
        return x->row.number < y->row.number ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool knows_segment(const struct keep *k, const struct id128 *id)
{
    size_t count;
    const struct held *h = held_rows(k, &count);

    for (size_t i = 0; i < count; i++)
        if (id_equal(&h[i].row.id, id))
            return true;
    return false;
}

/* gc may have removed its object, and somebody brought it back. */
static bool knows_publication(const struct keep *k, const struct publication_head *h)
{
    struct publication_row p;

    return index_publication(k->b->old, h->seq, &p) == 0 && !memcmp(p.hash, h->hash, sizeof p.hash);
}

/* Does the old index know the last publication of its history that is in the store? */
static bool is_stale(const struct keep *k)
{
    const struct rebuild *b = k->b;

    for (size_t i = b->chain.count + b->chain.loose; i--;) {
        const struct link *l = &b->survey.links[b->chain.order[i]];
        if (!l->staged)
            return !knows_segment(k, &b->survey.objects[l->object].id) && !knows_publication(k, &l->self);
    }
    return false;
}

/* Where the row's bytes are, if they are there. */
static struct object *place_held(struct keep *k, const struct segment_row *row)
{
    struct object *o = survey_find(&k->b->survey, &row->id);
    static const uint8_t none[sizeof row->sha256];
    bool finished = row->state == SEGMENT_PUBLISHED || memcmp(row->sha256, none, sizeof none);

    if (!o || (!o->staged && finished && o->size != row->length))
        return NULL;
    if (o->staged)
        o->valid = row->length < o->size ? row->length : o->size;
    return o;
}

static uint64_t actor_of_old(const void *ctx, size_t n)
{
    return ((const uint64_t *)ctx)[n];
}

static int old_actors(struct keep *k)
{
    struct buf ids = { 0 };
    uint64_t id;

    for (uint32_t n = 0; n < ACTOR_LIMIT && index_counter(k->b->old, (enum counter)(COUNTER_ACTOR + n), &id) == 0; n++)
        buf_append(&ids, &id, sizeof id);
    int rc = ids.failed ? -ENOMEM
           : meaning_actors(&k->b->numbers, &k->old, ids.len / sizeof id, actor_of_old, ids.data);
    buf_free(&ids);
    return rc;
}

static int old_meaning(struct keep *k)
{
    size_t count;
    struct held *h = held_rows(k, &count);

    if (count)
        qsort(h, count, sizeof *h, by_number);
    k->old.segments = calloc(count + 1, sizeof *k->old.segments);
    if (!k->old.segments)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && h[i + 1].row.number == h[i].row.number)
            continue;
        struct object *o = place_held(k, &h[i].row);
        if (o)
            k->old.segments[k->old.segment_count++] = (struct segment_meaning){ h[i].row.number, o };
        int rc = o && o->staged ? kept_head(k->b, o, h[i].row.epoch) : 0;
        if (rc)
            return rc;
    }
    int rc = kept_sync(k->b);
    return rc ? rc : old_actors(k);
}

/* --- the journal --------------------------------------------------------------------------- */

static int write_tail(struct keep *k, const struct record *rec)
{
    size_t count;
    const struct held *h = held_rows(k, &count);

    while (count && h[count - 1].row.number != rec->tail.segment)
        count--;
    struct object *o = count ? survey_find(&k->b->survey, &h[count - 1].row.id) : NULL;
    if (!o || !o->staged)
        return 0;                /* rows that need it will be found bad */
    int rc = kept_write(k->b, o, rec->tail.offset, rec->tail.bytes, rec->tail.len);
    return rc == -ENOENT ? 0 : rc;
}

/* Segments and tails of one record of the journal. */
static int prepare_record(void *ctx, const uint8_t *batch, size_t len)
{
    struct keep *k = ctx;
    int rc = 1;

    for (struct reader in = reader_over(batch, len); rc == 1 && (rc = batch_next(&in, k->rec)) == 1;) {
        int done = k->rec->kind == RECORD_SEGMENT ? note_held(k, &k->rec->segment)
                 : k->rec->kind == RECORD_TAIL ? write_tail(k, k->rec) : 0;
        rc = done ? done : 1;
    }
    return rc == E_FORMAT ? 0 : rc;
}

/* It is opened as a copy: opening it may write. */
static int open_journal(struct keep *k)
{
    struct rebuild *b = k->b;
    uint64_t generation;
    struct stat st;

    bool cut = fstatat(b->o->old->dir, "journal", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size < (off_t)JOURNAL_SIZE;
    int rc = layout_directory(b->renewal.files.dir, "scratch", &k->scratch, FAULT_rebuild);
    if (rc)
        return rc;
    rc = kept_copy(b->o->old->dir, "journal", k->scratch);
    if (!rc)
        rc = index_generation(b->old, &generation);
    if (!rc)
        rc = journal_open(&k->journal, k->scratch, keyring_local_key(b->o->keys), generation);
    if (!rc)
        rc = journal_replay(k->journal, prepare_record, k);
    if (rc == -ENOSPC || rc == -ENOMEM)
        return rc;
    if (!rc && !cut)
        return 0;
    log_warning("ECL-0347 rebuild: the old journal: %s", error_name(rc ? rc : E_STATE_DAMAGED));
    b->report->old_journal_cut = true;
    k->torn = rc == E_STATE_DAMAGED;    /* what stands before is of use */
    if (rc && !k->torn && k->journal) {
        journal_close(k->journal);
        k->journal = NULL;
    }
    return 0;
}

static void close_journal(struct keep *k)
{
    if (k->journal)
        journal_close(k->journal);
    if (k->scratch < 0)
        return;
    unlinkat(k->scratch, "journal", 0);
    close(k->scratch);
    unlinkat(k->b->renewal.files.dir, "scratch", AT_REMOVEDIR);
}

/* --- marking ----------------------------------------------------------------------------------- */

static int mark_bad(struct keep *k, uint64_t ino)
{
    buf_append(&k->bad, &ino, sizeof ino);
    return k->bad.failed ? -ENOMEM : 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_bad(const struct keep *k, uint64_t ino)
{
    return k->bad.len && bsearch(&ino, k->bad.data, k->bad.len / sizeof ino, sizeof ino, by_value);
}

static bool run_is_there(struct keep *k, const struct meaning *m, const struct run *run)
{
    struct object *o = meaning_segment(m, run->segment);

    if (!o || run->offset + run_bytes(run) > (o->staged ? o->valid : o->size))
        return false;
    return o->staged ? kept_opens(k->b, &k->reader, o, run) : o->headed;
}

static uint64_t subject(const struct record *r)
{
    return r->kind == RECORD_INODE ? r->inode.ino : r->kind == RECORD_CHUNK ? r->chunk.ino
         : r->kind == RECORD_XATTR ? r->xattr.ino : r->gone.ino;
}

static int mark_record(struct keep *k, const struct meaning *m)
{
    uint32_t count;
    const struct run *runs = record_runs(k->rec, &count);

    for (uint32_t i = 0; i < count; i++)
        if (!run_is_there(k, m, &runs[i]))
            return mark_bad(k, subject(k->rec));
    return 0;
}

/* --- applying ---------------------------------------------------------------------------------- */

static int flush(struct keep *k)
{
    k->inodes_waiting = false;
    if (!k->rows.len)
        return k->rows.failed ? -ENOMEM : 0;
    int rc = k->rows.failed ? -ENOMEM : fault_hit(FAULT_rebuild);
    if (!rc)
        rc = index_apply(k->b->index, &k->rows, true, GENERATION);
    k->unsynced += k->rows.len;
    if (!rc && k->unsynced > SYNC_EVERY) {
        rc = index_sync(k->b->index);
        k->unsynced = 0;
    }
    buf_reset(&k->rows);
    return rc;
}

static bool is_there(struct keep *k, uint64_t ino)
{
    struct inode_row row;
    return index_inode(k->b->index, ino, &row, &k->hold) == 0;
}

/* A name belongs to one entry of a directory: the one that is told last. */
static void make_room(struct keep *k)
{
    const struct dirent_row *d = &k->rec->dirent;
    struct dirent_row other;

    if (index_dirent(k->b->index, d->parent, d->name, d->name_len, &other, &k->hold) == 0 && other.cookie != d->cookie)
        batch_gone(&k->rows, RECORD_DIRENT_GONE, d->parent, other.cookie);
}

/* May the record be applied? What it relies on has been flushed. */
static bool is_wanted(struct keep *k)
{
    const struct record *r = k->rec;

    switch (r->kind) {
    case RECORD_INODE:
        return !is_bad(k, r->inode.ino);
    case RECORD_DIRENT:
        return is_there(k, r->dirent.parent) && is_there(k, r->dirent.ino);
    case RECORD_XATTR:
    case RECORD_CHUNK:
    case RECORD_CHUNKS_GONE:
        return !is_bad(k, subject(r)) && is_there(k, subject(r));
    default:
        return true;             /* what is gone */
    }
}

static int use_objects(struct keep *k, const struct meaning *m)
{
    uint32_t count;
    const struct run *runs = record_runs(k->rec, &count);
    int rc = 0;

    for (uint32_t i = 0; !rc && i < count; i++) {
        struct object *o = meaning_segment(m, runs[i].segment);
        if (o && o->staged)
            rc = kept_link(k->b, o);
        if (o && !rc)
            rc = object_number(k->b, o, NULL, &k->rows);
    }
    return rc ? rc : translate_runs(m, k->rec);
}

static int apply_record(struct keep *k, const struct meaning *m)
{
    bool is_inode = k->rec->kind == RECORD_INODE || k->rec->kind == RECORD_INODE_GONE;
    int rc = (!is_inode && k->inodes_waiting) || k->rows.len > FLUSH_AT ? flush(k) : 0;

    if (rc)
        return rc;
    if (!is_wanted(k)) {
        k->b->report->lost++;
        return 0;
    }
    rc = use_objects(k, m);
    if (!rc && k->rec->kind == RECORD_DIRENT)
        make_room(k);
    if (!rc)
        record_encode(&k->rows, k->rec);
    k->inodes_waiting |= is_inode;
    k->b->report->kept += !rc;
    return rc;
}

/* --- walking ------------------------------------------------------------------------------------ */

static int take_record(struct keep *k, const struct meaning *m)
{
    if (translate_inodes(m, &k->b->numbers, k->rec)) {
        k->b->report->lost += k->marking;
        return 0;
    }
    int rc = ++k->walked % 256 ? 0 : rebuild_progress(k->b, REBUILD_KEEP, k->walked, 0);
    if (rc)
        return rc;
    return k->marking ? mark_record(k, m) : apply_record(k, m);
}

static bool is_local(enum record_kind kind)
{
    return kind == RECORD_SEGMENT || kind == RECORD_SEGMENT_GONE || kind == RECORD_COUNTER || kind == RECORD_TAIL;
}

static int take_rows(struct keep *k, const struct meaning *m, const uint8_t *rows, size_t len)
{
    int rc = 1;

    for (struct reader in = reader_over(rows, len); rc == 1 && (rc = batch_next(&in, k->rec)) == 1;) {
        int done = is_local(k->rec->kind) ? 0 : take_record(k, m);
        rc = done ? done : 1;
    }
    return rc;
}

static int take_loose(struct keep *k, size_t n)
{
    struct rebuild *b = k->b;
    const struct link *l = &b->survey.links[b->chain.order[b->chain.count + n]];
    struct buf footer = { 0 };
    struct publication_view v;
    struct meaning m = { 0 };

    int rc = publication_read(b, l, &footer, &v);
    if (!rc)
        rc = publication_meaning(b, &v, &m);
    if (!rc)
        rc = take_rows(k, &m, v.rows, v.rows_len);
    if (!rc && !k->marking)
        rc = flush(k);
    meaning_free(&m);
    buf_free(&footer);
    return rc;
}

static int take_note(void *ctx, const struct unpublished_key *key, const struct buf *row)
{
    struct keep *k = ctx;

    if (row)
        return take_rows(k, &k->old, row->data, row->len);
    uint64_t ino = meaning_ino(&k->old, key->ino);
    k->b->report->lost += k->marking;
    return k->marking && key->of_inode && ino ? mark_bad(k, ino) : 0;
}

static int take_journal(void *ctx, const uint8_t *batch, size_t len)
{
    struct keep *k = ctx;
    int rc = take_rows(k, &k->old, batch, len);

    if (!rc && !k->marking)
        rc = flush(k);
    return rc == E_FORMAT ? 0 : rc;
}

static int walk(struct keep *k)
{
    int rc = 0;

    for (size_t n = 0; !rc && n < k->loose; n++)
        rc = take_loose(k, n);
    if (!rc && k->use_old) {
        rc = index_salvage(k->b->old, take_note, k);
        if (rc == 1) {
            k->b->report->lost += k->marking;
            rc = 0;
        }
        if (!rc && !k->marking)
            rc = flush(k);
    }
    if (!rc && k->journal)
        rc = journal_replay(k->journal, take_journal, k);
    return rc == E_STATE_DAMAGED && k->torn ? 0 : rc;
}

/* How many publications behind the history take part: with an old index, those
 * that it has fixed; without one, up to the last that closes its series. */
static size_t count_loose(const struct keep *k)
{
    const struct chain *c = &k->b->chain;
    size_t count = 0;

    for (size_t n = 0; n < c->loose; n++) {
        const struct link *l = &k->b->survey.links[c->order[c->count + n]];
        if (k->use_old ? l->self.seq <= k->b->report->seen || !l->staged : !l->more)
            count = n + 1;
    }
    return count;
}

static int prepare(struct keep *k)
{
    struct rebuild *b = k->b;
    int rc = 0;

    if (b->old) {
        rc = index_scan_segments(b->old, 0, note_held, k);
        if (rc == -ENOMEM)
            return rc;
        b->report->old_read = true;
        b->report->old_stale = is_stale(k);
        k->use_old = !b->report->old_stale;
    }
    k->loose = count_loose(k);
    rc = k->use_old ? open_journal(k) : 0;
    return rc || !k->use_old ? rc : old_meaning(k);
}

static int keep(struct keep *k)
{
    const struct rebuild *b = k->b;

    /* Its rows are noted no more, and it cannot be read: who knows which they were. */
    if (k->use_old && b->intent > history_end(b))
        b->report->lost++;
    k->marking = true;
    int rc = walk(k);
    if (!rc && k->bad.len)
        qsort(k->bad.data, k->bad.len / sizeof(uint64_t), sizeof(uint64_t), by_value);
    k->marking = false;
    if (!rc)
        rc = walk(k);
    if (!rc && b->report->lost)
        rc = mend_rows(k->b);
    return rc;
}

int keep_unpublished(struct rebuild *b)
{
    struct keep k = { .b = b, .scratch = -1, .rec = malloc(sizeof *k.rec) };

    int rc = k.rec ? prepare(&k) : -ENOMEM;
    if (!rc)
        rc = keep(&k);
    close_journal(&k);
    kept_close(&k.reader);
    meaning_free(&k.old);
    row_hold_free(&k.hold);
    buf_free(&k.held);
    buf_free(&k.bad);
    buf_free(&k.rows);
    free(k.rec);
    return rc;
}
