/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A check of a store: in which order, and what is told.
 *
 *   list     names; what is foreign is told at once
 *   objects  front, trailer, footer; publications become links
 *   names    what publications and the index name: lengths, hashes, what is absent
 *   order    the chain, as a rebuild would take it
 *   rows     against reverse maps
 *   data     hashes and blocks, if wished
 *   again    whatever looked like an attack and has another size by now was just
 *            being written
 *
 * Invariants: nothing is written anywhere; an object gets one verdict; memory grows
 * with the number of objects and publications (some 120 and 200 bytes each), not
 * with their contents.
 *
 * Not promised: a picture of one moment while others work in the store.
 */
#include "checking.h"
#include "seen.h"
#include <ecluse/error.h>
#include <errno.h>
#include <stdlib.h>

void check_progress(const struct checking *c, enum check_phase phase, uint64_t done, uint64_t total)
{
    if (c->o->progress)
        c->o->progress(c->o->ctx, phase, done, total);
}

void tell_finding(const struct checking *c, const struct check_finding *f)
{
    struct check_report *r = c->report;

    r->count[f->verdict]++;
    if (f->verdict > r->worst)
        r->worst = f->verdict;
    if (c->o->finding)
        c->o->finding(c->o->ctx, f);
}

/* --- telling ------------------------------------------------------------------------- */

/* Sizes change while a sync client writes in place. */
static void look_again(struct checking *c, struct checked *x)
{
    uint64_t size;
    bool suspect = x->verdict == CHECK_ATTACK || (x->verdict == CHECK_FOREIGN && x->reason == CHECK_BECAUSE_OTHER_VAULT);

    if (suspect && (store_size(c->o->store, &x->id, &size) || size != x->size)) {
        x->verdict = CHECK_NOT_ARRIVED;
        x->reason = CHECK_BECAUSE_CHANGING;
    }
}

static void tell_objects(struct checking *c)
{
    char path[OBJECT_PATH];

    for (size_t k = 0; k < c->count; k++) {
        struct checked *x = &c->objects[k];
        look_again(c, x);
        if (x->verdict == CHECK_OK) {
            c->report->count[CHECK_OK] += x->inspection == INSPECT_WHOLE;
            continue;
        }
        object_path(&x->id, path);
        tell_finding(c, &(struct check_finding){ (enum check_verdict)x->verdict, (enum check_reason)x->reason, path,
                                                 x->number, x->error });
    }
}

/* What those before the newest checkpoint lack is no loss. */
uint64_t check_needed_from(const struct checking *c)
{
    return c->chain.count ? c->links[c->chain.order[c->chain.base]].self.seq : 1;
}

static int by_id(const void *a, const void *b)
{
    const struct missing *x = a, *y = b;
    int order = memcmp(x->id.b, y->id.b, sizeof x->id.b);
    return order ? order : x->by > y->by ? -1 : x->by < y->by;
}

/* Each once, by whatever named it last. */
static void tell_missing(struct checking *c)
{
    struct missing *v = (struct missing *)(void *)c->missing.data;
    size_t count = c->missing.len / sizeof *v;
    char path[OBJECT_PATH];

    if (count)
        qsort(v, count, sizeof *v, by_id);
    for (size_t k = 0; k < count; k++) {
        if (v[k].by < check_needed_from(c) || (k && id_equal(&v[k - 1].id, &v[k].id)))
            continue;
        object_path(&v[k].id, path);
        tell_finding(c, &(struct check_finding){ CHECK_NOT_ARRIVED, CHECK_BECAUSE_ABSENT, path, 0, 0 });
    }
}

static void tell_links(const struct checking *c)
{
    for (size_t k = 0; k < c->link_count; k++) {
        const struct link *l = &c->links[k];
        char path[OBJECT_PATH];
        struct check_finding f = { CHECK_ATTACK, CHECK_BECAUSE_FORKED, path, l->self.seq, 0 };
        object_path(&c->objects[l->object].id, path);
        if (l->verdict == LINK_BROKEN)
            f.reason = CHECK_BECAUSE_BROKEN;
        else if (l->verdict == LINK_PENDING && l->parent == NO_LINK && l->before.seq && l->self.seq >= check_needed_from(c))
            f = (struct check_finding){ CHECK_NOT_ARRIVED, CHECK_BECAUSE_WAITS, path, l->before.seq, 0 };
        else if (l->verdict != LINK_FORKED)
            continue;
        tell_finding(c, &f);
    }
}

static void tell_older(struct checking *c)
{
    char path[OBJECT_PATH];

    if (!c->older)
        return;
    c->report->older = true;
    object_path(&c->last_carrier, path);
    tell_finding(c, &(struct check_finding){ CHECK_ATTACK, CHECK_BECAUSE_OLDER, path, c->wish.seen.seq, 0 });
}

/* Its carrier is whole, and yet the store does not have what the index saw in it. */
static void tell_unlike(struct checking *c)
{
    const struct checked *x = c->index && c->wish.seen.seq ? checked_find(c, &c->last_carrier) : NULL;
    char path[OBJECT_PATH];

    if (!x || x->inspection != INSPECT_WHOLE)
        return;
    for (size_t k = 0; k < c->link_count; k++)
        if (c->links[k].self.seq == c->wish.seen.seq &&
            memcmp(c->links[k].self.hash, c->wish.seen.hash, SHA256_SIZE) == 0)
            return;
    object_path(&x->id, path);
    tell_finding(c, &(struct check_finding){ CHECK_DAMAGED, CHECK_BECAUSE_INDEX, path, 0, 0 });
}

static void count_links(struct checking *c)
{
    struct check_report *r = c->report;

    r->publications = c->chain.count;
    r->branches = c->chain.branches;
    r->duplicates = c->chain.duplicates;
    r->unfinished = c->chain.loose;
    if (c->chain.count)
        r->time = c->links[c->chain.order[c->chain.count - 1]].time;
}

/* --- the order ------------------------------------------------------------------------ */

static int with_keys(struct checking *c)
{
    int rc = check_index_open(c);
    if (!rc)
        rc = check_objects(c);
    if (!rc)
        rc = check_names(c);
    if (!rc)
        rc = check_index_names(c);
    if (rc)
        return rc;
    rc = chain_order(c->links, c->link_count, &c->wish, &c->chain);
    if (rc)
        return rc;
    count_links(c);
    check_judge(c);
    rc = check_rows(c);
    if (!rc)
        rc = check_index_rows(c);
    if (!rc && (c->o->read_data || c->o->manifest))
        rc = check_data(c);
    check_judge(c);
    return rc;
}

static int run(struct checking *c)
{
    int rc = check_list(c);
    if (!rc)
        rc = c->o->keys ? with_keys(c) : check_blind(c);
    if (rc)
        return rc;
    check_manifest_rest(c);
    if (c->missing.failed)
        return -ENOMEM;
    tell_objects(c);
    tell_missing(c);
    tell_links(c);
    tell_older(c);
    check_heads(c);
    tell_unlike(c);
    return 0;
}

int check_store(const struct check_options *o, struct check_report *report)
{
    struct checking c = { .o = o, .report = report, .seen = { .fd = -1 } };

    *report = (struct check_report){ 0 };
    int rc = run(&c);
    if (c.index)
        index_discard(c.index);
    heads_free(&c.heads);
    inspected_free(&c.seen);
    chain_free(&c.chain);
    buf_free(&c.blocks);
    buf_free(&c.missing);
    free(c.objects);
    free(c.links);
    return rc;
}
