/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Header, trailer and footer of a segment's file.
 */
#include "carrier.h"
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>
#include <stdlib.h>

static int arrived(int rc)
{
    return rc == -ENODATA ? E_NOT_ARRIVED : rc;
}

int carrier_key(const struct keyring *keys, const struct id128 *id, int fd, struct segment_key **key, uint32_t *epoch)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header h;

    *key = NULL;
    int rc = io_read_at(fd, front, sizeof front, 0);
    if (!rc)
        rc = segment_header_parse(front, &h);
    if (rc)
        return arrived(rc);
    const uint8_t *epoch_key = keyring_epoch_key(keys, h.epoch);
    if (!epoch_key || h.suite != keyring_suite(keys) || !id_equal(&h.vault, keyring_vault(keys)) ||
        !id_equal(&h.segment, id))
        return E_AUTH;
    *epoch = h.epoch;
    rc = segment_key_new(key, &h, epoch_key);
    return rc ? rc : segment_header_check(front, *key);
}

int carrier_trailer(int fd, uint64_t size, struct segment_key *key, struct segment_trailer *out)
{
    uint8_t sealed[SEGMENT_TRAILER];

    if (size < SEGMENT_MIN)
        return E_NOT_ARRIVED;
    int rc = io_read_at(fd, sealed, sizeof sealed, size - SEGMENT_TRAILER);
    return arrived(rc ? rc : segment_trailer_read(key, size, sealed, out));
}

int carrier_footer(int fd, struct segment_key *key, const struct segment_trailer *t, struct buf *footer)
{
    size_t len = (size_t)t->footer_sealed_len;
    uint8_t *sealed = malloc(len), *plain = malloc(len);

    int rc = sealed && plain ? io_read_at(fd, sealed, len, t->footer_offset) : -ENOMEM;
    if (!rc)
        rc = segment_open(key, t->footer_offset, SEAL_FOOTER, sealed, len, plain);
    if (!rc) {
        buf_reset(footer);
        buf_append(footer, plain, len - SEAL_OVERHEAD);
        rc = footer->failed ? -ENOMEM : 0;
    }
    free(sealed);
    free(plain);
    return arrived(rc);
}
