/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The write-ahead log: sealed frames behind a plain header.
 *
 * The 32-byte header holds a page size, salts and checksums, no content.  A
 * frame is 24 bytes of header and a page; SQLite writes the two one after the
 * other, and we hold the first back so that both are sealed together and
 * reach the file by one write.  Within a transaction SQLite also rewrites the
 * page of a frame alone, or its header alone: then the other half is opened
 * from the file first.
 *
 * Reading.  At recovery SQLite reads whole frames until one does not fit the
 * chain of checksums and salts.  There, and only there, a frame that does not
 * authenticate reads as zeros, which ends the log: a power cut tears frames
 * that were never synced.  A frame of an older generation of the log opens to
 * its old content, whose salts SQLite rejects.  Once this process has written to
 * the log, or when SQLite asks for the page of a frame that it knows, a frame
 * that does not open is damage.
 *
 * Torn, or rotten?  Each frame bears the number of syncs that went before it
 * since the header, its round; every transaction is synced before the next one
 * begins.  So a later frame of this log that opens, from a round after that of
 * the frame that does not, proves that it was synced once: damage, as is a
 * header that is neither blank nor right.  (Rot in the last round cannot be told
 * from a torn write here; the journal may know of that commit.)
 *
 * Truncation to zero, which ends a checkpoint, overwrites the header with
 * zeros and leaves the blocks allocated: the next commits then need no
 * metadata of the filesystem.  Only a log beyond WAL_KEEP is cut, to WAL_KEEP.
 * So much, or a sixteenth of a small disk, is reserved from the beginning: on a
 * disk that others have filled, deletions can still be committed.
 */
#include "vfs.h"
#include <ecluse/base.h>
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/log.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WAL_KEEP (8u << 20)
#define WAL_MAGIC 0x377f0682u

void vfs_wal_reserve(int fd)
{
    struct statvfs v;
    struct stat st;

    if (fstatvfs(fd, &v))
        return;
    uint64_t part = (uint64_t)v.f_blocks * v.f_frsize / 16, want = part && part < WAL_KEEP ? part : WAL_KEEP;
    /* Once more would change nothing but the time of a state that may be refused. */
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= want)
        return;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)want))
        log_debug("ECL-0604 index: no space reserved for the log: %s", error_name(-errno));
}

static uint64_t frame_start(uint64_t offset)
{
    return offset - (offset - WAL_HEADER) % FRAME_BYTES;
}

/* Opens the frame at `start` into v->plain. -ENODATA beyond the end, E_AUTH. */
static int frame_load(struct sealed_file *f, uint64_t start)
{
    struct sealed_vfs *v = f->vfs;

    int rc = f->fd < 0 ? -ENODATA : io_read_at(f->fd, v->sealed, FRAME_BYTES, start);
    return rc ? rc : page_open(v->aead, PAGE_WAL, start, v->sealed, FRAME_BYTES, v->plain);
}

/* Seals v->plain as the frame at `start`. */
static int frame_store(struct sealed_file *f, uint64_t start)
{
    struct sealed_vfs *v = f->vfs;

    int rc = page_seal(v->aead, PAGE_WAL, start, atomic_load(&f->round), v->plain, FRAME_BYTES, v->sealed);
    if (rc)
        return rc;
    f->unsynced = f->written = true;
    return io_write_at(f->fd, v->sealed, FRAME_BYTES, start, FAULT_wal_write);
}

static int damaged(struct sealed_file *f, uint64_t start, int rc, int code)
{
    if (rc == E_AUTH || rc == E_FORMAT) {
        log_error("ECL-0602 index: log frame at %llu: %s", (unsigned long long)start, error_name(rc));
        rc = E_STATE_DAMAGED;
    }
    return vfs_fail(f->vfs, rc == -ENODATA ? E_STATE_DAMAGED : rc, code);
}

