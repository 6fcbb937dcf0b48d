/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publication: what is committed becomes visible in the store.
 *
 *   cut       commit to the index; at the same moment all staged segments close
 *   collect   the rows noted since the last publication, still in the turn
 *   seal      footers, hashes, fdatasync; the segment that carries the rows last
 *   intend    one transaction: exact ids, lengths, hashes, seq       (durable)
 *   move      objects into the store, their directories synced; carrier last
 *   mark      one transaction: it is done
 *
 * Before `intend` nothing has left; after it the same bytes are completed,
 * never regenerated (publish_complete, also after a crash).  When the rows do
 * not fit into one payload, further publications follow at once, each a cut of
 * its own; all but the last are flagged `more`, and whoever reads applies them
 * together.  Every publication takes all staged segments along, so that
 *
 *   a staged segment is referred to by unpublished rows, and by no others:
 *
 * live counts after a crash, resealing and reverse maps rest on this.
 *
 * A footer that could not be completed is written again with fresh nonces; the
 * earlier bytes never left the staging directory.
 *
 * The thread waits for 5 s without changes, or under continuous activity for
 * 60 s, then 300 s; or for a volume that should not wait.
 */
#include "internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FOOTER_FIXED 1024u           /* sealing, trailer, counts */
#define ROWS_MAX (2u << 20)          /* rows in one payload, about; several copies are in memory */
#define SHARD_ROWS (1920u << 10)     /* likewise, and with the rest of it in a file of 2 MiB */
#define VOLUME_MAX (1ull << 30)      /* staged bytes that do not wait */
#define NOTES_MAX 100000u            /* rows that do not wait */
#define CEILING_FIRST 60
#define CEILING_LATER 300
#define RETRY_SECONDS 30
#define IDLE_SECONDS 60

/* The segments of a cut, in the order of their numbers; the carrier last. */
struct cut {
    struct segment **v;              /* each referenced */
    struct segment_row *rows;
    size_t count;
};

static void cut_release(struct fs *fs, struct cut *c)
{
    for (size_t k = 0; k < c->count; k++)
        segment_unref(fs, c->v[k]);
    free(c->v);
    free(c->rows);
    *c = (struct cut){ 0 };
}

static int by_number(const void *a, const void *b)
{
    const struct segment *x = *(struct segment *const *)a, *y = *(struct segment *const *)b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The segments that were marked at the cut and are still alive. */
static int cut_take(struct fs *fs, struct cut *c)
{
    struct buf numbers = { 0 };
    int rc = 0;

    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged) {
        const struct segment *s = container(l, const struct segment, staged_link);
        if (s->in_cut && !s->dying)
            buf_append(&numbers, &s->number, sizeof s->number);
    }
    pthread_mutex_unlock(&fs->segments.lock);

    size_t count = numbers.len / sizeof(uint32_t);
    c->v = calloc(count + 1, sizeof *c->v);
    c->rows = calloc(count + 1, sizeof *c->rows);
    if (!c->v || !c->rows || numbers.failed)
        rc = -ENOMEM;
    for (size_t k = 0; !rc && k < count; k++) {
        uint32_t number;
        memcpy(&number, numbers.data + k * sizeof number, sizeof number);
        rc = segment_ref(fs, number, &c->v[c->count]);
        if (!rc)
            c->count++;
    }
    buf_free(&numbers);
    if (c->count)
        qsort(c->v, c->count, sizeof *c->v, by_number);
    return rc;
}

static void mark_sealed(struct fs *fs, const struct cut *c, bool sealed)
{
    pthread_mutex_lock(&fs->segments.lock);
    for (size_t k = 0; k < c->count; k++)
        c->v[k]->sealed = sealed;
    pthread_mutex_unlock(&fs->segments.lock);
}

/* --- sealing ---------------------------------------------------------------------- */

