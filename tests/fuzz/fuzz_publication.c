/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the parser of publications: any bytes give views in range or E_FORMAT,
 * whatever counts they claim; rows may then be walked as far as they are well
 * formed.  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude … fuzz_publication.c
 */
#include <ecluse/batch.h>
#include <ecluse/publication.h>
#include <ecluse/segment.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_heads(struct publication_view v)
{
    struct publication_head h;
    uint64_t last = 0;

    while (publication_next_head(&v, &h)) {
        require(h.actor && h.actor != v.actor && h.seq > last && h.seq < v.seq);
        last = h.seq;
    }
    require(reader_left(&v.heads) == 0 && !v.heads.failed);
}

static void check_segments(struct publication_view v)
{
    struct publication_segment s;
    uint64_t next = 0, carriers = 0;

    while (publication_next_segment(&v, &s)) {
        require(s.number >= next && (s.fresh || !s.carrier));
        require(!s.fresh || s.carrier || segment_size_class(s.length) == s.length);
        require(!s.again || (!s.fresh && segment_size_class(s.length) == s.length));
        require(!s.gone || s.again);
        next = (uint64_t)s.number + 1;
        carriers += s.carrier;
    }
    require(carriers == 1 && reader_left(&v.segments) == 0 && !v.segments.failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record r;
    struct publication_view v;

    if (publication_parse(data, size, &v))
        return 0;
    require(v.actor && v.seq && v.seq <= INT64_MAX && v.time <= INT64_MAX);
    require(v.actor_count && publication_actor(&v, v.actor_count - 1) == v.actor);
    require(v.before.seq == v.seq - 1 && (v.before.seq == 0) == (v.before.actor == 0));
    require(v.rows_len <= size);
    require(v.shard <= v.seq && (v.shard || !v.last) && (!v.shard || v.last || v.more));
    require(!v.around.seq || (v.around.actor && v.around.seq < v.before.seq));
    check_heads(v);
    check_segments(v);
    for (struct reader in = reader_over(v.rows, v.rows_len); batch_next(&in, &r) == 1;)
        continue;
    return 0;
}
