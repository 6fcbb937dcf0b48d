/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Which publications are the history, and in which order.
 *
 * Links are sorted by number, then actor, then hash, so that a predecessor is
 * found by bisection and always judged before its successors.
 *
 *   two hashes under one (actor, number)   both forked, unless the device knows
 *                                          by itself which one is its own
 *   predecessor absent                     pending: a gap, and so is what follows, unless the
 *                                          gap is of a checkpoint's parts (`around`), or a
 *                                          whole checkpoint begins here: it is a root then
 *   predecessor there with another hash    broken
 *   a segment absent                       pending, and what follows
 *
 * The rest are trees of whole publications.  The tip is that of the branch on
 * which the device last was; without that knowledge the longest, then the
 * latest.  From the tip the path leads back to its root.  Its end is cut back to
 * the last publication that closes its series of parts and is in the store:
 * what lies beyond is loose, for the caller to use or to leave.
 *
 * A path whose root is not number 1 is worth nothing until the series of its
 * checkpoint is closed, for nobody has a tree to which it could be added; and a
 * checkpoint that is not whole is never a root, lest a part of the tree pass for all
 * of it.
 */
#include "chain.h"
#include <errno.h>
#include <stdlib.h>

static int compare_dots(const struct publication_head *a, const struct publication_head *b)
{
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    if (a->actor != b->actor)
        return a->actor < b->actor ? -1 : 1;
    return 0;
}

static int compare_heads(const struct publication_head *a, const struct publication_head *b)
{
    int order = compare_dots(a, b);
    return order ? order : memcmp(a->hash, b->hash, SHA256_SIZE);
}

/* Of equal ones that in the store comes first: it stays, the others are duplicates. */
static int by_self(const void *a, const void *b)
{
    const struct link *x = a, *y = b;
    int order = compare_heads(&x->self, &y->self);

    if (order || x->staged != y->staged)
        return order ? order : x->staged ? 1 : -1;
    return x->object < y->object ? -1 : x->object > y->object;
}

/* The first link that is not before `h` in the order of dots. */
static size_t lower_bound(const struct link *v, size_t count, const struct publication_head *h)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_dots(&v[mid].self, h) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool same_dot(const struct publication_head *a, const struct publication_head *b)
{
    return a->seq == b->seq && a->actor == b->actor;
}

/* --- judging ------------------------------------------------------------------------ */

/* Those that share a dot: [from, to). */
static void judge_dot(struct link *v, size_t from, size_t to, const struct chain_wish *wish)
{
    bool forked = false, known = false;

    for (size_t k = from; k < to; k++) {
        v[k].parent = NO_LINK;
        v[k].verdict = LINK_BRANCH;   /* until its predecessor is judged */
        if (k > from && memcmp(v[k].self.hash, v[k - 1].self.hash, SHA256_SIZE) == 0)
            v[k].verdict = LINK_DUPLICATE;
        else if (k > from)
            forked = true;
        known |= compare_heads(&v[k].self, &wish->seen) == 0;
    }
    for (size_t k = from; forked && k < to; k++)
        if (v[k].verdict == LINK_BRANCH && !(known && compare_heads(&v[k].self, &wish->seen) == 0))
            v[k].verdict = LINK_FORKED;
}

/* The link with this dot and hash, or NO_LINK; *other: one with another hash is there. */
static size_t find_link(const struct link *v, size_t count, const struct publication_head *h, bool *other)
{
    size_t at = lower_bound(v, count, h), end = at;

    while (end < count && same_dot(&v[end].self, h) && memcmp(v[end].self.hash, h->hash, SHA256_SIZE))
        end++;
    *other = end > at;
    return end < count && same_dot(&v[end].self, h) ? end : NO_LINK;
}

/* What the one that it names as its predecessor makes of it. */
static enum link_verdict follow(const struct link *v, size_t count, struct link *l, const struct publication_head *h)
{
    bool other;
    size_t at = find_link(v, count, h, &other);

    if (at == NO_LINK)
        return other ? LINK_BROKEN : LINK_PENDING;
    l->parent = at;
    if (v[at].verdict == LINK_BRANCH)
        return LINK_BRANCH;
    return v[at].verdict == LINK_FORKED || v[at].verdict == LINK_BROKEN ? LINK_BROKEN : LINK_PENDING;
}

/* The place of the part that follows this one of a checkpoint, or NO_LINK. */
static size_t next_shard(const struct link *v, size_t count, size_t k)
{
    struct publication_head next = { .actor = v[k].self.actor, .seq = v[k].self.seq + 1 };

    for (size_t at = lower_bound(v, count, &next); at < count && same_dot(&v[at].self, &next); at++)
        if (v[at].shard == v[k].shard + 1 && !v[at].incomplete && compare_heads(&v[at].before, &v[k].self) == 0)
            return at;
    return NO_LINK;
}

static bool begins_checkpoint(const struct link *v, size_t count, size_t k)
{
    if (v[k].shard != 1 || v[k].incomplete)
        return false;
    while (k != NO_LINK && !v[k].last)
        k = next_shard(v, count, k);
    return k != NO_LINK;
}

/* The predecessor decides, or that none is needed. */
static enum link_verdict judge_link(struct link *v, size_t count, struct link *l)
{
    enum link_verdict verdict = l->before.seq ? follow(v, count, l, &l->before) : LINK_BRANCH;

    if (verdict == LINK_PENDING && l->around.seq)
        verdict = follow(v, count, l, &l->around);
    if (verdict == LINK_PENDING && begins_checkpoint(v, count, (size_t)(l - v))) {
        l->parent = NO_LINK;
        verdict = LINK_BRANCH;
    }
    return verdict == LINK_BRANCH && l->incomplete ? LINK_PENDING : verdict;
}

