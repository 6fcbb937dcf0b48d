/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The wrapped calls.  A name here begins with __wrap_; the system's own is
 * __real_.  A change is recorded after it succeeded, a sync with the number of
 * events that were there when it was asked for.
 */
#include "disk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

struct disk *disk;

#define X(name) #name,
const char *const call_names[CALL_COUNT] = { CALL_TABLE(X) };
#undef X

/* --- failing -------------------------------------------------------------------- */

/* 0, or how this passage fails. */
static int passes(enum call class)
{
    if (!disk || atomic_load(&disk->active) <= 0)
        return 0;
    long n = atomic_fetch_add(&disk->passages[class], 1) + 1;
    if (class != disk->fail_class || n < disk->fail_from || n > disk->fail_to)
        return 0;
    atomic_fetch_add(&disk->failed, 1);
    return disk->fail_how;
}

/* For calls that say -1 and set errno. */
static bool refused(enum call class)
{
    int how = passes(class);
    if (!how)
        return false;
    errno = how == FAIL_SHORT || how == FAIL_TORN ? EIO : how;
    return true;
}

void disk_begin(void) { atomic_fetch_add(&disk->active, 1); }
void disk_end(void) { atomic_fetch_sub(&disk->active, 1); }

void disk_fail(enum call class, long from, long to, int how)
{
    disk->fail_class = class;
    disk->fail_from = from;
    disk->fail_to = to;
    disk->fail_how = how;
}

void disk_reset(void)
{
    atomic_store(&disk->active, 0);
    for (int k = 0; k < CALL_COUNT; k++)
        atomic_store(&disk->passages[k], 0);
    atomic_store(&disk->failed, 0);
    atomic_store(&disk->aside, 0);
    disk_fail(CALL_COUNT, 1, 0, 0);
    disk->cross = disk->recording = disk->overflow = false;
    disk->count = 0;
    disk->used = 0;
}

/* --- recording ------------------------------------------------------------------ */

static void lock_record(void)
{
    while (atomic_flag_test_and_set_explicit(&disk->lock, memory_order_acquire))
        sched_yield();
}

static void unlock_record(void) { atomic_flag_clear_explicit(&disk->lock, memory_order_release); }

static bool recording(void) { return disk && disk->recording && atomic_load(&disk->active) > 0; }

static void record(struct event e, const void *bytes)
{
    lock_record();
    if (disk->count == EVENTS_MAX || (bytes && disk->used + e.len > ARENA_SIZE)) {
        disk->overflow = true;
    } else {
        if (bytes) {
            e.data = disk->used;
            memcpy(disk->arena + disk->used, bytes, e.len);
            disk->used += e.len;
        }
        disk->events[disk->count++] = e;
    }
    unlock_record();
}

static uint32_t events_so_far(void)
{
    lock_record();
    uint32_t n = disk->count;
    unlock_record();
    return n;
}

static void put_name(char out[64], const char *name) { snprintf(out, 64, "%.63s", name); }

int __real_fstat64(int fd, struct stat64 *st);
int __real_fstatat64(int dir, const char *name, struct stat64 *st, int flags);

static uint64_t ino_of(int fd)
{
    struct stat64 st;
    return __real_fstat64(fd, &st) ? 0 : st.st_ino;
}

