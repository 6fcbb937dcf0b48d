/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A recovery that was interrupted goes on where it stopped.
 *
 * Each publication enters the new index in one transaction (index_take), so an index
 * that was cut anywhere holds the first so many publications of the history, whole,
 * and says by itself which.  Beside it lie, in the unfinished directory (renewal.c)
 *
 *   keyring   its local key, which the recovery key opens
 *   history   the links of the history as it was decided, and the heads before its
 *             beginning; a sealed record under HKDF(local key, "ecluse/history"),
 *             written with the first publication (docs/format.md)
 *
 * so that the footers of what was applied need not be read again.
 *
 * Gone on with only if all of it opens, every page of the index too; if what was
 * applied is, publication by publication, the beginning of the history that is decided
 * now; and if every segment that it names is still in the store with its length.  In
 * any other case it is given up, and all begins anew: a newer checkpoint, another
 * branch, an object that went.
 *
 * Only the local key is taken over.  Actor, slots and all else are the new keyring's, so
 * that the passphrase is the one given last, and two machines that go on from
 * copies of one directory are two actors.
 *
 * Not for a rebuild over an old state: what was not published is no history, the old
 * files may have changed since, and such a rebuild is rare.
 */
#include "rebuild.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define VERSION 1u
#define FILE_LIMIT (64u << 20)
#define ACTOR_BYTES 8u
#define LINK_LAST 1u
#define LINK_MORE 2u

struct known { struct id128 id; struct link link; };

struct resume {
    struct known *v;           /* in the order of the history */
    size_t count;
    const struct known **by_id; /* the first `applied` of them */
    size_t applied;
};

static void free_resume(struct resume *r)
{
    if (!r)
        return;
    free(r->v);
    free(r->by_id);
    free(r);
}

/* --- bytes -------------------------------------------------------------------------------- */

static void put_head(struct buf *out, const struct publication_head *h)
{
    uint8_t actor[ACTOR_BYTES];

    put_le64(actor, h->actor);
    buf_append(out, actor, sizeof actor);
    buf_varint(out, h->seq);
    buf_append(out, h->hash, sizeof h->hash);
}

static void copy(void *out, const uint8_t *p, size_t len)
{
    if (p)
        memcpy(out, p, len);
}

static struct publication_head get_head(struct reader *in)
{
    struct publication_head h = { 0 };
    const uint8_t *actor = read_raw(in, ACTOR_BYTES);

    h.actor = actor ? get_le64(actor) : 0;
    h.seq = read_varint(in);
    copy(h.hash, read_raw(in, sizeof h.hash), sizeof h.hash);
    return h;
}

static void put_link(struct buf *out, const struct id128 *id, const struct link *l)
{
    buf_append(out, id->b, sizeof id->b);
    put_head(out, &l->self);
    put_head(out, &l->before);
    put_head(out, &l->around);
    buf_byte(out, (uint8_t)((l->last ? LINK_LAST : 0) | (l->more ? LINK_MORE : 0)));
    buf_varint(out, l->shard);
    buf_varint(out, l->size);
    buf_varint(out, (uint64_t)l->time);
}

static void get_link(struct reader *in, struct known *k)
{
    copy(k->id.b, read_raw(in, sizeof k->id.b), sizeof k->id.b);
    k->link.self = get_head(in);
    k->link.before = get_head(in);
    k->link.around = get_head(in);
    uint8_t flags = read_byte(in);
    k->link.last = flags & LINK_LAST;
    k->link.more = flags & LINK_MORE;
    k->link.shard = (uint32_t)read_varint(in);
    k->link.size = read_varint(in);
    k->link.time = (int64_t)read_varint(in);
}

static void encode(const struct rebuild *b, struct buf *out)
{
    const struct publication_head *heads = (const void *)b->heads.data;
    size_t count = b->heads.len / sizeof *heads;

    buf_byte(out, VERSION);
    buf_varint(out, count);
    for (size_t k = 0; k < count; k++)
        put_head(out, &heads[k]);
    buf_varint(out, b->chain.count - b->chain.base);
    for (size_t k = b->chain.base; k < b->chain.count; k++) {
        const struct link *l = &b->survey.links[b->chain.order[k]];
        put_link(out, &b->survey.objects[l->object].id, l);
    }
}

static int decode(struct rebuild *b, struct resume *r, const uint8_t *bytes, size_t len)
{
    struct reader in = reader_over(bytes, len);

    if (read_byte(&in) != VERSION)
        return E_FORMAT;
    for (uint64_t n = read_varint(&in); n && !in.failed; n--) {
        struct publication_head h = get_head(&in);
        buf_append(&b->heads, &h, sizeof h);
    }
    uint64_t count = read_varint(&in);
    if (in.failed || count > reader_left(&in))
        return E_FORMAT;
    r->v = calloc((size_t)count + 1, sizeof *r->v);
    if (!r->v || b->heads.failed)
        return -ENOMEM;
    for (; r->count < count && !in.failed; r->count++)
        get_link(&in, &r->v[r->count]);
    return in.failed || reader_left(&in) ? E_FORMAT : 0;
}

