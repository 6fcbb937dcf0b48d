/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * After a crash: the journal's records go to the index, their tails to the
 * staged segments.
 *
 * Done before anything else uses the index, and first without writing: a journal
 * that is damaged is left as it is, and so is the index's log.  Tails are written where they
 * stood and synced, then the rows are committed with the next generation: a
 * crash anywhere in between repeats the same writes with the same bytes.
 */
#include "internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct replay {
    struct fs *fs;
    struct buf rows;                           /* all records but tails */
    struct segment_row *segments;              /* named by the journal */
    size_t segment_count;
    uint64_t records;
};

static int note_segment(struct replay *r, const struct segment_row *row)
{
    struct segment_row *v = realloc(r->segments, (r->segment_count + 1) * sizeof *v);
    if (!v)
        return -ENOMEM;
    v[r->segment_count++] = *row;
    r->segments = v;
    return 0;
}

static int find_segment(const struct replay *r, uint32_t number, struct segment_row *out)
{
    for (size_t k = r->segment_count; k--;)
        if (r->segments[k].number == number) {
            *out = r->segments[k];
            return 0;
        }
    return index_segment(r->fs->index, number, out);
}

/* What stands before a tail was synced, or was in an earlier one: a file that
 * ends before it was cut. */
static int write_into(int fd, uint64_t offset, const uint8_t *bytes, size_t len)
{
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    if ((uint64_t)st.st_size < offset)
        return E_STATE_DAMAGED;
    int rc = io_write_at(fd, bytes, len, offset, FAULT_segment_append);
    return rc ? rc : io_sync(fd, FAULT_segment_sync);
}

static int write_tail(struct replay *r, uint32_t number, uint64_t offset, const uint8_t *bytes, size_t len)
{
    struct segment_row row;
    char name[ID_TEXT];

    int rc = find_segment(r, number, &row);
    if (rc)
        return rc == -ENOENT ? E_STATE_DAMAGED : rc;
    id_format(&row.id, name);
    int fd = openat(r->fs->state->staging, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    rc = fd >= 0 ? write_into(fd, offset, bytes, len) : errno == ENOENT ? E_STATE_DAMAGED : -errno;
    if (fd >= 0)
        close(fd);
    return rc == E_STATE_DAMAGED ? segment_damaged(r->fs, &row.id) : rc;
}

/* One record: its rows are kept, its tails written. The batch is walked twice
 * so that a segment is known before its tail. */
static int visit(void *ctx, const uint8_t *batch, size_t len)
{
    struct replay *r = ctx;
    struct record *rec = malloc(sizeof *rec);
    int rc = rec ? 1 : -ENOMEM;

    for (struct reader in = reader_over(batch, len); rc == 1;) {
        const uint8_t *from = in.p;
        rc = batch_next(&in, rec);
        if (rc != 1)
            break;
        if (rec->kind == RECORD_TAIL) {
            int done = write_tail(r, rec->tail.segment, rec->tail.offset, rec->tail.bytes, rec->tail.len);
            rc = done ? done : 1;
            continue;
        }
        buf_append(&r->rows, from, (size_t)(in.p - from));
        if (rec->kind == RECORD_SEGMENT && note_segment(r, &rec->segment))
            rc = -ENOMEM;
    }
    free(rec);
    r->records++;
    return rc;
}

static int replay(struct fs *fs)
{
    struct replay r = { .fs = fs };

    int rc = journal_replay(fs->commit.journal, visit, &r);
    if (!rc && r.rows.failed)
        rc = -ENOMEM;
    if (!rc && r.records) {
        rc = index_apply(fs->index, &r.rows, true, fs->commit.generation + 1);
        if (!rc)
            rc = index_sync(fs->index);
        if (!rc)
            journal_reset(fs->commit.journal, ++fs->commit.generation);
        log_info("ECL-0310 replayed %llu journal records: %s", (unsigned long long)r.records, error_name(rc));
    }
    buf_free(&r.rows);
    free(r.segments);
    return rc;
}

static int pass_over(void *ctx, const uint8_t *batch, size_t len)
{
    (void)ctx, (void)batch, (void)len;
    return 0;
}

int journal_recover(struct fs *fs)
{
    int rc = index_generation(fs->index, &fs->commit.generation);
    if (!rc)
        rc = journal_open(&fs->commit.journal, fs->state->dir, keyring_local_key(fs->state->keys),
                          fs->commit.generation);
    if (!rc)
        rc = journal_replay(fs->commit.journal, pass_over, NULL);
    if (!rc)
        rc = index_settle(fs->index);
    if (!rc)
        rc = replay(fs);
    if (rc == -ENOSPC && fs->commit.journal) {
        space_lost(fs);
        rc = replay(fs);
    }
    return rc;
}
