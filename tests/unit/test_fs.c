/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The filesystem core without FUSE: what was written comes back after a clean
 * end, after a kill, and from a copied state that became another actor.
 */
#include <check.h>
#include <ecluse/crypto.h>
#include <ecluse/error.h>
#include <ecluse/fs.h>
#include <ecluse/keys.h>
#include <errno.h>
#include <fcntl.h>
#include <fs/collecting.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MIB (1u << 20)

static char top[64], store_path[128], state_dir[128];
static uint8_t recovery[KEY_SIZE];
static struct id128 vault;

/* A vault that is open, as the daemon has it. */
struct opened { struct state state; struct store *store; struct fs *fs; };

static const struct fs_who me = { 0, 0, 022 };

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(command, sizeof command, format, ap);
    va_end(ap);
    ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
    snprintf(top, sizeof top, "/tmp/ecluse-fs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(store_path, sizeof store_path, "%s/store", top);
    snprintf(state_dir, sizeof state_dir, "%s/state", top);
    ck_assert_int_eq(crypto_start(), 0);
    struct vault_options o = { .store_path = store_path, .state_dir = state_dir,
                               .suite = SUITE_AES_256_GCM, .cost = KDF_FLOOR };
    ck_assert_int_eq(vault_create(&o, recovery, &vault), 0);
}

static void tear_down(void)
{
    run("rm -rf %s", top);
}

static int try_open(struct opened *v, const char *dir, struct fs_options *o)
{
    char path[PATH_MAX];
    uint8_t *header;
    size_t len;

    ck_assert_int_eq(state_path(path, dir, &vault), 0);
    ck_assert_int_eq(state_open(&v->state, path, &vault), 0);
    ck_assert_int_eq(keyring_unlock(v->state.keys, SLOT_RECOVERY, recovery, sizeof recovery), 0);
    ck_assert_int_eq(store_open(&v->store, store_path, &header, &len), 0);
    free(header);
    o->owners = true;
    return fs_open(&v->fs, &v->state, v->store, o);
}

static void open_at(struct opened *v, const char *dir)
{
    struct fs_options o = { 0 };
    ck_assert_int_eq(try_open(v, dir, &o), 0);
}

static void open_vault(struct opened *v) { open_at(v, state_dir); }

static void close_vault(struct opened *v)
{
    ck_assert_int_eq(fs_close(v->fs), 0);
    state_close(&v->state);
    store_close(v->store);
}

/* --- small programs ----------------------------------------------------------- */

