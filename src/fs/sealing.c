/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The segments of a cut get their footers, the carrier last.
 *
 * A footer that could not be completed is written again with fresh nonces; the
 * earlier bytes never left the staging directory.
 */
#include "publishing.h"
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define FOOTER_FIXED 1024u           /* sealing, trailer, counts */

int hash_file(int fd, uint64_t size, uint8_t out[SHA256_SIZE])
{
    struct sha256 *h = NULL;
    uint8_t *chunk = malloc(1u << 20);
    int rc = chunk ? sha256_new(&h) : -ENOMEM;

    for (uint64_t at = 0; !rc && at < size;) {
        size_t len = size - at < (1u << 20) ? (size_t)(size - at) : 1u << 20;
        rc = io_read_at(fd, chunk, len, at);
        if (!rc)
            sha256_add(h, chunk, len);
        at += len;
    }
    if (!rc)
        sha256_end(h, out);
    else
        sha256_free(h);
    free(chunk);
    return rc;
}

/* After a failed sync the kernel may have dropped what it had: no second try. */
int latched_sync(struct fs *fs, const char *where, int rc)
{
    if (rc)
        fs_latch(fs, rc, where);
    return rc;
}

/* Writes footer, padding and trailer behind the blocks, syncs, hashes. */
static int seal_file(struct fs *fs, struct segment *s, uint64_t publication, const struct buf *footer,
                     struct segment_row *row)
{
    struct buf end = { 0 };

    int rc = segment_finish_carrier(s->key, s->used, publication, footer->data, footer->len, &end);
    if (!rc && ftruncate(s->fd, (off_t)s->used))
        rc = -errno;
    if (!rc)
        rc = io_write_at(s->fd, end.data, end.len, s->used, FAULT_segment_footer);
    if (!rc)
        rc = latched_sync(fs, "footer sync", io_sync(s->fd, FAULT_segment_footer));
    lateness_moved(fs);
    *row = (struct segment_row){ .number = s->number, .state = SEGMENT_STAGED, .id = s->id,
                                 .epoch = s->epoch, .length = s->used + end.len };
    if (!rc)
        rc = hash_file(s->fd, row->length, row->sha256);
    buf_free(&end);
    return rc;
}

/* With the payload of publication p, and what is borrowed, or (NULL) without. */
static int seal_segment(struct fs *fs, struct reverse *r, struct segment *s, const struct buf *payload,
                        const struct buf *borrowed, struct publication *p, struct segment_row *row)
{
    struct buf footer = { 0 };
    size_t payload_len = payload ? payload->len + borrowed->len : 0;
    uint64_t taken = s->used + payload_len + FOOTER_FIXED;

    int rc = reverse_footer(fs, r, s->number, taken < SEGMENT_MAX ? (size_t)(SEGMENT_MAX - taken) : 0, &footer);
    if (!rc) {
        footer_end(&footer, borrowed, payload ? PAYLOAD_PUBLICATION : PAYLOAD_NONE,
                   payload ? payload->data : NULL, payload ? payload->len : 0);
        rc = footer.failed ? -ENOMEM : seal_file(fs, s, p ? p->seq : 0, &footer, row);
        if (p)
            p->size = footer.len;
    }
    buf_free(&footer);
    return rc;
}

/* What the payload takes at most: it is encoded once before its carrier is known,
 * so a new one and long varints are added. */
static int payload_room(struct fs *fs, struct cut *c, const struct publication *p, size_t *out)
{
    struct buf payload = { 0 };

    int rc = publication_encode(fs, p, c->rows, c->count, 0, &payload);
    *out = payload.len + 8 * c->count + 256;
    buf_free(&payload);
    return rc;
}

/* The carrier is the last segment of the cut, which alone is not sealed yet, if all
 * that it has to tell fits in; else a new one that holds no blocks. */
static int choose_carrier(struct fs *fs, struct cut *c, const struct publication *p, struct reverse *r,
                          struct buf *borrowed)
{
    struct segment *last = c->count ? c->v[c->count - 1] : NULL, *fresh;
    size_t payload, runs = last ? reverse_room(r, last->number) : 0;

    /* Its estimate is of its appends, not of those who share them. */
    if (last && runs < last->footer)
        runs = last->footer;
    if (last)
        c->rows[c->count - 1] = (struct segment_row){ .number = last->number, .id = last->id };
    int rc = payload_room(fs, c, p, &payload);
    if (rc)
        return rc;
    payload += borrowed->len + 8 * fs->actor_count;
    if (last && segment_size_class(last->used + runs + FOOTER_ROOM + payload + payload / 16))
        return 0;
    if (last)
        rc = seal_segment(fs, r, last, NULL, NULL, NULL, &c->rows[c->count - 1]);
    if (!rc && last)                     /* it may have left something out */
        rc = borrowed_encode(fs, &r->borrowed, borrowed);
    if (!rc)
        rc = segment_create(fs, true, &fresh);
    if (!rc)
        c->v[c->count++] = fresh;
    return rc;
}

static int seal_carrier(struct fs *fs, struct cut *c, struct publication *p, struct reverse *r,
                        const struct buf *borrowed, uint8_t hash[SHA256_SIZE])
{
    struct segment *carrier = c->v[c->count - 1];
    struct segment_row *row = &c->rows[c->count - 1];
    struct buf payload = { 0 };

    *row = (struct segment_row){ .number = carrier->number, .id = carrier->id };
    int rc = publication_encode(fs, p, c->rows, c->count, carrier->number, &payload);
    if (!rc) {
        size_t told = r->borrowed.runs.len;
        crypto_sha256(payload.data, payload.len, hash);
        rc = seal_segment(fs, r, carrier, &payload, borrowed, p, row);
        assert(r->borrowed.runs.len == told);   /* nothing more is left out: see choose_carrier */
        (void)told;
    }
    buf_free(&payload);
    return rc;
}

int cut_seal(struct fs *fs, struct cut *c, struct publication *p, struct reverse *r, uint8_t hash[SHA256_SIZE])
{
    struct buf borrowed = { 0 };
    int rc = 0;

    cut_mark_sealed(fs, c, true);
    for (size_t k = 0; !rc && k + 1 < c->count; k++)
        rc = seal_segment(fs, r, c->v[k], NULL, NULL, NULL, &c->rows[k]);
    if (!rc)
        rc = borrowed_encode(fs, &r->borrowed, &borrowed);
    if (!rc)
        rc = choose_carrier(fs, c, p, r, &borrowed);
    if (!rc)
        rc = seal_carrier(fs, c, p, r, &borrowed, hash);
    if (!rc)
        rc = latched_sync(fs, "staging sync", io_sync_dir(fs->state->staging, FAULT_segment_footer));
    buf_free(&borrowed);
    return rc;
}
