/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The state directory of a vault on this device, and the vault's beginning.
 *
 *   <state>/lock      flock; machine id, inode and birth time of the file itself
 *   <state>/keyring   <state>/index.db[-wal]   <state>/journal   <state>/staging/
 *   <state>/ballast   up to 64 MiB that deletions may use on a full disk
 *   <state>/heads     the last publications seen of other devices
 *   <state>/store     where the store was, as a path
 *   <state>/damaged   only when damage was found while mounted: what
 *
 * Mode 0700.  state_open takes the lock for the life of the object.
 */
#ifndef ECLUSE_STATE_H
#define ECLUSE_STATE_H

#include <ecluse/keys.h>
#include <limits.h>

#define BALLAST_SIZE (64ull << 20)   /* at most: see src/fs/space.c */

/* <base>/<vault id>, where base is `explicit_dir` when given, else
 * $XDG_STATE_HOME/ecluse (default ~/.local/state/ecluse), for root
 * /var/lib/ecluse. -ENAMETOOLONG. */
int state_path(char out[PATH_MAX], const char *explicit_dir, const struct id128 *vault);

/*
 * Makes a vault: store at `store_path`, state below `state_dir` (NULL for the
 * default), keyring with the recovery slot and, when given, a passphrase slot.
 * recovery[] receives the new recovery key (caller wipes).  The store's header
 * is written last, so a failure leaves no half vault; what was made is removed.
 */
struct vault_options {
    const char *store_path;
    const char *state_dir;
    enum suite suite;
    const void *passphrase;
    size_t passphrase_len;
    const void *keyfile;   /* and/or */
    size_t keyfile_len;
    struct kdf_cost cost;
    uint32_t uid, gid;     /* owner of the root directory */
    /* Puts the recovery key into its owner's hands; a failure ends the making.
     * Called once, before there is a store that needs it. May be NULL. */
    int (*deliver)(void *ctx, const uint8_t recovery[KEY_SIZE], const struct id128 *vault);
    void *ctx;
};
int vault_create(const struct vault_options *o, uint8_t recovery[KEY_SIZE], struct id128 *vault);

struct state {
    char path[PATH_MAX];
    int dir;               /* descriptor of the directory */
    int staging;           /* descriptor of staging/ */
    int lock;              /* held */
    bool cloned;           /* copied, restored or moved since it was last used */
    char damaged[64];      /* what E_STATE_DAMAGED or E_KEYRING is about: "journal", "staging/<id>"…;
                            * E_OLDER_STATE: the object that the store lacks, "segments/…" */
    struct keyring *keys;  /* loaded, locked */
};
/* Opens and locks. E_STATE_MISSING, E_STATE_IN_USE, E_STATE_FOREIGN (keyring of
 * another vault), E_KEYRING, E_STATE_DAMAGED, -EACCES; with the last but one two
 * `damaged` names the file. Changes nothing on disk. */
int state_open(struct state *s, const char *path, const struct id128 *vault);
/* Writes this machine's identity into the lock file (clears `cloned`). */
int state_adopt(struct state *s);
/* Makes the lock file say, durably, that this is a copy (sets `cloned`). */
int state_disown(struct state *s);
void state_close(struct state *s);
/* The vault of that state at that (real) path of a store: E_OTHER_VAULT when another
 * state beside it was last used there, and this one was not. 0 also without a state. */
int place_check(const char *state_path, const char *store_path);
/* From now on it is. */
int place_claim(int state_dir, const char *store_path);
/* Notes and logs that `what` (a file of the state) is damaged, for this process
 * in `damaged`, for the next mounts in the file of that name, which makes them
 * refuse. E_STATE_DAMAGED. */
int state_damaged(struct state *s, const char *what);
void state_mark_damaged(const struct state *s, const char *what);

#endif
