/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Opening an object, and telling apart the ways in which it can fail to open.
 *
 * Three causes must never be taken for one another, for their remedies differ:
 * somebody altered it, it has not arrived whole, it was never ours.  So more is
 * looked at than a mount needs:
 *
 *   the front    all 96 bytes are known beforehand from the key and the name. What
 *                is shorter and agrees is the beginning of the object; what is as long
 *                and does not agree is ours all the same when its commitment is the
 *                right one, when its trailer opens, or when it claims to be this object
 *   the size     a trailer that opens at a smaller size class: something was added
 *   zeros        sync clients make room before they fill it
 *
 * Not told apart: an object that was cut to exactly a smaller size class, and one
 * whose trailer was altered; who knows its length decides (check.c).
 */
#include "inspect.h"
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define PAGES_AT_ONCE 64u

static bool all_zero(const uint8_t *p, size_t len)
{
    return !len || (!p[0] && memcmp(p, p + 1, len - 1) == 0);
}

bool has_zero_page(int fd, uint64_t size)
{
    uint8_t *bytes = malloc(PAGES_AT_ONCE * PAGE);
    bool found = false;

    for (uint64_t at = 0; bytes && !found && at + PAGE <= size; at += PAGES_AT_ONCE * PAGE) {
        uint64_t left = (size - at) / PAGE;
        size_t pages = left < PAGES_AT_ONCE ? (size_t)left : PAGES_AT_ONCE;
        if (io_read_at(fd, bytes, pages * PAGE, at))
            break;
        for (size_t k = 0; k < pages && !found; k++)
            found = all_zero(bytes + k * PAGE, PAGE);
    }
    free(bytes);
    return found;
}

/* --- the front --------------------------------------------------------------------- */

/* The key of that object, and the bytes that its file begins with. */
static int expect_front(const struct keyring *keys, const struct id128 *id, uint32_t epoch,
                        struct segment_key **key, uint8_t front[SEGMENT_DATA])
{
    struct segment_header h = { .format = SEGMENT_FORMAT, .suite = keyring_suite(keys), .epoch = epoch,
                                .vault = *keyring_vault(keys), .segment = *id };
    const uint8_t *epoch_key = keyring_epoch_key(keys, epoch);

    if (!epoch_key)
        return -ENOENT;
    int rc = segment_key_new(key, &h, epoch_key);
    if (!rc)
        segment_header_write(front, &h, *key);
    return rc;
}

static int open_trailer(int fd, uint64_t size, struct segment_key *key, uint64_t *at, uint64_t *len)
{
    uint8_t trailer[SEGMENT_TRAILER];

    if (size < SEGMENT_MIN)
        return E_AUTH;
    int rc = io_read_at(fd, trailer, sizeof trailer, size - sizeof trailer);
    return rc ? rc : segment_trailer_open(key, size, trailer, at, len);
}

/* Under one epoch's key: is it ours, or the beginning of ours? INSPECT_STRANGE if neither. */
static enum inspection judge_under(const struct keyring *keys, const struct id128 *id, uint32_t epoch, int fd,
                                   uint64_t size, const uint8_t *front, size_t got)
{
    uint8_t expected[SEGMENT_DATA];
    struct segment_key *key = NULL;
    uint64_t at, len;
    enum inspection result = INSPECT_STRANGE;

    int rc = expect_front(keys, id, epoch, &key, expected);
    if (!rc && got < SEGMENT_DATA)
        result = memcmp(front, expected, got) == 0 ? INSPECT_SHORT : INSPECT_STRANGE;
    else if (!rc && (memcmp(front + SEGMENT_HEADER, expected + SEGMENT_HEADER, SHA256_SIZE) == 0 ||
                     open_trailer(fd, size, key, &at, &len) == 0))
        result = INSPECT_FRONT;
    segment_key_free(key);
    return result;
}

/* An authentic front of another object of the vault? */
static bool is_misplaced(const struct keyring *keys, const struct segment_header *h, const uint8_t front[SEGMENT_DATA])
{
    uint8_t expected[SEGMENT_DATA];
    struct segment_key *key = NULL;

    int rc = expect_front(keys, &h->segment, h->epoch, &key, expected);
    segment_key_free(key);
    return !rc && memcmp(front, expected, sizeof expected) == 0;
}

/* The front is not the one that it should be. */
static enum inspection judge_front(const struct keyring *keys, const struct id128 *id, int fd, uint64_t size,
                                   const uint8_t *front, size_t got)
{
    struct segment_header h;
    enum inspection result = INSPECT_STRANGE;

    if (all_zero(front, got) && size <= SEGMENT_MAX)
        return size < SEGMENT_MIN ? INSPECT_SHORT : INSPECT_FILLING;
    for (uint32_t epoch = 0; result == INSPECT_STRANGE && epoch <= keyring_epoch(keys); epoch++)
        result = judge_under(keys, id, epoch, fd, size, front, got);
    if (result != INSPECT_STRANGE || got < SEGMENT_DATA)
        return result;
    int rc = segment_header_parse(front, &h);
    if (rc)
        return rc == E_NEWER_FORMAT ? INSPECT_NEWER : INSPECT_STRANGE;
    if (is_misplaced(keys, &h, front))
        return INSPECT_MISPLACED;
    return id_equal(&h.vault, keyring_vault(keys)) && id_equal(&h.segment, id) ? INSPECT_FRONT : INSPECT_STRANGE;
}

/* The key when the front is right; else why it is not. */
static enum inspection open_front(const struct keyring *keys, const struct id128 *id, struct inspected *x)
{
    uint8_t front[SEGMENT_DATA], expected[SEGMENT_DATA];
    size_t got = x->size < sizeof front ? (size_t)x->size : sizeof front;
    struct segment_header h;

