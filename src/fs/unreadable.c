/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Which files cannot be read as a whole, because the store lacks an object.
 *
 * Only what is absent, or has not its length, is looked for: no content is opened.
 * The tree is walked from the root by its committed and cached rows; memory grows
 * with the depth of the tree and the number of absent objects.
 */
#include "internal.h"
#include <stdlib.h>

struct walk {
    struct fs *fs;
    struct buf missing;        /* segment numbers, ascending */
    struct buf path;           /* with a NUL at its end */
    int (*visit)(void *ctx, const char *path);
    void *ctx;
};

struct child { uint64_t ino; bool directory; size_t name; };

/* A directory's entries: taken first, so that nothing is held while they are looked at. */
struct listing { struct buf children, names; };

static int note_missing(void *ctx, const struct segment_row *row)
{
    struct walk *w = ctx;
    uint64_t size;

    if (store_size(w->fs->store, &row->id, &size) || size != row->length)
        buf_append(&w->missing, &row->number, sizeof row->number);
    return w->missing.failed ? -ENOMEM : 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_missing(const struct walk *w, uint32_t segment)
{
    return bsearch(&segment, w->missing.data, w->missing.len / sizeof segment, sizeof segment, by_number);
}

/* --- one file ----------------------------------------------------------------------- */

/* 1 when a run of it is in a missing segment. The file is pinned. */
static int look_at_maps(struct walk *w, struct inode *i)
{
    struct map_copy *map = malloc(sizeof *map);
    uint64_t n = 0;
    int rc = map ? 0 : -ENOMEM;

    while (!rc) {
        pthread_mutex_lock(&w->fs->meta);
        rc = map_copy(w->fs, i, n, map);
        if (!rc)
            rc = map_next(w->fs, i, n + 1, &n);
        pthread_mutex_unlock(&w->fs->meta);
        for (uint32_t k = 0; (!rc || rc == -ENOENT) && k < map->count; k++)
            if (is_missing(w, map->v[k].segment))
                rc = 1;
    }
    free(map);
    return rc == -ENOENT ? 0 : rc;
}

static int look_at_file(struct walk *w, uint64_t ino)
{
    struct inode *i;

    int rc = inode_take(w->fs, ino, &i);
    if (rc)
        return rc;
    rc = look_at_maps(w, i);
    inode_drop(w->fs, i);
    return rc == 1 ? w->visit(w->ctx, (const char *)w->path.data) : rc;
}

/* --- the tree -------------------------------------------------------------------------- */

static int note_child(void *ctx, const char *name, const struct stat *attr, uint64_t next)
{
    struct listing *l = ctx;
    struct child c = { .ino = attr->st_ino, .directory = S_ISDIR(attr->st_mode), .name = l->names.len };

    (void)next;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !(S_ISDIR(attr->st_mode) || S_ISREG(attr->st_mode)))
        return 0;
    buf_append(&l->children, &c, sizeof c);
    buf_append(&l->names, name, strlen(name) + 1);
    return l->children.failed || l->names.failed ? -ENOMEM : 0;
}

/* Directories are taken from a stack of (number, path), so that depth costs memory only. */
static int look_at_directory(struct walk *w, uint64_t dir, size_t prefix, struct buf *stack)
{
    struct listing l = { 0 };
    struct child c;

    int rc = fs_readdir(w->fs, dir, 0, false, note_child, &l);
    for (size_t at = 0; !rc && at < l.children.len; at += sizeof c) {
        memcpy(&c, l.children.data + at, sizeof c);
        const char *name = (const char *)l.names.data + c.name;
        w->path.len = prefix;
        buf_append(&w->path, name, strlen(name) + !c.directory);
        if (c.directory) {
            buf_append(&w->path, "/", 2);
            buf_append(stack, w->path.data, w->path.len);
            buf_append(stack, &w->path.len, sizeof w->path.len);
            buf_append(stack, &c.ino, sizeof c.ino);
        }
        rc = w->path.failed || stack->failed ? -ENOMEM : c.directory ? 0 : look_at_file(w, c.ino);
    }
    buf_free(&l.children);
    buf_free(&l.names);
    return rc;
}

static int walk_tree(struct walk *w)
{
    struct buf stack = { 0 };
    uint64_t dir = ROOT_INO;
    size_t len = 1;
    int rc;

    buf_append(&w->path, "", 1);
    while (!(rc = look_at_directory(w, dir, len - 1, &stack)) && stack.len) {
        stack.len -= sizeof dir;
        memcpy(&dir, stack.data + stack.len, sizeof dir);
        stack.len -= sizeof len;
        memcpy(&len, stack.data + stack.len, sizeof len);
        stack.len -= len;
        buf_reset(&w->path);
        buf_append(&w->path, stack.data + stack.len, len);
    }
    buf_free(&stack);
    return rc;
}

int fs_unreadable(struct fs *fs, int (*visit)(void *ctx, const char *path), void *ctx)
{
    struct walk w = { .fs = fs, .visit = visit, .ctx = ctx };

    int rc = index_scan_segments(fs->index, SEGMENT_PUBLISHED, note_missing, &w);
    if (!rc && w.missing.len) {
        qsort(w.missing.data, w.missing.len / sizeof(uint32_t), sizeof(uint32_t), by_number);
        rc = walk_tree(&w);
    }
    buf_free(&w.missing);
    buf_free(&w.path);
    return rc;
}
