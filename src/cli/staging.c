/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The staging folder of a transfer, in the destination and on its filesystem.
 *
 * Held by a lock as long as the run lives, so that a second one neither takes nor
 * empties it; what it holds when the lock is free was left by a run that was killed.
 * Only files and links under names of ours are ever removed from it.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool is_staged_name(const char *name)
{
    return strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16;
}

static int empty(int fd)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    int rc = dir ? 0 : -errno;

    for (struct dirent *d; !rc && (d = readdir(dir));)
        if (is_staged_name(d->d_name) && unlinkat(fd, d->d_name, 0) && errno != ENOENT && errno != EISDIR)
            rc = -errno;
    if (dir)
        closedir(dir);
    else if (again >= 0)
        close(again);
    return rc;
}

/* Somebody else's folder of this name would let them put things into the destination;
 * whoever owns that can do so anyway (without -o owners it is always one owner). */
static int check_ours(const struct transfer *t)
{
    struct stat st, up;

    if (fstat(t->staging, &st) || fstat(t->dest, &up))
        return -errno;
    return st.st_uid == geteuid() || st.st_uid == up.st_uid ? 0 : -EACCES;
}

/* Only root can give files away, and only where the filesystem keeps it: that is tried. */
static bool keeps_owners(int dir)
{
    static const char name[] = "0000000000000000";
    struct stat st;

    int fd = geteuid() ? -1 : openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool kept = fchown(fd, 1, 1) == 0 && fstat(fd, &st) == 0 && st.st_uid == 1 && st.st_gid == 1;
    close(fd);
    unlinkat(dir, name, 0);
    return kept;
}

/* Neither a rename that refuses to replace nor links: that is tried. */
static bool needs_claims(int dir)
{
    static const char name[] = "0000000000000000", other[] = "ffffffffffffffff";

    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    close(fd);
    bool needed = io_rename_new(dir, name, dir, other, FAULT_other) == -EINVAL;
    unlinkat(dir, name, 0);
    unlinkat(dir, other, 0);
    return needed;
}

/* -ESTALE when another run, which had it until now, has just removed it. */
static int take(struct transfer *t)
{
    struct stat st, named;

    if (mkdirat(t->dest, STAGING_NAME, 0700) && errno != EEXIST)
        return -errno;
    t->staging = openat(t->dest, STAGING_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = t->staging < 0 ? -errno : check_ours(t);
    if (!rc && flock(t->staging, LOCK_EX | LOCK_NB))
        rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (!rc && (fstat(t->staging, &st) || fstatat(t->dest, STAGING_NAME, &named, AT_SYMLINK_NOFOLLOW)))
        rc = errno == ENOENT ? -ESTALE : -errno;
    if (!rc && st.st_ino != named.st_ino)
        rc = -ESTALE;
    if (rc && t->staging >= 0)
        close(t->staging);
    t->staging = rc ? -1 : t->staging;
    return rc;
}

int staging_open(struct transfer *t)
{
    t->blamed = t->dest_path;
    int rc = take(t);
    while (rc == -ESTALE)
        rc = take(t);
    if (rc)
        return rc;
    fremovexattr(t->staging, "system.posix_acl_default");   /* files in it shall inherit nothing */
    rc = empty(t->staging);
    t->claims = !rc && needs_claims(t->staging);
    t->owners = !rc && keeps_owners(t->staging);
    return rc;
}

void staging_close(struct transfer *t)
{
    if (t->staging < 0)
        return;
    unlinkat(t->dest, STAGING_NAME, AT_REMOVEDIR);
    close(t->staging);
    t->staging = -1;
}
