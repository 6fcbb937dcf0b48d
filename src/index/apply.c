/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Applying a batch: one transaction, in slices that let readers in.
 *
 * Records are applied in their order.  Two imply more than they say: an inode
 * that goes takes its chunks and attributes along, rows and notes; and "chunks
 * gone from n" replaces the notes of those chunks, so that a truncated file of
 * a million chunks is one record of a publication, not a million.
 */
#include "internal.h"
#include <ecluse/io.h>

int counter_put(struct index *ix, uint32_t id, uint64_t value)
{
    sqlite3_stmt *st = sql_of(ix, SQL_COUNTER_PUT);

    sql_bind(st, 1, id);
    sql_bind(st, 2, value);
    return sql_run(ix, st);
}

static int apply_inode_gone(struct index *ix, uint64_t ino, bool note)
{
    int rc = inode_delete(ix, ino);

    if (!rc)
        rc = chunks_delete(ix, ino, 0);
    if (!rc)
        rc = xattr_put(ix, &(struct xattr_row){ .ino = ino });
    if (rc || !note)
        return rc;
    rc = note_drop(ix, NOTE_XATTR, ino, 0);
    if (!rc)
        rc = note_drop(ix, NOTE_CHUNKS_GONE, ino, 0);
    if (!rc)
        rc = note_drop(ix, NOTE_CHUNK, ino, 0);
    return rc ? rc : note_add(ix, NOTE_INODE, ino, 0);
}

static int apply_chunks_gone(struct index *ix, uint64_t ino, uint64_t from, bool note)
{
    int rc = chunks_delete(ix, ino, from);

    if (rc || !note)
        return rc;
    rc = note_drop(ix, NOTE_CHUNK, ino, from);
    if (!rc)
        rc = note_drop(ix, NOTE_CHUNKS_GONE, ino, from);
    return rc ? rc : note_add(ix, NOTE_CHUNKS_GONE, ino, from);
}

static int noted(struct index *ix, int rc, bool note, enum note_kind kind, uint64_t a, uint64_t b)
{
    return rc || !note ? rc : note_add(ix, kind, a, b);
}

static int apply_record(struct index *ix, const struct record *r, bool note)
{
    switch (r->kind) {
    case RECORD_INODE:
        return noted(ix, inode_put(ix, &r->inode), note, NOTE_INODE, r->inode.ino, 0);
    case RECORD_INODE_GONE:
        return apply_inode_gone(ix, r->gone.ino, note);
    case RECORD_DIRENT:
        return noted(ix, dirent_put_row(ix, &r->dirent), note, NOTE_DIRENT, r->dirent.parent,
                     r->dirent.cookie);
    case RECORD_DIRENT_GONE:
        return noted(ix, dirent_delete(ix, r->gone.ino, r->gone.n), note, NOTE_DIRENT, r->gone.ino,
                     r->gone.n);
    case RECORD_XATTR:
        return noted(ix, xattr_put(ix, &r->xattr), note, NOTE_XATTR, r->xattr.ino, 0);
    case RECORD_CHUNK:
        return noted(ix, chunk_put(ix, &r->chunk), note, NOTE_CHUNK, r->chunk.ino, r->chunk.n);
    case RECORD_CHUNKS_GONE:
        return apply_chunks_gone(ix, r->gone.ino, r->gone.n, note);
    case RECORD_SEGMENT:
        return segment_put(ix, &r->segment);
    case RECORD_SEGMENT_GONE:
        return segment_delete(ix, (uint32_t)r->gone.ino);
    case RECORD_COUNTER:
        return counter_put(ix, r->counter.id, r->counter.value);
    case RECORD_TAIL:
        return -EINVAL;
    }
    return E_FORMAT;
}

int apply_records(struct index *ix, const struct buf *batch, bool note)
{
    struct reader r = reader_over(batch->data, batch->len);
    int rc = 0;

    for (unsigned done = 0; !rc; done++) {
        if (done % SLICE == 0) {
            rc = done ? transaction_breathe(ix) : 0;
            if (!rc)
                rc = fault_hit(FAULT_batch_write);
        }
        int more = rc ? rc : batch_next(&r, &ix->record);
        if (more <= 0)
            return more;
        rc = apply_record(ix, &ix->record, note);
    }
    return rc;
}

int index_apply(struct index *ix, const struct buf *batch, bool note, uint64_t generation)
{
    int rc = transaction_begin(ix);

    if (rc)
        return rc;
    ix->next[META_CHANGE] += note;
    ix->next[META_GENERATION] = generation;
    return transaction_end(ix, apply_records(ix, batch, note));
}

int index_counter(struct index *ix, enum counter id, uint64_t *value)
{
    sqlite3_stmt *st = sql_of(ix, SQL_COUNTER_GET);

    connection_lock(ix);
    sql_bind(st, 1, id);
    int rc = sql_step(ix, st);
    if (rc == 1) {
        *value = sql_value(st, 0);
        sqlite3_reset(st);
    }
    connection_unlock(ix);
    return rc == 1 ? 0 : rc ? rc : -ENOENT;
}

int index_generation(struct index *ix, uint64_t *generation)
{
    connection_lock(ix);
    *generation = ix->meta[META_GENERATION];
    connection_unlock(ix);
    return 0;
}
