/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The journal: what makes an fsync cost one disk flush.
 *
 * A preallocated file of fixed size in the state directory.  A record is a
 * sealed batch (rows, and RECORD_TAIL bytes of staged segments), appended and
 * synced with one fdatasync.  When the index commits generation g, all records
 * of generations below g are obsolete and journal_reset starts again at the
 * front with generation g.  A record authenticates its generation, sequence
 * number and offset, so stale or torn ones end the replay.
 *
 * Used by one thread at a time (the committer).
 */
#ifndef ECLUSE_JOURNAL_H
#define ECLUSE_JOURNAL_H

#include <ecluse/base.h>
#include <ecluse/crypto.h>

#define JOURNAL_SIZE (16u << 20)
#define JOURNAL_RECORD_MAX (256u << 10)  /* largest batch accepted */

struct journal;

/* Opens dirfd/journal, creating and preallocating (with zeros, synced) when
 * missing. `generation` is the index's. */
int journal_open(struct journal **out, int dirfd, const uint8_t local_key[KEY_SIZE], uint64_t generation);
void journal_close(struct journal *j);

/* Calls visit with each intact record of the current generation, in order.
 * Afterwards the journal is positioned after the last one. */
int journal_replay(struct journal *j, int (*visit)(void *ctx, const uint8_t *batch, size_t len), void *ctx);

/* 1 when a batch of len bytes still fits, else 0. */
int journal_fits(const struct journal *j, size_t len);
/* Appends and syncs one record. After an error other than -E2BIG (does not
 * fit) the vault must go read-only. */
int journal_append(struct journal *j, const void *batch, size_t len);
/* Starts generation `generation` at the front; writes nothing. */
void journal_reset(struct journal *j, uint64_t generation);

#endif
