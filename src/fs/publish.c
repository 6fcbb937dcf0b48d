/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publication: what is committed becomes visible in the store.
 *
 *   cut       commit to the index; at the same moment all staged segments close
 *   collect   the rows noted since the last publication, still in the turn
 *   seal      footers, hashes, fdatasync; the segment that carries the rows last
 *   intend    one transaction: exact ids, lengths, hashes, seq       (durable)
 *   move      objects into the store, their directories synced; carrier last
 *   mark      one transaction: it is done
 *
 * Cut and collect are here, sealing.c seals, delivery.c has the rest; publisher.c
 * says when.  Before `intend` nothing has left; after it the same bytes are
 * completed, never regenerated (publish_complete, also after a crash).  When the
 * rows do not fit into one payload, further publications follow at once, each a
 * cut of its own; all but the last are flagged `more`, and whoever reads applies
 * them together.  Every publication takes all staged segments along, so that
 *
 *   a staged segment is referred to by unpublished rows, and by no others:
 *
 * live counts after a crash, resealing and reverse maps rest on this.
 */
#include "collecting.h"
#include "publishing.h"
#include <stdlib.h>

#define ROWS_MAX (2u << 20)          /* rows in one payload, about; several copies are in memory */
#define SHARD_ROWS (1920u << 10)     /* likewise, and with the rest of it in a file of 2 MiB */

static void cut_release(struct fs *fs, struct cut *c)
{
    for (size_t k = 0; k < c->count; k++)
        segment_unref(fs, c->v[k]);
    free(c->v);
    free(c->rows);
    *c = (struct cut){ 0 };
}

static int by_number(const void *a, const void *b)
{
    const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The segments that were marked at the cut and are still alive. */
static int cut_take(struct fs *fs, struct cut *c)
{
    struct buf numbers = { 0 };
    int rc = 0;

    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged) {
        const struct segment *s = container(l, const struct segment, staged_link);
        if (s->in_cut && !s->dying)
            buf_append(&numbers, &s->number, sizeof s->number);
    }
    pthread_mutex_unlock(&fs->segments.lock);

    size_t count = numbers.len / sizeof(uint32_t);
    c->v = calloc(count + 1, sizeof *c->v);
    c->rows = calloc(count + 1, sizeof *c->rows);
    if (!c->v || !c->rows || numbers.failed)
        rc = -ENOMEM;
    for (size_t k = 0; !rc && k < count; k++) {
        uint32_t number;
        memcpy(&number, numbers.data + k * sizeof number, sizeof number);
        rc = segment_ref(fs, number, &c->v[c->count]);
        if (!rc)
            c->count++;
    }
    buf_free(&numbers);
    if (c->count)
        qsort(c->v, c->count, sizeof *c->v, by_number);
    return rc;
}

void cut_mark_sealed(struct fs *fs, const struct cut *c, bool sealed)
{
    pthread_mutex_lock(&fs->segments.lock);
    for (size_t k = 0; k < c->count; k++)
        c->v[k]->sealed = sealed;
    pthread_mutex_unlock(&fs->segments.lock);
}

/* --- one publication -------------------------------------------------------------------- */

/* The rows of this part, and the reverse maps, which need all unpublished rows:
 * those of later parts refer to the segments of this one. 1 when rows remain. */
static int collect(struct fs *fs, struct buf *rows, struct reverse *r, uint64_t token)
{
    int rc = index_collect(fs->index, token, ROWS_MAX, rows);
    if (rc == 0)
        return reverse_add(r, rows->data, rows->len);
    if (rc == 1)
        rc = unpublished_scan(fs, reverse_add, r);
    buf_reset(rows);
    return rc ? rc : index_collect(fs->index, token, ROWS_MAX, rows);
}

/* Commits, collects and takes the segments as one step: a segment that the
 * collected rows refer to must not die meanwhile. */
static int cut_and_collect(struct fs *fs, struct cut *c, struct buf *rows, struct reverse *r, uint64_t token)
{
    commit_take_turn(fs);
    int rc = commit_in_turn(fs, COMMIT_CUT);
    int result = rc;
    if (!rc)
        rc = collect(fs, rows, r, token);
    int taken = rc < 0 ? 0 : cut_take(fs, c);
    if (rc >= 0 && !taken)
        taken = borrowed_rows(fs, &r->borrowed, rows);
    commit_give_turn(fs, result);
    return taken ? taken : rc;
}

