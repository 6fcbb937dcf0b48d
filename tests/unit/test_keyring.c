/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The keyring: every kind of slot opens it, nothing else does; whatever is
 * changed in the file, by accident or by somebody who mends the checksum, is
 * refused with the message that fits.
 */
#include <check.h>
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <keys/internal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NO_COST ((struct kdf_cost){ 0, 0 })

static const struct id128 vault = { { 1, 2, 3, 4 } }, other_vault = { { 9 } };
static const char passphrase[] = "correct horse";
static uint8_t recovery[KEY_SIZE], keyfile[100];
static char dir[64];
static int dirfd = -1;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/ecluse-keyring-XXXXXX");
    ck_assert_int_eq(crypto_start(), 0);
    recovery_generate(recovery);
    crypto_random(keyfile, sizeof keyfile);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dirfd = open(dir, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(dirfd, 0);
}

static void tear_down(void)
{
    unlinkat(dirfd, "keyring", 0);
    close(dirfd);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* --- making ---------------------------------------------------------------- */

static void add_slot(struct keyring *k, enum slot_kind kind, const void *secret, size_t len)
{
    struct kdf_cost cost = kind == SLOT_PASSPHRASE ? KDF_FLOOR : NO_COST;
    ck_assert_int_eq(keyring_set_slot(k, 0, kind, secret, len, cost), 0);
}

/* Recovery key and key file only: these open at once. */
static struct keyring *make_for(const struct id128 *id)
{
    struct keyring *k = NULL;
    ck_assert_int_eq(keyring_create(&k, id, SUITE_AES_256_GCM, recovery), 0);
    add_slot(k, SLOT_RECOVERY, recovery, KEY_SIZE);
    add_slot(k, SLOT_KEYFILE, keyfile, sizeof keyfile);
    return k;
}

static struct keyring *make(void) { return make_for(&vault); }

static struct keyring *make_with_passphrase(void)
{
    struct keyring *k = make();
    add_slot(k, SLOT_PASSPHRASE, passphrase, strlen(passphrase));
    return k;
}

/* The file of a keyring, which is freed. */
static uint8_t *encode(struct keyring *k, size_t *len)
{
    uint8_t *bytes = NULL;
    ck_assert_int_eq(keyring_encode(k, &bytes, len), 0);
    keyring_free(k);
    return bytes;
}

static void mend(uint8_t *bytes, size_t len)
{
    crypto_sha256(bytes, len - SHA256_SIZE, bytes + len - SHA256_SIZE);
}

static uint8_t *slot_at(uint8_t *bytes, size_t i) { return bytes + KEYRING_HEADER + i * SLOT_BYTES; }

/* What reading these bytes and unlocking them gives. */
static int try(const uint8_t *bytes, size_t len, enum slot_kind kind, const void *secret, size_t secret_len)
{
    struct keyring *k = NULL;
    int rc = keyring_parse(&k, bytes, len);
    if (!rc)
        rc = keyring_unlock(k, kind, secret, secret_len);
    keyring_free(k);
    return rc;
}

static int try_recovery(const uint8_t *bytes, size_t len)
{
    return try(bytes, len, SLOT_RECOVERY, recovery, KEY_SIZE);
}

static int try_keyfile(const uint8_t *bytes, size_t len)
{
    return try(bytes, len, SLOT_KEYFILE, keyfile, sizeof keyfile);
}

/* --- what must work ---------------------------------------------------------- */

START_TEST(a_local_key_is_taken_over_and_nothing_else)
{
    struct keyring *from = make_with_passphrase(), *k = make_with_passphrase(), *again = NULL;
    uint64_t actor = keyring_actor(k);

    ck_assert_mem_ne(keyring_local_key(k), keyring_local_key(from), KEY_SIZE);
    keyring_take_local_key(k, from);
    ck_assert_mem_eq(keyring_local_key(k), keyring_local_key(from), KEY_SIZE);
    ck_assert_uint_eq(keyring_actor(k), actor);
    ck_assert_uint_ne(keyring_actor(k), keyring_actor(from));
    ck_assert_int_eq(keyring_save(k, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_load(&again, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_unlock(again, SLOT_RECOVERY, recovery, KEY_SIZE), 0);
    ck_assert_mem_eq(keyring_local_key(again), keyring_local_key(from), KEY_SIZE);
    keyring_free(from);
    keyring_free(k);
    keyring_free(again);
}
END_TEST

START_TEST(every_kind_of_slot_gives_the_same_keys)
{
    struct keyring *made = make_with_passphrase(), *k = NULL;
    const struct { enum slot_kind kind; const void *secret; size_t len; } ways[] = {
        { SLOT_PASSPHRASE, passphrase, strlen(passphrase) },
        { SLOT_RECOVERY, recovery, KEY_SIZE },
        { SLOT_KEYFILE, keyfile, sizeof keyfile },
    };
    ck_assert_int_eq(keyring_save(made, dirfd, "keyring"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        ck_assert_int_eq(keyring_load(&k, dirfd, "keyring"), 0);
        ck_assert(id_equal(keyring_vault(k), &vault));
        ck_assert_int_eq(keyring_unlock(k, ways[i].kind, ways[i].secret, ways[i].len), 0);
        ck_assert_int_eq(keyring_suite(k), SUITE_AES_256_GCM);
        ck_assert_uint_eq(keyring_epoch(k), 0);
        ck_assert_uint_eq(keyring_actor(k), keyring_actor(made));
        ck_assert_mem_eq(keyring_epoch_key(k, 0), keyring_epoch_key(made, 0), KEY_SIZE);
        ck_assert_mem_eq(keyring_local_key(k), keyring_local_key(made), KEY_SIZE);
        ck_assert_mem_eq(k->opened->device_key, made->opened->device_key, KEY_SIZE);
        ck_assert_ptr_null(keyring_epoch_key(k, 1));
        keyring_free(k);
    }
    keyring_free(made);
}
END_TEST

START_TEST(keys_follow_from_the_recovery_key_as_documented)
{
    struct keyring *k = make();
    uint8_t expected[KEY_SIZE], number[8];

    put_le32(number, 0);
    crypto_hkdf(expected, KEY_SIZE, recovery, "ecluse/epoch", number, 4);
    ck_assert_mem_eq(keyring_epoch_key(k, 0), expected, KEY_SIZE);
    put_le64(number, keyring_actor(k));
    crypto_hkdf(expected, KEY_SIZE, recovery, "ecluse/device", number, 8);
    ck_assert_mem_eq(k->opened->device_key, expected, KEY_SIZE);
    keyring_free(k);
}
END_TEST

START_TEST(slots_are_listed_while_locked)
{
    struct keyring *k = NULL;
    struct slot_info slot;
    size_t len;
    uint8_t *bytes = encode(make_with_passphrase(), &len);

    ck_assert_int_eq(keyring_parse(&k, bytes, len), 0);
    ck_assert_uint_eq(keyring_slots(k), 3);
    ck_assert_int_eq(keyring_slot(k, 0, &slot), 0);
    ck_assert_int_eq(slot.kind, SLOT_RECOVERY);
    ck_assert_uint_eq(slot.number, 1);
    ck_assert_uint_eq(slot.cost.memory_kib, 0);
    ck_assert_int_eq(keyring_slot(k, 2, &slot), 0);
    ck_assert_int_eq(slot.kind, SLOT_PASSPHRASE);
    ck_assert_uint_eq(slot.number, 3);
    ck_assert_uint_eq(slot.cost.memory_kib, KDF_FLOOR.memory_kib);
    ck_assert_uint_eq(slot.cost.passes, KDF_FLOOR.passes);
    ck_assert_int_le(time(NULL) - slot.made, 60);
    ck_assert_int_eq(keyring_slot(k, 3, &slot), -ENOENT);
    keyring_free(k);
    free(bytes);
}
END_TEST

/* Of one keyring: two passphrases, a command's text, a credential's, and what opens which. */
START_TEST(text_opens_every_slot_that_text_may_open)
{
    static const char other[] = "battery staple", kept[] = "0123456789abcdef0123456789abcdef", cred[] =
        "fedcba9876543210fedcba9876543210";
    struct keyring *k = make_with_passphrase();

    add_slot(k, SLOT_PASSPHRASE, other, strlen(other));
    add_slot(k, SLOT_COMMAND, kept, strlen(kept));
    add_slot(k, SLOT_CREDENTIAL, cred, strlen(cred));
    const struct { const char *text; unsigned number; } ways[] = { { passphrase, 3 }, { other, 4 }, { kept, 5 }, { cred, 6 } };
    size_t len;
    uint8_t *bytes = encode(k, &len);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        ck_assert_int_eq(keyring_parse(&k, bytes, len), 0);
        ck_assert_uint_eq(keyring_opened_by(k), 0);
        ck_assert_int_eq(keyring_unlock(k, SLOT_PASSPHRASE, ways[i].text, strlen(ways[i].text)), 0);
        ck_assert_uint_eq(keyring_opened_by(k), ways[i].number);
        /* Unlocked: each slot by itself, which other secrets do not open. */
        for (size_t j = 0; j < ARRAY_SIZE(ways); j++)
            ck_assert_int_eq(keyring_unlock_slot(k, ways[j].number, SLOT_PASSPHRASE, ways[i].text, strlen(ways[i].text)),
                             i == j ? 0 : E_PASSPHRASE);
        ck_assert_int_eq(keyring_unlock_slot(k, 7, SLOT_PASSPHRASE, kept, strlen(kept)), E_NO_SLOT);
        keyring_free(k);
    }
    ck_assert_int_eq(try(bytes, len, SLOT_KEYFILE, kept, strlen(kept)), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_PASSPHRASE, keyfile, sizeof keyfile), E_PASSPHRASE);
    free(bytes);
}
END_TEST

START_TEST(numbers_and_labels_stay_with_their_slots)
{
    struct keyring *k = make_with_passphrase(), *again = NULL;
    struct slot_info slot;
    char longest[SLOT_LABEL + 1];

    memset(longest, 'x', SLOT_LABEL);
    longest[SLOT_LABEL] = '\0';
    ck_assert_int_eq(keyring_set_label(k, 3, longest), -EINVAL);
    ck_assert_int_eq(keyring_set_label(k, 3, "a\nb"), -EINVAL);
    ck_assert_int_eq(keyring_set_label(k, 3, "\x7f"), -EINVAL);
    ck_assert_int_eq(keyring_set_label(k, 4, "x"), E_NO_SLOT);
    longest[SLOT_LABEL - 1] = '\0';
    ck_assert_int_eq(keyring_set_label(k, 3, longest), 0);
    ck_assert_int_eq(keyring_set_label(k, 2, longest), 0);
    ck_assert_int_eq(keyring_set_label(k, 2, "clé de secours"), 0);
    ck_assert_int_eq(keyring_remove_slot(k, 1), 0);
    ck_assert_int_eq(keyring_remove_slot(k, 1), E_NO_SLOT);
    ck_assert_int_eq(keyring_set_slot(k, 2, SLOT_KEYFILE, keyfile, 40, NO_COST), 0);
    ck_assert_int_eq(keyring_save(k, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_load(&again, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_slot(again, 0, &slot), 0);
    ck_assert_uint_eq(slot.number, 2);
    ck_assert_str_eq(slot.label, "clé de secours");
    ck_assert_int_eq(keyring_slot(again, 1, &slot), 0);
    ck_assert_uint_eq(slot.number, 3);
    ck_assert_str_eq(slot.label, longest);
    ck_assert_int_eq(keyring_unlock(again, SLOT_KEYFILE, keyfile, 40), 0);
    ck_assert_uint_eq(keyring_opened_by(again), 2);
    add_slot(again, SLOT_KEYFILE, keyfile, sizeof keyfile);
    ck_assert_int_eq(keyring_slot(again, 2, &slot), 0);
    ck_assert_uint_eq(slot.number, 1);
    ck_assert_str_eq(slot.label, "");
    keyring_free(again);
    keyring_free(k);
}
END_TEST

START_TEST(the_last_slot_is_not_removed)
{
    struct keyring *k = make();

    ck_assert_int_eq(keyring_remove_slot(k, 1), 0);
    ck_assert_int_eq(keyring_remove_slot(k, 2), E_NO_LAST_SLOT);
    ck_assert_uint_eq(keyring_slots(k), 1);
    size_t len;
    uint8_t *bytes = encode(k, &len);
    ck_assert_int_eq(try_keyfile(bytes, len), 0);
    ck_assert_int_eq(try_recovery(bytes, len), E_PASSPHRASE);
    free(bytes);
}
END_TEST

static uint8_t *note_at(uint8_t *bytes, size_t slots, size_t i)
{
    return bytes + KEYRING_HEADER + slots * SLOT_BYTES + i * NOTE_BYTES;
}

/* With and without a right checksum, the MAC aside: the bounds of a note. */
START_TEST(notes_out_of_bounds_are_refused)
{
    size_t len;
    uint8_t *bytes = encode(make(), &len), kept[NOTE_BYTES], *note = note_at(bytes, 2, 1);
    static const struct { size_t at; uint8_t value; } wrong[] = {
        { 0, 0 }, { 0, 1 }, { 0, SLOT_LIMIT + 1 }, { 3, 1 }, { 4, 1 }, { 15, 0x80 }, { 16, 1 }, { 16, 0x7f }, { 17, 'x' }, { 79, 'x' },
    };

    memcpy(kept, note, NOTE_BYTES);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct keyring *k = NULL;
        note[wrong[i].at] = wrong[i].value;
        mend(bytes, len);
        ck_assert_int_eq(keyring_parse(&k, bytes, len), E_KEYRING);
        memcpy(note, kept, NOTE_BYTES);
    }
    /* Within the bounds, and altered: the MAC. */
    note[16] = 'x';
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(bytes);
}
END_TEST

/* The file as format 1 had it: the same, without notes. */
static uint8_t *encode_format_1(struct keyring *k, size_t *len)
{
    size_t slots = k->slot_count, payload = PAYLOAD_FIXED + EPOCH_BYTES, notes = slots * NOTE_BYTES;
    uint8_t keys[2][KEY_SIZE], kek[KEY_SIZE], plain[PAYLOAD_FIXED + EPOCH_BYTES];
    memcpy(kek, k->opened->kek, KEY_SIZE);
    uint8_t *bytes = encode(k, len), *sealed = bytes + KEYRING_HEADER + slots * SLOT_BYTES;

    crypto_hkdf(keys[0], KEY_SIZE, kek, "ecluse/keyring-payload", vault.b, sizeof vault.b);
    crypto_hkdf(keys[1], KEY_SIZE, kek, "ecluse/keyring-mac", vault.b, sizeof vault.b);
    ck_assert_int_eq(record_open(keys[0], bytes, KEYRING_HEADER, sealed + notes, payload + RECORD_OVERHEAD, plain), 0);
    *len -= notes;
    put_le32(bytes + 8, 1);
    put_le32(bytes + 12, (uint32_t)*len);
    ck_assert_int_eq(record_seal(keys[0], bytes, KEYRING_HEADER, plain, payload, sealed), 0);
    crypto_mac(keys[1], bytes, *len - KEYRING_TRAILER, bytes + *len - KEYRING_TRAILER);
    mend(bytes, *len);
    return bytes;
}

START_TEST(a_keyring_of_format_1_opens_and_is_saved_as_format_2)
{
    struct keyring *k = NULL;
    struct slot_info slot;
    size_t len;
    uint8_t *bytes = encode_format_1(make(), &len), *newer = NULL;

    ck_assert_int_eq(try_recovery(bytes, len), 0);
    ck_assert_int_eq(keyring_parse(&k, bytes, len), 0);
    ck_assert_int_eq(keyring_slot(k, 1, &slot), 0);
    ck_assert_uint_eq(slot.number, 2);
    ck_assert_int_eq(slot.made, 0);
    ck_assert_str_eq(slot.label, "");
    ck_assert_int_eq(keyring_unlock(k, SLOT_KEYFILE, keyfile, sizeof keyfile), 0);
    ck_assert_int_eq(keyring_encode(k, &newer, &len), 0);
    ck_assert_uint_eq(get_le32(newer + 8), 2);
    ck_assert_mem_eq(newer + KEYRING_HEADER, bytes + KEYRING_HEADER, 2 * SLOT_BYTES);
    ck_assert_int_eq(try_keyfile(newer, len), 0);
    /* Turned back by somebody without the KEK: */
    put_le32(newer + 8, 1);
    mend(newer, len);
    ck_assert_int_eq(try_keyfile(newer, len), E_KEYRING);
    keyring_free(k);
    free(newer);
    free(bytes);
}
END_TEST

START_TEST(a_replaced_slot_opens_with_the_new_secret_only)
{
    uint8_t fresh[64];
    size_t len;
    struct keyring *k = make();

    crypto_random(fresh, sizeof fresh);
    ck_assert_int_eq(keyring_set_slot(k, 2, SLOT_KEYFILE, fresh, sizeof fresh, NO_COST), 0);
    ck_assert_uint_eq(keyring_slots(k), 2);
    uint8_t *bytes = encode(k, &len);
    ck_assert_int_eq(try_keyfile(bytes, len), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_KEYFILE, fresh, sizeof fresh), 0);
    ck_assert_int_eq(try_recovery(bytes, len), 0);
    free(bytes);
}
END_TEST

START_TEST(two_slots_of_one_kind_both_open)
{
    uint8_t second[64];
    size_t len;
    struct keyring *k = make();

    crypto_random(second, sizeof second);
    add_slot(k, SLOT_KEYFILE, second, sizeof second);
    uint8_t *bytes = encode(k, &len);
    ck_assert_int_eq(try_keyfile(bytes, len), 0);
    ck_assert_int_eq(try(bytes, len, SLOT_KEYFILE, second, sizeof second), 0);
    free(bytes);
}
END_TEST

START_TEST(a_new_actor_keeps_every_key)
{
    struct keyring *k = make(), *again = NULL;
    uint64_t actor = keyring_actor(k);

    ck_assert_int_eq(keyring_new_actor(k), 0);
    ck_assert_uint_ne(keyring_actor(k), actor);
    ck_assert_uint_ne(keyring_actor(k), 0);
    ck_assert_uint_eq(k->opened->device, actor);
    ck_assert_int_eq(keyring_save(k, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_load(&again, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_unlock(again, SLOT_RECOVERY, recovery, KEY_SIZE), 0);
    ck_assert_uint_eq(keyring_actor(again), keyring_actor(k));
    ck_assert_mem_eq(again->opened->device_key, k->opened->device_key, KEY_SIZE);
    ck_assert_mem_eq(keyring_local_key(again), keyring_local_key(k), KEY_SIZE);
    keyring_free(again);
    keyring_free(k);
}
END_TEST

START_TEST(unlocking_again_tells_whether_a_secret_is_right)
{
    struct keyring *k = make();
    uint8_t wrong[KEY_SIZE] = { 1 };
    ck_assert_int_eq(keyring_unlock(k, SLOT_RECOVERY, recovery, KEY_SIZE), 0);
    ck_assert_int_eq(keyring_unlock(k, SLOT_RECOVERY, wrong, KEY_SIZE), E_PASSPHRASE);
    ck_assert_uint_ne(keyring_actor(k), 0);
    keyring_free(k);
}
END_TEST

START_TEST(several_epochs_are_kept)
{
    size_t len;
    struct keyring *k = make(), *again = NULL;
    struct opened *o = opened_new(3);

    memcpy(o, k->opened, sizeof *o + sizeof o->epochs[0]);
    secret_free(k->opened);
    k->opened = o;
    o->count = 3;
    o->epoch = o->epochs[2].number = 7;
    o->epochs[1].number = 2;
    memset(o->epochs[2].key, 0x77, KEY_SIZE);
    uint8_t *bytes = encode(k, &len);
    ck_assert_int_eq(keyring_parse(&again, bytes, len), 0);
    ck_assert_int_eq(keyring_unlock(again, SLOT_RECOVERY, recovery, KEY_SIZE), 0);
    ck_assert_uint_eq(keyring_epoch(again), 7);
    ck_assert_int_eq(keyring_epoch_key(again, 7)[31], 0x77);
    ck_assert_ptr_nonnull(keyring_epoch_key(again, 2));
    ck_assert_ptr_null(keyring_epoch_key(again, 3));
    keyring_free(again);
    free(bytes);
}
END_TEST

/* --- what must be refused ------------------------------------------------------- */

START_TEST(every_wrong_secret_gives_one_and_the_same_error)
{
    size_t len;
    uint8_t *bytes = encode(make_with_passphrase(), &len), wrong[200] = { 0 };
    static uint8_t huge[KEYFILE_MAX + 1];

    ck_assert_int_eq(try(bytes, len, SLOT_PASSPHRASE, "Correct horse", 13), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_PASSPHRASE, "", 0), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_RECOVERY, wrong, KEY_SIZE), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_RECOVERY, recovery, KEY_SIZE - 1), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_RECOVERY, keyfile, KEY_SIZE), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_KEYFILE, recovery, KEY_SIZE), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_KEYFILE, keyfile, sizeof keyfile - 1), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, SLOT_KEYFILE, huge, sizeof huge), E_PASSPHRASE);
    ck_assert_int_eq(try(bytes, len, (enum slot_kind)9, recovery, KEY_SIZE), E_PASSPHRASE);
    free(bytes);
}
END_TEST

