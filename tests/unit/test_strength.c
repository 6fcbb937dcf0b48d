/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/* What is said of passphrases, and what a library does aside. */
#include "cli/internal.h"
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static int bits(const char *text)
{
    return strength_bits((const uint8_t *)text, strlen(text));
}

START_TEST(what_everybody_uses_is_weak)
{
    static const char *const all[] = { "", "a", "password", "bonjour", "bonjour2024", "azerty123", "motdepasse", "Soleil1!",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abcdefghijklmnop", "1234567890", "le chat" };
    for (size_t k = 0; k < ARRAY_SIZE(all); k++)
        ck_assert_msg(bits(all[k]) >= 0 && bits(all[k]) < STRENGTH_WEAK, "%s: %d", all[k], bits(all[k]));
}
END_TEST

START_TEST(chance_is_good)
{
    ck_assert_int_ge(bits("rivage cloche ananas lente"), STRENGTH_FAIR);
    ck_assert_int_ge(bits("q7T!vZ0p#Lw2x"), STRENGTH_FAIR);
    ck_assert_int_ge(bits("PWC77-PWNMA-SE57V-EQB6K"), STRENGTH_GOOD);
}
END_TEST

START_TEST(words_count_as_words_in_every_language)
{
    ck_assert_int_le(bits("rivage cloche ananas lente"), 4 * 13);
    ck_assert_int_le(bits("  forêt   été  "), 2 * 13);
    ck_assert_int_eq(bits("rivage cloche ananas lente"), bits("rivage  cloche ananas lente "));
}
END_TEST

START_TEST(any_bytes_are_measured)
{
    uint8_t text[PASSPHRASE_MAX];

    for (size_t k = 0; k < sizeof text; k++)
        text[k] = (uint8_t)(k * 7 + 1);
    ck_assert_int_ge(strength_bits(text, sizeof text), 0);
    ck_assert_int_ge(strength_bits((const uint8_t *)"\xff\xfe\x80", 3), 0);
    ck_assert_int_ge(strength_bits((const uint8_t *)"a\0b", 3), 0);
}
END_TEST

START_TEST(the_words_follow_the_bits)
{
    ck_assert_str_eq(strength_words(0), "weak");
    ck_assert_str_eq(strength_words(STRENGTH_WEAK), "fair");
    ck_assert_str_eq(strength_words(STRENGTH_FAIR), "good");
    ck_assert_str_eq(strength_words(STRENGTH_GOOD), "very good");
}
END_TEST

static ssize_t much(const void *in, size_t len, uint8_t *out, size_t size)
{
    (void)in;
    (void)len;
    memset(out, 7, size);
    return (ssize_t)size;
}

static ssize_t fails(const void *in, size_t len, uint8_t *out, size_t size)
{
    (void)in;
    (void)len;
    (void)out;
    (void)size;
    return -1;
}

static ssize_t dies(const void *in, size_t len, uint8_t *out, size_t size)
{
    (void)in;
    (void)len;
    memset(out, 7, size);
    _exit(0);
}

START_TEST(what_works_aside_comes_back_or_is_an_error)
{
    static uint8_t out[200000];    /* more than a pipe holds */

    ck_assert_int_eq(aside_run(much, "", 0, out, sizeof out), sizeof out);
    ck_assert(out[0] == 7 && out[sizeof out - 1] == 7);
    ck_assert_int_lt(aside_run(fails, "", 0, out, sizeof out), 0);
    memset(out, 0, sizeof out);
    ck_assert_int_eq(aside_run(dies, "", 0, out, sizeof out), 0);
    ck_assert_int_eq(out[0], 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("strength");
    TCase *t = tcase_create("strength");

    if (crypto_start())
        return EXIT_FAILURE;
    tcase_add_test(t, what_everybody_uses_is_weak);
    tcase_add_test(t, chance_is_good);
    tcase_add_test(t, words_count_as_words_in_every_language);
    tcase_add_test(t, any_bytes_are_measured);
    tcase_add_test(t, the_words_follow_the_bits);
    tcase_add_test(t, what_works_aside_comes_back_or_is_an_error);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
