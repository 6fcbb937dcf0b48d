/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * From the intent to the store: once recorded, the same bytes are completed, whatever
 * happens meanwhile, and never regenerated.
 */
#include "publishing.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* As latched_sync, for the store, where other failures pass. */
static int latched_store(struct fs *fs, int rc)
{
    if (rc == E_STORE_SYNC)
        fs_latch(fs, -EIO, "store sync");
    return rc;
}

int publish_intend(struct fs *fs, const struct publication *p, const struct cut *c,
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
    lateness_moved(fs);
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
    char name[ID_TEXT];
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
    return rc == -ENODATA ? segment_damaged(fs, &row->id) : rc;
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

bool publish_is_open(struct fs *fs)
{
    struct publication_row p;

    return index_last_publication(fs->index, &p) == 0 && !p.done;
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