START_TEST(any_flipped_byte_is_damage)
{
    size_t len;
    uint8_t *bytes = encode(make_with_passphrase(), &len);
    static const uint8_t flips[] = { 0x01, 0x80, 0xFF };   /* these never reach a slot */

    for (size_t at = 0; at < len; at++)
        for (size_t f = 0; f < ARRAY_SIZE(flips); f++) {
            bytes[at] ^= flips[f];
            ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
            bytes[at] ^= flips[f];
        }
    ck_assert_int_eq(try_recovery(bytes, len), 0);
    free(bytes);
}
END_TEST

/* Somebody who can compute a checksum gets no further. */
START_TEST(any_flipped_byte_is_refused_also_under_a_mended_checksum)
{
    size_t len;
    uint8_t *bytes = encode(make_with_passphrase(), &len);

    for (size_t at = 0; at < len - SHA256_SIZE; at++)
        for (int bit = (int)at % 4; bit < 8; bit += 4) {
            bytes[at] ^= (uint8_t)(1 << bit);
            mend(bytes, len);
            int one = try_recovery(bytes, len), two = try_keyfile(bytes, len);
            bool format = at >= 8 && at < 12;
            ck_assert_msg(one == E_KEYRING || one == E_PASSPHRASE || (format && one == E_NEWER_FORMAT),
                          "byte %zu bit %d: %d", at, bit, one);
            ck_assert_msg(two == E_KEYRING || two == E_PASSPHRASE || (format && two == E_NEWER_FORMAT),
                          "byte %zu bit %d: %d", at, bit, two);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), 0);
    free(bytes);
}
END_TEST

