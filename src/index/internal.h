/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The inside of the index: one SQLite connection and its two locks.
 *
 *   writer   held through a transaction, a collection, a sync and a
 *            checkpoint; serialises whoever changes the database
 *   gate     held while waiting for `lock`, so that whoever breathes in the
 *            middle of a transaction lets exactly those go first who wait
 *   lock     the connection: held while SQLite runs, never across an fsync
 *
 * They are taken in this order.  Statements are prepared once and are always
 * reset before `lock` is released; so a checkpoint never meets a reader.
 */
#ifndef ECLUSE_INDEX_INTERNAL_H
#define ECLUSE_INDEX_INTERNAL_H

#include <ecluse/base.h>
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <ecluse/index.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>

#define INDEX_SCHEMA 1u
#define FIRST_COOKIE 3u        /* 0, 1 and 2 are positions of "." and ".." */
#define NANOSECONDS 1000000000
#define SLICE 256u             /* records between two breaths */

/* Signed numbers as unsigned ones that stay small: 0, -1, 1, -2… */
static inline uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (uint64_t)(v >> 63); }
static inline int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1 ^ (0 - (v & 1))); }

/* --- statements (statements.c) ------------------------------------------------ */

enum statement {
    SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK,
    SQL_META_GET, SQL_META_PUT, SQL_COUNTER_GET, SQL_COUNTER_PUT,
    SQL_INODE_GET, SQL_INODE_EXISTS, SQL_INODE_PUT, SQL_INODE_DELETE, SQL_INODE_ORPHANS,
    SQL_DIRENT_NAMED, SQL_DIRENT_NORM, SQL_DIRENT_AT, SQL_DIRENT_PUT, SQL_DIRENT_DELETE,
    SQL_DIRENT_SCAN, SQL_DIRENT_SCAN_PLUS,
    SQL_CHUNK_GET, SQL_CHUNK_NEXT, SQL_CHUNK_NTH, SQL_CHUNK_PUT, SQL_CHUNK_DELETE, SQL_CHUNKS_DELETE,
    SQL_XATTR_GET, SQL_XATTR_PUT, SQL_XATTR_DELETE,
    SQL_SEGMENT_GET, SQL_SEGMENT_PUT, SQL_SEGMENT_DELETE, SQL_SEGMENT_SCAN, SQL_SEGMENT_PLACE,
    SQL_SEGMENT_PUBLICATION, SQL_SEGMENT_SUM, SQL_SEGMENT_PUBLISH,
    SQL_NOTE_ADD, SQL_NOTE_RENEW, SQL_NOTE_DROP, SQL_NOTE_SCAN, SQL_NOTE_NTH, SQL_NOTE_FORGET,
    SQL_DUMP_INODE, SQL_DUMP_DIRENT, SQL_DUMP_XATTR, SQL_DUMP_CHUNK, SQL_MAP_INODE, SQL_MAP_CHUNK,
    SQL_DEAD_MARK, SQL_DEAD_SETTLE, SQL_DEAD_SCAN, SQL_DEAD_SUM,
    SQL_PUBLICATION_ADD, SQL_PUBLICATION_DONE, SQL_PUBLICATION_UPTO, SQL_PUBLICATION_PLAIN,
    SQL_PUBLICATION_LAST_SHARD, SQL_PUBLICATION_SUM,
    SQL_COUNT
};

struct index;
int statements_prepare(struct index *ix);
void statements_finalize(struct index *ix);
sqlite3_stmt *sql_of(struct index *ix, enum statement which);
void sql_bind(sqlite3_stmt *st, int i, uint64_t v);
/* Empty blobs are NULL. The bytes must live until the statement is reset. */
void sql_bind_blob(sqlite3_stmt *st, int i, const void *bytes, size_t len);
uint64_t sql_value(sqlite3_stmt *st, int column);
struct reader sql_blob(sqlite3_stmt *st, int column);
/* Steps to the end and resets. 0 or an error; rows are ignored. */
int sql_run(struct index *ix, sqlite3_stmt *st);
/* 1 a row, 0 the end, or an error; resets unless it is a row. */
int sql_step(struct index *ix, sqlite3_stmt *st);

/* --- the connection (connection.c) -------------------------------------------- */

/* Numbers kept with the rows; written by the transaction that changes them. */
enum meta {
    META_SCHEMA, META_GENERATION, META_CHANGE,  /* transactions that noted */
    META_INODES, META_OBJECTS, META_OBJECT_BYTES, META_NOTES,
    META_COUNT
};

