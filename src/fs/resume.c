/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A recovery that was interrupted goes on where it stopped.
 *
 * Each publication enters the new index in one transaction (index_take), so an index
 * that was cut anywhere holds the first so many publications of the history, whole,
 * and says by itself which.  Beside it lie, in the unfinished directory (renewal.c)
 *
 *   keyring   its local key, which the recovery key opens
 *   history   the links of the history as it was decided, and the heads before its
 *             beginning, written with the first publication (history.c)
 *
 * so that the footers of what was applied need not be read again.
 *
 * Gone on with only if all of it opens, every page of the index too; if what was
 * applied is, publication by publication, the beginning of the history that is decided
 * now; and if every segment that it names is still in the store with its length.  In
 * any other case it is given up, and all begins anew: a newer checkpoint, another
 * branch, an object that went.
 *
 * Only the local key is taken over.  Actor, slots and all else are the new keyring's, so
 * that the passphrase is the one given last, and two machines that go on from
 * copies of one directory are two actors.
 *
 * Not for a rebuild over an old state: what was not published is no history, the old
 * files may have changed since, and such a rebuild is rare.
 */
#include "rebuild.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct resume {
    struct history history;
    const struct history_entry **by_id; /* the first `applied` of them */
    size_t applied;
};

static void free_resume(struct resume *r)
{
    if (!r)
        return;
    history_free(&r->history);
    free(r->by_id);
    free(r);
}

int resume_note(struct rebuild *b)
{
    size_t count = b->chain.count - b->chain.base;
    struct history h = { .heads = (struct publication_head *)(void *)b->heads.data, .count = count };

    if (b->o->old || !b->o->recovery)
        return 0;
    h.head_count = b->heads.len / sizeof *h.heads;
    h.v = calloc(count, sizeof *h.v);
    if (!h.v)
        return -ENOMEM;
    for (size_t k = 0; k < count; k++) {
        h.v[k].link = b->survey.links[b->chain.order[b->chain.base + k]];
        h.v[k].object = b->survey.objects[h.v[k].link.object].id;
    }
    int rc = history_write(&h, b->renewal.files.dir, b->o->keys);
    b->noted = !rc;
    free(h.v);
    if (rc != -EFBIG)
        return rc;
    log_info("ECL-0353 rebuild: %zu publications are too many to be gone on with after an interruption", count);
    return 0;
}

/* --- opening --------------------------------------------------------------------------------- */

/* The new keyring becomes that of the index that is there. */
static int take_key(struct rebuild *b)
{
    struct keyring *left = NULL;

    int rc = keyring_load(&left, b->renewal.files.dir, "keyring");
    if (!rc && !id_equal(keyring_vault(left), keyring_vault(b->o->keys)))
        rc = E_STATE_FOREIGN;
    if (!rc)
        rc = keyring_unlock(left, SLOT_RECOVERY, b->o->recovery, KEY_SIZE);
    if (!rc)
        keyring_take_local_key(b->o->keys, left);
    keyring_free(left);
    return rc;
}

/* What the end of a recovery makes; it is made again. */
static void remove_end(const struct rebuild *b)
{
    static const char *const names[] = { "journal", "ballast", "heads" };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++)
        unlinkat(b->renewal.files.dir, names[k], 0);
}

static int open_index(struct rebuild *b)
{
    int rc = index_open(&b->index, b->renewal.files.path, keyring_local_key(b->o->keys), false);
    if (rc)
        b->index = NULL;
    if (!rc)
        rc = index_settle(b->index);
    return rc ? rc : index_verify(b->index);
}

/* How many of the links the index has: all up to its last one, or it is not theirs. */
static int count_applied(struct rebuild *b, struct resume *r)
{
    const struct history *all = &r->history;
    struct publication_row row;

    int rc = index_last_publication(b->index, &row);
    while (!rc && r->applied < all->count && all->v[r->applied].link.self.seq <= row.seq)
        r->applied++;
    if (rc || !r->applied || all->v[r->applied - 1].link.self.seq != row.seq)
        return rc ? rc : E_FORMAT;
    for (size_t k = 0; !rc && k < r->applied; k++) {
        const struct publication_head *h = &all->v[k].link.self;
        rc = index_publication(b->index, h->seq, &row);
        if (!rc && (row.seq != h->seq || !row.done || memcmp(row.hash, h->hash, sizeof h->hash)))
            rc = E_FORMAT;
    }
    return rc;
}

static int read_counters(struct rebuild *b)
{
    struct numbers *n = &b->numbers;
    uint64_t ino = 0, cookie = 0, id;

    int rc = index_counter(b->index, COUNTER_INO, &ino);
    if (!rc)
        rc = index_counter(b->index, COUNTER_COOKIE, &cookie);
    n->ino = ino - 1;
    n->cookie = cookie - 1;
    for (uint32_t k = 0; !rc && k < ACTOR_LIMIT; k++) {
        rc = index_counter(b->index, (enum counter)(COUNTER_ACTOR + k), &id);
        if (rc == -ENOENT) {         /* there are no more; any other error says nothing of them */
            rc = 0;
            break;
        }
        if (!rc)
            rc = numbers_add_actor(n, id);
    }
    n->noted = n->actor_count;
    return rc;
}