static int hash_file(int fd, uint64_t size, uint8_t out[SHA256_SIZE])
{
    struct sha256 *h = NULL;
    uint8_t *chunk = malloc(1u << 20);
    int rc = chunk ? sha256_new(&h) : -ENOMEM;

    for (uint64_t at = 0; !rc && at < size;) {
        size_t len = size - at < (1u << 20) ? (size_t)(size - at) : 1u << 20;
        rc = io_read_at(fd, chunk, len, at);
        if (!rc)
            sha256_add(h, chunk, len);
        at += len;
    }
    if (!rc)
        sha256_end(h, out);
    else
        sha256_free(h);
    free(chunk);
    return rc;
}

/* After a failed sync the kernel may have dropped what it had: no second try. */
static int latched_sync(struct fs *fs, const char *where, int rc)
{
    if (rc)
        fs_latch(fs, rc, where);
    return rc;
}

/* The same for the store, where other failures pass. */
static int latched_store(struct fs *fs, int rc)
{
    if (rc == E_STORE_SYNC)
        fs_latch(fs, -EIO, "store sync");
    return rc;
}

/* Writes footer, padding and trailer behind the blocks, syncs, hashes. */
static int seal_file(struct fs *fs, struct segment *s, uint64_t publication, const struct buf *footer,
                     struct segment_row *row)
{
    struct buf end = { 0 };

    int rc = segment_finish_carrier(s->key, s->used, publication, footer->data, footer->len, &end);
    if (!rc && ftruncate(s->fd, (off_t)s->used))
        rc = -errno;
    if (!rc)
        rc = io_write_at(s->fd, end.data, end.len, s->used, FAULT_segment_footer);
    if (!rc)
        rc = latched_sync(fs, "footer sync", io_sync(s->fd, FAULT_segment_footer));
    *row = (struct segment_row){ .number = s->number, .state = SEGMENT_STAGED, .id = s->id,
                                 .epoch = s->epoch, .length = s->used + end.len };
    if (!rc)
        rc = hash_file(s->fd, row->length, row->sha256);
    buf_free(&end);
    return rc;
}

/* With the payload of publication p, or (NULL) without one. */
static int seal_segment(struct fs *fs, struct reverse *r, struct segment *s, const struct buf *payload,
                        struct publication *p, struct segment_row *row)
{
    struct buf footer = { 0 };
    size_t payload_len = payload ? payload->len : 0;
    uint64_t taken = s->used + payload_len + FOOTER_FIXED;

    int rc = reverse_footer(fs, r, s->number, taken < SEGMENT_MAX ? (size_t)(SEGMENT_MAX - taken) : 0, &footer);
    if (!rc) {
        footer_end(&footer, payload ? PAYLOAD_PUBLICATION : PAYLOAD_NONE,
                   payload ? payload->data : NULL, payload_len);
        rc = footer.failed ? -ENOMEM : seal_file(fs, s, p ? p->seq : 0, &footer, row);
        if (p)
            p->size = footer.len;
    }
    buf_free(&footer);
    return rc;
}

/* What the payload takes at most: it is encoded once before its segments have
 * their lengths, so a new carrier and long varints are added. */
static int payload_room(struct fs *fs, struct cut *c, const struct publication *p, size_t *out)
{
    struct buf payload = { 0 };

    for (size_t k = 0; k < c->count; k++)
        c->rows[k] = (struct segment_row){ .number = c->v[k]->number, .id = c->v[k]->id };
    int rc = publication_encode(fs, p, c->rows, c->count, 0, &payload);
    *out = payload.len + 8 * c->count + 256;
    buf_free(&payload);
    return rc;
}

/* The carrier is the last segment of the cut if the payload fits in, else a
 * new one that holds no blocks. */
static int choose_carrier(struct fs *fs, struct cut *c, const struct publication *p)
{
    struct segment *last = c->count ? c->v[c->count - 1] : NULL;
    size_t payload;

    int rc = payload_room(fs, c, p, &payload);
    if (rc)
        return rc;
    if (last && segment_size_class(last->used + last->footer + FOOTER_ROOM + payload + payload / 16))
        return 0;
    struct segment *fresh;
    rc = segment_create(fs, true, &fresh);
    if (rc)
        return rc;
    c->v[c->count++] = fresh;
    return 0;
}

