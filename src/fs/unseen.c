/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publications in the store that this device's index does not know.
 *
 * Three things bring them there: a copy of this state that publishes as well, an
 * index that was turned back (a backup restored onto the same inodes, a disk or
 * machine set back to a snapshot), which no lock file can tell, and a store that
 * shows another history than the one this device knows.  If one of them is of
 * the very actor that we are, with a number that we would give out next, then we
 * are a copy ourselves, and must become somebody else before we write: (actor,
 * number) would name two publications, and two files would share one inode
 * number.  So this is looked for at each mount.  What they say of each other and of
 * us is for fresh.c to judge.
 *
 * The index knows the ids of all objects of ours, so that usually the whole
 * question is a listing of names; only objects that it does not know are
 * opened.  What fails to authenticate is logged and counted as foreign, and says
 * nothing here: a store can hide a publication, but forge none.  What is not
 * whole has not arrived.
 *
 * Not promised: noticing what the store does not show (yet).
 */
#include "carrier.h"
#include "seen.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct search {
    struct fs *fs;
    struct buf known, listed;  /* ids; struct stray… */
    struct buf met, odd;       /* as they were: copies, for those of fs grow out of order */
    uint64_t huge, aliens;
};

static int by_id(const void *a, const void *b) { return memcmp(a, b, sizeof(struct id128)); }

static int note_known(void *ctx, const struct segment_row *row)
{
    struct search *s = ctx;
    buf_append(&s->known, row->id.b, sizeof row->id.b);
    return s->known.failed ? -ENOMEM : 0;
}

static int note_listed(void *ctx, const struct id128 *id, uint64_t size)
{
    struct search *s = ctx;

    struct stray found = { .id = *id, .size = size };

    s->huge += size > SEGMENT_MAX;
    if (segment_size_class(size) == size)
        buf_append(&s->listed, &found, sizeof found);
    return s->listed.failed ? -ENOMEM : 0;
}

static bool has(const struct buf *ids, const struct id128 *id)
{
    size_t count = ids->len / sizeof *id;
    return count && bsearch(id, ids->data, count, sizeof *id, by_id);
}

static void sort(struct buf *ids)
{
    if (ids->len)
        qsort(ids->data, ids->len / sizeof(struct id128), sizeof(struct id128), by_id);
}

/* --- opening an unknown object ----------------------------------------------------- */

/* The publication that an object carries; the view borrows from `footer`. -ENOENT when it
 * carries none. */
static int read_publication(struct fs *fs, const struct id128 *id, uint32_t *epoch, struct buf *footer,
                            struct footer_view *out)
{
    struct segment_key *key = NULL;
    struct segment_trailer t;
    struct stat st;

    int fd = store_get(fs->store, id);
    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) ? -errno : carrier_key(fs->state->keys, id, fd, &key, epoch);
    if (!rc)
        rc = carrier_trailer(fd, (uint64_t)st.st_size, key, &t);
    if (!rc)
        rc = carrier_footer(fd, key, &t, footer);
    if (!rc)
        rc = footer_parse(footer->data, footer->len, out);
    if (!rc)
        rc = out->kind == PAYLOAD_PUBLICATION ? 0 : -ENOENT;
    segment_key_free(key);
    close(fd);
    return rc;
}

static int find_dot(struct fs *fs, const struct id128 *id, struct dot *out, uint8_t hash[SHA256_SIZE], uint32_t *epoch)
{
    struct buf footer = { 0 };
    struct footer_view view;

    int rc = read_publication(fs, id, epoch, &footer, &view);
    if (!rc)
        rc = publication_dot(view.payload, view.payload_len, out);
    if (!rc)
        crypto_sha256(view.payload, view.payload_len, hash);
    buf_free(&footer);
    return rc;
}

int unseen_dot(struct fs *fs, const struct id128 *id, struct dot *out)
{
    uint8_t hash[SHA256_SIZE];
    uint32_t epoch;

    return find_dot(fs, id, out, hash, &epoch);
}

/* --- judging ------------------------------------------------------------------------- */

static uint64_t last_published(struct fs *fs)
{
    pthread_mutex_lock(&fs->publish.lock);
    uint64_t seq = fs->publish.seq;
    pthread_mutex_unlock(&fs->publish.lock);
    return seq;
}

uint64_t unseen_last_known(struct fs *fs, uint64_t actor)
{
    for (size_t k = fs->actor_count; k--;)
        if (fs->actors[k] == actor)
            return k + 1 < fs->actor_count ? fs->firsts[k + 1] - 1 : last_published(fs);
    return 0;
}

/* An object may carry only what says so: else it was copied from another one. */
static bool carries_itself(struct publication_view v, const struct id128 *id)
{
    struct publication_segment s;

    while (publication_next_segment(&v, &s))
        if (s.carrier)
            return id_equal(&s.id, id);
    return false;
}

