/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Forgets what memory knows, so that what is read next shows what is on the disks.
 *
 * Whoever wants proof that files can be read back (ecluse import) must not be
 * answered from the cache: after this, rows come from the index and blocks from
 * objects whose headers are checked again.  Rows that are dirty or in use stay, and
 * so do segments that are staged; after a flush that nobody disturbs there are none.
 */
#include "internal.h"

#define SLICE 4096u

/* Meta is given up now and then: the cache may be large. */
static void forget_rows(struct fs *fs)
{
    bool more = true;

    for (unsigned round = 0; more && round < 3; round++) {   /* chunks and names before their inodes */
        pthread_mutex_lock(&fs->meta);
        size_t left = fs->cache.entry_count;
        pthread_mutex_unlock(&fs->meta);
        more = left > 0;
        while (left) {
            size_t slice = left < SLICE ? left : SLICE;
            pthread_mutex_lock(&fs->meta);
            cache_forget(fs, slice);
            pthread_mutex_unlock(&fs->meta);
            left -= slice;
        }
    }
}

int fs_forget(struct fs *fs)
{
    int rc = fs->opt.read_only ? 0 : fs_flush(fs);

    if (rc)
        return rc;
    forget_rows(fs);
    segments_forget(fs);
    return 0;
}
