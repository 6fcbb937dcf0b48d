/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Live blocks move: sealed anew into the open segment, and mapped there.
 *
 * A file's blocks are moved under its exclusive data lock, and only if they still
 * are where a row said.  Places are taken in the order of their bytes.  Where files
 * share a block, the first one moves it and the others follow: under the locks of both,
 * if the first still has it where it was moved.  So they go on sharing, and nothing is
 * sealed twice.  That the content is the same, and no new version, is all
 * that is special: for the rest these are writes and copies like any other.
 */
#include "collecting.h"
#include <stdlib.h>

/* Blocks of `ino` from `block` on went from one place to another; `to` as it is mapped. */
struct relocation {
    uint64_t ino, block;
    uint32_t offset;           /* where they were */
    struct run to;
};

void relocations_free(struct relocations *r) { buf_free(&r->v); }

static int by_place(const void *a, const void *b)
{
    const struct block_place *x = a, *y = b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->count > y->count ? -1 : x->count < y->count;
}

void places_sort(struct buf *places)
{
    if (places->len)
        qsort(places->data, places->len / sizeof(struct block_place), sizeof(struct block_place), by_place);
}

/* --- moving ---------------------------------------------------------------------------- */

struct plain { uint8_t *bytes; };

static const uint8_t *plain_at(void *ctx, uint32_t i)
{
    return ((struct plain *)ctx)->bytes + (size_t)i * BLOCK_SIZE;
}

/* Maps the copies of one run, which may have fallen apart into pieces. */
static int map_copies(struct fs *fs, struct inode *i, struct pieces *p, uint16_t valid)
{
    int rc = 0;
    for (uint32_t k = 0; !rc && k < p->count; k++) {
        if (k + 1 == p->count)
            p->v[k].run.valid = valid;
        rc = map_put(fs, i, p->v[k].block, &p->v[k].run);
    }
    return rc;
}

static void note_moved(struct relocations *r, const struct inode *i, const struct run *from, uint64_t first,
                       const struct pieces *p)
{
    for (uint32_t k = 0; k < p->count; k++) {
        struct relocation x = { .ino = i->ino, .block = p->v[k].block, .to = p->v[k].run,
                                .offset = from->offset + (uint32_t)(p->v[k].block - first) * SEALED_BLOCK };
        buf_append(&r->v, &x, sizeof x);
        r->bytes += run_bytes(&p->v[k].run);
    }
}

/* Moves one run as it is now mapped; data lock exclusive, inode pinned. */
static int move_run(struct fs *fs, struct relocations *r, struct inode *i, uint64_t base, const struct run *run)
{
    struct plain plain = { malloc((size_t)run->count * BLOCK_SIZE) };
    struct pieces p = { 0 };
    struct run one = *run;
    uint64_t first = base + run->first;

    if (!plain.bytes)
        return -ENOMEM;
    int rc = blocks_read(fs, &one, 1, one.first * BLOCK_SIZE, plain.bytes, (uint32_t)one.count * BLOCK_SIZE, false);
    pthread_rwlock_rdlock(&fs->gate);
    if (!rc)
        rc = blocks_append(fs, first, one.count, one.valid, plain_at, &plain, &p);
    if (!rc) {
        pthread_mutex_lock(&fs->meta);
        uint64_t version = i->version;
        rc = map_copies(fs, i, &p, one.valid);
        i->version = version;   /* the same content elsewhere is no new version */
        pthread_mutex_unlock(&fs->meta);
    }
    if (!rc)
        note_moved(r, i, run, first, &p);
    pieces_release(fs, &p);
    pthread_rwlock_unlock(&fs->gate);
    free(plain.bytes);
    return rc;
}

/* Moves what of a place is still mapped to its segment. */
static int move_place(struct fs *fs, struct relocations *r, const struct block_place *at)
{
    struct map_copy map;
    struct inode *i;
    struct run part;

    pthread_rwlock_wrlock(data_lock(fs, at->ino));
    int rc = inode_take(fs, at->ino, &i);
    if (!rc) {
        pthread_mutex_lock(&fs->meta);
        rc = map_copy(fs, i, at->block / CHUNK_BLOCKS, &map);
        pthread_mutex_unlock(&fs->meta);
        for (uint32_t k = 0; !rc && k < map.count; k++)
            if (map.v[k].segment == at->segment &&
                run_clip(&map.v[k], (uint32_t)(at->block % CHUNK_BLOCKS), at->count, &part))
                rc = move_run(fs, r, i, at->block / CHUNK_BLOCKS * CHUNK_BLOCKS, &part);
        inode_drop(fs, i);
    } else if (rc == -ENOENT) {
        rc = 0;                /* deleted meanwhile: nothing to move */
    }
    pthread_rwlock_unlock(data_lock(fs, at->ino));
    return rc;
}

