/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The batch: row changes as bytes, one record after another.
 *
 * A record is a kind byte and its fields; integers are LEB128, "zigzag" marks
 * signed ones (the sign in the lowest bit).  A batch has no header and no end
 * mark: whoever stores one authenticates it and knows its length.
 *
 *   INODE        ino parent cookie mode nlink uid gid flags size version blocks rdev
 *                | same-times byte | ctime, then those of atime mtime btime that differ
 *                | runs | target bytes
 *   INODE_GONE   ino
 *   DIRENT       parent cookie ino | type byte (mode >> 12) | name bytes
 *   DIRENT_GONE  parent cookie
 *   XATTR        ino | list bytes
 *   CHUNK        ino n | runs
 *   CHUNKS_GONE  ino n
 *   SEGMENT      number state | id 16 B | epoch length | hash byte 0 or 1 [sha256 32 B]
 *   SEGMENT_GONE number
 *   COUNTER      id value
 *   TAIL         segment offset | bytes
 *
 * A time is zigzag seconds and nanoseconds.  Runs are described in runs.c.
 *
 * Invariant: what batch_next returns is in the ranges that batch.h states, so
 * that callers may compute with it without checks of their own.  It does not
 * promise that rows fit together (an entry may name no inode).
 */
#include "internal.h"
#include <sys/stat.h>

/* Symbolic links are at most PATH_MAX long. */
#define TARGET_LIMIT 4096u
#define TYPE_SHIFT 12

enum { SAME_ATIME = 1, SAME_MTIME = 2, SAME_BTIME = 4 };

/* --- encoding ----------------------------------------------------------------- */

static void put_bytes(struct buf *b, const void *bytes, size_t len)
{
    buf_varint(b, len);
    if (len)
        buf_append(b, bytes, len);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void put_time(struct buf *b, const struct timespec *t)
{
    buf_varint(b, zigzag(t->tv_sec));
    buf_varint(b, (uint64_t)t->tv_nsec);
}

static void put_times(struct buf *b, const struct inode_row *row)
{
    unsigned same = (same_time(&row->atime, &row->ctime) ? SAME_ATIME : 0) |
                    (same_time(&row->mtime, &row->ctime) ? SAME_MTIME : 0) |
                    (same_time(&row->btime, &row->ctime) ? SAME_BTIME : 0);

    buf_byte(b, (uint8_t)same);
    put_time(b, &row->ctime);
    if (!(same & SAME_ATIME))
        put_time(b, &row->atime);
    if (!(same & SAME_MTIME))
        put_time(b, &row->mtime);
    if (!(same & SAME_BTIME))
        put_time(b, &row->btime);
}

void batch_inode(struct buf *b, const struct inode_row *row)
{
    buf_byte(b, RECORD_INODE);
    buf_varint(b, row->ino);
    buf_varint(b, row->parent);
    buf_varint(b, row->cookie);
    buf_varint(b, row->mode);
    buf_varint(b, row->nlink);
    buf_varint(b, row->uid);
    buf_varint(b, row->gid);
    buf_varint(b, row->flags);
    buf_varint(b, row->size);
    buf_varint(b, row->version);
    buf_varint(b, row->blocks);
    buf_varint(b, row->rdev);
    put_times(b, row);
    runs_encode(b, row->runs, row->run_count);
    put_bytes(b, row->target, row->target_len);
}

void batch_dirent(struct buf *b, const struct dirent_row *row)
{
    buf_byte(b, RECORD_DIRENT);
    buf_varint(b, row->parent);
    buf_varint(b, row->cookie);
    buf_varint(b, row->ino);
    buf_byte(b, (uint8_t)(row->mode >> TYPE_SHIFT));
    put_bytes(b, row->name, row->name_len);
}

void batch_chunk(struct buf *b, const struct chunk_row *row)
{
    buf_byte(b, RECORD_CHUNK);
    buf_varint(b, row->ino);
    buf_varint(b, row->n);
    runs_encode(b, row->runs, row->run_count);
}

void batch_xattr(struct buf *b, const struct xattr_row *row)
{
    buf_byte(b, RECORD_XATTR);
    buf_varint(b, row->ino);
    put_bytes(b, row->list, row->len);
}

static bool has_hash(const struct segment_row *row)
{
    uint8_t any = 0;

    for (size_t i = 0; i < sizeof row->sha256; i++)
        any |= row->sha256[i];
    return any != 0;
}

void batch_segment(struct buf *b, const struct segment_row *row)
{
    bool hashed = has_hash(row);

    buf_byte(b, RECORD_SEGMENT);
    buf_varint(b, row->number);
    buf_varint(b, row->state);
    buf_append(b, row->id.b, sizeof row->id.b);
    buf_varint(b, row->epoch);
    buf_varint(b, row->length);
    buf_byte(b, hashed);
    if (hashed)
        buf_append(b, row->sha256, sizeof row->sha256);
}

static bool gone_has_second(enum record_kind kind)
{
    return kind == RECORD_DIRENT_GONE || kind == RECORD_CHUNKS_GONE;
}

void batch_gone(struct buf *b, enum record_kind kind, uint64_t x, uint64_t y)
{
    buf_byte(b, (uint8_t)kind);
    buf_varint(b, x);
    if (gone_has_second(kind))
        buf_varint(b, y);
}

void batch_counter(struct buf *b, enum counter id, uint64_t value)
{
    buf_byte(b, RECORD_COUNTER);
    buf_varint(b, id);
    buf_varint(b, value);
}

void batch_tail(struct buf *b, uint32_t segment, uint64_t offset, const void *bytes, size_t len)
{
    buf_byte(b, RECORD_TAIL);
    buf_varint(b, segment);
    buf_varint(b, offset);
    put_bytes(b, bytes, len);
}

/* --- decoding: each reader leaves r->failed behind for batch_next -------------- */

static uint32_t read_u32(struct reader *r)
{
    uint64_t v = read_varint(r);

    if (v > UINT32_MAX)
        r->failed = true;
    return (uint32_t)v;
}

static void require(struct reader *r, bool valid)
{
    if (!valid)
        r->failed = true;
}

static struct timespec read_time(struct reader *r)
{
    struct timespec t = { .tv_sec = unzigzag(read_varint(r)) };
    uint64_t nanoseconds = read_varint(r);

    require(r, nanoseconds < NANOSECONDS);
    t.tv_nsec = (long)nanoseconds;
    return t;
}

static void read_times(struct reader *r, struct inode_row *out)
{
    uint8_t same = read_byte(r);

    require(r, same <= (SAME_ATIME | SAME_MTIME | SAME_BTIME));
    out->ctime = read_time(r);
    out->atime = same & SAME_ATIME ? out->ctime : read_time(r);
    out->mtime = same & SAME_MTIME ? out->ctime : read_time(r);
    out->btime = same & SAME_BTIME ? out->ctime : read_time(r);
}

static bool known_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: case S_IFDIR: case S_IFLNK: case S_IFIFO: case S_IFSOCK: case S_IFCHR: case S_IFBLK:
        return true;
    default:
        return false;
    }
}

