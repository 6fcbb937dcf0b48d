/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading everything: the hash of each object against what names it, and every
 * block of its reverse map opened.
 *
 * An object is read once, as a whole (16 MiB at most), so that both judge the same
 * bytes.  A block that does not open in an object with pages of zeros is still
 * being received.  Padding is in no block: what is changed there shows in the
 * hash alone, where one is told (by a publication for all but its carrier, by the
 * index of the device that published, by a manifest).
 */
#include "checking.h"
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>
#include <stdlib.h>

/* Of all blocks; plaintext stays in one small buffer. */
static int open_blocks(struct checking *c, struct checked *x, const uint8_t *bytes)
{
    uint8_t plain[BLOCK_SIZE];

    int rc = footer_blocks(&c->seen.view, &c->blocks);
    const struct sealed_block *v = (const struct sealed_block *)(const void *)c->blocks.data;
    size_t count = rc ? 0 : c->blocks.len / sizeof *v;
    for (size_t k = 0; k < count && x->verdict == CHECK_OK; k++) {
        uint64_t end = (uint64_t)v[k].offset + v[k].sealed + SEAL_OVERHEAD;
        c->report->blocks++;
        if (end <= c->seen.size && segment_open(c->seen.key, v[k].offset, SEAL_DATA, bytes + v[k].offset,
                                                v[k].sealed + SEAL_OVERHEAD, plain) == 0)
            continue;
        if (has_zero_page(c->seen.fd, c->seen.size))
            give_verdict(x, CHECK_NOT_ARRIVED, CHECK_BECAUSE_FILLING, 0);
        give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_BLOCK, v[k].offset);
    }
    secret_wipe(plain, sizeof plain);
    return rc;
}

static void compare_hash(struct checking *c, struct checked *x, const uint8_t *bytes)
{
    uint8_t sum[SHA256_SIZE];
    bool listed;

    if (!x->hashed && !c->o->manifest)
        return;
    crypto_sha256(bytes, (size_t)c->seen.size, sum);
    if (x->hashed && memcmp(sum, x->sha256, sizeof sum))
        give_verdict(x, CHECK_ATTACK, CHECK_BECAUSE_HASH, 0);
    if (!manifest_agrees(c, &x->id, sum, &listed))
        give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_DIFFERS, 0);
    else if (!listed)
        give_verdict(x, CHECK_FOREIGN, CHECK_BECAUSE_UNLISTED, 0);
}

static int read_object(struct checking *c, struct checked *x, uint8_t *bytes)
{
    if (!checked_again(c, x))
        return 0;
    int rc = io_read_at(c->seen.fd, bytes, (size_t)c->seen.size, 0);
    if (rc) {
        x->error = rc;
        give_verdict(x, rc == -ENODATA ? CHECK_NOT_ARRIVED : CHECK_DAMAGED,
                     rc == -ENODATA ? CHECK_BECAUSE_SHORT : CHECK_BECAUSE_UNREADABLE, 0);
        return 0;
    }
    if (c->o->read_data)
        rc = open_blocks(c, x, bytes);
    compare_hash(c, x, bytes);
    return rc;
}

/* Who does not open cannot be compared by content, but is met. */
static void mark_listed(struct checking *c, const struct checked *x)
{
    uint8_t none[SHA256_SIZE] = { 0 };
    bool listed;

    manifest_agrees(c, &x->id, none, &listed);
}

int check_data(struct checking *c)
{
    uint8_t *bytes = malloc(SEGMENT_MAX);
    int rc = bytes ? 0 : -ENOMEM;

    for (size_t k = 0; !rc && k < c->count; k++) {
        struct checked *x = &c->objects[k];
        check_progress(c, CHECK_PHASE_DATA, k, c->count);
        if (x->inspection == INSPECT_WHOLE)
            rc = read_object(c, x, bytes);
        else
            mark_listed(c, x);
    }
    free(bytes);
    return rc;
}
