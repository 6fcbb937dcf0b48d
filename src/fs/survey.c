/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What there is to rebuild from, and in which order: the publications.
 *
 * All objects are listed first (objects.c), then header and trailer of each are read and opened.  The
 * trailer tells the number of the publication in the footer, so footers are read from
 * the newest publication on, and none any more once a checkpoint is found with
 * which, and with all that is newer, the history is whole: older publications are
 * not missed, whether they are there or not.  No blocks are read.  Memory grows with
 * the number of objects and publications (some 100 and 250 bytes each), not with
 * rows: of payloads as many are kept as there is room for, the others are read
 * again when they are applied.
 *
 * An object that does not open is reported and left out of what can carry a
 * publication; it still counts as present where a publication names it with its
 * length, for its blocks may be whole, and each block is opened before it is
 * served.  That an object is not there, or begins as it should and has no end, is no
 * alarm: it has not arrived.  (Engines that write under the final name leave any
 * length, and zeros where they reserved room; what somebody cut looks the same.)
 * Unless it may hold something newer than all that can be read: doubts.c.  Staged
 * files seldom have a footer; that says nothing.
 */
#include "rebuild.h"
#include <stdlib.h>
#include <unistd.h>

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
        rc = object_trailer(o, fd, key, &t);
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

    int rc = survey_list(b);
    if (!rc)
        rc = resume_place(b);
    if (!rc)
        rc = find_carriers(b, &carriers, &count);
    if (!rc)
        rc = read_carriers(b, carriers, count);
    free(carriers);
    return rc;
}
