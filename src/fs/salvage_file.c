/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * One file from the runs that name it, in its blocks' own footers or borrowed.
 *
 * A publication's footers hold the blocks that were new with it, all under the
 * content version that the file then had; so the newest content of a file is, block
 * by block, the run of the highest version.  A sweep over the runs by block number,
 * with a heap by version, gives the pieces in ascending order; its memory is that of
 * the runs, however far apart they are.
 *
 *   end     a block is sealed short only at the end of a file.  What older runs name
 *           behind a short block was cut off, and is left out (and counted).  Nearly
 *           always: a file that went on behind a hole keeps the short block, and a
 *           block that was moved tells the file's version and not its own.  So there is
 *           a second file with all of it, whose name ends in `.older-end`
 *   gaps    a hole of the file and a segment that is missing look the same
 *   mixed   blocks of several versions: a file that was changed in part, or one that
 *           was cut at a multiple of 4096 and written anew; cannot be told apart
 *
 * A block that does not open is left out as a hole, and never taken from an older
 * version instead.
 */
#include "salvaging.h"
#include <ecluse/io.h>
#include <errno.h>
#include <stdlib.h>

struct sweep {
    struct salvaging *s;
    struct piece *v;           /* by first block */
    size_t count, next;
    uint32_t *heap;            /* places in v; the best is first */
    size_t heap_count;
    struct landing *l;
    struct salvage_file *f;
    bool all;                  /* what was cut off, too */
    uint64_t at;               /* block */
    uint64_t ended_by;         /* version of the newest short block passed; 0: none */
    uint64_t version;          /* of what was written last */
};

static int by_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool better(const struct piece *a, const struct piece *b)
{
    if (a->version != b->version)
        return a->version > b->version;
    if (a->rank != b->rank)
        return a->rank > b->rank;
    if (a->object != b->object)
        return a->object > b->object;
    return a->offset > b->offset;
}

/* --- the heap -------------------------------------------------------------------------- */

static void push(struct sweep *w, uint32_t piece)
{
    size_t k = w->heap_count++;

    for (; k && better(&w->v[piece], &w->v[w->heap[(k - 1) / 2]]); k = (k - 1) / 2)
        w->heap[k] = w->heap[(k - 1) / 2];
    w->heap[k] = piece;
}

static void pop(struct sweep *w)
{
    uint32_t moved = w->heap[--w->heap_count];
    size_t k = 0;

    for (size_t below; (below = 2 * k + 1) < w->heap_count; k = below) {
        if (below + 1 < w->heap_count && better(&w->v[w->heap[below + 1]], &w->v[w->heap[below]]))
            below++;
        if (!better(&w->v[w->heap[below]], &w->v[moved]))
            break;
        w->heap[k] = w->heap[below];
    }
    w->heap[k] = moved;
}

/* --- bytes ------------------------------------------------------------------------------ */

static bool is_last(const struct piece *p, uint64_t block)
{
    return block + 1 == p->first + p->count;
}

static uint32_t block_length(const struct piece *p, uint64_t block)
{
    return is_last(p, block) ? p->last : BLOCK_SIZE;
}

/* What of it counts. */
static uint32_t block_valid(const struct piece *p, uint64_t block)
{
    return is_last(p, block) ? p->valid : BLOCK_SIZE;
}

/* Opens `count` blocks in place and writes them; where one does not open nothing is written. */
static int write_blocks(struct sweep *w, const struct piece *p, uint64_t block, uint32_t count, size_t len)
{
    uint64_t offset = p->offset + (block - p->first) * SEALED_BLOCK;
    uint8_t *sealed = w->s->bytes, plain[BLOCK_SIZE];
    bool there = salvage_open(w->s, p->object) && io_read_at(w->s->seen.fd, sealed, len, offset) == 0;
    int rc = 0;

    for (uint32_t k = 0; !rc && k < count; k++) {
        uint32_t length = block_length(p, block + k);
        uint64_t at = (uint64_t)k * SEALED_BLOCK;
        if (!there || segment_open(w->s->seen.key, offset + at, SEAL_DATA, sealed + at, length + SEAL_OVERHEAD, plain)) {
            w->f->lost++;
            continue;
        }
        rc = landing_write(w->l, plain, block_valid(p, block + k), (block + k) * BLOCK_SIZE);
        w->f->blocks++;
    }
    secret_wipe(plain, sizeof plain);
    return rc;
}

