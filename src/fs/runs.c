/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The block map of one chunk: a sorted vector of runs.
 *
 * Invariants: runs ascend and do not overlap; all lie in [0, CHUNK_BLOCKS);
 * all blocks of a run are full but perhaps the last; neighbours that continue
 * one another in the same segment are one run.
 */
#include "internal.h"
#include <stdlib.h>

void runs_free(struct runs *r)
{
    free(r->v);
    *r = (struct runs){ 0 };
}

static int reserve(struct runs *r, uint32_t count)
{
    if (count <= r->cap)
        return 0;
    uint32_t cap = count < 4 ? count : (count + count / 2 + 1);
    struct run *v = realloc(r->v, cap * sizeof *v);
    if (!v)
        return -ENOMEM;
    r->v = v;
    r->cap = (uint16_t)cap;
    return 0;
}

int runs_copy(struct runs *to, const struct run *v, uint32_t count)
{
    int rc = reserve(to, count);
    if (rc)
        return rc;
    if (count)
        memcpy(to->v, v, count * sizeof *v);
    to->count = (uint16_t)count;
    return 0;
}

bool run_clip(const struct run *r, uint32_t first, uint32_t count, struct run *out)
{
    uint32_t from = r->first > first ? r->first : first;
    uint32_t end = (uint32_t)r->first + r->count, limit = first + count;
    uint32_t to = end < limit ? end : limit;

    if (from >= to)
        return false;
    *out = *r;
    out->first = (uint16_t)from;
    out->count = (uint16_t)(to - from);
    out->offset += (from - r->first) * SEALED_BLOCK;
    if (to < end)
        out->sealed = out->valid = BLOCK_SIZE;
    return true;
}

const struct run *runs_from(const struct runs *r, uint32_t block)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if ((uint32_t)r->v[mid].first + r->v[mid].count <= block)
            low = mid + 1;
        else
            high = mid;
    }
    return low < r->count ? &r->v[low] : NULL;
}

const struct run *runs_find(const struct runs *r, uint32_t block)
{
    const struct run *run = runs_from(r, block);
    return run && run->first <= block ? run : NULL;
}

static bool continues(const struct run *a, const struct run *b)
{
    return a->segment == b->segment && a->first + a->count == b->first &&
           a->sealed == BLOCK_SIZE && a->valid == BLOCK_SIZE &&
           a->offset + a->count * SEALED_BLOCK == b->offset;
}

/* Appends to a vector under construction, joining neighbours. */
static uint32_t push(struct run *v, uint32_t n, const struct run *r)
{
    if (n && continues(&v[n - 1], r)) {
        v[n - 1].count = (uint16_t)(v[n - 1].count + r->count);
        v[n - 1].sealed = r->sealed;
        v[n - 1].valid = r->valid;
        return n;
    }
    v[n] = *r;
    return n + 1;
}

int runs_replace(struct runs *r, uint32_t first, uint32_t count, const struct run *with,
                 run_dropped dropped, void *ctx, int64_t *delta)
{
    struct run v[CHUNK_BLOCKS + 2], piece;
    uint32_t n = 0, i = 0;
    int64_t change = with ? with->count : 0;

    for (; i < r->count && r->v[i].first < first; i++)
        if (run_clip(&r->v[i], 0, first, &piece))
            n = push(v, n, &piece);
    if (with)
        n = push(v, n, with);
    for (i = 0; i < r->count; i++)
        if (run_clip(&r->v[i], first + count, CHUNK_BLOCKS - (first + count), &piece))
            n = push(v, n, &piece);

    int rc = reserve(r, n);
    if (rc)
        return rc;
    for (i = 0; i < r->count; i++) {
        if (!run_clip(&r->v[i], first, count, &piece))
            continue;
        change -= piece.count;
        dropped(ctx, &piece);
    }
    if (n)
        memcpy(r->v, v, n * sizeof *v);
    r->count = (uint16_t)n;
    *delta = change;
    return 0;
}
