/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What belongs to a file besides its contents: owner, mode, extended attributes
 * (among them access lists and capabilities), times.
 *
 * The order matters: a change of owner takes set-user-id bits away, and the mode comes
 * last, for it tells a folder that is finished (FOLDER_BEGUN) from one that is not.
 * Attributes that belong to the machine (labels, measurements, other filesystems' own) are neither copied nor
 * compared.
 */
#include "transfer.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_PREFIX "system.posix_acl_"
#define VALUE_MAX 65536
#define LIST_MAX 65536

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_kept(const char *name)
{
    return starts_with(name, "user.") || starts_with(name, "trusted.") || starts_with(name, ACL_PREFIX) ||
           strcmp(name, "security.capability") == 0;
}

/* The list of a regular file or folder, malloc'd; its length, 0 without any. */
static ssize_t list_all(int fd, char **out)
{
    *out = NULL;
    ssize_t len = flistxattr(fd, NULL, 0);
    if (len <= 0)
        return len < 0 && errno != EOPNOTSUPP && errno != ENOSYS ? -errno : 0;
    *out = malloc(LIST_MAX);
    if (!*out)
        return -ENOMEM;
    len = flistxattr(fd, *out, LIST_MAX);
    return len < 0 ? -errno : len;
}

/* --- copying ------------------------------------------------------------------------- */

/* The disk is full, or its connection is gone: not a matter of this attribute. */
static bool is_disaster(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EROFS || error == EIO || error == ENOTCONN || error == ENOMEM;
}

static int copy_one(int from, int to, const char *name, char *value)
{
    ssize_t len = fgetxattr(from, name, value, VALUE_MAX);

    if (len < 0)
        return errno == ENODATA ? 0 : 1;
    if (fsetxattr(to, name, value, (size_t)len, 0) == 0)
        return 0;
    /* ENOSPC is also what a value gets that is too large for the filesystem. */
    return is_disaster(errno) && errno != ENOSPC ? -errno : 1;
}

static bool is_in(const char *list, ssize_t len, const char *name)
{
    for (const char *s = list; s && s < list + len; s += strlen(s) + 1)
        if (strcmp(s, name) == 0)
            return true;
    return false;
}

/* What a new folder inherited and the source does not have. */
static void drop_inherited(int to, const char *list, ssize_t len)
{
    static const char *const names[] = { ACL_PREFIX "access", ACL_PREFIX "default" };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++)
        if (!is_in(list, len, names[k]))
            fremovexattr(to, names[k]);
}

static int copy_extended(int from, int to, bool folder)
{
    char *list = NULL, *value = NULL;
    int worst = 0, rc = 0;

    ssize_t len = list_all(from, &list);
    if (len < 0)
        return len == -ENOMEM ? -ENOMEM : 1;
    if (len > 0)
        value = malloc(VALUE_MAX);
    if (len > 0 && !value)
        rc = -ENOMEM;
    if (folder)
        drop_inherited(to, list, len);
    for (const char *s = list; rc >= 0 && s && s < list + len; s += strlen(s) + 1) {
        rc = is_kept(s) ? copy_one(from, to, s, value) : 0;
        worst = rc > worst ? rc : worst;
    }
    free(value);
    free(list);
    return rc < 0 ? rc : worst;
}

/* Only root can give files away; a group may be given by whoever is in it. */
static int copy_owner(struct transfer *t, int to, const struct stat *st)
{
    uid_t uid = t->owners ? st->st_uid : (uid_t)-1;

    if (fchownat(to, "", uid, st->st_gid, AT_EMPTY_PATH) && is_disaster(errno))
        return -errno;
    t->owners_lost |= !t->owners;
    return 0;
}

static int copy_times(int to, const struct stat *st)
{
    const struct timespec times[2] = { st->st_atim, st->st_mtim };

    if (utimensat(to, "", times, AT_EMPTY_PATH) == 0)
        return 0;
    return is_disaster(errno) ? -errno : 1;
}