static int seal_cut(struct fs *fs, struct cut *c, struct publication *p, struct reverse *r,
                    uint8_t hash[SHA256_SIZE])
{
    struct buf payload = { 0 };
    int rc = choose_carrier(fs, c, p);

    mark_sealed(fs, c, true);
    for (size_t k = 0; !rc && k + 1 < c->count; k++)
        rc = seal_segment(fs, r, c->v[k], NULL, NULL, &c->rows[k]);
    struct segment *carrier = rc ? NULL : c->v[c->count - 1];
    if (!rc) {
        c->rows[c->count - 1] = (struct segment_row){ .number = carrier->number, .id = carrier->id };
        rc = publication_encode(fs, p, c->rows, c->count, carrier->number, &payload);
    }
    if (!rc) {
        crypto_sha256(payload.data, payload.len, hash);
        rc = seal_segment(fs, r, carrier, &payload, p, &c->rows[c->count - 1]);
    }
    if (!rc)
        rc = latched_sync(fs, "staging sync", io_sync_dir(fs->state->staging, FAULT_segment_footer));
    buf_free(&payload);
    return rc;
}

/* --- intent and completion ------------------------------------------------------------ */

static int intend(struct fs *fs, const struct publication *p, const struct cut *c,
                  const uint8_t hash[SHA256_SIZE], uint64_t token)
{
    struct publication_row row = { .seq = p->seq, .time = p->time, .carrier = c->rows[c->count - 1].number,
                                   .size = p->size, .shard = p->shard, .last = p->last, .inodes = p->inodes };
    struct buf segments = { 0 };

    memcpy(row.hash, hash, SHA256_SIZE);
    for (size_t k = 0; k < c->count; k++)
        batch_segment(&segments, &c->rows[k]);
    int rc = segments.failed ? -ENOMEM : fault_hit(FAULT_intent);
    if (!rc) {
        commit_take_turn(fs);
        rc = index_intend(fs->index, &row, &segments, token);
        if (!rc)
            rc = latched_sync(fs, "intent", index_sync(fs->index));
        commit_give_turn(fs, -EAGAIN);
    }
    buf_free(&segments);
    return rc;
}

struct move { struct fs *fs; struct id128 *ids; uint32_t *numbers; size_t count; uint64_t bytes; };

static int note_move(void *ctx, const struct segment_row *s)
{
    struct move *m = ctx;
    struct id128 *ids = realloc(m->ids, (m->count + 1) * sizeof *ids);
    if (ids)
        m->ids = ids;
    uint32_t *numbers = realloc(m->numbers, (m->count + 1) * sizeof *numbers);
    if (numbers)
        m->numbers = numbers;
    if (!ids || !numbers)
        return -ENOMEM;
    m->ids[m->count] = s->id;
    m->bytes += s->length;
    m->numbers[m->count++] = s->number;
    return 0;
}

static int move_one(struct fs *fs, const struct id128 *id)
{
    char name[ID_TEXT];
    uint64_t size;

    id_format(id, name);
    int rc = store_put(fs->store, fs->state->staging, name, id);
    if (rc == -ENOENT)              /* moved before a crash */
        rc = store_size(fs->store, id, &size);
    return rc;
}

/* What was copied into the store is durable there now. What a crash leaves here
 * is swept at the next start. */
static void drop_staged(struct fs *fs, const struct move *m)
{
    char name[ID_TEXT];

    for (size_t k = 0; k < m->count && !fault_hit(FAULT_staging_cleanup); k++) {
        id_format(&m->ids[k], name);
        unlinkat(fs->state->staging, name, 0);
    }
}

