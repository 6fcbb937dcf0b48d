/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The keyring: what this device holds of the vault, and who may open it.
 *
 *   epoch key n   HKDF(R, "ecluse/epoch" ‖ n le32)
 *   device key D  HKDF(R, "ecluse/device" ‖ device le64)
 *   local key     random; never leaves the keyring
 *
 * `device` is the actor id with which the state was enrolled, by whoever had the
 * recovery key R.  It and D stay when a copied state takes a new actor id.
 * D exists so that a later rotation, with R, can hand the next epoch key to the
 * devices that remain.  The alternatives for a new actor, without R:
 *
 *   - a root HKDF(R, "ecluse/device-root") in every keyring, from which any
 *     actor's D follows: then a lost device derives the D of the others, opens
 *     what is meant for them, and no rotation ever shuts it out;
 *   - a random D: R could not derive it, so no grant would ever reach it;
 *   - a D derived from the old one: whoever holds the other copy derives it too;
 *     it would only feign a separation.
 *
 * So D belongs to the keyring's lineage and not to the actor.  Two copies of
 * one keyring are revoked together, which is right, for neither key nor file
 * tells them apart; the one that stays is enrolled again with R.
 *
 * Invariants: a keyring is locked (file, no opened) or unlocked (opened, no
 * file); an unlocked one is never saved without a slot.
 */
#include "internal.h"
#include <assert.h>
#include <dirent.h>
#include <ecluse/io.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int derive_epoch(uint8_t out[KEY_SIZE], const uint8_t recovery[KEY_SIZE], uint32_t epoch)
{
    uint8_t number[4];
    put_le32(number, epoch);
    return crypto_hkdf(out, KEY_SIZE, recovery, "ecluse/epoch", number, sizeof number);
}

static int derive_device(uint8_t out[KEY_SIZE], const uint8_t recovery[KEY_SIZE], uint64_t device)
{
    uint8_t number[8];
    put_le64(number, device);
    return crypto_hkdf(out, KEY_SIZE, recovery, "ecluse/device", number, sizeof number);
}

/* Random, not 0 and not `other`. */
static uint64_t fresh_actor(uint64_t other)
{
    uint64_t actor;
    do
        crypto_random(&actor, sizeof actor);
    while (actor == 0 || actor == other);
    return actor;
}

int keyring_create(struct keyring **out, const struct id128 *vault, enum suite suite,
                   const uint8_t recovery[KEY_SIZE])
{
    if (!suite_name(suite))
        return -EINVAL;
    struct keyring *k = calloc(1, sizeof *k);
    struct opened *o = opened_new(1);
    int rc = k && o ? 0 : -ENOMEM;
    if (rc)
        goto out;
    k->vault = *vault;
    o->suite = suite;
    o->device = o->actor = fresh_actor(0);
    o->count = 1;
    crypto_random(o->kek, KEY_SIZE);
    crypto_random(o->local_key, KEY_SIZE);
    rc = derive_epoch(o->epochs[0].key, recovery, 0);
    if (!rc)
        rc = derive_device(o->device_key, recovery, o->device);
    if (rc)
        goto out;
    k->opened = o;
    *out = k;
    return 0;
out:
    secret_free(o);
    free(k);
    return rc;
}

int keyring_load(struct keyring **out, int dirfd, const char *name)
{
    uint8_t *bytes = NULL;
    size_t len;

    int rc = io_read_file(dirfd, name, KEYRING_LIMIT, &bytes, &len);
    if (rc == -EFBIG)
        return E_KEYRING;
    if (!rc)
        rc = keyring_parse(out, bytes, len);
    free(bytes);
    return rc;
}

/* The slot of that number, SLOT_LIMIT when there is none. */
static size_t find_slot(const struct keyring *k, unsigned number)
{
    for (size_t i = 0; i < k->slot_count; i++)
        if (k->notes[i].number == number)
            return i;
    return SLOT_LIMIT;
}

