/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Contents of files from segments alone, all publications lost.
 *
 * Reverse maps say of each run of blocks: which file's, which blocks, of which
 * content version, and often a name.  That gives contents, not the tree: paths,
 * attributes, empty files and sizes are in the rows of publications, and where
 * those can be read a recovery is the better way.
 *
 * The destination is an empty directory; nothing in it is ever replaced.  Each file
 * is made under a name that ends in `.partial`, and gets its own when it is
 * finished: with `.incomplete` behind it when blocks are missing.  Reads the store
 * only.  One thread.
 */
#ifndef ECLUSE_SALVAGE_H
#define ECLUSE_SALVAGE_H

#include <ecluse/keys.h>
#include <ecluse/store.h>

struct salvage_file {
    const char *path;          /* in the destination, as it is there: bytes */
    uint64_t size;
    uint64_t blocks;           /* written */
    uint64_t lost;             /* blocks that are named, and do not open or are not there */
    uint64_t gaps;             /* blocks that nothing names: holes of the file, or missing segments */
    uint64_t left_out;         /* older blocks behind the end of the newest version */
    bool mixed;                /* blocks of several versions: changed in part, or cut in between */
    bool open_end;             /* the last block is full: there may have been more */
    int error;                 /* it could not be written there, and is not */
};

enum salvage_phase { SALVAGE_READ, SALVAGE_WRITE };

struct salvage_options {
    struct store *store;
    const struct keyring *keys; /* unlocked */
    int dest;                  /* descriptor of the directory */
    size_t runs_at_once;       /* bounds memory: some 60 bytes each; 0: the default, a million */
    /* Each file, when it is finished. May be NULL, as the others. */
    void (*file)(void *ctx, const struct salvage_file *f);
    /* An object that cannot be used; E_NOT_ARRIVED, E_AUTH, E_FORMAT… */
    void (*object)(void *ctx, const char *path, int error);
    void (*progress)(void *ctx, enum salvage_phase phase, uint64_t done, uint64_t total);
    void *ctx;
};

struct salvage_report {
    uint64_t objects, unreadable, foreign; /* in the store; foreign files and objects of other vaults */
    uint64_t files, bytes;     /* written, incomplete ones included */
    uint64_t incomplete;       /* of these, with lost blocks or gaps */
    uint64_t failed;           /* that could not be written, one by one */
    uint64_t mixed, open_ended, cut; /* with left_out */
    unsigned passes;           /* over the store */
};

/* 0 whatever is incomplete; -ENOSPC, -EIO… when the destination takes no more: what
 * was finished before stays and is whole. */
int salvage_store(const struct salvage_options *o, struct salvage_report *report);

#endif
