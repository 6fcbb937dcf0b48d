/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The vault header: any byte of it that changes is noticed, without keys when
 * it is damage, with them when it is intent.
 */
#include <check.h>
#include <ecluse/error.h>
#include <ecluse/keys.h>
#include <errno.h>
#include <stdlib.h>

#define SUMMED (VAULT_HEADER_SIZE - SHA256_SIZE)

static const uint8_t epoch0[KEY_SIZE] = { 5, 6, 7 }, other_key[KEY_SIZE] = { 8 };
static const struct vault_header made = { { { 1, 2, 3 } }, 1, SUITE_CHACHA20_POLY1305 };
static uint8_t bytes[2 * VAULT_HEADER_SIZE];
static struct vault_header found;

static void set_up(void)
{
    ck_assert_int_eq(crypto_start(), 0);
    memset(bytes, 0, sizeof bytes);
    ck_assert_int_eq(vault_header_make(bytes, &made, epoch0), 0);
}

static void mend(size_t len)
{
    crypto_sha256(bytes, len - SHA256_SIZE, bytes + len - SHA256_SIZE);
}

static int parse(size_t len) { return vault_header_parse(bytes, len, &found); }

START_TEST(what_was_made_is_read_and_authentic)
{
    ck_assert_int_eq(parse(VAULT_HEADER_SIZE), 0);
    ck_assert(id_equal(&found.vault, &made.vault));
    ck_assert_uint_eq(found.format, 1);
    ck_assert_int_eq(found.suite, SUITE_CHACHA20_POLY1305);
    ck_assert_int_eq(vault_header_check(bytes, epoch0), 0);
}
END_TEST

START_TEST(any_flipped_bit_is_noticed_without_keys)
{
    for (size_t at = 0; at < VAULT_HEADER_SIZE; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            ck_assert_int_eq(parse(VAULT_HEADER_SIZE), at < 8 ? E_NOT_VAULT : E_STORE_HEADER);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
}
END_TEST

START_TEST(any_flipped_bit_under_a_mended_checksum_is_noticed_with_the_key)
{
    for (size_t at = 0; at < SUMMED; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            mend(VAULT_HEADER_SIZE);
            int rc = parse(VAULT_HEADER_SIZE);
            ck_assert(rc == 0 || rc == E_STORE_HEADER || (at < 8 && rc == E_NOT_VAULT) ||
                      (at < 12 && rc == E_NEWER_FORMAT));
            ck_assert_int_eq(vault_header_check(bytes, epoch0), E_STORE_HEADER);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
}
END_TEST

START_TEST(any_other_length_is_noticed)
{
    for (size_t len = 0; len < sizeof bytes; len++)
        if (len != VAULT_HEADER_SIZE) {
            ck_assert_int_eq(vault_header_make(bytes, &made, epoch0), 0);
            ck_assert_int_eq(parse(len), len < 8 ? E_NOT_VAULT : E_STORE_HEADER);
            if (len < 48)
                continue;
            mend(len);
            ck_assert_int_eq(parse(len), E_STORE_HEADER);
        }
}
END_TEST

START_TEST(a_newer_format_is_told_from_damage_whatever_its_length)
{
    bytes[8] = 2;
    for (size_t len = VAULT_HEADER_SIZE - 16; len <= sizeof bytes; len += 16) {
        mend(len);
        ck_assert_int_eq(parse(len), E_NEWER_FORMAT);
    }
}
END_TEST

START_TEST(format_zero_and_unknown_suites_are_refused)
{
    bytes[8] = 0;
    mend(VAULT_HEADER_SIZE);
    ck_assert_int_eq(parse(VAULT_HEADER_SIZE), E_STORE_HEADER);
    bytes[8] = 1;
    bytes[12] = 3;
    mend(VAULT_HEADER_SIZE);
    ck_assert_int_eq(parse(VAULT_HEADER_SIZE), E_STORE_HEADER);
}
END_TEST

START_TEST(another_vaults_key_does_not_fit)
{
    ck_assert_int_eq(vault_header_check(bytes, other_key), E_STORE_HEADER);
}
END_TEST

START_TEST(what_could_not_be_read_is_not_made)
{
    struct vault_header h = made;
    h.format = 2;
    ck_assert_int_eq(vault_header_make(bytes, &h, epoch0), -EINVAL);
    h = made;
    h.suite = (enum suite)0;
    ck_assert_int_eq(vault_header_make(bytes, &h, epoch0), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("header");
    TCase *t = tcase_create("header");
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, what_was_made_is_read_and_authentic);
    tcase_add_test(t, any_flipped_bit_is_noticed_without_keys);
    tcase_add_test(t, any_flipped_bit_under_a_mended_checksum_is_noticed_with_the_key);
    tcase_add_test(t, any_other_length_is_noticed);
    tcase_add_test(t, a_newer_format_is_told_from_damage_whatever_its_length);
    tcase_add_test(t, format_zero_and_unknown_suites_are_refused);
    tcase_add_test(t, another_vaults_key_does_not_fit);
    tcase_add_test(t, what_could_not_be_read_is_not_made);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
