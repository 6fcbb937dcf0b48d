/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The objects that a state is rebuilt from: every one of the store and, of the old
 * staging directory, every file that has a segment's name; and what is read of one.
 *
 * Footers are kept in memory up to a bound, the others are read again when their
 * publications are applied.
 */
#include "carrier.h"
#include "rebuild.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOOTERS_KEPT (32u << 20)

/* --- listing -------------------------------------------------------------------------- */

static int add_object(struct survey *s, const struct id128 *id, uint64_t size, bool staged)
{
    if (s->count == s->capacity) {
        size_t room = s->capacity ? 2 * s->capacity : 1024;
        struct object *v = realloc(s->objects, room * sizeof *v);
        if (!v)
            return -ENOMEM;
        s->objects = v;
        s->capacity = room;
    }
    s->objects[s->count++] = (struct object){ .id = *id, .size = size, .valid = size, .staged = staged };
    return 0;
}

static int list_stored(void *ctx, const struct id128 *id, uint64_t size)
{
    struct rebuild *b = ctx;
    int rc = b->report->objects++ % 256 ? 0 : rebuild_progress(b, REBUILD_SURVEY, b->report->objects, 0);
    return rc ? rc : add_object(&b->survey, id, size, false);
}

static int count_foreign(void *ctx, const char *path)
{
    (void)path;
    ((struct rebuild *)ctx)->report->foreign++;
    return 0;
}

static int list_staged(struct rebuild *b)
{
    int staging = b->o->old ? b->o->old->staging : -1, rc = 0;
    int fd = staging < 0 ? -1 : openat(staging, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct id128 id;
    struct stat st;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *d; !rc && (d = readdir(dir));)
        if (id_parse(d->d_name, &id) == 0 && fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            rc = add_object(&b->survey, &id, (uint64_t)st.st_size, true);
    closedir(dir);
    return rc;
}

static int by_id(const void *a, const void *b)
{
    const struct object *x = a, *y = b;
    int order = memcmp(x->id.b, y->id.b, sizeof x->id.b);
    return order ? order : (int)x->staged - (int)y->staged;
}

/* A crash between a move to the store and its end may leave both: one is enough. */
static void sort_objects(struct survey *s)
{
    size_t kept = 0;

    if (s->count)
        qsort(s->objects, s->count, sizeof *s->objects, by_id);
    for (size_t k = 0; k < s->count; k++)
        if (!kept || !id_equal(&s->objects[kept - 1].id, &s->objects[k].id))
            s->objects[kept++] = s->objects[k];
    s->count = kept;
}

struct object *survey_find(struct survey *s, const struct id128 *id)
{
    struct object key = { .id = *id };
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(s->objects[mid].id.b, key.id.b, sizeof key.id.b);
        if (!order)
            return &s->objects[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
    return memcmp(x->id.b, y->id.b, sizeof x->id.b);
}

static struct object *add_gone(struct survey *s, const struct publication_segment *named)
{
    struct object *o = calloc(1, sizeof *o);

    if (o && s->gone_count == s->gone_capacity) {
        size_t room = s->gone_capacity ? 2 * s->gone_capacity : 64;
        struct object **v = realloc(s->gone, room * sizeof *v);
        if (v) {
            s->gone = v;
            s->gone_capacity = room;
        }
    }
    if (!o || s->gone_count == s->gone_capacity) {
        free(o);
        return NULL;
    }
    *o = (struct object){ .id = named->id, .size = named->length, .valid = named->length };
    size_t at = s->gone_count++;
    for (; at && memcmp(s->gone[at - 1]->id.b, o->id.b, sizeof o->id.b) > 0; at--)
        s->gone[at] = s->gone[at - 1];
    return s->gone[at] = o;
}

struct object *survey_named(struct survey *s, const struct publication_segment *named)
{
    struct object key = { .id = named->id }, *wanted = &key, **found;
    struct object *o = survey_find(s, &named->id);

    if (o || !named->gone)
        return o;
    found = s->gone_count ? bsearch(&wanted, s->gone, s->gone_count, sizeof *s->gone, compare_ids) : NULL;
    return found ? *found : add_gone(s, named);
}

int survey_list(struct rebuild *b)
{
    int rc = store_list(b->o->store, list_stored, count_foreign, b);
    if (!rc)
        rc = list_staged(b);
    if (!rc)
        sort_objects(&b->survey);
    return rc;
}

void survey_free(struct survey *s)
{
    for (size_t k = 0; k < s->count; k++)
        buf_free(&s->objects[k].footer);
    for (size_t k = 0; k < s->gone_count; k++)
        free(s->gone[k]);
    free(s->gone);
    free(s->objects);
    free(s->links);
    *s = (struct survey){ 0 };
}

/* --- one object ------------------------------------------------------------------------ */

static int open_object_file(struct rebuild *b, const struct object *o)
{
    char name[ID_TEXT];

    if (!o->staged)
        return store_get(b->o->store, &o->id);
    id_format(&o->id, name);
    int fd = openat(o->linked ? b->renewal.files.staging : b->o->old->staging, name,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int object_open(struct rebuild *b, struct object *o, int *fd, struct segment_key **key)
{
    *key = NULL;
    *fd = open_object_file(b, o);
    if (*fd < 0)
        return *fd;
    int rc = carrier_key(b->o->keys, &o->id, *fd, key, &o->epoch);
    o->headed = !rc;
    if (rc) {
        close(*fd);
        segment_key_free(*key);
        *key = NULL;
        *fd = -1;
    }
    return rc;
}

int object_trailer(struct object *o, int fd, struct segment_key *key, struct segment_trailer *out)
{
    int rc = carrier_trailer(fd, o->size, key, out);

    o->ended = !rc;
    return rc;
}

static int load_footer(struct rebuild *b, struct object *o, struct buf *footer)
{
    struct segment_trailer t;
    struct segment_key *key;
    int fd;

    if (o->footer.len) {
        buf_reset(footer);
        buf_append(footer, o->footer.data, o->footer.len);
        return footer->failed ? -ENOMEM : 0;
    }
    int rc = object_open(b, o, &fd, &key);
    if (rc)
        return rc;
    rc = object_trailer(o, fd, key, &t);
    if (!rc)
        rc = carrier_footer(fd, key, &t, footer);
    segment_key_free(key);
    close(fd);
    if (!rc && footer->len <= FOOTERS_KEPT - b->survey.kept) {
        buf_append(&o->footer, footer->data, footer->len);
        if (o->footer.failed)
            buf_free(&o->footer);    /* it is read again */
        b->survey.kept += o->footer.len;
    }
    return rc;
}

int object_publication(struct rebuild *b, struct object *o, struct buf *footer, struct publication_view *v,
                       uint8_t hash[SHA256_SIZE])
{
    struct footer_view parsed;

    int rc = load_footer(b, o, footer);
    if (!rc)
        rc = footer_parse(footer->data, footer->len, &parsed);
    if (!rc)
        rc = parsed.kind == PAYLOAD_PUBLICATION ? publication_parse(parsed.payload, parsed.payload_len, v) : -ENOENT;
    if (!rc && v->seq != o->publication)
        rc = E_FORMAT;               /* the trailer said another one */
    if (!rc)
        crypto_sha256(parsed.payload, parsed.payload_len, hash);
    return rc;
}
