/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The metadata cache: rows by key, their states, and the bound on memory.
 *
 * One hash table holds inodes, dirents and chunks.  A row is in exactly one of
 * lru (clean, unpinned or not) and committing, or in neither while it is only
 * dirty; it is in `unapplied` and `unlogged` as its flags say.  Only clean and
 * unpinned rows are evicted, so the bound may be exceeded by dirty rows; the
 * committer is woken long before (commit.c).
 *
 * Everything here runs with meta held.
 */
#include "internal.h"
#include <stdlib.h>

#define SHRINK_STEP 256u

static size_t hash_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return (size_t)(x ^ x >> 33);
}

static size_t hash_name(uint64_t parent, const char *name, size_t len)
{
    uint64_t h = parent ^ 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3ULL;
    return hash_mix(h);
}

static size_t entry_hash(const struct entry *e)
{
    switch ((enum entry_kind)e->kind) {
    case ENTRY_INODE:
        return hash_mix(container(e, const struct inode, e)->ino);
    case ENTRY_CHUNK: {
        const struct chunk *c = container(e, const struct chunk, e);
        return hash_mix(c->ino * 31 + c->n + 1);
    }
    case ENTRY_DIRENT: {
        const struct fs_dirent *d = container(e, const struct fs_dirent, e);
        return hash_name(d->parent, d->name, d->name_len);
    }
    }
    abort();
}

static size_t entry_bytes(const struct entry *e)
{
    switch ((enum entry_kind)e->kind) {
    case ENTRY_INODE: {
        const struct inode *i = container(e, const struct inode, e);
        return sizeof *i + i->runs.cap * sizeof(struct run) + i->xattrs.cap +
               (i->target ? strlen(i->target) + 1 : 0) + 32;
    }
    case ENTRY_CHUNK: {
        const struct chunk *c = container(e, const struct chunk, e);
        return sizeof *c + c->runs.cap * sizeof(struct run) + 32;
    }
    case ENTRY_DIRENT:
        return sizeof(struct fs_dirent) + container(e, const struct fs_dirent, e)->name_len + 1 + 16;
    }
    abort();
}

int cache_init(struct cache *c, size_t limit)
{
    *c = (struct cache){ .bucket_count = 16384, .limit = limit };
    c->buckets = calloc(c->bucket_count, sizeof *c->buckets);
    list_init(&c->lru);
    list_init(&c->unapplied);
    list_init(&c->unlogged);
    list_init(&c->committing);
    return c->buckets ? 0 : -ENOMEM;
}

static struct entry **slot(struct cache *c, size_t hash)
{
    return &c->buckets[hash & (c->bucket_count - 1)];
}

struct inode *cache_inode(struct cache *c, uint64_t ino)
{
    for (struct entry *e = *slot(c, hash_mix(ino)); e; e = e->hash_next)
        if (e->kind == ENTRY_INODE && container(e, struct inode, e)->ino == ino)
            return container(e, struct inode, e);
    return NULL;
}

struct chunk *cache_chunk(struct cache *c, uint64_t ino, uint64_t n)
{
    for (struct entry *e = *slot(c, hash_mix(ino * 31 + n + 1)); e; e = e->hash_next) {
        struct chunk *k = container(e, struct chunk, e);
        if (e->kind == ENTRY_CHUNK && k->ino == ino && k->n == n)
            return k;
    }
    return NULL;
}

struct fs_dirent *cache_dirent(struct cache *c, uint64_t parent, const char *name, size_t len)
{
    for (struct entry *e = *slot(c, hash_name(parent, name, len)); e; e = e->hash_next) {
        struct fs_dirent *d = container(e, struct fs_dirent, e);
        if (e->kind == ENTRY_DIRENT && d->parent == parent && d->name_len == len &&
            memcmp(d->name, name, len) == 0)
            return d;
    }
    return NULL;
}

void cache_insert(struct cache *c, struct entry *e)
{
    struct entry **s = slot(c, entry_hash(e));

    list_init(&e->apply);
    list_init(&e->logged);
    list_init(&e->hold);
    e->hash_next = *s;
    *s = e;
    c->entry_count++;
    c->bytes += entry_bytes(e);
    list_append(&c->lru, &e->hold);
}

static void unhash(struct cache *c, struct entry *e)
{
    struct entry **p = slot(c, entry_hash(e));
    while (*p != e)
        p = &(*p)->hash_next;
    *p = e->hash_next;
    c->entry_count--;
    c->bytes -= entry_bytes(e);
}

/* Something that hangs on a row grew or shrank from `before` to `after` bytes. */
void cache_recount(struct cache *c, size_t before, size_t after)
{
    c->bytes += after - before;
}

static void entry_free(struct entry *e)
{
    switch ((enum entry_kind)e->kind) {
    case ENTRY_INODE: {
        struct inode *i = container(e, struct inode, e);
        while (!list_empty(&i->chunks))
            list_remove(i->chunks.next);
        while (!list_empty(&i->pending))
            list_remove(i->pending.next);
        runs_free(&i->runs);
        buf_free(&i->xattrs);
        free(i->target);
        free(i);
        return;
    }
    case ENTRY_CHUNK: {
        struct chunk *k = container(e, struct chunk, e);
        list_remove(&k->sibling);
        runs_free(&k->runs);
        free(k);
        return;
    }
    case ENTRY_DIRENT:
        list_remove(&container(e, struct fs_dirent, e)->pending);
        free(container(e, struct fs_dirent, e));
        return;
    }
}

