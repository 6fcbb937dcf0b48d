/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of a publication share.
 *
 *   publisher.c    the thread
 *   due.c          when
 *   publish.c      one publication, from the cut on
 *   sealing.c      its segments get their footers
 *   delivery.c     the intent, and its completion
 *   publication.c  the payload
 *   reverse.c      the reverse maps of its segments
 *   borrowed.c     what these leave out: blocks that files share
 *   checkpoint.c   all rows once more
 */
#ifndef ECLUSE_FS_PUBLISHING_H
#define ECLUSE_FS_PUBLISHING_H

#include "internal.h"

/* One part of a publication under construction. */
struct publication {
    uint64_t seq;
    bool more;                                 /* further parts follow */
    uint32_t shard;                            /* of a part of a checkpoint, its number + 1; else 0 */
    bool last;                                 /* … the last of them */
    uint64_t next_ino, next_cookie;            /* … as they stand */
    struct publication_head around;            /* seq 0: it follows the one before it */
    uint64_t inodes;                           /* … how many there are */
    struct buf rows;                           /* collected batch */
    uint64_t size;                             /* of the carrier's footer, once it is sealed */
    uint8_t previous[SHA256_SIZE];
    int64_t time;
};
/* The payload: head, tables of actors and segments, rows. */
int publication_encode(struct fs *fs, const struct publication *p, const struct segment_row *fresh,
                       size_t fresh_count, uint32_t carrier, struct buf *out);

/* --- due.c: by the thread, p->lock held and given up while it waits --------------------- */

struct timespec;
/* Quiet, the ceiling, volume, or a request; with nothing to publish, a minute. True when
 * activity went on to the end. */
bool due_by_quiet(struct fs *fs, time_t ceiling);
/* The next tick (true), or a request. */
bool due_by_cadence(struct fs *fs);
bool due_asked(const struct publisher *p);
void due_deadline(struct timespec *t, uint64_t milliseconds);  /* from now, CLOCK_MONOTONIC */
/* The first one after `now_ms`, both in milliseconds since 1970. */
uint64_t due_next_tick(uint64_t now_ms, unsigned every);

/* --- publish.c ----------------------------------------------------------------------- */

/* The segments of a cut, in the order of their numbers; the carrier last. */
struct cut {
    struct segment **v;              /* each referenced */
    struct segment_row *rows;
    size_t count;
};
void cut_mark_sealed(struct fs *fs, const struct cut *c, bool sealed);
int publish_rows(struct fs *fs);               /* all that is noted, in as many parts as it takes */
int publish_checkpoint(struct fs *fs);         /* one whole checkpoint, and what closes it */
/* One part of a checkpoint, from where `d` is. 1 when more follow. */
int publish_shard(struct fs *fs, struct dump *d, uint32_t number);
bool publish_stopping(struct fs *fs);          /* the thread, or its round of gc, is to end */

/* --- sealing.c ------------------------------------------------------------------------- */

struct reverse;
/* All of them; `hash` is the payload's. There is room in `c` for a carrier. */
int cut_seal(struct fs *fs, struct cut *c, struct publication *p, struct reverse *r, uint8_t hash[SHA256_SIZE]);
int hash_file(int fd, uint64_t size, uint8_t out[SHA256_SIZE]);
/* `rc` is of a sync: after a failure there is no second one. */
int latched_sync(struct fs *fs, const char *where, int rc);

/* --- delivery.c --------------------------------------------------------------------------- */

int publish_intend(struct fs *fs, const struct publication *p, const struct cut *c,
                   const uint8_t hash[SHA256_SIZE], uint64_t token);
int publish_complete(struct fs *fs);           /* finishes an interrupted intent */
bool publish_is_open(struct fs *fs);           /* is there one? */
/* Are the staged files of an intent what was recorded? E_STATE_DAMAGED. */
int publish_verify(struct fs *fs, uint64_t seq);

/* --- checkpoint.c: by the publisher ------------------------------------------------- */

/* Would whoever reads the store have to read too much, or too many objects? */
bool checkpoint_due(struct fs *fs);
/* All of its parts; *skipped: some rows were left out, for they are about to be
 * published. An error makes it due again only after an hour. */
int checkpoint_write(struct fs *fs, bool *skipped);

/* --- whose blocks: reverse.c --------------------------------------------------------- */

struct reverse_entry {
    uint64_t ino, first;       /* file block */
    uint32_t segment, offset, count;
    uint16_t last, valid;
};

/* A file's row as published; the hint about its name needs no exactness. */
struct owner { uint64_t ino, version, parent, cookie, size; };
struct owner owner_of_row(const struct inode_row *row);
void owners_sort(struct buf *owners);          /* struct owner… */
/* NULL when there is none. */
const struct owner *owner_find(const struct buf *owners, uint64_t ino);
/* The name, or none, into `run`; it points into `hold`. */
int owner_name(struct fs *fs, const struct owner *o, struct reverse_run *run, struct row_hold *hold);

/* Runs that no reverse map names (borrowed.c). */
struct borrowed { struct buf runs, owners; };
/* Those of `rows`; in the commit's turn in which these were read. */
int borrowed_rows(struct fs *fs, struct borrowed *b, const struct buf *rows);
/* One that does not fit where it belongs. */
void borrowed_left(struct borrowed *b, const struct owner *o, const struct reverse_entry *e);
/* For footer_end; empty when there are none. */
int borrowed_encode(struct fs *fs, struct borrowed *b, struct buf *out);
void borrowed_free(struct borrowed *b);

/* The reverse maps of the segments being published, gathered from rows. */
struct reverse {
    struct buf entries, owners;
    bool sorted;
    struct borrowed borrowed;
};
int reverse_new(struct reverse **out);
int reverse_add(void *reverse, const uint8_t *rows, size_t len);
/* The footer's beginning for one segment: actors and runs; names are looked up.
 * It keeps to `budget` bytes by leaving out names, which are hints, and further
 * references to bytes that have one: these are borrowed then. */
int reverse_footer(struct fs *fs, struct reverse *r, uint32_t segment, size_t budget, struct buf *out);
/* What all runs in a segment take at most, without names. */
size_t reverse_room(struct reverse *r, uint32_t segment);
void reverse_free(struct reverse *r);

#endif
