/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The control socket: one request per connection, one line of at most 4 KiB,
 * answered by one JSON object.
 *
 *   ping      who we are                        status    everything (report.c)
 *   flush     answers once all is published     unmount   answers once all is over
 *   gc        answers with what was freed       gc-now    the same, without grace
 *   forget    a flush, then what is read next is read from the disks (fs_forget)
 *
 * Mode 0600 in a directory of mode 0700, and only the same user or root is
 * listened to.  A connection has five seconds to say its line, runs in a
 * thread of its own, and there are at most 16: whatever is sent, the vault goes
 * on serving.  The socket is born under a hidden name and renamed once it
 * listens, so that a client that is refused may conclude that its daemon died.
 *
 * After control_close_fs the filesystem is not touched any more; `unmount` and
 * `flush` then wait with those who came earlier ("parked") for the result of
 * the last publication, which control_finish tells them; or, when the store hangs,
 * control_stuck that it does: nobody knows how long that lasts.
 */
#include "internal.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 16u
#define REQUEST_SECONDS 5
#define ANSWER_SECONDS 10

struct control {
    struct served *served;
    int listening, wake;
    char path[SOCKET_PATH_MAX];
    pthread_t thread;
    pthread_mutex_t lock;      /* protects what follows */
    pthread_cond_t changed;
    unsigned connections;      /* threads; the parked have none any more */
    unsigned fs_users;
    bool closing, stuck;
    int parked[CONNECTIONS_MAX];
    unsigned parked_count;
};

struct connection { struct control *control; int fd; };

/* --- the filesystem, as long as it is there ------------------------------------ */

static bool fs_begin(struct control *c)
{
    pthread_mutex_lock(&c->lock);
    bool open = !c->closing;
    c->fs_users += open;
    pthread_mutex_unlock(&c->lock);
    return open;
}

