/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Which publications are the history, and in which order.
 *
 * Links are sorted by number, then actor, then hash, so that a predecessor is
 * found by bisection and always judged before its successors.
 *
 *   two hashes under one (actor, number)   both forked, unless the device knows
 *                                          by itself which one is its own
 *   predecessor absent                     pending: a gap, and so is what follows
 *   predecessor there with another hash    broken
 *   a segment absent                       pending, and what follows
 *
 * The rest are trees of whole publications.  The tip is that of the branch on
 * which the device last was; without that knowledge the longest, then the
 * latest.  From the tip the path leads back to number 1.  Its end is cut back to
 * the last publication that closes its series of parts and is in the store:
 * what lies beyond is loose, for the caller to use or to leave.
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
        v[k].verdict = LINK_BRANCH;
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

/* The predecessor decides. */
static enum link_verdict judge_link(struct link *v, size_t count, struct link *l)
{
    if (l->before.seq) {
        size_t at = lower_bound(v, count, &l->before), end = at;
        while (end < count && same_dot(&v[end].self, &l->before) &&
               memcmp(v[end].self.hash, l->before.hash, SHA256_SIZE))
            end++;
        if (end == count || !same_dot(&v[end].self, &l->before))
            return end == at ? LINK_PENDING : LINK_BROKEN;
        l->parent = end;
        enum link_verdict of_parent = v[end].verdict;
        if (of_parent != LINK_BRANCH)
            return of_parent == LINK_FORKED || of_parent == LINK_BROKEN ? LINK_BROKEN : LINK_PENDING;
    }
    return l->incomplete ? LINK_PENDING : LINK_BRANCH;
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
    size_t count = tip == NO_LINK ? 0 : (size_t)v[tip].self.seq;

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

static void tally(const struct link *v, size_t count, struct chain *c)
{
    for (size_t k = 0; k < count; k++) {
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
    tally(links, count, out);
    free(merits);
    return 0;
}

void chain_free(struct chain *c)
{
    free(c->order);
    *c = (struct chain){ 0 };
}
