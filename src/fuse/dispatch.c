/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Which threads receive requests.
 *
 * Invariants:
 *  1. Whenever a worker takes a request and no other is free, another one is
 *     started first.  A request may wait for another one (a sync for the writes
 *     that it makes the kernel send), so there is always somebody to take it.
 *     There are never many more workers than programs waiting for an answer.
 *  2. A worker with nothing to do leaves when enough others have nothing to do.
 *  3. Only a worker that is receiving is ever interrupted by the wake-up signal.
 */
#include "internal.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define IDLE_MAX 4u            /* free workers that stay */
#define WAKE_SIGNAL SIGRTMIN
#define WAKE_AGAIN_MS 5

static void *work(void *arg);

/* --- starting and leaving ---------------------------------------------------------- */

static void worker_free(struct worker *w)
{
    if (w->buffer)
        munmap(w->buffer, BUFFER_SIZE);
    free(w);
}

static struct worker *worker_new(struct session *s)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->session = s;
    w->buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->buffer == MAP_FAILED) {
        free(w);
        return NULL;
    }
    return w;
}

/* Signals of the process are other threads' business. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;

    sigfillset(&all);
    sigdelset(&all, WAKE_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static int worker_add(struct session *s)
{
    struct pool *p = &s->pool;
    struct worker *w = worker_new(s);
    int rc = w ? 0 : -ENOMEM;

    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->idle, 1);
    if (!rc)
        rc = start_thread(w);
    if (!rc) {
        w->next = p->working;
        p->working = w;
        p->count++;
    }
    pthread_mutex_unlock(&p->lock);
    if (rc) {
        atomic_fetch_sub(&p->idle, 1);
        log_warning("ECL-0404 no further worker: %s", error_name(rc));
        if (w)
            worker_free(w);
    }
    return rc;
}

static void join_left(struct worker *left)
{
    while (left) {
        struct worker *next = left->next;
        pthread_join(left->thread, NULL);
        worker_free(left);
        left = next;
    }
}

/* The worker's last act: it joins those that left before, and is joined by
 * the next one or at the end. */
static void worker_leave(struct worker *w)
{
    struct session *s = w->session;
    struct pool *p = &s->pool;
    struct worker **at = &p->working;

    pthread_mutex_lock(&p->lock);
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    struct worker *before = p->left;
    w->next = NULL;
    p->left = w;
    if (--p->count == 0) {
        s->ended = true;
        sem_post(&s->event);
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    join_left(before);
}

/* --- working --------------------------------------------------------------------------- */

static int receive(struct worker *w)
{
    int n = 0;

    w->receiving = true;
    if (!w->session->leaving)
        n = channel_receive(w);
    w->receiving = false;
    return n;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct session *s = w->session;
    struct pool *p = &s->pool;

    worker_become(w);
    for (;;) {
        int n = receive(w);
        if (n == -EINTR || n == -EAGAIN)
            continue;
        if (n <= 0)
            break;
        if (atomic_fetch_sub(&p->idle, 1) == 1)
            worker_add(s);
        channel_process(w, (size_t)n);
        if (atomic_fetch_add(&p->idle, 1) >= IDLE_MAX)
            break;
    }
    atomic_fetch_sub(&p->idle, 1);
    worker_leave(w);
    return NULL;
}

/* --- life -------------------------------------------------------------------------------- */

static void on_wake(int signal)
{
    (void)signal;
}

int dispatch_init(struct session *s)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->pool.lock, NULL);
    pthread_cond_init(&s->pool.changed, &attr);
    pthread_condattr_destroy(&attr);
    return 0;
}

int dispatch_start(struct session *s)
{
    struct sigaction wake = { .sa_handler = on_wake };  /* no SA_RESTART: it shall interrupt */

    sigaction(WAKE_SIGNAL, &wake, NULL);
    return worker_add(s);
}

/* A signal can come just before its thread enters the kernel and be lost:
 * hence again and again. */
void dispatch_end(struct session *s)
{
    struct pool *p = &s->pool;
    struct timespec until;

    s->leaving = true;
    pthread_mutex_lock(&p->lock);
    while (p->count) {
        for (struct worker *w = p->working; w; w = w->next)
            if (w->receiving)
                pthread_kill(w->thread, WAKE_SIGNAL);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAKE_AGAIN_MS * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    struct worker *left = p->left;
    p->left = NULL;
    pthread_mutex_unlock(&p->lock);
    join_left(left);
}

void dispatch_free(struct session *s)
{
    pthread_mutex_destroy(&s->pool.lock);
    pthread_cond_destroy(&s->pool.changed);
}
