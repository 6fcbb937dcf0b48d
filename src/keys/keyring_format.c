/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The keyring file: bytes in, bytes out.
 *
 *   header   magic 8 | format 4 | length 4 | vault 16 | slots 4 | payload 4
 *   slots    slots.c
 *   notes    one for each slot, format 2: number 4 | zeros 4 | written 8 | label 64
 *   payload  sealed under HKDF(KEK, "ecluse/keyring-payload" ‖ vault), the
 *            header as associated data: vault 16 | suite 4 | current epoch 4 |
 *            actor 8 | device 8 | device key 32 | local key 32 | count 4 |
 *            count × (epoch 4 | key 32), ascending
 *   MAC      HMAC-SHA-256 of all before it, under HKDF(KEK, "ecluse/keyring-mac" ‖ vault)
 *   checksum SHA-256 of all before it
 *
 * Three questions, asked in this order, give three different answers: is the
 * file damaged (checksum, no secret needed: E_KEYRING), is the secret wrong (no
 * slot opens: E_PASSPHRASE), was the file altered by somebody who mended the
 * checksum (MAC: E_KEYRING).  The MAC covers the slots, so a slot cannot be
 * added, removed, exchanged or taken from an older copy.
 *
 * Magic, format and the checksum at the end stay in every later format, so that
 * a newer file is told from a damaged one.  Format 1 had no notes: its slots are
 * numbered as they come, and whatever saves the keyring writes format 2.
 *
 * Not promised: detecting that the whole file is an older one of this vault.
 */
#include "internal.h"
#include <assert.h>
#include <stdlib.h>

static const uint8_t magic[8] = { 'E', 'C', 'L', 'K', 'E', 'Y', 'S', '\n' };

enum { AT_FORMAT = 8, AT_LENGTH = 12, AT_VAULT = 16, AT_SLOTS = 32, AT_PAYLOAD = 36 };
enum { P_VAULT = 0, P_SUITE = 16, P_EPOCH = 20, P_ACTOR = 24, P_DEVICE = 32, P_DEVICE_KEY = 40,
       P_LOCAL_KEY = 72, P_COUNT = 104 };
_Static_assert(AT_PAYLOAD + 4 == KEYRING_HEADER && P_COUNT + 4 == PAYLOAD_FIXED, "as documented");

static size_t payload_len(size_t epochs) { return PAYLOAD_FIXED + epochs * EPOCH_BYTES; }

enum { N_NUMBER = 0, N_ZEROS = 4, N_MADE = 8, N_LABEL = 16 };
_Static_assert(N_LABEL + SLOT_LABEL - 1 == NOTE_BYTES, "as documented");

/* What one slot takes in a file of that format, note included. */
static size_t slot_len(uint32_t format) { return SLOT_BYTES + (format == 1 ? 0 : NOTE_BYTES); }

static size_t file_len(uint32_t format, size_t slots, size_t payload)
{
    return KEYRING_HEADER + slots * slot_len(format) + payload + RECORD_OVERHEAD + KEYRING_TRAILER;
}

/* Whole as it was written, and of a format we know? */
static int check_frame(const uint8_t *bytes, size_t len)
{
    uint8_t sum[SHA256_SIZE];

    if (len < AT_LENGTH + SHA256_SIZE || memcmp(bytes, magic, sizeof magic))
        return E_KEYRING;
    crypto_sha256(bytes, len - SHA256_SIZE, sum);
    if (memcmp(sum, bytes + len - SHA256_SIZE, SHA256_SIZE))
        return E_KEYRING;
    return get_le32(bytes + AT_FORMAT) > KEYRING_FORMAT ? E_NEWER_FORMAT : 0;
}

/* Every count and length is as it must be, before anything is allocated. */
static int check_sizes(const uint8_t *bytes, size_t len)
{
    uint32_t format = get_le32(bytes + AT_FORMAT);

    if (len < file_len(format, 0, payload_len(1)) || len > KEYRING_LIMIT)
        return E_KEYRING;
    if (format < 1 || format > KEYRING_FORMAT || get_le32(bytes + AT_LENGTH) != len)
        return E_KEYRING;
    uint32_t slots = get_le32(bytes + AT_SLOTS), payload = get_le32(bytes + AT_PAYLOAD);
    if (slots > SLOT_LIMIT || payload < payload_len(1) || payload > PAYLOAD_LIMIT ||
        (payload - PAYLOAD_FIXED) % EPOCH_BYTES)
        return E_KEYRING;
    return file_len(format, slots, payload) == len ? 0 : E_KEYRING;
}

static int parse_slots(struct keyring *k, const uint8_t *bytes)
{
    k->slot_count = get_le32(bytes + AT_SLOTS);
    for (size_t i = 0; i < k->slot_count; i++) {
        memcpy(k->slots[i].b, bytes + KEYRING_HEADER + i * SLOT_BYTES, SLOT_BYTES);
        if (!slot_valid(&k->slots[i]))
            return E_KEYRING;
    }
    return 0;
}

