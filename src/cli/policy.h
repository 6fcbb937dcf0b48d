/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The policy, as commands see it.
 *
 * A command fills in what it is about to use and calls policy_allows before it asks for a secret
 * or changes anything; one that adds a way into the vault calls policy_allows_slot.
 */
#ifndef ECLUSE_CLI_POLICY_H
#define ECLUSE_CLI_POLICY_H

#include "internal.h"
#include <ecluse/policy.h>

/* Text opens a passphrase's, a command's or a credential's slot; which, is known afterwards. */
#define POLICY_TEXT 1u

/* What is not set concerns no rule. */
struct policy_use {
    const char *command;
    const char *store, *mountpoint;  /* absolute, real */
    const char *state;               /* the option, when it was given */
    const char *state_dir;           /* where the audit log is; NULL: the default */
    const struct sources *sources;
    const struct mount_options *mount;
    unsigned slots;                  /* bits 1 << enum slot_kind: ways in that are used or made; POLICY_TEXT */
    const struct kdf_cost *cost;
};
/* EXIT_DONE, or EXIT_POLICY after saying which rule refuses it, logged and noted. */
int policy_allows(const struct policy_use *u);

/* May such a slot be made or used? 0, E_POLICY, E_POLICY_BROKEN, with `blamed` for complain; a
 * refusal is noted in the audit log of the state `dir` (-1: none). `cost` may be NULL. */
int policy_allows_slot(enum slot_kind kind, const struct kdf_cost *cost, int dir, char blamed[PATH_MAX]);
/* The same for the slot that opened a keyring. */
int policy_allows_keyring(const struct keyring *keys, int dir, char blamed[PATH_MAX]);
/* At least what the policy asks for. */
struct kdf_cost policy_cost(struct kdf_cost cost);
/* Sets what the policy decides where nothing was asked for. */
void policy_apply(struct mount_config *c);
/* The language that must be used instead ("fr", "en"), or NULL. */
const char *policy_language(bool french);

/* --- for ecluse policy check ------------------------------------------------------------ */

enum policy_verdict { POLICY_UNASKED, POLICY_ALLOWED, POLICY_REFUSED };
enum policy_verdict policy_judge(const struct policy *p, enum policy_rule rule, const struct policy_use *u);
/* 0 or E_POLICY_BROKEN; both stay. */
int policy_current(const struct policy **out, const struct policy_report **why);
const char *policy_flaw_words(const struct policy_report *r);
/* Says what is wrong with the file; EXIT_POLICY. */
int policy_broken(void);
void policy_blame(enum policy_rule rule, const char *subject, char out[PATH_MAX]);

#endif
