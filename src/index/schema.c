/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The tables, and how an index comes to be.
 *
 * A new index is built in a file beside, without a log, synced, and renamed:
 * index.db exists whole or not at all.  An empty log is there before it.
 *
 * Rows are kept small, since a commit writes them again: zero and NULL take no
 * bytes, times equal to ctime are NULL, what is usually absent (target, norm,
 * sha256) comes last.  Columns whose meaning is not plain:
 *
 *   inode.atime…        nanoseconds since 1970, or 12 bytes (le64 seconds, le32
 *                       nanoseconds) outside the years 1678 to 2262
 *   inode.runs          runs of chunk 0, as in a batch; NULL when there are none
 *   dirent.type         st_mode >> 12
 *   dirent.norm         NFC form of the name when it differs, else NULL
 *   segment.publication the publication that made it visible; place: its order
 *   segment.dead        of an object that nothing refers to: the first publication that
 *                       does not, 0 until it is known; since: the time, in seconds
 *   publication.shard   of a part of a checkpoint: 2 * its number, + 1 for the last
 *   publication.inodes  in the row of a checkpoint's last part: how many there were
 *   unpublished         keys of changed rows: kind 1 inode (a = ino), 2 dirent
 *                       (parent, cookie), 3 xattrs (ino), 4 chunks gone (ino, from),
 *                       5 chunk (ino, n); change: number of the last change
 */
#include "internal.h"
#include "vfs.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_GENERATION 1u

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    "CREATE TABLE counter(id INTEGER PRIMARY KEY, value INTEGER);"
    "CREATE TABLE inode(ino INTEGER PRIMARY KEY, parent INTEGER, cookie INTEGER, mode INTEGER,"
    " nlink INTEGER, uid INTEGER, gid INTEGER, flags INTEGER, size INTEGER, version INTEGER,"
    " blocks INTEGER, rdev INTEGER, atime, mtime, ctime, btime, runs BLOB, target BLOB);"
    "CREATE INDEX inode_orphan ON inode(nlink) WHERE nlink=0;"
    "CREATE TABLE dirent(parent INTEGER, cookie INTEGER, ino INTEGER NOT NULL, type INTEGER NOT NULL,"
    " name BLOB NOT NULL, norm BLOB, PRIMARY KEY(parent,cookie)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX dirent_name ON dirent(parent,name);"
    "CREATE INDEX dirent_norm ON dirent(parent,norm) WHERE norm IS NOT NULL;"
    "CREATE TABLE chunk(ino INTEGER, n INTEGER, runs BLOB, PRIMARY KEY(ino,n)) WITHOUT ROWID;"
    "CREATE TABLE xattr(ino INTEGER PRIMARY KEY, list BLOB);"
    "CREATE TABLE segment(number INTEGER PRIMARY KEY, state INTEGER, id BLOB, epoch INTEGER,"
    " length INTEGER, publication INTEGER, place INTEGER, sha256 BLOB, dead INTEGER, since INTEGER);"
    "CREATE INDEX segment_publication ON segment(publication,place) WHERE publication IS NOT NULL;"
    "CREATE INDEX segment_dead ON segment(number) WHERE state>2;"
    "CREATE TABLE unpublished(kind INTEGER, a INTEGER, b INTEGER, change INTEGER,"
    " PRIMARY KEY(kind,a,b)) WITHOUT ROWID;"
    "CREATE TABLE publication(seq INTEGER PRIMARY KEY, hash BLOB, done INTEGER, time INTEGER,"
    " carrier INTEGER, size INTEGER, shard INTEGER, inodes INTEGER);"
    "CREATE INDEX publication_shard ON publication(seq) WHERE shard IS NOT NULL;"
    "INSERT INTO meta VALUES('schema',1);";

_Static_assert(INDEX_SCHEMA == 1, "the schema above says which it is");

static int add_root(struct index *ix, uint32_t uid, uint32_t gid)
{
    struct buf b = { 0 };
    struct inode_row root = { .ino = ROOT_INO, .parent = ROOT_INO, .mode = S_IFDIR | 0755, .nlink = 2,
                              .version = 1, .uid = uid, .gid = gid };

    clock_gettime(CLOCK_REALTIME, &root.ctime);
    root.atime = root.mtime = root.btime = root.ctime;
    batch_inode(&b, &root);
    batch_counter(&b, COUNTER_INO, ROOT_INO + 1);
    batch_counter(&b, COUNTER_COOKIE, FIRST_COOKIE);
    batch_counter(&b, COUNTER_SEGMENT, 1);
    batch_counter(&b, COUNTER_VERSION, 1);
    int rc = b.failed ? -ENOMEM : index_apply(ix, &b, false, FIRST_GENERATION);
    buf_free(&b);
    return rc;
}

