/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the footer decoder: any bytes give runs in range or E_FORMAT, and a
 * footer that was decoded gives, encoded again, the same bytes (or two more, of version 1).  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude … fuzz_footer.c
 */
#include <ecluse/segment.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_run(const struct footer_view *v, const struct reverse_run *r)
{
    uint64_t end = r->offset + (r->count - 1ull) * SEALED_BLOCK + r->last + SEAL_OVERHEAD;

    require(r->ino && r->ino >> 48 < v->actor_count && r->parent >> 48 < v->actor_count);
    require(r->count && r->last >= 1 && r->last <= BLOCK_SIZE);
    require(r->offset >= SEGMENT_DATA && end <= SEGMENT_MAX - SEGMENT_TRAILER);
    require(r->first + r->count <= INT64_MAX / BLOCK_SIZE);
    require(!r->name_len || (!memchr(r->name, '/', r->name_len) && !memchr(r->name, 0, r->name_len)));
}

static void check_borrowed(const struct footer_view *v, const struct borrowed_run *r)
{
    check_run(v, &r->of);
    require(r->valid >= 1 && r->valid <= r->of.last && r->size <= INT64_MAX);
    require(r->segment >= v->segments && (size_t)(r->segment - v->segments) / 16 < v->segment_count);
}

static void encode_borrowed(struct buf *b, struct footer_view *v)
{
    struct borrowed_run r;
    uint64_t before = 0;
    int rc;

    borrowed_begin(b, (const struct id128 *)(const void *)v->segments, v->segment_count);
    for (; (rc = footer_next_borrowed(v, &r)) == 1; before = r.of.ino) {
        check_borrowed(v, &r);
        borrowed_add(b, before, &r, (size_t)(r.segment - v->segments) / 16);
    }
    require(rc == 0);
    borrowed_end(b, before);
}

static void encode_actors(struct buf *b, const struct footer_view *v)
{
    uint64_t *actors = malloc(v->actor_count * sizeof *actors + 1);

    require(actors);
    for (size_t k = 0; k < v->actor_count; k++)
        actors[k] = get_le64(v->actors + 8 * k);
    footer_begin(b, actors, v->actor_count);
    free(actors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct footer_view v;
    struct reverse_run r;
    struct buf again = { 0 }, borrowed = { 0 };
    int rc;

    if (footer_parse(data, size, &v))
        return 0;
    encode_actors(&again, &v);
    while ((rc = footer_next(&v, &r)) == 1) {
        check_run(&v, &r);
        footer_run(&again, &r);
    }
    require(rc == 0);
    encode_borrowed(&borrowed, &v);
    footer_end(&again, &borrowed, v.kind, v.payload, v.payload_len);
    require(!again.failed);
    if (data[0] == 1)              /* that version has no borrowed runs, and is not written any more */
        require(again.len == size + 2 && borrowed.len == 2);
    else
        require(again.len == size && memcmp(again.data, data, size) == 0);
    buf_free(&borrowed);
    buf_free(&again);
    return 0;
}