static int move_all(struct fs *fs, const struct move *m)
{
    int rc = 0;
    for (size_t k = 0; k < m->count; k++)
        segment_end_writing(fs, m->numbers[k]);
    for (size_t k = 0; !rc && k + 1 < m->count; k++)
        rc = move_one(fs, &m->ids[k]);
    if (!rc && m->count > 1)
        rc = store_sync(fs->store, m->ids, m->count - 1);
    if (!rc)
        rc = fault_hit(FAULT_publication);
    if (!rc)
        rc = move_one(fs, &m->ids[m->count - 1]);
    if (!rc)
        rc = store_sync(fs->store, &m->ids[m->count - 1], 1);
    if (!rc)
        drop_staged(fs, m);
    return latched_store(fs, rc);
}

/* An intent found at a mount: what has lain since must still be what was
 * recorded, or damage would enter the store for ever, under a good hash. */
static int verify_staged(void *ctx, const struct segment_row *row)
{
    struct fs *fs = ctx;
    char place[sizeof "staging/" + ID_TEXT] = "staging/", *name = place + strlen(place);
    uint8_t found[SHA256_SIZE];
    struct stat st;

    id_format(&row->id, name);
    int fd = openat(fs->state->staging, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = fstat(fd, &st) ? -errno : (uint64_t)st.st_size != row->length ? -ENODATA : 0;
    if (!rc)
        rc = hash_file(fd, row->length, found);
    close(fd);
    if (!rc && memcmp(found, row->sha256, sizeof found))
        rc = -ENODATA;
    return rc == -ENODATA ? state_damaged(fs->state, place) : rc;
}

int publish_verify(struct fs *fs, uint64_t seq)
{
    return index_scan_publication(fs->index, seq, verify_staged, fs);
}

static int mark_done(struct fs *fs, uint64_t seq)
{
    int rc = fault_hit(FAULT_mark_published);
    if (rc)
        return rc;
    commit_take_turn(fs);
    rc = index_published(fs->index, seq);
    if (!rc)
        rc = latched_sync(fs, "mark", index_sync(fs->index));
    commit_give_turn(fs, -EAGAIN);
    return rc;
}

int publish_complete(struct fs *fs)
{
    struct publication_row p;
    struct move m = { .fs = fs };

    int rc = index_last_publication(fs->index, &p);
    if (rc || p.done)
        return rc == -ENOENT ? 0 : rc;
    rc = index_scan_publication(fs->index, p.seq, note_move, &m);
    if (!rc && !m.count)
        rc = E_STATE_DAMAGED;
    if (!rc)
        rc = move_all(fs, &m);
    if (!rc)
        rc = mark_done(fs, p.seq);
    if (!rc) {
        for (size_t k = 0; k < m.count; k++)
            segment_published(fs, m.numbers[k]);
        pthread_mutex_lock(&fs->publish.lock);
        fs->publish.seq = p.seq;
        fs->publish.time = p.time;
        memcpy(fs->publish.hash, p.hash, sizeof p.hash);
        pthread_mutex_unlock(&fs->publish.lock);
        audit_append(fs->state->dir, fs->state->keys, AUDIT_PUBLISHED, 0,
                     AUDIT_FIELDS(AUDIT_NUMBER("number", p.seq), AUDIT_NUMBER("objects", m.count),
                                  AUDIT_NUMBER("bytes", m.bytes)));
    }
    free(m.ids);
    free(m.numbers);
    return rc;
}

/* --- one publication -------------------------------------------------------------------- */

/* The rows of this part, and the reverse maps, which need all unpublished rows:
 * those of later parts refer to the segments of this one. 1 when rows remain. */
static int collect(struct fs *fs, struct buf *rows, struct reverse *r, uint64_t token)
{
    int rc = index_collect(fs->index, token, ROWS_MAX, rows);
    if (rc == 0)
        return reverse_add(r, rows->data, rows->len);
    if (rc == 1)
        rc = unpublished_scan(fs, reverse_add, r);
    buf_reset(rows);
    return rc ? rc : index_collect(fs->index, token, ROWS_MAX, rows);
}

/* Commits, collects and takes the segments as one step: a segment that the
 * collected rows refer to must not die meanwhile. */
static int cut_and_collect(struct fs *fs, struct cut *c, struct buf *rows, struct reverse *r, uint64_t token)
{
    commit_take_turn(fs);
    int rc = commit_in_turn(fs, COMMIT_CUT);
    int result = rc;
    if (!rc)
        rc = collect(fs, rows, r, token);
    int taken = rc < 0 ? 0 : cut_take(fs, c);
    commit_give_turn(fs, result);
    return taken ? taken : rc;
}

/* Who lacks the checkpoint before it may go on from what came before that. */
static int find_around(struct fs *fs, struct publication *p)
{
    struct publication_row last, plain;

    int rc = index_last_publication(fs->index, &last);
    if (!rc && last.shard)
        rc = index_plain_publication(fs->index, last.seq, &plain);
    if (rc || !last.shard)
        return rc == -ENOENT ? 0 : rc;
    p->around = (struct publication_head){ .actor = actors_of(fs, plain.seq), .seq = plain.seq };
    memcpy(p->around.hash, plain.hash, sizeof plain.hash);
    return 0;
}

static int describe(struct fs *fs, struct publication *p)
{
    p->time = clock_now();
    p->seq = fs->publish.seq + 1;
    if (!actors_chain_begins(fs, p->seq))
        memcpy(p->previous, fs->publish.hash, sizeof p->previous);
    return find_around(fs, p);
}

/* From what was collected to the store. */
static int send(struct fs *fs, struct publication *p, struct cut *c, struct reverse *r, uint64_t token)
{
    uint8_t hash[SHA256_SIZE];

    int rc = describe(fs, p);
    if (!rc)
        rc = seal_cut(fs, c, p, r, hash);
    if (!rc)
        rc = intend(fs, p, c, hash, token);
    if (rc)
        mark_sealed(fs, c, false);
    cut_release(fs, c);
    return rc ? rc : publish_complete(fs);
}

/* One part, from the cut to the store. 1 when more has to follow. */
static int publish_part(struct fs *fs)
{
    struct publication p = { 0 };
    struct reverse *r = NULL;
    struct cut c = { 0 };
    uint64_t token;

    crypto_random(&token, sizeof token);
    token >>= 1;
    int rc = reverse_new(&r);
    if (!rc)
        rc = cut_and_collect(fs, &c, &p.rows, r, token);
    p.more = rc == 1;
    if (rc >= 0 && (p.rows.len || c.count))
        rc = send(fs, &p, &c, r, token);
    cut_release(fs, &c);
    reverse_free(r);
    buf_free(&p.rows);
    return rc < 0 ? rc : p.more;
}

/* A part of a checkpoint: rows as they were published, so it needs no cut, and what
 * is staged stays so. */
int publish_shard(struct fs *fs, struct dump *d, uint32_t number)
{
    struct publication p = { .shard = number + 1 };
    struct index_totals totals;
    struct reverse *r = NULL;
    struct cut c = { .v = calloc(1, sizeof *c.v), .rows = calloc(1, sizeof *c.rows) };

    int rc = c.v && c.rows ? reverse_new(&r) : -ENOMEM;
    if (!rc) {
        commit_take_turn(fs);
        rc = index_dump(fs->index, d, SHARD_ROWS, &p.rows);
        commit_give_turn(fs, -EAGAIN);
    }
    p.last = rc == 0;
    p.more = !p.last || d->skipped;
    if (rc >= 0 && index_totals(fs->index, &totals) == 0)
        p.inodes = totals.inodes;
    pthread_mutex_lock(&fs->meta);
    p.next_ino = fs->next_ino & INODE_COUNTER;
    p.next_cookie = fs->next_cookie;
    pthread_mutex_unlock(&fs->meta);
    if (rc >= 0)
        rc = send(fs, &p, &c, r, 0);
    cut_release(fs, &c);
    reverse_free(r);
    buf_free(&p.rows);
    return rc < 0 ? rc : !p.last;
}

static void say_result(struct fs *fs, int rc)
{
    int before = atomic_exchange(&fs->publish_error, rc);

    if (before == rc || atomic_load(&fs->latched))
        return;
    if (!rc)
        log_info("ECL-0411 publication goes on");
    else
        log_warning("ECL-0410 publication: %s", error_name(rc));
    if (!before || !rc)
        fs_raise(fs, rc ? FS_EVENT_PUBLICATION_WAITS : FS_EVENT_PUBLICATION_RESUMES, rc);
}

int publish_rows(struct fs *fs)
{
    int rc;

    do
        rc = publish_part(fs);
    while (rc == 1);
    return rc;
}

/* Rows that the parts left out, being changed again, follow. */
int publish_checkpoint(struct fs *fs)
{
    bool skipped = false;

    int rc = checkpoint_write(fs, &skipped);
    return rc || !skipped ? rc : publish_rows(fs);
}

static int publish_all(struct fs *fs)
{
    if (fs->opt.read_only)
        return 0;
    if (atomic_load(&fs->latched))
        return E_LATCHED;
    int rc = fresh_check(fs);    /* nothing is built upon a store that went back */
    if (!rc)
        rc = publish_complete(fs);
    if (!rc)
        rc = index_unpublished(fs->index);
    if (rc == 1)
        rc = reseal_sparse(fs);
    if (!rc)
        rc = publish_rows(fs);
    /* What was to be published is; without a checkpoint reading only takes longer. */
    if (!rc && checkpoint_due(fs) && publish_checkpoint(fs) && atomic_load(&fs->latched))
        rc = E_LATCHED;
    say_result(fs, rc);
    return rc;
}

int publish_final(struct fs *fs)
{
    commit_may_fetch();
    if (fs->opt.read_only)
        return 0;
    int rc = publish_all(fs);
    if (!rc)
        return 0;
    /* What could not be published stays staged; it must be committed. */
    commit_take_turn(fs);
    int committed = commit_in_turn(fs, COMMIT_INDEX);
    commit_give_turn(fs, committed);
    return committed ? committed : rc;
}

/* --- the thread ---------------------------------------------------------------------------- */

void publish_poke(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    if (!p->work) {
        p->work = true;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

static void deadline(struct timespec *t, unsigned milliseconds)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_sec += milliseconds / 1000;
    t->tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_sec++;
        t->tv_nsec -= 1000000000;
    }
}

static bool voluminous(struct fs *fs)
{
    struct index_totals totals;
    uint64_t staged = 0;

    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged)
        staged += container(l, const struct segment, staged_link)->used;
    pthread_mutex_unlock(&fs->segments.lock);
    return staged > VOLUME_MAX || (index_totals(fs->index, &totals) == 0 && totals.unpublished > NOTES_MAX);
}

