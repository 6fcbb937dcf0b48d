/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The index from the store: the history of publications, applied in order.
 *
 * Invariants
 *   1. The new index after the history equals the tree at the cut of its last
 *      publication, row by row.
 *   2. A publication is applied only after all that it follows, and with its
 *      whole series of parts; nothing is applied of one whose segments are not
 *      all there (chain.c has cut such ones off).
 *   3. What is passed over is counted in the report, and unless the caller
 *      accepts that (`partial`), ends the rebuild before anything is made.
 *
 * A device that has no state goes on with what an interruption left (resume.c); a
 * rebuild over an old state begins anew.
 */
#include "rebuild.h"
#include "audit.h"
#include "layout.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>


int rebuild_progress(const struct rebuild *b, enum rebuild_phase phase, uint64_t done, uint64_t total)
{
    return b->o->progress ? b->o->progress(b->o->ctx, phase, done, total) : 0;
}

/* --- the old index --------------------------------------------------------------------- */

/* What it knew of publications, read without a change to it. That it cannot be read
 * is no error: it is why we are here. */
static void open_old(struct rebuild *b)
{
    struct publication_row last;
    uint64_t actor;

    if (!b->o->old || !b->o->old->keys || b->o->old->keys != b->o->keys)
        return;
    int rc = index_open(&b->old, b->o->old->path, keyring_local_key(b->o->keys), true);
    if (!rc)
        rc = index_counter(b->old, COUNTER_ACTOR, &actor);
    if (rc == -ENOENT)
        rc = 0;                  /* never mounted for writing */
    if (rc && b->old) {
        index_close(b->old);
        b->old = NULL;
    }
    log_info("ECL-0342 rebuild: the old index: %s", error_name(rc));
    if (!b->old || index_last_publication(b->old, &last))
        return;
    b->report->seen = last.seq;
    /* An intent may never have reached the store. */
    b->intent = last.done ? 0 : last.seq;
    if (!last.done && (last.seq < 2 || index_publication(b->old, last.seq - 1, &last)))
        return;
    b->seen.seq = last.seq;
    memcpy(b->seen.hash, last.hash, sizeof last.hash);
    for (uint32_t k = 0; k < ACTOR_LIMIT; k++) {
        uint64_t id, first;
        if (index_counter(b->old, (enum counter)(COUNTER_ACTOR + k), &id) ||
            index_counter(b->old, (enum counter)(COUNTER_CHAIN + k), &first) || first > last.seq)
            return;
        b->seen.actor = id;
    }
}

/* --- the order ---------------------------------------------------------------------------- */

static void tell(const struct rebuild *b)
{
    const struct chain *c = &b->chain;

    log_info("ECL-0343 rebuild: %zu publications, %zu behind them, %zu pending, %zu of other branches, "
             "%zu twice, %zu forked, %zu broken", c->count, c->loose, c->pending, c->branches, c->duplicates,
             c->forked, c->broken);
    for (size_t k = 0; k < b->survey.link_count; k++) {
        const struct link *l = &b->survey.links[k];
        char id[ID_TEXT];
        if (l->verdict != LINK_PENDING && l->verdict != LINK_FORKED && l->verdict != LINK_BROKEN)
            continue;
        id_format(&b->survey.objects[l->object].id, id);
        log_warning("ECL-0344 rebuild: publication %016llx/%llu (object %s): %s", (unsigned long long)l->self.actor,
                    (unsigned long long)l->self.seq, id, l->verdict == LINK_PENDING ? "pending"
                    : l->verdict == LINK_FORKED ? "another one has its number" : "follows another one than is there");
    }
}

uint64_t history_end(const struct rebuild *b)
{
    size_t all = b->chain.count + b->chain.loose;
    return all ? b->survey.links[b->chain.order[all - 1]].self.seq : 0;
}

static bool is_seen(const struct rebuild *b, const struct publication_head *h)
{
    return h->seq == b->seen.seq && memcmp(h->hash, b->seen.hash, sizeof h->hash) == 0;
}

/* Is what the old index knew as published part of the history? Also a part whose
 * series has no end yet was published. */
static bool has_seen(const struct rebuild *b)
{
    size_t all = b->chain.count + b->chain.loose;

    if (!b->seen.seq)
        return true;
    for (size_t k = 0; k < all; k++) {
        const struct link *l = &b->survey.links[b->chain.order[k]];
        if (is_seen(b, &l->self) || is_seen(b, &l->before))
            return true;
    }
    /* Older than the beginning, and no longer there. */
    return b->chain.count && b->seen.seq < b->survey.links[b->chain.order[0]].before.seq;
}

/* Segments of this vault without any publication: those have not arrived, or are lost
 * (ecluse salvage). An empty tree would be a lie. */
static bool lacks_history(const struct rebuild *b)
{
    for (size_t k = 0; !b->chain.count && k < b->survey.count; k++)
        if (b->survey.objects[k].headed && !b->survey.objects[k].staged)
            return true;
    return false;
}

static int decide_order(struct rebuild *b)
{
    struct rebuild_report *r = b->report;

    tell(b);
    doubts_count(b);
    int rc = rebuild_heads(b);
    r->publications = b->chain.count - b->chain.base;
    r->pending = b->chain.pending;
    r->branches = b->chain.branches;
    r->refused = b->chain.forked + b->chain.broken;
    if (b->chain.count)
        r->time = b->survey.links[b->chain.order[b->chain.count - 1]].time;
    if (rc)
        return rc;
    if (b->o->partial)
        return 0;
    if (b->chain.forked)
        return E_FORKED;
    if (b->chain.broken)
        return E_AUTH;
    if (!has_seen(b))
        return E_OLDER_STATE;
    if (b->chain.pending || lacks_history(b))
        return E_NOT_ARRIVED;
    return r->altered ? E_AUTH : r->newer ? E_NEWER_FORMAT : r->late ? E_NOT_ARRIVED : 0;
}

