/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading a small file whole.
 *
 * The file may be anything that somebody planted: a link is not followed, a
 * FIFO or a device does not make us wait, and no more is allocated than the
 * caller allows.  It may also hold a secret, so memory that is given up on the
 * way is wiped.  Sizes are not believed: files of /proc say 0.
 */
#include <ecluse/io.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_ROOM 4096u

struct contents { uint8_t *data; size_t len, room; };

static void discard(struct contents *c)
{
    if (c->data)
        explicit_bzero(c->data, c->room);
    free(c->data);
    c->data = NULL;
}

static int grow(struct contents *c, size_t room)
{
    uint8_t *data = malloc(room);
    if (!data)
        return -ENOMEM;
    if (c->len)
        memcpy(data, c->data, c->len);
    discard(c);
    c->data = data;
    c->room = room;
    return 0;
}

/* Reads to the end.  There is always room for one byte more than was read, in
 * the end for the NUL. */
static int read_all(int fd, size_t limit, struct contents *c)
{
    for (;;) {
        ssize_t n = read(fd, c->data + c->len, c->room - c->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : 0;
        c->len += (size_t)n;
        if (c->len > limit)
            return -EFBIG;
        if (c->len == c->room) {
            int rc = grow(c, c->room > limit / 2 ? limit + 1 : 2 * c->room);
            if (rc)
                return rc;
        }
    }
}

static int check_regular(int fd, struct stat *st)
{
    return fstat(fd, st) ? -errno : S_ISDIR(st->st_mode) ? -EISDIR : S_ISREG(st->st_mode) ? 0 : -EINVAL;
}

int io_read_fd(int fd, size_t limit, uint8_t **out, size_t *len)
{
    struct contents c = { 0 };
    struct stat st;

    if (limit == SIZE_MAX)
        limit--;
    int rc = check_regular(fd, &st);
    if (!rc && (uint64_t)st.st_size > limit)
        rc = -EFBIG;
    if (!rc)
        rc = grow(&c, st.st_size ? (size_t)st.st_size + 1 : limit < FIRST_ROOM ? limit + 1 : FIRST_ROOM);
    if (!rc)
        rc = read_all(fd, limit, &c);
    if (rc) {
        discard(&c);
        return rc;
    }
    c.data[c.len] = '\0';
    *out = c.data;
    *len = c.len;
    return 0;
}

int io_read_file(int dirfd, const char *name, size_t limit, uint8_t **out, size_t *len)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = io_read_fd(fd, limit, out, len);
    close(fd);
    return rc;
}
