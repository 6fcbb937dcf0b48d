/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Memory for secrets, and handling them without leaving traces.
 *
 * An allocation of libsodium stands alone between two pages without access, is
 * left out of core dumps, and is wiped when freed; an overrun or a damaged
 * canary ends the process.  Each costs a few pages: meant for keyrings and
 * passphrases, not for the many keys of segments.
 *
 * libsodium 1.0.18 does not mind when the pages cannot be locked (RLIMIT_MEMLOCK)
 * and hands out memory that may be swapped.  To refuse would lock users out of
 * their files on such systems, so the memory is used and a warning logged, once.
 */
#include "internal.h"
#include <ecluse/error.h>
#include <ecluse/log.h>
#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/mman.h>

void *secret_alloc(size_t len)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    void *p = sodium_malloc(len);

    if (!p)
        return NULL;
    /* Locks are not counted: a second one tells whether the first succeeded. */
    if (len && mlock(p, len) && !atomic_flag_test_and_set(&warned))
        log_warning("ECL-0711 secret memory is not locked and may reach swap: %s", error_name(-errno));
    sodium_memzero(p, len);
    return p;
}

void secret_free(void *p) { sodium_free(p); }

void secret_wipe(void *p, size_t len)
{
    if (len)
        sodium_memzero(p, len);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return !len || sodium_memcmp(a, b, len) == 0;
}
