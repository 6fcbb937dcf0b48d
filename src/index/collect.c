/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Notes of unpublished changes, and what a publication takes of them.
 *
 * A note is a key and the number of the last change to it.  Collecting writes
 * nothing: it remembers, in memory, up to which key it came and the number of
 * changes there were (struct cut).  Forgetting deletes the notes up to that
 * key which are not younger; a row changed between collection and intent has a
 * younger note, and stays.  A cut that a crash forgets was never intended, so
 * its notes are collected again.
 *
 * Only the last cut is known: another token begins anew.
 *
 * Invariant: a chunk row that is younger than a note "chunks gone from n" of
 * its inode has a note of its own, or both were published, so that the record
 * "gone" may always come first.
 */
#include "internal.h"

#define FORGET_SLICE 1024u

static void bind_note(sqlite3_stmt *st, int first, const struct note *n)
{
    sql_bind(st, first, n->kind);
    sql_bind(st, first + 1, n->a);
    sql_bind(st, first + 2, n->b);
}

static struct note note_columns(sqlite3_stmt *st)
{
    return (struct note){ sql_value(st, 0), sql_value(st, 1), sql_value(st, 2) };
}

/* --- noting: in a transaction ------------------------------------------------------- */

int note_add(struct index *ix, enum note_kind kind, uint64_t a, uint64_t b)
{
    struct note n = { kind, a, b };
    sqlite3_stmt *st = sql_of(ix, SQL_NOTE_ADD);

    bind_note(st, 1, &n);
    sql_bind(st, 4, ix->next[META_CHANGE]);
    int rc = sql_run(ix, st);
    if (rc)
        return rc;
    if (sqlite3_changes(ix->db)) {
        ix->next[META_NOTES]++;
        return 0;
    }
    st = sql_of(ix, SQL_NOTE_RENEW);
    bind_note(st, 1, &n);
    sql_bind(st, 4, ix->next[META_CHANGE]);
    return sql_run(ix, st);
}

int note_drop(struct index *ix, enum note_kind kind, uint64_t a, uint64_t from)
{
    struct note n = { kind, a, from };
    sqlite3_stmt *st = sql_of(ix, SQL_NOTE_DROP);

    bind_note(st, 1, &n);
    int rc = sql_run(ix, st);
    if (!rc)
        ix->next[META_NOTES] -= (uint64_t)sqlite3_changes(ix->db);
    return rc;
}

/* The key at which a slice of notes after `from` ends; 0 when it is the last. */
static int forget_until(struct index *ix, const struct note *from, const struct note *end, struct note *until)
{
    sqlite3_stmt *st = sql_of(ix, SQL_NOTE_NTH);

    bind_note(st, 1, from);
    bind_note(st, 4, end);
    sql_bind(st, 7, FORGET_SLICE - 1);
    int rc = sql_step(ix, st);
    *until = rc == 1 ? note_columns(st) : *end;
    if (rc == 1)
        sqlite3_reset(st);
    return rc;
}

int notes_forget(struct index *ix, const struct cut *cut)
{
    sqlite3_stmt *st = sql_of(ix, SQL_NOTE_FORGET);
    struct note from = { 0 }, until;
    int more;

    do {
        more = forget_until(ix, &from, &cut->end, &until);
        if (more < 0)
            return more;
        bind_note(st, 1, &from);
        bind_note(st, 4, &until);
        sql_bind(st, 7, cut->change);
        int rc = sql_run(ix, st);
        if (rc)
            return rc;
        ix->next[META_NOTES] -= (uint64_t)sqlite3_changes(ix->db);
        from = until;
        rc = more ? transaction_breathe(ix) : 0;
        if (rc)
            return rc;
    } while (more);
    return 0;
}

/* --- collecting --------------------------------------------------------------------- */

int note_emit(struct index *ix, const struct note *n, struct row_hold *hold, struct buf *out)
{
    struct inode_row inode;
    struct dirent_row dirent;
    struct xattr_row xattr = { .ino = n->a };
    struct chunk_row chunk = { .ino = n->a, .n = n->b };
    int rc = 0;

    switch ((enum note_kind)n->kind) {
    case NOTE_INODE:
        rc = inode_find(ix, n->a, &inode, hold);
        if (!rc)
            batch_inode(out, &inode);
        else if (rc == -ENOENT)
            batch_gone(out, RECORD_INODE_GONE, n->a, 0);
        break;
    case NOTE_DIRENT:
        rc = dirent_find(ix, n->a, n->b, &dirent, hold);
        if (!rc)
            batch_dirent(out, &dirent);
        else if (rc == -ENOENT)
            batch_gone(out, RECORD_DIRENT_GONE, n->a, n->b);
        break;
    case NOTE_XATTR:
        rc = xattr_find(ix, n->a, &xattr, hold);
        if (!rc || rc == -ENOENT)
            batch_xattr(out, &xattr);
        break;
    case NOTE_CHUNKS_GONE:
        batch_gone(out, RECORD_CHUNKS_GONE, n->a, n->b);
        break;
    case NOTE_CHUNK:
        rc = chunk_find(ix, n->a, n->b, &chunk, hold);
        if (!rc || rc == -ENOENT)
            batch_chunk(out, &chunk);
        break;
    default:
        return E_STATE_DAMAGED;
    }
    return rc == -ENOENT ? 0 : rc;
}