static void entry_remove(struct cache *c, struct entry *e)
{
    unhash(c, e);
    if (e->state & ENTRY_UNAPPLIED)
        c->unapplied_count--;
    if (e->state & ENTRY_UNLOGGED)
        c->unlogged_count--;
    list_remove(&e->apply);
    list_remove(&e->logged);
    list_remove(&e->hold);
    entry_free(e);
}

/* Keeps the count of a directory's pending names when one becomes clean. */
static void pending_end(struct fs *fs, struct fs_dirent *d)
{
    if (list_empty(&d->pending))
        return;
    list_remove(&d->pending);
    struct inode *dir = cache_inode(&fs->cache, d->parent);
    if (dir)
        dir->pending_count--;
}

void entry_discard(struct fs *fs, struct entry *e)
{
    if (e->kind == ENTRY_DIRENT)
        pending_end(fs, container(e, struct fs_dirent, e));
    entry_remove(&fs->cache, e);
}

void entry_dirty(struct fs *fs, struct entry *e)
{
    struct cache *c = &fs->cache;

    if (!(e->state & (ENTRY_UNAPPLIED | ENTRY_COMMITTING)))
        list_remove(&e->hold);
    if (!(e->state & ENTRY_UNAPPLIED)) {
        e->state |= ENTRY_UNAPPLIED;
        list_append(&c->unapplied, &e->apply);
        c->unapplied_count++;
    }
    if (!(e->state & ENTRY_UNLOGGED)) {
        e->state |= ENTRY_UNLOGGED;
        list_append(&c->unlogged, &e->logged);
        c->unlogged_count++;
    }
    commit_pressure(fs);
}

static void clean(struct fs *fs, struct entry *e)
{
    if (e->state & ENTRY_GONE) {
        entry_discard(fs, e);
        return;
    }
    if (e->kind == ENTRY_DIRENT)
        pending_end(fs, container(e, struct fs_dirent, e));
    list_append(&fs->cache.lru, &e->hold);
}

void cache_committed(struct fs *fs)
{
    list_each_safe(l, &fs->cache.committing) {
        struct entry *e = container(l, struct entry, hold);
        e->state &= (uint8_t)~ENTRY_COMMITTING;
        list_remove(&e->hold);
        if (e->kind == ENTRY_INODE) {
            container(e, struct inode, e)->cut.committing = NEVER;
            container(e, struct inode, e)->xattrs_committing = false;
        }
        if (!(e->state & ENTRY_UNAPPLIED))
            clean(fs, e);
    }
    cache_shrink(fs);
}

void cache_revert(struct fs *fs)
{
    list_each_safe(l, &fs->cache.committing) {
        struct entry *e = container(l, struct entry, hold);
        e->state &= (uint8_t)~ENTRY_COMMITTING;
        list_remove(&e->hold);
        if (e->kind == ENTRY_INODE) {
            struct inode *i = container(e, struct inode, e);
            if (i->cut.committing < i->cut.unapplied)
                i->cut.unapplied = i->cut.committing;
            if (i->cut.committing < i->cut.unlogged)
                i->cut.unlogged = i->cut.committing;
            i->cut.committing = NEVER;
            i->xattrs_unapplied |= i->xattrs_committing;
            i->xattrs_unlogged |= i->xattrs_committing;
            i->xattrs_committing = false;
        }
        /* Not through entry_dirty: the row is in no list now. */
        if (!(e->state & ENTRY_UNAPPLIED)) {
            e->state |= ENTRY_UNAPPLIED;
            list_append(&fs->cache.unapplied, &e->apply);
            fs->cache.unapplied_count++;
        }
        if (!(e->state & ENTRY_UNLOGGED)) {
            e->state |= ENTRY_UNLOGGED;
            list_append(&fs->cache.unlogged, &e->logged);
            fs->cache.unlogged_count++;
        }
    }
}

/* An inode stays as long as something refers to it by address. */
static bool evictable(const struct entry *e)
{
    if (e->pins)
        return false;
    if (e->kind != ENTRY_INODE)
        return true;
    const struct inode *i = container(e, const struct inode, e);
    return list_empty(&i->chunks) && list_empty(&i->pending) && !i->opens;
}

/* The row at the front of the lru goes, or to the back when it must stay. */
static void pass_over(struct cache *c)
{
    struct entry *e = container(c->lru.next, struct entry, hold);

    if (evictable(e)) {
        entry_remove(c, e);
    } else {
        list_remove(&e->hold);
        list_append(&c->lru, &e->hold);
    }
}

/* Amortised: a call passes over few rows, so that rows which must stay never
 * make every request walk the whole list. */
void cache_shrink(struct fs *fs)
{
    struct cache *c = &fs->cache;
    unsigned tries = SHRINK_STEP;

    while (c->bytes > c->limit && tries-- && !list_empty(&c->lru))
        pass_over(c);
}

void cache_forget(struct fs *fs, size_t tries)
{
    while (tries-- && !list_empty(&fs->cache.lru))
        pass_over(&fs->cache);
}

void cache_free(struct fs *fs)
{
    struct cache *c = &fs->cache;
    for (size_t b = 0; c->buckets && b < c->bucket_count; b++)
        while (c->buckets[b]) {
            struct entry *e = c->buckets[b];
            c->buckets[b] = e->hash_next;
            /* Everything goes, in any order: nothing is unlinked from anything. */
            if (e->kind == ENTRY_CHUNK)
                list_init(&container(e, struct chunk, e)->sibling);
            if (e->kind == ENTRY_DIRENT)
                list_init(&container(e, struct fs_dirent, e)->pending);
            if (e->kind == ENTRY_INODE) {
                list_init(&container(e, struct inode, e)->chunks);
                list_init(&container(e, struct inode, e)->pending);
            }
            entry_free(e);
        }
    free(c->buckets);
    c->buckets = NULL;
}
