/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Messages to the kernel that it did not ask for.
 *
 * Both kinds wait inside the kernel for something that our own workers have to
 * answer first: the fetch for the writes it causes, the dropping of a name for
 * the lock of its directory, which the very request that made the name stale
 * still holds.  So a name is dropped by a thread of its own, started when the
 * first one comes (names in two spellings are rare), and a session stops
 * notifying before its workers leave.
 */
#include "internal.h"
#include <stdlib.h>

int session_fetch(void *session, uint64_t ino)
{
    struct session *s = session;
    struct notifier *n = &s->notifier;

    pthread_rwlock_rdlock(&n->open);
    int rc = n->usable ? fuse_lowlevel_notify_inval_inode(s->fuse, ino, 0, 0) : -ENOTCONN;
    pthread_rwlock_unlock(&n->open);
    return rc == -ENOENT ? 0 : rc;   /* the kernel holds nothing of it */
}

/* --- stale names --------------------------------------------------------------- */

/* The next name, or NULL when the thread shall end. */
static struct stale *next_stale(struct notifier *n)
{
    pthread_mutex_lock(&n->lock);
    while (!n->first && !n->stop)
        pthread_cond_wait(&n->changed, &n->lock);
    struct stale *t = n->first;
    if (t) {
        n->first = t->next;
        if (!n->first)
            n->last = &n->first;
    }
    pthread_mutex_unlock(&n->lock);
    return t;
}

static void *thread(void *arg)
{
    struct session *s = arg;

    for (struct stale *t; (t = next_stale(&s->notifier)); free(t))
        fuse_lowlevel_notify_inval_entry(s->fuse, t->parent, t->name, t->len);
    return NULL;
}

void session_forget_name(void *session, uint64_t parent, const char *name, size_t len)
{
    struct session *s = session;
    struct notifier *n = &s->notifier;
    struct stale *t = malloc(sizeof *t + len + 1);
    bool queued = false;

    if (!t)
        return;
    *t = (struct stale){ .parent = parent, .len = len };
    memcpy(t->name, name, len);
    t->name[len] = '\0';
    pthread_mutex_lock(&n->lock);
    if (!n->started && !n->stop)
        n->started = pthread_create(&n->thread, NULL, thread, s) == 0;
    if (n->started && !n->stop) {
        *n->last = t;
        n->last = &t->next;
        pthread_cond_signal(&n->changed);
        queued = true;
    }
    pthread_mutex_unlock(&n->lock);
    if (!queued)
        free(t);
}

/* --- life ------------------------------------------------------------------------- */

int notify_init(struct session *s)
{
    struct notifier *n = &s->notifier;

    pthread_rwlock_init(&n->open, NULL);
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->changed, NULL);
    n->last = &n->first;
    n->stop = true;
    return 0;
}

static void set_usable(struct notifier *n, bool usable)
{
    pthread_rwlock_wrlock(&n->open);
    n->usable = usable;
    pthread_rwlock_unlock(&n->open);
}

void notify_open(struct session *s)
{
    pthread_mutex_lock(&s->notifier.lock);
    s->notifier.stop = false;
    pthread_mutex_unlock(&s->notifier.lock);
    set_usable(&s->notifier, true);
}

void notify_close(struct session *s)
{
    struct notifier *n = &s->notifier;

    pthread_mutex_lock(&n->lock);
    n->stop = true;
    pthread_cond_signal(&n->changed);
    bool started = n->started;
    pthread_mutex_unlock(&n->lock);
    if (started)
        pthread_join(n->thread, NULL);
    n->started = false;
    set_usable(n, false);
}

void notify_free(struct session *s)
{
    struct notifier *n = &s->notifier;

    pthread_rwlock_destroy(&n->open);
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->changed);
}
