/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A local state made anew from the store.
 *
 * For a state that is damaged, and for a device that has none.  The tree is that
 * of the publications in the store; what the old state had beside that, and can
 * still be read, is put over it.  The new state is made beside the old one and
 * takes its place by one rename; nothing of the old one is changed or deleted
 * at any time, it ends up inside the new one as `damaged-<UTC time>/`.
 *
 *   state_open_damaged → unlock its keyring, or make one with the recovery key
 *   → rebuild_state → state_close → mount as usual
 *
 * A new state over an old one is like one that was restored from a backup: it
 * becomes a new actor when it is first mounted for writing.  Without an old one it
 * is a new actor from the beginning, and an interruption (-EINTR, a kill, a full disk)
 * leaves what the next rebuild goes on with.  One thread.
 */
#ifndef ECLUSE_REBUILD_H
#define ECLUSE_REBUILD_H

#include <ecluse/fs.h>
#include <ecluse/state.h>
#include <ecluse/store.h>

/* Opens whatever is there of a state, and locks it: `keys` is NULL, `staging`
 * and `lock` are -1, when they cannot be used. E_STATE_MISSING (no directory),
 * E_STATE_IN_USE, E_STATE_FOREIGN, -EACCES. Changes nothing on disk. */
int state_open_damaged(struct state *s, const char *path, const struct id128 *vault);

enum rebuild_phase { REBUILD_SURVEY, REBUILD_READ, REBUILD_APPLY, REBUILD_KEEP };

struct rebuild_options {
    const char *path;            /* of the state: <base>/<vault id> */
    const struct state *old;     /* what is there now; NULL: nothing */
    struct store *store;
    struct keyring *keys;        /* unlocked; the new state's */
    const uint8_t *recovery;     /* the recovery key, with which to go on with what an
                                  * interruption left (KEY_SIZE bytes); NULL: begins anew */
    bool partial;                /* accept that publications are missing */
    uint32_t uid, gid;           /* owner of the root directory */
    /* `total` objects, publications or rows; 0 when not known. Another result than 0 ends
     * the rebuild with it. May be NULL. */
    int (*progress)(void *ctx, enum rebuild_phase phase, uint64_t done, uint64_t total);
    void *ctx;
};

struct rebuild_report {
    uint64_t objects, foreign, unreadable;   /* in the store; unreadable ones are logged */
    uint64_t arriving;           /* begin like ours and have no end: on their way, or altered; logged */
    uint64_t late, altered;      /* of the last two, objects of this vault that may hold newer changes; logged */
    uint64_t newer;              /* and those that a newer version of this program wrote */
    uint64_t publications;       /* applied */
    int64_t time;                /* of the last one applied, 0: none */
    uint64_t pending;            /* publications that wait for something missing */
    uint64_t gone;               /* objects that its rows name, and that the user let go where they were published */
    uint64_t branches;           /* whole publications of other branches */
    uint64_t refused;            /* forged, or forked: two with one number */
    uint64_t seen;               /* number of the last one that the old index knew; 0 unknown */
    uint64_t inodes, bytes;      /* of the new state; of the objects that it refers to */
    uint64_t resumed;            /* of them, applied before an interruption */
    bool anew;                   /* what an interruption left was of no use */
    bool kept_half;              /* after an error: the next one goes on from here */
    bool old_read;               /* the old index could be read */
    bool old_stale;              /* it could, but is older than what was published */
    bool old_journal_cut;        /* its journal is missing, or cannot be read to its end */
    uint64_t kept, lost;         /* unpublished rows that could be kept, and that could not */
    uint64_t named;              /* files that lost their name and got one in the root directory */
    uint64_t left, left_bytes;   /* staged segments that nothing refers to any more */
    struct fs_head *heads;       /* the last publication of each actor in the store; malloc'd */
    size_t head_count;
    char damaged[PATH_MAX];      /* where the old files are; "" when there were none */
};

/*
 * Makes the state anew. E_NOT_ARRIVED (publications or their segments are
 * missing, or may be in an object that is not whole), E_OLDER_STATE (the store lacks what the old index had seen),
 * E_FORKED, E_AUTH: refused, unless `partial`; then the longest whole history
 * is taken. -ENOSPC and others. After an error the old state is as it was.
 * The caller frees report->heads.
 */
int rebuild_state(const struct rebuild_options *o, struct rebuild_report *report);

#endif
