/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The publisher: its thread, and what is done in which order.
 *
 * It waits until it is time (due.c), or for who asks (flush, gc).  After a publication, or
 * with nothing to publish once a minute, it looks whether a round of gc is due; at a fixed
 * cadence both are done at its ticks only.
 */
#include "collecting.h"
#include "publishing.h"
#include "seen.h"
#include <time.h>

#define CEILING_FIRST 60
#define CEILING_LATER 300
#define RETRY_SECONDS 30

/* --- a round ------------------------------------------------------------------------------- */

static void say_result(struct fs *fs, int rc)
{
    pthread_mutex_lock(&fs->publish.telling);
    int before = atomic_exchange(&fs->publish_error, rc);

    if (before == rc || atomic_load(&fs->latched))
        before = rc;
    else if (!rc)
        log_info("ECL-0411 publication goes on");
    else
        log_warning("ECL-0410 publication: %s", error_name(rc));
    if (before != rc && (!before || !rc))
        fs_raise(fs, rc ? FS_EVENT_PUBLICATION_WAITS : FS_EVENT_PUBLICATION_RESUMES, rc);
    pthread_mutex_unlock(&fs->publish.telling);
}

static int publish_all(struct fs *fs)
{
    if (fs->opt.read_only)
        return 0;
    if (atomic_load(&fs->latched))
        return E_LATCHED;
    lateness_begun(fs);
    int rc = fresh_check(fs);    /* nothing is built upon a store that went back */
    if (!rc)
        rc = publish_complete(fs);
    if (!rc)
        rc = index_unpublished(fs->index);
    if (rc == 1)
        rc = reseal_sparse(fs);
    if (!rc)
        rc = publish_rows(fs);
    /* What was to be published is; without a checkpoint reading only takes longer. But what
     * was begun of one is to be completed. */
    int made = !rc && checkpoint_due(fs) ? publish_checkpoint(fs) : 0;
    if (made)
        rc = atomic_load(&fs->latched) ? E_LATCHED : publish_is_open(fs) ? made : 0;
    lateness_ended(fs, rc);
    say_result(fs, rc);
    return rc;
}

int publish_final(struct fs *fs)
{
    commit_may_fetch();
    if (fs->opt.read_only)
        return 0;
    /* First of all what was written becomes durable here: the store may hang for hours. */
    commit_all(fs, true);
    int rc = publish_all(fs);
    if (!rc)
        return 0;
    /* What could not be published stays staged; it must be committed. */
    int committed = commit_all(fs, true);
    if (!committed || !fs->cache.unapplied_count)
        return committed ? committed : rc;
    log_error("ECL-0414 the last changes: %s", error_name(committed));
    return E_UNSAVED;
}

/* --- the thread ---------------------------------------------------------------------------- */

void publish_poke(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    if (!p->work) {
        p->work = true;
        lateness_waits_locked(p);
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

bool publish_stopping(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    bool stop = fs->publish.stop || fs->publish.gc_stop;
    pthread_mutex_unlock(&fs->publish.lock);
    return stop;
}

/* By the thread, after a publication; p->lock held, and given up meanwhile. `timely`: a round
 * of its own may write to the store now. */
static void collect_garbage(struct fs *fs, int published, bool timely)
{
    struct publisher *p = &fs->publish;
    struct gc_report report = { 0 };
    uint64_t wanted = p->gc_asked;
    bool is_wanted = wanted != p->gc_answered, at_once = is_wanted && p->gc_at_once;
    int rc = published;

    if (!is_wanted && (rc || p->stop || !timely))
        return;
    p->gc_at_once = false;
    pthread_mutex_unlock(&p->lock);
    if (!rc && (is_wanted || gc_due(fs)))
        rc = gc_round(fs, at_once, &report);
    pthread_mutex_lock(&p->lock);
    if (!is_wanted)
        return;
    p->gc = report;
    p->gc_result = rc;
    p->gc_answered = wanted;
    pthread_cond_broadcast(&p->changed);
}

/* p->lock held. At a cadence the next tick is the next attempt. */
static void wait_to_retry(struct fs *fs)
{
    struct publisher *p = &fs->publish;
    struct timespec t;
    int late = 0;

    due_deadline(&t, RETRY_SECONDS * 1000);
    while (!fs->opt.publish_every && !late && !p->stop && !due_asked(p))
        late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
    p->work = true;
}

/* Publishes what there is, or what was asked for; p->lock held, and given up meanwhile. */
static int round_of(struct fs *fs)
{
    struct publisher *p = &fs->publish;
    uint64_t wanted = p->asked;
    bool idle = !p->work && !due_asked(p);

    p->work = false;
    if (idle)
        return 0;
    pthread_mutex_unlock(&p->lock);
    int rc = publish_all(fs);
    pthread_mutex_lock(&p->lock);
    p->result = rc;
    p->answered = wanted;
    pthread_cond_broadcast(&p->changed);
    return rc;
}

static void *thread(void *arg)
{
    struct fs *fs = arg;
    struct publisher *p = &fs->publish;
    time_t ceiling = CEILING_FIRST;

    commit_may_fetch();
    pthread_mutex_lock(&p->lock);
    for (;;) {
        bool timely = true;
        if (fs->opt.publish_every)
            timely = due_by_cadence(fs);
        else
            ceiling = due_by_quiet(fs, ceiling) ? CEILING_LATER : CEILING_FIRST;
        if (p->stop)
            break;
        int rc = round_of(fs);
        collect_garbage(fs, rc, timely);
        if (rc && !p->stop)
            wait_to_retry(fs);
    }
    p->answered = p->asked;
    p->gc_answered = p->gc_asked;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int fs_gc(struct fs *fs, bool at_once, struct gc_report *out)
{
    struct publisher *p = &fs->publish;

    *out = (struct gc_report){ 0 };
    if (fs->opt.read_only)
        return -EROFS;
    pthread_mutex_lock(&p->lock);
    uint64_t mine = ++p->gc_asked;
    p->gc_at_once |= at_once;
    p->gc_result = -EINTR;
    pthread_cond_broadcast(&p->changed);
    while (p->gc_answered < mine && !p->stop)
        pthread_cond_wait(&p->changed, &p->lock);
    int rc = p->stop && p->gc_answered < mine ? -EINTR : p->gc_result;
    *out = p->gc;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int fs_flush(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    if (fs->opt.read_only)
        return 0;
    pthread_mutex_lock(&p->lock);
    uint64_t mine = ++p->asked;
    pthread_cond_broadcast(&p->changed);
    while (p->answered < mine && !p->stop)
        pthread_cond_wait(&p->changed, &p->lock);
    int rc = p->result;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void fs_gc_stop(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    fs->publish.gc_stop = true;
    pthread_mutex_unlock(&fs->publish.lock);
}

int publish_start(struct fs *fs)
{
    struct publisher *p = &fs->publish;
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&p->telling, NULL);
    int left = index_unpublished(fs->index);
    p->work = left == 1 || publish_is_open(fs);
    if (left < 0)
        return left;
    if (p->work)
        lateness_waits_locked(p);  /* nobody else knows of it yet */
    /* Until here damage refuses the mount, and nothing is changed. */
    index_on_damage(fs->index, fs_index_damaged, fs);
    return -pthread_create(&p->thread, NULL, thread, fs);
}

void publish_stop(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
}
