/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The store: a directory that a third party syncs.  Untrusted, write-once.
 *
 *   vault-<32 hex>.ecl
 *   segments/<2 hex>/<30 hex>
 *
 * An object appears whole, under its final name, by one rename, and is never
 * modified or replaced.  Store files have mode 0444 and a constant mtime
 * (2000-01-01).  Whatever else lies in the directory is never followed, opened
 * or deleted: only regular files reached without symbolic links count.
 * Thread-safe.
 */
#ifndef ECLUSE_STORE_H
#define ECLUSE_STORE_H

#include <ecluse/base.h>

struct store;

/* 0 when a directory is empty, or holds only what a creation that was killed left;
 * E_STORE_NOT_EMPTY, -errno. Changes nothing. */
int store_vacant(const char *path);
/* Makes a store in `path`, which must be missing or such a directory, with
 * its 256 fan-out directories; the header comes last, by rename.
 * E_STORE_NOT_EMPTY, -EACCES, -ENOSPC…; on error what was made is removed. */
int store_create(const char *path, const struct id128 *vault, const void *header, size_t len);

/* Opens an existing store and returns its header (malloc'd, caller frees).
 * E_STORE_MISSING, E_NOT_VAULT (no header, or several), E_NOT_ARRIVED (an empty
 * one, or none but objects), E_FORMAT. */
int store_open(struct store **out, const char *path, uint8_t **header, size_t *header_len);
void store_close(struct store *s);
/* Is what was opened the directory of that real path, or did somebody put a symbolic link into
 * its way after the path was judged? */
bool store_is_at(const struct store *s, const char *path);
/* The file name of the header; lives as long as s. */
const char *store_header_name(const struct store *s);

/* Is its header still there? */
bool store_present(struct store *s);

/* 0 when objects can be added, E_STORE_READ_ONLY or -errno otherwise. Tries
 * without leaving a trace. */
int store_writable(struct store *s);

/* Opens an object for reading: a file descriptor, or E_NOT_ARRIVED when
 * absent, E_FORMAT when it is not a regular file. */
int store_get(struct store *s, const struct id128 *id);

/* Moves the complete, synced file dirfd/name into the store; copies it through a
 * nameless or hidden temporary when it is on another filesystem. Does not sync
 * the directory: see store_sync. An object of that id that is already there with
 * the same length and bytes is success (a crash between move and mark).
 * -EEXIST when it differs. E_STORE_SYNC when a sync failed. On success dirfd/name is gone, or, unless it was
 * moved, still there: the caller's to remove, after store_sync. */
int store_put(struct store *s, int dirfd, const char *name, const struct id128 *id);
/* Makes earlier puts of these ids durable: one fsync per fan-out directory.
 * E_STORE_SYNC when one failed: what a second one says proves nothing. */
int store_sync(struct store *s, const struct id128 *ids, size_t count);

/* Removes an object: that nothing needs it is the caller's affair. Durable after
 * store_sync. E_NOT_ARRIVED when it is not there, E_FORMAT when something else is. */
int store_remove(struct store *s, const struct id128 *id);

/* Length of an object; E_NOT_ARRIVED, E_FORMAT. */
int store_size(struct store *s, const struct id128 *id, uint64_t *size);

/* Calls visit for every object, and foreign for everything that is not one
 * (with a printable, escaped relative path); a non-zero return ends the walk and
 * is returned. Either may be NULL. */
int store_list(struct store *s,
               int (*visit)(void *ctx, const struct id128 *id, uint64_t size),
               int (*foreign)(void *ctx, const char *path), void *ctx);

/* Free bytes and inodes of the filesystem below, as statvfs gives them. */
struct statvfs;
int store_statvfs(struct store *s, struct statvfs *out);

#endif
