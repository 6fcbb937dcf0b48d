/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Rows of a publication, or of an older index, into the numbers of a new one.
 *
 * Actor indexes are translated by the actors' ids, segment numbers by the
 * segments' ids.  Along one history the tables of actors only grow at the end,
 * so indexes mostly stay as they are, but nothing here relies on it.  The root
 * directory is number 1 everywhere; 0 is "none" in a hint.
 */
#include "rebuild.h"
#include <stdlib.h>

#define COUNTER_BITS 48
#define COUNTER_MASK ((1ull << COUNTER_BITS) - 1)

/* --- actors ---------------------------------------------------------------------------- */

int numbers_add_actor(struct numbers *n, uint64_t actor)
{
    if (n->actor_count == ACTOR_LIMIT)
        return -EOVERFLOW;
    if (n->actor_count == n->actor_capacity) {
        size_t room = n->actor_capacity ? 2 * n->actor_capacity : 16;
        uint64_t *v = realloc(n->actors, room * sizeof *v);
        if (!v)
            return -ENOMEM;
        n->actors = v;
        n->actor_capacity = room;
    }
    n->actors[n->actor_count++] = actor;
    return 0;
}

static int actor_here(struct numbers *n, uint64_t actor, uint16_t *out)
{
    for (size_t k = 0; k < n->actor_count; k++)
        if (n->actors[k] == actor) {
            *out = (uint16_t)k;
            return 0;
        }
    *out = (uint16_t)n->actor_count;
    return numbers_add_actor(n, actor);
}

int meaning_actors(struct numbers *n, struct meaning *m, size_t count, uint64_t (*actor)(const void *ctx, size_t k),
                   const void *ctx)
{
    int rc = 0;

    m->actors = calloc(count + 1, sizeof *m->actors);
    m->actor_count = m->actors ? count : 0;
    if (!m->actors)
        return -ENOMEM;
    for (size_t k = 0; !rc && k < count; k++) {
        uint64_t id = actor(ctx, k);
        /* The usual case without a search: the same place. */
        if (k < n->actor_count && n->actors[k] == id)
            m->actors[k] = (uint16_t)k;
        else
            rc = actor_here(n, id, &m->actors[k]);
    }
    return rc;
}

void meaning_free(struct meaning *m)
{
    free(m->actors);
    free(m->segments);
    *m = (struct meaning){ 0 };
}

uint64_t meaning_ino(const struct meaning *m, uint64_t ino)
{
    uint64_t k = ino >> COUNTER_BITS;

    if (ino == ROOT_INO)
        return ino;
    return k < m->actor_count && ino & COUNTER_MASK
         ? (uint64_t)m->actors[k] << COUNTER_BITS | (ino & COUNTER_MASK) : 0;
}

/* --- segments ---------------------------------------------------------------------------- */

struct object *meaning_segment(const struct meaning *m, uint32_t number)
{
    size_t low = 0, high = m->segment_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->segments[mid].from == number)
            return m->segments[mid].object;
        if (m->segments[mid].from < number)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* --- records ------------------------------------------------------------------------------- */

static void raise(uint64_t *greatest, uint64_t v)
{
    if (v > *greatest)
        *greatest = v;
}

static int put_ino(const struct meaning *m, struct numbers *n, uint64_t *ino)
{
    *ino = meaning_ino(m, *ino);
    raise(&n->ino, *ino & COUNTER_MASK);
    return *ino ? 0 : E_FORMAT;
}

int translate_inodes(const struct meaning *m, struct numbers *n, struct record *r)
{
    int rc = 0;

    switch (r->kind) {
    case RECORD_INODE:
        r->inode.parent = meaning_ino(m, r->inode.parent);
        raise(&n->cookie, r->inode.cookie <= INT64_MAX ? r->inode.cookie : 0);
        return put_ino(m, n, &r->inode.ino);
    case RECORD_DIRENT:
        raise(&n->cookie, r->dirent.cookie);
        rc = put_ino(m, n, &r->dirent.parent);
        return rc ? rc : put_ino(m, n, &r->dirent.ino);
    case RECORD_DIRENT_GONE:
        raise(&n->cookie, r->gone.n);
        return put_ino(m, n, &r->gone.ino);
    case RECORD_INODE_GONE:
    case RECORD_CHUNKS_GONE:
        return put_ino(m, n, &r->gone.ino);
    case RECORD_XATTR:
        return put_ino(m, n, &r->xattr.ino);
    case RECORD_CHUNK:
        return put_ino(m, n, &r->chunk.ino);
    default:
        return E_FORMAT;       /* kinds that are a device's own */
    }
}

struct run *record_runs(struct record *r, uint32_t *count)
{
    *count = r->kind == RECORD_INODE ? r->inode.run_count : r->kind == RECORD_CHUNK ? r->chunk.run_count : 0;
    return r->runs;
}

int translate_runs(const struct meaning *m, struct record *r)
{
    uint32_t count;
    struct run *runs = record_runs(r, &count);

    for (uint32_t k = 0; k < count; k++) {
        const struct object *o = meaning_segment(m, runs[k].segment);
        if (!o || !o->number)
            return E_FORMAT;
        runs[k].segment = o->number;
    }
    return 0;
}

void record_encode(struct buf *out, const struct record *r)
{
    switch (r->kind) {
    case RECORD_INODE:
        batch_inode(out, &r->inode);
        break;
    case RECORD_DIRENT:
        batch_dirent(out, &r->dirent);
        break;
    case RECORD_XATTR:
        batch_xattr(out, &r->xattr);
        break;
    case RECORD_CHUNK:
        batch_chunk(out, &r->chunk);
        break;
    default:
        batch_gone(out, r->kind, r->gone.ino, r->gone.n);
    }
}
