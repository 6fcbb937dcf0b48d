/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Sizes and ranges: truncation, fallocate, holes, copying by sharing.
 *
 * Whole blocks only change the map.  The ragged ends of a zeroed range are
 * trimmed where the block ends there, else rewritten; all of a request is
 * mapped in one step under meta.
 */
#include "internal.h"
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The most that one copy shares before it returns short. */
#define COPY_MAX (1ull << 30)
#define BOUNCE (1u << 20)

static uint64_t blocks_for(uint64_t size)
{
    return size / BLOCK_SIZE + (size % BLOCK_SIZE != 0);
}

int inode_resize(struct fs *fs, struct inode *i, uint64_t size)
{
    if (size < i->size) {
        /* In this order: once the last block is trimmed its chunk is there, and to cut it needs no memory. */
        int rc = size % BLOCK_SIZE ? map_trim(fs, i, size / BLOCK_SIZE, (uint32_t)(size % BLOCK_SIZE)) : 0;
        if (!rc)
            rc = map_cut(fs, i, blocks_for(size));
        if (rc)
            return rc;
        hazard_add_cut(fs, i);
    }
    if (size != i->size)
        i->version++;
    i->size = size;
    entry_dirty(fs, &i->e);
    return 0;
}

/* --- zeroing --------------------------------------------------------------- */

/* A ragged end: bytes [from, to) of one block, to be zeros. */
struct ragged {
    uint64_t block;
    uint32_t from, to;
    uint8_t bytes[BLOCK_SIZE];
    struct pieces pieces;      /* empty when trimming or nothing is enough */
    bool trim;
};

