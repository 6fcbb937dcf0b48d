/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Publications in the store that this device's index does not know.
 *
 * Two things bring them there: a copy of this state that publishes as well, and
 * an index that was turned back (a backup restored onto the same inodes, a disk
 * or machine set back to a snapshot), which no lock file can tell.  If one of
 * them is of the very actor that we are, with a number that we would give out
 * next, then we are a copy ourselves, and must become somebody else before we
 * write: (actor, number) would name two publications, and two files would
 * share one inode number.  So this is looked for at each mount.
 *
 * The index knows the ids of all objects of ours, so that usually the whole
 * question is a listing of names; only objects that it does not know are
 * opened.  What fails to authenticate, is not whole, or is no publication says
 * nothing here: a store can hide a publication, but forge none.
 *
 * Not promised: noticing what the store does not show (yet).
 */
#include "internal.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct search { struct fs *fs; struct buf known, strangers; };   /* ids; struct stranger… */

static int by_id(const void *a, const void *b) { return memcmp(a, b, sizeof(struct id128)); }

static int note_known(void *ctx, const struct segment_row *row)
{
    struct search *s = ctx;
    buf_append(&s->known, row->id.b, sizeof row->id.b);
    return s->known.failed ? -ENOMEM : 0;
}

static int note_stranger(void *ctx, const struct id128 *id, uint64_t size)
{
    struct search *s = ctx;
    struct stranger found = { .id = *id, .size = size };
    size_t count = s->known.len / sizeof *id;

    if (segment_size_class(size) != size || (count && bsearch(id, s->known.data, count, sizeof *id, by_id)))
        return 0;
    buf_append(&s->strangers, &found, sizeof found);
    return s->strangers.failed ? -ENOMEM : 0;
}

/* --- opening an unknown object ----------------------------------------------------- */

static int open_key(struct fs *fs, int fd, const struct id128 *id, struct segment_key **out, uint32_t *epoch)
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
    *epoch = h.epoch;
    rc = segment_key_new(out, &h, epoch_key);
    return rc ? rc : segment_header_check(bytes, *out);
}

/* The footer's plaintext, malloc'd; -ENOENT when it carries no publication. */
static int read_footer(int fd, struct segment_key *key, uint8_t **out, size_t *len)
{
    uint8_t trailer[SEGMENT_TRAILER];
    struct segment_trailer t;
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    uint64_t size = (uint64_t)st.st_size;
    if (size < SEGMENT_DATA + SEGMENT_TRAILER)
        return E_NOT_ARRIVED;
    int rc = io_read_at(fd, trailer, sizeof trailer, size - sizeof trailer);
    if (!rc)
        rc = segment_trailer_read(key, size, trailer, &t);
    if (!rc && !t.publication)
        rc = -ENOENT;
    if (rc)
        return rc;
    uint64_t offset = t.footer_offset, sealed_len = t.footer_sealed_len;
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

static int find_dot(struct fs *fs, const struct id128 *id, uint64_t *actor, uint64_t *seq, uint32_t *epoch)
{
    struct segment_key *key = NULL;
    struct footer_view view;
    uint8_t *footer = NULL;
    size_t len = 0;

    int fd = store_get(fs->store, id);
    if (fd < 0)
        return fd;
    int rc = open_key(fs, fd, id, &key, epoch);
    if (!rc)
        rc = read_footer(fd, key, &footer, &len);
    if (!rc)
        rc = footer_parse(footer, len, &view);
    if (!rc)
        rc = view.kind == PAYLOAD_PUBLICATION ? publication_dot(view.payload, view.payload_len, actor, seq) : -ENOENT;
    free(footer);
    segment_key_free(key);
    close(fd);
    return rc;
}

int unseen_dot(struct fs *fs, const struct id128 *id, uint64_t *actor, uint64_t *seq)
{
    uint32_t epoch;

    return find_dot(fs, id, actor, seq, &epoch);
}

/* --- judging ------------------------------------------------------------------------- */

/* The last number of that actor that the index knows; 0 for strangers. */
static uint64_t last_known(const struct fs *fs, uint64_t actor)
{
    for (size_t k = fs->actor_count; k--;)
        if (fs->actors[k] == actor)
            return k + 1 < fs->actor_count ? fs->firsts[k + 1] - 1 : fs->publish.seq;
    return 0;
}

static int judge(struct fs *fs, const struct id128 *id, bool *ours)
{
    char text[ID_TEXT];
    uint64_t actor, seq;

    int rc = unseen_dot(fs, id, &actor, &seq);
    if (rc)
        return rc == -ENOMEM ? rc : 0;
    if (seq <= last_known(fs, actor))
        return 0;
    fs->unseen++;
    if (actor == keyring_actor(fs->state->keys)) {
        id_format(id, text);
        log_warning("ECL-0321 publication %llu (object %s) is of this device, whose index does not know it",
                    (unsigned long long)seq, text);
        *ours = true;
    }
    return 0;
}

/* What the store has and the index does not know. */
static int find_strangers(struct search *s)
{
    int rc = index_scan_segments(s->fs->index, 0, note_known, s);
    if (!rc && s->known.len)
        qsort(s->known.data, s->known.len / sizeof(struct id128), sizeof(struct id128), by_id);
    return rc ? rc : store_list(s->fs->store, note_stranger, NULL, s);
}

static void search_free(struct search *s)
{
    buf_free(&s->known);
    buf_free(&s->strangers);
}

int unseen_look(struct fs *fs, bool *ours)
{
    struct search s = { .fs = fs };
    struct stranger x;

    *ours = false;
    int rc = find_strangers(&s);
    for (size_t at = 0; !rc && at < s.strangers.len; at += sizeof x) {
        memcpy(&x, s.strangers.data + at, sizeof x);
        rc = judge(fs, &x.id, ours);
    }
    search_free(&s);
    return rc;
}

/* Nobody's: no publication, or one of ours that was there before the index began. */
static int judge_stray(struct fs *fs, struct stranger *x, uint64_t *others, struct buf *strays)
{
    uint64_t actor, seq;

    int rc = find_dot(fs, &x->id, &actor, &seq, &x->epoch);
    if (rc && rc != -ENOENT)
        return rc == -ENOMEM ? rc : 0;
    uint64_t known = rc ? 0 : last_known(fs, actor);
    if (!rc && seq > known)
        ++*others;
    else if (rc || seq < known)      /* the last of an earlier actor stays: actors_is_head */
        buf_append(strays, x, sizeof *x);
    return strays->failed ? -ENOMEM : 0;
}

int unseen_strays(struct fs *fs, uint64_t *others, struct buf *strays)
{
    struct search s = { .fs = fs };
    struct stranger x;

    *others = 0;
    int rc = find_strangers(&s);
    for (size_t at = 0; !rc && at < s.strangers.len; at += sizeof x) {
        memcpy(&x, s.strangers.data + at, sizeof x);
        rc = judge_stray(fs, &x, others, strays);
    }
    search_free(&s);
    return rc;
}
