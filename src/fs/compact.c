/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Compaction: objects with little in them are emptied, so that they can go.
 *
 *   sparse   the emptiest first, when all that is not alive in objects is more than
 *            0.35 of what is, until it is 0.25; padding is not alive either
 *   tiers    small objects, when there are many for what is alive, in classes that each
 *            span a factor of four; four of a class become one of a higher class
 *
 * Not more eagerly: what is emptied waits for the grace like all else, so that each
 * byte moved is one more in the store for a month, and one more to sync.
 *
 * What is left of a chosen object is read, hence authenticated, sealed anew into the
 * open staged segment, and mapped there if it is still where the row said, under the
 * same locks as a write.  It is committed and published like one; that the file's
 * content is the same, and no new version, is all that is special.  So a crash
 * anywhere leaves the old place or the new one.
 *
 * An object with a block that cannot be read is left alone until the next mount: its
 * other blocks may be moved, but it never becomes empty, so it is never removed.
 *
 * Files that share blocks go on sharing them (relocate.c).
 */
#include "collecting.h"
#include "publishing.h"
#include <stdlib.h>

#define VOLUME_PACED (64ull << 20)
#define VOLUME_AT_ONCE (256ull << 20)
#define TIER_MEMBERS 4u
#define TIERS 6u
#define TIER_SMALLEST (16ull << 10)
#define SMALL (8ull << 20)       /* what is alive in a member of a tier */
#define FOOTER_PER_RUN 64u       /* a run and a name */
#define OBJECTS_MIN 50u          /* not many, however little is alive */
#define DATA_PER_OBJECT (8u << 20)

/* --- choosing ------------------------------------------------------------------------- */

/* What an object needs: its live blocks, and their share of a footer. */
static uint64_t need(const struct usage *u) { return u->live + u->runs * FOOTER_PER_RUN; }

struct plan {
    struct fs *fs;
    const struct usage **v;      /* by number, once it is made */
    size_t count;
    uint64_t volume, limit;      /* live bytes to move */
    struct buf places;
};

static bool is_avoided(const struct fs *fs, uint32_t number)
{
    const uint32_t *v = (const uint32_t *)(const void *)fs->publish.gc_avoided.data;

    for (size_t k = 0; k < fs->publish.gc_avoided.len / sizeof *v; k++)
        if (v[k] == number)
            return true;
    return false;
}

static unsigned tier_of(const struct usage *u)
{
    unsigned tier = 0;

    for (uint64_t top = TIER_SMALLEST; tier + 1 < TIERS && u->live > top; top *= 4)
        tier++;
    return tier;
}

static bool is_sparse(const struct usage *u)
{
    return need(u) < u->length / 100 * 85;
}

static void choose(struct plan *p, const struct usage *u)
{
    for (size_t k = 0; k < p->count; k++)
        if (p->v[k] == u)
            return;
    if (p->volume + u->live > p->limit)
        return;
    p->v[p->count++] = u;
    p->volume += u->live;
}

static void choose_tiers(struct plan *p, const struct usages *all)
{
    size_t members[TIERS] = { 0 };

    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < all->count; k++) {
            const struct usage *u = &all->v[k];
            if (!u->live || u->live >= SMALL || is_avoided(p->fs, u->number))
                continue;
            if (!round)
                members[tier_of(u)]++;
            else if (members[tier_of(u)] >= TIER_MEMBERS)
                choose(p, u);
        }
}

static int emptiest_first(const void *a, const void *b)
{
    const struct usage *x = *(const struct usage *const *)a, *y = *(const struct usage *const *)b;
    double p = (double)need(x) / (double)x->length, q = (double)need(y) / (double)y->length;
    return p < q ? -1 : p > q;
}

/* What the chosen would take in files of their own. */
static uint64_t packed(uint64_t bytes)
{
    uint64_t whole = bytes / (SEGMENT_MAX - (1u << 20)), rest = bytes % (SEGMENT_MAX - (1u << 20));
    return whole * SEGMENT_MAX + (rest ? segment_size_class(rest + FOOTER_ROOM) : 0);
}

struct balance { uint64_t live, need, waste; };

static uint64_t waste_of(const struct usage *u)
{
    return u->live && need(u) < u->length ? u->length - need(u) : 0;
}

/* Of `v`, the emptiest first, how many bring the waste down to 0.25. */
static size_t take_sparse(const struct plan *p, const struct usage *const *v, size_t count, struct balance b,
                          struct balance *chosen)
{
    size_t taken = 0;

    for (; taken < count && b.waste > b.live / 4; taken++) {
        if (chosen->live + v[taken]->live > p->limit)
            break;
        chosen->live += v[taken]->live;
        chosen->need += need(v[taken]);
        chosen->waste += waste_of(v[taken]);
        b.waste -= waste_of(v[taken]);
    }
    return taken;
}

