/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The runs of all reverse maps, sorted by file.
 *
 * All of them would not always fit into memory.  So when there are more than a
 * million, files are taken in parts by a hash of their number: the number of parts
 * doubles, what belongs to later parts is dropped, and the store's footers are read
 * once more for each part.  A file is always in one part.
 *
 * Of an object that does not open, nothing is used; it is told, for what was in it is
 * missing from some file that may not show it.
 */
#include "salvaging.h"
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ACTOR_SHIFT 48
#define COUNTER_MASK ((1ull << ACTOR_SHIFT) - 1)
#define ROOT 1u
#define RUNS_AT_ONCE (1u << 20)
#define PARTS_MAX 64u            /* beyond that, memory grows */

/* --- objects ---------------------------------------------------------------------------- */

static int list_object(void *ctx, const struct id128 *id, uint64_t size)
{
    struct salvaging *s = ctx;

    (void)size;
    if (s->object_count == UINT32_MAX)
        return -EOVERFLOW;
    if (s->object_count == s->object_capacity) {
        size_t room = s->object_capacity ? 2 * s->object_capacity : 1024;
        struct id128 *v = realloc(s->objects, room * sizeof *v);
        if (!v)
            return -ENOMEM;
        s->objects = v;
        s->object_capacity = room;
    }
    s->objects[s->object_count++] = *id;
    s->report->objects++;
    return 0;
}

static int count_foreign(void *ctx, const char *path)
{
    (void)path;
    ((struct salvaging *)ctx)->report->foreign++;
    return 0;
}

static int by_id(const void *a, const void *b) { return memcmp(a, b, sizeof(struct id128)); }

static int why(enum inspection seen, int error)
{
    switch (seen) {
    case INSPECT_GONE: case INSPECT_SHORT: case INSPECT_FILLING: return E_NOT_ARRIVED;
    case INSPECT_MALFORMED: return E_FORMAT;
    case INSPECT_NEWER: return E_NEWER_FORMAT;
    case INSPECT_UNREADABLE: return error;
    default: return E_AUTH;
    }
}

static void tell_unusable(struct salvaging *s, uint32_t object, enum inspection seen)
{
    char id[ID_TEXT], path[48];

    if (s->report->passes > 1)
        return;                  /* told in the first */
    if (seen == INSPECT_STRANGE) {
        s->report->foreign++;
        return;
    }
    s->report->unreadable++;
    id_format(&s->objects[object], id);
    snprintf(path, sizeof path, "segments/%.2s/%s", id, id + 2);
    if (s->o->object)
        s->o->object(s->o->ctx, path, why(seen, s->seen.error));
}

bool salvage_open(struct salvaging *s, uint32_t object)
{
    if (s->seen_object == object)
        return true;
    s->seen_object = UINT32_MAX;
    if (inspect_object(s->o->keys, s->o->store, &s->objects[object], &s->seen) != INSPECT_WHOLE)
        return false;
    s->seen_object = object;
    return true;
}

/* --- inode numbers ----------------------------------------------------------------------- */

static int actor_place(struct salvaging *s, uint64_t actor, uint16_t *out)
{
    for (size_t k = 0; k < s->actor_count; k++)
        if (s->actors[k] == actor) {
            *out = (uint16_t)k;
            return 0;
        }
    if (s->actor_count > UINT16_MAX)
        return -EOVERFLOW;
    if (s->actor_count == s->actor_capacity) {
        size_t room = s->actor_capacity ? 2 * s->actor_capacity : 16;
        uint64_t *v = realloc(s->actors, room * sizeof *v);
        if (!v)
            return -ENOMEM;
        s->actors = v;
        s->actor_capacity = room;
    }
    *out = (uint16_t)s->actor_count;
    s->actors[s->actor_count++] = actor;
    return 0;
}

static int learn_actors(struct salvaging *s, const struct footer_view *v)
{
    uint16_t *here = realloc(s->actors_here, (v->actor_count + 1) * sizeof *here);
    int rc = here ? 0 : -ENOMEM;

    if (here)
        s->actors_here = here;
    for (size_t k = 0; !rc && k < v->actor_count; k++)
        rc = actor_place(s, get_le64(v->actors + 8 * k), &here[k]);
    return rc;
}

/* The root directory is number 1 whoever names it; 0 is none. */
static uint64_t number_here(const struct salvaging *s, uint64_t ino)
{
    uint64_t counter = ino & COUNTER_MASK;
    return ino <= ROOT ? ino : (uint64_t)s->actors_here[ino >> ACTOR_SHIFT] << ACTOR_SHIFT | counter;
}

/* --- gathering ------------------------------------------------------------------------------ */

static bool in_part(const struct salvaging *s, uint64_t ino)
{
    return ((ino * 0x9E3779B97F4A7C15ull) >> 40 & (s->parts - 1)) == s->part;
}

const uint8_t *piece_name(const struct salvaging *s, const struct piece *p, size_t *len)
{
    const uint8_t *at = p->name ? s->names.data + p->name - 1 : NULL;

    *len = at ? at[0] : 0;
    return at ? at + 1 : NULL;
}

/* Twice as many parts; what falls out of this one is read again later. */
static int halve(struct salvaging *s)
{
    struct piece *v = (struct piece *)(void *)s->pieces.data;
    size_t count = s->pieces.len / sizeof *v, kept = 0;
    struct buf names = { 0 };

    s->parts *= 2;
    for (size_t k = 0; k < count; k++) {
        size_t len;
        const uint8_t *name = piece_name(s, &v[k], &len);
        if (!in_part(s, v[k].ino))
            continue;
        v[kept] = v[k];
        if (name) {
            v[kept].name = (uint32_t)names.len + 1;
            buf_append(&names, name - 1, len + 1);
        }
        kept++;
    }
    s->pieces.len = kept * sizeof *v;
    int rc = names.failed ? -ENOMEM : 0;
    buf_free(&s->names);
    s->names = names;
    return rc;
}