static const uint8_t *ragged_at(void *ctx, uint32_t i)
{
    (void)i;
    return ((struct ragged *)ctx)->bytes;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int ragged_prepare(struct fs *fs, struct inode *i, struct ragged *r)
{
    uint32_t in_file = 0;

    if (r->from >= r->to)
        return 0;
    int rc = old_block(fs, i, r->block, r->bytes, &in_file);
    if (rc || r->from >= in_file || all_zero(r->bytes + r->from, r->to - r->from))
        return rc;             /* nothing to do, in a hole above all */
    r->trim = r->to >= in_file;
    if (r->trim)
        return 0;
    memset(r->bytes + r->from, 0, r->to - r->from);
    return blocks_append(fs, r->block, 1, in_file, ragged_at, r, &r->pieces);
}

static int ragged_map(struct fs *fs, struct inode *i, const struct ragged *r)
{
    if (r->trim && r->from)
        return map_trim(fs, i, r->block, r->from);
    if (r->trim)
        return map_punch(fs, i, r->block, 1);
    return map_pieces(fs, i, &r->pieces);
}

/* Bytes [off, end) read as zeros; data lock exclusive, inode pinned. */
static int zero_range(struct fs *fs, struct inode *i, uint64_t off, uint64_t end, uint64_t new_size)
{
    uint64_t first = blocks_for(off), stop = end / BLOCK_SIZE;
    struct ragged *r = calloc(2, sizeof *r);

    if (!r)
        return -ENOMEM;
    if (off % BLOCK_SIZE) {
        r[0].block = off / BLOCK_SIZE;
        r[0].from = (uint32_t)(off % BLOCK_SIZE);
        r[0].to = stop == r[0].block ? (uint32_t)(end % BLOCK_SIZE) : BLOCK_SIZE;
    }
    if (stop >= first) {
        r[1].block = stop;
        r[1].to = (uint32_t)(end % BLOCK_SIZE);
    }
    pthread_rwlock_rdlock(&fs->gate);
    int rc = ragged_prepare(fs, i, &r[0]);
    if (!rc)
        rc = ragged_prepare(fs, i, &r[1]);
    if (!rc) {
        pthread_mutex_lock(&fs->meta);
        rc = ragged_map(fs, i, &r[0]);
        if (!rc)
            rc = ragged_map(fs, i, &r[1]);
        if (!rc && stop > first)
            rc = map_punch(fs, i, first, stop - first);
        if (!rc && new_size > i->size) {
            i->size = new_size;
            i->version++;
        }
        inode_touch(i, true);
        entry_dirty(fs, &i->e);
        pthread_mutex_unlock(&fs->meta);
    }
    pieces_release(fs, &r[0].pieces);
    pieces_release(fs, &r[1].pieces);
    pthread_rwlock_unlock(&fs->gate);
    free(r);
    return rc;
}

/* --- fallocate ---------------------------------------------------------------- */

/* Space is not reserved, but a request for more than there is fails now. */
static int enough_space(struct fs *fs, uint64_t len)
{
    struct statvfs v;
    int rc = fs_statvfs(fs, &v);
    if (rc)
        return rc;
    return v.f_frsize && len / v.f_frsize > v.f_bavail ? -ENOSPC : 0;
}

static int allocate(struct fs *fs, struct inode *i, uint64_t end, bool keep_size)
{
    pthread_mutex_lock(&fs->meta);
    int rc = 0;
    if (!keep_size && end > i->size) {
        rc = inode_resize(fs, i, end);
        inode_touch(i, true);
    }
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t off, uint64_t len)
{
    bool keep = mode & FALLOC_FL_KEEP_SIZE;
    int what = mode & ~FALLOC_FL_KEEP_SIZE;
    struct inode *i;

    if (!len || off > INT64_MAX || len > INT64_MAX - off)
        return !len ? -EINVAL : -EFBIG;
    if ((what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) ||
        (what == FALLOC_FL_PUNCH_HOLE && !keep))
        return -EOPNOTSUPP;
    int rc = fs_may_write(fs, what == FALLOC_FL_PUNCH_HOLE);
    if (!rc && what == 0)
        rc = enough_space(fs, len);
    if (rc)
        return rc;
    commit_throttle(fs);
    pthread_rwlock_wrlock(data_lock(fs, ino));
    rc = inode_take(fs, ino, &i);
    if (!rc) {
        if (!S_ISREG(i->mode))
            rc = -ENODEV;
        else if (what == 0)
            rc = allocate(fs, i, off + len, keep);
        else
            rc = zero_range(fs, i, off, off + len, keep ? 0 : off + len);
        inode_drop(fs, i);
    }
    pthread_rwlock_unlock(data_lock(fs, ino));
    atomic_fetch_add(&fs->activity, 1);
    return rc;
}

/* --- SEEK_DATA, SEEK_HOLE --------------------------------------------------------- */

/* The first block >= `block` that is (data) or is not mapped; meta held. */
static int next_block(struct fs *fs, struct inode *i, uint64_t block, bool data, uint64_t *out)
{
    struct runs *r;
    uint64_t n = block / CHUNK_BLOCKS;

    for (uint32_t at = (uint32_t)(block % CHUNK_BLOCKS);; n++, at = 0) {
        if (data) {
            uint64_t next;
            int rc = map_next(fs, i, n, &next);
            if (rc)
                return rc;
            at = next > n ? 0 : at;
            n = next;
        }
        int rc = map_runs(fs, i, n, &r);
        if (rc)
            return rc;
        const struct run *run = r ? runs_from(r, at) : NULL;
        if (data && run) {
            *out = n * CHUNK_BLOCKS + (run->first > at ? run->first : at);
            return 0;
        }
        while (!data && run && run->first <= at) {
            at = (uint32_t)run->first + run->count;
            run = at < CHUNK_BLOCKS ? runs_from(r, at) : NULL;
        }
        if (!data && at < CHUNK_BLOCKS) {
            *out = n * CHUNK_BLOCKS + at;
            return 0;
        }
    }
}

int fs_seek(struct fs *fs, uint64_t ino, uint64_t off, int whence, uint64_t *out)
{
    struct inode *i;
    uint64_t block = 0;

    pthread_mutex_lock(&fs->meta);
    int rc = inode_get(fs, ino, &i);
    if (!rc && off >= i->size)
        rc = -ENXIO;
    if (!rc) {
        rc = next_block(fs, i, off / BLOCK_SIZE, whence == SEEK_DATA, &block);
        if (rc == -ENOENT)
            rc = -ENXIO;
        *out = block == off / BLOCK_SIZE ? off : block * BLOCK_SIZE;
        if (!rc && *out >= i->size) {
            *out = i->size;
            rc = whence == SEEK_DATA ? -ENXIO : 0;
        }
    }
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

/* --- copy_file_range ----------------------------------------------------------------- */

/* Maps `count` source blocks from `from` on at `to`; meta held. */
static int share_chunk(struct fs *fs, struct inode *src, uint64_t from, struct inode *dst, uint64_t to,
                       uint32_t count)
{
    struct map_copy map;
    struct run part;
    uint32_t at = (uint32_t)(from % CHUNK_BLOCKS);

    int rc = map_copy(fs, src, from / CHUNK_BLOCKS, &map);
    if (!rc)
        rc = map_punch(fs, dst, to, count);
    for (uint32_t k = 0; !rc && k < map.count; k++)
        if (run_clip(&map.v[k], at, count, &part))
            rc = map_put(fs, dst, to + part.first - at, &part);
    return rc;
}

/* Shares `blocks` blocks; the last keeps only what lies below dst_end. */
static int share(struct fs *fs, struct inode *src, uint64_t from, struct inode *dst, uint64_t to,
                 uint64_t blocks, uint64_t dst_end)
{
    int rc = 0;

    pthread_mutex_lock(&fs->meta);
    dst->flags |= INODE_SHARES;
    for (uint64_t done = 0; !rc && done < blocks;) {
        uint32_t a = CHUNK_BLOCKS - (uint32_t)((from + done) % CHUNK_BLOCKS);
        uint32_t b = CHUNK_BLOCKS - (uint32_t)((to + done) % CHUNK_BLOCKS);
        uint32_t here = a < b ? a : b;
        if (here > blocks - done)
            here = (uint32_t)(blocks - done);
        rc = share_chunk(fs, src, from + done, dst, to + done, here);
        done += here;
    }
    if (!rc && dst_end % BLOCK_SIZE)
        rc = map_trim(fs, dst, dst_end / BLOCK_SIZE, (uint32_t)(dst_end % BLOCK_SIZE));
    if (!rc && dst_end > dst->size) {
        dst->size = dst_end;
        dst->version++;
    }
    inode_touch(dst, true);
    entry_dirty(fs, &dst->e);
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

static ssize_t copy_bytes(struct fs *fs, uint64_t from, uint64_t from_off, struct inode *dst,
                          uint64_t to_off, size_t len)
{
    if (len > BOUNCE)
        len = BOUNCE;
    uint8_t *bytes = malloc(len);
    if (!bytes)
        return -ENOMEM;
    ssize_t got = fs_read(fs, from, bytes, len, from_off);
    int rc = got > 0 ? write_pinned(fs, dst, bytes, (size_t)got, to_off, false, false) : (int)got;
    free(bytes);
    return rc ? rc : got;
}

static ssize_t copy_pinned(struct fs *fs, struct inode *src, uint64_t from_off, struct inode *dst,
                           uint64_t to_off, uint64_t len)
{
    pthread_mutex_lock(&fs->meta);
    uint64_t src_size = src->size, dst_size = dst->size;
    pthread_mutex_unlock(&fs->meta);

    if (from_off >= src_size)
        return 0;
    if (len > src_size - from_off)
        len = src_size - from_off;
    if (len > COPY_MAX)
        len = COPY_MAX;
    uint64_t phase = from_off % BLOCK_SIZE;
    if (phase != to_off % BLOCK_SIZE)
        return copy_bytes(fs, src->ino, from_off, dst, to_off, len);
    if (phase)
        return copy_bytes(fs, src->ino, from_off, dst, to_off,
                          len < BLOCK_SIZE - phase ? len : BLOCK_SIZE - phase);
    /* A ragged end can be shared only where both files end with it. */
    bool end = from_off + len == src_size && to_off + len >= dst_size;
    if (!end && len < BLOCK_SIZE)
        return copy_bytes(fs, src->ino, from_off, dst, to_off, len);
    if (!end)
        len -= len % BLOCK_SIZE;
    int rc = share(fs, src, from_off / BLOCK_SIZE, dst, to_off / BLOCK_SIZE, blocks_for(len), to_off + len);
    return rc ? rc : (ssize_t)len;
}

void lock_two(struct fs *fs, uint64_t a, uint64_t b)
{
    pthread_rwlock_t *x = data_lock(fs, a), *y = data_lock(fs, b);
    pthread_rwlock_wrlock(x < y ? x : y);
    if (x != y)
        pthread_rwlock_wrlock(x < y ? y : x);
}

void unlock_two(struct fs *fs, uint64_t a, uint64_t b)
{
    pthread_rwlock_unlock(data_lock(fs, a));
    if (data_lock(fs, a) != data_lock(fs, b))
        pthread_rwlock_unlock(data_lock(fs, b));
}

ssize_t fs_copy(struct fs *fs, uint64_t from, uint64_t from_off, uint64_t to, uint64_t to_off, size_t len)
{
    struct inode *src = NULL, *dst = NULL;
    ssize_t result;

    if (to_off > INT64_MAX || len > INT64_MAX - to_off)
        return -EFBIG;
    int rc = fs_may_write(fs, false);
    if (rc || !len)
        return rc;
    commit_throttle(fs);
    lock_two(fs, from, to);
    result = inode_take(fs, from, &src);
    if (!result)
        result = inode_take(fs, to, &dst);
    if (!result && (!S_ISREG(src->mode) || !S_ISREG(dst->mode)))
        result = -EINVAL;
    if (!result)
        result = copy_pinned(fs, src, from_off, dst, to_off, len);
    if (dst)
        inode_drop(fs, dst);
    if (src)
        inode_drop(fs, src);
    unlock_two(fs, from, to);
    atomic_fetch_add(&fs->activity, 1);
    return result;
}