static void fs_end(struct control *c)
{
    pthread_mutex_lock(&c->lock);
    c->fs_users--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

void control_close_fs(struct control *c)
{
    fs_closing(c->served->fs);
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    if (c->fs_users)
        fs_gc_stop(c->served->fs);
    while (c->fs_users)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

/* The descriptor waits for control_finish, if this is 0. E_STORE_STUCK, -EAGAIN: no room. */
static int park(struct control *c, int fd)
{
    pthread_mutex_lock(&c->lock);
    int rc = c->stuck ? E_STORE_STUCK : c->parked_count == CONNECTIONS_MAX ? -EAGAIN : 0;
    if (!rc)
        c->parked[c->parked_count++] = fd;
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* False when it was answered meanwhile. */
static bool unpark(struct control *c, int fd)
{
    bool found = false;

    pthread_mutex_lock(&c->lock);
    for (unsigned k = 0; !found && k < c->parked_count; k++)
        if (c->parked[k] == fd) {
            c->parked[k] = c->parked[--c->parked_count];
            found = true;
        }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* --- requests: each fills the answer, or parks the connection (true) ------------- */

static bool is_closing(struct control *c)
{
    pthread_mutex_lock(&c->lock);
    bool closing = c->closing;
    pthread_mutex_unlock(&c->lock);
    return closing;
}

static bool do_ping(struct control *c, int fd, struct buf *answer)
{
    (void)fd;
    report_identity(c->served, is_closing(c), answer);
    return false;
}

static bool do_status(struct control *c, int fd, struct buf *answer)
{
    (void)fd;
    bool open = fs_begin(c);
    int rc = report_status(c->served, !open, answer);
    if (open)
        fs_end(c);
    if (rc) {
        buf_reset(answer);
        report_result(rc, answer);
    }
    return false;
}

static bool do_flush(struct control *c, int fd, struct buf *answer)
{
    int rc;

    if (!fs_begin(c)) {
        rc = park(c, fd);
        if (rc)
            report_result(rc, answer);
        return !rc;
    }
    rc = c->served->config->read_only ? 0 : fs_flush(c->served->fs);
    fs_end(c);
    report_result(rc, answer);
    return false;
}

static bool do_forget(struct control *c, int fd, struct buf *answer)
{
    (void)fd;
    bool open = fs_begin(c);
    int rc = open ? fs_forget(c->served->fs) : E_NOT_MOUNTED;
    if (open)
        fs_end(c);
    report_result(rc, answer);
    return false;
}

static bool collect(struct control *c, bool at_once, struct buf *answer)
{
    struct gc_report r;

    if (!fs_begin(c)) {
        report_result(E_NOT_MOUNTED, answer);
        return false;
    }
    int rc = fs_gc(c->served->fs, at_once, &r);
    fs_end(c);
    if (rc)
        report_result(rc, answer);
    else
        report_gc(&r, answer);
    return false;
}

static bool do_gc(struct control *c, int fd, struct buf *answer) { (void)fd; return collect(c, false, answer); }
static bool do_gc_now(struct control *c, int fd, struct buf *answer) { (void)fd; return collect(c, true, answer); }

static bool do_unmount(struct control *c, int fd, struct buf *answer)
{
    bool closing = is_closing(c);
    int rc = park(c, fd);         /* first: what is unmounted cannot be refused any more */

    if (rc) {
        report_unmount(rc, !closing, answer);
        return false;
    }
    if (closing)
        return true;
    rc = served_release(c->served);
    if (rc && rc != E_NOT_MOUNTED && unpark(c, fd)) {
        report_unmount(rc, true, answer);
        return false;
    }
    if (!rc || rc == E_NOT_MOUNTED)
        kill(getpid(), SIGTERM);  /* the lifetime thread sees to the rest */
    return true;
}

static const struct request { const char *name; bool (*run)(struct control *, int, struct buf *); } requests[] = {
    { "ping", do_ping }, { "status", do_status }, { "flush", do_flush }, { "unmount", do_unmount },
    { "gc", do_gc }, { "gc-now", do_gc_now }, { "forget", do_forget },
};

/* --- a connection ----------------------------------------------------------------- */

static int milliseconds_until(const struct timespec *end)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left = (end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
    return left < 0 ? 0 : (int)left;
}

/* One line without its newline; false when it is late, long or not text. */
static bool read_line(int fd, char line[REQUEST_MAX + 1])
{
    struct timespec end;
    size_t used = 0;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += REQUEST_SECONDS;
    while (used < REQUEST_MAX) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, milliseconds_until(&end)) <= 0)
            return false;
        ssize_t got = recv(fd, line + used, REQUEST_MAX - used, MSG_DONTWAIT);
        if (got <= 0)
            return false;
        char *newline = memchr(line + used, '\n', (size_t)got);
        used += (size_t)got;
        if (newline) {
            *newline = '\0';
            return memchr(line, '\0', used) == newline;
        }
    }
    return false;
}

static void send_answer(int fd, const struct buf *answer)
{
    for (size_t at = 0; !answer->failed && at < answer->len;) {
        ssize_t sent = send(fd, answer->data + at, answer->len - at, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += (size_t)sent;
    }
}

static void answer_last(int fd, void (*report)(int result, struct buf *out), int result)
{
    struct buf answer = { 0 };

    report(result, &answer);
    send_answer(fd, &answer);
    buf_free(&answer);
    close(fd);
}

static void *converse(void *arg)
{
    struct connection *n = arg;
    struct control *c = n->control;
    char line[REQUEST_MAX + 1];
    struct buf answer = { 0 };
    const struct request *r = NULL;

    if (read_line(n->fd, line))
        for (size_t k = 0; k < ARRAY_SIZE(requests); k++)
            if (strcmp(line, requests[k].name) == 0)
                r = &requests[k];
    bool parked = r && r->run(c, n->fd, &answer);
    if (!r)
        report_result(E_CONTROL, &answer);
    if (!parked) {
        send_answer(n->fd, &answer);
        close(n->fd);
    }
    buf_free(&answer);
    free(n);
    pthread_mutex_lock(&c->lock);
    c->connections--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- accepting ----------------------------------------------------------------------- */

static bool is_welcome(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

/* Takes the descriptor over. */
static int start_thread(struct control *c, int fd)
{
    struct connection *n = malloc(sizeof *n);
    pthread_attr_t attr;
    pthread_t thread;

    if (!n)
        return -ENOMEM;
    *n = (struct connection){ c, fd };
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = -pthread_create(&thread, &attr, converse, n);
    pthread_attr_destroy(&attr);
    if (rc)
        free(n);
    return rc;
}

static void admit(struct control *c, int fd)
{
    struct timeval limit = { .tv_sec = ANSWER_SECONDS };
    int rc = is_welcome(fd) ? 0 : -EPERM;

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (!rc) {
        pthread_mutex_lock(&c->lock);
        if (c->connections >= CONNECTIONS_MAX)
            rc = -EAGAIN;
        else
            c->connections++;
        pthread_mutex_unlock(&c->lock);
    }
    if (!rc) {
        rc = start_thread(c, fd);
        if (!rc)
            return;
        pthread_mutex_lock(&c->lock);
        c->connections--;
        pthread_mutex_unlock(&c->lock);
    }
    answer_last(fd, report_refusal, rc);
}

static void *accept_loop(void *arg)
{
    struct control *c = arg;
    struct pollfd p[2] = { { .fd = c->listening, .events = POLLIN }, { .fd = c->wake, .events = POLLIN } };

    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (p[1].revents)
            return NULL;
        if (!p[0].revents)
            continue;
        int fd = accept4(c->listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            admit(c, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            poll(&p[1], 1, 100);  /* out of descriptors: not in a hurry */
    }
}

/* --- birth and end ---------------------------------------------------------------------- */

/* The name is the process's own, so that removing a dead socket can never hit
 * a new one. */
static int listen_at(struct control *c)
{
    char dir[SOCKET_PATH_MAX], vault[ID_TEXT];
    struct sockaddr_un hidden = { .sun_family = AF_UNIX };
    uint32_t unique;

    int rc = runtime_dir(dir);
    if (rc)
        return rc;
    id_format(&c->served->vault, vault);
    crypto_random(&unique, sizeof unique);
    snprintf(hidden.sun_path, sizeof hidden.sun_path, "%.80s/.%08x", dir, unique);
    snprintf(c->path, sizeof c->path, "%.60s/%.32s-%08x.sock", dir, vault, unique);
    c->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listening < 0)
        return -errno;
    if (bind(c->listening, (struct sockaddr *)&hidden, sizeof hidden))
        return -errno;
    if (chmod(hidden.sun_path, 0600) || listen(c->listening, CONNECTIONS_MAX) ||
        rename(hidden.sun_path, c->path)) {
        rc = -errno;
        unlink(hidden.sun_path);
        c->path[0] = '\0';
    }
    return rc;
}

int control_start(struct control **out, struct served *s)
{
    struct control *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->served = s;
    c->listening = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->wake = eventfd(0, EFD_CLOEXEC);
    int rc = c->wake < 0 ? -errno : listen_at(c);
    if (!rc)
        rc = -pthread_create(&c->thread, NULL, accept_loop, c);
    if (!rc) {
        *out = c;
        return 0;
    }
    log_error("ECL-0530 control socket: %s", error_name(rc));
    if (c->path[0])
        unlink(c->path);
    if (c->listening >= 0)
        close(c->listening);
    if (c->wake >= 0)
        close(c->wake);
    free(c);
    return rc;
}

void control_stuck(struct control *c)
{
    int waiting[CONNECTIONS_MAX];

    pthread_mutex_lock(&c->lock);
    unsigned count = c->parked_count;
    memcpy(waiting, c->parked, sizeof waiting);
    c->parked_count = 0;
    c->stuck = true;
    pthread_mutex_unlock(&c->lock);
    for (unsigned k = 0; k < count; k++)
        answer_last(waiting[k], report_result, E_STORE_STUCK);
}

void control_finish(struct control *c, int result)
{
    uint64_t one = 1;

    if (!c)
        return;
    unlink(c->path);
    if (write(c->wake, &one, sizeof one) == sizeof one)
        pthread_join(c->thread, NULL);
    /* Those that were connected by then and not accepted yet wait for the result too. */
    for (int fd; (fd = accept4(c->listening, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        admit(c, fd);
    close(c->listening);
    pthread_mutex_lock(&c->lock);
    while (c->connections)
        pthread_cond_wait(&c->changed, &c->lock);
    for (unsigned k = 0; k < c->parked_count; k++)
        answer_last(c->parked[k], report_result, result);
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    close(c->wake);
    free(c);
}
