/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Segments: the table of those that are staged or in use, appends, and sealed blocks.
 */
#ifndef ECLUSE_FS_SEGMENTS_H
#define ECLUSE_FS_SEGMENTS_H

#include "list.h"
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <ecluse/segment.h>
#include <pthread.h>
#include <stdatomic.h>

struct fs;

/* --- the table (protected by segments.lock) ---------------------------- */

struct segment {
    struct segment *hash_next;
    struct list lru;           /* unreferenced, descriptor open, nothing to be synced */
    struct list staged_link;   /* in segments.staged */
    uint32_t number, epoch;
    struct id128 id;
    int refs;
    int fd;                    /* -1 when not open */
    struct segment_key *key;   /* NULL when not open */
    atomic_bool staged;
    bool closed;               /* nothing more is appended */
    bool in_cut;               /* will be part of the publication being made */
    bool sealed;               /* footer written; part of a publication */
    bool anchored;             /* header and name are durable */
    bool dying;                /* dead in a snapshot; unlinked once durable */
    uint64_t used;             /* append position */
    uint64_t filled;           /* where the bytes of successful appends end */
    uint64_t written;          /* the same, without what is still in flight: commits refer to it */
    uint64_t synced, logged;   /* fdatasynced; in the journal */
    uint64_t row_applied, row_logged; /* length in the index's row; in the journal's */
    uint64_t live;             /* sealed bytes mapped, counted per reference */
    uint64_t footer;           /* estimate of the footer's size */
    struct list flights;       /* appends between reservation and mapping */
};

/* One append between the reservation of its bytes and their mapping. */
struct flight {
    struct list link;
    struct segment *segment;
    uint64_t offset;
    uint64_t end;              /* where its bytes end, once they are written; else 0 */
};

/* Kept free in every segment besides 64 bytes per append: for the fixed parts
 * of a footer, and for the runs into which overwritten appends fall apart. A
 * segment below 80 % live is resealed, so that is at most a fifth of its 4,000
 * blocks, REVERSE_RUN_MAX bytes each. */
#define FOOTER_ROOM (64u << 10)
#define REVERSE_RUN_MAX 56u

#define SEGMENT_BUCKETS 1024u
/* Unreferenced descriptors that are kept open, besides those to be synced; where faults are
 * injected so few that they come and go all the time. */
#ifdef ECLUSE_FAULTS
#define SEGMENTS_OPEN 3u
#else
#define SEGMENTS_OPEN 192u
#endif

struct segments {
    pthread_mutex_t lock;
    struct segment *buckets[SEGMENT_BUCKETS];
    struct list lru;
    unsigned lru_count;
    struct list staged;
    struct segment *open;      /* receives appends; may be NULL */
    uint64_t next_number;
};

/* --- segments.c ----------------------------------------------------------- */
int segments_init(struct fs *fs);
void segments_free(struct fs *fs);
void segments_forget(struct fs *fs);  /* closes what nobody uses */
/* A reference to an opened segment, from staging or store. */
int segment_ref(struct fs *fs, uint32_t number, struct segment **out);
/* Logs and counts that a segment, or a block in it, was not what it must be. */
void segment_refused(struct fs *fs, uint32_t number, int rc);
void segment_unref(struct fs *fs, struct segment *s);
/* Is the file of a staged segment there, with its header, as long as its row says?
 * E_STATE_DAMAGED. */
int segment_inspect(struct fs *fs, const struct segment_row *row);
/* E_STATE_DAMAGED: the file of this staged segment is what the state lacks. */
int segment_damaged(struct fs *fs, const struct id128 *id);
/* Registers a staged segment found in the index (closed). */
int segment_adopt(struct fs *fs, const struct segment_row *row);
/* Reserves room for up to `blocks` full blocks, the last of `last` bytes;
 * *taken tells how many fit. Ended by flight_end. */
int flight_begin(struct fs *fs, struct flight *f, uint32_t blocks, uint32_t last, uint32_t *taken);
void flight_end(struct fs *fs, struct flight *f);
void segment_live(struct fs *fs, uint32_t number, int64_t delta);
/* Closes the open segment; with mark, all staged ones are in the cut (the gate
 * is held exclusively, so nothing is in flight). */
void segments_close_open(struct fs *fs, bool mark);
bool segment_staged(struct fs *fs, uint32_t number);
/* Before the file leaves staging: its descriptor becomes one for reading. */
void segment_end_writing(struct fs *fs, uint32_t number);
/* A publication became visible: its segments are objects of the store now. */
void segment_published(struct fs *fs, uint32_t number);
/* A new, empty segment, referenced. A carrier belongs to a publication from the first
 * moment: no commit may note it as one that grows. */
int segment_create(struct fs *fs, bool carrier, struct segment **out);
void segment_forget(struct fs *fs, struct segment *s);

/* --- block.c: sealing and opening runs of blocks --------------------------- */
/* Where a request's bytes went: to be mapped together. */
struct piece { struct flight flight; struct run run; uint64_t block; };
struct pieces { struct piece *v; uint32_t count, cap; };
/* Seals and appends `blocks` blocks of plaintext given by `at(i)`; fills pieces. */
typedef const uint8_t *(*block_at)(void *ctx, uint32_t i);
int blocks_append(struct fs *fs, uint64_t first, uint32_t blocks, uint32_t last,
                  block_at at, void *ctx, struct pieces *out);
void pieces_release(struct fs *fs, struct pieces *p);
/* Reads `len` bytes of file data described by runs of one chunk into out:
 * from byte `skip` of the chunk on; holes and what is beyond valid give zeros.
 * A failure is reported, unless the map may be stale and the caller looks again. */
int blocks_read(struct fs *fs, const struct run *runs, uint32_t count, uint32_t skip,
                uint8_t *out, uint32_t len, bool may_be_stale);
/* What reading by an old copy of a map meets when a wholly dead staged segment
 * has gone since: it is not in the store, nor any more in the index. */
static inline bool blocks_stale(int rc) { return rc == E_NOT_ARRIVED || rc == E_STATE_DAMAGED; }
void *scratch(size_t size);    /* this thread's buffer; valid until the next call */

#endif
