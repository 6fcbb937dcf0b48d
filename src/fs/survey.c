/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What there is to rebuild from: every object of the store and, of the old
 * staging directory, every file that has a segment's name.
 *
 * All are listed first, then header and trailer of each are read and opened.  The
 * trailer tells the number of the publication in the footer, so footers are read from
 * the newest publication on, and none any more once a checkpoint is found with
 * which, and with all that is newer, the history is whole: older publications are
 * not missed, whether they are there or not.  No blocks are read.  Memory grows with
 * the number of objects and publications (some 100 and 250 bytes each), not with
 * rows: of payloads as many are kept as FOOTERS_KEPT allows, the others are read
 * again when they are applied.
 *
 * An object that does not open is reported and left out of what can carry a
 * publication; it still counts as present where a publication names it with its
 * length, for its blocks may be whole, and each block is opened before it is
 * served.  That an object is not there, or begins as it should and has no end, is no
 * alarm: it has not arrived.  (Engines that write under the final name leave any
 * length, and zeros where they reserved room; what somebody cut looks the same.)  Staged files seldom have a footer; that says nothing.
 */
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

static int check_front(struct rebuild *b, struct object *o, int fd, struct segment_key **key)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header h;

    int rc = io_read_at(fd, front, sizeof front, 0);
    if (!rc)
        rc = segment_header_parse(front, &h);
    if (rc)
        return rc == -ENODATA ? E_NOT_ARRIVED : rc;
    const uint8_t *epoch_key = keyring_epoch_key(b->o->keys, h.epoch);
    if (!epoch_key || h.suite != keyring_suite(b->o->keys) || !id_equal(&h.vault, keyring_vault(b->o->keys)) ||
        !id_equal(&h.segment, &o->id))
        return E_AUTH;
    rc = segment_key_new(key, &h, epoch_key);
    if (!rc)
        rc = segment_header_check(front, *key);
    o->headed = !rc;
    o->epoch = h.epoch;
    return rc;
}

int object_open(struct rebuild *b, struct object *o, int *fd, struct segment_key **key)
{
    *key = NULL;
    *fd = open_object_file(b, o);
    if (*fd < 0)
        return *fd;
    int rc = check_front(b, o, *fd, key);
    if (rc) {
        close(*fd);
        segment_key_free(*key);
        *key = NULL;
        *fd = -1;
    }
    return rc;
}

static int read_trailer(struct object *o, int fd, struct segment_key *key, struct segment_trailer *out)
{
    uint8_t sealed[SEGMENT_TRAILER];

    if (o->size < SEGMENT_MIN)
        return E_NOT_ARRIVED;
    int rc = io_read_at(fd, sealed, sizeof sealed, o->size - SEGMENT_TRAILER);
    if (!rc)
        rc = segment_trailer_read(key, o->size, sealed, out);
    o->ended = !rc;
    return rc == -ENODATA ? E_NOT_ARRIVED : rc;
}

/* The plaintext of the footer. */
static int read_footer(struct object *o, int fd, struct segment_key *key, struct buf *footer)
{
    struct segment_trailer t;

    int rc = read_trailer(o, fd, key, &t);
    if (rc)
        return rc;
    uint64_t at = t.footer_offset, len = t.footer_sealed_len;
    uint8_t *sealed = malloc((size_t)len), *plain = malloc((size_t)len);
    rc = sealed && plain ? io_read_at(fd, sealed, (size_t)len, at) : -ENOMEM;
    if (!rc)
        rc = segment_open(key, at, SEAL_FOOTER, sealed, (size_t)len, plain);
    if (!rc) {
        buf_reset(footer);
        buf_append(footer, plain, (size_t)len - SEAL_OVERHEAD);
        rc = footer->failed ? -ENOMEM : 0;
    }
    free(sealed);
    free(plain);
    return rc == -ENODATA ? E_NOT_ARRIVED : rc;
}

