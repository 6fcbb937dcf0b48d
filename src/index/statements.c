/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Every SQL statement of the index, prepared once for the connection's life.
 *
 * Unsigned 64-bit numbers are stored as SQLite's signed ones, bit for bit;
 * where an order matters (cookies, chunk numbers, sequence numbers) values stay
 * below 2^63.
 */
#include "internal.h"

#define INODE_COLUMNS "ino,parent,cookie,mode,nlink,uid,gid,flags,size,version,blocks,rdev," \
                      "atime,mtime,ctime,btime,runs,target"
#define DIRENT_COLUMNS "parent,cookie,ino,type,name"
#define PUBLICATION_COLUMNS "seq,hash,done,time,carrier,size,shard,inodes"
#define SEGMENT_COLUMNS "number,state,id,epoch,length,sha256"

static const char *const text[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",

    [SQL_META_GET] = "SELECT value FROM meta WHERE key=?1",
    [SQL_META_PUT] = "REPLACE INTO meta(key,value) VALUES(?1,?2)",
    [SQL_COUNTER_GET] = "SELECT value FROM counter WHERE id=?1",
    [SQL_COUNTER_PUT] = "INSERT INTO counter(id,value) VALUES(?1,?2)"
                        " ON CONFLICT(id) DO UPDATE SET value=max(value,excluded.value)",

    [SQL_INODE_GET] = "SELECT " INODE_COLUMNS " FROM inode WHERE ino=?1",
    [SQL_INODE_EXISTS] = "SELECT 1 FROM inode WHERE ino=?1",
    [SQL_INODE_PUT] = "REPLACE INTO inode(" INODE_COLUMNS ")"
                      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)",
    [SQL_INODE_DELETE] = "DELETE FROM inode WHERE ino=?1",
    [SQL_INODE_ORPHANS] = "SELECT ino FROM inode WHERE nlink=0",

    [SQL_DIRENT_NAMED] = "SELECT " DIRENT_COLUMNS " FROM dirent WHERE parent=?1 AND name=?2",
    [SQL_DIRENT_NORM] = "SELECT " DIRENT_COLUMNS " FROM dirent INDEXED BY dirent_norm"
                        " WHERE parent=?1 AND norm=?2"
                        " ORDER BY cookie LIMIT 1",
    [SQL_DIRENT_AT] = "SELECT " DIRENT_COLUMNS " FROM dirent WHERE parent=?1 AND cookie=?2",
    [SQL_DIRENT_PUT] = "INSERT INTO dirent(" DIRENT_COLUMNS ",norm) VALUES(?1,?2,?3,?4,?5,?6)"
                       " ON CONFLICT(parent,cookie) DO UPDATE SET ino=excluded.ino, type=excluded.type,"
                       " name=excluded.name, norm=excluded.norm",
    [SQL_DIRENT_DELETE] = "DELETE FROM dirent WHERE parent=?1 AND cookie=?2",
    [SQL_DIRENT_SCAN] = "SELECT " DIRENT_COLUMNS " FROM dirent WHERE parent=?1 AND cookie>?2"
                        " ORDER BY cookie LIMIT ?3",
    [SQL_DIRENT_SCAN_PLUS] = "SELECT d.parent,d.cookie,d.ino,d.type,d.name,"
                             "i.ino,i.parent,i.cookie,i.mode,i.nlink,i.uid,i.gid,i.flags,i.size,i.version,"
                             "i.blocks,i.rdev,i.atime,i.mtime,i.ctime,i.btime,i.runs,i.target"
                             " FROM dirent d LEFT JOIN inode i ON i.ino=d.ino"
                             " WHERE d.parent=?1 AND d.cookie>?2 ORDER BY d.cookie LIMIT ?3",

    [SQL_CHUNK_GET] = "SELECT runs FROM chunk WHERE ino=?1 AND n=?2",
    [SQL_CHUNK_NEXT] = "SELECT n FROM chunk WHERE ino=?1 AND n>=?2 ORDER BY n LIMIT 1",
    [SQL_CHUNK_NTH] = "SELECT n FROM chunk WHERE ino=?1 AND n>=?2 ORDER BY n LIMIT 1 OFFSET ?3",
    [SQL_CHUNK_PUT] = "REPLACE INTO chunk(ino,n,runs) VALUES(?1,?2,?3)",
    [SQL_CHUNK_DELETE] = "DELETE FROM chunk WHERE ino=?1 AND n=?2",
    [SQL_CHUNKS_DELETE] = "DELETE FROM chunk WHERE ino=?1 AND n>=?2 AND n<?3",

    [SQL_XATTR_GET] = "SELECT list FROM xattr WHERE ino=?1",
    [SQL_XATTR_PUT] = "REPLACE INTO xattr(ino,list) VALUES(?1,?2)",
    [SQL_XATTR_DELETE] = "DELETE FROM xattr WHERE ino=?1",

    [SQL_SEGMENT_GET] = "SELECT " SEGMENT_COLUMNS " FROM segment WHERE number=?1",
    [SQL_SEGMENT_PUT] = "INSERT INTO segment(" SEGMENT_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6)"
                        " ON CONFLICT(number) DO UPDATE SET state=excluded.state, id=excluded.id,"
                        " epoch=excluded.epoch, length=excluded.length, sha256=excluded.sha256",
    [SQL_SEGMENT_DELETE] = "DELETE FROM segment WHERE number=?1",
    [SQL_SEGMENT_SCAN] = "SELECT " SEGMENT_COLUMNS " FROM segment WHERE number>?1 AND (?2=0 OR state=?2)"
                         " ORDER BY number LIMIT ?3",
    [SQL_SEGMENT_PLACE] = "UPDATE segment SET publication=?2, place=?3 WHERE number=?1",
    [SQL_SEGMENT_PUBLICATION] = "SELECT " SEGMENT_COLUMNS " FROM segment WHERE publication=?1 ORDER BY place",
    [SQL_SEGMENT_SUM] = "SELECT count(*), coalesce(sum(length),0) FROM segment"
                        " WHERE publication=?1 AND state=1",
    [SQL_SEGMENT_PUBLISH] = "UPDATE segment SET state=2 WHERE publication=?1 AND state=1",

    [SQL_NOTE_ADD] = "INSERT OR IGNORE INTO unpublished(kind,a,b,change) VALUES(?1,?2,?3,?4)",
    [SQL_NOTE_RENEW] = "UPDATE unpublished SET change=?4 WHERE kind=?1 AND a=?2 AND b=?3",
    [SQL_NOTE_DROP] = "DELETE FROM unpublished WHERE kind=?1 AND a=?2 AND b>=?3",
    [SQL_NOTE_SCAN] = "SELECT kind,a,b FROM unpublished WHERE (kind,a,b)>(?1,?2,?3)"
                      " ORDER BY kind,a,b LIMIT ?4",
    [SQL_NOTE_NTH] = "SELECT kind,a,b FROM unpublished WHERE (kind,a,b)>(?1,?2,?3)"
                     " AND (kind,a,b)<=(?4,?5,?6) ORDER BY kind,a,b LIMIT 1 OFFSET ?7",
    [SQL_NOTE_FORGET] = "DELETE FROM unpublished WHERE (kind,a,b)>(?1,?2,?3) AND (kind,a,b)<=(?4,?5,?6)"
                        " AND change<=?7",

    [SQL_DUMP_INODE] = "SELECT ino,0,EXISTS(SELECT 1 FROM unpublished WHERE kind=1 AND a=ino AND b=0)"
                       " FROM inode WHERE ino>?1 ORDER BY ino LIMIT ?3",
    [SQL_DUMP_DIRENT] = "SELECT parent,cookie,EXISTS(SELECT 1 FROM unpublished WHERE kind=2 AND a=parent AND b=cookie)"
                        " FROM dirent WHERE (parent,cookie)>(?1,?2) ORDER BY parent,cookie LIMIT ?3",
    [SQL_DUMP_XATTR] = "SELECT ino,0,EXISTS(SELECT 1 FROM unpublished WHERE kind=3 AND a=ino AND b=0)"
                       " FROM xattr WHERE ino>?1 ORDER BY ino LIMIT ?3",
    [SQL_DUMP_CHUNK] = "SELECT ino,n,EXISTS(SELECT 1 FROM unpublished WHERE kind=5 AND a=ino AND b=n)"
                       " FROM chunk WHERE (ino,n)>(?1,?2) ORDER BY ino,n LIMIT ?3",
    [SQL_MAP_INODE] = "SELECT ino,0,runs FROM inode WHERE ino>?1 AND runs IS NOT NULL ORDER BY ino LIMIT ?3",
    [SQL_MAP_CHUNK] = "SELECT ino,n,runs FROM chunk WHERE (ino,n)>(?1,?2) ORDER BY ino,n LIMIT ?3",

    [SQL_DEAD_MARK] = "UPDATE segment SET state=?2, dead=?3, since=?4 WHERE number=?1",
    [SQL_DEAD_SETTLE] = "UPDATE segment SET dead=?1, since=?2 WHERE state>2 AND dead=0",
    [SQL_DEAD_SCAN] = "SELECT " SEGMENT_COLUMNS ",dead,since FROM segment WHERE state>2 AND number>?1"
                      " ORDER BY number LIMIT ?2",
    [SQL_DEAD_SUM] = "SELECT count(*), coalesce(sum(length),0), min(nullif(since,0)) FROM segment WHERE state>2",

    [SQL_PUBLICATION_ADD] = "INSERT INTO publication(seq,hash,done,time,carrier,size,shard,inodes)"
                            " VALUES(?1,?2,0,?3,?4,?5,?6,?7)",
    [SQL_PUBLICATION_DONE] = "UPDATE publication SET done=1 WHERE seq=?1",
    [SQL_PUBLICATION_UPTO] = "SELECT " PUBLICATION_COLUMNS " FROM publication WHERE seq<=?1"
                             " ORDER BY seq DESC LIMIT 1",
    [SQL_PUBLICATION_PLAIN] = "SELECT " PUBLICATION_COLUMNS " FROM publication WHERE seq<=?1 AND shard IS NULL"
                              " ORDER BY seq DESC LIMIT 1",
    [SQL_PUBLICATION_LAST_SHARD] = "SELECT " PUBLICATION_COLUMNS " FROM publication WHERE seq<=?1"
                                   " AND shard IS NOT NULL AND shard%2=1 AND done=1 ORDER BY seq DESC LIMIT 1",
    [SQL_PUBLICATION_SUM] = "SELECT coalesce(sum(size),0) FROM publication WHERE seq BETWEEN ?1 AND ?2",
};

