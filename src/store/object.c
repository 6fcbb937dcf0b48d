/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Objects: get, size, put, sync.
 *
 * Invariants: a name that exists in the store is never replaced and what it
 * names is never written to; the staged file becomes the object by rename, or
 * stays: the name of a copy, or of what a sync client brought, is durable only
 * after store_sync.  So a put may be repeated after a crash at any step: it
 * finds its file still staged, or the equal object in place, or both.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_STEP (256u << 10)

static int not_arrived(int rc) { return rc == -ENOENT ? E_NOT_ARRIVED : rc; }

int store_get(struct store *s, const struct id128 *id)
{
    char name[OBJECT_NAME];
    struct stat st;

    int fan = reach_fan(s, id);
    if (fan < 0)
        return not_arrived(fan);
    object_name(id, name);
    int fd = reach_file(fan, name, &st);
    close(fan);
    return not_arrived(fd);
}

int store_size(struct store *s, const struct id128 *id, uint64_t *size)
{
    char name[OBJECT_NAME];
    struct stat st;

    int fan = reach_fan(s, id);
    if (fan < 0)
        return not_arrived(fan);
    object_name(id, name);
    int rc = reach_stat(fan, name, &st);
    close(fan);
    if (!rc)
        *size = (uint64_t)st.st_size;
    return not_arrived(rc);
}

/* --- put -------------------------------------------------------------------------- */

/* A put under way. */
struct put {
    int dirfd;                 /* staged file, borrowed */
    const char *name;
    int staged;                /* opened */
    struct stat st;
    const struct id128 *id;
    int fan;
    char object[OBJECT_NAME];
};

/* 0 when both hold the same `size` bytes, 1 when not. */
static int compare(int a, int b, uint64_t size)
{
    uint8_t *x = malloc(COPY_STEP), *y = malloc(COPY_STEP);
    int rc = x && y ? 0 : -ENOMEM;

    for (uint64_t at = 0; !rc && at < size; at += COPY_STEP) {
        size_t len = size - at < COPY_STEP ? (size_t)(size - at) : COPY_STEP;
        rc = io_read_at(a, x, len, at);
        if (!rc)
            rc = io_read_at(b, y, len, at);
        if (!rc)
            rc = memcmp(x, y, len) != 0;
    }
    free(x);
    free(y);
    return rc == -ENODATA ? 1 : rc;
}

/* Something has the name: success only if it is this very object. What is there
 * may have come by a sync client, so it is synced. */
static int settle(const struct put *p)
{
    struct stat st;

    int fd = reach_file(p->fan, p->object, &st);
    if (fd == E_FORMAT || fd == -ENOENT)
        return -EEXIST;
    if (fd < 0)
        return fd;
    int rc = st.st_size == p->st.st_size ? compare(p->staged, fd, (uint64_t)st.st_size) : 1;
    if (!rc && io_sync(fd, FAULT_store_copy))
        rc = E_STORE_SYNC;
    close(fd);
    return rc > 0 ? -EEXIST : rc;
}

static int copy_bytes(int from, int to, uint64_t size)
{
    uint8_t *bytes = malloc(COPY_STEP);
    int rc = bytes ? 0 : -ENOMEM;

    for (uint64_t at = 0; !rc && at < size; at += COPY_STEP) {
        size_t len = size - at < COPY_STEP ? (size_t)(size - at) : COPY_STEP;
        rc = io_read_at(from, bytes, len, at);
        if (!rc)
            rc = io_write_at(to, bytes, len, at, FAULT_store_copy);
    }
    free(bytes);
    return rc;
}

static int copy_in(const struct put *p)
{
    struct arrival a;

    int rc = arrival_begin(&a, p->fan, p->id);
    if (rc)
        return rc;
    rc = copy_bytes(p->staged, a.fd, (uint64_t)p->st.st_size);
    if (!rc)
        rc = arrival_place(&a, p->object);
    arrival_end(&a);
    return rc;
}

/* By rename; if that fails the staged file stays in use, so it is writable again
 * (also after a crash in between, when it was found without that right). */
static int rename_in(const struct put *p)
{
    int rc = make_constant(p->staged);

    if (!rc)
        rc = move_new(p->dirfd, p->name, p->fan, p->object);
    if (rc && fchmod(p->staged, (p->st.st_mode | S_IWUSR) & 07777))
        return rc;                   /* the first error tells more */
    return rc;
}

static int place(const struct put *p)
{
    struct stat st;
    bool there = reach_stat(p->fan, p->object, &st) != -ENOENT;
    int rc = there ? -EEXIST : rename_in(p);

    if (rc == -EXDEV)
        rc = copy_in(p);
    return rc == -EEXIST ? settle(p) : rc;
}

/* Of the store, not of the staged file: -ENOENT is kept for that one. */
static int put_error(int rc)
{
    return rc == -EROFS || rc == -EACCES ? E_STORE_READ_ONLY : rc == -ENOENT ? E_STORE_MISSING : rc;
}

int store_put(struct store *s, int dirfd, const char *name, const struct id128 *id)
{
    struct put p = { .dirfd = dirfd, .name = name, .id = id };

    p.staged = reach_file(dirfd, name, &p.st);
    if (p.staged < 0)
        return p.staged;
    object_name(id, p.object);
    int rc = p.fan = make_fan(s, id);
    if (rc >= 0) {
        rc = place(&p);
        close(p.fan);
    }
    close(p.staged);
    return put_error(rc);
}

static int sync_dir(int dirfd)
{
    return io_sync_dir(dirfd, FAULT_store_dir_sync) ? E_STORE_SYNC : 0;
}

/* The fan-out directory itself may be new, made by us or by a sync client that
 * syncs nothing; so the two levels above follow. */
static int sync_above(const struct store *s)
{
    int segments = reach_dir(s->root, SEGMENTS);
    if (segments < 0)
        return not_arrived(segments);
    int rc = sync_dir(segments);
    close(segments);
    return rc ? rc : sync_dir(s->root);
}

int store_sync(struct store *s, const struct id128 *ids, size_t count)
{
    bool done[FAN_OUT] = { false };
    int rc = 0;

    for (size_t k = 0; !rc && k < count; k++) {
        if (done[ids[k].b[0]])
            continue;
        done[ids[k].b[0]] = true;
        int fan = reach_fan(s, &ids[k]);
        if (fan < 0)
            return not_arrived(fan);
        rc = sync_dir(fan);
        close(fan);
    }
    return rc || !count ? rc : sync_above(s);
}
