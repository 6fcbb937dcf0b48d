/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The plaintext of a footer: whose blocks a segment holds, and a payload.
 *
 *   version 2 | actors: count, le64… | runs… | 0 | borrowed | kind byte | payload: length, bytes
 *   run:       count (never 0) | ino first version parent offset short | name: length, bytes
 *   borrowed:  segments: count, ids… | files… | 0
 *   file:      ino (never 0) | version parent size | name: length, bytes | runs… | 0
 *   its run:   count (never 0) | segment first offset short cut
 *
 * Numbers are LEB128; `short` is what the last block lacks to 4096 bytes, `cut`
 * what of it does not count any more.  The runs of this segment's own blocks
 * stand alone, not relative to one another, so that both sides need no memory of
 * the run before.  Borrowed ones, which come by the thousand when a file is copied,
 * are by file.  Version 1 has none; it is read, and not written any more.
 *
 * Invariant: what footer_next and footer_next_borrowed return lies inside a segment and inside a file,
 * names an actor of the table, and carries no name that could climb out of a
 * directory, so that salvage may use it as it is.  Runs may overlap, since
 * files may share blocks; whether the blocks open is for segment_open to say.
 */
#include "internal.h"
#include <ecluse/error.h>

#define FOOTER_VERSION 2u
#define FOOTER_VERSION_OWN 1u   /* without borrowed runs */
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

void borrowed_begin(struct buf *out, const struct id128 *segments, size_t count)
{
    buf_varint(out, count);
    for (size_t k = 0; k < count; k++)
        buf_append(out, segments[k].b, sizeof segments[k].b);
}

void borrowed_add(struct buf *out, uint64_t before, const struct borrowed_run *run, size_t segment)
{
    const struct reverse_run *of = &run->of;

    if (before != of->ino) {
        if (before)
            buf_varint(out, 0);
        buf_varint(out, of->ino);
        buf_varint(out, of->version);
        buf_varint(out, of->parent);
        buf_varint(out, run->size);
        buf_bytes(out, of->name, of->name_len);
    }
    buf_varint(out, of->count);
    buf_varint(out, segment);
    buf_varint(out, of->first);
    buf_varint(out, of->offset);
    buf_varint(out, BLOCK_SIZE - of->last);
    buf_varint(out, of->last - run->valid);
}

void borrowed_end(struct buf *out, uint64_t before)
{
    if (before)
        buf_varint(out, 0);
    buf_varint(out, 0);
}

void footer_end(struct buf *out, const struct buf *borrowed, enum payload_kind kind, const void *payload, size_t len)
{
    buf_varint(out, 0);                  /* end of this segment's own runs */
    if (borrowed && borrowed->len) {
        buf_append(out, borrowed->data, borrowed->len);
    } else {
        borrowed_begin(out, NULL, 0);
        borrowed_end(out, 0);
    }
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

static void read_place(struct reader *r, uint64_t count, struct reverse_run *out)
{
    out->count = (uint32_t)count;
    out->offset = (uint32_t)read_below(r, SEGMENT_MAX);
    out->last = BLOCK_SIZE - (uint32_t)read_below(r, BLOCK_SIZE - 1);
    if (!count || count > SEGMENT_MAX / SEAL_OVERHEAD || !valid_place(out))
        r->failed = true;
}

static void read_name(struct reader *r, size_t actors, struct reverse_run *out)
{
    size_t name_len;

    out->name = read_bytes(r, &name_len);
    if (r->failed || !out->ino || out->ino >> ACTOR_SHIFT >= actors || out->parent >> ACTOR_SHIFT >= actors ||
        !valid_name(out->name, name_len))
        r->failed = true;
    else
        out->name_len = (uint8_t)name_len;
}

static void read_run(struct reader *r, uint64_t count, size_t actors, struct reverse_run *out)
{
    *out = (struct reverse_run){ .ino = read_varint(r) };
    out->first = read_varint(r);
    out->version = read_varint(r);
    out->parent = read_varint(r);
    read_place(r, count, out);
    read_name(r, actors, out);
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

/* --- borrowed runs ------------------------------------------------------------------ */

/* The next file's beginning, into v->file; false at the end. */
static bool read_file(struct footer_view *v)
{
    struct reader *r = &v->borrowed;
    uint64_t before = v->file.of.ino;

    v->file = (struct borrowed_run){ .of.ino = read_varint(r) };
    if (r->failed || !v->file.of.ino)
        return false;
    v->file.of.version = read_varint(r);
    v->file.of.parent = read_varint(r);
    v->file.size = read_below(r, INT64_MAX);
    read_name(r, v->actor_count, &v->file.of);
    if (v->file.of.ino <= before)
        r->failed = true;
    return !r->failed;
}

static void read_borrowed(struct footer_view *v, uint64_t count, struct borrowed_run *out)
{
    struct reader *r = &v->borrowed;

    *out = v->file;
    uint64_t segment = read_varint(r);
    out->of.first = read_varint(r);
    read_place(r, count, &out->of);
    uint64_t cut = read_below(r, BLOCK_SIZE - 1);
    if (r->failed || segment >= v->segment_count || cut >= out->of.last)
        r->failed = true;
    else
        out->segment = v->segments + segment * sizeof(struct id128);
    out->valid = out->of.last - (uint32_t)cut;
}

int footer_next_borrowed(struct footer_view *v, struct borrowed_run *out)
{
    struct reader *r = &v->borrowed;
    uint64_t count = 0;

    if (r->failed)
        return E_FORMAT;
    if (reader_left(r) == 0)
        return 0;
    if (v->file.of.ino)
        count = read_varint(r);
    if (!r->failed && !count) {
        if (!read_file(v))
            return r->failed ? E_FORMAT : 0;
        count = read_varint(r);
        if (!count)                      /* a file without runs */
            r->failed = true;
    }
    if (!r->failed)
        read_borrowed(v, count, out);
    return r->failed ? E_FORMAT : 1;
}

/* Walks the borrowed runs up to their end mark; r then stands behind it. */
static void skip_borrowed(struct reader *r, struct footer_view *out)
{
    struct borrowed_run run;
    int rc;

    out->segment_count = (size_t)read_below(r, reader_left(r) / sizeof(struct id128));
    out->segments = read_raw(r, out->segment_count * sizeof(struct id128));
    if (r->failed)
        return;
    out->borrowed = *r;
    struct footer_view walk = *out;
    while ((rc = footer_next_borrowed(&walk, &run)) == 1)
        ;
    r->failed = rc != 0;
    out->borrowed.end = walk.borrowed.p;
    r->p = walk.borrowed.p;
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
    uint8_t version = read_byte(&r);
    if (version != FOOTER_VERSION && version != FOOTER_VERSION_OWN)
        r.failed = true;
    out->actor_count = (size_t)read_below(&r, ACTOR_LIMIT);
    out->actors = read_raw(&r, out->actor_count * ACTOR_BYTES);
    if (!r.failed)
        skip_runs(&r, out);
    if (!r.failed && version == FOOTER_VERSION)
        skip_borrowed(&r, out);
    if (!r.failed)
        read_payload(&r, out);
    if (r.failed)
        *out = (struct footer_view){ .runs.failed = true, .borrowed.failed = true };
    return r.failed ? E_FORMAT : 0;
}