START_TEST(any_other_length_is_damage)
{
    size_t len;
    uint8_t *bytes = encode(make(), &len);
    uint8_t *longer = calloc(1, len + 300);

    memcpy(longer, bytes, len);
    for (size_t n = 0; n < len + 300; n++) {
        if (n == len)
            continue;
        ck_assert_int_eq(try_recovery(longer, n), E_KEYRING);
        if (n < SHA256_SIZE)
            continue;
        uint8_t kept[SHA256_SIZE];
        memcpy(kept, longer + n - SHA256_SIZE, sizeof kept);
        mend(longer, n);
        ck_assert_int_eq(try_recovery(longer, n), E_KEYRING);
        memcpy(longer + n - SHA256_SIZE, kept, sizeof kept);
    }
    free(longer);
    free(bytes);
}
END_TEST

START_TEST(slots_of_another_keyring_of_the_vault_are_refused)
{
    size_t len, other_len;
    uint8_t *bytes = encode(make(), &len), *other = encode(make(), &other_len);

    ck_assert_uint_eq(len, other_len);
    memcpy(slot_at(bytes, 0), slot_at(other, 0), SLOT_BYTES);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    ck_assert_int_eq(try_keyfile(bytes, len), E_KEYRING);
    memcpy(slot_at(bytes, 1), slot_at(other, 1), SLOT_BYTES);
    mend(bytes, len);
    ck_assert_int_eq(try_keyfile(bytes, len), E_KEYRING);
    free(other);
    free(bytes);
}
END_TEST

