/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Space that comes back: objects that nothing refers to leave the store.
 *
 *   count    every block map is read; then, in the commit's turn, those of the rows
 *            that changed meanwhile.  A segment that none of them names is dead, for
 *            ever: a reference could only be copied from another one
 *   settle   once all that was noted is published, no later publication names it
 *   wait     for the grace, and until whoever reads the store needs no publication
 *            that named it: two checkpoints stay readable, so the older one of
 *            them must have begun later.  Is that all that is missing, a
 *            checkpoint is made
 *   remove   some at a time, the directories synced, then the rows
 *
 * Invariants
 *   1. A removed object is named by no row, and by no publication from the older of
 *      the two last checkpoints on (the object of such a publication neither).
 *      Nor is the last publication of an earlier actor: should the device that was it
 *      still be there, it would be told that the store is older than it.
 *   2. While others publish into the store nothing is removed, nor counted.
 *   3. Each step may be repeated: a crash leaves an object without need, or a row
 *      without an object, and the next round goes on.
 *
 * Objects of this vault that the index does not know (left by a device that was lost,
 * brought back by a sync client) are noted when they are found and wait for the whole
 * grace, also when asked to do it at once: nobody knows whose they are.
 *
 * Runs in the publisher's thread, when all is published.
 */
#include "collecting.h"
#include "publishing.h"
#include "seen.h"
#include <stdlib.h>

#define DAY 86400
#define GRACE_DAYS 30u
#define ROUND_SECONDS 3600
#define PAUSE_SECONDS 60
#define REMOVALS_PACED 64u       /* between two pauses */
#define REMOVALS_SYNCED 256u     /* between two syncs */
#define COMPACTIONS 64           /* rounds of it, at most, when asked */

int64_t gc_grace(const struct fs *fs)
{
    return (int64_t)(fs->opt.grace ? fs->opt.grace - 1 : GRACE_DAYS) * DAY;
}

int gc_needed_from(struct fs *fs, uint64_t *seq)
{
    struct publication_row last;
    uint64_t first;

    *seq = 0;
    int rc = index_checkpoint(fs->index, INT64_MAX, &first, &last);
    if (!rc)
        rc = first > 1 ? index_checkpoint(fs->index, first - 1, &first, &last) : -ENOENT;
    if (!rc)
        *seq = first;
    return rc == -ENOENT ? 0 : rc;
}

/* After a failed sync: see commit.c. Without space or memory nothing was changed. */
static int synced(struct fs *fs, int rc)
{
    if (rc == -ENOSPC || rc == -ENOMEM)
        return rc;
    if (!rc)
        rc = index_sync(fs->index);
    if (rc)
        fs_latch(fs, rc, "gc");
    return rc;
}

/* --- counting -------------------------------------------------------------------------- */

static int note_changed(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    (void)ino, (void)base;
    usages_note(ctx, runs, count);
    return 0;
}

static int mark(struct fs *fs, const struct usages *u)
{
    struct buf numbers = { 0 };
    int rc = 0;

    for (size_t k = 0; k < u->count; k++)
        if (!u->v[k].seen && !actors_is_head(fs, u->v[k].number))
            buf_append(&numbers, &u->v[k].number, sizeof u->v[k].number);
    size_t count = numbers.len / sizeof(uint32_t);
    if (numbers.failed)
        rc = -ENOMEM;
    if (!rc && count)
        rc = fault_hit(FAULT_dead_mark);
    if (!rc && count)
        rc = synced(fs, index_mark_dead(fs->index, (const uint32_t *)(const void *)numbers.data, count, 0, 0));
    buf_free(&numbers);
    return rc;
}

/* `u` was counted while rows changed; nothing changes now. */
static int mark_in_turn(struct fs *fs, struct usages *u)
{
    commit_take_turn(fs);
    int rc = commit_in_turn(fs, COMMIT_INDEX);
    int result = rc;
    if (!rc)
        rc = unpublished_runs(fs, note_changed, u);
    if (!rc)
        rc = mark(fs, u);
    commit_give_turn(fs, result);
    return rc < 0 ? rc : 0;
}

