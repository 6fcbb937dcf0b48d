/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The page-sealing VFS: what the files vfs*.c share, and what connection.c
 * needs of them.
 *
 * Everything here is called with the connection's lock held, but the two
 * syncs, which need only that the connection stays open.
 */
#ifndef ECLUSE_INDEX_VFS_H
#define ECLUSE_INDEX_VFS_H

#include <ecluse/crypto.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define PAGE_BYTES 4096u
#define PAGE_RESERVED 32u      /* nonce 12, tag 16, round 4: at the end of each page */
#define WAL_HEADER 32u         /* plain */
#define FRAME_HEADER 24u
#define FRAME_BYTES (FRAME_HEADER + PAGE_BYTES)

/* --- vfs_page.c: pure --- */

enum page_kind { PAGE_DATABASE = 1, PAGE_WAL = 2 };

/* Seals a page (len PAGE_BYTES) or a frame (FRAME_BYTES) that will stand at
 * `where`: its number in the database, its offset in the WAL. The last
 * PAGE_RESERVED bytes of plain must be zeros: E_FORMAT. */
int page_seal(struct aead *aead, enum page_kind kind, uint64_t where, uint32_t round, const uint8_t *plain,
              size_t len, uint8_t *out);
/* The reverse; the reserved bytes come back as zeros. E_AUTH, and out all zeros. */
int page_open(struct aead *aead, enum page_kind kind, uint64_t where, const uint8_t *sealed, size_t len,
              uint8_t *out);
/* The round that a sealed page or frame claims; true once it has opened. */
uint32_t page_round(const uint8_t *sealed, size_t len);

/* --- vfs.c --- */

struct sealed_vfs;

struct sealed_file {
    sqlite3_file base;             /* first: SQLite sees only this */
    struct sealed_vfs *vfs;
    int fd;                        /* -1: a WAL that is absent and may not be made */
    atomic_bool unsynced;          /* written since the last sync */
    bool written;                  /* WAL: by this process */
    bool ends;                     /* WAL, at recovery: the last frame seen ends a transaction */
    atomic_uint round;             /* WAL: syncs since its header; frames bear it */
    bool held;                     /* WAL: a frame header waits for its page */
    uint64_t held_at;              /* offset of that frame */
    uint8_t header[FRAME_HEADER];
};

struct sealed_vfs {
    sqlite3_vfs base;              /* first */
    char name[32];
    struct aead *aead;             /* borrowed */
    bool read_only;
    bool create;                   /* the database must be new */
    bool wal_created;              /* its name is not durable yet */
    int error;                     /* why the last failing call failed; 0 */
    struct sealed_file *database;  /* while open */
    struct sealed_file *wal;
    uint8_t sealed[FRAME_BYTES], plain[FRAME_BYTES];  /* of the call under way */
};

/* Registers a VFS of its own name, so that each connection has its own key. */
int sealed_vfs_new(struct sealed_vfs **out, struct aead *aead, bool read_only, bool create);
void sealed_vfs_free(struct sealed_vfs *v);   /* after sqlite3_close */
/* fdatasync of what was written since the last one. 0 or -errno. */
int sealed_vfs_sync_wal(struct sealed_vfs *v);
int sealed_vfs_sync_database(struct sealed_vfs *v);
/* After COMMIT: a frame header still held back goes to the file. 0 or an
 * error, after which the log and SQLite disagree. */
int sealed_vfs_settle(struct sealed_vfs *v);
/* After ROLLBACK: it is forgotten. */
void sealed_vfs_discard(struct sealed_vfs *v);

/* Remembers the cause and gives SQLite its code (SQLITE_FULL for ENOSPC). */
int vfs_fail(struct sealed_vfs *v, int error, int sqlite_code);
/* Keeps space for the log; without it nothing is wrong as long as the disk has some. */
void vfs_wal_reserve(int fd);
int vfs_wal_settle(struct sealed_file *f);
/* Methods that both kinds of file share. */
int vfs_file_close(sqlite3_file *f);
int vfs_file_size(sqlite3_file *f, sqlite3_int64 *size);

extern const sqlite3_io_methods vfs_database_methods;   /* vfs_database.c */
extern const sqlite3_io_methods vfs_wal_methods;        /* vfs_wal.c */
int vfs_no_lock(sqlite3_file *f, int level);
int vfs_check_reserved(sqlite3_file *f, int *out);
int vfs_no_control(sqlite3_file *f, int op, void *arg);
int vfs_sector_size(sqlite3_file *f);
int vfs_characteristics(sqlite3_file *f);

#endif
