/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Checkpoints: all rows once more, so that reading a store needs no older publication.
 *
 * A checkpoint is a series of publications with numbers of their own in the chain,
 * each with the rows of a range of keys *as they were published*: rows that changed
 * since are left out, and a publication of them follows at once (`more`).  So
 *
 *   a checkpoint, and all publications after its first part, applied in order to an
 *   empty tree, give the tree; and whoever began earlier loses nothing when parts
 *   of it are missing (publication.h: around).
 *
 * Nothing has to stand still meanwhile: each part is read in one turn, and what
 * changes between two parts is noted, hence published behind them.  A crash leaves
 * parts without a last one, which are no checkpoint; the next begins anew.
 *
 * One is due when the user has accepted that the store lacks publications, since whoever
 * recovers would wait for them; when he would read more than 1.5 times what a checkpoint
 * takes (he may have to read that twice: 3 times the metadata); or when the
 * publications since are too many objects for what the store holds.
 */
#include "publishing.h"
#include <time.h>

#define RETRY_SECONDS 3600
#define SLACK (256u << 10)       /* bytes that are not worth one */
#define INODE_GUESS 128u         /* bytes for an inode, before there was one */
#define PUBLICATIONS_MIN 24u
#define DATA_PER_PUBLICATION (16u << 20)

static time_t monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* What a checkpoint would take now, by the last one, or by a guess. */
static uint64_t expected_size(uint64_t size, uint64_t inodes_then, uint64_t inodes)
{
    if (!size)
        return inodes * INODE_GUESS;
    return inodes_then ? (uint64_t)((double)size * (double)inodes / (double)inodes_then) : size;
}

bool checkpoint_due(struct fs *fs)
{
    struct publication_row last = { 0 }, newest;
    struct index_totals totals;
    uint64_t first = 0, size = 0, all = 0;

    if (monotonic() < fs->publish.checkpoint_after || index_totals(fs->index, &totals) ||
        index_last_publication(fs->index, &newest))
        return false;
    int rc = index_checkpoint(fs->index, INT64_MAX, &first, &last);
    if (!rc)
        rc = index_payloads(fs->index, first, last.seq, &size);
    if ((!rc && fs->heads.accepted >= first) || (rc == -ENOENT && fs->heads.accepted))
        return true;
    if ((rc && rc != -ENOENT) || index_payloads(fs->index, first, INT64_MAX, &all))
        return false;
    uint64_t expected = expected_size(size, last.inodes, totals.inodes);
    uint64_t allowed = PUBLICATIONS_MIN + totals.object_bytes / DATA_PER_PUBLICATION;
    return all > expected + expected / 2 + SLACK || newest.seq - last.seq > allowed;
}

int checkpoint_write(struct fs *fs, bool *skipped)
{
    struct dump d = { 0 };
    uint32_t number = 0;
    int rc;

    do {
        rc = fault_hit(FAULT_checkpoint_part);
        if (!rc)
            rc = publish_shard(fs, &d, number++);
    } while (rc == 1);
    *skipped = d.skipped;
    fs->publish.checkpoint_after = rc ? monotonic() + RETRY_SECONDS : 0;
    log_info("ECL-0420 checkpoint of %u parts: %s", number, error_name(rc));
    return rc;
}
