/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The mounted vault as a process: FUSE session, control socket, lifetimes.
 *
 * daemon_run does everything between "the user asked for a mount" and "it is
 * unmounted and published"; the command line forks and calls it in the child.
 * Clients talk to a running daemon through a Unix socket: one line of text is
 * the request, one JSON object the answer.
 */
#ifndef ECLUSE_DAEMON_H
#define ECLUSE_DAEMON_H

#include <ecluse/base.h>
#include <ecluse/fs.h>
#include <ecluse/log.h>
#include <limits.h>

struct mount_config {
    const char *store_path;      /* absolute, real */
    const char *mountpoint;      /* absolute, real: see daemon_resolve */
    const char *state_dir;       /* absolute; NULL: default */
    const char *fsname;          /* NULL: "ecluse" */
    bool read_only, strict, owners, allow_other, allow_root, noexec, foreground;
    bool verbose;                /* log to standard error until detached */
    enum log_target log;         /* UNSAID: standard error in the foreground, else the system's log */
    unsigned idle_seconds;       /* 0: never */
    unsigned publish_seconds;    /* quiet before a publication; 0: the default */
    unsigned publish_every;      /* seconds: a fixed cadence instead; 0: none */
    unsigned grace;              /* as fs_options.grace */
    const char *notify;          /* absolute: run for each event; "none"; NULL: notify-send */
    /* What a person is told of an event at this mountpoint. From any thread. */
    void (*words)(enum fs_event event, int error, const char *mountpoint, char *summary, size_t summary_size,
                  char *sentence, size_t sentence_size);
    uint32_t uid, gid;           /* shown as owner */
    /* Opens the keyring of the state `dir`, if that may be, and notes it in its audit log; called
     * once, before the mount, while terminal and working directory are still the caller's.
     * Says in `blamed` what an error is about, but for E_PASSPHRASE and E_KEYRING. */
    int (*unlock)(void *ctx, const struct id128 *vault, struct keyring *keys, int dir);
    /* Called before the mount, while the terminal is still the caller's, when the
     * state was copied or restored, or when the store holds publications that will
     * not be shown (`unseen`, `forked`). May be NULL. */
    void (*notice)(void *ctx, bool cloned, const struct fs_status *status);
    /* Called once, when the mount is ready and, unless `foreground`, the
     * process has left its terminal. */
    void (*ready)(void *ctx);
    void *ctx;
    char *blamed;                /* PATH_MAX bytes: receives the path an error is about, or "" */
};

/* Checks everything (store, header, state, nesting, mountpoint), unlocks,
 * mounts, serves until unmounted, publishes. Checks come before any change on
 * disk and before the secret is asked for. */
int daemon_run(const struct mount_config *c);

/* The real, absolute path of a mountpoint, also of one whose daemon died or
 * that belongs to another user. E_MOUNTPOINT, -ENAMETOOLONG. */
int daemon_resolve(const char *path, char out[PATH_MAX]);

/* --- clients --- */
struct daemon_ref {
    struct id128 vault;
    char mountpoint[PATH_MAX], state[PATH_MAX], socket[128];
    bool mounted;                /* false: unmounted, and still publishing */
};
/* Daemons of this user (root: of everybody). Returns a count or an error,
 * *out malloc'd. Sockets of the dead are removed. */
int daemon_list(struct daemon_ref **out);
/* The daemon whose mountpoint is `path`; E_NOT_MOUNTED. */
int daemon_find(const char *path, struct daemon_ref *out);
/* "status" gives a JSON object (malloc'd text); caller frees. */
int daemon_status(const struct daemon_ref *d, char **json);
/* Returns when everything is published, or with the daemon's error. */
int daemon_flush(const struct daemon_ref *d);
/* The same; what is read then comes from index and store, not from memory. */
int daemon_forget(const struct daemon_ref *d);
/* Takes out of the store what nothing needs; the answer, a JSON object, is malloc'd. */
int daemon_gc(const struct daemon_ref *d, bool at_once, char **json);
/* Unmounts and returns when the daemon has published and gone, with what it
 * says of the publication. Clears the mount of a daemon that died. `ourselves`, for root:
 * the system call is made here and not by the daemon, whom an automount that expires the
 * vault holds up. `waits` is called when that takes longer than a person expects; may be NULL.
 * E_MOUNT_BUSY, E_NOT_MOUNTED; E_STORE_STUCK: unmounted, and the daemon waits for a store
 * that does not answer. */
int daemon_unmount(const char *mountpoint, bool ourselves, void (*waits)(void));

/* A member of a JSON object as daemons write them, found at any depth.
 * False when absent, of another type, or too long for `size`. */
bool daemon_json_text(const char *json, const char *key, char *out, size_t size);
bool daemon_json_number(const char *json, const char *key, int64_t *out);

#endif