/* --- the file ------------------------------------------------------------------------------ */

static int derive(const struct keyring *keys, uint8_t key[KEY_SIZE])
{
    return crypto_hkdf(key, KEY_SIZE, keyring_local_key(keys), "ecluse/history", NULL, 0);
}

int resume_note(struct rebuild *b)
{
    const struct id128 *vault = keyring_vault(b->o->keys);
    struct buf plain = { 0 };
    uint8_t key[KEY_SIZE], *sealed = NULL;

    if (b->o->old || !b->o->recovery)
        return 0;
    encode(b, &plain);
    if (!plain.failed && plain.len <= FILE_LIMIT - RECORD_OVERHEAD)
        sealed = malloc(plain.len + RECORD_OVERHEAD);
    int rc = sealed ? derive(b->o->keys, key) : -ENOMEM;
    if (!rc)
        rc = record_seal(key, vault->b, sizeof vault->b, plain.data, plain.len, sealed);
    if (!rc)
        rc = io_replace_file(b->renewal.files.dir, RESUME_FILE, sealed, plain.len + RECORD_OVERHEAD, FAULT_rebuild);
    b->noted = !rc;
    secret_wipe(key, sizeof key);
    free(sealed);
    buf_free(&plain);
    return rc;
}

static int read_history(struct rebuild *b, struct resume *r)
{
    const struct id128 *vault = keyring_vault(b->o->keys);
    uint8_t key[KEY_SIZE], *bytes = NULL, *plain = NULL;
    size_t len = 0;

    int rc = io_read_file(b->renewal.files.dir, RESUME_FILE, FILE_LIMIT, &bytes, &len);
    if (!rc && !(plain = malloc(len + 1)))
        rc = -ENOMEM;
    if (!rc)
        rc = derive(b->o->keys, key);
    if (!rc)
        rc = record_open(key, vault->b, sizeof vault->b, bytes, len, plain);
    if (!rc)
        rc = decode(b, r, plain, len - RECORD_OVERHEAD);
    secret_wipe(key, sizeof key);
    free(plain);
    free(bytes);
    return rc;
}

/* --- opening --------------------------------------------------------------------------------- */

/* The new keyring becomes that of the index that is there. */
static int take_key(struct rebuild *b)
{
    struct keyring *left = NULL;

    int rc = keyring_load(&left, b->renewal.files.dir, "keyring");
    if (!rc && !id_equal(keyring_vault(left), keyring_vault(b->o->keys)))
        rc = E_STATE_FOREIGN;
    if (!rc)
        rc = keyring_unlock(left, SLOT_RECOVERY, b->o->recovery, KEY_SIZE);
    if (!rc)
        keyring_take_local_key(b->o->keys, left);
    keyring_free(left);
    return rc;
}

/* What the end of a recovery makes; it is made again. */
static void remove_end(const struct rebuild *b)
{
    static const char *const names[] = { "journal", "ballast", "heads" };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++)
        unlinkat(b->renewal.files.dir, names[k], 0);
}

static int open_index(struct rebuild *b)
{
    int rc = index_open(&b->index, b->renewal.files.path, keyring_local_key(b->o->keys), false);
    if (rc)
        b->index = NULL;
    if (!rc)
        rc = index_settle(b->index);
    return rc ? rc : index_verify(b->index);
}

/* How many of the links the index has: all up to its last one, or it is not theirs. */
static int count_applied(struct rebuild *b, struct resume *r)
{
    struct publication_row row;

    int rc = index_last_publication(b->index, &row);
    while (!rc && r->applied < r->count && r->v[r->applied].link.self.seq <= row.seq)
        r->applied++;
    if (rc || !r->applied || r->v[r->applied - 1].link.self.seq != row.seq)
        return rc ? rc : E_FORMAT;
    for (size_t k = 0; !rc && k < r->applied; k++) {
        const struct publication_head *h = &r->v[k].link.self;
        rc = index_publication(b->index, h->seq, &row);
        if (!rc && (row.seq != h->seq || !row.done || memcmp(row.hash, h->hash, sizeof h->hash)))
            rc = E_FORMAT;
    }
    return rc;
}

static int read_counters(struct rebuild *b)
{
    struct numbers *n = &b->numbers;
    uint64_t ino = 0, cookie = 0, id;

    int rc = index_counter(b->index, COUNTER_INO, &ino);
    if (!rc)
        rc = index_counter(b->index, COUNTER_COOKIE, &cookie);
    n->ino = ino - 1;
    n->cookie = cookie - 1;
    for (uint32_t k = 0; !rc && k < ACTOR_LIMIT && index_counter(b->index, (enum counter)(COUNTER_ACTOR + k), &id) == 0;
         k++)
        rc = numbers_add_actor(n, id);
    n->noted = n->actor_count;
    return rc;
}

