/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Rows that do not fit together.
 *
 * Never in an index that went its ordinary way: commits are whole.  One into
 * which only a part of some rows could be saved (src/fs/keep.c) may name
 * inodes that are not there, or hold files without a name.  This finds them; what
 * is to be done is decided above.
 */
#include "internal.h"

static const struct { enum index_flaw flaw; const char *sql; } searches[] = {
    /* Entries that lead nowhere, that are in no directory, and all but one of a directory. */
    { FLAW_ENTRY, "SELECT d.parent,d.cookie,0 FROM dirent d LEFT JOIN inode i ON i.ino=d.ino"
                  " WHERE i.ino IS NULL OR i.nlink=0 OR d.type<>i.mode>>12"
                  " OR NOT EXISTS(SELECT 1 FROM inode p WHERE p.ino=d.parent AND p.mode>>12=4 AND p.nlink>0)"
                  " OR (i.mode>>12=4 AND (i.parent<>d.parent OR i.cookie<>d.cookie))" },
    { FLAW_COUNTS, "SELECT ino,links,entries FROM (SELECT i.ino AS ino,i.nlink AS had,i.size AS held,"
                   " 2+(SELECT count(*) FROM dirent WHERE parent=i.ino AND type=4) AS links,"
                   " (SELECT count(*) FROM dirent WHERE parent=i.ino) AS entries"
                   " FROM inode i WHERE i.mode>>12=4 AND i.nlink>0) WHERE had<>links OR held<>entries" },
    { FLAW_COUNTS, "SELECT i.ino,c.n,i.size FROM inode i JOIN (SELECT ino,count(*) AS n FROM dirent GROUP BY ino) c"
                   " ON c.ino=i.ino WHERE i.mode>>12<>4 AND i.nlink>0 AND i.nlink<>c.n" },
    { FLAW_NAMELESS, "SELECT ino,mode>>12,0 FROM inode WHERE nlink>0 AND ino<>1"
                     " AND ino NOT IN (SELECT ino FROM dirent)" },
};

struct finding { uint64_t flaw, a, b, c; };

static int search(struct index *ix, size_t k, struct buf *findings)
{
    sqlite3_stmt *st = NULL;

    int rc = connection_error(ix, sqlite3_prepare_v2(ix->db, searches[k].sql, -1, &st, NULL));
    while (!rc && (rc = sql_step(ix, st)) == 1) {
        struct finding f = { searches[k].flaw, sql_value(st, 0), sql_value(st, 1), sql_value(st, 2) };
        buf_append(findings, &f, sizeof f);
        rc = 0;
    }
    sqlite3_finalize(st);
    return rc ? rc : findings->failed ? -ENOMEM : 0;
}

int index_scan_flaws(struct index *ix,
                     int (*visit)(void *ctx, enum index_flaw flaw, uint64_t a, uint64_t b, uint64_t c), void *ctx)
{
    struct buf findings = { 0 };
    int rc = 0;

    connection_lock(ix);
    for (size_t k = 0; !rc && k < ARRAY_SIZE(searches); k++)
        rc = search(ix, k, &findings);
    connection_unlock(ix);
    for (size_t at = 0; !rc && at < findings.len; at += sizeof(struct finding)) {
        struct finding f;
        memcpy(&f, findings.data + at, sizeof f);
        rc = visit(ctx, (enum index_flaw)f.flaw, f.a, f.b, f.c);
    }
    buf_free(&findings);
    return rc;
}