/* All that was marked is unreferenced as published. Nothing is noted, or all that was
 * noted when it was marked has been published. */
static int settle(struct fs *fs)
{
    commit_take_turn(fs);
    int rc = synced(fs, index_settle_dead(fs->index, fs->publish.seq + 1, clock_now()));
    commit_give_turn(fs, -EAGAIN);
    return rc;
}

/* --- what is nobody's --------------------------------------------------------------------- */

static int adopt_strays(struct fs *fs, const struct buf *strays)
{
    size_t count = strays->len / sizeof(struct stray);
    struct segment_row *rows = calloc(count + 1, sizeof *rows);

    if (!rows)
        return -ENOMEM;
    pthread_mutex_lock(&fs->segments.lock);
    for (size_t k = 0; k < count; k++) {
        struct stray x;
        memcpy(&x, strays->data + k * sizeof x, sizeof x);
        rows[k] = (struct segment_row){ .number = (uint32_t)fs->segments.next_number++, .state = SEGMENT_STRAY,
                                        .id = x.id, .epoch = x.epoch, .length = x.size };
    }
    pthread_mutex_unlock(&fs->segments.lock);
    commit_take_turn(fs);
    int rc = synced(fs, index_add_strays(fs->index, rows, count, fs->publish.seq + 1, clock_now()));
    commit_give_turn(fs, -EAGAIN);
    free(rows);
    log_info("ECL-0432 %zu objects in the store that nothing refers to: %s", count, error_name(rc));
    return rc;
}

/* E_OTHER_DEVICE; else strays are noted. */
static int look_around(struct fs *fs)
{
    struct buf strays = { 0 };
    uint64_t others = 0;

    int rc = fs->unseen || fs->forked ? E_OTHER_DEVICE : unseen_strays(fs, &others, &strays);
    if (!rc && others)
        rc = E_OTHER_DEVICE;
    if (!rc && strays.len)
        rc = adopt_strays(fs, &strays);
    buf_free(&strays);
    return rc;
}

/* --- removing ------------------------------------------------------------------------------ */

struct due {
    struct fs *fs;
    int64_t now, grace;
    bool at_once;
    uint64_t needed;             /* publications from here on are */
    struct buf numbers, ids, sizes;
    uint64_t blocked, blocked_bytes; /* due, but named by what is needed */
    struct gc_report *report;
};

static int judge(void *ctx, const struct dead_segment *d)
{
    struct due *u = ctx;
    /* Marked while its actor was this one, or so it may be. */
    if (actors_is_head(u->fs, d->row.number))
        return 0;
    bool waited = d->seq && (d->since + u->grace <= u->now || (u->at_once && d->row.state == SEGMENT_DEAD));

    if (waited && d->seq <= u->needed) {
        buf_append(&u->numbers, &d->row.number, sizeof d->row.number);
        buf_append(&u->ids, &d->row.id, sizeof d->row.id);
        buf_append(&u->sizes, &d->row.length, sizeof d->row.length);
        return u->numbers.failed || u->ids.failed || u->sizes.failed ? -ENOMEM : 0;
    }
    u->blocked += waited;
    u->blocked_bytes += waited ? d->row.length : 0;
    u->report->dead++;
    u->report->dead_bytes += d->row.length;
    if (d->seq && (!u->report->next || d->since + u->grace < u->report->next))
        u->report->next = d->since + u->grace;
    return 0;
}

static void due_free(struct due *u)
{
    buf_free(&u->numbers);
    buf_free(&u->ids);
    buf_free(&u->sizes);
}

