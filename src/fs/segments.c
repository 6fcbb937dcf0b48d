/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Segments as files: which are known, which are open, where the next byte goes.
 *
 * A segment is a file of staging/ until it is published, then an object of the
 * store; where it is, is looked up, never believed from the index.  Staged
 * segments stay in the table; published ones come and go with their use.
 *
 * Appending: flight_begin reserves consecutive slots, the caller seals and
 * writes, maps the blocks (with meta held), then flight_end.  A slot is never
 * handed out twice, not after a failed write either.  `written` never passes a
 * flight that is still in the air nor the end of the file after a failed write,
 * so whoever syncs up to `written` claims nothing that is not there.
 */
#include "internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one append adds to the estimate of its footer: a run and a name. */
#define FOOTER_PER_APPEND 64u

int segments_init(struct fs *fs)
{
    struct segments *t = &fs->segments;
    pthread_mutex_init(&t->lock, NULL);
    list_init(&t->lru);
    list_init(&t->staged);
    return index_counter(fs->index, COUNTER_SEGMENT, &t->next_number);
}

static struct segment *find(struct segments *t, uint32_t number)
{
    struct segment *s = t->buckets[number % SEGMENT_BUCKETS];
    while (s && s->number != number)
        s = s->hash_next;
    return s;
}

static struct segment *add(struct segments *t, uint32_t number, const struct id128 *id, uint32_t epoch)
{
    struct segment *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->number = number;
    s->id = *id;
    s->epoch = epoch;
    s->fd = -1;
    list_init(&s->lru);
    list_init(&s->staged_link);
    list_init(&s->flights);
    s->hash_next = t->buckets[number % SEGMENT_BUCKETS];
    t->buckets[number % SEGMENT_BUCKETS] = s;
    return s;
}

static void close_file(struct segment *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    segment_key_free(s->key);
    s->key = NULL;
}

static void destroy(struct segments *t, struct segment *s)
{
    struct segment **p = &t->buckets[s->number % SEGMENT_BUCKETS];
    while (*p != s)
        p = &(*p)->hash_next;
    *p = s->hash_next;
    if (!list_empty(&s->lru))
        t->lru_count--;
    list_remove(&s->lru);
    list_remove(&s->staged_link);
    close_file(s);
    free(s);
}

void segments_free(struct fs *fs)
{
    struct segments *t = &fs->segments;
    for (unsigned b = 0; b < SEGMENT_BUCKETS; b++)
        while (t->buckets[b])
            destroy(t, t->buckets[b]);
    pthread_mutex_destroy(&t->lock);
}

static int make_key(struct fs *fs, struct segment *s)
{
    const uint8_t *epoch_key = keyring_epoch_key(fs->state->keys, s->epoch);
    struct segment_header h = {
        .format = SEGMENT_FORMAT, .suite = fs->suite, .epoch = s->epoch,
        .vault = fs->vault, .segment = s->id,
    };
    if (!epoch_key)
        return E_AUTH;
    return segment_key_new(&s->key, &h, epoch_key);
}

/* The header must be exactly the one that this segment has to have. */
static int check_header(struct fs *fs, struct segment *s)
{
    uint8_t bytes[SEGMENT_DATA];
    struct segment_header h;

    int rc = io_read_at(s->fd, bytes, sizeof bytes, 0);
    if (rc == -ENODATA)
        return s->staged ? E_AUTH : E_NOT_ARRIVED;
    if (!rc)
        rc = segment_header_parse(bytes, &h);
    if (!rc && (h.suite != fs->suite || h.epoch != s->epoch || !id_equal(&h.vault, &fs->vault) ||
                !id_equal(&h.segment, &s->id)))
        rc = E_AUTH;
    return rc ? rc : segment_header_check(bytes, s->key);
}

void segment_refused(struct fs *fs, uint32_t number, int rc)
{
    struct segment_row row;
    char id[ID_TEXT] = "unknown";

    if (index_segment(fs->index, number, &row) == 0)
        id_format(&row.id, id);
    log_error("ECL-0201 segment %s: %s", id, error_name(rc));
    if ((rc == E_AUTH || rc == E_FORMAT) && !atomic_fetch_add(&fs->refused, 1))
        fs_raise(fs, FS_EVENT_REFUSED, rc);
    if (rc == E_NOT_ARRIVED)
        fs_tell_missing(fs);
}