int statements_prepare(struct index *ix)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v3(ix->db, text[i], -1, SQLITE_PREPARE_PERSISTENT, &ix->statements[i], NULL);
        if (rc != SQLITE_OK)
            return connection_error(ix, rc);
    }
    return 0;
}

void statements_finalize(struct index *ix)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(ix->statements[i]);
        ix->statements[i] = NULL;
    }
}

sqlite3_stmt *sql_of(struct index *ix, enum statement which) { return ix->statements[which]; }

void sql_bind(sqlite3_stmt *st, int i, uint64_t v)
{
    sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

void sql_bind_blob(sqlite3_stmt *st, int i, const void *bytes, size_t len)
{
    if (len)
        sqlite3_bind_blob64(st, i, bytes, len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, i);
}

uint64_t sql_value(sqlite3_stmt *st, int column)
{
    return (uint64_t)sqlite3_column_int64(st, column);
}

struct reader sql_blob(sqlite3_stmt *st, int column)
{
    static const uint8_t nothing;
    const void *bytes = sqlite3_column_blob(st, column);
    return reader_over(bytes ? bytes : &nothing, bytes ? (size_t)sqlite3_column_bytes(st, column) : 0);
}

int sql_step(struct index *ix, sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return 1;
    rc = sqlite3_reset(st);
    return rc == SQLITE_OK ? 0 : connection_error(ix, rc);
}

int sql_run(struct index *ix, sqlite3_stmt *st)
{
    int rc = sql_step(ix, st);

    if (rc == 1)
        rc = connection_error(ix, sqlite3_reset(st));
    return rc;
}
