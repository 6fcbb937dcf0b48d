/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publications: intent, completion, the newest.
 *
 * An intent fixes, in one transaction, the number and hash of a publication,
 * the final form of its segments and their order, and forgets the notes that
 * it carries.  From then on those bytes are completed, never regenerated; a
 * sequence number cannot be intended twice (it is the table's key).
 */
#include "internal.h"

/* Segments take their place in the order of the batch. The carrier may be newer
 * than the last commit: its number must not be given out again after a restart. */
static int place_segments(struct index *ix, uint64_t seq, const struct buf *segments)
{
    struct reader r = reader_over(segments->data, segments->len);
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_PLACE);
    int rc;

    for (uint64_t place = 1; (rc = batch_next(&r, &ix->record)) == 1; place++) {
        if (ix->record.kind != RECORD_SEGMENT)
            return -EINVAL;
        ix->record.segment.state = SEGMENT_STAGED;
        rc = segment_put(ix, &ix->record.segment);
        if (!rc)
            rc = counter_put(ix, COUNTER_SEGMENT, (uint64_t)ix->record.segment.number + 1);
        if (rc)
            return rc;
        sql_bind(st, 1, ix->record.segment.number);
        sql_bind(st, 2, seq);
        sql_bind(st, 3, place);
        rc = sql_run(ix, st);
        if (rc)
            return rc;
    }
    return rc;
}

static int add_intent(struct index *ix, const struct publication_row *p)
{
    sqlite3_stmt *st = sql_of(ix, SQL_PUBLICATION_ADD);

    sql_bind(st, 1, p->seq);
    sql_bind_blob(st, 2, p->hash, sizeof p->hash);
    sqlite3_bind_int64(st, 3, p->time);
    sql_bind(st, 4, p->carrier);
    sql_bind(st, 5, p->size);
    sql_bind(st, 7, p->inodes);
    if (p->shard)
        sql_bind(st, 6, 2 * (uint64_t)(p->shard - 1) + p->last);
    else
        sqlite3_bind_null(st, 6);
    return sql_run(ix, st);
}

int index_intend(struct index *ix, const struct publication_row *p, const struct buf *segments, uint64_t cut)
{
    int rc = transaction_begin(ix);

    if (rc)
        return rc;
    rc = add_intent(ix, p);
    if (!rc)
        rc = place_segments(ix, p->seq, segments);
    if (!rc && ix->cut.valid && ix->cut.token == cut)
        rc = notes_forget(ix, &ix->cut);
    return transaction_end(ix, rc);
}

/* Moves the publication's segments into the totals; before their state changes. */
static int count_segments(struct index *ix, uint64_t seq)
{
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_SUM);

    sql_bind(st, 1, seq);
    int rc = sql_step(ix, st);
    if (rc == 1) {
        ix->next[META_OBJECTS] += sql_value(st, 0);
        ix->next[META_OBJECT_BYTES] += sql_value(st, 1);
        sqlite3_reset(st);
    }
    return rc < 0 ? rc : 0;
}

static int run_with_seq(struct index *ix, enum statement which, uint64_t seq)
{
    sqlite3_stmt *st = sql_of(ix, which);

    sql_bind(st, 1, seq);
    return sql_run(ix, st);
}

static int end_intent(struct index *ix, uint64_t seq)
{
    int rc = run_with_seq(ix, SQL_PUBLICATION_DONE, seq);
    if (!rc && sqlite3_changes(ix->db) == 0)
        rc = -ENOENT;
    if (!rc)
        rc = count_segments(ix, seq);
    return rc ? rc : run_with_seq(ix, SQL_SEGMENT_PUBLISH, seq);
}

int index_published(struct index *ix, uint64_t seq)
{
    int rc = transaction_begin(ix);
    return rc ? rc : transaction_end(ix, end_intent(ix, seq));
}

