/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of the filesystem core share: the object of a mount, and what
 * moves it.  Parts have headers of their own:
 *
 *   rows.h        cached rows, block maps, files
 *   segments.h    segments and the blocks in them
 *   publishing.h  publications: for those only who make them
 *   collecting.h  dead blocks, and how space comes back
 *   seen.h        what was seen of the store and of others
 *
 * Locks, outermost first (docs/locking.md has the argument):
 *
 *   data[]        one of 64 rwlocks by inode number: shared by writers of whole
 *                 blocks, exclusive for whoever must read a block to rewrite it
 *   gate          shared by whoever has bytes on the way into a segment that are
 *                 not mapped yet; exclusive for the cut of a publication
 *   meta          every cached row, its state, and all lists; short
 *   segments.lock segment table and append positions; shorter
 *
 * None is held across an fsync, a kernel notification or store I/O, but for
 * data[], which covers the one file being rewritten.  The committer is not a
 * lock but a turn (commit.c): one thread at a time has it.
 */
#ifndef ECLUSE_FS_INTERNAL_H
#define ECLUSE_FS_INTERNAL_H

#include "rows.h"
#include "segments.h"
#include <ecluse/audit.h>
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <ecluse/fs.h>
#include <ecluse/index.h>
#include <ecluse/io.h>
#include <ecluse/journal.h>
#include <ecluse/log.h>
#include <ecluse/publication.h>
#include <ecluse/segment.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/* --- commit, publish ---------------------------------------------------- */

struct committer {
    pthread_mutex_t lock;
    pthread_cond_t changed;    /* the turn, or something the thread waits for */
    bool busy;                 /* somebody has the turn */
    uint64_t begun, ended;     /* commits */
    int result;                /* of the last one */
    bool stop;
    bool asked, asked_apply;   /* the thread shall commit at once */
    bool fetching;             /* the kernel is being asked for dirty pages */
    pthread_t thread;
    uint64_t generation;       /* index's; owner of the turn */
    bool must_apply;           /* a journal commit failed; owner of the turn */
    struct journal *journal;   /* owner of the turn */
};

struct publisher {
    pthread_mutex_t telling;   /* outside of `lock`: that events are raised in their order */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, busy;
    bool gc_stop;
    uint64_t asked, answered;  /* flush requests */
    int result;
    bool work;                 /* a commit noted rows since the last publication */
    pthread_t thread, watch;
    time_t waiting_since;      /* CLOCK_MONOTONIC, as the next two: something is to be published; 0: nothing is */
    time_t moved;              /* when the publisher last got on: lateness.c */
    time_t closing_since;      /* 0: it is not */
    bool told_closing, unwatched;
    uint64_t seq;              /* last publication that is done */
    uint8_t hash[SHA256_SIZE]; /* its hash */
    int64_t time;
    time_t checkpoint_after;   /* CLOCK_MONOTONIC; the thread's own */
    uint64_t gc_asked, gc_answered;
    bool gc_at_once;           /* of those asked for */
    int gc_result;
    struct gc_report gc;       /* of the last round that was asked for */
    int64_t gc_after;          /* clock_now: no round of its own before; the thread's own */
    int64_t compact_after;     /* clock_now: no compaction of its own before; the thread's own */
    uint64_t gc_seq;           /* last publication at the last count; the thread's own */
    struct buf gc_avoided;     /* numbers of segments that cannot be read; the thread's own */
};

/* The last look at the whole store, or the one under way: status.c. */
struct surveyor {
    pthread_mutex_t lock;      /* protects what follows */
    pthread_cond_t changed;
    pthread_t thread;
    struct timespec until;     /* when it is overdue, CLOCK_MONOTONIC */
    bool begun, running;       /* begun: it has to be joined */
    uint64_t started, ended;   /* surveys */
    int result;
    atomic_bool stop;          /* the vault is being closed, and waits for it */
};

#define DATA_LOCKS 64u
#define INODE_COUNTER ((1ull << 48) - 1)   /* of an inode number, without the actor's index */

/* --- what was seen of others: heads.c ------------------------------------- */

struct head { struct publication_head self; struct id128 object; int64_t time; };

struct heads {
    struct head *v;            /* the last one of each actor */
    size_t count;
    uint64_t accepted, relied; /* the store may lack our own up to `accepted`, but not `relied` */
};

struct fs {
    struct fs_options opt;
    struct state *state;
    struct store *store;
    struct index *index;
    struct id128 vault;
    enum suite suite;
    uint32_t epoch;
    const uint8_t *epoch_key;

    pthread_rwlock_t data[DATA_LOCKS];
    pthread_rwlock_t gate;
    pthread_mutex_t meta;
    struct cache cache;                    /* meta */
    uint64_t next_ino, next_cookie;        /* meta */
    uint64_t *actors, *firsts;             /* constant once loaded; see actors.c */
    size_t actor_count;
    atomic_ullong unseen, planted, forked; /* see unseen.c, fresh.c */
    atomic_bool older;                     /* the store lacks what this device has seen */
    pthread_mutex_t fresh;                 /* the next four; see fresh.c */
    struct heads heads;
    struct buf met;                        /* ids of objects that unseen.c has read, ascending */
    struct buf odd;                        /* and of those that it has said are not authentic */
    struct buf strangers;                  /* struct stranger, one after another */
    struct list hazards, fetched;          /* meta: see hazard.c */
    struct list limbo;                     /* meta: oldest first; see inode.c */
    atomic_uint limbo_count;
    struct segments segments;
    struct committer commit;
    struct publisher publish;
    struct surveyor surveyor;
    atomic_int latched;                    /* error that made the vault read-only */
    atomic_bool unmarked;                  /* damage that the state does not say yet */
    atomic_bool no_space;                  /* a commit found the disk full */
    atomic_ullong activity;                /* counts mutations, for the publisher's quiet */
    atomic_ullong refused, missing, foreign;
    atomic_bool told_missing;              /* somebody was told; until all is there again */
    atomic_int publish_error;
    bool threads;
};

