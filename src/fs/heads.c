/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The file `heads` of the state: what this device has seen of others, and what of
 * its own the user has let go.
 *
 *   record under HKDF(local key, "ecluse/heads"), the vault id as associated data:
 *   version 1 | accepted | relied | count | actor le64, seq, hash 32, object 16, time …
 *
 * The index remembers this device's own publications; those of other actors it
 * does not know, so that without this file a store that went back to before them
 * would look like any other.  One entry for each actor: the last one seen.
 *
 * `accepted` is the number up to which the store may lack publications of our own,
 * because the user said so; `relied` the last one that was there when he did.
 *
 * A missing file is an empty one: no device has seen anything before its first
 * mount.  One that does not open is damage, as with any file of the state.
 */
#include "sealed.h"
#include "seen.h"
#include <stdlib.h>

#define VERSION 1u
#define FILE_LIMIT (8u << 20)
#define ACTOR_BYTES 8u

static const struct sealed_file file = { "heads", "ecluse/heads", FILE_LIMIT, FAULT_other };

void heads_free(struct heads *h)
{
    free(h->v);
    *h = (struct heads){ 0 };
}

struct head *heads_find(const struct heads *h, uint64_t actor)
{
    for (size_t k = 0; k < h->count; k++)
        if (h->v[k].self.actor == actor)
            return &h->v[k];
    return NULL;
}

int heads_put(struct heads *h, const struct head *head)
{
    struct head *old = heads_find(h, head->self.actor);

    if (old) {
        *old = *head;
        return 0;
    }
    struct head *v = realloc(h->v, (h->count + 1) * sizeof *v);
    if (!v)
        return -ENOMEM;
    h->v = v;
    h->v[h->count++] = *head;
    return 0;
}

void heads_drop(struct heads *h, struct head *head)
{
    *head = h->v[--h->count];
}

/* --- bytes ------------------------------------------------------------------------- */

static void copy(void *out, const uint8_t *p, size_t len)
{
    if (p)
        memcpy(out, p, len);
}

static int decode_one(struct reader *r, struct heads *h)
{
    struct head head = { 0 };
    const uint8_t *actor = read_raw(r, ACTOR_BYTES);

    head.self.actor = actor ? get_le64(actor) : 0;
    head.self.seq = read_varint(r);
    copy(head.self.hash, read_raw(r, SHA256_SIZE), SHA256_SIZE);
    copy(head.object.b, read_raw(r, sizeof head.object.b), sizeof head.object.b);
    uint64_t time = read_varint(r);
    head.time = (int64_t)time;
    if (r->failed || !head.self.actor || !head.self.seq || head.self.seq > INT64_MAX || time > INT64_MAX ||
        heads_find(h, head.self.actor))
        return E_FORMAT;
    return heads_put(h, &head);
}

int heads_decode(struct heads *h, const uint8_t *bytes, size_t len)
{
    struct reader r = reader_over(bytes, len);
    int rc = 0;

    *h = (struct heads){ 0 };
    if (read_byte(&r) != VERSION)
        return E_FORMAT;
    h->accepted = read_varint(&r);
    h->relied = read_varint(&r);
    uint64_t count = read_varint(&r);
    for (uint64_t k = 0; !rc && !r.failed && k < count; k++)
        rc = decode_one(&r, h);
    if (!rc && (r.failed || reader_left(&r) || h->relied > h->accepted || h->accepted > INT64_MAX))
        rc = E_FORMAT;
    if (rc)
        heads_free(h);
    return rc;
}

void heads_encode(const struct heads *h, struct buf *out)
{
    uint8_t actor[ACTOR_BYTES];

    buf_byte(out, VERSION);
    buf_varint(out, h->accepted);
    buf_varint(out, h->relied);
    buf_varint(out, h->count);
    for (size_t k = 0; k < h->count; k++) {
        put_le64(actor, h->v[k].self.actor);
        buf_append(out, actor, sizeof actor);
        buf_varint(out, h->v[k].self.seq);
        buf_append(out, h->v[k].self.hash, SHA256_SIZE);
        buf_append(out, h->v[k].object.b, sizeof h->v[k].object.b);
        buf_varint(out, (uint64_t)h->v[k].time);
    }
}

/* --- the file ------------------------------------------------------------------------- */

int heads_read(struct heads *h, int dir, const struct keyring *keys)
{
    uint8_t *plain = NULL;
    size_t len = 0;

    *h = (struct heads){ 0 };
    int rc = sealed_read(&file, dir, keys, &plain, &len);
    if (rc == -ENOENT)
        return 0;
    if (!rc)
        rc = heads_decode(h, plain, len);
    free(plain);
    return rc == E_AUTH || rc == E_FORMAT || rc == -EFBIG || rc == -EISDIR || rc == -ELOOP ? E_STATE_DAMAGED : rc;
}

int heads_write(const struct heads *h, int dir, const struct keyring *keys)
{
    struct buf plain = { 0 };

    heads_encode(h, &plain);
    int rc = sealed_write(&file, dir, keys, &plain);
    buf_free(&plain);
    return rc;
}
