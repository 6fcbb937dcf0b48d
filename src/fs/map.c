/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A file's block map: chunk 0 in its inode, the others in rows of their own.
 *
 * Chunk rows that the index holds beyond a truncation are hidden by the
 * inode's cutoff until the deletion is durable.  Bytes that leave the map are
 * subtracted from their segment's live count; where that would mean loading
 * very many rows the count is left too high, which only costs space.
 *
 * Everything here runs with meta held.
 */
#include "internal.h"
#include <stdlib.h>

/* Rows loaded at most to keep live counts exact when a large file is cut. */
#define EXACT_CHUNKS 16384u

static uint64_t cut_from(const struct inode *i)
{
    return i->cut.unapplied < i->cut.committing ? i->cut.unapplied : i->cut.committing;
}

static int chunk_insert(struct fs *fs, struct inode *i, const struct chunk_row *row, uint64_t n,
                        struct chunk **out)
{
    struct chunk *k = calloc(1, sizeof *k);
    if (!k)
        return -ENOMEM;
    k->e.kind = ENTRY_CHUNK;
    k->ino = i->ino;
    k->n = n;
    if (row) {
        k->e.state = ENTRY_STORED;
        if (runs_copy(&k->runs, row->runs, row->run_count)) {
            free(k);
            return -ENOMEM;
        }
    }
    list_append(&i->chunks, &k->sibling);
    cache_insert(&fs->cache, &k->e);
    *out = k;
    return 0;
}

int chunk_get(struct fs *fs, struct inode *i, uint64_t n, bool create, struct chunk **out)
{
    int rc = -ENOENT;

    *out = cache_chunk(&fs->cache, i->ino, n);
    if (*out)
        return 0;
    if ((i->flags & INODE_CHUNKS) && n < cut_from(i)) {
        struct row_hold hold = { 0 };
        struct chunk_row row;
        rc = index_chunk(fs->index, i->ino, n, &row, &hold);
        if (!rc)
            rc = chunk_insert(fs, i, &row, n, out);
        row_hold_free(&hold);
    }
    if (rc == -ENOENT && create)
        rc = chunk_insert(fs, i, NULL, n, out);
    return rc;
}

int map_runs(struct fs *fs, struct inode *i, uint64_t n, struct runs **out)
{
    struct chunk *k;

    *out = NULL;
    if (n == 0) {
        *out = &i->runs;
        return 0;
    }
    int rc = chunk_get(fs, i, n, false, &k);
    if (!rc)
        *out = &k->runs;
    return rc == -ENOENT ? 0 : rc;
}

static void dead(void *ctx, const struct run *piece)
{
    segment_live(ctx, piece->segment, -(int64_t)run_bytes(piece));
}

/* Changes one chunk's runs and all that follows from it. */
static int replace(struct fs *fs, struct inode *i, uint64_t n, uint32_t first, uint32_t count,
                   const struct run *with)
{
    struct chunk *k = NULL;
    struct runs *r = &i->runs;
    int64_t delta = 0;

    if (n) {
        int rc = chunk_get(fs, i, n, with != NULL, &k);
        if (rc)
            return rc == -ENOENT ? 0 : rc;
        r = &k->runs;
    }
    size_t before = r->cap * sizeof(struct run);
    int rc = runs_replace(r, first, count, with, dead, fs, &delta);
    if (rc)
        return rc;
    cache_recount(&fs->cache, before, r->cap * sizeof(struct run));
    if (with)
        segment_live(fs, with->segment, (int64_t)run_bytes(with));
    i->blocks = (uint64_t)((int64_t)i->blocks + delta);
    i->version++;
    if (k) {
        i->flags |= INODE_CHUNKS;
        entry_dirty(fs, &k->e);
    }
    entry_dirty(fs, &i->e);
    return 0;
}

int map_put(struct fs *fs, struct inode *i, uint64_t first, const struct run *run)
{
    struct run r = *run;
    r.first = (uint16_t)(first % CHUNK_BLOCKS);
    return replace(fs, i, first / CHUNK_BLOCKS, r.first, r.count, &r);
}

int map_punch(struct fs *fs, struct inode *i, uint64_t first, uint64_t count)
{
    uint64_t end = first + count, n;

    if (count && first / CHUNK_BLOCKS == (end - 1) / CHUNK_BLOCKS)
        return replace(fs, i, first / CHUNK_BLOCKS, (uint32_t)(first % CHUNK_BLOCKS), (uint32_t)count, NULL);
    while (first < end) {
        int rc = map_next(fs, i, first / CHUNK_BLOCKS, &n);
        if (rc)
            return rc == -ENOENT ? 0 : rc;
        if (n > first / CHUNK_BLOCKS)
            first = n * CHUNK_BLOCKS;
        if (first >= end)
            return 0;
        uint32_t at = (uint32_t)(first % CHUNK_BLOCKS), room = CHUNK_BLOCKS - at;
        uint32_t here = end - first < room ? (uint32_t)(end - first) : room;
        rc = replace(fs, i, n, at, here, NULL);
        if (rc)
            return rc;
        first += here;
    }
    return 0;
}

