/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Randomness, always from the kernel.
 *
 * No pool is kept in the process: a fork, or a virtual machine that is cloned
 * or restored, would draw the same bytes twice, and with them the same nonces.
 * A request for a nonce costs one system call, about half a microsecond.
 *
 * Long requests (padding) stretch a fresh seed of 32 bytes with ChaCha20,
 * several times faster than the kernel; the seed serves one call only.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <ecluse/log.h>
#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STRETCHED 4096u     /* requests from here on */

/* ECLUSE_FAULT_RANDOM is "fail", "fail=N" from the Nth draw of the process on, or
 * "same" for a generator that repeats itself. */
#ifdef ECLUSE_FAULTS
static bool broken(const char *how)
{
    static atomic_long draws;
    const char *fault = getenv("ECLUSE_FAULT_RANDOM");

    if (!fault || strncmp(fault, how, strlen(how)))
        return false;
    return fault[strlen(how)] != '=' || atomic_fetch_add(&draws, 1) + 1 >= atol(fault + strlen(how) + 1);
}
#else
static bool broken(const char *how) { (void)how; return false; }
#endif

static int draw(uint8_t *out, size_t len)
{
    if (broken("fail"))
        return -EIO;
    if (broken("same")) {
        memset(out, 0x55, len);
        return 0;
    }
    while (len) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        out += n;
        len -= (size_t)n;
    }
    return 0;
}

int random_check(void)
{
    uint8_t sample[KEY_SIZE];
    int rc = draw(sample, sizeof sample);

    secret_wipe(sample, sizeof sample);
    return rc ? E_RANDOM : 0;
}

void crypto_random(void *out, size_t len)
{
    uint8_t seed[randombytes_SEEDBYTES];
    bool stretched = len >= STRETCHED;

    int rc = stretched ? draw(seed, sizeof seed) : draw(out, len);
    if (rc) {
        log_error("ECL-0710 random generator: %s", error_name(rc));
        abort();
    }
    if (stretched) {
        randombytes_buf_deterministic(out, len, seed);
        secret_wipe(seed, sizeof seed);
    }
}
