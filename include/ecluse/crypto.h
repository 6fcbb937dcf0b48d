/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The one narrow door to libsodium and libcrypto.
 *
 * Call crypto_start once before anything else.  Bulk AEAD, HKDF (RFC 5869) and
 * SHA-256 come from libcrypto, everything else from libsodium.  Failure of the
 * random generator aborts the process before anything is sealed.
 */
#ifndef ECLUSE_CRYPTO_H
#define ECLUSE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_SIZE 32u
#define AEAD_NONCE 12u
#define AEAD_TAG 16u
#define SHA256_SIZE 32u
#define RECORD_OVERHEAD 40u   /* 24-byte nonce, 16-byte tag */
#define SALT_SIZE 16u

enum suite {
    SUITE_AES_256_GCM = 1,        /* NIST SP 800-38D */
    SUITE_CHACHA20_POLY1305 = 2,  /* RFC 8439 */
};

/* Initialises both libraries and runs known-answer tests. 0 or E_RANDOM, -ENOSYS. */
int crypto_start(void);
/* Name for --suite and for status ("aes-256-gcm"); NULL when unknown. */
const char *suite_name(enum suite suite);
/* 0 or -EINVAL. */
int suite_parse(const char *name, enum suite *out);
/* The faster suite on this machine, by a measurement of a few milliseconds. */
enum suite suite_fastest(void);

/*
 * A keyed AEAD.  Thread-safe: it keeps a few keyed contexts and hands each
 * call one.  The key is wiped by aead_free.
 */
struct aead;
int aead_new(struct aead **out, enum suite suite, const uint8_t key[KEY_SIZE]);
void aead_free(struct aead *a);
/* out receives len bytes of ciphertext, tag 16 bytes; in == out is allowed. 0 or -EIO. */
int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *aad, size_t aad_len,
              const uint8_t *in, size_t len, uint8_t *out, uint8_t tag[AEAD_TAG]);
/* 0 or E_AUTH; on E_AUTH out holds nothing of the plaintext (zeros). */
int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *aad, size_t aad_len,
              const uint8_t *in, size_t len, const uint8_t tag[AEAD_TAG], uint8_t *out);

/* HKDF-SHA-256 with empty salt; info is the concatenation label ‖ info. */
int crypto_hkdf(uint8_t *out, size_t out_len, const uint8_t key[KEY_SIZE],
                const char *label, const void *info, size_t info_len);
void crypto_sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE]);
/* HMAC-SHA-256. */
void crypto_mac(const uint8_t key[KEY_SIZE], const void *data, size_t len, uint8_t out[SHA256_SIZE]);

/* Incremental SHA-256. */
struct sha256;
int sha256_new(struct sha256 **out);
void sha256_add(struct sha256 *h, const void *data, size_t len);
void sha256_end(struct sha256 *h, uint8_t out[SHA256_SIZE]); /* and frees h */
void sha256_free(struct sha256 *h);                          /* without a result */

/* From the kernel's generator; aborts rather than return predictable bytes. */
void crypto_random(void *out, size_t len);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */

/*
 * Small sealed records: XChaCha20-Poly1305 with a random 24-byte nonce in
 * front (so out_len = len + RECORD_OVERHEAD).  in and out do not overlap.
 */
int record_seal(const uint8_t key[KEY_SIZE], const void *aad, size_t aad_len,
                const uint8_t *in, size_t len, uint8_t *out);
int record_open(const uint8_t key[KEY_SIZE], const void *aad, size_t aad_len,
                const uint8_t *in, size_t in_len, uint8_t *out); /* 0 or E_AUTH */

/* Guarded memory: locked, not dumped, wiped on free. Secrets live only here. */
void *secret_alloc(size_t len); /* zeroed; NULL when out of (lockable) memory */
void secret_free(void *p);
void secret_wipe(void *p, size_t len);

/* Argon2id (RFC 9106) with fixed bounds: memory 64 MiB … 1 GiB, passes 3 … 16. */
struct kdf_cost { uint32_t memory_kib; uint32_t passes; };
#define KDF_FLOOR ((struct kdf_cost){ 65536, 3 })
bool kdf_cost_valid(struct kdf_cost cost);
/* 0, -EINVAL outside the bounds (nothing is allocated), -ENOMEM. */
int crypto_kdf(uint8_t out[KEY_SIZE], const void *secret, size_t secret_len,
               const uint8_t salt[SALT_SIZE], struct kdf_cost cost);
/* The dearest cost that takes at most `milliseconds` here, and in nothing less than
 * `least`, which is a valid one. */
struct kdf_cost kdf_calibrate(struct kdf_cost least, unsigned milliseconds);

#endif
