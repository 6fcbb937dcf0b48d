/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Listing a directory: a page of rows under the connection's lock, then the
 * visits without it.
 *
 * Positions are cookies, so the listing goes on correctly from the last one
 * seen whatever was committed between two pages.
 */
#include "internal.h"
#include <stdlib.h>

#define PAGE_ENTRIES 64u
#define DIRENT_COLUMNS 5       /* before the inode's, in SQL_DIRENT_SCAN_PLUS */

/* Variable parts are offsets into the page's bytes until they stop moving. */
struct entry {
    struct dirent_row dirent;
    struct inode_row inode;
    bool has_inode;
    size_t name, target, runs, runs_len;
};

struct page {
    unsigned count;
    struct entry entries[PAGE_ENTRIES];
    struct buf bytes;
    struct run runs[CHUNK_BLOCKS];
};

static size_t keep(struct page *p, const void *bytes, size_t len)
{
    size_t at = p->bytes.len;

    if (len)
        buf_append(&p->bytes, bytes, len);
    return at;
}

static int take_entry(struct page *p, sqlite3_stmt *st, bool with_inodes)
{
    struct entry *e = &p->entries[p->count++];
    struct reader name = sql_blob(st, 4), runs;
    size_t len = reader_left(&name);

    if (!len || len > NAME_LIMIT)
        return E_STATE_DAMAGED;
    e->dirent = (struct dirent_row){ .parent = sql_value(st, 0), .cookie = sql_value(st, 1),
                                     .ino = sql_value(st, 2), .mode = (uint32_t)sql_value(st, 3) << 12,
                                     .name_len = (uint8_t)len };
    e->name = keep(p, name.p, len);
    e->has_inode = with_inodes && sqlite3_column_type(st, DIRENT_COLUMNS) != SQLITE_NULL;
    if (!e->has_inode)
        return 0;
    int rc = inode_columns(st, DIRENT_COLUMNS, &e->inode, &runs);
    e->target = keep(p, e->inode.target, e->inode.target_len);
    e->runs_len = reader_left(&runs);
    e->runs = keep(p, runs.p, e->runs_len);
    return rc;
}

/* The next entries after `after`; lock held. */
static int fill(struct index *ix, struct page *p, uint64_t parent, uint64_t after, unsigned limit, bool with_inodes)
{
    sqlite3_stmt *st = sql_of(ix, with_inodes ? SQL_DIRENT_SCAN_PLUS : SQL_DIRENT_SCAN);
    int rc;

    p->count = 0;
    buf_reset(&p->bytes);
    sql_bind(st, 1, parent);
    sql_bind(st, 2, after);
    sql_bind(st, 3, limit < PAGE_ENTRIES ? limit : PAGE_ENTRIES);
    while ((rc = sql_step(ix, st)) == 1) {
        rc = take_entry(p, st, with_inodes);
        if (rc) {
            sqlite3_reset(st);
            return rc;
        }
    }
    return rc ? rc : p->bytes.failed ? -ENOMEM : 0;
}

/* Pointers are set and runs decoded only now, entry by entry. */
static int resolve(struct page *p, struct entry *e)
{
    int count = 0;

    e->dirent.name = p->bytes.data + e->name;
    if (!e->has_inode)
        return 0;
    e->inode.target = p->bytes.data + e->target;
    if (e->runs_len) {
        struct reader r = reader_over(p->bytes.data + e->runs, e->runs_len);
        count = runs_decode(&r, p->runs);
    }
    e->inode.runs = p->runs;
    e->inode.run_count = count > 0 ? (uint32_t)count : 0;
    return count < 0 ? E_STATE_DAMAGED : 0;
}

int index_scan_dir(struct index *ix, uint64_t parent, uint64_t after, unsigned limit, bool with_inodes,
                   int (*visit)(void *ctx, const struct dirent_row *d, const struct inode_row *i),
                   void *ctx)
{
    struct page *p = malloc(sizeof *p);
    int rc = 0;

    if (!p)
        return -ENOMEM;
    p->bytes = (struct buf){ 0 };
    p->count = PAGE_ENTRIES;
    /* A short page was the last one. */
    while (!rc && limit && after <= INT64_MAX && p->count == PAGE_ENTRIES) {
        connection_lock(ix);
        rc = fill(ix, p, parent, after, limit, with_inodes);
        connection_unlock(ix);
        for (unsigned i = 0; !rc && i < p->count; i++) {
            struct entry *e = &p->entries[i];
            rc = resolve(p, e);
            if (!rc)
                rc = visit(ctx, &e->dirent, e->has_inode ? &e->inode : NULL);
            after = e->dirent.cookie;
        }
        limit -= p->count < limit ? p->count : limit;
    }
    buf_free(&p->bytes);
    free(p);
    return rc;
}
