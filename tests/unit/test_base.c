/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Identifiers, growable buffers, readers over hostile bytes, paths.
 */
#include <check.h>
#include <ecluse/base.h>
#include <ecluse/io.h>
#include <ecluse/spell.h>
#include <errno.h>
#include <stdlib.h>

/* --- identifiers ---------------------------------------------------------------- */

START_TEST(an_id_and_its_text_convert_into_each_other)
{
    struct id128 id, back;
    char text[ID_TEXT];
    for (int i = 0; i < 16; i++)
        id.b[i] = (uint8_t)(0x0f + 16 * i);
    id_format(&id, text);
    ck_assert_str_eq(text, "0f1f2f3f4f5f6f7f8f9fafbfcfdfefff");
    ck_assert_int_eq(id_parse(text, &back), 0);
    ck_assert(id_equal(&id, &back));
}
END_TEST

START_TEST(any_other_spelling_of_an_id_is_refused_and_leaves_the_result_alone)
{
    static const char *const wrong[] = {
        "", "0", "0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "0f1f2f3f4f5f6f7f8f9fafbfcfdfefff0",
        "0F1f2f3f4f5f6f7f8f9fafbfcfdfefff", "0g1f2f3f4f5f6f7f8f9fafbfcfdfefff",
        " f1f2f3f4f5f6f7f8f9fafbfcfdfefff", "0f1f2f3f-4f5f-6f7f-8f9f-afbfcfdfefff",
        "0f1f2f3f4f5f6f7f8f9fafbfcfdfefff\n", "0x1f2f3f4f5f6f7f8f9fafbfcfdfefff",
    };
    struct id128 id = { { 7 } }, before = id;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        ck_assert_int_eq(id_parse(wrong[i], &id), -EINVAL);
        ck_assert(id_equal(&id, &before));
    }
}
END_TEST

START_TEST(integers_are_little_endian)
{
    uint8_t b[8];
    put_le64(b, 0x0102030405060708u);
    ck_assert_mem_eq(b, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    ck_assert_uint_eq(get_le64(b), 0x0102030405060708u);
    ck_assert_uint_eq(get_le32(b), 0x05060708u);
}
END_TEST

/* --- names of others ------------------------------------------------------------ */

/* What a text becomes for people and, between quotes, in JSON. */
static const struct { const char *text, *shown, *json; } spellings[] = {
    { "plain été 漢字", "plain été 漢字", "plain été 漢字" },
    { "\x1b[2J\a\r\n\t", "\\x1b[2J\\x07\\x0d\\x0a\\x09", "\\u001b[2J\\u0007\\u000d\\u000a\\u0009" },
    { "a\x7f\xc2\x9b" "31m", "a\\x7f\\xc2\\x9b31m", "a\\u007f\\u009b31m" },
    { "\xe2\x80\xae" "fdp.exe", "\\xe2\\x80\\xaefdp.exe", "\\u202efdp.exe" },
    { "\xd8\x9c", "\\xd8\\x9c", "\\u061c" },
    { "\xf3\xa0\x80\x81", "\\xf3\\xa0\\x80\\x81", "\\udb40\\udc01" },
    { "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91" },
    { "caf\xe9 \xc3", "caf\\xe9 \\xc3", "caf\\udce9 \\udcc3" },
    { "\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", "\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80",
      "\\udcc0\\udcaf\\udced\\udca0\\udc80\\udcf4\\udc90\\udc80\\udc80" },
    { "\"\\", "\"\\", "\\u0022\\u005c" },
    { "", "", "" },
};

START_TEST(names_of_others_do_not_act)
{
    for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
        const char *text = spellings[i].text;
        char shown[256], again[256], json[256] = "", one[SPELL_STEP];

        spell(text, shown, sizeof shown);
        ck_assert_str_eq(shown, spellings[i].shown);
        ck_assert_int_eq(spell_is_plain(text), strcmp(text, shown) == 0);
        spell(shown, again, sizeof again);
        ck_assert_str_eq(again, shown);
        while (*text) {
            text = spell_json_step(text, one);
            strcat(json, one);
        }
        ck_assert_str_eq(json, spellings[i].json);
    }
}
END_TEST

START_TEST(what_is_spelled_is_cut_between_characters)
{
    char shown[8];

    spell("ab\x1b" "cd", shown, sizeof shown);
    ck_assert_str_eq(shown, "ab\\x1bc");
    spell("abcdefé", shown, sizeof shown);
    ck_assert_str_eq(shown, "abcdef");
    spell("abcde\n", shown, sizeof shown);
    ck_assert_str_eq(shown, "abcde");
}
END_TEST

/* --- buffers and readers -------------------------------------------------------- */

static const uint64_t numbers[] = {
    0, 1, 127, 128, 16383, 16384, (1ull << 32) - 1, 1ull << 32, (1ull << 63) - 1, 1ull << 63, UINT64_MAX,
};

