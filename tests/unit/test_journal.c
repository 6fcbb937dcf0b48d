/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The journal: what was synced comes back, in order; what is torn, stale or
 * altered ends the replay and nothing else.
 */
#include <check.h>
#include <ecluse/error.h>
#include <ecluse/journal.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t key[KEY_SIZE] = { 1, 2, 3 }, other_key[KEY_SIZE] = { 9 };
static char dir[64];
static int dirfd = -1;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/ecluse-journal-XXXXXX");
    ck_assert_int_eq(crypto_start(), 0);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dirfd = open(dir, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(dirfd, 0);
}

static void tear_down(void)
{
    unlinkat(dirfd, "journal", 0);
    close(dirfd);
    rmdir(dir);
}

static struct journal *open_at(uint64_t generation)
{
    struct journal *j = NULL;
    ck_assert_int_eq(journal_open(&j, dirfd, key, generation), 0);
    return j;
}

/* Collects what a replay gives: number of records, and all bytes. */
struct seen { int count; struct buf bytes; int stop_at; };

static int see(void *ctx, const uint8_t *batch, size_t len)
{
    struct seen *s = ctx;
    buf_append(&s->bytes, batch, len);
    return ++s->count == s->stop_at ? 77 : 0;
}

static int count_replayed(uint64_t generation)
{
    struct seen s = { 0 };
    struct journal *j = open_at(generation);
    ck_assert_int_eq(journal_replay(j, see, &s), 0);
    journal_close(j);
    buf_free(&s.bytes);
    return s.count;
}

static void append_text(struct journal *j, const char *text)
{
    ck_assert_int_eq(journal_append(j, text, strlen(text)), 0);
}

static void alter(off_t at)
{
    uint8_t byte;
    int fd = openat(dirfd, "journal", O_RDWR);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

START_TEST(records_come_back_in_order_and_appending_goes_on_behind_them)
{
    struct journal *j = open_at(5);
    append_text(j, "one");
    append_text(j, "two");
    journal_close(j);
    struct seen s = { 0 };
    j = open_at(5);
    ck_assert_int_eq(journal_replay(j, see, &s), 0);
    ck_assert_int_eq(s.count, 2);
    append_text(j, "three");
    journal_close(j);
    buf_reset(&s.bytes);
    j = open_at(5);
    ck_assert_int_eq(journal_replay(j, see, &s), 0);
    ck_assert_uint_eq(s.bytes.len, 11);
    ck_assert_mem_eq(s.bytes.data, "onetwothree", 11);
    journal_close(j);
    buf_free(&s.bytes);
}
END_TEST

static int replay_result(uint64_t generation)
{
    struct seen s = { 0 };
    struct journal *j = open_at(generation);
    int rc = journal_replay(j, see, &s);
    journal_close(j);
    buf_free(&s.bytes);
    return rc;
}

START_TEST(a_new_generation_hides_all_older_records)
{
    struct journal *j = open_at(5);
    append_text(j, "old one");
    append_text(j, "old two");
    journal_reset(j, 6);
    append_text(j, "new");
    journal_close(j);
    ck_assert_int_eq(count_replayed(6), 1);   /* "old two" lies right behind and is not taken */
    ck_assert_int_eq(count_replayed(7), 0);
    /* An index that is still at 5 has lost a commit that was synced. */
    ck_assert_int_eq(replay_result(5), E_STATE_DAMAGED);
}
END_TEST

START_TEST(an_altered_record_ends_the_replay_and_is_damage_when_a_later_one_is_there)
{
    /* length, generation, sequence, nonce, text, tag */
    static const off_t places[] = { 0, 3, 4, 11, 12, 19, 20, 31, 32, 37, 40 };
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct journal *j = open_at(1);
        append_text(j, "first");
        append_text(j, "second");
        append_text(j, "third");
        journal_close(j);
        alter(2 * 4096 + places[i]);
        ck_assert_int_eq(count_replayed(1), 2);
        alter(4096 + places[i]);
        alter(2 * 4096 + places[i]);
        ck_assert_int_eq(replay_result(1), E_STATE_DAMAGED);
    }
}
END_TEST

START_TEST(a_torn_record_ends_the_replay_and_is_overwritten)
{
    static uint8_t big[20000];
    struct journal *j = open_at(1);
    append_text(j, "first");
    ck_assert_int_eq(journal_append(j, big, sizeof big), 0);
    journal_close(j);
    int fd = openat(dirfd, "journal", O_RDWR);
    uint8_t zeros[4096] = { 0 };
    ck_assert_int_eq(pwrite(fd, zeros, sizeof zeros, 3 * 4096), 4096);
    close(fd);
    struct seen s = { 0 };
    j = open_at(1);
    ck_assert_int_eq(journal_replay(j, see, &s), 0);
    ck_assert_int_eq(s.count, 1);
    append_text(j, "again");
    journal_close(j);
    ck_assert_int_eq(count_replayed(1), 2);
    buf_free(&s.bytes);
}
END_TEST

