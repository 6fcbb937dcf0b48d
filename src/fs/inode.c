/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Inodes: loading, making, showing and ending them.
 *
 * An inode number is used once.  An inode without a name lives until its last
 * handle is closed; one left over by a crash (nlink 0 in the index) is reaped
 * at the next start.  Everything here runs with meta held.
 */
#include "internal.h"
#include <stdlib.h>
#include <time.h>

/* The index keeps times as 64-bit nanoseconds: 1677 to 2262. */
#define TIME_MIN (-9223372036LL)
#define TIME_MAX 9223372035LL

void now(struct timespec *ts)
{
    clock_gettime(CLOCK_REALTIME, ts);
}

static struct inode *inode_alloc(uint64_t ino)
{
    struct inode *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    i->ino = ino;
    i->e.kind = ENTRY_INODE;
    i->cut = (struct cutoff){ NEVER, NEVER, NEVER };
    list_init(&i->chunks);
    list_init(&i->pending);
    list_init(&i->hazard);
    return i;
}

static void inode_release(struct inode *i)
{
    runs_free(&i->runs);
    free(i->target);
    free(i);
}

static int from_row(const struct inode_row *r, struct inode **out)
{
    struct inode *i = inode_alloc(r->ino);
    if (!i)
        return -ENOMEM;
    i->parent = r->parent;
    i->cookie = r->cookie;
    i->size = r->size;
    i->version = r->version;
    i->blocks = r->blocks;
    i->rdev = r->rdev;
    i->mode = r->mode;
    i->nlink = r->nlink;
    i->uid = r->uid;
    i->gid = r->gid;
    i->flags = r->flags;
    i->atime = r->atime;
    i->mtime = r->mtime;
    i->ctime = r->ctime;
    i->btime = r->btime;
    i->e.state = ENTRY_STORED;
    if (r->target_len && !(i->target = strndup((const char *)r->target, r->target_len)))
        goto fail;
    if (runs_copy(&i->runs, r->runs, r->run_count))
        goto fail;
    *out = i;
    return 0;
fail:
    inode_release(i);
    return -ENOMEM;
}

int inode_get(struct fs *fs, uint64_t ino, struct inode **out)
{
    struct inode *i = cache_inode(&fs->cache, ino);
    if (!i) {
        struct row_hold hold = { 0 };
        struct inode_row row;
        int rc = index_inode(fs->index, ino, &row, &hold);
        if (!rc)
            rc = from_row(&row, &i);
        row_hold_free(&hold);
        if (rc)
            return rc;
        cache_insert(&fs->cache, &i->e);
    } else if (!i->e.pins && !(i->e.state & (ENTRY_UNAPPLIED | ENTRY_COMMITTING))) {
        list_remove(&i->e.hold);
        list_append(&fs->cache.lru, &i->e.hold);
    }
    if (i->e.state & ENTRY_GONE)
        return -ENOENT;
    *out = i;
    return 0;
}