START_TEST(what_was_appended_is_read_back)
{
    struct buf b = { 0 };
    size_t len;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        buf_varint(&b, numbers[i]);
    buf_byte(&b, 0xa5);
    buf_bytes(&b, "hello", 5);
    buf_bytes(&b, NULL, 0);
    buf_append(&b, "raw", 3);
    buf_append(&b, NULL, 0);
    ck_assert(!b.failed);
    struct reader r = reader_over(b.data, b.len);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        ck_assert_uint_eq(read_varint(&r), numbers[i]);
    ck_assert_uint_eq(read_byte(&r), 0xa5);
    const uint8_t *p = read_bytes(&r, &len);
    ck_assert_uint_eq(len, 5);
    ck_assert_mem_eq(p, "hello", 5);
    ck_assert_ptr_nonnull(read_bytes(&r, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert_mem_eq(read_raw(&r, 3), "raw", 3);
    ck_assert_uint_eq(reader_left(&r), 0);
    ck_assert(!r.failed);
    buf_free(&b);
    ck_assert_ptr_null(b.data);
    ck_assert_uint_eq(b.len + b.cap, 0);
}
END_TEST

START_TEST(a_buffer_grows_far_and_keeps_its_memory_when_reset)
{
    struct buf b = { 0 };
    for (unsigned i = 0; i < 300000; i++)
        buf_byte(&b, (uint8_t)(i % 251));
    ck_assert_uint_eq(b.len, 300000);
    for (unsigned i = 0; i < 300000; i++)
        ck_assert_uint_eq(b.data[i], i % 251);
    size_t cap = b.cap;
    buf_reset(&b);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_uint_eq(b.cap, cap);
    buf_free(&b);
}
END_TEST

START_TEST(an_append_that_cannot_be_had_sets_failed_and_keeps_the_rest)
{
    struct buf b = { 0 };
    buf_append(&b, "kept", 4);
    buf_append(&b, "?", SIZE_MAX - 2);      /* more than any address space; nothing is read */
    ck_assert(b.failed);
    buf_append(&b, "dropped", 7);
    buf_byte(&b, 1);
    ck_assert_uint_eq(b.len, 4);
    ck_assert_mem_eq(b.data, "kept", 4);
    buf_free(&b);
}
END_TEST

START_TEST(a_varint_has_one_encoding)
{
    static const struct { const char *bytes; size_t len; } wrong[] = {
        { "\x80\x00", 2 }, { "\xff\x00", 2 }, { "\x80\x80\x00", 3 }, { "\x80", 1 }, { "", 0 },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10 },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11 },
        { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct reader r = reader_over(wrong[i].bytes, wrong[i].len);
        ck_assert_uint_eq(read_varint(&r), 0);
        ck_assert_msg(r.failed, "case %zu", i);
    }
}
END_TEST

START_TEST(after_a_short_read_everything_is_zero)
{
    static const uint8_t bytes[] = { 1, 2, 3, 4 };
    size_t len = 99;
    struct reader r = reader_over(bytes, sizeof bytes);
    ck_assert_uint_eq(read_byte(&r), 1);
    ck_assert_ptr_null(read_raw(&r, 4));
    ck_assert(r.failed);
    ck_assert_uint_eq(read_byte(&r), 0);
    ck_assert_uint_eq(read_varint(&r), 0);
    ck_assert_ptr_null(read_raw(&r, 0));
    ck_assert_ptr_null(read_bytes(&r, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert_uint_eq(reader_left(&r), 0);
}
END_TEST

START_TEST(a_length_beyond_the_end_is_refused_however_large)
{
    for (size_t i = 2; i < ARRAY_SIZE(numbers); i++) {
        struct buf b = { 0 };
        size_t len;
        buf_varint(&b, numbers[i]);
        buf_append(&b, "abc", 3);
        struct reader r = reader_over(b.data, b.len);
        ck_assert_ptr_null(read_bytes(&r, &len));
        ck_assert(r.failed);
        buf_free(&b);
    }
}
END_TEST

START_TEST(a_reader_over_nothing_yields_empty_bytes_but_no_byte)
{
    struct reader r = reader_over(NULL, 0);
    ck_assert_ptr_nonnull(read_raw(&r, 0));
    ck_assert(!r.failed);
    read_byte(&r);
    ck_assert(r.failed);
}
END_TEST

/* --- paths ---------------------------------------------------------------------- */

START_TEST(inside_is_by_component_and_not_by_letter)
{
    ck_assert(path_inside("/a/b", "/a/b"));
    ck_assert(path_inside("/a/b/c", "/a/b"));
    ck_assert(path_inside("/a/b/c", "/a/b/"));
    ck_assert(path_inside("/a", "/"));
    ck_assert(path_inside("/", "/"));
    ck_assert(!path_inside("/a/bc", "/a/b"));
    ck_assert(!path_inside("/a", "/a/b"));
    ck_assert(!path_inside("/", "/a"));
    ck_assert(!path_inside("/b/a", "/a"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");
    tcase_add_test(t, names_of_others_do_not_act);
    tcase_add_test(t, what_is_spelled_is_cut_between_characters);
    tcase_add_test(t, an_id_and_its_text_convert_into_each_other);
    tcase_add_test(t, any_other_spelling_of_an_id_is_refused_and_leaves_the_result_alone);
    tcase_add_test(t, integers_are_little_endian);
    tcase_add_test(t, what_was_appended_is_read_back);
    tcase_add_test(t, a_buffer_grows_far_and_keeps_its_memory_when_reset);
    tcase_add_test(t, an_append_that_cannot_be_had_sets_failed_and_keeps_the_rest);
    tcase_add_test(t, a_varint_has_one_encoding);
    tcase_add_test(t, after_a_short_read_everything_is_zero);
    tcase_add_test(t, a_length_beyond_the_end_is_refused_however_large);
    tcase_add_test(t, a_reader_over_nothing_yields_empty_bytes_but_no_byte);
    tcase_add_test(t, inside_is_by_component_and_not_by_letter);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
