/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The first 96 bytes of a segment: a plain header and the commitment to its key.
 *
 *   0   8   magic              20   4   zeros
 *   8   4   format             24  16   vault id
 *  12   4   suite              40  16   segment id
 *  16   4   epoch              56   8   zeros
 *                              64  32   commitment
 *
 *   key        = HKDF(epoch key, "ecluse/segment" ‖ vault id ‖ segment id)
 *   commitment = HKDF(epoch key, "ecluse/segment/commitment" ‖ the 64 bytes)
 *
 * The two inputs differ in length, so neither output says anything about the
 * other.  The commitment ties these very bytes to one epoch key, hence to one
 * segment key: an AEAD alone does not, a ciphertext can be made to open under
 * two keys.  A struct segment_key therefore knows all 96 bytes that its file
 * must begin with, and the check is one comparison in constant time.
 *
 * Not promised: that a header which parses is authentic; only the check says so.
 */
#include "internal.h"
#include <assert.h>
#include <ecluse/error.h>
#include <errno.h>
#include <stdlib.h>

enum {
    AT_FORMAT = 8, AT_SUITE = 12, AT_EPOCH = 16, AT_ZERO = 20, AT_VAULT = 24, AT_SEGMENT = 40,
    AT_ZEROS = 56
};
_Static_assert(AT_ZEROS + 8 == SEGMENT_HEADER, "the header is 64 bytes");
_Static_assert(SEGMENT_HEADER + SHA256_SIZE == SEGMENT_DATA, "the commitment is 32 bytes");

/* Not text, and damaged by whatever changes line ends or the eighth bit. */
static const uint8_t magic[8] = { 0x89, 'E', 'C', 'L', 'S', '\r', '\n', 0x1a };

static void encode(uint8_t out[SEGMENT_HEADER], const struct segment_header *h)
{
    memset(out, 0, SEGMENT_HEADER);
    memcpy(out, magic, sizeof magic);
    put_le32(out + AT_FORMAT, h->format);
    put_le32(out + AT_SUITE, (uint32_t)h->suite);
    put_le32(out + AT_EPOCH, h->epoch);
    memcpy(out + AT_VAULT, h->vault.b, sizeof h->vault.b);
    memcpy(out + AT_SEGMENT, h->segment.b, sizeof h->segment.b);
}

int segment_header_parse(const uint8_t in[SEGMENT_DATA], struct segment_header *out)
{
    struct segment_header h = { .format = get_le32(in + AT_FORMAT), .epoch = get_le32(in + AT_EPOCH) };
    uint32_t suite = get_le32(in + AT_SUITE);

    if (memcmp(in, magic, sizeof magic) || !h.format)
        return E_FORMAT;
    if (h.format > SEGMENT_FORMAT)
        return E_NEWER_FORMAT;
    if ((suite != SUITE_AES_256_GCM && suite != SUITE_CHACHA20_POLY1305) ||
        get_le32(in + AT_ZERO) || get_le64(in + AT_ZEROS))
        return E_FORMAT;
    h.suite = (enum suite)suite;
    memcpy(h.vault.b, in + AT_VAULT, sizeof h.vault.b);
    memcpy(h.segment.b, in + AT_SEGMENT, sizeof h.segment.b);
    *out = h;
    return 0;
}

int segment_key_new(struct segment_key **out, const struct segment_header *h,
                    const uint8_t epoch_key[KEY_SIZE])
{
    struct segment_key *k = calloc(1, sizeof *k);
    uint8_t secret[KEY_SIZE];

    *out = NULL;
    if (!k)
        return -ENOMEM;
    k->segment = h->segment;
    encode(k->front, h);
    int rc = crypto_hkdf(secret, sizeof secret, epoch_key, "ecluse/segment", k->front + AT_VAULT,
                         sizeof h->vault.b + sizeof h->segment.b);
    if (!rc)
        rc = crypto_hkdf(k->front + SEGMENT_HEADER, SHA256_SIZE, epoch_key, "ecluse/segment/commitment",
                         k->front, SEGMENT_HEADER);
    if (!rc)
        rc = aead_new(&k->aead, h->suite, secret);
    secret_wipe(secret, sizeof secret);
    if (rc) {
        segment_key_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

void segment_key_free(struct segment_key *k)
{
    if (!k)
        return;
    aead_free(k->aead);
    free(k);
}

void segment_header_write(uint8_t out[SEGMENT_DATA], const struct segment_header *h,
                          const struct segment_key *k)
{
    uint8_t bytes[SEGMENT_HEADER];

    encode(bytes, h);
    assert(memcmp(bytes, k->front, sizeof bytes) == 0);  /* the key was made for this header */
    memcpy(out, k->front, SEGMENT_DATA);
}

int segment_header_check(const uint8_t in[SEGMENT_DATA], const struct segment_key *k)
{
    return crypto_equal(in, k->front, SEGMENT_DATA) ? 0 : E_AUTH;
}
