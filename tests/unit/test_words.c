/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Numbers, sizes, dates and durations in French, in English and in the C locale, whether
 * or not the machine has these locales.
 */
#include <check.h>
#include <cli/internal.h>
#include <stdio.h>
#include <stdlib.h>

#define NBSP "\xc2\xa0"

static char text[WORDS_MAX];

/* Each test is a process of its own. */
static void speak(const char *locale)
{
    unsetenv("LANGUAGE");
    setenv("LC_ALL", locale, 1);
    setenv("TZ", "UTC", 1);
    message_start();
}

START_TEST(french_has_commas_blanks_that_do_not_break_and_units_of_its_own)
{
    speak("fr_CA.UTF-8");
    ck_assert_str_eq(words_for_size(1500000000, text), "1,5" NBSP "Go");
    ck_assert_str_eq(words_for_power(65536, text), "64" NBSP "Mio");
    ck_assert_str_eq(words_for_power(64, text), "64" NBSP "Kio");
    ck_assert_str_eq(words_for_power(1536, text), "1536" NBSP "Kio");
    ck_assert_str_eq(words_for_size(0, text), "0" NBSP "o");
    ck_assert_str_eq(words_for_size(999, text), "999" NBSP "o");
    ck_assert_str_eq(words_for_size(1000, text), "1,0" NBSP "ko");
    ck_assert_str_eq(words_for_size(123456789, text), "123" NBSP "Mo");
    ck_assert_str_eq(words_for_count(12345, text), "12" NBSP "345");
    ck_assert_str_eq(words_for_count(1234567890, text), "1" NBSP "234" NBSP "567" NBSP "890");
    ck_assert_str_eq(words_for_time(1795442700, text), "23" NBSP "novembre" NBSP "2026 à 14" NBSP "h" NBSP "05");
    ck_assert_str_eq(words_for_time(1796083200, text), "1er" NBSP "décembre" NBSP "2026 à 0" NBSP "h" NBSP "00");
    ck_assert_str_eq(words_for_duration(3900, text), "1" NBSP "h" NBSP "05");
    ck_assert_str_eq(words_for_duration(59, text), "59" NBSP "s");
}
END_TEST

START_TEST(english_has_points_commas_and_names_of_months)
{
    speak("en_CA.UTF-8");
    ck_assert_str_eq(words_for_size(1500000000, text), "1.5 GB");
    ck_assert_str_eq(words_for_count(999, text), "999");
    ck_assert_str_eq(words_for_count(12345, text), "12,345");
    ck_assert_str_eq(words_for_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    ck_assert_str_eq(words_for_time(1795442700, text), "November 23, 2026 at 14:05");
    ck_assert_str_eq(words_for_duration(150, text), "3 min");
}
END_TEST

START_TEST(the_c_locale_has_no_groups_and_dates_of_the_standard)
{
    static const char *const names[] = { "C", "POSIX", "C.UTF-8" };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        speak(names[k]);
        ck_assert_str_eq(words_for_size(1500000000, text), "1.5 GB");
        ck_assert_str_eq(words_for_count(1234567, text), "1234567");
        ck_assert_str_eq(words_for_time(1795442700, text), "2026-11-23 14:05");
    }
}
END_TEST

START_TEST(sizes_are_rounded_and_never_four_digits_before_the_unit)
{
    speak("C");
    ck_assert_str_eq(words_for_size(1049, text), "1.0 kB");
    ck_assert_str_eq(words_for_size(1050, text), "1.1 kB");
    ck_assert_str_eq(words_for_size(99949, text), "99.9 kB");
    ck_assert_str_eq(words_for_size(99950, text), "100 kB");
    ck_assert_str_eq(words_for_size(999499, text), "999 kB");
    ck_assert_str_eq(words_for_size(999500, text), "1.0 MB");
    ck_assert_str_eq(words_for_size(1000000000000000, text), "1.0 PB");
    for (uint64_t n = 1; n < 1000000000000000; n = n * 3 / 2 + 1)
        ck_assert_uint_le(strspn(words_for_size(n, text), "0123456789"), 3);
    ck_assert_str_eq(words_for_time(0, text), "never");
}
END_TEST

START_TEST(eight_figures_stand_in_one_sentence)
{
    const char *v[8];
    char want[24];

    speak("C");
    for (unsigned k = 0; k < ARRAY_SIZE(v); k++)
        v[k] = figure(k);
    for (unsigned k = 0; k < ARRAY_SIZE(v); k++) {
        snprintf(want, sizeof want, "%u", k);
        ck_assert_str_eq(v[k], want);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("words");
    TCase *t = tcase_create("words");
    tcase_add_test(t, french_has_commas_blanks_that_do_not_break_and_units_of_its_own);
    tcase_add_test(t, english_has_points_commas_and_names_of_months);
    tcase_add_test(t, the_c_locale_has_no_groups_and_dates_of_the_standard);
    tcase_add_test(t, sizes_are_rounded_and_never_four_digits_before_the_unit);
    tcase_add_test(t, eight_figures_stand_in_one_sentence);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