/* --- following -------------------------------------------------------------------------- */

/* Does the file still have the blocks where they were moved? meta held. */
static bool is_there(struct fs *fs, struct inode *i, const struct relocation *x)
{
    struct map_copy map;
    struct run part;

    if (map_copy(fs, i, x->block / CHUNK_BLOCKS, &map))
        return false;
    for (uint32_t k = 0; k < map.count; k++)
        if (run_clip(&map.v[k], (uint32_t)(x->block % CHUNK_BLOCKS), x->to.count, &part))
            return part.segment == x->to.segment && part.offset == x->to.offset && part.count == x->to.count;
    return false;
}

/* What of `run`, which is where x was, went along; false when nothing did. A last block
 * may have been sealed shorter than it is needed here. */
static bool moved_part(const struct run *run, const struct relocation *x, struct run *out)
{
    int64_t apart = (int64_t)run->offset - x->offset;
    int64_t from = apart / SEALED_BLOCK, end = from + run->count;   /* in blocks of x */

    if (apart % SEALED_BLOCK)
        return false;          /* behind a short block: no block in common */
    uint32_t skip = from < 0 ? (uint32_t)-from : 0;
    from = from < 0 ? 0 : from;
    end = end > x->to.count ? x->to.count : end;
    if (from >= end || !run_clip(run, run->first + skip, (uint32_t)(end - from), out))
        return false;
    uint16_t sealed = end == x->to.count ? x->to.sealed : BLOCK_SIZE;
    if (out->valid > sealed) {
        if (end - from == 1 || !run_clip(run, run->first + skip, (uint32_t)(end - from) - 1, out))
            return false;
        sealed = BLOCK_SIZE;
    }
    out->segment = x->to.segment;
    out->offset = x->to.offset + (uint32_t)from * SEALED_BLOCK;
    out->sealed = sealed;
    return true;
}

/* Maps what of the place is still mapped to where x was. meta held. */
static int map_along(struct fs *fs, struct inode *i, const struct block_place *at, const struct relocation *x)
{
    struct map_copy map;
    struct run part, to;

    int rc = map_copy(fs, i, at->block / CHUNK_BLOCKS, &map);
    for (uint32_t k = 0; !rc && k < map.count; k++) {
        if (map.v[k].segment != at->segment ||
            !run_clip(&map.v[k], (uint32_t)(at->block % CHUNK_BLOCKS), at->count, &part) || !moved_part(&part, x, &to))
            continue;
        rc = map_put(fs, i, at->block / CHUNK_BLOCKS * CHUNK_BLOCKS + to.first, &to);
        i->version -= !rc;
    }
    return rc;
}

static int follow(struct fs *fs, const struct relocation *x, const struct block_place *at)
{
    struct inode *first = NULL, *i = NULL;

    lock_two(fs, x->ino, at->ino);
    int rc = inode_take(fs, x->ino, &first);
    if (!rc)
        rc = inode_take(fs, at->ino, &i);
    if (!rc) {
        pthread_mutex_lock(&fs->meta);
        if (is_there(fs, first, x))
            rc = map_along(fs, i, at, x);
        pthread_mutex_unlock(&fs->meta);
    }
    if (i)
        inode_drop(fs, i);
    if (first)
        inode_drop(fs, first);
    unlock_two(fs, x->ino, at->ino);
    return rc == -ENOENT ? 0 : rc;
}

/* Relocations are in the order of their bytes: only the last ones may reach here. */
static int follow_all(struct fs *fs, const struct relocations *r, const struct block_place *at)
{
    const struct relocation *v = (const struct relocation *)(const void *)r->v.data;
    int rc = 0;

    for (size_t k = r->v.len / sizeof *v; !rc && k--;) {
        if (v[k].offset + (uint64_t)v[k].to.count * SEALED_BLOCK <= at->offset)
            break;
        if (v[k].offset < at->offset + (uint64_t)at->count * SEALED_BLOCK)
            rc = follow(fs, &v[k], at);
    }
    return rc;
}

int relocate(struct fs *fs, struct relocations *r, const struct block_place *at)
{
    if (r->segment != at->segment)
        buf_reset(&r->v);
    r->segment = at->segment;
    int rc = follow_all(fs, r, at);
    if (!rc)
        rc = move_place(fs, r, at);
    return rc ? rc : r->v.failed ? -ENOMEM : 0;
}
