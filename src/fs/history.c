/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The file `history` of an unfinished state: which publications are being applied, in
 * their order, with what a survey would have to read their footers for.
 *
 *   record under HKDF(local key, "ecluse/history"), the vault id as associated data:
 *   version 1 | count, heads | count, entries                    (docs/format.md)
 *
 * It was true when it was written; whether it still is, resume.c finds out.
 */
#include "rebuild.h"
#include "sealed.h"
#include <stdlib.h>

#define VERSION 1u
#define FILE_LIMIT (64u << 20)
#define ACTOR_BYTES 8u
#define ENTRY_LEAST 143u         /* bytes that an entry takes at least */
#define FLAG_LAST 1u
#define FLAG_MORE 2u

void history_free(struct history *h)
{
    free(h->heads);
    free(h->v);
    *h = (struct history){ 0 };
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
    in->failed |= h.seq > INT64_MAX;
    return h;
}

static void put_entry(struct buf *out, const struct history_entry *e)
{
    const struct link *l = &e->link;

    buf_append(out, e->object.b, sizeof e->object.b);
    put_head(out, &l->self);
    put_head(out, &l->before);
    put_head(out, &l->around);
    buf_byte(out, (uint8_t)((l->last ? FLAG_LAST : 0) | (l->more ? FLAG_MORE : 0)));
    buf_varint(out, l->shard);
    buf_varint(out, l->size);
    buf_varint(out, (uint64_t)l->time);
}

static void get_entry(struct reader *in, struct history_entry *e)
{
    struct link *l = &e->link;

    copy(e->object.b, read_raw(in, sizeof e->object.b), sizeof e->object.b);
    l->self = get_head(in);
    l->before = get_head(in);
    l->around = get_head(in);
    uint8_t flags = read_byte(in);
    uint64_t shard = read_varint(in);
    l->size = read_varint(in);
    uint64_t time = read_varint(in);
    l->last = flags & FLAG_LAST;
    l->more = flags & FLAG_MORE;
    l->shard = (uint32_t)shard;
    l->time = (int64_t)time;
    in->failed |= !l->self.seq || flags > (FLAG_LAST | FLAG_MORE) || shard > UINT32_MAX || time > INT64_MAX;
}

void history_encode(const struct history *h, struct buf *out)
{
    buf_byte(out, VERSION);
    buf_varint(out, h->head_count);
    for (size_t k = 0; k < h->head_count; k++)
        put_head(out, &h->heads[k]);
    buf_varint(out, h->count);
    for (size_t k = 0; k < h->count; k++)
        put_entry(out, &h->v[k]);
}

static int decode_heads(struct history *h, struct reader *in)
{
    uint64_t count = read_varint(in);

    if (in->failed || count > reader_left(in))
        return E_FORMAT;
    h->heads = calloc((size_t)count + 1, sizeof *h->heads);
    if (!h->heads)
        return -ENOMEM;
    for (; h->head_count < count && !in->failed; h->head_count++)
        h->heads[h->head_count] = get_head(in);
    return in->failed ? E_FORMAT : 0;
}

/* Their numbers ascend. */
static int decode_entries(struct history *h, struct reader *in)
{
    uint64_t count = read_varint(in), before = 0;

    if (in->failed || count > reader_left(in) / ENTRY_LEAST)
        return E_FORMAT;
    h->v = calloc((size_t)count + 1, sizeof *h->v);
    if (!h->v)
        return -ENOMEM;
    for (; h->count < count && !in->failed; h->count++) {
        get_entry(in, &h->v[h->count]);
        in->failed |= h->v[h->count].link.self.seq <= before;
        before = h->v[h->count].link.self.seq;
    }
    return in->failed ? E_FORMAT : 0;
}

int history_decode(struct history *h, const uint8_t *bytes, size_t len)
{
    struct reader in = reader_over(bytes, len);

    *h = (struct history){ 0 };
    int rc = read_byte(&in) == VERSION ? decode_heads(h, &in) : E_FORMAT;
    if (!rc)
        rc = decode_entries(h, &in);
    if (!rc && reader_left(&in))
        rc = E_FORMAT;
    if (rc)
        history_free(h);
    return rc;
}

/* --- the file ------------------------------------------------------------------------------ */

static const struct sealed_file file = { HISTORY_FILE, "ecluse/history", FILE_LIMIT, FAULT_rebuild };

int history_write(const struct history *h, int dir, const struct keyring *keys)
{
    struct buf plain = { 0 };

    if (h->count > FILE_LIMIT / ENTRY_LEAST)
        return -EFBIG;
    history_encode(h, &plain);
    int rc = sealed_write(&file, dir, keys, &plain);
    buf_free(&plain);
    return rc;
}

int history_read(struct history *h, int dir, const struct keyring *keys)
{
    uint8_t *plain;
    size_t len = 0;

    *h = (struct history){ 0 };
    int rc = sealed_read(&file, dir, keys, &plain, &len);
    if (!rc)
        rc = history_decode(h, plain, len);
    free(plain);
    return rc;
}