static uint64_t ino_at(int dir, const char *name)
{
    struct stat64 st;
    return __real_fstatat64(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_ino;
}

/* A path is taken apart: what is recorded is (directory, name). */
static uint64_t dir_of(int dir, const char *path, const char **name)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    struct stat64 st;

    *name = slash ? slash + 1 : path;
    if (!slash)
        return dir == AT_FDCWD ? ino_at(AT_FDCWD, ".") : ino_of(dir);
    snprintf(parent, sizeof parent, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return __real_fstatat64(dir, parent, &st, 0) ? 0 : st.st_ino;
}

static void record_made(int dir, const char *path, uint64_t ino, bool is_dir)
{
    struct event e = { .kind = EVENT_MAKE, .is_dir = is_dir, .ino = ino };
    const char *name;

    e.dir = dir_of(dir, path, &name);
    put_name(e.name, name);
    record(e, NULL);
}

void disk_note(uint64_t value)
{
    struct event e = { .kind = EVENT_NOTE, .offset = value };
    record(e, NULL);
}

/* --- files: opening --------------------------------------------------------------- */

int __real_openat64(int dir, const char *path, int flags, ...);

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    if (refused(CALL_open))
        return -1;
    bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
    bool makes = recording() && (flags & O_CREAT) && !nameless && !ino_at(dir, path);
    int fd = __real_openat64(dir, path, flags, mode);
    if (fd >= 0 && makes)
        record_made(dir, path, ino_of(fd), false);
    if (fd >= 0 && nameless && recording())
        record((struct event){ .kind = EVENT_MAKE, .ino = ino_of(fd) }, NULL);
    if (fd >= 0 && !makes && (flags & O_TRUNC) && recording())
        record((struct event){ .kind = EVENT_SIZE, .ino = ino_of(fd) }, NULL);
    return fd;
}

static mode_t mode_argument(int flags, va_list ap)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPENER(name, parameters, dir, path) \
    int name parameters; \
    int name parameters \
    { \
        va_list ap; \
        va_start(ap, flags); \
        mode_t mode = mode_argument(flags, ap); \
        va_end(ap); \
        return open_at(dir, path, flags, mode); \
    }
OPENER(__wrap_open64, (const char *path, int flags, ...), AT_FDCWD, path)
OPENER(__wrap_openat64, (int dir, const char *path, int flags, ...), dir, path)

int __wrap___open64_2(const char *path, int flags);
int __wrap___open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __wrap___openat64_2(int dir, const char *path, int flags);
int __wrap___openat64_2(int dir, const char *path, int flags) { return open_at(dir, path, flags, 0); }

/* --- files: bytes ------------------------------------------------------------------ */

ssize_t __real_pread64(int fd, void *buf, size_t len, off64_t at);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off64_t at);
ssize_t __real_read(int fd, void *buf, size_t len);

static size_t transfer(int how, size_t len) { return how && len > 1 ? len / 2 : len; }

/* A sector is never torn. */
static size_t tear(size_t len) { return len / 2 / 512 * 512; }

/* -1 for an error; else 0, or FAIL_SHORT or FAIL_TORN. */
static int transfer_fails(enum call class)
{
    int how = passes(class);
    if (!how || how == FAIL_SHORT || how == FAIL_TORN)
        return how;
    errno = how;
    return -1;
}

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off64_t at);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off64_t at)
{
    int how = transfer_fails(CALL_read);
    return how < 0 ? -1 : __real_pread64(fd, buf, transfer(how, len), at);
}

ssize_t __wrap___pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t room);
ssize_t __wrap___pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t room)
{
    (void)room;
    return __wrap_pread64(fd, buf, len, at);
}

ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len)
{
    int how = transfer_fails(CALL_read);
    return how < 0 ? -1 : __real_read(fd, buf, transfer(how, len));
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
    static _Thread_local bool torn;

    if (torn) {                        /* the second half of a torn one */
        torn = false;
        errno = ENOSPC;
        return -1;
    }
    int how = transfer_fails(CALL_write);
    if (how == FAIL_TORN && !tear(len)) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t n = how < 0 ? -1 : __real_pwrite64(fd, buf, how == FAIL_TORN ? tear(len) : transfer(how, len), at);
    torn = how == FAIL_TORN;
    if (n > 0 && recording())
        record((struct event){ .kind = EVENT_WRITE, .ino = ino_of(fd), .offset = (uint64_t)at, .len = (uint64_t)n },
               buf);
    return n;
}

