/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Bringing up both libraries, once.
 *
 * libcrypto's configuration file and its exit handler are left out: the former
 * could put other code in the place of the algorithms we name, the latter pulls
 * the tables from under threads that still seal while the process exits.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <pthread.h>
#include <sodium.h>

struct algorithms algorithms;
static int outcome;

static void start(void)
{
    /* libsodium would abort without a generator; this can still be reported. */
    outcome = random_check();
    if (outcome)
        return;
    outcome = -ENOSYS;
    if (sodium_init() < 0)
        return;
    if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
        return;
    algorithms.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    algorithms.chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    algorithms.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    if (algorithms.aes_256_gcm && algorithms.chacha20_poly1305 && algorithms.sha256 && algorithms.hkdf)
        outcome = selftest_run();
    nonce_log_start();
}

int crypto_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start);
    return outcome;
}
