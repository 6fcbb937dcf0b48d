/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Segment rows: what this device knows of each segment, and the totals.
 *
 * Invariant: META_OBJECTS and META_OBJECT_BYTES count the rows in the state
 * SEGMENT_PUBLISHED; whoever changes a row's state or length counts.
 */
#include "internal.h"

#define SCAN_ROWS 256u

void segment_columns(sqlite3_stmt *st, struct segment_row *out)
{
    struct reader id = sql_blob(st, 2), hash = sql_blob(st, 5);

    *out = (struct segment_row){ .number = (uint32_t)sql_value(st, 0), .state = (uint32_t)sql_value(st, 1),
                                 .epoch = (uint32_t)sql_value(st, 3), .length = sql_value(st, 4) };
    if (reader_left(&id) == sizeof out->id.b)
        memcpy(out->id.b, id.p, sizeof out->id.b);
    if (reader_left(&hash) == sizeof out->sha256)
        memcpy(out->sha256, hash.p, sizeof out->sha256);
}

int segment_find(struct index *ix, uint32_t number, struct segment_row *out)
{
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_GET);

    sql_bind(st, 1, number);
    int rc = sql_step(ix, st);
    if (rc != 1)
        return rc ? rc : -ENOENT;
    segment_columns(st, out);
    sqlite3_reset(st);
    return 0;
}

/* Takes a row that is about to change or go out of the totals. */
static int uncount(struct index *ix, uint32_t number)
{
    struct segment_row old;

    int rc = segment_find(ix, number, &old);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    if (old.state == SEGMENT_PUBLISHED) {
        ix->next[META_OBJECTS]--;
        ix->next[META_OBJECT_BYTES] -= old.length;
    }
    return 0;
}

int segment_put(struct index *ix, const struct segment_row *row)
{
    static const uint8_t none[sizeof row->sha256];
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_PUT);

    int rc = uncount(ix, row->number);
    if (rc)
        return rc;
    sql_bind(st, 1, row->number);
    sql_bind(st, 2, row->state);
    sql_bind_blob(st, 3, row->id.b, sizeof row->id.b);
    sql_bind(st, 4, row->epoch);
    sql_bind(st, 5, row->length);
    sql_bind_blob(st, 6, row->sha256, memcmp(row->sha256, none, sizeof none) ? sizeof none : 0);
    rc = sql_run(ix, st);
    if (!rc && row->state == SEGMENT_PUBLISHED) {
        ix->next[META_OBJECTS]++;
        ix->next[META_OBJECT_BYTES] += row->length;
    }
    return rc;
}

int segment_delete(struct index *ix, uint32_t number)
{
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_DELETE);

    int rc = uncount(ix, number);
    if (rc)
        return rc;
    sql_bind(st, 1, number);
    return sql_run(ix, st);
}

/* --- for other layers --------------------------------------------------------------- */

int index_segment(struct index *ix, uint32_t number, struct segment_row *out)
{
    connection_lock(ix);
    int rc = segment_find(ix, number, out);
    connection_unlock(ix);
    return rc;
}

static int page_of_segments(struct index *ix, uint32_t after, enum segment_state state,
                            struct segment_row *rows, unsigned *count)
{
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_SCAN);
    int rc;

    *count = 0;
    sql_bind(st, 1, after);
    sql_bind(st, 2, state);
    sql_bind(st, 3, SCAN_ROWS);
    while ((rc = sql_step(ix, st)) == 1)
        segment_columns(st, &rows[(*count)++]);
    return rc;
}

int index_scan_segments(struct index *ix, enum segment_state state,
                        int (*visit)(void *ctx, const struct segment_row *s), void *ctx)
{
    struct segment_row rows[SCAN_ROWS];
    unsigned count = SCAN_ROWS;
    uint32_t after = 0;
    int rc = 0;

    while (!rc && count == SCAN_ROWS) {
        connection_lock(ix);
        rc = page_of_segments(ix, after, state, rows, &count);
        connection_unlock(ix);
        for (unsigned i = 0; !rc && i < count; i++) {
            after = rows[i].number;
            rc = visit(ctx, &rows[i]);
        }
    }
    return rc;
}

int index_totals(struct index *ix, struct index_totals *out)
{
    connection_lock(ix);
    *out = (struct index_totals){ .inodes = ix->meta[META_INODES], .objects = ix->meta[META_OBJECTS],
                                  .object_bytes = ix->meta[META_OBJECT_BYTES],
                                  .unpublished = ix->meta[META_NOTES] };
    connection_unlock(ix);
    return 0;
}
