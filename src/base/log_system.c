/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Log lines with fields: for the journal, for syslog, as JSON.
 *
 * The journal's native protocol is one datagram of KEY=value lines to its socket; no
 * value of ours has a newline.  Each datagram is addressed anew, so a journal that
 * was restarted gets the next one.  Where there is none, or it takes no more for a fifth
 * of a second, syslog gets the line; and if that takes no more either, the line is lost, and how
 * many were is told with the next one.  Who logs holds up requests, perhaps with locks
 * held: so syslog(3), which waits for ever, is called only where its socket is a stream, and else gets a
 * datagram of ours.
 *
 * After one of the two took nothing no line waits for ten seconds, lest each of many does.
 *
 * Lines arrive escaped (log.c) and begin with their id.
 */
#include "internal.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL "/run/systemd/journal/socket"
#define SYSLOG "/dev/log"
#define WAIT_MICROSECONDS 200000
#define MUTE_SECONDS 10
#define ID_LENGTH 8                  /* ECL-0123 */
#define ERROR_MAX 32

static char vault[33];
static int journal = -1, system_log = -1;
static atomic_llong mute_until;      /* CLOCK_MONOTONIC seconds; until then nothing is waited for */
static atomic_ulong lost;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void log_vault(const char *id)
{
    snprintf(vault, sizeof vault, "%s", id);
}

/* --- what is in a line ----------------------------------------------------------------- */

static bool has_id(const char *line, size_t len)
{
    return len > ID_LENGTH && memcmp(line, "ECL-", 4) == 0 && line[ID_LENGTH] == ' ' &&
           strspn(line + 4, "0123456789") == ID_LENGTH - 4;
}

/* The name of an error at the very end: E_AUTH, ENOSPC. */
static size_t find_error(const char *line, size_t len)
{
    size_t n = 0;

    while (n < len && n < ERROR_MAX && line[len - n - 1] && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", line[len - n - 1]))
        n++;
    return n > 2 && n < len && line[len - n] == 'E' && line[len - n - 1] == ' ' ? n : 0;
}

static int priority(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR: return LOG_ERR;
    case LOG_LEVEL_WARNING: return LOG_WARNING;
    case LOG_LEVEL_INFO: return LOG_INFO;
    case LOG_LEVEL_DEBUG: break;
    }
    return LOG_DEBUG;
}

/* --- the journal, syslog ------------------------------------------------------------------- */

static int patient_socket(void)
{
    const struct timeval limit = { .tv_usec = WAIT_MICROSECONDS };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static void prepare(void)
{
    openlog("ecluse", LOG_PID, LOG_DAEMON);
    journal = patient_socket();
    system_log = patient_socket();
}

static long long seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

static bool send_to(int fd, const char *path, const char *data, size_t len)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    bool mute = seconds_now() < atomic_load(&mute_until);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ssize_t sent = sendto(fd, data, len, MSG_NOSIGNAL | (mute ? MSG_DONTWAIT : 0), (const struct sockaddr *)&address,
                          sizeof address);
    if (sent < 0 && errno == EAGAIN && !mute)
        atomic_store(&mute_until, seconds_now() + MUTE_SECONDS);
    return sent == (ssize_t)len;
}

static bool to_journal(enum log_level level, const char *line, size_t len)
{
    char data[LOG_LINE_LIMIT + 256];
    size_t error = find_error(line, len);

    int n = snprintf(data, sizeof data, "SYSLOG_IDENTIFIER=ecluse\nPRIORITY=%d\n", priority(level));
    if (has_id(line, len))
        n += snprintf(data + n, sizeof data - (size_t)n, "ECLUSE_ID=%.*s\n", ID_LENGTH, line);
    if (*vault)
        n += snprintf(data + n, sizeof data - (size_t)n, "ECLUSE_VAULT=%s\n", vault);
    if (error)
        n += snprintf(data + n, sizeof data - (size_t)n, "ECLUSE_ERROR=%.*s\n", (int)error, line + len - error);
    n += snprintf(data + n, sizeof data - (size_t)n, "MESSAGE=%.*s\n", (int)len, line);
    return send_to(journal, JOURNAL, data, (size_t)n);
}

/* As syslog(3) writes it: <priority>date name[pid]: text */
static bool to_syslog(enum log_level level, const char *line, size_t len)
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    char data[LOG_LINE_LIMIT + 128], when[64];
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    snprintf(when, sizeof when, "%s %2d %02d:%02d:%02d", months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    int n = snprintf(data, sizeof data, "<%d>%s ecluse[%d]: %.*s", LOG_DAEMON | priority(level), when, (int)getpid(),
                     (int)len, line);
    if (send_to(system_log, SYSLOG, data, (size_t)n))
        return true;
    if (errno != EPROTOTYPE)
        return false;
    syslog(LOG_DAEMON | priority(level), "%.*s", (int)len, line);
    return true;
}

void log_to_system(enum log_target to, enum log_level level, const char *line, size_t len)
{
    static _Thread_local unsigned long telling;   /* how many this line tells of */

    pthread_once(&once, prepare);
    if ((to != LOG_TARGET_SYSLOG && to_journal(level, line, len)) || to_syslog(level, line, len)) {
        telling = atomic_exchange(&lost, 0);
        if (telling)             /* comes back here once, with none missing */
            log_system(LOG_LEVEL_WARNING, "ECL-0712 %lu lines of the log were lost before this one", telling);
    } else {
        atomic_fetch_add(&lost, telling ? telling : 1);
    }
    telling = 0;
}

/* --- JSON ------------------------------------------------------------------------------------ */

/* What stands escaped there needs no more than this. */
static size_t quote(const char *text, size_t len, char *out)
{
    size_t n = 0;

    for (size_t k = 0; k < len; k++) {
        if (text[k] == '"' || text[k] == '\\')
            out[n++] = '\\';
        out[n++] = text[k];
    }
    return n;
}

size_t log_json(enum log_level level, const char *line, size_t len, char out[LOG_JSON_LIMIT])
{
    static const char *const levels[] = { "error", "warning", "info", "debug" };
    size_t error = find_error(line, len), skip = has_id(line, len) ? ID_LENGTH + 1 : 0;
    struct timespec t;
    char when[32];
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(out, LOG_JSON_LIMIT, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"pid\":%d", when,
                     t.tv_nsec / 1000000, levels[level], (int)getpid());
    if (skip)
        n += snprintf(out + n, LOG_JSON_LIMIT - (size_t)n, ",\"id\":\"%.*s\"", ID_LENGTH, line);
    if (*vault)
        n += snprintf(out + n, LOG_JSON_LIMIT - (size_t)n, ",\"vault\":\"%s\"", vault);
    if (error)
        n += snprintf(out + n, LOG_JSON_LIMIT - (size_t)n, ",\"error\":\"%.*s\"", (int)error, line + len - error);
    n += snprintf(out + n, LOG_JSON_LIMIT - (size_t)n, ",\"message\":\"");
    size_t used = (size_t)n + quote(line + skip, len - skip, out + n);
    memcpy(out + used, "\"}\n", 3);
    return used + 3;
}
