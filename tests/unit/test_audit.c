/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The audit log: a chain whoever writes it, one form for each record, and a head that
 * only the keys make.
 */
#include <check.h>
#include <ecluse/audit.h>
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];
static int dir;
static const struct id128 vault = { { 7, 7, 7 } };
static struct keyring *keys, *others;

static void set_up(void)
{
    uint8_t recovery[KEY_SIZE] = { 1 };

    ck_assert_int_eq(crypto_start(), 0);
    snprintf(path, sizeof path, "/tmp/test-audit.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(dir, 0);
    ck_assert_int_eq(keyring_create(&keys, &vault, SUITE_AES_256_GCM, recovery), 0);
    ck_assert_int_eq(keyring_create(&others, &vault, SUITE_AES_256_GCM, recovery), 0);
}

static void tear_down(void)
{
    unlinkat(dir, "audit", 0);
    unlinkat(dir, "audit", AT_REMOVEDIR);
    unlinkat(dir, "audit.head", 0);
    close(dir);
    rmdir(path);
    keyring_free(keys);
    keyring_free(others);
}

static enum audit_harm harm(const struct keyring *k, struct audit_report *r)
{
    ck_assert_int_eq(audit_read(dir, &vault, k, NULL, NULL, r), 0);
    return r->harm;
}

static void *append_some(void *with)
{
    for (int k = 0; k < 50; k++)
        audit_append(dir, k % 10 ? NULL : with, AUDIT_PUBLISHED, 0, AUDIT_FIELDS(AUDIT_NUMBER("number", k)));
    return NULL;
}

START_TEST(threads_and_processes_make_one_chain)
{
    struct audit_report r;
    pthread_t threads[3];

    ck_assert_int_eq(audit_append(dir, keys, AUDIT_VAULT_MADE, 0, NULL), 0);
    pid_t child = fork();
    if (child == 0) {
        append_some(keys);
        _exit(0);
    }
    for (int k = 0; k < 3; k++)
        ck_assert_int_eq(pthread_create(&threads[k], NULL, append_some, keys), 0);
    for (int k = 0; k < 3; k++)
        pthread_join(threads[k], NULL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(harm(keys, &r), AUDIT_WHOLE);
    ck_assert_uint_eq(r.records, 202);
    ck_assert_uint_ge(r.sealed, 2);
}
END_TEST

/* The bytes of a file; the caller frees. */
static uint8_t *contents(const char *name, size_t *len)
{
    uint8_t *bytes = NULL;
    ck_assert_int_eq(io_read_file(dir, name, 1 << 20, &bytes, len), 0);
    return bytes;
}

static void flip_each_bit(const char *name, size_t from, size_t to)
{
    struct audit_report r;
    size_t len;
    uint8_t *bytes = contents(name, &len);
    int fd = openat(dir, name, O_RDWR);

    ck_assert_int_ge(fd, 0);
    for (size_t at = from; at < to && at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            uint8_t other = bytes[at] ^ (uint8_t)(1 << bit);
            ck_assert_int_eq(pwrite(fd, &other, 1, (off_t)at), 1);
            ck_assert_msg(harm(keys, &r) != AUDIT_WHOLE, "%s, byte %zu, bit %d", name, at, bit);
            ck_assert_int_eq(pwrite(fd, &bytes[at], 1, (off_t)at), 1);
        }
    ck_assert_int_eq(harm(keys, &r), AUDIT_WHOLE);
    close(fd);
    free(bytes);
}

START_TEST(whatever_bit_is_another_one_it_is_found)
{
    audit_append(dir, keys, AUDIT_VAULT_MADE, 0, NULL);
    audit_append(dir, NULL, AUDIT_UNLOCKED, E_PASSPHRASE, AUDIT_FIELDS(AUDIT_WORD("with", "passphrase")));
    audit_append(dir, keys, AUDIT_UNLOCKED, 0, NULL);
    audit_append(dir, NULL, AUDIT_ALARM, E_AUTH, NULL);      /* behind the head */
    flip_each_bit("audit", 0, SIZE_MAX);
    flip_each_bit("audit.head", 0, SIZE_MAX);
}
END_TEST

START_TEST(wherever_it_is_cut_in_front_of_the_head_it_is_found)
{
    struct audit_report r;
    size_t len, head;

    audit_append(dir, keys, AUDIT_VAULT_MADE, 0, NULL);
    audit_append(dir, keys, AUDIT_UNLOCKED, 0, NULL);
    free(contents("audit", &head));
    audit_append(dir, NULL, AUDIT_ALARM, E_AUTH, NULL);
    uint8_t *bytes = contents("audit", &len);
    int fd = openat(dir, "audit", O_RDWR);
    for (size_t cut = 0; cut < len; cut++) {
        ck_assert_int_eq(ftruncate(fd, (off_t)cut), 0);
        ck_assert_int_eq(harm(NULL, &r) == AUDIT_WHOLE, cut == head);
        ck_assert_int_eq(r.harm == AUDIT_INCOMPLETE, cut && bytes[cut - 1] != '\n');
        ck_assert_int_eq(pwrite(fd, bytes, len, 0), (ssize_t)len);
    }
    close(fd);
    free(bytes);
}
END_TEST

START_TEST(a_head_of_other_keys_is_forged)
{
    struct audit_report r;

    audit_append(dir, keys, AUDIT_VAULT_MADE, 0, NULL);
    ck_assert_int_eq(harm(NULL, &r), AUDIT_WHOLE);
    ck_assert_int_eq(harm(others, &r), AUDIT_HEAD_FORGED);
    audit_append(dir, others, AUDIT_UNLOCKED, 0, NULL);     /* notes it */
    ck_assert_int_eq(harm(others, &r), AUDIT_WHOLE);
    ck_assert_uint_eq(r.records, 4);
}
END_TEST

START_TEST(another_vaults_log_is_not_this_ones)
{
    const struct id128 other = { { 8 } };
    struct audit_report r;

    audit_append(dir, keys, AUDIT_VAULT_MADE, 0, NULL);
    ck_assert_int_eq(audit_read(dir, &other, NULL, NULL, NULL, &r), 0);
    ck_assert_int_eq(r.harm, AUDIT_BROKEN);
    ck_assert_uint_eq(r.line, 1);
}
END_TEST

START_TEST(what_cannot_be_noted_is_counted)
{
    struct audit_report r;

    ck_assert_int_eq(mkdirat(dir, "audit", 0700), 0);
    ck_assert_int_lt(audit_append(dir, NULL, AUDIT_ALARM, E_AUTH, NULL), 0);
    ck_assert_int_lt(audit_append(dir, NULL, AUDIT_ALARM, E_AUTH, NULL), 0);
    ck_assert_int_eq(unlinkat(dir, "audit", AT_REMOVEDIR), 0);
    errno = EXDEV;
    ck_assert_int_eq(audit_append(dir, NULL, AUDIT_MOUNTED, 0, NULL), 0);
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_int_eq(harm(NULL, &r), AUDIT_WHOLE);
    ck_assert_uint_eq(r.records, 3);
    ck_assert_int_eq(symlinkat("elsewhere", dir, "audit.head"), 0);
    ck_assert_int_eq(audit_append(dir, keys, AUDIT_UNLOCKED, 0, NULL), -ELOOP);
    ck_assert_int_eq(harm(keys, &r), AUDIT_HEAD_FORGED);
    ck_assert_int_ne(faccessat(dir, "elsewhere", F_OK, 0), 0);
}
END_TEST

START_TEST(whoever_holds_the_lock_holds_up_nobody_for_long)
{
    struct timespec before, after;
    struct audit_report r;

    ck_assert_int_eq(audit_append(dir, keys, AUDIT_MOUNTED, 0, NULL), 0);
    int other = openat(dir, "audit", O_RDONLY);
    ck_assert_int_eq(flock(other, LOCK_EX), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    ck_assert_int_eq(audit_append(dir, NULL, AUDIT_ALARM, E_AUTH, NULL), -EBUSY);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_le(after.tv_sec - before.tv_sec, 2);
    close(other);
    ck_assert_int_eq(audit_append(dir, keys, AUDIT_UNMOUNTED, 0, NULL), 0);
    ck_assert_int_eq(harm(keys, &r), AUDIT_WHOLE);
    ck_assert_uint_eq(r.records, 4);     /* log-begun, mounted, log-missed, unmounted */
}
END_TEST

START_TEST(a_record_has_one_form)
{
    static const char tail[] = ",\"hash\":\"00000000000000000000000000000000000000000000000000000000000000ff\"}";
    static const char *const good[] = {
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"init\",\"event\":\"log-begun\",\"outcome\":\"ok\"",
        "{\"seq\":18446744073709551615,\"time\":\"1970-01-01T00:00:00Z\",\"uid\":4294967295,\"by\":\"a-b\",\"event\":\"x\",\"outcome\":\"E_AUTH\",\"a_b\":0,\"c\":\"D.e:f-1\"",
    };
    static const char *const bad[] = {
        "{\"seq\":0,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\":01,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\": 1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\":1,\"time\":\"2026-02-30T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\":1,\"time\":\"2026-2-03T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":4294967296,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"E\",\"outcome\":\"ok\"",
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"o k\"",
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\",\"N\":1",
        "{\"seq\":1,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\",\"n\":-1",
        "{\"seq\":18446744073709551616,\"time\":\"2026-11-27T00:00:00Z\",\"uid\":0,\"by\":\"i\",\"event\":\"e\",\"outcome\":\"ok\"",
        "{}", "",
    };
    struct audit_record r;
    char line[2048];

    for (size_t k = 0; k < ARRAY_SIZE(good); k++) {
        int n = snprintf(line, sizeof line, "%s%s", good[k], tail);
        ck_assert_int_eq(audit_parse(line, (size_t)n, &r), 0);
        ck_assert_int_eq(audit_parse(line, (size_t)n - 1, &r), E_FORMAT);
        line[n] = ' ';
        ck_assert_int_eq(audit_parse(line, (size_t)n + 1, &r), E_FORMAT);
    }
    for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
        int n = snprintf(line, sizeof line, "%s%s", bad[k], tail);
        ck_assert_msg(audit_parse(line, (size_t)n, &r) == E_FORMAT, "%s", line);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("audit");
    TCase *t = tcase_create("audit");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, threads_and_processes_make_one_chain);
    tcase_add_test(t, whatever_bit_is_another_one_it_is_found);
    tcase_add_test(t, wherever_it_is_cut_in_front_of_the_head_it_is_found);
    tcase_add_test(t, a_head_of_other_keys_is_forged);
    tcase_add_test(t, another_vaults_log_is_not_this_ones);
    tcase_add_test(t, what_cannot_be_noted_is_counted);
    tcase_add_test(t, whoever_holds_the_lock_holds_up_nobody_for_long);
    tcase_add_test(t, a_record_has_one_form);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
