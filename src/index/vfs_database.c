/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The database file: whole pages in, whole pages out.
 *
 * SQLite reads parts of page 1 before it knows the page size (100 bytes, then
 * 16 at offset 24); such a read opens the page and returns the part.  When the
 * page does not open, that part reads as a short file: a checkpoint cut by a
 * power failure may have left it torn while the WAL still has it whole.  If
 * the WAL has not, SQLite reads the page in full next, and that fails.
 *
 * Behind its end a file reads as zeros, and SQLite asks how long it is only while the
 * WAL is empty.  So it is asked here: where the database says that the page is, it must be.
 */
#include "vfs.h"
#include <ecluse/base.h>
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/log.h>
#include <errno.h>
#include <unistd.h>

static int short_read(void *buf, size_t len)
{
    memset(buf, 0, len);
    return SQLITE_IOERR_SHORT_READ;
}

/* As of the last checkpoint that wrote page 1; what grew since is in the WAL. 0: not to be told. */
static uint32_t pages_there(struct sealed_file *f)
{
    struct sealed_vfs *v = f->vfs;
    const size_t at = 28;          /* "size of the database file in pages": SQLite's file format, 1.3 */

    if (io_read_at(f->fd, v->sealed, PAGE_BYTES, 0) ||
        page_open(v->aead, PAGE_DATABASE, 1, v->sealed, PAGE_BYTES, v->plain))
        return 0;
    return get_be32(v->plain + at);
}

static int behind_end(struct sealed_file *f, uint64_t page, void *buf, size_t len)
{
    if (len < PAGE_BYTES || page >= pages_there(f))
        return short_read(buf, len);
    log_error("ECL-0601 index: page %llu: the file is cut", (unsigned long long)page + 1);
    return vfs_fail(f->vfs, E_STATE_DAMAGED, SQLITE_IOERR_DATA);
}

static int database_read(sqlite3_file *file, void *buf, int amount, sqlite3_int64 offset)
{
    struct sealed_file *f = (struct sealed_file *)file;
    struct sealed_vfs *v = f->vfs;
    uint64_t at = (uint64_t)offset, page = at / PAGE_BYTES;
    size_t len = (size_t)amount, within = (size_t)(at % PAGE_BYTES);

    if (within + len > PAGE_BYTES)
        return vfs_fail(v, -EIO, SQLITE_IOERR_READ);
    int rc = io_read_at(f->fd, v->sealed, PAGE_BYTES, page * PAGE_BYTES);
    if (rc == -ENODATA)
        return behind_end(f, page, buf, len);
    if (rc)
        return vfs_fail(v, rc, SQLITE_IOERR_READ);
    uint8_t *plain = len == PAGE_BYTES ? buf : v->plain;
    rc = page_open(v->aead, PAGE_DATABASE, page + 1, v->sealed, PAGE_BYTES, plain);
    if (rc && len < PAGE_BYTES)
        return short_read(buf, len);
    if (rc) {
        log_error("ECL-0601 index: page %llu: %s", (unsigned long long)page + 1, error_name(rc));
        return vfs_fail(v, E_STATE_DAMAGED, SQLITE_IOERR_DATA);
    }
    if (plain != buf)
        memcpy(buf, plain + within, len);
    return SQLITE_OK;
}

static int database_write(sqlite3_file *file, const void *buf, int amount, sqlite3_int64 offset)
{
    struct sealed_file *f = (struct sealed_file *)file;
    struct sealed_vfs *v = f->vfs;
    uint64_t at = (uint64_t)offset;

    if (amount != (int)PAGE_BYTES || at % PAGE_BYTES)
        return vfs_fail(v, -EIO, SQLITE_IOERR_WRITE);
    int rc = page_seal(v->aead, PAGE_DATABASE, at / PAGE_BYTES + 1, 0, buf, PAGE_BYTES, v->sealed);
    if (!rc) {
        f->unsynced = true;
        rc = io_write_at(f->fd, v->sealed, PAGE_BYTES, at, FAULT_db_write);
    }
    return rc ? vfs_fail(v, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int database_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct sealed_file *f = (struct sealed_file *)file;

    f->unsynced = true;
    return ftruncate(f->fd, size) ? vfs_fail(f->vfs, -errno, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int database_sync(sqlite3_file *file, int flags)
{
    struct sealed_vfs *v = ((struct sealed_file *)file)->vfs;

    (void)flags;
    int rc = sealed_vfs_sync_database(v);
    return rc ? vfs_fail(v, rc, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

const sqlite3_io_methods vfs_database_methods = {
    .iVersion = 1,                 /* no shared memory, no mapping */
    .xClose = vfs_file_close,
    .xRead = database_read,
    .xWrite = database_write,
    .xTruncate = database_truncate,
    .xSync = database_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_no_lock,
    .xUnlock = vfs_no_lock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = vfs_no_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
};