int inode_take(struct fs *fs, uint64_t ino, struct inode **out)
{
    pthread_mutex_lock(&fs->meta);
    cache_shrink(fs);
    int rc = inode_get(fs, ino, out);
    if (!rc)
        entry_pin(&(*out)->e);
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

void inode_drop(struct fs *fs, struct inode *i)
{
    pthread_mutex_lock(&fs->meta);
    entry_unpin(&i->e);
    inode_reap(fs, i);
    pthread_mutex_unlock(&fs->meta);
}

struct inode *inode_new(struct fs *fs, uint32_t mode)
{
    struct inode *i = inode_alloc(fs->next_ino);
    if (!i)
        return NULL;
    fs->next_ino++;
    i->mode = mode;
    i->nlink = S_ISDIR(mode) ? 2 : 1;
    i->xattrs_loaded = true;
    now(&i->ctime);
    i->atime = i->mtime = i->btime = i->ctime;
    cache_insert(&fs->cache, &i->e);
    entry_dirty(fs, &i->e);
    return i;
}

static struct timespec clamped(struct timespec t)
{
    if (t.tv_sec < TIME_MIN)
        return (struct timespec){ TIME_MIN, 0 };
    if (t.tv_sec > TIME_MAX)
        return (struct timespec){ TIME_MAX, 0 };
    return t;
}

void inode_row(const struct inode *i, struct inode_row *row)
{
    *row = (struct inode_row){
        .ino = i->ino, .parent = i->parent, .cookie = i->cookie, .size = i->size,
        .version = i->version, .blocks = i->blocks, .rdev = i->rdev, .mode = i->mode,
        .nlink = i->nlink, .uid = i->uid, .gid = i->gid, .flags = i->flags,
        .atime = clamped(i->atime), .mtime = clamped(i->mtime),
        .ctime = clamped(i->ctime), .btime = clamped(i->btime),
        .run_count = i->runs.count, .runs = i->runs.v,
        .target_len = i->target ? (uint32_t)strlen(i->target) : 0,
        .target = (const uint8_t *)i->target,
    };
}

void row_stat(const struct fs *fs, const struct inode_row *row, struct stat *out)
{
    bool owners = fs->opt.owners;

    memset(out, 0, sizeof *out);
    out->st_ino = row->ino;
    out->st_mode = row->mode;
    out->st_nlink = row->nlink;
    out->st_uid = owners ? row->uid : fs->opt.uid;
    out->st_gid = owners ? row->gid : fs->opt.gid;
    out->st_rdev = row->rdev;
    out->st_blksize = BLOCK_SIZE;
    out->st_atim = row->atime;
    out->st_mtim = row->mtime;
    out->st_ctim = row->ctime;
    if (S_ISDIR(row->mode)) {
        /* A directory's size counts its entries; shown as ext4 would. */
        out->st_size = (off_t)(BLOCK_SIZE * (1 + row->size / 64));
        out->st_blocks = out->st_size / 512;
    } else {
        out->st_size = (off_t)row->size;
        out->st_blocks = (blkcnt_t)(row->blocks * (BLOCK_SIZE / 512));
    }
    if (S_ISLNK(row->mode))
        out->st_size = (off_t)row->target_len;
}

void inode_stat(const struct fs *fs, const struct inode *i, struct stat *out)
{
    struct inode_row row;
    inode_row(i, &row);
    row_stat(fs, &row, out);
}

void inode_touch(struct inode *i, bool modified)
{
    now(&i->ctime);
    if (modified)
        i->mtime = i->ctime;
}

/* Older than the last change, or than a day. */
void inode_read(struct fs *fs, struct inode *i)
{
    struct timespec t;

    if (fs->opt.read_only)
        return;
    now(&t);
    bool older = i->atime.tv_sec < i->mtime.tv_sec || i->atime.tv_sec < i->ctime.tv_sec ||
                 (i->atime.tv_sec == i->mtime.tv_sec && i->atime.tv_nsec <= i->mtime.tv_nsec) ||
                 (i->atime.tv_sec == i->ctime.tv_sec && i->atime.tv_nsec <= i->ctime.tv_nsec);
    if (!older && t.tv_sec - i->atime.tv_sec < 86400)
        return;
    i->atime = t;
    entry_dirty(fs, &i->e);
}

int inode_reap(struct fs *fs, struct inode *i)
{
    if (i->nlink || i->opens || i->e.pins || (i->e.state & ENTRY_GONE))
        return 0;
    if (S_ISREG(i->mode)) {
        int rc = map_cut(fs, i, 0);
        if (rc)
            return rc;
        map_forget(fs, i);
    }
    hazard_remove(i);
    if (!(i->e.state & ENTRY_STORED)) {
        entry_discard(fs, &i->e);
        return 0;
    }
    i->e.state |= ENTRY_GONE;
    entry_dirty(fs, &i->e);
    return 0;
}

/*
 * open(2) is a lookup and then an open by inode number.  Between the two a
 * rename may put another file in the place of the one found.  The kernel looks
 * the name up again when it is told ESTALE, but only once, and a program that is
 * replacing a file all the time would make the name fail that always exists.
 * So a file that was renamed over stays a little longer than its name.
 */
#define LIMBO_SECONDS 2
#define LIMBO_MAX 4096u

struct waiting {
    struct list link;
    struct inode *inode;     /* pinned */
    time_t due;              /* CLOCK_MONOTONIC_COARSE */
};

static time_t seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

void limbo_add(struct fs *fs, struct inode *i)
{
    struct waiting *w = atomic_load(&fs->no_space) ? NULL : malloc(sizeof *w);

    limbo_expire(fs, false);
    if (!w)
        return;
    *w = (struct waiting){ .inode = i, .due = seconds() + LIMBO_SECONDS };
    entry_pin(&i->e);
    list_append(&fs->limbo, &w->link);
    atomic_fetch_add(&fs->limbo_count, 1);
}

void limbo_expire(struct fs *fs, bool all)
{
    time_t now_is = seconds();

    list_each_safe(at, &fs->limbo) {
        struct waiting *w = container(at, struct waiting, link);
        if (!all && w->due > now_is && atomic_load(&fs->limbo_count) < LIMBO_MAX)
            return;
        list_remove(&w->link);
        atomic_fetch_sub(&fs->limbo_count, 1);
        entry_unpin(&w->inode->e);
        inode_reap(fs, w->inode);
        free(w);
    }
}