START_TEST(slots_of_another_vault_with_the_same_secrets_are_refused)
{
    size_t len, other_len;
    uint8_t *bytes = encode(make(), &len), *other = encode(make_for(&other_vault), &other_len);

    memcpy(slot_at(bytes, 0), slot_at(other, 0), 2 * SLOT_BYTES);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_PASSPHRASE);
    ck_assert_int_eq(try_keyfile(bytes, len), E_PASSPHRASE);
    free(other);
    free(bytes);
}
END_TEST

/* A key file that was replaced comes back from an older copy of this file. */
START_TEST(an_older_slot_of_the_same_keyring_is_refused)
{
    size_t len;
    uint8_t *old = NULL, fresh[64];
    struct keyring *k = make();

    crypto_random(fresh, sizeof fresh);
    ck_assert_int_eq(keyring_encode(k, &old, &len), 0);
    ck_assert_int_eq(keyring_set_slot(k, 2, SLOT_KEYFILE, fresh, sizeof fresh, NO_COST), 0);
    uint8_t *bytes = encode(k, &len);
    memcpy(slot_at(bytes, 1), slot_at(old, 1), SLOT_BYTES);
    mend(bytes, len);
    ck_assert_int_eq(try_keyfile(bytes, len), E_KEYRING);
    free(old);
    free(bytes);
}
END_TEST

