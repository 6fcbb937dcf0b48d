/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Log lines: one each, harmless whatever they say, and never the end of us.
 */
#include <check.h>
#include <ecluse/base.h>
#include <ecluse/log.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *file;

/* Standard error becomes a file that can be read back. */
static void set_up(void)
{
    file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
}

static void tear_down(void) { fclose(file); }

static const char *written(void)
{
    static char text[1 << 18];
    ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    ck_assert_int_eq(ftruncate(fileno(file), 0), 0);
    ck_assert_int_eq(lseek(fileno(file), 0, SEEK_SET), 0);
    return text;
}

START_TEST(a_line_is_the_text_and_a_newline)
{
    log_error("ECL-0123 segment %s: %d", "9f3a", 42);
    ck_assert_str_eq(written(), "ECL-0123 segment 9f3a: 42\n");
}
END_TEST

START_TEST(only_levels_up_to_the_chosen_one_are_written)
{
    log_info("before log_open");
    log_system(LOG_LEVEL_ERROR, "ECL-0000 test: for the system's log alone");
    ck_assert_str_eq(written(), "");
    log_open(LOG_TARGET_STDERR, LOG_LEVEL_INFO);
    log_error("e");
    log_warning("w");
    log_info("i");
    log_debug("d");
    ck_assert_str_eq(written(), "e\nw\ni\n");
    log_open(LOG_TARGET_STDERR, LOG_LEVEL_ERROR);
    log_warning("w");
    ck_assert_str_eq(written(), "");
    log_open(LOG_TARGET_STDERR, LOG_LEVEL_DEBUG);
    log_debug("d");
    ck_assert_str_eq(written(), "d\n");
}
END_TEST