int map_trim(struct fs *fs, struct inode *i, uint64_t block, uint32_t valid)
{
    struct runs *r;
    struct run one;
    uint32_t at = (uint32_t)(block % CHUNK_BLOCKS);

    int rc = map_runs(fs, i, block / CHUNK_BLOCKS, &r);
    if (rc || !r)
        return rc;
    const struct run *run = runs_find(r, at);
    if (!run || !run_clip(run, at, 1, &one) || one.valid <= valid)
        return 0;
    one.valid = (uint16_t)valid;
    return map_put(fs, i, block, &one);
}

int map_next(struct fs *fs, struct inode *i, uint64_t n, uint64_t *out)
{
    uint64_t best = NEVER, found = n;

    if (n == 0 && i->runs.count) {
        *out = 0;
        return 0;
    }
    list_each(l, &i->chunks) {
        const struct chunk *k = container(l, const struct chunk, sibling);
        if (k->n >= n && k->n < best && k->runs.count)
            best = k->n;
    }
    /* The index's rows count unless the cache knows better. */
    while (i->flags & INODE_CHUNKS) {
        int rc = index_next_chunk(fs->index, i->ino, found ? found : 1, &found);
        if (rc && rc != -ENOENT)
            return rc;
        if (rc || found >= best || found >= cut_from(i))
            break;
        if (!cache_chunk(&fs->cache, i->ino, found)) {
            best = found;
            break;
        }
        found++;
    }
    *out = best;
    return best == NEVER ? -ENOENT : 0;
}

static void release_run(struct fs *fs, struct inode *i, const struct run *run)
{
    dead(fs, run);
    i->blocks -= run->count;
}

static void release_cached(struct fs *fs, struct inode *i, uint64_t n)
{
    list_each(l, &i->chunks) {
        struct chunk *k = container(l, struct chunk, sibling);
        if (k->n < n)
            continue;
        for (uint32_t r = 0; r < k->runs.count; r++)
            release_run(fs, i, &k->runs.v[r]);
        k->runs.count = 0;
    }
}

/* The index's rows that the cache does not know. One that cannot be read is
 * left out: the cutoff deletes it all the same, its bytes only count as live. */
static void release_stored(struct fs *fs, struct inode *i, uint64_t n)
{
    struct row_hold hold = { 0 };
    struct chunk_row row;

    for (unsigned loaded = 0; loaded < EXACT_CHUNKS; n++) {
        if (index_next_chunk(fs->index, i->ino, n, &n) || n >= cut_from(i))
            break;
        if (cache_chunk(&fs->cache, i->ino, n))
            continue;
        if (index_chunk(fs->index, i->ino, n, &row, &hold))
            break;
        for (uint32_t r = 0; r < row.run_count; r++)
            release_run(fs, i, &row.runs[r]);
        loaded++;
    }
    row_hold_free(&hold);
}

/* Forgets the cached chunks from n on: the cutoff says what they would say. */
static void discard_from(struct fs *fs, struct inode *i, uint64_t n)
{
    list_each_safe(l, &i->chunks) {
        struct chunk *k = container(l, struct chunk, sibling);
        if (k->n >= n && !(k->e.state & ENTRY_COMMITTING))
            entry_discard(fs, &k->e);
    }
}

int map_cut(struct fs *fs, struct inode *i, uint64_t first)
{
    uint64_t n = first / CHUNK_BLOCKS, whole = (first + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
    if (whole == 0)
        whole = 1;

    if (first % CHUNK_BLOCKS || n == 0) {
        uint32_t at = (uint32_t)(first % CHUNK_BLOCKS);
        int rc = replace(fs, i, n, at, CHUNK_BLOCKS - at, NULL);
        if (rc)
            return rc;
    }
    if ((i->flags & INODE_CHUNKS) || !list_empty(&i->chunks)) {
        release_cached(fs, i, whole);
        if (i->flags & INODE_CHUNKS)
            release_stored(fs, i, whole);
        discard_from(fs, i, whole);
        if (whole < i->cut.unapplied)
            i->cut.unapplied = whole;
        if (whole < i->cut.unlogged)
            i->cut.unlogged = whole;
    }
    if (first == 0)
        i->flags &= ~INODE_SHARES;
    if (whole == 1) {
        i->blocks = 0;
        for (uint32_t r = 0; r < i->runs.count; r++)
            i->blocks += i->runs.v[r].count;
    }
    entry_dirty(fs, &i->e);
    return 0;
}

void map_forget(struct fs *fs, struct inode *i)
{
    discard_from(fs, i, 0);
}
