/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The state directory: found where it should be, opened by one at a time, and
 * never taken for what it is not.
 */
#include <check.h>
#include <ecluse/error.h>
#include <ecluse/journal.h>
#include <ecluse/rebuild.h>
#include <ecluse/state.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct id128 vault = { { 1, 2, 3 } }, other_vault = { { 4 } };
static uint8_t recovery[KEY_SIZE];
static char top[64], path[128], copy[128];

static void run(const char *format, const char *a, const char *b)
{
    char command[400];
    snprintf(command, sizeof command, format, a, b);
    ck_assert_int_eq(system(command), 0);
}

static void make_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

/* As long as it has to be, and without meaning. */
static void make_long(int dir, const char *name, off_t size)
{
    make_file(dir, name);
    int fd = openat(dir, name, O_RDWR);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    close(fd);
}

/* A state as vault_create leaves it, without content. */
static void set_up(void)
{
    struct keyring *k = NULL;
    struct state s;

    ck_assert_int_eq(crypto_start(), 0);
    snprintf(top, sizeof top, "/tmp/ecluse-state-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(path, sizeof path, "%s/state", top);
    snprintf(copy, sizeof copy, "%s/copy", top);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(mkdirat(dir, "staging", 0700), 0);
    make_file(dir, "lock");
    make_long(dir, "index.db", 4096);
    make_long(dir, "index.db-wal", 32);
    make_long(dir, "journal", JOURNAL_SIZE);
    recovery_generate(recovery);
    ck_assert_int_eq(keyring_create(&k, &vault, SUITE_AES_256_GCM, recovery), 0);
    ck_assert_int_eq(keyring_set_slot(k, 0, SLOT_RECOVERY, recovery, KEY_SIZE, KDF_FLOOR), 0);
    ck_assert_int_eq(keyring_save(k, dir, "keyring"), 0);
    keyring_free(k);
    close(dir);
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    ck_assert(s.cloned);
    ck_assert_int_eq(state_adopt(&s), 0);
    ck_assert(!s.cloned);
    state_close(&s);
}

static void tear_down(void) { run("rm -rf '%s'%s", top, ""); }

static int open_and_close(const char *p, bool *cloned)
{
    struct state s;
    int rc = state_open(&s, p, &vault);
    *cloned = !rc && s.cloned;
    if (!rc)
        state_close(&s);
    return rc;
}

static void expect(const char *p, int result, bool expect_cloned)
{
    bool cloned;
    ck_assert_int_eq(open_and_close(p, &cloned), result);
    ck_assert_int_eq(cloned, expect_cloned);
}

static void remove_below(const char *name)
{
    char p[200];
    snprintf(p, sizeof p, "%s/%s", path, name);
    ck_assert_int_eq(remove(p), 0);
}

START_TEST(an_adopted_state_opens_again_and_again)
{
    struct state s;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(state_open(&s, path, &vault), 0);
        ck_assert(!s.cloned);
        ck_assert_str_eq(s.path, path);
        ck_assert_int_eq(faccessat(s.dir, "keyring", F_OK, 0), 0);
        ck_assert(id_equal(keyring_vault(s.keys), &vault));
        ck_assert_int_eq(keyring_unlock(s.keys, SLOT_RECOVERY, recovery, KEY_SIZE), 0);
        struct stat a, b;
        ck_assert_int_eq(fstat(s.staging, &a), 0);
        ck_assert_int_eq(fstatat(s.dir, "staging", &b, 0), 0);
        ck_assert_uint_eq(a.st_ino, b.st_ino);
        state_close(&s);
        state_close(&s);   /* harmless */
    }
}
END_TEST

START_TEST(opening_changes_nothing_on_disk)
{
    run("cd '%s' && find . -type f -exec sha256sum {} + | sort > '%s/../before'", path, path);
    run("cp -a '%s' '%s'", path, copy);
    expect(path, 0, false);
    expect(copy, 0, true);
    expect(copy, 0, true);
    run("cd '%s' && sha256sum --quiet -c '%s/../before'", path, path);
    run("cd '%s' && sha256sum --quiet -c '%s/../before'", copy, path);
}
END_TEST

START_TEST(a_state_is_used_by_one_at_a_time)
{
    struct state s;
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    expect(path, E_STATE_IN_USE, false);
    state_close(&s);
    expect(path, 0, false);
}
END_TEST