/* A held header whose page did not follow replaces that of its frame. */
int vfs_wal_settle(struct sealed_file *f)
{
    if (!f->held)
        return SQLITE_OK;
    f->held = false;
    int rc = frame_load(f, f->held_at);
    if (!rc) {
        memcpy(f->vfs->plain, f->header, FRAME_HEADER);
        rc = frame_store(f, f->held_at);
    }
    return rc ? damaged(f, f->held_at, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

/* --- writing -------------------------------------------------------------------- */

static const uint8_t blank[WAL_HEADER];

static int write_log_header(struct sealed_file *f, const void *buf)
{
    f->unsynced = f->written = true;
    atomic_store(&f->round, 0);
    int rc = io_write_at(f->fd, buf, WAL_HEADER, 0, FAULT_wal_write);
    return rc ? vfs_fail(f->vfs, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int hold_header(struct sealed_file *f, const void *buf, uint64_t start)
{
    int rc = vfs_wal_settle(f);
    if (rc)
        return rc;
    memcpy(f->header, buf, FRAME_HEADER);
    f->held_at = start;
    f->held = true;
    return SQLITE_OK;
}

static int write_page(struct sealed_file *f, const void *buf, uint64_t start)
{
    struct sealed_vfs *v = f->vfs;
    int rc = 0;

    if (f->held && f->held_at == start) {
        memcpy(v->plain, f->header, FRAME_HEADER);
        f->held = false;
    } else {
        rc = vfs_wal_settle(f);
        if (rc)
            return rc;
        rc = frame_load(f, start);
    }
    if (!rc) {
        memcpy(v->plain + FRAME_HEADER, buf, PAGE_BYTES);
        rc = frame_store(f, start);
    }
    return rc ? damaged(f, start, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int wal_write(sqlite3_file *file, const void *buf, int amount, sqlite3_int64 offset)
{
    struct sealed_file *f = (struct sealed_file *)file;
    uint64_t at = (uint64_t)offset;

    if (f->fd < 0 || f->vfs->read_only)
        return vfs_fail(f->vfs, -EROFS, SQLITE_READONLY);
    if (at == 0 && amount == (int)WAL_HEADER)
        return write_log_header(f, buf);
    if (at >= WAL_HEADER) {
        uint64_t start = frame_start(at);
        if (at == start && amount == (int)FRAME_HEADER)
            return hold_header(f, buf, start);
        if (at == start + FRAME_HEADER && amount == (int)PAGE_BYTES)
            return write_page(f, buf, start);
    }
    return vfs_fail(f->vfs, -EIO, SQLITE_IOERR_WRITE);
}

/* --- reading -------------------------------------------------------------------- */

static int short_read(void *buf, size_t len)
{
    memset(buf, 0, len);
    return SQLITE_IOERR_SHORT_READ;
}

/* SQLite's own sum over the first 24 bytes (its file format, "WAL checksums"). */
static bool header_is_right(const uint8_t header[WAL_HEADER])
{
    uint32_t magic = get_be32(header), s0 = 0, s1 = 0;

    for (unsigned k = 0; k < 24; k += 8) {
        bool big = magic & 1;
        s0 += (big ? get_be32(header + k) : get_le32(header + k)) + s1;
        s1 += (big ? get_be32(header + k + 4) : get_le32(header + k + 4)) + s0;
    }
    return (magic & ~1u) == WAL_MAGIC && get_be32(header + 24) == s0 && get_be32(header + 28) == s1;
}

static int read_log_header(struct sealed_file *f, void *buf, size_t len, uint64_t at)
{
    uint8_t header[WAL_HEADER];
    int rc = f->fd < 0 ? -ENODATA : io_read_at(f->fd, header, sizeof header, 0);

    if (rc == -ENODATA)
        return short_read(buf, len);
    if (!rc && memcmp(header, blank, sizeof header) && !header_is_right(header))
        return damaged(f, 0, E_FORMAT, SQLITE_IOERR_DATA);
    if (!rc)
        memcpy(buf, header + at, len);
    return rc ? vfs_fail(f->vfs, rc, SQLITE_IOERR_READ) : SQLITE_OK;
}

/* v->plain holds a frame that opened: does it belong to the log of this header? */
static bool of_this_log(struct sealed_file *f)
{
    uint8_t header[WAL_HEADER];

    return io_read_at(f->fd, header, sizeof header, 0) == 0 &&
           memcmp(header + 16, f->vfs->plain + 8, 8) == 0;      /* the salts */
}

/* At recovery: how far the log is good. */
static void note_frame(struct sealed_file *f)
{
    if (!of_this_log(f))
        return;
    f->ends = get_be32(f->vfs->plain + 4) != 0;                  /* the size after a commit */
    atomic_store(&f->round, page_round(f->vfs->sealed, FRAME_BYTES));
}

/* Whether a frame that does not open was synced once. */
static bool was_synced(struct sealed_file *f, uint64_t start)
{
    uint32_t own = atomic_load(&f->round) + f->ends;             /* its round, at most */
    bool found = false;

    for (uint64_t at = start + FRAME_BYTES; !found; at += FRAME_BYTES) {
        int rc = frame_load(f, at);
        if (rc && rc != E_AUTH)
            break;
        found = !rc && page_round(f->vfs->sealed, FRAME_BYTES) > own && of_this_log(f);
    }
    return found;
}

static int wal_read(sqlite3_file *file, void *buf, int amount, sqlite3_int64 offset)
{
    struct sealed_file *f = (struct sealed_file *)file;
    uint64_t at = (uint64_t)offset;
    size_t len = (size_t)amount;

    if (at + len <= WAL_HEADER)
        return read_log_header(f, buf, len, at);
    uint64_t start = at < WAL_HEADER ? 0 : frame_start(at);
    if (at < WAL_HEADER || at + len > start + FRAME_BYTES)
        return vfs_fail(f->vfs, -EIO, SQLITE_IOERR_READ);
    int rc = vfs_wal_settle(f);
    if (rc)
        return rc;
    rc = frame_load(f, start);
    if (rc == -ENODATA)
        return short_read(buf, len);
    bool recovery = len == FRAME_BYTES && !f->written;
    if (recovery && rc == E_AUTH && !was_synced(f, start)) {
        memset(buf, 0, len);
        return SQLITE_OK;
    }
    if (rc)
        return damaged(f, start, rc, rc == E_AUTH ? SQLITE_IOERR_DATA : SQLITE_IOERR_READ);
    if (recovery)
        note_frame(f);
    memcpy(buf, f->vfs->plain + (at - start), len);
    return SQLITE_OK;
}

/* --- the rest --------------------------------------------------------------------- */

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct sealed_file *f = (struct sealed_file *)file;
    sqlite3_int64 now = 0;

    f->held = false;
    int rc = vfs_file_size(file, &now);
    if (rc || now <= size)
        return rc;
    if (size == 0) {
        uint8_t header[WAL_HEADER];
        bool done = io_read_at(f->fd, header, sizeof header, 0) == 0 && !memcmp(header, blank, sizeof blank);
        rc = done ? SQLITE_OK : write_log_header(f, blank);
        size = WAL_KEEP;
    }
    f->unsynced = true;
    if (!rc && now > size && ftruncate(f->fd, size))
        rc = vfs_fail(f->vfs, -errno, SQLITE_IOERR_TRUNCATE);
    return rc;
}

static int wal_sync(sqlite3_file *file, int flags)
{
    struct sealed_file *f = (struct sealed_file *)file;

    (void)flags;
    int rc = vfs_wal_settle(f);
    if (rc)
        return rc;
    rc = sealed_vfs_sync_wal(f->vfs);
    return rc ? vfs_fail(f->vfs, rc, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

const sqlite3_io_methods vfs_wal_methods = {
    .iVersion = 1,
    .xClose = vfs_file_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_no_lock,
    .xUnlock = vfs_no_lock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = vfs_no_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
};