    x->error = io_read_at(x->fd, front, got, 0);
    if (x->error)
        return x->error == -ENODATA ? INSPECT_SHORT : INSPECT_UNREADABLE;
    if (got == sizeof front && segment_header_parse(front, &h) == 0) {
        int rc = expect_front(keys, id, h.epoch, &x->key, expected);
        if (rc == -ENOMEM) {
            x->error = rc;
            return INSPECT_UNREADABLE;
        }
        if (!rc && crypto_equal(front, expected, sizeof front))
            return INSPECT_WHOLE;
        segment_key_free(x->key);
        x->key = NULL;
    }
    return judge_front(keys, id, x->fd, x->size, front, got);
}

/* --- the end ----------------------------------------------------------------------- */

/* The front is right and the trailer is not. */
static enum inspection judge_end(struct inspected *x)
{
    uint64_t at, len;

    for (uint64_t size = SEGMENT_MIN; size < x->size && size <= SEGMENT_MAX; size *= 2)
        if (open_trailer(x->fd, size, x->key, &at, &len) == 0)
            return INSPECT_LONGER;
    if (x->size > SEGMENT_MAX)
        return INSPECT_LONGER;
    if (segment_size_class(x->size) != x->size)
        return INSPECT_SHORT;
    return has_zero_page(x->fd, x->size) ? INSPECT_FILLING : INSPECT_TRAILER;
}

static int read_footer(struct inspected *x, uint64_t at, uint64_t len)
{
    uint8_t *sealed = malloc((size_t)len), *plain = malloc((size_t)len);

    int rc = sealed && plain ? io_read_at(x->fd, sealed, (size_t)len, at) : -ENOMEM;
    if (!rc)
        rc = segment_open(x->key, at, SEAL_FOOTER, sealed, (size_t)len, plain);
    buf_reset(&x->footer);
    if (!rc) {
        buf_append(&x->footer, plain, (size_t)len - SEAL_OVERHEAD);
        rc = x->footer.failed ? -ENOMEM : 0;
    }
    free(sealed);
    free(plain);
    return rc;
}

static enum inspection open_end(struct inspected *x)
{
    uint64_t at = 0, len = 0;

    int rc = open_trailer(x->fd, x->size, x->key, &at, &len);
    if (rc == E_AUTH)
        return judge_end(x);
    if (!rc) {
        rc = read_footer(x, at, len);
        if (rc == E_AUTH)
            return has_zero_page(x->fd, x->size) ? INSPECT_FILLING : INSPECT_FOOTER;
    }
    if (!rc)
        rc = footer_parse(x->footer.data, x->footer.len, &x->view);
    if (rc == E_FORMAT)
        return INSPECT_MALFORMED;
    if (rc == -ENODATA)          /* it shrank under our eyes */
        return INSPECT_SHORT;
    x->error = rc;
    return rc ? INSPECT_UNREADABLE : INSPECT_WHOLE;
}

/* --- the whole ---------------------------------------------------------------------- */

static void close_object(struct inspected *x)
{
    if (x->fd >= 0)
        close(x->fd);
    segment_key_free(x->key);
    x->fd = -1;
    x->key = NULL;
}

static enum inspection open_file(struct store *store, const struct id128 *id, struct inspected *x)
{
    struct stat st;

    x->size = 0;
    x->error = 0;
    x->fd = store_get(store, id);
    if (x->fd < 0) {
        x->error = x->fd;
        x->fd = -1;
        return x->error == E_NOT_ARRIVED ? INSPECT_GONE : x->error == E_FORMAT ? INSPECT_STRANGE : INSPECT_UNREADABLE;
    }
    if (fstat(x->fd, &st)) {
        x->error = -errno;
        return INSPECT_UNREADABLE;
    }
    x->size = (uint64_t)st.st_size;
    return INSPECT_WHOLE;
}

enum inspection inspect_object(const struct keyring *keys, struct store *store, const struct id128 *id,
                               struct inspected *out)
{
    close_object(out);
    enum inspection result = open_file(store, id, out);
    if (result == INSPECT_WHOLE)
        result = open_front(keys, id, out);
    if (result == INSPECT_WHOLE)
        result = open_end(out);
    if (result != INSPECT_WHOLE)
        close_object(out);
    return result;
}

void inspected_free(struct inspected *x)
{
    close_object(x);
    buf_free(&x->footer);
}

/* --- blocks --------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct sealed_block *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->sealed < y->sealed ? -1 : x->sealed > y->sealed;
}

int footer_blocks(const struct footer_view *view, struct buf *out)
{
    struct footer_view walk = *view;
    struct reverse_run run;
    size_t kept = 0;

    buf_reset(out);
    while (footer_next(&walk, &run) == 1)
        for (uint32_t k = 0; k < run.count; k++) {
            struct sealed_block b = { run.offset + k * SEALED_BLOCK, k + 1 == run.count ? run.last : BLOCK_SIZE };
            buf_append(out, &b, sizeof b);
        }
    if (out->failed)
        return -ENOMEM;
    struct sealed_block *v = (struct sealed_block *)(void *)out->data;
    size_t count = out->len / sizeof *v;
    if (count)
        qsort(v, count, sizeof *v, by_place);
    for (size_t k = 0; k < count; k++)
        if (!kept || by_place(&v[kept - 1], &v[k]))
            v[kept++] = v[k];
    out->len = kept * sizeof *v;
    return 0;
}

bool blocks_have(const struct buf *blocks, uint32_t offset, uint32_t sealed)
{
    struct sealed_block key = { offset, sealed };
    return blocks->len && bsearch(&key, blocks->data, blocks->len / sizeof key, sizeof key, by_place);
}
