/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Borrowed runs: what the reverse maps of a publication's segments leave out.
 *
 * A copy that is made after its original was published has rows and no block of its
 * own, so no reverse map names it.  A file into which blocks were ever copied has the
 * flag INODE_SHARES; of such files the carrier tells whatever rows of its publication
 * refer to in older segments, under the version that the file then has.  The parts
 * of a checkpoint do the same for all rows, so that a carrier may go with what
 * it told.  Runs that did not fit into the footer of their own segment are told as well.
 *
 * Invariant: a run of a file that shares is in the reverse map of its segment, or is
 * borrowed in a carrier that gc keeps (all from the older of two checkpoints on).
 *
 * All is read in the commit's turn: rows and versions are of one moment.
 */
#include "publishing.h"
#include <stdlib.h>

/* Beside 2 MiB of rows this fits into a segment, and these rows fit into this. */
#define BORROWED_MAX (8u << 20)

struct lent {
    uint64_t ino, first;       /* file block */
    uint32_t segment, offset;
    uint16_t count, last, valid;
};

void borrowed_free(struct borrowed *b)
{
    buf_free(&b->runs);
    buf_free(&b->owners);
}

static bool is_full(const struct borrowed *b) { return b->runs.failed || b->owners.failed; }

/* --- gathering ------------------------------------------------------------------------ */

static void add_runs(struct fs *fs, struct borrowed *b, const struct owner *o, uint64_t base, const struct run *runs,
                     uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        struct lent l = { .ino = o->ino, .first = base + runs[k].first, .segment = runs[k].segment,
                          .offset = runs[k].offset, .count = runs[k].count, .last = runs[k].sealed,
                          .valid = runs[k].valid };
        if (!segment_staged(fs, runs[k].segment))   /* else its own footer tells */
            buf_append(&b->runs, &l, sizeof l);
    }
    buf_append(&b->owners, o, sizeof *o);
}

void borrowed_left(struct borrowed *b, const struct owner *o, const struct reverse_entry *e)
{
    struct lent l = { .ino = e->ino, .first = e->first, .segment = e->segment, .offset = e->offset,
                      .count = (uint16_t)e->count, .last = e->last, .valid = e->valid };

    buf_append(&b->runs, &l, sizeof l);
    buf_append(&b->owners, o, sizeof *o);
}

/* A chunk's owner; its row may be in another part. ino 0: none, or one that shares nothing. */
static int find_owner(struct fs *fs, uint64_t ino, struct owner *out, struct row_hold *hold)
{
    struct inode_row i;
    int rc = index_inode(fs->index, ino, &i, hold);

    *out = (struct owner){ 0 };
    if (!rc && i.flags & INODE_SHARES)
        *out = owner_of_row(&i);
    return rc == -ENOENT ? 0 : rc;
}

int borrowed_rows(struct fs *fs, struct borrowed *b, const struct buf *rows)
{
    struct reader in = reader_over(rows->data, rows->len);
    struct record *rec = malloc(sizeof *rec);
    struct row_hold hold = { 0 };
    struct owner o = { 0 };
    uint64_t looked_up = 0;
    int rc = rec ? 1 : -ENOMEM;

    while (rc == 1 && (rc = batch_next(&in, rec)) == 1) {
        int found = 0;
        if (rec->kind == RECORD_INODE && rec->inode.flags & INODE_SHARES) {
            struct owner own = owner_of_row(&rec->inode);
            add_runs(fs, b, &own, 0, rec->inode.runs, rec->inode.run_count);
        } else if (rec->kind == RECORD_CHUNK) {
            if (looked_up != rec->chunk.ino)
                found = find_owner(fs, rec->chunk.ino, &o, &hold);
            looked_up = rec->chunk.ino;
            if (!found && o.ino)
                add_runs(fs, b, &o, rec->chunk.n * CHUNK_BLOCKS, rec->chunk.runs, rec->chunk.run_count);
        }
        if (found)
            rc = found;
    }
    row_hold_free(&hold);
    free(rec);
    return rc ? rc : is_full(b) ? -ENOMEM : 0;
}

