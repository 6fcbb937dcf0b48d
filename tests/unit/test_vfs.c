/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The page-sealing VFS, below the schema: pages and frames on their own, then
 * SQLite itself under a small cache, with crashes that keep, cut or tear what
 * was written.
 */
#include "index/internal.h"
#include "index/vfs.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t key[KEY_SIZE] = { 7 };
static char dir[64], db_path[96], wal_path[96], copy_path[96], copy_wal_path[96];

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/ecluse-vfs-XXXXXX");
    ck_assert_int_eq(crypto_start(), 0);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(db_path, sizeof db_path, "%s/db", dir);
    snprintf(wal_path, sizeof wal_path, "%s/db-wal", dir);
    snprintf(copy_path, sizeof copy_path, "%s/copy", dir);
    snprintf(copy_wal_path, sizeof copy_wal_path, "%s/copy-wal", dir);
}

static void tear_down(void)
{
    unlink(db_path);
    unlink(wal_path);
    unlink(copy_path);
    unlink(copy_wal_path);
    rmdir(dir);
}

/* --- pages ---------------------------------------------------------------------- */

static struct aead *new_aead(void)
{
    struct aead *a = NULL;
    ck_assert_int_eq(aead_new(&a, SUITE_AES_256_GCM, key), 0);
    return a;
}

static void fill_page(uint8_t *page, size_t len)
{
    for (size_t i = 0; i < len - PAGE_RESERVED; i++)
        page[i] = (uint8_t)random();
    memset(page + len - PAGE_RESERVED, 0, PAGE_RESERVED);
}

START_TEST(a_page_opens_in_its_place_only)
{
    uint8_t page[FRAME_BYTES], sealed[FRAME_BYTES], out[FRAME_BYTES];
    struct aead *a = new_aead();
    fill_page(page, PAGE_BYTES);
    ck_assert_int_eq(page_seal(a, PAGE_DATABASE, 3, 0, page, PAGE_BYTES, sealed), 0);
    ck_assert_int_eq(page_open(a, PAGE_DATABASE, 3, sealed, PAGE_BYTES, out), 0);
    ck_assert_mem_eq(out, page, PAGE_BYTES);
    ck_assert_int_eq(page_open(a, PAGE_DATABASE, 4, sealed, PAGE_BYTES, out), E_AUTH);
    ck_assert_int_eq(page_open(a, PAGE_WAL, 3, sealed, PAGE_BYTES, out), E_AUTH);
    fill_page(page, FRAME_BYTES);
    ck_assert_int_eq(page_seal(a, PAGE_WAL, 32, 0, page, FRAME_BYTES, sealed), 0);
    ck_assert_int_eq(page_open(a, PAGE_WAL, 32, sealed, FRAME_BYTES, out), 0);
    ck_assert_mem_eq(out, page, FRAME_BYTES);
    aead_free(a);
}
END_TEST

START_TEST(a_page_with_any_byte_changed_does_not_open)
{
    uint8_t page[PAGE_BYTES], sealed[PAGE_BYTES], out[PAGE_BYTES], zeros[PAGE_BYTES] = { 0 };
    struct aead *a = new_aead();
    fill_page(page, PAGE_BYTES);
    ck_assert_int_eq(page_seal(a, PAGE_DATABASE, 1, 0, page, PAGE_BYTES, sealed), 0);
    for (size_t i = 0; i < PAGE_BYTES; i++) {
        sealed[i] ^= 1;
        ck_assert_int_eq(page_open(a, PAGE_DATABASE, 1, sealed, PAGE_BYTES, out), E_AUTH);
        ck_assert_mem_eq(out, zeros, PAGE_BYTES);
        sealed[i] ^= 1;
    }
    aead_free(a);
}
END_TEST

START_TEST(the_same_page_never_seals_to_the_same_bytes)
{
    uint8_t page[PAGE_BYTES], one[PAGE_BYTES], two[PAGE_BYTES];
    struct aead *a = new_aead();
    fill_page(page, PAGE_BYTES);
    ck_assert_int_eq(page_seal(a, PAGE_DATABASE, 1, 0, page, PAGE_BYTES, one), 0);
    ck_assert_int_eq(page_seal(a, PAGE_DATABASE, 1, 0, page, PAGE_BYTES, two), 0);
    for (size_t at = 0; at + 16 <= PAGE_BYTES - PAGE_RESERVED; at += 16)
        ck_assert(memcmp(one + at, two + at, 16) != 0);
    aead_free(a);
}
END_TEST

START_TEST(a_page_that_uses_its_reserved_bytes_is_refused)
{
    uint8_t page[PAGE_BYTES], sealed[PAGE_BYTES];
    struct aead *a = new_aead();
    fill_page(page, PAGE_BYTES);
    page[PAGE_BYTES - 1] = 1;
    ck_assert_int_eq(page_seal(a, PAGE_DATABASE, 1, 0, page, PAGE_BYTES, sealed), E_FORMAT);
    aead_free(a);
}
END_TEST

