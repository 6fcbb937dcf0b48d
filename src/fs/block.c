/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Sealing blocks into segments, and opening them.
 *
 * A request's blocks are sealed with one fresh nonce base into a buffer of
 * this thread and written some at a time; reading coalesces as well: one pread
 * for neighbouring blocks, which are then opened straight into the reader's
 * buffer.  BATCH keeps what is sealed or opened in the processor's cache until
 * the system call has copied it, and the buffer of each thread small.
 */
#include "internal.h"
#include <stdlib.h>

#define BATCH 64u              /* blocks: 258 KiB */

struct scratch_buffer { size_t size; uint8_t bytes[]; };

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_make_key(void)
{
    pthread_key_create(&scratch_key, free);
}

void *scratch(size_t size)
{
    pthread_once(&scratch_once, scratch_make_key);
    struct scratch_buffer *b = pthread_getspecific(scratch_key);
    if (b && b->size >= size)
        return b->bytes;
    free(b);
    b = malloc(sizeof *b + size);
    pthread_setspecific(scratch_key, b);
    if (!b)
        return NULL;
    b->size = size;
    return b->bytes;
}

static struct piece *piece_add(struct pieces *p)
{
    if (p->count == p->cap) {
        /* Pieces hold list links: they must not move. Room for a request's
         * worst case is taken at once. */
        return NULL;
    }
    return &p->v[p->count++];
}

/* Seals and writes one piece, which begins with the request's block `done`. */
static int write_piece(struct piece *p, const struct nonce_base *base, uint32_t done, block_at at, void *ctx)
{
    struct segment *s = p->flight.segment;
    uint8_t *sealed = scratch(BATCH * SEALED_BLOCK);
    uint64_t offset = p->flight.offset;
    int rc = sealed ? 0 : -ENOMEM;

    for (uint32_t i = 0; !rc && i < p->run.count;) {
        size_t used = 0;
        for (uint32_t k = 0; !rc && k < BATCH && i < p->run.count; k++, i++) {
            size_t len = i + 1u == p->run.count ? p->run.sealed : BLOCK_SIZE;
            rc = segment_seal(s->key, base, done + i, offset + used, SEAL_DATA, at(ctx, done + i), len, sealed + used);
            used += len + SEAL_OVERHEAD;
        }
        if (!rc)
            rc = io_write_at(s->fd, sealed, used, offset, FAULT_segment_append);
        offset += used;
    }
    if (!rc)
        p->flight.end = offset;
    return rc;
}

/* The most pieces that `blocks` blocks can fall into: chunk borders and one
 * segment border per started segment. */
static uint32_t worst_pieces(uint32_t blocks)
{
    return 2 * (blocks / CHUNK_BLOCKS + 2) + blocks / 4000 + 1;
}

int blocks_append(struct fs *fs, uint64_t first, uint32_t blocks, uint32_t last,
                  block_at at, void *ctx, struct pieces *out)
{
    struct nonce_base base;
    uint32_t done = 0;
    int rc = 0;

    *out = (struct pieces){ .cap = worst_pieces(blocks) };
    out->v = calloc(out->cap, sizeof *out->v);
    if (!out->v)
        return -ENOMEM;
    nonce_base_new(&base);
    while (!rc && done < blocks) {
        uint32_t at_block = (uint32_t)((first + done) % CHUNK_BLOCKS);
        uint32_t want = blocks - done, taken;
        if (want > CHUNK_BLOCKS - at_block)
            want = CHUNK_BLOCKS - at_block;
        uint32_t want_last = done + want == blocks ? last : BLOCK_SIZE;
        struct piece *p = piece_add(out);
        if (!p)
            return -ENOMEM;
        rc = flight_begin(fs, &p->flight, want, want_last, &taken);
        if (rc) {
            out->count--;
            break;
        }
        uint32_t seal_last = taken == want ? want_last : BLOCK_SIZE;
        p->block = first + done;
        p->run = (struct run){ .segment = p->flight.segment->number, .offset = (uint32_t)p->flight.offset,
                               .first = (uint16_t)at_block, .count = (uint16_t)taken,
                               .sealed = (uint16_t)seal_last, .valid = (uint16_t)seal_last };
        rc = write_piece(p, &base, done, at, ctx);
        done += taken;
    }
    return rc;
}

