/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What import and export share: a tree that is copied beside another one.
 *
 * A transfer walks the source several times (count, copy, verify, remove), each time
 * with another visitor.  What goes wrong with one entry is told and counted
 * (transfer_leave), and the walk goes on; a negative result ends it.
 */
#ifndef ECLUSE_CLI_TRANSFER_H
#define ECLUSE_CLI_TRANSFER_H

#include "checkup.h"
#include <pthread.h>
#include <sys/stat.h>

#define STAGING_NAME ".ecluse-partial"   /* in the destination, while files are not whole */
#define ASIDE_NAME ".ecluse-removing"    /* in a folder of the source, while a file of it is removed */
#define FOLDER_BEGUN (S_ISVTX | S_IRWXU) /* mode of a folder that is not finished */
#define COPY_SIZE (1u << 20)
#define STAGED_NAME 17         /* a name in the staging folder, with its NUL */

/*  X(reason, name for programs): why an entry was left out */
#define LEFT_REASONS(X) \
    X(UNREADABLE, "unreadable") X(UNWRITABLE, "unwritable") X(SPECIAL, "special") X(MOUNT, "mount") \
    X(VAULT, "vault") X(RESERVED, "reserved") X(CHANGING, "changing") X(CONFLICT, "conflict") X(ATTRIBUTES, "attributes") \
    X(HARD_LINK, "hard_link") X(NAME, "name") X(NOT_VERIFIED, "not_verified") X(NOT_REMOVED, "not_removed")

enum left_reason {
#define X(reason, name) LEFT_##reason,
    LEFT_REASONS(X)
#undef X
    LEFT_COUNT
};

/* --- walk.c: two trees side by side -------------------------------------------------- */

struct walk;

/* An entry of the source, and where it belongs. */
struct node {
    const struct walk *walk;
    const char *above;         /* the folder's path, when the walk is elsewhere by now (walk is NULL) */
    const char *name;
    uint64_t folder, self;     /* number of the folder it lies in; a folder's own, when the walk leaves it */
    struct stat st;            /* of the source's entry */
    int from, to;              /* the folders; to is -1 when there is none (yet) */
    bool mount;                /* something is mounted there */
    bool fresh;                /* nothing can be at the destination: its folder was just made */
};

/* What a visitor says of a folder before the walk goes into it. */
struct entered { int to; bool fresh, finish; };

struct transfer;
struct visitor {
    /* May be NULL.  `from` is the folder itself.  0: go in; 1: leave it out. */
    int (*enter)(struct transfer *t, const struct node *n, int from, struct entered *out);
    /* Behind its entries; `from` and `to` are the folder's own. May be NULL. */
    int (*leave)(struct transfer *t, const struct node *n, int from, int to, bool finish);
    int (*entry)(struct transfer *t, const struct node *n);
};

/* Calls `v` for everything below t->source.  Descriptors are bounded, whatever the
 * depth; memory is that of the listings of the folders on the way.  -EINTR when the
 * user wants to stop, -ESTALE when a folder on the way was moved. */
int walk_tree(struct transfer *t, const struct visitor *v);
/* The path below the source, appended with its NUL. */
void walk_path(const struct node *n, struct buf *out);
/* Opens the folder of a path below `root`, which may be longer than PATH_MAX, and
 * follows nothing; *base is its last name. -errno. */
int walk_open_parent(int root, const char *path, const char **base);

/* --- links.c: files with several names, and files that were verified ------------------- */

/* Which file it is: the number alone is given to another one when it is removed. */
struct identity { uint64_t ino, size; struct statx_timestamp born, changed; };
/* -errno */
int identify(int dir, const char *name, struct identity *out);
bool identity_same(const struct identity *a, const struct identity *b);

struct known_file {
    uint64_t dev, ino;         /* of the source */
    struct identity to;
    char *path;                /* one of its names at the destination, when `staged` is 0 */
    uint64_t staged;           /* its name in the staging folder until then */
    bool verified;
};
struct links { struct known_file *v; size_t count, room; };
struct known_file *links_find(const struct links *l, const struct stat *st);
/* Replaces what was known of the file. Takes over `path` (malloc'd); -ENOMEM. */
int links_add(struct links *l, const struct stat *st, const struct identity *to, char *path, uint64_t staged);
void links_free(struct links *l);

/* 16 bytes for each file, whatever its name. */
struct prints { uint8_t (*v)[16]; size_t count, room; };
int prints_add(struct prints *p, const struct stat *st);
bool prints_have(const struct prints *p, const struct stat *st);
void prints_free(struct prints *p);

/* --- meter.c: how far, how fast, how long ------------------------------------------------ */

struct meter {
    const char *label;
    uint64_t files, bytes;               /* done */
    uint64_t files_total, bytes_total;   /* 0: not known */
    struct timespec began, shown;
    bool drawn;
};
void meter_begin(struct meter *m, const char *label, uint64_t files_total, uint64_t bytes_total);
/* Shows what is done: on a terminal ten times a second, else a line every ten seconds. */
void meter_show(struct meter *m);
void meter_clear(struct meter *m);

/* --- settle.c: what is staged gets its names, many at a time ------------------------------- */