static int meet(struct fs *fs, const struct id128 *id, const struct footer_view *f, bool *ours)
{
    struct stranger s = { .head.object = *id };
    struct publication_view v;
    char text[ID_TEXT];

    int rc = publication_parse(f->payload, f->payload_len, &v);
    if (rc || !carries_itself(v, id))
        return rc ? rc : E_FORMAT;
    s.head.self = (struct publication_head){ .actor = v.actor, .seq = v.seq };
    s.head.time = (int64_t)v.time;
    s.before = v.before;
    crypto_sha256(f->payload, f->payload_len, s.head.self.hash);
    buf_append(&fs->strangers, &s, sizeof s);
    if (v.seq <= unseen_last_known(fs, v.actor))
        return fs->strangers.failed ? -ENOMEM : 0;
    if (!v.more)                 /* a part alone shows nothing: its series was left, or another part closes it */
        atomic_fetch_add(&fs->unseen, 1);
    if (v.actor == keyring_actor(fs->state->keys)) {
        id_format(id, text);
        log_warning("ECL-0321 publication %llu (object %s) is of this device, whose index does not know it",
                    (unsigned long long)v.seq, text);
        *ours = true;
    }
    return fs->strangers.failed ? -ENOMEM : 0;
}

/* Whose failure says something of the object, and not of this machine. */
static bool is_verdict(int rc) { return rc == E_AUTH || rc == E_FORMAT || rc == E_NEWER_FORMAT; }

static void say_alien(struct fs *fs, const struct id128 *id, int rc)
{
    char text[ID_TEXT];

    id_format(id, text);
    log_warning("ECL-0322 object %s in the store is nothing of this vault's: %s; it is ignored", text, error_name(rc));
    buf_append(&fs->odd, id->b, sizeof id->b);
}

/* What was read is not read again; all else may still become whole: a sync client
 * may write under the final name. */
static int judge(struct search *s, const struct id128 *id, bool *ours)
{
    struct buf footer = { 0 };
    struct footer_view view;
    uint32_t epoch;

    int rc = read_publication(s->fs, id, &epoch, &footer, &view);
    if (!rc)
        rc = meet(s->fs, id, &view, ours);
    buf_free(&footer);
    if (is_verdict(rc)) {
        s->aliens++;
        if (!has(&s->odd, id))
            say_alien(s->fs, id, rc);
    }
    if (!rc || rc == -ENOENT)
        buf_append(&s->fs->met, id->b, sizeof id->b);
    return rc == -ENOMEM || s->fs->met.failed || s->fs->odd.failed ? -ENOMEM : 0;
}

/* Listed before the index is asked: what is published meanwhile is not listed, or known. */
static int list_strangers(struct search *s)
{
    size_t kept = 0;

    int rc = store_list(s->fs->store, note_listed, NULL, s);
    if (!rc)
        rc = index_scan_segments(s->fs->index, 0, note_known, s);
    sort(&s->known);
    for (size_t at = 0; !rc && at < s->listed.len; at += sizeof(struct stray)) {
        struct stray x;
        memcpy(&x, s->listed.data + at, sizeof x);
        if (has(&s->known, &x.id))
            continue;
        memcpy(s->listed.data + kept, &x, sizeof x);
        kept += sizeof x;
    }
    s->listed.len = kept;
    return rc;
}

static void search_free(struct search *s)
{
    buf_free(&s->known);
    buf_free(&s->listed);
    buf_free(&s->met);
    buf_free(&s->odd);
}

int unseen_look(struct fs *fs, bool *ours)
{
    struct search s = { .fs = fs };
    struct stray x;

    *ours = false;
    buf_append(&s.met, fs->met.data, fs->met.len);
    buf_append(&s.odd, fs->odd.data, fs->odd.len);
    int rc = s.met.failed || s.odd.failed ? -ENOMEM : list_strangers(&s);
    for (size_t at = 0; !rc && at < s.listed.len; at += sizeof x) {
        memcpy(&x, s.listed.data + at, sizeof x);
        if (!has(&s.met, &x.id))
            rc = judge(&s, &x.id, ours);
    }
    sort(&fs->met);
    sort(&fs->odd);
    atomic_store(&fs->planted, s.huge + s.aliens);
    search_free(&s);
    return rc;
}

/* --- what is nobody's ------------------------------------------------------------------ */

/* No publication, or one of ours that was there before the index began; the other branch
 * of a fork bears our name too, and is somebody's. */
static int judge_stray(struct fs *fs, struct stray *x, uint64_t *others, struct buf *strays)
{
    struct publication_head h;
    struct dot dot;

    int rc = find_dot(fs, &x->id, &dot, h.hash, &x->epoch);
    if (rc && rc != -ENOENT)
        return rc == -ENOMEM ? rc : 0;
    uint64_t known = rc ? 0 : unseen_last_known(fs, dot.actor);
    if (!rc) {
        h.actor = dot.actor;
        h.seq = dot.seq;
    }
    if (!rc && (dot.seq > known || fresh_contradicts(fs, &h)))
        ++*others;
    else if (rc || dot.seq < known)  /* the last of an earlier actor stays: actors_is_head */
        buf_append(strays, x, sizeof *x);
    return strays->failed ? -ENOMEM : 0;
}

int unseen_strays(struct fs *fs, uint64_t *others, struct buf *strays)
{
    struct search s = { .fs = fs };
    struct stray x;

    *others = 0;
    int rc = list_strangers(&s);
    for (size_t at = 0; !rc && at < s.listed.len; at += sizeof x) {
        memcpy(&x, s.listed.data + at, sizeof x);
        rc = judge_stray(fs, &x, others, strays);
    }
    search_free(&s);
    return rc;
}
