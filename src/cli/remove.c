/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Removes of the source what was verified, and nothing else.
 *
 * A file goes only while it is, by its fingerprint, the one that was compared, while
 * nobody has it open for writing (where the filesystem tells: a lease), and while the
 * copy is there.  Folders go when they are empty.  The source's own folder stays.
 *
 * There is no way to remove "this file" but by its name, which may be another file's
 * by then.  So the file is first moved, under its own name, into a folder of ours
 * beside it (ASIDE_NAME), where nobody finds it any more; there it is looked at again,
 * and goes, or goes back.  What a kill leaves there, the next import puts back first.
 */
#include "transfer.h"
#include <dirent.h>
#include <ecluse/io.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* --- aside, and back ---------------------------------------------------------------- */

/* Another user's folder of this name would give them the file; the folder's owner may do that anyway. */
static int open_aside(int from)
{
    struct stat st, up;

    if (mkdirat(from, ASIDE_NAME, 0700) && errno != EEXIST)
        return -errno;
    int fd = openat(from, ASIDE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && fstat(from, &up) == 0 && (st.st_uid == geteuid() || st.st_uid == up.st_uid))
        return fd;
    close(fd);
    return -EACCES;
}

static void close_aside(int from, int aside)
{
    close(aside);
    unlinkat(from, ASIDE_NAME, AT_REMOVEDIR);  /* when it is empty */
}

/* The same file, by both names. */
static bool is_twice(int aside, int from, const char *name)
{
    struct stat here, there;

    return fstatat(aside, name, &here, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(from, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* Over nothing; what cannot go back stays aside. */
static void put_back(int aside, int from, const char *name)
{
    int rc = io_rename_new(aside, name, from, name, FAULT_source_remove);
    if (rc == -EEXIST && is_twice(aside, from, name))
        unlinkat(aside, name, 0);
}

/*
 * Where the filesystem has no RENAME_NOREPLACE (NFS), io_rename_new would link, and then unlink
 * a name that may be another file's by then.  A plain rename takes whatever has the name, and
 * nobody else puts anything aside.  The link that is tried first shows that nothing lies there,
 * and that there is a way back.
 */
static int move_aside(const struct node *n, int aside)
{
    int rc = fault_hit(FAULT_source_remove);

    if (rc || renameat2(n->from, n->name, aside, n->name, RENAME_NOREPLACE) == 0)
        return rc;
    if (errno != EINVAL || linkat(n->from, n->name, aside, n->name, 0) || unlinkat(aside, n->name, 0))
        return -errno;
    return renameat(n->from, n->name, aside, n->name) ? -errno : 0;
}

void aside_restore(int from)
{
    int fd = openat(from, ASIDE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
            put_back(fd, from, d->d_name);
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    unlinkat(from, ASIDE_NAME, AT_REMOVEDIR);
}

/* --- one file -------------------------------------------------------------------------- */

/* -EBUSY when somebody may still write. Not every filesystem has leases. */
static int check_unused(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        return 0;
    return errno == EAGAIN || errno == EBUSY ? -EBUSY : 0;
}

/* Somebody waits to open it for writing since then. */
static bool is_wanted(int fd, bool leased)
{
    return leased && fcntl(fd, F_GETLEASE) != F_RDLCK;
}

static bool copy_is_there(const struct node *n)
{
    struct stat st;

    return n->to >= 0 && fstatat(n->to, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (st.st_mode & S_IFMT) == (n->st.st_mode & S_IFMT) && st.st_size == n->st.st_size;
}

/* The time of change aside, which the move has changed. */
static bool same_but_moved(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_size == b->st_size &&
           a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_nlink == b->st_nlink &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What lies aside goes, if it is what was opened as `fd`; else back. */
static int unlink_aside(const struct node *n, int aside, int fd, const struct stat *st, bool leased)
{
    struct stat now, named;

    int rc = fault_hit(FAULT_source_remove);
    if (!rc && (fstat(fd, &now) || fstatat(aside, n->name, &named, AT_SYMLINK_NOFOLLOW)))
        rc = -errno;
    if (!rc && (!same_but_moved(st, &now) || !same_but_moved(st, &named) || is_wanted(fd, leased)))
        rc = -EBUSY;
    if (!rc && unlinkat(aside, n->name, 0))
        rc = -errno;
    if (rc)
        put_back(aside, n->from, n->name);
    return rc;
}

static int unlink_source(const struct node *n, int fd, const struct stat *st, bool leased)
{
    int aside = open_aside(n->from);

    if (aside < 0)
        return aside;
    int rc = move_aside(n, aside);
    if (!rc)
        rc = unlink_aside(n, aside, fd, st, leased);
    close_aside(n->from, aside);
    return rc;
}

static int remove_one(struct transfer *t, const struct node *n)
{
    struct stat st, now;

    int fd = copy_open_source(n, &st);
    if (fd < 0)
        return fd;
    int rc = prints_have(&t->verified, &st) && copy_is_there(n) ? 0 : -EBUSY;
    if (!rc && S_ISREG(st.st_mode))
        rc = check_unused(fd);
    bool leased = !rc && S_ISREG(st.st_mode) && fcntl(fd, F_GETLEASE) == F_RDLCK;
    if (!rc)
        rc = unlink_source(n, fd, &st, leased);
    /* Its other names are verified too, but its time of change is another one now. */
    if (!rc && st.st_nlink > 1 && fstat(fd, &now) == 0 && now.st_size == st.st_size &&
        now.st_mtim.tv_sec == st.st_mtim.tv_sec && now.st_mtim.tv_nsec == st.st_mtim.tv_nsec)
        rc = prints_add(&t->verified, &now);
    close(fd);
    return rc;
}

static int remove_entry(struct transfer *t, const struct node *n)
{
    bool regular = S_ISREG(n->st.st_mode);

    if (prints_have(&t->told, &n->st) || (!regular && !S_ISLNK(n->st.st_mode)))
        return 0;
    int rc = remove_one(t, n);
    if (rc == -ENOMEM)
        return rc;
    if (rc)
        transfer_leave(t, n, LEFT_NOT_REMOVED, rc);
    else
        t->removed++;
    if (!rc && regular)
        t->removed_bytes += (uint64_t)n->st.st_size;
    t->meter.files++;
    meter_show(&t->meter);
    return 0;
}

static int remove_enter(struct transfer *t, const struct node *n, int from, struct entered *out)
{
    (void)t;
    (void)from;
    out->to = openat(n->to, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out->to < 0;
}

/* A folder in which something was left stays, and what was left is told. */
static int remove_leave(struct transfer *t, const struct node *n, int from, int to, bool finish)
{
    (void)from;
    (void)to;
    (void)finish;
    if (!prints_have(&t->verified, &n->st) || unlinkat(n->from, n->name, AT_REMOVEDIR) == 0)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        transfer_leave(t, n, LEFT_NOT_REMOVED, -errno);
    return 0;
}

const struct visitor visitor_remove = { remove_enter, remove_leave, remove_entry };
