/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The life of a mounted filesystem, from an unlocked state to a clean end.
 *
 * Opening repairs what a crash left, in this order: a rebuild comes to its end
 * (renewal.c), the journal is replayed,
 * staged segments are found again and closed, leftovers in staging that
 * nothing refers to are removed, orphans are reaped, an interrupted
 * publication is completed.  A read-only mount does only what reading needs:
 * the local state is repaired all the same, the store is not written.
 */
#include "collecting.h"
#include "publishing.h"
#include "rebuild.h"
#include "seen.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CACHE_LIMIT (12u << 20)
#define COMMIT_MS 5000u
#define PUBLISH_MS 5000u

static int init_locks(struct fs *fs)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    for (unsigned i = 0; i < DATA_LOCKS; i++)
        pthread_rwlock_init(&fs->data[i], &attr);
    pthread_rwlock_init(&fs->gate, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&fs->meta, NULL);
    pthread_mutex_init(&fs->fresh, NULL);
    pthread_mutex_init(&fs->surveyor.lock, NULL);
    pthread_cond_init(&fs->surveyor.changed, NULL);
    return cache_init(&fs->cache, CACHE_LIMIT);
}

static int adopt(void *ctx, const struct segment_row *row)
{
    return segment_adopt(ctx, row);
}

static bool is_staged(struct fs *fs, const struct id128 *id)
{
    list_each(l, &fs->segments.staged)
        if (id_equal(&container(l, const struct segment, staged_link)->id, id))
            return true;
    return false;
}

/* Removes files of staging that no row names: appended to after the last
 * commit before a crash, so nothing durable ever referred to them. */