struct staged_file {
    uint64_t number;           /* its name in the staging folder; 0 when it is there no more */
    int fd;                    /* to be synced; or -1 */
    size_t folder;
    char *name;
    struct stat st;            /* of the source */
    bool lost;                 /* not all attributes were kept */
    bool further;              /* another name of a file that has one */
};
struct staged_folder {
    uint64_t number;           /* the walk's */
    int from, to;              /* from is -1 until the folder ends */
    struct stat st;
    char *path;
};
struct batch {
    struct staged_file *files;
    struct staged_folder *folders;
    size_t file_count, folder_count, file_room, folder_room;
    uint64_t bytes;
    int staging, error;        /* where its files are; what came of syncing them */
    pthread_t thread;          /* syncs the files; nobody else looks at the batch while it runs */
    bool running;
};
int batches_open(struct transfer *t);
/* What has no name by now is removed. */
void batches_close(struct transfer *t);
void staged_name(uint64_t number, char name[STAGED_NAME]);
/* Takes over s.fd and what is staged, also when it fails. */
int batch_add(struct transfer *t, const struct node *n, struct staged_file s);
/* The walk is through with a folder: it gets its attributes, when all in it has its name. */
int batch_end_folder(struct transfer *t, const struct node *n, int from, int to);
/* All that is staged gets its names. 0 also when an entry could not be placed, which is told. */
int batches_settle(struct transfer *t);

/* --- the transfer ----------------------------------------------------------------------------- */

enum phase { PHASE_COUNT, PHASE_COPY, PHASE_VERIFY, PHASE_REMOVE };

struct transfer {
    enum phase phase;
    bool import, json, dry_run, remove, yes, cross;
    char source_path[PATH_MAX], dest_path[PATH_MAX]; /* as the user typed them */
    struct daemon_ref daemon;
    int source, dest, staging;
    dev_t vault;               /* the device of the mount */
    bool dest_made;
    bool claims;               /* names are had there by io_rename_claiming only */
    bool owners, owners_lost;  /* the destination keeps owners and groups; or not, and it matters */
    uint64_t staged;           /* number of the last staged file */
    uint8_t *buffer, *other;   /* COPY_SIZE each */
    struct links links;
    struct batch filling, settling;
    struct prints verified;    /* of the source */
    struct prints told;        /* left out, and said so */
    struct prints merged;      /* folders that were there before, with attributes of their own */
    struct meter meter;
    struct timespec began;
    uint64_t files, folders, symlinks, hard_links, bytes;  /* made by this run */
    uint64_t already, verified_files, verified_bytes, removed, removed_bytes;
    uint64_t found, found_bytes;                           /* what the count found */
    uint64_t left[LEFT_COUNT], listed;
    const char *blamed;        /* the place that an error is about */
};

/* Tells and counts what is left out; `error` is -errno or 0. */
void transfer_leave(struct transfer *t, const struct node *n, enum left_reason why, int error);
/* An error at the destination: 0, when it concerns this entry only; else the error. */
int transfer_dest_error(struct transfer *t, const struct node *n, int error);
/* The same of a name that it may not take. */
int transfer_name_error(struct transfer *t, const struct node *n, int error);
/* The same on the source's side. */
int transfer_source_error(struct transfer *t, const struct node *n, int error);
void transfer_report(const struct transfer *t, int error);
void transfer_report_begin(const struct transfer *t);
uint64_t transfer_left(const struct transfer *t);

/* --- signals.c ----------------------------------------------------------------------------------- */

void signals_catch(const char *farewell);  /* said when a signal comes while waiting */
void signals_wait(bool waiting);           /* true: a signal ends the program at once */
int signals_caught(void);                  /* its number, or 0 */
void signals_end(void);                    /* ends the program by the signal that was caught */

/* --- attributes.c ------------------------------------------------------------------------------------ */

/* Gives `to` what `from` has: owner, mode, extended attributes, times.  Either may be
 * opened with O_PATH when it is a symbolic link.  0, 1 when something could not be kept, or -errno
 * when the destination failed. */
int attributes_copy(struct transfer *t, int from, int to, const struct stat *st);
/* 0: the same; 1: not; or -errno. */
int attributes_compare(const struct transfer *t, int from, int to, const struct stat *st);

/* --- copy.c, verify.c, remove.c ------------------------------------------------------------------------ */

/* Puts back into the source's folder what a killed removal left aside in it; what cannot go
 * back stays there. */
void aside_restore(int from);
extern const struct visitor visitor_count, visitor_copy, visitor_verify, visitor_remove;
/* Opens a regular file or link of the source; `st` receives what it is by then. -errno. */
int copy_open_source(const struct node *n, struct stat *st);
bool copy_same_state(const struct stat *a, const struct stat *b);
enum side { SIDE_SOURCE, SIDE_DEST };
/* Copies the contents, again when they change meanwhile; -EBUSY when they go on changing.
 * *st is what was copied; *side says whose error it is. */
int copy_fill(struct transfer *t, int from, int to, struct stat *st, enum side *side);
/* 0: the same bytes; 1: not; negative: *side says whose error it is. */
int compare_contents(struct transfer *t, int from, int to, uint64_t size, enum side *side);
/* Staging: made and locked, and emptied of what an interrupted run left. */
int staging_open(struct transfer *t);
void staging_close(struct transfer *t);

#endif
