/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reading everything: rows for a checkpoint, block maps for a count of what is alive.
 *
 * Both go through the tables by key, a slice at a time, so that nobody waits for
 * long.  Keys of inodes are compared as SQLite has them, signed; the least
 * one comes before all that can be.
 */
#include "internal.h"

#define LEAST ((uint64_t)INT64_MIN)

struct key { uint64_t a, b; bool noted; };

static enum statement keys_of(uint64_t kind)
{
    return kind == NOTE_INODE ? SQL_DUMP_INODE : kind == NOTE_DIRENT ? SQL_DUMP_DIRENT
         : kind == NOTE_XATTR ? SQL_DUMP_XATTR : SQL_DUMP_CHUNK;
}

static void begin_kind(struct dump *d, uint64_t kind)
{
    d->kind = kind == NOTE_CHUNKS_GONE ? NOTE_CHUNK : kind;
    d->a = LEAST;
    d->b = 0;
}

static int next_keys(struct index *ix, const struct dump *d, struct key *keys, unsigned *count)
{
    sqlite3_stmt *st = sql_of(ix, keys_of(d->kind));
    int rc;

    *count = 0;
    sql_bind(st, 1, d->a);
    if (d->kind == NOTE_DIRENT || d->kind == NOTE_CHUNK)
        sql_bind(st, 2, d->b);
    sql_bind(st, 3, SLICE);
    while ((rc = sql_step(ix, st)) == 1)
        keys[(*count)++] = (struct key){ sql_value(st, 0), sql_value(st, 1), sql_value(st, 2) != 0 };
    return rc;
}

/* One slice; *count is 0 when the kind is at its end. */
static int dump_slice(struct index *ix, struct dump *d, size_t limit, struct row_hold *hold, struct buf *out,
                      unsigned *count)
{
    struct key keys[SLICE];

    connection_lock(ix);
    int rc = next_keys(ix, d, keys, count);
    for (unsigned i = 0; !rc && i < *count && out->len < limit; i++) {
        struct note n = { d->kind, keys[i].a, keys[i].b };
        if (keys[i].noted)
            d->skipped = true;
        else
            rc = note_emit(ix, &n, hold, out);
        d->a = keys[i].a;
        d->b = keys[i].b;
    }
    connection_unlock(ix);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}

int index_dump(struct index *ix, struct dump *d, size_t limit, struct buf *out)
{
    struct row_hold hold = { 0 };
    unsigned count = 0;
    int rc = 0;

    limit = limit > SIZE_MAX - out->len ? SIZE_MAX : limit + out->len;
    if (!d->kind)
        begin_kind(d, NOTE_INODE);
    while (!rc && d->kind <= NOTE_CHUNK && out->len < limit) {
        rc = dump_slice(ix, d, limit, &hold, out, &count);
        if (!rc && !count)
            begin_kind(d, d->kind + 1);
    }
    row_hold_free(&hold);
    return rc ? rc : d->kind <= NOTE_CHUNK;
}

/* --- block maps ------------------------------------------------------------------------ */

struct page { struct key keys[SLICE]; size_t ends[SLICE]; unsigned count; struct buf bytes; };

static int fill(struct index *ix, enum statement which, const struct key *after, struct page *p)
{
    sqlite3_stmt *st = sql_of(ix, which);
    int rc;

    p->count = 0;
    buf_reset(&p->bytes);
    sql_bind(st, 1, after->a);
    if (which == SQL_MAP_CHUNK)
        sql_bind(st, 2, after->b);
    sql_bind(st, 3, SLICE);
    while ((rc = sql_step(ix, st)) == 1) {
        struct reader r = sql_blob(st, 2);
        buf_append(&p->bytes, r.p, reader_left(&r));
        p->keys[p->count] = (struct key){ sql_value(st, 0), sql_value(st, 1), false };
        p->ends[p->count++] = p->bytes.len;
    }
    return rc ? rc : p->bytes.failed ? -ENOMEM : 0;
}

typedef int (*on_map)(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count);

static int show(const struct page *p, on_map visit, void *ctx)
{
    struct run runs[CHUNK_BLOCKS];
    size_t at = 0;
    int rc = 0;

    for (unsigned i = 0; !rc && i < p->count; at = p->ends[i++]) {
        struct reader r = reader_over(p->bytes.data + at, p->ends[i] - at);
        int count = runs_decode(&r, runs);
        rc = count < 0 ? E_STATE_DAMAGED
           : visit(ctx, p->keys[i].a, p->keys[i].b * CHUNK_BLOCKS, runs, (uint32_t)count);
    }
    return rc;
}

static int scan_table(struct index *ix, enum statement which, on_map visit, void *ctx)
{
    struct page p = { .count = SLICE };
    struct key after = { LEAST, 0, false };
    int rc = 0;

    while (!rc && p.count == SLICE) {
        connection_lock(ix);
        rc = fill(ix, which, &after, &p);
        connection_unlock(ix);
        if (!rc)
            rc = show(&p, visit, ctx);
        if (p.count)
            after = p.keys[p.count - 1];
    }
    buf_free(&p.bytes);
    return rc;
}

int index_scan_maps(struct index *ix, on_map visit, void *ctx)
{
    int rc = scan_table(ix, SQL_MAP_INODE, visit, ctx);
    return rc ? rc : scan_table(ix, SQL_MAP_CHUNK, visit, ctx);
}
