/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of a segment's own parsers: the header and the sealed parts before
 * authentication, and the trailer's contents after it.  No files.
 *
 *   first byte % 4   0 header   1 header, believed, and its commitment
 *                    2 block and trailer, any bytes   3 trailer, sealed by us
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude … fuzz_segment.c
 */
#include <ecluse/error.h>
#include <ecluse/segment.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t epoch_key[KEY_SIZE] = { 42 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct segment_key *key_for(const struct segment_header *h)
{
    struct segment_key *k = NULL;
    require(segment_key_new(&k, h, epoch_key) == 0);
    return k;
}

/* What parses is written as the same 64 bytes; with `check`, the commitment of
 * the input must be ours for it to pass. */
static void header(const uint8_t *data, size_t size, bool check)
{
    uint8_t in[SEGMENT_DATA] = { 0x89, 'E', 'C', 'L', 'S', '\r', '\n', 0x1a, 1 }, out[SEGMENT_DATA];
    struct segment_header h;

    if (check)
        memcpy(in + 12, data, size < SEGMENT_DATA - 12 ? size : SEGMENT_DATA - 12);
    else
        memcpy(in, data, size < SEGMENT_DATA ? size : SEGMENT_DATA);
    if (segment_header_parse(in, &h))
        return;
    struct segment_key *k = key_for(&h);
    segment_header_write(out, &h, k);
    require(memcmp(in, out, SEGMENT_HEADER) == 0);
    require(segment_header_check(out, k) == 0);
    require((segment_header_check(in, k) == 0) == (memcmp(in, out, SEGMENT_DATA) == 0));
    segment_key_free(k);
}

static struct segment_key *fixed_key(void)
{
    static struct segment_key *k;
    static const struct segment_header h = { .format = SEGMENT_FORMAT, .suite = SUITE_AES_256_GCM };

    if (!k)
        k = key_for(&h);
    return k;
}

static uint64_t file_size(uint8_t choice)
{
    return choice & 0x80 ? choice * 1000ull : (uint64_t)SEGMENT_MIN << choice % 9;
}

static void forged(const uint8_t *data, size_t size)
{
    uint8_t *out = malloc(size + 1), trailer[SEGMENT_TRAILER] = { 0 };
    uint64_t at, len;

    require(out);
    require(segment_open(fixed_key(), 96, SEAL_DATA, data, size, out) == E_AUTH);
    memcpy(trailer, data, size < sizeof trailer ? size : sizeof trailer);
    require(segment_trailer_open(fixed_key(), file_size(size ? data[0] : 0), trailer, &at, &len) == E_AUTH);
    free(out);
}

/* Authentic, but written by something broken: only what is possible passes. */
static void sealed_trailer(const uint8_t *data, size_t size)
{
    uint8_t plain[32] = { 0 }, trailer[SEGMENT_TRAILER];
    uint64_t total = file_size(size ? data[0] : 0), at, len;
    struct nonce_base base;

    if (total < SEGMENT_MIN)
        return;
    if (size)
        memcpy(plain, data + 1, size - 1 < sizeof plain ? size - 1 : sizeof plain);
    if (size && data[0] & 0x40)
        put_le64(plain + 16, total);
    nonce_base_new(&base);
    require(segment_seal(fixed_key(), &base, 0, total - SEGMENT_TRAILER, SEAL_TRAILER, plain, sizeof plain,
                         trailer) == 0);
    if (segment_trailer_open(fixed_key(), total, trailer, &at, &len) == 0)
        require(at >= SEGMENT_DATA && len > SEAL_OVERHEAD && len <= total && at <= total - SEGMENT_TRAILER - len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;

    if (!started)
        require(crypto_start() == 0);
    started = true;
    if (!size)
        return 0;
    switch (data[0] % 4) {
    case 0:
    case 1:
        header(data + 1, size - 1, data[0] % 4);
        break;
    case 2:
        forged(data + 1, size - 1);
        break;
    default:
        sealed_trailer(data + 1, size - 1);
    }
    return 0;
}
