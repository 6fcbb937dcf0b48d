/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading a publication's payload (docs/format.md, "Publication"; written by
 * publication.c).
 *
 * The payload is authentic when it comes from a footer that opened, but who
 * wrote it may have been another version, or wrong: nothing is believed.  Counts
 * are never used to allocate; whatever follows the end is refused.  Heads and
 * segments are walked once here, so that taking them later cannot fail.
 *
 * What the chain needs is made plain: `before` names the publication that this
 * one follows, by `previous` within an actor, by the last head for an actor's
 * first one.
 */
#include <ecluse/error.h>
#include <ecluse/publication.h>
#include <ecluse/segment.h>

#define PUBLICATION_VERSION 1u
#define PUBLICATION_MORE 1u
#define PUBLICATION_SHARD 2u
#define PUBLICATION_LAST 4u
#define PUBLICATION_AROUND 8u
#define PUBLICATION_FLAGS 15u
#define SEGMENT_FRESH 1u
#define SEGMENT_CARRIER 2u
#define SEGMENT_AGAIN 4u
#define SEGMENT_GONE 12u
#define COUNTER_LIMIT (1ull << 48)
#define ACTORS_MAX 65536u
#define ACTOR_BYTES 8u

static void require(struct reader *r, bool holds)
{
    if (!holds)
        r->failed = true;
}

static void read_hash(struct reader *r, uint8_t out[SHA256_SIZE])
{
    const uint8_t *p = read_raw(r, SHA256_SIZE);

    if (p)
        memcpy(out, p, SHA256_SIZE);
}

static uint64_t read_actor(struct reader *r)
{
    const uint8_t *p = read_raw(r, ACTOR_BYTES);
    uint64_t actor = p ? get_le64(p) : 0;

    require(r, actor != 0);
    return actor;
}

static bool all_zero(const uint8_t hash[SHA256_SIZE])
{
    static const uint8_t zeros[SHA256_SIZE];
    return memcmp(hash, zeros, SHA256_SIZE) == 0;
}

/* --- heads ------------------------------------------------------------------------ */

static void read_head(struct reader *r, struct publication_head *out)
{
    *out = (struct publication_head){ .actor = read_actor(r) };
    out->seq = read_varint(r);
    read_hash(r, out->hash);
    require(r, out->seq >= 1);
}

/* Earlier actors, each with a greater number than the one before it. */
static void walk_heads(struct reader *r, struct publication_view *v)
{
    struct publication_head h;
    uint64_t count = read_varint(r), last = 0;

    require(r, count < ACTORS_MAX);
    v->heads = *r;
    v->head_count = (size_t)count;
    for (uint64_t k = 0; !r->failed && k < count; k++) {
        read_head(r, &h);
        require(r, h.seq > last && h.seq < v->seq && h.actor != v->actor);
        last = h.seq;
        v->before = h;
    }
    v->heads.end = r->p;
}

/* previous is zeros in an actor's first; that one follows its last head. */
static void settle_before(struct reader *r, struct publication_view *v, const uint8_t previous[SHA256_SIZE])
{
    if (all_zero(previous)) {
        require(r, v->before.seq == v->seq - 1);
        return;
    }
    require(r, v->seq > 1 && v->before.seq < v->seq - 1);
    v->before = (struct publication_head){ .actor = v->actor, .seq = v->seq - 1 };
    memcpy(v->before.hash, previous, SHA256_SIZE);
}

/* A part of a checkpoint is also told how the counters stood; `around` lets who
 * lacks such parts go on without them. */
static void read_checkpoint(struct reader *r, uint8_t flags, struct publication_view *v)
{
    require(r, flags <= PUBLICATION_FLAGS && (flags & PUBLICATION_SHARD || !(flags & PUBLICATION_LAST)));
    if (flags & PUBLICATION_SHARD) {
        uint64_t number = read_varint(r);
        require(r, number < UINT32_MAX && number < v->seq);
        v->shard = (uint32_t)number + 1;
        v->last = flags & PUBLICATION_LAST;
        v->next_ino = read_varint(r);
        v->next_cookie = read_varint(r);
        require(r, v->next_ino <= COUNTER_LIMIT && v->next_cookie <= INT64_MAX && (v->last || v->more));
    }
    if (flags & PUBLICATION_AROUND) {
        read_head(r, &v->around);
        require(r, v->around.seq < v->seq - 1);
    }
}

