/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The filesystem: tree, files, metadata cache, commit, publish.
 *
 * Needs no FUSE.  All calls are thread-safe and return 0 or an error of
 * error.h unless said otherwise; none needs a matching "forget": inode numbers
 * are durable and no memory is held per lookup.  Permission checks are the
 * caller's (the kernel's default_permissions); what depends on who writes
 * (suid, sgid, setgid directories) is done here.
 */
#ifndef ECLUSE_FS_H
#define ECLUSE_FS_H

#include <ecluse/base.h>
#include <ecluse/state.h>
#include <ecluse/store.h>
#include <sys/stat.h>
#include <sys/types.h>

struct fs;
struct statvfs;

/* What somebody should be told of at once; the words are those of the option
 * notify, an interface.  X(id, word) */
#define FS_EVENTS(X) \
    X(READ_ONLY, "read-only")                       /* a sync failed: latched */ \
    X(NO_SPACE, "no-space")                         /* for the index: changes are refused */ \
    X(SPACE_BACK, "space-back") \
    X(PUBLICATION_WAITS, "publication-waits")       /* it failed, and is tried again; or nothing moves */ \
    X(PUBLICATION_RESUMES, "publication-resumes") \
    X(REFUSED, "refused")                           /* an object is not authentic; the first */ \
    X(NOT_ARRIVED, "not-arrived")                   /* an object that is needed is absent or short */ \
    X(DIED, "died")                                 /* raised by the daemon: the one before was killed */ \
    X(BESIDE, "beside")                             /* and: something is in the folder below the mount */

enum fs_event {
#define X(id, word) FS_EVENT_##id,
    FS_EVENTS(X)
#undef X
    FS_EVENT_COUNT
};

/* What the store lacks of what this device has seen. */
struct fs_older {
    uint64_t publications;       /* of this device, at the end */
    int64_t until;               /* date of its last one that is there, 0: none */
    uint64_t heads;              /* of other devices: their last publications */
    uint64_t objects, bytes;     /* published, and not there */
};

struct fs_options {
    bool read_only;
    bool strict;             /* no writeback cache above: nothing to fetch */
    bool owners;             /* show and keep real owners; else all is uid:gid */
    uint32_t uid, gid;
    unsigned commit_ms;      /* 0: 5000 */
    unsigned grace;          /* days that unreferenced objects stay, + 1; 0: 30 days */
    unsigned publish_ms;     /* quiet before a publication; 0: 5000 */
    unsigned publish_every;  /* seconds: a fixed cadence instead; 0: none */
    /* Asks the kernel for the dirty pages of an inode and returns once they
     * were written through fs_write. Called without locks, from the commit
     * thread only. NULL: nothing to fetch. */
    int (*fetch)(void *ctx, uint64_t ino);
    /* Drops a cached name (from a thread of the filesystem's own). May be NULL. */
    void (*forget_name)(void *ctx, uint64_t parent, const char *name, size_t len);
    void *ctx;
    /* Something happened, and `error` is why, or 0. From any thread, perhaps with
     * locks held: returns at once and calls nothing of the filesystem. May be NULL. */
    void (*event)(void *event_ctx, enum fs_event event, int error);
    /* After fs_closing: the store has let nothing through for minutes, and whoever waits
     * for the end should wait no more. Once, from a thread of its own. May be NULL. */
    void (*stuck)(void *event_ctx);
    void *event_ctx;
    /* Asked, while opening, whether a store that is older than what was seen shall be
     * taken as it is: 0, or the error to end with. NULL: E_OLDER_STATE. */
    int (*accept)(void *accept_ctx, const struct fs_older *what);
    void *accept_ctx;
};

/*
 * Takes over an opened, unlocked state and an opened store (not their
 * ownership: close them after fs_close).  A copied state (state->cloned, or so found
 * by what the store holds) becomes a new actor, unless read_only; the caller adopts
 * it when this succeeded.  Replays the journal, reaps orphans,
 * completes an interrupted publication, starts the commit and publish threads.
 */
