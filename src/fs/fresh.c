/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Is the store what this device has already seen, or an older one, or another
 * branch of it?
 *
 * Objects are authentic or they are not served; what a store can still do is to
 * leave some out.  So the device remembers the ends of the chains:
 *
 *   its own     the last publication that is done, in the index: its carrier must
 *               be in the store with its length
 *   others'     the last publication seen of each other actor, in `heads`: it
 *               must be there, or a later one of that actor
 *
 * A store without them is older than what was seen: E_OLDER_STATE, at each mount
 * and before each publication, until it shows them again or the user accepts that
 * they are gone.  Nothing is rolled back in either case: the index keeps its rows,
 * and what they need and the store lacks is an error when it is read.
 *
 * Two different publications with one number, or one that follows another
 * publication of ours than we made, are a fork: told at first sight, never shown.
 * It is no refusal, since our own branch is whole, and refusing would give whoever
 * holds an old copy of the state the power to lock everybody out.
 *
 * What is absent and was not the end of a chain has not arrived, and is no alarm.
 */
#include "seen.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HEADS_MS 1000
#define HEADS_PAUSE_MS 20

static void say_head(const char *what, const struct head *h)
{
    char id[ID_TEXT];

    id_format(&h->object, id);
    log_error("%s publication %016llx/%llu (object %s)", what, (unsigned long long)h->self.actor,
              (unsigned long long)h->self.seq, id);
}

/* What the mount's refusal is about; the first counts. */
static void blame(struct fs *fs, const struct id128 *object)
{
    char id[ID_TEXT];

    if (fs->threads || *fs->state->damaged)
        return;
    id_format(object, id);
    snprintf(fs->state->damaged, sizeof fs->state->damaged, "segments/%.2s/%s", id, id + 2);
}

/* --- our own -------------------------------------------------------------------------- */

/* 0 when the carrier is there, E_OLDER_STATE when it is not; -ENOENT when gc removed it. */
static int find_carrier(struct fs *fs, const struct publication_row *p, struct segment_row *carrier)
{
    uint64_t size;

    int rc = index_segment(fs->index, p->carrier, carrier);
    if (rc)
        return rc;
    rc = store_size(fs->store, &carrier->id, &size);
    if (rc == E_NOT_ARRIVED && !store_present(fs->store))
        return E_STORE_MISSING;  /* its disk was taken away, say */
    return rc == E_NOT_ARRIVED || rc == E_FORMAT || (!rc && size != carrier->length) ? E_OLDER_STATE : rc;
}

/* The newest publication that the store must have; -ENOENT when there is none. */
static int own_last(struct fs *fs, struct publication_row *out)
{
    int rc = index_last_publication(fs->index, out);
    if (!rc && !out->done)       /* an intent may not have arrived */
        rc = out->seq > 1 ? index_publication(fs->index, out->seq - 1, out) : -ENOENT;
    if (!rc && out->seq <= fs->heads.accepted)
        rc = fs->heads.relied ? index_publication(fs->index, fs->heads.relied, out) : -ENOENT;
    return rc;
}

static int check_own(struct fs *fs, bool tell)
{
    struct publication_row p;
    struct segment_row carrier;

    int rc = own_last(fs, &p);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = find_carrier(fs, &p, &carrier);
    if (rc == E_OLDER_STATE && tell) {
        char id[ID_TEXT];
        id_format(&carrier.id, id);
        blame(fs, &carrier.id);
        log_error("ECL-0320 the last publication %llu (object %s) is not in the store: E_OLDER_STATE",
                  (unsigned long long)p.seq, id);
    }
    return rc == -ENOENT ? E_STATE_DAMAGED : rc;
}

/* How many at the end are not there, and the date of the last one that is. Those that gc removed
 * say nothing of the store. */
static int count_own(struct fs *fs, struct fs_older *out, uint64_t *relied)
{
    struct publication_row p;
    struct segment_row carrier;

    *relied = 0;
    int rc = own_last(fs, &p);
    while (!rc && ((rc = find_carrier(fs, &p, &carrier)) == E_OLDER_STATE || rc == -ENOENT)) {
        out->publications += rc == E_OLDER_STATE;
        rc = p.seq > 1 ? index_publication(fs->index, p.seq - 1, &p) : -ENOENT;
    }
    if (!rc) {
        *relied = p.seq;
        out->until = p.time;
    }
    return rc == -ENOENT ? 0 : rc;
}

