/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The connection: opening, transactions, syncs, checkpoints, errors.
 *
 * Invariants
 *   1. Outside a transaction all statements are reset and SQLite is in
 *      autocommit mode: whatever fails in a transaction is rolled back before
 *      the locks are released, so the next one starts clean.
 *   2. A statement may make SQLite drop the whole transaction (a full disk
 *      while its cache spills, even in a reader between two slices).  That is
 *      noticed in connection_error and ends the transaction; no statement ever
 *      runs as a transaction of its own by mistake.
 *   3. Syncs are ordered as vfs.c demands; after one has failed nothing is
 *      committed any more (`failed`).
 */
#include "internal.h"
#include "vfs.h"
#include <ecluse/io.h>
#include <ecluse/log.h>
#include <stdlib.h>

#define CHECKPOINT_PAGES 1024u         /* 4 MiB of log */

static const char *const meta_names[META_COUNT] = {
    [META_SCHEMA] = "schema", [META_GENERATION] = "generation", [META_CHANGE] = "change",
    [META_INODES] = "inodes", [META_OBJECTS] = "objects", [META_OBJECT_BYTES] = "object_bytes",
    [META_NOTES] = "notes",
};

/* --- locks ------------------------------------------------------------------- */

void connection_lock(struct index *ix)
{
    pthread_mutex_lock(&ix->gate);
    pthread_mutex_lock(&ix->lock);
    pthread_mutex_unlock(&ix->gate);
}

/* Damage is told without the lock. */
void connection_unlock(struct index *ix)
{
    bool tell = ix->damage && ix->on_damage;

    ix->damage = false;
    pthread_mutex_unlock(&ix->lock);
    if (tell)
        ix->on_damage(ix->on_damage_ctx);
}

void index_on_damage(struct index *ix, void (*damaged)(void *ctx), void *ctx)
{
    ix->on_damage = damaged;
    ix->on_damage_ctx = ctx;
}

/* --- errors -------------------------------------------------------------------- */

static int translate(struct index *ix, int result)
{
    int cause = ix->vfs ? ix->vfs->error : 0;

    if (ix->vfs)
        ix->vfs->error = 0;
    if (result == SQLITE_IOERR_NOMEM)
        return -ENOMEM;
    switch (result & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return cause ? cause : -EIO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR:             /* a table or column that is not there */
        return E_STATE_DAMAGED;
    default:
        return -EIO;
    }
}

int connection_error(struct index *ix, int result)
{
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE)
        return 0;
    int rc = translate(ix, result);
    if (rc != -ENOENT)
        log_error("ECL-0603 index: SQLite result %d: %s", result, error_name(rc));
    ix->damage |= rc == E_STATE_DAMAGED;
    if (ix->in_transaction && !ix->lost && sqlite3_get_autocommit(ix->db))
        ix->lost = rc;
    return rc;
}

int connection_exec(struct index *ix, const char *sql)
{
    return connection_error(ix, sqlite3_exec(ix->db, sql, NULL, NULL, NULL));
}

/* --- opening --------------------------------------------------------------------- */

/* Statement journals must never go to a file; counting memory costs a lock. */
static void configure_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

static int note_wal_pages(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct index *ix = ctx;

    (void)db;
    (void)name;
    ix->wal_pages = (unsigned)pages;
    return SQLITE_OK;
}