/* A secret that may open slot i, and the KEK that it gives. */
struct attempt { enum slot_kind kind; const void *secret; size_t len; uint8_t *kek; };

static int try_slot(struct keyring *k, size_t i, const struct attempt *a)
{
    if (!slot_takes(&k->slots[i], a->kind))
        return E_PASSPHRASE;
    int rc = slot_open(&k->slots[i], &k->vault, a->secret, a->len, a->kek);
    if (!rc)
        k->opened_by = k->notes[i].number;
    return rc;
}

/* Each one; those that cost nothing first. */
static int try_slots(struct keyring *k, const struct attempt *a)
{
    int rc = E_PASSPHRASE;

    for (int dear = 0; dear <= 1; dear++)
        for (size_t i = 0; rc == E_PASSPHRASE && i < k->slot_count; i++)
            if ((slot_kind_of(&k->slots[i]) == SLOT_PASSPHRASE) == dear)
                rc = try_slot(k, i, a);
    return rc;
}

/* Slot i only, or any when it is SLOT_LIMIT. */
static int unlock(struct keyring *k, size_t i, struct attempt a)
{
    a.kek = secret_alloc(KEY_SIZE);
    if (!a.kek)
        return -ENOMEM;
    int rc = i == SLOT_LIMIT ? try_slots(k, &a) : try_slot(k, i, &a);
    /* Unlocked already: the caller asks whether the secret is the right one. */
    if (!rc && k->opened)
        rc = crypto_equal(a.kek, k->opened->kek, KEY_SIZE) ? 0 : E_PASSPHRASE;
    else if (!rc)
        rc = keyring_open_payload(k, a.kek);
    secret_free(a.kek);
    return rc;
}

int keyring_unlock(struct keyring *k, enum slot_kind kind, const void *secret, size_t len)
{
    return unlock(k, SLOT_LIMIT, (struct attempt){ kind, secret, len, NULL });
}

int keyring_unlock_slot(struct keyring *k, unsigned number, enum slot_kind kind, const void *secret, size_t len)
{
    size_t i = find_slot(k, number);
    return i == SLOT_LIMIT ? E_NO_SLOT : unlock(k, i, (struct attempt){ kind, secret, len, NULL });
}

unsigned keyring_opened_by(const struct keyring *k) { return k->opened_by; }

/* A recovery slot for a key that recovers nothing would be a trap. */
static int check_recovery(const struct keyring *k, const void *secret, size_t len)
{
    if (len != KEY_SIZE)
        return -EINVAL;
    uint8_t *expected = secret_alloc(KEY_SIZE);
    if (!expected)
        return -ENOMEM;
    int rc = derive_device(expected, secret, k->opened->device);
    if (!rc && !crypto_equal(expected, k->opened->device_key, KEY_SIZE))
        rc = E_RECOVERY_KEY;
    secret_free(expected);
    return rc;
}

static unsigned free_number(const struct keyring *k)
{
    unsigned number = 1;
    while (find_slot(k, number) < SLOT_LIMIT)
        number++;
    return number;
}

int keyring_set_slot(struct keyring *k, unsigned number, enum slot_kind kind, const void *secret, size_t len,
                     struct kdf_cost cost)
{
    size_t i = number ? find_slot(k, number) : k->slot_count;

    assert(k->opened);
    if (i == SLOT_LIMIT)
        return number ? E_NO_SLOT : E_SLOTS_FULL;
    int rc = kind == SLOT_RECOVERY ? check_recovery(k, secret, len) : 0;
    if (!rc)
        rc = slot_make(&k->slots[i], kind, cost, &k->vault, secret, len, k->opened->kek);
    if (rc)
        return rc;
    if (!number) {
        k->notes[i] = (struct note){ .number = free_number(k) };
        k->slot_count++;
    }
    int64_t now = clock_now();
    k->notes[i].made = now > 0 ? now : 0;
    return 0;
}

