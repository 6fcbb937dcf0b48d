/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Durable I/O: whole or an error, never over something that exists, never
 * through a link; and, in builds with faults, what each injected one leaves.
 */
#include <check.h>
#include <dirent.h>
#include <ecluse/base.h>
#include <ecluse/io.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static int dirfd_ = -1;

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/ecluse-io-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dirfd_, 0);
    ck_assert_int_eq(chdir(dir), 0);
}

static void tear_down(void)
{
    char command[128];
    close(dirfd_);
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
}

static void holds(const char *name, const char *text)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    ck_assert_int_eq(io_read_file(dirfd_, name, 1 << 20, &bytes, &len), 0);
    ck_assert_uint_eq(len, strlen(text));
    ck_assert_str_eq((char *)bytes, text);
    free(bytes);
}

static int entries(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

static int replace(const char *name, const char *text)
{
    return io_replace_file(dirfd_, name, text, strlen(text), FAULT_other);
}

/* --- reading and writing -------------------------------------------------------- */

START_TEST(what_was_written_at_an_offset_is_read_back_exactly)
{
    static uint8_t out[300000], in[300000];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(io_write_at(fd, out, sizeof out, 12345, FAULT_other), 0);
    ck_assert_int_eq(io_sync(fd, FAULT_other), 0);
    ck_assert_int_eq(io_read_at(fd, in, sizeof in, 12345), 0);
    ck_assert_mem_eq(in, out, sizeof out);
    ck_assert_int_eq(io_write_at(fd, NULL, 0, 5, FAULT_other), 0);
    ck_assert_int_eq(io_read_at(fd, in, 0, 1 << 30), 0);
    close(fd);
}
END_TEST

START_TEST(a_read_past_the_end_is_an_error_not_a_short_result)
{
    char bytes[16];
    put("f", "0123456789");
    int fd = open("f", O_RDONLY);
    ck_assert_int_eq(io_read_at(fd, bytes, 10, 0), 0);
    ck_assert_int_eq(io_read_at(fd, bytes, 11, 0), -ENODATA);
    ck_assert_int_eq(io_read_at(fd, bytes, 1, 10), -ENODATA);
    ck_assert_int_eq(io_read_at(fd, bytes, 1, UINT64_MAX), -ENODATA);
    ck_assert_int_eq(io_write_at(fd, bytes, 1, UINT64_MAX, FAULT_other), -EFBIG);
    ck_assert_int_eq(io_write_at(fd, bytes, 1, 0, FAULT_other), -EBADF);
    close(fd);
    ck_assert_int_eq(io_read_at(fd, bytes, 1, 0), -EBADF);
    ck_assert_int_eq(io_sync(fd, FAULT_other), -EBADF);
}
END_TEST

START_TEST(a_write_that_the_system_cuts_short_is_an_error)
{
    static uint8_t bytes[100000];
    struct rlimit limit = { 65536, 65536 };
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(io_write_at(fd, bytes, sizeof bytes, 0, FAULT_other), -EFBIG);
    ck_assert_int_eq(io_replace_file(dirfd_, "g", bytes, sizeof bytes, FAULT_other), -EFBIG);
    close(fd);
    ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(directories_sync_by_descriptor_and_by_path)
{
    ck_assert_int_eq(io_sync_dir(dirfd_, FAULT_other), 0);
    ck_assert_int_eq(io_sync_dir_path(dir, FAULT_other), 0);
    ck_assert_int_eq(io_sync_dir_path("absent", FAULT_other), -ENOENT);
    put("f", "");
    ck_assert_int_eq(io_sync_dir_path("f", FAULT_other), -ENOTDIR);
}
END_TEST

/* --- renaming and replacing ----------------------------------------------------- */

START_TEST(a_rename_never_replaces)
{
    put("a", "new");
    put("b", "old");
    ck_assert_int_eq(io_rename_new(dirfd_, "a", dirfd_, "b", FAULT_other), -EEXIST);
    holds("b", "old");
    ck_assert_int_eq(symlink("nowhere", "c"), 0);
    ck_assert_int_eq(io_rename_new(dirfd_, "a", dirfd_, "c", FAULT_other), -EEXIST);
    ck_assert_int_eq(io_rename_new(dirfd_, "a", dirfd_, "d", FAULT_other), 0);
    holds("d", "new");
    ck_assert_int_eq(io_rename_new(dirfd_, "a", dirfd_, "e", FAULT_other), -ENOENT);
}
END_TEST

START_TEST(a_replaced_file_is_private_and_leaves_no_temporary)
{
    struct stat st;
    umask(0);
    ck_assert_int_eq(replace("f", "one"), 0);
    ck_assert_int_eq(replace("f", "two, longer"), 0);
    holds("f", "two, longer");
    ck_assert_int_eq(replace("f", ""), 0);
    holds("f", "");
    ck_assert_int_eq(stat("f", &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(replacing_a_link_leaves_its_target_alone)
{
    put("target", "untouched");
    ck_assert_int_eq(symlink("target", "f"), 0);
    ck_assert_int_eq(replace("f", "mine"), 0);
    holds("target", "untouched");
    holds("f", "mine");
}
END_TEST

START_TEST(a_replacement_that_fails_keeps_the_old_and_cleans_up)
{
    char name[300];
    ck_assert_int_eq(mkdir("d", 0700), 0);
    ck_assert_int_eq(replace("d", "text"), -EISDIR);
    ck_assert_int_eq(entries(), 1);
    ck_assert_int_eq(replace("d/f", "text"), -EINVAL);
    ck_assert_int_eq(replace("", "text"), -EINVAL);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(replace(name, "text"), -ENAMETOOLONG);
    ck_assert_int_eq(entries(), 1);
}
END_TEST

/* --- reading whole files -------------------------------------------------------- */

START_TEST(a_file_up_to_the_limit_is_read_and_a_larger_one_refused)
{
    static char text[20001];
    uint8_t *bytes = NULL;
    size_t len = 0;
    static const size_t sizes[] = { 1, 4095, 4096, 4097, 20000 };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        memset(text, 'x', sizes[i]);
        text[sizes[i]] = '\0';
        put("f", text);
        ck_assert_int_eq(io_read_file(dirfd_, "f", sizes[i], &bytes, &len), 0);
        ck_assert_uint_eq(len, sizes[i]);
        ck_assert_mem_eq(bytes, text, len + 1);
        free(bytes);
        ck_assert_int_eq(io_read_file(dirfd_, "f", sizes[i] - 1, &bytes, &len), -EFBIG);
        holds("f", text);
    }
    put("f", "");
    ck_assert_int_eq(io_read_file(dirfd_, "f", 0, &bytes, &len), 0);
    ck_assert_uint_eq(len, 0);
    free(bytes);
}
END_TEST

START_TEST(a_file_that_claims_to_be_empty_is_read_to_its_end)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    int proc = open("/proc/self", O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(io_read_file(proc, "limits", 1 << 20, &bytes, &len), 0);
    ck_assert_uint_gt(len, 100);
    free(bytes);
    ck_assert_int_eq(io_read_file(proc, "limits", 100, &bytes, &len), -EFBIG);
    ck_assert_int_eq(io_read_file(proc, "smaps", 8 << 20, &bytes, &len), 0);   /* grows several times */
    ck_assert_uint_gt(len, 8192);
    ck_assert_uint_eq(strlen((char *)bytes), len);
    free(bytes);
    close(proc);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_at_once)
{
    uint8_t *bytes = NULL;
    size_t len;
    put("f", "text");
    ck_assert_int_eq(symlink("f", "link"), 0);
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    ck_assert_int_eq(mkdir("d", 0700), 0);
    ck_assert_int_eq(io_read_file(dirfd_, "link", 100, &bytes, &len), -ELOOP);
    ck_assert_int_eq(io_read_file(dirfd_, "fifo", 100, &bytes, &len), -EINVAL);
    ck_assert_int_eq(io_read_file(dirfd_, "d", 100, &bytes, &len), -EISDIR);
    ck_assert_int_eq(io_read_file(dirfd_, "absent", 100, &bytes, &len), -ENOENT);
    ck_assert_int_eq(truncate("f", 1ll << 40), 0);
    ck_assert_int_eq(io_read_file(dirfd_, "f", 100, &bytes, &len), -EFBIG);
    ck_assert_ptr_null(bytes);
}
END_TEST

/* --- directories ---------------------------------------------------------------- */

START_TEST(missing_directories_are_made_and_existing_ones_kept)
{
    char path[128];
    struct stat st;
    umask(0);
    snprintf(path, sizeof path, "%s/a/b//c/", dir);
    ck_assert_int_eq(io_make_dirs(path, 0700), 0);
    ck_assert_int_eq(io_make_dirs(path, 0755), 0);
    ck_assert_int_eq(stat("a/b/c", &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(io_make_dirs("x/y", 0700), 0);
    ck_assert_int_eq(stat("x/y", &st), 0);
    ck_assert_int_eq(io_make_dirs("/", 0700), 0);
    ck_assert_int_eq(io_make_dirs("", 0700), -ENOENT);
    ck_assert_int_eq(symlink("a", "link"), 0);
    ck_assert_int_eq(io_make_dirs("link/b/d", 0700), 0);
    ck_assert_int_eq(stat("a/b/d", &st), 0);
}
END_TEST

START_TEST(a_file_in_the_way_of_a_directory_is_an_error)
{
    put("f", "");
    ck_assert_int_eq(io_make_dirs("f", 0700), -ENOTDIR);
    ck_assert_int_eq(io_make_dirs("f/g", 0700), -ENOTDIR);
    ck_assert_int_eq(symlink("nowhere", "dangling"), 0);
    ck_assert_int_lt(io_make_dirs("dangling/g", 0700), 0);
    ck_assert_int_lt(io_make_dirs("/proc/ecluse-cannot-be-made", 0700), 0);
}
END_TEST

/* --- faults --------------------------------------------------------------------- */

#ifdef ECLUSE_FAULTS

/* Replaces f in a child of its own with the fault; its exit code, or 1000 and
 * the signal. */
static int replace_under(const char *fault, const char *text, enum fault_point point)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        setenv("ECLUSE_FAULT", fault, 1);
        int rc = io_replace_file(dirfd_, "f", text, strlen(text), point);
        _exit(rc ? -rc : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The environment is read at a process's first passage, which must be the child's. */
static void write_plainly(const char *name, const char *text)
{
    int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

START_TEST(an_error_at_any_step_of_a_replacement_leaves_old_or_new_and_no_temporary)
{
    char fault[64];
    for (int step = 1; step <= 5; step++) {
        write_plainly("f", "old");
        snprintf(fault, sizeof fault, "init:EIO:%d", step);
        ck_assert_int_eq(replace_under(fault, "new", FAULT_init), step < 5 ? EIO : 0);
        holds("f", step < 4 ? "old" : "new");
        ck_assert_int_eq(entries(), 1);
    }
}
END_TEST

START_TEST(a_kill_at_any_step_of_a_replacement_leaves_old_or_new)
{
    char fault[64];
    for (int step = 1; step <= 4; step++) {
        write_plainly("f", "old");
        snprintf(fault, sizeof fault, "init:kill:%d", step);
        ck_assert_int_eq(replace_under(fault, "new", FAULT_init), 1000 + SIGKILL);
        holds("f", step < 4 ? "old" : "new");
    }
    ck_assert_int_eq(replace_under("keyring_rename:kill", "new", FAULT_keyring_write), 1000 + SIGKILL);
    ck_assert_int_eq(replace_under("keyring_write:torn", "new", FAULT_keyring_write), 1000 + SIGKILL);
}
END_TEST

START_TEST(a_short_write_lands_by_half_and_reports_no_space)
{
    char bytes[8] = "";
    setenv("ECLUSE_FAULT", "segment_append:short:2,*:delay=1:*", 1);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(io_write_at(fd, "abcd", 4, 0, FAULT_segment_append), 0);
    ck_assert_int_eq(io_write_at(fd, "efgh", 4, 4, FAULT_segment_append), -ENOSPC);
    ck_assert_int_eq(io_read_at(fd, bytes, 7, 0), -ENODATA);
    ck_assert_int_eq(io_read_at(fd, bytes, 6, 0), 0);
    ck_assert_str_eq(bytes, "abcdef");
    ck_assert_int_eq(io_write_at(fd, "efgh", 4, 4, FAULT_segment_append), 0);
    close(fd);
}
END_TEST

START_TEST(the_nth_passage_from_the_nth_and_every_one_are_told_apart)
{
    setenv("ECLUSE_FAULT", "commit:EMFILE:2,intent:ENOMEM:2+,ballast:EIO:*", 1);
    static const int commit[] = { 0, -EMFILE, 0, 0 }, intent[] = { 0, -ENOMEM, -ENOMEM, -ENOMEM };
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(fault_hit(FAULT_commit), commit[i]);
        ck_assert_int_eq(fault_hit(FAULT_intent), intent[i]);
        ck_assert_int_eq(fault_hit(FAULT_ballast), -EIO);
        ck_assert_int_eq(fault_hit(FAULT_other), 0);
    }
}
END_TEST

START_TEST(an_interrupted_step_is_made_again)
{
    setenv("ECLUSE_FAULT", "*:EINTR:*", 1);
    ck_assert_int_eq(replace("f", "text"), 0);
    holds("f", "text");
    put("g", "");
    ck_assert_int_eq(io_rename_new(dirfd_, "g", dirfd_, "h", FAULT_store_rename), 0);
}
END_TEST

START_TEST(each_point_is_logged_once_when_first_passed)
{
    char log[128];
    snprintf(log, sizeof log, "%s/log", dir);
    setenv("ECLUSE_FAULT_LOG", log, 1);
    fault_hit(FAULT_commit);
    fault_hit(FAULT_intent);
    fault_hit(FAULT_commit);
    holds("log", "commit\nintent\n");
}
END_TEST

static const char *const unreadable[] = {
    "comit:EIO", "commit", "commit:", "commit:ENOTANERROR", "commit:EIO:0", "commit:EIO:x", "commit:EIO:1:2",
    "commit:delay=", "commit:EIO:2-", "commit:EIO:",
};

START_TEST(a_fault_that_cannot_be_read_ends_the_process)
{
    setenv("ECLUSE_FAULT", unreadable[_i], 1);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    fault_hit(FAULT_other);
}
END_TEST

static void add_faults(TCase *t)
{
    tcase_add_test(t, an_error_at_any_step_of_a_replacement_leaves_old_or_new_and_no_temporary);
    tcase_add_test(t, a_kill_at_any_step_of_a_replacement_leaves_old_or_new);
    tcase_add_test(t, a_short_write_lands_by_half_and_reports_no_space);
    tcase_add_test(t, the_nth_passage_from_the_nth_and_every_one_are_told_apart);
    tcase_add_test(t, an_interrupted_step_is_made_again);
    tcase_add_test(t, each_point_is_logged_once_when_first_passed);
    tcase_add_loop_test_raise_signal(t, a_fault_that_cannot_be_read_ends_the_process, SIGABRT, 0,
                                     ARRAY_SIZE(unreadable));
}
#else
static void add_faults(TCase *t) { (void)t; }
#endif

int main(void)
{
    Suite *s = suite_create("io");
    TCase *t = tcase_create("io");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, what_was_written_at_an_offset_is_read_back_exactly);
    tcase_add_test(t, a_read_past_the_end_is_an_error_not_a_short_result);
    tcase_add_test(t, a_write_that_the_system_cuts_short_is_an_error);
    tcase_add_test(t, directories_sync_by_descriptor_and_by_path);
    tcase_add_test(t, a_rename_never_replaces);
    tcase_add_test(t, a_replaced_file_is_private_and_leaves_no_temporary);
    tcase_add_test(t, replacing_a_link_leaves_its_target_alone);
    tcase_add_test(t, a_replacement_that_fails_keeps_the_old_and_cleans_up);
    tcase_add_test(t, a_file_up_to_the_limit_is_read_and_a_larger_one_refused);
    tcase_add_test(t, a_file_that_claims_to_be_empty_is_read_to_its_end);
    tcase_add_test(t, what_is_no_regular_file_is_refused_at_once);
    tcase_add_test(t, missing_directories_are_made_and_existing_ones_kept);
    tcase_add_test(t, a_file_in_the_way_of_a_directory_is_an_error);
    add_faults(t);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