int __real_ftruncate64(int fd, off64_t size);
int __wrap_ftruncate64(int fd, off64_t size);
int __wrap_ftruncate64(int fd, off64_t size)
{
    if (refused(CALL_truncate))
        return -1;
    int rc = __real_ftruncate64(fd, size);
    if (!rc && recording())
        record((struct event){ .kind = EVENT_SIZE, .ino = ino_of(fd), .offset = (uint64_t)size }, NULL);
    return rc;
}

/* Of these two only the size matters to what is recorded. */
static void record_growth(int fd, off64_t end)
{
    struct stat64 st;
    if (recording() && !__real_fstat64(fd, &st) && st.st_size == end)
        record((struct event){ .kind = EVENT_SIZE, .ino = st.st_ino, .offset = (uint64_t)end }, NULL);
}

int __real_fallocate64(int fd, int mode, off64_t at, off64_t len);
int __wrap_fallocate64(int fd, int mode, off64_t at, off64_t len);
int __wrap_fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    if (refused(CALL_allocate))
        return -1;
    int rc = __real_fallocate64(fd, mode, at, len);
    if (!rc)
        record_growth(fd, at + len);
    return rc;
}

int __wrap_posix_fallocate64(int fd, off64_t at, off64_t len);
int __wrap_posix_fallocate64(int fd, off64_t at, off64_t len)
{
    return __wrap_fallocate64(fd, 0, at, len) ? errno : 0;
}

/* --- syncs -------------------------------------------------------------------------- */

static bool is_audit(int fd)
{
    char link[32], path[4096];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    const char *name = strrchr(path, '/');
    return name && (strcmp(name, "/audit") == 0 || strcmp(name, "/audit.head") == 0);
}

static int sync_with(int (*real)(int), int fd)
{
    uint32_t began = recording() ? events_so_far() : 0;

    if (refused(CALL_sync)) {
        int failed = errno;
        atomic_fetch_add(&disk->aside, is_audit(fd));
        errno = failed;
        return -1;
    }
    int rc = real(fd);
    if (!rc && recording())
        record((struct event){ .kind = EVENT_SYNC, .ino = ino_of(fd), .began = began }, NULL);
    return rc;
}

/* What is below is a filesystem in memory; the model is what counts. */
static int nothing(int fd)
{
    (void)fd;
    return 0;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return sync_with(nothing, fd); }
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd) { return sync_with(nothing, fd); }

/* --- names -------------------------------------------------------------------------- */

static int move(int (*real)(int, const char *, int, const char *, unsigned), int from_dir, const char *from,
                int to_dir, const char *to, unsigned flags)
{
    struct event e = { .kind = EVENT_MOVE };
    const char *a, *b;

    if (refused(CALL_rename))
        return -1;
    if (disk && disk->cross && atomic_load(&disk->active) > 0 && ino_of(from_dir) != ino_of(to_dir)) {
        errno = EXDEV;
        return -1;
    }
    if (recording()) {
        e.ino = ino_at(from_dir, from);
        e.dir = dir_of(from_dir, from, &a);
        e.to_dir = dir_of(to_dir, to, &b);
        put_name(e.name, a);
        put_name(e.to, b);
    }
    int rc = real(from_dir, from, to_dir, to, flags);
    if (!rc && e.ino)
        record(e, NULL);
    return rc;
}

int __real_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return move(__real_renameat2, a, from, b, to, flags);
}

int __wrap_renameat(int a, const char *from, int b, const char *to);
int __wrap_renameat(int a, const char *from, int b, const char *to)
{
    return move(__real_renameat2, a, from, b, to, 0);
}

int __real_linkat(int a, const char *from, int b, const char *to, int flags);
int __wrap_linkat(int a, const char *from, int b, const char *to, int flags);
int __wrap_linkat(int a, const char *from, int b, const char *to, int flags)
{
    struct event e = { .kind = EVENT_LINK };
    const char *name;

    if (refused(CALL_link))
        return -1;
    int rc = __real_linkat(a, from, b, to, flags);
    if (!rc && recording()) {
        e.ino = ino_at(b, to);
        e.to_dir = dir_of(b, to, &name);
        put_name(e.to, name);
        record(e, NULL);
    }
    return rc;
}