int keyring_set_label(struct keyring *k, unsigned number, const char *label)
{
    size_t i = find_slot(k, number);

    if (i == SLOT_LIMIT || !label_valid(label))
        return i == SLOT_LIMIT ? E_NO_SLOT : -EINVAL;
    /* All of it: the rest is zeros in the file. */
    strncpy(k->notes[i].label, label, SLOT_LABEL);
    return 0;
}

int keyring_remove_slot(struct keyring *k, unsigned number)
{
    size_t i = find_slot(k, number);

    if (i == SLOT_LIMIT)
        return E_NO_SLOT;
    if (k->slot_count == 1)
        return E_NO_LAST_SLOT;
    k->slot_count--;
    memmove(k->slots + i, k->slots + i + 1, (k->slot_count - i) * sizeof *k->slots);
    memmove(k->notes + i, k->notes + i + 1, (k->slot_count - i) * sizeof *k->notes);
    return 0;
}

/* What a save that was killed has left: sealed, but perhaps with a slot that is not to
 * open anything any more.  Best effort, once there is a whole file. */
static void remove_leftovers(int dirfd, const char *name)
{
    char begin[64];
    int len = snprintf(begin, sizeof begin, "%s.new-", name);
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir && fd >= 0)
        close(fd);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strncmp(e->d_name, begin, (size_t)len) == 0)
            unlinkat(dirfd, e->d_name, 0);
    if (dir)
        closedir(dir);
}

int keyring_save(const struct keyring *k, int dirfd, const char *name)
{
    uint8_t *bytes = NULL;
    size_t len;

    assert(k->opened);
    if (k->slot_count == 0)
        return E_NO_LAST_SLOT;
    int rc = keyring_encode(k, &bytes, &len);
    if (!rc)
        rc = io_replace_file(dirfd, name, bytes, len, FAULT_keyring_write);
    if (!rc)
        remove_leftovers(dirfd, name);
    free(bytes);
    return rc;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    secret_free(k->opened);
    free(k->file);
    free(k);
}

const struct id128 *keyring_vault(const struct keyring *k) { return &k->vault; }

size_t keyring_slots(const struct keyring *k) { return k->slot_count; }

int keyring_slot(const struct keyring *k, size_t i, struct slot_info *out)
{
    if (i >= k->slot_count)
        return -ENOENT;
    *out = (struct slot_info){ .number = k->notes[i].number, .kind = slot_kind_of(&k->slots[i]),
                               .cost = slot_cost_of(&k->slots[i]), .made = k->notes[i].made };
    memcpy(out->label, k->notes[i].label, SLOT_LABEL);
    return 0;
}

enum suite keyring_suite(const struct keyring *k)
{
    assert(k->opened);
    return (enum suite)k->opened->suite;
}

uint64_t keyring_actor(const struct keyring *k)
{
    assert(k->opened);
    return k->opened->actor;
}

int keyring_new_actor(struct keyring *k)
{
    assert(k->opened);
    k->opened->actor = fresh_actor(k->opened->actor);
    return 0;
}

uint32_t keyring_epoch(const struct keyring *k)
{
    assert(k->opened);
    return k->opened->epoch;
}

const uint8_t *keyring_epoch_key(const struct keyring *k, uint32_t epoch)
{
    assert(k->opened);
    for (uint32_t i = 0; i < k->opened->count; i++)
        if (k->opened->epochs[i].number == epoch)
            return k->opened->epochs[i].key;
    return NULL;
}

void keyring_take_local_key(struct keyring *k, const struct keyring *from)
{
    assert(k->opened && from->opened && id_equal(&k->vault, &from->vault));
    memcpy(k->opened->local_key, from->opened->local_key, KEY_SIZE);
}

const uint8_t *keyring_local_key(const struct keyring *k)
{
    assert(k->opened);
    return k->opened->local_key;
}
