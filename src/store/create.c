/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Making a store: directories first, the header last.
 *
 * The header is what makes a directory a store, so whoever sees it sees a
 * complete one.  On error exactly what was made here is removed again:
 * directories by rmdir, which spares what somebody else put in meanwhile.  What
 * a killed creation left (the directories, empty, and perhaps a header without
 * its name) counts as nothing, and is used.
 */
#include "internal.h"
#include <dirent.h>
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What was made so far. */
struct making {
    const char *path;
    char header[HEADER_NAME];
    int root, segments;        /* descriptors, -1 before */
    unsigned fans;
    bool made_root, made_segments, made_header;
};

/* Calls visit for each entry of a directory below `dir`; a non-zero return ends it. */
static int each_entry(int dir, const char *name, int (*visit)(int dir, const char *name))
{
    const struct dirent *e;
    int rc = 0, fd = reach_dir(dir, name);

    if (fd < 0)
        return fd;
    DIR *d = fdopendir(fd);
    if (!d) {
        rc = -errno;
        close(fd);
        return rc;
    }
    while (!rc && (errno = 0, e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = visit(fd, e->d_name);
    if (!rc && errno)
        rc = -errno;
    closedir(d);
    return rc;
}

static int refuse(int dir, const char *name)
{
    (void)dir, (void)name;
    return E_STORE_NOT_EMPTY;
}

static int expect_empty_fan(int dir, const char *name)
{
    int rc = is_fan_name(name) ? each_entry(dir, name, refuse) : E_STORE_NOT_EMPTY;
    return rc == E_FORMAT ? E_STORE_NOT_EMPTY : rc;
}

static int expect_leftover(int dir, const char *name)
{
    if (is_hidden_name(name))
        return 0;
    int rc = strcmp(name, SEGMENTS) ? E_STORE_NOT_EMPTY : each_entry(dir, name, expect_empty_fan);
    return rc == E_FORMAT ? E_STORE_NOT_EMPTY : rc;
}

static int remove_hidden(int dir, const char *name)
{
    return is_hidden_name(name) && unlinkat(dir, name, 0) ? -errno : 0;
}

int store_vacant(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    int rc = each_entry(dir, ".", expect_leftover);
    close(dir);
    return rc;
}

static int make_root(struct making *m)
{
    if (mkdir(m->path, STORE_DIR_MODE) == 0)
        m->made_root = true;
    else if (errno != EEXIST)
        return -errno;
    m->root = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->root < 0)
        return -errno;
    int rc = each_entry(m->root, ".", expect_leftover);
    return rc ? rc : each_entry(m->root, ".", remove_hidden);
}

static int make_directories(struct making *m)
{
    char name[FAN_NAME];

    if (mkdirat(m->root, SEGMENTS, STORE_DIR_MODE) && errno != EEXIST)
        return -errno;
    m->made_segments = true;
    m->segments = reach_dir(m->root, SEGMENTS);
    if (m->segments < 0)
        return m->segments;
    for (; m->fans < FAN_OUT; m->fans++) {
        fan_name((uint8_t)m->fans, name);
        if (mkdirat(m->segments, name, STORE_DIR_MODE) && errno != EEXIST)
            return -errno;
    }
    int rc = io_sync_dir(m->segments, FAULT_store_dir_sync);
    return rc ? rc : io_sync_dir(m->root, FAULT_store_dir_sync);
}

static int place_header(struct making *m, const struct id128 *vault, const void *header, size_t len)
{
    struct arrival a;

    header_name(vault, m->header);
    int rc = arrival_begin(&a, m->root, vault);
    if (rc)
        return rc;
    rc = io_write_at(a.fd, header, len, 0, FAULT_store_copy);
    if (!rc)
        rc = arrival_place(&a, m->header);
    m->made_header = rc != -EEXIST;   /* or may have been, by a link whose first name stayed */
    arrival_end(&a);
    return rc ? rc : io_sync_dir(m->root, FAULT_store_dir_sync);
}

/* The directory's own name, when it is new. */
static int sync_parent(const struct making *m)
{
    if (!m->made_root)
        return 0;
    int parent = openat(m->root, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return errno == EACCES ? 0 : -errno;   /* one may write there and not read */
    int rc = io_sync_dir(parent, FAULT_store_dir_sync);
    close(parent);
    return rc;
}

static void unmake(struct making *m)
{
    char name[FAN_NAME];

    if (m->made_header)
        unlinkat(m->root, m->header, 0);
    while (m->segments >= 0 && m->fans) {
        fan_name((uint8_t)--m->fans, name);
        unlinkat(m->segments, name, AT_REMOVEDIR);
    }
    if (m->made_segments)
        unlinkat(m->root, SEGMENTS, AT_REMOVEDIR);
    if (m->made_root)
        rmdir(m->path);
}

int store_create(const char *path, const struct id128 *vault, const void *header, size_t len)
{
    struct making m = { .path = path, .root = -1, .segments = -1 };

    if (!len || len > HEADER_LIMIT)
        return -EINVAL;
    int rc = make_root(&m);
    if (!rc)
        rc = make_directories(&m);
    if (!rc)
        rc = sync_parent(&m);
    if (!rc)
        rc = place_header(&m, vault, header, len);
    if (rc)
        unmake(&m);
    if (m.segments >= 0)
        close(m.segments);
    if (m.root >= 0)
        close(m.root);
    return rc;
}