/* A program that runs as its owner or group, whoever runs it, must not run as another one
 * because they were not kept. */
static mode_t mode_for(const struct stat *st, uid_t uid, gid_t gid)
{
    mode_t mode = st->st_mode & 07777;

    if (!S_ISDIR(st->st_mode) && uid != st->st_uid)
        mode &= ~(mode_t)S_ISUID;
    if (!S_ISDIR(st->st_mode) && gid != st->st_gid)
        mode &= ~(mode_t)S_ISGID;
    return mode;
}

static int copy_mode(int to, mode_t mode, const struct stat *now)
{
    if (mode == (now->st_mode & 07777) || fchmod(to, mode) == 0)
        return 0;
    return is_disaster(errno) ? -errno : 1;
}

int attributes_copy(struct transfer *t, int from, int to, const struct stat *st)
{
    bool link = S_ISLNK(st->st_mode);
    struct stat now;
    int rc[4] = { 0 }, worst = 0;

    if (fstat(to, &now))
        return -errno;
    if (now.st_uid != st->st_uid || now.st_gid != st->st_gid)
        rc[0] = copy_owner(t, to, st);
    if (fstat(to, &now))
        return -errno;
    if (!link)
        rc[1] = copy_extended(from, to, S_ISDIR(st->st_mode));
    rc[2] = copy_times(to, st);
    if (!link)
        rc[3] = copy_mode(to, mode_for(st, now.st_uid, now.st_gid), &now);
    for (size_t k = 0; k < ARRAY_SIZE(rc); k++) {
        if (rc[k] < 0)
            return rc[k];
        worst |= rc[k];
    }
    return worst;
}

/* --- comparing ---------------------------------------------------------------------------- */

static size_t count_kept(const char *list, ssize_t len)
{
    size_t n = 0;

    for (const char *s = list; s && s < list + len; s += strlen(s) + 1)
        n += is_kept(s);
    return n;
}

/* 0 when every attribute of `from` is at `to` with the same value. */
static int compare_values(int from, int to, const char *list, ssize_t len)
{
    char *values = malloc(2 * VALUE_MAX);
    int rc = values ? 0 : -ENOMEM;

    for (const char *s = list; !rc && s < list + len; s += strlen(s) + 1) {
        if (!is_kept(s))
            continue;
        ssize_t a = fgetxattr(from, s, values, VALUE_MAX), b = fgetxattr(to, s, values + VALUE_MAX, VALUE_MAX);
        rc = a < 0 || a != b || memcmp(values, values + VALUE_MAX, (size_t)a);
    }
    free(values);
    return rc < 0 ? rc : rc != 0;
}

static int compare_extended(int from, int to)
{
    char *list = NULL, *other = NULL;
    int rc = 1;

    ssize_t len = list_all(from, &list), other_len = list_all(to, &other);
    if (len == -ENOMEM || other_len == -ENOMEM)
        rc = -ENOMEM;
    else if (len >= 0 && other_len >= 0 && count_kept(list, len) == count_kept(other, other_len))
        rc = count_kept(list, len) ? compare_values(from, to, list, len) : 0;
    free(list);
    free(other);
    return rc;
}

static bool same_time(const struct timespec *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && (uint32_t)a->tv_nsec == b->tv_nsec;
}

int attributes_compare(const struct transfer *t, int from, int to, const struct stat *st)
{
    struct statx x;

    /* Not what the kernel remembers: what the filesystem says. */
    if (statx(to, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x))
        return -errno;
    if (!same_time(&st->st_mtim, &x.stx_mtime))
        return 1;
    if (t->owners && (x.stx_uid != st->st_uid || x.stx_gid != st->st_gid))
        return 1;
    if (S_ISLNK(st->st_mode))
        return 0;
    return (x.stx_mode & 07777) != mode_for(st, x.stx_uid, x.stx_gid) ? 1 : compare_extended(from, to);
}
