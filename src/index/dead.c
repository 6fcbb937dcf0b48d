/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Objects of the store that nothing refers to any more, and wait for their removal.
 *
 *   published -> dead      no row refers to it; by a count (src/fs/gc.c)
 *   (nothing) -> stray     found in the store, of this vault, in no row of ours
 *   dead, stray -> (row deleted)   once the object is gone
 *
 * Never back: a row that refers to a dead segment could only be copied from one that
 * does.  seq is 0 until everything is published that the count relied on.
 */
#include "internal.h"

/* One transaction over the rows of those numbers that are still there. */
static int change_rows(struct index *ix, const uint32_t *numbers, size_t count,
                       int (*change)(struct index *ix, const struct segment_row *row, const void *ctx),
                       const void *ctx)
{
    struct segment_row row;
    int rc = transaction_begin(ix);

    if (rc)
        return rc;
    for (size_t k = 0; !rc && k < count; k++) {
        rc = segment_find(ix, numbers[k], &row);
        rc = rc == -ENOENT ? 0 : rc ? rc : change(ix, &row, ctx);
    }
    return transaction_end(ix, rc);
}

/* What a row is to become. */
struct mark { enum segment_state state; uint64_t seq; int64_t since; };

static int mark_one(struct index *ix, uint32_t number, const struct mark *m)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DEAD_MARK);

    sql_bind(st, 1, number);
    sql_bind(st, 2, m->state);
    sql_bind(st, 3, m->seq);
    sqlite3_bind_int64(st, 4, m->since);
    return sql_run(ix, st);
}

static int mark_published(struct index *ix, const struct segment_row *row, const void *ctx)
{
    if (row->state != SEGMENT_PUBLISHED)
        return 0;
    ix->next[META_OBJECTS]--;
    ix->next[META_OBJECT_BYTES] -= row->length;
    return mark_one(ix, row->number, ctx);
}

int index_mark_dead(struct index *ix, const uint32_t *numbers, size_t count, uint64_t seq, int64_t since)
{
    const struct mark m = { SEGMENT_DEAD, seq, since };
    return change_rows(ix, numbers, count, mark_published, &m);
}

int index_add_strays(struct index *ix, const struct segment_row *rows, size_t count, uint64_t seq, int64_t since)
{
    const struct mark m = { SEGMENT_STRAY, seq, since };
    int rc = transaction_begin(ix);

    if (rc)
        return rc;
    for (size_t k = 0; !rc && k < count; k++) {
        rc = segment_put(ix, &rows[k]);
        if (!rc)
            rc = counter_put(ix, COUNTER_SEGMENT, (uint64_t)rows[k].number + 1);
        if (!rc)
            rc = mark_one(ix, rows[k].number, &m);
    }
    return transaction_end(ix, rc);
}

int index_settle_dead(struct index *ix, uint64_t seq, int64_t since)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DEAD_SETTLE);
    int rc = transaction_begin(ix);

    if (rc)
        return rc;
    sql_bind(st, 1, seq);
    sqlite3_bind_int64(st, 2, since);
    rc = sql_run(ix, st);
    if (!rc)
        rc = counter_put(ix, COUNTER_COLLECTED, (uint64_t)since);
    return transaction_end(ix, rc);
}

static int forget_one(struct index *ix, const struct segment_row *row, const void *ctx)
{
    (void)ctx;
    return row->state >= SEGMENT_DEAD ? segment_delete(ix, row->number) : 0;
}

int index_forget_dead(struct index *ix, const uint32_t *numbers, size_t count)
{
    return change_rows(ix, numbers, count, forget_one, NULL);
}

static int page_of_dead(struct index *ix, uint32_t after, struct dead_segment *page, unsigned *count)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DEAD_SCAN);
    int rc;

    *count = 0;
    sql_bind(st, 1, after);
    sql_bind(st, 2, SLICE);
    while ((rc = sql_step(ix, st)) == 1) {
        struct dead_segment *d = &page[(*count)++];
        segment_columns(st, &d->row);
        d->seq = sql_value(st, 6);
        d->since = sqlite3_column_int64(st, 7);
    }
    return rc;
}

int index_scan_dead(struct index *ix, int (*visit)(void *ctx, const struct dead_segment *d), void *ctx)
{
    struct dead_segment page[SLICE];
    unsigned count = SLICE;
    uint32_t after = 0;
    int rc = 0;

    while (!rc && count == SLICE) {
        connection_lock(ix);
        rc = page_of_dead(ix, after, page, &count);
        connection_unlock(ix);
        for (unsigned i = 0; !rc && i < count; i++) {
            after = page[i].row.number;
            rc = visit(ctx, &page[i]);
        }
    }
    return rc;
}

int index_dead_totals(struct index *ix, struct dead_totals *out)
{
    sqlite3_stmt *st = sql_of(ix, SQL_DEAD_SUM);

    *out = (struct dead_totals){ 0 };
    connection_lock(ix);
    int rc = sql_step(ix, st);
    if (rc == 1) {
        *out = (struct dead_totals){ sql_value(st, 0), sql_value(st, 1), sqlite3_column_int64(st, 2) };
        sqlite3_reset(st);
    }
    connection_unlock(ix);
    return rc < 0 ? rc : 0;
}
