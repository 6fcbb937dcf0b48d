/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The threads that serve requests: starting, parking, leaving.
 *
 * dispatch.c decides when; here is how.  `free` counts the workers that receive
 * or are about to.  A parked worker waits for worker_call and is not free.  A
 * thread that left is joined by the next one that leaves, or at the end.
 *
 * Only a worker that is receiving is ever interrupted by the wake-up signal,
 * so nothing below this layer sees an EINTR of our making.
 */
#include "internal.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define WAKE_SIGNAL SIGRTMIN
#define WAKE_AGAIN_MS 5

/* --- starting ------------------------------------------------------------------ */

static void worker_free(struct worker *w)
{
    munmap(w->buffer, BUFFER_SIZE);
    sem_destroy(&w->called);
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
    sem_init(&w->called, 0, 0);
    return w;
}

/* Signals of the process are other threads' business. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;

    sigfillset(&all);
    sigdelset(&all, WAKE_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, dispatch_work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

/* With pool.lock held. */
static int add_locked(struct session *s)
{
    struct pool *p = &s->pool;
    struct worker *w = worker_new(s);

    if (!w)
        return -ENOMEM;
    atomic_fetch_add(&p->free, 1);
    int rc = start_thread(w);
    if (rc) {
        atomic_fetch_sub(&p->free, 1);
        worker_free(w);
        return rc;
    }
    w->next = p->working;
    p->working = w;
    p->count++;
    return 0;
}

/* --- parking ---------------------------------------------------------------------- */

static struct worker *pop_parked_locked(struct pool *p)
{
    struct worker *w = p->parked;

    if (w) {
        p->parked = w->next_parked;
        atomic_fetch_add(&p->free, 1);
        sem_post(&w->called);
    }
    return w;
}

int worker_call(struct session *s)
{
    struct pool *p = &s->pool;

    pthread_mutex_lock(&p->lock);
    int rc = pop_parked_locked(p) ? 0 : add_locked(s);
    pthread_mutex_unlock(&p->lock);
    if (!atomic_exchange(&p->short_of, rc != 0) && rc) {
        log_warning("ECL-0404 no further worker: %s", error_name(rc));
        sem_post(&s->event);     /* session_run tries again */
    }
    return rc;
}

void workers_recall(struct session *s)
{
    pthread_mutex_lock(&s->pool.lock);
    while (pop_parked_locked(&s->pool))
        ;
    pthread_mutex_unlock(&s->pool.lock);
}

bool worker_park(struct worker *w, bool (*still)(struct worker *w))
{
    struct pool *p = &w->session->pool;

    pthread_mutex_lock(&p->lock);
    bool parked = still(w) && !w->session->leaving;
    if (parked) {
        w->next_parked = p->parked;
        p->parked = w;
        atomic_fetch_sub(&p->free, 1);
    }
    pthread_mutex_unlock(&p->lock);
    return parked;
}

void worker_unpark(struct worker *w)
{
    struct pool *p = &w->session->pool;
    struct worker **at = &p->parked;

    pthread_mutex_lock(&p->lock);
    while (*at && *at != w)
        at = &(*at)->next_parked;
    bool called = !*at;
    if (!called) {
        *at = w->next_parked;
        atomic_fetch_add(&p->free, 1);
    }
    pthread_mutex_unlock(&p->lock);
    if (called)
        while (sem_wait(&w->called) && errno == EINTR)
            ;
}

/* --- leaving ------------------------------------------------------------------------ */

static void join_left(struct worker *left)
{
    while (left) {
        struct worker *next = left->next;
        pthread_join(left->thread, NULL);
        worker_free(left);
        left = next;
    }
}

void worker_leave(struct worker *w)
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

/* --- life ------------------------------------------------------------------------------- */

static void on_wake(int signal)
{
    (void)signal;
}

void workers_init(struct pool *p)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void workers_free(struct pool *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
}

int workers_start(struct session *s)
{
    struct sigaction wake = { .sa_handler = on_wake };  /* no SA_RESTART: it shall interrupt */

    sigaction(WAKE_SIGNAL, &wake, NULL);
    return worker_call(s);
}

static struct timespec after_ms(long ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

/* A signal can come just before its thread enters the kernel and be lost:
 * hence again and again. */
void workers_end(struct session *s)
{
    struct pool *p = &s->pool;

    s->leaving = true;
    pthread_mutex_lock(&p->lock);
    while (p->count) {
        while (pop_parked_locked(p))
            ;
        for (struct worker *w = p->working; w; w = w->next)
            if (w->receiving)
                pthread_kill(w->thread, WAKE_SIGNAL);
        struct timespec until = after_ms(WAKE_AGAIN_MS);
        pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    struct worker *left = p->left;
    p->left = NULL;
    pthread_mutex_unlock(&p->lock);
    join_left(left);
}