static uint64_t make_file(struct fs *fs, uint64_t dir, const char *name)
{
    struct stat st;
    ck_assert_int_eq(fs_create(fs, dir, name, &me, 0666, O_RDWR, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0644);
    return st.st_ino;
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
}

static void write_pattern(struct fs *fs, uint64_t ino, uint64_t off, size_t len, unsigned seed)
{
    uint8_t *p = malloc(len);
    fill(p, len, seed);
    ck_assert_int_eq(fs_write(fs, ino, p, len, off, false, false), (ssize_t)len);
    free(p);
}

static void expect_pattern(struct fs *fs, uint64_t ino, uint64_t off, size_t len, unsigned seed)
{
    uint8_t *want = malloc(len), *got = malloc(len);
    fill(want, len, seed);
    ck_assert_int_eq(fs_read(fs, ino, got, len, off), (ssize_t)len);
    ck_assert(memcmp(want, got, len) == 0);
    free(want);
    free(got);
}

static uint64_t find(struct fs *fs, uint64_t dir, const char *name)
{
    struct stat st;
    bool exact;
    int rc = fs_lookup(fs, dir, name, &st, &exact);
    if (rc == -ENOENT)
        return 0;
    ck_assert_int_eq(rc, 0);
    return st.st_ino;
}

static unsigned count_objects(void)
{
    char command[256];
    unsigned n = 0;
    snprintf(command, sizeof command, "find %s/segments -type f | wc -l", store_path);
    FILE *f = popen(command, "r");
    ck_assert_int_eq(fscanf(f, "%u", &n), 1);
    pclose(f);
    return n;
}

/* Runs `work` in a child that is killed when it returns: no clean end. */
static void killed_after(void (*work)(struct fs *fs))
{
    pid_t child = fork();
    if (child == 0) {
        struct opened v;
        open_vault(&v);
        work(v.fs);
        kill(getpid(), SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* --- tests ---------------------------------------------------------------------- */

START_TEST(contents_and_names_come_back_after_a_clean_end)
{
    struct opened v;
    open_vault(&v);
    struct stat st;
    uint64_t ino = make_file(v.fs, 1, "é.txt");
    write_pattern(v.fs, ino, 100, 3 * MIB + 17, 1);
    ck_assert_int_eq(fs_mkdir(v.fs, 1, "d", &me, 0777, &st), 0);
    uint64_t dir = st.st_ino;
    ck_assert_int_eq(fs_symlink(v.fs, dir, "l", &me, "../é.txt", &st), 0);
    ck_assert_int_eq(fs_link(v.fs, ino, dir, "hard", &st), 0);
    ck_assert_int_eq(fs_setxattr(v.fs, ino, "user.k", "v", 1, 0), 0);
    ck_assert_int_eq(fs_release(v.fs, ino, O_RDWR), 0);
    close_vault(&v);

    open_vault(&v);
    ck_assert_uint_eq(find(v.fs, 1, "é.txt"), ino);
    ck_assert_uint_eq(find(v.fs, find(v.fs, 1, "d"), "hard"), ino);
    ck_assert_int_eq(fs_getattr(v.fs, ino, &st), 0);
    ck_assert_int_eq(st.st_size, 100 + 3 * MIB + 17);
    ck_assert_uint_eq(st.st_nlink, 2);
    expect_pattern(v.fs, ino, 100, 3 * MIB + 17, 1);
    char buf[PATH_MAX];
    ck_assert_int_eq(fs_readlink(v.fs, find(v.fs, dir, "l"), buf, sizeof buf), 0);
    ck_assert_str_eq(buf, "../é.txt");
    ck_assert_int_eq(fs_getxattr(v.fs, ino, "user.k", buf, sizeof buf), 1);
    close_vault(&v);
}
END_TEST

static void write_and_sync(struct fs *fs)
{
    write_pattern(fs, make_file(fs, 1, "small"), 0, 5000, 2);
    ck_assert_int_eq(fs_sync(fs), 0);             /* through the journal */
    write_pattern(fs, find(fs, 1, "small"), 2000, 100, 3);
    ck_assert_int_eq(fs_sync(fs), 0);
    write_pattern(fs, make_file(fs, 1, "large"), 0, 2 * MIB, 4);
    ck_assert_int_eq(fs_sync(fs), 0);             /* to the index */
    ck_assert_int_eq(fs_unlink(fs, 1, "small"), 0);
    write_pattern(fs, make_file(fs, 1, "small"), 0, 6000, 5);
    ck_assert_int_eq(fs_sync(fs), 0);
    write_pattern(fs, make_file(fs, 1, "lost"), 0, 6000, 6);
}

START_TEST(what_was_synced_survives_a_kill)
{
    killed_after(write_and_sync);
    for (int again = 0; again < 2; again++) {
        struct opened v;
        open_vault(&v);
        expect_pattern(v.fs, find(v.fs, 1, "small"), 0, 6000, 5);
        expect_pattern(v.fs, find(v.fs, 1, "large"), 0, 2 * MIB, 4);
        ck_assert_uint_eq(find(v.fs, 1, "lost"), 0);
        close_vault(&v);
    }
}
END_TEST

START_TEST(a_read_only_vault_replays_the_journal_and_refuses_changes)
{
    struct fs_options o = { .read_only = true };
    struct opened v;
    struct stat st;

    killed_after(write_and_sync);
    ck_assert_int_eq(try_open(&v, state_dir, &o), 0);
    expect_pattern(v.fs, find(v.fs, 1, "small"), 0, 6000, 5);
    ck_assert_int_eq(fs_mkdir(v.fs, 1, "d", &me, 0777, &st), -EROFS);
    close_vault(&v);
}
END_TEST

static void unlink_while_open(struct fs *fs)
{
    uint64_t ino = make_file(fs, 1, "gone");
    write_pattern(fs, ino, 0, MIB, 7);
    ck_assert_int_eq(fs_flush(fs), 0);
    ck_assert_int_eq(fs_unlink(fs, 1, "gone"), 0);
    ck_assert_int_eq(fs_sync(fs), 0);
    expect_pattern(fs, ino, 0, MIB, 7);
}

START_TEST(an_orphan_lives_while_open_and_is_reaped_after_a_kill)
{
    struct fs_status status;

    killed_after(unlink_while_open);
    struct opened v;
    open_vault(&v);
    ck_assert_int_eq(fs_flush(v.fs), 0);
    ck_assert_int_eq(fs_status(v.fs, &status), 0);
    ck_assert_uint_eq(status.inodes, 1);
    close_vault(&v);
}
END_TEST

START_TEST(a_copy_shares_its_blocks)
{
    struct opened v;
    open_vault(&v);
    struct fs_status before, after;
    uint64_t from = make_file(v.fs, 1, "from"), to = make_file(v.fs, 1, "to");
    write_pattern(v.fs, from, 0, 8 * MIB + 5, 8);
    ck_assert_int_eq(fs_flush(v.fs), 0);
    ck_assert_int_eq(fs_status(v.fs, &before), 0);
    ck_assert_int_eq(fs_copy(v.fs, from, 0, to, 0, 16 * MIB), 8 * MIB + 5);
    ck_assert_int_eq(fs_flush(v.fs), 0);
    ck_assert_int_eq(fs_status(v.fs, &after), 0);
    ck_assert_uint_le(after.object_bytes - before.object_bytes, 128u << 10);
    expect_pattern(v.fs, to, 0, 8 * MIB + 5, 8);
    write_pattern(v.fs, from, 0, 8 * MIB + 5, 9);
    ck_assert_int_eq(fs_unlink(v.fs, 1, "from"), 0);
    fs_release(v.fs, from, O_RDWR);
    expect_pattern(v.fs, to, 0, 8 * MIB + 5, 8);
    fs_release(v.fs, to, O_RDWR);
    close_vault(&v);
    open_vault(&v);
    expect_pattern(v.fs, find(v.fs, 1, "to"), 0, 8 * MIB + 5, 8);
    close_vault(&v);
}
END_TEST

/* --- what is alive ---------------------------------------------------------------- */

#define SEALED(blocks) ((blocks) * (uint64_t)SEALED_BLOCK)

/* Bytes that are alive in the store; *runs are the references. */
static uint64_t alive(struct fs *fs, size_t at_once, uint64_t *runs)
{
    struct usages u;
    uint64_t live = 0;

    *runs = 0;
    ck_assert_int_eq(usages_take(fs, at_once, &u), 0);
    for (size_t k = 0; k < u.count; k++) {
        live += u.v[k].live;
        *runs += u.v[k].runs;
        ck_assert(u.v[k].seen == (u.v[k].live > 0) && u.v[k].live <= u.v[k].length);
    }
    usages_free(&u);
    return live;
}

static void copy_all(struct fs *fs, uint64_t from, const char *name, size_t len)
{
    uint64_t to = make_file(fs, 1, name);
    ck_assert_int_eq(fs_copy(fs, from, 0, to, 0, len), (ssize_t)len);
    fs_release(fs, to, O_RDWR);
}

START_TEST(blocks_that_files_share_are_alive_once)
{
    struct opened v;
    uint64_t runs, again;
    char name[16];

    open_vault(&v);
    uint64_t a = make_file(v.fs, 1, "a"), b = make_file(v.fs, 1, "b");
    for (unsigned n = 0; n < 256; n++) {              /* in turns: no run is long */
        write_pattern(v.fs, a, n * 4096, 4096, n);
        write_pattern(v.fs, b, n * 4096, 4096, n + 256);
    }
    ck_assert_int_eq(fs_flush(v.fs), 0);
    ck_assert_uint_eq(alive(v.fs, 0, &runs), SEALED(512));
    ck_assert_uint_eq(runs, 512);
    for (unsigned n = 0; n < 9; n++) {
        snprintf(name, sizeof name, "copy %u", n);
        copy_all(v.fs, a, name, MIB);
    }
    /* One block of a copy is its own, and the original loses its first half. */
    uint64_t c = find(v.fs, 1, "copy 0");
    write_pattern(v.fs, c, 4096, 4096, 600);
    ck_assert_int_eq(fs_fallocate(v.fs, a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB / 2), 0);
    ck_assert_int_eq(fs_flush(v.fs), 0);
    ck_assert_uint_eq(alive(v.fs, 0, &runs), SEALED(513));
    ck_assert_uint_eq(runs, 256 + 128 + 9 * 256);
    for (size_t at_once = 1; at_once < 4000; at_once *= 3) {
        ck_assert_uint_eq(alive(v.fs, at_once, &again), SEALED(513));
        ck_assert_uint_eq(again, runs);
    }
    fs_release(v.fs, a, O_RDWR);
    fs_release(v.fs, b, O_RDWR);
    close_vault(&v);
}
END_TEST

START_TEST(a_compaction_keeps_what_files_share)
{
    struct opened v;
    struct gc_report report;
    uint64_t runs;
    char name[16];

    open_vault(&v);
    uint64_t a = make_file(v.fs, 1, "a"), dead = make_file(v.fs, 1, "dead");
    write_pattern(v.fs, dead, 0, 6 * MIB, 1);
    write_pattern(v.fs, a, 0, MIB + 1000, 2);
    write_pattern(v.fs, dead, 6 * MIB, 3 * MIB, 3);
    ck_assert_int_eq(fs_flush(v.fs), 0);
    for (unsigned n = 0; n < 9; n++) {
        snprintf(name, sizeof name, "copy %u", n);
        copy_all(v.fs, a, name, MIB + 1000);
    }
    uint64_t part = make_file(v.fs, 1, "part");
    ck_assert_int_eq(fs_copy(v.fs, a, 40960, part, 81920, 409600), 409600);
    /* Of the last block the original keeps less than the copies have. */
    struct stat st = { .st_size = MIB + 100 };
    ck_assert_int_eq(fs_setattr(v.fs, a, FS_SET_SIZE, &st, &st), 0);
    ck_assert_int_eq(fs_unlink(v.fs, 1, "dead"), 0);
    fs_release(v.fs, dead, O_RDWR);
    ck_assert_int_eq(fs_flush(v.fs), 0);
    uint64_t once = SEALED(256) + 1000 + SEAL_OVERHEAD;
    ck_assert_uint_eq(alive(v.fs, 0, &runs), once);

    ck_assert_int_eq(fs_gc(v.fs, true, &report), 0);
    ck_assert_uint_ge(report.compacted, 1);
    /* That last block alone may be twice there. */
    ck_assert_uint_ge(report.moved_bytes, once);
    ck_assert_uint_le(report.moved_bytes, once + 100 + SEAL_OVERHEAD);
    ck_assert_uint_le(alive(v.fs, 0, &runs), once + 100 + SEAL_OVERHEAD);
    for (int round = 0; round < 2; round++) {
        for (unsigned n = 0; n < 9; n++) {
            snprintf(name, sizeof name, "copy %u", n);
            expect_pattern(v.fs, find(v.fs, 1, name), 0, MIB + 1000, 2);
        }
        if (!round) {
            fs_release(v.fs, a, O_RDWR);
            fs_release(v.fs, part, O_RDWR);
            close_vault(&v);
            open_vault(&v);
        }
    }
    expect_pattern(v.fs, find(v.fs, 1, "a"), 0, MIB + 100, 2);
    uint8_t *want = malloc(MIB), *got = malloc(409600);
    fill(want, MIB, 2);
    ck_assert_int_eq(fs_read(v.fs, find(v.fs, 1, "part"), got, 409600, 81920), 409600);
    ck_assert(memcmp(want + 40960, got, 409600) == 0);
    free(want);
    free(got);
    close_vault(&v);
}
END_TEST

START_TEST(published_segments_that_die_leave_the_others_readable)
{
    struct opened v;
    open_vault(&v);
    uint64_t ino = make_file(v.fs, 1, "f");

    for (unsigned round = 0; round < 20; round++) {
        write_pattern(v.fs, ino, (round % 4) * MIB, 2 * MIB, round);
        ck_assert_int_eq(round % 3 ? fs_sync(v.fs) : fs_flush(v.fs), 0);
        expect_pattern(v.fs, ino, (round % 4) * MIB, 2 * MIB, round);
    }
    expect_pattern(v.fs, ino, 3 * MIB, 2 * MIB, 19);
    fs_release(v.fs, ino, O_RDWR);
    close_vault(&v);
    open_vault(&v);
    expect_pattern(v.fs, ino, 3 * MIB, 2 * MIB, 19);
    close_vault(&v);
}
END_TEST

/* Of unused segments only some stay open; not yet synced ones must be among them. */
START_TEST(a_segment_that_is_not_synced_stays_open)
{
    struct fs_options o = { .commit_ms = 600000, .publish_ms = 600000 };
    struct opened v;
    char name[16];

    open_vault(&v);
    for (unsigned k = 0; k < SEGMENTS_OPEN + 20; k++) {
        snprintf(name, sizeof name, "%u", k);
        uint64_t ino = make_file(v.fs, 1, name);
        write_pattern(v.fs, ino, 0, 5000, k);
        ck_assert_int_eq(fs_release(v.fs, ino, O_RDWR), 0);
        ck_assert_int_eq(fs_flush(v.fs), 0);
    }
    close_vault(&v);
    ck_assert_uint_ge(count_objects(), SEGMENTS_OPEN + 20);

    ck_assert_int_eq(try_open(&v, state_dir, &o), 0);
    uint64_t large = make_file(v.fs, 1, "large");
    for (unsigned k = 0; k < 40; k++)             /* one is full, the next one open */
        write_pattern(v.fs, large, k * MIB / 2, MIB / 2, k);
    for (unsigned k = 0; k < SEGMENTS_OPEN + 20; k++) {
        snprintf(name, sizeof name, "%u", k);
        expect_pattern(v.fs, find(v.fs, 1, name), 0, 5000, k);
    }
    ck_assert_int_eq(fs_sync(v.fs), 0);
    for (unsigned k = 0; k < 40; k++)
        expect_pattern(v.fs, large, k * MIB / 2, MIB / 2, k);
    close_vault(&v);
}
END_TEST

/* Names of 250 bytes are ten times the content here, and shared copies need no
 * content at all: the reverse maps must still fit. */
START_TEST(a_footer_that_would_outgrow_its_segment_leaves_out_hints)
{
    struct opened v;
    struct fs_status status;
    char name[251];
    uint8_t page[4096];

    open_vault(&v);
    for (unsigned n = 0; n < 60000; n++) {
        memset(name, 'x', 250);
        snprintf(name, 9, "%08u", n);
        name[8] = 'x';
        name[250] = '\0';
        uint64_t f = make_file(v.fs, 1, name);
        ck_assert_int_eq(fs_write(v.fs, f, name, 100, 0, false, false), 100);
        fs_release(v.fs, f, O_RDWR);
    }
    uint64_t scattered = make_file(v.fs, 1, "scattered");
    for (unsigned n = 0; n < 2048; n++) {
        fill(page, sizeof page, n);
        uint64_t block = (n * 1021ull) % 2048;
        ck_assert_int_eq(fs_write(v.fs, scattered, page, 4096, block * 4096, false, false), 4096);
    }
    for (unsigned n = 0; n < 150; n++) {
        snprintf(name, sizeof name, "copy %u", n);
        uint64_t f = make_file(v.fs, 1, name);
        ck_assert_int_eq(fs_copy(v.fs, scattered, 0, f, 0, 8 * MIB), 8 * MIB);
        fs_release(v.fs, f, O_RDWR);
    }
    ck_assert_int_eq(fs_flush(v.fs), 0);
    ck_assert_int_eq(fs_status(v.fs, &status), 0);
    ck_assert_uint_eq(status.staged_bytes, 0);
    close_vault(&v);
}
END_TEST

START_TEST(a_vault_without_changes_publishes_nothing)
{
    struct opened v;
    open_vault(&v);
    write_pattern(v.fs, make_file(v.fs, 1, "f"), 0, 10, 1);
    close_vault(&v);
    unsigned objects = count_objects();
    for (int k = 0; k < 3; k++) {
        open_vault(&v);
        ck_assert_int_eq(fs_flush(v.fs), 0);
        close_vault(&v);
    }
    ck_assert_uint_eq(count_objects(), objects);
}
END_TEST

static void leave_unpublished(struct fs *fs)
{
    write_pattern(fs, make_file(fs, 1, "both"), 0, 300000, 11);
    ck_assert_int_eq(fs_sync(fs), 0);
}

START_TEST(a_copied_state_becomes_another_actor_and_both_publish)
{
    char copy[160];

    snprintf(copy, sizeof copy, "%s/copy", top);
    killed_after(leave_unpublished);
    run("cp -a %s %s", state_dir, copy);

    struct opened a;
    open_vault(&a);
    ck_assert(!a.state.cloned);
    uint64_t mine = keyring_actor(a.state.keys), first = make_file(a.fs, 1, "of the original");
    write_pattern(a.fs, first, 0, 5000, 12);
    close_vault(&a);

    struct opened b;
    open_at(&b, copy);
    ck_assert(b.state.cloned);
    ck_assert_int_eq(state_adopt(&b.state), 0);
    ck_assert(keyring_actor(b.state.keys) != mine);
    expect_pattern(b.fs, find(b.fs, 1, "both"), 0, 300000, 11);
    uint64_t second = make_file(b.fs, 1, "of the copy");
    ck_assert_uint_ne(first, second);
    ck_assert_uint_eq(second >> 48, 1);
    write_pattern(b.fs, second, 0, 5000, 13);
    close_vault(&b);

    open_at(&b, copy);
    ck_assert(!b.state.cloned);
    expect_pattern(b.fs, find(b.fs, 1, "both"), 0, 300000, 11);
    expect_pattern(b.fs, find(b.fs, 1, "of the copy"), 0, 5000, 13);
    close_vault(&b);
    open_vault(&a);
    expect_pattern(a.fs, find(a.fs, 1, "of the original"), 0, 5000, 12);
    close_vault(&a);
}
END_TEST

/* --- access control lists -------------------------------------------------------- */

#define ENTRY(tag, perm, id) tag, 0, perm, 0, id, 0, 0, 0

static const uint8_t extended[] = { 2, 0, 0, 0, ENTRY(1, 7, 0), ENTRY(2, 5, 42), ENTRY(4, 7, 0),
                                    ENTRY(16, 7, 0), ENTRY(32, 4, 0) };
static const uint8_t minimal[] = { 2, 0, 0, 0, ENTRY(1, 6, 0), ENTRY(4, 4, 0), ENTRY(32, 0, 0) };

static mode_t mode_of(struct fs *fs, uint64_t ino)
{
    struct stat st;
    ck_assert_int_eq(fs_getattr(fs, ino, &st), 0);
    return st.st_mode & 07777;
}

START_TEST(the_mode_follows_an_access_list_and_the_list_the_mode)
{
    struct opened v;
    open_vault(&v);
    uint64_t f = make_file(v.fs, 1, "f");
    uint8_t got[128];
    struct stat st = { .st_mode = 0750 };

    ck_assert_int_eq(fs_setxattr(v.fs, f, "system.posix_acl_access", extended, sizeof extended, 0), 0);
    ck_assert_uint_eq(mode_of(v.fs, f), 0774);
    ck_assert_int_eq(fs_setattr(v.fs, f, FS_SET_MODE, &st, &st), 0);
    ck_assert_int_eq(fs_getxattr(v.fs, f, "system.posix_acl_access", got, sizeof got), sizeof extended);
    ck_assert_uint_eq(got[4 + 3 * 8 + 2], 5);      /* the mask */
    ck_assert_uint_eq(got[4 + 2 * 8 + 2], 7);      /* the owning group is as it was */
    ck_assert_int_eq(fs_setxattr(v.fs, f, "system.posix_acl_access", minimal, sizeof minimal, 0), 0);
    ck_assert_uint_eq(mode_of(v.fs, f), 0640);
    ck_assert_int_eq(fs_getxattr(v.fs, f, "system.posix_acl_access", got, sizeof got), -ENODATA);
    ck_assert_int_eq(fs_setxattr(v.fs, f, "system.posix_acl_access", extended, 11, 0), -EINVAL);
    ck_assert_int_eq(fs_setxattr(v.fs, f, "system.posix_acl_default", extended, sizeof extended, 0), -EACCES);
    close_vault(&v);
}
END_TEST

START_TEST(a_default_list_is_inherited_instead_of_the_umask)
{
    struct opened v;
    open_vault(&v);
    struct stat dir, st;
    uint8_t got[128];

    ck_assert_int_eq(fs_mkdir(v.fs, 1, "d", &me, 0777, &dir), 0);
    ck_assert_int_eq(fs_setxattr(v.fs, dir.st_ino, "system.posix_acl_default", extended, sizeof extended, 0), 0);
    ck_assert_int_eq(fs_create(v.fs, dir.st_ino, "f", &me, 0666, O_RDWR, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0664);
    ck_assert_int_eq(fs_getxattr(v.fs, st.st_ino, "system.posix_acl_access", got, sizeof got), sizeof extended);
    ck_assert_int_eq(fs_mkdir(v.fs, dir.st_ino, "sub", &me, 0700, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    ck_assert_int_eq(fs_getxattr(v.fs, st.st_ino, "system.posix_acl_default", got, sizeof got), sizeof extended);
    ck_assert(memcmp(got, extended, sizeof extended) == 0);
    ck_assert_int_eq(fs_symlink(v.fs, dir.st_ino, "l", &me, "f", &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0777);
    close_vault(&v);
}
END_TEST

/* --- large files -------------------------------------------------------------------- */

START_TEST(cutting_a_large_file_forgets_what_lay_beyond)
{
    struct opened v;
    open_vault(&v);
    uint64_t f = make_file(v.fs, 1, "f");
    struct stat st = { 0 };
    uint8_t byte;

    for (unsigned n = 0; n < 40; n++) {
        write_pattern(v.fs, f, (uint64_t)n * 3 * MIB, 9000, n);
        if (n == 20)
            ck_assert_int_eq(fs_flush(v.fs), 0);
    }
    st.st_size = 31 * MIB;
    ck_assert_int_eq(fs_setattr(v.fs, f, FS_SET_SIZE, &st, &st), 0);
    ck_assert_int_eq(st.st_blocks, 11 * 3 * 8);
    st.st_size = 200 * MIB;
    ck_assert_int_eq(fs_setattr(v.fs, f, FS_SET_SIZE, &st, &st), 0);
    for (unsigned n = 0; n < 40; n++) {
        if (n < 11)
            expect_pattern(v.fs, f, (uint64_t)n * 3 * MIB, 9000, n);
        ck_assert_int_eq(fs_read(v.fs, f, &byte, 1, (uint64_t)n * 3 * MIB + 9001), 1);
        ck_assert_uint_eq(byte, 0);
    }
    ck_assert_int_eq(fs_fallocate(v.fs, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 100 * MIB), 0);
    ck_assert_int_eq(fs_getattr(v.fs, f, &st), 0);
    ck_assert_int_eq(st.st_blocks, 8);
    close_vault(&v);
}
END_TEST

START_TEST(a_store_that_lost_the_last_publication_is_refused)
{
    struct fs_options o = { 0 };
    struct opened v;
    open_vault(&v);

    write_pattern(v.fs, make_file(v.fs, 1, "f"), 0, 10, 1);
    close_vault(&v);
    run("find %s/segments -type f -delete", store_path);
    ck_assert_int_eq(try_open(&v, state_dir, &o), E_OLDER_STATE);
    state_close(&v.state);
    store_close(v.store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fs");
    TCase *t = tcase_create("core");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, contents_and_names_come_back_after_a_clean_end);
    tcase_add_test(t, what_was_synced_survives_a_kill);
    tcase_add_test(t, a_read_only_vault_replays_the_journal_and_refuses_changes);
    tcase_add_test(t, an_orphan_lives_while_open_and_is_reaped_after_a_kill);
    tcase_add_test(t, a_copy_shares_its_blocks);
    tcase_add_test(t, blocks_that_files_share_are_alive_once);
    tcase_add_test(t, a_compaction_keeps_what_files_share);
    tcase_add_test(t, published_segments_that_die_leave_the_others_readable);
    tcase_add_test(t, a_segment_that_is_not_synced_stays_open);
    tcase_add_test(t, a_footer_that_would_outgrow_its_segment_leaves_out_hints);
    tcase_add_test(t, a_vault_without_changes_publishes_nothing);
    tcase_add_test(t, a_copied_state_becomes_another_actor_and_both_publish);
    tcase_add_test(t, the_mode_follows_an_access_list_and_the_list_the_mode);
    tcase_add_test(t, a_default_list_is_inherited_instead_of_the_umask);
    tcase_add_test(t, cutting_a_large_file_forgets_what_lay_beyond);
    tcase_add_test(t, a_store_that_lost_the_last_publication_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