/* Opens the file, wherever it is; called without any lock on a private copy. */
static int open_file(struct fs *fs, struct segment *s)
{
    char name[ID_TEXT];
    id_format(&s->id, name);

    if (s->staged && !fs->opt.read_only)
        s->fd = openat(fs->state->staging, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    /* On its way into the store it is read-only already. */
    if (s->fd < 0)
        s->fd = openat(fs->state->staging, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0 && errno != ENOENT)
        return -errno;
    if (s->fd < 0)
        s->fd = store_get(fs->store, &s->id);
    if (s->fd < 0) {
        int rc = s->fd;
        s->fd = -1;
        return rc;
    }
    int rc = make_key(fs, s);
    if (!rc)
        rc = check_header(fs, s);
    if (rc)
        close_file(s);
    return rc;
}

/* Closes the longest unused descriptors; forgets published segments with them. */
static void shrink(struct segments *t, unsigned keep)
{
    while (t->lru_count > keep) {
        struct segment *s = container(t->lru.next, struct segment, lru);
        list_remove(&s->lru);
        t->lru_count--;
        if (s->staged)
            close_file(s);
        else
            destroy(t, s);
    }
}

void segments_forget(struct fs *fs)
{
    pthread_mutex_lock(&fs->segments.lock);
    shrink(&fs->segments, 0);
    pthread_mutex_unlock(&fs->segments.lock);
}

static void take(struct segments *t, struct segment *s)
{
    if (!list_empty(&s->lru)) {
        list_remove(&s->lru);
        t->lru_count--;
    }
    s->refs++;
}

/* What the next commit has to sync, it syncs by the descriptor that wrote it: the kernel need not
 * tell another one of an error.  A commit takes a reference, and lets go when that is done. */
static bool is_settled(const struct segment *s)
{
    return !s->staged || (s->synced == s->written && s->row_applied == s->written);
}

static void rest(struct segments *t, struct segment *s)
{
    if (s->fd >= 0 && is_settled(s)) {
        list_append(&t->lru, &s->lru);
        t->lru_count++;
        shrink(t, SEGMENTS_OPEN);
    } else if (!s->staged) {
        destroy(t, s);
    }
}

static void put(struct segments *t, struct segment *s)
{
    if (--s->refs == 0)
        rest(t, s);
}

/* Finds or adds the table's entry and takes a reference. */
static int entry_for(struct fs *fs, uint32_t number, struct segment **out)
{
    struct segments *t = &fs->segments;
    struct segment_row row;

    pthread_mutex_lock(&t->lock);
    *out = find(t, number);
    if (*out)
        take(t, *out);
    pthread_mutex_unlock(&t->lock);
    if (*out)
        return 0;

    int rc = index_segment(fs->index, number, &row);
    if (rc)
        return rc == -ENOENT ? E_STATE_DAMAGED : rc;
    pthread_mutex_lock(&t->lock);
    *out = find(t, number);
    if (!*out)
        *out = add(t, number, &row.id, row.epoch);
    if (*out)
        take(t, *out);
    pthread_mutex_unlock(&t->lock);
    return *out ? 0 : -ENOMEM;
}

int segment_ref(struct fs *fs, uint32_t number, struct segment **out)
{
    struct segments *t = &fs->segments;
    struct segment *s;

    int rc = entry_for(fs, number, &s);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->lock);
    bool opened = s->fd >= 0;
    struct segment copy = { .fd = -1, .id = s->id, .epoch = s->epoch, .staged = s->staged };
    pthread_mutex_unlock(&t->lock);
    if (!opened) {
        rc = open_file(fs, &copy);
        pthread_mutex_lock(&t->lock);
        if (!rc && s->fd < 0) {
            s->fd = copy.fd;
            s->key = copy.key;
        } else if (!rc) {
            close_file(&copy);  /* somebody was faster */
        }
        pthread_mutex_unlock(&t->lock);
    }
    if (rc) {
        segment_unref(fs, s);
        return rc;
    }
    *out = s;
    return 0;
}

void segment_unref(struct fs *fs, struct segment *s)
{
    pthread_mutex_lock(&fs->segments.lock);
    put(&fs->segments, s);
    pthread_mutex_unlock(&fs->segments.lock);
}

/* Not in staging: then it was moved before a crash, and is in the store. Only a
 * segment of an intent is ever moved. */