int fs_open(struct fs **out, struct state *state, struct store *store, const struct fs_options *o);
/* Stops handing out work, commits, publishes, stops the threads. Returns the
 * first error of that (the vault is closed all the same). */
int fs_close(struct fs *fs);

/* --- names --- */
/* Who asks: for ownership of what is created and for clearing of suid bits. */
struct fs_who { uint32_t uid, gid; uint32_t umask; };

/* `exact` is false when an NFC/NFD variant was found instead of the name. */
int fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct stat *out, bool *exact);
int fs_getattr(struct fs *fs, uint64_t ino, struct stat *out);
int fs_mknod(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
             mode_t mode, dev_t rdev, struct stat *out);
int fs_mkdir(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
             mode_t mode, struct stat *out);
int fs_symlink(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
               const char *target, struct stat *out);
int fs_link(struct fs *fs, uint64_t ino, uint64_t parent, const char *name, struct stat *out);
int fs_unlink(struct fs *fs, uint64_t parent, const char *name);
int fs_rmdir(struct fs *fs, uint64_t parent, const char *name);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE. */
int fs_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
              const char *new_name, unsigned flags);
/* The target with a NUL; -EINVAL when not a link. buf holds PATH_MAX bytes. */
int fs_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size);

/* --- attributes --- */
enum {
    FS_SET_MODE = 1, FS_SET_UID = 2, FS_SET_GID = 4, FS_SET_SIZE = 8,
    FS_SET_ATIME = 16, FS_SET_MTIME = 32, FS_SET_CTIME = 64,
    FS_SET_ATIME_NOW = 128, FS_SET_MTIME_NOW = 256,
    FS_KILL_PRIV = 512,   /* clear suid, sgid, capabilities (see killpriv v2) */
};
int fs_setattr(struct fs *fs, uint64_t ino, unsigned set, const struct stat *attr, struct stat *out);
/* size 0 asks for the length needed. Return a length, -ENODATA, -ERANGE… */
ssize_t fs_getxattr(struct fs *fs, uint64_t ino, const char *name, void *value, size_t size);
ssize_t fs_listxattr(struct fs *fs, uint64_t ino, char *list, size_t size);
int fs_setxattr(struct fs *fs, uint64_t ino, const char *name, const void *value, size_t size, int flags);
int fs_removexattr(struct fs *fs, uint64_t ino, const char *name);

/* --- directories --- */
/*
 * Entries after position `off` (0 from the start), "." and ".." included.
 * `next` is the position after the entry (the next call's off).  The inode
 * attributes are complete when `plus`, else only st_ino and the type bits of
 * st_mode.  A non-zero return of fill ends the listing (buffer full).
 */
typedef int (*fs_fill)(void *ctx, const char *name, const struct stat *attr, uint64_t next);
int fs_readdir(struct fs *fs, uint64_t dir, uint64_t off, bool plus, fs_fill fill, void *ctx);

/* --- files --- */
/* Opening and creating count: an unlinked file lives until its last fs_release.
 * flags as open(2): O_ACCMODE and O_TRUNC matter. */
int fs_open_file(struct fs *fs, uint64_t ino, int flags, bool kill_priv);
int fs_create(struct fs *fs, uint64_t parent, const char *name, const struct fs_who *who,
              mode_t mode, int flags, struct stat *out);
int fs_release(struct fs *fs, uint64_t ino, int flags);
/* Bytes read, 0 at the end of the file. Decrypts straight into buf. */
ssize_t fs_read(struct fs *fs, uint64_t ino, void *buf, size_t size, uint64_t off);
/* The same, and the time of access stays (O_NOATIME). */
ssize_t fs_peek(struct fs *fs, uint64_t ino, void *buf, size_t size, uint64_t off);
/* All of size, or an error. `cached` when the kernel writes back its page
 * cache: then times are the kernel's business. */
ssize_t fs_write(struct fs *fs, uint64_t ino, const void *buf, size_t size, uint64_t off,
                 bool cached, bool kill_priv);
