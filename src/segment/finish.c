/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The end of a segment: sealed footer, random padding, trailer.
 *
 * The file grows to a size class, so that its length tells an observer no more
 * than one of nine values; padding is random, so that it cannot be told from
 * sealed bytes.  The trailer is at the very end and is read first:
 *
 *   plaintext   footer offset le64 | footer sealed length le64 | file size le64
 *               | number of the publication in the footer le64, 0 when there is none
 *
 * The number lets whoever looks for the newest publications pass over all other
 * footers unread.
 * It is sealed for its place, size - 60, and repeats the size.  So a file that
 * was cut, extended or put together from two has no trailer that opens.
 */
#include "internal.h"
#include <assert.h>
#include <ecluse/error.h>
#include <errno.h>

#define TRAILER_PLAIN (SEGMENT_TRAILER - SEAL_OVERHEAD)
#define PAD_STEP 4096u
_Static_assert(TRAILER_PLAIN == 32, "the trailer's plaintext is 32 bytes");

enum { FOOTER_NONCE, TRAILER_NONCE };   /* indexes under one nonce base */

uint64_t segment_size_class(uint64_t used)
{
    for (uint64_t size = SEGMENT_MIN; size <= SEGMENT_MAX; size *= 2)
        if (used <= size)
            return size;
    return 0;
}

/* Appends the footer with room around it, then seals it where it stands. */
static int append_footer(struct segment_key *k, const struct nonce_base *base, uint64_t used,
                         const void *footer, size_t len, struct buf *out)
{
    static const uint8_t zeros[AEAD_TAG];
    size_t start = out->len;

    buf_append(out, zeros, AEAD_NONCE);
    buf_append(out, footer, len);
    buf_append(out, zeros, AEAD_TAG);
    if (out->failed)
        return -ENOMEM;
    uint8_t *sealed = out->data + start;
    return segment_seal(k, base, FOOTER_NONCE, used, SEAL_FOOTER, sealed + AEAD_NONCE, len, sealed);
}

static void append_padding(struct buf *out, uint64_t len)
{
    uint8_t bytes[PAD_STEP];

    while (len && !out->failed) {
        size_t step = len < sizeof bytes ? (size_t)len : sizeof bytes;
        crypto_random(bytes, step);
        buf_append(out, bytes, step);
        len -= step;
    }
}

static int append_trailer(struct segment_key *k, const struct nonce_base *base,
                          const struct segment_trailer *t, uint64_t size, struct buf *out)
{
    uint8_t plain[TRAILER_PLAIN] = { 0 }, sealed[SEGMENT_TRAILER];

    put_le64(plain, t->footer_offset);
    put_le64(plain + 8, t->footer_sealed_len);
    put_le64(plain + 16, size);
    put_le64(plain + 24, t->publication);
    int rc = segment_seal(k, base, TRAILER_NONCE, size - SEGMENT_TRAILER, SEAL_TRAILER, plain,
                          sizeof plain, sealed);
    buf_append(out, sealed, sizeof sealed);
    return rc;
}

int segment_finish_carrier(struct segment_key *k, uint64_t used, uint64_t publication, const void *footer,
                           size_t footer_len, struct buf *out)
{
    struct nonce_base base;
    size_t start = out->len;

    if (used < SEGMENT_DATA || !footer_len || publication > INT64_MAX)
        return -EINVAL;
    if (used > SEGMENT_MAX || footer_len > SEGMENT_MAX)
        return -E2BIG;
    uint64_t sealed_len = (uint64_t)footer_len + SEAL_OVERHEAD;
    uint64_t need = used + sealed_len + SEGMENT_TRAILER, size = segment_size_class(need);
    if (!size)
        return -E2BIG;
    nonce_base_new(&base);
    int rc = append_footer(k, &base, used, footer, footer_len, out);
    if (!rc) {
        append_padding(out, size - need);
        rc = append_trailer(k, &base, &(struct segment_trailer){ used, sealed_len, publication }, size, out);
    }
    if (!rc && out->failed)
        rc = -ENOMEM;
    if (rc) {                        /* no footer may stay behind in the clear */
        if (out->len > start)
            secret_wipe(out->data + start, out->len - start);
        out->len = start;
    }
    assert(rc || out->len - start == size - used);
    return rc;
}

int segment_finish(struct segment_key *k, uint64_t used, const void *footer, size_t footer_len,
                   struct buf *out)
{
    return segment_finish_carrier(k, used, 0, footer, footer_len, out);
}

int segment_trailer_read(struct segment_key *k, uint64_t size, const uint8_t in[SEGMENT_TRAILER],
                         struct segment_trailer *out)
{
    uint8_t plain[TRAILER_PLAIN];

    if (size < SEGMENT_MIN || segment_size_class(size) != size)
        return E_AUTH;
    int rc = segment_open(k, size - SEGMENT_TRAILER, SEAL_TRAILER, in, SEGMENT_TRAILER, plain);
    if (rc)
        return rc;
    uint64_t offset = get_le64(plain), len = get_le64(plain + 8), end = size - SEGMENT_TRAILER;
    uint64_t publication = get_le64(plain + 24);
    if (get_le64(plain + 16) != size || publication > INT64_MAX)
        return E_FORMAT;
    if (offset < SEGMENT_DATA || offset > end || len <= SEAL_OVERHEAD || len > end - offset)
        return E_FORMAT;
    *out = (struct segment_trailer){ offset, len, publication };
    return 0;
}

int segment_trailer_open(struct segment_key *k, uint64_t size, const uint8_t in[SEGMENT_TRAILER],
                         uint64_t *footer_offset, uint64_t *footer_sealed_len)
{
    struct segment_trailer t;

    int rc = segment_trailer_read(k, size, in, &t);
    if (!rc) {
        *footer_offset = t.footer_offset;
        *footer_sealed_len = t.footer_sealed_len;
    }
    return rc;
}
