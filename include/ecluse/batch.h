/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Rows and the batch: a set of row changes as bytes.
 *
 * One codec serves the local commit, the journal, publications and, later,
 * checkpoints, recovery and merge.  Encoding appends to a struct buf; decoding
 * validates everything and trusts nothing (a batch may come from the store).
 * Pure; no locks.  docs/format.md has every byte.
 *
 * Inode numbers: actor index in the upper 16 bits, counter in the lower 48.
 * A device's first actor has index 0, so its files have small numbers; the
 * root directory is number 1.  A publication carries the table from index to
 * actor id, and the table from segment number to segment id.
 */
#ifndef ECLUSE_BATCH_H
#define ECLUSE_BATCH_H

#include <ecluse/base.h>
#include <time.h>

#define ROOT_INO 1u

/* `count` blocks from block `first` of the chunk, sealed one after another
 * from byte `offset` of segment number `segment`.  All are full but perhaps the
 * last, which seals `sealed` bytes of which `valid` still count; what lies
 * beyond valid reads as zeros.  Runs of a chunk ascend and do not overlap. */
struct run {
    uint32_t segment;
    uint32_t offset;
    uint16_t first;   /* 0 … 255 */
    uint16_t count;   /* 1 … 256 - first */
    uint16_t sealed;  /* 1 … 4096 */
    uint16_t valid;   /* 1 … sealed */
};

struct inode_row {
    uint64_t ino;
    uint64_t parent;   /* hint: directory and cookie of its newest name */
    uint64_t cookie;
    uint64_t size;     /* bytes; for a directory, the number of its entries */
    uint64_t version;  /* content version: grows with every change of size or runs */
    uint64_t blocks;   /* blocks that hold data, in all chunks (for st_blocks) */
    uint64_t rdev;
    uint32_t mode;     /* type and permissions, as st_mode */
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint32_t flags;    /* INODE_… */
    struct timespec atime, mtime, ctime, btime;
    uint32_t run_count;
    const struct run *runs;      /* chunk 0 */
    uint32_t target_len;
    const uint8_t *target;       /* of a symbolic link */
};
#define INODE_XATTRS 1u  /* has an xattr row */
#define INODE_CHUNKS 2u  /* may have chunk rows (n >= 1) */
#define INODE_SHARES 4u  /* may refer to blocks of other files */

struct dirent_row {
    uint64_t parent;
    uint64_t cookie;   /* position in the directory: ascending, unique, stable, >= 3 */
    uint64_t ino;
    uint32_t mode;     /* file type bits of st_mode */
    uint8_t name_len;
    const uint8_t *name;
};

/* The n-th MiB of a file, n >= 1. No runs: the row is deleted. */
struct chunk_row {
    uint64_t ino;
    uint64_t n;
    uint32_t run_count;
    const struct run *runs;
};

/* All extended attributes of an inode as one list; empty: the row is deleted. */
struct xattr_row {
    uint64_t ino;
    size_t len;
    const uint8_t *list;  /* see xattr list functions below */
};

/* The last two are in the index only: an object that nothing refers to any more, and
 * one that was found in the store and that this state never referred to. */
enum segment_state { SEGMENT_STAGED = 1, SEGMENT_PUBLISHED = 2, SEGMENT_DEAD = 3, SEGMENT_STRAY = 4 };

struct segment_row {
    uint32_t number;      /* local, never reused */
    uint32_t state;       /* enum segment_state */
    struct id128 id;
    uint32_t epoch;
    uint64_t length;      /* staged: bytes that commits refer to; published: file size */
    uint8_t sha256[32];   /* published: of the whole file */
};

enum record_kind {
    RECORD_INODE = 1,
    RECORD_INODE_GONE,
    RECORD_DIRENT,
    RECORD_DIRENT_GONE,    /* parent, cookie */
    RECORD_XATTR,
    RECORD_CHUNK,
    RECORD_CHUNKS_GONE,    /* ino, from n on */
    RECORD_SEGMENT,
    RECORD_SEGMENT_GONE,   /* number */
    RECORD_COUNTER,        /* id, value */
    RECORD_TAIL,           /* journal only: bytes of a staged segment */
};

/* The last two are tables: add an actor index (see src/fs/actors.c). */
enum counter {
    COUNTER_INO = 1, COUNTER_COOKIE, COUNTER_SEGMENT, COUNTER_VERSION,
    COUNTER_COLLECTED,         /* time of the last count of what is dead; never in a batch */
    COUNTER_ACTOR = 0x10000,   /* actor id */
    COUNTER_CHAIN = 0x20000,   /* number of the actor's first publication */
};
#define ACTOR_LIMIT 0x10000u

struct record {
    enum record_kind kind;
    union {
        struct inode_row inode;
        struct dirent_row dirent;
        struct xattr_row xattr;
        struct chunk_row chunk;
        struct segment_row segment;
        struct { uint64_t ino; uint64_t n; } gone;        /* …_GONE: (ino), (parent, cookie), (ino, n), (number) */
        struct { uint32_t id; uint64_t value; } counter;
        struct { uint32_t segment; uint64_t offset; size_t len; const uint8_t *bytes; } tail;
    };
    struct run runs[CHUNK_BLOCKS];  /* storage behind inode.runs and chunk.runs */
};

void batch_inode(struct buf *b, const struct inode_row *row);
void batch_dirent(struct buf *b, const struct dirent_row *row);
void batch_chunk(struct buf *b, const struct chunk_row *row);
void batch_xattr(struct buf *b, const struct xattr_row *row);
void batch_segment(struct buf *b, const struct segment_row *row);
void batch_gone(struct buf *b, enum record_kind kind, uint64_t x, uint64_t y);
void batch_counter(struct buf *b, enum counter id, uint64_t value);
void batch_tail(struct buf *b, uint32_t segment, uint64_t offset, const void *bytes, size_t len);

/* 1 a record (borrowing from the bytes read and from out->runs), 0 the end,
 * E_FORMAT. */
int batch_next(struct reader *r, struct record *out);

/* Runs alone, as stored in the index's columns. */
void runs_encode(struct buf *b, const struct run *runs, uint32_t count);
/* The number of runs, or E_FORMAT. */
int runs_decode(struct reader *r, struct run out[CHUNK_BLOCKS]);

/* An xattr list is a sequence of (name, value), each a varint length and bytes. */
void xattr_list_add(struct buf *b, const char *name, size_t name_len, const void *value, size_t len);
/* 1, 0 at the end, E_FORMAT. */
int xattr_list_next(struct reader *r, const uint8_t **name, size_t *name_len,
                    const uint8_t **value, size_t *len);

#endif