/* mode as fallocate(2); collapse and insert give -EOPNOTSUPP. */
int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t off, uint64_t len);
/* whence SEEK_DATA or SEEK_HOLE; -ENXIO. */
int fs_seek(struct fs *fs, uint64_t ino, uint64_t off, int whence, uint64_t *out);
/* Shares whole blocks, copies the ragged ends. Bytes copied. */
ssize_t fs_copy(struct fs *fs, uint64_t from, uint64_t from_off, uint64_t to, uint64_t to_off, size_t len);

/* --- durability --- */
/* Everything acknowledged so far is durable when this returns 0. */
int fs_sync(struct fs *fs);
/* Commit, then publish everything. */
int fs_flush(struct fs *fs);
/* fs_flush, then forgets what memory knows and nobody uses: what is read next comes
 * from the index and from objects that are opened anew. */
int fs_forget(struct fs *fs);
/* What a round of collecting did, and what is left. */
struct gc_report {
    uint64_t removed, removed_bytes;   /* objects taken out of the store */
    uint64_t compacted, moved_bytes;   /* objects emptied; live bytes sealed anew for that */
    uint64_t damaged;                  /* objects left alone, for they cannot be read */
    uint64_t dead, dead_bytes;         /* waiting: nothing in the tree refers to them */
    int64_t next;                      /* when the first of them may go, seconds since 1970; 0: none */
};
/* Publishes everything, then takes out of the store what nothing needs any more, and
 * compacts; at_once: without grace and without pauses. E_OTHER_DEVICE. */
int fs_gc(struct fs *fs, bool at_once, struct gc_report *out);
/* Lets a round under way end early: the vault is about to be closed. */
void fs_gc_stop(struct fs *fs);
/* Somebody waits for the end from now on: see `stuck`. May be called again. */
void fs_closing(struct fs *fs);
/* All files that are open for writing, or mapped. */
int fs_each_writer(struct fs *fs, int (*visit)(void *ctx, uint64_t ino), void *ctx);
int fs_statvfs(struct fs *fs, struct statvfs *out);

struct fs_status {
    bool read_only;
    bool no_space;               /* for the index: changes are refused */
    int latched;                 /* the error that made it read-only, else 0 */
    uint64_t dirty_bytes;        /* metadata and data not yet committed */
    uint64_t unpublished_rows;
    uint64_t staged_bytes;       /* content waiting for publication */
    uint64_t publications;       /* seq of the last */
    int64_t published_at;        /* seconds since 1970, 0 never */
    int publish_error;           /* why the last attempt failed, else 0 */
    uint64_t objects, object_bytes;
    uint64_t inodes;
    uint64_t missing, foreign, refused; /* objects not in the store; foreign files; authentication failures */
    uint64_t dead, dead_bytes;   /* objects that nothing refers to and that wait for their removal */
    int64_t dead_until;          /* when the first of them may go, seconds since 1970; 0: none */
    uint64_t unseen;             /* publications in the store that are not shown here */
    uint64_t forked;             /* of these: they contradict others */
    bool older;                  /* the store lacks what this device has seen: nothing is published */
    uint64_t cache_bytes;
};
int fs_status(struct fs *fs, struct fs_status *out);
/* The last publications that this device knows: its own first, then of each other; but its own
 * only while a store that does not answer holds up who looks at it. */
struct fs_head { uint64_t actor, seq; int64_t time; bool own; char phrase[PHRASE_TEXT]; };
int fs_heads(struct fs *fs, int (*visit)(void *ctx, const struct fs_head *h), void *ctx);
/* Every file of which a published object is not in the store, by its path. */
int fs_unreadable(struct fs *fs, int (*visit)(void *ctx, const char *path), void *ctx);
/* Counts missing and foreign objects in the store again. E_STORE_STUCK when that takes 20 s: it
 * goes on, and who asks meanwhile is told so at once. */
int fs_survey(struct fs *fs);

#endif