/* Blocks w->at … end - 1 are those of p. */
static int take(struct sweep *w, const struct piece *p, uint64_t end)
{
    int rc = 0;

    if (p->version < w->ended_by && !w->all) {
        w->f->left_out += end - w->at;
        w->at = end;
        return 0;
    }
    if (w->f->blocks + w->f->lost && p->version != w->version)
        w->f->mixed = true;
    w->version = p->version;
    while (!rc && w->at < end) {
        uint32_t count = end - w->at < RUN_AT_ONCE ? (uint32_t)(end - w->at) : RUN_AT_ONCE;
        uint32_t last = block_length(p, w->at + count - 1);
        size_t len = (size_t)(count - 1) * SEALED_BLOCK + last + SEAL_OVERHEAD;
        rc = write_blocks(w, p, w->at, count, len);
        w->at += count;
        uint32_t valid = block_valid(p, w->at - 1);
        w->f->size = (w->at - 1) * BLOCK_SIZE + valid;
        w->f->open_end = valid == BLOCK_SIZE;
        if (valid < BLOCK_SIZE && !p->middle && p->version > w->ended_by)
            w->ended_by = p->version;
    }
    return rc;
}

/* --- the sweep --------------------------------------------------------------------------- */

/* A gap counts only when something follows that is taken. */
static int sweep(struct sweep *w)
{
    uint64_t gap = 0;
    int rc = 0;

    while (!rc) {
        while (w->next < w->count && w->v[w->next].first <= w->at)
            push(w, (uint32_t)w->next++);
        while (w->heap_count && w->v[w->heap[0]].first + w->v[w->heap[0]].count <= w->at)
            pop(w);
        if (!w->heap_count && w->next == w->count)
            break;
        if (!w->heap_count) {
            gap += w->v[w->next].first - w->at;
            w->at = w->v[w->next].first;
            continue;
        }
        const struct piece *p = &w->v[w->heap[0]];
        uint64_t end = p->first + p->count;
        if (w->next < w->count && w->v[w->next].first < end)
            end = w->v[w->next].first;   /* the next one may be better */
        if (p->version >= w->ended_by || w->all) {
            w->f->gaps += gap;
            gap = 0;
        }
        rc = take(w, p, end);
    }
    return rc;
}

/* The newest name, and the newest folder. */
static const struct piece *newest_name(const struct piece *v, size_t count)
{
    const struct piece *best = NULL;

    for (size_t k = 0; k < count; k++)
        if (v[k].name && (!best || better(&v[k], best)))
            best = &v[k];
    return best;
}

static uint64_t newest_parent(const struct piece *v, size_t count)
{
    const struct piece *best = NULL;

    for (size_t k = 0; k < count; k++)
        if (v[k].parent && (!best || better(&v[k], best)))
            best = &v[k];
    return best ? best->parent : 0;
}

static void tell(struct salvaging *s, struct salvage_file *f)
{
    struct salvage_report *r = s->report;

    if (f->error) {
        r->failed++;
    } else {
        r->files++;
        r->bytes += f->size;
        r->incomplete += f->lost || f->gaps;
        r->mixed += f->mixed;
        r->open_ended += f->open_end;
        r->cut += f->left_out > 0;
    }
    if (s->o->file)
        s->o->file(s->o->ctx, f);
}

/* What concerns one file only, and not the whole destination. */
static bool is_local(int rc)
{
    return rc == -EFBIG || rc == -EINVAL || rc == -EILSEQ || rc == -ENAMETOOLONG || rc == -EEXIST || rc == -EOVERFLOW;
}

/* One file of the destination from the sorted pieces. */
static int write_file(struct salvaging *s, struct piece *pieces, size_t count, uint32_t *heap, bool all,
                      struct salvage_file *f)
{
    struct landing l = { .folder = -1, .fd = -1 };
    struct sweep w = { .s = s, .v = pieces, .count = count, .heap = heap, .l = &l, .f = f, .all = all };
    uint64_t ino = pieces[0].ino;
    size_t len = 0;
    const struct piece *named = newest_name(pieces, count);
    const uint8_t *name = named ? piece_name(s, named, &len) : NULL;

    int rc = landing_begin(s, &l, ino, newest_parent(pieces, count));
    if (!rc)
        rc = sweep(&w);
    if (!rc)
        rc = landing_finish(&l, ino, f->size, name, len,
                            (all ? LANDING_OLDER_END : 0) | (f->lost || f->gaps ? LANDING_INCOMPLETE : 0));
    f->path = l.path;
    if (!rc || is_local(rc)) {
        f->error = rc;
        tell(s, f);
        rc = 0;
    }
    landing_end(&l);
    return rc;
}

int salvage_file(struct salvaging *s, struct piece *pieces, size_t count)
{
    struct salvage_file f = { 0 }, older = { 0 };
    uint32_t *heap = calloc(count, sizeof *heap);

    qsort(pieces, count, sizeof *pieces, by_first);
    int rc = heap ? write_file(s, pieces, count, heap, false, &f) : -ENOMEM;
    if (!rc && f.left_out)
        rc = write_file(s, pieces, count, heap, true, &older);
    free(heap);
    return rc;
}
