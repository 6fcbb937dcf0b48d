/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The recovery key as text: what was printed is read again, however it was
 * typed and whatever stands around it, and a slip names the group it is in.
 */
#include <check.h>
#include <ecluse/error.h>
#include <ecluse/keys.h>
#include <stdio.h>
#include <stdlib.h>

static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static uint8_t key[KEY_SIZE], read_back[KEY_SIZE];
static char text[RECOVERY_TEXT];
static int bad;

static void set_up(void)
{
    ck_assert_int_eq(crypto_start(), 0);
    recovery_generate(key);
    recovery_format(key, text);
    memset(read_back, 0xAA, sizeof read_back);
    bad = -1;
}

static int parse(const char *t) { return recovery_parse(t, strlen(t), read_back, &bad); }

static void expect_key(const char *t)
{
    ck_assert_msg(parse(t) == 0, "not read: %s", t);
    ck_assert_mem_eq(read_back, key, KEY_SIZE);
}

static void expect_bad(const char *t, int group)
{
    ck_assert_msg(parse(t) == E_RECOVERY_KEY && bad == group, "group %d, not %d: %s", bad, group, t);
}

START_TEST(what_is_formatted_is_parsed)
{
    ck_assert_uint_eq(strlen(text), RECOVERY_TEXT - 1);
    for (int round = 0; round < 200; round++) {
        recovery_generate(key);
        recovery_format(key, text);
        expect_key(text);
    }
}
END_TEST

START_TEST(the_text_of_known_keys_never_changes)
{
    memset(key, 0, sizeof key);
    recovery_format(key, text);
    ck_assert_str_eq(text, "00001-00002-00003-00004-00005-00006-00007-00008-00009-0000A-0000B-0000C-0000D");
    expect_key(text);
    for (unsigned i = 0; i < KEY_SIZE; i++)
        key[i] = (uint8_t)i;
    recovery_format(key, text);
    ck_assert_str_eq(text, "000GC-40R4Y-0M301-E209M-185G2-R38EE-1W810-24GKG-2GAH0-C5RR1-34D1A-P70XT-3RFGY");
    expect_key(text);
    memset(key, 0xFF, sizeof key);
    recovery_format(key, text);
    expect_key(text);
    ck_assert_int_eq(strncmp(text, "ZZZZ", 4), 0);
}
END_TEST

START_TEST(any_one_wrong_symbol_names_its_group)
{
    for (int at = 0; at < RECOVERY_TEXT - 1; at++) {
        char was = text[at];
        for (const char *s = symbols; was != '-' && *s; s++)
            if (*s != was) {
                text[at] = *s;
                expect_bad(text, at / 6 + 1);
            }
        text[at] = was;
    }
}
END_TEST

START_TEST(any_two_symbols_of_a_group_exchanged_name_it)
{
    for (int g = 0; g < RECOVERY_GROUPS; g++)
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                char *a = text + g * 6 + i, *b = text + g * 6 + j, was = *a;
                if (*a == *b)
                    continue;
                *a = *b;
                *b = was;
                expect_bad(text, g + 1);
                *b = *a;
                *a = was;
            }
}
END_TEST

START_TEST(any_two_groups_exchanged_name_the_first)
{
    for (int g = 0; g < RECOVERY_GROUPS; g++)
        for (int h = g + 1; h < RECOVERY_GROUPS; h++) {
            char swapped[RECOVERY_TEXT];
            memcpy(swapped, text, sizeof text);
            memcpy(swapped + g * 6, text + h * 6, 5);
            memcpy(swapped + h * 6, text + g * 6, 5);
            expect_bad(swapped, g + 1);
        }
}
END_TEST

/* The last data symbol has one bit of the key; the others must be zero, also
 * under a check symbol that fits. */
START_TEST(spare_bits_are_refused)
{
    static const unsigned times16[] = { 16, 5, 10, 20 };   /* 16·1, 16·2, 16·4, 16·8 */
    char *last = text + 12 * 6;
    unsigned data = (unsigned)(strchr(symbols, last[3]) - symbols);
    unsigned check = (unsigned)(strchr(symbols, last[4]) - symbols);
    ck_assert_uint_eq(data & 15, 0);
    for (unsigned bit = 0; bit < 4; bit++) {
        last[3] = symbols[data | 1u << bit];
        last[4] = symbols[check ^ times16[bit]];
        expect_bad(text, 13);
    }
}
END_TEST

START_TEST(case_spaces_dashes_and_lookalikes_are_forgiven)
{
    char t[400], *o;

    memset(key, 0x08, sizeof key);   /* many zeros and ones in the text */
    recovery_format(key, text);
    o = t;
    for (const char *p = text; *p; p++)
        *o++ = *p == '0' ? 'o' : *p == '1' ? (p - text) % 2 ? 'l' : 'I' : *p >= 'A' ? (char)(*p + 32) : *p;
    *o = '\0';
    expect_key(t);
    o = t;
    for (const char *p = text; *p; p++)
        if (*p != '-')
            *o++ = *p;
    *o = '\0';
    expect_key(t);                   /* 65 symbols in a row */
    o = t;
    for (const char *p = text; *p; p++)
        o += sprintf(o, *p == '-' ? " \xE2\x80\x93\n\t" : "%c ", *p);
    expect_key(t);                   /* every symbol alone, long dashes */
    o = t;
    for (const char *p = text; *p; p++)
        o += sprintf(o, *p == '-' ? "\xC2\xA0" : "%c", *p);
    expect_key(t);                   /* no-break spaces */
}
END_TEST

