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
#include "internal.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct search { struct fs *fs; struct buf known, listed; uint64_t planted; };

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

    s->planted += size > SEGMENT_MAX;
    if (segment_size_class(size) == size)
        buf_append(&s->listed, id->b, sizeof id->b);
    return s->listed.failed ? -ENOMEM : 0;
}

static bool is_known(const struct search *s, const struct id128 *id)
{
    size_t count = s->known.len / sizeof *id;
    return count && bsearch(id, s->known.data, count, sizeof *id, by_id);
}

/* --- opening an unknown object ----------------------------------------------------- */

static int open_key(struct fs *fs, int fd, const struct id128 *id, struct segment_key **out)
{
    uint8_t bytes[SEGMENT_DATA];
    struct segment_header h;

    int rc = io_read_at(fd, bytes, sizeof bytes, 0);
    if (!rc)
        rc = segment_header_parse(bytes, &h);
    if (rc)
        return rc;
    const uint8_t *epoch_key = keyring_epoch_key(fs->state->keys, h.epoch);
    if (!epoch_key || h.suite != fs->suite || !id_equal(&h.vault, &fs->vault) || !id_equal(&h.segment, id))
        return E_AUTH;
    rc = segment_key_new(out, &h, epoch_key);
    return rc ? rc : segment_header_check(bytes, *out);
}

/* The footer's plaintext, malloc'd. */
static int read_footer(int fd, struct segment_key *key, uint8_t **out, size_t *len)
{
    uint8_t trailer[SEGMENT_TRAILER];
    uint64_t offset, sealed_len;
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    uint64_t size = (uint64_t)st.st_size;
    if (size < SEGMENT_DATA + SEGMENT_TRAILER)
        return E_NOT_ARRIVED;
    int rc = io_read_at(fd, trailer, sizeof trailer, size - sizeof trailer);
    if (!rc)
        rc = segment_trailer_open(key, size, trailer, &offset, &sealed_len);
    if (rc)
        return rc;
    uint8_t *sealed = malloc(sealed_len);
    if (!sealed)
        return -ENOMEM;
    rc = io_read_at(fd, sealed, sealed_len, offset);
    *len = sealed_len - SEAL_OVERHEAD;
    *out = rc ? NULL : malloc(*len ? *len : 1);
    if (!rc)
        rc = *out ? segment_open(key, offset, SEAL_FOOTER, sealed, sealed_len, *out) : -ENOMEM;
    free(sealed);
    return rc;
}

/* The publication that an object carries; the view borrows from *footer (malloc'd).
 * -ENOENT when it carries none. */
static int read_publication(struct fs *fs, const struct id128 *id, uint8_t **footer, struct footer_view *out)
{
    struct segment_key *key = NULL;
    size_t len = 0;

    *footer = NULL;
    int fd = store_get(fs->store, id);
    if (fd < 0)
        return fd;
    int rc = open_key(fs, fd, id, &key);
    if (!rc)
        rc = read_footer(fd, key, footer, &len);
    if (!rc)
        rc = footer_parse(*footer, len, out);
    if (!rc)
        rc = out->kind == PAYLOAD_PUBLICATION ? 0 : -ENOENT;
    segment_key_free(key);
    close(fd);
    return rc;
}

int unseen_dot(struct fs *fs, const struct id128 *id, struct dot *out)
{
    struct footer_view view;
    uint8_t *footer;

    int rc = read_publication(fs, id, &footer, &view);
    if (!rc)
        rc = publication_dot(view.payload, view.payload_len, out);
    free(footer);
    return rc;
}

/* --- judging ------------------------------------------------------------------------- */

uint64_t unseen_last_known(const struct fs *fs, uint64_t actor)
{
    for (size_t k = fs->actor_count; k--;)
        if (fs->actors[k] == actor)
            return k + 1 < fs->actor_count ? fs->firsts[k + 1] - 1 : fs->publish.seq;
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

static int meet(struct fs *fs, const struct id128 *id, const struct footer_view *f, struct buf *found, bool *ours)
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
    buf_append(found, &s, sizeof s);
    if (v.seq <= unseen_last_known(fs, v.actor))
        return found->failed ? -ENOMEM : 0;
    fs->unseen += !v.more;       /* a part alone shows nothing: its series was left, or another part closes it */
    if (v.actor == keyring_actor(fs->state->keys)) {
        id_format(id, text);
        log_warning("ECL-0321 publication %llu (object %s) is of this device, whose index does not know it",
                    (unsigned long long)v.seq, text);
        *ours = true;
    }
    return found->failed ? -ENOMEM : 0;
}

/* Whose failure says something of the object, and not of this machine. */
static bool is_verdict(int rc) { return rc == E_AUTH || rc == E_FORMAT || rc == E_NEWER_FORMAT; }

static int judge(struct search *s, const struct id128 *id, struct buf *found, bool *ours)
{
    char text[ID_TEXT];
    struct footer_view view;
    uint8_t *footer;

    int rc = read_publication(s->fs, id, &footer, &view);
    if (!rc)
        rc = meet(s->fs, id, &view, found, ours);
    free(footer);
    if (is_verdict(rc)) {
        id_format(id, text);
        log_warning("ECL-0322 object %s in the store is nothing of this vault's: %s; it is ignored", text,
                    error_name(rc));
        s->planted++;
    }
    return rc == -ENOMEM ? rc : 0;
}

int unseen_look(struct fs *fs, struct buf *found, bool *ours)
{
    struct search s = { .fs = fs };
    struct id128 id;

    *ours = false;
    fs->unseen = 0;
    /* Listed before the index is asked: what is published meanwhile is not listed, or known. */
    int rc = store_list(fs->store, note_listed, NULL, &s);
    if (!rc)
        rc = index_scan_segments(fs->index, 0, note_known, &s);
    if (!rc && s.known.len)
        qsort(s.known.data, s.known.len / sizeof id, sizeof id, by_id);
    for (size_t at = 0; !rc && at < s.listed.len; at += sizeof id) {
        memcpy(&id, s.listed.data + at, sizeof id);
        if (!is_known(&s, &id))
            rc = judge(&s, &id, found, ours);
    }
    fs->planted = s.planted;
    buf_free(&s.known);
    buf_free(&s.listed);
    return rc;
}
