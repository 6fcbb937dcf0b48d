/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of the filesystem core share: its objects and their states.
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
 *
 * The state of a cached row, with the functions that move it:
 *
 *            entry_dirty                 commit: snapshot            commit: durable
 *   CLEAN ----------------> UNAPPLIED ------------------> COMMITTING ----------------> CLEAN
 *                           (UNLOGGED                     (may become UNAPPLIED        (or freed,
 *                            until a journal               again meanwhile)            if gone)
 *                            record has it)
 *
 * Only CLEAN, unpinned rows may be evicted; all others are the only truth.
 */
#ifndef ECLUSE_FS_INTERNAL_H
#define ECLUSE_FS_INTERNAL_H

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

/* --- intrusive doubly linked list ------------------------------------- */

struct list { struct list *prev, *next; };

static inline void list_init(struct list *l) { l->prev = l->next = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}
static inline void list_append(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
#define container(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define list_each(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
#define list_each_safe(pos, head) \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head); \
         pos = pos##_next, pos##_next = pos->next)

/* --- cached rows (all fields protected by meta) ------------------------ */

enum entry_kind { ENTRY_INODE, ENTRY_DIRENT, ENTRY_CHUNK };

enum {
    ENTRY_UNAPPLIED = 1,   /* changed since the last index snapshot */
    ENTRY_UNLOGGED = 2,    /* changed since the last journal or index snapshot */
    ENTRY_COMMITTING = 4,  /* in the index snapshot that is not durable yet */
    ENTRY_STORED = 8,      /* the index or the journal may have the row */
    ENTRY_GONE = 16,       /* deleted; stays until the deletion is durable */
};

struct entry {
    struct entry *hash_next;
    struct list apply;     /* in cache.unapplied */
    struct list logged;    /* in cache.unlogged */
    struct list hold;      /* in cache.lru (clean) or cache.committing */
    uint32_t pins;         /* users outside meta; open files */
    uint8_t kind;
    uint8_t state;
};

/* A growable vector of runs of one chunk; see runs.c. */
struct runs { struct run *v; uint16_t count, cap; };

#define NEVER UINT64_MAX

/* Chunk rows from `n` on that a snapshot still has to delete. */
struct cutoff { uint64_t unapplied, unlogged, committing; };

struct inode {
    struct entry e;
    uint64_t ino, parent, cookie, size, version, blocks, rdev;
    uint32_t mode, nlink, uid, gid, flags;
    struct timespec atime, mtime, ctime, btime;
    struct runs runs;          /* chunk 0 */
    char *target;              /* symbolic link */
    struct buf xattrs;         /* list; valid when xattrs_loaded */
    bool xattrs_loaded;
    bool xattrs_unapplied, xattrs_unlogged, xattrs_committing;
    uint32_t opens, writers;   /* open handles; those that may write */
    struct cutoff cut;
    struct list chunks;        /* cached chunks of this file */
    struct list pending;       /* directory: dirents that are not CLEAN */
    uint32_t pending_count;
    struct list hazard;        /* in fs->hazards or fs->fetched; see hazard.c */
    time_t cut_at;             /* when it last became shorter; CLOCK_MONOTONIC_COARSE */
};

struct fs_dirent {
    struct entry e;
    uint64_t parent, cookie, ino;
    uint32_t mode;             /* type bits */
    struct list pending;       /* in the directory's pending list while not CLEAN */
    uint8_t name_len;
    char name[];               /* NUL-terminated */
};

struct chunk {
    struct entry e;
    uint64_t ino, n;
    struct runs runs;
    struct list sibling;       /* in inode.chunks */
};

struct cache {
    struct entry **buckets;
    size_t bucket_count, entry_count;
    struct list lru, unapplied, unlogged, committing;
    atomic_size_t unapplied_count;
    size_t unlogged_count;
    size_t bytes;              /* of all entries and what hangs on them */
    size_t limit;
};

/* --- segments (protected by segments.lock) ----------------------------- */

struct segment {
    struct segment *hash_next;
    struct list lru;           /* unreferenced, descriptor open */
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
#define SEGMENTS_OPEN 192u     /* unreferenced descriptors kept open */

struct segments {
    pthread_mutex_t lock;
    struct segment *buckets[SEGMENT_BUCKETS];
    struct list lru;
    unsigned lru_count;
    struct list staged;
    struct segment *open;      /* receives appends; may be NULL */
    uint64_t next_number;
};

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
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, busy;
    bool gc_stop;
    uint64_t asked, answered;  /* flush requests */
    int result;
    bool work;                 /* a commit noted rows since the last publication */
    pthread_t thread;
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
    atomic_int latched;                    /* error that made the vault read-only */
    atomic_bool unmarked;                  /* damage that the state does not say yet */
    atomic_bool no_space;                  /* a commit found the disk full */
    atomic_ullong activity;                /* counts mutations, for the publisher's quiet */
    atomic_ullong refused, missing, foreign;
    atomic_bool told_missing;              /* somebody was told; until all is there again */
    atomic_int publish_error;
    bool threads;
};

/* --- cache.c: all with meta held ---------------------------------------- */
int cache_init(struct cache *c, size_t limit);
void cache_free(struct fs *fs);
struct inode *cache_inode(struct cache *c, uint64_t ino);
struct fs_dirent *cache_dirent(struct cache *c, uint64_t parent, const char *name, size_t len);
struct chunk *cache_chunk(struct cache *c, uint64_t ino, uint64_t n);
void cache_insert(struct cache *c, struct entry *e);
void entry_dirty(struct fs *fs, struct entry *e);
/* Takes an entry that the index never had out of the cache and frees it. */
void entry_discard(struct fs *fs, struct entry *e);
static inline void entry_pin(struct entry *e) { e->pins++; }
static inline void entry_unpin(struct entry *e) { e->pins--; }
/* The commit became durable: COMMITTING rows become clean or disappear. */
void cache_committed(struct fs *fs);
/* The commit failed for lack of space: its rows are dirty again. */
void cache_revert(struct fs *fs);
/* Frees clean rows until the bound holds. */
void cache_shrink(struct fs *fs);
void cache_recount(struct cache *c, size_t before, size_t after);

/* --- runs.c: pure -------------------------------------------------------- */
/* Called for every piece that leaves the map. */
typedef void (*run_dropped)(void *ctx, const struct run *piece);
/* Replaces blocks [first, first+count) by `with` (NULL: a hole); the vector is
 * untouched on -ENOMEM. Returns the change in mapped blocks through *delta. */
int runs_replace(struct runs *r, uint32_t first, uint32_t count, const struct run *with,
                 run_dropped dropped, void *ctx, int64_t *delta);
/* The run that holds the block, or NULL in a hole. */
const struct run *runs_find(const struct runs *r, uint32_t block);
/* The first run that ends after `block`, or NULL. */
const struct run *runs_from(const struct runs *r, uint32_t block);
/* What of run `r` lies in [first, first+count); false when nothing. */
bool run_clip(const struct run *r, uint32_t first, uint32_t count, struct run *out);
int runs_copy(struct runs *to, const struct run *v, uint32_t count);
void runs_free(struct runs *r);
static inline uint64_t run_bytes(const struct run *r)
{
    return (uint64_t)(r->count - 1u) * SEALED_BLOCK + r->sealed + SEAL_OVERHEAD;
}

/* --- inode.c: with meta held --------------------------------------------- */
int inode_get(struct fs *fs, uint64_t ino, struct inode **out);
struct inode *inode_new(struct fs *fs, uint32_t mode);
void inode_row(const struct inode *i, struct inode_row *row);
void inode_stat(const struct fs *fs, const struct inode *i, struct stat *out);
void row_stat(const struct fs *fs, const struct inode_row *row, struct stat *out);
void inode_touch(struct inode *i, bool modified);  /* ctime, and mtime */
void inode_read(struct fs *fs, struct inode *i);   /* atime, as relatime has it */
int xattrs_load(struct fs *fs, struct inode *i);
/* The value inside the loaded list, or NULL. */
const uint8_t *xattrs_find(const struct inode *i, const char *name, size_t *len);
/* Sets, or with NULL removes, in the loaded list. -ENOMEM, -ENOSPC. */
int xattrs_put(struct fs *fs, struct inode *i, const char *name, const void *value, size_t size);
/* Deletes the inode when it has neither a name nor an open handle. */
int inode_reap(struct fs *fs, struct inode *i);
void now(struct timespec *ts);
/* The file was renamed over: it stays for LIMBO_SECONDS. */
void limbo_add(struct fs *fs, struct inode *i);
/* Lets go of the files whose time is over, or of all. */
void limbo_expire(struct fs *fs, bool all);

/* --- hazard.c: with meta held ------------------------------------------------- */
void hazard_add(struct fs *fs, struct inode *i);       /* renamed or linked */
void hazard_add_cut(struct fs *fs, struct inode *i);   /* made shorter */
void hazard_remove(struct inode *i);
/* One that is to be fetched for the next snapshot, or 0. */
uint64_t hazard_next(struct fs *fs);
/* The snapshot was taken: what was fetched for it is done, or due again for the next. */
void hazards_covered(struct fs *fs);

/* --- acl.c: with meta held, attributes loaded -------------------------------- */
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
bool acl_name(const char *name);
int acl_set(struct fs *fs, struct inode *i, const char *name, const void *value, size_t size);
/* The access list follows the mode. */
int acl_chmod(struct fs *fs, struct inode *i);
/* What a new file takes from its directory's default list, else the umask. */
int acl_inherit(struct fs *fs, struct inode *dir, struct inode *i, uint32_t umask);

/* --- dirent.c: with meta held -------------------------------------------- */
int dirent_get(struct fs *fs, uint64_t parent, const char *name, struct fs_dirent **out);
/* The same, or an NFC/NFD variant of the name; *exact tells. */
int dirent_get_variant(struct fs *fs, uint64_t parent, const char *name, struct fs_dirent **out, bool *exact);
/* Adds a name, or points an existing entry (old, may be NULL) to `ino`. */
int dirent_put(struct fs *fs, struct inode *dir, struct fs_dirent *old, const char *name, struct inode *i);
void dirent_gone(struct fs *fs, struct inode *dir, struct fs_dirent *d);

/* --- map.c: a file's chunks, with meta held ------------------------------- */
/* Chunk n >= 1, loading it; with create also when there is none (else -ENOENT). */
int chunk_get(struct fs *fs, struct inode *i, uint64_t n, bool create, struct chunk **out);
/* The runs of chunk n (0 included); *out is NULL when the chunk is a hole. */
int map_runs(struct fs *fs, struct inode *i, uint64_t n, struct runs **out);
/* Maps `count` blocks from file block `first` on to consecutive sealed blocks;
 * the last one seals `sealed` bytes. All in one chunk. */
int map_put(struct fs *fs, struct inode *i, uint64_t first, const struct run *run);
/* Makes [first, first+count) a hole. */
int map_punch(struct fs *fs, struct inode *i, uint64_t first, uint64_t count);
/* Bytes of block `block` beyond `valid` read as zeros from now on. */
int map_trim(struct fs *fs, struct inode *i, uint64_t block, uint32_t valid);
/* Drops everything from block `first` on. */
int map_cut(struct fs *fs, struct inode *i, uint64_t first);
/* First chunk number >= n that may have runs; -ENOENT. */
int map_next(struct fs *fs, struct inode *i, uint64_t n, uint64_t *out);
/* Drops all cached chunks of a deleted inode. */
void map_forget(struct fs *fs, struct inode *i);

/* --- segments.c ----------------------------------------------------------- */
int segments_init(struct fs *fs);
void segments_free(struct fs *fs);
/* A reference to an opened segment, from staging or store. */
int segment_ref(struct fs *fs, uint32_t number, struct segment **out);
/* Logs and counts that a segment, or a block in it, was not what it must be. */
void segment_refused(struct fs *fs, uint32_t number, int rc);
void segment_unref(struct fs *fs, struct segment *s);
/* Is the file of a staged segment there, as long as its row says? E_STATE_DAMAGED. */
int segment_inspect(struct fs *fs, const struct segment_row *row);
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

/* --- file.c, range.c ---------------------------------------------------------- */
/* A copy of a chunk's map, to be used without meta. */
struct map_copy { struct run v[CHUNK_BLOCKS]; uint32_t count; };
int map_copy(struct fs *fs, struct inode *i, uint64_t n, struct map_copy *out);
/* The present contents of one block, zeros beyond the file; *in_file bytes lie in it. */
int old_block(struct fs *fs, struct inode *i, uint64_t block, uint8_t out[BLOCK_SIZE], uint32_t *in_file);
/* A write to a pinned inode, with its data lock held as the request needs it. */
int write_pinned(struct fs *fs, struct inode *i, const void *buf, size_t size, uint64_t off,
                 bool cached, bool kill);
int map_pieces(struct fs *fs, struct inode *i, const struct pieces *p); /* meta held */
/* Sets the size; data lock exclusive and meta held. */
int inode_resize(struct fs *fs, struct inode *i, uint64_t size);
/* Clears suid, sgid and file capabilities; meta held. */
int inode_kill_priv(struct fs *fs, struct inode *i);
/* Finds and pins; the end of a pin may end the inode. */
int inode_take(struct fs *fs, uint64_t ino, struct inode **out);
void inode_drop(struct fs *fs, struct inode *i);

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

/* --- publish.c, publication.c, reseal.c ----------------------------------------- */
int publish_start(struct fs *fs);
void publish_poke(struct fs *fs);              /* rows were noted */
void publish_stop(struct fs *fs);
int publish_final(struct fs *fs);              /* at the end, without the threads */
int publish_complete(struct fs *fs);           /* finishes an interrupted intent */
/* Are the staged files of an intent what was recorded? E_STATE_DAMAGED. */
int publish_verify(struct fs *fs, uint64_t seq);
/* Every unpublished row, in slices of bounded size; by the owner of the turn, or
 * while nobody commits. Forgets the cut of an earlier index_collect. */
int unpublished_scan(struct fs *fs, int (*visit)(void *ctx, const uint8_t *rows, size_t len), void *ctx);
/* One part of a checkpoint, from where `d` is. 1 when more follow. */
int publish_shard(struct fs *fs, struct dump *d, uint32_t number);
bool publish_stopping(struct fs *fs);          /* the thread, or its round of gc, is to end */
int publish_rows(struct fs *fs);               /* all that is noted, in as many parts as it takes */
int publish_checkpoint(struct fs *fs);         /* one whole checkpoint, and what closes it */
int reseal_sparse(struct fs *fs);              /* drops dead blocks of staged segments */
int reseal_all(struct fs *fs);                 /* all staged segments: none keeps its id */
/* Blocks of a file in one segment, as some row once said. */
struct block_place { uint64_t ino, block; uint32_t segment, offset, count, bytes; };
/* Seals anew, elsewhere, what is still there. E_AUTH, E_FORMAT, E_NOT_ARRIVED: a block
 * cannot be read, and all of that run stays where it is. */
int reseal_place(struct fs *fs, const struct block_place *at);
int reseal_count_live(struct fs *fs);          /* at start: live bytes of staged segments */

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

/* Whose publication a payload is, its number, and whether it is a part that others
 * follow: E_FORMAT, E_NEWER_FORMAT. */
struct dot { uint64_t actor, seq; bool more; };
int publication_dot(const uint8_t *payload, size_t len, struct dot *out);

/* --- heads.c: what was seen of others ---------------------------------------------- */
/* Of a file, at most a few for each device there ever was. E_STATE_DAMAGED. */
int heads_read(struct heads *h, int dir, const struct keyring *keys);
int heads_write(const struct heads *h, int dir, const struct keyring *keys);
int heads_decode(struct heads *h, const uint8_t *bytes, size_t len); /* E_FORMAT */
void heads_encode(const struct heads *h, struct buf *out);
struct head *heads_find(const struct heads *h, uint64_t actor);
int heads_put(struct heads *h, const struct head *head);             /* one for each actor */
void heads_drop(struct heads *h, struct head *head);
void heads_free(struct heads *h);

/* --- checkpoint.c: by the publisher ------------------------------------------------- */
/* Would whoever reads the store have to read too much, or too many objects? */
bool checkpoint_due(struct fs *fs);
/* All of its parts; *skipped: some rows were left out, for they are about to be
 * published. An error makes it due again only after an hour. */
int checkpoint_write(struct fs *fs, bool *skipped);

/* --- unseen.c ---------------------------------------------------------------------- */
/* A publication in an object that the index does not know. */
struct stranger { struct head head; struct publication_head before; bool told; };
/* Adds to fs->strangers those that came since the last look, and counts in fs->unseen
 * those that are not shown here, in fs->planted what is not authentic; *ours: one of
 * them is by the actor that this device is, and unknown to it. fs->fresh held, or alone. */
int unseen_look(struct fs *fs, bool *ours);
/* The last number of that actor that the index knows; 0 for strangers. */
uint64_t unseen_last_known(struct fs *fs, uint64_t actor);
/* The publication that an object of the store carries; -ENOENT when it carries none.
 * Of fs only state, store, vault and suite are used. */
int unseen_dot(struct fs *fs, const struct id128 *id, struct dot *out);

/* --- fresh.c: is the store what this device has seen? ------------------------------ */
/* At the mount, before anything is written. E_OLDER_STATE unless that is accepted. */
int fresh_open(struct fs *fs, bool *ours);
/* At any later time: E_OLDER_STATE while the store lacks something. */
int fresh_check(struct fs *fs);
/* The same, after a look at what has come meanwhile. */
int fresh_look(struct fs *fs);

struct stray { struct id128 id; uint64_t size; uint32_t epoch; };
/* The same at any time, for who wants to remove: how many publications of others there
 * are, and (struct stray…) objects of this vault that the index does not know and
 * that are nobody else's, as far as can be told. */
int unseen_strays(struct fs *fs, uint64_t *others, struct buf *strays);

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

/* --- compact.c ---------------------------------------------------------------------------- */
/* What the block maps refer to in a published segment; by number. */
struct usage { uint32_t number; bool seen; uint64_t live, runs, length; };
struct usages { struct usage *v; size_t count; };
/* Counts. Rows may change meanwhile: what changed is noted (usages_note). */
int usages_take(struct fs *fs, struct usages *u);
void usages_note(struct usages *u, const struct run *runs, uint32_t count);
void usages_free(struct usages *u);
/* Moves the live blocks out of segments that are sparse, or small and many, up to
 * some volume. *moved bytes, *emptied segments, *damaged ones that stay. */
int compact(struct fs *fs, const struct usages *u, bool at_once, struct gc_report *out);
/* Visits the block maps of unpublished rows. */
typedef int (*on_runs)(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count);
int unpublished_runs(struct fs *fs, on_runs visit, void *ctx);

/* The reverse maps of the segments being published, gathered from rows. */
struct reverse;
int reverse_new(struct reverse **out);
int reverse_add(void *reverse, const uint8_t *rows, size_t len);
/* The footer's beginning for one segment: actors and runs; names are looked up.
 * It keeps to `budget` bytes by leaving out names, which are hints, and further
 * references to bytes that have one. */
int reverse_footer(struct fs *fs, struct reverse *r, uint32_t segment, size_t budget, struct buf *out);
void reverse_free(struct reverse *r);

/* --- status.c --- */
void fs_raise(struct fs *fs, enum fs_event event, int error);
/* Raises FS_EVENT_NOT_ARRIVED, once until a survey finds everything there. */
void fs_tell_missing(struct fs *fs);

pthread_rwlock_t *data_lock(struct fs *fs, uint64_t ino);

#endif
