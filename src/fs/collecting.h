/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Dead blocks: how they are found, and how space comes back.
 *
 *   reseal.c    of staged segments, before they are published
 *   gc.c        of objects: what nothing refers to leaves the store
 *   usage.c     what is alive in each object
 *   compact.c   objects with little in them are emptied
 *   relocate.c  how blocks move
 */
#ifndef ECLUSE_FS_COLLECTING_H
#define ECLUSE_FS_COLLECTING_H

#include "internal.h"

/* --- reseal.c ---------------------------------------------------------------------------- */
/* Every unpublished row, in slices of bounded size; by the owner of the turn, or
 * while nobody commits. Forgets the cut of an earlier index_collect. */
int unpublished_scan(struct fs *fs, int (*visit)(void *ctx, const uint8_t *rows, size_t len), void *ctx);
int reseal_sparse(struct fs *fs);              /* drops dead blocks of staged segments */
int reseal_all(struct fs *fs);                 /* all staged segments: none keeps its id */
int reseal_count_live(struct fs *fs);          /* at start: live bytes of staged segments */

/* --- relocate.c --------------------------------------------------------------------- */
/* Blocks of a file in one segment, as some row once said. */
struct block_place { uint64_t ino, block; uint32_t segment, offset, count; };
void places_sort(struct buf *places);          /* by their bytes: the order to move them in */
struct relocations { struct buf v; uint32_t segment; uint64_t bytes; /* sealed anew */ };
/* Seals anew, elsewhere, what is still there, or follows who shares it. E_AUTH, E_FORMAT,
 * E_NOT_ARRIVED: a block cannot be read, and all of that run stays where it is. */
int relocate(struct fs *fs, struct relocations *r, const struct block_place *at);
void relocations_free(struct relocations *r);

/* --- gc.c: by the publisher, when everything is published ------------------------------- */
/* When the first round of this mount is due; and: is it time for one? */
int gc_start(struct fs *fs);
bool gc_due(struct fs *fs);
int64_t gc_grace(const struct fs *fs);         /* seconds */
/* Counts when something was published since, compacts, removes what is due. E_OTHER_DEVICE. */
int gc_round(struct fs *fs, bool at_once, struct gc_report *out);
/* No publication that whoever reads the store still needs has a lower number; 0 when
 * all are needed: the older of the last two checkpoints. */
int gc_needed_from(struct fs *fs, uint64_t *seq);

/* --- usage.c, compact.c ----------------------------------------------------------------- */
/* What the block maps refer to in a published segment; by number. `live` are the bytes of
 * distinct blocks, `runs` the references. */
struct usage { uint32_t number; bool seen; uint64_t live, runs, length; };
struct usages { struct usage *v; size_t count; };
/* Counts, with so many ranges of bytes in memory at once (0: a good number). Rows may
 * change meanwhile: what changed is noted (usages_note). */
int usages_take(struct fs *fs, size_t ranges_at_once, struct usages *u);
void usages_note(struct usages *u, const struct run *runs, uint32_t count);
void usages_free(struct usages *u);
/* Moves the live blocks out of segments that are sparse, or small and many, up to
 * some volume. *moved bytes, *emptied segments, *damaged ones that stay. */
int compact(struct fs *fs, const struct usages *u, bool at_once, struct gc_report *out);
/* Visits the block maps of unpublished rows. */
typedef int (*on_runs)(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count);
int unpublished_runs(struct fs *fs, on_runs visit, void *ctx);

#endif
