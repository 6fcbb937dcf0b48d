/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Asking through a pinentry, in its own language: one command a line, with %XX for
 * what a line cannot hold.
 *
 *   ← OK Pleased to meet you
 *   → SETDESC …          ← OK
 *   → GETPIN             ← INQUIRE QUALITY what%20was%20typed
 *   → D 57, END            …at each key, when SETQUALITYBAR was sent
 *                        ← S PIN_REPEATED
 *                        ← D the%20passphrase
 *                        ← OK, or ERR with a code: 99 or 198 given up, 114 "no"
 *
 * All that comes from it lands in guarded memory.  A socket and not a pipe, so
 * that a pinentry that died is an error and not a signal, and one that says nothing
 * is an error too, but while the user thinks.
 */
#include "internal.h"
#include <ctype.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_ROOM 8192u
#define PATIENCE_SECONDS 10
#define END_STEPS 100u           /* two seconds */
#define CANCELED 99u
#define FULLY_CANCELED 198u      /* by Escape or by closing the window */
#define NOT_CONFIRMED 114u
#define CODE(error) ((error) & 0xffffu)

extern char **environ;

/* --- lines ------------------------------------------------------------------------- */

static int send_text(struct pinentry *p, const char *text)
{
    for (size_t left = strlen(text); left;) {
        ssize_t n = send(p->fd, text, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        left -= (size_t)n;
    }
    return 0;
}

static void escape(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (; *text && used + 4 < size; text++)
        used += (size_t)snprintf(out + used, size - used, strchr("%\r\n", *text) ? "%%%02X" : "%c",
                                 (unsigned char)*text);
    out[used] = '\0';
}

/* In place; the length. */
static size_t unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        unsigned v;
        if (*from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2])) {
            sscanf(from + 1, "%2x", &v);
            *to++ = (char)v;
            from += 2;
        } else
            *to++ = *from;
    }
    *to = '\0';
    return (size_t)(to - text);
}

