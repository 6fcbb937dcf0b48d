/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Files are tables of pages, names a list of (directory, name, inode), both by
 * the inode numbers of the real tree.  A page of zeros is NULL.  All pages ever
 * made are kept until the program ends their generation (image_free of the
 * image that made them): images made from it must be freed before.
 */
#include "image.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define NODES 1024u
#define ENTRIES 1024u

struct node { uint64_t ino, size; bool dir; mode_t mode; uint8_t **pages; size_t count; };
struct entry { uint64_t dir, ino; char name[64]; };

struct image {
    uint64_t root;
    struct node nodes[NODES];
    size_t node_count;
    struct entry entries[ENTRIES];
    size_t entry_count;
    uint8_t **made;             /* pages that this image owns */
    size_t made_count;
};

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "image: %s %s\n", what, name);
    perror("image");
    exit(2);
}

static struct node *node_of(const struct image *i, uint64_t ino)
{
    for (size_t k = 0; k < i->node_count; k++)
        if (i->nodes[k].ino == ino)
            return (struct node *)&i->nodes[k];
    return NULL;
}

static struct node *add_node(struct image *i, uint64_t ino, bool dir, mode_t mode)
{
    struct node *n = node_of(i, ino);
    if (!n && i->node_count == NODES)
        fail("too many files", "");
    if (!n)
        n = &i->nodes[i->node_count++];
    *n = (struct node){ .ino = ino, .dir = dir, .mode = mode };
    return n;
}

static struct entry *entry_of(struct image *i, uint64_t dir, const char *name)
{
    for (size_t k = 0; k < i->entry_count; k++)
        if (i->entries[k].dir == dir && !strcmp(i->entries[k].name, name))
            return &i->entries[k];
    return NULL;
}

static void set_entry(struct image *i, uint64_t dir, const char *name, uint64_t ino)
{
    struct entry *e = entry_of(i, dir, name);
    if (!e && i->entry_count == ENTRIES)
        fail("too many names", name);
    if (!e)
        e = &i->entries[i->entry_count++];
    e->dir = dir;
    e->ino = ino;
    snprintf(e->name, sizeof e->name, "%s", name);
}

static void drop_entry(struct image *i, struct entry *e)
{
    if (e)
        *e = i->entries[--i->entry_count];
}

static uint8_t *own_page(struct image *i, const uint8_t *from)
{
    uint8_t *p = from ? malloc(PAGE) : calloc(1, PAGE);
    i->made = realloc(i->made, (i->made_count + 1) * sizeof *i->made);
    if (!p || !i->made)
        fail("no memory", "");
    if (from)
        memcpy(p, from, PAGE);
    i->made[i->made_count++] = p;
    return p;
}

/* --- changing a file ------------------------------------------------------------------ */

static void resize(struct image *i, struct node *n, uint64_t size)
{
    size_t count = (size_t)((size + PAGE - 1) / PAGE);
    uint8_t **pages = calloc(count + 1, sizeof *pages);

    memcpy(pages, n->pages ? n->pages : pages, (count < n->count ? count : n->count) * sizeof *pages);
    free(n->pages);
    n->pages = pages;
    n->count = count;
    if (size < n->size && size % PAGE && pages[count - 1]) {
        pages[count - 1] = own_page(i, pages[count - 1]);
        memset(pages[count - 1] + size % PAGE, 0, PAGE - size % PAGE);
    }
    n->size = size;
}

static void write_bytes(struct image *i, struct node *n, uint64_t at, const uint8_t *bytes, uint64_t len)
{
    if (at + len > n->size)
        resize(i, n, at + len);
    while (len) {
        uint64_t within = at % PAGE, part = PAGE - within < len ? PAGE - within : len;
        uint8_t **page = &n->pages[at / PAGE];
        *page = own_page(i, *page);
        memcpy(*page + within, bytes, part);
        at += part;
        bytes += part;
        len -= part;
    }
}

