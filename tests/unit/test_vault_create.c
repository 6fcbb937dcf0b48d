/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The beginning of a vault: afterwards everything opens, or nothing is there.
 */
#include <check.h>
#include <ecluse/error.h>
#include <ecluse/index.h>
#include <ecluse/state.h>
#include <ecluse/store.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const char passphrase[] = "correct horse";
static char top[64], store_dir[128], base[128], state_dir[200];
static uint8_t recovery[KEY_SIZE];
static struct id128 vault;
static struct vault_options options;

static void run(const char *format, const char *a)
{
    char command[400];
    snprintf(command, sizeof command, format, a);
    ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
    ck_assert_int_eq(crypto_start(), 0);
    snprintf(top, sizeof top, "/tmp/ecluse-create-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(store_dir, sizeof store_dir, "%s/store", top);
    snprintf(base, sizeof base, "%s/a/b/base", top);
    options = (struct vault_options){ .store_path = store_dir, .state_dir = base, .suite = SUITE_AES_256_GCM,
                                      .cost = KDF_FLOOR, .uid = 1000, .gid = 1001 };
    memset(recovery, 0xAA, sizeof recovery);
}

static void tear_down(void) { run("rm -rf '%s'", top); }

/* Number of names in a directory; -1 when it is not there. */
static int entries(const char *path)
{
    char command[300];
    int n = -1;
    if (access(path, F_OK))
        return -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", path);
    FILE *f = popen(command, "r");
    ck_assert_int_eq(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static void create(void)
{
    char id[ID_TEXT];
    ck_assert_int_eq(vault_create(&options, recovery, &vault), 0);
    id_format(&vault, id);
    snprintf(state_dir, sizeof state_dir, "%s/%s", base, id);
}

static void expect_refusal(int result)
{
    uint8_t zeros[KEY_SIZE] = { 0 };
    ck_assert_int_eq(vault_create(&options, recovery, &vault), result);
    ck_assert_mem_eq(recovery, zeros, KEY_SIZE);
}

static void open_all(enum slot_kind kind, const void *secret, size_t len)
{
    struct state s;
    struct store *store = NULL;
    struct index *ix = NULL;
    struct vault_header h;
    struct row_hold hold = { 0 };
    struct inode_row root;
    uint8_t *header = NULL;
    size_t header_len;

    ck_assert_int_eq(store_open(&store, store_dir, &header, &header_len), 0);
    ck_assert_int_eq(vault_header_parse(header, header_len, &h), 0);
    ck_assert(id_equal(&h.vault, &vault));
    ck_assert_int_eq(state_open(&s, state_dir, &h.vault), 0);
    ck_assert(!s.cloned);
    ck_assert_int_eq(keyring_unlock(s.keys, kind, secret, len), 0);
    ck_assert_int_eq(keyring_suite(s.keys), h.suite);
    ck_assert_int_eq(vault_header_check(header, keyring_epoch_key(s.keys, 0)), 0);
    ck_assert_int_eq(index_open(&ix, s.path, keyring_local_key(s.keys), false), 0);
    ck_assert_int_eq(index_inode(ix, 1, &root, &hold), 0);
    ck_assert_uint_eq(root.uid, 1000);
    ck_assert_uint_eq(root.gid, 1001);
    row_hold_free(&hold);
    ck_assert_int_eq(index_close(ix), 0);
    state_close(&s);
    store_close(store);
    free(header);
}

START_TEST(everything_opens_with_the_recovery_key_and_the_passphrase)
{
    options.passphrase = passphrase;
    options.passphrase_len = strlen(passphrase);
    create();
    open_all(SLOT_RECOVERY, recovery, KEY_SIZE);
    open_all(SLOT_PASSPHRASE, passphrase, strlen(passphrase));
}
END_TEST

START_TEST(a_key_file_opens_it_too)
{
    static const char keyfile[] = "thirty-two random bytes, or some more";
    options.keyfile = keyfile;
    options.keyfile_len = sizeof keyfile;
    create();
    open_all(SLOT_KEYFILE, keyfile, sizeof keyfile);
    open_all(SLOT_RECOVERY, recovery, KEY_SIZE);
}
END_TEST

/* What is delivered, and what the store holds at that moment. */
static uint8_t delivered[KEY_SIZE];
static int store_entries, delivery;

static int deliver(void *ctx, const uint8_t key[KEY_SIZE], const struct id128 *id)
{
    ck_assert_ptr_eq(ctx, &delivery);
    ck_assert_ptr_nonnull(id);
    memcpy(delivered, key, KEY_SIZE);
    store_entries = entries(store_dir);
    return delivery;
}

START_TEST(the_recovery_key_is_delivered_before_there_is_a_store)
{
    options.deliver = deliver;
    options.ctx = &delivery;
    create();
    ck_assert_mem_eq(delivered, recovery, KEY_SIZE);
    ck_assert_int_eq(store_entries, -1);
    open_all(SLOT_RECOVERY, delivered, KEY_SIZE);
}
END_TEST

START_TEST(a_key_that_could_not_be_delivered_makes_no_vault)
{
    options.deliver = deliver;
    options.ctx = &delivery;
    delivery = -ENOSPC;
    expect_refusal(-ENOSPC);
    ck_assert_int_eq(entries(top), 0);
}
END_TEST

START_TEST(without_a_passphrase_there_is_one_slot)
{
    struct state s;
    create();
    open_all(SLOT_RECOVERY, recovery, KEY_SIZE);
    ck_assert_int_eq(state_open(&s, state_dir, &vault), 0);
    ck_assert_uint_eq(keyring_slots(s.keys), 1);
    state_close(&s);
}
END_TEST

START_TEST(the_state_is_private_and_nothing_else_lies_beside_it)
{
    struct stat st;
    char file[300];
    static const char *const files[] = { "lock", "keyring", "index.db" };

    mode_t old = umask(0);
    create();
    umask(old);
    ck_assert_int_eq(entries(base), 1);
    ck_assert_int_eq(stat(state_dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(file, sizeof file, "%s/%s", state_dir, files[i]);
        ck_assert_int_eq(stat(file, &st), 0);
        ck_assert_int_eq(st.st_mode & 07777, 0600);
    }
    ck_assert_int_eq(stat(base, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
}
END_TEST

START_TEST(the_ballast_takes_real_space)
{
    struct statvfs v;
    struct stat st;
    char file[300];

    create();
    snprintf(file, sizeof file, "%s/ballast", state_dir);
    ck_assert_int_eq(statvfs(state_dir, &v), 0);
    long long sixteenth = (long long)(v.f_blocks * v.f_frsize / 16), want = 64 << 20;
    if (sixteenth < want)
        want = sixteenth;
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_int_eq(st.st_size, want);
    ck_assert_int_ge((long long)st.st_blocks * 512, want);
}
END_TEST

START_TEST(a_narrow_umask_does_no_harm)
{
    mode_t old = umask(0277);
    create();
    umask(old);
    open_all(SLOT_RECOVERY, recovery, KEY_SIZE);
}
END_TEST

START_TEST(an_empty_directory_becomes_the_store)
{
    ck_assert_int_eq(mkdir(store_dir, 0755), 0);
    create();
    open_all(SLOT_RECOVERY, recovery, KEY_SIZE);
}
END_TEST

START_TEST(relative_paths_and_trailing_slashes_are_understood)
{
    ck_assert_int_eq(chdir(top), 0);
    options.store_path = "store/";
    options.state_dir = "a/b/../b/base//";
    ck_assert_int_eq(vault_create(&options, recovery, &vault), -ENOENT);  /* a/b is not there */
    ck_assert_int_eq(entries(top), 0);
    options.state_dir = "a/b/base//";
    create();
    open_all(SLOT_RECOVERY, recovery, KEY_SIZE);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(two_vaults_share_a_base)
{
    create();
    struct id128 first = vault;
    snprintf(store_dir, sizeof store_dir, "%s/second", top);
    create();
    ck_assert(!id_equal(&first, &vault));
    ck_assert_int_eq(entries(base), 2);
}
END_TEST

START_TEST(a_store_that_is_not_empty_is_left_alone)
{
    char file[200];
    snprintf(file, sizeof file, "%s/.hidden", store_dir);
    ck_assert_int_eq(mkdir(store_dir, 0755), 0);
    close(open(file, O_CREAT | O_WRONLY, 0644));
    expect_refusal(E_STORE_NOT_EMPTY);
    ck_assert_int_eq(entries(store_dir), 1);
    ck_assert_int_eq(entries(top), 1);
}
END_TEST

START_TEST(an_existing_vault_is_left_alone)
{
    create();
    char id[ID_TEXT];
    struct id128 first = vault;
    expect_refusal(E_STORE_NOT_EMPTY);
    ck_assert_int_eq(entries(base), 1);
    id_format(&first, id);
    snprintf(state_dir, sizeof state_dir, "%s/%s", base, id);
    ck_assert_int_eq(access(state_dir, F_OK), 0);
}
END_TEST

START_TEST(nested_places_are_refused)
{
    snprintf(base, sizeof base, "%s/store", top);
    expect_refusal(E_NESTED);
    snprintf(base, sizeof base, "%s/store/deep/below", top);
    expect_refusal(E_NESTED);
    ck_assert_int_eq(entries(top), 0);
    ck_assert_int_eq(mkdir(store_dir, 0755), 0);
    snprintf(base, sizeof base, "%s/link/deep", top);
    run("ln -s store '%s/link'", top);
    expect_refusal(E_NESTED);
    ck_assert_int_eq(entries(store_dir), 0);
}
END_TEST

START_TEST(impossible_places_are_refused_before_any_change)
{
    snprintf(store_dir, sizeof store_dir, "%s/none/store", top);
    expect_refusal(-ENOENT);
    snprintf(store_dir, sizeof store_dir, "%s/file", top);
    close(open(store_dir, O_CREAT | O_WRONLY, 0644));
    expect_refusal(-ENOTDIR);
    snprintf(store_dir, sizeof store_dir, "%s/store", top);
    snprintf(base, sizeof base, "%s/file/base", top);
    expect_refusal(-ENOTDIR);
    options.store_path = "";
    expect_refusal(-ENOENT);
    ck_assert_int_eq(entries(top), 1);
}
END_TEST

START_TEST(impossible_options_are_refused_before_any_change)
{
    options.suite = (enum suite)0;
    expect_refusal(-EINVAL);
    options.suite = SUITE_AES_256_GCM;
    options.passphrase = passphrase;
    expect_refusal(-EINVAL);   /* of length 0 */
    options.passphrase_len = strlen(passphrase);
    options.cost = (struct kdf_cost){ 1, 1 };
    expect_refusal(-EINVAL);
    ck_assert_int_eq(entries(top), 0);
}
END_TEST

START_TEST(places_that_may_not_be_written_are_refused_before_any_change)
{
    if (geteuid() == 0)
        ck_assert_int_eq(seteuid(12345), 0);   /* top is root's, 0700 */
    int rc = vault_create(&options, recovery, &vault);
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(rc, -EACCES);
        ck_assert_int_eq(entries(top), 0);
    }
}
END_TEST

/* Files may not grow beyond a bound: the index, or the ballast, fails half-way. */
START_TEST(a_failure_half_way_removes_all_that_was_made_and_nothing_else)
{
    static const rlim_t bounds[] = { 0, 100, 300, 5000, 20000, 1 << 20 };
    struct rlimit limit;
    char beside[200];

    snprintf(beside, sizeof beside, "%s/a", top);
    ck_assert_int_eq(mkdir(beside, 0755), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
        struct rlimit low = { bounds[i], limit.rlim_max };
        setrlimit(RLIMIT_FSIZE, &low);
        int rc = vault_create(&options, recovery, &vault);
        setrlimit(RLIMIT_FSIZE, &limit);
        if (rc == 0)
            break;
        ck_assert_int_eq(entries(top), 1);
        ck_assert_int_eq(entries(beside), 0);
        run("rm -rf '%s/store'", top);
    }
}
END_TEST

#ifdef ECLUSE_FAULTS
/* Every durable step fails once, each in a process of its own. */
static int create_with_fault(const char *point, int n)
{
    char fault[64];
    int status;

    pid_t child = fork();
    if (child == 0) {
        snprintf(fault, sizeof fault, "%s:EIO:%d", point, n);
        setenv("ECLUSE_FAULT", fault, 1);
        _exit(vault_create(&options, recovery, &vault) ? 1 : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_fault_at_any_step_leaves_nothing)
{
    static const char *const points[] = { "init", "state_adopt", "keyring_write", "keyring_rename", "db_write",
                                          "db_sync", "ballast", "store_copy", "store_rename", "store_dir_sync" };
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        int n = 1;
        while (create_with_fault(points[i], n)) {
            ck_assert_msg(entries(top) == 0, "%s:%d left something", points[i], n);
            ck_assert_int_lt(++n, 200);
        }
        run("rm -rf '%s'/*", top);
    }
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("vault_create");
    TCase *t = tcase_create("vault_create");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, everything_opens_with_the_recovery_key_and_the_passphrase);
    tcase_add_test(t, a_key_file_opens_it_too);
    tcase_add_test(t, the_recovery_key_is_delivered_before_there_is_a_store);
    tcase_add_test(t, a_key_that_could_not_be_delivered_makes_no_vault);
    tcase_add_test(t, without_a_passphrase_there_is_one_slot);
    tcase_add_test(t, the_state_is_private_and_nothing_else_lies_beside_it);
    tcase_add_test(t, the_ballast_takes_real_space);
    tcase_add_test(t, a_narrow_umask_does_no_harm);
    tcase_add_test(t, an_empty_directory_becomes_the_store);
    tcase_add_test(t, relative_paths_and_trailing_slashes_are_understood);
    tcase_add_test(t, two_vaults_share_a_base);
    tcase_add_test(t, a_store_that_is_not_empty_is_left_alone);
    tcase_add_test(t, an_existing_vault_is_left_alone);
    tcase_add_test(t, nested_places_are_refused);
    tcase_add_test(t, impossible_places_are_refused_before_any_change);
    tcase_add_test(t, impossible_options_are_refused_before_any_change);
    tcase_add_test(t, places_that_may_not_be_written_are_refused_before_any_change);
    tcase_add_test(t, a_failure_half_way_removes_all_that_was_made_and_nothing_else);
#ifdef ECLUSE_FAULTS
    tcase_add_test(t, a_fault_at_any_step_leaves_nothing);
#endif
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