static int choose_sparse(struct plan *p, const struct usages *all)
{
    const struct usage **v = calloc(all->count + 1, sizeof *v);
    struct balance b = { 0 }, chosen = { 0 };
    size_t count = 0;

    if (!v)
        return -ENOMEM;
    for (size_t k = 0; k < all->count; k++) {
        const struct usage *u = &all->v[k];
        b.live += u->live;
        b.waste += waste_of(u);
        if (u->live && is_sparse(u) && !is_avoided(p->fs, u->number))
            v[count++] = u;
    }
    if (count)
        qsort(v, count, sizeof *v, emptiest_first);
    for (size_t k = 0; k < p->count; k++) {
        chosen.live += p->v[k]->live;
        chosen.need += need(p->v[k]);
        chosen.waste += waste_of(p->v[k]);
    }
    size_t taken = b.waste > b.live / 20 * 7 ? take_sparse(p, v, count, b, &chosen) : 0;
    /* Only for a gain: a file that is alone may be no smaller afterwards. */
    if (packed(chosen.need) < (chosen.need + chosen.waste) / 10 * 9)
        for (size_t k = 0; k < taken; k++)
            choose(p, v[k]);
    free(v);
    return 0;
}

static int plan_by_number(const void *a, const void *b)
{
    const struct usage *x = *(const struct usage *const *)a, *y = *(const struct usage *const *)b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool are_many(const struct usages *all)
{
    uint64_t live = 0, objects = 0;

    for (size_t k = 0; k < all->count; k++) {
        live += all->v[k].live;
        objects += all->v[k].live != 0;
    }
    return objects > OBJECTS_MIN + live / DATA_PER_OBJECT;
}

static int make_plan(struct plan *p, const struct usages *all, bool at_once)
{
    p->limit = at_once ? VOLUME_AT_ONCE : VOLUME_PACED;
    p->v = calloc(all->count + 1, sizeof *p->v);
    if (!p->v)
        return -ENOMEM;
    if (at_once || are_many(all))
        choose_tiers(p, all);
    int rc = choose_sparse(p, all);
    if (p->count)
        qsort(p->v, p->count, sizeof *p->v, plan_by_number);
    return rc;
}

/* --- moving ---------------------------------------------------------------------------- */

static bool is_chosen(const struct plan *p, uint32_t number)
{
    struct usage key = { .number = number };
    const struct usage *at = &key;

    return bsearch(&at, p->v, p->count, sizeof *p->v, plan_by_number) != NULL;
}

static int note_places(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    struct plan *p = ctx;

    for (uint32_t k = 0; k < count; k++) {
        struct block_place at = { ino, base + runs[k].first, runs[k].segment, runs[k].offset, runs[k].count };
        if (is_chosen(p, runs[k].segment))
            buf_append(&p->places, &at, sizeof at);
    }
    return p->places.failed ? -ENOMEM : 0;
}

static int avoid(struct fs *fs, uint32_t number, struct gc_report *out)
{
    if (is_avoided(fs, number))
        return 0;
    out->damaged++;
    buf_append(&fs->publish.gc_avoided, &number, sizeof number);
    return fs->publish.gc_avoided.failed ? -ENOMEM : 0;
}

static int move_places(struct fs *fs, struct plan *p, struct gc_report *out)
{
    struct relocations moved = { 0 };
    struct block_place at;
    int rc = 0;

    places_sort(&p->places);
    for (size_t k = 0; !rc && k < p->places.len && !publish_stopping(fs); k += sizeof at) {
        memcpy(&at, p->places.data + k, sizeof at);
        rc = fs_may_write(fs, false);
        if (!rc)
            rc = fault_hit(FAULT_compact);
        if (rc)
            break;
        commit_throttle(fs);
        rc = relocate(fs, &moved, &at);
        lateness_moved(fs);
        /* Of a bad sector too: were it the staging that fails, the next commit would tell. */
        if (rc == E_AUTH || rc == E_FORMAT || rc == E_NOT_ARRIVED || rc == -EIO)
            rc = avoid(fs, at.segment, out);
    }
    out->moved_bytes += moved.bytes;
    relocations_free(&moved);
    return rc;
}

int compact(struct fs *fs, const struct usages *u, bool at_once, struct gc_report *out)
{
    struct plan p = { .fs = fs };

    int rc = make_plan(&p, u, at_once);
    if (!rc && p.count)
        rc = index_scan_maps(fs->index, note_places, &p);
    if (!rc && p.count)
        rc = move_places(fs, &p, out);
    out->compacted += p.count;
    if (p.count)
        log_info("ECL-0431 compaction of %zu objects, %llu bytes: %s", p.count, (unsigned long long)p.volume,
                 error_name(rc));
    buf_free(&p.places);
    free(p.v);
    return rc < 0 ? rc : p.count > 0;
}