/* The next line, without its end; it stays at the start of p->line until the next call. */
static int next_line(struct pinentry *p)
{
    memmove(p->line, p->line + p->shown, p->used - p->shown);   /* the one before goes */
    p->used -= p->shown;
    p->shown = 0;
    for (;;) {
        char *end = memchr(p->line, '\n', p->used);
        if (end) {
            *end = '\0';
            p->shown = (size_t)(end - p->line) + 1;
            return 0;
        }
        if (p->used == LINE_ROOM)
            return -EPROTO;
        ssize_t n = recv(p->fd, p->line + p->used, LINE_ROOM - p->used, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        p->used += (size_t)n;
    }
}

/* How hard to guess, as the bar wants it: up to 100, negative when too weak. */
static int answer_quality(struct pinentry *p, char *typed)
{
    char answer[32];

    size_t len = unescape(typed);
    int bits = strength_bits((uint8_t *)typed, len), percent = bits < 0 ? 0 : bits * 100 / STRENGTH_GOOD;
    if (percent > 100)
        percent = 100;
    snprintf(answer, sizeof answer, "D %d\nEND\n", bits < STRENGTH_WEAK ? -percent : percent);
    return send_text(p, answer);
}

/* Up to OK (0) or ERR (its code as *error, -EPROTO). Data goes into out. */
static ssize_t answered(struct pinentry *p, uint8_t *out, size_t size, bool *repeated, unsigned *error)
{
    size_t used = 0;

    *error = 0;
    for (;;) {
        int rc = next_line(p);
        if (rc)
            return rc;
        if (strncmp(p->line, "OK", 2) == 0)
            return (ssize_t)used;
        if (sscanf(p->line, "ERR %u", error) == 1)
            return -EPROTO;
        if (strncmp(p->line, "S PIN_REPEATED", 14) == 0 && repeated)
            *repeated = true;
        else if (strncmp(p->line, "INQUIRE QUALITY ", 16) == 0)
            rc = answer_quality(p, p->line + 16);
        else if (strncmp(p->line, "INQUIRE", 7) == 0)
            rc = send_text(p, "END\n");
        else if (strncmp(p->line, "D ", 2) == 0) {
            size_t len = unescape(p->line + 2);
            if (len > size - used)
                return -EFBIG;
            memcpy(out + used, p->line + 2, len);
            used += len;
        } else if (*p->line && *p->line != '#' && strncmp(p->line, "S ", 2))
            rc = -EPROTO;
        if (rc)
            return rc;
    }
}

static void be_patient(struct pinentry *p, time_t seconds)
{
    const struct timeval limit = { .tv_sec = seconds };

    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static bool given_up(ssize_t rc, unsigned error)
{
    return rc == -EPROTO && (CODE(error) == CANCELED || CODE(error) == FULLY_CANCELED);
}

static ssize_t command(struct pinentry *p, const char *text, uint8_t *out, size_t size, bool *repeated, unsigned *error)
{
    int rc = send_text(p, text);
    return rc ? rc : answered(p, out, size, repeated, error);
}

/* For as long as the user likes. */
static ssize_t question(struct pinentry *p, const char *text, uint8_t *out, size_t size, bool *repeated, unsigned *error)
{
    be_patient(p, 0);
    ssize_t n = command(p, text, out, size, repeated, error);
    be_patient(p, PATIENCE_SECONDS);
    return n;
}

/* --- the program ---------------------------------------------------------------------- */

static int spawn(struct pinentry *p, const char *program)
{
    posix_spawn_file_actions_t files;
    char *argv[] = { (char *)(uintptr_t)program, NULL };
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -errno;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    int rc = posix_spawnp(&p->pid, program, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    p->fd = ends[0];
    if (rc)
        p->pid = 0;
    return -rc;
}

static int option(struct pinentry *p, const char *name, const char *value)
{
    char text[PATH_MAX];

    if (!value || !*value)
        return 0;
    snprintf(text, sizeof text, "%s=%s", name, value);
    return pinentry_set(p, "OPTION", text);
}

int pinentry_start(struct pinentry *p, const char *program)
{
    unsigned error;

    *p = (struct pinentry){ .fd = -1, .line = secret_alloc(LINE_ROOM) };
    int rc = p->line ? spawn(p, program) : -ENOMEM;
    if (!rc) {
        be_patient(p, PATIENCE_SECONDS);
        rc = (int)answered(p, NULL, 0, NULL, &error);
    }
    if (!rc)
        rc = option(p, "ttyname", ttyname(STDIN_FILENO));
    if (!rc)
        rc = option(p, "ttytype", getenv("TERM"));
    if (!rc)
        rc = option(p, "lc-ctype", "C.UTF-8");   /* what we send is UTF-8, whatever the locale */
    if (rc)
        pinentry_end(p);
    return rc;
}

int pinentry_set(struct pinentry *p, const char *name, const char *text)
{
    char line[2048], escaped[1024];
    unsigned error;

    escape(text, escaped, sizeof escaped);
    snprintf(line, sizeof line, "%s %s\n", name, escaped);
    int rc = (int)command(p, line, NULL, 0, NULL, &error);
    return rc == -EPROTO && error ? 0 : rc;
}

ssize_t pinentry_ask(struct pinentry *p, uint8_t *out, size_t size, bool *repeated)
{
    unsigned error;

    *repeated = false;
    ssize_t n = question(p, "GETPIN\n", out, size, repeated, &error);
    return given_up(n, error) ? E_NO_SECRET : n;
}

int pinentry_confirm(struct pinentry *p)
{
    unsigned error;

    ssize_t n = question(p, "CONFIRM\n", NULL, 0, NULL, &error);
    if (given_up(n, error))
        return E_NO_SECRET;
    if (n == -EPROTO && CODE(error) == NOT_CONFIRMED)
        return 0;
    return n < 0 ? (int)n : 1;
}

/* One that ignores its end is killed. */
static void reap(pid_t pid)
{
    static const struct timespec step = { .tv_nsec = 20000000 };

    kill(pid, SIGTERM);
    for (unsigned k = 0; k < END_STEPS; k++) {
        pid_t got = waitpid(pid, NULL, WNOHANG);
        if (got == pid || (got < 0 && errno != EINTR))
            return;
        nanosleep(&step, NULL);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

void pinentry_end(struct pinentry *p)
{
    if (p->fd >= 0)
        close(p->fd);
    if (p->pid)
        reap(p->pid);
    secret_free(p->line);
    *p = (struct pinentry){ .fd = -1 };
}