START_TEST(exchanged_and_dropped_slots_are_refused)
{
    size_t len;
    uint8_t *bytes = encode(make(), &len), kept[SLOT_BYTES];

    memcpy(kept, slot_at(bytes, 0), SLOT_BYTES);
    memcpy(slot_at(bytes, 0), slot_at(bytes, 1), SLOT_BYTES);
    memcpy(slot_at(bytes, 1), kept, SLOT_BYTES);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    memmove(slot_at(bytes, 0), slot_at(bytes, 1), len - KEYRING_HEADER - SLOT_BYTES);
    len -= SLOT_BYTES;
    uint8_t *second = slot_at(bytes, 1) + NOTE_BYTES;
    memmove(slot_at(bytes, 1), second, (size_t)(bytes + len - second));
    len -= NOTE_BYTES;
    put_le32(bytes + 12, (uint32_t)len);
    put_le32(bytes + 32, 1);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(bytes);
}
END_TEST

START_TEST(a_payload_of_another_keyring_is_refused)
{
    size_t len, other_len;
    uint8_t *bytes = encode(make(), &len), *other = encode(make(), &other_len);
    size_t at = KEYRING_HEADER + 2 * (SLOT_BYTES + NOTE_BYTES);

    memcpy(bytes + at, other + at, len - at);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(other);
    free(bytes);
}
END_TEST