/* runs_decode clips the reader's failure into its result: put it back. */
static uint32_t read_runs(struct reader *r, struct run *out)
{
    int count = r->failed ? E_FORMAT : runs_decode(r, out);

    require(r, count >= 0);
    return count > 0 ? (uint32_t)count : 0;
}

static void read_inode(struct reader *r, struct record *out)
{
    struct inode_row *row = &out->inode;
    size_t target_len;

    row->ino = read_varint(r);
    row->parent = read_varint(r);
    row->cookie = read_varint(r);
    row->mode = read_u32(r);
    row->nlink = read_u32(r);
    row->uid = read_u32(r);
    row->gid = read_u32(r);
    row->flags = read_u32(r);
    row->size = read_varint(r);
    row->version = read_varint(r);
    row->blocks = read_varint(r);
    row->rdev = read_varint(r);
    read_times(r, row);
    row->run_count = read_runs(r, out->runs);
    row->runs = out->runs;
    row->target = read_bytes(r, &target_len);
    row->target_len = (uint32_t)target_len;
    require(r, row->ino && row->size <= INT64_MAX && target_len <= TARGET_LIMIT &&
               known_type(row->mode) && row->mode <= UINT16_MAX);
}

/* A name that a directory may hold: what could climb or hide is refused. */
static bool valid_name(const uint8_t *name, size_t len)
{
    if (!len || len > NAME_LIMIT || memchr(name, '/', len) || memchr(name, 0, len))
        return false;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static void read_dirent(struct reader *r, struct record *out)
{
    struct dirent_row *row = &out->dirent;
    size_t len;

    row->parent = read_varint(r);
    row->cookie = read_varint(r);
    row->ino = read_varint(r);
    row->mode = (uint32_t)read_byte(r) << TYPE_SHIFT;
    row->name = read_bytes(r, &len);
    row->name_len = (uint8_t)len;
    require(r, !r->failed && row->parent && row->ino && row->cookie >= FIRST_COOKIE &&
               row->cookie <= INT64_MAX &&
               known_type(row->mode) && row->mode <= S_IFMT && valid_name(row->name, len));
}

static bool valid_list(const uint8_t *list, size_t len)
{
    struct reader r = reader_over(list, len);
    const uint8_t *name, *value;
    size_t name_len, value_len;
    int rc;

    while ((rc = xattr_list_next(&r, &name, &name_len, &value, &value_len)) == 1)
        ;
    return rc == 0;
}

static void read_xattr(struct reader *r, struct record *out)
{
    out->xattr.ino = read_varint(r);
    out->xattr.list = read_bytes(r, &out->xattr.len);
    require(r, !r->failed && out->xattr.ino && valid_list(out->xattr.list, out->xattr.len));
}

static void read_chunk(struct reader *r, struct record *out)
{
    out->chunk.ino = read_varint(r);
    out->chunk.n = read_varint(r);
    out->chunk.run_count = read_runs(r, out->runs);
    out->chunk.runs = out->runs;
    require(r, out->chunk.ino && out->chunk.n >= 1 && out->chunk.n <= INT64_MAX / CHUNK_SIZE);
}

static void read_segment(struct reader *r, struct record *out)
{
    struct segment_row *row = &out->segment;
    const uint8_t *id, *hash = NULL;

    row->number = read_u32(r);
    row->state = read_u32(r);
    id = read_raw(r, sizeof row->id.b);
    row->epoch = read_u32(r);
    row->length = read_varint(r);
    uint8_t hashed = read_byte(r);
    if (hashed)
        hash = read_raw(r, sizeof row->sha256);
    require(r, hashed <= 1 && row->state >= SEGMENT_STAGED && row->state <= SEGMENT_PUBLISHED &&
               row->length <= INT64_MAX);
    memset(row->sha256, 0, sizeof row->sha256);
    if (r->failed)
        return;
    memcpy(row->id.b, id, sizeof row->id.b);
    if (hash)
        memcpy(row->sha256, hash, sizeof row->sha256);
}

static void read_gone(struct reader *r, struct record *out)
{
    out->gone.ino = read_varint(r);
    out->gone.n = gone_has_second(out->kind) ? read_varint(r) : 0;
    require(r, out->gone.n <= INT64_MAX && (out->kind != RECORD_SEGMENT_GONE || out->gone.ino <= UINT32_MAX));
}

static void read_counter(struct reader *r, struct record *out)
{
    out->counter.id = read_u32(r);
    out->counter.value = read_varint(r);
    require(r, (out->counter.id >= COUNTER_INO && out->counter.id <= COUNTER_VERSION) ||
               (out->counter.id >= COUNTER_ACTOR && out->counter.id < COUNTER_CHAIN + ACTOR_LIMIT));
}

static void read_tail(struct reader *r, struct record *out)
{
    out->tail.segment = read_u32(r);
    out->tail.offset = read_varint(r);
    out->tail.bytes = read_bytes(r, &out->tail.len);
    require(r, out->tail.offset <= INT64_MAX - out->tail.len);
}

int batch_next(struct reader *r, struct record *out)
{
    if (r->failed)
        return E_FORMAT;
    if (reader_left(r) == 0)
        return 0;
    out->kind = (enum record_kind)read_byte(r);
    switch (out->kind) {
    case RECORD_INODE:
        read_inode(r, out);
        break;
    case RECORD_DIRENT:
        read_dirent(r, out);
        break;
    case RECORD_XATTR:
        read_xattr(r, out);
        break;
    case RECORD_CHUNK:
        read_chunk(r, out);
        break;
    case RECORD_SEGMENT:
        read_segment(r, out);
        break;
    case RECORD_INODE_GONE:
    case RECORD_DIRENT_GONE:
    case RECORD_CHUNKS_GONE:
    case RECORD_SEGMENT_GONE:
        read_gone(r, out);
        break;
    case RECORD_COUNTER:
        read_counter(r, out);
        break;
    case RECORD_TAIL:
        read_tail(r, out);
        break;
    default:
        r->failed = true;
    }
    return r->failed ? E_FORMAT : 1;
}

/* --- xattr lists ---------------------------------------------------------------- */

void xattr_list_add(struct buf *b, const char *name, size_t name_len, const void *value, size_t len)
{
    put_bytes(b, name, name_len);
    put_bytes(b, value, len);
}

int xattr_list_next(struct reader *r, const uint8_t **name, size_t *name_len,
                    const uint8_t **value, size_t *len)
{
    if (r->failed)
        return E_FORMAT;
    if (reader_left(r) == 0)
        return 0;
    *name = read_bytes(r, name_len);
    *value = read_bytes(r, len);
    if (!r->failed)
        require(r, *name_len >= 1 && *name_len <= NAME_LIMIT && !memchr(*name, 0, *name_len));
    return r->failed ? E_FORMAT : 1;
}
