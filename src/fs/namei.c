/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names to inodes: lookup, making, linking, removing.
 *
 * Every operation is one step under meta: a commit sees it whole or not.
 */
#include "internal.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>   /* RENAME_… */
#include <stdlib.h>

#define LINK_LIMIT 65000u

static int name_ok(const char *name)
{
    size_t len = strlen(name);
    if (!len || !strcmp(name, ".") || !strcmp(name, ".."))
        return -EINVAL;
    return len > NAME_LIMIT ? -ENAMETOOLONG : 0;
}

/* The start of every change: may it, and is there room in memory? */
static int enter(struct fs *fs, bool frees)
{
    int rc = fs_may_write(fs, frees);
    if (rc)
        return rc;
    commit_throttle(fs);
    pthread_mutex_lock(&fs->meta);
    cache_shrink(fs);
    return 0;
}

static int leave(struct fs *fs, int rc)
{
    pthread_mutex_unlock(&fs->meta);
    atomic_fetch_add(&fs->activity, 1);
    return rc;
}

static int get_dir(struct fs *fs, uint64_t ino, struct inode **out)
{
    int rc = inode_get(fs, ino, out);
    if (rc)
        return rc;
    if (!S_ISDIR((*out)->mode))
        return -ENOTDIR;
    return (*out)->nlink ? 0 : -ENOENT;
}

/* "." is asked of files as well: a file server's handle holds nothing but a number. */
static int special_lookup(struct fs *fs, uint64_t ino, bool up, struct inode **out)
{
    int rc = inode_get(fs, ino, out);
    if (!rc && !(*out)->nlink)
        return -ENOENT;
    if (rc || !up)
        return rc;
    if (!S_ISDIR((*out)->mode))
        return -ENOTDIR;
    return ino == ROOT_INO ? 0 : inode_get(fs, (*out)->parent, out);
}

int fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct stat *out, bool *exact)
{
    struct fs_dirent *d;
    struct inode *i;
    int rc;

    *exact = true;
    if (strlen(name) > NAME_LIMIT)
        return -ENAMETOOLONG;
    pthread_mutex_lock(&fs->meta);
    cache_shrink(fs);
    if (!strcmp(name, ".") || !strcmp(name, "..")) {
        rc = special_lookup(fs, parent, name[1] == '.', &i);
    } else {
        rc = dirent_get_variant(fs, parent, name, &d, exact);
        if (!rc)
            rc = inode_get(fs, d->ino, &i);
    }
    if (!rc)
        inode_stat(fs, i, out);
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

/* --- making -------------------------------------------------------------------- */

/* A new inode under a new name; *out is only valid with meta held. */
static int make(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
                uint32_t mode, struct inode **out)
{
    struct inode *dir;
    struct fs_dirent *d;

    int rc = name_ok(name);
    if (!rc)
        rc = get_dir(fs, parent, &dir);
    if (rc)
        return rc;
    rc = dirent_get(fs, parent, name, &d);
    if (rc != -ENOENT)
        return rc ? rc : -EEXIST;
    struct inode *i = inode_new(fs, mode);
    if (!i)
        return -ENOMEM;
    i->uid = who->uid;
    i->gid = dir->mode & S_ISGID ? dir->gid : who->gid;
    if (S_ISDIR(mode) && (dir->mode & S_ISGID))
        i->mode |= S_ISGID;
    rc = acl_inherit(fs, dir, i, who->umask);
    if (!rc)
        rc = dirent_put(fs, dir, NULL, name, i);
    if (rc) {
        entry_discard(fs, &i->e);
        return rc;
    }
    if (S_ISDIR(mode))
        dir->nlink++;
    inode_touch(dir, true);
    entry_dirty(fs, &dir->e);
    *out = i;
    return 0;
}

int fs_mknod(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
             mode_t mode, dev_t rdev, struct stat *out)
{
    struct inode *i;

    int rc = enter(fs, false);
    if (rc)
        return rc;
    rc = make(fs, parent, name, who, mode, &i);
    if (!rc) {
        i->rdev = S_ISCHR(mode) || S_ISBLK(mode) ? rdev : 0;
        inode_stat(fs, i, out);
    }
    return leave(fs, rc);
}

int fs_mkdir(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
             mode_t mode, struct stat *out)
{
    return fs_mknod(fs, parent, name, who, S_IFDIR | (mode & 07777), 0, out);
}

int fs_symlink(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
               const char *target, struct stat *out)
{
    struct inode *i;
    size_t len = strlen(target);

    if (!len || len >= PATH_MAX)
        return len ? -ENAMETOOLONG : -ENOENT;
    char *copy = strdup(target);
    if (!copy)
        return -ENOMEM;
    int rc = enter(fs, false);
    if (rc) {
        free(copy);
        return rc;
    }
    rc = make(fs, parent, name, who, S_IFLNK | 0777, &i);
    if (!rc) {
        i->target = copy;
        cache_recount(&fs->cache, 0, len + 1);
        inode_stat(fs, i, out);
    } else {
        free(copy);
    }
    return leave(fs, rc);
}

int fs_create(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
              mode_t mode, int flags, struct stat *out)
{
    struct inode *i;

    int rc = enter(fs, false);
    if (rc)
        return rc;
    rc = make(fs, parent, name, who, S_IFREG | (mode & 07777), &i);
    if (!rc) {
        i->opens++;
        i->writers += (flags & O_ACCMODE) != O_RDONLY;
        inode_stat(fs, i, out);
    }
    return leave(fs, rc);
}

int fs_link(struct fs *fs, uint64_t ino, uint64_t parent, const char *name, struct stat *out)
{
    struct inode *dir, *i;
    struct fs_dirent *d;

    int rc = name_ok(name);
    if (rc || (rc = enter(fs, false)))
        return rc;
    rc = inode_get(fs, ino, &i);
    if (!rc)
        rc = S_ISDIR(i->mode) ? -EPERM : i->nlink == 0 ? -ENOENT : i->nlink >= LINK_LIMIT ? -EMLINK : 0;
    if (!rc)
        rc = get_dir(fs, parent, &dir);
    if (!rc) {
        rc = dirent_get(fs, parent, name, &d);
        rc = rc == -ENOENT ? 0 : rc ? rc : -EEXIST;
    }
    if (!rc)
        rc = dirent_put(fs, dir, NULL, name, i);
    if (!rc) {
        i->nlink++;
        hazard_add(fs, i);
        inode_touch(i, false);
        entry_dirty(fs, &i->e);
        inode_touch(dir, true);
        entry_dirty(fs, &dir->e);
        inode_stat(fs, i, out);
    }
    return leave(fs, rc);
}

int fs_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size)
{
    struct inode *i;

    pthread_mutex_lock(&fs->meta);
    int rc = inode_get(fs, ino, &i);
    if (!rc && (!S_ISLNK(i->mode) || !i->target))
        rc = -EINVAL;
    if (!rc && strlen(i->target) >= size)
        rc = -ENAMETOOLONG;
    if (!rc)
        memcpy(buf, i->target, strlen(i->target) + 1);
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

/* --- removing -------------------------------------------------------------------- */

/* Takes one name from an inode that has just lost it: the name is gone. When the rest of it
 * cannot go with it (no memory), that is an orphan, which the next mount removes. */
static void lose_link(struct fs *fs, struct inode *dir, struct inode *i)
{
    if (S_ISDIR(i->mode)) {
        i->nlink = 0;
        dir->nlink--;
    } else {
        i->nlink--;
    }
    inode_touch(i, false);
    entry_dirty(fs, &i->e);
    inode_reap(fs, i);
}

static int remove_name(struct fs *fs, uint64_t parent, const char *name, bool directory)
{
    struct inode *dir, *i;
    struct fs_dirent *d;
    bool exact;
    char stale[NAME_LIMIT + 1] = "";

    int rc = enter(fs, true);
    if (rc)
        return rc;
    rc = get_dir(fs, parent, &dir);
    if (!rc)
        rc = dirent_get_variant(fs, parent, name, &d, &exact);
    if (!rc)
        rc = inode_get(fs, d->ino, &i);
    if (!rc && directory)
        rc = !S_ISDIR(i->mode) ? -ENOTDIR : i->size ? -ENOTEMPTY : 0;
    else if (!rc && S_ISDIR(i->mode))
        rc = -EISDIR;
    if (!rc) {
        if (!exact)
            memcpy(stale, d->name, d->name_len + 1u);
        dirent_gone(fs, dir, d);
        inode_touch(dir, true);
        entry_dirty(fs, &dir->e);
        lose_link(fs, dir, i);
    }
    rc = leave(fs, rc);
    if (!rc && *stale && fs->opt.forget_name)
        fs->opt.forget_name(fs->opt.ctx, parent, stale, strlen(stale));
    return rc;
}

int fs_unlink(struct fs *fs, uint64_t parent, const char *name)
{
    return remove_name(fs, parent, name, false);
}

int fs_rmdir(struct fs *fs, uint64_t parent, const char *name)
{
    return remove_name(fs, parent, name, true);
}

/* --- renaming --------------------------------------------------------------------- */

/* All that a rename is about; new_d and new_i are NULL without a target.
 * `stale` is the name as stored when a variant of it was asked for, else "". */
struct move {
    struct inode *old_dir, *new_dir, *i, *new_i;
    struct fs_dirent *d, *new_d;
    char stale[NAME_LIMIT + 1];
};

static int find_move(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
                     const char *new_name, struct move *m)
{
    bool exact;

    int rc = get_dir(fs, parent, &m->old_dir);
    if (!rc)
        rc = get_dir(fs, new_parent, &m->new_dir);
    if (!rc)
        rc = dirent_get_variant(fs, parent, name, &m->d, &exact);
    if (!rc)
        rc = inode_get(fs, m->d->ino, &m->i);
    if (rc)
        return rc;
    if (!exact)
        memcpy(m->stale, m->d->name, m->d->name_len + 1u);
    rc = dirent_get(fs, new_parent, new_name, &m->new_d);
    if (!rc)
        rc = inode_get(fs, m->new_d->ino, &m->new_i);
    return rc == -ENOENT ? 0 : rc;
}

/* -EINVAL when `dir` is `i` or lies below it. */
static int not_below(struct fs *fs, struct inode *dir, const struct inode *i)
{
    if (!S_ISDIR(i->mode))
        return 0;
    while (dir->ino != i->ino) {
        if (dir->ino == ROOT_INO)
            return 0;
        int rc = inode_get(fs, dir->parent, &dir);
        if (rc)
            return rc;
    }
    return -EINVAL;
}

static int check_move(struct fs *fs, const struct move *m, unsigned flags)
{
    if (m->new_d && (flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (!m->new_d && (flags & RENAME_EXCHANGE))
        return -ENOENT;
    int rc = not_below(fs, m->new_dir, m->i);
    if (rc || !m->new_i)
        return rc;
    if (flags & RENAME_EXCHANGE)
        return not_below(fs, m->old_dir, m->new_i);
    if (S_ISDIR(m->i->mode) != S_ISDIR(m->new_i->mode))
        return S_ISDIR(m->i->mode) ? -ENOTDIR : -EISDIR;
    return S_ISDIR(m->new_i->mode) && m->new_i->size ? -ENOTEMPTY : 0;
}

/* A directory that changes its parent takes its ".." link along. */
static void move_links(struct inode *i, struct inode *from, struct inode *to)
{
    if (S_ISDIR(i->mode) && from != to) {
        from->nlink--;
        to->nlink++;
    }
}

static int exchange(struct fs *fs, struct move *m)
{
    int rc = dirent_put(fs, m->new_dir, m->new_d, NULL, m->i);
    if (!rc)
        rc = dirent_put(fs, m->old_dir, m->d, NULL, m->new_i);
    move_links(m->i, m->old_dir, m->new_dir);
    move_links(m->new_i, m->new_dir, m->old_dir);
    inode_touch(m->new_i, false);
    entry_dirty(fs, &m->new_i->e);
    hazard_add(fs, m->i);
    hazard_add(fs, m->new_i);
    return rc;
}

static int replace(struct fs *fs, struct move *m, const char *new_name)
{
    int rc = dirent_put(fs, m->new_dir, m->new_d, new_name, m->i);
    if (rc)
        return rc;
    dirent_gone(fs, m->old_dir, m->d);
    move_links(m->i, m->old_dir, m->new_dir);
    hazard_add(fs, m->i);
    if (m->new_i) {
        limbo_add(fs, m->new_i);
        lose_link(fs, m->new_dir, m->new_i);
    }
    return rc;
}

int fs_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
              const char *new_name, unsigned flags)
{
    struct move m = { 0 };

    if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int rc = name_ok(new_name);
    if (rc || (rc = enter(fs, false)))
        return rc;
    rc = find_move(fs, parent, name, new_parent, new_name, &m);
    if (!rc)
        rc = check_move(fs, &m, flags);
    /* Two names of one file: rename(2) does nothing. */
    if (!rc && m.new_i != m.i) {
        rc = flags & RENAME_EXCHANGE ? exchange(fs, &m) : replace(fs, &m, new_name);
        inode_touch(m.i, false);
        inode_touch(m.old_dir, true);
        inode_touch(m.new_dir, true);
        entry_dirty(fs, &m.i->e);
        entry_dirty(fs, &m.old_dir->e);
        entry_dirty(fs, &m.new_dir->e);
    }
    rc = leave(fs, rc);
    if (!rc && *m.stale && fs->opt.forget_name)
        fs->opt.forget_name(fs->opt.ctx, parent, m.stale, strlen(m.stale));
    return rc;
}

/* --- open files ------------------------------------------------------------------- */

/* O_TRUNC, with the new handle already counted: it may become a hazard. */
static int cut_opened(struct fs *fs, struct inode *i, bool kill)
{
    int rc = inode_resize(fs, i, 0);
    if (rc)
        return rc;
    inode_touch(i, true);
    return kill ? inode_kill_priv(fs, i) : 0;
}

int fs_open_file(struct fs *fs, uint64_t ino, int flags, bool kill)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY, cut = flags & O_TRUNC; /* also with O_RDONLY */
    struct inode *i;

    int rc = writes || cut ? fs_may_write(fs, cut) : 0;
    if (rc)
        return rc;
    if (cut)
        pthread_rwlock_wrlock(data_lock(fs, ino));
    pthread_mutex_lock(&fs->meta);
    cache_shrink(fs);
    rc = inode_get(fs, ino, &i);
    if (!rc && !S_ISREG(i->mode))
        rc = S_ISDIR(i->mode) ? -EISDIR : -ENXIO;
    if (!rc) {
        i->opens++;
        i->writers += writes;
        if (cut)
            rc = cut_opened(fs, i, kill);
        if (rc) {
            i->opens--;
            i->writers -= writes;
        }
    }
    pthread_mutex_unlock(&fs->meta);
    if (cut)
        pthread_rwlock_unlock(data_lock(fs, ino));
    return rc;
}

int fs_release(struct fs *fs, uint64_t ino, int flags)
{
    struct inode *i;

    pthread_mutex_lock(&fs->meta);
    int rc = inode_get(fs, ino, &i);
    if (!rc) {
        i->opens--;
        i->writers -= (flags & O_ACCMODE) != O_RDONLY;
        if (!i->writers)
            hazard_remove(i);
        rc = inode_reap(fs, i);
    }
    pthread_mutex_unlock(&fs->meta);
    return rc;
}
