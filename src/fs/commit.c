/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The commit: what was acknowledged becomes durable.
 *
 * One thread at a time has the turn.  Whoever needs durability waits for a
 * commit that began after it asked; the first to find the turn free commits
 * for all.  A small commit is one journal record and one disk flush; a large
 * one, and every one that the commit thread makes on its own after at most
 * 5 s, goes to the index, which makes the journal's records obsolete.
 *
 * Order of a commit to the index: segments synced, transaction, WAL synced,
 * and only then rows become clean and dead segments are unlinked.
 *
 * Lack of space leaves the rows dirty; changes that need space are refused and
 * the commit is tried again (space.c).  Any other failure of a sync makes the vault
 * read-only until it is mounted again: no commit follows it.
 *
 * The kernel is asked for the dirty pages of hazards only by threads that
 * serve no requests (commit_may_fetch); a worker that meets one hands over.
 */
#include "internal.h"
#include <time.h>

/* Dirty rows at which the thread commits early; and at which callers wait. */
#define DIRTY_WAKE 12000u
#define DIRTY_WAIT 36000u

static _Thread_local bool may_fetch;

void commit_may_fetch(void)
{
    may_fetch = true;
}

void fs_latch(struct fs *fs, int error, const char *where)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&fs->latched, &none, error))
        return;
    log_error("ECL-0301 %s: %s: the vault is read-only until it is mounted again", where, error_name(error));
    fs_raise(fs, FS_EVENT_READ_ONLY, error);
}

void fs_index_damaged(void *ctx)
{
    struct fs *fs = ctx;

    if (atomic_load(&fs->latched) == E_STATE_DAMAGED)
        return;
    atomic_store(&fs->unmarked, true);
    fs_latch(fs, E_STATE_DAMAGED, "index.db");
    pthread_mutex_lock(&fs->commit.lock);
    fs->commit.asked = true;
    pthread_cond_broadcast(&fs->commit.changed);
    pthread_mutex_unlock(&fs->commit.lock);
}

void fs_mark_damage(struct fs *fs)
{
    if (atomic_exchange(&fs->unmarked, false))
        state_mark_damaged(fs->state, "index.db");
}

int fs_may_write(struct fs *fs, bool frees)
{
    if (fs->opt.read_only)
        return -EROFS;
    if (atomic_load(&fs->latched))
        return E_LATCHED;
    return atomic_load(&fs->no_space) && !frees ? -ENOSPC : 0;
}

/* --- one commit --------------------------------------------------------------------- */

static int sync_extents(struct fs *fs, const struct snapshot *s)
{
    bool new_names = false;

    for (size_t k = 0; k < s->extent_count; k++) {
        struct segment *g = s->extents[k].segment;
        if (!s->apply && g->anchored)
            continue;
        int rc = io_sync(g->fd, FAULT_segment_sync);
        if (rc)
            return rc;
        new_names |= !g->anchored;
        g->anchored = true;
    }
    return new_names ? io_sync_dir(fs->state->staging, FAULT_segment_sync) : 0;
}

/* Without success the rows are not in the journal: the next commit has to take
 * them from `unapplied`, to the index. */
static int commit_journal(struct fs *fs, struct snapshot *s)
{
    fs->commit.must_apply = true;
    int rc = sync_extents(fs, s);
    if (rc) {
        fs_latch(fs, rc, "segment sync");
        return rc;
    }
    rc = snapshot_tails(s);
    if (rc)
        return rc;
    rc = journal_append(fs->commit.journal, s->batch.data, s->batch.len);
    if (rc && rc != -E2BIG)
        fs_latch(fs, rc, "journal");
    fs->commit.must_apply = rc != 0;
    return rc;
}

