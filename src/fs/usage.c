/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the block maps refer to in each published segment.
 *
 * Whether anything is alive in a segment is exact, also while rows change: what is
 * changed is noted, and the owner of the commit's turn adds it (usages_note).  How much
 * is exact as of the scan: files may share blocks, so the bytes that maps name are
 * gathered as ranges, and each byte counts once.  Files that were written one after
 * another lie so in a segment, hence these are few; when they are more than a
 * million all the same, segments are taken in parts by a hash of their number, and the
 * maps are read once more for each part.
 */
#include "collecting.h"
#include <stdlib.h>

#define RANGES_AT_ONCE (1u << 20)
#define PARTS_MAX 256u           /* beyond that, memory grows */

struct range { uint32_t place, from, end; };   /* bytes of usages.v[place] */

struct counting {
    struct usages *u;
    struct buf ranges;
    size_t limit;
    uint32_t part, parts;        /* segments whose place falls into this part; a power of two */
};

static int note_segment(void *ctx, const struct segment_row *row)
{
    struct buf *b = ctx;
    struct usage u = { .number = row->number, .length = row->length };

    buf_append(b, &u, sizeof u);
    return b->failed ? -ENOMEM : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static struct usage *find(const struct usages *u, uint32_t number)
{
    struct usage key = { .number = number };
    return u->count ? bsearch(&key, u->v, u->count, sizeof key, by_number) : NULL;
}

void usages_note(struct usages *u, const struct run *runs, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        struct usage *x = find(u, runs[k].segment);
        if (x)
            x->seen = true;
    }
}

/* --- ranges ---------------------------------------------------------------------------- */

static bool in_part(const struct counting *c, uint32_t place)
{
    return (place & (c->parts - 1)) == c->part;
}

static int by_place(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* Those that touch or overlap become one. */
static void unite(struct buf *ranges)
{
    struct range *v = (struct range *)(void *)ranges->data;
    size_t count = ranges->len / sizeof *v, kept = 0;

    if (count)
        qsort(v, count, sizeof *v, by_place);
    for (size_t k = 0; k < count; k++) {
        struct range *last = kept ? &v[kept - 1] : NULL;
        if (!last || last->place != v[k].place || v[k].from > last->end)
            v[kept++] = v[k];
        else if (v[k].end > last->end)
            last->end = v[k].end;
    }
    ranges->len = kept * sizeof *v;
}

/* Makes room: by uniting, else by leaving half of the segments to a later part. */
static void make_room(struct counting *c)
{
    struct range *v = (struct range *)(void *)c->ranges.data;
    size_t kept = 0;

    unite(&c->ranges);
    size_t count = c->ranges.len / sizeof *v;
    if (count <= c->limit / 2)
        return;
    if (c->part || c->parts == PARTS_MAX) {
        c->limit *= 2;           /* the first part was no larger than its limit; this one is */
        return;
    }
    c->parts *= 2;
    for (size_t k = 0; k < c->u->count; k++)
        if (!in_part(c, (uint32_t)k))
            c->u->v[k].runs = 0;
    for (size_t k = 0; k < count; k++)
        if (in_part(c, v[k].place))
            v[kept++] = v[k];
    c->ranges.len = kept * sizeof *v;
}

static int add_range(struct counting *c, uint32_t place, const struct run *run)
{
    struct range r = { place, run->offset, run->offset + (uint32_t)run_bytes(run) };
    struct range *last = (struct range *)(void *)c->ranges.data;

    if (c->ranges.len)
        last += c->ranges.len / sizeof r - 1;
    if (c->ranges.len && last->place == place && last->end == r.from) {
        last->end = r.end;
        return 0;
    }
    if (c->ranges.len / sizeof r >= c->limit)
        make_room(c);
    if (in_part(c, place))
        buf_append(&c->ranges, &r, sizeof r);
    return c->ranges.failed ? -ENOMEM : 0;
}

static int add_map(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    struct counting *c = ctx;
    int rc = 0;
    (void)ino, (void)base;

    for (uint32_t k = 0; !rc && k < count; k++) {
        struct usage *x = find(c->u, runs[k].segment);
        if (!x || !in_part(c, (uint32_t)(x - c->u->v)))
            continue;
        x->seen = true;
        x->runs++;
        rc = add_range(c, (uint32_t)(x - c->u->v), &runs[k]);
    }
    return rc;
}

static void sum(struct counting *c)
{
    const struct range *v = (const struct range *)(const void *)c->ranges.data;

    unite(&c->ranges);
    for (size_t k = 0; k < c->ranges.len / sizeof *v; k++)
        c->u->v[v[k].place].live += v[k].end - v[k].from;
    buf_reset(&c->ranges);
}

int usages_take(struct fs *fs, size_t ranges_at_once, struct usages *u)
{
    struct counting c = { .u = u, .limit = ranges_at_once ? ranges_at_once : RANGES_AT_ONCE, .parts = 1 };
    struct buf rows = { 0 };

    *u = (struct usages){ 0 };
    int rc = index_scan_segments(fs->index, SEGMENT_PUBLISHED, note_segment, &rows);
    if (rc) {
        buf_free(&rows);
        return rc;
    }
    u->v = (struct usage *)(void *)rows.data;   /* taken over */
    u->count = rows.len / sizeof *u->v;
    for (; !rc && c.part < c.parts; c.part++) {
        rc = index_scan_maps(fs->index, add_map, &c);
        sum(&c);
    }
    buf_free(&c.ranges);
    return rc;
}

void usages_free(struct usages *u)
{
    free(u->v);
    *u = (struct usages){ 0 };
}