/* The command line forks the daemon and ends. */
START_TEST(the_lock_passes_to_a_child_and_dies_with_it)
{
    struct state s;
    int hold[2], status;

    ck_assert_int_eq(pipe(hold), 0);
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(hold[0]);
    state_close(&s);
    expect(path, E_STATE_IN_USE, false);
    close(hold[1]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    expect(path, 0, false);
}
END_TEST

START_TEST(a_copy_is_a_clone_and_the_original_is_not)
{
    run("cp -a '%s' '%s'", path, copy);
    expect(copy, 0, true);
    expect(path, 0, false);
}
END_TEST

START_TEST(a_state_restored_in_place_is_a_clone)
{
    run("cp -a '%s' '%s'", path, copy);
    run("rm -rf '%s'%s", path, "");
    run("cp -a '%s' '%s'", copy, path);
    expect(path, 0, true);
}
END_TEST

START_TEST(a_restored_lock_file_is_a_clone)
{
    run("cp -a '%s/lock' '%s'", path, copy);
    run("cp -a --remove-destination '%s' '%s/lock'", copy, path);
    expect(path, 0, true);
}
END_TEST

START_TEST(a_lock_moved_into_another_directory_is_a_clone)
{
    run("cp -a '%s' '%s'", path, copy);
    run("mv '%s/lock' '%s/lock'", path, copy);
    expect(copy, 0, true);
}
END_TEST

START_TEST(a_renamed_state_is_the_same_state)
{
    ck_assert_int_eq(rename(path, copy), 0);
    expect(copy, 0, false);
}
END_TEST

START_TEST(an_adopted_clone_is_one_no_longer)
{
    struct state s;
    run("cp -a '%s' '%s'", path, copy);
    ck_assert_int_eq(state_open(&s, copy, &vault), 0);
    ck_assert(s.cloned);
    ck_assert_int_eq(state_adopt(&s), 0);
    ck_assert(!s.cloned);
    state_close(&s);
    expect(copy, 0, false);
    expect(path, 0, false);
}
END_TEST

START_TEST(a_disowned_state_is_a_clone_until_it_is_adopted)
{
    struct state s;
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    ck_assert_int_eq(state_disown(&s), 0);
    ck_assert(s.cloned);
    state_close(&s);
    expect(path, 0, true);
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    ck_assert_int_eq(state_adopt(&s), 0);
    state_close(&s);
    expect(path, 0, false);
}
END_TEST

START_TEST(any_changed_byte_or_length_of_the_lock_is_a_clone)
{
    uint8_t bytes[200];
    char lock[200];
    struct stat st;

    snprintf(lock, sizeof lock, "%s/lock", path);
    int fd = open(lock, O_RDWR);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(read(fd, bytes, sizeof bytes), (int)st.st_size);
    for (off_t at = 0; at < st.st_size; at++) {
        bytes[at] ^= 0x40;
        ck_assert_int_eq(pwrite(fd, bytes + at, 1, at), 1);
        expect(path, 0, true);
        bytes[at] ^= 0x40;
        ck_assert_int_eq(pwrite(fd, bytes + at, 1, at), 1);
    }
    expect(path, 0, false);
    ck_assert_int_eq(ftruncate(fd, st.st_size + 1), 0);
    expect(path, 0, true);
    ck_assert_int_eq(ftruncate(fd, 3), 0);
    expect(path, 0, true);
    struct state s;
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    ck_assert_int_eq(state_adopt(&s), 0);
    state_close(&s);
    expect(path, 0, false);
    close(fd);
}
END_TEST

START_TEST(the_lock_does_not_tell_the_machine_id)
{
    char id[33] = { 0 };
    uint8_t bytes[200];
    char lock[200];

    int fd = open("/etc/machine-id", O_RDONLY);
    if (fd < 0 || read(fd, id, 32) != 32)
        return;
    close(fd);
    snprintf(lock, sizeof lock, "%s/lock", path);
    fd = open(lock, O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    ck_assert_ptr_null(memmem(bytes, (size_t)n, id, 16));
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    expect(copy, E_STATE_MISSING, false);
    remove_below("staging");
    expect(path, E_STATE_DAMAGED, false);
    run("mkdir -m 700 '%s/staging'%s", path, "");
    remove_below("keyring");
    expect(path, E_KEYRING, false);
    remove_below("lock");
    expect(path, E_STATE_DAMAGED, false);
}
END_TEST

START_TEST(a_damaged_keyring_is_named)
{
    run("printf x >> '%s/keyring'%s", path, "");
    expect(path, E_KEYRING, false);
}
END_TEST

START_TEST(another_vaults_state_is_foreign)
{
    struct state s;
    ck_assert_int_eq(state_open(&s, path, &other_vault), E_STATE_FOREIGN);
    expect(path, 0, false);
}
END_TEST

START_TEST(modes_that_let_others_in_are_refused)
{
    static const mode_t modes[] = { 0755, 0750, 0701, 0710, 0777 };
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        ck_assert_int_eq(chmod(path, modes[i]), 0);
        expect(path, -EACCES, false);
    }
    ck_assert_int_eq(chmod(path, 0700), 0);
    run("chmod 644 '%s/lock'%s", path, "");
    expect(path, -EACCES, false);
    run("chmod 600 '%s/lock'%s", path, "");
    run("chmod 755 '%s/staging'%s", path, "");
    expect(path, -EACCES, false);
}
END_TEST

START_TEST(somebody_elses_state_is_refused)
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chown(path, 12345, 12345), 0);
    expect(path, -EACCES, false);
}
END_TEST

