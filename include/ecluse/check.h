/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Is a store whole, and is all of it ours?  Nothing is ever changed or repaired.
 *
 *   manifest_write              the SHA-256 of every whole object; no keys
 *   manifest_read → check_store
 *
 * check_store has three depths.  Without keys: form, length, randomness, the
 * manifest.  With keys: every front, trailer and footer, the chain of publications,
 * and that reverse maps hold what rows refer to.  With the state of this device
 * too: that index and store agree.
 *
 * Verdicts are kept apart because the remedies are: who cries attack while a sync
 * client is still working teaches people not to listen.  One thread; callbacks
 * come from it.
 */
#ifndef ECLUSE_CHECK_H
#define ECLUSE_CHECK_H

#include <ecluse/keys.h>
#include <ecluse/state.h>
#include <ecluse/store.h>

/* --- manifest ---------------------------------------------------------------------- */

struct manifest_line { struct id128 id; uint8_t sha256[SHA256_SIZE]; bool seen; };
struct manifest {
    struct manifest_line *lines;   /* of objects, by id */
    size_t count;
    bool has_header;
    uint8_t header[SHA256_SIZE];   /* of the vault header */
    char header_name[64];
};
/* Lines as sha256sum writes them. E_FORMAT with *line set when one is not "<64 hex>
 * <path>", names a file that is none of the store's, or twice; -EIO… */
int manifest_parse(const void *bytes, size_t len, struct manifest *out, size_t *line);
int manifest_read(const char *path, struct manifest *out, size_t *line);
void manifest_free(struct manifest *m);

/* Calls `put` with each line, newline included, by path, and `left_out` with the
 * path of each object that is not whole or cannot be read. A non-zero return of
 * either ends it and is returned. */
struct manifest_options {
    struct store *store;
    const uint8_t *header;         /* as store_open gave it */
    size_t header_len;
    int (*put)(void *ctx, const char *line);
    int (*left_out)(void *ctx, const char *path, int error); /* error: E_NOT_ARRIVED when it is short */
    int (*foreign)(void *ctx, const char *path);
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};
int manifest_write(const struct manifest_options *o);

/* --- check --------------------------------------------------------------------------- */

enum check_verdict { CHECK_OK, CHECK_FOREIGN, CHECK_NOT_ARRIVED, CHECK_DAMAGED, CHECK_ATTACK, CHECK_VERDICTS };

/*  X(reason, name in JSON) ; the words are in src/cli/check.c */
#define CHECK_REASONS(X) \
    X(NONE, "") \
    X(NOT_OURS, "not_ours") \
    X(OTHER_VAULT, "other_vault") \
    X(UNLISTED, "unlisted") \
    X(ABSENT, "absent") \
    X(SHORT, "short") \
    X(FILLING, "filling") \
    X(CHANGING, "changing") \
    X(WAITS, "waits") \
    X(UNREADABLE, "unreadable") \
    X(NEWER, "newer") \
    X(MALFORMED, "malformed") \
    X(LONGER, "longer") \
    X(NOT_RANDOM, "not_random") \
    X(DIFFERS, "differs") \
    X(MISPLACED, "misplaced") \
    X(ROWS, "rows") \
    X(REVERSE, "reverse") \
    X(INDEX, "index") \
    X(STATE, "state") \
    X(FRONT, "front") \
    X(TRAILER, "trailer") \
    X(FOOTER, "footer") \
    X(BLOCK, "block") \
    X(HASH, "hash") \
    X(REPLACED, "replaced") \
    X(FORKED, "forked") \
    X(BROKEN, "broken") \
    X(OLDER, "older")
enum check_reason {
#define X(reason, name) CHECK_BECAUSE_##reason,
    CHECK_REASONS(X)
#undef X
    CHECK_REASON_COUNT
};

struct check_finding {
    enum check_verdict verdict;
    enum check_reason reason;
    const char *path;          /* relative to the store, printable */
    uint64_t number;           /* WAITS: the publication waited for; OLDER: the one that was seen;
                                * BLOCK, REVERSE: offset of the first block; else 0 */
    int error;                 /* UNREADABLE */
};

enum check_phase { CHECK_PHASE_OBJECTS, CHECK_PHASE_ROWS, CHECK_PHASE_DATA };

struct check_options {
    struct store *store;
    const struct vault_header *vault;
    const uint8_t *header;     /* its bytes */
    size_t header_len;
    const struct keyring *keys; /* unlocked; NULL: without any key */
    const struct state *state; /* open, its keys unlocked, unmounted; NULL: the store alone */
    struct manifest *manifest; /* or NULL; its lines are marked */
    bool read_data;            /* with keys: every block is opened */
    /* In no particular order. May be NULL, as progress. */
    void (*finding)(void *ctx, const struct check_finding *f);
    void (*progress)(void *ctx, enum check_phase phase, uint64_t done, uint64_t total);
    void *ctx;
};

struct check_report {
    enum check_verdict worst;
    bool older;                /* the store is older than what this device has seen */
    uint64_t objects, bytes;   /* in the store */
    uint64_t count[CHECK_VERDICTS]; /* findings; objects that are in order under CHECK_OK */
    uint64_t blocks;           /* opened */
    uint64_t publications;     /* of the history */
    int64_t time;              /* of its last, 0: none */
    uint64_t branches;         /* whole publications that are not part of it */
    uint64_t duplicates;       /* publications that a second object carries */
    uint64_t unfinished;       /* parts at the end, whose series goes on */
    uint64_t rows;             /* block references of rows that were compared with reverse maps */
};

/* 0 when the check could be made, whatever it found; else what kept it from being
 * made (-ENOMEM, -EACCES…). */
int check_store(const struct check_options *o, struct check_report *report);

/* The store's path of an object, as findings have it. */
#define OBJECT_PATH 48
void object_path(const struct id128 *id, char out[OBJECT_PATH]);

#endif