/* Numbers are 1…SLOT_LIMIT, each once; a label is text and then zeros. */
static int parse_note(struct keyring *k, size_t i, const uint8_t *p)
{
    struct note *n = &k->notes[i];

    n->number = get_le32(p + N_NUMBER);
    n->made = (int64_t)get_le64(p + N_MADE);
    memcpy(n->label, p + N_LABEL, SLOT_LABEL - 1);
    size_t used = strlen(n->label);
    for (size_t at = used; at < SLOT_LABEL - 1; at++)
        if (n->label[at])
            return E_KEYRING;
    for (size_t other = 0; other < i; other++)
        if (k->notes[other].number == n->number)
            return E_KEYRING;
    return n->number >= 1 && n->number <= SLOT_LIMIT && !get_le32(p + N_ZEROS) && n->made >= 0 &&
           label_valid(n->label) ? 0 : E_KEYRING;
}

static int parse_notes(struct keyring *k, const uint8_t *bytes)
{
    const uint8_t *notes = bytes + KEYRING_HEADER + k->slot_count * SLOT_BYTES;
    int rc = 0;

    for (size_t i = 0; !rc && i < k->slot_count; i++) {
        if (get_le32(bytes + AT_FORMAT) == 1)
            k->notes[i].number = (unsigned)i + 1;
        else
            rc = parse_note(k, i, notes + i * NOTE_BYTES);
    }
    return rc;
}

int keyring_parse(struct keyring **out, const uint8_t *bytes, size_t len)
{
    struct keyring *k = NULL;

    int rc = check_frame(bytes, len);
    if (!rc)
        rc = check_sizes(bytes, len);
    if (rc)
        return rc;
    k = calloc(1, sizeof *k);
    if (k)
        k->file = malloc(len);
    if (!k || !k->file) {
        rc = -ENOMEM;
        goto out;
    }
    memcpy(k->file, bytes, len);
    k->file_len = len;
    memcpy(k->vault.b, bytes + AT_VAULT, sizeof k->vault.b);
    rc = parse_slots(k, bytes);
    if (!rc)
        rc = parse_notes(k, bytes);
out:
    if (rc)
        keyring_free(k);
    else
        *out = k;
    return rc;
}

/* --- opening ------------------------------------------------------------- */

/* Guarded memory ends at a page's end: only whole words keep it aligned. */
struct opened *opened_new(size_t epochs)
{
    size_t len = sizeof(struct opened) + epochs * sizeof(struct epoch_entry), word = _Alignof(struct opened);
    return secret_alloc((len + word - 1) / word * word);
}

/* Keys of one opening or sealing; guarded. */
struct file_keys { uint8_t payload[KEY_SIZE], mac[KEY_SIZE]; };

static int derive_keys(struct file_keys *out, const struct id128 *vault, const uint8_t kek[KEY_SIZE])
{
    int rc = crypto_hkdf(out->payload, KEY_SIZE, kek, "ecluse/keyring-payload", vault->b, sizeof vault->b);
    return rc ? rc : crypto_hkdf(out->mac, KEY_SIZE, kek, "ecluse/keyring-mac", vault->b, sizeof vault->b);
}

static int check_mac(const struct keyring *k, const uint8_t key[KEY_SIZE])
{
    uint8_t mac[SHA256_SIZE];
    size_t covered = k->file_len - KEYRING_TRAILER;

    crypto_mac(key, k->file, covered, mac);
    return crypto_equal(mac, k->file + covered, SHA256_SIZE) ? 0 : E_KEYRING;
}

/* Authentic is not yet valid: nothing is believed that a bug could have written. */
static int read_epochs(struct opened *o, const uint8_t *p, size_t count)
{
    bool current = false;

    for (size_t i = 0; i < count; i++, p += EPOCH_BYTES) {
        o->epochs[i].number = get_le32(p);
        memcpy(o->epochs[i].key, p + 4, KEY_SIZE);
        current |= o->epochs[i].number == o->epoch;
        if (i && o->epochs[i].number <= o->epochs[i - 1].number)
            return E_KEYRING;
    }
    return current ? 0 : E_KEYRING;
}

static int read_payload(struct opened *o, const struct id128 *vault, const uint8_t *plain, size_t count)
{
    if (memcmp(plain + P_VAULT, vault->b, sizeof vault->b) || get_le32(plain + P_COUNT) != count)
        return E_KEYRING;
    o->suite = get_le32(plain + P_SUITE);
    o->epoch = get_le32(plain + P_EPOCH);
    o->actor = get_le64(plain + P_ACTOR);
    o->device = get_le64(plain + P_DEVICE);
    o->count = (uint32_t)count;
    memcpy(o->device_key, plain + P_DEVICE_KEY, KEY_SIZE);
    memcpy(o->local_key, plain + P_LOCAL_KEY, KEY_SIZE);
    if (!suite_name((enum suite)o->suite) || !o->actor || !o->device)
        return E_KEYRING;
    return read_epochs(o, plain + PAYLOAD_FIXED, count);
}

