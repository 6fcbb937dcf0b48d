/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of a check share (include/ecluse/check.h says what it is).
 *
 *   check.c          the order of things, and what is told
 *   check_objects.c  each object by itself, and what publications name
 *   check_rows.c     rows against reverse maps
 *   check_index.c    the index of this device against the store
 *   check_data.c     hashes and blocks
 *   check_blind.c    without any key
 *
 * Each object ends with one verdict, the first that was given (give_verdict):
 * what is told afterwards of the same object follows from it.
 */
#ifndef ECLUSE_FS_CHECKING_H
#define ECLUSE_FS_CHECKING_H

#include "chain.h"
#include "inspect.h"
#include <ecluse/check.h>
#include <ecluse/index.h>

/* Not a publication: the index or the manifest. */
#define NAMED_NOW UINT64_MAX

/* Named and absent. */
struct missing { struct id128 id; uint64_t by; };

struct checked {
    struct id128 id;
    uint64_t size;             /* of the file, when it was listed */
    uint64_t length;           /* that it must have, as a publication or the index tells; 0: untold */
    uint8_t sha256[SHA256_SIZE];
    bool hashed;               /* … and its hash */
    uint64_t named_by;         /* the last publication that names it, its own if it carries one;
                                * NAMED_NOW: the index; 0: nothing */
    uint8_t inspection;        /* enum inspection */
    uint8_t verdict, reason;   /* CHECK_OK: none yet */
    int error;
    uint64_t number;
};

struct checking {
    const struct check_options *o;
    struct check_report *report;
    struct checked *objects;   /* by id */
    size_t count, capacity;
    struct link *links;
    size_t link_count, link_capacity;
    struct chain chain;
    struct chain_wish wish;
    struct buf missing;        /* struct missing…, with repetitions */
    struct inspected seen;     /* what is open now */
    struct buf blocks;         /* of it */
    struct index *index;       /* NULL: the store alone */
    struct id128 last_carrier; /* of the last publication that the index knows */
    bool older;                /* … which is not in the store */
};

void check_progress(const struct checking *c, enum check_phase phase, uint64_t done, uint64_t total);
void give_verdict(struct checked *x, enum check_verdict verdict, enum check_reason reason, uint64_t number);
/* For what is about no object of the list. */
void tell_finding(const struct checking *c, const struct check_finding *f);

int check_list(struct checking *c);
struct checked *checked_find(const struct checking *c, const struct id128 *id);
/* Something authentic (`by`) says that there must be this object.
 * `sha256` may be NULL, `length` 0. False when it is absent or short; -ENOMEM is kept
 * in c->missing. */
bool checked_named(struct checking *c, const struct id128 *id, uint64_t by, uint64_t length, const uint8_t *sha256);
void note_missing(struct checking *c, const struct id128 *id, uint64_t by);
/* inspect_object into c->seen. */
enum inspection checked_open(struct checking *c, const struct checked *x);
/* The same of one that was whole before: false, and it is judged, when it no longer is. */
bool checked_again(struct checking *c, struct checked *x);

/* --- with keys: check_objects.c, check_rows.c, check_data.c, check_index.c ------------ */

int check_objects(struct checking *c);
int check_names(struct checking *c);
/* The publication that is open in c->seen. E_FORMAT. */
int checked_publication(const struct checking *c, struct publication_view *v);
/* Verdicts of objects that did not open, once all that names them was read and the
 * order is known; once more at the end. */
void check_judge(struct checking *c);
/* The number of the first publication that is needed. */
uint64_t check_needed_from(const struct checking *c);
int check_rows(struct checking *c);
/* Blocks that some row refers to. */
struct block_need { struct id128 id; uint32_t offset; uint16_t count, sealed; };
/* Sorts them, and gives a verdict where a reverse map lacks one. */
int check_needs(struct checking *c, struct buf *needs);
void add_need(struct buf *needs, const struct id128 *id, const struct run *run);
int check_data(struct checking *c);
/* Opens it; what it knows of publications goes to c->wish. */
int check_index_open(struct checking *c);
int check_index_names(struct checking *c);
int check_index_rows(struct checking *c);

/* --- without: check_blind.c ------------------------------------------------------------ */

int check_blind(struct checking *c);
/* Compares with the manifest; true when there is none or it agrees. */
bool manifest_agrees(const struct checking *c, const struct id128 *id, const uint8_t sha256[SHA256_SIZE],
                     bool *listed);
/* The vault header, and lines whose objects were not met. */
void check_manifest_rest(struct checking *c);

#endif
