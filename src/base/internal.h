/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Faults in a write: unlike other steps it can be done by half.  And where log lines go.
 */
#ifndef ECLUSE_BASE_INTERNAL_H
#define ECLUSE_BASE_INTERNAL_H

#include <ecluse/io.h>
#include <ecluse/log.h>

#ifdef ECLUSE_FAULTS
/* As fault_hit, before a write of len bytes; on a result other than 0 the
 * first *landed bytes reach the file nevertheless, and fault_landed follows. */
int fault_write(enum fault_point point, size_t len, size_t *landed);
void fault_landed(int result);
#else
static inline int fault_write(enum fault_point point, size_t len, size_t *landed)
{
    (void)point, (void)len, (void)landed;
    return 0;
}
static inline void fault_landed(int result) { (void)result; }
#endif

/* --- log_system.c ---------------------------------------------------------------------- */

#define LOG_LINE_LIMIT 4097
#define LOG_JSON_LIMIT (2 * LOG_LINE_LIMIT + 512)

/* `line`: escaped, without a newline. */
void log_to_system(enum log_target to, enum log_level level, const char *line, size_t len);
/* The object for a line, newline included; its length. */
size_t log_json(enum log_level level, const char *line, size_t len, char out[LOG_JSON_LIMIT]);

#endif
