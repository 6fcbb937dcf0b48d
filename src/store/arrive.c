/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * How a file gets its final name: at once, whole, and never in place of another.
 *
 * On the same filesystem that is renameat2(RENAME_NOREPLACE); where the
 * filesystem does not know the flag, a second link and the removal of the first
 * name (io_rename_new).  Where it knows neither, nothing can be put (-EOPNOTSUPP):
 * a rename that may replace is not tried.
 *
 * From another filesystem the bytes are copied to a file without any name
 * (O_TMPFILE), which gets its name by a link; a crash leaves nothing behind.
 * Filesystems without that see a hidden name beside the final one:
 * ".~ecluse-<id>.tmp", a form that common sync clients skip.  It depends on the
 * id alone, so what a crash left is replaced when the put is repeated.  A name
 * beside the store was rejected: there it would mostly be synced just the same,
 * and nobody would ever find what a crash left.
 *
 * Mode and times are set before the final name exists; a filesystem that has no
 * such notion (FAT, some network ones) keeps its own.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define CONSTANT_TIME 946684800  /* 2000-01-01T00:00:00Z */
#define FD_PATH 32

/* What a filesystem without modes or times says. */
static bool unsupported(int err)
{
    return err == EPERM || err == EINVAL || err == ENOSYS || err == EOPNOTSUPP;
}

int make_constant(int fd)
{
    const struct timespec times[2] = { { .tv_sec = CONSTANT_TIME }, { .tv_sec = CONSTANT_TIME } };

    if (fchmod(fd, STORE_FILE_MODE) && !unsupported(errno))
        return -errno;
    if (futimens(fd, times) && !unsupported(errno))
        return -errno;
    return 0;
}

int move_new(int from_dir, const char *from, int to_dir, const char *to)
{
    int rc = io_rename_new(from_dir, from, to_dir, to, FAULT_store_rename);

    return rc == -EINVAL ? -EOPNOTSUPP : rc;
}

static void fd_path(int fd, char out[FD_PATH])
{
    snprintf(out, FD_PATH, "/proc/self/fd/%d", fd);
}

/* Without a name. -1 when this filesystem (or the lack of /proc, by which the
 * name is given later) does not allow it. */
static int open_nameless(int dir)
{
    char path[FD_PATH];

    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    fd_path(fd, path);
    if (faccessat(AT_FDCWD, path, F_OK, 0) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_hidden(int dir, const char *name)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir, name, flags, 0600);

    if (fd < 0 && errno == EEXIST && unlinkat(dir, name, 0) == 0)
        fd = openat(dir, name, flags, 0600);
    return fd < 0 ? -errno : fd;
}

int arrival_begin(struct arrival *a, int dir, const struct id128 *id)
{
    *a = (struct arrival){ .dir = dir, .fd = open_nameless(dir) };
    if (a->fd >= 0)
        return 0;
    hidden_name(id, a->hidden);
    int rc = open_hidden(dir, a->hidden);
    if (rc < 0)
        return rc;
    a->fd = rc;
    a->named = true;
    return 0;
}

/* A link never replaces. */
static int link_nameless(const struct arrival *a, const char *name)
{
    char path[FD_PATH];

    int rc = fault_hit(FAULT_store_rename);
    if (rc)
        return rc;
    fd_path(a->fd, path);
    return linkat(AT_FDCWD, path, a->dir, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

int arrival_place(struct arrival *a, const char *name)
{
    int rc = make_constant(a->fd);

    if (!rc)
        rc = io_sync(a->fd, FAULT_store_copy);
    if (rc)
        return rc;
    if (!a->named)
        return link_nameless(a, name);
    rc = move_new(a->dir, a->hidden, a->dir, name);
    if (!rc)
        a->named = false;
    return rc;
}

void arrival_end(struct arrival *a)
{
    if (a->named)
        unlinkat(a->dir, a->hidden, 0);
    if (a->fd >= 0)
        close(a->fd);
    *a = (struct arrival){ .dir = -1, .fd = -1 };
}