/* --- tables ------------------------------------------------------------------------ */

static void read_actors(struct reader *r, struct publication_view *v)
{
    uint64_t count = read_varint(r);

    require(r, count >= 1 && count <= ACTORS_MAX);
    v->actors = r->failed ? NULL : read_raw(r, (size_t)count * ACTOR_BYTES);
    v->actor_count = v->actors ? (size_t)count : 0;
    for (size_t k = 0; k < v->actor_count; k++)
        require(r, publication_actor(v, k) != 0);
    require(r, v->actor_count && publication_actor(v, v->actor_count - 1) == v->actor);
}

static void read_segment(struct reader *r, struct publication_segment *out)
{
    uint64_t number = read_varint(r);
    const uint8_t *id = read_raw(r, sizeof out->id.b);
    uint8_t flags = read_byte(r);

    *out = (struct publication_segment){ .number = (uint32_t)number, .fresh = flags & SEGMENT_FRESH,
                                         .carrier = flags & SEGMENT_CARRIER, .again = flags & SEGMENT_AGAIN,
                                         .gone = flags == SEGMENT_GONE };
    if (id)
        memcpy(out->id.b, id, sizeof out->id.b);
    require(r, number <= UINT32_MAX && (flags <= SEGMENT_AGAIN || flags == SEGMENT_GONE) && flags != SEGMENT_CARRIER);
    if (flags == SEGMENT_FRESH || flags & SEGMENT_AGAIN) {
        out->length = read_varint(r);
        read_hash(r, out->sha256);
        require(r, out->length && segment_size_class(out->length) == out->length);
    }
}

static void walk_segments(struct reader *r, struct publication_view *v)
{
    struct publication_segment s;
    uint64_t count = read_varint(r), carriers = 0, next = 0;

    v->segments = *r;
    v->segment_count = (size_t)count;
    for (uint64_t k = 0; !r->failed && k < count; k++) {
        read_segment(r, &s);
        require(r, s.number >= next);
        next = (uint64_t)s.number + 1;
        carriers += s.carrier;
    }
    v->segments.end = r->p;
    require(r, carriers == 1);
}

int publication_parse(const void *payload, size_t len, struct publication_view *out)
{
    struct reader r = reader_over(payload, len);
    uint8_t previous[SHA256_SIZE] = { 0 };

    *out = (struct publication_view){ 0 };
    require(&r, read_byte(&r) == PUBLICATION_VERSION);
    uint8_t flags = read_byte(&r);
    out->more = flags & PUBLICATION_MORE;
    out->actor = read_actor(&r);
    out->seq = read_varint(&r);
    read_hash(&r, previous);
    out->time = read_varint(&r);
    require(&r, out->seq >= 1 && out->seq <= INT64_MAX && out->time <= INT64_MAX);
    if (!r.failed)
        read_checkpoint(&r, flags, out);
    if (!r.failed)
        walk_heads(&r, out);
    if (!r.failed)
        settle_before(&r, out, previous);
    if (!r.failed)
        read_actors(&r, out);
    if (!r.failed)
        walk_segments(&r, out);
    out->rows = read_bytes(&r, &out->rows_len);
    require(&r, reader_left(&r) == 0);
    if (r.failed)
        *out = (struct publication_view){ 0 };
    return r.failed ? E_FORMAT : 0;
}

int publication_next_head(struct publication_view *v, struct publication_head *out)
{
    if (!v->head_count)
        return 0;
    v->head_count--;
    read_head(&v->heads, out);
    return 1;
}

int publication_next_segment(struct publication_view *v, struct publication_segment *out)
{
    if (!v->segment_count)
        return 0;
    v->segment_count--;
    read_segment(&v->segments, out);
    return 1;
}
