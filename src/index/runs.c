/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Runs as bytes: the block map of one MiB, in records and in columns.
 *
 *   count | per run: segment, offset, gap, shape, [sealed], [valid]
 *
 * Fields are told relative to the run before, since neighbours mostly continue
 * one another:
 *
 *   segment  zigzag difference to the previous run's segment (first: to 0)
 *   offset   zigzag difference to where the previous run's bytes end; to 0
 *            when the segment is another
 *   gap      blocks between the end of the previous run and this one's first
 *   shape    (count - 1) * 4 + (sealed < 4096 ? 1 : 0) + (valid < sealed ? 2 : 0)
 *   sealed, valid   less 1 each, only when the shape says so
 *
 * The scattered map of a randomly written MiB thus takes about 6 bytes a block.
 * Invariant of decoding: runs ascend, do not overlap, and end inside the chunk
 * and inside 32 bits of segment; a count of 0 is a hole all over.
 */
#include "internal.h"
#include <ecluse/segment.h>

enum { SHAPE_SHORT = 1, SHAPE_CUT = 2, SHAPE_BITS = 2 };

/* First byte of the segment after the run. */
static uint64_t run_end(const struct run *r)
{
    return (uint64_t)r->offset + (uint64_t)(r->count - 1u) * SEALED_BLOCK + r->sealed + SEAL_OVERHEAD;
}

void runs_encode(struct buf *b, const struct run *runs, uint32_t count)
{
    uint32_t segment = 0, next = 0;
    uint64_t expected = 0;

    buf_varint(b, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct run *r = &runs[i];
        unsigned shape = (r->sealed < BLOCK_SIZE ? SHAPE_SHORT : 0) | (r->valid < r->sealed ? SHAPE_CUT : 0);
        if (r->segment != segment)
            expected = 0;
        buf_varint(b, zigzag((int64_t)r->segment - segment));
        buf_varint(b, zigzag((int64_t)r->offset - (int64_t)expected));
        buf_varint(b, r->first - next);
        buf_varint(b, (uint64_t)(r->count - 1u) << SHAPE_BITS | shape);
        if (shape & SHAPE_SHORT)
            buf_varint(b, r->sealed - 1u);
        if (shape & SHAPE_CUT)
            buf_varint(b, r->valid - 1u);
        segment = r->segment;
        expected = run_end(r);
        next = (uint32_t)r->first + r->count;
    }
}

/* A value in 0 … limit. */
static uint64_t read_below(struct reader *r, uint64_t limit)
{
    uint64_t v = read_varint(r);

    if (v > limit)
        r->failed = true;
    return r->failed ? 0 : v;
}

/* base + a zigzag difference, which must come out in 32 bits. */
static uint32_t read_delta(struct reader *r, uint64_t base)
{
    int64_t delta = unzigzag(read_varint(r)), v;

    if (__builtin_add_overflow((int64_t)base, delta, &v) || v < 0 || v > UINT32_MAX)
        r->failed = true;
    return r->failed ? 0 : (uint32_t)v;
}

/* `last` is the run before, or NULL. */
static void read_run(struct reader *r, const struct run *last, struct run *out)
{
    uint32_t next = last ? (uint32_t)last->first + last->count : 0;

    out->segment = read_delta(r, last ? last->segment : 0);
    out->offset = read_delta(r, last && last->segment == out->segment ? run_end(last) : 0);
    uint64_t gap = read_below(r, CHUNK_BLOCKS - 1u - next);
    uint64_t shape = read_below(r, ((uint64_t)CHUNK_BLOCKS << SHAPE_BITS) - 1);
    out->first = (uint16_t)(next + gap);
    out->count = (uint16_t)((shape >> SHAPE_BITS) + 1);
    out->sealed = BLOCK_SIZE;
    if (shape & SHAPE_SHORT)
        out->sealed = (uint16_t)(read_below(r, BLOCK_SIZE - 2u) + 1);
    out->valid = out->sealed;
    if (shape & SHAPE_CUT)
        out->valid = (uint16_t)(read_below(r, BLOCK_SIZE - 1u) + 1);
    if ((shape & SHAPE_CUT && out->valid >= out->sealed) ||
        (uint32_t)out->first + out->count > CHUNK_BLOCKS || run_end(out) > UINT32_MAX)
        r->failed = true;
}

int runs_decode(struct reader *r, struct run out[CHUNK_BLOCKS])
{
    uint32_t count = (uint32_t)read_below(r, CHUNK_BLOCKS);

    for (uint32_t i = 0; i < count && !r->failed; i++) {
        if (i && (uint32_t)out[i - 1].first + out[i - 1].count >= CHUNK_BLOCKS)
            r->failed = true;
        else
            read_run(r, i ? &out[i - 1] : NULL, &out[i]);
    }
    return r->failed ? E_FORMAT : (int)count;
}
