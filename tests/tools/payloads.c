/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Lists how long the publications of a store are, with the keys of a state.
 *
 *   payloads STORE STATE PASSFILE
 *
 * STATE is the directory with the keyring.  One line for each: number, part of a
 * checkpoint (0: none) and whether it is the last, bytes of rows.
 */
#include "fs/internal.h"
#include "unlocked.h"
#include <inttypes.h>
#include <stdio.h>

static struct keyring *keys;
static struct store *store;

static int show_payload(const uint8_t *footer, size_t len)
{
    struct publication_view v;
    struct footer_view f;

    int rc = footer_parse(footer, len, &f);
    if (!rc && f.kind == PAYLOAD_PUBLICATION)
        rc = publication_parse(f.payload, f.payload_len, &v);
    if (!rc && f.kind == PAYLOAD_PUBLICATION)
        printf("%" PRIu64 " %u %d %zu\n", v.seq, v.shard, v.last, v.rows_len);
    return rc;
}

static int show_footer(int fd, struct segment_key *key, uint64_t size)
{
    uint8_t trailer[SEGMENT_TRAILER], *bytes;
    struct segment_trailer t;

    int rc = io_read_at(fd, trailer, sizeof trailer, size - sizeof trailer);
    if (!rc)
        rc = segment_trailer_read(key, size, trailer, &t);
    if (rc || !t.publication)
        return rc;
    bytes = malloc(2 * t.footer_sealed_len);
    rc = io_read_at(fd, bytes, t.footer_sealed_len, t.footer_offset);
    if (!rc)
        rc = segment_open(key, t.footer_offset, SEAL_FOOTER, bytes, t.footer_sealed_len, bytes + t.footer_sealed_len);
    if (!rc)
        rc = show_payload(bytes + t.footer_sealed_len, t.footer_sealed_len - SEAL_OVERHEAD);
    free(bytes);
    return rc;
}

static int show(void *ctx, const struct id128 *id, uint64_t size)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_key *key = NULL;
    struct segment_header h;
    (void)ctx;

    int fd = store_get(store, id), rc = fd < 0 ? fd : io_read_at(fd, front, sizeof front, 0);
    if (!rc)
        rc = segment_header_parse(front, &h);
    if (!rc)
        rc = segment_key_new(&key, &h, keyring_epoch_key(keys, h.epoch));
    if (!rc)
        rc = show_footer(fd, key, size);
    segment_key_free(key);
    if (fd >= 0)
        close(fd);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = argc == 4 ? open_unlocked(argv, &store, &keys) : -EINVAL;
    if (!rc)
        rc = store_list(store, show, NULL, NULL);
    if (rc)
        fprintf(stderr, "payloads: %s\n", error_name(rc));
    store_close(store);
    keyring_free(keys);
    return rc != 0;
}
