/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What hangs on an inode: chunks of its block map, extended attributes.
 *
 * Deleting the chunks of a huge file goes in slices that let readers in, all
 * in the one transaction.
 */
#include "internal.h"

int chunk_find(struct index *ix, uint64_t ino, uint64_t n, struct chunk_row *out, struct row_hold *hold)
{
    sqlite3_stmt *st = sql_of(ix, SQL_CHUNK_GET);

    sql_bind(st, 1, ino);
    sql_bind(st, 2, n);
    int rc = sql_step(ix, st);
    if (rc != 1)
        return rc ? rc : -ENOENT;
    struct reader r = sql_blob(st, 0);
    int count = runs_decode(&r, hold->runs);
    sqlite3_reset(st);
    *out = (struct chunk_row){ .ino = ino, .n = n, .run_count = count > 0 ? (uint32_t)count : 0,
                               .runs = hold->runs };
    return count > 0 ? 0 : E_STATE_DAMAGED;
}

static int chunk_delete(struct index *ix, uint64_t ino, uint64_t n)
{
    sqlite3_stmt *st = sql_of(ix, SQL_CHUNK_DELETE);

    sql_bind(st, 1, ino);
    sql_bind(st, 2, n);
    return sql_run(ix, st);
}

int chunk_put(struct index *ix, const struct chunk_row *row)
{
    sqlite3_stmt *st = sql_of(ix, SQL_CHUNK_PUT);
    struct buf runs = { 0 };

    if (!row->run_count)
        return chunk_delete(ix, row->ino, row->n);
    runs_encode(&runs, row->runs, row->run_count);
    int rc = runs.failed ? -ENOMEM : 0;
    if (!rc) {
        sql_bind(st, 1, row->ino);
        sql_bind(st, 2, row->n);
        sql_bind_blob(st, 3, runs.data, runs.len);
        rc = sql_run(ix, st);
    }
    buf_free(&runs);
    return rc;
}

/* The first chunk that a slice beginning at `from` leaves, or INT64_MAX. */
static int slice_end(struct index *ix, uint64_t ino, uint64_t from, uint64_t *end)
{
    sqlite3_stmt *st = sql_of(ix, SQL_CHUNK_NTH);

    sql_bind(st, 1, ino);
    sql_bind(st, 2, from);
    sql_bind(st, 3, SLICE);
    int rc = sql_step(ix, st);
    if (rc < 0)
        return rc;
    *end = rc ? sql_value(st, 0) : INT64_MAX;
    sqlite3_reset(st);
    return 0;
}

int chunks_delete(struct index *ix, uint64_t ino, uint64_t from)
{
    sqlite3_stmt *st = sql_of(ix, SQL_CHUNKS_DELETE);
    uint64_t end = from;
    int rc = 0;

    while (!rc && end != INT64_MAX) {
        if (end != from)
            rc = transaction_breathe(ix);
        uint64_t at = end;
        if (!rc)
            rc = slice_end(ix, ino, at, &end);
        if (rc)
            break;
        sql_bind(st, 1, ino);
        sql_bind(st, 2, at);
        sql_bind(st, 3, end);
        rc = sql_run(ix, st);
    }
    return rc;
}

int xattr_find(struct index *ix, uint64_t ino, struct xattr_row *out, struct row_hold *hold)
{
    sqlite3_stmt *st = sql_of(ix, SQL_XATTR_GET);

    sql_bind(st, 1, ino);
    int rc = sql_step(ix, st);
    if (rc != 1)
        return rc ? rc : -ENOENT;
    struct reader r = sql_blob(st, 0);
    buf_reset(&hold->bytes);
    buf_append(&hold->bytes, r.p, reader_left(&r));
    sqlite3_reset(st);
    *out = (struct xattr_row){ .ino = ino, .len = hold->bytes.len, .list = hold->bytes.data };
    return hold->bytes.failed ? -ENOMEM : 0;
}

int xattr_put(struct index *ix, const struct xattr_row *row)
{
    sqlite3_stmt *st = sql_of(ix, row->len ? SQL_XATTR_PUT : SQL_XATTR_DELETE);

    sql_bind(st, 1, row->ino);
    if (row->len)
        sql_bind_blob(st, 2, row->list, row->len);
    return sql_run(ix, st);
}

/* --- for other layers --------------------------------------------------------------- */

int index_chunk(struct index *ix, uint64_t ino, uint64_t n, struct chunk_row *out, struct row_hold *hold)
{
    connection_lock(ix);
    int rc = chunk_find(ix, ino, n, out, hold);
    connection_unlock(ix);
    return rc;
}

int index_xattrs(struct index *ix, uint64_t ino, struct xattr_row *out, struct row_hold *hold)
{
    connection_lock(ix);
    int rc = xattr_find(ix, ino, out, hold);
    connection_unlock(ix);
    return rc;
}

int index_next_chunk(struct index *ix, uint64_t ino, uint64_t from, uint64_t *n)
{
    sqlite3_stmt *st = sql_of(ix, SQL_CHUNK_NEXT);

    if (from > INT64_MAX)
        return -ENOENT;
    connection_lock(ix);
    sql_bind(st, 1, ino);
    sql_bind(st, 2, from);
    int rc = sql_step(ix, st);
    if (rc == 1) {
        *n = sql_value(st, 0);
        sqlite3_reset(st);
    }
    connection_unlock(ix);
    return rc == 1 ? 0 : rc ? rc : -ENOENT;
}