bool publish_stopping(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    bool stop = fs->publish.stop || fs->publish.gc_stop;
    pthread_mutex_unlock(&fs->publish.lock);
    return stop;
}

static bool asked(const struct publisher *p)
{
    return p->asked != p->answered || p->gc_asked != p->gc_answered;
}

/* Waits until it is time to publish: quiet, the ceiling, volume, or a request; with
 * nothing to publish, for a minute. True when activity went on to the end. p->lock held. */
static bool wait_until_due(struct fs *fs, time_t ceiling)
{
    struct publisher *p = &fs->publish;
    struct timespec begun, t;
    unsigned long long seen = atomic_load(&fs->activity);

    deadline(&t, IDLE_SECONDS * 1000);
    for (int late = 0; !p->stop && !p->work && !asked(p) && !late;)
        late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (!p->stop && p->work && !asked(p)) {
        deadline(&t, fs->opt.publish_ms);
        int late = 0;
        while (!p->stop && !asked(p) && !late)
            late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
        unsigned long long now_seen = atomic_load(&fs->activity);
        if (now_seen == seen)
            return false;
        seen = now_seen;
        clock_gettime(CLOCK_MONOTONIC, &t);
        if (t.tv_sec - begun.tv_sec >= ceiling)
            return true;
        pthread_mutex_unlock(&p->lock);
        bool volume = voluminous(fs);
        pthread_mutex_lock(&p->lock);
        if (volume)
            return true;
    }
    return false;
}