/* --- SQLite above ------------------------------------------------------------------ */

static struct index *new_database(void)
{
    struct index *ix = NULL;
    ck_assert_int_eq(connection_open(&ix, db_path, key, false, true), 0);
    ck_assert_int_eq(connection_exec(ix, "CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB);"
                                         "CREATE TABLE n(commits INTEGER); INSERT INTO n VALUES(0);"
                                         "PRAGMA journal_mode=WAL; PRAGMA cache_size=10"), 0);
    return ix;
}

static struct index *open_copy(void)
{
    struct index *ix = NULL;
    ck_assert_int_eq(connection_open(&ix, copy_path, key, false, false), 0);
    return ix;
}

static int64_t number(struct index *ix, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t v = -1;
    if (sqlite3_prepare_v2(ix->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static bool is_sound(struct index *ix)
{
    sqlite3_stmt *st = NULL;
    bool sound = false;
    if (sqlite3_prepare_v2(ix->db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        sound = strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    return sound;
}

static void copy_file(const char *from, const char *to, int64_t limit)
{
    static uint8_t bytes[64 << 20];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t len = read(in, bytes, sizeof bytes);
    ck_assert_int_ge(len, 0);
    if (limit >= 0 && len > limit)
        len = (ssize_t)limit;
    ck_assert_int_eq(write(out, bytes, (size_t)len), len);
    close(in);
    close(out);
}

/* What a crash at this moment leaves, with the log cut at `limit` (-1: whole). */
static void crash_copy(int64_t limit)
{
    copy_file(db_path, copy_path, -1);
    copy_file(wal_path, copy_wal_path, limit);
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : st.st_size;
}

/* One transaction that rewrites pages which its cache of ten has spilled. */
static void busy_transaction(struct index *ix, int turn)
{
    char sql[200];
    ck_assert_int_eq(connection_exec(ix, "BEGIN IMMEDIATE"), 0);
    for (int i = 0; i < 120; i++) {
        snprintf(sql, sizeof sql, "REPLACE INTO t VALUES(%ld, randomblob(%ld)); DELETE FROM t WHERE k=%ld",
                 random() % 400, random() % 9000, random() % 400);
        ck_assert_int_eq(connection_exec(ix, sql), 0);
    }
    snprintf(sql, sizeof sql, "UPDATE n SET commits=%d; COMMIT", turn);
    ck_assert_int_eq(connection_exec(ix, sql), 0);
    ck_assert_int_eq(sealed_vfs_settle(ix->vfs), 0);
}

START_TEST(a_crash_after_any_transaction_leaves_a_sound_database_at_that_transaction)
{
    struct index *ix = new_database();
    srandom(1);
    for (int turn = 1; turn <= 25; turn++) {
        busy_transaction(ix, turn);
        if (turn % 9 == 0)
            ck_assert_int_eq(sqlite3_wal_checkpoint_v2(ix->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), 0);
        crash_copy(-1);
        struct index *copy = open_copy();
        ck_assert_int_eq(number(copy, "SELECT commits FROM n"), turn);
        ck_assert(is_sound(copy));
        connection_free(copy);
    }
    ck_assert(is_sound(ix));
    connection_free(ix);
}
END_TEST

START_TEST(a_log_cut_anywhere_leaves_a_sound_database_at_an_earlier_transaction)
{
    struct index *ix = new_database();
    int64_t last = 0;
    srandom(2);
    for (int turn = 1; turn <= 3; turn++)
        busy_transaction(ix, turn);
    int64_t size = size_of(wal_path);
    for (int64_t cut = 0; cut <= size; cut += 1 + random() % 9000) {
        crash_copy(cut);
        struct index *copy = open_copy();
        int64_t at = number(copy, "SELECT commits FROM n");
        ck_assert(at >= last && at <= 3 && is_sound(copy));
        last = at;
        connection_free(copy);
    }
    connection_free(ix);
}
END_TEST

static void alter(const char *path, int64_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x80;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

START_TEST(a_torn_frame_ends_the_log_and_is_no_error)
{
    struct index *ix = new_database();
    srandom(3);
    for (int turn = 1; turn <= 3; turn++)
        busy_transaction(ix, turn);
    int64_t frames = (size_of(wal_path) - WAL_HEADER) / FRAME_BYTES, last = 3;
    for (int64_t k = frames - 1; k >= 0; k -= 7) {
        crash_copy(-1);
        alter(copy_wal_path, WAL_HEADER + k * FRAME_BYTES + random() % FRAME_BYTES);
        struct index *copy = open_copy();
        int64_t at = number(copy, "SELECT commits FROM n");
        ck_assert(at <= last && at >= 0 && is_sound(copy));
        last = at;
        connection_free(copy);
    }
    ck_assert_int_eq(last, 0);
    connection_free(ix);
}
END_TEST

START_TEST(a_frame_that_rots_while_in_use_is_damage)
{
    struct index *ix = new_database();
    srandom(4);
    busy_transaction(ix, 1);
    int64_t frames = (size_of(wal_path) - WAL_HEADER) / FRAME_BYTES;
    for (int64_t k = 0; k < frames; k++)
        alter(wal_path, WAL_HEADER + k * FRAME_BYTES + 100);
    sqlite3_db_release_memory(ix->db);
    ck_assert_int_eq(connection_exec(ix, "SELECT sum(length(v)) FROM t"), E_STATE_DAMAGED);
    connection_free(ix);
}
END_TEST

START_TEST(a_page_torn_by_a_checkpoint_is_taken_from_the_log)
{
    struct index *ix = new_database();
    srandom(5);
    for (int turn = 1; turn <= 3; turn++)
        busy_transaction(ix, turn);
    copy_file(wal_path, copy_wal_path, -1);
    /* The checkpoint's copy of every page is torn, page 1 too; the log is whole. */
    ck_assert_int_eq(sqlite3_wal_checkpoint_v2(ix->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL), 0);
    copy_file(db_path, copy_path, -1);
    ck_assert(is_sound(ix));
    connection_free(ix);
    for (int64_t at = 0; at < size_of(copy_path); at += PAGE_BYTES)
        alter(copy_path, at + 2000);
    ix = open_copy();
    ck_assert_int_eq(number(ix, "SELECT commits FROM n"), 3);
    ck_assert(is_sound(ix));
    connection_free(ix);
}
END_TEST

START_TEST(old_frames_behind_a_blanked_header_do_not_come_back)
{
    struct index *ix = new_database();
    srandom(6);
    busy_transaction(ix, 1);
    int64_t size = size_of(wal_path);
    ck_assert_int_eq(sqlite3_wal_checkpoint_v2(ix->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), 0);
    ck_assert_int_eq(size_of(wal_path), size);     /* blocks stay allocated */
    crash_copy(-1);
    struct index *copy = open_copy();
    ck_assert_int_eq(number(copy, "SELECT commits FROM n"), 1);
    ck_assert(is_sound(copy));
    connection_free(copy);
    ck_assert_int_eq(connection_exec(ix, "UPDATE n SET commits=2"), 0);
    crash_copy(-1);
    copy = open_copy();
    ck_assert_int_eq(number(copy, "SELECT commits FROM n"), 2);
    ck_assert(is_sound(copy));
    connection_free(copy);
    connection_free(ix);
}
END_TEST

START_TEST(a_journal_or_temporary_file_can_never_be_opened)
{
    struct index *ix = new_database();
    ck_assert_int_ne(connection_exec(ix, "PRAGMA journal_mode=DELETE; INSERT INTO t VALUES(1, x'00')"), 0);
    ck_assert_int_eq(access(db_path, F_OK), 0);
    char journal[128];
    snprintf(journal, sizeof journal, "%s-journal", db_path);
    ck_assert_int_ne(access(journal, F_OK), 0);
    connection_free(ix);
}
END_TEST

START_TEST(no_plaintext_reaches_the_database_or_the_log)
{
    static uint8_t bytes[8 << 20];
    struct index *ix = new_database();
    ck_assert_int_eq(connection_exec(ix, "INSERT INTO t VALUES(1, 'a phrase that must not be found')"), 0);
    for (int round = 0; round < 2; round++) {
        const char *path = round ? db_path : wal_path;
        int fd = open(path, O_RDONLY);
        ssize_t len = read(fd, bytes, sizeof bytes);
        close(fd);
        ck_assert_int_gt(len, 4096);
        ck_assert_ptr_null(memmem(bytes, (size_t)len, "phrase", 6));
        ck_assert_ptr_null(memmem(bytes, (size_t)len, "CREATE", 6));
        ck_assert_ptr_null(memmem(bytes, (size_t)len, "SQLite", 6));
        ck_assert_int_eq(sqlite3_wal_checkpoint_v2(ix->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), 0);
    }
    connection_free(ix);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vfs");
    TCase *t = tcase_create("vfs");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_page_opens_in_its_place_only);
    tcase_add_test(t, a_page_with_any_byte_changed_does_not_open);
    tcase_add_test(t, the_same_page_never_seals_to_the_same_bytes);
    tcase_add_test(t, a_page_that_uses_its_reserved_bytes_is_refused);
    tcase_add_test(t, a_crash_after_any_transaction_leaves_a_sound_database_at_that_transaction);
    tcase_add_test(t, a_log_cut_anywhere_leaves_a_sound_database_at_an_earlier_transaction);
    tcase_add_test(t, a_torn_frame_ends_the_log_and_is_no_error);
    tcase_add_test(t, a_frame_that_rots_while_in_use_is_damage);
    tcase_add_test(t, a_page_torn_by_a_checkpoint_is_taken_from_the_log);
    tcase_add_test(t, old_frames_behind_a_blanked_header_do_not_come_back);
    tcase_add_test(t, a_journal_or_temporary_file_can_never_be_opened);
    tcase_add_test(t, no_plaintext_reaches_the_database_or_the_log);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