/* --- the whole ---------------------------------------------------------------------------------- */

static int make_index(struct rebuild *b)
{
    const uint8_t *key = keyring_local_key(b->o->keys);

    if (b->index)                /* it is gone on with */
        return 0;
    int rc = index_create(b->renewal.files.path, key, b->o->uid, b->o->gid);
    return rc ? rc : index_open(&b->index, b->renewal.files.path, key, false);
}

static int close_index(struct rebuild *b, int rc)
{
    struct index_totals totals;

    if (!b->index)
        return rc;
    if (!rc)
        rc = index_totals(b->index, &totals);
    if (!rc) {
        b->report->inodes = totals.inodes;
        b->report->bytes = totals.object_bytes;
        b->report->gone = b->survey.gone_count;
    }
    int closed = index_close(b->index);
    b->index = NULL;
    return rc ? rc : closed;
}

/* Staged segments that the new state does not use stay where the old files are. */
static void count_left(struct rebuild *b)
{
    for (size_t k = 0; k < b->survey.count; k++) {
        const struct object *o = &b->survey.objects[k];
        if (!o->staged || o->number)
            continue;
        b->report->left++;
        b->report->left_bytes += o->size;
    }
}

/* The audit log goes on in the new state: by a second name, or where there can be none (an
 * append-only file, say) as a copy. It stays with the old files anyhow: no rebuild fails for want of it.
 * Under the same keys its head holds too: a kill before the next event is no alarm. */
static void keep_log(const struct rebuild *b)
{
    int from = b->o->old->dir, to = b->renewal.files.dir;

    int rc = audit_keep(from, to);
    if (rc)
        rc = kept_copy(from, AUDIT_FILE, to);
    if (rc) {
        unlinkat(to, AUDIT_FILE, 0);
        log_warning("ECL-0352 rebuild: the audit log begins anew: %s", error_name(rc));
    } else if (b->o->old->keys == b->o->keys && kept_copy(from, AUDIT_HEAD, to)) {
        unlinkat(to, AUDIT_HEAD, 0);
    }
}

static int fill(struct rebuild *b)
{
    int rc = make_index(b);
    if (!rc)
        rc = history_apply(b);
    if (!rc)
        rc = keep_unpublished(b);
    if (!rc)
        rc = history_counters(b);
    rc = close_index(b, rc);
    if (!rc)
        rc = layout_journal(b->renewal.files.dir, keyring_local_key(b->o->keys));
    if (!rc)
        rc = keyring_save(b->o->keys, b->renewal.files.dir, "keyring");
    if (!rc)
        rc = rebuild_keep_heads(b);
    if (!rc && b->o->old)
        keep_log(b);
    if (!rc)
        rc = ballast_make(b->renewal.files.dir);
    /* Nothing that another device may have is in it: it needs not become somebody else. */
    return rc || b->o->old ? rc : state_adopt(&b->renewal.files);
}

/* What was found damaged only when it was gone on with is made once more. */
static int make(struct rebuild *b)
{
    int rc = b->resumed ? fill(b) : 0;

    if (rc == E_STATE_DAMAGED)
        resume_give_up(b);
    else if (b->resumed)
        return rc;
    rc = renewal_begin(&b->renewal, b->o->path, b->o->old != NULL);
    if (!rc && !b->o->old)
        rc = keyring_save(b->o->keys, b->renewal.files.dir, "keyring");
    return rc ? rc : fill(b);
}

static int run(struct rebuild *b)
{
    int rc = b->o->old ? renewal_settle(b->o->old) : 0;
    if (rc)
        return rc;
    open_old(b);
    rc = resume_open(b);
    if (!rc)
        rc = survey_take(b);
    if (!rc)
        resume_check(b);
    if (!rc)
        rc = decide_order(b);
    if (!rc)                     /* until here nothing is changed on disk */
        rc = make(b);
    if (b->old)
        index_close(b->old);
    b->old = NULL;
    if (!rc) {
        count_left(b);
        rc = renewal_switch(&b->renewal, b->o->old != NULL, b->report->damaged);
    }
    log_info("ECL-0346 rebuild: %llu publications, %zu of them since before, %llu applied, %llu unpublished rows kept, "
             "%llu lost: %s", (unsigned long long)b->report->publications, b->resumed, (unsigned long long)b->applied,
             (unsigned long long)b->report->kept, (unsigned long long)b->report->lost, error_name(rc));
    return rc;
}

int rebuild_state(const struct rebuild_options *o, struct rebuild_report *report)
{
    struct rebuild *b = calloc(1, sizeof *b);

    *report = (struct rebuild_report){ 0 };
    if (!b)
        return -ENOMEM;
    b->o = o;
    b->report = report;
    b->numbers = (struct numbers){ .ino = ROOT_INO, .cookie = 2 };
    b->renewal.basefd = b->renewal.files.dir = b->renewal.files.staging = b->renewal.files.lock = -1;
    int rc = run(b);
    resume_end(b, rc);
    renewal_end(&b->renewal);
    survey_free(&b->survey);
    chain_free(&b->chain);
    buf_free(&b->heads);
    free(b->numbers.actors);
    free(b);
    return rc;
}
