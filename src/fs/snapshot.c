/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a commit writes: the dirty rows as a batch, and how far the staged
 * segments are written.
 *
 * A snapshot for the journal has what changed since the last snapshot of any
 * kind; one for the index has what changed since the last one for the index.
 * Both are taken in one go under meta, so they are a cut through the requests.
 *
 * A row refers to bytes only after they were written (file.c), so everything
 * that the batch refers to lies below its segment's `written`.
 */
#include "internal.h"
#include <stdlib.h>

/* What still goes to the journal; beyond it, one sync of the segments and a
 * transaction are cheaper. */
#define JOURNAL_ROWS 512u
#define JOURNAL_TAIL (64u << 10)

/* --- rows ------------------------------------------------------------------- */

static uint64_t take_cutoff(struct inode *i, bool apply)
{
    uint64_t from = apply ? i->cut.unapplied : i->cut.unlogged;

    i->cut.unlogged = NEVER;
    if (apply) {
        i->cut.committing = from;
        i->cut.unapplied = NEVER;
    }
    return from;
}

static bool take_xattrs(struct inode *i, bool apply)
{
    bool changed = apply ? i->xattrs_unapplied : i->xattrs_unlogged;

    i->xattrs_unlogged = false;
    if (apply) {
        i->xattrs_committing = changed;
        i->xattrs_unapplied = false;
    }
    return changed;
}

static void encode_inode(struct buf *b, struct inode *i, bool apply)
{
    uint64_t cut = take_cutoff(i, apply);
    bool xattrs = take_xattrs(i, apply);
    struct inode_row row;

    if (i->e.state & ENTRY_GONE) {
        if (i->flags & INODE_CHUNKS)
            batch_gone(b, RECORD_CHUNKS_GONE, i->ino, 1);
        if (i->flags & INODE_XATTRS || xattrs)
            batch_xattr(b, &(struct xattr_row){ .ino = i->ino });
        batch_gone(b, RECORD_INODE_GONE, i->ino, 0);
        return;
    }
    inode_row(i, &row);
    batch_inode(b, &row);
    if (cut != NEVER)
        batch_gone(b, RECORD_CHUNKS_GONE, i->ino, cut);
    if (xattrs)
        batch_xattr(b, &(struct xattr_row){ .ino = i->ino, .len = i->xattrs.len, .list = i->xattrs.data });
}

static void encode_dirent(struct buf *b, const struct fs_dirent *d)
{
    if (d->e.state & ENTRY_GONE) {
        batch_gone(b, RECORD_DIRENT_GONE, d->parent, d->cookie);
        return;
    }
    batch_dirent(b, &(struct dirent_row){
        .parent = d->parent, .cookie = d->cookie, .ino = d->ino, .mode = d->mode,
        .name_len = d->name_len, .name = (const uint8_t *)d->name });
}

static void encode_chunk(struct buf *b, const struct chunk *k)
{
    batch_chunk(b, &(struct chunk_row){ .ino = k->ino, .n = k->n,
                                        .run_count = k->runs.count, .runs = k->runs.v });
}

static void encode_kind(struct buf *b, struct list *head, enum entry_kind kind, bool apply)
{
    list_each(l, head) {
        struct entry *e = apply ? container(l, struct entry, apply) : container(l, struct entry, logged);
        if (e->kind != kind)
            continue;
        if (kind == ENTRY_INODE)
            encode_inode(b, container(e, struct inode, e), apply);
        else if (kind == ENTRY_DIRENT)
            encode_dirent(b, container(e, const struct fs_dirent, e));
        else
            encode_chunk(b, container(e, const struct chunk, e));
    }
}

/* Inodes first: their cutoffs must come before the chunks written since. */
static void encode_rows(struct fs *fs, struct buf *b, bool apply)
{
    struct list *head = apply ? &fs->cache.unapplied : &fs->cache.unlogged;
    uint64_t segment;

    encode_kind(b, head, ENTRY_INODE, apply);
    encode_kind(b, head, ENTRY_DIRENT, apply);
    encode_kind(b, head, ENTRY_CHUNK, apply);
    pthread_mutex_lock(&fs->segments.lock);
    segment = fs->segments.next_number;
    pthread_mutex_unlock(&fs->segments.lock);
    batch_counter(b, COUNTER_INO, fs->next_ino);
    batch_counter(b, COUNTER_COOKIE, fs->next_cookie);
    batch_counter(b, COUNTER_SEGMENT, segment);
}

/* Moves the rows on in their life (see rows.h). */
static void advance_rows(struct cache *c, bool apply)
{
    list_each_safe(l, &c->unlogged) {
        struct entry *e = container(l, struct entry, logged);
        e->state = (uint8_t)((e->state & ~ENTRY_UNLOGGED) | ENTRY_STORED);
        list_remove(&e->logged);
    }
    c->unlogged_count = 0;
    if (!apply)
        return;
    list_each_safe(l, &c->unapplied) {
        struct entry *e = container(l, struct entry, apply);
        e->state = (uint8_t)((e->state & ~ENTRY_UNAPPLIED) | ENTRY_COMMITTING);
        list_remove(&e->apply);
        list_append(&c->committing, &e->hold);
    }
    c->unapplied_count = 0;
}

/* --- segments ----------------------------------------------------------------- */

static bool is_dead(const struct segment *s)
{
    return s->closed && !s->live && !s->sealed && !s->refs && list_empty(&s->flights);
}

static void encode_segment(struct buf *b, const struct segment *s)
{
    batch_segment(b, &(struct segment_row){ .number = s->number, .state = SEGMENT_STAGED, .id = s->id,
                                            .epoch = s->epoch, .length = s->written });
}