static int commit_index(struct fs *fs, struct snapshot *s)
{
    int rc = sync_extents(fs, s);
    if (rc) {
        fs_latch(fs, rc, "segment sync");
        return rc;
    }
    rc = index_apply(fs->index, &s->batch, true, fs->commit.generation + 1);
    if (rc == -ENOSPC) {
        /* Once more with the ballast's room. */
        space_lost(fs);
        rc = index_apply(fs->index, &s->batch, true, fs->commit.generation + 1);
    }
    if (rc) {
        if (rc != -ENOSPC && rc != -ENOMEM)
            fs_latch(fs, rc, "index");
        /* Its last frame may have been written, and SQLite lacked the memory to note that: then
         * a record of the present generation would count no more. */
        fs->commit.must_apply |= rc == -ENOMEM;
        return rc;
    }
    rc = index_sync(fs->index);
    if (rc) {
        fs_latch(fs, rc, "index sync");
        return rc;
    }
    fs->commit.must_apply = false;
    fs->commit.generation++;
    journal_reset(fs->commit.journal, fs->commit.generation);
    return 0;
}

static void set_fetching(struct committer *c, bool fetching)
{
    pthread_mutex_lock(&c->lock);
    c->fetching = fetching;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Asks the kernel for what it holds of the hazards. It answers with writes,
 * which must not wait for the commit that waits for them. */
static void fetch_hazards(struct fs *fs)
{
    uint64_t ino;

    set_fetching(&fs->commit, true);
    do {
        pthread_mutex_lock(&fs->meta);
        ino = hazard_next(fs);
        pthread_mutex_unlock(&fs->meta);
        if (ino)
            fs->opt.fetch(fs->opt.ctx, ino);
    } while (ino);
    set_fetching(&fs->commit, false);
}

/* With the gate held no append is in the air: what rows refer to lies below
 * `written` of its segment, and is synced or in the journal with them. */
static int take(struct fs *fs, struct snapshot *s, enum commit_kind kind)
{
    for (;;) {
        pthread_rwlock_wrlock(&fs->gate);
        pthread_mutex_lock(&fs->meta);
        limbo_expire(fs, fs->commit.stop);
        if (kind == COMMIT_CUT && list_empty(&fs->hazards))
            segments_close_open(fs, true);
        int rc = snapshot_take(fs, s, kind != COMMIT_ANY || fs->commit.must_apply);
        if (rc != -EAGAIN)
            hazards_covered(fs);
        pthread_mutex_unlock(&fs->meta);
        pthread_rwlock_unlock(&fs->gate);
        if (rc != -EAGAIN || !may_fetch)
            return rc;
        fetch_hazards(fs);
    }
}

static void finish(struct fs *fs, struct snapshot *s, int rc)
{
    pthread_mutex_lock(&fs->meta);
    if (!rc)
        snapshot_done(fs, s);
    else
        snapshot_failed(fs, s);
    pthread_mutex_unlock(&fs->meta);
    if (!rc && s->apply) {
        space_look(fs);
        publish_poke(fs);
    }
    snapshot_release(fs, s);
}

int commit_in_turn(struct fs *fs, enum commit_kind kind)
{
    struct snapshot s;

    if (fs->opt.read_only)
        return 0;
    if (atomic_load(&fs->latched))
        return E_LATCHED;
    int rc = take(fs, &s, kind);
    if (rc && rc != -EAGAIN)
        fs->commit.must_apply = true;  /* its rows left `unlogged` without a record */
    if (rc || s.empty) {
        snapshot_release(fs, &s);
        return rc;
    }
    rc = s.apply ? commit_index(fs, &s) : commit_journal(fs, &s);
    bool again = !s.apply && rc == -E2BIG;
    finish(fs, &s, rc);
    /* The journal is full: the index takes the rows, and the bytes. */
    return again ? commit_in_turn(fs, COMMIT_INDEX) : rc;
}

/* --- the turn ------------------------------------------------------------------------ */

static void take_turn_locked(struct committer *c)
{
    while (c->busy)
        pthread_cond_wait(&c->changed, &c->lock);
    c->busy = true;
    c->begun++;
}

static void give_turn_locked(struct committer *c, int result)
{
    c->busy = false;
    if (result != -EAGAIN) {
        c->ended = c->begun;
        c->result = result;
    }
    pthread_cond_broadcast(&c->changed);
}

void commit_take_turn(struct fs *fs)
{
    pthread_mutex_lock(&fs->commit.lock);
    take_turn_locked(&fs->commit);
    pthread_mutex_unlock(&fs->commit.lock);
}

void commit_give_turn(struct fs *fs, int result)
{
    pthread_mutex_lock(&fs->commit.lock);
    give_turn_locked(&fs->commit, result);
    pthread_mutex_unlock(&fs->commit.lock);
}

int commit_all(struct fs *fs, bool apply)
{
    struct committer *c = &fs->commit;
    int rc = -EAGAIN;

    pthread_mutex_lock(&c->lock);
    uint64_t want = c->begun + 1;
    while (c->ended < want && rc == -EAGAIN) {
        if (c->busy) {
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        take_turn_locked(c);
        pthread_mutex_unlock(&c->lock);
        rc = commit_in_turn(fs, apply ? COMMIT_INDEX : COMMIT_ANY);
        pthread_mutex_lock(&c->lock);
        give_turn_locked(c, rc);
        if (rc == -EAGAIN) {
            /* A hazard, and this is a worker: the thread shall do it. */
            want = c->begun + 1;
            c->asked = true;
            c->asked_apply |= apply;
            pthread_cond_broadcast(&c->changed);
            while (c->ended < want)
                pthread_cond_wait(&c->changed, &c->lock);
        }
    }
    if (rc == -EAGAIN)
        rc = c->result;
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int fs_sync(struct fs *fs)
{
    return commit_all(fs, false);
}

/* --- the thread ------------------------------------------------------------------------ */

void commit_pressure(struct fs *fs)
{
    size_t dirty = fs->cache.unapplied_count;

    if (dirty != 1 && dirty != DIRTY_WAKE)
        return;
    pthread_mutex_lock(&fs->commit.lock);
    if (dirty >= DIRTY_WAKE)
        fs->commit.asked = fs->commit.asked_apply = true;
    pthread_cond_broadcast(&fs->commit.changed);
    pthread_mutex_unlock(&fs->commit.lock);
}

void commit_throttle(struct fs *fs)
{
    struct committer *c = &fs->commit;

    if (fs->cache.unapplied_count < DIRTY_WAIT || atomic_load(&fs->no_space))
        return;
    pthread_mutex_lock(&c->lock);
    c->asked = c->asked_apply = true;
    pthread_cond_broadcast(&c->changed);
    uint64_t want = c->begun + 1;
    while (c->ended < want && !c->stop && !c->fetching)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static bool idle(struct fs *fs)
{
    bool nothing = fs->cache.unapplied_count == 0 && atomic_load(&fs->limbo_count) == 0 &&
                   !atomic_load(&fs->no_space);
    return nothing || fs->opt.read_only || atomic_load(&fs->latched);
}

/* Waits for a reason to commit: asked, or the first dirty row's age. */
static bool wait_for_work(struct fs *fs, bool *apply)
{
    struct committer *c = &fs->commit;
    struct timespec due;

    while (!c->stop && !c->asked && idle(fs))
        pthread_cond_wait(&c->changed, &c->lock);
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += fs->opt.commit_ms / 1000;
    due.tv_nsec += (long)(fs->opt.commit_ms % 1000) * 1000000;
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    int late = 0;
    while (!c->stop && !c->asked && !late)
        late = pthread_cond_timedwait(&c->changed, &c->lock, &due);
    *apply = late || c->asked_apply;
    c->asked = c->asked_apply = false;
    return !c->stop;
}

static void *thread(void *arg)
{
    struct fs *fs = arg;
    struct committer *c = &fs->commit;
    bool apply;

    commit_may_fetch();
    pthread_mutex_lock(&c->lock);
    while (wait_for_work(fs, &apply)) {
        take_turn_locked(c);
        pthread_mutex_unlock(&c->lock);
        fs_mark_damage(fs);
        int rc = commit_in_turn(fs, apply ? COMMIT_INDEX : COMMIT_ANY);
        if (rc)
            log_warning("ECL-0305 commit: %s", error_name(rc));
        else
            space_look(fs);
        pthread_mutex_lock(&c->lock);
        give_turn_locked(c, rc);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int commit_start(struct fs *fs)
{
    struct committer *c = &fs->commit;
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    return -pthread_create(&c->thread, NULL, thread, fs);
}

void commit_stop(struct fs *fs)
{
    struct committer *c = &fs->commit;

    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
}
