/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The plaintext of a footer: whose blocks a segment holds, and a payload.
 *
 *   version 1 | actors: count, le64… | runs… | 0 | kind byte | payload: length, bytes
 *   run:  count (never 0) | ino first version parent offset short | name: length, bytes
 *
 * Numbers are LEB128; `short` is what the last block lacks to 4096 bytes.  Runs
 * stand alone, not relative to one another, so that both sides need no memory
 * of the run before.
 *
 * Invariant: what footer_next returns lies inside a segment and inside a file,
 * names an actor of the table, and carries no name that could climb out of a
 * directory, so that salvage may use it as it is.  Runs may overlap, since
 * files may share blocks; whether the blocks open is for segment_open to say.
 */
#include "internal.h"
#include <ecluse/error.h>

#define FOOTER_VERSION 1u
#define ACTOR_BYTES 8u
#define ACTOR_LIMIT 65536u   /* an index is the upper 16 bits of a number */
#define ACTOR_SHIFT 48

/* --- encoding ------------------------------------------------------------------- */

void footer_begin(struct buf *out, const uint64_t *actors, size_t actor_count)
{
    uint8_t bytes[ACTOR_BYTES];

    buf_byte(out, FOOTER_VERSION);
    buf_varint(out, actor_count);
    for (size_t k = 0; k < actor_count; k++) {
        put_le64(bytes, actors[k]);
        buf_append(out, bytes, sizeof bytes);
    }
}

void footer_run(struct buf *out, const struct reverse_run *run)
{
    buf_varint(out, run->count);
    buf_varint(out, run->ino);
    buf_varint(out, run->first);
    buf_varint(out, run->version);
    buf_varint(out, run->parent);
    buf_varint(out, run->offset);
    buf_varint(out, BLOCK_SIZE - run->last);
    buf_varint(out, run->name_len);
    if (run->name_len)
        buf_append(out, run->name, run->name_len);
}

void footer_end(struct buf *out, enum payload_kind kind, const void *payload, size_t len)
{
    buf_varint(out, 0);
    buf_byte(out, (uint8_t)kind);
    buf_varint(out, len);
    if (len)
        buf_append(out, payload, len);
}

/* --- decoding ------------------------------------------------------------------- */

/* A value in 0 … limit. */
static uint64_t read_below(struct reader *r, uint64_t limit)
{
    uint64_t v = read_varint(r);

    if (v > limit)
        r->failed = true;
    return r->failed ? 0 : v;
}

static bool valid_name(const uint8_t *name, size_t len)
{
    if (len > NAME_LIMIT || memchr(name, '/', len) || memchr(name, 0, len))
        return false;
    return !(len && name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

/* Inside the file, inside the segment; `count` is at least 1. */
static bool valid_place(const struct reverse_run *run)
{
    uint64_t end = (uint64_t)run->offset + (uint64_t)(run->count - 1) * SEALED_BLOCK +
                   run->last + SEAL_OVERHEAD;
    const uint64_t file_blocks = INT64_MAX / BLOCK_SIZE;

    return run->offset >= SEGMENT_DATA && end <= SEGMENT_MAX - SEGMENT_TRAILER &&
           run->first < file_blocks && run->count <= file_blocks - run->first;
}

static void read_run(struct reader *r, uint64_t count, size_t actors, struct reverse_run *out)
{
    size_t name_len;

    *out = (struct reverse_run){ .count = (uint32_t)count };
    out->ino = read_varint(r);
    out->first = read_varint(r);
    out->version = read_varint(r);
    out->parent = read_varint(r);
    out->offset = (uint32_t)read_below(r, SEGMENT_MAX);
    out->last = BLOCK_SIZE - (uint32_t)read_below(r, BLOCK_SIZE - 1);
    out->name = read_bytes(r, &name_len);
    if (r->failed || count > SEGMENT_MAX / SEAL_OVERHEAD || !out->ino || out->ino >> ACTOR_SHIFT >= actors ||
        out->parent >> ACTOR_SHIFT >= actors || !valid_place(out) || !valid_name(out->name, name_len))
        r->failed = true;
    else
        out->name_len = (uint8_t)name_len;
}

int footer_next(struct footer_view *v, struct reverse_run *out)
{
    if (v->runs.failed)
        return E_FORMAT;
    if (reader_left(&v->runs) == 0)
        return 0;
    uint64_t count = read_varint(&v->runs);
    if (!count)                      /* the mark stays outside of what footer_parse sets */
        v->runs.failed = true;
    else
        read_run(&v->runs, count, v->actor_count, out);
    return v->runs.failed ? E_FORMAT : 1;
}

/* Walks the runs up to their end mark; r then stands behind it. */
static void skip_runs(struct reader *r, struct footer_view *out)
{
    struct reverse_run run;

    out->runs = (struct reader){ r->p, r->p, false };
    for (;;) {
        const uint8_t *here = r->p;
        uint64_t count = read_varint(r);
        if (r->failed || !count) {
            out->runs.end = here;
            return;
        }
        read_run(r, count, out->actor_count, &run);
    }
}

static void read_payload(struct reader *r, struct footer_view *out)
{
    uint8_t kind = read_byte(r);

    out->payload = read_bytes(r, &out->payload_len);
    if (r->failed || reader_left(r) || kind > PAYLOAD_CHECKPOINT ||
        (kind == PAYLOAD_NONE) != (out->payload_len == 0))
        r->failed = true;
    else
        out->kind = (enum payload_kind)kind;
}

int footer_parse(const void *plain, size_t len, struct footer_view *out)
{
    struct reader r = reader_over(plain, len);

    *out = (struct footer_view){ 0 };
    if (read_byte(&r) != FOOTER_VERSION)
        r.failed = true;
    out->actor_count = (size_t)read_below(&r, ACTOR_LIMIT);
    out->actors = read_raw(&r, out->actor_count * ACTOR_BYTES);
    if (!r.failed)
        skip_runs(&r, out);
    if (!r.failed)
        read_payload(&r, out);
    if (r.failed)
        *out = (struct footer_view){ .runs.failed = true };
    return r.failed ? E_FORMAT : 0;
}
