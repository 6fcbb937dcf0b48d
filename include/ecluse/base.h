/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Words that every layer shares: identifiers, byte order, growable buffers.
 *
 * All on-disk integers are little-endian.  Everything here is pure and may be
 * called from any thread; a struct buf belongs to one thread at a time.
 */
#ifndef ECLUSE_BASE_H
#define ECLUSE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BLOCK_SIZE 4096u            /* plaintext bytes of a full block */
#define CHUNK_BLOCKS 256u           /* blocks that one chunk row maps (1 MiB) */
#define CHUNK_SIZE (BLOCK_SIZE * CHUNK_BLOCKS)
#define NAME_LIMIT 255u             /* bytes of a name, without the NUL */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct id128 { uint8_t b[16]; };

static inline bool id_equal(const struct id128 *x, const struct id128 *y)
{
    return memcmp(x->b, y->b, 16) == 0;
}

/* 32 lower-case hexadecimal digits and a NUL. */
#define ID_TEXT 33
void id_format(const struct id128 *id, char out[ID_TEXT]);
/* 0, or -EINVAL unless text is exactly 32 lower-case hexadecimal digits. */
int id_parse(const char *text, struct id128 *out);

/* Four words for the first four bytes of a hash; the same in every language. */
#define PHRASE_TEXT 48
void phrase_for(const uint8_t *hash, char out[PHRASE_TEXT]);

static inline uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}
static inline uint64_t get_le64(const uint8_t *p)
{
    return (uint64_t)get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}
static inline void put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void put_le64(uint8_t *p, uint64_t v)
{
    put_le32(p, (uint32_t)v);
    put_le32(p + 4, (uint32_t)(v >> 32));
}

/*
 * A growable byte buffer.  Starts as all zeros; buf_free makes it so again.
 * Appending never fails half-way: on -ENOMEM the flag `failed` is set, later
 * appends do nothing, and the caller checks once at the end.
 */
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};
void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_byte(struct buf *b, uint8_t byte);
void buf_varint(struct buf *b, uint64_t v);                /* LEB128, unsigned */
void buf_bytes(struct buf *b, const void *bytes, size_t len); /* varint length, then bytes */
void buf_reset(struct buf *b);                             /* len = 0, keeps the memory */
void buf_free(struct buf *b);

/*
 * A reader over bytes it does not own.  After the first short or malformed
 * read `failed` is set and every further read yields zeros: parse a whole
 * record, then test `failed` once.
 */
struct reader {
    const uint8_t *p;
    const uint8_t *end;
    bool failed;
};
static inline struct reader reader_over(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct reader){ p, len ? p + len : p, false };  /* data may be NULL when len is 0 */
}
static inline size_t reader_left(const struct reader *r) { return (size_t)(r->end - r->p); }
uint8_t read_byte(struct reader *r);
uint64_t read_varint(struct reader *r);                    /* rejects over-long encodings */
const uint8_t *read_raw(struct reader *r, size_t len);     /* NULL when failed */
const uint8_t *read_bytes(struct reader *r, size_t *len);  /* varint length, then bytes */

#endif