/* segments.lock held. Adds rows and extents of what changed. */
static int add_segments(struct fs *fs, struct snapshot *s)
{
    struct segments *t = &fs->segments;
    size_t count = 0;

    list_each(l, &t->staged)
        count++;
    s->extents = calloc(count ? count : 1, sizeof *s->extents);
    if (!s->extents)
        return -ENOMEM;
    list_each(l, &t->staged) {
        struct segment *g = container(l, struct segment, staged_link);
        if (g->sealed)
            continue;
        if (s->apply && is_dead(g)) {
            if (g->row_applied || g->row_logged)
                batch_gone(&s->batch, RECORD_SEGMENT_GONE, g->number, 0);
            g->dying = true;
            continue;
        }
        if (g->written != (s->apply ? g->row_applied : g->row_logged)) {
            encode_segment(&s->batch, g);
            g->row_logged = g->written;
        }
        uint64_t from = s->apply || g->synced > g->logged ? g->synced : g->logged;
        if (from < g->written || (s->apply && g->row_applied != g->written)) {
            g->refs++;
            if (!list_empty(&g->lru)) {
                list_remove(&g->lru);
                t->lru_count--;
            }
            s->extents[s->extent_count++] = (struct extent){ g, from, g->written };
        }
    }
    return 0;
}

static bool segments_changed(struct fs *fs, bool apply, uint64_t *unsynced)
{
    bool changed = false;

    *unsynced = 0;
    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged) {
        const struct segment *g = container(l, const struct segment, staged_link);
        uint64_t known = g->synced > g->logged ? g->synced : g->logged;
        if (g->sealed)
            continue;
        *unsynced += g->written > known ? g->written - known : 0;
        changed |= g->written != (apply ? g->row_applied : g->row_logged) || (apply && is_dead(g));
    }
    pthread_mutex_unlock(&fs->segments.lock);
    return changed;
}

/* Nothing has the rows of these segments now, or so it must be taken; and none is gone. */
static void segments_failed(struct fs *fs, const struct snapshot *s)
{
    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged)
        container(l, struct segment, staged_link)->dying = false;
    for (size_t k = 0; k < s->extent_count; k++)
        s->extents[k].segment->row_logged = s->extents[k].segment->row_applied;
    pthread_mutex_unlock(&fs->segments.lock);
}

/* --- the snapshot ---------------------------------------------------------------- */

int snapshot_take(struct fs *fs, struct snapshot *s, bool apply)
{
    struct cache *c = &fs->cache;
    uint64_t unsynced;

    *s = (struct snapshot){ .apply = apply };
    if (!list_empty(&fs->hazards))
        return -EAGAIN;
    bool changed = segments_changed(fs, apply, &unsynced);
    /* Bytes that no row refers to need no commit. */
    if (apply ? !c->unapplied_count && !changed : !c->unlogged_count) {
        s->empty = true;
        return 0;
    }
    if (c->unlogged_count > JOURNAL_ROWS || unsynced > JOURNAL_TAIL)
        s->apply = true;
    encode_rows(fs, &s->batch, s->apply);
    pthread_mutex_lock(&fs->segments.lock);
    int rc = add_segments(fs, s);
    pthread_mutex_unlock(&fs->segments.lock);
    if (!rc && s->batch.failed)
        rc = -ENOMEM;
    advance_rows(c, s->apply);
    if (rc)
        snapshot_failed(fs, s);
    return rc;
}

int snapshot_tails(struct snapshot *s)
{
    for (size_t k = 0; k < s->extent_count; k++) {
        const struct extent *x = &s->extents[k];
        size_t len = (size_t)(x->to - x->from);
        uint8_t *bytes = malloc(len ? len : 1);
        int rc = bytes ? io_read_at(x->segment->fd, bytes, len, x->from) : -ENOMEM;
        if (!rc)
            batch_tail(&s->batch, x->segment->number, x->from, bytes, len);
        free(bytes);
        if (rc)
            return rc;
    }
    return s->batch.failed ? -ENOMEM : 0;
}

/* The staged segments' side of a durable commit; dead ones are taken off. */
static void segments_done(struct fs *fs, struct snapshot *s)
{
    struct segments *t = &fs->segments;
    struct segment *dead = NULL;

    pthread_mutex_lock(&t->lock);
    for (size_t k = 0; k < s->extent_count; k++) {
        struct segment *g = s->extents[k].segment;
        if (g->logged < s->extents[k].to)
            g->logged = s->extents[k].to;
        if (s->apply)
            g->synced = g->row_applied = s->extents[k].to;
    }
    pthread_mutex_unlock(&t->lock);
    while (s->apply) {
        dead = NULL;
        pthread_mutex_lock(&t->lock);
        list_each(l, &t->staged)
            if (container(l, struct segment, staged_link)->dying)
                dead = container(l, struct segment, staged_link);
        pthread_mutex_unlock(&t->lock);
        if (!dead)
            return;
        segment_forget(fs, dead);
    }
}

void snapshot_done(struct fs *fs, struct snapshot *s)
{
    segments_done(fs, s);
    if (s->apply)
        cache_committed(fs);
}

/* Rows of a journal snapshot are still in `unapplied`; see must_apply. */
void snapshot_failed(struct fs *fs, const struct snapshot *s)
{
    if (!s->apply)
        return;
    segments_failed(fs, s);
    cache_revert(fs);
}

void snapshot_release(struct fs *fs, struct snapshot *s)
{
    for (size_t k = 0; k < s->extent_count; k++)
        segment_unref(fs, s->extents[k].segment);
    free(s->extents);
    buf_free(&s->batch);
    *s = (struct snapshot){ 0 };
}
