/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The directory below a mount never takes plaintext by mistake.
 *
 * While the vault is mounted, or its daemon is dead, the kernel answers.  Once
 * it is unmounted, programs would find an empty folder and save into it in the
 * clear, outside the vault.  So, once mounted, the permission to write is
 * taken from the directory below, through a descriptor from before the mount;
 * it stays away after any end, a crash included, and is given back only for the
 * moment of the next mount, and only when users mount (fusermount3 asks for it).
 * What a program puts there in that very moment is found right after it, and told.
 * Root is not stopped by permissions: for root, as for whatever got there in any
 * other way, the mount refuses a directory that is not empty, and says so.
 *
 * Where the mode cannot be changed (read-only filesystem, somebody else's
 * directory) the mount goes on: the check for emptiness remains.
 */
#include "internal.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_BITS (S_IWUSR | S_IWGRP | S_IWOTH)

static int check_empty(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    int rc = 0;

    if (!dir) {
        rc = -errno;
        if (copy >= 0)
            close(copy);
        return rc;
    }
    for (struct dirent *d; !rc && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
            rc = E_MOUNTPOINT_NOT_EMPTY;
    closedir(dir);
    return rc;
}

/* Other users may only mount on what is theirs, or where they may write. */
static int check_right(int fd, const struct stat *st)
{
    if (geteuid() == 0 || st->st_uid == geteuid())
        return 0;
    if (st->st_mode & S_ISVTX)
        return -EACCES;
    return faccessat(fd, ".", W_OK, AT_EACCESS) ? -EACCES : 0;
}

int guard_open(struct guard *g, const char *path)
{
    struct stat st;

    g->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (g->fd < 0)
        return errno == EACCES ? -EACCES : errno == EMFILE || errno == ENFILE ? -errno : E_MOUNTPOINT;
    int rc = fstat(g->fd, &st) ? -errno : check_right(g->fd, &st);
    if (!rc)
        rc = check_empty(g->fd);
    g->mode = st.st_mode & 07777;
    if (rc)
        guard_close(g);
    return rc;
}

void guard_lift(struct guard *g)
{
    if (geteuid() && g->fd >= 0 && !(g->mode & S_IWUSR) && fchmod(g->fd, g->mode | S_IWUSR))
        log_debug("ECL-0502 mountpoint mode: %s", error_name(-errno));
}

void guard_restore(struct guard *g)
{
    if (geteuid() && g->fd >= 0 && !(g->mode & S_IWUSR) && fchmod(g->fd, g->mode))
        log_debug("ECL-0502 mountpoint mode: %s", error_name(-errno));
}

void guard_set(struct guard *g)
{
    if (g->fd >= 0 && fchmod(g->fd, g->mode & ~(mode_t)WRITE_BITS))
        log_debug("ECL-0502 mountpoint mode: %s", error_name(-errno));
}

bool guard_missed(const struct guard *g)
{
    return g->fd >= 0 && check_empty(g->fd) == E_MOUNTPOINT_NOT_EMPTY;
}

void guard_close(struct guard *g)
{
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
}