static int sweep_staging(struct fs *fs)
{
    int fd = openat(fs->state->staging, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct id128 id;

    if (!dir) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    for (struct dirent *d; (d = readdir(dir));)
        if (id_parse(d->d_name, &id) == 0 && !is_staged(fs, &id) && !fault_hit(FAULT_staging_cleanup))
            unlinkat(fs->state->staging, d->d_name, 0);
    closedir(dir);
    return 0;
}

static int note_orphan(void *ctx, uint64_t ino)
{
    struct buf *list = ctx;
    buf_append(list, &ino, sizeof ino);
    return list->failed ? -ENOMEM : 0;
}

static int reap_orphans(struct fs *fs)
{
    struct buf list = { 0 };
    struct inode *i;

    int rc = index_scan_orphans(fs->index, note_orphan, &list);
    for (size_t at = 0; !rc && at < list.len; at += sizeof(uint64_t)) {
        uint64_t ino;
        memcpy(&ino, list.data + at, sizeof ino);
        pthread_mutex_lock(&fs->meta);
        cache_shrink(fs);
        rc = inode_get(fs, ino, &i);
        if (!rc)
            rc = inode_reap(fs, i);
        pthread_mutex_unlock(&fs->meta);
    }
    buf_free(&list);
    return rc;
}

static int inspect_segment(void *ctx, const struct segment_row *row)
{
    return segment_inspect(ctx, row);
}

/* What can be found damaged is found before anything is written: the staged
 * files that the index relies on, and those of an intent to the last byte. */
static int inspect(struct fs *fs)
{
    struct publication_row last;

    int rc = index_scan_segments(fs->index, SEGMENT_STAGED, inspect_segment, fs);
    if (!rc)
        rc = index_last_publication(fs->index, &last);
    if (!rc && !last.done)
        rc = publish_verify(fs, last.seq);
    return rc == -ENOENT ? 0 : rc;
}

static int load(struct fs *fs)
{
    int rc = renewal_settle(fs->state);
    if (!rc)
        rc = index_open(&fs->index, fs->state->path, keyring_local_key(fs->state->keys), false);
    if (!rc)
        rc = inspect(fs);
    if (!rc)
        rc = journal_recover(fs);
    if (!rc)
        rc = segments_init(fs);
    if (!rc)
        rc = actors_load(fs);
    if (!rc)
        rc = index_counter(fs->index, COUNTER_COOKIE, &fs->next_cookie);
    if (!rc)
        rc = index_scan_segments(fs->index, SEGMENT_STAGED, adopt, fs);
    if (!rc && index_settled(fs->index))
        rc = sweep_staging(fs);
    if (!rc)
        rc = reseal_count_live(fs);
    if (!rc && !fs->opt.read_only)
        rc = reap_orphans(fs);
    if (!rc)
        space_start(fs);
    return rc;
}

/* The segments of an intent are complete: nothing may touch them any more. */
static int mark_intended(void *ctx, const struct segment_row *row)
{
    struct fs *fs = ctx;

    list_each(l, &fs->segments.staged) {
        struct segment *s = container(l, struct segment, staged_link);
        if (s->number == row->number)
            s->sealed = true;
    }
    return 0;
}

static int load_head(struct fs *fs)
{
    struct publication_row p;

    int rc = index_last_publication(fs->index, &p);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    fs->publish.seq = p.seq;
    fs->publish.time = p.time;
    memcpy(fs->publish.hash, p.hash, sizeof p.hash);
    /* One that is not done the publisher completes first of all. */
    return p.done ? 0 : index_scan_publication(fs->index, p.seq, mark_intended, fs);
}

/* Is the store what this device has seen (fresh.c)?  And what the lock file cannot
 * tell, the store may: unseen.c. */
static int look_around(struct fs *fs)
{
    bool ours;

    int rc = fresh_open(fs, &ours);
    if (rc || !ours)
        return rc;
    if (!fs->opt.read_only)
        return actors_renew(fs);
    fs->state->cloned = true;
    return 0;
}

static void defaults(struct fs_options *o)
{
    if (!o->commit_ms)
        o->commit_ms = COMMIT_MS;
    if (!o->publish_ms)
        o->publish_ms = PUBLISH_MS;
}

static int start(struct fs *fs)
{
    int rc = commit_start(fs);
    if (rc)
        return rc;
    /* What the original of a copied state may publish as well gets new ids: for good, for
     * the next mount will take the state for nobody's copy any more (state_adopt). */
    if (fs->state->cloned && !fs->opt.read_only)
        rc = reseal_all(fs);
    if (!rc && fs->state->cloned)
        rc = commit_all(fs, true);
    if (!rc)
        rc = gc_start(fs);
    if (!rc)
        rc = publish_start(fs);
    if (!rc) {
        rc = lateness_start(fs);
        if (rc)
            publish_stop(fs);
    }
    if (rc)
        commit_stop(fs);
    fs->threads = rc == 0;
    return rc;
}

int fs_open(struct fs **out, struct state *state, struct store *store, const struct fs_options *o)
{
    struct fs *fs = calloc(1, sizeof *fs);
    if (!fs)
        return -ENOMEM;
    fs->opt = *o;
    list_init(&fs->limbo);
    list_init(&fs->hazards);
    list_init(&fs->fetched);
    defaults(&fs->opt);
    fs->state = state;
    fs->store = store;
    fs->vault = *keyring_vault(state->keys);
    fs->suite = keyring_suite(state->keys);
    fs->epoch = keyring_epoch(state->keys);
    int rc = init_locks(fs);
    if (!rc && state->cloned && !o->read_only)
        rc = actors_renew(fs);
    if (!rc)
        rc = load(fs);
    if (!rc)
        rc = load_head(fs);
    if (!rc)
        rc = look_around(fs);
    if (!rc)
        rc = start(fs);
    /* Unless it was said where it was found, what is damaged is the index. */
    if (rc == E_STATE_DAMAGED && !*state->damaged)
        state_damaged(state, "index.db");
    if (rc) {
        fs_close(fs);
        return rc;
    }
    *out = fs;
    return 0;
}

int fs_close(struct fs *fs)
{
    int rc = 0;

    if (fs->threads) {
        fs_closing(fs);
        survey_stop(fs);
        publish_stop(fs);
        commit_stop(fs);
        rc = publish_final(fs);
        lateness_stop(fs);
    }
    limbo_expire(fs, true);   /* what the last commit did not end */
    if (fs->index)
        index_on_damage(fs->index, NULL, NULL);
    fs_mark_damage(fs);
    if (fs->commit.journal)
        journal_close(fs->commit.journal);
    /* A state that was refused is left as it is. */
    if (fs->index && !fs->threads)
        index_discard(fs->index);
    else if (fs->index) {
        int closed = index_close(fs->index);
        rc = rc ? rc : closed;
    }
    segments_free(fs);
    cache_free(fs);
    free(fs->actors);
    free(fs->firsts);
    heads_free(&fs->heads);
    buf_free(&fs->publish.gc_avoided);
    buf_free(&fs->met);
    buf_free(&fs->odd);
    buf_free(&fs->strangers);
    free(fs);
    return rc;
}
