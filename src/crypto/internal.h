/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What crypto_start prepares for the rest of the layer.
 *
 * Algorithms are fetched once: a fetch walks the providers under a lock and
 * costs more than sealing a block.  The pointers are written by crypto_start
 * and only read after it.
 */
#ifndef ECLUSE_CRYPTO_INTERNAL_H
#define ECLUSE_CRYPTO_INTERNAL_H

#include <ecluse/crypto.h>
#include <openssl/types.h>

struct algorithms {
    EVP_CIPHER *aes_256_gcm;
    EVP_CIPHER *chacha20_poly1305;
    EVP_MD *sha256;
    EVP_KDF *hkdf;
};
extern struct algorithms algorithms;

/* HKDF-SHA-256 of any input key, empty salt, whole info. 0, -ENOMEM or -EIO. */
int hkdf_derive(uint8_t *out, size_t out_len, const void *key, size_t key_len,
                const void *info, size_t info_len);

/* 0 when the kernel's generator answers, else E_RANDOM. */
int random_check(void);

/* Note sealings for tests (nonces.c); nothing in other builds. */
#ifdef ECLUSE_FAULTS
void nonce_log_start(void);
void nonce_note(const uint8_t key[KEY_SIZE], const uint8_t *nonce, size_t len);
#else
static inline void nonce_log_start(void) { }
static inline void nonce_note(const uint8_t *key, const uint8_t *nonce, size_t len)
{
    (void)key;
    (void)nonce;
    (void)len;
}
#endif

/* Known-answer tests. 0 or -ENOSYS. */
int selftest_run(void);

#endif
