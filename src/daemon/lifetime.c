/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Why a mount ends: a signal, idleness, or `ecluse umount` (control.c).
 *
 * One thread takes the signals.  The order matters: the mount is released
 * first, while the session still serves, because the kernel then writes back
 * what it holds; only when programs keep it busy are its dirty pages asked for
 * and the session stopped under them.  A mount that lives on as a private copy
 * in another mount namespace is given ten seconds.
 *
 * Idle means: no handle is open, no program has asked anything for that long,
 * and the kernel lets go of the mount (nobody's working directory is in it).
 */
#include "internal.h"
#include <ecluse/audit.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define GRACE_SECONDS 10
#define IDLE_CHECK_SECONDS 15u

struct lifetime {
    struct served *served;
    pthread_t thread;
    atomic_bool stop;
};

bool served_is_mounted(const struct served *s)
{
    struct mounted now;

    return mounted_at(s->config->mountpoint, &now) == 0 && now.major == s->mount.major &&
           now.minor == s->mount.minor;
}

int served_release(const struct served *s)
{
    return served_is_mounted(s) ? mounted_release(s->config->mountpoint, false) : E_NOT_MOUNTED;
}

/* Programs keep files open, and nobody will serve them any more: what the kernel still holds
 * of those is written back now.  syncfs(2) would not: for FUSE it waits for nothing. */
static void end_under_them(const struct served *s)
{
    int rc = fs_each_writer(s->fs, session_fetch, s->session);

    if (rc)
        log_warning("ECL-0522 what programs have written to open files: %s", error_name(rc));
    session_stop(s->session);
}

/* The signal that came, 0 after so many seconds. */
static int wait_signal(time_t seconds)
{
    struct timespec limit = { .tv_sec = seconds };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int sig = seconds < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &limit);
    return sig < 0 ? 0 : sig;
}

/* Not the wall clock, which may be set meanwhile. */
static time_t seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* The session ends by itself once nothing holds the mount. */
static void wait_for_end(struct lifetime *l)
{
    time_t until = seconds_now() + GRACE_SECONDS;

    while (!atomic_load(&l->stop) && seconds_now() < until)
        wait_signal(1);
    if (!atomic_load(&l->stop))
        end_under_them(l->served);
}

static void end_serving(struct lifetime *l)
{
    int rc = served_release(l->served);

    fs_closing(l->served->fs);
    log_info("ECL-0520 asked to end: %s", error_name(rc));
    if (rc == 0 || rc == E_NOT_MOUNTED) {
        wait_for_end(l);
        return;
    }
    end_under_them(l->served);
}

static bool is_idle(const struct served *s)
{
    return session_open_files(s->session) == 0 && session_idle(s->session) >= s->config->idle_seconds;
}

/* How often to look whether it is idle; -1: never. */
static time_t idle_step(unsigned idle)
{
    unsigned step = idle / 4 > IDLE_CHECK_SECONDS ? IDLE_CHECK_SECONDS : idle / 4;
    return !idle ? -1 : step ? (time_t)step : 1;
}

static void *thread(void *arg)
{
    struct lifetime *l = arg;
    unsigned idle = l->served->config->idle_seconds;
    time_t step = idle_step(idle);

    while (!atomic_load(&l->stop)) {
        int sig = wait_signal(step);
        if (atomic_load(&l->stop))
            break;
        if (sig) {
            end_serving(l);
            break;
        }
        if (idle && is_idle(l->served) && served_release(l->served) == 0) {
            log_info("ECL-0521 idle for %u s", idle);
            audit_append(l->served->state->dir, NULL, AUDIT_IDLE, 0, AUDIT_FIELDS(AUDIT_NUMBER("seconds", idle)));
            fs_closing(l->served->fs);
            wait_for_end(l);
            break;
        }
    }
    return NULL;
}

int lifetime_start(struct lifetime **out, struct served *s)
{
    struct lifetime *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->served = s;
    int rc = -pthread_create(&l->thread, NULL, thread, l);
    if (rc) {
        free(l);
        return rc;
    }
    *out = l;
    return 0;
}

void lifetime_stop(struct lifetime *l)
{
    atomic_store(&l->stop, true);
    pthread_kill(l->thread, SIGTERM);
    pthread_join(l->thread, NULL);
    free(l);
}
