/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Which worker receives which request.
 *
 * At rest all free workers are blocked in a read of the device: no processor
 * time is spent.  But waking one costs more than serving it what it is woken
 * for, so during a burst of small requests one worker leads: it spins on the
 * device for the next request and serves it at once, while the others are
 * parked and so cannot be woken by the kernel.
 *
 *   a burst (PACE)   ->  one worker leads, the others park as they come back
 *   80 us of silence, a request that may take long, or one that did
 *                    ->  nobody leads; the others come back when called
 *
 * Invariants:
 *  1. Whenever a worker takes a request and no other is free, another one is
 *     called or started first: a request may wait for other requests (a sync,
 *     for the writes that it makes the kernel send).
 *  2. A leader serves without calling anybody, but only while a parked worker
 *     watches it, which takes its place when a request lasts (WATCH).  While it
 *     serves it is not free: whoever takes its place is alone, and calls (1).
 *  3. Nobody spins or watches for longer than a moment after the last request.
 *  4. Whoever finds the connection ended resigns and then calls all who are parked:
 *     no request will come that would.
 */
#include "internal.h"
#include <linux/fuse.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define FREE_MAX 3u            /* free workers that stay */
#define SPIN_NS 80000u         /* a leader gives up after that much silence */
#define PACE_NS 100000u        /* requests that follow one another faster... */
#define PACE_COUNT 16          /* ...so many times are a burst */
#define LONG_NS 500000u        /* a request that lasted */
#define COOL 64                /* requests without a leader after that */
#define WATCH_NS 2000000u
#define QUICK_BYTES (128u << 10)

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- the pace -------------------------------------------------------------------- */

static bool is_quick(const struct peek *p)
{
    switch (p->opcode) {
    case FUSE_READ: case FUSE_WRITE: case FUSE_COPY_FILE_RANGE:
        return p->payload <= QUICK_BYTES;
    case FUSE_FSYNC: case FUSE_FSYNCDIR: case FUSE_LSEEK: /* which make the kernel send writes */
        return false;
    default:
        return true;
    }
}

/* Several workers may do this at once; a lost count does no harm. */
static void note_pace(struct pool *p, bool quick, uint64_t now)
{
    uint64_t last = atomic_exchange_explicit(&p->last, now, memory_order_relaxed);
    int pace = atomic_load_explicit(&p->pace, memory_order_relaxed);

    if (quick && now - last < PACE_NS)
        pace += pace < PACE_COUNT;
    else if (pace > 0)
        pace = 0;
    atomic_store_explicit(&p->pace, pace, memory_order_relaxed);
}

/* --- leading ---------------------------------------------------------------------- */

static bool leads(struct worker *w)
{
    return atomic_load(&w->session->pool.leader) == w;
}

static bool somebody_else_leads(struct worker *w)
{
    struct worker *leader = atomic_load(&w->session->pool.leader);
    return leader && leader != w;
}

static void resign(struct worker *w, int pace)
{
    struct pool *p = &w->session->pool;

    if (atomic_compare_exchange_strong(&p->leader, &w, NULL))
        atomic_store_explicit(&p->pace, pace, memory_order_relaxed);
}

static int receive(struct worker *w)
{
    int n = 0;

    w->receiving = true;
    if (!w->session->leaving)
        n = channel_receive(w);
    w->receiving = false;
    return n;
}

/* -EAGAIN after silence; then w leads no more. */
static int spin(struct worker *w)
{
    struct pollfd device = { .fd = fuse_session_fd(w->session->fuse), .events = POLLIN };
    uint64_t until = now_ns() + SPIN_NS;

    do {
        if (poll(&device, 1, 0) > 0)
            return receive(w);
    } while (!w->session->leaving && now_ns() < until);
    resign(w, 0);
    return -EAGAIN;
}

static void serve_leading(struct worker *w, size_t len, uint64_t now)
{
    struct pool *p = &w->session->pool;

    atomic_fetch_add_explicit(&p->beat, 1, memory_order_relaxed);
    atomic_fetch_sub(&p->free, 1);
    channel_process(w, len);
    atomic_fetch_add(&p->free, 1);
    if (now_ns() - now > LONG_NS)
        resign(w, -COOL);
}

/* --- watching ------------------------------------------------------------------------ */

/* Until called, or until there is no leader, or none that does anything. */
static void watch(struct worker *w)
{
    struct pool *p = &w->session->pool;
    unsigned seen = atomic_load(&p->beat) - 1;

    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (sem_clockwait(&w->called, CLOCK_MONOTONIC, &until) == 0) {
            sem_post(&w->called);    /* worker_unpark takes it */
            return;
        }
        struct worker *leader = atomic_load(&p->leader);
        unsigned beat = atomic_load(&p->beat);
        if (!leader)
            return;
        if (beat == seen && errno == ETIMEDOUT) {
            resign(leader, -COOL);
            return;
        }
        seen = beat;
    }
}

/* True when w was parked, and is free again. */
static bool park(struct worker *w)
{
    struct pool *p = &w->session->pool;
    bool nobody = false;

    if (!worker_park(w, somebody_else_leads))
        return false;
    if (atomic_compare_exchange_strong(&p->watched, &nobody, true)) {
        watch(w);
        atomic_store(&p->watched, false);
    } else {
        while (sem_wait(&w->called) && errno == EINTR)
            ;
        sem_post(&w->called);
    }
    worker_unpark(w);
    return true;
}

/* --- working --------------------------------------------------------------------------- */

/* False when enough others are free: who leaves was never counted, or those
 * that are leaving would keep others from being called. */
static bool become_free(struct pool *p)
{
    unsigned n = atomic_load(&p->free);

    do {
        if (n >= FREE_MAX)
            return false;
    } while (!atomic_compare_exchange_weak(&p->free, &n, n + 1));
    return true;
}

/* False when the worker is one too many; it counts as free no longer. */
static bool serve(struct worker *w, size_t len)
{
    struct pool *p = &w->session->pool;
    bool quick = is_quick(&w->peek);
    struct worker *nobody = NULL;
    uint64_t now = now_ns();

    note_pace(p, quick, now);
    if (quick && leads(w) && atomic_load(&p->watched)) {
        serve_leading(w, len, now);
        return true;
    }
    if (!quick)
        resign(w, -COOL);
    if (atomic_fetch_sub(&p->free, 1) == 1)
        worker_call(w->session);
    channel_process(w, len);
    if (!become_free(p)) {
        resign(w, 0);
        return false;
    }
    if (quick && atomic_load_explicit(&p->pace, memory_order_relaxed) >= PACE_COUNT)
        atomic_compare_exchange_strong(&p->leader, &nobody, w);
    return true;
}

void *dispatch_work(void *arg)
{
    struct worker *w = arg;

    worker_become(w);
    for (;;) {
        if (somebody_else_leads(w) && park(w))
            continue;
        int n = leads(w) ? spin(w) : receive(w);
        if (n == -EINTR || n == -EAGAIN)
            continue;
        if (n <= 0) {
            resign(w, 0);
            workers_recall(w->session);
            atomic_fetch_sub(&w->session->pool.free, 1);
            break;
        }
        if (!serve(w, (size_t)n))
            break;
    }
    worker_leave(w);
    return NULL;
}