START_TEST(symbolic_links_are_not_followed)
{
    char slash[140];
    ck_assert_int_eq(symlink(path, copy), 0);
    expect(copy, E_STATE_DAMAGED, false);
    snprintf(slash, sizeof slash, "%s//", copy);
    expect(slash, E_STATE_DAMAGED, false);
}
END_TEST

START_TEST(links_and_fifos_inside_are_refused)
{
    run("cd '%s' && mv staging '%s.s' && ln -s ../state.s staging", path, path);
    expect(path, E_STATE_DAMAGED, false);
    run("cd '%s' && rm staging && mv '%s.s' staging", path, path);
    run("cd '%s' && mv keyring '%s.k' && ln -s ../state.k keyring", path, path);
    expect(path, E_KEYRING, false);
    run("cd '%s' && rm keyring && mkfifo keyring%s", path, "");
    expect(path, E_KEYRING, false);
    run("cd '%s' && mv lock '%s.l' && ln -s ../state.l lock", path, path);
    expect(path, E_STATE_DAMAGED, false);
    run("cd '%s' && rm lock && mkfifo -m 600 lock%s", path, "");
    expect(path, E_STATE_DAMAGED, false);
    run("cd '%s' && rm lock && mkdir lock%s", path, "");
    expect(path, E_STATE_DAMAGED, false);
}
END_TEST

static void expect_damage(int result, const char *what)
{
    struct state s;
    ck_assert_int_eq(state_open(&s, path, &vault), result);
    ck_assert_str_eq(s.damaged, what);
    ck_assert_int_eq(state_open_damaged(&s, path, &vault), 0);
    ck_assert_int_ge(s.dir, 0);
    ck_assert_int_eq(s.keys == NULL, result == E_KEYRING);
    ck_assert_int_eq(s.staging < 0, strcmp(what, "staging") == 0);
    ck_assert_int_eq(s.lock < 0, strcmp(what, "lock") == 0);
    state_close(&s);
}

START_TEST(what_is_missing_or_short_is_named_and_opens_as_damaged)
{
    static const char *const names[] = { "lock", "keyring", "staging", "index.db", "index.db-wal", "journal" };
    static const struct { const char *name; off_t size; } cuts[] = {
        { "index.db", 0 }, { "index.db-wal", 31 }, { "journal", JOURNAL_SIZE - 1 } };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        run("cd '%s' && mv %s ../moved", path, names[k]);
        expect_damage(strcmp(names[k], "keyring") ? E_STATE_DAMAGED : E_KEYRING, names[k]);
        run("cd '%s' && mv ../moved %s", path, names[k]);
        expect(path, 0, false);
    }
    for (size_t k = 0; k < ARRAY_SIZE(cuts); k++) {
        char p[200];
        struct stat st;
        snprintf(p, sizeof p, "%s/%s", path, cuts[k].name);
        ck_assert_int_eq(stat(p, &st), 0);
        ck_assert_int_eq(truncate(p, cuts[k].size), 0);
        expect_damage(E_STATE_DAMAGED, cuts[k].name);
        ck_assert_int_eq(truncate(p, st.st_size), 0);
        expect(path, 0, false);
    }
}
END_TEST

