/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the file that an unfinished state goes on by: any bytes give entries in range
 * and in order or E_FORMAT, and what was decoded encodes to the same bytes.  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc … fuzz_history.c
 */
#include <fs/rebuild.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history h;
    struct buf again = { 0 };
    uint64_t before = 0;

    if (history_decode(&h, data, size))
        return 0;
    require(h.count <= size && h.head_count <= size);
    for (size_t k = 0; k < h.count; k++) {
        const struct link *l = &h.v[k].link;
        require(l->self.seq > before && l->self.seq <= INT64_MAX && l->time >= 0 && !l->incomplete && !l->staged);
        before = l->self.seq;
    }
    history_encode(&h, &again);
    require(!again.failed && again.len == size && memcmp(again.data, data, size) == 0);
    buf_free(&again);
    history_free(&h);
    return 0;
}