static void judge(struct link *v, size_t count, const struct chain_wish *wish)
{
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && same_dot(&v[from].self, &v[to].self);)
            to++;
        judge_dot(v, from, to, wish);
        for (size_t k = from; k < to; k++)
            if (v[k].verdict == LINK_BRANCH)
                v[k].verdict = judge_link(v, count, &v[k]);
    }
}

/* --- the path ------------------------------------------------------------------------- */

/* What speaks for the branch that ends at a link. */
struct merit {
    bool seen;                 /* it goes through what the device has seen */
    uint64_t own;              /* number of the last one on it that the device published */
};

static struct merit merit_of(const struct link *l, const struct merit *parent, const struct chain_wish *wish)
{
    struct merit m = parent ? *parent : (struct merit){ 0 };

    if (wish->seen.seq && compare_heads(&l->self, &wish->seen) == 0)
        m.seen = true;
    if (wish->actor && l->self.actor == wish->actor)
        m.own = l->self.seq;
    return m;
}

/* Is b, which comes later in the order of numbers, a better tip than a? */
static bool better(const struct link *v, const struct merit *m, size_t a, size_t b)
{
    if (m[a].seen != m[b].seen)
        return m[b].seen;
    if (m[a].own != m[b].own)
        return m[b].own > m[a].own;
    return v[b].self.seq > v[a].self.seq || v[b].time > v[a].time;
}

static size_t choose_tip(const struct link *v, size_t count, const struct chain_wish *wish, struct merit *m)
{
    size_t best = NO_LINK;

    for (size_t k = 0; k < count; k++) {
        if (v[k].verdict != LINK_BRANCH)
            continue;
        m[k] = merit_of(&v[k], v[k].parent == NO_LINK ? NULL : &m[v[k].parent], wish);
        if (best == NO_LINK || better(v, m, best, k))
            best = k;
    }
    return best;
}

static void walk_back(const struct link *v, size_t tip, struct chain *out)
{
    size_t count = 0;

    for (size_t k = tip; k != NO_LINK; k = v[k].parent)
        count++;
    out->count = count;
    for (size_t k = tip; k != NO_LINK; k = v[k].parent)
        out->order[--count] = k;
}

/* Cuts back to the last one that closes its series and is in the store. */
static void cut_back(struct link *v, struct chain *c)
{
    size_t whole = c->count, staged = c->count;

    for (size_t k = c->count; k--;)
        if (v[c->order[k]].staged)
            staged = k;
    for (whole = staged; whole && v[c->order[whole - 1]].more;)
        whole--;
    for (size_t k = 0; k < c->count; k++)
        v[c->order[k]].verdict = k < whole ? LINK_CHAIN : v[c->order[k]].staged ? LINK_STAGED : LINK_SERIES;
    c->loose = c->count - whole;
    c->count = whole;
}

/* The newest whole checkpoint whose series is closed, all of it one after another. */
static bool find_base(const struct link *v, struct chain *c)
{
    bool found = false;
    size_t run = 0;            /* parts, without a gap, up to here */

    for (size_t k = 0; k < c->count; k++) {
        const struct link *l = &v[c->order[k]];
        bool next = k && run && l->shard == run + 1 && l->parent == c->order[k - 1] &&
                    compare_heads(&l->before, &v[c->order[k - 1]].self) == 0;
        run = l->shard == 1 ? 1 : next ? run + 1 : 0;
        if (run && l->last) {
            c->base = k + 1 - run;
            found = true;
        }
    }
    return found;
}

/* A path without a beginning is nothing: what it tells is a part of a tree. */
static void require_root(struct link *v, struct chain *c)
{
    size_t all = c->count + c->loose;

    if (find_base(v, c) || !all || v[c->order[0]].self.seq == 1)
        return;
    for (size_t k = 0; k < all; k++)
        v[c->order[k]].verdict = LINK_PENDING;
    c->count = c->loose = 0;
}

/* What waits before the beginning is not needed, nor what its publisher has left behind
 * there, with a gap between. */
static bool is_past(const struct link *l, const struct link *first)
{
    return first && l->self.seq < first->self.seq &&
           (l->verdict == LINK_PENDING || (l->verdict == LINK_BRANCH && l->self.actor == first->self.actor));
}

static void tally(const struct link *v, size_t count, struct chain *c)
{
    const struct link *first = c->count ? &v[c->order[c->base]] : NULL;

    for (size_t k = 0; k < count; k++) {
        if (is_past(&v[k], first))
            continue;
        c->pending += v[k].verdict == LINK_PENDING && !v[k].staged;
        c->branches += v[k].verdict == LINK_BRANCH && !v[k].staged;
        c->duplicates += v[k].verdict == LINK_DUPLICATE;
        c->forked += v[k].verdict == LINK_FORKED;
        c->broken += v[k].verdict == LINK_BROKEN;
    }
}

int chain_order(struct link *links, size_t count, const struct chain_wish *wish, struct chain *out)
{
    *out = (struct chain){ .order = calloc(count + 1, sizeof *out->order) };
    struct merit *merits = calloc(count + 1, sizeof *merits);

    if (!out->order || !merits) {
        free(merits);
        chain_free(out);
        return -ENOMEM;
    }
    if (count)
        qsort(links, count, sizeof *links, by_self);
    judge(links, count, wish);
    walk_back(links, choose_tip(links, count, wish, merits), out);
    cut_back(links, out);
    require_root(links, out);
    tally(links, count, out);
    free(merits);
    return 0;
}

bool chain_suffices(const struct link *links, const struct chain *c)
{
    return c->count && links[c->order[c->base]].shard == 1 && !c->pending && !c->branches && !c->forked && !c->broken;
}

void chain_free(struct chain *c)
{
    free(c->order);
    *c = (struct chain){ 0 };
}