/* Up to `limit` keys after `from`; lock held. */
static int next_notes(struct index *ix, const struct note *from, unsigned limit, struct note *notes,
                      unsigned *count)
{
    sqlite3_stmt *st = sql_of(ix, SQL_NOTE_SCAN);
    int rc;

    *count = 0;
    bind_note(st, 1, from);
    sql_bind(st, 4, limit);
    while ((rc = sql_step(ix, st)) == 1)
        notes[(*count)++] = note_columns(st);
    return rc;
}

/* One slice; *count is 0 at the end. Stops early when `out` is full. */
static int collect_slice(struct index *ix, struct cut *cut, size_t limit, struct row_hold *hold,
                         struct buf *out, unsigned *count)
{
    struct note notes[SLICE];

    connection_lock(ix);
    int rc = next_notes(ix, &cut->end, out->len < limit ? SLICE : 1, notes, count);
    for (unsigned i = 0; !rc && i < *count && out->len < limit; i++) {
        rc = note_emit(ix, &notes[i], hold, out);
        if (!rc)
            cut->end = notes[i];
    }
    connection_unlock(ix);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}

/* A collection that fails leaves no cut behind. */
int index_collect(struct index *ix, uint64_t token, size_t limit, struct buf *out)
{
    struct row_hold hold = { 0 };
    unsigned count = 0;
    size_t start = out->len;
    int rc = 0;

    limit = limit > SIZE_MAX - start ? SIZE_MAX : limit + start;
    pthread_mutex_lock(&ix->writer);
    struct cut cut = ix->cut;
    if (!cut.valid || cut.token != token)
        cut = (struct cut){ .valid = true, .token = token, .change = ix->meta[META_CHANGE] };
    bool full;
    do {
        full = out->len >= limit;
        rc = collect_slice(ix, &cut, limit, &hold, out, &count);
    } while (!rc && count && !full);
    cut.valid = !rc;
    ix->cut = cut;
    pthread_mutex_unlock(&ix->writer);
    row_hold_free(&hold);
    return rc ? rc : count > 0;
}

int index_unpublished(struct index *ix)
{
    connection_lock(ix);
    bool any = ix->meta[META_NOTES] > 0;
    connection_unlock(ix);
    return any;
}

/* --- out of a damaged index ------------------------------------------------------------ */

static int salvage_slice(struct index *ix, const struct note *notes, unsigned count, struct row_hold *hold,
                         int (*visit)(void *ctx, const struct unpublished_key *key, const struct buf *row), void *ctx)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < count; i++) {
        struct unpublished_key key = { notes[i].kind != NOTE_DIRENT, notes[i].a };
        struct buf row = { 0 };
        connection_lock(ix);
        int found = note_emit(ix, &notes[i], hold, &row);
        connection_unlock(ix);
        if (found == -ENOMEM || row.failed)
            rc = -ENOMEM;
        else
            rc = visit(ctx, &key, found ? NULL : &row);
        buf_free(&row);
    }
    return rc;
}

/* A page of notes that cannot be read ends its kind: what is behind it cannot
 * be reached by key. */
int index_salvage(struct index *ix,
                  int (*visit)(void *ctx, const struct unpublished_key *key, const struct buf *row), void *ctx)
{
    struct row_hold hold = { 0 };
    struct note notes[SLICE], from = { 0 };
    unsigned count = 1;
    bool broken = false;
    int rc = 0;

    while (!rc && from.kind <= NOTE_CHUNK && count) {
        connection_lock(ix);
        int found = next_notes(ix, &from, SLICE, notes, &count);
        connection_unlock(ix);
        rc = salvage_slice(ix, notes, count, &hold, visit, ctx);
        if (found == -ENOMEM)
            rc = -ENOMEM;
        if (count)
            from = notes[count - 1];
        if (found) {
            broken = true;
            from = (struct note){ from.kind + 1, 0, 0 };
            count = 1;
        }
    }
    row_hold_free(&hold);
    return rc ? rc : broken;
}