static long resident(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

START_TEST(costs_out_of_bounds_are_refused_without_allocating)
{
    static const struct kdf_cost costs[] = {
        { 0, 0 }, { 0, 3 }, { 65536, 0 }, { 65535, 3 }, { 65536, 2 }, { UINT32_MAX, 3 }, { (1u << 20) + 1, 3 },
        { 65536, 17 }, { 65536, UINT32_MAX }, { 1, 1 },
    };
    size_t len;
    uint8_t *bytes = encode(make_with_passphrase(), &len), *slot = slot_at(bytes, 2), kek[KEY_SIZE];
    struct slot s;

    long before = resident();
    for (size_t i = 0; i < ARRAY_SIZE(costs); i++) {
        put_le32(slot + 4, costs[i].memory_kib);
        put_le32(slot + 8, costs[i].passes);
        mend(bytes, len);
        ck_assert_int_eq(try(bytes, len, SLOT_PASSPHRASE, passphrase, strlen(passphrase)), E_KEYRING);
        memcpy(s.b, slot, SLOT_BYTES);
        ck_assert_int_eq(slot_open(&s, &vault, passphrase, strlen(passphrase), kek), E_PASSPHRASE);
    }
    ck_assert_int_lt(resident() - before, 16 << 10);
    free(bytes);
}
END_TEST

START_TEST(a_cost_changed_within_the_bounds_does_not_open)
{
    size_t len;
    uint8_t *bytes = encode(make_with_passphrase(), &len);

    put_le32(slot_at(bytes, 2) + 8, KDF_FLOOR.passes + 1);
    mend(bytes, len);
    ck_assert_int_eq(try(bytes, len, SLOT_PASSPHRASE, passphrase, strlen(passphrase)), E_PASSPHRASE);
    free(bytes);
}
END_TEST

START_TEST(a_cost_on_a_slot_without_one_is_refused)
{
    size_t len;
    uint8_t *bytes = encode(make(), &len);

    put_le32(slot_at(bytes, 0) + 4, 65536);
    put_le32(slot_at(bytes, 0) + 8, 3);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(bytes);
}
END_TEST

/* The commitment, not the AEAD, decides: with a wrong one nothing is opened. */
START_TEST(a_slot_without_its_commitment_does_not_open)
{
    uint8_t kek[KEY_SIZE], zeros[KEY_SIZE] = { 0 };
    struct slot s;

    for (int kind = SLOT_RECOVERY; kind <= SLOT_CREDENTIAL; kind++) {
        crypto_random(kek, sizeof kek);
        ck_assert_int_eq(slot_make(&s, (enum slot_kind)kind, NO_COST, &vault, recovery, KEY_SIZE, kek), 0);
        ck_assert_int_eq(slot_open(&s, &vault, recovery, KEY_SIZE, kek), 0);
        ck_assert_int_eq(slot_open(&s, &other_vault, recovery, KEY_SIZE, kek), E_PASSPHRASE);
        s.b[SLOT_CONTEXT] ^= 1;
        ck_assert_int_eq(slot_open(&s, &vault, recovery, KEY_SIZE, kek), E_PASSPHRASE);
        ck_assert_mem_eq(kek, zeros, KEY_SIZE);
        /* Right for another kind only: */
        s.b[SLOT_CONTEXT] ^= 1;
        s.b[0] = (uint8_t)(kind == SLOT_CREDENTIAL ? SLOT_RECOVERY : kind + 1);
        ck_assert_int_eq(slot_open(&s, &vault, recovery, KEY_SIZE, kek), E_PASSPHRASE);
    }
}
END_TEST

START_TEST(a_newer_format_is_told_from_damage)
{
    size_t len;
    uint8_t *bytes = encode(make(), &len), *longer = calloc(1, len + 100);

    put_le32(bytes + 8, KEYRING_FORMAT + 1);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_NEWER_FORMAT);
    memcpy(longer, bytes, len);
    mend(longer, len + 100);
    ck_assert_int_eq(try_recovery(longer, len + 100), E_NEWER_FORMAT);
    put_le32(bytes + 8, 0);
    mend(bytes, len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(longer);
    free(bytes);
}
END_TEST

/* Authentic and yet impossible: what a bug of ours could have written. */
START_TEST(a_payload_that_makes_no_sense_is_refused)
{
    size_t len;
    struct keyring *k = make();
    k->opened->suite = 99;
    uint8_t *bytes = encode(k, &len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(bytes);
    k = make();
    k->opened->epoch = 1;   /* which is not there */
    bytes = encode(k, &len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(bytes);
    k = make();
    k->opened->actor = 0;
    bytes = encode(k, &len);
    ck_assert_int_eq(try_recovery(bytes, len), E_KEYRING);
    free(bytes);
}
END_TEST

START_TEST(unsuitable_secrets_make_no_slot)
{
    static uint8_t huge[KEYFILE_MAX + 1];
    uint8_t wrong[KEY_SIZE] = { 1 };
    struct keyring *k = make();

    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_KEYFILE, keyfile, 31, NO_COST), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_KEYFILE, huge, sizeof huge, NO_COST), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_PASSPHRASE, "", 0, KDF_FLOOR), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_PASSPHRASE, "x", 1, NO_COST), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_RECOVERY, recovery, 31, NO_COST), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_RECOVERY, wrong, KEY_SIZE, NO_COST), E_RECOVERY_KEY);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_COMMAND, keyfile, 31, NO_COST), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_CREDENTIAL, keyfile, 31, NO_COST), -EINVAL);
    ck_assert_int_eq(keyring_set_slot(k, 0, (enum slot_kind)6, keyfile, 32, NO_COST), -EINVAL);
    ck_assert_uint_eq(keyring_slots(k), 2);
    while (keyring_slots(k) < SLOT_LIMIT)
        add_slot(k, SLOT_KEYFILE, keyfile, sizeof keyfile);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_KEYFILE, keyfile, 32, NO_COST), E_SLOTS_FULL);
    ck_assert_int_eq(keyring_set_slot(k, SLOT_LIMIT, SLOT_KEYFILE, keyfile, 32, NO_COST), 0);
    ck_assert_int_eq(keyring_set_slot(k, SLOT_LIMIT + 1, SLOT_KEYFILE, keyfile, 32, NO_COST), E_NO_SLOT);
    ck_assert_uint_eq(keyring_slots(k), SLOT_LIMIT);
    keyring_free(k);
}
END_TEST

