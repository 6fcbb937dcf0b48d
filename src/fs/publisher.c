/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The publisher: its thread, and when it is time for what.
 *
 * It waits for 5 s without changes, or under continuous activity for 60 s, then
 * 300 s; or for a volume that should not wait, or for who asks (flush, gc).  After
 * a publication, or with nothing to publish once a minute, it looks whether a
 * round of gc is due.
 */
#include "collecting.h"
#include "publishing.h"
#include "seen.h"
#include <time.h>

#define VOLUME_MAX (1ull << 30)      /* staged bytes that do not wait */
#define NOTES_MAX 100000u            /* rows that do not wait */
#define CEILING_FIRST 60
#define CEILING_LATER 300
#define RETRY_SECONDS 30
#define IDLE_SECONDS 60

/* --- a round ------------------------------------------------------------------------------- */

static void say_result(struct fs *fs, int rc)
{
    int before = atomic_exchange(&fs->publish_error, rc);

    if (before == rc || atomic_load(&fs->latched))
        return;
    if (!rc)
        log_info("ECL-0411 publication goes on");
    else
        log_warning("ECL-0410 publication: %s", error_name(rc));
    if (!before || !rc)
        fs_raise(fs, rc ? FS_EVENT_PUBLICATION_WAITS : FS_EVENT_PUBLICATION_RESUMES, rc);
}

static int publish_all(struct fs *fs)
{
    if (fs->opt.read_only)
        return 0;
    if (atomic_load(&fs->latched))
        return E_LATCHED;
    int rc = fresh_check(fs);    /* nothing is built upon a store that went back */
    if (!rc)
        rc = publish_complete(fs);
    if (!rc)
        rc = index_unpublished(fs->index);
    if (rc == 1)
        rc = reseal_sparse(fs);
    if (!rc)
        rc = publish_rows(fs);
    /* What was to be published is; without a checkpoint reading only takes longer. */
    if (!rc && checkpoint_due(fs) && publish_checkpoint(fs) && atomic_load(&fs->latched))
        rc = E_LATCHED;
    say_result(fs, rc);
    return rc;
}

int publish_final(struct fs *fs)
{
    commit_may_fetch();
    if (fs->opt.read_only)
        return 0;
    int rc = publish_all(fs);
    if (!rc)
        return 0;
    /* What could not be published stays staged; it must be committed. */
    commit_take_turn(fs);
    int committed = commit_in_turn(fs, COMMIT_INDEX);
    commit_give_turn(fs, committed);
    return committed ? committed : rc;
}

/* --- the thread ---------------------------------------------------------------------------- */

void publish_poke(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    if (!p->work) {
        p->work = true;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

static void deadline(struct timespec *t, unsigned milliseconds)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_sec += milliseconds / 1000;
    t->tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_sec++;
        t->tv_nsec -= 1000000000;
    }
}

static bool voluminous(struct fs *fs)
{
    struct index_totals totals;
    uint64_t staged = 0;

    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged)
        staged += container(l, const struct segment, staged_link)->used;
    pthread_mutex_unlock(&fs->segments.lock);
    return staged > VOLUME_MAX || (index_totals(fs->index, &totals) == 0 && totals.unpublished > NOTES_MAX);
}

bool publish_stopping(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    bool stop = fs->publish.stop || fs->publish.gc_stop;
    pthread_mutex_unlock(&fs->publish.lock);
    return stop;
}

static bool asked(const struct publisher *p)
{
    return p->asked != p->answered || p->gc_asked != p->gc_answered;
}

/* Waits until it is time to publish: quiet, the ceiling, volume, or a request; with
 * nothing to publish, for a minute. True when activity went on to the end. p->lock held. */
static bool wait_until_due(struct fs *fs, time_t ceiling)
{
    struct publisher *p = &fs->publish;
    struct timespec begun, t;
    unsigned long long seen = atomic_load(&fs->activity);

    deadline(&t, IDLE_SECONDS * 1000);
    for (int late = 0; !p->stop && !p->work && !asked(p) && !late;)
        late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (!p->stop && p->work && !asked(p)) {
        deadline(&t, fs->opt.publish_ms);
        int late = 0;
        while (!p->stop && !asked(p) && !late)
            late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
        unsigned long long now_seen = atomic_load(&fs->activity);
        if (now_seen == seen)
            return false;
        seen = now_seen;
        clock_gettime(CLOCK_MONOTONIC, &t);
        if (t.tv_sec - begun.tv_sec >= ceiling)
            return true;
        pthread_mutex_unlock(&p->lock);
        bool volume = voluminous(fs);
        pthread_mutex_lock(&p->lock);
        if (volume)
            return true;
    }
    return false;
}

/* By the thread, after a publication; p->lock held, and given up meanwhile. */
static void collect_garbage(struct fs *fs, int published)
{
    struct publisher *p = &fs->publish;
    struct gc_report report = { 0 };
    uint64_t wanted = p->gc_asked;
    bool is_wanted = wanted != p->gc_answered, at_once = is_wanted && p->gc_at_once;
    int rc = published;

    if (!is_wanted && (rc || p->stop))
        return;
    pthread_mutex_unlock(&p->lock);
    if (!rc && (is_wanted || gc_due(fs)))
        rc = gc_round(fs, at_once, &report);
    pthread_mutex_lock(&p->lock);
    if (!is_wanted)
        return;
    p->gc = report;
    p->gc_result = rc;
    p->gc_at_once = false;
    p->gc_answered = wanted;
    pthread_cond_broadcast(&p->changed);
}

static void *thread(void *arg)
{
    struct fs *fs = arg;
    struct publisher *p = &fs->publish;
    time_t ceiling = CEILING_FIRST;

    commit_may_fetch();
    pthread_mutex_lock(&p->lock);
    for (;;) {
        bool forced = wait_until_due(fs, ceiling);
        if (p->stop)
            break;
        ceiling = forced ? CEILING_LATER : CEILING_FIRST;
        uint64_t wanted = p->asked;
        bool idle = !p->work && !asked(p);
        int rc = 0;
        p->work = false;
        if (!idle) {
            pthread_mutex_unlock(&p->lock);
            rc = publish_all(fs);
            pthread_mutex_lock(&p->lock);
        }
        if (!idle) {
            p->result = rc;
            p->answered = wanted;
            pthread_cond_broadcast(&p->changed);
        }
        collect_garbage(fs, rc);
        if (rc && !p->stop) {
            struct timespec t;
            deadline(&t, RETRY_SECONDS * 1000);
            int late = 0;
            while (!late && !p->stop && !asked(p))
                late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
            p->work = true;
        }
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
    struct publication_row last;
    int left = index_unpublished(fs->index);
    p->work = left == 1 || (index_last_publication(fs->index, &last) == 0 && !last.done);
    if (left < 0)
        return left;
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
