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
#include "internal.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_LIMIT 1024
_Static_assert(LOG_LINE_LIMIT == 4 * TEXT_LIMIT + 1, "every byte escaped, and the newline");

static atomic_int target = LOG_TARGET_STDERR;
static atomic_int threshold = LOG_LEVEL_WARNING;
static atomic_bool chosen;          /* log_open was called: somebody reads the target as a log */

bool log_target_parse(const char *word, enum log_target *out)
{
    static const char *const words[] = {
        [LOG_TARGET_STDERR] = "stderr", [LOG_TARGET_JSON] = "json", [LOG_TARGET_SYSTEM] = "system",
        [LOG_TARGET_JOURNAL] = "journal", [LOG_TARGET_SYSLOG] = "syslog",
    };
    for (unsigned k = LOG_TARGET_STDERR; k <= LOG_TARGET_SYSLOG; k++)
        if (strcmp(word, words[k]) == 0) {
            *out = (enum log_target)k;
            return true;
        }
    return false;
}

void log_open(enum log_target to, enum log_level least)
{
    atomic_store(&threshold, (int)least);
    atomic_store(&target, (int)to);
    atomic_store(&chosen, true);
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

static size_t escape(const char *text, char out[LOG_LINE_LIMIT])
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

/* Formats and escapes; the length, without a NUL. */
static size_t compose(const char *format, va_list args, char line[LOG_LINE_LIMIT])
{
    static const char cut[] = "...";
    char text[TEXT_LIMIT];

    int n = vsnprintf(text, sizeof text, format, args);
    if (n < 0)
        snprintf(text, sizeof text, "%s", format);
    else if ((size_t)n >= sizeof text)
        memcpy(text + sizeof text - sizeof cut, cut, sizeof cut);
    return escape(text, line);
}

static void put(enum log_target to, enum log_level level, char *line, size_t len)
{
    char object[LOG_JSON_LIMIT];

    if (to == LOG_TARGET_STDERR) {
        line[len++] = '\n';
        write_line(line, len);
    } else if (to == LOG_TARGET_JSON) {
        write_line(object, log_json(level, line, len, object));
    } else {
        log_to_system(to, level, line, len);
    }
}

void log_event(enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_LIMIT];
    int saved = errno;
    va_list args;

    if ((int)level > atomic_load(&threshold))
        return;
    va_start(args, format);
    size_t len = compose(format, args, line);
    va_end(args);
    put((enum log_target)atomic_load(&target), level, line, len);
    errno = saved;
}

void log_system(enum log_level level, const char *format, ...)
{
    enum log_target to = (enum log_target)atomic_load(&target);
    bool elsewhere = to == LOG_TARGET_STDERR || to == LOG_TARGET_JSON;
    char line[LOG_LINE_LIMIT];
    int saved = errno;
    va_list args;

    va_start(args, format);
    size_t len = compose(format, args, line);
    va_end(args);
    log_to_system(elsewhere ? LOG_TARGET_SYSTEM : to, level, line, len);
    if (elsewhere && atomic_load(&chosen) && (int)level <= atomic_load(&threshold))
        put(to, level, line, len);
    errno = saved;
}
