/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Attributes of inodes.
 *
 * With `owners` off everything belongs to the mounting user, so giving a file
 * to somebody else is refused rather than forgotten.
 */
#include "internal.h"

int fs_getattr(struct fs *fs, uint64_t ino, struct stat *out)
{
    struct inode *i;

    pthread_mutex_lock(&fs->meta);
    int rc = inode_get(fs, ino, &i);
    if (!rc)
        inode_stat(fs, i, out);
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

static int chown_allowed(const struct fs *fs, unsigned set, const struct stat *a)
{
    if (fs->opt.owners)
        return 0;
    if ((set & FS_SET_UID) && a->st_uid != fs->opt.uid)
        return -EPERM;
    if ((set & FS_SET_GID) && a->st_gid != fs->opt.gid)
        return -EPERM;
    return 0;
}

static void set_times(struct inode *i, unsigned set, const struct stat *a)
{
    now(&i->ctime);
    if (set & FS_SET_ATIME_NOW)
        i->atime = i->ctime;
    else if (set & FS_SET_ATIME)
        i->atime = a->st_atim;
    if (set & FS_SET_MTIME_NOW)
        i->mtime = i->ctime;
    else if (set & FS_SET_MTIME)
        i->mtime = a->st_mtim;
    else if (set & FS_SET_SIZE)
        i->mtime = i->ctime;
    if (set & FS_SET_CTIME)
        i->ctime = a->st_ctim;
}

/* With meta held (and the data lock when the size is set). */
static int apply(struct fs *fs, struct inode *i, unsigned set, const struct stat *a)
{
    int rc = 0;

    if (set & FS_SET_SIZE) {
        if (!S_ISREG(i->mode))
            return S_ISDIR(i->mode) ? -EISDIR : -EINVAL;
        rc = inode_resize(fs, i, (uint64_t)a->st_size);
    }
    if (!rc && (set & FS_KILL_PRIV))
        rc = inode_kill_priv(fs, i);
    if (rc)
        return rc;
    if (set & FS_SET_MODE) {
        i->mode = (i->mode & S_IFMT) | (a->st_mode & 07777);
        rc = acl_chmod(fs, i);
        if (rc)
            return rc;
    }
    if (fs->opt.owners && (set & FS_SET_UID))
        i->uid = a->st_uid;
    if (fs->opt.owners && (set & FS_SET_GID))
        i->gid = a->st_gid;
    set_times(i, set, a);
    entry_dirty(fs, &i->e);
    return 0;
}

int fs_setattr(struct fs *fs, uint64_t ino, unsigned set, const struct stat *a, struct stat *out)
{
    bool size = set & FS_SET_SIZE;
    struct inode *i;

    if (size && (a->st_size < 0))
        return -EINVAL;
    int rc = fs_may_write(fs, size && a->st_size == 0);
    if (!rc)
        rc = chown_allowed(fs, set, a);
    if (rc)
        return rc;
    commit_throttle(fs);
    if (size)
        pthread_rwlock_wrlock(data_lock(fs, ino));
    pthread_mutex_lock(&fs->meta);
    cache_shrink(fs);
    rc = inode_get(fs, ino, &i);
    if (!rc)
        rc = apply(fs, i, set, a);
    if (!rc)
        inode_stat(fs, i, out);
    pthread_mutex_unlock(&fs->meta);
    if (size)
        pthread_rwlock_unlock(data_lock(fs, ino));
    atomic_fetch_add(&fs->activity, 1);
    return rc;
}
