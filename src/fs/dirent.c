/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names in directories.
 *
 * A name keeps its cookie (its position in listings) for as long as it exists,
 * also when a rename makes it another file's, and when it is deleted and made
 * again before the deletion was committed.  Cookies ascend with creation, so a
 * listing is in creation order, which is the order of the segments' bytes.
 *
 * Everything here runs with meta held.  dir->size counts the names.
 */
#include "internal.h"
#include <stdlib.h>

static struct fs_dirent *dirent_alloc(uint64_t parent, const char *name, size_t len)
{
    struct fs_dirent *d = calloc(1, sizeof *d + len + 1);
    if (!d)
        return NULL;
    d->e.kind = ENTRY_DIRENT;
    d->parent = parent;
    d->name_len = (uint8_t)len;
    memcpy(d->name, name, len);
    list_init(&d->pending);
    return d;
}

static int from_row(struct fs *fs, const struct dirent_row *row, struct fs_dirent **out)
{
    struct fs_dirent *d = dirent_alloc(row->parent, (const char *)row->name, row->name_len);
    if (!d)
        return -ENOMEM;
    d->cookie = row->cookie;
    d->ino = row->ino;
    d->mode = row->mode;
    d->e.state = ENTRY_STORED;
    cache_insert(&fs->cache, &d->e);
    *out = d;
    return 0;
}

static int get(struct fs *fs, uint64_t parent, const char *name, struct fs_dirent **out, bool deleted_too)
{
    size_t len = strlen(name);
    struct fs_dirent *d = cache_dirent(&fs->cache, parent, name, len);
    if (!d) {
        struct row_hold hold = { 0 };
        struct dirent_row row;
        int rc = index_dirent(fs->index, parent, name, len, &row, &hold);
        if (!rc)
            rc = from_row(fs, &row, &d);
        row_hold_free(&hold);
        if (rc)
            return rc;
    }
    if ((d->e.state & ENTRY_GONE) && !deleted_too)
        return -ENOENT;
    *out = d;
    return 0;
}

int dirent_get(struct fs *fs, uint64_t parent, const char *name, struct fs_dirent **out)
{
    return get(fs, parent, name, out, false);
}

static bool ascii(const char *name)
{
    for (; *name; name++)
        if ((uint8_t)*name >= 0x80)
            return false;
    return true;
}

/* Among the names that the index does not have yet. */
static int pending_variant(struct fs *fs, uint64_t parent, const char *name, struct fs_dirent **out)
{
    struct inode *dir;
    size_t len = strlen(name);

    int rc = inode_get(fs, parent, &dir);
    if (rc)
        return rc;
    list_each(l, &dir->pending) {
        struct fs_dirent *d = container(l, struct fs_dirent, pending);
        if (!(d->e.state & ENTRY_GONE) && !ascii(d->name) && name_is_variant(name, len, d->name, d->name_len)) {
            *out = d;
            return 0;
        }
    }
    return -ENOENT;
}

int dirent_get_variant(struct fs *fs, uint64_t parent, const char *name, struct fs_dirent **out, bool *exact)
{
    int rc = dirent_get(fs, parent, name, out);
    *exact = rc == 0;
    if (rc != -ENOENT || ascii(name))
        return rc;
    rc = pending_variant(fs, parent, name, out);
    if (rc != -ENOENT)
        return rc;

    struct row_hold hold = { 0 };
    struct dirent_row row;
    char found[NAME_LIMIT + 1];
    rc = index_dirent_variant(fs->index, parent, name, strlen(name), &row, &hold);
    if (!rc) {
        memcpy(found, row.name, row.name_len);
        found[row.name_len] = '\0';
    }
    row_hold_free(&hold);
    return rc ? rc : dirent_get(fs, parent, found, out);
}

static void dirty(struct fs *fs, struct inode *dir, struct fs_dirent *d)
{
    if (list_empty(&d->pending)) {
        list_append(&dir->pending, &d->pending);
        dir->pending_count++;
    }
    entry_dirty(fs, &d->e);
}

int dirent_put(struct fs *fs, struct inode *dir, struct fs_dirent *old, const char *name, struct inode *i)
{
    struct fs_dirent *d = old;

    if (!d) {
        int rc = get(fs, dir->ino, name, &d, true);
        if (rc && rc != -ENOENT)
            return rc;
        if (rc) {
            d = dirent_alloc(dir->ino, name, strlen(name));
            if (!d)
                return -ENOMEM;
            d->cookie = fs->next_cookie++;
            cache_insert(&fs->cache, &d->e);
        }
        d->e.state &= (uint8_t)~ENTRY_GONE;
        dir->size++;
    }
    d->ino = i->ino;
    d->mode = i->mode & S_IFMT;
    i->parent = dir->ino;
    i->cookie = d->cookie;
    dirty(fs, dir, d);
    return 0;
}

void dirent_gone(struct fs *fs, struct inode *dir, struct fs_dirent *d)
{
    dir->size--;
    if (!(d->e.state & ENTRY_STORED)) {
        entry_discard(fs, &d->e);
        return;
    }
    d->e.state |= ENTRY_GONE;
    dirty(fs, dir, d);
}
