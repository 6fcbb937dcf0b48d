/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The payload of a publication (docs/format.md, "Publication").
 *
 *   version 1 | flags | actor le64 | seq | previous hash 32 B | time
 *   | of a part of a checkpoint: its number, next inode, next cookie
 *   | after such a part: around, the last publication before it that is none
 *   | heads seen: count, (actor le64, seq, hash)…
 *   | actors: count, le64…          the last is the publisher
 *   | segments: count, (number, id 16 B, flags, [length, sha256 32 B])…
 *   | rows: length, batch
 *
 * Rows name segments by this device's numbers and inodes by actor index; the
 * two tables give them meaning elsewhere.  The carrier, which holds this very
 * payload, is listed without length and hash.
 */
#include "publishing.h"
#include "seen.h"
#include <stdlib.h>

#define PUBLICATION_VERSION 1u
#define PUBLICATION_MORE 1u
#define PUBLICATION_SHARD 2u
#define PUBLICATION_LAST 4u
#define PUBLICATION_AROUND 8u
#define SEGMENT_FRESH 1u
#define SEGMENT_CARRIER 2u
#define SEGMENT_AGAIN 4u
#define SEGMENT_GONE 12u         /* again, and nobody need wait for it */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void note_runs(struct buf *numbers, const struct run *runs, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        buf_append(numbers, &runs[k].segment, sizeof runs[k].segment);
}

/* Sorted, unique numbers of all segments that rows and the cut name. */
static int collect_numbers(const struct publication *p, const struct segment_row *fresh, size_t fresh_count,
                           struct buf *numbers)
{
    struct reader in = reader_over(p->rows.data, p->rows.len);
    struct record *rec = malloc(sizeof *rec);
    int rc = rec ? 1 : -ENOMEM;

    while (rc == 1 && (rc = batch_next(&in, rec)) == 1) {
        if (rec->kind == RECORD_INODE)
            note_runs(numbers, rec->inode.runs, rec->inode.run_count);
        else if (rec->kind == RECORD_CHUNK)
            note_runs(numbers, rec->chunk.runs, rec->chunk.run_count);
    }
    free(rec);
    for (size_t k = 0; k < fresh_count; k++)
        buf_append(numbers, &fresh[k].number, sizeof fresh[k].number);
    if (rc || numbers->failed)
        return rc ? rc : -ENOMEM;
    uint32_t *v = (uint32_t *)(void *)numbers->data;
    size_t count = numbers->len / sizeof *v, kept = 0;
    if (count)
        qsort(v, count, sizeof *v, by_number);
    for (size_t k = 0; k < count; k++)
        if (!kept || v[kept - 1] != v[k])
            v[kept++] = v[k];
    numbers->len = kept * sizeof *v;
    return 0;
}

static const struct segment_row *find_fresh(const struct segment_row *fresh, size_t count, uint32_t number)
{
    for (size_t k = 0; k < count; k++)
        if (fresh[k].number == number)
            return &fresh[k];
    return NULL;
}

/* The store lacks it, and the user has accepted that it lacks something: a reader who
 * waited for it would wait for ever. */
static bool is_gone(struct fs *fs, const struct segment_row *s)
{
    uint64_t size;

    if (!fs->heads.accepted || s->state != SEGMENT_PUBLISHED)
        return false;
    int rc = store_size(fs->store, &s->id, &size);
    return (rc == E_NOT_ARRIVED && store_present(fs->store)) || (!rc && size != s->length);
}

static int encode_segments(struct fs *fs, const struct buf *numbers, const struct segment_row *fresh,
                           size_t fresh_count, uint32_t carrier, bool again, struct buf *out)
{
    const uint32_t *v = (const uint32_t *)(const void *)numbers->data;
    size_t count = numbers->len / sizeof *v;
    struct segment_row old;

    buf_varint(out, count);
    for (size_t k = 0; k < count; k++) {
        const struct segment_row *s = find_fresh(fresh, fresh_count, v[k]);
        uint8_t flags = s ? SEGMENT_FRESH | (v[k] == carrier ? SEGMENT_CARRIER : 0) : 0;
        if (!s) {
            int rc = index_segment(fs->index, v[k], &old);
            if (rc)
                return rc == -ENOENT ? E_STATE_DAMAGED : rc;
            s = &old;
            if (segment_size_class(old.length) == old.length)
                flags = is_gone(fs, &old) ? SEGMENT_GONE : again ? SEGMENT_AGAIN : 0;
        }
        buf_varint(out, v[k]);
        buf_append(out, s->id.b, sizeof s->id.b);
        buf_byte(out, flags);
        if (flags == SEGMENT_FRESH || flags & SEGMENT_AGAIN) {
            buf_varint(out, s->length);
            buf_append(out, s->sha256, sizeof s->sha256);
        }
    }
    return 0;
}

static void encode_head(struct buf *out, const struct publication_head *h)
{
    uint8_t actor[8];

    put_le64(actor, h->actor);
    buf_append(out, actor, sizeof actor);
    buf_varint(out, h->seq);
    buf_append(out, h->hash, sizeof h->hash);
}

/* What is there by the flags alone. */
static void encode_checkpoint(struct buf *out, const struct publication *p)
{
    if (p->shard) {
        buf_varint(out, p->shard - 1);
        buf_varint(out, p->next_ino);
        buf_varint(out, p->next_cookie);
    }
    if (p->around.seq)
        encode_head(out, &p->around);
}

int publication_encode(struct fs *fs, const struct publication *p, const struct segment_row *fresh,
                       size_t fresh_count, uint32_t carrier, struct buf *out)
{
    struct buf numbers = { 0 };
    uint8_t actor[8];
    int rc;

    put_le64(actor, keyring_actor(fs->state->keys));
    buf_byte(out, PUBLICATION_VERSION);
    buf_byte(out, (uint8_t)((p->more ? PUBLICATION_MORE : 0) | (p->shard ? PUBLICATION_SHARD : 0) |
                            (p->last ? PUBLICATION_LAST : 0) | (p->around.seq ? PUBLICATION_AROUND : 0)));
    buf_append(out, actor, sizeof actor);
    buf_varint(out, p->seq);
    buf_append(out, p->previous, sizeof p->previous);
    buf_varint(out, (uint64_t)p->time);
    encode_checkpoint(out, p);
    rc = actors_heads(fs, out);
    buf_varint(out, fs->actor_count);
    for (size_t k = 0; k < fs->actor_count; k++) {
        uint8_t id[8];
        put_le64(id, fs->actors[k]);
        buf_append(out, id, sizeof id);
    }
    if (!rc)
        rc = collect_numbers(p, fresh, fresh_count, &numbers);
    if (!rc)
        rc = encode_segments(fs, &numbers, fresh, fresh_count, carrier, p->shard, out);
    buf_bytes(out, p->rows.data, p->rows.len);
    buf_free(&numbers);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}

int publication_dot(const uint8_t *payload, size_t len, struct dot *out)
{
    struct reader r = reader_over(payload, len);

    if (read_byte(&r) != PUBLICATION_VERSION)
        return r.failed ? E_FORMAT : E_NEWER_FORMAT;
    out->more = read_byte(&r) & PUBLICATION_MORE;
    const uint8_t *id = read_raw(&r, sizeof out->actor);
    out->seq = read_varint(&r);
    out->actor = r.failed ? 0 : get_le64(id);
    return r.failed ? E_FORMAT : 0;
}
