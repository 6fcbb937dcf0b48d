/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the vault says about itself: free space, counts, and what is wrong.
 */
#include "collecting.h"
#include "publishing.h"
#include "seen.h"
#include <sys/statvfs.h>
#include <time.h>

#define SURVEY_SECONDS 20u

/* Those that the audit log has too. */
static void note(const struct fs *fs, enum fs_event event, int error)
{
    enum audit_event e = event == FS_EVENT_READ_ONLY ? AUDIT_READ_ONLY
                       : event == FS_EVENT_REFUSED ? AUDIT_ALARM : AUDIT_PUBLISH_FAILED;

    if (event == FS_EVENT_READ_ONLY || event == FS_EVENT_REFUSED || event == FS_EVENT_PUBLICATION_WAITS)
        audit_append(fs->state->dir, NULL, e, error, NULL);
}

void fs_raise(struct fs *fs, enum fs_event event, int error)
{
    note(fs, event, error);
    if (fs->opt.event)
        fs->opt.event(fs->opt.event_ctx, event, error);
}

void fs_tell_missing(struct fs *fs)
{
    if (!atomic_exchange(&fs->told_missing, true))
        fs_raise(fs, FS_EVENT_NOT_ARRIVED, E_NOT_ARRIVED);
}

/* New bytes must fit into the state first and into the store later: what is
 * free is the lesser of both, in the store's units. */
int fs_statvfs(struct fs *fs, struct statvfs *out)
{
    struct statvfs state;

    int rc = store_statvfs(fs->store, out);
    if (rc)
        return rc;
    if (fstatvfs(fs->state->dir, &state))
        return -errno;
    uint64_t unit = out->f_frsize ? out->f_frsize : BLOCK_SIZE;
    uint64_t local = (uint64_t)state.f_bavail * state.f_frsize / unit;
    if (local < out->f_bavail)
        out->f_bavail = local;
    if (atomic_load(&fs->no_space))
        out->f_bavail = 0;
    if (out->f_bavail < out->f_bfree)
        out->f_bfree = out->f_bavail;
    out->f_bsize = BLOCK_SIZE;
    out->f_namemax = NAME_LIMIT;
    if (state.f_favail < out->f_favail)
        out->f_favail = out->f_ffree = state.f_favail;
    return 0;
}

static void staged_status(struct fs *fs, struct fs_status *out)
{
    pthread_mutex_lock(&fs->segments.lock);
    list_each(l, &fs->segments.staged) {
        const struct segment *s = container(l, const struct segment, staged_link);
        uint64_t safe = s->synced > s->logged ? s->synced : s->logged;
        out->staged_bytes += s->used - SEGMENT_DATA;
        out->dirty_bytes += s->used > safe && s->live ? s->used - (safe ? safe : SEGMENT_DATA) : 0;
    }
    pthread_mutex_unlock(&fs->segments.lock);
}

int fs_status(struct fs *fs, struct fs_status *out)
{
    struct index_totals totals;
    struct dead_totals dead;

    *out = (struct fs_status){ 0 };
    int rc = index_totals(fs->index, &totals);
    if (!rc)
        rc = index_dead_totals(fs->index, &dead);
    if (rc)
        return rc;
    pthread_mutex_lock(&fs->meta);
    out->dirty_bytes = fs->cache.unlogged_count * sizeof(struct inode_row);
    out->unpublished_rows = totals.unpublished + fs->cache.unapplied_count;
    out->cache_bytes = fs->cache.bytes;
    pthread_mutex_unlock(&fs->meta);
    staged_status(fs, out);
    pthread_mutex_lock(&fs->publish.lock);
    out->publications = fs->publish.seq;
    out->published_at = fs->publish.time;
    pthread_mutex_unlock(&fs->publish.lock);
    out->read_only = fs->opt.read_only || atomic_load(&fs->latched);
    out->no_space = atomic_load(&fs->no_space);
    out->latched = atomic_load(&fs->latched);
    out->publish_error = atomic_load(&fs->publish_error);
    out->objects = totals.objects;
    out->object_bytes = totals.object_bytes;
    out->dead = dead.objects;
    out->dead_bytes = dead.bytes;
    out->dead_until = dead.since ? dead.since + gc_grace(fs) : 0;
    out->inodes = totals.inodes;
    out->missing = atomic_load(&fs->missing);
    out->foreign = atomic_load(&fs->foreign);
    out->refused = atomic_load(&fs->refused);
    out->unseen = atomic_load(&fs->unseen);
    out->forked = atomic_load(&fs->forked);
    out->older = atomic_load(&fs->older);
    return 0;
}