static int find_due(struct fs *fs, bool at_once, struct gc_report *out, struct due *u)
{
    *u = (struct due){ .fs = fs, .now = clock_now(), .grace = gc_grace(fs), .at_once = at_once, .report = out };
    out->dead = out->dead_bytes = 0;
    out->next = 0;
    int rc = gc_needed_from(fs, &u->needed);
    return rc ? rc : index_scan_dead(fs->index, judge, u);
}

static int forget(struct fs *fs, const uint32_t *numbers, size_t count)
{
    int rc = fault_hit(FAULT_dead_forget);
    if (rc)
        return rc;
    commit_take_turn(fs);
    rc = synced(fs, index_forget_dead(fs->index, numbers, count));
    commit_give_turn(fs, -EAGAIN);
    return rc;
}

/* Some, in one go: taken out, that made durable, then forgotten. */
static int remove_some(struct fs *fs, const struct due *u, size_t from, size_t count, struct gc_report *out)
{
    const struct id128 *ids = (const struct id128 *)(const void *)u->ids.data + from;
    int rc = 0;

    for (size_t k = 0; !rc && k < count; k++) {
        uint64_t size;
        memcpy(&size, u->sizes.data + (from + k) * sizeof size, sizeof size);
        rc = store_remove(fs->store, &ids[k]);
        lateness_moved(fs);
        if (!rc) {
            out->removed++;
            out->removed_bytes += size;
        } else if (rc == E_NOT_ARRIVED) {
            rc = 0;              /* by a round that was cut short, or by others */
        }
    }
    if (!rc)
        rc = store_sync(fs->store, ids, count);
    if (rc == E_NOT_ARRIVED)     /* a directory went as well */
        rc = 0;
    return rc ? rc : forget(fs, (const uint32_t *)(const void *)u->numbers.data + from, count);
}

static int remove_due(struct fs *fs, const struct due *u, size_t limit, struct gc_report *out)
{
    size_t all = u->numbers.len / sizeof(uint32_t), done = 0;
    int rc = 0;

    while (!rc && done < all && done < limit && !publish_stopping(fs)) {
        size_t here = all - done < REMOVALS_SYNCED ? all - done : REMOVALS_SYNCED;
        here = here < limit - done ? here : limit - done;
        rc = remove_some(fs, u, done, here, out);
        done += rc ? 0 : here;
    }
    if (done)
        log_info("ECL-0430 %zu objects removed from the store: %s", done, error_name(rc));
    return rc ? rc : done < all;
}

/* Would two checkpoints free more than they take? Those that there are wait as well. */
static bool is_worth_it(struct fs *fs, const struct due *u)
{
    struct publication_row last = { .shard = 1 };
    uint64_t first, size = 0;

    if (u->at_once && !u->needed)
        return u->blocked > 0;
    if (index_checkpoint(fs->index, INT64_MAX, &first, &last) == 0)
        index_payloads(fs->index, first, last.seq, &size);
    uint64_t each = segment_size_class(size / last.shard + FOOTER_ROOM / 4);
    return u->blocked > 2 * last.shard + 8 || u->blocked_bytes > 2 * last.shard * each + (1u << 20);
}

/* How many may go in a round: at a fixed cadence there are fewer rounds. */
static size_t paced(const struct fs *fs)
{
    unsigned pauses = fs->opt.publish_every / PAUSE_SECONDS;
    return REMOVALS_PACED * (size_t)(pauses > 1 ? pauses : 1);
}

/* 1 when more are due. */
static int sweep(struct fs *fs, bool at_once, struct gc_report *out)
{
    struct due u;
    int rc = find_due(fs, at_once, out, &u);

    for (int made = 0; !rc && made < 2 && (made || is_worth_it(fs, &u)) && !publish_stopping(fs); made++) {
        rc = publish_checkpoint(fs);
        due_free(&u);
        if (!rc)
            rc = find_due(fs, at_once, out, &u);
    }
    if (!rc)
        rc = remove_due(fs, &u, at_once ? SIZE_MAX : paced(fs), out);
    due_free(&u);
    return rc;
}

