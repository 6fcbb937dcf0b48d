/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Speaking to running daemons.
 *
 * Daemons are found by asking every socket in the runtime directories who it
 * serves; a socket that nobody listens to is removed.  What a daemon of
 * another user says (root sees them) counts only when the kernel confirms that
 * this user has a vault mounted there.
 *
 * `umount` waits three times: for the answer that follows the publication, for
 * the end of the process by its pidfd (opened before asking, so that it can
 * never be somebody else's), and thereby for the release of the state's lock.  When the
 * store hangs the daemon says so after minutes, and nobody waits for what may never come.
 */
#include "internal.h"
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PING_MS 3000
#define STATUS_MS 60000
#define SILENT_MS 15000              /* a wait of that length needs a word */
#define NO_LIMIT (-1)
#define PATIENCE 100                 /* tenths of a second */

/* --- one request ------------------------------------------------------------------ */

/* A connected descriptor, or -errno (-ECONNREFUSED: its daemon is dead; -ETIMEDOUT: it
 * was stopped and takes nobody, which must not hold up the others: not asked again). */
static int connect_to(const char *path, struct ucred *peer)
{
    const struct timeval limit = { .tv_sec = PING_MS / 1000 };
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    socklen_t len = sizeof *peer;

    if (strlen(path) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len)) {
        int rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* A daemon that turns us away does not read what we said: its answer comes all the same, then a reset. */
static ssize_t receive(int fd, char *piece, size_t size, bool answered)
{
    ssize_t got = recv(fd, piece, size, 0);

    return got < 0 && errno == ECONNRESET && answered ? 0 : got;
}

/* Text up to the end of the connection, NUL-terminated; malloc'd. */
static int read_answer(int fd, int limit_ms, char **out)
{
    struct buf b = { 0 };
    char piece[4096];
    ssize_t got = 1;
    int rc = 0;

    while (!rc && got > 0) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int ready = poll(&p, 1, limit_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        got = ready > 0 ? receive(fd, piece, sizeof piece, b.len > 0) : -1;
        if (got > 0)
            buf_append(&b, piece, (size_t)got);
        if (got < 0 || b.len > ANSWER_MAX)
            rc = E_CONTROL;
    }
    buf_byte(&b, 0);
    if (!rc && (b.len < 3 || b.failed))
        rc = b.failed ? -ENOMEM : E_CONTROL;
    if (rc) {
        buf_free(&b);
        return rc;
    }
    *out = (char *)b.data;
    return 0;
}

static int ask(int fd, const char *request, int limit_ms, char **answer)
{
    size_t len = strlen(request);

    /* Whom the daemon turns away it tells why, perhaps before it was asked. */
    if (send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len && errno != EPIPE)
        return E_CONTROL;
    return read_answer(fd, limit_ms, answer);
}

/* The code in an answer that is only a result. */
static int result_of(const char *answer)
{
    int64_t code;

    if (!daemon_json_number(answer, "code", &code) || code > 0 || code < -10000)
        return E_CONTROL;
    return (int)code;
}

/* A daemon whose connections are all taken says so to the others unheard, and frees one within seconds. */
static bool is_turned_away(const char *answer)
{
    int64_t heard;

    return daemon_json_number(answer, "heard", &heard) && !heard && result_of(answer) == -EAGAIN;
}

static bool is_patient(int *tries)
{
    static const struct timespec pause = { .tv_nsec = 100000000 };

    nanosleep(&pause, NULL);
    return ++*tries <= PATIENCE;
}

/* *answer is the caller's to free when this is 0, else NULL. */
static int ask_at(const char *socket_path, const char *request, int limit_ms, struct ucred *peer, char **answer)
{
    for (int tries = 0;;) {
        *answer = NULL;
        int fd = connect_to(socket_path, peer);
        if (fd < 0)
            return fd;
        int rc = ask(fd, request, limit_ms, answer);
        close(fd);
        if (rc || !is_turned_away(*answer) || !is_patient(&tries))
            return rc;
        free(*answer);
    }
}

static int ask_daemon(const struct daemon_ref *d, const char *request, int limit_ms, char **answer)
{
    struct ucred peer;

    int rc = ask_at(d->socket, request, limit_ms, &peer, answer);
    return rc == -ECONNREFUSED || rc == -ENOENT ? E_NOT_MOUNTED : rc;
}

/* --- finding ------------------------------------------------------------------------ */

struct finding { struct daemon_ref *v; int count; uid_t owner; const char *dir; };

static bool parse_identity(const char *answer, struct daemon_ref *out)
{
    char vault[ID_TEXT];
    int64_t mounted = 0;

    daemon_json_number(answer, "mounted", &mounted);
    out->mounted = mounted != 0;
    return daemon_json_text(answer, "vault", vault, sizeof vault) && id_parse(vault, &out->vault) == 0 &&
           daemon_json_text(answer, "mountpoint", out->mountpoint, sizeof out->mountpoint) &&
           daemon_json_text(answer, "state", out->state, sizeof out->state);
}

/* Only root listens to others, and believes the kernel. */
static bool is_credible(const struct daemon_ref *d, uid_t peer, uid_t owner)
{
    struct mounted m;

    if (peer != owner)
        return false;
    return owner == geteuid() || (mounted_at(d->mountpoint, &m) == 0 && mounted_is_ours(&m) && m.owner == owner);
}

static int ask_identity(const struct finding *f, struct daemon_ref *out)
{
    struct ucred peer;
    char *answer = NULL;

    int rc = ask_at(out->socket, "ping\n", PING_MS, &peer, &answer);
    if (rc == -ECONNREFUSED)
        unlink(out->socket);
    if (!rc && !parse_identity(answer, out))
        rc = result_of(answer) == -EAGAIN ? -EAGAIN : E_CONTROL;
    if (!rc && !is_credible(out, peer.uid, f->owner))
        rc = E_CONTROL;
    free(answer);
    return rc;
}

static int look_at(struct finding *f, const char *name)
{
    struct daemon_ref *more = realloc(f->v, ((size_t)f->count + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    f->v = more;
    struct daemon_ref *d = &f->v[f->count];
    memset(d, 0, sizeof *d);
    int n = snprintf(d->socket, SOCKET_PATH_MAX, "%s/%s", f->dir, name);
    if (n > 0 && (size_t)n < SOCKET_PATH_MAX && ask_identity(f, d) == 0)
        f->count++;
    return 0;
}

static int look_into(void *ctx, const char *dir, uid_t owner)
{
    struct finding *f = ctx;
    DIR *open_dir = opendir(dir);
    int rc = 0;

    if (!open_dir)
        return 0;
    f->dir = dir;
    f->owner = owner;
    for (struct dirent *d; !rc && (d = readdir(open_dir));) {
        size_t len = strlen(d->d_name);
        if (d->d_name[0] != '.' && len > 5 && strcmp(d->d_name + len - 5, ".sock") == 0)
            rc = look_at(f, d->d_name);
    }
    closedir(open_dir);
    return rc;
}

int daemon_list(struct daemon_ref **out)
{
    struct finding f = { 0 };

    int rc = runtime_each(look_into, &f);
    if (rc) {
        free(f.v);
        return rc;
    }
    *out = f.v;
    return f.count;
}

/* Of two at the same place (one is on its way out) the mounted one counts. */
int daemon_find(const char *path, struct daemon_ref *out)
{
    char real[PATH_MAX];
    struct daemon_ref *all = NULL;

    int rc = daemon_resolve(path, real);
    if (rc)
        return rc == E_MOUNTPOINT ? E_NOT_MOUNTED : rc;
    int count = daemon_list(&all);
    rc = count < 0 ? count : E_NOT_MOUNTED;
    for (int k = 0; k < count; k++) {
        if (strcmp(all[k].mountpoint, real) || (rc == 0 && !all[k].mounted))
            continue;
        *out = all[k];
        rc = 0;
    }
    free(all);
    return rc;
}

static void wait_for_process(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
}

/* Does the daemon go on? Turned away before it was heard, or heard and refused. Daemons of
 * before an upgrade do not say that they are still mounted. */
static bool goes_on(int rc, const char *answer)
{
    int64_t mounted;

    if (rc && answer && daemon_json_number(answer, "mounted", &mounted))
        return mounted != 0;
    return rc == -EPERM || rc == -EAGAIN || rc == E_MOUNT_BUSY;
}

static void tell_of_waiting(int fd, void (*waits)(void))
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    if (waits && poll(&p, 1, SILENT_MS) == 0)
        waits();
}

struct asking { int fd, pidfd; };

static int approach(const struct daemon_ref *d, struct asking *a)
{
    struct ucred peer;

    *a = (struct asking){ connect_to(d->socket, &peer), -1 };
    if (a->fd < 0)
        return a->fd == -ECONNREFUSED || a->fd == -ENOENT ? E_NOT_MOUNTED : a->fd;
    a->pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    return 0;
}

static void leave(struct asking *a)
{
    close(a->fd);
    if (a->pidfd >= 0)
        close(a->pidfd);
}

/* Closes `a`. -EAGAIN: turned away. */
static int ask_for_end(struct asking *a, void (*waits)(void))
{
    static const char request[] = "unmount\n";
    char *answer = NULL;

    int rc = send(a->fd, request, strlen(request), MSG_NOSIGNAL) < 0 && errno != EPIPE ? E_CONTROL : 0;
    if (!rc) {
        tell_of_waiting(a->fd, waits);
        rc = read_answer(a->fd, NO_LIMIT, &answer);
    }
    if (!rc)
        rc = result_of(answer);
    bool ends = !goes_on(rc, answer) && rc != E_STORE_STUCK;
    if (rc == -EAGAIN && ends)
        rc = E_CONTROL;          /* unmounted, but too many wait for the result already */
    free(answer);
    if (a->pidfd >= 0 && ends)
        wait_for_process(a->pidfd);
    leave(a);
    return rc;
}

static int unmount_by(const struct daemon_ref *d, void (*waits)(void))
{
    struct asking a;
    int tries = 0, rc;

    do {
        rc = approach(d, &a);
        rc = rc ? rc : ask_for_end(&a, waits);
    } while (rc == -EAGAIN && is_patient(&tries));
    return rc;
}

int client_wait_for_end(const char *state_path)
{
    struct daemon_ref *all = NULL;
    int rc = 0;

    int count = daemon_list(&all);
    for (int k = 0; k < count && !rc; k++) {
        if (strcmp(all[k].state, state_path))
            continue;
        if (all[k].mounted) {
            rc = E_STATE_IN_USE;
        } else {
            log_info("ECL-0505 waiting for the last publication of the mount before");
            rc = unmount_by(&all[k], NULL) == E_STORE_STUCK ? E_STORE_STUCK : 0;
        }
    }
    free(all);
    return rc;
}

/* --- asking ------------------------------------------------------------------------ */

int daemon_status(const struct daemon_ref *d, char **json)
{
    char vault[ID_TEXT];

    int rc = ask_daemon(d, "status\n", STATUS_MS, json);
    if (rc || daemon_json_text(*json, "vault", vault, sizeof vault))
        return rc;
    rc = result_of(*json);
    free(*json);
    *json = NULL;
    return rc ? rc : E_CONTROL;
}

static int ask_result(const struct daemon_ref *d, const char *request)
{
    char *answer;

    int rc = ask_daemon(d, request, NO_LIMIT, &answer);
    if (rc)
        return rc;
    rc = result_of(answer);
    free(answer);
    return rc;
}

int daemon_flush(const struct daemon_ref *d)
{
    return ask_result(d, "flush\n");
}

int daemon_forget(const struct daemon_ref *d)
{
    return ask_result(d, "forget\n");
}

int daemon_gc(const struct daemon_ref *d, bool at_once, char **json)
{
    int rc = ask_daemon(d, at_once ? "gc-now\n" : "gc\n", NO_LIMIT, json);
    if (rc)
        return rc;
    rc = result_of(*json);
    if (rc) {
        free(*json);
        *json = NULL;
    }
    return rc;
}

/* Nobody answers for it: its daemon is dead, or its socket was taken away. */
static int unmount_alone(const char *path)
{
    struct mounted m;

    int rc = mounted_at(path, &m);
    if (rc || !mounted_is_ours(&m))
        return rc && rc != E_NOT_MOUNTED ? rc : E_NOT_MOUNTED;
    bool dead = mounted_is_dead(path);
    rc = mounted_release(path, dead);
    return rc || dead ? rc : E_CONTROL;  /* unmounted, but nobody says whether it is published */
}

/* It does not listen for long to somebody who says nothing. */
static bool has_hung_up(const struct asking *a)
{
    struct pollfd p = { .fd = a->fd, .events = POLLIN };

    return poll(&p, 1, 0) > 0;
}

/* The daemon, which finds itself unmounted, is asked afterwards how its last publication went. A
 * connection from before keeps it from being over by then. */
static int unmount_ourselves(const struct daemon_ref *d, void (*waits)(void))
{
    struct asking a;

    int rc = approach(d, &a);
    if (rc)
        return rc;
    rc = mounted_release(d->mountpoint, false);
    if (rc && rc != E_NOT_MOUNTED) {
        leave(&a);
        return rc;
    }
    rc = -EAGAIN;
    if (has_hung_up(&a))
        leave(&a);
    else
        rc = ask_for_end(&a, waits);
    if (rc == -EAGAIN)
        rc = unmount_by(d, waits);
    return rc == E_NOT_MOUNTED ? E_CONTROL : rc;   /* unmounted, but nobody says whether it is published */
}

int daemon_unmount(const char *mountpoint, bool ourselves, void (*waits)(void))
{
    char real[PATH_MAX];
    struct daemon_ref d;

    int rc = daemon_resolve(mountpoint, real);
    if (rc)
        return rc == E_MOUNTPOINT ? E_NOT_MOUNTED : rc;
    rc = daemon_find(real, &d);
    if (rc == E_NOT_MOUNTED)
        return unmount_alone(real);
    if (!rc)
        rc = ourselves ? unmount_ourselves(&d, waits) : unmount_by(&d, waits);
    if (rc == E_NOT_MOUNTED || rc == E_CONTROL) {
        /* It died meanwhile: do not leave its corpse. */
        int cleared = mounted_is_dead(real) ? unmount_alone(real) : 0;
        return cleared ? cleared : rc == E_NOT_MOUNTED ? 0 : rc;
    }
    return rc;
}
