/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The contents of one file, from a source that may change under our hands.
 *
 * What was copied counts only when the file is the same afterwards (inode, size, both
 * times); else it is copied again, a few times.  Writes that leave no trace in the times
 * (through a map) are found when the copy is verified.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <unistd.h>

#define TRIES 3
#define WRITTEN_AHEAD (8u << 20)

bool copy_same_state(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* O_NOATIME is for owners only; O_NONBLOCK, should it be a pipe by now. */
int copy_open_source(const struct node *n, struct stat *st)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

    if (S_ISLNK(n->st.st_mode))
        flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(n->from, n->name, S_ISLNK(n->st.st_mode) ? flags : flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(n->from, n->name, flags);
    if (fd < 0)
        return -errno;
    if (fstat(fd, st) == 0 && (st->st_mode & S_IFMT) == (n->st.st_mode & S_IFMT))
        return fd;
    close(fd);
    return -ESTALE;
}

static int read_some(int fd, uint8_t *buffer, size_t size, off_t at, ssize_t *got)
{
    do
        *got = pread(fd, buffer, size, at);
    while (*got < 0 && errno == EINTR && !signals_caught());
    return *got < 0 ? -errno : 0;
}

/* The disk begins early with what is to be synced soon; the vault decides for itself. */
static void write_ahead(const struct transfer *t, int to, off_t from, off_t at)
{
    off_t begun = from / WRITTEN_AHEAD * WRITTEN_AHEAD, now = at / WRITTEN_AHEAD * WRITTEN_AHEAD;

    if (!t->import && now > begun)
        sync_file_range(to, begun, now - begun, SYNC_FILE_RANGE_WRITE);
}

/* The bytes from `at` to `end`, which may come to an end before. */
static int copy_range(struct transfer *t, int from, int to, off_t at, off_t end, enum side *side)
{
    while (at < end) {
        size_t size = end - at < (off_t)COPY_SIZE ? (size_t)(end - at) : COPY_SIZE;
        ssize_t got;

        *side = SIDE_SOURCE;
        int rc = signals_caught() ? -EINTR : read_some(from, t->buffer, size, at, &got);
        if (rc || got == 0)
            return rc;
        *side = SIDE_DEST;
        rc = io_write_at(to, t->buffer, (size_t)got, (uint64_t)at, FAULT_transfer_write);
        if (rc)
            return rc;
        write_ahead(t, to, at, at + got);
        at += got;
        t->meter.bytes += (uint64_t)got;
        meter_show(&t->meter);
    }
    return 0;
}

/* Holes stay holes, where the source's filesystem tells them. */
static int copy_data(struct transfer *t, int from, int to, const struct stat *st, enum side *side)
{
    off_t at = 0, end = 0, size = st->st_size;
    bool sparse = st->st_blocks * 512 < size;

    for (; at < size; at = end) {
        off_t data = sparse ? lseek(from, at, SEEK_DATA) : at;
        if (data < 0 && errno == ENXIO)
            data = size;
        if (data < 0) {
            data = at;
            sparse = false;
        }
        end = sparse && data < size ? lseek(from, data, SEEK_HOLE) : size;
        end = end < 0 || end > size ? size : end;
        t->meter.bytes += (uint64_t)(data - at);
        int rc = copy_range(t, from, to, data, end, side);
        if (rc)
            return rc;
    }
    *side = SIDE_DEST;
    return sparse && ftruncate(to, size) ? -errno : 0;
}

int copy_fill(struct transfer *t, int from, int to, struct stat *st, enum side *side)
{
    uint64_t before = t->meter.bytes;
    struct stat now;

    for (int tries = 0; tries < TRIES; tries++) {
        t->meter.bytes = before;
        int rc = tries && ftruncate(to, 0) ? -errno : copy_data(t, from, to, st, side);
        if (rc)
            return rc;
        *side = SIDE_SOURCE;
        if (fstat(from, &now))
            return -errno;
        if (copy_same_state(st, &now))
            return 0;
        *st = now;
    }
    t->meter.bytes = before;
    return -EBUSY;
}
