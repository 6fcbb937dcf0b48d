/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The page-sealing VFS: nothing but sealed pages on disk, plain SQL above.
 *
 * SQLite's own VFS still gives the time, randomness and full path names; files
 * are ours.  There are two: the database and its log.  Rollback and statement
 * journals and temporary files live in memory; a request to open one is
 * refused, so that no plaintext can reach a disk by a forgotten setting.
 * Locks are no-ops: the state directory's lock is held and the connection is
 * the only one.
 *
 * Syncs.  SQLite runs with synchronous=OFF and never calls one; connection.c
 * does, without the connection's lock, and keeps this order:
 *
 *   1. a commit is durable when the log is synced after it;
 *   2. a checkpoint copies pages only after the log that holds them is synced,
 *      so that whatever is torn in the database is whole in the log;
 *   3. the database is synced before the log's header is blanked;
 *   4. the blanked header is synced before the next transaction may write:
 *      otherwise new frames could reach the disk before the new header, and
 *      the old header with a prefix of old frames would bring back pages of
 *      the past over a newer database.
 *
 * A process that is killed may leave any of these unsynced; index_open syncs
 * the log before it lets anything be written.
 *
 * The new header that begins the log again needs no sync of its own: without
 * it the log is empty, and the transactions behind it were not synced either.
 */
#include "vfs.h"
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sealed_vfs *of(sqlite3_vfs *base) { return (struct sealed_vfs *)base; }
static sqlite3_vfs *below(sqlite3_vfs *base) { return base->pAppData; }

int vfs_fail(struct sealed_vfs *v, int error, int sqlite_code)
{
    v->error = error;
    return error == -ENOSPC || error == -EDQUOT ? SQLITE_FULL : sqlite_code;
}

/* --- methods of both kinds of file ---------------------------------------------- */

int vfs_file_close(sqlite3_file *file)
{
    struct sealed_file *f = (struct sealed_file *)file;

    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    if (f->vfs->wal == f)
        f->vfs->wal = NULL;
    if (f->vfs->database == f)
        f->vfs->database = NULL;
    return SQLITE_OK;
}

int vfs_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct sealed_file *f = (struct sealed_file *)file;
    struct stat st = { 0 };

    if (f->fd >= 0 && fstat(f->fd, &st))
        return vfs_fail(f->vfs, -errno, SQLITE_IOERR_FSTAT);
    *size = st.st_size;
    return SQLITE_OK;
}

int vfs_no_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

int vfs_check_reserved(sqlite3_file *file, int *out)
{
    (void)file;
    *out = 0;
    return SQLITE_OK;
}

int vfs_no_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

int vfs_sector_size(sqlite3_file *file)
{
    (void)file;
    return (int)PAGE_BYTES;
}

int vfs_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* --- opening --------------------------------------------------------------------- */

