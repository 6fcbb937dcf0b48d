/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Argon2id: from a passphrase to a key, at a price.
 *
 * The bounds are here and not in the file that names a cost: a planted file can
 * make us neither guess cheaply nor allocate without end.  libsodium computes
 * one lane.
 */
#include "internal.h"
#include <errno.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_MIN 65536u           /* KiB */
#define MEMORY_MAX (1024u * 1024u)
#define PASSES_MIN 3u
#define PASSES_MAX 16u
#define MEMORY_SHARE 8u             /* of the machine's memory, at most one part in so many */

_Static_assert(SALT_SIZE == crypto_pwhash_argon2id_SALTBYTES, "salt of Argon2id");

bool kdf_cost_valid(struct kdf_cost cost)
{
    return cost.memory_kib >= MEMORY_MIN && cost.memory_kib <= MEMORY_MAX &&
           cost.passes >= PASSES_MIN && cost.passes <= PASSES_MAX;
}

int crypto_kdf(uint8_t out[KEY_SIZE], const void *secret, size_t secret_len,
               const uint8_t salt[SALT_SIZE], struct kdf_cost cost)
{
    if (!kdf_cost_valid(cost) || secret_len > crypto_pwhash_argon2id_PASSWD_MAX)
        return -EINVAL;
    /* What remains to fail is the allocation. */
    return crypto_pwhash_argon2id(out, KEY_SIZE, secret_len ? secret : "", secret_len, salt, cost.passes,
                                  (size_t)cost.memory_kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13)
           ? -ENOMEM : 0;
}

/* --- calibration ---------------------------------------------------------------- */

/* Time of this thread alone: a busy moment must not cheapen the cost for good. */
static double measure(struct kdf_cost cost)
{
    static const uint8_t salt[SALT_SIZE];
    struct timespec t0, t1;
    uint8_t key[KEY_SIZE];

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
    int rc = crypto_kdf(key, "", 0, salt, cost);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
    secret_wipe(key, sizeof key);
    return rc ? 1e9 : (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
}

static uint32_t affordable_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t share = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 1024 / MEMORY_SHARE : 0;

    return share < MEMORY_MIN ? MEMORY_MIN : share > MEMORY_MAX ? MEMORY_MAX : (uint32_t)share;
}

/*
 * Memory before passes: it is what an attacker with many cores pays dearly for.
 * Time grows with memory times passes, so one measurement at the least cost
 * predicts the rest, and a second one corrects it, downwards only.
 */
struct kdf_cost kdf_calibrate(struct kdf_cost least, unsigned milliseconds)
{
    struct kdf_cost cost = least;
    uint32_t most = affordable_memory();
    double took = measure(cost);

    while (cost.memory_kib * 2 <= most && took * 2 <= milliseconds) {
        cost.memory_kib *= 2;
        took *= 2;
    }
    double per_pass = took / cost.passes;
    while (cost.passes < PASSES_MAX && took + per_pass <= milliseconds) {
        cost.passes++;
        took += per_pass;
    }
    if (cost.memory_kib == least.memory_kib && cost.passes == least.passes)
        return cost;
    for (took = measure(cost); took > milliseconds && cost.passes > least.passes; cost.passes--)
        took -= took / cost.passes;
    for (; took > milliseconds && cost.memory_kib > least.memory_kib; took /= 2)
        cost.memory_kib /= 2;
    return cost;
}