int index_take(struct index *ix, const struct publication_row *p, const struct buf *rows, const struct buf *segments,
               uint64_t generation)
{
    int rc = transaction_begin(ix);

    if (rc)
        return rc;
    ix->next[META_GENERATION] = generation;
    rc = apply_records(ix, rows, false);
    if (!rc)
        rc = add_intent(ix, p);
    if (!rc)
        rc = place_segments(ix, p->seq, segments);
    if (!rc)
        rc = end_intent(ix, p->seq);
    return transaction_end(ix, rc);
}

static int find_publication(struct index *ix, enum statement which, uint64_t upto, struct publication_row *out)
{
    sqlite3_stmt *st = sql_of(ix, which);

    sql_bind(st, 1, upto);
    int rc = sql_step(ix, st);
    if (rc != 1)
        return rc ? rc : -ENOENT;
    struct reader hash = sql_blob(st, 1);
    *out = (struct publication_row){ .seq = sql_value(st, 0), .done = sql_value(st, 2) != 0,
                                     .time = sqlite3_column_int64(st, 3),
                                     .carrier = (uint32_t)sql_value(st, 4), .size = sql_value(st, 5) };
    if (sqlite3_column_type(st, 6) != SQLITE_NULL) {
        out->shard = (uint32_t)(sql_value(st, 6) / 2) + 1;
        out->last = sql_value(st, 6) % 2;
        out->inodes = sql_value(st, 7);
    }
    rc = reader_left(&hash) == sizeof out->hash ? 0 : E_STATE_DAMAGED;
    if (!rc)
        memcpy(out->hash, hash.p, sizeof out->hash);
    sqlite3_reset(st);
    return rc;
}

static int find_locked(struct index *ix, enum statement which, uint64_t upto, struct publication_row *out)
{
    connection_lock(ix);
    int rc = find_publication(ix, which, upto, out);
    connection_unlock(ix);
    return rc;
}

int index_publication(struct index *ix, uint64_t upto, struct publication_row *out)
{
    return find_locked(ix, SQL_PUBLICATION_UPTO, upto, out);
}

int index_plain_publication(struct index *ix, uint64_t upto, struct publication_row *out)
{
    return find_locked(ix, SQL_PUBLICATION_PLAIN, upto, out);
}

int index_checkpoint(struct index *ix, uint64_t upto, uint64_t *first, struct publication_row *last)
{
    int rc = find_locked(ix, SQL_PUBLICATION_LAST_SHARD, upto, last);
    if (!rc && last->shard > last->seq)
        rc = E_STATE_DAMAGED;
    if (!rc)
        *first = last->seq - (last->shard - 1);
    return rc;
}

int index_payloads(struct index *ix, uint64_t from, uint64_t to, uint64_t *bytes)
{
    sqlite3_stmt *st = sql_of(ix, SQL_PUBLICATION_SUM);

    connection_lock(ix);
    sql_bind(st, 1, from);
    sql_bind(st, 2, to);
    int rc = sql_step(ix, st);
    if (rc == 1) {
        *bytes = sql_value(st, 0);
        sqlite3_reset(st);
    }
    connection_unlock(ix);
    return rc < 0 ? rc : 0;
}

int index_last_publication(struct index *ix, struct publication_row *out)
{
    return index_publication(ix, INT64_MAX, out);
}

static int gather(struct index *ix, uint64_t seq, struct buf *rows)
{
    sqlite3_stmt *st = sql_of(ix, SQL_SEGMENT_PUBLICATION);
    struct segment_row row;
    int rc;

    sql_bind(st, 1, seq);
    while ((rc = sql_step(ix, st)) == 1) {
        segment_columns(st, &row);
        buf_append(rows, &row, sizeof row);
    }
    return rc ? rc : rows->failed ? -ENOMEM : 0;
}

int index_scan_publication(struct index *ix, uint64_t seq,
                           int (*visit)(void *ctx, const struct segment_row *s), void *ctx)
{
    struct buf rows = { 0 };
    struct segment_row row;

    connection_lock(ix);
    int rc = gather(ix, seq, &rows);
    connection_unlock(ix);
    for (size_t at = 0; !rc && at < rows.len; at += sizeof row) {
        memcpy(&row, rows.data + at, sizeof row);
        rc = visit(ctx, &row);
    }
    buf_free(&rows);
    return rc;
}