/* --- commit.c -------------------------------------------------------------- */
int commit_start(struct fs *fs);
void commit_stop(struct fs *fs);
int commit_all(struct fs *fs, bool apply);     /* waits; apply: also in the index */
void commit_throttle(struct fs *fs);           /* waits while too much is dirty */
void commit_pressure(struct fs *fs);           /* with meta held: wakes the thread */
/* For the publisher: nobody else commits until the turn is given back. */
void commit_take_turn(struct fs *fs);
void commit_give_turn(struct fs *fs, int result);
/* By the owner of the turn. COMMIT_CUT: to the index, and all staged segments
 * that the rows refer to are closed at the same moment and marked in_cut. */
enum commit_kind { COMMIT_ANY, COMMIT_INDEX, COMMIT_CUT };
int commit_in_turn(struct fs *fs, enum commit_kind kind);
/* Marks this thread as one that may ask the kernel for dirty pages. */
void commit_may_fetch(void);
void fs_latch(struct fs *fs, int error, const char *where);
/* The index is damaged: read-only from now on; the commit thread marks the
 * state, so that the next mount offers to rebuild it. Any lock may be held. */
void fs_index_damaged(void *fs);
void fs_mark_damage(struct fs *fs);
int fs_may_write(struct fs *fs, bool frees);   /* EROFS, E_LATCHED, ENOSPC */

/* --- space.c --------------------------------------------------------------------- */
struct statvfs;
uint64_t ballast_size(const struct statvfs *v); /* on a disk like this */
int ballast_make(int dir);                     /* in the state's directory; also at its beginning */
void space_lost(struct fs *fs);                /* a commit found no space */
void space_look(struct fs *fs);                /* is there space again? */
void space_start(struct fs *fs);               /* after the repairs of a crash */

/* --- snapshot.c: what a commit writes ------------------------------------------ */
/* Bytes of a staged segment that a commit makes durable. */
struct extent { struct segment *segment; uint64_t from, to; };
struct snapshot {
    bool apply;                /* into the index; else into the journal */
    bool empty;                /* nothing to do */
    struct buf batch;
    struct extent *extents;    /* each holds a reference to its segment */
    size_t extent_count;
};
/* Takes the snapshot; with *apply false it may still decide to apply.
 * -EAGAIN when hazards have to be fetched first. meta held. */
int snapshot_take(struct fs *fs, struct snapshot *s, bool apply);
/* Adds the extents' bytes to the batch as tails. */
int snapshot_tails(struct snapshot *s);
void snapshot_done(struct fs *fs, struct snapshot *s);     /* durable; meta held */
void snapshot_failed(struct fs *fs, const struct snapshot *s); /* its rows are dirty again; meta held */
void snapshot_release(struct fs *fs, struct snapshot *s);

/* --- actors.c --------------------------------------------------------------------- */
int actors_load(struct fs *fs);
/* The state is a copy: this device becomes somebody else, before it writes. Before
 * actors_load or after it. */
int actors_renew(struct fs *fs);
/* Is this the first publication of the actor? Then it has no previous one. */
bool actors_chain_begins(const struct fs *fs, uint64_t seq);
/* Count and heads of the earlier actors, as a publication has them. */
int actors_heads(struct fs *fs, struct buf *out);
/* Does the segment carry the last publication of an earlier actor? A device that goes on
 * as that one would take its absence for an older store. */
bool actors_is_head(struct fs *fs, uint32_t carrier);
/* Which actor of ours has that publication. */
uint64_t actors_of(const struct fs *fs, uint64_t seq);

/* --- replay.c --------------------------------------------------------------------- */
int journal_recover(struct fs *fs);

/* --- publisher.c: the rest is in publishing.h --------------------------------------- */
int publish_start(struct fs *fs);
void publish_poke(struct fs *fs);              /* rows were noted */
void publish_stop(struct fs *fs);
int publish_final(struct fs *fs);              /* at the end, without the threads */

/* --- lateness.c: is told when nothing moves ------------------------------------------ */
int lateness_start(struct fs *fs);             /* once the publisher runs */
void lateness_stop(struct fs *fs);
void lateness_waits_locked(struct publisher *p); /* something is to be published; p->lock held */
void lateness_begun(struct fs *fs);            /* an attempt */
void lateness_moved(struct fs *fs);            /* something reached the store, or is about to */
void lateness_ended(struct fs *fs, int rc);    /* the attempt; 0: nothing waits any more */

/* --- status.c, open.c, range.c --------------------------------------------------------- */
void survey_stop(struct fs *fs);               /* waits for the last one; nobody asks any more */
void fs_raise(struct fs *fs, enum fs_event event, int error);
/* Raises FS_EVENT_NOT_ARRIVED, once until a survey finds everything there. */
void fs_tell_missing(struct fs *fs);

pthread_rwlock_t *data_lock(struct fs *fs, uint64_t ino);
/* Those of two files, exclusive; they may be one. */
void lock_two(struct fs *fs, uint64_t a, uint64_t b);
void unlock_two(struct fs *fs, uint64_t a, uint64_t b);

#endif