/* By the thread, after a publication; p->lock held, and given up meanwhile. */
static void collect_garbage(struct fs *fs, int published)
{
    struct publisher *p = &fs->publish;
    struct gc_report report = { 0 };
    uint64_t wanted = p->gc_asked;
    bool is_wanted = wanted != p->gc_answered, at_once = is_wanted && p->gc_at_once;
    int rc = published;

    if (!is_wanted && (rc || p->stop))
        return;
    pthread_mutex_unlock(&p->lock);
    if (!rc && (is_wanted || gc_due(fs)))
        rc = gc_round(fs, at_once, &report);
    pthread_mutex_lock(&p->lock);
    if (!is_wanted)
        return;
    p->gc = report;
    p->gc_result = rc;
    p->gc_at_once = false;
    p->gc_answered = wanted;
    pthread_cond_broadcast(&p->changed);
}

static void *thread(void *arg)
{
    struct fs *fs = arg;
    struct publisher *p = &fs->publish;
    time_t ceiling = CEILING_FIRST;

    commit_may_fetch();
    pthread_mutex_lock(&p->lock);
    for (;;) {
        bool forced = wait_until_due(fs, ceiling);
        if (p->stop)
            break;
        ceiling = forced ? CEILING_LATER : CEILING_FIRST;
        uint64_t wanted = p->asked;
        bool idle = !p->work && !asked(p);
        int rc = 0;
        p->work = false;
        if (!idle) {
            pthread_mutex_unlock(&p->lock);
            rc = publish_all(fs);
            pthread_mutex_lock(&p->lock);
        }
        if (!idle) {
            p->result = rc;
            p->answered = wanted;
            pthread_cond_broadcast(&p->changed);
        }
        collect_garbage(fs, rc);
        if (rc && !p->stop) {
            struct timespec t;
            deadline(&t, RETRY_SECONDS * 1000);
            int late = 0;
            while (!late && !p->stop && !asked(p))
                late = pthread_cond_timedwait(&p->changed, &p->lock, &t);
            p->work = true;
        }
    }
    p->answered = p->asked;
    p->gc_answered = p->gc_asked;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int fs_gc(struct fs *fs, bool at_once, struct gc_report *out)
{
    struct publisher *p = &fs->publish;

    *out = (struct gc_report){ 0 };
    if (fs->opt.read_only)
        return -EROFS;
    pthread_mutex_lock(&p->lock);
    uint64_t mine = ++p->gc_asked;
    p->gc_at_once |= at_once;
    p->gc_result = -EINTR;
    pthread_cond_broadcast(&p->changed);
    while (p->gc_answered < mine && !p->stop)
        pthread_cond_wait(&p->changed, &p->lock);
    int rc = p->stop && p->gc_answered < mine ? -EINTR : p->gc_result;
    *out = p->gc;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int fs_flush(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    if (fs->opt.read_only)
        return 0;
    pthread_mutex_lock(&p->lock);
    uint64_t mine = ++p->asked;
    pthread_cond_broadcast(&p->changed);
    while (p->answered < mine && !p->stop)
        pthread_cond_wait(&p->changed, &p->lock);
    int rc = p->result;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void fs_gc_stop(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    fs->publish.gc_stop = true;
    pthread_mutex_unlock(&fs->publish.lock);
}

int publish_start(struct fs *fs)
{
    struct publisher *p = &fs->publish;
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
    struct publication_row last;
    int left = index_unpublished(fs->index);
    p->work = left == 1 || (index_last_publication(fs->index, &last) == 0 && !last.done);
    if (left < 0)
        return left;
    /* Until here damage refuses the mount, and nothing is changed. */
    index_on_damage(fs->index, fs_index_damaged, fs);
    return -pthread_create(&p->thread, NULL, thread, fs);
}

void publish_stop(struct fs *fs)
{
    struct publisher *p = &fs->publish;

    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
}
