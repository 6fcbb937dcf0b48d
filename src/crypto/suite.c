/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The two suites by name, and which is the faster one here.
 *
 * The choice is made once, at init, and pinned: no attacker gains by it, as
 * both are sound; it only decides how long the user waits.
 */
#include "internal.h"
#include <ecluse/base.h>
#include <errno.h>
#include <time.h>

#define ROUND 16                    /* blocks sealed in one timing */
#define ROUNDS 24                   /* the best counts: interruptions only add */
#define ADVANTAGE 1.1               /* what AES must lose by to be left */

static const struct { enum suite suite; const char *name; } suites[] = {
    { SUITE_AES_256_GCM, "aes-256-gcm" },
    { SUITE_CHACHA20_POLY1305, "chacha20-poly1305" },
};

const char *suite_name(enum suite suite)
{
    for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
        if (suites[i].suite == suite)
            return suites[i].name;
    return NULL;
}

int suite_parse(const char *name, enum suite *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
        if (strcmp(suites[i].name, name) == 0) {
            *out = suites[i].suite;
            return 0;
        }
    return -EINVAL;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The least time that one round took; a suite that fails is the slowest.  The
 * blocks are thrown away; even so, no nonce serves twice. */
static double measure(enum suite suite)
{
    uint8_t key[KEY_SIZE], nonce[AEAD_NONCE] = { 0 };
    uint8_t block[BLOCK_SIZE] = { 0 }, tag[AEAD_TAG];
    struct aead *a = NULL;
    double best = 1e9;
    uint32_t count = 0;

    crypto_random(key, sizeof key);
    if (aead_new(&a, suite, key))
        return best;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = seconds();
        int rc = 0;
        for (int i = 0; i < ROUND; i++) {
            put_le32(nonce, count++);
            rc |= aead_seal(a, nonce, NULL, 0, block, sizeof block, block, tag);
        }
        double took = seconds() - begin;
        if (!rc && took < best)
            best = took;
    }
    aead_free(a);
    return best;
}

enum suite suite_fastest(void)
{
    return measure(SUITE_AES_256_GCM) <= ADVANTAGE * measure(SUITE_CHACHA20_POLY1305)
           ? SUITE_AES_256_GCM : SUITE_CHACHA20_POLY1305;
}
