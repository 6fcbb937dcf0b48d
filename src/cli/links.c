/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a transfer remembers of files: where those with several names were put, and
 * which ones were verified.
 *
 * Both are hash tables with open addressing, at most half full, from which nothing
 * is taken away.  A verified file is remembered by its fingerprint (device, inode,
 * size, both times): when it is changed, it is not known any more.
 */
#include "transfer.h"
#include <ecluse/crypto.h>
#include <fcntl.h>
#include <stdlib.h>

#define ROOM_MIN 64u

/* --- files with several names ------------------------------------------------------- */

int identify(int dir, const char *name, struct identity *out)
{
    struct statx x;

    if (statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &x))
        return -errno;
    *out = (struct identity){ .ino = x.stx_ino, .size = x.stx_size, .changed = x.stx_mtime };
    if (x.stx_mask & STATX_BTIME)
        out->born = x.stx_btime;
    return 0;
}

static bool same_moment(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool identity_same(const struct identity *a, const struct identity *b)
{
    return a->ino == b->ino && a->size == b->size && same_moment(&a->born, &b->born) && same_moment(&a->changed, &b->changed);
}

static bool is_full(size_t count, size_t room)
{
    return count * 2 >= room;
}

static size_t file_slot(uint64_t dev, uint64_t ino, size_t room)
{
    uint64_t x = (ino ^ dev << 32) * 0x9e3779b97f4a7c15ULL;
    return (size_t)(x ^ x >> 29) & (room - 1);
}

static struct known_file *file_place(struct known_file *v, size_t room, uint64_t dev, uint64_t ino)
{
    size_t k = file_slot(dev, ino, room);

    while (v[k].path && (v[k].dev != dev || v[k].ino != ino))
        k = (k + 1) & (room - 1);
    return &v[k];
}

struct known_file *links_find(const struct links *l, const struct stat *st)
{
    struct known_file *f = l->room ? file_place(l->v, l->room, st->st_dev, st->st_ino) : NULL;
    return f && f->path ? f : NULL;
}

static int links_grow(struct links *l)
{
    size_t room = l->room ? l->room * 2 : ROOM_MIN;
    struct known_file *v = calloc(room, sizeof *v);

    if (!v)
        return -ENOMEM;
    for (size_t k = 0; k < l->room; k++)
        if (l->v[k].path)
            *file_place(v, room, l->v[k].dev, l->v[k].ino) = l->v[k];
    free(l->v);
    l->v = v;
    l->room = room;
    return 0;
}

int links_add(struct links *l, const struct stat *st, const struct identity *to, char *path, uint64_t staged)
{
    int rc = is_full(l->count, l->room) ? links_grow(l) : 0;

    if (rc) {
        free(path);
        return rc;
    }
    struct known_file *f = file_place(l->v, l->room, st->st_dev, st->st_ino);
    l->count += !f->path;
    free(f->path);
    *f = (struct known_file){ st->st_dev, st->st_ino, *to, path, staged, false };
    return 0;
}

void links_free(struct links *l)
{
    for (size_t k = 0; k < l->room; k++)
        free(l->v[k].path);
    free(l->v);
    *l = (struct links){ 0 };
}

/* --- fingerprints ------------------------------------------------------------------- */

/* Of a folder only which one it is: its times change when it is emptied. */
static void print_of(const struct stat *st, uint8_t out[16])
{
    uint64_t v[7] = { st->st_dev, st->st_ino, S_ISDIR(st->st_mode) };
    uint8_t hash[SHA256_SIZE];

    if (!S_ISDIR(st->st_mode)) {
        v[3] = (uint64_t)st->st_size;
        v[4] = (uint64_t)st->st_mtim.tv_sec;
        v[5] = (uint64_t)st->st_ctim.tv_sec;
        v[6] = (uint64_t)st->st_mtim.tv_nsec << 32 | (uint64_t)st->st_ctim.tv_nsec;
    }
    crypto_sha256(v, sizeof v, hash);
    memcpy(out, hash, 16);
}

static uint8_t *print_place(uint8_t (*v)[16], size_t room, const uint8_t print[16])
{
    static const uint8_t none[16];
    size_t k = (size_t)get_le64(print) & (room - 1);

    while (memcmp(v[k], none, 16) && memcmp(v[k], print, 16))
        k = (k + 1) & (room - 1);
    return v[k];
}

static int prints_grow(struct prints *p)
{
    static const uint8_t none[16];
    size_t room = p->room ? p->room * 2 : ROOM_MIN;
    uint8_t (*v)[16] = calloc(room, sizeof *v);

    if (!v)
        return -ENOMEM;
    for (size_t k = 0; k < p->room; k++)
        if (memcmp(p->v[k], none, 16))
            memcpy(print_place(v, room, p->v[k]), p->v[k], 16);
    free(p->v);
    p->v = v;
    p->room = room;
    return 0;
}

int prints_add(struct prints *p, const struct stat *st)
{
    uint8_t print[16];

    int rc = is_full(p->count, p->room) ? prints_grow(p) : 0;
    if (rc)
        return rc;
    print_of(st, print);
    memcpy(print_place(p->v, p->room, print), print, 16);
    p->count++;
    return 0;
}

bool prints_have(const struct prints *p, const struct stat *st)
{
    uint8_t print[16];

    if (!p->room)
        return false;
    print_of(st, print);
    return memcmp(print_place(p->v, p->room, print), print, 16) == 0;
}

void prints_free(struct prints *p)
{
    free(p->v);
    *p = (struct prints){ 0 };
}