int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
    struct event e = { .kind = EVENT_REMOVE };
    const char *name;

    if (refused(CALL_unlink))
        return -1;
    e.dir = recording() ? dir_of(dir, path, &name) : 0;
    int rc = __real_unlinkat(dir, path, flags);
    if (!rc && e.dir) {
        put_name(e.name, name);
        record(e, NULL);
    }
    return rc;
}

int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path) { return __wrap_unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int __real_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode);
int __wrap_mkdirat(int dir, const char *path, mode_t mode)
{
    if (refused(CALL_mkdir))
        return -1;
    int rc = __real_mkdirat(dir, path, mode);
    if (!rc && recording())
        record_made(dir, path, ino_at(dir, path), true);
    return rc;
}

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode) { return __wrap_mkdirat(AT_FDCWD, path, mode); }

/* --- what only can fail ---------------------------------------------------------------- */

#define CAN_FAIL(class, result, failed, name, parameters, arguments) \
    result __real_##name parameters; \
    result __wrap_##name parameters; \
    result __wrap_##name parameters { return refused(class) ? failed : __real_##name arguments; }

CAN_FAIL(CALL_attribute, int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
CAN_FAIL(CALL_attribute, int, -1, futimens, (int fd, const struct timespec t[2]), (fd, t))
CAN_FAIL(CALL_stat, int, -1, fstat64, (int fd, struct stat64 *st), (fd, st))
CAN_FAIL(CALL_stat, int, -1, lstat64, (const char *p, struct stat64 *st), (p, st))
CAN_FAIL(CALL_stat, int, -1, fstatat64, (int d, const char *p, struct stat64 *st, int f), (d, p, st, f))
CAN_FAIL(CALL_stat, int, -1, fstatvfs64, (int fd, struct statvfs64 *v), (fd, v))
CAN_FAIL(CALL_stat, int, -1, statx, (int d, const char *p, int f, unsigned m, struct statx *st), (d, p, f, m, st))
CAN_FAIL(CALL_stat, int, -1, faccessat, (int d, const char *p, int m, int f), (d, p, m, f))
CAN_FAIL(CALL_list, DIR *, NULL, opendir, (const char *p), (p))
CAN_FAIL(CALL_list, DIR *, NULL, fdopendir, (int fd), (fd))
CAN_FAIL(CALL_list, struct dirent64 *, NULL, readdir64, (DIR *d), (d))
CAN_FAIL(CALL_memory, void *, NULL, malloc, (size_t n), (n))
CAN_FAIL(CALL_memory, void *, NULL, calloc, (size_t n, size_t size), (n, size))
CAN_FAIL(CALL_memory, void *, NULL, realloc, (void *p, size_t n), (p, n))
CAN_FAIL(CALL_memory, char *, NULL, strdup, (const char *s), (s))
CAN_FAIL(CALL_memory, char *, NULL, strndup, (const char *s, size_t n), (s, n))
CAN_FAIL(CALL_memory, void *, NULL, sodium_malloc, (size_t n), (n))

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *arg)
{
    return refused(CALL_thread) ? EAGAIN : __real_pthread_create(t, a, run, arg);
}

/* --- memory of the libraries -------------------------------------------------------------- */

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int n) { return refused(CALL_memory) ? NULL : sqlite_memory.xMalloc(n); }
static void *sqlite_realloc(void *p, int n) { return refused(CALL_memory) ? NULL : sqlite_memory.xRealloc(p, n); }

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return __wrap_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return __wrap_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

void disk_start(void)
{
    disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (disk == MAP_FAILED || !CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free)) {
        perror("disk");
        exit(2);
    }
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
    sqlite3_mem_methods ours = sqlite_memory;
    ours.xMalloc = sqlite_malloc;
    ours.xRealloc = sqlite_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK) {
        fprintf(stderr, "disk: SQLite was already in use\n");
        exit(2);
    }
    disk_reset();
}
