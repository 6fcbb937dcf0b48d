/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What check, manifest, salvage and key share: a store with its keys, opened without
 * a change to anything; figures on the way; text that is safe to show.
 */
#ifndef ECLUSE_CLI_CHECKUP_H
#define ECLUSE_CLI_CHECKUP_H

#include "policy.h"
#include <ecluse/audit.h>
#include <ecluse/store.h>
#include <stdio.h>

/* --- unlock.c ---------------------------------------------------------------------- */

/* Where keys come from. */
struct key_options {
    struct sources sources;
    char *recovery_file, *state;
    bool recovery;             /* the recovery key is asked for */
};
/* The options that key_options holds, for getopt_long tables. */
#define KEY_OPTIONS \
    { "passfile", required_argument, NULL, OPTION_PASSFILE }, { "extpass", required_argument, NULL, OPTION_EXTPASS }, \
    { "keyfile", required_argument, NULL, OPTION_KEYFILE }, { "state", required_argument, NULL, OPTION_STATE }, \
    { "recovery", no_argument, NULL, OPTION_RECOVERY }, \
    { "recovery-file", required_argument, NULL, OPTION_RECOVERY_FILE }
/* Takes one of them; false when `found` is none. */
bool key_option(struct key_options *k, int found, const char *value, int *rc);
/* EXIT_USAGE, after saying so, when more than one way is given; EXIT_POLICY when there may be no
 * such option. What opens is judged when the store is known. */
int key_options_check(const struct key_options *k, const char *command);
bool key_options_any(const struct key_options *k);
void key_options_free(struct key_options *k);

enum state_part { STATE_UNUSED, STATE_OPEN, STATE_BUSY, STATE_BROKEN };

struct unlocked {
    char path[PATH_MAX];       /* of the store, absolute */
    char state_path[PATH_MAX]; /* STATE_OPEN, STATE_BUSY, STATE_BROKEN */
    struct store *store;
    uint8_t *header;
    size_t header_len;
    struct vault_header vault;
    struct state state;        /* STATE_OPEN: locked, its keys unlocked */
    enum state_part part;
    struct keyring *own;       /* otherwise */
    const struct keyring *keys;
    char blamed[PATH_MAX];     /* what an error is about */
};
/* `u` starts as zeros. Errors of store_open and vault_header_parse. */
int unlocked_store(struct unlocked *u, const char *store);
/* With the recovery key: nothing local is used. Else the keyring of this device's
 * state, and the state itself unless a daemon uses it or it is damaged. */
int unlocked_keys(struct unlocked *u, const struct key_options *k, const char *shown, enum way_use use);
/* In the audit log of this device's state of the vault, when there is one. */
void unlocked_note(const struct unlocked *u, const struct key_options *k, enum audit_event event, int result,
                   const struct audit_field *fields);
/* That keyring, still locked, and that state. */
int unlocked_state(struct unlocked *u, const struct key_options *k);
struct keyring *unlocked_keyring(const struct unlocked *u);
/* Before a secret is asked for: may the vault in that store be opened so? As policy_refuses. */
int unlocked_allowed(struct unlocked *u, const struct key_options *k, enum way_use use);
/* Opens that keyring (way_open). */
int unlocked_open(struct unlocked *u, const struct secret *s, unsigned slot, enum way_use use);
/* The store's header against an unlocked keyring. */
int unlocked_check(const struct unlocked *u, const struct keyring *k);
void unlocked_close(struct unlocked *u);

/* --- audit.c: its words --------------------------------------------------------------- */

/* Events, words that records hold, what is wrong with a log (NULL: nothing). Names that a
 * later version wrote come back as they are. */
const char *audit_event_words(const char *event, bool failed);
const char *audit_value_words(const char *word);
const char *audit_harm_words(enum audit_harm harm);
/* Says so; EXIT_DONE or EXIT_INTEGRITY. */
int audit_complain(const char *store, const struct audit_report *r);
/* Four words for a head. */
void audit_phrase(const char hash[AUDIT_HASH_TEXT], char out[PHRASE_TEXT]);

/* --- progress.c: a line that is written over, on a terminal only -------------------------- */

struct progress { struct timespec shown; bool drawn; const char *label; };
void progress_show(struct progress *p, const char *label, uint64_t done, uint64_t total);
void progress_clear(struct progress *p);

/* --- spell.c ------------------------------------------------------------------------------- */

/* A JSON string with its quotes; bytes that are no UTF-8 as \udc80…\udcff. */
void spell_json(FILE *out, const char *text);
/* For a person: what would act on a terminal, or hide, as \xNN. */
void spell_plain(FILE *out, const char *text);

#endif
