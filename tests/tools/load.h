/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a writer of the load does, noted so that it survives the daemon, and the
 * tree that it makes, in memory, at every position of that history.
 *
 * A history is a list of events, one per system call.  A position is the number of
 * events that are in.  Names are slots of a fixed set, so that a tree is an
 * array: three directories of a writer's own with NAMES names each, and in each
 * directory that it makes INNER names.
 *
 * A file has two contents: what the program sees (`now`), and what the daemon has for
 * certain (`base`).  Between them are the pages written since and not yet landed,
 * each in the versions that the kernel may have sent: it sends whole pages, any of
 * them, in any order, up to the size that the file has at that time.
 */
#ifndef TESTS_LOAD_H
#define TESTS_LOAD_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    DIRS = 3, NAMES = 8, TOP = DIRS * NAMES, INNER = 4, ADDRESSES = TOP + TOP * INNER,
    PAGE = 4096, PAGES = 1024, FILE_MAX = PAGE * PAGES, SIZES = 32,
    WRITERS_MAX = 32, EVENTS_MAX = 1 << 15,
};

enum kind {
    EV_CREATE, EV_OPEN, EV_OPEN_CUT, EV_WRITE, EV_STORE, EV_SYNC, EV_CLOSE, EV_CUT, EV_PUNCH, EV_RENAME,
    EV_EXCHANGE, EV_LINK, EV_UNLINK, EV_MKDIR, EV_RMDIR, EV_SYMLINK, EV_XATTR, EV_CHMOD, EV_SYNC_DIR, EV_FLUSH,
};

/* `issued` and `acked` are taken from one counter for all writers; 0: did not happen. */
struct event {
    atomic_uint_fast64_t issued, acked;
    uint32_t kind, a, b, tag;      /* addresses; what contents, attributes and targets follow from */
    uint64_t off, len;
};

struct history { atomic_uint count; struct event events[EVENTS_MAX]; };

struct log {
    atomic_uint_fast64_t clock;
    uint32_t writers, strict;
    atomic_bool over;
    struct history history[WRITERS_MAX + 1];   /* the one after the last writer flushes */
};

struct version { struct version *next; bool mixed; uint8_t bytes[PAGE]; };

struct bytes { uint8_t *p; uint64_t size, room; };

struct node {
    uint32_t type, nlink, mode, tag;          /* type: S_IFREG, S_IFDIR, S_IFLNK */
    struct bytes now, base;
    struct version **pending;                 /* by page; NULL when everything has landed */
    uint64_t sizes[SIZES];                    /* sizes since then */
    unsigned size_count, changes;
    struct node *inner[INNER];
    /* The checker's: which node of the tree found this is in a pass, and the last verdict. */
    struct node *found, *judged;
    unsigned pass, judged_changes;
    bool good;
    uint64_t number;                          /* of a found inode; of a saved one */
};

struct tree { struct node *slots[TOP]; struct node *open; bool strict; };

static inline void *must(void *p)
{
    if (!p) {
        perror("memory");
        exit(2);
    }
    return p;
}

static inline struct node *node_new(uint32_t type, uint32_t mode, uint32_t tag)
{
    struct node *n = must(calloc(1, sizeof(*n)));
    *n = (struct node){ .type = type, .mode = mode, .tag = tag, .nlink = 1 };
    return n;
}

/* The slot of an address; NULL when its directory is not there. */
static inline struct node **slot_at(struct tree *t, uint32_t address)
{
    if (address < TOP)
        return &t->slots[address];
    struct node *dir = t->slots[(address - TOP) / INNER];
    return dir && dir->type == S_IFDIR ? &dir->inner[(address - TOP) % INNER] : NULL;
}

static inline struct node *node_at(struct tree *t, uint32_t address)
{
    struct node **slot = slot_at(t, address);
    return slot ? *slot : NULL;
}

static inline void address_path(uint32_t address, char out[64])
{
    static const char *const dirs[DIRS] = { "", "a/", "b/" };
    uint32_t top = address < TOP ? address : (address - TOP) / INNER;
    int n = snprintf(out, 64, "%sn%u", dirs[top / NAMES], top % NAMES);
    if (address >= TOP)
        snprintf(out + n, 64 - (size_t)n, "/%u", (address - TOP) % INNER);
}

