/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of a salvage share (include/ecluse/salvage.h says what it is).
 *
 *   salvage.c       gathers the runs of all reverse maps, file by file
 *   salvage_file.c  which run gives which block of a file, and its bytes
 *   salvage_dest.c  names, and how a file comes to be in the destination
 */
#ifndef ECLUSE_FS_SALVAGING_H
#define ECLUSE_FS_SALVAGING_H

#include "inspect.h"
#include <ecluse/salvage.h>

/* A run of a reverse map. Inode numbers have the place of the actor in
 * salvaging.actors in their upper 16 bits. */
struct piece {
    uint64_t ino, first, version, parent;
    uint32_t object, offset, count;
    uint32_t name;             /* where it stands in salvaging.names, from 1 on; 0: none */
    uint32_t rank : 17;        /* length of the footer's table of actors: who wrote later */
    uint32_t middle : 1;       /* known not to be the file's end, though its last block is short */
    uint16_t last, valid;      /* bytes that its last block seals; that count */
};
_Static_assert(sizeof(struct piece) == 56, "there are millions");

struct salvaging {
    const struct salvage_options *o;
    struct salvage_report *report;
    struct id128 *objects;     /* by id */
    size_t object_count, object_capacity;
    uint64_t *actors;
    size_t actor_count, actor_capacity;
    uint16_t *actors_here;     /* of the footer being read: place there → place in `actors` */
    struct buf pieces, names;  /* struct piece…; a length byte and the name, each */
    uint64_t part, parts;      /* files whose number falls into this part; a power of two */
    struct inspected seen;     /* the object that is open */
    uint32_t seen_object;      /* its place; UINT32_MAX: none */
    uint8_t *bytes;            /* sealed ones, RUN_AT_ONCE blocks */
};
#define RUN_AT_ONCE 64u

/* The object of a piece, open in s->seen; false when it does not open. */
bool salvage_open(struct salvaging *s, uint32_t object);
const uint8_t *piece_name(const struct salvaging *s, const struct piece *p, size_t *len);

/* All pieces of one file, in any order; they are sorted. An error of the
 * destination ends the salvage. */
int salvage_file(struct salvaging *s, struct piece *pieces, size_t count);

/* --- salvage_dest.c ---------------------------------------------------------------------- */

struct landing {
    int dest, folder, fd;
    bool made;                 /* the partial file is there, and ours */
    char folder_name[64];
    char path[NAME_LIMIT + 80]; /* when finished: folder and name; before: what it is about */
};
/* Makes the folder, if need be, and the file under a partial name. */
int landing_begin(const struct salvaging *s, struct landing *l, uint64_t ino, uint64_t parent);
int landing_write(const struct landing *l, const uint8_t *bytes, size_t len, uint64_t offset);
/* Gives it its size and its name, or another one that is free. */
enum { LANDING_INCOMPLETE = 1, LANDING_OLDER_END = 2 };
int landing_finish(struct landing *l, uint64_t ino, uint64_t size, const uint8_t *name, size_t name_len,
                   unsigned marks);
/* Removes what was not finished. */
void landing_end(struct landing *l);

#endif
