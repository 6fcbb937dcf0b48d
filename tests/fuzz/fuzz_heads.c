/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the file that remembers other devices' publications: after it was opened, any
 * bytes give entries in range or E_FORMAT, which encode to the same bytes; before, no bytes
 * open at all.  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc … fuzz_heads.c
 */
#include <fs/seen.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void sealed(const uint8_t *data, size_t size)
{
    static const uint8_t key[KEY_SIZE] = { 9 };
    uint8_t *out = malloc(size + 1);

    require(out && record_open(key, "vault", 5, data, size, out) == E_AUTH);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct heads h;
    struct buf again = { 0 };

    if (!started)
        require(crypto_start() == 0);
    started = true;
    sealed(data, size);
    if (heads_decode(&h, data, size))
        return 0;
    require(h.relied <= h.accepted && h.count <= size);
    for (size_t k = 0; k < h.count; k++)
        require(h.v[k].self.actor && h.v[k].self.seq && h.v[k].self.seq <= INT64_MAX && h.v[k].time >= 0 &&
                heads_find(&h, h.v[k].self.actor) == &h.v[k]);
    heads_encode(&h, &again);
    require(!again.failed && again.len == size && memcmp(again.data, data, size) == 0);
    buf_free(&again);
    heads_free(&h);
    return 0;
}