/* --- survey ----------------------------------------------------------------------- */

struct survey { struct fs *fs; uint64_t missing, foreign; };

static int stopped(const struct survey *s)
{
    return atomic_load(&s->fs->surveyor.stop) ? -ECANCELED : 0;
}

static int check_published(void *ctx, const struct segment_row *row)
{
    struct survey *s = ctx;
    uint64_t size;

    if (stopped(s))
        return -ECANCELED;
    if (store_size(s->fs->store, &row->id, &size) || size != row->length)
        s->missing++;
    return 0;
}

struct needed { struct survey *s; uint64_t from; };

/* What only older publications name may be gone. */
static int check_dead(void *ctx, const struct dead_segment *d)
{
    const struct needed *n = ctx;
    return d->row.state == SEGMENT_DEAD && (!d->seq || d->seq > n->from) ? check_published(n->s, &d->row) : 0;
}

static int check_needed(struct fs *fs, struct survey *s)
{
    struct needed n = { .s = s };

    int rc = gc_needed_from(fs, &n.from);
    return rc ? rc : index_scan_dead(fs->index, check_dead, &n);
}

static int pass_object(void *ctx, const struct id128 *id, uint64_t size)
{
    (void)id, (void)size;
    return stopped(ctx);
}

static int count_foreign(void *ctx, const char *path)
{
    (void)path;
    ((struct survey *)ctx)->foreign++;
    return stopped(ctx);
}

static int look(struct fs *fs)
{
    struct survey s = { .fs = fs };

    int rc = index_scan_segments(fs->index, SEGMENT_PUBLISHED, check_published, &s);
    if (!rc)
        rc = check_needed(fs, &s);
    if (!rc)
        rc = store_list(fs->store, pass_object, count_foreign, &s);
    if (!rc)
        rc = stopped(&s);
    if (rc)
        return rc;
    rc = fresh_look(fs);
    atomic_store(&fs->missing, s.missing);
    if (s.missing)
        fs_tell_missing(fs);
    else
        atomic_store(&fs->told_missing, false);
    atomic_store(&fs->foreign, s.foreign + atomic_load(&fs->planted));
    return rc == E_OLDER_STATE ? 0 : rc;
}

/* In a thread of its own, since a store that hangs would hold up who asks. */
static void *survey_thread(void *arg)
{
    struct fs *fs = arg;
    int rc = look(fs);

    pthread_mutex_lock(&fs->surveyor.lock);
    fs->surveyor.result = rc;
    fs->surveyor.running = false;
    fs->surveyor.ended++;
    pthread_cond_broadcast(&fs->surveyor.changed);
    pthread_mutex_unlock(&fs->surveyor.lock);
    return NULL;
}

/* v->lock held. */
static int begin_survey(struct fs *fs)
{
    struct surveyor *v = &fs->surveyor;

    if (v->begun)
        pthread_join(v->thread, NULL);
    due_deadline(&v->until, (uint64_t)fault_seconds(SURVEY_SECONDS) * 1000);
    v->begun = v->running = pthread_create(&v->thread, NULL, survey_thread, fs) == 0;
    v->started += v->begun;
    return v->begun ? 0 : -EAGAIN;
}

/* For the one that runs; v->lock held. */
static int wait_for_survey(struct surveyor *v)
{
    struct timespec until = v->until;

    return pthread_cond_clockwait(&v->changed, &v->lock, CLOCK_MONOTONIC, &until) && v->running ? E_STORE_STUCK : 0;
}

int fs_survey(struct fs *fs)
{
    struct surveyor *v = &fs->surveyor;
    int rc = 0;

    pthread_mutex_lock(&v->lock);
    /* What one that runs already has looked at may have changed since; all who ask now share the next. */
    uint64_t enough = v->started + 1;
    while (!rc && v->ended < enough)
        rc = v->running ? wait_for_survey(v) : begin_survey(fs);
    rc = rc ? rc : v->result;
    pthread_mutex_unlock(&v->lock);
    return rc;
}

void survey_stop(struct fs *fs)
{
    atomic_store(&fs->surveyor.stop, true);
    if (fs->surveyor.begun)
        pthread_join(fs->surveyor.thread, NULL);
    fs->surveyor.begun = false;
}
