/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The bulk AEAD.
 *
 * Keying a context costs 0.6 µs, a quarter of sealing 4 KiB with AES, so keyed
 * contexts are kept and only get a new nonce for each call.  A context serves
 * one call at a time, in either direction.  An aead keeps up to IDLE_MAX of
 * them in slots: to take one is to exchange a slot for NULL, to give one back
 * is to put it into an empty slot, else to free it.  No lock, no list, so no
 * ABA.  The first is made at the first use; one thread never needs a second.
 * (Contexts per thread were rejected: they would have to be found and freed
 * with the aead, and cost threads times segments.)
 *
 * A context takes 1.3 KB and holds the expanded key in ordinary memory, as it
 * must: libcrypto allocates it.  Ordinary memory is kept from core dumps by the
 * process, and both key and contexts are wiped when freed.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 4u
#define STEP_MAX (1u << 30)     /* bytes for one call of libcrypto, which counts in int */

struct aead {
    EVP_CIPHER *cipher;         /* borrowed */
    _Atomic(EVP_CIPHER_CTX *) idle[IDLE_MAX];
    uint8_t key[KEY_SIZE];
};

static EVP_CIPHER *cipher_of(enum suite suite)
{
    switch (suite) {
    case SUITE_AES_256_GCM: return algorithms.aes_256_gcm;
    case SUITE_CHACHA20_POLY1305: return algorithms.chacha20_poly1305;
    }
    return NULL;
}

int aead_new(struct aead **out, enum suite suite, const uint8_t key[KEY_SIZE])
{
    EVP_CIPHER *cipher = cipher_of(suite);
    if (!cipher)
        return -EINVAL;
    struct aead *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->cipher = cipher;
    memcpy(a->key, key, KEY_SIZE);
    *out = a;
    return 0;
}

void aead_free(struct aead *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < IDLE_MAX; i++)
        EVP_CIPHER_CTX_free(atomic_load(&a->idle[i]));
    secret_wipe(a, sizeof *a);
    free(a);
}

/* --- the pool ------------------------------------------------------------------- */

static EVP_CIPHER_CTX *make_context(const struct aead *a)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx && EVP_EncryptInit_ex2(ctx, a->cipher, a->key, NULL, NULL))
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static EVP_CIPHER_CTX *take(struct aead *a)
{
    for (unsigned i = 0; i < IDLE_MAX; i++) {
        /* A look first: an exchange takes the cache line even from an empty slot. */
        if (!atomic_load_explicit(&a->idle[i], memory_order_relaxed))
            continue;
        EVP_CIPHER_CTX *ctx = atomic_exchange_explicit(&a->idle[i], NULL, memory_order_acquire);
        if (ctx)
            return ctx;
    }
    return make_context(a);
}

static void give_back(struct aead *a, EVP_CIPHER_CTX *ctx)
{
    for (unsigned i = 0; i < IDLE_MAX; i++) {
        EVP_CIPHER_CTX *empty = NULL;
        if (atomic_compare_exchange_strong_explicit(&a->idle[i], &empty, ctx, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    EVP_CIPHER_CTX_free(ctx);
}

/* --- sealing and opening -------------------------------------------------------- */

/* Feeds aad and in; both directions are the same but for the final step. */
static bool feed(EVP_CIPHER_CTX *ctx, const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
                 uint8_t *out)
{
    int n;

    while (aad_len) {
        size_t step = aad_len < STEP_MAX ? aad_len : STEP_MAX;
        if (!EVP_CipherUpdate(ctx, NULL, &n, aad, (int)step))
            return false;
        aad += step;
        aad_len -= step;
    }
    while (len) {
        size_t step = len < STEP_MAX ? len : STEP_MAX;
        if (!EVP_CipherUpdate(ctx, out, &n, in, (int)step) || (size_t)n != step)
            return false;
        in += step;
        out += step;
        len -= step;
    }
    return true;
}

int aead_seal(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *aad, size_t aad_len,
              const uint8_t *in, size_t len, uint8_t *out, uint8_t tag[AEAD_TAG])
{
    EVP_CIPHER_CTX *ctx = take(a);
    uint8_t rest[AEAD_TAG];
    int n;

    if (!ctx)
        return -EIO;
    nonce_note(a->key, nonce, AEAD_NONCE);
    bool ok = EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) && feed(ctx, aad, aad_len, in, len, out) &&
              EVP_EncryptFinal_ex(ctx, rest, &n) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) > 0;
    if (!ok) {
        EVP_CIPHER_CTX_free(ctx);
        return -EIO;
    }
    give_back(a, ctx);
    return 0;
}

int aead_open(struct aead *a, const uint8_t nonce[AEAD_NONCE], const void *aad, size_t aad_len,
              const uint8_t *in, size_t len, const uint8_t tag[AEAD_TAG], uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = take(a);
    uint8_t rest[AEAD_TAG], expected[AEAD_TAG];
    int n, rc = ctx ? -EIO : -ENOMEM;

    memcpy(expected, tag, AEAD_TAG);        /* libcrypto wants it writable */
    if (ctx && EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, NULL) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, expected) > 0 &&
        feed(ctx, aad, aad_len, in, len, out))
        rc = EVP_DecryptFinal_ex(ctx, rest, &n) > 0 ? 0 : E_AUTH;
    if (rc)
        secret_wipe(out, len);
    if (rc && rc != E_AUTH)
        EVP_CIPHER_CTX_free(ctx);
    else
        give_back(a, ctx);
    return rc;
}