static struct piece piece_of(const struct salvaging *s, uint32_t object, const struct reverse_run *run, size_t rank)
{
    return (struct piece){ .ino = number_here(s, run->ino), .first = run->first, .version = run->version,
                           .parent = number_here(s, run->parent), .object = object, .offset = run->offset,
                           .count = run->count, .rank = (uint32_t)rank, .last = (uint16_t)run->last,
                           .valid = (uint16_t)run->last };
}

static int add_piece(struct salvaging *s, struct piece p, const struct reverse_run *run)
{
    if (!in_part(s, p.ino))
        return 0;
    if (run->name_len) {
        if (s->names.len > UINT32_MAX - 2 * NAME_LIMIT)
            return -EOVERFLOW;
        p.name = (uint32_t)s->names.len + 1;
        buf_byte(&s->names, run->name_len);
        buf_append(&s->names, run->name, run->name_len);
    }
    buf_append(&s->pieces, &p, sizeof p);
    return s->pieces.failed || s->names.failed ? -ENOMEM : 0;
}

/* An object that is gone took with it what was in it: so it is with its own runs. */
static int add_borrowed(struct salvaging *s, const struct borrowed_run *run, size_t rank)
{
    const struct id128 *at = bsearch(run->segment, s->objects, s->object_count, sizeof *s->objects, by_id);
    uint64_t end = (run->of.first + run->of.count) * BLOCK_SIZE;

    if (!at)
        return 0;
    struct piece p = piece_of(s, (uint32_t)(at - s->objects), &run->of, rank);
    p.valid = (uint16_t)run->valid;
    p.middle = end < run->size;
    return add_piece(s, p, &run->of);
}

static int gather_object(struct salvaging *s, uint32_t object)
{
    size_t limit = s->o->runs_at_once ? s->o->runs_at_once : RUNS_AT_ONCE;
    struct borrowed_run borrowed;
    struct reverse_run run;
    int rc;

    s->seen_object = UINT32_MAX;
    enum inspection seen = inspect_object(s->o->keys, s->o->store, &s->objects[object], &s->seen);
    if (seen != INSPECT_WHOLE) {
        tell_unusable(s, object, seen);
        return seen == INSPECT_UNREADABLE && s->seen.error == -ENOMEM ? -ENOMEM : 0;
    }
    rc = learn_actors(s, &s->seen.view);
    for (struct footer_view walk = s->seen.view; !rc && footer_next(&walk, &run) == 1;)
        rc = add_piece(s, piece_of(s, object, &run, walk.actor_count), &run);
    for (struct footer_view walk = s->seen.view; !rc && footer_next_borrowed(&walk, &borrowed) == 1;)
        rc = add_borrowed(s, &borrowed, walk.actor_count);
    while (!rc && s->pieces.len / sizeof(struct piece) > limit && s->part == 0 && s->parts < PARTS_MAX &&
           s->report->passes == 1)
        rc = halve(s);
    return rc;
}

static int gather(struct salvaging *s)
{
    int rc = 0;

    buf_reset(&s->pieces);
    buf_reset(&s->names);
    s->report->passes++;
    for (size_t k = 0; !rc && k < s->object_count; k++) {
        if (s->o->progress && k % 16 == 0)
            s->o->progress(s->o->ctx, SALVAGE_READ, k, s->object_count);
        rc = gather_object(s, (uint32_t)k);
    }
    return rc;
}

/* --- files ------------------------------------------------------------------------------------ */

static int by_file(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int write_part(struct salvaging *s)
{
    struct piece *v = (struct piece *)(void *)s->pieces.data;
    size_t count = s->pieces.len / sizeof *v;
    int rc = 0;

    if (count)
        qsort(v, count, sizeof *v, by_file);
    for (size_t from = 0, to; !rc && from < count; from = to) {
        for (to = from + 1; to < count && v[to].ino == v[from].ino;)
            to++;
        if (s->o->progress)
            s->o->progress(s->o->ctx, SALVAGE_WRITE, from, count);
        rc = salvage_file(s, v + from, to - from);
    }
    return rc;
}

static int run(struct salvaging *s)
{
    int rc = store_list(s->o->store, list_object, count_foreign, s);

    if (!rc && s->object_count)
        qsort(s->objects, s->object_count, sizeof *s->objects, by_id);
    for (s->part = 0; !rc && s->part < s->parts; s->part++) {
        rc = gather(s);
        if (!rc)
            rc = write_part(s);
    }
    /* What is told as written must not be in the air. */
    if (!rc && syncfs(s->o->dest))
        rc = -errno;
    return rc;
}

int salvage_store(const struct salvage_options *o, struct salvage_report *report)
{
    struct salvaging s = { .o = o, .report = report, .parts = 1, .seen = { .fd = -1 }, .seen_object = UINT32_MAX,
                           .bytes = malloc(RUN_AT_ONCE * SEALED_BLOCK) };

    *report = (struct salvage_report){ 0 };
    int rc = s.bytes ? run(&s) : -ENOMEM;
    inspected_free(&s.seen);
    buf_free(&s.pieces);
    buf_free(&s.names);
    free(s.objects);
    free(s.actors);
    free(s.actors_here);
    free(s.bytes);
    return rc;
}