START_TEST(damage_that_was_found_while_mounted_is_remembered)
{
    struct state s;
    ck_assert_int_eq(state_open(&s, path, &vault), 0);
    state_mark_damaged(&s, "index.db");
    state_close(&s);
    expect_damage(E_STATE_DAMAGED, "index.db");
    expect_damage(E_STATE_DAMAGED, "index.db");
    remove_below("damaged");
    expect(path, 0, false);
}
END_TEST

START_TEST(a_state_that_was_put_aside_comes_back)
{
    struct state s;
    run("mv '%s' '%s/.state.old'", path, top);
    expect(path, E_STATE_MISSING, false);
    ck_assert_int_eq(state_open_damaged(&s, path, &vault), 0);
    state_close(&s);
    expect(path, 0, false);
}
END_TEST

START_TEST(paths_follow_the_environment)
{
    char out[PATH_MAX], expected[PATH_MAX], id[ID_TEXT], *deep = malloc(2 * PATH_MAX);
    id_format(&vault, id);

    ck_assert_int_eq(state_path(out, "/some/where", &vault), 0);
    snprintf(expected, sizeof expected, "/some/where/%s", id);
    ck_assert_str_eq(out, expected);
    memset(deep, 'a', 2 * PATH_MAX);
    deep[PATH_MAX - 20] = '\0';
    ck_assert_int_eq(state_path(out, deep, &vault), -ENAMETOOLONG);
    free(deep);

    setenv("XDG_STATE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    if (geteuid() == 0) {
        ck_assert_int_eq(state_path(out, NULL, &vault), 0);
        snprintf(expected, sizeof expected, "/var/lib/ecluse/%s", id);
        ck_assert_str_eq(out, expected);
        ck_assert_int_eq(seteuid(12345), 0);
    }
    ck_assert_int_eq(state_path(out, NULL, &vault), 0);
    snprintf(expected, sizeof expected, "/x/ecluse/%s", id);
    ck_assert_str_eq(out, expected);
    setenv("XDG_STATE_HOME", "relative", 1);
    ck_assert_int_eq(state_path(out, NULL, &vault), 0);
    snprintf(expected, sizeof expected, "/h/.local/state/ecluse/%s", id);
    ck_assert_str_eq(out, expected);
    unsetenv("HOME");
    if (getuid() == 0) {
        ck_assert_int_eq(state_path(out, NULL, &vault), -ENOENT);
        ck_assert_int_eq(seteuid(0), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("state");
    TCase *t = tcase_create("state");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, an_adopted_state_opens_again_and_again);
    tcase_add_test(t, opening_changes_nothing_on_disk);
    tcase_add_test(t, a_state_is_used_by_one_at_a_time);
    tcase_add_test(t, the_lock_passes_to_a_child_and_dies_with_it);
    tcase_add_test(t, a_copy_is_a_clone_and_the_original_is_not);
    tcase_add_test(t, a_state_restored_in_place_is_a_clone);
    tcase_add_test(t, a_restored_lock_file_is_a_clone);
    tcase_add_test(t, a_lock_moved_into_another_directory_is_a_clone);
    tcase_add_test(t, a_renamed_state_is_the_same_state);
    tcase_add_test(t, an_adopted_clone_is_one_no_longer);
    tcase_add_test(t, a_disowned_state_is_a_clone_until_it_is_adopted);
    tcase_add_test(t, any_changed_byte_or_length_of_the_lock_is_a_clone);
    tcase_add_test(t, the_lock_does_not_tell_the_machine_id);
    tcase_add_test(t, what_is_missing_is_named);
    tcase_add_test(t, a_damaged_keyring_is_named);
    tcase_add_test(t, another_vaults_state_is_foreign);
    tcase_add_test(t, modes_that_let_others_in_are_refused);
    tcase_add_test(t, somebody_elses_state_is_refused);
    tcase_add_test(t, symbolic_links_are_not_followed);
    tcase_add_test(t, links_and_fifos_inside_are_refused);
    tcase_add_test(t, what_is_missing_or_short_is_named_and_opens_as_damaged);
    tcase_add_test(t, damage_that_was_found_while_mounted_is_remembered);
    tcase_add_test(t, a_state_that_was_put_aside_comes_back);
    tcase_add_test(t, paths_follow_the_environment);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