/* Bytes that follow from a tag; no two pages are alike. */
static inline void fill(uint8_t *p, uint64_t len, uint32_t tag)
{
    uint64_t x = tag * 0x9e3779b97f4a7c15u + 1;
    for (uint64_t i = 0; i < len; i += 8) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        memcpy(p + i, &x, len - i < 8 ? len - i : 8);
    }
}

static inline void bytes_resize(struct bytes *b, uint64_t size)
{
    uint64_t room = (size + PAGE - 1) / PAGE * PAGE;
    if (room > b->room) {
        b->p = must(realloc(b->p, room));
        memset(b->p + b->room, 0, room - b->room);
        b->room = room;
    }
    if (size < b->size)
        memset(b->p + size, 0, b->size - size);
    b->size = size;
}

/* Everything written so far is with the daemon. */
static inline void land(struct node *n)
{
    if (!n || !n->pending)
        return;
    bytes_resize(&n->base, n->now.size);
    for (uint64_t q = 0; q < PAGES; q++) {
        if (n->pending[q])
            memcpy(n->base.p + q * PAGE, n->now.p + q * PAGE, PAGE);
        for (struct version *v = n->pending[q], *next; v; v = next) {
            next = v->next;
            free(v);
        }
    }
    free(n->pending);
    n->pending = NULL;
    n->size_count = 0;
    n->changes++;
}

static inline void written(struct tree *t, struct node *n, const struct event *e)
{
    uint64_t end = e->off + e->len;
    bool mapped = e->kind == EV_STORE;

    n->changes++;
    if (end > n->now.size)
        bytes_resize(&n->now, end);
    fill(n->now.p + e->off, e->len, e->tag);
    if (!n->pending)
        n->pending = must(calloc(PAGES, sizeof(*n->pending)));
    for (uint64_t q = e->off / PAGE; q <= (end - 1) / PAGE; q++) {
        struct version *v = must(malloc(sizeof(*v)));
        /* While a page is on its way, or is mapped, more of it may change. */
        v->mixed = mapped || n->pending[q];
        v->next = n->pending[q];
        memcpy(v->bytes, n->now.p + q * PAGE, PAGE);
        n->pending[q] = v;
    }
    if (n->size_count < SIZES)
        n->sizes[n->size_count++] = n->now.size;
    if (t->strict && !mapped)
        land(n);
}

/* Pages beyond the new end will not be sent any more, nor bytes of the one that holds it. */
static inline void cut(struct node *n, uint64_t size)
{
    n->changes++;
    bytes_resize(&n->now, size);
    bytes_resize(&n->base, size);
    n->sizes[0] = size;
    n->size_count = n->pending != NULL;
    for (uint64_t q = size / PAGE; n->pending && q < PAGES; q++)
        for (struct version *v = n->pending[q]; v; v = n->pending[q]) {
            if (q * PAGE < size) {
                for (; v; v = v->next)
                    memset(v->bytes + size % PAGE, 0, PAGE - size % PAGE);
                break;
            }
            n->pending[q] = v->next;
            free(v);
        }
}

static inline void punch(struct node *n, uint64_t off, uint64_t len)
{
    n->changes++;
    if (off < n->now.size)
        memset(n->now.p + off, 0, len < n->now.size - off ? len : n->now.size - off);
    if (off < n->base.size)
        memset(n->base.p + off, 0, len < n->base.size - off ? len : n->base.size - off);
}

static inline void drop(struct node **slot)
{
    if (*slot) {
        (*slot)->nlink--;
        (*slot)->changes++;
    }
    *slot = NULL;
}

static inline void put(struct tree *t, uint32_t address, struct node *n)
{
    *slot_at(t, address) = n;
}

/* A rename over a name waits for what was written before: promise 3. */
static inline void renamed(struct tree *t, const struct event *e)
{
    struct node **from = slot_at(t, e->a), **to = slot_at(t, e->b), *n = *from;

    if (*to == n)
        return;
    if (e->kind == EV_EXCHANGE) {
        *from = *to;
        land(*from);
        land(n);
    } else {
        if (*to)
            land(n);
        drop(to);
        *from = NULL;
    }
    *to = n;
}