/* --- forks ------------------------------------------------------------------------------ */

static void say_fork(struct fs *fs, struct stranger *s, const char *how)
{
    char id[ID_TEXT];

    if (s->told)
        return;
    s->told = true;
    id_format(&s->head.object, id);
    log_error("ECL-0323 fork: publication %016llx/%llu (object %s) %s", (unsigned long long)s->head.self.actor,
              (unsigned long long)s->head.self.seq, id, how);
    if (!atomic_fetch_add(&fs->forked, 1))
        fs_raise(fs, FS_EVENT_REFUSED, E_FORKED);
}

/* Is the index's publication of that number one of that actor? */
static bool is_of(struct fs *fs, const struct publication_head *h)
{
    for (size_t k = 0; k < fs->actor_count; k++)
        if (fs->actors[k] == h->actor)
            return h->seq >= fs->firsts[k] && h->seq <= unseen_last_known(fs, h->actor);
    return false;
}

bool fresh_contradicts(struct fs *fs, const struct publication_head *h)
{
    struct publication_row p;

    return h->seq && is_of(fs, h) && index_publication(fs->index, h->seq, &p) == 0 && p.seq == h->seq &&
           memcmp(p.hash, h->hash, SHA256_SIZE) != 0;
}

static int by_dot(const void *a, const void *b)
{
    const struct publication_head *x = &((const struct stranger *)a)->head.self;
    const struct publication_head *y = &((const struct stranger *)b)->head.self;

    if (x->actor != y->actor)
        return x->actor < y->actor ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static bool same_actor(const struct stranger *a, const struct stranger *b)
{
    return a->head.self.actor == b->head.self.actor;
}

/* Of neighbours in the order of dots, the earlier being the predecessor or the rival. */
static const char *compare_neighbours(const struct stranger *a, const struct stranger *b)
{
    if (!same_actor(a, b))
        return NULL;
    if (a->head.self.seq == b->head.self.seq)
        return memcmp(a->head.self.hash, b->head.self.hash, SHA256_SIZE) ? "shares its number with another one" : NULL;
    bool follows = b->before.actor == a->head.self.actor && b->before.seq == a->head.self.seq;
    return follows && memcmp(a->head.self.hash, b->before.hash, SHA256_SIZE) ? "follows another one than is there" : NULL;
}

static void find_forks(struct fs *fs, struct stranger *v, size_t count, bool *ours)
{
    for (size_t k = 0; k < count; k++) {
        const char *how = k ? compare_neighbours(&v[k - 1], &v[k]) : NULL;
        if (fresh_contradicts(fs, &v[k].head.self)) {
            how = "is another one than this device published";
            *ours |= v[k].head.self.actor == keyring_actor(fs->state->keys);
        } else if (fresh_contradicts(fs, &v[k].before)) {
            how = "follows another one than this device published";
        }
        /* It follows one of ours that we do not know: we were turned back. */
        *ours |= v[k].before.actor == keyring_actor(fs->state->keys) &&
                 v[k].before.seq > unseen_last_known(fs, v[k].before.actor);
        if (how)
            say_fork(fs, &v[k], how);
    }
}

/* --- others' ------------------------------------------------------------------------------ */

static struct stranger *all(struct fs *fs, size_t *count)
{
    *count = fs->strangers.len / sizeof(struct stranger);
    return (struct stranger *)(void *)fs->strangers.data;
}

/* A later one of the same actor says as much: objects that nobody needs may go. */
static bool stands_for(const struct publication_head *s, const struct publication_head *seen)
{
    return s->actor == seen->actor &&
           (s->seq > seen->seq || (s->seq == seen->seq && memcmp(s->hash, seen->hash, SHA256_SIZE) == 0));
}

static bool is_in_store(struct fs *fs, const struct id128 *object)
{
    uint64_t size;
    return store_size(fs->store, object, &size) == 0;
}

static bool lacks(struct fs *fs, const struct head *h)
{
    size_t count;
    const struct stranger *v = all(fs, &count);

    if (h->self.seq <= unseen_last_known(fs, h->self.actor))
        return false;
    for (size_t k = count; k--;)
        if (stands_for(&v[k].head.self, &h->self) && is_in_store(fs, &v[k].head.object))
            return false;
    return true;
}

static uint64_t count_lacking(struct fs *fs, bool tell)
{
    uint64_t n = 0;

    for (size_t k = 0; k < fs->heads.count; k++) {
        if (!lacks(fs, &fs->heads.v[k]))
            continue;
        n++;
        if (!tell)
            continue;
        blame(fs, &fs->heads.v[k].object);
        say_head("ECL-0324 seen before, and not in the store: E_OLDER_STATE:", &fs->heads.v[k]);
    }
    return n;
}

/* Those that the index knows by now and, when that is accepted, those that are gone. */
static bool drop_heads(struct fs *fs, bool lacking)
{
    size_t before = fs->heads.count;

    for (size_t k = fs->heads.count; k--;) {
        const struct head *h = &fs->heads.v[k];
        if (h->self.seq <= unseen_last_known(fs, h->self.actor) || (lacking && lacks(fs, h)))
            heads_drop(&fs->heads, &fs->heads.v[k]);
    }
    return fs->heads.count != before;
}

/* 1 when there is something new to remember. */
static int take_heads(struct fs *fs)
{
    size_t count;
    const struct stranger *v = all(fs, &count);
    bool news = false;

    for (size_t k = 0; k < count; k++) {
        const struct head *old = heads_find(&fs->heads, v[k].head.self.actor);
        if (v[k].head.self.seq <= unseen_last_known(fs, v[k].head.self.actor) ||
            (old && old->self.seq >= v[k].head.self.seq))
            continue;
        int rc = heads_put(&fs->heads, &v[k].head);
        if (rc)
            return rc;
        news = true;
    }
    return news;
}

/* Looks at what has come, tells forks. */
static int meet(struct fs *fs, bool *ours)
{
    size_t count;

    int rc = unseen_look(fs, ours);
    struct stranger *v = all(fs, &count);
    if (count)
        qsort(v, count, sizeof *v, by_dot);
    find_forks(fs, v, count, ours);
    return rc;
}

static int remember(struct fs *fs, bool changed)
{
    int rc = take_heads(fs);

    return rc < 0 ? rc : rc || changed ? heads_write(&fs->heads, fs->state->dir, fs->state->keys) : 0;
}

/* --- at the mount ------------------------------------------------------------------------- */

struct counting { struct fs *fs; struct fs_older *out; };

static int count_missing(void *ctx, const struct segment_row *row)
{
    struct counting *c = ctx;
    uint64_t size;

    if (store_size(c->fs->store, &row->id, &size) || size != row->length) {
        c->out->objects++;
        c->out->bytes += row->length;
    }
    return 0;
}

/* Asks whether what is gone may be gone. */
static int ask(struct fs *fs, uint64_t lacking)
{
    struct fs_older what = { .heads = lacking };
    struct counting c = { fs, &what };
    struct publication_row last;
    uint64_t relied;

    if (!fs->opt.accept)
        return E_OLDER_STATE;
    int rc = count_own(fs, &what, &relied);
    if (!rc)
        rc = index_scan_segments(fs->index, SEGMENT_PUBLISHED, count_missing, &c);
    if (!rc)
        rc = fs->opt.accept(fs->opt.accept_ctx, &what);
    if (rc)
        return rc;
    fs->state->damaged[0] = '\0';
    rc = what.publications ? index_last_publication(fs->index, &last) : 0;
    if (!rc && what.publications) {
        fs->heads.accepted = last.done ? last.seq : last.seq - 1;
        fs->heads.relied = relied;
    }
    log_warning("ECL-0325 accepted by the user: the store lacks %llu publications of this device, the last of %llu "
                "others, %llu objects", (unsigned long long)what.publications, (unsigned long long)lacking,
                (unsigned long long)what.objects);
    return rc;
}

static int judge(struct fs *fs)
{
    int own = check_own(fs, true);
    if (own && own != E_OLDER_STATE)
        return own;
    uint64_t lacking = count_lacking(fs, true);
    bool accepted = own || lacking;
    int rc = accepted ? ask(fs, lacking) : 0;
    if (rc)
        return rc;
    bool dropped = drop_heads(fs, accepted);
    return remember(fs, accepted || dropped);
}

int fresh_open(struct fs *fs, bool *ours)
{
    int rc = heads_read(&fs->heads, fs->state->dir, fs->state->keys);
    if (rc == E_STATE_DAMAGED)
        return state_damaged(fs->state, "heads");
    if (!rc)
        rc = meet(fs, ours);
    return rc ? rc : judge(fs);
}

/* --- while mounted ----------------------------------------------------------------------------- */

/* Only when an object of others' last publications is gone are they searched for a
 * later one. */
static int check_others(struct fs *fs)
{
    bool ours;
    int rc = 0;

    if (count_lacking(fs, false))
        rc = store_present(fs->store) ? meet(fs, &ours) : E_STORE_MISSING;
    return rc ? rc : count_lacking(fs, !atomic_load(&fs->older)) ? E_OLDER_STATE : 0;
}

static int check(struct fs *fs)
{
    bool before = atomic_load(&fs->older);
    int rc = check_own(fs, !before);
    if (!rc)
        rc = check_others(fs);
    atomic_store(&fs->older, rc == E_OLDER_STATE);
    if (before && !rc)
        log_info("ECL-0326 the store shows again what this device has seen");
    return rc;
}

int fresh_look(struct fs *fs)
{
    bool ours;

    pthread_mutex_lock(&fs->fresh);
    int rc = meet(fs, &ours);
    if (!rc)
        rc = check(fs);
    if (!rc)
        rc = remember(fs, false);
    pthread_mutex_unlock(&fs->fresh);
    return rc;
}

int fresh_check(struct fs *fs)
{
    pthread_mutex_lock(&fs->fresh);
    int rc = check(fs);
    pthread_mutex_unlock(&fs->fresh);
    return rc;
}

/* --- for people ------------------------------------------------------------------------------------ */

static int show(int (*visit)(void *ctx, const struct fs_head *h), void *ctx, const struct publication_head *h,
                int64_t time, bool own)
{
    struct fs_head shown = { .actor = h->actor, .seq = h->seq, .time = time, .own = own };

    phrase_for(h->hash, shown.phrase);
    return visit(ctx, &shown);
}

/* Not pthread_mutex_clocklock: ThreadSanitizer does not know it, and sees lies from there on. */
static bool lock_soon(pthread_mutex_t *lock)
{
    static const struct timespec pause = { .tv_nsec = HEADS_PAUSE_MS * 1000000 };
    int rc = pthread_mutex_trylock(lock);

    for (int tries = 0; rc == EBUSY && tries < HEADS_MS / HEADS_PAUSE_MS; tries++) {
        nanosleep(&pause, NULL);
        rc = pthread_mutex_trylock(lock);
    }
    return rc == 0;
}

int fs_heads(struct fs *fs, int (*visit)(void *ctx, const struct fs_head *h), void *ctx)
{
    struct publication_row p;
    int rc = index_last_publication(fs->index, &p);

    if (!rc && !p.done)
        rc = p.seq > 1 ? index_publication(fs->index, p.seq - 1, &p) : -ENOENT;
    if (!rc) {
        struct publication_head own = { .seq = p.seq };
        for (size_t k = 0; k < fs->actor_count && fs->firsts[k] <= p.seq; k++)
            own.actor = fs->actors[k];
        memcpy(own.hash, p.hash, sizeof own.hash);
        rc = show(visit, ctx, &own, p.time, true);
    }
    if (!lock_soon(&fs->fresh))
        return rc == -ENOENT ? 0 : rc;   /* who has it waits for a store that hangs */
    for (size_t k = 0; (!rc || rc == -ENOENT) && k < fs->heads.count; k++)
        rc = show(visit, ctx, &fs->heads.v[k].self, fs->heads.v[k].time, false);
    pthread_mutex_unlock(&fs->fresh);
    return rc == -ENOENT ? 0 : rc;
}
