/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Hazards: open files whose new contents may still be in the kernel while that which
 * makes them the only contents is about to be committed.
 *
 * A commit fetches them first (commit.c).  Two kinds:
 *
 *   renamed, linked   what was written before counts: fetched once, for the next commit
 *   cut               the old contents are gone, and what matters is written afterwards:
 *                     fetched for each commit until the file is closed, or for as long as
 *                     programs take to write what they have just cut.  Past that the
 *                     kernel's own 35 s hold, as for any file that is kept open.
 *
 * `hazards` are to be fetched before the next snapshot, `fetched` were.  An inode is in
 * one of the two only while it has writers, so it is never evicted from there.
 */
#include "internal.h"
#include <time.h>

#define CUT_SECONDS 10

static time_t seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

/* Also from `fetched`: there is something new to fetch. */
void hazard_add(struct fs *fs, struct inode *i)
{
    if (!fs->opt.fetch || fs->opt.strict || !i->writers)
        return;
    list_remove(&i->hazard);
    list_append(&fs->hazards, &i->hazard);
}

void hazard_add_cut(struct fs *fs, struct inode *i)
{
    i->cut_at = seconds();
    hazard_add(fs, i);
}

void hazard_remove(struct inode *i)
{
    list_remove(&i->hazard);
    i->cut_at = 0;
}

uint64_t hazard_next(struct fs *fs)
{
    if (list_empty(&fs->hazards))
        return 0;
    struct inode *i = container(fs->hazards.next, struct inode, hazard);
    list_remove(&i->hazard);
    list_append(&fs->fetched, &i->hazard);
    return i->ino;
}

int fs_each_writer(struct fs *fs, int (*visit)(void *ctx, uint64_t ino), void *ctx)
{
    struct buf inos = { 0 };

    pthread_mutex_lock(&fs->meta);
    for (size_t b = 0; b < fs->cache.bucket_count; b++)
        for (const struct entry *e = fs->cache.buckets[b]; e; e = e->hash_next) {
            const struct inode *i = e->kind == ENTRY_INODE ? container(e, const struct inode, e) : NULL;
            if (i && i->writers)
                buf_append(&inos, &i->ino, sizeof i->ino);
        }
    pthread_mutex_unlock(&fs->meta);
    int rc = inos.failed ? -ENOMEM : 0;
    for (size_t at = 0; !rc && at < inos.len; at += sizeof(uint64_t)) {
        uint64_t ino;
        memcpy(&ino, inos.data + at, sizeof ino);
        rc = visit(ctx, ino);
    }
    buf_free(&inos);
    return rc;
}

void hazards_covered(struct fs *fs)
{
    time_t young = seconds() - CUT_SECONDS;

    list_each_safe(at, &fs->fetched) {
        struct inode *i = container(at, struct inode, hazard);
        list_remove(at);
        if (i->cut_at && i->cut_at >= young)
            list_append(&fs->hazards, at);
    }
}