START_TEST(a_record_moved_elsewhere_or_under_another_key_does_not_open)
{
    uint8_t page[4096];
    struct journal *j = open_at(1);
    append_text(j, "first");
    append_text(j, "second");
    journal_close(j);
    int fd = openat(dirfd, "journal", O_RDWR);
    ck_assert_int_eq(pread(fd, page, sizeof page, 4096), 4096);
    ck_assert_int_eq(pwrite(fd, page, sizeof page, 0), 4096);
    close(fd);
    ck_assert_int_eq(replay_result(1), E_STATE_DAMAGED);   /* where is the first? */
    struct seen s = { 0 };
    ck_assert_int_eq(journal_open(&j, dirfd, other_key, 1), 0);
    ck_assert_int_eq(journal_replay(j, see, &s), 0);
    ck_assert_int_eq(s.count, 0);
    journal_close(j);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_and_harms_nothing)
{
    static uint8_t batch[JOURNAL_RECORD_MAX + 1];
    struct journal *j = open_at(1);
    int appended = 0;
    ck_assert_int_eq(journal_fits(j, JOURNAL_RECORD_MAX), 1);
    ck_assert_int_eq(journal_fits(j, JOURNAL_RECORD_MAX + 1), 0);
    ck_assert_int_eq(journal_append(j, batch, JOURNAL_RECORD_MAX + 1), -E2BIG);
    while (journal_fits(j, JOURNAL_RECORD_MAX)) {
        ck_assert_int_eq(journal_append(j, batch, JOURNAL_RECORD_MAX), 0);
        appended++;
    }
    ck_assert_int_ge(appended, 60);
    ck_assert_int_eq(journal_append(j, batch, JOURNAL_RECORD_MAX), -E2BIG);
    while (journal_fits(j, 100)) {
        ck_assert_int_eq(journal_append(j, batch, 100), 0);
        appended++;
    }
    journal_close(j);
    ck_assert_int_eq(count_replayed(1), appended);
    struct stat st;
    ck_assert_int_eq(fstatat(dirfd, "journal", &st, 0), 0);
    ck_assert_int_eq(st.st_size, JOURNAL_SIZE);
}
END_TEST

START_TEST(an_interrupted_preallocation_is_completed)
{
    struct stat st;
    journal_close(open_at(1));
    int fd = openat(dirfd, "journal", O_RDWR);
    ck_assert_int_eq(ftruncate(fd, 100000), 0);
    close(fd);
    journal_close(open_at(1));
    ck_assert_int_eq(fstatat(dirfd, "journal", &st, 0), 0);
    ck_assert_int_eq(st.st_size, JOURNAL_SIZE);
    ck_assert_uint_ge((uint64_t)st.st_blocks * 512, JOURNAL_SIZE);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(the_visitor_may_end_the_replay)
{
    struct seen s = { .stop_at = 2 };
    struct journal *j = open_at(1);
    append_text(j, "one");
    append_text(j, "two");
    append_text(j, "three");
    ck_assert_int_eq(journal_replay(j, see, &s), 77);
    ck_assert_int_eq(s.count, 2);
    journal_close(j);
    buf_free(&s.bytes);
}
END_TEST

START_TEST(no_plaintext_reaches_the_file)
{
    static const char phrase[] = "a phrase that must not be found";
    static uint8_t file[JOURNAL_SIZE];
    struct journal *j = open_at(1);
    append_text(j, phrase);
    journal_close(j);
    int fd = openat(dirfd, "journal", O_RDONLY);
    ck_assert_int_eq(read(fd, file, sizeof file), (int)sizeof file);
    close(fd);
    ck_assert_ptr_null(memmem(file, sizeof file, phrase, 8));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal");
    TCase *t = tcase_create("journal");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, records_come_back_in_order_and_appending_goes_on_behind_them);
    tcase_add_test(t, a_new_generation_hides_all_older_records);
    tcase_add_test(t, an_altered_record_ends_the_replay_and_is_damage_when_a_later_one_is_there);
    tcase_add_test(t, a_torn_record_ends_the_replay_and_is_overwritten);
    tcase_add_test(t, a_record_moved_elsewhere_or_under_another_key_does_not_open);
    tcase_add_test(t, what_does_not_fit_is_refused_and_harms_nothing);
    tcase_add_test(t, an_interrupted_preallocation_is_completed);
    tcase_add_test(t, the_visitor_may_end_the_replay);
    tcase_add_test(t, no_plaintext_reaches_the_file);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