static int open_database(struct sealed_vfs *v, const char *path)
{
    int flags = v->create ? O_RDWR | O_CREAT | O_EXCL : v->read_only ? O_RDONLY : O_RDWR;
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* A read-only connection takes an absent log for an empty one. */
static int open_wal(struct sealed_vfs *v, const char *path, bool *absent)
{
    int fd = open(path, (v->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);

    *absent = false;
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (v->read_only) {
        *absent = true;
        return -1;
    }
    v->wal_created = true;
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int sealed_open(sqlite3_vfs *base, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
    struct sealed_vfs *v = of(base);
    struct sealed_file *f = (struct sealed_file *)file;
    bool is_wal = (flags & SQLITE_OPEN_WAL) != 0, absent = false;

    memset(f, 0, sizeof *f);
    if (!path || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)))
        return vfs_fail(v, -EPERM, SQLITE_CANTOPEN);
    f->vfs = v;
    f->unsynced = true;            /* by a process that was killed, for all we know */
    f->fd = is_wal ? open_wal(v, path, &absent) : open_database(v, path);
    if (f->fd < 0 && !absent)
        return vfs_fail(v, -errno, SQLITE_CANTOPEN);
    if (is_wal && !v->read_only)
        vfs_wal_reserve(f->fd);
    if (is_wal)
        v->wal = f;
    else
        v->database = f;
    f->base.pMethods = is_wal ? &vfs_wal_methods : &vfs_database_methods;
    if (out_flags && v->read_only)
        *out_flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    else if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

/* SQLite would delete the log of a database that has become empty; ours never
 * is. */
static int sealed_delete(sqlite3_vfs *base, const char *path, int sync_dir)
{
    (void)path;
    (void)sync_dir;
    return vfs_fail(of(base), E_STATE_DAMAGED, SQLITE_IOERR_DELETE);
}

static bool is_journal(const char *path)
{
    static const char suffix[] = "-journal";
    size_t len = strlen(path);
    return len >= sizeof suffix - 1 && !strcmp(path + len - (sizeof suffix - 1), suffix);
}

static int sealed_access(sqlite3_vfs *base, const char *path, int flags, int *out)
{
    (void)base;
    *out = !is_journal(path) && access(path, flags == SQLITE_ACCESS_READWRITE ? R_OK | W_OK : F_OK) == 0;
    return SQLITE_OK;
}

/* --- what SQLite's own VFS answers ------------------------------------------------- */

static int pass_full_pathname(sqlite3_vfs *base, const char *path, int size, char *out)
{
    return below(base)->xFullPathname(below(base), path, size, out);
}

static int pass_randomness(sqlite3_vfs *base, int size, char *out)
{
    return below(base)->xRandomness(below(base), size, out);
}

static int pass_sleep(sqlite3_vfs *base, int microseconds)
{
    return below(base)->xSleep(below(base), microseconds);
}

static int pass_current_time(sqlite3_vfs *base, double *out)
{
    return below(base)->xCurrentTime(below(base), out);
}

/* --- life and syncs ------------------------------------------------------------------ */

int sealed_vfs_new(struct sealed_vfs **out, struct aead *aead, bool read_only, bool create)
{
    sqlite3_vfs *unix_vfs = sqlite3_vfs_find(NULL);
    struct sealed_vfs *v = unix_vfs ? calloc(1, sizeof *v) : NULL;

    if (!v)
        return -ENOMEM;
    snprintf(v->name, sizeof v->name, "ecluse-%p", (void *)v);
    v->aead = aead;
    v->read_only = read_only;
    v->create = create;
    v->base = (sqlite3_vfs){
        .iVersion = 1, .szOsFile = sizeof(struct sealed_file), .mxPathname = unix_vfs->mxPathname,
        .zName = v->name, .pAppData = unix_vfs,
        .xOpen = sealed_open, .xDelete = sealed_delete, .xAccess = sealed_access,
        .xFullPathname = pass_full_pathname, .xRandomness = pass_randomness, .xSleep = pass_sleep,
        .xCurrentTime = pass_current_time };
    if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK) {
        free(v);
        return -ENOMEM;
    }
    *out = v;
    return 0;
}

void sealed_vfs_free(struct sealed_vfs *v)
{
    if (!v)
        return;
    sqlite3_vfs_unregister(&v->base);
    secret_wipe(v->plain, sizeof v->plain);
    free(v);
}

static int sync_file(struct sealed_file *f, enum fault_point point)
{
    if (!f || f->fd < 0 || !atomic_exchange(&f->unsynced, false))
        return 0;
    int rc = io_sync(f->fd, point);
    if (!rc)
        atomic_fetch_add(&f->round, 1);
    return rc;
}

int sealed_vfs_sync_wal(struct sealed_vfs *v) { return sync_file(v->wal, FAULT_wal_sync); }
int sealed_vfs_sync_database(struct sealed_vfs *v) { return sync_file(v->database, FAULT_db_sync); }

int sealed_vfs_settle(struct sealed_vfs *v)
{
    if (!v->wal || vfs_wal_settle(v->wal) == SQLITE_OK)
        return 0;
    return v->error ? v->error : -EIO;
}

void sealed_vfs_discard(struct sealed_vfs *v)
{
    if (v->wal)
        v->wal->held = false;
}
