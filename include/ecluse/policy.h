/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The policy of a computer: what its administrator allows, /etc/ecluse/policy.conf.
 *
 *   key = value          one a line, each key once; # begins a comment line
 *
 * The file and its directory must be root's, and writable by nobody else: a policy that
 * users can change is none, and is refused.  So is one with anything in it that is not
 * understood: whoever mistypes a rule must not believe that it applies.  No file: no rules.
 * The rules hold for root too.  The path is fixed; no variable or option leads elsewhere.
 */
#ifndef ECLUSE_POLICY_H
#define ECLUSE_POLICY_H

#include <ecluse/keys.h>
#include <ecluse/log.h>

#define POLICY_FILE "/etc/ecluse/policy.conf"
#define POLICY_PATHS_MAX 32u
#define POLICY_CADENCE_MAX 86400u   /* seconds, also of the mount option publish_every */

/*  X(rule, key) ; what they mean is in policy.conf(5) */
#define POLICY_RULES(X) \
    X(STORES, "stores") \
    X(MOUNTPOINTS, "mountpoints") \
    X(SLOTS, "slots") \
    X(KDF_MEMORY, "kdf_memory") \
    X(KDF_PASSES, "kdf_passes") \
    X(IDLE_MAX, "idle_max") \
    X(FORBID, "forbid") \
    X(PUBLISH_AFTER, "publish_after") \
    X(PUBLISH_EVERY, "publish_every") \
    X(LOG, "log") \
    X(LANGUAGES, "languages")
enum policy_rule {
#define X(rule, key) POLICY_##rule,
    POLICY_RULES(X)
#undef X
    POLICY_RULE_COUNT
};

/* Options that can be forbidden. X(bit, word) */
#define POLICY_OPTIONS(X) \
    X(PASSFILE, "passfile") X(EXTPASS, "extpass") X(KEYFILE, "keyfile") X(ALLOW_OTHER, "allow_other") \
    X(ALLOW_ROOT, "allow_root") X(OWNERS, "owners") X(EXEC, "exec") X(NOTIFY, "notify") X(STATE, "state") \
    X(REBUILD, "rebuild") X(FOREGROUND, "foreground")
enum policy_option {
#define X(bit, word) POLICY_NO_##bit,
    POLICY_OPTIONS(X)
#undef X
    POLICY_OPTION_COUNT
};

struct policy_paths { char *v[POLICY_PATHS_MAX]; size_t count; };

struct policy {
    unsigned line[POLICY_RULE_COUNT];   /* where a rule stands; 0: it is not there */
    char *value[POLICY_RULE_COUNT];     /* as it is written */
    struct policy_paths stores, mountpoints;
    unsigned slots;                     /* bits 1 << enum slot_kind */
    struct kdf_cost floor;              /* zeros where no rule is */
    unsigned idle_max, publish_after, publish_every;   /* seconds */
    unsigned forbidden;                 /* bits 1 << enum policy_option */
    enum log_target log;
    char language[3];                   /* the first one allowed */
    bool french, english;
};

enum policy_flaw { POLICY_NO_FLAW, POLICY_NO_RULE, POLICY_UNKNOWN, POLICY_TWICE, POLICY_BAD_VALUE, POLICY_BAD_BYTE,
                   POLICY_OWNER, POLICY_UNREADABLE };
struct policy_report {
    enum policy_flaw flaw;
    unsigned line;                      /* 0: the file as a whole */
    char word[64];                      /* the key, or what is not root's alone */
    int error;                          /* POLICY_UNREADABLE */
};

/* 0 or E_POLICY_BROKEN with the first flaw; -ENOMEM. policy_free in any case. */
int policy_parse(const void *bytes, size_t len, struct policy *out, struct policy_report *report);
/* The policy of this computer; an empty one when it has none. */
int policy_load(struct policy *out, struct policy_report *report);
void policy_free(struct policy *p);
const char *policy_rule_name(enum policy_rule rule);
const char *policy_option_name(enum policy_option option);

/* Does an absolute, real path lie in one of these, or is it one? "~/" is the home of the
 * real user in the database of users, whatever HOME says. True without the rule. */
bool policy_path_allowed(const struct policy *p, enum policy_rule rule, const char *path);
bool policy_slot_allowed(const struct policy *p, enum slot_kind kind);
bool policy_cost_allowed(const struct policy *p, struct kdf_cost cost);

#endif
