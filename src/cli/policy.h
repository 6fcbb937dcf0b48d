/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The policy, as commands see it.
 *
 * A command fills in what it is about to use and calls policy_allows before it asks for a secret
 * or changes anything.  Keyrings are opened, and get slots, through ways.c alone, which asks the
 * policy what was not known before.
 */
#ifndef ECLUSE_CLI_POLICY_H
#define ECLUSE_CLI_POLICY_H

#include "internal.h"
#include <ecluse/policy.h>

/* Text opens a passphrase's, a command's or a credential's slot; which, is known afterwards. */
#define POLICY_TEXT 1u
#define KINDS_WORDS 256

/* What is not set concerns no rule. */
struct policy_use {
    const char *command;
    const char *store, *mountpoint;  /* absolute, real */
    bool anywhere;                   /* where the store is does not matter */
    const char *state;               /* the option, when it was given */
    const char *state_dir;           /* where the audit log is; NULL: the default */
    const struct sources *sources;
    const struct mount_options *mount;
    unsigned slots;                  /* bits 1 << enum slot_kind: ways in that are used or made; POLICY_TEXT */
    const struct kdf_cost *cost;
};
/* EXIT_DONE, or EXIT_POLICY after saying which rule refuses it, logged and noted. */
int policy_allows(const struct policy_use *u);
/* The same for who complains later: 0, E_POLICY, E_POLICY_BROKEN, with `blamed` for complain. */
int policy_refuses(const struct policy_use *u, char blamed[PATH_MAX]);

/* May such a slot be made or used? 0, E_POLICY, E_POLICY_BROKEN, with `blamed` for complain; a
 * refusal is noted in the audit log of the state `dir` (-1: none). `cost` may be NULL. */
int policy_allows_slot(enum slot_kind kind, const struct kdf_cost *cost, int dir, char blamed[PATH_MAX]);
/* Nothing is said or noted: to choose what to ask for. False too under a policy that is not valid. */
bool policy_permits(enum slot_kind kind);
/* "key file, systemd credential": the kinds that may be added beside the recovery key; "" for none. */
const char *policy_kinds(char out[KINDS_WORDS]);
/* At least what the policy asks for. */
struct kdf_cost policy_cost(struct kdf_cost cost);
/* Sets what the policy decides where nothing was asked for. */
void policy_apply(struct mount_config *c);
/* The language that must be used instead ("fr", "en"), or NULL. */
const char *policy_language(bool french);

/* --- ways.c -------------------------------------------------------------------------------- */

/* WAY_LOOKS: contents stay where they are, so it does not matter where the store is. WAY_TENDS: only
 * the slots are concerned, and any of them will do. */
enum way_use { WAY_OPENS, WAY_LOOKS, WAY_TENDS };
struct way {
    struct keyring *keys;
    const struct secret *secret;
    unsigned slot;                   /* 0: any */
    enum way_use use;
    int dir;                         /* the state, for its audit log; -1: none */
    bool noted_later;                /* that it opened: with way_note, by the caller */
    char *blamed;                    /* PATH_MAX bytes: only what the policy refuses */
};
/* Opens the keyring with the secret, if the policy allows the slot that it opens; attempt and refusal
 * are noted. Errors of keyring_unlock and keyring_unlock_slot; E_POLICY, E_POLICY_BROKEN. */
int way_open(const struct way *w);
void way_note(const struct way *w, int result);
/* The slot that opened it; for ways.c. */
int policy_allows_way(const struct way *w);
/* The keyring of this device's state, and the store's header against it. */
int vault_unlock(struct vault_ref *v, const struct secret *s, enum way_use use, const char *store, char *blamed);
/* A keyring made anew with the recovery key, which a policy that is valid always allows. */
int way_recover(struct keyring **out, const struct id128 *vault, enum suite suite, const struct secret *recovery,
                char blamed[PATH_MAX]);
/* keyring_set_slot, if the policy allows the kind, and at no less than the cost that it asks for. */
int way_add(struct keyring *k, unsigned number, const struct secret *s, struct kdf_cost cost, int dir,
            char blamed[PATH_MAX]);

/* --- for ecluse policy check ------------------------------------------------------------ */

enum policy_verdict { POLICY_UNASKED, POLICY_ALLOWED, POLICY_REFUSED };
enum policy_verdict policy_judge(const struct policy *p, enum policy_rule rule, const struct policy_use *u);
/* 0 or E_POLICY_BROKEN; both stay. */
int policy_current(const struct policy **out, const struct policy_report **why);
const char *policy_flaw_words(const struct policy_report *r);
/* Says what is wrong with the file; EXIT_POLICY. */
int policy_broken(void);
/* "FILE, line 3: slots: …", without an end of line. */
const char *policy_flaw_place(const struct policy_report *r, char out[PATH_MAX]);
void policy_blame(enum policy_rule rule, const char *subject, char out[PATH_MAX]);

#endif
