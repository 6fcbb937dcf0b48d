/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading the payload of a publication: bytes in, views out, no files.
 *
 * publication_parse judges everything but the rows; those are a batch, read
 * with batch_next.  Heads and segments are then taken one after another from
 * the view, whose pointers borrow from the payload.  What is returned is within
 * the bounds stated here, whatever the bytes were.
 */
#ifndef ECLUSE_PUBLICATION_H
#define ECLUSE_PUBLICATION_H

#include <ecluse/base.h>
#include <ecluse/crypto.h>

/* (actor, seq) names one publication for ever; `hash` is that of its payload. */
struct publication_head { uint64_t actor, seq; uint8_t hash[SHA256_SIZE]; };

struct publication_segment {
    uint32_t number;               /* what the rows call it; ascending, each once */
    struct id128 id;
    bool fresh;                    /* new with this publication */
    bool carrier;                  /* it holds this payload; fresh, length and hash unknown */
    bool again;                    /* not new, but told once more, by a part of a checkpoint */
    bool gone;                     /* again, of one that the store lacked: it need not be there */
    uint64_t length;               /* fresh, not carrier, or again: size of the file, a size class */
    uint8_t sha256[SHA256_SIZE];   /* likewise: of the whole file; zeros: not known (again only) */
};

struct publication_view {
    bool more;                     /* a part: applied together with the next one */
    uint32_t shard;                /* of a part of a checkpoint, its number + 1; else 0 */
    bool last;                     /* … and it is the last part */
    uint64_t next_ino, next_cookie; /* … the counters: of the actor's inodes (48 bits), of cookies */
    struct publication_head around; /* the last one before it that is no such part, when that is not
                                     * what it follows; seq 0: none */
    uint64_t actor, seq;           /* actor not 0; seq in 1 … 2^63 - 1 */
    uint64_t time;                 /* seconds since 1970 */
    const uint8_t *actors;         /* table of le64, maybe unaligned; the last is `actor` */
    size_t actor_count;            /* 1 … 65536 */
    struct publication_head before; /* what it follows; seq 0: nothing */
    const uint8_t *rows;
    size_t rows_len;
    struct reader heads, segments;
    size_t head_count, segment_count;  /* still to be taken */
};

/* E_FORMAT when any of it is not as docs/format.md has it. */
int publication_parse(const void *payload, size_t len, struct publication_view *out);
static inline uint64_t publication_actor(const struct publication_view *v, size_t k)
{
    return get_le64(v->actors + 8 * k);
}
/* 1 with the next one, 0 at the end. */
int publication_next_head(struct publication_view *v, struct publication_head *out);
int publication_next_segment(struct publication_view *v, struct publication_segment *out);

#endif