START_TEST(the_key_is_found_in_a_sheet)
{
    static const char before[] =
        "\xC3\x89" "cluse \xE2\x80\x94 Recovery sheet\n\nVault 0123456789abcdef0123456789abcdef, "
        "2024-05-17\nKeep these words under lock. Never store this sheet beside those disks:\n\n    ";
    static const char after[] = "\n\nWhoever holds this sheet reads every file. First three words match?\n";
    char sheet[600];

    snprintf(sheet, sizeof sheet, "%s%s%s", before, text, after);
    expect_key(sheet);
    snprintf(sheet, sizeof sheet, "%.39s%s%s", text, "\n    ", text + 39);
    expect_key(sheet);
    snprintf(sheet, sizeof sheet, "%s%s", before, after);
    expect_bad(sheet, 0);
    text[8 * 6 + 2] = text[8 * 6 + 2] == 'A' ? 'B' : 'A';
    snprintf(sheet, sizeof sheet, "%s%s%s", before, text, after);
    expect_bad(sheet, 9);
}
END_TEST

START_TEST(of_two_keys_the_first_counts)
{
    uint8_t other[KEY_SIZE];
    char second[RECOVERY_TEXT], both[2 * RECOVERY_TEXT];
    recovery_generate(other);
    recovery_format(other, second);
    snprintf(both, sizeof both, "%s\n%s", text, second);
    expect_key(both);
}
END_TEST

START_TEST(a_forgotten_or_doubled_symbol_names_its_group)
{
    char t[RECOVERY_TEXT + 2];
    for (int g = 0; g < RECOVERY_GROUPS; g++) {
        int at = g * 6 + 2;
        snprintf(t, sizeof t, "%.*s%s", at, text, text + at + 1);
        expect_bad(t, g + 1);
        snprintf(t, sizeof t, "%.*s%c%s", at, text, text[at], text + at);
        expect_bad(t, g + 1);
    }
}
END_TEST

START_TEST(a_letter_that_is_no_symbol_names_its_group)
{
    text[3 * 6 + 1] = 'U';
    expect_bad(text, 4);
    text[3 * 6 + 1] = '\xE9';
    expect_bad(text, 4);
}
END_TEST

START_TEST(less_than_thirteen_groups_are_no_key)
{
    static const char *const none[] = { "", "-", "\n\n", "passphrase", "\xE2", "\xE2\x80", "\xC2" };
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        expect_bad(none[i], 0);
    text[12 * 6 - 1] = '\0';
    expect_bad(text, 0);
}
END_TEST

START_TEST(nothing_beyond_the_given_length_is_read)
{
    ck_assert_int_eq(recovery_parse(text, RECOVERY_TEXT - 2, read_back, &bad), E_RECOVERY_KEY);
    ck_assert_int_eq(bad, 13);
    uint8_t zeros[KEY_SIZE] = { 0 };
    ck_assert_mem_eq(read_back, zeros, KEY_SIZE);
}
END_TEST

START_TEST(a_group_is_recognised_and_no_other)
{
    char group[6], wrong[16];

    for (int g = 1; g <= RECOVERY_GROUPS; g++) {
        snprintf(group, sizeof group, "%.5s", text + (g - 1) * 6);
        ck_assert(recovery_has_group(key, g, group, 5));
        snprintf(wrong, sizeof wrong, " %.2s %.3s\n", group, group + 2);
        ck_assert(recovery_has_group(key, g, wrong, strlen(wrong)));
        for (char *c = strcpy(wrong, group); *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c + 'a' - 'A');
        ck_assert(recovery_has_group(key, g, wrong, 5));
        ck_assert(!recovery_has_group(key, g % RECOVERY_GROUPS + 1, group, 5));
        ck_assert(!recovery_has_group(key, g, group, 4));
        snprintf(wrong, sizeof wrong, "%s0", group);
        ck_assert(!recovery_has_group(key, g, wrong, 6));
    }
    ck_assert(!recovery_has_group(key, 0, text, 5));
    ck_assert(!recovery_has_group(key, RECOVERY_GROUPS + 1, text, 5));
    ck_assert(!recovery_has_group(key, 1, "", 0));
    ck_assert(!recovery_has_group(key, 1, text, strlen(text)));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("recovery");
    TCase *t = tcase_create("recovery");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, what_is_formatted_is_parsed);
    tcase_add_test(t, the_text_of_known_keys_never_changes);
    tcase_add_test(t, any_one_wrong_symbol_names_its_group);
    tcase_add_test(t, any_two_symbols_of_a_group_exchanged_name_it);
    tcase_add_test(t, any_two_groups_exchanged_name_the_first);
    tcase_add_test(t, spare_bits_are_refused);
    tcase_add_test(t, case_spaces_dashes_and_lookalikes_are_forgiven);
    tcase_add_test(t, the_key_is_found_in_a_sheet);
    tcase_add_test(t, of_two_keys_the_first_counts);
    tcase_add_test(t, a_forgotten_or_doubled_symbol_names_its_group);
    tcase_add_test(t, a_letter_that_is_no_symbol_names_its_group);
    tcase_add_test(t, less_than_thirteen_groups_are_no_key);
    tcase_add_test(t, nothing_beyond_the_given_length_is_read);
    tcase_add_test(t, a_group_is_recognised_and_no_other);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
