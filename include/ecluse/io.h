/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Durable I/O: every byte that must survive a power cut passes through here.
 *
 * Each call is complete or an error (short transfers and EINTR are handled).
 * In builds with ECLUSE_FAULTS each call names its failpoint; the environment
 * variable ECLUSE_FAULT="point:action:nth" then kills (kill), fails (an errno
 * name) or delays (delay=ms) the nth passage; see src/base/fault.c.  In other
 * builds the names compile to nothing.
 *
 * All functions are thread-safe and return 0 or -errno unless said otherwise.
 */
#ifndef ECLUSE_IO_H
#define ECLUSE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* Every durable step, and what a slow store makes last (store_look).  X(name) appears in ECLUSE_FAULT as "name". */
#define FAULT_TABLE(X) \
    X(segment_append) X(segment_sync) X(segment_footer) X(journal_append) X(journal_sync) \
    X(batch_write) X(commit) X(wal_write) X(wal_sync) X(db_write) X(db_sync) X(checkpoint) \
    X(intent) X(store_rename) X(store_copy) X(store_dir_sync) X(publication) X(mark_published) \
    X(staging_cleanup) X(staging_create) X(keyring_write) X(keyring_rename) X(init) \
    X(state_adopt) X(ballast) X(other) X(rebuild) X(checkpoint_part) X(store_remove) \
    X(dead_mark) X(dead_forget) X(compact) X(audit) X(key_file) \
    X(transfer_write) X(transfer_sync) X(transfer_place) X(source_remove) X(store_look)

enum fault_point {
#define X(name) FAULT_##name,
    FAULT_TABLE(X)
#undef X
    FAULT_COUNT
};

#ifdef ECLUSE_FAULTS
/* 0, or the -errno that the environment asked for; may not return (kill). */
int fault_hit(enum fault_point point);
#else
static inline int fault_hit(enum fault_point point) { (void)point; return 0; }
#endif

/* The time in seconds since 1970, by which things grow old. In builds with
 * ECLUSE_FAULTS, as many seconds later as the file says that ECLUSE_CLOCK names. */
#ifdef ECLUSE_FAULTS
int64_t clock_now(void);
#else
static inline int64_t clock_now(void) { return (int64_t)time(NULL); }
#endif

/* How long something may take; in builds with ECLUSE_FAULTS no longer than ECLUSE_LIMIT says. */
#ifdef ECLUSE_FAULTS
unsigned fault_seconds(unsigned usual);
#else
static inline unsigned fault_seconds(unsigned usual) { return usual; }
#endif

/* Writes all of buf at offset. */
int io_write_at(int fd, const void *buf, size_t len, uint64_t offset, enum fault_point point);
/* Reads exactly len bytes; -ENODATA when the file ends before. */
int io_read_at(int fd, void *buf, size_t len, uint64_t offset);
/* fdatasync; never retried by callers: after an error the pages are gone. */
int io_sync(int fd, enum fault_point point);
/* fsync: with mode, times and attributes. */
int io_sync_all(int fd, enum fault_point point);
/* fsync of the directory itself, so that names in it are durable. */
int io_sync_dir(int dirfd, enum fault_point point);
/* Opens the directory `path` and syncs it. */
int io_sync_dir_path(const char *path, enum fault_point point);
/* Renames, never replacing (renameat2 RENAME_NOREPLACE): -EEXIST, -EXDEV… */
int io_rename_new(int from_dir, const char *from, int to_dir, const char *to, enum fault_point point);
/* The same, also where the filesystem knows no such rename (-EINVAL of io_rename_new: some FUSE
 * filesystems, folders shared with a virtual machine): an empty file takes the name first, and is
 * replaced.  Not for names that others read meanwhile: what a program writes into that file in the
 * moment between two calls is lost.  A crash leaves the empty file, which io_is_claim tells from
 * others where the filesystem keeps times. */
int io_rename_claiming(int from_dir, const char *from, int to_dir, const char *to, enum fault_point point);
bool io_is_claim(const struct stat *st);
/* Writes a file whole, crash-safely: temporary beside it, mode 0600, fsync,
 * rename over `name`, fsync of the directory. The old or the new, never less. */
int io_replace_file(int dirfd, const char *name, const void *bytes, size_t len, enum fault_point point);
/* Reads a whole file of at most `limit` bytes into a malloc'd buffer that the
 * caller frees; -EFBIG when larger. */
int io_read_file(int dirfd, const char *name, size_t limit, uint8_t **out, size_t *len);
/* The same of a file that is open, from its start. */
int io_read_fd(int fd, size_t limit, uint8_t **out, size_t *len);
/* mkdir -p with `mode` for what is created. */
int io_make_dirs(const char *path, mode_t mode);
/* True when `inner` is `outer` or lies below it; both existing, absolute, real. */
bool path_inside(const char *inner, const char *outer);

#endif
