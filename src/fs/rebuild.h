/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of a rebuild share (include/ecluse/rebuild.h says what it is).
 *
 *   objects.c     what lies in the store and in the old staging directory
 *   survey.c      which publications there are
 *   chain.c       which publications are the history
 *   doubts.c      what does not open, and may be the newest of it
 *   translate.c   rows of others into this index's numbers
 *   rebuild.c     whether and how: the steps one after another
 *   applying.c    the history into a new index
 *   keep.c        over it, what was not published
 *   renewal.c     the new directory, and the switch
 *   resume.c      what an interruption leaves, and how it is gone on with
 *   history.c     its file
 */
#ifndef ECLUSE_FS_REBUILD_H
#define ECLUSE_FS_REBUILD_H

#include "chain.h"
#include "internal.h"
#include <ecluse/rebuild.h>

/* --- renewal.c ------------------------------------------------------------------ */

struct renewal {
    char base[PATH_MAX];       /* the directory that holds states */
    char name[NAME_LIMIT + 1], temporary[NAME_LIMIT + 16];
    int basefd;
    struct state files;        /* the state being made */
    bool made;
};
/* Makes <base>/.<name>.rebuild/ with lock, staging and a mark that it is not
 * finished; removes one that was given up. E_STATE_IN_USE. */
int renewal_begin(struct renewal *w, const char *path, bool has_old);
/* Everything in it is durable: it takes the place of the old one. */
int renewal_switch(struct renewal *w, bool has_old, char damaged[PATH_MAX]);
/* Opens what was left of one; -ENOENT: nothing, or nothing of use. E_STATE_IN_USE. */
int renewal_reopen(struct renewal *w, const char *path);
/* Removes what was made, unless it took its place, or is kept (`made` is false). */
void renewal_end(struct renewal *w);
/* A kill between the switch and its end: the old state is moved into the new. */
int renewal_settle(const struct state *s);

/* --- survey.c --------------------------------------------------------------------- */

struct object {
    struct id128 id;
    uint64_t size;             /* of the file */
    uint64_t valid;            /* staged: bytes that may be referred to */
    uint32_t epoch;
    uint32_t number;           /* in the new index; 0: none yet */
    bool staged;               /* in the old staging directory, and not in the store */
    bool headed;               /* its header is authentic, epoch is known */
    bool ended;                /* its trailer is: it has arrived whole */
    uint64_t publication;      /* which its trailer says that it carries; 0: none, or not to be told */
    bool named;                /* some publication that was read names it, or was carried by it */
    enum { DOUBT_NONE, DOUBT_LATE, DOUBT_ALTERED, DOUBT_NEWER } doubt; /* doubts.c */
    struct buf footer;         /* as it was read, while there is room for it */
    bool linked;               /* staged: its file is in the new staging directory */
    bool copied;               /* … and is a copy that may be written to */
};

struct survey {
    struct object *objects;    /* by id; of one that is in both places, the one in the store */
    size_t count, capacity;
    struct link *links;
    size_t link_count, link_capacity;
    size_t kept;               /* bytes of footers in memory */
    struct object **gone;      /* by id: what publications name and the user let go */
    size_t gone_count, gone_capacity;
};

struct rebuild;
/* Lists all, then reads publications, the newest first, until a checkpoint suffices
 * (or all there is was read), and leaves their order in b->chain. */
int survey_take(struct rebuild *b);

/* --- objects.c -------------------------------------------------------------------- */

int survey_list(struct rebuild *b);
void survey_free(struct survey *s);
struct object *survey_find(struct survey *s, const struct id128 *id);
/* The object that a publication names; one that is gone gets a place of its own. NULL when
 * it is not there, or memory is short. */
struct object *survey_named(struct survey *s, const struct publication_segment *named);
/* Opens the file of an object and derives its key; checks the header. */
int object_open(struct rebuild *b, struct object *o, int *fd, struct segment_key **key);
/* E_NOT_ARRIVED, E_AUTH. */
int object_trailer(struct object *o, int fd, struct segment_key *key, struct segment_trailer *out);
/* The publication that an object carries, and its hash; the view borrows from
 * `footer`. -ENOENT when it carries none. */
int object_publication(struct rebuild *b, struct object *o, struct buf *footer, struct publication_view *v,
                       uint8_t hash[SHA256_SIZE]);

/* --- translate.c ------------------------------------------------------------------- */

/* What a number of somebody else's rows means here. */
struct segment_meaning { uint32_t from; struct object *object; };

struct meaning {
    uint16_t *actors;          /* index there → index here */
    size_t actor_count;
    struct segment_meaning *segments; /* by `from` */
    size_t segment_count;
};

/* The actors of the new index, and the greatest numbers that rows used. */
struct numbers {
    uint64_t *actors;
    size_t actor_count, actor_capacity;
    uint64_t ino, cookie;      /* counter part; cookie */
    uint32_t segment;          /* the last one given out */
    size_t noted;              /* actors that the index has */
};

int numbers_add_actor(struct numbers *n, uint64_t actor);
int meaning_actors(struct numbers *n, struct meaning *m, size_t count, uint64_t (*actor)(const void *ctx, size_t k),
                   const void *ctx);