/* The tree after one more event. */
static inline void tree_apply(struct tree *t, const struct event *e)
{
    struct node *n = node_at(t, e->a);

    switch ((enum kind)e->kind) {
    case EV_CREATE: put(t, e->a, t->open = node_new(S_IFREG, 0644, 0)); break;
    case EV_OPEN: t->open = n; break;
    case EV_OPEN_CUT: cut(t->open = n, 0); break;
    case EV_WRITE:
    case EV_STORE: written(t, t->open, e); break;
    case EV_SYNC: land(t->open); break;
    case EV_CLOSE: land(t->open); t->open = NULL; break;
    case EV_CUT: cut(t->open, e->off); break;
    case EV_PUNCH: punch(t->open, e->off, e->len); break;
    case EV_RENAME:
    case EV_EXCHANGE: renamed(t, e); break;
    case EV_LINK: n->nlink++; n->changes++; put(t, e->b, n); break;
    case EV_UNLINK: drop(slot_at(t, e->a)); break;
    case EV_MKDIR: put(t, e->a, node_new(S_IFDIR, 0755, 0)); break;
    case EV_RMDIR: put(t, e->a, NULL); break;
    case EV_SYMLINK: put(t, e->a, node_new(S_IFLNK, 0777, e->tag)); break;
    case EV_XATTR: n->tag = e->tag; break;
    case EV_CHMOD: n->mode = e->tag; break;
    case EV_SYNC_DIR:
    case EV_FLUSH: break;
    }
}

/* --- the tree of the round before --- */

static inline bool node_save(FILE *f, struct node *n, uint64_t *numbers)
{
    uint64_t head[6] = { 0 };
    if (!n)
        return fwrite(head, sizeof(head), 1, f) == 1;
    bool again = n->number != 0;
    if (!again)
        n->number = ++*numbers;
    uint64_t full[6] = { n->number, n->type, n->nlink, n->mode, n->tag, n->base.size };
    bool good = fwrite(full, sizeof(full), 1, f) == 1;
    if (!again && n->type == S_IFREG && n->base.size)
        good = good && fwrite(n->base.p, n->base.size, 1, f) == 1;
    for (int i = 0; n->type == S_IFDIR && i < INNER; i++)
        good = good && node_save(f, n->inner[i], numbers);
    return good;
}

static inline bool node_load(FILE *f, struct node **out, struct node **known)
{
    uint64_t head[6];
    *out = NULL;
    if (fread(head, sizeof(head), 1, f) != 1 || head[0] > ADDRESSES)
        return false;
    if (!head[0] || known[head[0]])
        return (*out = head[0] ? known[head[0]] : NULL) || !head[0];
    struct node *n = *out = known[head[0]] = node_new((uint32_t)head[1], (uint32_t)head[3], (uint32_t)head[4]);
    n->nlink = (uint32_t)head[2];
    if (n->type == S_IFREG && head[5]) {
        bytes_resize(&n->base, head[5]);
        bytes_resize(&n->now, head[5]);
        if (fread(n->base.p, head[5], 1, f) != 1)
            return false;
        memcpy(n->now.p, n->base.p, head[5]);
    }
    for (int i = 0; n->type == S_IFDIR && i < INNER; i++)
        if (!node_load(f, &n->inner[i], known))
            return false;
    return true;
}

/* The writer's tree in file `name`, which holds those of all, one after the other. */
static inline bool tree_load(const char *name, uint32_t writer, struct tree *out)
{
    FILE *f = fopen(name, "r");
    if (!f)
        return errno == ENOENT;
    for (uint32_t w = 0; w <= writer; w++) {
        struct node *known[ADDRESSES + 1] = { NULL };
        memset(out->slots, 0, sizeof(out->slots));
        for (int i = 0; i < TOP; i++)
            if (!node_load(f, &out->slots[i], known)) {
                bool none = feof(f) && i == 0;
                fclose(f);
                return none;
            }
    }
    fclose(f);
    return true;
}

#endif