int keyring_open_payload(struct keyring *k, const uint8_t kek[KEY_SIZE])
{
    size_t len = get_le32(k->file + AT_PAYLOAD), count = (len - PAYLOAD_FIXED) / EPOCH_BYTES;
    const uint8_t *sealed = k->file + KEYRING_HEADER + k->slot_count * slot_len(get_le32(k->file + AT_FORMAT));
    struct file_keys *keys = secret_alloc(sizeof *keys);
    struct opened *o = opened_new(count);
    uint8_t *plain = secret_alloc(len);

    int rc = keys && o && plain ? derive_keys(keys, &k->vault, kek) : -ENOMEM;
    if (!rc)
        rc = check_mac(k, keys->mac);
    if (!rc && record_open(keys->payload, k->file, KEYRING_HEADER, sealed, len + RECORD_OVERHEAD, plain))
        rc = E_KEYRING;
    if (!rc)
        rc = read_payload(o, &k->vault, plain, count);
    if (!rc) {
        memcpy(o->kek, kek, KEY_SIZE);
        k->opened = o;
        o = NULL;
        free(k->file);
        k->file = NULL;
    }
    secret_free(plain);
    secret_free(o);
    secret_free(keys);
    return rc;
}

/* --- writing --------------------------------------------------------------- */

static void write_payload(const struct keyring *k, uint8_t *plain)
{
    const struct opened *o = k->opened;

    memcpy(plain + P_VAULT, k->vault.b, sizeof k->vault.b);
    put_le32(plain + P_SUITE, o->suite);
    put_le32(plain + P_EPOCH, o->epoch);
    put_le64(plain + P_ACTOR, o->actor);
    put_le64(plain + P_DEVICE, o->device);
    memcpy(plain + P_DEVICE_KEY, o->device_key, KEY_SIZE);
    memcpy(plain + P_LOCAL_KEY, o->local_key, KEY_SIZE);
    put_le32(plain + P_COUNT, o->count);
    for (uint32_t i = 0; i < o->count; i++) {
        put_le32(plain + PAYLOAD_FIXED + i * EPOCH_BYTES, o->epochs[i].number);
        memcpy(plain + PAYLOAD_FIXED + i * EPOCH_BYTES + 4, o->epochs[i].key, KEY_SIZE);
    }
}

/* Header, slots and notes; returns where the payload goes. */
static uint8_t *write_plain_part(const struct keyring *k, uint8_t *out, size_t len, size_t payload)
{
    memcpy(out, magic, sizeof magic);
    put_le32(out + AT_FORMAT, KEYRING_FORMAT);
    put_le32(out + AT_LENGTH, (uint32_t)len);
    memcpy(out + AT_VAULT, k->vault.b, sizeof k->vault.b);
    put_le32(out + AT_SLOTS, (uint32_t)k->slot_count);
    put_le32(out + AT_PAYLOAD, (uint32_t)payload);
    out += KEYRING_HEADER;
    for (size_t i = 0; i < k->slot_count; i++, out += SLOT_BYTES)
        memcpy(out, k->slots[i].b, SLOT_BYTES);
    for (size_t i = 0; i < k->slot_count; i++, out += NOTE_BYTES) {
        put_le32(out + N_NUMBER, k->notes[i].number);
        put_le64(out + N_MADE, (uint64_t)k->notes[i].made);
        memcpy(out + N_LABEL, k->notes[i].label, SLOT_LABEL - 1);
    }
    return out;
}

int keyring_encode(const struct keyring *k, uint8_t **out, size_t *out_len)
{
    assert(k->opened && k->opened->count >= 1 && k->opened->count <= EPOCH_LIMIT);
    size_t payload = payload_len(k->opened->count), len = file_len(KEYRING_FORMAT, k->slot_count, payload);
    size_t covered = len - KEYRING_TRAILER;
    struct file_keys *keys = secret_alloc(sizeof *keys);
    uint8_t *plain = secret_alloc(payload), *bytes = calloc(1, len);

    int rc = keys && plain && bytes ? derive_keys(keys, &k->vault, k->opened->kek) : -ENOMEM;
    if (!rc) {
        uint8_t *sealed = write_plain_part(k, bytes, len, payload);
        write_payload(k, plain);
        rc = record_seal(keys->payload, bytes, KEYRING_HEADER, plain, payload, sealed);
    }
    if (!rc) {
        crypto_mac(keys->mac, bytes, covered, bytes + covered);
        crypto_sha256(bytes, covered + SHA256_SIZE, bytes + covered + SHA256_SIZE);
        *out = bytes;
        *out_len = len;
        bytes = NULL;
    }
    free(bytes);
    secret_free(plain);
    secret_free(keys);
    return rc;
}