void image_apply(struct image *i, const struct event *e, uint64_t from, uint64_t to)
{
    struct node *n = node_of(i, e->ino);

    switch (e->kind) {
    case EVENT_MAKE:
        add_node(i, e->ino, e->is_dir, e->is_dir ? 0700 : 0600);
        if (e->dir)
            set_entry(i, e->dir, e->name, e->ino);
        break;
    case EVENT_WRITE:
        if (n && to > from)
            write_bytes(i, n, e->offset + from, disk->arena + e->data + from, to - from);
        break;
    case EVENT_SIZE:
        if (n)
            resize(i, n, e->offset);
        break;
    case EVENT_MOVE: {
        struct entry *old = entry_of(i, e->dir, e->name);
        if (!n)
            break;
        if (old && old->ino == e->ino)
            drop_entry(i, old);
        set_entry(i, e->to_dir, e->to, e->ino);
        break;
    }
    case EVENT_LINK:
        if (n)
            set_entry(i, e->to_dir, e->to, e->ino);
        break;
    case EVENT_REMOVE:
        drop_entry(i, entry_of(i, e->dir, e->name));
        break;
    default:
        break;
    }
}

/* --- life ------------------------------------------------------------------------------- */

static void load_file(struct image *i, struct node *n, int dir, const char *name)
{
    static uint8_t page[PAGE];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    off_t at = 0, end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

    if (end < 0)
        fail("cannot read", name);
    resize(i, n, (uint64_t)end);
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
        at -= at % PAGE;
        ssize_t len = pread(fd, page, PAGE, at);
        bool zero = len > 0;
        for (ssize_t k = 0; zero && k < len; k++)
            zero = page[k] == 0;
        if (len > 0 && !zero)
            write_bytes(i, n, (uint64_t)at, page, (uint64_t)len);
        at += PAGE;
    }
    close(fd);
}

static void load_dir(struct image *i, int fd, uint64_t ino)
{
    DIR *d = fdopendir(fd);
    struct stat st;

    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            fail("cannot look at", e->d_name);
        set_entry(i, ino, e->d_name, st.st_ino);
        bool known = node_of(i, st.st_ino) != NULL;
        if (known)
            continue;                  /* a second name */
        struct node *n = add_node(i, st.st_ino, S_ISDIR(st.st_mode), st.st_mode & 07777);
        if (n->dir)
            load_dir(i, openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), st.st_ino);
        else
            load_file(i, n, dirfd(d), e->d_name);
    }
    closedir(d);
}

void image_forget_fans(struct image *i)
{
    for (size_t k = 0; k < i->entry_count;) {
        struct entry *e = &i->entries[k];
        bool used = strlen(e->name) != 2 || !node_of(i, e->ino)->dir;
        for (size_t j = 0; !used && j < i->entry_count; j++)
            used = i->entries[j].dir == e->ino;
        if (used) {
            k++;
            continue;
        }
        *node_of(i, e->ino) = i->nodes[i->node_count - 1];
        i->node_count--;
        drop_entry(i, e);
    }
}

struct image *image_load(const char *path)
{
    struct image *i = calloc(1, sizeof *i);
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (!i || fd < 0 || fstat(fd, &st))
        fail("cannot open", path);
    i->root = st.st_ino;
    load_dir(i, fd, st.st_ino);
    return i;
}

struct image *image_copy(const struct image *from)
{
    struct image *i = malloc(sizeof *i);

    *i = *from;
    i->made = NULL;
    i->made_count = 0;
    for (size_t k = 0; k < i->node_count; k++) {
        struct node *n = &i->nodes[k];
        uint8_t **pages = calloc(n->count + 1, sizeof *pages);
        memcpy(pages, n->pages ? n->pages : pages, n->count * sizeof *pages);
        n->pages = pages;
    }
    return i;
}

void image_free(struct image *i)
{
    for (size_t k = 0; i && k < i->node_count; k++)
        free(i->nodes[k].pages);
    for (size_t k = 0; i && k < i->made_count; k++)
        free(i->made[k]);
    if (i)
        free(i->made);
    free(i);
}

/* --- writing out --------------------------------------------------------------------------- */

