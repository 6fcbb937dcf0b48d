/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of “ecluse key” share.
 */
#ifndef ECLUSE_CLI_KEY_H
#define ECLUSE_CLI_KEY_H

#include "checkup.h"
#include "policy.h"

struct key_work {
    const char *shown;           /* the store as it was typed */
    struct key_options open;     /* what opens the keyring */
    struct sources fresh;        /* what key add adds, when it is one of these */
    char *store_with, *recovery_file, *systemd, *with_key, *label;
    bool recovery, generate, json;
    unsigned slot, milliseconds;
    struct unlocked vault;
    struct secret given;         /* what opened the keyring */
};

/* --- key.c --------------------------------------------------------------------------- */

/* Asks for a secret and opens the keyring with it, to change its slots. Exit codes; what is
 * wrong was said. */
int key_unlock(struct key_work *w);
/* Before anything is asked: does the policy allow such a slot? An exit code; a refusal was said. */
int key_may_make(struct key_work *w, enum slot_kind kind);
/* Writes the changed keyring, and in the audit log what became of that slot. */
int key_save(struct key_work *w, enum audit_event event, const struct slot_info *slot);
/* The slot of that number. */
bool key_find(const struct key_work *w, unsigned number, struct slot_info *out);
const char *words_for_kind(enum slot_kind kind);
#define COST_WORDS 128
const char *words_for_cost(struct kdf_cost cost, char text[COST_WORDS]);

/* --- key_list.c, key_add.c ----------------------------------------------------------- */

int key_list(struct key_work *w);
/* Are the options for key add in agreement? */
int key_add_check(const struct key_work *w);
int key_add(struct key_work *w);

/* --- keep.c: secrets that no person knows, made here and kept elsewhere ----------------- */

/* In the new file `path`: a key file. */
int keep_in_file(const char *path, struct secret *out, char *blamed);
/* By a program: `put` reads it, then `get` must print it. */
int keep_with_program(const char *put, const char *get, struct secret *out, char *blamed);
/* Encrypted by systemd-creds(1) in the new file `path`, for the vault's unit. */
int keep_with_systemd(const char *path, const char *with_key, const struct id128 *vault, struct secret *out,
                      char *blamed);
/* What systemd-creds(1) calls a key: host, tpm2, host+tpm2 or auto. */
bool keep_knows_key(const char *with_key);

#endif