START_TEST(a_keyring_that_nothing_opens_is_not_saved)
{
    struct keyring *k = NULL;
    ck_assert_int_eq(keyring_create(&k, &vault, SUITE_AES_256_GCM, recovery), 0);
    ck_assert_int_eq(keyring_save(k, dirfd, "keyring"), E_NO_LAST_SLOT);
    ck_assert_int_eq(faccessat(dirfd, "keyring", F_OK, 0), -1);
    keyring_free(k);
    k = NULL;
    ck_assert_int_eq(keyring_create(&k, &vault, (enum suite)7, recovery), -EINVAL);
    ck_assert_ptr_null(k);
    keyring_free(NULL);
}
END_TEST

START_TEST(no_key_lies_in_the_file_and_no_two_files_are_alike)
{
    size_t len;
    uint8_t *one = NULL;
    struct keyring *k = make();
    const struct opened *o = k->opened;

    ck_assert_int_eq(keyring_encode(k, &one, &len), 0);
    const uint8_t *secrets[] = { o->kek, o->device_key, o->local_key, o->epochs[0].key, recovery, keyfile };
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
        ck_assert_ptr_null(memmem(one, len, secrets[i], 8));
    uint8_t *two = encode(k, &len);
    size_t at = KEYRING_HEADER + 2 * (SLOT_BYTES + NOTE_BYTES), same = 0;
    for (size_t i = at; i < len; i++)
        same += one[i] == two[i];
    ck_assert_uint_lt(same, 30);
    free(one);
    free(two);
}
END_TEST

