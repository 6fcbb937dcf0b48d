/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The actors that this device has been.
 *
 * A state directory that was copied, or restored from a backup, must not go on
 * as the actor it was: the original may still write, and two histories would
 * share inode numbers and publication numbers.  It becomes a new actor
 * (keyring_new_actor), which the index notes here before anything else.
 *
 *   actors[k]   the id that index k in an inode number's upper 16 bits stands for;
 *               the last one is this device now, and new inodes get its index
 *   firsts[k]   number of its first publication; numbers go on across actors, so
 *               firsts[k] … firsts[k+1] - 1 are those of actor k
 *
 * An actor's chain of hashes begins with zeros; what its predecessors published
 * is told by the heads in each publication.
 */
#include "internal.h"
#include <stdlib.h>

#define COUNTER_BITS 48

static int add(struct fs *fs, uint64_t id, uint64_t first)
{
    size_t size = (fs->actor_count + 1) * sizeof id;
    uint64_t *ids = realloc(fs->actors, size);
    if (ids)
        fs->actors = ids;
    uint64_t *firsts = realloc(fs->firsts, size);
    if (firsts)
        fs->firsts = firsts;
    if (!ids || !firsts)
        return -ENOMEM;
    ids[fs->actor_count] = id;
    firsts[fs->actor_count++] = first;
    return 0;
}

static int load_known(struct fs *fs)
{
    uint64_t id, first;
    int rc = 0;

    for (uint32_t k = 0; !rc && k < ACTOR_LIMIT; k++) {
        rc = index_counter(fs->index, (enum counter)(COUNTER_ACTOR + k), &id);
        if (!rc)
            rc = index_counter(fs->index, (enum counter)(COUNTER_CHAIN + k), &first);
        if (!rc)
            rc = add(fs, id, first);
    }
    return rc == -ENOENT ? 0 : rc;
}

/* The keyring's actor is not the last one known: it begins here. */
static int begin(struct fs *fs)
{
    struct publication_row last = { 0 };
    uint32_t k = (uint32_t)fs->actor_count;
    struct buf b = { 0 };

    if (k == ACTOR_LIMIT)
        return -EOVERFLOW;
    int rc = index_last_publication(fs->index, &last);
    if (rc && rc != -ENOENT)
        return rc;
    rc = add(fs, keyring_actor(fs->state->keys), last.seq + 1);
    if (rc || fs->opt.read_only)
        return rc;
    batch_counter(&b, (enum counter)(COUNTER_ACTOR + k), fs->actors[k]);
    batch_counter(&b, (enum counter)(COUNTER_CHAIN + k), fs->firsts[k]);
    rc = b.failed ? -ENOMEM : index_apply(fs->index, &b, false, fs->commit.generation);
    if (!rc)
        rc = index_sync(fs->index);
    buf_free(&b);
    return rc;
}

/* The keyring's actor is one that this device was before: an older keyring was put back,
 * and what that actor gave out since, its index no longer counts. */
static bool was_before(const struct fs *fs)
{
    for (size_t k = 0; k + 1 < fs->actor_count; k++)
        if (fs->actors[k] == keyring_actor(fs->state->keys))
            return fs->actors[fs->actor_count - 1] != fs->actors[k];
    return false;
}

/* The keyring says who this device is now. One that it was before is not told twice: what
 * others published under that name would seem to contradict what was published since. */
static int take_identity(struct fs *fs)
{
    uint64_t counter;
    int rc = 0;

    if (!was_before(fs) && (!fs->actor_count || fs->actors[fs->actor_count - 1] != keyring_actor(fs->state->keys)))
        rc = begin(fs);
    if (!rc)
        rc = index_counter(fs->index, COUNTER_INO, &counter);
    if (!rc)
        fs->next_ino = (uint64_t)(fs->actor_count - 1) << COUNTER_BITS |
                       (counter & ((1ull << COUNTER_BITS) - 1));
    return rc;
}

int actors_load(struct fs *fs)
{
    int rc = load_known(fs);
    bool older = !rc && was_before(fs);

    if (older && !fs->opt.read_only)
        return actors_renew(fs);
    fs->state->cloned |= older;
    return rc ? rc : take_identity(fs);
}

/* The lock file says so first: a crash after any of these steps leaves a copy,
 * which is renewed once more at the next mount. */
int actors_renew(struct fs *fs)
{
    struct state *s = fs->state;

    int rc = s->cloned ? 0 : state_disown(s);
    if (!rc)
        rc = keyring_new_actor(s->keys);
    if (!rc)
        rc = keyring_save(s->keys, s->dir, "keyring");
    if (!rc && fs->actor_count)
        rc = take_identity(fs);
    audit_append(s->dir, s->keys, AUDIT_COPIED, rc, NULL);
    log_warning("ECL-0513 the state was copied or restored: new actor: %s", error_name(rc));
    return rc;
}

bool actors_chain_begins(const struct fs *fs, uint64_t seq)
{
    return fs->firsts[fs->actor_count - 1] == seq;
}

int actors_heads(struct fs *fs, struct buf *out)
{
    struct buf heads = { 0 };
    struct publication_row p;
    uint64_t count = 0;
    int rc = 0;

    for (size_t k = 0; !rc && k + 1 < fs->actor_count; k++) {
        uint64_t end = fs->firsts[k + 1];
        uint8_t id[8];
        if (end == fs->firsts[k])
            continue;             /* it never published */
        rc = index_publication(fs->index, end - 1, &p);
        put_le64(id, fs->actors[k]);
        buf_append(&heads, id, sizeof id);
        buf_varint(&heads, end - 1);
        buf_append(&heads, p.hash, sizeof p.hash);
        count++;
    }
    buf_varint(out, count);
    buf_append(out, heads.data, heads.len);
    buf_free(&heads);
    return rc == -ENOENT ? E_STATE_DAMAGED : rc;
}

uint64_t actors_of(const struct fs *fs, uint64_t seq)
{
    size_t k = fs->actor_count - 1;

    while (k && fs->firsts[k] > seq)
        k--;
    return fs->actors[k];
}

bool actors_is_head(struct fs *fs, uint32_t carrier)
{
    struct publication_row p;

    for (size_t k = 0; k + 1 < fs->actor_count; k++)
        if (fs->firsts[k + 1] > fs->firsts[k] && index_publication(fs->index, fs->firsts[k + 1] - 1, &p) == 0 &&
            p.carrier == carrier)
            return true;
    return false;
}
