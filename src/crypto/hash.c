/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * SHA-256, HMAC-SHA-256 and HKDF-SHA-256.
 *
 * SHA-256 is libcrypto's, which uses the processor's instructions.  It needs
 * memory for each use; where a caller cannot be told that there is none,
 * libsodium's, which needs none, takes over.  HMAC, used on small inputs only,
 * is libsodium's throughout.
 */
#include "internal.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define INFO_LIMIT 512u     /* libcrypto takes 1024 */

void crypto_sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE])
{
    if (!EVP_Digest(len ? data : "", len, out, NULL, algorithms.sha256, NULL))
        crypto_hash_sha256(out, data, len);
}

void crypto_mac(const uint8_t key[KEY_SIZE], const void *data, size_t len, uint8_t out[SHA256_SIZE])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, key, KEY_SIZE);
    if (len)
        crypto_auth_hmacsha256_update(&state, data, len);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

/* --- incremental ---------------------------------------------------------------- */

/* Only making the context can fail; once it exists the rest is arithmetic. */
struct sha256 { EVP_MD_CTX *ctx; };

int sha256_new(struct sha256 **out)
{
    struct sha256 *h = malloc(sizeof *h);
    if (!h)
        return -ENOMEM;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || !EVP_DigestInit_ex2(h->ctx, algorithms.sha256, NULL)) {
        sha256_free(h);
        return -ENOMEM;
    }
    *out = h;
    return 0;
}

void sha256_add(struct sha256 *h, const void *data, size_t len)
{
    if (len && !EVP_DigestUpdate(h->ctx, data, len))
        abort();
}

void sha256_end(struct sha256 *h, uint8_t out[SHA256_SIZE])
{
    if (!EVP_DigestFinal_ex(h->ctx, out, NULL))
        abort();
    sha256_free(h);
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

/* --- HKDF ----------------------------------------------------------------------- */

int hkdf_derive(uint8_t *out, size_t out_len, const void *key, size_t key_len,
                const void *info, size_t info_len)
{
    static char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(algorithms.hkdf);

    if (!ctx)
        return -ENOMEM;
    int rc = EVP_KDF_derive(ctx, out, out_len, params) > 0 ? 0 : -EIO;
    EVP_KDF_CTX_free(ctx);
    return rc;
}

int crypto_hkdf(uint8_t *out, size_t out_len, const uint8_t key[KEY_SIZE],
                const char *label, const void *info, size_t info_len)
{
    uint8_t whole[INFO_LIMIT];
    size_t label_len = strlen(label);

    if (label_len > sizeof whole || info_len > sizeof whole - label_len || out_len > 255 * SHA256_SIZE)
        return -EINVAL;
    memcpy(whole, label, label_len);
    if (info_len)
        memcpy(whole + label_len, info, info_len);
    return hkdf_derive(out, out_len, key, KEY_SIZE, whole, label_len + info_len);
}