/* Keys of `unpublished`; the order is that of a publication's records. */
enum note_kind { NOTE_INODE = 1, NOTE_DIRENT, NOTE_XATTR, NOTE_CHUNKS_GONE, NOTE_CHUNK };
struct note { uint64_t kind, a, b; };

/* What the last collection took: notes up to `end` that are not younger than
 * `change`. Protected by writer. */
struct cut {
    bool valid;
    uint64_t token;
    uint64_t change;
    struct note end;
};

struct index {
    pthread_mutex_t writer, gate, lock;
    sqlite3 *db;                       /* these: lock */
    sqlite3_stmt *statements[SQL_COUNT];
    struct sealed_vfs *vfs;
    struct aead *aead;
    uint64_t meta[META_COUNT];         /* as committed */
    uint64_t next[META_COUNT];         /* in the transaction under way */
    unsigned wal_pages;
    bool settled;              /* the log was begun anew, with other salts, since it was opened */
    bool in_transaction;
    int lost;                          /* why SQLite rolled back by itself */
    bool read_only;
    int failed;                        /* writer: no further commit */
    void (*on_damage)(void *ctx);      /* constant while threads run */
    void *on_damage_ctx;
    bool damage;                       /* lock: to be told */
    struct cut cut;
    struct record record;              /* writer: what apply decodes into */
};

void connection_lock(struct index *ix);
void connection_unlock(struct index *ix);
/* The code for a result of SQLite, logged unless it is a matter of course. */
int connection_error(struct index *ix, int sqlite_result);
int connection_open(struct index **out, const char *path, const uint8_t local_key[KEY_SIZE],
                    bool read_only, bool create);
/* Releases everything; checkpoints nothing. NULL is harmless. */
void connection_free(struct index *ix);
int connection_exec(struct index *ix, const char *sql);
int meta_load(struct index *ix);

/* Takes writer and lock and begins; nothing is held after an error. */
int transaction_begin(struct index *ix);
/* Commits when rc is 0, else rolls back; releases both locks. rc or the error. */
int transaction_end(struct index *ix, int rc);
/* Lets readers in; an error when they made SQLite drop the transaction. */
int transaction_breathe(struct index *ix);

/* --- rows: lock held ------------------------------------------------------------ */

int inode_find(struct index *ix, uint64_t ino, struct inode_row *out, struct row_hold *hold);
int inode_put(struct index *ix, const struct inode_row *row);
int inode_delete(struct index *ix, uint64_t ino);
/* The columns of a row from `first` on, its run list as bytes. */
int inode_columns(sqlite3_stmt *st, int first, struct inode_row *out, struct reader *runs);

int dirent_find(struct index *ix, uint64_t parent, uint64_t cookie, struct dirent_row *out,
                struct row_hold *hold);
int dirent_put_row(struct index *ix, const struct dirent_row *row);
int dirent_delete(struct index *ix, uint64_t parent, uint64_t cookie);
/* The normalised form of a name that has another one; empty when it is its
 * own, or no UTF-8. */
int name_normalise(const uint8_t *name, size_t len, struct buf *out);

int chunk_find(struct index *ix, uint64_t ino, uint64_t n, struct chunk_row *out, struct row_hold *hold);
int chunk_put(struct index *ix, const struct chunk_row *row);
int chunks_delete(struct index *ix, uint64_t ino, uint64_t from);
int xattr_find(struct index *ix, uint64_t ino, struct xattr_row *out, struct row_hold *hold);
int xattr_put(struct index *ix, const struct xattr_row *row);

int segment_find(struct index *ix, uint32_t number, struct segment_row *out);
int segment_put(struct index *ix, const struct segment_row *row);
int segment_delete(struct index *ix, uint32_t number);
void segment_columns(sqlite3_stmt *st, struct segment_row *out);

int counter_put(struct index *ix, uint32_t id, uint64_t value);
/* All records of a batch, in a transaction; breathes. */
int apply_records(struct index *ix, const struct buf *batch, bool note);

/* The row that a note names, as it is now, or that it is gone. */
int note_emit(struct index *ix, const struct note *n, struct row_hold *hold, struct buf *out);
int note_add(struct index *ix, enum note_kind kind, uint64_t a, uint64_t b);
/* Notes of that kind and `a` with b >= from. */
int note_drop(struct index *ix, enum note_kind kind, uint64_t a, uint64_t from);
/* In a transaction; breathes. */
int notes_forget(struct index *ix, const struct cut *cut);

#endif
