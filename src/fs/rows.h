/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Cached rows, the block maps in them, and what is done with files.
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
#ifndef ECLUSE_FS_ROWS_H
#define ECLUSE_FS_ROWS_H

#include "list.h"
#include <ecluse/batch.h>
#include <ecluse/fs.h>
#include <ecluse/segment.h>
#include <stdatomic.h>

struct fs;
struct pieces;

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
/* Passes over so many rows; those that are clean and not in use go. */
void cache_forget(struct fs *fs, size_t tries);
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

#endif
