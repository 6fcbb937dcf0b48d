/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * One sealed block: nonce 12 B | ciphertext | tag 16 B.
 *
 *   AAD   segment id 16 B | offset in the segment le64 | type 1 B
 *
 * The AAD fixes a block to its place: moved, swapped or taken for another type
 * it does not open.  Its length needs no field, the tag covers it.  This is the
 * hot path: nothing is allocated here and nothing is copied.
 *
 * Invariant: a (key, nonce) pair seals once.  Nonces come from a fresh random
 * base per request, never from a counter that a copied state could repeat.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>

#define AAD_BYTES 25u

static void make_aad(const struct segment_key *k, uint64_t offset, enum seal_type type, uint8_t aad[AAD_BYTES])
{
    memcpy(aad, k->segment.b, sizeof k->segment.b);
    put_le64(aad + 16, offset);
    aad[24] = (uint8_t)type;
}

void nonce_base_new(struct nonce_base *base)
{
    crypto_random(base->b, sizeof base->b);
}

static void make_nonce(const struct nonce_base *base, uint32_t i, uint8_t out[AEAD_NONCE])
{
    uint32_t low = (uint32_t)base->b[8] << 24 | (uint32_t)base->b[9] << 16 |
                   (uint32_t)base->b[10] << 8 | base->b[11];

    low += i;
    memcpy(out, base->b, 8);
    for (int k = 0; k < 4; k++)
        out[8 + k] = (uint8_t)(low >> (24 - 8 * k));
}

int segment_seal(struct segment_key *k, const struct nonce_base *base, uint32_t i,
                 uint64_t offset, enum seal_type type, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t aad[AAD_BYTES];

    if (!len || len > UINT32_MAX)
        return -EINVAL;
    make_aad(k, offset, type, aad);
    make_nonce(base, i, out);
    return aead_seal(k->aead, out, aad, sizeof aad, in, len, out + AEAD_NONCE, out + AEAD_NONCE + len);
}

int segment_open(struct segment_key *k, uint64_t offset, enum seal_type type,
                 const uint8_t *in, size_t in_len, uint8_t *out)
{
    uint8_t aad[AAD_BYTES];

    if (in_len <= SEAL_OVERHEAD || in_len - SEAL_OVERHEAD > UINT32_MAX)
        return E_AUTH;
    size_t len = in_len - SEAL_OVERHEAD;
    make_aad(k, offset, type, aad);
    return aead_open(k->aead, in, aad, sizeof aad, in + AEAD_NONCE, len, in + AEAD_NONCE + len, out);
}
