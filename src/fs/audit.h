/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the writer and the reader of the audit log share.
 */
#ifndef ECLUSE_FS_AUDIT_H
#define ECLUSE_FS_AUDIT_H

#include <ecluse/audit.h>
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>

#define AUDIT_FILE "audit"
#define AUDIT_HEAD "audit.head"
#define AUDIT_HASH_AT ",\"hash\":\""

/* `previous` is the hash of the record before, or 64 zeros; `body` all in front of
 * AUDIT_HASH_AT. */
void audit_hash(const char previous[AUDIT_HASH_TEXT], const char *body, size_t len, char out[AUDIT_HASH_TEXT]);
extern const char audit_no_hash[AUDIT_HASH_TEXT];
/* As audit_read, by who holds the lock. */
int audit_read_locked(int dir, int (*visit)(void *ctx, const struct audit_record *r, const char *line), void *ctx,
                      struct audit_report *out);

/* flock(2) with an end to patience: -EBUSY. Whoever may open the file could hold it for ever. */
#define AUDIT_PATIENCE 5000          /* milliseconds */
int audit_lock(int fd, int how, unsigned milliseconds);

/* --- audit_head.c ------------------------------------------------------------------------ */

/* The last record that a holder of the keys wrote: its number, where it ends in the
 * file, and its hash. */
struct audit_head { uint64_t seq, end; char hash[AUDIT_HASH_TEXT], mac[AUDIT_HASH_TEXT]; };
/* -ENOENT when there is none, or an empty one; E_FORMAT. */
int audit_head_read(int dir, struct audit_head *out);
/* 0 or E_AUTH. */
int audit_head_check(const struct audit_head *h, const struct keyring *keys);
/* Makes the file, empty and durable, unless it is there. */
int audit_head_prepare(int dir);
/* Seals and writes it, unless a later one is there, or `anew`. */
int audit_head_write(int dir, const struct keyring *keys, struct audit_head *h, bool anew);

#endif