void pieces_release(struct fs *fs, struct pieces *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        flight_end(fs, &p->v[i].flight);
    free(p->v);
    *p = (struct pieces){ 0 };
}

/* Opens block i of a run whose sealed bytes are in memory; `skip` and `len`
 * cut the block, whose bytes beyond valid are zeros. */
static int open_block(struct segment *s, const struct run *r, uint32_t i, const uint8_t *sealed,
                      uint32_t skip, uint8_t *out, uint32_t len)
{
    bool is_last = i + 1u == r->count;
    uint32_t plain = is_last ? r->sealed : BLOCK_SIZE, valid = is_last ? r->valid : BLOCK_SIZE;
    uint64_t offset = r->offset + (uint64_t)i * SEALED_BLOCK;
    uint8_t bounce[BLOCK_SIZE];

    if (skip == 0 && len >= plain && valid == plain) {
        memset(out + plain, 0, len - plain);
        return segment_open(s->key, offset, SEAL_DATA, sealed, plain + SEAL_OVERHEAD, out);
    }
    int rc = segment_open(s->key, offset, SEAL_DATA, sealed, plain + SEAL_OVERHEAD, bounce);
    if (rc)
        return rc;
    uint32_t have = valid > skip ? valid - skip : 0;
    if (have > len)
        have = len;
    memcpy(out, bounce + skip, have);
    memset(out + have, 0, len - have);
    return 0;
}

/* Opens up to BATCH blocks of a run, from block *i on, into *out. */
static int read_batch(struct segment *s, const struct run *r, uint32_t *i, uint32_t skip, uint8_t **out,
                      uint32_t *len)
{
    uint8_t *sealed = scratch(BATCH * SEALED_BLOCK);
    uint32_t count = r->count - *i < BATCH ? r->count - *i : BATCH;
    uint32_t last = *i + count == r->count ? r->sealed : BLOCK_SIZE;
    size_t bytes = (size_t)(count - 1) * SEALED_BLOCK + last + SEAL_OVERHEAD;

    if (!sealed)
        return -ENOMEM;
    int rc = io_read_at(s->fd, sealed, bytes, r->offset + (uint64_t)*i * SEALED_BLOCK);
    if (rc == -ENODATA)
        rc = s->staged ? E_AUTH : E_NOT_ARRIVED;
    for (uint32_t k = 0; !rc && k < count && *len; k++, (*i)++) {
        uint32_t here = BLOCK_SIZE - skip < *len ? BLOCK_SIZE - skip : *len;
        rc = open_block(s, r, *i, sealed + (size_t)k * SEALED_BLOCK, skip, *out, here);
        *out += here;
        *len -= here;
        skip = 0;
    }
    return rc;
}

/* Reads a run; out begins `skip` bytes into its first block. */
static int read_run(struct fs *fs, const struct run *r, uint32_t skip, uint8_t *out, uint32_t len)
{
    struct segment *s;

    int rc = segment_ref(fs, r->segment, &s);
    if (rc)
        return rc;
    for (uint32_t i = 0; !rc && i < r->count && len; skip = 0)
        rc = read_batch(s, r, &i, skip, &out, &len);
    segment_unref(fs, s);
    return rc;
}

int blocks_read(struct fs *fs, const struct run *runs, uint32_t count, uint32_t skip,
                uint8_t *out, uint32_t len, bool may_be_stale)
{
    uint32_t at = skip, end = skip + len;

    for (uint32_t i = 0; i < count && at < end; i++) {
        uint32_t begin = runs[i].first * BLOCK_SIZE;
        uint32_t stop = (uint32_t)(runs[i].first + runs[i].count) * BLOCK_SIZE;
        struct run part;

        if (stop <= at)
            continue;
        if (begin >= end)
            break;
        if (begin > at) {
            memset(out, 0, begin - at);
            out += begin - at;
            at = begin;
        }
        uint32_t here = (stop < end ? stop : end) - at;
        uint32_t first = at / BLOCK_SIZE, last = (at + here - 1) / BLOCK_SIZE;
        if (!run_clip(&runs[i], first, last - first + 1, &part))
            return -EIO;
        int rc = read_run(fs, &part, at % BLOCK_SIZE, out, here);
        if (rc && !(may_be_stale && blocks_stale(rc)))
            segment_refused(fs, part.segment, rc);
        if (rc)
            return rc;
        out += here;
        at += here;
    }
    memset(out, 0, end - at);
    return 0;
}
