/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Dead blocks of staged segments, before they are published.
 *
 * A staged segment below 80 % live has its live blocks sealed anew into the
 * open segment; then it is wholly dead, and the next commit drops it.  Which
 * rows refer to a staged segment is found among those noted as unpublished:
 * only they can.  relocate.c moves the blocks.
 */
#include "collecting.h"
#include <stdlib.h>

/* Less waste than this is not worth the work. */
#define WASTE_MIN (64u << 10)
#define SCAN_ROWS (4u << 20)
/* Marks of scans that publish nothing: any value but the last one used. */
static uint64_t scan_token(void)
{
    uint64_t token;
    crypto_random(&token, sizeof token);
    return token >> 1;
}

int unpublished_scan(struct fs *fs, int (*visit)(void *ctx, const uint8_t *rows, size_t len), void *ctx)
{
    uint64_t token = scan_token();
    int more = 1;

    while (more == 1) {
        struct buf rows = { 0 };
        more = index_collect(fs->index, token, SCAN_ROWS, &rows);
        int rc = more < 0 ? more : visit(ctx, rows.data, rows.len);
        buf_free(&rows);
        if (rc < 0)
            return rc;
    }
    return more;
}

struct runs_scan { on_runs visit; void *ctx; };

static int scan_rows(void *ctx, const uint8_t *rows, size_t len)
{
    const struct runs_scan *s = ctx;
    struct reader in = reader_over(rows, len);
    struct record *rec = malloc(sizeof *rec);
    int rc = rec ? 1 : -ENOMEM;

    while (rc == 1 && (rc = batch_next(&in, rec)) == 1) {
        int seen = 0;
        if (rec->kind == RECORD_INODE)
            seen = s->visit(s->ctx, rec->inode.ino, 0, rec->inode.runs, rec->inode.run_count);
        else if (rec->kind == RECORD_CHUNK)
            seen = s->visit(s->ctx, rec->chunk.ino, rec->chunk.n * CHUNK_BLOCKS, rec->chunk.runs,
                            rec->chunk.run_count);
        if (seen)
            rc = seen;
    }
    free(rec);
    return rc;
}

int unpublished_runs(struct fs *fs, on_runs visit, void *ctx)
{
    struct runs_scan s = { visit, ctx };
    return unpublished_scan(fs, scan_rows, &s);
}

static int add_live(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    (void)ino;
    (void)base;
    for (uint32_t k = 0; k < count; k++)
        segment_live(ctx, runs[k].segment, (int64_t)run_bytes(&runs[k]));
    return 0;
}

int reseal_count_live(struct fs *fs)
{
    if (list_empty(&fs->segments.staged))
        return 0;
    return unpublished_runs(fs, add_live, fs);
}

/* --- sparse segments ------------------------------------------------------------- */

struct sparse {
    struct fs *fs;
    uint32_t *numbers;         /* sorted */
    size_t count;
    struct buf places;
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int note_places(void *ctx, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    struct sparse *s = ctx;

    for (uint32_t k = 0; k < count; k++) {
        if (!bsearch(&runs[k].segment, s->numbers, s->count, sizeof *s->numbers, by_number))
            continue;
        struct block_place p = { ino, base + runs[k].first, runs[k].segment, runs[k].offset, runs[k].count };
        buf_append(&s->places, &p, sizeof p);
    }
    return s->places.failed ? -ENOMEM : 0;
}

static bool is_sparse(const struct segment *s, bool all)
{
    uint64_t data = s->used - SEGMENT_DATA;
    if (s->sealed || s->dying || !s->live)
        return false;
    return all || (s->live < data - data / 5 && data - s->live > WASTE_MIN);
}

static int find_sparse(struct fs *fs, bool all, struct sparse *out)
{
    struct segments *t = &fs->segments;
    size_t count = 0;

    pthread_mutex_lock(&t->lock);
    bool open_too = t->open && is_sparse(t->open, all);
    pthread_mutex_unlock(&t->lock);
    if (open_too)
        segments_close_open(fs, false);
    pthread_mutex_lock(&t->lock);
    list_each(l, &t->staged)
        count++;
    out->numbers = calloc(count + 1, sizeof *out->numbers);
    list_each(l, &t->staged) {
        const struct segment *s = container(l, const struct segment, staged_link);
        if (out->numbers && s->closed && is_sparse(s, all))
            out->numbers[out->count++] = s->number;
    }
    pthread_mutex_unlock(&t->lock);
    if (!out->numbers)
        return -ENOMEM;
    qsort(out->numbers, out->count, sizeof *out->numbers, by_number);
    return 0;
}

static int damaged(struct fs *fs, uint32_t number)
{
    struct segment_row row;

    int rc = index_segment(fs->index, number, &row);
    return rc ? rc : segment_damaged(fs, &row.id);
}

static int reseal(struct fs *fs, bool all)
{
    struct sparse s = { .fs = fs };
    struct relocations moved = { 0 };

    int rc = find_sparse(fs, all, &s);
    if (!rc && s.count) {
        commit_take_turn(fs);
        rc = commit_in_turn(fs, COMMIT_INDEX);
        int result = rc;
        if (!rc)
            rc = unpublished_runs(fs, note_places, &s);
        commit_give_turn(fs, result);
    }
    places_sort(&s.places);
    for (size_t at = 0; !rc && at < s.places.len; at += sizeof(struct block_place)) {
        struct block_place p;
        memcpy(&p, s.places.data + at, sizeof p);
        rc = relocate(fs, &moved, &p);
        /* A block that rotted stays where it is: that it is sparse is no reason
         * to publish nothing any more. A copied state cannot leave it there. */
        if (rc == E_AUTH || rc == E_FORMAT)
            rc = all ? damaged(fs, p.segment) : 0;
    }
    relocations_free(&moved);
    buf_free(&s.places);
    free(s.numbers);
    return rc;
}

int reseal_sparse(struct fs *fs)
{
    return reseal(fs, false);
}

int reseal_all(struct fs *fs)
{
    return reseal(fs, true);
}
