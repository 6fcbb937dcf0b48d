/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Two trees side by side, through descriptors of folders.
 *
 * No path is ever given to the system, so a tree may be deeper than PATH_MAX, and
 * nobody can lead the walk elsewhere by putting a symbolic link in the way.  Only
 * the nearest levels keep their descriptors; those above are opened again by ".."
 * on the way back, and must still be the folders they were.
 */
#include "transfer.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define LEVELS_OPEN 32u

struct listed { uint64_t ino; size_t at; };

struct folder { int fd; dev_t dev; ino_t ino; };

struct level {
    struct folder from, to;    /* to.ino is 0 when there is none */
    bool fresh, finish, mount;
    uint64_t number;           /* no other level of this walk has it */
    struct buf names;
    struct listed *list;
    size_t count, next;
    const char *name;          /* within the level above */
    struct stat st;
};

struct walk {
    struct transfer *transfer;
    const struct visitor *visitor;
    struct level *levels;
    size_t depth, room;
    uint64_t numbers;
};

/* --- listings ----------------------------------------------------------------------- */

static int by_inode(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int list_one(struct level *l, const struct dirent *d)
{
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return 0;
    if ((l->count & (l->count + 1)) == 0) {   /* full at each power of two less one */
        struct listed *more = realloc(l->list, (l->count + 1) * 2 * sizeof *more);
        if (!more)
            return -ENOMEM;
        l->list = more;
    }
    l->list[l->count++] = (struct listed){ d->d_ino, l->names.len };
    buf_append(&l->names, d->d_name, strlen(d->d_name) + 1);
    return l->names.failed ? -ENOMEM : 0;
}

/* Names by inode number, which is nearly the order of what they name on the disk. */
static int list_folder(struct level *l)
{
    int fd = openat(l->from.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int rc = 0;

    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    errno = 0;
    for (struct dirent *d; !rc && (d = readdir(dir)); errno = 0)
        rc = list_one(l, d);
    if (!rc)
        rc = -errno;
    closedir(dir);
    if (l->count)
        qsort(l->list, l->count, sizeof *l->list, by_inode);
    return rc;
}

/* --- descriptors ----------------------------------------------------------------------- */

static void close_folder(struct folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static int note_folder(struct folder *f, int fd)
{
    struct stat st;

    *f = (struct folder){ .fd = fd };
    if (fd < 0)
        return 0;
    if (fstat(fd, &st))
        return -errno;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    return 0;
}

static int reopen(struct folder *up, const struct folder *down)
{
    struct folder again;

    if (up->fd >= 0 || !up->ino)
        return 0;
    int fd = openat(down->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    int rc = note_folder(&again, fd);
    if (!rc && (again.dev != up->dev || again.ino != up->ino))
        rc = -ESTALE;
    if (rc)
        close(fd);
    else
        up->fd = fd;
    return rc;
}

static void pop(struct walk *w)
{
    struct level *l = &w->levels[--w->depth];

    close_folder(&l->from);
    close_folder(&l->to);
    buf_free(&l->names);
    free(l->list);
}

/* Takes over both descriptors. */
static int push(struct walk *w, const struct node *n, int from, const struct entered *e)
{
    if (w->depth == w->room) {
        size_t room = w->room ? w->room * 2 : 16;
        struct level *more = realloc(w->levels, room * sizeof *more);
        if (!more) {
            close(from);
            if (e->to >= 0)
                close(e->to);
            return -ENOMEM;
        }
        w->levels = more;
        w->room = room;
    }
    struct level *l = &w->levels[w->depth++];
    *l = (struct level){ .fresh = e->fresh, .finish = e->finish, .name = n->name, .st = n->st,
                          .number = ++w->numbers };
    int rc = note_folder(&l->from, from), also = note_folder(&l->to, e->to);
    if (w->depth > LEVELS_OPEN + 1) {          /* the first one stays */
        close_folder(&l[-(ptrdiff_t)LEVELS_OPEN].from);
        close_folder(&l[-(ptrdiff_t)LEVELS_OPEN].to);
    }
    return rc ? rc : also;
}

/* --- going on ------------------------------------------------------------------------------ */

static int look_at(const struct level *l, const char *name, struct node *n)
{
    struct statx x;

    if (statx(l->from.fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x) ||
        fstatat(l->from.fd, name, &n->st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
        return -errno;
    n->mount = x.stx_attributes & x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
    return 0;
}

static int go_into(struct walk *w, const struct node *n)
{
    struct transfer *t = w->transfer;
    struct entered e = { .to = -1, .fresh = n->fresh };

    int from = openat(n->from, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return transfer_source_error(t, n, -errno);
    int rc = w->visitor->enter ? w->visitor->enter(t, n, from, &e) : 0;
    if (rc) {
        close(from);
        if (e.to >= 0)
            close(e.to);
        return rc > 0 ? 0 : rc;
    }
    rc = push(w, n, from, &e);
    if (!rc)
        rc = list_folder(&w->levels[w->depth - 1]);
    if (!rc || rc == -ENOMEM || rc == -EMFILE)
        return rc;
    /* An unreadable listing is told, and the folder left as what was read of it. */
    w->depth--;                                /* so that the node's path is right */
    rc = transfer_source_error(t, n, rc);
    w->depth++;
    return rc;
}

/* Names of ours: what an interrupted run left, which is told. */
static bool is_reserved(const struct walk *w, const char *name)
{
    return strcmp(name, ASIDE_NAME) == 0 || (w->depth == 1 && strcmp(name, STAGING_NAME) == 0);
}

static int visit(struct walk *w, struct level *l, const char *name)
{
    struct node n = { .walk = w, .name = name, .folder = l->number, .from = l->from.fd, .to = l->to.fd, .fresh = l->fresh };

    /* What is back where it was is found by the next walk. */
    if (w->transfer->phase == PHASE_COUNT && w->transfer->import && !w->transfer->dry_run && strcmp(name, ASIDE_NAME) == 0) {
        aside_restore(l->from.fd);
        return 0;
    }
    int rc = look_at(l, name, &n);
    if (rc)
        return transfer_source_error(w->transfer, &n, rc);
    if (is_reserved(w, name)) {
        transfer_leave(w->transfer, &n, LEFT_RESERVED, 0);
        return 0;
    }
    bool itself = n.st.st_dev == w->transfer->vault;
    if (n.mount && (itself || !w->transfer->cross)) {
        transfer_leave(w->transfer, &n, itself ? LEFT_VAULT : LEFT_MOUNT, 0);
        return 0;
    }
    return S_ISDIR(n.st.st_mode) ? go_into(w, &n) : w->visitor->entry(w->transfer, &n);
}

/* The deepest level is through. */
static int come_back(struct walk *w)
{
    struct level *l = &w->levels[w->depth - 1], *up = l - 1;

    int rc = reopen(&up->from, &l->from);
    if (!rc)
        rc = reopen(&up->to, &l->to);
    struct node n = { .walk = w, .name = l->name, .folder = up->number, .self = l->number, .st = l->st,
                      .from = up->from.fd, .to = up->to.fd, .fresh = up->fresh };
    struct level done = *l;
    w->depth--;                                /* so that the node's path is right */
    if (!rc && w->visitor->leave)
        rc = w->visitor->leave(w->transfer, &n, done.from.fd, done.to.fd, done.finish);
    w->depth++;
    pop(w);
    return rc;
}

int walk_tree(struct transfer *t, const struct visitor *v)
{
    struct walk w = { .transfer = t, .visitor = v };
    struct node top = { .walk = &w, .name = "" };
    struct entered e = { .to = t->dest < 0 ? -1 : fcntl(t->dest, F_DUPFD_CLOEXEC, 3), .fresh = t->dest_made };

    int from = fcntl(t->source, F_DUPFD_CLOEXEC, 3);
    if (from < 0 || (t->dest >= 0 && e.to < 0))
        return -errno;
    int rc = push(&w, &top, from, &e);
    if (!rc)
        rc = list_folder(&w.levels[0]);
    while (!rc && w.depth) {
        struct level *l = &w.levels[w.depth - 1];
        if (signals_caught())
            rc = -EINTR;
        else if (l->next < l->count)
            rc = visit(&w, l, (char *)l->names.data + l->list[l->next++].at);
        else if (w.depth > 1)
            rc = come_back(&w);
        else
            break;
    }
    while (w.depth)
        pop(&w);
    free(w.levels);
    return rc;
}

void walk_path(const struct node *n, struct buf *out)
{
    if (!n->walk && *n->above) {
        buf_append(out, n->above, strlen(n->above));
        buf_byte(out, '/');
    }
    for (size_t k = 1; n->walk && k < n->walk->depth; k++) {
        buf_append(out, n->walk->levels[k].name, strlen(n->walk->levels[k].name));
        buf_byte(out, '/');
    }
    buf_append(out, n->name, strlen(n->name) + 1);
}

int walk_open_parent(int root, const char *path, const char **base)
{
    char name[NAME_LIMIT + 1];
    int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);

    for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        close(fd);
        errno = error;
        fd = next;
    }
    *base = path;
    return fd < 0 ? -errno : fd;
}