/* Who lacks the checkpoint before it may go on from what came before that. */
static int find_around(struct fs *fs, struct publication *p)
{
    struct publication_row last, plain;

    int rc = index_last_publication(fs->index, &last);
    if (!rc && last.shard)
        rc = index_plain_publication(fs->index, last.seq, &plain);
    if (rc || !last.shard)
        return rc == -ENOENT ? 0 : rc;
    p->around = (struct publication_head){ .actor = actors_of(fs, plain.seq), .seq = plain.seq };
    memcpy(p->around.hash, plain.hash, sizeof plain.hash);
    return 0;
}

static int describe(struct fs *fs, struct publication *p)
{
    p->time = clock_now();
    p->seq = fs->publish.seq + 1;
    if (!actors_chain_begins(fs, p->seq))
        memcpy(p->previous, fs->publish.hash, sizeof p->previous);
    return find_around(fs, p);
}

/* From what was collected to the store. */
static int send(struct fs *fs, struct publication *p, struct cut *c, struct reverse *r, uint64_t token)
{
    uint8_t hash[SHA256_SIZE];

    int rc = describe(fs, p);
    if (!rc)
        rc = cut_seal(fs, c, p, r, hash);
    if (!rc)
        rc = publish_intend(fs, p, c, hash, token);
    if (rc)
        cut_mark_sealed(fs, c, false);
    cut_release(fs, c);
    return rc ? rc : publish_complete(fs);
}

/* One part, from the cut to the store. 1 when more has to follow. What was intended before has
 * the next number, and goes first: a part of a checkpoint, say, for which the store had no room. */
static int publish_part(struct fs *fs)
{
    struct publication p = { 0 };
    struct reverse *r = NULL;
    struct cut c = { 0 };
    uint64_t token;

    crypto_random(&token, sizeof token);
    token >>= 1;
    int rc = publish_complete(fs);
    if (!rc)
        rc = reverse_new(&r);
    if (!rc)
        rc = cut_and_collect(fs, &c, &p.rows, r, token);
    p.more = rc == 1;
    if (rc >= 0 && (p.rows.len || c.count))
        rc = send(fs, &p, &c, r, token);
    cut_release(fs, &c);
    reverse_free(r);
    buf_free(&p.rows);
    return rc < 0 ? rc : p.more;
}

/* A part of a checkpoint: rows as they were published, so it needs no cut, and what
 * is staged stays so. */
int publish_shard(struct fs *fs, struct dump *d, uint32_t number)
{
    struct publication p = { .shard = number + 1 };
    struct index_totals totals;
    struct reverse *r = NULL;
    struct cut c = { .v = calloc(1, sizeof *c.v), .rows = calloc(1, sizeof *c.rows) };

    int rc = c.v && c.rows ? publish_complete(fs) : -ENOMEM;
    if (!rc)
        rc = reverse_new(&r);
    if (!rc) {
        commit_take_turn(fs);
        rc = index_dump(fs->index, d, SHARD_ROWS, &p.rows);
        int borrowed = rc < 0 ? 0 : borrowed_rows(fs, &r->borrowed, &p.rows);
        if (borrowed)
            rc = borrowed;
        commit_give_turn(fs, -EAGAIN);
    }
    p.last = rc == 0;
    p.more = !p.last || d->skipped;
    if (rc >= 0 && index_totals(fs->index, &totals) == 0)
        p.inodes = totals.inodes;
    pthread_mutex_lock(&fs->meta);
    p.next_ino = fs->next_ino & INODE_COUNTER;
    p.next_cookie = fs->next_cookie;
    pthread_mutex_unlock(&fs->meta);
    if (rc >= 0)
        rc = send(fs, &p, &c, r, 0);
    cut_release(fs, &c);
    reverse_free(r);
    buf_free(&p.rows);
    return rc < 0 ? rc : !p.last;
}

int publish_rows(struct fs *fs)
{
    int rc;

    do
        rc = publish_part(fs);
    while (rc == 1);
    return rc;
}

/* Rows that the parts left out, being changed again, follow. */
int publish_checkpoint(struct fs *fs)
{
    bool skipped = false;

    int rc = checkpoint_write(fs, &skipped);
    return rc || !skipped ? rc : publish_rows(fs);
}
