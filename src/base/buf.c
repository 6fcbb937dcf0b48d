/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Growable bytes.  The capacity doubles, so that appending is linear in total;
 * a failed growth keeps what is there and sets `failed`.
 */
#include <ecluse/base.h>
#include <stdlib.h>

#define FIRST_CAPACITY 128u

static bool reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return false;
    if (more <= b->cap - b->len)
        return true;
    size_t need = b->len + more, cap = b->cap ? b->cap : FIRST_CAPACITY;
    while (cap < need && cap <= SIZE_MAX / 2)
        cap *= 2;
    uint8_t *data = need < more || cap < need ? NULL : realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (!len || !reserve(b, len))
        return;
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
}

void buf_byte(struct buf *b, uint8_t byte)
{
    if (reserve(b, 1))
        b->data[b->len++] = byte;
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    buf_append(b, bytes, n);
}

void buf_bytes(struct buf *b, const void *bytes, size_t len)
{
    buf_varint(b, len);
    buf_append(b, bytes, len);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}
