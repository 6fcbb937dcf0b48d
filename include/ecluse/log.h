/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Logging: message ids, object ids and codes; never a key, a name or content.
 *
 * log_open picks the target once (standard error in the foreground, the system's log in
 * the daemon).  Lines are English, one event each: "ECL-0123 segment 9f3a…:
 * E_AUTH".  Ids are stable and listed in docs/en/messages.md.  Thread-safe.
 *
 * The journal gets fields beside the text, JSON lines have the same:
 *
 *   ECLUSE_ID     ECL-0123      id
 *   ECLUSE_ERROR  E_AUTH        error     when the line ends with one
 *   ECLUSE_VAULT  <vault id>    vault     once it is known
 *   PRIORITY      3             level     error, warning, info, debug
 */
#ifndef ECLUSE_LOG_H
#define ECLUSE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_target {
    LOG_TARGET_UNSAID,
    LOG_TARGET_STDERR,
    LOG_TARGET_JSON,      /* standard error, one object a line */
    LOG_TARGET_SYSTEM,    /* the journal, else syslog(3) */
    LOG_TARGET_JOURNAL,   /* the same: nothing is lost where there is none */
    LOG_TARGET_SYSLOG,
};
/* "stderr", "json", "system", "journal", "syslog". */
bool log_target_parse(const char *word, enum log_target *out);

void log_open(enum log_target target, enum log_level least);
/* From now on lines carry it: 32 hexadecimal digits. Before there are threads. */
void log_vault(const char *id);
/* Control characters in the formatted text are escaped. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* To the system's log whatever the target, and to the target too when log_open chose another one:
 * a command has sentences for its user. */
void log_system(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_event(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