/* --- writing --------------------------------------------------------------------------- */

static int by_file(const void *a, const void *b)
{
    const struct lent *x = a, *y = b;
    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Numbers, ascending and each once, and the ids that they stand for. */
struct lenders { struct buf numbers, ids; size_t count; };

static int find_lenders(struct fs *fs, const struct borrowed *b, struct lenders *out)
{
    const struct lent *v = (const struct lent *)(const void *)b->runs.data;
    struct segment_row row;
    size_t count = b->runs.len / sizeof *v;
    int rc = 0;

    for (size_t k = 0; k < count; k++)
        if (!k || v[k].segment != v[k - 1].segment)
            buf_append(&out->numbers, &v[k].segment, sizeof v[k].segment);
    if (out->numbers.failed)
        return -ENOMEM;
    uint32_t *n = (uint32_t *)(void *)out->numbers.data;
    count = out->numbers.len / sizeof *n;
    qsort(n, count, sizeof *n, by_number);
    for (size_t k = 0; !rc && k < count; k++) {
        if (out->count && n[out->count - 1] == n[k])
            continue;
        n[out->count++] = n[k];
        rc = index_segment(fs->index, n[k], &row);
        buf_append(&out->ids, &row.id, sizeof row.id);
    }
    return rc == -ENOENT ? E_STATE_DAMAGED : rc ? rc : out->ids.failed ? -ENOMEM : 0;
}

static size_t place_of(const struct lenders *l, uint32_t number)
{
    const uint32_t *n = (const uint32_t *)(const void *)l->numbers.data;
    const uint32_t *at = bsearch(&number, n, l->count, sizeof *n, by_number);
    return (size_t)(at - n);
}

/* The first run of a file: what is told of the file, too. */
static int describe(struct fs *fs, const struct borrowed *b, uint64_t ino, struct borrowed_run *out,
                    struct row_hold *hold)
{
    const struct owner *o = owner_find(&b->owners, ino);

    *out = (struct borrowed_run){ .of = { .ino = ino, .version = o->version, .parent = o->parent }, .size = o->size };
    return owner_name(fs, o, &out->of, hold);
}

static int write_runs(struct fs *fs, const struct borrowed *b, const struct lenders *l, struct buf *out)
{
    const struct lent *v = (const struct lent *)(const void *)b->runs.data;
    size_t count = b->runs.len / sizeof *v, k = 0;
    struct row_hold hold = { 0 };
    struct borrowed_run run = { 0 };
    uint64_t before = 0;
    int rc = 0;

    for (; !rc && k < count && out->len < BORROWED_MAX; before = v[k++].ino) {
        if (v[k].ino != before)
            rc = describe(fs, b, v[k].ino, &run, &hold);
        run.of.first = v[k].first;
        run.of.offset = v[k].offset;
        run.of.count = v[k].count;
        run.of.last = v[k].last;
        run.valid = v[k].valid;
        borrowed_add(out, before, &run, place_of(l, v[k].segment));
    }
    borrowed_end(out, before);
    if (k < count)
        log_warning("ECL-0421 %zu runs of shared blocks are in no footer", count - k);
    row_hold_free(&hold);
    return rc;
}

int borrowed_encode(struct fs *fs, struct borrowed *b, struct buf *out)
{
    struct lenders l = { 0 };

    buf_reset(out);
    if (is_full(b))
        return -ENOMEM;
    if (!b->runs.len)
        return 0;
    qsort(b->runs.data, b->runs.len / sizeof(struct lent), sizeof(struct lent), by_file);
    owners_sort(&b->owners);
    int rc = find_lenders(fs, b, &l);
    if (!rc)
        borrowed_begin(out, (const struct id128 *)(const void *)l.ids.data, l.count);
    if (!rc)
        rc = write_runs(fs, b, &l, out);
    buf_free(&l.numbers);
    buf_free(&l.ids);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}