static int by_id(const void *a, const void *b)
{
    const struct known *x = *(const struct known *const *)a, *y = *(const struct known *const *)b;
    return memcmp(x->id.b, y->id.b, sizeof x->id.b);
}

static int sort_known(struct resume *r)
{
    r->by_id = calloc(r->applied + 1, sizeof *r->by_id);
    if (!r->by_id)
        return -ENOMEM;
    for (size_t k = 0; k < r->applied; k++)
        r->by_id[k] = &r->v[k];
    qsort(r->by_id, r->applied, sizeof *r->by_id, by_id);
    return 0;
}

static int open_left(struct rebuild *b)
{
    struct resume *r = b->resume = calloc(1, sizeof *r);

    int rc = r ? take_key(b) : -ENOMEM;
    if (!rc)
        rc = read_history(b, r);
    if (!rc)
        rc = open_index(b);
    if (!rc)
        rc = count_applied(b, r);
    if (!rc)
        rc = read_counters(b);
    return rc ? rc : sort_known(r);
}

int resume_open(struct rebuild *b)
{
    if (b->o->old || !b->o->recovery)
        return 0;
    int rc = renewal_reopen(&b->renewal, b->o->path);
    if (!rc) {
        rc = open_left(b);
        if (rc && rc != -ENOMEM && rc != -ENOSPC) {
            resume_give_up(b);
            if (rc != -ENOENT)   /* it was cut before anything was applied */
                log_warning("ECL-0348 rebuild: what an interruption left is of no use: %s", error_name(rc));
            b->report->anew = rc != -ENOENT;
            return 0;
        }
        b->noted = !rc;
        return rc;
    }
    renewal_end(&b->renewal);
    return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

const struct link *resume_link(const struct rebuild *b, const struct object *o)
{
    const struct known key = { .id = o->id }, *wanted = &key, **found;

    if (!b->resume || o->staged || !b->resume->applied)
        return NULL;
    found = bsearch(&wanted, b->resume->by_id, b->resume->applied, sizeof *b->resume->by_id, by_id);
    return found && (*found)->link.self.seq == o->publication ? &(*found)->link : NULL;
}

/* --- is it still right? ------------------------------------------------------------------------ */

static bool is_beginning(const struct rebuild *b)
{
    const struct resume *r = b->resume;

    if (b->chain.count - b->chain.base < r->applied)
        return false;
    for (size_t k = 0; k < r->applied; k++) {
        const struct publication_head *now = &b->survey.links[b->chain.order[b->chain.base + k]].self;
        const struct publication_head *then = &r->v[k].link.self;
        if (now->actor != then->actor || now->seq != then->seq || memcmp(now->hash, then->hash, sizeof now->hash))
            return false;
    }
    return true;
}

/* Its number is the object's again; 1 when the object is not there as it was. */
static int take_number(void *ctx, const struct segment_row *row)
{
    struct rebuild *b = ctx;
    struct object *o = survey_find(&b->survey, &row->id);

    if (!o || o->size != row->length)
        return 1;
    o->number = row->number;
    o->named = true;
    if (row->number > b->numbers.segment)
        b->numbers.segment = row->number;
    return 0;
}

static void turn_away(struct rebuild *b)
{
    log_warning("ECL-0349 rebuild: the store has another history than what an interruption left: it begins anew");
    resume_give_up(b);
}

int resume_place(struct rebuild *b)
{
    int rc = b->resume ? index_scan_segments(b->index, 0, take_number, b) : 0;

    if (rc == 1 || rc == E_STATE_DAMAGED)
        turn_away(b);
    return rc == 1 || rc == E_STATE_DAMAGED ? 0 : rc;
}

void resume_check(struct rebuild *b)
{
    if (b->resume && !is_beginning(b))
        turn_away(b);
    if (!b->resume)
        return;
    b->resumed = b->resume->applied;
    b->report->resumed = b->resumed;
    remove_end(b);
    log_info("ECL-0350 rebuild: goes on after %zu of %zu publications", b->resumed, b->chain.count - b->chain.base);
}

void resume_give_up(struct rebuild *b)
{
    if (b->index)
        index_discard(b->index);
    b->index = NULL;
    free_resume(b->resume);
    b->resume = NULL;
    b->resumed = b->report->resumed = 0;
    b->report->anew = true;
    b->noted = false;
    buf_free(&b->heads);
    free(b->numbers.actors);
    b->numbers = (struct numbers){ .ino = ROOT_INO, .cookie = 2 };
    for (size_t k = 0; k < b->survey.count; k++)
        b->survey.objects[k].number = 0;
    for (size_t k = 0; k < b->survey.gone_count; k++)
        b->survey.gone[k]->number = 0;
    renewal_end(&b->renewal);
}

void resume_end(struct rebuild *b, int rc)
{
    if (b->index)
        index_close(b->index);   /* refused before anything was done with it */
    b->index = NULL;
    if (rc && b->noted) {
        b->renewal.made = false;
        b->report->kept_half = true;
    }
    free_resume(b->resume);
    b->resume = NULL;
}
