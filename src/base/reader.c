/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading untrusted bytes.  Nothing is read past `end`, no length is added to a
 * pointer before it was compared with what is left, and a failed reader has
 * nothing left, so every later read fails too.
 */
#include <ecluse/base.h>

static void fail(struct reader *r)
{
    r->failed = true;
    r->p = r->end;
}

uint8_t read_byte(struct reader *r)
{
    if (r->failed || r->p == r->end) {
        fail(r);
        return 0;
    }
    return *r->p++;
}

/* One value has one encoding: no needless zero at the end, no bit above 63. */
uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_byte(r);
        if ((shift == 63 && byte > 1) || (shift && byte == 0))
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return r->failed ? 0 : v;
    }
    fail(r);
    return 0;
}

const uint8_t *read_raw(struct reader *r, size_t len)
{
    static const uint8_t nothing[1];
    const uint8_t *p = r->p;

    if (r->failed || len > reader_left(r)) {
        fail(r);
        return NULL;
    }
    if (!len)
        return p ? p : nothing;     /* a reader over no bytes may hold NULL */
    r->p += len;
    return p;
}

const uint8_t *read_bytes(struct reader *r, size_t *len)
{
    uint64_t n = read_varint(r);
    const uint8_t *p = NULL;

    if (n <= SIZE_MAX)
        p = read_raw(r, (size_t)n);
    else
        fail(r);
    *len = p ? (size_t)n : 0;
    return p;
}
