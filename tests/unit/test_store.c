/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The store: objects arrive whole under their name and are never replaced;
 * nothing that somebody plants is followed, opened, counted as ours or removed.
 */
#include <check.h>
#include <ecluse/crypto.h>
#include <ecluse/error.h>
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
#include "store/internal.h"

#define HEADER_TEXT "a vault header"
#define YEAR_2000 946684800

static char base[64], path[96], header[HEADER_NAME];
static int staging = -1, root = -1;
static struct id128 vault;
static struct store *store;

static struct id128 id_of(uint8_t byte)
{
    struct id128 id;
    memset(id.b, byte, sizeof id.b);
    return id;
}

static void make_store(void)
{
    uint8_t *bytes = NULL;
    size_t len = 0;

    ck_assert_int_eq(store_create(path, &vault, HEADER_TEXT, strlen(HEADER_TEXT)), 0);
    ck_assert_int_eq(store_open(&store, path, &bytes, &len), 0);
    ck_assert_uint_eq(len, strlen(HEADER_TEXT));
    ck_assert_mem_eq(bytes, HEADER_TEXT, len);
    free(bytes);
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(root, 0);
}

static void set_up_empty(void)
{
    ck_assert_int_eq(crypto_start(), 0);
    snprintf(base, sizeof base, "/tmp/ecluse-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    snprintf(path, sizeof path, "%s/store", base);
    vault = id_of(0xab);
    header_name(&vault, header);
    staging = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(staging, 0);
}

static void set_up(void)
{
    set_up_empty();
    make_store();
}

static void remove_tree(const char *what)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", what, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void tear_down(void)
{
    store_close(store);
    store = NULL;
    if (root >= 0)
        close(root);
    close(staging);
    root = staging = -1;
    remove_tree(base);
}

/* --- helpers ------------------------------------------------------------------------ */

static void write_in(int dir, const char *name, const void *bytes, size_t len)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    ck_assert_int_eq(fsync(fd), 0);
    close(fd);
}

/* "segments/xx/…" of an id. */
static const char *place(const struct id128 *id)
{
    static char out[64];
    char text[ID_TEXT];
    id_format(id, text);
    snprintf(out, sizeof out, "segments/%.2s/%s", text, text + 2);
    return out;
}

static void plant(const char *where, const char *text) { write_in(root, where, text, strlen(text)); }

static bool exists(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_holds(const struct id128 *id, const char *text)
{
    char got[64];
    int fd = store_get(store, id);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, got, sizeof got), (ssize_t)strlen(text));
    ck_assert_mem_eq(got, text, strlen(text));
    close(fd);
}

static int put_text(const struct id128 *id, const char *text)
{
    write_in(staging, "staged", text, strlen(text));
    return store_put(store, staging, "staged", id);
}

struct listing { unsigned objects, foreigns; uint64_t bytes; char last[2048]; int stop; };

static int count_object(void *ctx, const struct id128 *id, uint64_t size)
{
    struct listing *l = ctx;
    (void)id;
    l->objects++;
    l->bytes += size;
    return l->stop;
}

static int count_foreign(void *ctx, const char *shown)
{
    struct listing *l = ctx;
    l->foreigns++;
    snprintf(l->last, sizeof l->last, "%s", shown);
    for (const char *p = shown; *p; p++)
        ck_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
    return 0;
}

static struct listing list(void)
{
    struct listing l = { 0 };
    ck_assert_int_eq(store_list(store, count_object, count_foreign, &l), 0);
    return l;
}

static void assert_listed(unsigned objects, unsigned foreigns)
{
    struct listing l = list();
    ck_assert_uint_eq(l.objects, objects);
    ck_assert_uint_eq(l.foreigns, foreigns);
}

static int reopen(void)
{
    uint8_t *bytes = NULL;
    size_t len;
    store_close(store);
    store = NULL;
    int rc = store_open(&store, path, &bytes, &len);
    free(bytes);
    return rc;
}

/* --- create and open ---------------------------------------------------------------- */

