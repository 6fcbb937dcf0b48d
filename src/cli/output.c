/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Files that a command makes for its user: there whole, under a name that was free, or
 * not at all, whatever ends the command and whenever the disk is full.
 *
 * What is written has no name before it is whole and durable (O_TMPFILE): a kill leaves
 * nothing, which matters for keys.  Filesystems without such files get a hidden name beside
 * it, .ecluse-…, that a kill may leave.  What is there already is not replaced, also where
 * it came meanwhile; only where the filesystem knows neither links nor RENAME_NOREPLACE is
 * there a moment between the look and the renaming.
 *
 * A pipe, a device and /dev/stdout are no such files: they are written to as they are.
 */
#include "internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor of our own in the clothes of a file. */
static int number_of(const char *path)
{
    static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
        size_t len = strlen(folders[k]);
        if (strncmp(path, folders[k], len) == 0 && path[len] >= '0' && path[len] <= '9')
            return atoi(path + len);
    }
    return -1;
}

static int open_straight(struct output *o, const char *path)
{
    int number = number_of(path);

    fflush(stdout);
    o->straight = true;
    o->fd = number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, 3) : open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return o->fd < 0 ? -errno : 0;
}

/* The folder of o->path. */
static void folder_of(const struct output *o, char out[PATH_MAX])
{
    const char *slash = strrchr(o->path, '/');

    if (!slash)
        snprintf(out, PATH_MAX, ".");
    else
        snprintf(out, PATH_MAX, "%.*s", slash == o->path ? 1 : (int)(slash - o->path), o->path);
}

static int open_named(struct output *o, const char *folder, mode_t mode)
{
    mode_t mask = umask(0);

    umask(mask);
    if (snprintf(o->temp, sizeof o->temp, "%s/.ecluse-XXXXXX", folder) >= (int)sizeof o->temp)
        return -ENAMETOOLONG;
    o->fd = mkostemp(o->temp, O_CLOEXEC);
    if (o->fd < 0)
        return -errno;
    o->named = true;
    if (fchmod(o->fd, mode & ~mask) && errno != EPERM && errno != EOPNOTSUPP)
        return -errno;
    return 0;
}

int output_begin(struct output *o, const char *path, mode_t mode)
{
    char folder[PATH_MAX];
    struct stat st;

    *o = (struct output){ .fd = -1 };
    if (snprintf(o->path, sizeof o->path, "%s", path) >= (int)sizeof o->path)
        return -ENAMETOOLONG;
    if (number_of(path) >= 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return open_straight(o, path);
    if (lstat(path, &st) == 0)
        return -EEXIST;
    if (!*path || path[strlen(path) - 1] == '/')
        return *path ? -EISDIR : -ENOENT;
    folder_of(o, folder);
    o->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    if (o->fd >= 0)
        return 0;
    return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ? open_named(o, folder, mode) : -errno;
}

static int give_name(struct output *o)
{
    char nameless[64];
    struct stat st;

    if (!o->named) {
        snprintf(nameless, sizeof nameless, "/proc/self/fd/%d", o->fd);
        return linkat(AT_FDCWD, nameless, AT_FDCWD, o->path, AT_SYMLINK_FOLLOW) ? -errno : 0;
    }
    if (renameat2(AT_FDCWD, o->temp, AT_FDCWD, o->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (link(o->temp, o->path) == 0)
        return unlink(o->temp) ? -errno : 0;
    if (errno == EEXIST || lstat(o->path, &st) == 0)
        return -EEXIST;
    return rename(o->temp, o->path) ? -errno : 0;
}

int output_commit(struct output *o, enum fault_point point)
{
    if (o->straight) {
        int fd = o->fd;
        o->fd = -1;
        return close(fd) ? -errno : 0;
    }
    int rc = io_sync(o->fd, point);
    if (!rc)
        rc = give_name(o);
    if (rc)
        return rc;
    o->named = false;
    rc = path_sync_parent(o->path, point);
    if (rc)
        unlink(o->path);
    return rc;
}

void output_end(struct output *o)
{
    if (o->fd >= 0)
        close(o->fd);
    if (o->named)
        unlink(o->temp);
    *o = (struct output){ .fd = -1 };
}

/* What is written to straight has no place. */
static int write_all(const struct output *o, const uint8_t *bytes, size_t len, enum fault_point point)
{
    if (!o->straight)
        return io_write_at(o->fd, bytes, len, 0, point);
    while (len) {
        ssize_t n = write(o->fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int output_write(const char *path, const void *bytes, size_t len, enum fault_point point)
{
    struct output o;

    int rc = output_begin(&o, path, 0600);
    if (!rc)
        rc = write_all(&o, bytes, len, point);
    if (!rc)
        rc = output_commit(&o, point);
    output_end(&o);
    return rc;
}