static int load_footer(struct rebuild *b, struct object *o, struct buf *footer)
{
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
    rc = read_footer(o, fd, key, footer);
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

/* --- publications ----------------------------------------------------------------------- */

/* Is everything there that the publication names? Its carrier is this object. */
static bool is_complete(struct rebuild *b, const struct object *carrier, struct publication_view v)
{
    struct publication_segment s;
    bool complete = true;

    while (publication_next_segment(&v, &s)) {
        struct object *o = survey_find(&b->survey, &s.id);
        if (s.carrier ? o != carrier : !o || (o->staged && !carrier->staged) ||
            ((s.fresh || s.again) && o->size != s.length))
            complete &= s.gone;
        if (o)
            o->named = true;
    }
    return complete;
}

static struct link *next_link(struct survey *s)
{
    if (s->link_count == s->link_capacity) {
        size_t room = s->link_capacity ? 2 * s->link_capacity : 256;
        struct link *links = realloc(s->links, room * sizeof *links);
        if (!links)
            return NULL;
        s->links = links;
        s->link_capacity = room;
    }
    return &s->links[s->link_count++];
}

/* It was applied before an interruption, and so was all that it names. */
static int add_known(struct rebuild *b, const struct object *carrier, const struct link *known)
{
    struct link *l = next_link(&b->survey);

    if (!l)
        return -ENOMEM;
    *l = *known;
    l->object = (size_t)(carrier - b->survey.objects);
    return 0;
}

static int add_link(struct rebuild *b, struct object *carrier, const struct publication_view *v,
                    const uint8_t hash[SHA256_SIZE], size_t size)
{
    struct survey *s = &b->survey;
    struct link *l = next_link(s);

    if (!l)
        return -ENOMEM;
    *l = (struct link){ .self = { .actor = v->actor, .seq = v->seq }, .before = v->before, .more = v->more,
                        .incomplete = !is_complete(b, carrier, *v), .staged = carrier->staged,
                        .around = v->around, .shard = v->shard, .last = v->last, .size = size,
                        .time = (int64_t)v->time, .object = (size_t)(carrier - s->objects) };
    memcpy(l->self.hash, hash, SHA256_SIZE);
    return 0;
}

static int report_unreadable(struct rebuild *b, struct object *o, int rc)
{
    char id[ID_TEXT];

    if (o->staged)
        return 0;
    id_format(&o->id, id);
    if (!o->ended && (o->headed || rc == E_NOT_ARRIVED)) {
        b->report->arriving++;
        log_info("ECL-0339 object %s has no end, or not yet: %s", id, error_name(rc));
    } else {
        b->report->unreadable++;
        log_warning("ECL-0340 object %s cannot be read: %s", id, error_name(rc));
    }
    return doubt_object(b, o);
}

static bool is_ours(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* Header and trailer: does it carry a publication, and which? */
static int look_at(struct rebuild *b, struct object *o)
{
    struct segment_trailer t;
    struct segment_key *key;
    int fd;

    int rc = object_open(b, o, &fd, &key);
    if (!rc) {
        rc = read_trailer(o, fd, key, &t);
        segment_key_free(key);
        close(fd);
    }
    if (is_ours(rc))
        return rc;
    if (rc)
        return report_unreadable(b, o, rc);
    o->publication = t.publication;
    return 0;
}

static int judge_object(struct rebuild *b, struct object *o, struct buf *footer)
{
    const struct link *known = resume_link(b, o);
    struct publication_view v;
    uint8_t hash[SHA256_SIZE];

    if (known)
        return add_known(b, o, known);
    int rc = object_publication(b, o, footer, &v, hash);
    if (is_ours(rc))
        return rc;
    if (!rc)
        return add_link(b, o, &v, hash, footer->len);
    return report_unreadable(b, o, rc == -ENOENT ? E_FORMAT : rc);
}

/* --- from the newest on ------------------------------------------------------------------ */

static int by_publication(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;

    if (x->publication != y->publication)
        return x->publication > y->publication ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int find_carriers(struct rebuild *b, struct object ***out, size_t *count)
{
    struct survey *s = &b->survey;
    struct object **v = calloc(s->count + 1, sizeof *v);
    int rc = v ? 0 : -ENOMEM;

    *count = 0;
    for (size_t k = 0; !rc && k < s->count; k++) {
        rc = k % 16 ? 0 : rebuild_progress(b, REBUILD_SURVEY, k, s->count);
        if (!rc)
            rc = look_at(b, &s->objects[k]);
        if (!rc && s->objects[k].publication)
            v[(*count)++] = &s->objects[k];
    }
    if (*count)
        qsort(v, *count, sizeof *v, by_publication);
    *out = v;
    return rc;
}

static int decide(struct rebuild *b)
{
    struct chain_wish wish = { .seen = b->seen, .actor = keyring_actor(b->o->keys) };

    chain_free(&b->chain);
    return chain_order(b->survey.links, b->survey.link_count, &wish, &b->chain);
}

/* Is a beginning of a checkpoint among [from, to)? */
static bool may_suffice(const struct survey *s, size_t from)
{
    for (size_t k = from; k < s->link_count; k++)
        if (s->links[k].shard == 1)
            return true;
    return false;
}

static int read_carriers(struct rebuild *b, struct object **v, size_t count)
{
    struct survey *s = &b->survey;
    struct buf footer = { 0 };
    int rc = 0;

    for (size_t k = 0; !rc && k < count;) {
        uint64_t number = v[k]->publication;
        size_t before = s->link_count;
        for (; !rc && k < count && v[k]->publication == number; k++) {
            rc = rebuild_progress(b, REBUILD_READ, k, count);
            if (!rc)
                rc = judge_object(b, v[k], &footer);
        }
        /* What the device has seen must be among what is read, if it is there. */
        if (rc || (b->seen.seq && number > b->seen.seq) || !may_suffice(s, before))
            continue;
        rc = decide(b);
        if (!rc && chain_suffices(s->links, &b->chain) && s->links[b->chain.order[b->chain.base]].self.seq >= number)
            break;
    }
    buf_free(&footer);
    return rc ? rc : decide(b);
}

int survey_take(struct rebuild *b)
{
    struct object **carriers = NULL;
    size_t count;

    int rc = store_list(b->o->store, list_stored, count_foreign, b);
    if (!rc)
        rc = list_staged(b);
    if (rc)
        return rc;
    sort_objects(&b->survey);
    rc = resume_place(b);
    if (!rc)
        rc = find_carriers(b, &carriers, &count);
    if (!rc)
        rc = read_carriers(b, carriers, count);
    free(carriers);
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
