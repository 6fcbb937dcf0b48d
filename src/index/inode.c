/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Inode rows: columns to struct and back.
 *
 * A column that cannot be what was written is E_STATE_DAMAGED: pages are
 * authentic, so that would be a defect, but it must not become wrong bytes.
 */
#include "internal.h"
#include <sys/stat.h>

enum { COL_INO, COL_PARENT, COL_COOKIE, COL_MODE, COL_NLINK, COL_UID, COL_GID, COL_FLAGS, COL_SIZE,
       COL_VERSION, COL_BLOCKS, COL_RDEV, COL_ATIME, COL_MTIME, COL_CTIME, COL_BTIME, COL_RUNS, COL_TARGET };
#define WIDE_TIME 12u          /* bytes of a time beyond 64 bits of nanoseconds */

void row_hold_free(struct row_hold *h) { buf_free(&h->bytes); }

/* --- times -------------------------------------------------------------------- */

static void bind_time(sqlite3_stmt *st, int column, const struct timespec *t, const struct timespec *ctime)
{
    uint8_t wide[WIDE_TIME];
    int64_t ns;

    if (ctime && t->tv_sec == ctime->tv_sec && t->tv_nsec == ctime->tv_nsec) {
        sqlite3_bind_null(st, column + 1);
    } else if (!__builtin_mul_overflow((int64_t)t->tv_sec, NANOSECONDS, &ns) &&
               !__builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns)) {
        sqlite3_bind_int64(st, column + 1, ns);
    } else {
        put_le64(wide, (uint64_t)t->tv_sec);
        put_le32(wide + 8, (uint32_t)t->tv_nsec);
        sqlite3_bind_blob(st, column + 1, wide, sizeof wide, SQLITE_TRANSIENT);
    }
}

static int column_time(sqlite3_stmt *st, int column, const struct timespec *ctime, struct timespec *out)
{
    int type = sqlite3_column_type(st, column);

    if (type == SQLITE_INTEGER) {
        int64_t ns = sqlite3_column_int64(st, column), part = ns % NANOSECONDS;
        out->tv_sec = ns / NANOSECONDS - (part < 0);
        out->tv_nsec = (long)(part < 0 ? part + NANOSECONDS : part);
        return 0;
    }
    if (type == SQLITE_BLOB && sqlite3_column_bytes(st, column) == (int)WIDE_TIME) {
        const uint8_t *wide = sqlite3_column_blob(st, column);
        out->tv_sec = (time_t)get_le64(wide);
        out->tv_nsec = (long)get_le32(wide + 8);
        return 0;
    }
    if (type != SQLITE_NULL || !ctime)
        return E_STATE_DAMAGED;
    *out = *ctime;
    return 0;
}

static int column_times(sqlite3_stmt *st, int first, struct inode_row *out)
{
    int rc = column_time(st, first + COL_CTIME, NULL, &out->ctime);

    if (!rc)
        rc = column_time(st, first + COL_ATIME, &out->ctime, &out->atime);
    if (!rc)
        rc = column_time(st, first + COL_MTIME, &out->ctime, &out->mtime);
    return rc ? rc : column_time(st, first + COL_BTIME, &out->ctime, &out->btime);
}

/* --- rows ------------------------------------------------------------------------ */

/* out->target points into the statement; *runs too. */
int inode_columns(sqlite3_stmt *st, int first, struct inode_row *out, struct reader *runs)
{
    out->ino = sql_value(st, first + COL_INO);
    out->parent = sql_value(st, first + COL_PARENT);
    out->cookie = sql_value(st, first + COL_COOKIE);
    out->mode = (uint32_t)sql_value(st, first + COL_MODE);
    out->nlink = (uint32_t)sql_value(st, first + COL_NLINK);
    out->uid = (uint32_t)sql_value(st, first + COL_UID);
    out->gid = (uint32_t)sql_value(st, first + COL_GID);
    out->flags = (uint32_t)sql_value(st, first + COL_FLAGS);
    out->size = sql_value(st, first + COL_SIZE);
    out->version = sql_value(st, first + COL_VERSION);
    out->blocks = sql_value(st, first + COL_BLOCKS);
    out->rdev = sql_value(st, first + COL_RDEV);
    *runs = sql_blob(st, first + COL_RUNS);
    struct reader target = sql_blob(st, first + COL_TARGET);
    out->target = target.p;
    out->target_len = (uint32_t)reader_left(&target);
    out->runs = NULL;
    out->run_count = 0;
    return column_times(st, first, out);
}