static int build(const char *path, const uint8_t local_key[KEY_SIZE], uint32_t uid, uint32_t gid)
{
    struct index *ix = NULL;

    int rc = connection_open(&ix, path, local_key, false, true);
    if (!rc)
        rc = connection_exec(ix, schema);
    if (!rc)
        rc = statements_prepare(ix);
    if (!rc)
        rc = meta_load(ix);
    if (!rc)
        rc = add_root(ix, uid, gid);
    if (!rc)
        rc = connection_exec(ix, "PRAGMA journal_mode=WAL");
    if (!rc)
        rc = sealed_vfs_sync_database(ix->vfs);
    connection_free(ix);
    return rc;
}

/* A log that says that it is empty: from now on its absence is damage. One that
 * is there would be replayed into a database that it does not belong to. */
static int make_log(int dirfd)
{
    static const uint8_t blank[WAL_HEADER];

    int fd = openat(dirfd, "index.db-wal", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = io_write_at(fd, blank, sizeof blank, 0, FAULT_init);
    if (!rc)
        rc = io_sync(fd, FAULT_init);
    close(fd);
    if (rc)
        unlinkat(dirfd, "index.db-wal", 0);
    return rc;
}

/* The log that journal_mode=WAL may have begun is empty. */
static void remove_fresh(int dirfd)
{
    unlinkat(dirfd, "index.db.new-wal", 0);
    unlinkat(dirfd, "index.db.new", 0);
}

int index_create(const char *dir, const uint8_t local_key[KEY_SIZE], uint32_t uid, uint32_t gid)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/index.db.new", dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return -errno;
    int rc = faccessat(dirfd, "index.db", F_OK, 0) == 0 ? -EEXIST : 0;
    if (rc)
        goto out;
    remove_fresh(dirfd);
    rc = build(path, local_key, uid, gid);
    if (!rc)
        rc = make_log(dirfd);
    if (!rc) {
        rc = io_rename_new(dirfd, "index.db.new", dirfd, "index.db", FAULT_init);
        if (rc)
            unlinkat(dirfd, "index.db-wal", 0);
    }
    if (!rc)
        rc = io_sync_dir(dirfd, FAULT_init);
    remove_fresh(dirfd);
out:
    close(dirfd);
    return rc;
}

/* Asked before the statements are prepared: a later schema may not fit them. */
static int check_version(struct index *ix)
{
    sqlite3_stmt *st = NULL;
    uint64_t version = 0;

    int rc = connection_error(ix, sqlite3_prepare_v2(ix->db, "SELECT value FROM meta WHERE key='schema'", -1,
                                                     &st, NULL));
    if (!rc)
        rc = sql_step(ix, st);
    if (rc == 1)
        version = sql_value(st, 0);
    sqlite3_finalize(st);
    if (rc < 0)
        return rc;
    return version > INDEX_SCHEMA ? E_NEWER_FORMAT : version == INDEX_SCHEMA ? 0 : E_STATE_DAMAGED;
}

static int load(struct index *ix)
{
    int rc = check_version(ix);

    if (!rc)
        rc = statements_prepare(ix);
    return rc ? rc : meta_load(ix);
}

/* What a killed process left in the log is durable before anything builds on it. */
static int anchor(struct index *ix, const char *dir)
{
    int rc = sealed_vfs_sync_wal(ix->vfs);

    if (!rc && ix->vfs->wal_created)
        rc = io_sync_dir_path(dir, FAULT_other);
    return rc;
}

int index_open(struct index **out, const char *dir, const uint8_t local_key[KEY_SIZE], bool read_only)
{
    char path[PATH_MAX];
    struct index *ix = NULL;
    struct stat st;

    if (snprintf(path, sizeof path, "%s/index.db", dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    if (lstat(path, &st))
        return errno == ENOENT ? E_STATE_MISSING : -errno;
    int rc = connection_open(&ix, path, local_key, read_only, false);
    if (!rc)
        rc = load(ix);
    if (!rc && !read_only)
        rc = anchor(ix, dir);
    if (rc) {
        connection_free(ix);
        return rc;
    }
    *out = ix;
    return 0;
}
