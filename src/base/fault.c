/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Injected faults, in builds with ECLUSE_FAULTS only.
 *
 *   ECLUSE_FAULT      point:action[:when][,…]
 *   point             a name of FAULT_TABLE, or * for all of them
 *   action            kill        SIGKILL before the step
 *                     torn        half of a write lands (no sector by half), then SIGKILL
 *                     short       half of a write lands, then ENOSPC
 *                     delay=MS    wait, then go on
 *                     ENOSPC …    the step fails with that errno
 *   when              N           the Nth passage of the point (1 when left out)
 *                     N+          from the Nth passage on
 *                     *           every passage
 *
 * io_replace_file passes its point before the write, the fsync, the rename
 * (keyring_rename for the keyring) and the fsync of the directory.
 *
 * With ECLUSE_FAULT_GATE, the name of a file, passages count only while it is
 * there: a test opens the gate when it has come as far as it wants.
 *
 * ECLUSE_FAULT_LOG names a file to which each point is appended, one line,
 * when this process passes it for the first time: so a test sees which points
 * a scenario reaches.  A fault that cannot be read ends the process, lest a
 * test pass because of a typing error.
 *
 * ECLUSE_CLOCK names a file with a number of seconds, by which clock_now is ahead:
 * read each time, so that a test lets weeks go by.
 *
 * ECLUSE_LIMIT is a number of seconds: what waits for hours or minutes waits no longer.
 *
 * All else is read once, at the first passage; after that only the counters
 * change, atomically.
 */
#ifdef ECLUSE_FAULTS

#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 64
#define HIGHEST_ERRNO 133

enum action { ACT_KILL = 1, ACT_TORN, ACT_SHORT, ACT_DELAY, ACT_ERRNO };

struct fault {
    int point;                  /* FAULT_COUNT: any */
    enum action action;
    long value;                 /* errno or milliseconds */
    unsigned long first, last;  /* passages, from 1 */
};

#define X(name) #name,
static const char *const point_names[FAULT_COUNT] = { FAULT_TABLE(X) };
#undef X

static struct fault faults[FAULTS_MAX];
static size_t fault_count;
static atomic_ulong passages[FAULT_COUNT];
static const char *gate;
static int log_fd = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* --- reading the environment ------------------------------------------------------ */

static bool parse_point(const char *text, struct fault *f)
{
    if (strcmp(text, "*") == 0) {
        f->point = FAULT_COUNT;
        return true;
    }
    for (int i = 0; i < FAULT_COUNT; i++)
        if (strcmp(text, point_names[i]) == 0) {
            f->point = i;
            return true;
        }
    return false;
}

static bool parse_number(const char *text, long *out, char **end)
{
    errno = 0;
    *out = strtol(text, end, 10);
    return *end != text && !errno && *out >= 0;
}

static bool parse_action(const char *text, struct fault *f)
{
    static const struct { const char *name; enum action action; } words[] = {
        { "kill", ACT_KILL }, { "torn", ACT_TORN }, { "short", ACT_SHORT },
    };
    char *end;

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i].name) == 0) {
            f->action = words[i].action;
            return true;
        }
    if (strncmp(text, "delay=", 6) == 0) {
        f->action = ACT_DELAY;
        return parse_number(text + 6, &f->value, &end) && !*end;
    }
    f->action = ACT_ERRNO;
    for (f->value = 1; f->value <= HIGHEST_ERRNO; f->value++) {
        const char *name = strerrorname_np((int)f->value);
        if (name && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static bool parse_when(const char *text, struct fault *f)
{
    long n;
    char *end;

    f->first = f->last = 1;
    if (!text)
        return true;
    if (strcmp(text, "*") == 0) {
        f->last = (unsigned long)-1;
        return true;
    }
    if (!parse_number(text, &n, &end) || n == 0)
        return false;
    f->first = (unsigned long)n;
    f->last = *end == '+' ? (unsigned long)-1 : f->first;
    return !*end || strcmp(end, "+") == 0;
}

static bool parse_fault(char *text, struct fault *f)
{
    const char *point = strsep(&text, ":"), *action = strsep(&text, ":"), *when = strsep(&text, ":");
    return !text && action && parse_point(point, f) && parse_action(action, f) && parse_when(when, f);
}

static void read_environment(void)
{
    const char *spec = getenv("ECLUSE_FAULT"), *log = getenv("ECLUSE_FAULT_LOG");
    char *copy = strdup(spec ? spec : ""), *rest = copy, *one;

    while (copy && (one = strsep(&rest, ",")))
        if (*one && (fault_count == FAULTS_MAX || !parse_fault(one, &faults[fault_count++]))) {
            fprintf(stderr, "ECLUSE_FAULT: cannot read number %zu of \"%s\"\n", fault_count, spec);
            abort();
        }
    free(copy);
    gate = getenv("ECLUSE_FAULT_GATE");
    if (log)
        log_fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* --- passing ---------------------------------------------------------------------- */

static void note_first(enum fault_point point)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%s\n", point_names[point]);

    if (log_fd >= 0 && write(log_fd, line, (size_t)n) < 0)
        perror("ECLUSE_FAULT_LOG");
}

static void die(void)
{
    for (;;)
        kill(getpid(), SIGKILL);
}

static void wait_milliseconds(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&t, &t) && errno == EINTR)
        continue;
}

/* Counts the passage, sits out delays, and gives the first fault that is due. */
static const struct fault *pass(enum fault_point point)
{
    pthread_once(&once, read_environment);
    if (gate && access(gate, F_OK))
        return NULL;
    unsigned long n = atomic_fetch_add(&passages[point], 1) + 1;

    if (n == 1)
        note_first(point);
    for (size_t i = 0; i < fault_count; i++) {
        const struct fault *f = &faults[i];
        if ((f->point != (int)point && f->point != FAULT_COUNT) || n < f->first || n > f->last)
            continue;
        if (f->action != ACT_DELAY)
            return f;
        wait_milliseconds(f->value);
    }
    return NULL;
}

static int outcome(const struct fault *f)
{
    if (!f)
        return 0;
    if (f->action == ACT_KILL)
        die();
    return f->action == ACT_ERRNO ? (int)-f->value : -ENOSPC;
}

int fault_hit(enum fault_point point)
{
    const struct fault *f = pass(point);

    if (f && f->action == ACT_TORN)
        die();
    return outcome(f);
}

int64_t clock_now(void)
{
    const char *path = getenv("ECLUSE_CLOCK");
    FILE *f = path ? fopen(path, "re") : NULL;
    long long later = 0;

    if (f && fscanf(f, "%lld", &later) != 1)
        later = 0;
    if (f)
        fclose(f);
    return (int64_t)time(NULL) + later;
}

unsigned fault_seconds(unsigned usual)
{
    const char *limit = getenv("ECLUSE_LIMIT");
    unsigned long n = limit ? strtoul(limit, NULL, 10) : 0;

    return n && n < usual ? (unsigned)n : usual;
}

#define LANDED_TORN 1
#define SECTOR 512u

int fault_write(enum fault_point point, size_t len, size_t *landed)
{
    const struct fault *f = pass(point);

    *landed = f && f->action == ACT_SHORT ? len / 2 : f && f->action == ACT_TORN ? len / 2 / SECTOR * SECTOR : 0;
    return f && f->action == ACT_TORN ? LANDED_TORN : outcome(f);
}

void fault_landed(int result)
{
    if (result == LANDED_TORN)
        die();
}

#endif
