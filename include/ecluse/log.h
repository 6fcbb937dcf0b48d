/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Logging: message ids, object ids and codes; never a key, a name or content.
 *
 * log_open picks the target once (standard error in the foreground, syslog in
 * the daemon).  Lines are English, one event each: "ECL-0123 segment 9f3a…:
 * E_AUTH".  Thread-safe.
 */
#ifndef ECLUSE_LOG_H
#define ECLUSE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };

void log_open(enum log_target target, enum log_level least);
/* Control characters in the formatted text are escaped. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_event(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