START_TEST(a_missing_or_enormous_file_is_not_read)
{
    struct keyring *k = NULL;
    ck_assert_int_eq(keyring_load(&k, dirfd, "keyring"), -ENOENT);
    int fd = openat(dirfd, "keyring", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(keyring_load(&k, dirfd, "keyring"), E_KEYRING);
    ck_assert_int_eq(ftruncate(fd, (off_t)1 << 40), 0);
    ck_assert_int_eq(keyring_load(&k, dirfd, "keyring"), E_KEYRING);
    ck_assert_ptr_null(k);
    close(fd);
}
END_TEST

START_TEST(a_saved_keyring_is_private_and_replaces_the_old)
{
    struct stat st;
    struct keyring *k = make(), *again = NULL;

    ck_assert_int_eq(keyring_save(k, dirfd, "keyring"), 0);
    ck_assert_int_eq(fstatat(dirfd, "keyring", &st, 0), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    keyring_new_actor(k);
    close(openat(dirfd, "keyring.new-0123456789abcdef", O_WRONLY | O_CREAT, 0600));
    close(openat(dirfd, "keyring.old", O_WRONLY | O_CREAT, 0600));
    ck_assert_int_eq(keyring_save(k, dirfd, "keyring"), 0);
    ck_assert_int_eq(faccessat(dirfd, "keyring.new-0123456789abcdef", F_OK, 0), -1);
    ck_assert_int_eq(unlinkat(dirfd, "keyring.old", 0), 0);
    ck_assert_int_eq(keyring_load(&again, dirfd, "keyring"), 0);
    ck_assert_int_eq(keyring_unlock(again, SLOT_KEYFILE, keyfile, sizeof keyfile), 0);
    ck_assert_uint_eq(keyring_actor(again), keyring_actor(k));
    keyring_free(again);
    keyring_free(k);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("keyring");
    TCase *t = tcase_create("keyring");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, every_kind_of_slot_gives_the_same_keys);
    tcase_add_test(t, a_local_key_is_taken_over_and_nothing_else);
    tcase_add_test(t, keys_follow_from_the_recovery_key_as_documented);
    tcase_add_test(t, slots_are_listed_while_locked);
    tcase_add_test(t, text_opens_every_slot_that_text_may_open);
    tcase_add_test(t, numbers_and_labels_stay_with_their_slots);
    tcase_add_test(t, the_last_slot_is_not_removed);
    tcase_add_test(t, notes_out_of_bounds_are_refused);
    tcase_add_test(t, a_keyring_of_format_1_opens_and_is_saved_as_format_2);
    tcase_add_test(t, a_replaced_slot_opens_with_the_new_secret_only);
    tcase_add_test(t, two_slots_of_one_kind_both_open);
    tcase_add_test(t, a_new_actor_keeps_every_key);
    tcase_add_test(t, unlocking_again_tells_whether_a_secret_is_right);
    tcase_add_test(t, several_epochs_are_kept);
    tcase_add_test(t, every_wrong_secret_gives_one_and_the_same_error);
    tcase_add_test(t, any_flipped_byte_is_damage);
    tcase_add_test(t, any_flipped_byte_is_refused_also_under_a_mended_checksum);
    tcase_add_test(t, any_other_length_is_damage);
    tcase_add_test(t, slots_of_another_keyring_of_the_vault_are_refused);
    tcase_add_test(t, slots_of_another_vault_with_the_same_secrets_are_refused);
    tcase_add_test(t, an_older_slot_of_the_same_keyring_is_refused);
    tcase_add_test(t, exchanged_and_dropped_slots_are_refused);
    tcase_add_test(t, a_payload_of_another_keyring_is_refused);
    tcase_add_test(t, costs_out_of_bounds_are_refused_without_allocating);
    tcase_add_test(t, a_cost_changed_within_the_bounds_does_not_open);
    tcase_add_test(t, a_cost_on_a_slot_without_one_is_refused);
    tcase_add_test(t, a_slot_without_its_commitment_does_not_open);
    tcase_add_test(t, a_newer_format_is_told_from_damage);
    tcase_add_test(t, a_payload_that_makes_no_sense_is_refused);
    tcase_add_test(t, unsuitable_secrets_make_no_slot);
    tcase_add_test(t, a_keyring_that_nothing_opens_is_not_saved);
    tcase_add_test(t, no_key_lies_in_the_file_and_no_two_files_are_alike);
    tcase_add_test(t, a_missing_or_enormous_file_is_not_read);
    tcase_add_test(t, a_saved_keyring_is_private_and_replaces_the_old);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