static int moved_to_store(struct fs *fs, const struct segment_row *row)
{
    static const uint8_t none[sizeof row->sha256];
    uint64_t size;

    if (!memcmp(row->sha256, none, sizeof none))
        return E_STATE_DAMAGED;
    int rc = store_size(fs->store, &row->id, &size);
    return rc == E_NOT_ARRIVED || (!rc && size != row->length) ? E_STATE_DAMAGED : rc;
}

int segment_damaged(struct fs *fs, const struct id128 *id)
{
    char place[sizeof "staging/" + ID_TEXT] = "staging/";

    id_format(id, place + strlen(place));
    return state_damaged(fs->state, place);
}

int segment_inspect(struct fs *fs, const struct segment_row *row)
{
    struct segment s = { .fd = -1, .id = row->id, .epoch = row->epoch, .staged = true };
    char name[ID_TEXT];
    struct stat st;
    int rc;

    id_format(&row->id, name);
    if (fstatat(fs->state->staging, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        rc = errno == ENOENT ? moved_to_store(fs, row) : -errno;
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < row->length)
        rc = E_STATE_DAMAGED;
    else
        rc = open_file(fs, &s);
    close_file(&s);
    /* A newer program would have made the index a newer one as well. */
    return rc == E_STATE_DAMAGED || rc == E_AUTH || rc == E_FORMAT || rc == E_NEWER_FORMAT
         ? segment_damaged(fs, &row->id) : rc;
}

int segment_adopt(struct fs *fs, const struct segment_row *row)
{
    struct segments *t = &fs->segments;

    int rc = segment_inspect(fs, row);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->lock);
    struct segment *s = find(t, row->number);
    if (!s)
        s = add(t, row->number, &row->id, row->epoch);
    if (s) {
        s->staged = s->closed = s->anchored = true;
        s->used = s->filled = s->written = s->synced = s->logged = row->length;
        s->row_applied = s->row_logged = row->length;
        list_remove(&s->staged_link);
        list_append(&t->staged, &s->staged_link);
    }
    pthread_mutex_unlock(&t->lock);
    return s ? 0 : -ENOMEM;
}

