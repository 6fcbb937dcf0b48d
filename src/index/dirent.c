/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Directory entries: by name, by variant of a name, by position.
 *
 * Invariant: one entry per (parent, cookie) and one per (parent, name); the
 * second is SQLite's to refuse, so a batch that would break it is
 * E_STATE_DAMAGED and changes nothing.
 */
#include "internal.h"

enum { COL_PARENT, COL_COOKIE, COL_INO, COL_TYPE, COL_NAME };
#define TYPE_SHIFT 12

/* out->name points into the statement. */
static int dirent_columns(sqlite3_stmt *st, struct dirent_row *out)
{
    struct reader name = sql_blob(st, COL_NAME);
    size_t len = reader_left(&name);

    out->parent = sql_value(st, COL_PARENT);
    out->cookie = sql_value(st, COL_COOKIE);
    out->ino = sql_value(st, COL_INO);
    out->mode = (uint32_t)sql_value(st, COL_TYPE) << TYPE_SHIFT;
    out->name = name.p;
    out->name_len = (uint8_t)len;
    return len && len <= NAME_LIMIT ? 0 : E_STATE_DAMAGED;
}

/* Runs a statement of at most one row. */
static int find(struct index *ix, sqlite3_stmt *st, struct dirent_row *out, struct row_hold *hold)
{
    int rc = sql_step(ix, st);

    if (rc != 1)
        return rc ? rc : -ENOENT;
    rc = dirent_columns(st, out);
    buf_reset(&hold->bytes);
    if (!rc)
        buf_append(&hold->bytes, out->name, out->name_len);
    out->name = hold->bytes.data;
    sqlite3_reset(st);
    return rc ? rc : hold->bytes.failed ? -ENOMEM : 0;
}

static int find_named(struct index *ix, enum statement which, uint64_t parent, const void *name, size_t len,
                      struct dirent_row *out, struct row_hold *hold)
{
    sqlite3_stmt *st = sql_of(ix, which);

    sql_bind(st, 1, parent);
    sql_bind_blob(st, 2, name, len);
    return find(ix, st, out, hold);
}

int dirent_find(struct index *ix, uint64_t parent, uint64_t cookie, struct dirent_row *out,
                struct row_hold *hold)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DIRENT_AT);

    sql_bind(st, 1, parent);
    sql_bind(st, 2, cookie);
    return find(ix, st, out, hold);
}

int dirent_put_row(struct index *ix, const struct dirent_row *row)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DIRENT_PUT);
    struct buf norm = { 0 };

    int rc = name_normalise(row->name, row->name_len, &norm);
    if (!rc) {
        sql_bind(st, 1, row->parent);
        sql_bind(st, 2, row->cookie);
        sql_bind(st, 3, row->ino);
        sql_bind(st, 4, row->mode >> TYPE_SHIFT);
        sql_bind_blob(st, 5, row->name, row->name_len);
        sql_bind_blob(st, 6, norm.data, norm.len);
        rc = sql_run(ix, st);
    }
    buf_free(&norm);
    return rc;
}

int dirent_delete(struct index *ix, uint64_t parent, uint64_t cookie)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DIRENT_DELETE);

    sql_bind(st, 1, parent);
    sql_bind(st, 2, cookie);
    return sql_run(ix, st);
}

/* --- for other layers --------------------------------------------------------------- */

int index_dirent(struct index *ix, uint64_t parent, const void *name, size_t len,
                 struct dirent_row *out, struct row_hold *hold)
{
    connection_lock(ix);
    int rc = find_named(ix, SQL_DIRENT_NAMED, parent, name, len, out, hold);
    connection_unlock(ix);
    return rc;
}

int index_dirent_at(struct index *ix, uint64_t parent, uint64_t cookie,
                    struct dirent_row *out, struct row_hold *hold)
{
    connection_lock(ix);
    int rc = dirent_find(ix, parent, cookie, out, hold);
    connection_unlock(ix);
    return rc;
}

static bool has_variants(const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] >= 0x80)
            return true;
    return false;
}

int index_dirent_variant(struct index *ix, uint64_t parent, const void *name, size_t len,
                         struct dirent_row *out, struct row_hold *hold)
{
    struct buf norm = { 0 };

    if (!has_variants(name, len))
        return -ENOENT;
    int rc = name_normalise(name, len, &norm);
    bool other = norm.len > 0;         /* else the name is its own NFC form, or no UTF-8 */
    const void *query = other ? norm.data : name;
    size_t query_len = other ? norm.len : len;
    if (!rc) {
        connection_lock(ix);
        rc = other ? find_named(ix, SQL_DIRENT_NAMED, parent, query, query_len, out, hold) : -ENOENT;
        if (rc == -ENOENT)
            rc = find_named(ix, SQL_DIRENT_NORM, parent, query, query_len, out, hold);
        connection_unlock(ix);
    }
    buf_free(&norm);
    return rc;
}
