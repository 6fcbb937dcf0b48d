/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Tells the user's desktop, or whatever `-o notify=PROGRAM` names, what happened.
 *
 *   PROGRAM EVENT SUMMARY SENTENCE
 *   notify-send --app-name=Écluse -- SUMMARY SENTENCE      when there is a session bus
 *
 * Raising an event costs a lock and a bit, so it may be done anywhere: a thread
 * of its own runs the programs, one at a time, in the order of the events'
 * numbers.  An event that comes again before it was told is told once.  A program
 * gets ten seconds, at the end of the daemon two; then its process group is killed.
 *
 * The child gets no descriptor of ours but standard output and error, no blocked
 * or ignored signal, and an environment of what a desktop needs.  It is told the
 * mountpoint and an error, never a name, key or content of the vault.
 *
 * Not promised: that anybody sees it.  Status and log say the same.
 */
#include "internal.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SECONDS 10
#define END_SECONDS 2
#define LOOK_NANOSECONDS 20000000
#define SENTENCE_MAX (5 * PATH_MAX)
#define VARIABLES_MAX 32

struct notify {
    const struct mount_config *config;
    char program[PATH_MAX];
    bool desktop;              /* it is notify-send */
    pthread_t thread;
    pthread_mutex_t lock;      /* protects what follows */
    pthread_cond_t changed;
    unsigned due;              /* bits of enum fs_event */
    int errors[FS_EVENT_COUNT];
    bool stop;
    time_t end;                /* when to give up, once stop is set */
};

static const char *const event_words[FS_EVENT_COUNT] = {
#define X(id, word) [FS_EVENT_##id] = word,
    FS_EVENTS(X)
#undef X
};

static time_t seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* --- which program ------------------------------------------------------------------ */

static bool find_notify_send(char out[PATH_MAX])
{
    const char *path = getenv("PATH"), *bus = getenv("DBUS_SESSION_BUS_ADDRESS");

    if (!path || !bus || !*bus)
        return false;
    for (const char *end; *path; path = *end ? end + 1 : end) {
        end = strchrnul(path, ':');
        int n = snprintf(out, PATH_MAX, "%.*s/notify-send", (int)(end - path), path);
        if (*path == '/' && n < PATH_MAX && access(out, X_OK) == 0)
            return true;
    }
    return false;
}

static bool choose(struct notify *n)
{
    const char *wish = n->config->notify;

    if (!wish)
        return n->desktop = find_notify_send(n->program);
    if (strcmp(wish, "none") == 0)
        return false;
    return snprintf(n->program, sizeof n->program, "%s", wish) < (int)sizeof n->program;
}

/* --- running it ------------------------------------------------------------------------ */

static bool is_kept(const char *variable)
{
    static const char *const kept[] = { "DISPLAY=", "WAYLAND_DISPLAY=", "DBUS_SESSION_BUS_ADDRESS=",
                                        "XDG_RUNTIME_DIR=", "HOME=", "LANG=", "LANGUAGE=", "LC_" };

    for (size_t k = 0; k < ARRAY_SIZE(kept); k++)
        if (strncmp(variable, kept[k], strlen(kept[k])) == 0)
            return true;
    return false;
}

extern char **environ;

static void make_environment(char *out[VARIABLES_MAX + 1])
{
    static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    size_t count = 0;

    out[count++] = path;
    for (char **v = environ; *v && count < VARIABLES_MAX; v++)
        if (is_kept(*v))
            out[count++] = *v;
    out[count] = NULL;
}

static int spawn(const char *program, char *const argv[], pid_t *pid)
{
    char *environment[VARIABLES_MAX + 1];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;

    make_environment(environment);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    int rc = posix_spawn(pid, program, &files, &attr, argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return -rc;
}

static bool too_late(struct notify *n, time_t limit)
{
    pthread_mutex_lock(&n->lock);
    time_t end = n->stop && n->end < limit ? n->end : limit;
    pthread_mutex_unlock(&n->lock);
    return seconds_now() >= end;
}

/* Until the child is gone, by itself or not. */
static void reap(struct notify *n, pid_t pid)
{
    static const struct timespec step = { .tv_nsec = LOOK_NANOSECONDS };
    time_t limit = seconds_now() + LIMIT_SECONDS;
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (too_late(n, limit)) {
            log_warning("ECL-0531 the program for notifications does not end: killed");
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return;
        }
        nanosleep(&step, NULL);
    }
}

/* A desktop may take a body for markup (Desktop Notifications, "Markup"), a folder's name too. */
static void escape_markup(const char *text, char out[SENTENCE_MAX])
{
    size_t used = 0;

    for (; *text && used + sizeof "&amp;" < SENTENCE_MAX; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        if (entity)
            used += (size_t)snprintf(out + used, SENTENCE_MAX - used, "%s", entity);
        else
            out[used++] = *text;
    }
    out[used] = '\0';
}

static void tell(struct notify *n, enum fs_event event, int error)
{
    char summary[256], sentence[SENTENCE_MAX], body[SENTENCE_MAX], word[32];
    char app[] = "--app-name=Écluse", end[] = "--";
    char *plain[] = { n->program, word, summary, sentence, NULL };
    char *desktop[] = { n->program, app, end, summary, body, NULL };
    pid_t pid;

    snprintf(word, sizeof word, "%s", event_words[event]);
    n->config->words(event, error, n->config->mountpoint, summary, sizeof summary, sentence, sizeof sentence);
    escape_markup(sentence, body);
    int rc = spawn(n->program, n->desktop ? desktop : plain, &pid);
    if (rc)
        log_warning("ECL-0532 the program for notifications cannot be run: %s", error_name(rc));
    else
        reap(n, pid);
}

/* --- the thread ---------------------------------------------------------------------------- */

static void *thread(void *arg)
{
    struct notify *n = arg;

    pthread_mutex_lock(&n->lock);
    for (;;) {
        while (!n->due && !n->stop)
            pthread_cond_wait(&n->changed, &n->lock);
        if (!n->due || (n->stop && seconds_now() >= n->end))
            break;
        enum fs_event event = (enum fs_event)__builtin_ctz(n->due);
        int error = n->errors[event];
        n->due &= n->due - 1;
        pthread_mutex_unlock(&n->lock);
        tell(n, event, error);
        pthread_mutex_lock(&n->lock);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

void notify_raise(void *notify, enum fs_event event, int error)
{
    struct notify *n = notify;

    pthread_mutex_lock(&n->lock);
    n->due |= 1u << event;
    n->errors[event] = error;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

int notify_start(struct notify **out, const struct mount_config *c)
{
    struct notify *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->config = c;
    if (!c->words || !choose(n)) {
        free(n);
        return 0;
    }
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->changed, NULL);
    int rc = -pthread_create(&n->thread, NULL, thread, n);
    if (rc)
        free(n);
    else
        *out = n;
    return rc;
}

void notify_stop(struct notify *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    n->stop = true;
    n->end = seconds_now() + END_SECONDS;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->changed);
    free(n);
}
