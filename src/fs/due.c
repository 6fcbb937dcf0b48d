/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * When it is time to publish.
 *
 *   by quiet      5 s (publish_ms) without changes, or under continuous activity after
 *                 60 s, then every 300 s; or for a volume that should not wait
 *   by cadence    (publish_every) at the ticks of the wall clock, which are the multiples
 *                 of the period since 1970; whatever is done, and however much it is
 *
 * At a cadence nothing else brings a publication forward or puts it off, lest its moment tell
 * when somebody worked: neither volume, nor the beginning of a mount, nor a failure.  A tick
 * that was slept through is let go, for the moment of a wake-up tells something too.  What
 * is asked for (flush, gc, the unmounting) does not wait in either case.
 */
#include "publishing.h"
#include <time.h>

#define VOLUME_MAX (1ull << 30)      /* staged bytes that do not wait */
#define NOTES_MAX 100000u            /* rows that do not wait */
#define IDLE_SECONDS 60
#define TICK_SLACK_MS 2000           /* later than that, a tick is over */

void due_deadline(struct timespec *t, uint64_t milliseconds)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_sec += (time_t)(milliseconds / 1000);
    t->tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_sec++;
        t->tv_nsec -= 1000000000;
    }
}

bool due_asked(const struct publisher *p)
{
    return p->asked != p->answered || p->gc_asked != p->gc_answered;
}

/* --- by quiet ------------------------------------------------------------------------------- */

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

bool due_by_quiet(struct fs *fs, time_t ceiling)
{
    struct publisher *p = &fs->publish;
    struct timespec begun, t;
    unsigned long long seen = atomic_load(&fs->activity);

    due_deadline(&t, IDLE_SECONDS * 1000);
    for (int late = 0; !p->stop && !p->work && !due_asked(p) && !late;)
        late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (!p->stop && p->work && !due_asked(p)) {
        due_deadline(&t, fs->opt.publish_ms);
        int late = 0;
        while (!p->stop && !due_asked(p) && !late)
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

/* --- by cadence ------------------------------------------------------------------------------ */

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t due_next_tick(uint64_t now_ms, unsigned every)
{
    uint64_t period = (uint64_t)every * 1000;

    return (now_ms / period + 1) * period;
}

/* The clock may be set, and the computer may sleep: so it looks again and again. */
bool due_by_cadence(struct fs *fs)
{
    struct publisher *p = &fs->publish;
    uint64_t now = wall_ms(), tick = due_next_tick(now, fs->opt.publish_every);
    struct timespec t;

    while (!p->stop && !due_asked(p)) {
        uint64_t left = tick - now;
        due_deadline(&t, left < IDLE_SECONDS * 1000 ? left : IDLE_SECONDS * 1000);
        pthread_cond_timedwait(&p->changed, &p->lock, &t);
        now = wall_ms();
        if (now >= tick && now - tick <= TICK_SLACK_MS)
            return true;
        tick = due_next_tick(now, fs->opt.publish_every);
    }
    return false;
}
