/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reaching things in a directory that others write to.
 *
 * Every step is one component, never through a symbolic link.  A file is looked
 * at before it is opened, since opening a FIFO may wait and opening a device
 * may do something; it is looked at again behind the descriptor, so that what
 * was put in its place meanwhile is refused.  (In that moment only root could
 * put a device there.)  No descriptor below the root is kept: a sync client may
 * remove a directory and make it anew.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What stands where something else should be is malformed, not missing. */
static int reach_error(int err)
{
    return err == ELOOP || err == ENOTDIR || err == ENXIO || err == ENODEV ? E_FORMAT : -err;
}

int reach_dir(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? reach_error(errno) : fd;
}

int reach_stat(int dir, const char *name, struct stat *st)
{
    int rc = fault_hit(FAULT_store_look);
    if (rc)
        return rc;
    if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW))
        return reach_error(errno);
    return S_ISREG(st->st_mode) ? 0 : E_FORMAT;
}

int reach_file(int dir, const char *name, struct stat *st)
{
    struct stat before;

    int rc = reach_stat(dir, name, &before);
    if (rc)
        return rc;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return reach_error(errno);
    if (fstat(fd, st))
        rc = -errno;
    else if (!S_ISREG(st->st_mode))
        rc = E_FORMAT;
    if (rc) {
        close(fd);
        return rc;
    }
    return fd;
}

int reach_fan(const struct store *s, const struct id128 *id)
{
    char name[FAN_NAME];

    int segments = reach_dir(s->root, SEGMENTS);
    if (segments < 0)
        return segments;
    fan_name(id->b[0], name);
    int fan = reach_dir(segments, name);
    close(segments);
    return fan;
}

/* Its own name is durable before anything is moved into it: else a power cut
 * could take the directory, and the object with it. */
static int make_dir(int dir, const char *name)
{
    int fd = reach_dir(dir, name);

    if (fd != -ENOENT)
        return fd;
    if (mkdirat(dir, name, STORE_DIR_MODE) && errno != EEXIST)
        return -errno;
    return io_sync_dir(dir, FAULT_store_dir_sync) ? E_STORE_SYNC : reach_dir(dir, name);
}

int make_fan(const struct store *s, const struct id128 *id)
{
    char name[FAN_NAME];

    int segments = make_dir(s->root, SEGMENTS);
    if (segments < 0)
        return segments;
    fan_name(id->b[0], name);
    int fan = make_dir(segments, name);
    close(segments);
    return fan;
}
