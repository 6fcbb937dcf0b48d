/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The mounted vault as a process: FUSE session, control socket, lifetimes.
 *
 * daemon_run does everything between "the user asked for a mount" and "it is
 * unmounted"; the command line forks and calls it in the child.  Clients talk
 * to a running daemon through a Unix socket, one line of text for the request
 * and a length-limited JSON object for the answer.
 */
#ifndef ECLUSE_DAEMON_H
#define ECLUSE_DAEMON_H

#include <ecluse/base.h>
#include <ecluse/fs.h>

struct mount_config {
    const char *store_path;      /* absolute, real */
    const char *mountpoint;      /* absolute, real */
    const char *state_dir;       /* NULL: default */
    const char *fsname;          /* NULL: "ecluse" */
    bool read_only, strict, owners, allow_other, allow_root, foreground;
    unsigned idle_seconds;       /* 0: never */
    uint32_t uid, gid;           /* shown as owner */
    /* Gives the secret that unlocks the keyring, in guarded memory that the
     * daemon frees with secret_free; called once, before the mount. */
    int (*secret)(void *ctx, enum slot_kind *kind, uint8_t **secret, size_t *len);
    void *ctx;
    /* Called once, when the mount is ready (the child then detaches). */
    void (*ready)(void *ctx);
};

/* Checks everything (store, header, state, nesting, mountpoint), unlocks,
 * mounts, serves until unmounted. Checks come before any change on disk. */
int daemon_run(const struct mount_config *c);

/* --- clients --- */
struct daemon_ref { struct id128 vault; char mountpoint[4096]; char socket[128]; };
/* Daemons of this user (root: of everybody's /run/ecluse). Returns a count,
 * *out malloc'd. Sockets of the dead are removed. */
int daemon_list(struct daemon_ref **out);
/* The daemon whose mountpoint is `path`; E_NOT_MOUNTED. */
int daemon_find(const char *path, struct daemon_ref *out);
/* "status" gives a JSON object (malloc'd text); caller frees. */
int daemon_status(const struct daemon_ref *d, char **json);
/* Returns when everything is published, or with the daemon's error. */
int daemon_flush(const struct daemon_ref *d);
/* Unmounts and returns when the daemon has published and gone.
 * E_MOUNT_BUSY, E_NOT_MOUNTED. */
int daemon_unmount(const char *mountpoint);

#endif
