/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What was seen of the store and of others who publish into it.
 *
 *   heads.c   the last publication of each, in a file of the state
 *   unseen.c  publications, and objects, that the index does not know
 *   fresh.c   is the store what this device has seen?
 */
#ifndef ECLUSE_FS_SEEN_H
#define ECLUSE_FS_SEEN_H

#include "internal.h"

/* --- heads.c: what was seen of others ---------------------------------------------- */
/* Of a file, at most a few for each device there ever was. E_STATE_DAMAGED. */
int heads_read(struct heads *h, int dir, const struct keyring *keys);
int heads_write(const struct heads *h, int dir, const struct keyring *keys);
int heads_decode(struct heads *h, const uint8_t *bytes, size_t len); /* E_FORMAT */
void heads_encode(const struct heads *h, struct buf *out);
struct head *heads_find(const struct heads *h, uint64_t actor);
int heads_put(struct heads *h, const struct head *head);             /* one for each actor */
void heads_drop(struct heads *h, struct head *head);
void heads_free(struct heads *h);

/* Whose publication a payload is, its number, and whether it is a part that others
 * follow: E_FORMAT, E_NEWER_FORMAT. */
struct dot { uint64_t actor, seq; bool more; };
int publication_dot(const uint8_t *payload, size_t len, struct dot *out);

/* --- unseen.c ---------------------------------------------------------------------- */
/* A publication in an object that the index does not know. */
struct stranger { struct head head; struct publication_head before; bool told; };
/* Adds to fs->strangers those that came since the last look, and counts in fs->unseen
 * those that are not shown here, in fs->planted what is not authentic; *ours: one of
 * them is by the actor that this device is, and unknown to it. fs->fresh held, or alone. */
int unseen_look(struct fs *fs, bool *ours);
/* The last number of that actor that the index knows; 0 for strangers. */
uint64_t unseen_last_known(struct fs *fs, uint64_t actor);
/* The publication that an object of the store carries; -ENOENT when it carries none.
 * Of fs only state, store, vault and suite are used. */
int unseen_dot(struct fs *fs, const struct id128 *id, struct dot *out);

/* --- fresh.c: is the store what this device has seen? ------------------------------ */
/* At the mount, before anything is written. E_OLDER_STATE unless that is accepted. */
int fresh_open(struct fs *fs, bool *ours);
/* At any later time: E_OLDER_STATE while the store lacks something. */
int fresh_check(struct fs *fs);
/* The same, after a look at what has come meanwhile. */
int fresh_look(struct fs *fs);
/* Is this one, of an actor of ours, another than the index knows? */
bool fresh_contradicts(struct fs *fs, const struct publication_head *h);

struct stray { struct id128 id; uint64_t size; uint32_t epoch; };
/* The same at any time, for who wants to remove: how many publications of others there
 * are, and (struct stray…) objects of this vault that the index does not know and
 * that are nobody else's, as far as can be told. */
int unseen_strays(struct fs *fs, uint64_t *others, struct buf *strays);

#endif
