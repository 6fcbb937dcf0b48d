/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The order of publications: pure, no files.
 *
 * Each publication names the one that it follows by number and hash, so the
 * publications that a store holds form trees.  A vault's history is one path
 * from number 1, or from the first part of a whole checkpoint, to a tip; whatever
 * else there is was told apart from it.
 */
#ifndef ECLUSE_FS_CHAIN_H
#define ECLUSE_FS_CHAIN_H

#include <ecluse/publication.h>

/* What became of a publication that was found. */
enum link_verdict {
    LINK_CHAIN,        /* part of the history */
    LINK_SERIES,       /* follows the history, but the series of parts has no end */
    LINK_STAGED,       /* follows the history, and never reached the store */
    LINK_PENDING,      /* something that it needs has not arrived */
    LINK_BRANCH,       /* whole, but of another branch */
    LINK_DUPLICATE,    /* the same publication in a second object */
    LINK_FORKED,       /* another publication has its number */
    LINK_BROKEN,       /* names a predecessor other than the one that is there */
};

struct link {
    struct publication_head self, before;
    struct publication_head around; /* see publication.h */
    uint32_t shard;            /* of a part of a checkpoint, its number + 1 */
    bool last;                 /* … and it is the last */
    uint64_t size;             /* of the footer that carries it */
    bool more;
    bool incomplete;           /* a segment that it names is not there */
    bool staged;               /* its carrier is in the old staging directory */
    int64_t time;
    size_t object;             /* the caller's: what carries it */
    enum link_verdict verdict; /* set by chain_order */
    size_t parent;             /* set by chain_order: its place in the array, or NO_LINK */
};
#define NO_LINK SIZE_MAX

/* What the device knows by itself; zeros when it knows nothing. */
struct chain_wish {
    struct publication_head seen;  /* the last publication that the old index knew */
    uint64_t actor;                /* who the device was */
};

struct chain {
    size_t *order;             /* places of links, by ascending number */
    size_t count;              /* of LINK_CHAIN; the first of `order` */
    size_t base;               /* where in `order` to begin: a whole checkpoint, or all there is */
    size_t loose;              /* LINK_SERIES and LINK_STAGED, in order, behind them */
    size_t pending, branches, duplicates, forked, broken;
};

/* Sorts the links, judges each, and fills out. -ENOMEM. */
int chain_order(struct link *links, size_t count, const struct chain_wish *wish, struct chain *out);
/* Does the history begin so that nothing older is needed, and is there nothing odd? */
bool chain_suffices(const struct link *links, const struct chain *c);
void chain_free(struct chain *c);

#endif
