/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Opening a store: one directory, one header.
 *
 * The header is the only regular file at the top whose name has exactly the
 * form vault-<32 hex>.ecl.  Two of them are refused rather than chosen between:
 * whoever can plant a file must not decide which vault is opened.  What the
 * header says is for src/keys to judge.  A copy of a store arrives in any order:
 * where there are objects and no header, or an empty one, it is on its way.
 *
 * Only the root's descriptor is kept; everything below is reached anew each
 * time (see reach.c), so a missing segments/ is a store whose objects have not
 * arrived.
 */
#include "internal.h"
#include <dirent.h>
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int first_object(void *ctx, const struct id128 *id, uint64_t size)
{
    (void)ctx, (void)id, (void)size;
    return 1;
}

/* Finds the header's name: E_NOT_VAULT for none or several, E_NOT_ARRIVED for
 * none among objects. */
static int find_header(struct store *s, DIR *d, char out[HEADER_NAME])
{
    const struct dirent *e;
    struct stat st;
    int found = 0;

    while (errno = 0, (e = readdir(d))) {
        if (!is_header_name(e->d_name))
            continue;
        int rc = reach_stat(dirfd(d), e->d_name, &st);
        if (rc == E_FORMAT || rc == -ENOENT)
            continue;
        if (rc)
            return rc;
        memcpy(out, e->d_name, HEADER_NAME);
        found++;
    }
    if (errno)
        return -errno;
    if (!found && store_list(s, first_object, NULL, NULL) == 1)
        return E_NOT_ARRIVED;
    return found == 1 ? 0 : E_NOT_VAULT;
}

static int read_header(const struct store *s, uint8_t **out, size_t *len)
{
    struct stat st;

    int fd = reach_file(s->root, s->header, &st);
    if (fd < 0)
        return fd;
    size_t size = (size_t)st.st_size;
    uint8_t *bytes = NULL;
    int rc = st.st_size > HEADER_LIMIT ? E_FORMAT : size ? 0 : E_NOT_ARRIVED;
    if (!rc && !(bytes = malloc(size)))
        rc = -ENOMEM;
    if (!rc)
        rc = io_read_at(fd, bytes, size, 0);
    close(fd);
    if (rc) {
        free(bytes);
        return rc == -ENODATA ? E_FORMAT : rc;
    }
    *out = bytes;
    *len = size;
    return 0;
}

static int open_root(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    return errno == ENOENT ? E_STORE_MISSING : errno == ENOTDIR ? E_NOT_VAULT : -errno;
}

bool store_is_at(const struct store *s, const char *path)
{
    char name[64], where[PATH_MAX];

    snprintf(name, sizeof name, "/proc/self/fd/%d", s->root);
    ssize_t len = readlink(name, where, sizeof where - 1);
    if (len <= 0)
        return true;             /* nobody can tell */
    where[len] = '\0';
    return strcmp(where, path) == 0;
}

int store_open(struct store **out, const char *path, uint8_t **header, size_t *header_len)
{
    struct store *s = calloc(1, sizeof *s);
    DIR *d = NULL;

    *out = NULL;
    if (!s)
        return -ENOMEM;
    int rc = s->root = open_root(path);
    if (rc >= 0) {
        int listing = reach_dir(s->root, ".");
        d = listing < 0 ? NULL : fdopendir(listing);
        rc = listing < 0 ? listing : d ? 0 : -errno;
        if (!d && listing >= 0)
            close(listing);
    }
    if (!rc)
        rc = find_header(s, d, s->header);
    if (!rc)
        rc = read_header(s, header, header_len);
    if (d)
        closedir(d);
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->root >= 0)
        close(s->root);
    free(s);
}

bool store_present(struct store *s)
{
    struct stat st;

    return reach_stat(s->root, s->header, &st) == 0;
}

/* A file without a name is the trial that leaves no trace; where there are none,
 * or no inode is left, what the permissions say has to do. */
static int try_nameless(int dir)
{
    int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT ||
           errno == ENOSYS || errno == ENOSPC || errno == EDQUOT ? 0 : -errno;
}

int store_writable(struct store *s)
{
    struct statvfs v;

    int dir = reach_dir(s->root, SEGMENTS);
    if (dir == -ENOENT)              /* a put would make it */
        dir = reach_dir(s->root, ".");
    int rc = dir < 0 ? dir : fstatvfs(dir, &v) ? -errno : v.f_flag & ST_RDONLY ? -EROFS : 0;
    if (!rc && faccessat(dir, ".", W_OK | X_OK, AT_EACCESS))
        rc = -errno;
    if (!rc)
        rc = try_nameless(dir);
    if (dir >= 0)
        close(dir);
    return rc == -EROFS || rc == -EACCES || rc == -EPERM ? E_STORE_READ_ONLY : rc;
}

const char *store_header_name(const struct store *s)
{
    return s->header;
}

int store_statvfs(struct store *s, struct statvfs *out)
{
    return fstatvfs(s->root, out) ? -errno : 0;
}
