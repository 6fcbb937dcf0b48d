/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publication that is late although nothing fails: the store hangs.
 *
 * On a mount whose server went away a write, an fsync or a rename need not return, ever, so
 * there is no error that anybody could tell.  A thread of its own looks whether the
 * publisher moves on: late is what has waited for ten minutes, or for two ticks of the cadence,
 * since anything last moved (an object sealed, delivered, removed, an attempt that ended).
 * It is told once, as a failure is, and so is its end.
 *
 * While the vault is being closed somebody waits for it, so that three minutes are late:
 * whatever holds up the end, the publisher or another user of the store.
 *
 * Touches nothing but the publisher's lock.  Time during which the computer sleeps does not count.
 */
#include "publishing.h"
#include <time.h>

#define LATE_SECONDS 600u
#define CLOSING_SECONDS 180u
#define LOOKS 8u             /* in that time */

static time_t seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

/* --- what the publisher notes ---------------------------------------------------------------- */

void lateness_waits_locked(struct publisher *p)
{
    if (!p->waiting_since)
        p->waiting_since = seconds_now();
}

void lateness_moved(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    fs->publish.moved = seconds_now();
    pthread_mutex_unlock(&fs->publish.lock);
}

void lateness_begun(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    lateness_waits_locked(&fs->publish);
    pthread_mutex_unlock(&fs->publish.lock);
}

void lateness_ended(struct fs *fs, int rc)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    p->moved = seconds_now();
    if (!rc)
        p->waiting_since = p->work ? p->moved : 0;
    pthread_mutex_unlock(&p->lock);
}

void fs_closing(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    if (!p->closing_since) {
        p->closing_since = seconds_now();
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

/* --- the thread ------------------------------------------------------------------------------ */

/* How long nothing may move; p->lock held. */
static unsigned limit(const struct fs *fs)
{
    unsigned ticks = 2 * fs->opt.publish_every;

    if (fs->publish.closing_since)
        return fault_seconds(CLOSING_SECONDS);
    return fault_seconds(ticks > LATE_SECONDS ? ticks : LATE_SECONDS);
}

static bool is_late(const struct fs *fs)
{
    const struct publisher *p = &fs->publish;
    time_t since = p->closing_since ? p->closing_since : p->waiting_since;

    if (p->moved > since)
        since = since ? p->moved : 0;
    return since && seconds_now() - since >= (time_t)limit(fs);
}

/* Once, until a publication ends; whoever waits for the vault's end hears of it too. */
static void tell(struct fs *fs)
{
    struct publisher *p = &fs->publish;
    int none = 0;

    pthread_mutex_lock(&p->telling);
    pthread_mutex_lock(&p->lock);
    bool late = is_late(fs), pending = p->waiting_since != 0, closing = p->closing_since && !p->told_closing;
    p->told_closing |= late && closing;
    pthread_mutex_unlock(&p->lock);
    if (late && pending && !atomic_load(&fs->latched) &&
        atomic_compare_exchange_strong(&fs->publish_error, &none, E_STORE_STUCK)) {
        log_warning("ECL-0412 publication: nothing moves any more: %s", error_name(E_STORE_STUCK));
        fs_raise(fs, FS_EVENT_PUBLICATION_WAITS, E_STORE_STUCK);
    }
    pthread_mutex_unlock(&p->telling);
    if (late && closing) {
        log_warning("ECL-0413 the store holds up the unmounting: %s", error_name(E_STORE_STUCK));
        if (fs->opt.stuck)
            fs->opt.stuck(fs->opt.event_ctx);
    }
}

static void *watch(void *arg)
{
    struct fs *fs = arg;
    struct publisher *p = &fs->publish;
    struct timespec t;

    pthread_mutex_lock(&p->lock);
    while (!p->unwatched) {
        due_deadline(&t, (uint64_t)limit(fs) * 1000 / LOOKS);
        pthread_cond_timedwait(&p->changed, &p->lock, &t);
        if (!is_late(fs))
            continue;
        pthread_mutex_unlock(&p->lock);
        tell(fs);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int lateness_start(struct fs *fs)
{
    return -pthread_create(&fs->publish.watch, NULL, watch, fs);
}

void lateness_stop(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    p->unwatched = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->watch, NULL);
}
