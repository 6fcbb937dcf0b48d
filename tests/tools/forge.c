/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a malicious store can do to a file that dd(1) cannot easily, and what even
 * one that knows a secret cannot.
 *
 *   forge flip FILE OFFSET              one byte becomes another
 *   forge word FILE OFFSET VALUE        a little-endian number of 32 bits
 *   forge sum FILE                      the last 32 bytes become the SHA-256 of the rest
 *   forge exchange FILE A B LENGTH      two ranges change places
 *   forge slot KEYRING OTHER KEYFILE    the key file's slot of KEYRING also opens with the
 *                                       key file OTHER, but for its commitment
 *   forge object STATE KEYFILE EPOCH OUT   an object of the vault, whose header says
 *                                       EPOCH, and whose commitment is of that key, while
 *                                       all that is sealed in it is under epoch 0's
 */
#include "keys/internal.h"
#include <ecluse/io.h>
#include <ecluse/segment.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what, int rc)
{
    fprintf(stderr, "forge: %s: %s\n", what, error_name(rc));
    exit(2);
}

static uint8_t *load(const char *path, size_t *len)
{
    uint8_t *bytes;
    int rc = io_read_file(AT_FDCWD, path, 64u << 20, &bytes, len);

    if (rc)
        fail(path, rc);
    return bytes;
}

/* In place: the inode stays, as when a host writes into its own file. */
static void store(const char *path, const uint8_t *bytes, size_t len)
{
    chmod(path, 0600);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    int rc = fd < 0 ? -errno : io_write_at(fd, bytes, len, 0, FAULT_other);

    if (rc || ftruncate(fd, (off_t)len))
        fail(path, rc ? rc : -errno);
    close(fd);
}

static void exchange(uint8_t *bytes, size_t size, size_t a, size_t b, size_t len)
{
    if (a + len > size || b + len > size || (a < b ? a + len > b : b + len > a))
        fail("exchange", -EINVAL);
    for (size_t k = 0; k < len; k++) {
        uint8_t kept = bytes[a + k];
        bytes[a + k] = bytes[b + k];
        bytes[b + k] = kept;
    }
}

/* --- with secrets ---------------------------------------------------------------- */

static struct keyring *unlock(const char *path, const uint8_t *secret, size_t len)
{
    struct keyring *k;

    int rc = keyring_load(&k, AT_FDCWD, path);
    if (!rc)
        rc = keyring_unlock(k, SLOT_KEYFILE, secret, len);
    if (rc)
        fail(path, rc);
    return k;
}

/* The wrapped key is that which OTHER opens; the commitment stays the first one's. */
static void forge_slot(const char *path, const char *other, const char *keyfile)
{
    size_t len, other_len, out_len;
    uint8_t *secret = load(keyfile, &len), *rival = load(other, &other_len), *out;
    struct keyring *k = unlock(path, secret, len);
    struct slot made;

    for (size_t i = 0; i < k->slot_count; i++) {
        if (slot_kind_of(&k->slots[i]) != SLOT_KEYFILE)
            continue;
        int rc = slot_make(&made, SLOT_KEYFILE, (struct kdf_cost){ 0, 0 }, &k->vault, rival, other_len, k->opened->kek);
        if (rc)
            fail("slot", rc);
        /* The record authenticates the commitment beside it, so it has to be sealed again. */
        uint8_t context[SLOT_CONTEXT + 16], hash[32], s[32], wrap[32];
        memcpy(made.b + SLOT_CONTEXT, k->slots[i].b + SLOT_CONTEXT, 32);
        memcpy(context, made.b, SLOT_CONTEXT);
        memcpy(context + SLOT_CONTEXT, k->vault.b, 16);
        crypto_sha256(rival, other_len, hash);
        crypto_hkdf(s, 32, hash, "ecluse/slot-keyfile", made.b + 12, SALT_SIZE);
        crypto_hkdf(wrap, 32, s, "ecluse/slot-wrap", context, sizeof context);
        record_seal(wrap, made.b, SLOT_WRAPPED, k->opened->kek, KEY_SIZE, made.b + SLOT_WRAPPED);
        k->slots[i] = made;
    }
    if (keyring_encode(k, &out, &out_len))
        fail("keyring", -EIO);
    store(path, out, out_len);
    keyring_free(k);
    free(secret);
    free(rival);
    free(out);
}

static void forge_object(const char *state, const char *keyfile, uint32_t epoch, const char *out)
{
    char path[4096];
    size_t len;
    uint8_t *secret = load(keyfile, &len), other[KEY_SIZE] = { 7 };
    struct segment_key *inside = NULL, *outside = NULL;
    struct buf footer = { 0 }, end = { 0 };
    uint8_t *bytes = calloc(1, SEGMENT_MIN), id[33];

    snprintf(path, sizeof path, "%s/keyring", state);
    struct keyring *k = unlock(path, secret, len);
    uint64_t actor = keyring_actor(k);
    struct segment_header h = { .format = SEGMENT_FORMAT, .suite = keyring_suite(k), .epoch = epoch, .vault = k->vault };
    const uint8_t *key = keyring_epoch_key(k, epoch);
    crypto_random(&h.segment, sizeof h.segment);
    footer_begin(&footer, &actor, 1);
    footer_end(&footer, NULL, PAYLOAD_NONE, NULL, 0);
    if (segment_key_new(&inside, &h, keyring_epoch_key(k, 0)) || segment_key_new(&outside, &h, key && epoch ? key : other) ||
        segment_finish(inside, SEGMENT_DATA, footer.data, footer.len, &end))
        fail("object", -EIO);
    segment_header_write(bytes, &h, outside);
    memcpy(bytes + SEGMENT_DATA, end.data, end.len);
    id_format(&h.segment, (char *)id);
    snprintf(path, sizeof path, "%s/%.2s/%s", out, (char *)id, (char *)id + 2);
    store(path, bytes, SEGMENT_DATA + end.len);
    printf("%s\n", (char *)id);
    segment_key_free(inside);
    segment_key_free(outside);
    keyring_free(k);
    buf_free(&footer);
    buf_free(&end);
    free(secret);
    free(bytes);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    size_t len, at = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;

    if (crypto_start())
        return 2;
    if (strcmp(what, "slot") == 0 && argc == 5)
        return forge_slot(argv[2], argv[3], argv[4]), 0;
    if (strcmp(what, "object") == 0 && argc == 6)
        return forge_object(argv[2], argv[3], (uint32_t)strtoul(argv[4], NULL, 0), argv[5]), 0;
    if (argc < 3)
        return 2;
    uint8_t *bytes = load(argv[2], &len);
    if (strcmp(what, "flip") == 0 && argc == 4 && at < len)
        bytes[at] ^= (uint8_t)(1u << at % 8);
    else if (strcmp(what, "word") == 0 && argc == 5 && at + 4 <= len)
        put_le32(bytes + at, (uint32_t)strtoul(argv[4], NULL, 0));
    else if (strcmp(what, "sum") == 0 && len > 32)
        crypto_sha256(bytes, len - 32, bytes + len - 32);
    else if (strcmp(what, "exchange") == 0 && argc == 6)
        exchange(bytes, len, at, strtoul(argv[4], NULL, 0), strtoul(argv[5], NULL, 0));
    else
        fail("usage", -EINVAL);
    store(argv[2], bytes, len);
    free(bytes);
    return 0;
}
