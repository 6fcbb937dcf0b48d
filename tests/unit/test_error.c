/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The table of errors is complete, unambiguous, and speaks both languages.
 */
#include <check.h>
#include <ecluse/base.h>
#include <ecluse/error.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>

static const struct { int code, value, err, exit; const char *name, *en, *fr; } rows[] = {
#define X(code, value, err, exit, en, fr) { code, value, err, exit, #code, en, fr },
    ERROR_TABLE(X)
#undef X
};

/* What a user can meet; each has sentences of ours. */
static const int common[] = {
    ENOSPC, EACCES, EPERM, ENOENT, EIO, EROFS, EEXIST, ENOTDIR, EISDIR, EBUSY, EMFILE, ENFILE, ENOMEM, EDQUOT,
    ENAMETOOLONG, ELOOP, EINVAL, ENOTSUP, ENOTEMPTY, EXDEV, EFBIG, ENODATA, ENOSYS, EINTR, ECONNREFUSED,
};

static const char *french_name(void)
{
    static const char *const names[] = { "fr_CA.UTF-8", "fr_FR.UTF-8", "fr_CA", "fr_FR", "fr_BE.UTF-8" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (setlocale(LC_ALL, names[i]))
            return names[i];
    return NULL;
}

START_TEST(each_code_has_its_own_value_name_and_sentences)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_int_eq(rows[i].code, rows[i].value);
        ck_assert_int_lt(rows[i].value, -5000);
        ck_assert_int_gt(rows[i].err, 0);
        ck_assert_int_ge(rows[i].exit, EXIT_USAGE);
        ck_assert_int_le(rows[i].exit, EXIT_POLICY);
        ck_assert_uint_gt(strlen(rows[i].en), 0);
        ck_assert_uint_gt(strlen(rows[i].fr), 0);
        ck_assert_str_ne(rows[i].en, rows[i].fr);
        for (size_t j = 0; j < i; j++) {
            ck_assert_int_ne(rows[i].value, rows[j].value);
            ck_assert_str_ne(rows[i].en, rows[j].en);
            ck_assert_str_ne(rows[i].fr, rows[j].fr);
        }
    }
}
END_TEST

START_TEST(each_code_is_translated_as_its_row_says)
{
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_int_eq(error_errno(rows[i].code), rows[i].err);
        ck_assert_int_eq((int)error_exit(rows[i].code), rows[i].exit);
        ck_assert_str_eq(error_name(rows[i].code), rows[i].name);
        ck_assert_str_eq(error_text(rows[i].code), rows[i].en);
    }
}
END_TEST

START_TEST(errnos_pass_through_and_the_known_ones_have_exit_codes)
{
    for (int e = 1; e < 134; e++)
        ck_assert_int_eq(error_errno(-e), e);
    ck_assert_int_eq(error_exit(-ENOSPC), EXIT_FULL);
    ck_assert_int_eq(error_exit(-EDQUOT), EXIT_FULL);
    ck_assert_int_eq(error_exit(-EACCES), EXIT_PERMISSION);
    ck_assert_int_eq(error_exit(-EPERM), EXIT_PERMISSION);
    ck_assert_int_eq(error_exit(-EROFS), EXIT_STORE);
    ck_assert_int_eq(error_exit(-EIO), EXIT_SYSTEM);
    ck_assert_int_eq(error_exit(-ENOENT), EXIT_SYSTEM);
    ck_assert_int_eq(error_exit(-ERANGE), EXIT_SYSTEM);
    ck_assert_str_eq(error_name(-ENOSPC), "ENOSPC");
    ck_assert_str_eq(error_name(-ERANGE), "ERANGE");
}
END_TEST

START_TEST(success_and_nonsense_have_a_meaning_too)
{
    setlocale(LC_ALL, "C");
    ck_assert_int_eq(error_errno(0), 0);
    ck_assert_int_eq(error_exit(0), EXIT_DONE);
    ck_assert_str_eq(error_name(0), "OK");
    ck_assert_str_eq(error_text(0), "no error");
    ck_assert_int_eq(error_errno(-4999), EIO);
    ck_assert_int_eq(error_errno(-99999), EIO);
    ck_assert_int_eq(error_exit(-99999), EXIT_SYSTEM);
    ck_assert_str_eq(error_name(-99999), "unknown");
    ck_assert_str_eq(error_name(-4000), "unknown");
    ck_assert_uint_gt(strlen(error_text(-99999)), 0);
    ck_assert_uint_gt(strlen(error_text(-4000)), 0);
}
END_TEST

START_TEST(a_french_locale_gives_french_sentences)
{
    const char *english[ARRAY_SIZE(common)];
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < ARRAY_SIZE(common); i++)
        english[i] = error_text(-common[i]);
    if (!french_name())
        return;             /* this system has none to switch to */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        ck_assert_str_eq(error_text(rows[i].code), rows[i].fr);
    for (size_t i = 0; i < ARRAY_SIZE(common); i++) {
        ck_assert_uint_gt(strlen(english[i]), 0);
        ck_assert_msg(strcmp(english[i], error_text(-common[i])) != 0, "%s", english[i]);
    }
    ck_assert_str_eq(error_text(0), "aucune erreur");
    setlocale(LC_MESSAGES, "C");
    ck_assert_str_eq(error_text(E_AUTH), rows[0].en);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("error");
    TCase *t = tcase_create("error");
    tcase_add_test(t, each_code_has_its_own_value_name_and_sentences);
    tcase_add_test(t, each_code_is_translated_as_its_row_says);
    tcase_add_test(t, errnos_pass_through_and_the_known_ones_have_exit_codes);
    tcase_add_test(t, success_and_nonsense_have_a_meaning_too);
    tcase_add_test(t, a_french_locale_gives_french_sentences);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
