/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Extended attributes: one list per inode, loaded whole, rewritten whole.
 *
 * The inode's flag INODE_XATTRS says whether the index has a list, so that the
 * many questions about attributes that nobody set are answered from memory.
 */
#include "internal.h"
#include <linux/limits.h>
#include <sys/xattr.h>

/* All attributes of one file together. */
#define LIST_MAX (1u << 20)

int xattrs_load(struct fs *fs, struct inode *i)
{
    struct row_hold hold = { 0 };
    struct xattr_row row;

    if (i->xattrs_loaded)
        return 0;
    if (i->flags & INODE_XATTRS) {
        int rc = index_xattrs(fs->index, i->ino, &row, &hold);
        if (!rc) {
            buf_append(&i->xattrs, row.list, row.len);
            cache_recount(&fs->cache, 0, i->xattrs.cap);
            rc = i->xattrs.failed ? -ENOMEM : 0;
            if (rc)
                buf_free(&i->xattrs);    /* it is tried again */
        }
        row_hold_free(&hold);
        if (rc && rc != -ENOENT)
            return rc;
    }
    i->xattrs_loaded = true;
    return 0;
}

/* The value of `name` inside the list, or NULL. */
const uint8_t *xattrs_find(const struct inode *i, const char *name, size_t *len)
{
    struct reader r = reader_over(i->xattrs.data, i->xattrs.len);
    const uint8_t *n, *v;
    size_t n_len;

    while (xattr_list_next(&r, &n, &n_len, &v, len) == 1)
        if (n_len == strlen(name) && memcmp(n, name, n_len) == 0)
            return v;
    return NULL;
}

ssize_t fs_getxattr(struct fs *fs, uint64_t ino, const char *name, void *value, size_t size)
{
    struct inode *i;
    size_t len = 0;

    pthread_mutex_lock(&fs->meta);
    ssize_t rc = inode_get(fs, ino, &i);
    if (!rc)
        rc = xattrs_load(fs, i);
    if (!rc) {
        const uint8_t *v = xattrs_find(i, name, &len);
        rc = !v ? -ENODATA : size && len > size ? -ERANGE : (ssize_t)len;
        if (rc > 0 && size)
            memcpy(value, v, len);
    }
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

ssize_t fs_listxattr(struct fs *fs, uint64_t ino, char *list, size_t size)
{
    struct inode *i;
    const uint8_t *n, *v;
    size_t n_len, v_len, total = 0;

    pthread_mutex_lock(&fs->meta);
    ssize_t rc = inode_get(fs, ino, &i);
    if (!rc)
        rc = xattrs_load(fs, i);
    if (!rc) {
        struct reader r = reader_over(i->xattrs.data, i->xattrs.len);
        while (xattr_list_next(&r, &n, &n_len, &v, &v_len) == 1) {
            if (size && total + n_len + 1 <= size) {
                memcpy(list + total, n, n_len);
                list[total + n_len] = '\0';
            }
            total += n_len + 1;
        }
        rc = size && total > size ? -ERANGE : (ssize_t)total;
    }
    pthread_mutex_unlock(&fs->meta);
    return rc;
}

/* Replaces the list by itself without `name` and with name = value (NULL: none). */
int xattrs_put(struct fs *fs, struct inode *i, const char *name, const void *value, size_t size)
{
    struct reader r = reader_over(i->xattrs.data, i->xattrs.len);
    struct buf fresh = { 0 };
    const uint8_t *n, *v;
    size_t n_len, v_len, len = strlen(name);

    while (xattr_list_next(&r, &n, &n_len, &v, &v_len) == 1)
        if (n_len != len || memcmp(n, name, len) != 0)
            xattr_list_add(&fresh, (const char *)n, n_len, v, v_len);
    if (value)
        xattr_list_add(&fresh, name, len, value, size);
    if (fresh.failed || fresh.len > LIST_MAX) {
        int rc = fresh.failed ? -ENOMEM : -ENOSPC;
        buf_free(&fresh);
        return rc;
    }
    cache_recount(&fs->cache, i->xattrs.cap, fresh.cap);
    buf_free(&i->xattrs);
    i->xattrs = fresh;
    if (fresh.len)
        i->flags |= INODE_XATTRS;
    else
        i->flags &= ~INODE_XATTRS;
    i->xattrs_unapplied = i->xattrs_unlogged = true;
    entry_dirty(fs, &i->e);
    return 0;
}

static int change(struct fs *fs, uint64_t ino, const char *name, const void *value, size_t size, int flags)
{
    struct inode *i;
    size_t len;

    int rc = fs_may_write(fs, value == NULL);
    if (rc)
        return rc;
    commit_throttle(fs);
    pthread_mutex_lock(&fs->meta);
    rc = inode_get(fs, ino, &i);
    if (!rc)
        rc = xattrs_load(fs, i);
    bool acl = acl_name(name);
    if (!rc && !(acl && !value)) {
        bool there = xattrs_find(i, name, &len) != NULL;
        if (there && (flags & XATTR_CREATE))
            rc = -EEXIST;
        else if (!there && (!value || (flags & XATTR_REPLACE)))
            rc = -ENODATA;
    }
    if (!rc)
        rc = acl && value ? acl_set(fs, i, name, value, size) : xattrs_put(fs, i, name, value, size);
    if (!rc)
        inode_touch(i, false);
    pthread_mutex_unlock(&fs->meta);
    atomic_fetch_add(&fs->activity, 1);
    return rc;
}

int fs_setxattr(struct fs *fs, uint64_t ino, const char *name, const void *value, size_t size, int flags)
{
    size_t len = strlen(name);
    if (!len || len > XATTR_NAME_MAX)
        return -ERANGE;
    if (size > XATTR_SIZE_MAX)
        return -E2BIG;
    return change(fs, ino, name, value ? value : "", size, flags);
}

int fs_removexattr(struct fs *fs, uint64_t ino, const char *name)
{
    return change(fs, ino, name, NULL, 0, 0);
}

int inode_kill_priv(struct fs *fs, struct inode *i)
{
    size_t len;

    if (S_ISDIR(i->mode))
        return 0;
    uint32_t mode = i->mode & ~(uint32_t)S_ISUID;
    if (mode & S_IXGRP)
        mode &= ~(uint32_t)S_ISGID;
    if (mode != i->mode) {
        i->mode = mode;
        entry_dirty(fs, &i->e);
    }
    if (!(i->flags & INODE_XATTRS))
        return 0;
    int rc = xattrs_load(fs, i);
    if (!rc && xattrs_find(i, "security.capability", &len))
        rc = xattrs_put(fs, i, "security.capability", NULL, 0);
    return rc;
}
