/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Paths: making directories that last, and telling what lies inside what.
 */
#include <ecluse/io.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a new name in a directory durable.  The parent may be closed to us for
 * reading, as / often is to a sandbox; that is not a reason to fail. */
static int sync_parent(int parent)
{
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno;
    int rc = io_sync_dir(fd, FAULT_other);
    close(fd);
    return rc;
}

/* Goes from *dir into `name`, which is made when it does not exist. */
static int enter(int *dir, const char *name, mode_t mode)
{
    int made = mkdirat(*dir, name, mode) ? -errno : 0;
    int next = openat(*dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (next < 0)
        return made && made != -EEXIST ? made : -errno;
    int rc = made ? 0 : sync_parent(*dir);
    close(*dir);
    *dir = next;
    return rc;
}

int io_make_dirs(const char *path, mode_t mode)
{
    char *copy, *rest, *name;
    int rc = 0;

    if (!*path)
        return -ENOENT;
    int dir = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    copy = rest = strdup(path);
    if (!copy)
        rc = -ENOMEM;
    while (!rc && (name = strsep(&rest, "/")))
        if (*name)
            rc = enter(&dir, name, mode);
    free(copy);
    close(dir);
    return rc;
}

bool path_inside(const char *inner, const char *outer)
{
    size_t len = strlen(outer);

    while (len && outer[len - 1] == '/')
        len--;
    return strncmp(inner, outer, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}