/* --- a round -------------------------------------------------------------------------------- */

static uint64_t taken_up(const struct usages *u)
{
    uint64_t bytes = 0;

    for (size_t k = 0; k < u->count; k++)
        bytes += u->v[k].seen ? u->v[k].length : 0;
    return bytes;
}

/* Counts and compacts, as long as that makes it less; leaves in `u` the last count. */
static int tidy(struct fs *fs, bool at_once, struct gc_report *out, struct usages *u)
{
    int rc = usages_take(fs, 0, u);
    uint64_t before = UINT64_MAX;

    if (!rc && !at_once && clock_now() < fs->publish.compact_after)
        return 0;
    for (int k = 0; !rc && k < (at_once ? COMPACTIONS : 1) && taken_up(u) < before && !publish_stopping(fs); k++) {
        before = taken_up(u);
        rc = compact(fs, u, at_once, out);
        if (rc != 1)
            break;
        rc = publish_rows(fs);
        if (rc)
            break;
        usages_free(u);
        rc = usages_take(fs, 0, u);
        if (!rc && taken_up(u) >= before)   /* no gain: an estimate was wrong, or others wrote */
            fs->publish.compact_after = clock_now() + DAY;
    }
    return rc < 0 ? rc : 0;
}

static int count_all(struct fs *fs, bool at_once, struct gc_report *out)
{
    struct usages u = { 0 };

    int rc = tidy(fs, at_once, out, &u);
    if (!rc)
        rc = mark_in_turn(fs, &u);
    usages_free(&u);
    int more = rc ? rc : index_unpublished(fs->index);
    if (more == 1)
        more = publish_rows(fs);
    return more ? more : settle(fs);
}

/* An hour after the last round, or after the vault began: sessions may be short. */
int gc_start(struct fs *fs)
{
    struct publication_row p;
    uint64_t last = 0;

    int rc = index_counter(fs->index, COUNTER_COLLECTED, &last);
    if (rc == -ENOENT && !fs->publish.seq) {
        last = (uint64_t)clock_now();
    } else if (rc == -ENOENT) {
        rc = index_publication(fs->index, 1, &p);
        last = rc ? 0 : (uint64_t)p.time;
    }
    if (last > (uint64_t)clock_now())
        last = (uint64_t)clock_now();     /* the clock was wrong then */
    fs->publish.gc_after = (int64_t)last + ROUND_SECONDS;
    return rc == -ENOENT ? 0 : rc;
}

bool gc_due(struct fs *fs)
{
    return !fs->opt.read_only && !atomic_load(&fs->latched) && clock_now() >= fs->publish.gc_after;
}

int gc_round(struct fs *fs, bool at_once, struct gc_report *out)
{
    bool counted = fs->publish.gc_seq == fs->publish.seq;

    *out = (struct gc_report){ 0 };
    int rc = fresh_check(fs);    /* nor is anything removed from a store that went back */
    if (!rc)
        rc = look_around(fs);
    if (!rc && (!counted || at_once)) {
        rc = count_all(fs, at_once, out);
        if (!rc)
            fs->publish.gc_seq = fs->publish.seq;
    }
    if (!rc)
        rc = sweep(fs, at_once, out);
    if (out->removed)
        audit_append(fs->state->dir, fs->state->keys, AUDIT_REMOVED, rc < 0 ? rc : 0,
                     AUDIT_FIELDS(AUDIT_NUMBER("objects", out->removed), AUDIT_NUMBER("bytes", out->removed_bytes)));
    fs->publish.gc_after = clock_now() + (rc == 1 ? PAUSE_SECONDS : ROUND_SECONDS);
    if (rc < 0)
        log_warning("ECL-0433 gc: %s", error_name(rc));
    if (rc < 0 && publish_is_open(fs))
        publish_poke(fs);
    return rc < 0 ? rc : 0;
}
