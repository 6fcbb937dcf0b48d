/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A log of what was sealed under what, in builds with ECLUSE_FAULTS only.
 *
 * ECLUSE_NONCE_LOG names a file to which every sealing appends one record before
 * it happens: the first 8 bytes of SHA-256 of the key, and the nonce, zeros up to
 * 24 bytes.  tests/tools/nonces.c looks for two that are the same.
 *
 * One write(2) with O_APPEND for each record, so that a kill loses none, and
 * forks and several processes may share the file.  The self-test, which seals
 * public vectors at each start, comes before nonce_log_start.  A record that cannot be
 * written ends the process: a gap in the log would prove what is not so.
 */
#ifdef ECLUSE_FAULTS

#include "internal.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_HASH = 8, NONCE_ROOM = 24 };

static int log_fd = -1;

void nonce_log_start(void)
{
    const char *path = getenv("ECLUSE_NONCE_LOG");

    if (!path)
        return;
    log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd < 0)
        abort();
}

void nonce_note(const uint8_t key[KEY_SIZE], const uint8_t *nonce, size_t len)
{
    uint8_t record[KEY_HASH + NONCE_ROOM] = { 0 }, digest[crypto_hash_sha256_BYTES];

    if (log_fd < 0)
        return;
    crypto_hash_sha256(digest, key, KEY_SIZE);
    memcpy(record, digest, KEY_HASH);
    memcpy(record + KEY_HASH, nonce, len);
    if (write(log_fd, record, sizeof record) != (ssize_t)sizeof record)
        abort();
}

#endif