static void store_file(const struct node *n, int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)n->size))
        fail("cannot write", name);
    for (size_t k = 0; k < n->count; k++) {
        uint64_t at = (uint64_t)k * PAGE, len = n->size - at < PAGE ? n->size - at : PAGE;
        if (n->pages[k] && pwrite(fd, n->pages[k], len, (off_t)at) != (ssize_t)len)
            fail("cannot write", name);
    }
    fchmod(fd, n->mode);
    close(fd);
}

static void store_dir(const struct image *i, uint64_t ino, int dir)
{
    for (size_t k = 0; k < i->entry_count; k++) {
        const struct entry *e = &i->entries[k];
        const struct node *n = e->dir == ino ? node_of(i, e->ino) : NULL;
        if (!n)
            continue;
        if (!n->dir) {
            store_file(n, dir, e->name);
            continue;
        }
        if (mkdirat(dir, e->name, n->mode))
            fail("cannot make", e->name);
        int sub = openat(dir, e->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        store_dir(i, n->ino, sub);
        close(sub);
    }
}

static void empty(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (unlinkat(fd, e->d_name, 0)) {
            empty(fd, e->d_name);
            unlinkat(fd, e->d_name, AT_REMOVEDIR);
        }
    }
    if (d)
        closedir(d);
}

void image_store(const struct image *i, const char *path)
{
    mkdir(path, 0700);
    empty(AT_FDCWD, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fail("cannot open", path);
    store_dir(i, i->root, fd);
    close(fd);
}

/* --- comparing -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t sum_node(const struct node *n)
{
    uint64_t h = mix(n->size, n->dir);

    for (size_t k = 0; k < n->count; k++)
        for (size_t w = 0; n->pages[k] && w < PAGE; w += 8) {
            uint64_t v;
            memcpy(&v, n->pages[k] + w, 8);
            if (v)
                h = mix(h, v ^ (k * PAGE + w));
        }
    return h;
}

/* Names in any order; unreachable files do not count. */
uint64_t image_sum(const struct image *i)
{
    uint64_t total = 0;

    for (size_t k = 0; k < i->entry_count; k++) {
        const struct entry *e = &i->entries[k];
        const struct node *n = node_of(i, e->ino);
        uint64_t h = mix(e->dir, n ? sum_node(n) : 0);
        for (const char *c = e->name; *c; c++)
            h = mix(h, (unsigned char)*c);
        total += mix(h, e->ino);
    }
    return total;
}

static bool below(const struct image *i, uint64_t dir, uint64_t top)
{
    for (int depth = 0; depth < 8; depth++) {
        if (dir == top)
            return true;
        const struct entry *up = NULL;
        for (size_t k = 0; k < i->entry_count; k++)
            if (i->entries[k].ino == dir)
                up = &i->entries[k];
        if (!up)
            return false;
        dir = up->dir;
    }
    return false;
}

bool image_whole(const struct image *i, const struct image *whole, const char *prefix, char found[128])
{
    const struct entry *top = entry_of((struct image *)i, i->root, prefix);

    for (size_t k = 0; top && k < i->entry_count; k++) {
        const struct entry *e = &i->entries[k];
        const struct node *n = node_of(i, e->ino), *w = node_of(whole, e->ino);
        if (!n || n->dir || !below(i, e->dir, top->ino) || (w && sum_node(n) == sum_node(w)))
            continue;
        snprintf(found, 128, "%s", e->name);
        return false;
    }
    return true;
}

static const struct node *named(const struct image *i, const char *name)
{
    for (size_t k = 0; k < i->entry_count; k++)
        if (!strcmp(i->entries[k].name, name))
            return node_of(i, i->entries[k].ino);
    return NULL;
}

bool image_same_file(const struct image *i, const struct image *other, const char *name)
{
    const struct node *a = named(i, name), *b = named(other, name);
    return a && b && sum_node(a) == sum_node(b);
}

void image_name(const struct image *i, uint64_t ino, char out[128])
{
    snprintf(out, 128, "#%llu", (unsigned long long)ino);
    for (size_t k = 0; k < i->entry_count; k++)
        if (i->entries[k].ino == ino)
            snprintf(out, 128, "%s", i->entries[k].name);
}