static int by_id(const void *a, const void *b)
{
    const struct history_entry *x = *(const struct history_entry *const *)a;
    const struct history_entry *y = *(const struct history_entry *const *)b;
    return memcmp(x->object.b, y->object.b, sizeof x->object.b);
}

static int sort_known(struct resume *r)
{
    r->by_id = calloc(r->applied + 1, sizeof *r->by_id);
    if (!r->by_id)
        return -ENOMEM;
    for (size_t k = 0; k < r->applied; k++)
        r->by_id[k] = &r->history.v[k];
    qsort(r->by_id, r->applied, sizeof *r->by_id, by_id);
    return 0;
}

static int open_left(struct rebuild *b)
{
    struct resume *r = b->resume = calloc(1, sizeof *r);

    int rc = r ? take_key(b) : -ENOMEM;
    if (!rc)
        rc = history_read(&r->history, b->renewal.files.dir, b->o->keys);
    if (!rc) {
        buf_append(&b->heads, r->history.heads, r->history.head_count * sizeof *r->history.heads);
        rc = b->heads.failed ? -ENOMEM : open_index(b);
    }
    if (!rc)
        rc = count_applied(b, r);
    if (!rc)
        rc = read_counters(b);
    return rc ? rc : sort_known(r);
}

int resume_open(struct rebuild *b)
{
    if (b->o->old || !b->o->recovery)
        return 0;
    int rc = renewal_reopen(&b->renewal, b->o->path);
    if (!rc) {
        rc = open_left(b);
        if (rc && rc != -ENOMEM && rc != -ENOSPC) {
            resume_give_up(b);
            if (rc != -ENOENT)   /* it was cut before anything was applied */
                log_warning("ECL-0348 rebuild: what an interruption left is of no use: %s", error_name(rc));
            b->report->anew = rc != -ENOENT;
            return 0;
        }
        b->noted = !rc;
        return rc;
    }
    renewal_end(&b->renewal);
    return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

const struct link *resume_link(const struct rebuild *b, const struct object *o)
{
    const struct history_entry key = { .object = o->id }, *wanted = &key, **found;

    if (!b->resume || o->staged || !b->resume->applied)
        return NULL;
    found = bsearch(&wanted, b->resume->by_id, b->resume->applied, sizeof *b->resume->by_id, by_id);
    return found && (*found)->link.self.seq == o->publication ? &(*found)->link : NULL;
}

/* --- is it still right? ------------------------------------------------------------------------ */

static bool is_beginning(const struct rebuild *b)
{
    const struct resume *r = b->resume;

    if (b->chain.count - b->chain.base < r->applied)
        return false;
    for (size_t k = 0; k < r->applied; k++) {
        const struct publication_head *now = &b->survey.links[b->chain.order[b->chain.base + k]].self;
        const struct publication_head *then = &r->history.v[k].link.self;
        if (now->actor != then->actor || now->seq != then->seq || memcmp(now->hash, then->hash, sizeof now->hash))
            return false;
    }
    return true;
}

/* Its number is the object's again; 1 when the object is not there as it was. */
static int take_number(void *ctx, const struct segment_row *row)
{
    struct rebuild *b = ctx;
    struct object *o = survey_find(&b->survey, &row->id);

    if (!o || o->size != row->length)
        return 1;
    o->number = row->number;
    o->named = true;
    if (row->number > b->numbers.segment)
        b->numbers.segment = row->number;
    return 0;
}

static void turn_away(struct rebuild *b)
{
    log_warning("ECL-0349 rebuild: the store has another history than what an interruption left: it begins anew");
    resume_give_up(b);
}

int resume_place(struct rebuild *b)
{
    int rc = b->resume ? index_scan_segments(b->index, 0, take_number, b) : 0;

    if (rc == 1 || rc == E_STATE_DAMAGED)
        turn_away(b);
    return rc == 1 || rc == E_STATE_DAMAGED ? 0 : rc;
}

void resume_check(struct rebuild *b)
{
    if (b->resume && !is_beginning(b))
        turn_away(b);
    if (!b->resume)
        return;
    b->resumed = b->resume->applied;
    b->report->resumed = b->resumed;
    remove_end(b);
    log_info("ECL-0350 rebuild: goes on after %zu of %zu publications", b->resumed, b->chain.count - b->chain.base);
}

void resume_give_up(struct rebuild *b)
{
    if (b->index)
        index_discard(b->index);
    b->index = NULL;
    free_resume(b->resume);
    b->resume = NULL;
    b->resumed = b->report->resumed = 0;
    b->report->anew = true;
    b->noted = false;
    buf_free(&b->heads);
    free(b->numbers.actors);
    b->numbers = (struct numbers){ .ino = ROOT_INO, .cookie = 2 };
    for (size_t k = 0; k < b->survey.count; k++)
        b->survey.objects[k].number = 0;
    for (size_t k = 0; k < b->survey.gone_count; k++)
        b->survey.gone[k]->number = 0;
    renewal_end(&b->renewal);
}

void resume_end(struct rebuild *b, int rc)
{
    if (b->index)
        index_close(b->index);   /* refused before anything was done with it */
    b->index = NULL;
    if (rc && b->noted) {
        b->renewal.made = false;
        b->report->kept_half = true;
    }
    free_resume(b->resume);
    b->resume = NULL;
}
