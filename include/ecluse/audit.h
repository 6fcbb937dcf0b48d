/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The audit log of a vault on this device: who opened it, with what success, what
 * became of its keys, what left it.
 *
 *   <state>/audit        one JSON object a line, each with the hash of all before it
 *   <state>/audit.head   how far a holder of the keys vouches for it
 *
 * Whoever does something worth noting calls audit_append once it is done or has
 * failed, and goes on whatever that returns: a log that cannot be written is
 * itself logged, counted, and noted in the log as soon as that can be written again.
 * From any thread and any process.  Never a name, a content, a path or a key.
 */
#ifndef ECLUSE_AUDIT_H
#define ECLUSE_AUDIT_H

#include <ecluse/base.h>
#include <ecluse/keys.h>

/* Ids are an interface: never renamed; the words for people are in src/cli/audit.c.
 * X(id, name, at once): those at once may be raised with locks held: not synced. */
#define AUDIT_EVENTS(X) \
    X(LOG_BEGUN, "log-begun", false)            /* vault */ \
    X(LOG_TORN, "log-torn", false)              /* bytes: an incomplete last record was cut off */ \
    X(LOG_MISSED, "log-missed", false)          /* count: events that could not be written */ \
    X(LOG_ALTERED, "log-altered", false)        /* why: a holder of the keys found it so */ \
    X(VAULT_MADE, "vault-made", false) \
    X(UNLOCKED, "unlocked", false)              /* with; or the failure to */ \
    X(MOUNTED, "mounted", false)                /* read_only */ \
    X(IDLE, "idle", false)                      /* seconds: an unmount without being asked */ \
    X(UNMOUNTED, "unmounted", false) \
    X(PASSPHRASE_CHANGED, "passphrase-changed", false) \
    X(KEY_ADDED, "key-added", false)            /* kind, slot, memory_kib, passes */ \
    X(KEY_REMOVED, "key-removed", false)        /* the same */ \
    X(KEY_TUNED, "key-tuned", false)            /* the same */ \
    X(ACCEPTED, "accepted", false)              /* what: older, other */ \
    X(RECOVERED, "recovered", false)            /* publications */ \
    X(REBUILT, "rebuilt", false)                /* publications, kept, lost */ \
    X(PUBLISHED, "published", false)            /* number, objects, bytes */ \
    X(PUBLISH_FAILED, "publish-failed", false) \
    X(REMOVED, "objects-removed", false)        /* objects, bytes */ \
    X(CHECKED, "checked", false)                /* verdict, objects, foreign, not_arrived, damaged, attack */ \
    X(SALVAGED, "salvaged", false)              /* files: plaintext left the vault */ \
    X(ALARM, "integrity-alarm", true) \
    X(READ_ONLY, "read-only", true) \
    X(COPIED, "state-copied", false) \
    X(POLICY_REFUSED, "policy-refused", false)  /* rule */ \
    X(IMPORTED, "imported", false)              /* files, bytes, left_out */ \
    X(EXPORTED, "exported", false)              /* the same: plaintext left the vault */ \
    X(SOURCE_REMOVED, "source-removed", false)  /* files, bytes */

enum audit_event {
#define X(id, name, at_once) AUDIT_##id,
    AUDIT_EVENTS(X)
#undef X
    AUDIT_EVENT_COUNT
};

/* By which command this process records what it does: "mount", "passwd"… Once, at the start;
 * a string that stays. */
void audit_command(const char *name);

/* A figure or a word of [A-Za-z0-9_.:-]; names are lower case with underscores. */
struct audit_field { const char *name; const char *word; uint64_t number; };
#define AUDIT_NUMBER(name, value) { name, NULL, (uint64_t)(value) }
#define AUDIT_WORD(name, value) { name, value, 0 }
#define AUDIT_FIELDS(...) ((const struct audit_field[]){ __VA_ARGS__, { NULL, NULL, 0 } })

/*
 * Appends one record. `dir` is the state's directory; `keys` its keyring when it is
 * unlocked, else NULL; `result` 0 or the error that it ended with; `fields` AUDIT_FIELDS(…)
 * or NULL. With keys the head is sealed anew, after it was compared with the log.
 * 0 or an error that was logged.
 */
int audit_append(int dir, const struct keyring *keys, enum audit_event event, int result,
                 const struct audit_field *fields);
/* The same for who has no state open; without a state of that vault nothing happens.
 * `state_dir` as for state_path. */
void audit_append_at(const char *state_dir, const struct id128 *vault, enum audit_event event, int result,
                     const struct audit_field *fields);
/* What is in the log of an old state goes on in the new one. 0 also when there is none. */
int audit_keep(int old_dir, int new_dir);
const char *audit_slot(enum slot_kind kind);   /* "passphrase", "recovery"… */

/* --- reading -------------------------------------------------------------------------- */

#define AUDIT_WORD_MAX 40u
#define AUDIT_FIELDS_MAX 12u
#define AUDIT_LINE_MAX 1024u
#define AUDIT_HASH_TEXT 65u      /* 64 lower-case hexadecimal digits and a NUL */

struct audit_record {
    uint64_t seq;
    int64_t time;                /* seconds since 1970 */
    uint32_t uid;
    char by[AUDIT_WORD_MAX], event[AUDIT_WORD_MAX], outcome[AUDIT_WORD_MAX];
    struct { char name[AUDIT_WORD_MAX], word[AUDIT_WORD_MAX]; uint64_t number; bool is_word; } fields[AUDIT_FIELDS_MAX];
    size_t field_count;
    char hash[AUDIT_HASH_TEXT];
};
/* One line without its newline, exactly as audit_append writes them: E_FORMAT. The hash
 * is not compared. */
int audit_parse(const char *line, size_t len, struct audit_record *out);

enum audit_harm {
    AUDIT_WHOLE,
    AUDIT_NO_LOG,                /* none is there */
    AUDIT_INCOMPLETE,            /* the last record is cut, as after a power cut */
    AUDIT_BROKEN,                /* a record was altered, removed or put in; `line` */
    AUDIT_CUT,                   /* records that a holder of the keys had seen are gone */
    AUDIT_DIFFERS,               /* … or are others */
    AUDIT_NO_HEAD,               /* audit.head is gone, or no such file */
    AUDIT_HEAD_FORGED,           /* only with keys */
};
struct audit_report {
    enum audit_harm harm;
    uint64_t line;               /* 1…; AUDIT_BROKEN */
    uint64_t records;            /* of the whole chain, or in front of the break */
    uint64_t sealed;             /* up to this one the head vouches */
    uint64_t incomplete;         /* bytes */
    int64_t first, last;         /* times; 0: none */
    char hash[AUDIT_HASH_TEXT];  /* of the last record of the chain */
};
/* Reads all of it. `visit` gets each record that can be read, also behind a break, with
 * its line; may be NULL; a non-zero return ends it. `keys` unlocked, or NULL. 0 whatever is
 * found wrong; -errno. */
int audit_read(int dir, const struct id128 *vault, const struct keyring *keys,
               int (*visit)(void *ctx, const struct audit_record *r, const char *line), void *ctx,
               struct audit_report *out);

#endif
