/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Log lines with fields: for the journal, for syslog, as JSON.
 *
 * The journal's native protocol is one datagram of KEY=value lines to its socket; no
 * value of ours has a newline.  Each datagram is addressed anew, so a journal that
 * was restarted gets the next one.  Where there is none, or it takes no more for a fifth
 * of a second, syslog(3) gets the line.
 *
 * Lines arrive escaped (log.c) and begin with their id.
 */
#include "internal.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL "/run/systemd/journal/socket"
#define ID_LENGTH 8                  /* ECL-0123 */
#define ERROR_MAX 32

static char vault[33];
static int journal = -1;
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

static void prepare(void)
{
    struct timeval limit = { .tv_usec = 200000 };

    openlog("ecluse", LOG_PID, LOG_DAEMON);
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal >= 0)
        setsockopt(journal, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static bool to_journal(enum log_level level, const char *line, size_t len)
{
    static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL };
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
    return sendto(journal, data, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof address) == n;
}

void log_to_system(enum log_target to, enum log_level level, const char *line, size_t len)
{
    pthread_once(&once, prepare);
    if (to == LOG_TARGET_SYSLOG || journal < 0 || !to_journal(level, line, len))
        syslog(priority(level), "%.*s", (int)len, line);
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
