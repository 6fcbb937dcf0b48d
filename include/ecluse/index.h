/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The index: the last commit, in SQLite behind a page-sealing VFS.
 *
 * One connection, WAL, exclusive locking.  Every function is thread-safe (one
 * mutex inside, the connection's lock) and none holds that lock across an
 * fsync.  index_apply releases it between slices of rows so that readers are
 * not kept waiting; readers then see a mixture of the last commit and the one
 * under way, which is harmless because whoever applies keeps those rows in the
 * metadata cache, which is asked first.
 *
 * Errors: -ENOENT, -ENOSPC, -ENOMEM, -EIO (I/O), E_STATE_DAMAGED (a page fails
 * authentication or SQLite finds the file malformed).
 */
#ifndef ECLUSE_INDEX_H
#define ECLUSE_INDEX_H

#include <ecluse/base.h>
#include <ecluse/batch.h>
#include <ecluse/crypto.h>

struct index;

/* Makes dir/index.db with the schema, crash-safely (built beside, renamed).
 * Counters start at: ino 2, cookie 3, segment 1, version 1; the root directory
 * is there, owned by uid:gid, mode 0755, timestamps `now`. -EEXIST. */
int index_create(const char *dir, const uint8_t local_key[KEY_SIZE], uint32_t uid, uint32_t gid);
/* Opens dir/index.db. E_STATE_MISSING, E_STATE_DAMAGED, E_NEWER_FORMAT. */
int index_open(struct index **out, const char *dir, const uint8_t local_key[KEY_SIZE], bool read_only);
/* What a crash left in the log goes to the database, and the log begins anew:
 * before anything is applied after index_open.  Behind the end of the log may be
 * the rest of a torn transaction: a new first frame that happened to equal the
 * lost one would make it whole again, with rows whose segments are swept by then.
 * Lack of space is no error, but then index_settled is false, and what only such
 * a transaction names must stay. */
int index_settle(struct index *ix);
bool index_settled(const struct index *ix);
/* Calls `damaged` when a page turns out not to open, or not to be what SQLite
 * expects: from the thread that met it, which may hold locks of the caller's. */
void index_on_damage(struct index *ix, void (*damaged)(void *ctx), void *ctx);
/* Checkpoints the WAL, syncs, closes. The connection is gone whatever is returned. */
int index_close(struct index *ix);
/* Reads every page of an index that goes on after a crash: E_STATE_DAMAGED. */
int index_verify(struct index *ix);
/* The same without writing anything: for an index on which nothing was done. */
void index_discard(struct index *ix);

/* --- rows: pointers inside the results point into `hold`, which the caller
 * zero-initialises and frees with row_hold_free; it may be reused. --- */
struct row_hold { struct run runs[CHUNK_BLOCKS]; struct buf bytes; };
void row_hold_free(struct row_hold *h);

int index_inode(struct index *ix, uint64_t ino, struct inode_row *out, struct row_hold *hold);
int index_dirent(struct index *ix, uint64_t parent, const void *name, size_t len,
                 struct dirent_row *out, struct row_hold *hold);
/* By the normalised (NFC) form, for a name whose exact form is absent; -ENOENT
 * also when `name` is ASCII. */
int index_dirent_variant(struct index *ix, uint64_t parent, const void *name, size_t len,
                         struct dirent_row *out, struct row_hold *hold);
/* Are the two different spellings (NFC, NFD) of one name? */
bool name_is_variant(const void *a, size_t a_len, const void *b, size_t b_len);
int index_dirent_at(struct index *ix, uint64_t parent, uint64_t cookie,
                    struct dirent_row *out, struct row_hold *hold);
int index_chunk(struct index *ix, uint64_t ino, uint64_t n, struct chunk_row *out, struct row_hold *hold);
int index_xattrs(struct index *ix, uint64_t ino, struct xattr_row *out, struct row_hold *hold);
/* Number of the first chunk row of ino with n >= from; -ENOENT. */
int index_next_chunk(struct index *ix, uint64_t ino, uint64_t from, uint64_t *n);

/* Entries of a directory with cookie > after, ascending, at most `limit`, each
 * with its inode when with_inodes (else inode is NULL; an entry whose inode is
 * missing gives NULL too). A non-zero visit ends the scan and is returned.
 * The connection's lock is not held while visit runs. */
int index_scan_dir(struct index *ix, uint64_t parent, uint64_t after, unsigned limit, bool with_inodes,
                   int (*visit)(void *ctx, const struct dirent_row *d, const struct inode_row *i),
                   void *ctx);
/* Inodes with nlink 0 (orphans of a crash). */
int index_scan_orphans(struct index *ix, int (*visit)(void *ctx, uint64_t ino), void *ctx);
/* Segment rows in the given state (0: all), by number. */
int index_scan_segments(struct index *ix, enum segment_state state,
                        int (*visit)(void *ctx, const struct segment_row *s), void *ctx);
int index_segment(struct index *ix, uint32_t number, struct segment_row *out);
/* Number of inodes, of published segments and the sum of their lengths. */
struct index_totals { uint64_t inodes, objects, object_bytes, unpublished; };
int index_totals(struct index *ix, struct index_totals *out);

/* Rows that do not fit together, after a part of some was saved. Reads everything. */
enum index_flaw {
    FLAW_ENTRY,     /* a, b: directory and cookie of an entry that must go */
    FLAW_COUNTS,    /* a: inode; b: the links that it has; c: its entries, or its size */
    FLAW_NAMELESS,  /* a: inode without any entry; b: mode >> 12 */
};
int index_scan_flaws(struct index *ix,
                     int (*visit)(void *ctx, enum index_flaw flaw, uint64_t a, uint64_t b, uint64_t c), void *ctx);

/* The runs of every file, piece by piece; only while nothing else uses the index.
 * A non-zero visit ends it and is returned. */
int index_scan_runs(struct index *ix, int (*visit)(void *ctx, const struct run *runs, uint32_t count), void *ctx);

/* --- commit --- */
int index_counter(struct index *ix, enum counter id, uint64_t *value);
/* The journal generation that the last commit made obsolete everything below. */
int index_generation(struct index *ix, uint64_t *generation);
/*
 * One transaction: all records of the batches (RECORD_TAIL: -EINVAL), every
 * changed row noted as unpublished (unless !note), and the journal generation.
 * Durable only after index_sync.  On error nothing of it is visible; may be
 * retried after -ENOSPC.
 */
int index_apply(struct index *ix, const struct buf *batch, bool note, uint64_t generation);
/* fdatasync of the WAL, without the connection's lock; then, when the WAL is
 * long, a checkpoint. Never retry after an error other than -ENOSPC. */
int index_sync(struct index *ix);

/* --- publication --- */
/*
 * Collects rows noted as unpublished into `out` (record format, current
 * values, …_GONE for what is no more) until about `limit` bytes, and marks
 * their notes with `cut`, a token of the caller's.  The same token again goes on
 * where the last call stopped; another begins anew.  Marks live in memory and
 * only the last token's: nothing is written.  Returns 1 when notes remain, 0
 * when all were taken.
 * Order: inodes, dirents, xattrs, chunks gone, chunks, each by key.
 */
int index_collect(struct index *ix, uint64_t cut, size_t limit, struct buf *out);
/* What a note is about: an inode and what hangs on it, or an entry of a directory. */
struct unpublished_key { bool of_inode; uint64_t ino; /* the entry's directory */ };
/*
 * The same for an index that is damaged: visits each note that can be read, in
 * the same order, with its row as a batch of at most one record, or with NULL
 * when the row cannot be read. A non-zero visit ends it and is returned. 1
 * when there are notes that could not be read either, else 0.
 */
int index_salvage(struct index *ix,
                  int (*visit)(void *ctx, const struct unpublished_key *key, const struct buf *row), void *ctx);
/* Any note at all? 1, 0, or an error. */
int index_unpublished(struct index *ix);

struct publication_row {
    uint64_t seq;
    uint8_t hash[SHA256_SIZE];
    bool done;            /* false: intent, objects may still be on their way */
    int64_t time;         /* seconds since 1970 */
    uint32_t carrier;     /* segment number that carries it; 0: not known here */
    uint64_t size;        /* bytes of the footer that carries it: what has to be read */
    uint32_t shard;       /* of a part of a checkpoint, its number + 1; else 0 */
    bool last;            /* the checkpoint's last part */
    uint64_t inodes;      /* … how many inodes there were; 0: not known */
};
/* One transaction: adds the publication as an intent, sets the segments of
 * `segments` (RECORD_SEGMENT batch: final length, sha256, still STAGED), and
 * forgets the notes marked with `cut`. Follow with index_sync. */
int index_intend(struct index *ix, const struct publication_row *p, const struct buf *segments,
                 uint64_t cut);
/* One transaction: the intent is done, its segments (all STAGED ones with a
 * sha256 that belong to it) become PUBLISHED. */
int index_published(struct index *ix, uint64_t seq);
/* The same two at once, with the rows, of a publication that is in the store: all of it
 * or nothing. Nothing is noted. Follow with index_sync. */
int index_take(struct index *ix, const struct publication_row *p, const struct buf *rows, const struct buf *segments,
               uint64_t generation);
/* The newest publication; -ENOENT when there is none. */
int index_last_publication(struct index *ix, struct publication_row *out);
/* The newest one whose number is at most `upto`; -ENOENT. */
int index_publication(struct index *ix, uint64_t upto, struct publication_row *out);
/* The same, of those that are no part of a checkpoint. */
int index_plain_publication(struct index *ix, uint64_t upto, struct publication_row *out);
/* The newest whole checkpoint that ends at or before number `upto`, and is done:
 * its first part's number, and the row of its last; -ENOENT. */
int index_checkpoint(struct index *ix, uint64_t upto, uint64_t *first, struct publication_row *last);
/* Footer bytes of the publications from number `from` to `to`. */
int index_payloads(struct index *ix, uint64_t from, uint64_t to, uint64_t *bytes);
/* Segments of a publication, in the order in which they must appear. */
int index_scan_publication(struct index *ix, uint64_t seq,
                           int (*visit)(void *ctx, const struct segment_row *s), void *ctx);

/* --- checkpoints: dump.c --- */
/* How far a dump has come; zeros at first. */
struct dump { uint64_t kind, a, b; bool skipped; };
/*
 * Appends rows of all tables in the order of kind and key (inodes, entries, xattrs,
 * chunks) until about `limit` bytes.  Rows that are noted as unpublished are left
 * out, and `skipped` says so: what is given is what was published.  1 when more
 * follow, 0 at the end.  By the owner of the turn: nobody else has a transaction.
 */
int index_dump(struct index *ix, struct dump *d, size_t limit, struct buf *out);
/* Every block map of the index, by key; base is the file's block at which the
 * chunk begins. Not one moment: rows may change between two visits. */
int index_scan_maps(struct index *ix,
                    int (*visit)(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count),
                    void *ctx);

/* --- objects that nothing refers to: dead.c --- */
struct dead_segment {
    struct segment_row row;
    uint64_t seq;         /* no publication from this number on names it; 0: not known yet */
    int64_t since;        /* seconds since 1970 */
};
/* Marks published segments (numbers) as dead, or adds `rows` (SEGMENT_STRAY, new
 * numbers); one transaction. Follow with index_sync. */
int index_mark_dead(struct index *ix, const uint32_t *numbers, size_t count, uint64_t seq, int64_t since);
int index_add_strays(struct index *ix, const struct segment_row *rows, size_t count, uint64_t seq, int64_t since);
/* Those that were marked with seq 0; and the time of the count is noted. */
int index_settle_dead(struct index *ix, uint64_t seq, int64_t since);
/* Deletes the rows of objects that are gone; no others. */
int index_forget_dead(struct index *ix, const uint32_t *numbers, size_t count);
int index_scan_dead(struct index *ix, int (*visit)(void *ctx, const struct dead_segment *d), void *ctx);
struct dead_totals { uint64_t objects, bytes; int64_t since; /* of the oldest; 0: none */ };
int index_dead_totals(struct index *ix, struct dead_totals *out);

#endif
