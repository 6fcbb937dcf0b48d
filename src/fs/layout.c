/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The pieces of a state directory, as init and a rebuild make them: each is new,
 * refuses what is already there, and is synced by whoever makes it.
 *
 * Whatever a mount needs is made here and not by the first mount, so that a file
 * that is missing later is known to be missing (state.c).
 */
#include "layout.h"
#include <dirent.h>
#include <ecluse/journal.h>
#include <ecluse/log.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The umask may take nothing away: what is ours must stay usable to us. */
int layout_directory(int at, const char *name, int *out, enum fault_point point)
{
    int rc = fault_hit(point);
    if (rc)
        return rc;
    if (mkdirat(at, name, 0700))
        return -errno;
    *out = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*out >= 0)
        return fchmod(*out, 0700) ? -errno : 0;
    rc = -errno;
    unlinkat(at, name, AT_REMOVEDIR);
    return rc;
}

int layout_file(int at, const char *name, int *out, enum fault_point point)
{
    int rc = fault_hit(point);
    if (rc)
        return rc;
    *out = openat(at, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return *out < 0 || fchmod(*out, 0600) ? -errno : 0;
}

int layout_journal(int dir, const uint8_t local_key[KEY_SIZE])
{
    struct journal *j;

    int rc = journal_open(&j, dir, local_key, 1);
    if (!rc)
        journal_close(j);
    return rc;
}

static int remove_entry(int dirfd, const char *name, enum fault_point point)
{
    int rc = fault_hit(point);
    if (rc || unlinkat(dirfd, name, 0) == 0)
        return rc;
    int below = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return -errno;
    rc = layout_empty(below, "", point);
    close(below);
    return rc ? rc : unlinkat(dirfd, name, AT_REMOVEDIR) ? -errno : 0;
}

/* The directory is ours and new, so whatever is in it is so too. */
int layout_empty(int dirfd, const char *last, enum fault_point point)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || strcmp(d->d_name, last) == 0)
            continue;
        int failed = remove_entry(dirfd, d->d_name, point);
        rc = rc ? rc : failed;
    }
    closedir(dir);
    if (!rc && *last)
        rc = io_sync_dir(dirfd, point);
    if (!rc && *last)
        rc = unlinkat(dirfd, last, 0) ? -errno : 0;
    return rc;
}
