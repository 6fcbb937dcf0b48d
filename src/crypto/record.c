/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Small sealed records, for keyrings and grants: nonce | ciphertext | tag.
 *
 * The 24-byte nonce of XChaCha20 is drawn at random for each record; so many
 * would have to be sealed under one key before two met that nobody counts.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>
#include <sodium.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

_Static_assert(RECORD_OVERHEAD == NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES, "layout of a record");
_Static_assert(KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key of a record");

int record_seal(const uint8_t key[KEY_SIZE], const void *aad, size_t aad_len,
                const uint8_t *in, size_t len, uint8_t *out)
{
    if (len > SIZE_MAX - RECORD_OVERHEAD)
        return -EINVAL;
    crypto_random(out, NONCE);
    nonce_note(key, out, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, in, len, aad, aad_len, NULL, out, key);
    return 0;
}

int record_open(const uint8_t key[KEY_SIZE], const void *aad, size_t aad_len,
                const uint8_t *in, size_t in_len, uint8_t *out)
{
    if (in_len < RECORD_OVERHEAD)
        return E_AUTH;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in + NONCE, in_len - NONCE,
                                                   aad, aad_len, in, key)) {
        secret_wipe(out, in_len - RECORD_OVERHEAD);
        return E_AUTH;
    }
    return 0;
}