START_TEST(a_new_store_has_a_header_and_256_directories)
{
    struct stat st;
    char fan[32];

    ck_assert_int_eq(fstatat(root, header, &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_int_eq(st.st_mode, S_IFREG | 0444);
    ck_assert_int_eq(st.st_mtime, YEAR_2000);
    ck_assert_int_eq(st.st_nlink, 1);
    for (unsigned k = 0; k < 256; k++) {
        snprintf(fan, sizeof fan, "segments/%02x", k);
        ck_assert_int_eq(fstatat(root, fan, &st, AT_SYMLINK_NOFOLLOW), 0);
        ck_assert(S_ISDIR(st.st_mode));
    }
    assert_listed(0, 0);
}
END_TEST

START_TEST(a_store_is_made_in_an_empty_directory_but_not_in_another)
{
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(store_create(path, &vault, "h", 1), 0);
    ck_assert_int_eq(store_create(path, &vault, "h", 1), E_STORE_NOT_EMPTY);
    remove_tree(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    write_in(dir, ".hidden", "x", 1);
    ck_assert_int_eq(store_create(path, &vault, "h", 1), E_STORE_NOT_EMPTY);
    ck_assert(exists(dir, ".hidden"));
    ck_assert(!exists(dir, "segments"));
    close(dir);
}
END_TEST

START_TEST(what_a_killed_creation_left_is_in_nobodys_way)
{
    const char *hidden = ".~ecluse-00112233445566778899aabbccddeeff.tmp";

    ck_assert_int_eq(mkdir(path, 0700), 0);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(mkdirat(dir, "segments", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "segments/00", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "segments/7f", 0755), 0);
    write_in(dir, hidden, "half a header", 13);
    ck_assert_int_eq(store_vacant(path), 0);

    static const char *const others[] = { "segments/0g", "segments/7f/object", "other" };
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        write_in(dir, others[k], "x", 1);
        ck_assert_int_eq(store_vacant(path), E_STORE_NOT_EMPTY);
        ck_assert_int_eq(store_create(path, &vault, "h", 1), E_STORE_NOT_EMPTY);
        ck_assert(exists(dir, hidden));
        ck_assert_int_eq(unlinkat(dir, others[k], 0), 0);
    }
    ck_assert_int_eq(symlinkat("/", dir, "segments/80"), 0);
    ck_assert_int_eq(store_vacant(path), E_STORE_NOT_EMPTY);
    ck_assert_int_eq(unlinkat(dir, "segments/80", 0), 0);

    ck_assert_int_eq(store_create(path, &vault, "h", 1), 0);
    ck_assert(!exists(dir, hidden));
    ck_assert(exists(dir, "segments/ff"));
    close(dir);
}
END_TEST

START_TEST(a_failed_creation_removes_what_it_made_and_only_that)
{
    struct rlimit was, none = { 0, 0 };
    char inside[160];

    ck_assert_int_eq(store_create(path, &vault, "h", 0), -EINVAL);
    ck_assert(!exists(staging, "store"));
    snprintf(inside, sizeof inside, "%s/missing/store", base);
    ck_assert_int_eq(store_create(inside, &vault, "h", 1), -ENOENT);
    write_in(staging, "file", "x", 1);
    snprintf(inside, sizeof inside, "%s/file", base);
    ck_assert_int_eq(store_create(inside, &vault, "h", 1), -ENOTDIR);
    ck_assert(exists(staging, "file"));

    /* The header, which comes last, cannot be written. */
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    none.rlim_max = was.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    int missing = store_create(path, &vault, "h", 1);
    bool left = exists(staging, "store");
    mkdir(path, 0700);
    int there = store_create(path, &vault, "h", 1);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    ck_assert_int_eq(missing, -EFBIG);
    ck_assert(!left);
    ck_assert_int_eq(there, -EFBIG);
    ck_assert_int_eq(rmdir(path), 0);        /* still there, and empty */
}
END_TEST

START_TEST(what_is_not_a_store_is_told_from_what_is_missing)
{
    ck_assert_int_eq(reopen(), E_STORE_MISSING);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(reopen(), E_NOT_VAULT);
    ck_assert_int_eq(rmdir(path), 0);
    write_in(staging, "store", "x", 1);
    ck_assert_int_eq(reopen(), E_NOT_VAULT);
}
END_TEST

START_TEST(a_header_that_is_on_its_way_is_no_alarm)
{
    struct id128 id = { { 1, 2, 3 } };

    ck_assert_int_eq(put_text(&id, "sealed"), 0);
    ck_assert_int_eq(unlinkat(root, header, 0), 0);
    ck_assert_int_eq(reopen(), E_NOT_ARRIVED);
    plant(header, "");
    ck_assert_int_eq(reopen(), E_NOT_ARRIVED);
    ck_assert_int_eq(unlinkat(root, header, 0), 0);
    ck_assert_int_eq(unlinkat(root, place(&id), 0), 0);
    ck_assert_int_eq(reopen(), E_NOT_VAULT);
}
END_TEST

START_TEST(a_second_header_is_refused_and_a_conflicted_copy_is_foreign)
{
    plant("vault-abababababababababababababababab (conflicted copy).ecl", "x");
    plant("vault-ABABABABABABABABABABABABABABABAB.ecl", "x");
    plant("vault-abababababababababababababababa.ecl", "x");
    ck_assert_int_eq(symlinkat("/etc/passwd", root, "vault-cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd.ecl"), 0);
    ck_assert_int_eq(mkfifoat(root, "vault-00000000000000000000000000000000.ecl", 0600), 0);
    ck_assert_int_eq(reopen(), 0);
    assert_listed(0, 5);
    plant("vault-11111111111111111111111111111111.ecl", "x");
    assert_listed(0, 6);                     /* the opened one stays the one */
    ck_assert_int_eq(reopen(), E_NOT_VAULT);
}
END_TEST

START_TEST(a_huge_header_is_not_read)
{
    ck_assert_int_eq(fchmodat(root, header, 0600, 0), 0);
    int fd = openat(root, header, O_WRONLY);
    ck_assert_int_eq(ftruncate(fd, 1ll << 40), 0);
    close(fd);
    ck_assert_int_eq(reopen(), E_FORMAT);
}
END_TEST

START_TEST(a_header_without_its_directories_is_a_store_whose_objects_have_not_arrived)
{
    struct id128 id = id_of(1);
    char all[128];

    snprintf(all, sizeof all, "%s/segments", path);
    remove_tree(all);
    ck_assert_int_eq(reopen(), 0);
    ck_assert_int_eq(store_get(store, &id), E_NOT_ARRIVED);
    ck_assert_int_eq(store_sync(store, &id, 1), E_NOT_ARRIVED);
    ck_assert_int_eq(store_writable(store), 0);
    assert_listed(0, 0);
    ck_assert_int_eq(put_text(&id, "back"), 0);
    ck_assert_int_eq(store_sync(store, &id, 1), 0);
    assert_holds(&id, "back");
}
END_TEST

START_TEST(trying_to_write_leaves_no_trace)
{
    struct stat before, after;

    ck_assert_int_eq(fstatat(root, "segments", &before, 0), 0);
    ck_assert_int_eq(store_writable(store), 0);
    ck_assert_int_eq(fstatat(root, "segments", &after, 0), 0);
    ck_assert_int_eq(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_listed(0, 0);
}
END_TEST

/* Runs as nobody, who may not write here; root may, always. */
START_TEST(a_store_that_may_not_be_written_says_so)
{
    struct id128 id = id_of(1);
    int status;

    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chmod(base, 0755), 0);
    write_in(staging, "staged", "x", 1);
    ck_assert_int_eq(fchownat(staging, "staged", 65534, 65534, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(65534) || setuid(65534) || store_writable(store) != E_STORE_READ_ONLY)
            _exit(1);
        _exit(store_put(store, staging, "staged", &id) == E_STORE_READ_ONLY ? 0 : 2);
    }
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert(exists(staging, "staged"));
    struct stat st;
    ck_assert_int_eq(fstatat(staging, "staged", &st, 0), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

/* --- objects ------------------------------------------------------------------------- */

START_TEST(an_object_comes_back_and_looks_like_all_others)
{
    struct id128 id = id_of(0x5a);
    struct stat st;
    uint64_t size;

    ck_assert_int_eq(store_get(store, &id), E_NOT_ARRIVED);
    ck_assert_int_eq(store_size(store, &id, &size), E_NOT_ARRIVED);
    ck_assert_int_eq(put_text(&id, "one object"), 0);
    ck_assert(!exists(staging, "staged"));
    ck_assert_int_eq(store_sync(store, &id, 1), 0);
    assert_holds(&id, "one object");
    ck_assert_int_eq(store_size(store, &id, &size), 0);
    ck_assert_uint_eq(size, 10);
    ck_assert_int_eq(fstatat(root, place(&id), &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_int_eq(st.st_mode, S_IFREG | 0444);
    ck_assert_int_eq(st.st_mtime, YEAR_2000);
    ck_assert_int_eq(st.st_nlink, 1);
    assert_listed(1, 0);
}
END_TEST

START_TEST(a_put_may_be_repeated_but_never_replaces)
{
    struct id128 id = id_of(7);

    ck_assert_int_eq(put_text(&id, "first"), 0);
    ck_assert_int_eq(put_text(&id, "first"), 0);
    ck_assert(exists(staging, "staged"));   /* the caller removes it, after store_sync */
    ck_assert_int_eq(put_text(&id, "other"), -EEXIST);
    ck_assert(exists(staging, "staged"));
    assert_holds(&id, "first");
    ck_assert_int_eq(put_text(&id, "longer than the first"), -EEXIST);
    assert_holds(&id, "first");
    assert_listed(1, 0);
}
END_TEST

START_TEST(a_staged_file_that_is_gone_is_told_from_a_missing_directory)
{
    struct id128 id = id_of(7);

    ck_assert_int_eq(store_put(store, staging, "staged", &id), -ENOENT);
    ck_assert_int_eq(unlinkat(root, "segments/07", AT_REMOVEDIR), 0);
    ck_assert_int_eq(store_put(store, staging, "staged", &id), -ENOENT);
    ck_assert_int_eq(put_text(&id, "x"), 0);
    ck_assert_int_eq(store_sync(store, &id, 1), 0);
    assert_holds(&id, "x");
}
END_TEST

START_TEST(a_store_that_went_away_does_not_look_like_a_finished_put)
{
    struct id128 id = id_of(7);

    remove_tree(path);
    ck_assert_int_eq(put_text(&id, "x"), E_STORE_MISSING);
    ck_assert(exists(staging, "staged"));
}
END_TEST

START_TEST(a_put_that_stopped_between_link_and_unlink_is_completed)
{
    struct id128 id = id_of(8);

    write_in(staging, "staged", "twice", 5);
    ck_assert_int_eq(linkat(staging, "staged", root, place(&id), 0), 0);
    ck_assert_int_eq(store_put(store, staging, "staged", &id), 0);
    ck_assert(exists(staging, "staged"));   /* the caller removes it, after store_sync */
    assert_holds(&id, "twice");
}
END_TEST

START_TEST(a_refused_put_leaves_the_staged_file_writable)
{
    struct id128 id = id_of(9);
    struct stat st;

    ck_assert_int_eq(put_text(&id, "a"), 0);
    ck_assert_int_eq(put_text(&id, "b"), -EEXIST);
    ck_assert_int_eq(fstatat(staging, "staged", &st, 0), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(many_puts_are_synced_with_one_pass_over_their_directories)
{
    struct id128 ids[600];

    for (unsigned k = 0; k < ARRAY_SIZE(ids); k++) {
        crypto_random(&ids[k], sizeof ids[k]);
        ck_assert_int_eq(put_text(&ids[k], "many"), 0);
    }
    ck_assert_int_eq(store_sync(store, ids, ARRAY_SIZE(ids)), 0);
    ck_assert_int_eq(store_sync(store, NULL, 0), 0);
    struct listing l = list();
    ck_assert_uint_eq(l.objects, ARRAY_SIZE(ids));
    ck_assert_uint_eq(l.bytes, 4 * ARRAY_SIZE(ids));
}
END_TEST

START_TEST(from_another_filesystem_an_object_is_copied)
{
    char elsewhere[64] = "/dev/shm/ecluse-store-XXXXXX";
    struct id128 id = id_of(0x33), same = id_of(0x34);
    struct stat here, there;
    static char big[700000];
    uint64_t size;

    if (!mkdtemp(elsewhere))
        return;
    int dir = open(elsewhere, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(dir, 0);
    ck_assert_int_eq(fstat(dir, &there) + fstat(root, &here), 0);
    crypto_random(big, sizeof big);
    write_in(dir, "big", big, sizeof big);
    ck_assert_int_eq(store_put(store, dir, "big", &id), 0);
    ck_assert_int_eq(faccessat(dir, "big", F_OK, 0), 0);
    ck_assert_int_eq(store_size(store, &id, &size), 0);
    ck_assert_uint_eq(size, sizeof big);
    ck_assert_int_eq(fstatat(root, place(&id), &here, 0), 0);
    ck_assert_int_eq(here.st_mode, S_IFREG | 0444);
    ck_assert_int_eq(here.st_mtime, YEAR_2000);
    ck_assert_int_eq(here.st_nlink, 1);

    write_in(dir, "big", big, sizeof big);              /* again: equal */
    ck_assert_int_eq(store_put(store, dir, "big", &id), 0);
    big[sizeof big - 1] ^= 1;
    write_in(dir, "big", big, sizeof big);              /* again: not */
    ck_assert_int_eq(store_put(store, dir, "big", &id), -EEXIST);
    ck_assert_int_eq(store_put(store, dir, "big", &same), 0);
    assert_listed(2, 0);
    close(dir);
    remove_tree(elsewhere);
}
END_TEST

/* Where the filesystem has no files without a name; most have, so it is staged here. */
static struct arrival hidden_arrival(const struct id128 *id)
{
    struct arrival a = { .dir = root, .named = true };
    hidden_name(id, a.hidden);
    a.fd = openat(root, a.hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(a.fd, 0);
    ck_assert_int_eq(write(a.fd, "hidden", 6), 6);
    return a;
}

START_TEST(a_hidden_name_goes_whether_the_final_one_is_free_or_not)
{
    struct id128 id = id_of(0x66);
    struct stat st;

    for (int k = 0; k < 2; k++) {
        struct arrival a = hidden_arrival(&id);
        ck_assert(exists(root, ".~ecluse-66666666666666666666666666666666.tmp"));
        assert_listed((unsigned)k, 0);           /* fresh, so not foreign */
        ck_assert_int_eq(arrival_place(&a, place(&id)), k ? -EEXIST : 0);
        arrival_end(&a);
        ck_assert(!exists(root, ".~ecluse-66666666666666666666666666666666.tmp"));
    }
    assert_holds(&id, "hidden");
    ck_assert_int_eq(fstatat(root, place(&id), &st, 0), 0);
    ck_assert_int_eq(st.st_mode, S_IFREG | 0444);
    ck_assert_int_eq(st.st_mtime, YEAR_2000);
}
END_TEST

/* --- what others put there ------------------------------------------------------------ */

START_TEST(what_stands_in_an_objects_place_is_neither_followed_nor_opened)
{
    struct id128 id = id_of(0x44);
    char outside[96];
    uint64_t size;

    write_in(staging, "secret", "outside", 7);
    snprintf(outside, sizeof outside, "%s/secret", base);
    for (int kind = 0; kind < 6; kind++) {
        const char *where = place(&id);
        if (kind == 0)
            ck_assert_int_eq(symlinkat(outside, root, where), 0);
        else if (kind == 1)
            ck_assert_int_eq(symlinkat("nowhere", root, where), 0);
        else if (kind == 2)
            ck_assert_int_eq(mkfifoat(root, where, 0600), 0);
        else if (kind == 3)
            ck_assert_int_eq(mkdirat(root, where, 0700), 0);
        else if (mknodat(root, where, (kind == 4 ? S_IFCHR : S_IFSOCK) | 0600, 0x501))
            continue;                        /* only root may make a device */
        ck_assert_int_eq(store_get(store, &id), E_FORMAT);
        ck_assert_int_eq(store_size(store, &id, &size), E_FORMAT);
        ck_assert_int_eq(put_text(&id, "new"), -EEXIST);
        ck_assert(exists(staging, "staged"));
        assert_listed(0, 1);
        ck_assert_int_eq(unlinkat(root, where, kind == 3 ? AT_REMOVEDIR : 0), 0);
    }
    ck_assert(exists(staging, "secret"));
}
END_TEST

START_TEST(a_directory_replaced_by_a_link_is_not_entered)
{
    struct id128 id = id_of(0x44);
    char outside[96];

    ck_assert_int_eq(put_text(&id, "x"), 0);
    snprintf(outside, sizeof outside, "%s/outside", base);
    ck_assert_int_eq(renameat(root, "segments/44", staging, "outside"), 0);
    ck_assert_int_eq(symlinkat(outside, root, "segments/44"), 0);
    ck_assert_int_eq(store_get(store, &id), E_FORMAT);
    ck_assert_int_eq(put_text(&id, "y"), E_FORMAT);
    assert_listed(0, 1);
    ck_assert_int_eq(renameat(root, "segments", staging, "moved"), 0);
    snprintf(outside, sizeof outside, "%s/moved", base);
    ck_assert_int_eq(symlinkat(outside, root, "segments"), 0);
    ck_assert_int_eq(store_get(store, &id), E_FORMAT);
    ck_assert_int_eq(store_writable(store), E_FORMAT);
    assert_listed(0, 1);
}
END_TEST

START_TEST(foreign_things_are_counted_wherever_they_lie)
{
    struct id128 id = id_of(0x10);

    ck_assert_int_eq(put_text(&id, "x"), 0);
    plant("README.txt", "x");
    plant("segments/README.txt", "x");
    plant("segments/10/README.txt", "x");
    plant("segments/10/1010101010101010101010101010 (1)", "x");
    plant("segments/10/101010101010101010101010101010 (conflicted copy)", "x");
    plant("segments/10/1010101010101010101010101010AA", "x");
    plant("segments/10/10101010101010101010101010101", "x");
    ck_assert_int_eq(mkdirat(root, "segments/1", 0700), 0);
    ck_assert_int_eq(mkdirat(root, "segments/AA", 0700), 0);
    ck_assert_int_eq(mkdirat(root, "folder", 0700), 0);
    plant("folder/inside", "counted with its folder");
    plant("segments/00/.~ecluse-zz.tmp", "x");
    assert_listed(1, 11);
}
END_TEST

START_TEST(what_only_resembles_our_hidden_file_is_foreign)
{
    plant("segments/10/.~ecluse-10101010101010101010101010101010.tmp", "x");
    assert_listed(0, 0);
    plant("segments/10/.~ecluse-10101010101010101010101010101010.tmp2", "x");
    plant("segments/10/.~ecluse-1010101010101010101010101010101.tmp", "x");
    ck_assert_int_eq(symlinkat("x", root, "segments/.~ecluse-10101010101010101010101010101010.tmp"), 0);
    assert_listed(0, 3);
}
END_TEST

START_TEST(hostile_names_are_shown_escaped)
{
    static const struct { const char *name, *shown; } names[] = {
        { "\x1b[31mred\n", "segments/01/\\x1b[31mred\\x0a" },
        { "\xff\xfe", "segments/01/\\xff\\xfe" },
        { "back\\slash", "segments/01/back\\x5cslash" },
        { "\xe2\x80\xae" "lru", "segments/01/\\xe2\\x80\\xaelru" },    /* right-to-left override */
        { "\xc2\x9b" "31m", "segments/01/\\xc2\\x9b31m" },             /* C1 control */
        { "\xc0\xaf", "segments/01/\\xc0\\xaf" },                      /* over-long */
        { "\xed\xa0\x80", "segments/01/\\xed\\xa0\\x80" },             /* surrogate */
        { "\xe2\x82", "segments/01/\\xe2\\x82" },                      /* cut */
        { "\xc3\xa9t\xc3\xa9.txt", "segments/01/\xc3\xa9t\xc3\xa9.txt" },
        { "\xf0\x9f\x98\x80", "segments/01/\xf0\x9f\x98\x80" },
        { "a\x7f", "segments/01/a\\x7f" },
    };
    char where[300];

    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        snprintf(where, sizeof where, "segments/01/%s", names[k].name);
        plant(where, "x");
        struct listing l = list();
        ck_assert_uint_eq(l.foreigns, 1);
        ck_assert_str_eq(l.last, names[k].shown);
        ck_assert_int_eq(unlinkat(root, where, 0), 0);
    }
    memset(where, 0, sizeof where);
    strcpy(where, "segments/01/");
    memset(where + 12, 1, 255);              /* the longest there is, every byte escaped */
    plant(where, "x");
    ck_assert_uint_eq(strlen(list().last), 12 + 4 * 255);
}
END_TEST

START_TEST(thousands_of_planted_things_do_no_harm)
{
    struct id128 id = id_of(0x20);
    char where[96];
    unsigned devices = 0;

    ck_assert_int_eq(put_text(&id, "x"), 0);
    for (unsigned k = 0; k < 4000; k++) {
        snprintf(where, sizeof where, "segments/20/planted %u", k);
        switch (k % 4) {
        case 0: plant(where, ""); break;
        case 1: ck_assert_int_eq(symlinkat("/dev/zero", root, where), 0); break;
        case 2: ck_assert_int_eq(mkfifoat(root, where, 0600), 0); break;
        default: ck_assert_int_eq(linkat(root, place(&id), root, where, 0), 0);
        }
    }
    devices += mknodat(root, "segments/20/device", S_IFCHR | 0600, 0x501) == 0;
    struct id128 sparse = id_of(0x21);
    int fd = openat(root, place(&sparse), O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(ftruncate(fd, 1ll << 40), 0);
    close(fd);
    struct listing l = list();
    ck_assert_uint_eq(l.objects, 2);
    ck_assert_uint_eq(l.bytes, 1 + (1ull << 40));
    ck_assert_uint_eq(l.foreigns, 4000 + devices);
    ck_assert_int_eq(put_text(&sparse, "small"), -EEXIST);   /* told by its length */
    assert_holds(&id, "x");
}
END_TEST

START_TEST(a_walk_ends_when_the_visitor_says_so)
{
    struct listing l = { .stop = 77 };

    for (uint8_t k = 1; k < 4; k++) {
        struct id128 id = id_of(k);
        ck_assert_int_eq(put_text(&id, "x"), 0);
    }
    ck_assert_int_eq(store_list(store, count_object, NULL, &l), 77);
    ck_assert_uint_eq(l.objects, 1);
    ck_assert_int_eq(store_list(store, NULL, NULL, NULL), 0);
}
END_TEST

START_TEST(the_filesystem_below_is_described)
{
    struct statvfs v;
    ck_assert_int_eq(store_statvfs(store, &v), 0);
    ck_assert_uint_gt(v.f_bsize, 0);
}
END_TEST

static TCase *with_store(void)
{
    TCase *t = tcase_create("store");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_new_store_has_a_header_and_256_directories);
    tcase_add_test(t, a_header_that_is_on_its_way_is_no_alarm);
    tcase_add_test(t, a_second_header_is_refused_and_a_conflicted_copy_is_foreign);
    tcase_add_test(t, a_huge_header_is_not_read);
    tcase_add_test(t, a_header_without_its_directories_is_a_store_whose_objects_have_not_arrived);
    tcase_add_test(t, trying_to_write_leaves_no_trace);
    tcase_add_test(t, a_store_that_may_not_be_written_says_so);
    tcase_add_test(t, an_object_comes_back_and_looks_like_all_others);
    tcase_add_test(t, a_put_may_be_repeated_but_never_replaces);
    tcase_add_test(t, a_staged_file_that_is_gone_is_told_from_a_missing_directory);
    tcase_add_test(t, a_store_that_went_away_does_not_look_like_a_finished_put);
    tcase_add_test(t, a_put_that_stopped_between_link_and_unlink_is_completed);
    tcase_add_test(t, a_refused_put_leaves_the_staged_file_writable);
    tcase_add_test(t, many_puts_are_synced_with_one_pass_over_their_directories);
    tcase_add_test(t, from_another_filesystem_an_object_is_copied);
    tcase_add_test(t, a_hidden_name_goes_whether_the_final_one_is_free_or_not);
    tcase_add_test(t, what_stands_in_an_objects_place_is_neither_followed_nor_opened);
    tcase_add_test(t, a_directory_replaced_by_a_link_is_not_entered);
    tcase_add_test(t, foreign_things_are_counted_wherever_they_lie);
    tcase_add_test(t, what_only_resembles_our_hidden_file_is_foreign);
    tcase_add_test(t, hostile_names_are_shown_escaped);
    tcase_add_test(t, thousands_of_planted_things_do_no_harm);
    tcase_add_test(t, a_walk_ends_when_the_visitor_says_so);
    tcase_add_test(t, the_filesystem_below_is_described);
    return t;
}

static TCase *without_store(void)
{
    TCase *t = tcase_create("creation");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up_empty, tear_down);
    tcase_add_test(t, a_store_is_made_in_an_empty_directory_but_not_in_another);
    tcase_add_test(t, what_a_killed_creation_left_is_in_nobodys_way);
    tcase_add_test(t, a_failed_creation_removes_what_it_made_and_only_that);
    tcase_add_test(t, what_is_not_a_store_is_told_from_what_is_missing);
    return t;
}

int main(void)
{
    Suite *s = suite_create("store");
    suite_add_tcase(s, without_store());
    suite_add_tcase(s, with_store());
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
