/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Log lines.
 *
 * A line is formatted, made harmless and written in one call, so that lines of
 * several threads do not mix.  Harmless: control characters, among them the C1
 * ones that terminals obey, and bytes that are not UTF-8 become \xNN, and a
 * backslash is doubled.  Whatever is wrong with the target, the caller goes on
 * as if nothing had happened: errno is kept and SIGPIPE is swallowed.
 */
#include <ecluse/log.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define TEXT_LIMIT 1024
#define LINE_LIMIT (4 * TEXT_LIMIT + 1)     /* every byte escaped, and the newline */

static atomic_int target = LOG_TARGET_STDERR;
static atomic_int threshold = LOG_LEVEL_WARNING;

void log_open(enum log_target to, enum log_level least)
{
    if (to == LOG_TARGET_SYSLOG)
        openlog("ecluse", LOG_PID, LOG_DAEMON);
    atomic_store(&threshold, (int)least);
    atomic_store(&target, (int)to);
}

/* Length of the UTF-8 character at p that may be printed as it is, else 0. */
static size_t printable(const unsigned char *p)
{
    if (*p < 0x80)
        return *p >= 0x20 && *p != 0x7f && *p != '\\';
    size_t len = *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)          /* also at the final NUL */
            return 0;
    if ((*p == 0xc2 && p[1] < 0xa0) || (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
        (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
        return 0;                           /* C1, over-long, surrogate, too large */
    return len;
}

static size_t escape(const char *text, char out[LINE_LIMIT])
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;

    while (*p) {
        size_t len = printable(p);
        if (len) {
            memcpy(out + n, p, len);
            n += len;
            p += len;
        } else if (*p == '\\') {
            out[n++] = '\\';
            out[n++] = (char)*p++;
        } else {
            static const char digits[] = "0123456789abcdef";
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = digits[*p >> 4];
            out[n++] = digits[*p++ & 15];
        }
    }
    return n;
}

/* Writes to standard error, which may be a pipe that nobody reads any more. */
static void write_line(const char *line, size_t len)
{
    static const struct timespec now = { 0 };
    sigset_t pipe_only, before;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    while (len) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE && !sigismember(&before, SIGPIPE))
            sigtimedwait(&pipe_only, NULL, &now);
        if (n <= 0)
            break;
        line += n;
        len -= (size_t)n;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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

void log_event(enum log_level level, const char *format, ...)
{
    static const char cut[] = "...";
    char text[TEXT_LIMIT], line[LINE_LIMIT];
    int saved = errno;
    va_list args;

    if ((int)level > atomic_load(&threshold))
        return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        snprintf(text, sizeof text, "%s", format);
    else if ((size_t)n >= sizeof text)
        memcpy(text + sizeof text - sizeof cut, cut, sizeof cut);
    size_t len = escape(text, line);
    if (atomic_load(&target) == LOG_TARGET_SYSLOG) {
        syslog(priority(level), "%.*s", (int)len, line);
    } else {
        line[len++] = '\n';
        write_line(line, len);
    }
    errno = saved;
}
