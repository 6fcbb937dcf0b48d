/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Durable I/O on files and directories.
 *
 * A call that fails says so once; nothing here tries again what the kernel
 * refused, but for EINTR, which says that nothing was done.  After a failed
 * sync the kernel may have dropped the pages and called them clean: a second
 * sync would succeed and lie, so callers must not ask for one.
 *
 * Failpoints stand before the step that they name.
 */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* An interrupted call would have been made again. */
static int passes(enum fault_point point)
{
    int rc = fault_hit(point);
    return rc == -EINTR ? 0 : rc;
}

static bool beyond(size_t len, uint64_t offset)
{
    return offset > INT64_MAX || len > INT64_MAX - offset;
}

static int write_all(int fd, const void *buf, size_t len, uint64_t offset)
{
    const uint8_t *p = buf;

    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int io_write_at(int fd, const void *buf, size_t len, uint64_t offset, enum fault_point point)
{
    size_t landed = 0;

    if (beyond(len, offset))
        return -EFBIG;
    int rc = fault_write(point, len, &landed);
    if (rc == -EINTR)
        rc = 0;
    if (!rc)
        return write_all(fd, buf, len, offset);
    write_all(fd, buf, landed, offset);
    fault_landed(rc);
    return rc;
}

int io_read_at(int fd, void *buf, size_t len, uint64_t offset)
{
    uint8_t *p = buf;

    if (beyond(len, offset))
        return -ENODATA;
    while (len) {
        ssize_t n = pread(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENODATA;
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* --- syncing -------------------------------------------------------------------- */

static int sync_with(int (*sync)(int), int fd, enum fault_point point)
{
    int rc = passes(point);
    if (rc)
        return rc;
    while (sync(fd))
        if (errno != EINTR)
            return -errno;
    return 0;
}

int io_sync(int fd, enum fault_point point) { return sync_with(fdatasync, fd, point); }
int io_sync_all(int fd, enum fault_point point) { return sync_with(fsync, fd, point); }

/* A filesystem that cannot sync a directory says EINVAL (some network ones);
 * there is nothing more to be had from it. */
int io_sync_dir(int dirfd, enum fault_point point)
{
    int rc = sync_with(fsync, dirfd, point);
    return rc == -EINVAL || rc == -EOPNOTSUPP ? 0 : rc;
}

int io_sync_dir_path(const char *path, enum fault_point point)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = io_sync_dir(fd, point);
    close(fd);
    return rc;
}

/* --- whole files ---------------------------------------------------------------- */

/* What a filesystem says of a flag of renameat2 that it does not know. */
static bool knows_not(int error)
{
    return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

/* Where the filesystem has no RENAME_NOREPLACE a hard link is as
 * exclusive and as complete.  The old name, should it stay, is a second name
 * of a finished file, and harmless. */
int io_rename_new(int from_dir, const char *from, int to_dir, const char *to, enum fault_point point)
{
    int rc = passes(point);
    if (rc)
        return rc;
    if (!renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE))
        return 0;
    if (!knows_not(errno))
        return -errno;
    if (linkat(from_dir, from, to_dir, to, 0))
        return errno == EEXIST || errno == ENOSPC || errno == EDQUOT ? -errno : -EINVAL;
    unlinkat(from_dir, from, 0);
    return 0;
}

/* An even number of seconds, in the local time too, that FAT can write. */
#define CLAIM_TIME 315705600         /* 1980-01-03T00:00:00Z */

bool io_is_claim(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_size == 0 && st->st_mtim.tv_sec == CLAIM_TIME && st->st_mtim.tv_nsec == 0;
}

static int claim(int dir, const char *name, struct stat *mine)
{
    const struct timespec times[2] = { { .tv_sec = CLAIM_TIME }, { .tv_sec = CLAIM_TIME } };

    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    futimens(fd, times);             /* without it the claim is an empty file like others */
    int rc = fstat(fd, mine) ? -errno : 0;
    if (close(fd) && !rc)
        rc = -errno;
    if (rc)
        unlinkat(dir, name, 0);
    return rc;
}

/* 0, or -EEXIST when somebody took it or wrote into it; numbers of inodes may change. */
static int look_at_claim(int dir, const char *name, const struct stat *mine)
{
    struct stat now;

    if (fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW))
        return -errno;
    return io_is_claim(&now) || (S_ISREG(now.st_mode) && now.st_ino == mine->st_ino && !now.st_size) ? 0 : -EEXIST;
}

int io_rename_claiming(int from_dir, const char *from, int to_dir, const char *to, enum fault_point point)
{
    struct stat mine;

    int rc = io_rename_new(from_dir, from, to_dir, to, point);
    if (rc != -EINVAL)
        return rc;
    rc = claim(to_dir, to, &mine);
    if (rc)
        return rc;
    int failed = passes(point);
    rc = look_at_claim(to_dir, to, &mine);
    if (rc)
        return rc;
    if (!failed && renameat(from_dir, from, to_dir, to))
        failed = errno == EEXIST ? -EOPNOTSUPP : -errno;
    if (failed && !look_at_claim(to_dir, to, &mine))
        unlinkat(to_dir, to, 0);
    return failed;
}

/* The rename of the keyring is a point of its own. */
static enum fault_point rename_point(enum fault_point point)
{
    return point == FAULT_keyring_write ? FAULT_keyring_rename : point;
}

static int replace_with(int dirfd, const char *temporary, const char *name, enum fault_point point)
{
    int rc = passes(rename_point(point));
    if (rc)
        return rc;
    return renameat(dirfd, temporary, dirfd, name) ? -errno : 0;
}

int io_replace_file(int dirfd, const char *name, const void *bytes, size_t len, enum fault_point point)
{
    char temporary[256];
    uint64_t random;
    int rc, n;

    if (!*name || strchr(name, '/'))
        return -EINVAL;              /* the directory that is synced is dirfd */
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    n = snprintf(temporary, sizeof temporary, "%s.new-%016llx", name, (unsigned long long)random);
    if (n >= (int)sizeof temporary)
        return -ENAMETOOLONG;
    int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    rc = io_write_at(fd, bytes, len, 0, point);
    if (!rc)
        rc = sync_with(fsync, fd, point);
    if (close(fd) && !rc && errno != EINTR)
        rc = -errno;
    if (!rc)
        rc = replace_with(dirfd, temporary, name, point);
    if (rc)
        unlinkat(dirfd, temporary, 0);
    return rc ? rc : io_sync_dir(dirfd, point);
}
