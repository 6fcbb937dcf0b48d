/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Listing directories: the index's rows, corrected by what is pending.
 *
 * A position is the cookie of the last entry seen, so a listing can stop and
 * go on while names come and go: a name that was there throughout is returned
 * exactly once.  A page is gathered under meta and filled in without it.
 */
#include "internal.h"
#include <stdlib.h>

#define PAGE 64u
/* Beyond this many pending names a commit is cheaper than scanning them. */
#define PENDING_MAX 1024u
#define POS_DOT 1u
#define POS_DOTDOT 2u

struct item {
    uint64_t cookie, ino;
    struct stat attr;
    char name[NAME_LIMIT + 1];
};

/* Items are indices into `items` kept in cookie order. */
struct page {
    struct fs *fs;
    struct inode *dir;
    bool plus, full;
    uint32_t count, rows;
    uint64_t last;           /* cookie of the last index row seen */
    struct item items[2 * PAGE];
};

static struct item *add(struct page *p, const char *name, size_t len, uint64_t cookie, uint64_t ino,
                        uint32_t mode)
{
    struct item *it = &p->items[p->count++];
    memset(&it->attr, 0, sizeof it->attr);
    it->cookie = cookie;
    it->ino = ino;
    it->attr.st_ino = ino;
    it->attr.st_mode = mode;
    memcpy(it->name, name, len);
    it->name[len] = '\0';
    return it;
}

static int visit(void *ctx, const struct dirent_row *d, const struct inode_row *row)
{
    struct page *p = ctx;
    struct cache *c = &p->fs->cache;

    p->rows++;
    p->last = d->cookie;
    const struct fs_dirent *known = cache_dirent(c, d->parent, (const char *)d->name, d->name_len);
    if (known && !list_empty(&known->pending))
        return 0;            /* the pending list has the truth */
    struct item *it = add(p, (const char *)d->name, d->name_len, d->cookie, d->ino, d->mode);
    if (!p->plus)
        return 0;
    const struct inode *i = cache_inode(c, d->ino);
    if (i)
        inode_stat(p->fs, i, &it->attr);
    else if (row)
        row_stat(p->fs, row, &it->attr);
    else
        p->count--;          /* a name without its inode: damaged, not listed */
    return 0;
}

static int by_cookie(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* The pending name with the least cookie in (after, upto], or NULL. */
static const struct fs_dirent *next_pending(const struct inode *dir, uint64_t after, uint64_t upto)
{
    const struct fs_dirent *best = NULL;

    list_each(l, &dir->pending) {
        const struct fs_dirent *d = container(l, const struct fs_dirent, pending);
        if (!(d->e.state & ENTRY_GONE) && d->cookie > after && d->cookie <= upto &&
            (!best || d->cookie < best->cookie))
            best = d;
    }
    return best;
}

/* Pending names are mostly in cookie order: one pass takes them as they come
 * and keeps the lowest PAGE of them. */
static int add_pending(struct page *p, uint64_t after, uint64_t upto)
{
    uint32_t room = PAGE;

    for (const struct fs_dirent *d = NULL; room; room--) {
        d = next_pending(p->dir, d ? d->cookie : after, upto);
        if (!d)
            return 0;
        struct item *it = add(p, d->name, d->name_len, d->cookie, d->ino, d->mode);
        struct inode *i;
        int rc = p->plus ? inode_get(p->fs, d->ino, &i) : 0;
        if (rc)
            return rc;
        if (p->plus)
            inode_stat(p->fs, i, &it->attr);
    }
    p->full = true;
    return 0;
}

/* One page of entries after `off`, in order; meta held. */
static int gather(struct page *p, uint64_t off)
{
    p->count = p->rows = 0;
    p->full = false;
    p->last = off;
    int rc = index_scan_dir(p->fs->index, p->dir->ino, off, PAGE, p->plus, visit, p);
    if (rc)
        return rc;
    uint64_t upto = p->rows == PAGE ? p->last : NEVER;
    rc = add_pending(p, off, upto);
    if (rc)
        return rc;
    qsort(p->items, p->count, sizeof *p->items, by_cookie);
    if (p->full) {
        /* More pending names follow the last one taken: end the page there. */
        uint64_t last_pending = 0;
        for (uint32_t k = 0; k < p->count; k++) {
            const struct fs_dirent *d = cache_dirent(&p->fs->cache, p->dir->ino, p->items[k].name,
                                                  strlen(p->items[k].name));
            if (d && !list_empty(&d->pending))
                last_pending = p->items[k].cookie;
        }
        while (p->count && p->items[p->count - 1].cookie > last_pending)
            p->count--;
    }
    return 0;
}

static int fill_dots(struct fs *fs, struct inode *dir, uint64_t *off, bool plus, fs_fill fill, void *ctx)
{
    struct stat dot, up;
    struct inode *parent = dir;

    pthread_mutex_lock(&fs->meta);
    inode_stat(fs, dir, &dot);
    int rc = dir->ino == ROOT_INO ? 0 : inode_get(fs, dir->parent, &parent);
    if (!rc)
        inode_stat(fs, parent, &up);
    else
        up = dot;
    pthread_mutex_unlock(&fs->meta);
    (void)plus;
    if (*off < POS_DOT) {
        if (fill(ctx, ".", &dot, POS_DOT))
            return 1;
        *off = POS_DOT;
    }
    if (*off < POS_DOTDOT) {
        if (fill(ctx, "..", &up, POS_DOTDOT))
            return 1;
        *off = POS_DOTDOT;
    }
    return 0;
}

static int list_entries(struct page *p, uint64_t off, fs_fill fill, void *ctx)
{
    struct fs *fs = p->fs;
    bool more = true;

    while (more) {
        pthread_mutex_lock(&fs->meta);
        cache_shrink(fs);
        int rc = gather(p, off);
        more = p->rows == PAGE || p->full;
        uint64_t resume = p->last;
        pthread_mutex_unlock(&fs->meta);
        if (rc)
            return rc;
        for (uint32_t k = 0; k < p->count; k++)
            if (fill(ctx, p->items[k].name, &p->items[k].attr, p->items[k].cookie))
                return 0;
        if (p->count && p->full)
            off = p->items[p->count - 1].cookie;
        else
            off = resume;
    }
    return 0;
}

int fs_readdir(struct fs *fs, uint64_t ino, uint64_t off, bool plus, fs_fill fill, void *ctx)
{
    struct inode *dir;

    int rc = inode_take(fs, ino, &dir);
    if (rc)
        return rc;
    pthread_mutex_lock(&fs->meta);
    if (!S_ISDIR(dir->mode))
        rc = -ENOTDIR;
    else if (off < POS_DOTDOT)
        inode_read(fs, dir);
    bool many = dir->pending_count > PENDING_MAX;
    pthread_mutex_unlock(&fs->meta);
    if (!rc && many && !fs->opt.read_only)
        commit_all(fs, true);  /* failing is not the listing's business */

    struct page *p = rc ? NULL : malloc(sizeof *p);
    if (!rc && !p)
        rc = -ENOMEM;
    if (!rc) {
        p->fs = fs;
        p->dir = dir;
        p->plus = plus;
        rc = off < POS_DOTDOT ? fill_dots(fs, dir, &off, plus, fill, ctx) : 0;
        if (!rc)
            rc = list_entries(p, off, fill, ctx);
        else
            rc = 0;
    }
    free(p);
    inode_drop(fs, dir);
    return rc;
}
