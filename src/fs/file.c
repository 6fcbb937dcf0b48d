/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading and writing files.
 *
 * A write seals the blocks it touches into segments and then changes the map
 * in one step under meta, so that a commit sees the whole request or nothing.
 * A block that is only partly overwritten is read first, under the file's
 * exclusive data lock; whole blocks need it shared only.  A read works on a
 * copy of the map: slots are never rewritten, so what it saw stays true.
 */
#include "internal.h"
#include <stdlib.h>

pthread_rwlock_t *data_lock(struct fs *fs, uint64_t ino)
{
    return &fs->data[ino % DATA_LOCKS];
}

int map_copy(struct fs *fs, struct inode *i, uint64_t n, struct map_copy *out)
{
    struct runs *r;
    int rc = map_runs(fs, i, n, &r);
    out->count = !rc && r ? r->count : 0;
    if (out->count)
        memcpy(out->v, r->v, out->count * sizeof *r->v);
    return rc;
}

/* The same for the blocks of [from, end) only, both within chunk n. */
static int map_copy_part(struct fs *fs, struct inode *i, uint64_t n, uint32_t from, uint32_t end,
                         struct map_copy *out)
{
    struct runs *r;
    int rc = map_runs(fs, i, n, &r);
    out->count = 0;
    if (rc || !r)
        return rc;
    const struct run *run = runs_from(r, from);
    for (; run && run < r->v + r->count && run->first < end; run++)
        out->v[out->count++] = *run;
    return 0;
}

/* How often a read looks at the map again before it believes in damage. */
#define STALE_TRIES 2

/* One chunk's share of a read. */
static int read_chunk(struct fs *fs, uint64_t ino, uint64_t off, uint8_t *out, uint32_t len)
{
    struct map_copy map;
    struct inode *i;
    uint32_t skip = (uint32_t)(off % CHUNK_SIZE);

    int rc = 0;

    for (int tries = 0; tries <= STALE_TRIES; tries++) {
        pthread_mutex_lock(&fs->meta);
        rc = inode_get(fs, ino, &i);
        if (!rc)
            rc = map_copy_part(fs, i, off / CHUNK_SIZE, skip / BLOCK_SIZE,
                               (skip + len + BLOCK_SIZE - 1) / BLOCK_SIZE, &map);
        pthread_mutex_unlock(&fs->meta);
        if (!rc)
            rc = blocks_read(fs, map.v, map.count, skip, out, len, tries < STALE_TRIES);
        if (!blocks_stale(rc))
            break;
    }
    return rc;
}

static ssize_t read_file(struct fs *fs, uint64_t ino, void *buf, size_t size, uint64_t off, bool noted)
{
    struct inode *i;
    uint8_t *out = buf;

    pthread_mutex_lock(&fs->meta);
    int rc = inode_get(fs, ino, &i);
    if (!rc && off >= i->size)
        size = 0;
    else if (!rc && size > i->size - off)
        size = (size_t)(i->size - off);
    if (!rc && size && noted)
        inode_read(fs, i);
    pthread_mutex_unlock(&fs->meta);
    for (size_t done = 0; !rc && done < size;) {
        uint32_t room = CHUNK_SIZE - (uint32_t)((off + done) % CHUNK_SIZE);
        uint32_t here = size - done < room ? (uint32_t)(size - done) : room;
        rc = read_chunk(fs, ino, off + done, out + done, here);
        done += here;
    }
    return rc ? rc : (ssize_t)size;
}

ssize_t fs_read(struct fs *fs, uint64_t ino, void *buf, size_t size, uint64_t off)
{
    return read_file(fs, ino, buf, size, off, true);
}

ssize_t fs_peek(struct fs *fs, uint64_t ino, void *buf, size_t size, uint64_t off)
{
    return read_file(fs, ino, buf, size, off, false);
}

/* --- writing ------------------------------------------------------------ */

/* The plaintext of a request's blocks: the caller's bytes, but for a partly
 * written first and last block, which are completed in buffers of our own. */
struct source {
    const uint8_t *bytes;
    uint32_t lead;           /* bytes of the first block before the request */
    uint32_t blocks;
    bool own_head, own_tail;
    uint8_t head[BLOCK_SIZE], tail[BLOCK_SIZE];
};

static const uint8_t *source_at(void *ctx, uint32_t i)
{
    const struct source *s = ctx;
    if (i == 0 && s->own_head)
        return s->head;
    if (i + 1 == s->blocks && s->own_tail)
        return s->tail;
    return s->bytes + (size_t)i * BLOCK_SIZE - s->lead;
}

/* The present contents of one block, unless its first `covered` bytes, which are written
 * anyway, are all that lie in the file: for those nobody shall wait for the store. */
static int rest_of_block(struct fs *fs, struct inode *i, uint64_t block, uint32_t covered, uint8_t out[BLOCK_SIZE],
                         uint32_t *in_file)
{
    struct map_copy map;
    uint64_t begin = block * BLOCK_SIZE, size;

    pthread_mutex_lock(&fs->meta);
    size = i->size;
    *in_file = size <= begin ? 0 : size - begin < BLOCK_SIZE ? (uint32_t)(size - begin) : BLOCK_SIZE;
    int rc = *in_file > covered ? map_copy(fs, i, block / CHUNK_BLOCKS, &map) : 0;
    pthread_mutex_unlock(&fs->meta);
    memset(out, 0, BLOCK_SIZE);
    if (rc || *in_file <= covered)
        return rc;
    return blocks_read(fs, map.v, map.count, (uint32_t)(begin % CHUNK_SIZE), out, *in_file, false);
}

