/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A small vault, the few things that are done to it, and its twin in memory.
 *
 * Operations are requests to the filesystem core, without a kernel above: each
 * is whole or nothing.  They name files of a handful, so that three of them
 * meet each other.  The twin tells what the tree is after each of them.
 */
#ifndef ECLUSE_TESTS_WORLD_H
#define ECLUSE_TESTS_WORLD_H

#include <ecluse/crypto.h>
#include <ecluse/fs.h>

enum op_kind {
    OP_CREATE, OP_WRITE, OP_TRUNCATE, OP_RENAME, OP_LINK, OP_UNLINK, OP_MKDIR, OP_RMDIR, OP_XATTR, OP_COPY,
    OP_SYNC, OP_COMMIT, OP_FLUSH, OP_GC,
};

/* name, other: 0…NAMES-1; amount: which length or size. */
struct op { enum op_kind kind; uint8_t name, other, amount; };

#define NAMES 6u                 /* a b c d d/a d/b; d is a directory */
#define AMOUNTS 4u
#define OPS_MAX 16u

/* One of all operations, by number; false when there is no such number. */
bool op_at(unsigned number, struct op *out);
void op_text(const struct op *op, char out[64]);
static inline bool op_is_sync(const struct op *op) { return op->kind >= OP_SYNC; }

/* --- the vault ------------------------------------------------------------------ */

struct world { char top[64]; uint8_t recovery[KEY_SIZE]; struct id128 vault; };
struct opened { struct state state; struct store *store; struct fs *fs; };

/* A new folder on a filesystem in memory where there is one; removed at exit. */
void memory_folder(char out[64]);
/* Makes a vault with contents that are published, below w->top. */
void world_make(struct world *w);
void world_places(const struct world *w, char store[96], char state[96]);
/* As the daemon does; within disk_begin and disk_end. */
int world_open(const struct world *w, struct opened *v);
int world_close(struct opened *v);
/* The lock file names the place where it is: makes a copy the original. */
void world_adopt(const struct world *w);
int op_run(struct fs *fs, const struct op *op);
/* The whole tree in one hash; an error when anything cannot be read. */
int tree_hash(struct fs *fs, uint8_t out[SHA256_SIZE]);
/* The same in words, for people. */
int tree_words(struct fs *fs, struct buf *out);

/* --- the twin ---------------------------------------------------------------------- */

struct twin;
/* The tree that world_make leaves. */
struct twin *twin_new(void);
struct twin *twin_copy(const struct twin *t);
void twin_free(struct twin *t);
/* What the operation must return; changes nothing when that is an error. */
int twin_run(struct twin *t, const struct op *op);
void twin_hash(const struct twin *t, uint8_t out[SHA256_SIZE]);
void twin_words(const struct twin *t, struct buf *out);

#endif