static int take_row(sqlite3_stmt *st, struct inode_row *out, struct row_hold *hold)
{
    struct reader runs;
    int count = 0;

    int rc = inode_columns(st, 0, out, &runs);
    if (!rc && reader_left(&runs))
        count = runs_decode(&runs, hold->runs);
    if (count < 0)
        rc = E_STATE_DAMAGED;
    out->run_count = rc ? 0 : (uint32_t)count;
    out->runs = hold->runs;
    buf_reset(&hold->bytes);
    if (!rc && out->target_len)
        buf_append(&hold->bytes, out->target, out->target_len);
    out->target = hold->bytes.data;
    return rc ? rc : hold->bytes.failed ? -ENOMEM : 0;
}

int inode_find(struct index *ix, uint64_t ino, struct inode_row *out, struct row_hold *hold)
{
    sqlite3_stmt *st = sql_of(ix, SQL_INODE_GET);

    sql_bind(st, 1, ino);
    int rc = sql_step(ix, st);
    if (rc != 1)
        return rc ? rc : -ENOENT;
    rc = take_row(st, out, hold);
    sqlite3_reset(st);
    return rc;
}

static void bind_row(sqlite3_stmt *st, const struct inode_row *row, const struct buf *runs)
{
    sql_bind(st, COL_INO + 1, row->ino);
    sql_bind(st, COL_PARENT + 1, row->parent);
    sql_bind(st, COL_COOKIE + 1, row->cookie);
    sql_bind(st, COL_MODE + 1, row->mode);
    sql_bind(st, COL_NLINK + 1, row->nlink);
    sql_bind(st, COL_UID + 1, row->uid);
    sql_bind(st, COL_GID + 1, row->gid);
    sql_bind(st, COL_FLAGS + 1, row->flags);
    sql_bind(st, COL_SIZE + 1, row->size);
    sql_bind(st, COL_VERSION + 1, row->version);
    sql_bind(st, COL_BLOCKS + 1, row->blocks);
    sql_bind(st, COL_RDEV + 1, row->rdev);
    bind_time(st, COL_CTIME, &row->ctime, NULL);
    bind_time(st, COL_ATIME, &row->atime, &row->ctime);
    bind_time(st, COL_MTIME, &row->mtime, &row->ctime);
    bind_time(st, COL_BTIME, &row->btime, &row->ctime);
    sql_bind_blob(st, COL_RUNS + 1, runs->data, runs->len);
    sql_bind_blob(st, COL_TARGET + 1, row->target, row->target_len);
}

/* 1, 0 or an error. */
static int exists(struct index *ix, uint64_t ino)
{
    sqlite3_stmt *st = sql_of(ix, SQL_INODE_EXISTS);

    sql_bind(st, 1, ino);
    int rc = sql_step(ix, st);
    if (rc == 1)
        sqlite3_reset(st);
    return rc;
}

int inode_put(struct index *ix, const struct inode_row *row)
{
    sqlite3_stmt *st = sql_of(ix, SQL_INODE_PUT);
    struct buf runs = { 0 };

    if (row->run_count)
        runs_encode(&runs, row->runs, row->run_count);
    int known = runs.failed ? -ENOMEM : exists(ix, row->ino);
    int rc = known < 0 ? known : 0;
    if (!rc) {
        bind_row(st, row, &runs);
        rc = sql_run(ix, st);
    }
    if (!rc && !known)
        ix->next[META_INODES]++;
    buf_free(&runs);
    return rc;
}

int inode_delete(struct index *ix, uint64_t ino)
{
    sqlite3_stmt *st = sql_of(ix, SQL_INODE_DELETE);

    sql_bind(st, 1, ino);
    int rc = sql_run(ix, st);
    if (!rc)
        ix->next[META_INODES] -= (uint64_t)sqlite3_changes(ix->db);
    return rc;
}

/* --- for other layers --------------------------------------------------------------- */

int index_inode(struct index *ix, uint64_t ino, struct inode_row *out, struct row_hold *hold)
{
    connection_lock(ix);
    int rc = inode_find(ix, ino, out, hold);
    connection_unlock(ix);
    return rc;
}

static int gather_orphans(struct index *ix, struct buf *list)
{
    sqlite3_stmt *st = sql_of(ix, SQL_INODE_ORPHANS);
    int rc;

    while ((rc = sql_step(ix, st)) == 1) {
        uint64_t ino = sql_value(st, 0);
        buf_append(list, &ino, sizeof ino);
    }
    return rc ? rc : list->failed ? -ENOMEM : 0;
}

int index_scan_orphans(struct index *ix, int (*visit)(void *ctx, uint64_t ino), void *ctx)
{
    struct buf list = { 0 };

    connection_lock(ix);
    int rc = gather_orphans(ix, &list);
    connection_unlock(ix);
    for (size_t at = 0; !rc && at < list.len; at += sizeof(uint64_t)) {
        uint64_t ino;
        memcpy(&ino, list.data + at, sizeof ino);
        rc = visit(ctx, ino);
    }
    buf_free(&list);
    return rc;
}
