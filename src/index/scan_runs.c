/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * All runs of all files, in no particular order: for whoever compares the index
 * with the store.  The connection's lock is held all the while, so this is for an
 * index that nothing else uses.
 */
#include "internal.h"
#include <stdlib.h>

int index_scan_runs(struct index *ix, int (*visit)(void *ctx, const struct run *runs, uint32_t count), void *ctx)
{
    static const char sql[] = "SELECT runs FROM inode WHERE runs IS NOT NULL"
                              " UNION ALL SELECT runs FROM chunk WHERE runs IS NOT NULL";
    struct run *runs = calloc(CHUNK_BLOCKS, sizeof *runs);
    sqlite3_stmt *st = NULL;

    if (!runs)
        return -ENOMEM;
    connection_lock(ix);
    int rc = connection_error(ix, sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL));
    while (!rc && (rc = sql_step(ix, st)) == 1) {
        struct reader r = sql_blob(st, 0);
        int count = runs_decode(&r, runs);
        rc = count < 0 || reader_left(&r) ? E_STATE_DAMAGED : visit(ctx, runs, (uint32_t)count);
    }
    sqlite3_finalize(st);
    connection_unlock(ix);
    free(runs);
    return rc;
}