void meaning_free(struct meaning *m);
/* NULL when that number means nothing. */
struct object *meaning_segment(const struct meaning *m, uint32_t number);
/* The inode number here; 0 when it cannot be one. */
uint64_t meaning_ino(const struct meaning *m, uint64_t ino);
/* Inode numbers in place, the maxima in n; runs are left as they are. E_FORMAT. */
int translate_inodes(const struct meaning *m, struct numbers *n, struct record *r);
/* Segment numbers in place, once all objects have theirs. E_FORMAT. */
int translate_runs(const struct meaning *m, struct record *r);
/* The runs of a record; *count 0 when it has none. */
struct run *record_runs(struct record *r, uint32_t *count);
void record_encode(struct buf *out, const struct record *r);

/* --- rebuild.c ------------------------------------------------------------------------ */

struct rebuild {
    const struct rebuild_options *o;
    struct rebuild_report *report;
    struct renewal renewal;
    struct survey survey;
    struct chain chain;
    struct numbers numbers;
    struct index *index;       /* the new one */
    struct index *old;         /* read-only; NULL when it cannot be read */
    struct publication_head seen;
    struct buf heads;          /* struct publication_head…: of the actors before the beginning */
    struct resume *resume;     /* what an interruption left; NULL: nothing that could be gone on with */
    size_t resumed;            /* so many publications were applied before it */
    uint64_t applied;          /* and so many since */
    bool noted;                /* an interruption leaves something now */
    uint64_t intent;           /* number of a publication that the old index fixed and did not end; 0: none */
};
/* Number of the last publication of the history and of what lies behind it. */
uint64_t history_end(const struct rebuild *b);
/* Not 0: the user wants an end. */
int rebuild_progress(const struct rebuild *b, enum rebuild_phase phase, uint64_t done, uint64_t total);

/* --- applying.c ------------------------------------------------------------------------ */

/* What was not applied before an interruption. */
int history_apply(struct rebuild *b);
/* The counters of the index, once all rows are in it. */
int history_counters(struct rebuild *b);
/* Gives the object a number and adds its row to `rows`, if it has none yet; with its
 * hash when that is known (else NULL). */
int object_number(struct rebuild *b, struct object *o, const uint8_t *sha256, struct buf *rows);
/* The publication of a link, read again: as it was when the order was decided, or
 * an error. */
int publication_read(struct rebuild *b, const struct link *l, struct buf *footer, struct publication_view *v);
/* The tables of a publication. */
int publication_meaning(struct rebuild *b, struct publication_view *v, struct meaning *m);

/* --- doubts.c ------------------------------------------------------------------------------ */

/* An object that does not open: is it one whose loss would matter? -ENOMEM. */
int doubt_object(struct rebuild *b, struct object *o);
/* Once the history is decided: how many are left of which that is so. */
void doubts_count(struct rebuild *b);

/* --- resume.c ------------------------------------------------------------------------------ */

/* Looks for what an interruption left, and opens it. Before the survey. */
int resume_open(struct rebuild *b);
/* The publication that an object carries, when it was applied before; else NULL. */
const struct link *resume_link(const struct rebuild *b, const struct object *o);
/* Once all is listed: is all there that was applied? Before resume_link. If not, it is
 * given up. */
int resume_place(struct rebuild *b);
/* Is what was applied the beginning of the history as it is now? If not, the same. */
void resume_check(struct rebuild *b);
void resume_give_up(struct rebuild *b);
/* Writes what a later resume_open needs, once the first publication is applied. */
int resume_note(struct rebuild *b);
/* At the end: keeps what can be gone on with after that error. */
void resume_end(struct rebuild *b, int rc);

/* --- history.c ----------------------------------------------------------------------------- */

/* What an unfinished state is being made of; its file goes after the switch. */
#define HISTORY_FILE "history"
struct history_entry { struct id128 object; struct link link; };
struct history {
    struct publication_head *heads; /* of the publication with which it begins */
    size_t head_count;
    struct history_entry *v;   /* in order; of links, what chain_order takes, complete */
    size_t count;
};
void history_encode(const struct history *h, struct buf *out);
int history_decode(struct history *h, const uint8_t *bytes, size_t len); /* E_FORMAT */
int history_write(const struct history *h, int dir, const struct keyring *keys);
/* -ENOENT, E_AUTH, E_FORMAT. */
int history_read(struct history *h, int dir, const struct keyring *keys);
void history_free(struct history *h);

/* --- rebuild_heads.c --------------------------------------------------------------------- */

int rebuild_heads(struct rebuild *b);
int rebuild_keep_heads(struct rebuild *b);

/* --- keep.c, kept_files.c, mend.c --------------------------------------------------------- */

int keep_unpublished(struct rebuild *b);
/* The staged file becomes one of the new staging directory, by a link. */
int kept_link(struct rebuild *b, struct object *o);
/* Writes into a copy of it. -ENOENT when there is no file. */
int kept_write(struct rebuild *b, struct object *o, uint64_t offset, const void *bytes, size_t len);
/* Its header, which nothing but the index row tells, is written anew where it is damaged. */
int kept_head(struct rebuild *b, struct object *o, uint32_t epoch);
int kept_sync(struct rebuild *b);
/* A copy of a file of the old state in a directory of the new one. */
int kept_copy(int from, const char *name, int to);
/* Do all blocks of the run open? Keeps the file open for the next call. */
struct kept_reader { struct object *object; int fd; struct segment_key *key; };
bool kept_opens(struct rebuild *b, struct kept_reader *r, struct object *o, const struct run *run);
void kept_close(struct kept_reader *r);
/* Lets the rows of the new index fit together again. */
int mend_rows(struct rebuild *b);

#endif
