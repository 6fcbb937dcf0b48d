/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The last publication of each actor that the store shows, for people to compare:
 * an old but consistent store shown to a device that has no state can be told by
 * nobody else.  Whole or not, pending or not: what counts is what was seen.
 */
#include "rebuild.h"
#include "seen.h"
#include <stdlib.h>

static struct fs_head *find(struct rebuild_report *r, uint64_t actor)
{
    for (size_t k = 0; k < r->head_count; k++)
        if (r->heads[k].actor == actor)
            return &r->heads[k];
    return NULL;
}

static struct fs_head *add(struct rebuild_report *r, uint64_t actor)
{
    struct fs_head *v = realloc(r->heads, (r->head_count + 1) * sizeof *v);

    if (!v)
        return NULL;
    r->heads = v;
    v[r->head_count] = (struct fs_head){ .actor = actor };
    return &v[r->head_count++];
}

int rebuild_heads(struct rebuild *b)
{
    for (size_t k = 0; k < b->survey.link_count; k++) {
        const struct link *l = &b->survey.links[k];
        struct fs_head *h = find(b->report, l->self.actor);
        if (l->staged || (h && h->seq >= l->self.seq))
            continue;
        if (!h && !(h = add(b->report, l->self.actor)))
            return -ENOMEM;
        h->seq = l->self.seq;
        h->time = l->time;
        phrase_for(l->self.hash, h->phrase);
    }
    return 0;
}

/* What the old state had seen of others still holds: unless it cannot be read, or the
 * user accepts that something is missing, which will then be met anew. */
int rebuild_keep_heads(struct rebuild *b)
{
    const struct state *old = b->o->old;
    struct heads heads = { 0 };
    int rc = 0;

    if (old && old->keys && old->keys == b->o->keys && !b->o->partial)
        rc = heads_read(&heads, old->dir, old->keys);
    if (rc == E_STATE_DAMAGED)
        rc = 0;
    /* The new index knows only what is there; but what its rows name may be gone, as was
     * accepted where they were published (publication.c). */
    heads.accepted = heads.relied = b->survey.gone_count ? history_end(b) : 0;
    if (!rc && (heads.count || heads.accepted))
        rc = heads_write(&heads, b->renewal.files.dir, b->o->keys);
    heads_free(&heads);
    return rc;
}
