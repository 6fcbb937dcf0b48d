/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Do the reverse maps hold every block that rows refer to?
 *
 * Without that, a salvage would miss what a mount shows, and a check that opens
 * the blocks of all reverse maps would not have opened those of all rows.  The rows
 * of each publication of the history are taken by themselves, so that memory grows
 * with one publication and not with the tree; those of the index all at once.
 */
#include "checking.h"
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <errno.h>
#include <stdlib.h>

void add_need(struct buf *needs, const struct id128 *id, const struct run *run)
{
    struct block_need n = { *id, run->offset, run->count, run->sealed };
    buf_append(needs, &n, sizeof n);
}

static int by_place(const void *a, const void *b)
{
    const struct block_need *x = a, *y = b;
    int order = memcmp(x->id.b, y->id.b, sizeof x->id.b);
    return order ? order : x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void compare_run(struct checking *c, struct checked *x, const struct block_need *n)
{
    for (uint32_t k = 0; k < n->count; k++) {
        uint64_t offset = n->offset + (uint64_t)k * SEALED_BLOCK;
        if (offset > SEGMENT_MAX ||
            !blocks_have(&c->blocks, (uint32_t)offset, k + 1u == n->count ? n->sealed : BLOCK_SIZE)) {
            give_verdict(x, CHECK_DAMAGED, CHECK_BECAUSE_REVERSE, offset);
            return;
        }
    }
    c->report->rows += n->count;
}

/* Runs of one object: [from, to). One that does not open has its verdict already. */
static int compare(struct checking *c, const struct block_need *v, size_t from, size_t to)
{
    struct checked *x = checked_find(c, &v[from].id);

    if (!x || x->inspection != INSPECT_WHOLE || !checked_again(c, x))
        return 0;
    int rc = footer_blocks(&c->seen.view, &c->blocks);
    for (size_t k = from; !rc && k < to; k++)
        compare_run(c, x, &v[k]);
    return rc;
}

int check_needs(struct checking *c, struct buf *needs)
{
    struct block_need *v = (struct block_need *)(void *)needs->data;
    size_t count = needs->len / sizeof *v;
    int rc = needs->failed ? -ENOMEM : 0;

    if (!rc && count)
        qsort(v, count, sizeof *v, by_place);
    for (size_t from = 0, to; !rc && from < count; from = to) {
        for (to = from + 1; to < count && id_equal(&v[from].id, &v[to].id);)
            to++;
        rc = compare(c, v, from, to);
    }
    return rc;
}

/* --- a publication ------------------------------------------------------------------------- */

/* What the numbers of its rows mean; ascending. */
static int read_table(struct publication_view v, struct publication_segment **out, size_t *count)
{
    *out = calloc(v.segment_count + 1, sizeof **out);
    *count = 0;
    if (!*out)
        return -ENOMEM;
    while (publication_next_segment(&v, &(*out)[*count]))
        ++*count;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct publication_segment *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int take_record(const struct record *r, const struct publication_segment *table, size_t count,
                       struct buf *needs)
{
    uint32_t runs = r->kind == RECORD_INODE ? r->inode.run_count : r->kind == RECORD_CHUNK ? r->chunk.run_count : 0;

    if (r->kind > RECORD_CHUNKS_GONE)
        return E_FORMAT;         /* a device's own */
    for (uint32_t k = 0; k < runs; k++) {
        struct publication_segment key = { .number = r->runs[k].segment };
        const struct publication_segment *s = bsearch(&key, table, count, sizeof key, by_number);
        if (!s)
            return E_FORMAT;
        add_need(needs, &s->id, &r->runs[k]);
    }
    return 0;
}

static int gather(const struct publication_view *v, struct buf *needs)
{
    struct publication_segment *table;
    size_t count;
    struct record *rec = malloc(sizeof *rec);
    struct reader in = reader_over(v->rows, v->rows_len);

    int rc = read_table(*v, &table, &count);
    if (!rc && !rec)
        rc = -ENOMEM;
    while (!rc && (rc = batch_next(&in, rec)) == 1)
        rc = take_record(rec, table, count, needs);
    free(rec);
    free(table);
    return rc ? rc : needs->failed ? -ENOMEM : 0;
}

static int check_publication(struct checking *c, const struct link *l)
{
    struct checked *carrier = &c->objects[l->object];
    struct publication_view v;
    struct buf needs = { 0 };

    if (!checked_again(c, carrier) || checked_publication(c, &v))
        return 0;
    int rc = gather(&v, &needs);
    if (rc == E_FORMAT) {
        give_verdict(carrier, CHECK_DAMAGED, CHECK_BECAUSE_ROWS, 0);
        rc = 0;
    } else if (!rc) {
        rc = check_needs(c, &needs);
    }
    buf_free(&needs);
    return rc;
}

int check_rows(struct checking *c)
{
    int rc = 0;

    for (size_t k = 0; !rc && k < c->link_count; k++) {
        const struct link *l = &c->links[k];
        check_progress(c, CHECK_PHASE_ROWS, k, c->link_count);
        if (l->verdict == LINK_CHAIN || l->verdict == LINK_SERIES || l->verdict == LINK_BRANCH)
            rc = check_publication(c, l);
    }
    return rc;
}