START_TEST(what_could_control_a_terminal_or_forge_a_line_is_escaped)
{
    static const struct { const char *in, *out; } cases[] = {
        { "a\nECL-0001 forged", "a\\x0aECL-0001 forged\n" },
        { "\x1b[2J\r\t\x7f", "\\x1b[2J\\x0d\\x09\\x7f\n" },
        { "back\\x0a", "back\\\\x0a\n" },
        { "dépôt … 𝄞", "dépôt … 𝄞\n" },
        { "\xc2\x9b" "31m", "\\xc2\\x9b31m\n" },                /* CSI as one C1 character */
        { "\x9b", "\\x9b\n" }, { "\xff\xfe", "\\xff\\xfe\n" },
        { "\xc0\xaf", "\\xc0\\xaf\n" }, { "\xe0\x80\xaf", "\\xe0\\x80\\xaf\n" },
        { "\xed\xa0\x80", "\\xed\\xa0\\x80\n" }, { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80\n" },
        { "cut \xe2\x82", "cut \\xe2\\x82\n" }, { "", "\n" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        log_error("%s", cases[i].in);
        ck_assert_str_eq(written(), cases[i].out);
    }
}
END_TEST

START_TEST(a_long_text_is_cut_and_says_so)
{
    static char text[5000];
    memset(text, '\x01', sizeof text - 1);
    log_error("%s", text);
    const char *line = written();
    ck_assert_uint_eq(strlen(line), 1020 * 4 + 4);
    ck_assert_str_eq(line + strlen(line) - 8, "\\x01...\n");
}
END_TEST

START_TEST(errno_survives)
{
    errno = EXDEV;
    log_error("text");
    ck_assert_int_eq(errno, EXDEV);
    close(STDERR_FILENO);
    log_error("nobody sees this");
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(a_reader_that_went_away_does_not_kill_the_writer)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[0]);
    log_error("one");
    log_error("two");
    sigset_t pending;
    ck_assert_int_eq(sigpending(&pending), 0);
    ck_assert(!sigismember(&pending, SIGPIPE));
}
END_TEST

START_TEST(syslog_may_be_chosen_whether_or_not_it_runs)
{
    log_open(LOG_TARGET_SYSLOG, LOG_LEVEL_DEBUG);
    log_debug("ECL-0000 test of %s", "syslog\n");
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(json_has_what_the_line_tells)
{
    log_open(LOG_TARGET_JSON, LOG_LEVEL_INFO);
    log_vault("0123456789abcdef0123456789abcdef");
    log_error("ECL-0201 segment \"x\\y\x01\": %s", "E_AUTH");
    const char *line = written();
    ck_assert_int_eq(strncmp(line, "{\"time\":\"", 9), 0);
    ck_assert_ptr_nonnull(strstr(line, "\"level\":\"error\""));
    ck_assert_ptr_nonnull(strstr(line, "\"id\":\"ECL-0201\",\"vault\":\"0123456789abcdef0123456789abcdef\",\"error\":\"E_AUTH\","
                                       "\"message\":\"segment \\\"x\\\\\\\\y\\\\x01\\\": E_AUTH\"}\n"));
    log_info("neither id nor error, but E");
    line = written();
    ck_assert_ptr_null(strstr(line, "\"id\""));
    ck_assert_ptr_null(strstr(line, "\"error\""));
    log_debug("not at this level");
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(targets_have_names)
{
    enum log_target t = LOG_TARGET_UNSAID;
    ck_assert(log_target_parse("journal", &t) && t == LOG_TARGET_JOURNAL);
    ck_assert(log_target_parse("stderr", &t) && t == LOG_TARGET_STDERR);
    ck_assert(!log_target_parse("", &t) && !log_target_parse("Journal", &t) && t == LOG_TARGET_STDERR);
}
END_TEST

/* A syslog that reads when it is told, at /dev/log of this process' own. */
static int own_syslog(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(mount("none", "/dev", "tmpfs", 0, NULL), 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

START_TEST(lost_lines_are_counted_even_when_the_count_is_lost)
{
    char line[2048];
    ssize_t n;

    if (geteuid() != 0)
        return;
    int fd = own_syslog(), taken = 0;
    log_open(LOG_TARGET_SYSLOG, LOG_LEVEL_INFO);
    for (int k = 0; k < 1000; k++)
        log_info("ECL-0000 line");
    ck_assert_int_gt(recv(fd, line, sizeof line, 0), 0);
    log_info("ECL-0000 there is room for this one alone");
    for (taken = 1; recv(fd, line, sizeof line, 0) > 0; taken++)
        ;
    log_info("ECL-0000 line");
    ck_assert_int_gt(recv(fd, line, sizeof line, 0), 0);
    n = recv(fd, line, sizeof line - 1, 0);
    ck_assert_int_gt(n, 0);
    line[n] = '\0';
    const char *told = strstr(line, "ECL-0712 ");
    ck_assert_ptr_nonnull(told);
    ck_assert_int_eq(atoi(told + strlen("ECL-0712 ")), 1001 - taken);
}
END_TEST

static void *chatter(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_error("%s %s %s", (char *)arg, (char *)arg, (char *)arg);
    return NULL;
}

START_TEST(lines_of_several_threads_stay_whole)
{
    static char names[4][9] = { "aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd" };
    pthread_t threads[4];
    int lines = 0;
    fcntl(fileno(file), F_SETFL, O_APPEND);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, chatter, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (const char *p = written(); *p; p += 27, lines++) {
        ck_assert_int_eq(p[26], '\n');
        ck_assert_int_eq(p[0], p[25]);
    }
    ck_assert_int_eq(lines, 2000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_line_is_the_text_and_a_newline);
    tcase_add_test(t, only_levels_up_to_the_chosen_one_are_written);
    tcase_add_test(t, what_could_control_a_terminal_or_forge_a_line_is_escaped);
    tcase_add_test(t, a_long_text_is_cut_and_says_so);
    tcase_add_test(t, errno_survives);
    tcase_add_test(t, a_reader_that_went_away_does_not_kill_the_writer);
    tcase_add_test(t, syslog_may_be_chosen_whether_or_not_it_runs);
    tcase_add_test(t, lost_lines_are_counted_even_when_the_count_is_lost);
    tcase_add_test(t, json_has_what_the_line_tells);
    tcase_add_test(t, targets_have_names);
    tcase_add_test(t, lines_of_several_threads_stay_whole);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