int old_block(struct fs *fs, struct inode *i, uint64_t block, uint8_t out[BLOCK_SIZE], uint32_t *in_file)
{
    return rest_of_block(fs, i, block, 0, out, in_file);
}

/* Completes the ragged ends; *last is the length of the last block. */
static int complete(struct fs *fs, struct inode *i, struct source *s, size_t size, uint64_t off, uint32_t *last)
{
    uint64_t first = off / BLOCK_SIZE;
    uint32_t end = (uint32_t)((off + size - 1) % BLOCK_SIZE) + 1, in_file = 0;
    int rc = 0;

    s->lead = (uint32_t)(off % BLOCK_SIZE);
    s->blocks = (uint32_t)((off + size - 1) / BLOCK_SIZE - first) + 1;
    *last = end;
    s->own_head = s->lead || (s->blocks == 1 && end < BLOCK_SIZE);
    s->own_tail = s->blocks > 1 && end < BLOCK_SIZE;
    if (s->own_head) {
        rc = rest_of_block(fs, i, first, s->lead ? 0 : end, s->head, &in_file);
        size_t room = BLOCK_SIZE - s->lead;
        memcpy(s->head + s->lead, s->bytes, size < room ? size : room);
        if (s->blocks == 1 && in_file > *last)
            *last = in_file;
    }
    if (!rc && s->own_tail) {
        rc = rest_of_block(fs, i, first + s->blocks - 1, end, s->tail, &in_file);
        memcpy(s->tail, s->bytes + size - end, end);
        if (in_file > *last)
            *last = in_file;
    }
    return rc;
}

/* Loads the chunks that a request will change, so that mapping cannot fail
 * half-way on a read of the index. */
static int preload(struct fs *fs, struct inode *i, uint64_t first, uint32_t blocks)
{
    struct chunk *k;
    int rc = 0;

    for (uint64_t n = first / CHUNK_BLOCKS; !rc && n <= (first + blocks - 1) / CHUNK_BLOCKS; n++)
        if (n)
            rc = chunk_get(fs, i, n, true, &k);
    return rc;
}

int map_pieces(struct fs *fs, struct inode *i, const struct pieces *p)
{
    int rc = 0;
    for (uint32_t k = 0; !rc && k < p->count; k++)
        rc = map_put(fs, i, p->v[k].block, &p->v[k].run);
    return rc;
}

/* With meta held: the result of a write of `size` bytes at `off`. */
static int written(struct fs *fs, struct inode *i, const struct pieces *p, size_t size, uint64_t off,
                   bool cached, bool kill)
{
    int rc = preload(fs, i, off / BLOCK_SIZE, (uint32_t)((off + size - 1) / BLOCK_SIZE - off / BLOCK_SIZE) + 1);
    if (!rc)
        rc = map_pieces(fs, i, p);
    if (rc)
        return rc;
    if (off + size > i->size)
        i->size = off + size;
    if (!cached)
        inode_touch(i, true);
    if (kill)
        rc = inode_kill_priv(fs, i);
    entry_dirty(fs, &i->e);
    return rc;
}

/* With the data lock held as the request needs it. */
int write_pinned(struct fs *fs, struct inode *i, const void *buf, size_t size, uint64_t off,
                        bool cached, bool kill)
{
    struct source s = { .bytes = buf };
    struct pieces p = { 0 };
    uint32_t last;

    int rc = complete(fs, i, &s, size, off, &last);
    pthread_rwlock_rdlock(&fs->gate);
    if (!rc)
        rc = blocks_append(fs, off / BLOCK_SIZE, s.blocks, last, source_at, &s, &p);
    if (!rc) {
        pthread_mutex_lock(&fs->meta);
        rc = written(fs, i, &p, size, off, cached, kill);
        pthread_mutex_unlock(&fs->meta);
    }
    pieces_release(fs, &p);
    pthread_rwlock_unlock(&fs->gate);
    return rc;
}

ssize_t fs_write(struct fs *fs, uint64_t ino, const void *buf, size_t size, uint64_t off,
                 bool cached, bool kill)
{
    pthread_rwlock_t *lock = data_lock(fs, ino);
    struct inode *i;

    if (!size)
        return 0;
    if (off > INT64_MAX || size > INT64_MAX - off)
        return -EFBIG;
    int rc = fs_may_write(fs, false);
    if (rc)
        return rc;
    commit_throttle(fs);
    if (off % BLOCK_SIZE || size % BLOCK_SIZE)
        pthread_rwlock_wrlock(lock);
    else
        pthread_rwlock_rdlock(lock);
    rc = inode_take(fs, ino, &i);
    if (!rc) {
        rc = S_ISREG(i->mode) ? write_pinned(fs, i, buf, size, off, cached, kill) : -EINVAL;
        inode_drop(fs, i);
        atomic_fetch_add(&fs->activity, 1);
    }
    pthread_rwlock_unlock(lock);
    return rc ? rc : (ssize_t)size;
}