/* A new file in staging with its header; not yet in the table's order. */
int segment_create(struct fs *fs, bool carrier, struct segment **out)
{
    struct segments *t = &fs->segments;
    struct segment fresh = { .fd = -1, .epoch = fs->epoch, .staged = true };
    struct segment_header h = { .format = SEGMENT_FORMAT, .suite = fs->suite, .epoch = fs->epoch,
                                .vault = fs->vault };
    uint8_t bytes[SEGMENT_DATA];
    char name[ID_TEXT];

    crypto_random(&fresh.id, sizeof fresh.id);
    h.segment = fresh.id;
    id_format(&fresh.id, name);
    int rc = make_key(fs, &fresh);
    if (rc)
        return rc;
    segment_header_write(bytes, &h, fresh.key);
    rc = fault_hit(FAULT_staging_create);
    if (!rc) {
        fresh.fd = openat(fs->state->staging, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        rc = fresh.fd < 0 ? -errno : io_write_at(fresh.fd, bytes, sizeof bytes, 0, FAULT_segment_append);
    }
    pthread_mutex_lock(&t->lock);
    struct segment *s = rc ? NULL : add(t, (uint32_t)t->next_number, &fresh.id, fresh.epoch);
    if (s) {
        t->next_number++;
        s->fd = fresh.fd;
        s->key = fresh.key;
        s->staged = true;
        s->closed = s->in_cut = s->sealed = carrier;
        s->used = s->filled = s->written = SEGMENT_DATA;
        s->refs = 1;
        list_append(&t->staged, &s->staged_link);
    }
    pthread_mutex_unlock(&t->lock);
    if (!s) {
        if (fresh.fd >= 0)
            unlinkat(fs->state->staging, name, 0);
        close_file(&fresh);
        return rc ? rc : -ENOMEM;
    }
    *out = s;
    return 0;
}

/* Takes a staged segment off the table and removes its file. */
void segment_forget(struct fs *fs, struct segment *s)
{
    char name[ID_TEXT];

    id_format(&s->id, name);
    if (!fault_hit(FAULT_staging_cleanup))
        unlinkat(fs->state->staging, name, 0);
    pthread_mutex_lock(&fs->segments.lock);
    list_remove(&s->staged_link);
    s->staged = false;
    if (!s->refs)
        destroy(&fs->segments, s);
    pthread_mutex_unlock(&fs->segments.lock);
}

/* Ends a segment's time as the open one; lets the disk begin on it. */
static void close_open(struct segments *t)
{
    struct segment *s = t->open;
    if (!s)
        return;
    t->open = NULL;
    s->closed = true;
    sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    put(t, s);
}

static uint32_t room(const struct segment *s, uint32_t blocks, uint32_t last)
{
    uint64_t limit = SEGMENT_MAX - FOOTER_ROOM - s->footer - FOOTER_PER_APPEND;
    uint64_t want = (uint64_t)(blocks - 1) * SEALED_BLOCK + last + SEAL_OVERHEAD;

    if (s->used >= limit)
        return 0;
    if (want <= limit - s->used)
        return blocks;
    return (uint32_t)((limit - s->used) / SEALED_BLOCK);
}

int flight_begin(struct fs *fs, struct flight *f, uint32_t blocks, uint32_t last, uint32_t *taken)
{
    struct segments *t = &fs->segments;
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    while (!t->open || !(*taken = room(t->open, blocks, last))) {
        close_open(t);
        pthread_mutex_unlock(&t->lock);
        struct segment *s = NULL;
        rc = segment_create(fs, false, &s);
        pthread_mutex_lock(&t->lock);
        if (rc)
            break;
        if (t->open) {           /* another thread was faster: use it up later */
            s->closed = true;
            put(t, s);
        } else {
            t->open = s;
        }
    }
    if (!rc) {
        struct segment *s = t->open;
        f->segment = s;
        f->offset = s->used;
        f->end = 0;
        s->used += (uint64_t)(*taken - 1) * SEALED_BLOCK +
                   (*taken == blocks ? last : BLOCK_SIZE) + SEAL_OVERHEAD;
        s->footer += FOOTER_PER_APPEND;
        take(t, s);
        list_append(&s->flights, &f->link);
    }
    pthread_mutex_unlock(&t->lock);
    return rc;
}

void flight_end(struct fs *fs, struct flight *f)
{
    struct segments *t = &fs->segments;
    struct segment *s = f->segment;

    pthread_mutex_lock(&t->lock);
    list_remove(&f->link);
    if (f->end > s->filled)
        s->filled = f->end;
    uint64_t clear = list_empty(&s->flights) ? s->used
                   : container(s->flights.next, struct flight, link)->offset;
    s->written = clear < s->filled ? clear : s->filled;
    put(t, s);
    pthread_mutex_unlock(&t->lock);
}

void segment_live(struct fs *fs, uint32_t number, int64_t delta)
{
    pthread_mutex_lock(&fs->segments.lock);
    struct segment *s = find(&fs->segments, number);
    if (s && s->staged)
        s->live = (uint64_t)((int64_t)s->live + delta);
    pthread_mutex_unlock(&fs->segments.lock);
}

void segments_close_open(struct fs *fs, bool mark)
{
    struct segments *t = &fs->segments;

    pthread_mutex_lock(&t->lock);
    close_open(t);
    if (mark)
        list_each(l, &t->staged)
            container(l, struct segment, staged_link)->in_cut = true;
    pthread_mutex_unlock(&t->lock);
}

bool segment_staged(struct fs *fs, uint32_t number)
{
    pthread_mutex_lock(&fs->segments.lock);
    const struct segment *s = find(&fs->segments, number);
    bool staged = s && s->staged;
    pthread_mutex_unlock(&fs->segments.lock);
    return staged;
}

/* In place, while others may be reading: who watches the store sees no file that
 * was open for writing close under its final name. */
void segment_end_writing(struct fs *fs, uint32_t number)
{
    struct segments *t = &fs->segments;
    char name[ID_TEXT];

    pthread_mutex_lock(&t->lock);
    struct segment *s = find(t, number);
    bool opened = s && s->fd >= 0;
    if (opened)
        take(t, s);              /* its descriptor stays */
    pthread_mutex_unlock(&t->lock);
    if (!opened)
        return;
    id_format(&s->id, name);
    int fd = openat(fs->state->staging, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        dup3(fd, s->fd, O_CLOEXEC);
        close(fd);
    }
    segment_unref(fs, s);
}

void segment_published(struct fs *fs, uint32_t number)
{
    struct segments *t = &fs->segments;

    pthread_mutex_lock(&t->lock);
    struct segment *s = find(t, number);
    if (s) {
        s->staged = false;
        list_remove(&s->staged_link);
        if (!s->refs && list_empty(&s->lru))
            rest(t, s);
    }
    pthread_mutex_unlock(&t->lock);
}