/* The locking mode comes first: the log's index then lives in memory. */
static int set_up(struct index *ix, bool create)
{
    int reserve = PAGE_RESERVED;

    sqlite3_extended_result_codes(ix->db, 1);
    sqlite3_db_config(ix->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(ix->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    int rc = connection_exec(ix, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY;");
    if (!rc && create) {
        rc = connection_exec(ix, "PRAGMA page_size=4096; PRAGMA journal_mode=MEMORY;");
        if (!rc)
            rc = connection_error(ix, sqlite3_file_control(ix->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve));
    }
    if (!rc)
        rc = connection_exec(ix, "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0;"
                                 "PRAGMA cache_size=-4096; PRAGMA cell_size_check=ON;");
    sqlite3_wal_hook(ix->db, note_wal_pages, ix);
    return rc;
}

static int make_aead(struct aead **out, const uint8_t local_key[KEY_SIZE])
{
    uint8_t key[KEY_SIZE];

    int rc = crypto_hkdf(key, sizeof key, local_key, "ecluse/index", NULL, 0);
    if (!rc)
        rc = aead_new(out, SUITE_AES_256_GCM, key);
    secret_wipe(key, sizeof key);
    return rc;
}

int connection_open(struct index **out, const char *path, const uint8_t local_key[KEY_SIZE],
                    bool read_only, bool create)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);

    pthread_once(&once, configure_sqlite);
    struct index *ix = calloc(1, sizeof *ix);
    if (!ix)
        return -ENOMEM;
    pthread_mutex_init(&ix->writer, NULL);
    pthread_mutex_init(&ix->gate, NULL);
    pthread_mutex_init(&ix->lock, NULL);
    ix->read_only = read_only;
    int rc = make_aead(&ix->aead, local_key);
    if (!rc)
        rc = sealed_vfs_new(&ix->vfs, ix->aead, read_only, create);
    if (!rc)
        rc = connection_error(ix, sqlite3_open_v2(path, &ix->db, flags | SQLITE_OPEN_NOMUTEX, ix->vfs->name));
    if (!rc)
        rc = set_up(ix, create);
    if (rc) {
        connection_free(ix);
        return rc;
    }
    *out = ix;
    return 0;
}

void connection_free(struct index *ix)
{
    if (!ix)
        return;
    statements_finalize(ix);
    sqlite3_close(ix->db);
    sealed_vfs_free(ix->vfs);
    aead_free(ix->aead);
    pthread_mutex_destroy(&ix->writer);
    pthread_mutex_destroy(&ix->gate);
    pthread_mutex_destroy(&ix->lock);
    free(ix);
}

/* --- numbers kept with the rows ------------------------------------------------------ */

int meta_load(struct index *ix)
{
    sqlite3_stmt *st = sql_of(ix, SQL_META_GET);

    for (int i = 0; i < META_COUNT; i++) {
        sqlite3_bind_text(st, 1, meta_names[i], -1, SQLITE_STATIC);
        int rc = sql_step(ix, st);
        if (rc < 0)
            return rc;
        ix->meta[i] = rc ? sql_value(st, 0) : 0;
        sqlite3_reset(st);
    }
    return 0;
}

static int meta_store(struct index *ix)
{
    sqlite3_stmt *st = sql_of(ix, SQL_META_PUT);
    int rc = 0;

    for (int i = 0; !rc && i < META_COUNT; i++) {
        if (ix->next[i] == ix->meta[i])
            continue;
        sqlite3_bind_text(st, 1, meta_names[i], -1, SQLITE_STATIC);
        sql_bind(st, 2, ix->next[i]);
        rc = sql_run(ix, st);
    }
    return rc;
}

/* --- transactions ---------------------------------------------------------------------- */

int transaction_begin(struct index *ix)
{
    pthread_mutex_lock(&ix->writer);
    connection_lock(ix);
    int rc = ix->read_only ? -EROFS : ix->failed;
    if (!rc)
        rc = sql_run(ix, sql_of(ix, SQL_BEGIN));
    if (rc) {
        connection_unlock(ix);
        pthread_mutex_unlock(&ix->writer);
        return rc;
    }
    memcpy(ix->next, ix->meta, sizeof ix->next);
    ix->lost = 0;
    ix->in_transaction = true;
    return 0;
}

int transaction_breathe(struct index *ix)
{
    connection_unlock(ix);
    connection_lock(ix);
    return ix->lost;
}

/* A frame header that stays behind COMMIT is rare (see vfs_wal.c); when it
 * cannot be written SQLite believes in a commit that is not in the log. */
static int commit(struct index *ix)
{
    int rc = ix->lost;

    if (!rc)
        rc = meta_store(ix);
    if (!rc)
        rc = fault_hit(FAULT_commit);
    if (!rc)
        rc = sql_run(ix, sql_of(ix, SQL_COMMIT));
    if (rc)
        return rc;
    memcpy(ix->meta, ix->next, sizeof ix->meta);
    rc = sealed_vfs_settle(ix->vfs);
    if (rc)
        ix->failed = rc = -EIO;
    return rc;
}

int transaction_end(struct index *ix, int rc)
{
    if (!rc)
        rc = commit(ix);
    if (rc) {
        if (!sqlite3_get_autocommit(ix->db))
            sql_run(ix, sql_of(ix, SQL_ROLLBACK));
        sealed_vfs_discard(ix->vfs);
    }
    ix->in_transaction = false;
    connection_unlock(ix);
    pthread_mutex_unlock(&ix->writer);
    return rc;
}

/* --- syncs and checkpoints: writer held, lock not --------------------------------------- */

static int checkpoint_step(struct index *ix, int mode, int *log, int *done)
{
    connection_lock(ix);
    int rc = connection_error(ix, sqlite3_wal_checkpoint_v2(ix->db, "main", mode, log, done));
    if (!rc && mode == SQLITE_CHECKPOINT_TRUNCATE)
        ix->wal_pages = 0;
    connection_unlock(ix);
    return rc;
}

/* Copies the log, which is synced, into the database and begins it anew, the
 * first time also when it is empty: its salts must not serve again. Lack of
 * space is no failure: the log still has everything. */
static int checkpoint(struct index *ix)
{
    int log = 0, done = 0;

    int rc = fault_hit(FAULT_checkpoint);
    if (!rc)
        rc = checkpoint_step(ix, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
    if (rc == -ENOSPC)
        return 0;
    if (rc || log < 0 || done < log)
        return rc;
    rc = log ? sealed_vfs_sync_database(ix->vfs) : 0;
    if (!rc && (log || !ix->settled))
        rc = checkpoint_step(ix, SQLITE_CHECKPOINT_TRUNCATE, &log, &done);
    if (!rc)
        rc = sealed_vfs_sync_wal(ix->vfs);
    ix->settled |= rc == 0;
    return rc;
}

static int sync_log(struct index *ix, bool then_checkpoint)
{
    int rc = ix->failed;

    if (!rc)
        rc = sealed_vfs_sync_wal(ix->vfs);
    connection_lock(ix);
    bool is_long = ix->wal_pages > CHECKPOINT_PAGES;
    connection_unlock(ix);
    if (!rc && (is_long || then_checkpoint))
        rc = checkpoint(ix);
    if (rc && !ix->failed)
        ix->failed = rc;
    return rc;
}

static int sync_as_writer(struct index *ix, bool then_checkpoint)
{
    pthread_mutex_lock(&ix->writer);
    int rc = ix->read_only ? 0 : sync_log(ix, then_checkpoint);
    pthread_mutex_unlock(&ix->writer);
    return rc;
}

int index_sync(struct index *ix) { return sync_as_writer(ix, false); }
int index_settle(struct index *ix) { return sync_as_writer(ix, true); }
bool index_settled(const struct index *ix) { return ix->settled; }
void index_discard(struct index *ix) { connection_free(ix); }

static int check_pages(struct index *ix)
{
    sqlite3_stmt *st = NULL;

    int rc = connection_error(ix, sqlite3_prepare_v2(ix->db, "PRAGMA quick_check(1)", -1, &st, NULL));
    if (!rc)
        rc = sql_step(ix, st);
    if (rc == 1)
        rc = strcmp((const char *)sqlite3_column_text(st, 0), "ok") ? E_STATE_DAMAGED : 0;
    sqlite3_finalize(st);
    return rc;
}

int index_verify(struct index *ix)
{
    connection_lock(ix);
    int rc = check_pages(ix);
    connection_unlock(ix);
    return rc;
}

int index_close(struct index *ix)
{
    int rc = 0;

    if (!ix)
        return 0;
    rc = index_settle(ix);
    connection_free(ix);
    return rc;
}
