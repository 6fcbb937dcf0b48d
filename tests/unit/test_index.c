/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The index through its public interface: rows, notes, publications, and what
 * crashes, full disks and altered files do to them.
 */
#include "index/internal.h"
#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t key[KEY_SIZE] = { 5 }, wrong_key[KEY_SIZE] = { 6 };
static char dir[64], crash_dir[64];
static struct index *ix;
static struct row_hold hold;

static void path_in(char out[128], const char *where, const char *name)
{
    snprintf(out, 128, "%s/%s", where, name);
}

static void open_index(void) { ck_assert_int_eq(index_open(&ix, dir, key, false), 0); }

static void close_index(void)
{
    ck_assert_int_eq(index_close(ix), 0);
    ix = NULL;
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/ecluse-index-XXXXXX");
    snprintf(crash_dir, sizeof crash_dir, "/tmp/ecluse-crash-XXXXXX");
    ck_assert_int_eq(crypto_start(), 0);
    ck_assert(mkdtemp(dir) && mkdtemp(crash_dir));
    ck_assert_int_eq(index_create(dir, key, 1000, 100), 0);
    open_index();
}

static void remove_index(const char *where)
{
    static const char *const names[] = { "index.db", "index.db-wal", "ballast" };
    char path[128];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        path_in(path, where, names[i]);
        unlink(path);
    }
    rmdir(where);
}

static void tear_down(void)
{
    index_close(ix);
    ix = NULL;
    row_hold_free(&hold);
    remove_index(dir);
    remove_index(crash_dir);
}

/* --- making batches ------------------------------------------------------------------ */

static struct inode_row file_row(uint64_t ino)
{
    return (struct inode_row){ .ino = ino, .parent = ROOT_INO, .cookie = ino + 1, .mode = S_IFREG | 0644,
                               .nlink = 1, .uid = 1000, .gid = 100, .version = 1,
                               .ctime = { 1700000000, 1 }, .mtime = { 1600000000, 2 },
                               .atime = { 1700000000, 1 }, .btime = { 1700000000, 1 } };
}

static void put_file(struct buf *b, uint64_t ino, const char *name)
{
    struct inode_row row = file_row(ino);
    batch_inode(b, &row);
    batch_dirent(b, &(struct dirent_row){ .parent = ROOT_INO, .cookie = ino + 1, .ino = ino, .mode = S_IFREG,
                                          .name_len = (uint8_t)strlen(name), .name = (const uint8_t *)name });
}

static void put_chunk(struct buf *b, uint64_t ino, uint64_t n, uint32_t segment)
{
    struct run run = { segment, 96, 0, 256, 4096, 4096 };
    batch_chunk(b, &(struct chunk_row){ .ino = ino, .n = n, .run_count = 1, .runs = &run });
}

static int apply(struct buf *b, uint64_t generation)
{
    int rc = index_apply(ix, b, true, generation);
    buf_reset(b);
    return rc;
}

static uint64_t generation(void)
{
    uint64_t g = 0;
    ck_assert_int_eq(index_generation(ix, &g), 0);
    return g;
}

static int lookup(const char *name, struct dirent_row *out)
{
    return index_dirent(ix, ROOT_INO, name, strlen(name), out, &hold);
}

/* --- creation ------------------------------------------------------------------------- */

START_TEST(a_new_index_has_a_root_and_its_counters_and_nothing_to_publish)
{
    static const uint64_t first[] = { 0, 2, 3, 1, 1 };
    struct inode_row root;
    struct index_totals totals;
    struct publication_row p;
    uint64_t v;
    ck_assert_int_eq(index_inode(ix, ROOT_INO, &root, &hold), 0);
    ck_assert(root.mode == (S_IFDIR | 0755) && root.uid == 1000 && root.gid == 100 && root.nlink == 2);
    ck_assert(root.size == 0 && root.ctime.tv_sec > 1600000000);
    for (uint32_t id = COUNTER_INO; id <= COUNTER_VERSION; id++) {
        ck_assert_int_eq(index_counter(ix, (enum counter)id, &v), 0);
        ck_assert_uint_eq(v, first[id]);
    }
    ck_assert_int_eq(index_unpublished(ix), 0);
    ck_assert_int_eq(index_last_publication(ix, &p), -ENOENT);
    ck_assert_int_eq(index_totals(ix, &totals), 0);
    ck_assert(totals.inodes == 1 && totals.objects == 0);
    ck_assert_uint_eq(generation(), 1);
}
END_TEST

START_TEST(opening_tells_missing_damaged_and_newer_apart)
{
    struct index *other = NULL;
    char path[128];
    ck_assert_int_eq(index_create(dir, key, 0, 0), -EEXIST);
    ck_assert_int_eq(index_open(&other, crash_dir, key, false), E_STATE_MISSING);
    close_index();
    ck_assert_int_eq(index_open(&other, dir, wrong_key, false), E_STATE_DAMAGED);
    path_in(path, dir, "index.db");
    ck_assert_int_eq(connection_open(&ix, path, key, false, false), 0);
    ck_assert_int_eq(connection_exec(ix, "UPDATE meta SET value=2 WHERE key='schema'"), 0);
    close_index();
    ck_assert_int_eq(index_open(&other, dir, key, false), E_NEWER_FORMAT);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(a_read_only_index_is_read_and_never_written)
{
    struct buf b = { 0 };
    struct dirent_row d;
    char path[128];
    put_file(&b, 2, "file");
    ck_assert_int_eq(apply(&b, 2), 0);
    close_index();
    path_in(path, dir, "index.db-wal");
    for (int round = 0; round < 2; round++) {      /* with the log, then without */
        ck_assert_int_eq(index_open(&ix, dir, key, true), 0);
        ck_assert_int_eq(lookup("file", &d), 0);
        put_file(&b, 3, "other");
        ck_assert_int_eq(apply(&b, 3), -EROFS);
        close_index();
        unlink(path);
    }
    ck_assert_int_ne(access(path, F_OK), 0);
    buf_free(&b);
}
END_TEST

/* --- rows --------------------------------------------------------------------------------- */

START_TEST(rows_come_back_after_a_remount)
{
    static const struct timespec times[] = { { -5, 999999999 }, { INT64_MAX, 7 }, { 1, 2 }, { -9300000000, 0 } };
    struct run runs[] = { { 3, 96, 0, 2, 4096, 4096 }, { 4, 500, 9, 1, 77, 70 } };
    struct inode_row in = file_row(2), out;
    struct buf b = { 0 }, list = { 0 };
    struct xattr_row x;
    struct chunk_row c;
    uint64_t n;
    in.atime = times[0];
    in.mtime = times[1];
    in.ctime = times[2];
    in.btime = times[3];
    in.size = 1ull << 50;
    in.blocks = 259;
    in.run_count = 2;
    in.runs = runs;
    in.ino = 0xffff000000000002;
    in.target = (const uint8_t *)"target";
    in.target_len = 6;
    batch_inode(&b, &in);
    xattr_list_add(&list, "user.a", 6, "b", 1);
    batch_xattr(&b, &(struct xattr_row){ in.ino, list.len, list.data });
    put_chunk(&b, in.ino, 1000000, 9);
    ck_assert_int_eq(apply(&b, 2), 0);
    close_index();
    open_index();
    ck_assert_int_eq(index_inode(ix, in.ino, &out, &hold), 0);
    ck_assert(out.ino == in.ino && out.size == in.size && out.blocks == 259 && out.run_count == 2);
    ck_assert(!memcmp(&out.atime, &in.atime, sizeof in.atime) && !memcmp(&out.mtime, &in.mtime, sizeof in.mtime));
    ck_assert(!memcmp(&out.ctime, &in.ctime, sizeof in.ctime) && !memcmp(&out.btime, &in.btime, sizeof in.btime));
    ck_assert(out.runs[1].segment == 4 && out.runs[1].sealed == 77 && out.runs[1].valid == 70);
    ck_assert(out.target_len == 6 && !memcmp(out.target, "target", 6));
    ck_assert_int_eq(index_xattrs(ix, in.ino, &x, &hold), 0);
    ck_assert(x.len == list.len && !memcmp(x.list, list.data, x.len));
    ck_assert_int_eq(index_next_chunk(ix, in.ino, 1, &n), 0);
    ck_assert_uint_eq(n, 1000000);
    ck_assert_int_eq(index_chunk(ix, in.ino, n, &c, &hold), 0);
    ck_assert(c.run_count == 1 && c.runs[0].segment == 9);
    ck_assert_int_eq(index_next_chunk(ix, in.ino, n + 1, &n), -ENOENT);
    ck_assert_int_eq(index_inode(ix, 99, &out, &hold), -ENOENT);
    buf_free(&b);
    buf_free(&list);
}
END_TEST

#define NFC_E "\xc3\xa9"
#define NFD_E "e\xcc\x81"

START_TEST(a_name_is_found_in_either_normal_form)
{
    struct buf b = { 0 };
    struct dirent_row d;
    put_file(&b, 2, "caf" NFC_E);
    put_file(&b, 3, "th" NFD_E);
    put_file(&b, 4, "\xe2\x84\xab" NFD_E "\xcc\xa7");        /* neither NFC nor NFD */
    put_file(&b, 5, "\xff" NFD_E);                           /* no UTF-8 */
    ck_assert_int_eq(apply(&b, 2), 0);
    ck_assert_int_eq(lookup("caf" NFD_E, &d), -ENOENT);
    ck_assert_int_eq(index_dirent_variant(ix, ROOT_INO, "caf" NFD_E, 6, &d, &hold), 0);
    ck_assert(d.ino == 2 && d.name_len == 5);
    ck_assert_int_eq(index_dirent_variant(ix, ROOT_INO, "th" NFC_E, 4, &d, &hold), 0);
    ck_assert(d.ino == 3 && d.name_len == 5 && !memcmp(d.name, "th" NFD_E, 5));
    ck_assert_int_eq(index_dirent_variant(ix, ROOT_INO, "\xc3\x85\xc8\xa9\xcc\x81", 6, &d, &hold), 0);
    ck_assert_uint_eq(d.ino, 4);
    ck_assert_int_eq(index_dirent_variant(ix, ROOT_INO, "\xff" NFC_E, 3, &d, &hold), -ENOENT);
    ck_assert_int_eq(index_dirent_variant(ix, ROOT_INO, "ascii", 5, &d, &hold), -ENOENT);
    ck_assert_int_eq(index_dirent_variant(ix, 99, "caf" NFD_E, 6, &d, &hold), -ENOENT);
    buf_free(&b);
}
END_TEST

struct listing { unsigned count, with_inode; uint64_t last; int stop_at; };

static int list_one(void *ctx, const struct dirent_row *d, const struct inode_row *i)
{
    struct listing *l = ctx;
    struct dirent_row again;
    ck_assert(d->cookie > l->last && d->parent == ROOT_INO && d->name_len && d->mode == S_IFREG);
    ck_assert_int_eq(index_dirent_at(ix, d->parent, d->cookie, &again, &hold), 0);  /* the lock is free */
    ck_assert_uint_eq(again.ino, d->ino);
    if (i) {
        ck_assert_uint_eq(i->ino, d->ino);
        l->with_inode++;
    }
    l->last = d->cookie;
    return (int)++l->count == l->stop_at ? 42 : 0;
}

START_TEST(a_directory_is_listed_in_cookie_order_from_any_position)
{
    struct buf b = { 0 };
    char name[32];
    for (uint64_t ino = 2; ino < 302; ino++) {
        snprintf(name, sizeof name, "file-%d", (int)(ino * 7919 % 1000));
        put_file(&b, ino, name);
    }
    batch_gone(&b, RECORD_INODE_GONE, 10, 0);
    ck_assert_int_eq(apply(&b, 2), 0);
    struct listing all = { 0 }, part = { 0 }, rest = { .last = 150 }, stopped = { .stop_at = 70 };
    ck_assert_int_eq(index_scan_dir(ix, ROOT_INO, 0, UINT32_MAX, true, list_one, &all), 0);
    ck_assert(all.count == 300 && all.with_inode == 299);
    ck_assert_int_eq(index_scan_dir(ix, ROOT_INO, 0, 100, false, list_one, &part), 0);
    ck_assert(part.count == 100 && part.with_inode == 0 && part.last == 102);
    ck_assert_int_eq(index_scan_dir(ix, ROOT_INO, 150, UINT32_MAX, true, list_one, &rest), 0);
    ck_assert_uint_eq(rest.count, 302 - 150);
    ck_assert_int_eq(index_scan_dir(ix, ROOT_INO, 0, UINT32_MAX, true, list_one, &stopped), 42);
    ck_assert_uint_eq(stopped.count, 70);
    buf_free(&b);
}
END_TEST

static int count_ino(void *ctx, uint64_t ino)
{
    *(uint64_t *)ctx += ino;
    return 0;
}

START_TEST(orphans_are_found_and_totals_follow)
{
    struct buf b = { 0 };
    struct inode_row row = file_row(7);
    struct index_totals t;
    uint64_t sum = 0;
    put_file(&b, 2, "kept");
    row.nlink = 0;
    batch_inode(&b, &row);
    ck_assert_int_eq(apply(&b, 2), 0);
    ck_assert_int_eq(index_scan_orphans(ix, count_ino, &sum), 0);
    ck_assert_uint_eq(sum, 7);
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert_uint_eq(t.inodes, 3);
    batch_gone(&b, RECORD_INODE_GONE, 7, 0);
    batch_gone(&b, RECORD_INODE_GONE, 8, 0);          /* never was */
    ck_assert_int_eq(apply(&b, 3), 0);
    sum = 0;
    ck_assert_int_eq(index_scan_orphans(ix, count_ino, &sum), 0);
    ck_assert_uint_eq(sum, 0);
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert_uint_eq(t.inodes, 2);
    buf_free(&b);
}
END_TEST

START_TEST(chunks_go_from_a_position_on_however_many)
{
    struct buf b = { 0 };
    struct chunk_row c;
    uint64_t n;
    for (n = 1; n <= 1000; n++)
        put_chunk(&b, 2, n, 1);
    put_chunk(&b, 3, 500, 1);
    ck_assert_int_eq(apply(&b, 2), 0);
    batch_gone(&b, RECORD_CHUNKS_GONE, 2, 12);
    batch_chunk(&b, &(struct chunk_row){ .ino = 2, .n = 5 });
    ck_assert_int_eq(apply(&b, 3), 0);
    ck_assert_int_eq(index_next_chunk(ix, 2, 5, &n), 0);
    ck_assert_uint_eq(n, 6);
    ck_assert_int_eq(index_chunk(ix, 2, 11, &c, &hold), 0);
    ck_assert_int_eq(index_next_chunk(ix, 2, 12, &n), -ENOENT);
    ck_assert_int_eq(index_chunk(ix, 3, 500, &c, &hold), 0);
    buf_free(&b);
}
END_TEST

/* --- transactions ---------------------------------------------------------------------------- */

START_TEST(a_batch_that_fails_changes_nothing)
{
    struct buf b = { 0 };
    struct dirent_row d;
    put_file(&b, 2, "first");
    ck_assert_int_eq(apply(&b, 2), 0);
    for (uint64_t ino = 10; ino < 700; ino++) {
        char name[32];
        snprintf(name, sizeof name, "new-%d", (int)ino);
        put_file(&b, ino, name);
    }
    buf_byte(&b, 0xee);
    ck_assert_int_eq(apply(&b, 3), E_FORMAT);
    put_file(&b, 10, "new-10");
    batch_tail(&b, 1, 96, "x", 1);
    ck_assert_int_eq(apply(&b, 3), -EINVAL);
    put_file(&b, 11, "new-10");
    put_file(&b, 12, "first");                        /* taken, under another cookie */
    ck_assert_int_eq(apply(&b, 3), E_STATE_DAMAGED);
    ck_assert_int_eq(lookup("new-10", &d), -ENOENT);
    ck_assert_uint_eq(generation(), 2);
    struct index_totals t;
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert(t.inodes == 2 && t.unpublished == 2);
    batch_gone(&b, RECORD_DIRENT_GONE, ROOT_INO, 3);
    put_file(&b, 12, "first");                        /* free now */
    ck_assert_int_eq(apply(&b, 3), 0);
    ck_assert_int_eq(lookup("first", &d), 0);
    ck_assert(d.ino == 12 && generation() == 3);
    buf_free(&b);
}
END_TEST

START_TEST(counters_never_go_down)
{
    struct buf b = { 0 };
    uint64_t v;
    batch_counter(&b, COUNTER_INO, 50);
    batch_counter(&b, COUNTER_INO, 40);
    ck_assert_int_eq(apply(&b, 2), 0);
    ck_assert_int_eq(index_counter(ix, COUNTER_INO, &v), 0);
    ck_assert_uint_eq(v, 50);
    buf_free(&b);
}
END_TEST

static _Atomic bool stop;
static _Atomic unsigned reads, failures;

static void *read_all_the_time(void *ctx)
{
    struct row_hold h = { 0 };
    struct inode_row row;
    uint64_t ino = 2;
    while (!stop) {
        int rc = index_inode(ix, ino, &row, &h);
        failures += rc && rc != -ENOENT;
        ino = ino % 20000 + 1;
        reads++;
    }
    row_hold_free(&h);
    return ctx;
}

START_TEST(readers_get_through_while_a_large_batch_is_applied)
{
    struct buf b = { 0 };
    pthread_t thread;
    for (uint64_t ino = 2; ino < 20000; ino++) {
        char name[32];
        snprintf(name, sizeof name, "%d", (int)ino);
        put_file(&b, ino, name);
    }
    ck_assert_int_eq(pthread_create(&thread, NULL, read_all_the_time, NULL), 0);
    while (!reads)
        sched_yield();
    unsigned before = reads;
    ck_assert_int_eq(apply(&b, 2), 0);
    unsigned after = reads;
    stop = true;
    pthread_join(thread, NULL);
    ck_assert_uint_gt(after, before + 10);
    ck_assert_uint_eq(failures, 0);
    buf_free(&b);
}
END_TEST

/* --- notes and publications ---------------------------------------------------------------------- */

/* The records of a collection by kind, and the last inode and its size. */
struct tally { unsigned kinds[16], total; uint64_t last_ino, last_size; };

static struct tally tally_of(const struct buf *b)
{
    static struct record rec;
    struct reader r = reader_over(b->data, b->len);
    struct tally t = { 0 };
    int rc;
    while ((rc = batch_next(&r, &rec)) == 1) {
        t.kinds[rec.kind]++;
        t.total++;
        if (rec.kind == RECORD_INODE) {
            t.last_ino = rec.inode.ino;
            t.last_size = rec.inode.size;
        }
    }
    ck_assert_int_eq(rc, 0);
    return t;
}

static struct tally collect(uint64_t cut)
{
    struct buf out = { 0 };
    ck_assert_int_eq(index_collect(ix, cut, SIZE_MAX, &out), 0);
    struct tally t = tally_of(&out);
    buf_free(&out);
    return t;
}

static int intend(uint64_t seq, uint64_t cut, uint32_t first_segment, unsigned count)
{
    struct publication_row p = { .seq = seq, .hash = { (uint8_t)seq }, .time = 1700000000,
                                 .carrier = first_segment + count - 1 };
    struct buf b = { 0 };
    for (unsigned i = 0; i < count; i++)
        batch_segment(&b, &(struct segment_row){ .number = first_segment + i, .state = SEGMENT_STAGED,
                                                 .id = { { (uint8_t)(first_segment + i) } },
                                                 .length = 65536, .sha256 = { 1 } });
    int rc = index_intend(ix, &p, &b, cut);
    buf_free(&b);
    return rc;
}

START_TEST(a_collection_has_the_current_rows_and_the_losses)
{
    struct buf b = { 0 }, list = { 0 };
    put_file(&b, 2, "two");
    put_file(&b, 3, "three");
    put_file(&b, 4, "four");
    put_chunk(&b, 2, 1, 1);
    put_chunk(&b, 2, 2, 1);
    put_chunk(&b, 3, 1, 1);
    xattr_list_add(&list, "user.a", 6, "b", 1);
    batch_xattr(&b, &(struct xattr_row){ 2, list.len, list.data });
    batch_xattr(&b, &(struct xattr_row){ 3, list.len, list.data });
    ck_assert_int_eq(apply(&b, 2), 0);
    batch_gone(&b, RECORD_DIRENT_GONE, ROOT_INO, 4);
    batch_gone(&b, RECORD_INODE_GONE, 3, 0);          /* takes chunk and xattrs along */
    batch_xattr(&b, &(struct xattr_row){ .ino = 2 });
    batch_chunk(&b, &(struct chunk_row){ .ino = 2, .n = 2 });
    ck_assert_int_eq(apply(&b, 3), 0);
    struct chunk_row c;
    ck_assert_int_eq(index_chunk(ix, 3, 1, &c, &hold), -ENOENT);
    struct tally t = collect(1);
    ck_assert_uint_eq(t.kinds[RECORD_INODE], 2);
    ck_assert_uint_eq(t.kinds[RECORD_INODE_GONE], 1);
    ck_assert_uint_eq(t.kinds[RECORD_DIRENT], 2);
    ck_assert_uint_eq(t.kinds[RECORD_DIRENT_GONE], 1);
    ck_assert_uint_eq(t.kinds[RECORD_XATTR], 1);
    ck_assert_uint_eq(t.kinds[RECORD_CHUNK], 2);
    ck_assert_uint_eq(t.total, 9);
    buf_free(&b);
    buf_free(&list);
}
END_TEST

START_TEST(truncating_a_huge_file_is_one_record_before_its_new_chunks)
{
    static struct record rec;
    struct buf b = { 0 }, out = { 0 };
    for (uint64_t n = 1; n <= 2000; n++)
        put_chunk(&b, 2, n, 1);
    ck_assert_int_eq(apply(&b, 2), 0);
    batch_gone(&b, RECORD_CHUNKS_GONE, 2, 3);
    put_chunk(&b, 2, 7, 2);
    ck_assert_int_eq(apply(&b, 3), 0);
    ck_assert_int_eq(index_collect(ix, 1, SIZE_MAX, &out), 0);
    struct tally t = tally_of(&out);
    ck_assert(t.total == 4 && t.kinds[RECORD_CHUNKS_GONE] == 1 && t.kinds[RECORD_CHUNK] == 3);
    struct reader r = reader_over(out.data, out.len);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert_int_eq(rec.kind, RECORD_CHUNKS_GONE);
    /* Applied to an index that knows the old chunks, the publication gives the new ones. */
    for (uint64_t n = 1; n <= 20; n++)
        put_chunk(&b, 2, n, 1);
    ck_assert_int_eq(apply(&b, 4), 0);
    ck_assert_int_eq(index_apply(ix, &out, false, 4), 0);
    uint64_t n, count = 0;
    for (n = 0; index_next_chunk(ix, 2, n, &n) == 0; n++)
        count++;
    ck_assert_uint_eq(count, 3);
    buf_free(&b);
    buf_free(&out);
}
END_TEST

START_TEST(a_row_changed_between_collection_and_intent_is_published_again)
{
    struct buf b = { 0 };
    struct inode_row row = file_row(2);
    put_file(&b, 2, "two");
    put_file(&b, 3, "three");
    ck_assert_int_eq(apply(&b, 2), 0);
    ck_assert_uint_eq(collect(11).total, 4);
    row.size = 777;
    batch_inode(&b, &row);
    ck_assert_int_eq(apply(&b, 3), 0);
    ck_assert_int_eq(intend(1, 11, 1, 1), 0);
    ck_assert_int_eq(index_unpublished(ix), 1);
    close_index();
    open_index();
    struct tally t = collect(12);
    ck_assert(t.total == 1 && t.last_ino == 2 && t.last_size == 777);
    ck_assert_int_eq(intend(2, 12, 2, 1), 0);
    ck_assert_int_eq(index_unpublished(ix), 0);
    ck_assert_uint_eq(collect(13).total, 0);
    buf_free(&b);
}
END_TEST

START_TEST(a_collection_that_was_never_intended_is_collected_again)
{
    struct buf b = { 0 };
    put_file(&b, 2, "two");
    ck_assert_int_eq(apply(&b, 2), 0);
    ck_assert_uint_eq(collect(11).total, 2);
    ck_assert_uint_eq(collect(12).total, 2);
    ck_assert_int_eq(intend(1, 11, 1, 1), 0);         /* not the last cut: forgets nothing */
    ck_assert_uint_eq(collect(13).total, 2);
    close_index();
    open_index();
    ck_assert_uint_eq(collect(14).total, 2);
    buf_free(&b);
}
END_TEST

START_TEST(a_large_change_is_collected_in_parts)
{
    struct buf b = { 0 }, out = { 0 };
    unsigned total = 0, parts = 0;
    int more;
    for (uint64_t ino = 2; ino < 3002; ino++) {
        char name[32];
        snprintf(name, sizeof name, "%d", (int)ino);
        put_file(&b, ino, name);
    }
    ck_assert_int_eq(apply(&b, 2), 0);
    do {                                              /* one cut, several calls */
        more = index_collect(ix, 5, 20000, &out);
        ck_assert(more >= 0 && out.len < 21000);
        total += tally_of(&out).total;
        buf_reset(&out);
        parts++;
    } while (more);
    ck_assert(total == 6000 && parts > 3);
    total = 0;
    uint64_t seq = 0;
    do {                                              /* a cut and an intent each */
        ++seq;
        more = index_collect(ix, 100 + seq, 20000, &out);
        total += tally_of(&out).total;
        buf_reset(&out);
        ck_assert_int_eq(intend(seq, 100 + seq, (uint32_t)seq, 1), 0);
    } while (more > 0);
    ck_assert_uint_eq(total, 6000);
    ck_assert_int_eq(index_unpublished(ix), 0);
    buf_free(&b);
    buf_free(&out);
}
END_TEST

static int note_number(void *ctx, const struct segment_row *s)
{
    struct buf *list = ctx;
    buf_byte(list, (uint8_t)s->number);
    return 0;
}

START_TEST(a_publication_of_the_store_is_taken_as_a_whole_or_not_at_all)
{
    struct buf rows = { 0 }, segments = { 0 };
    struct publication_row p = { .seq = 4, .hash = { 9 }, .time = 1700000000, .carrier = 5 }, last;
    struct segment_row s;
    struct inode_row row;
    struct index_totals t;

    put_file(&rows, 2, "two");
    batch_segment(&rows, &(struct segment_row){ .number = 3, .state = SEGMENT_PUBLISHED, .length = 65536 });
    batch_segment(&segments, &(struct segment_row){ .number = 5, .state = SEGMENT_STAGED, .length = 65536 });
    ck_assert_int_eq(index_take(ix, &p, &rows, &segments, 1), 0);
    ck_assert_int_eq(index_last_publication(ix, &last), 0);
    ck_assert(last.seq == 4 && last.done && last.carrier == 5 && last.hash[0] == 9);
    ck_assert_int_eq(index_segment(ix, 5, &s), 0);
    ck_assert_int_eq(s.state, SEGMENT_PUBLISHED);
    ck_assert_int_eq(index_unpublished(ix), 0);
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert_uint_eq(t.objects, 2);
    ck_assert_uint_eq(t.inodes, 2);
    buf_reset(&rows);              /* the number is taken: nothing of it is there */
    put_file(&rows, 3, "three");
    ck_assert_int_eq(index_take(ix, &p, &rows, &segments, 1), E_STATE_DAMAGED);
    ck_assert_int_eq(index_inode(ix, 3, &row, &hold), -ENOENT);
    ck_assert_int_eq(index_verify(ix), 0);
    buf_free(&rows);
    buf_free(&segments);
}
END_TEST

START_TEST(a_publication_goes_from_intent_to_done_with_its_segments_in_order)
{
    struct buf b = { 0 }, order = { 0 };
    struct publication_row p = { .seq = 1, .hash = { 9 }, .time = 1700000000, .carrier = 5 }, last;
    struct segment_row s;
    struct index_totals t;
    static const uint32_t numbers[] = { 7, 2, 5 };
    batch_segment(&b, &(struct segment_row){ .number = 2, .state = SEGMENT_STAGED, .length = 100 });
    batch_segment(&b, &(struct segment_row){ .number = 8, .state = SEGMENT_STAGED, .length = 100 });
    ck_assert_int_eq(apply(&b, 2), 0);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        batch_segment(&b, &(struct segment_row){ .number = numbers[i], .state = SEGMENT_STAGED, .epoch = 3,
                                                 .length = 65536, .sha256 = { 4 } });
    ck_assert_int_eq(index_intend(ix, &p, &b, 1), 0);
    ck_assert_int_eq(index_intend(ix, &p, &b, 1), E_STATE_DAMAGED);   /* never twice */
    ck_assert_int_eq(index_last_publication(ix, &last), 0);
    ck_assert(last.seq == 1 && !last.done && last.carrier == 5 && last.time == p.time && last.hash[0] == 9);
    ck_assert_int_eq(index_scan_publication(ix, 1, note_number, &order), 0);
    ck_assert(order.len == 3 && !memcmp(order.data, "\7\2\5", 3));
    ck_assert_int_eq(index_segment(ix, 2, &s), 0);
    ck_assert(s.state == SEGMENT_STAGED && s.length == 65536 && s.epoch == 3 && s.sha256[0] == 4);
    ck_assert_int_eq(index_published(ix, 2), -ENOENT);
    ck_assert_int_eq(index_published(ix, 1), 0);
    ck_assert_int_eq(index_published(ix, 1), 0);
    close_index();
    open_index();
    ck_assert_int_eq(index_last_publication(ix, &last), 0);
    ck_assert(last.done);
    ck_assert_int_eq(index_segment(ix, 7, &s), 0);
    ck_assert_int_eq(s.state, SEGMENT_PUBLISHED);
    buf_reset(&order);
    ck_assert_int_eq(index_scan_segments(ix, SEGMENT_STAGED, note_number, &order), 0);
    ck_assert(order.len == 1 && order.data[0] == 8);
    buf_reset(&order);
    ck_assert_int_eq(index_scan_segments(ix, 0, note_number, &order), 0);
    ck_assert(order.len == 4 && !memcmp(order.data, "\2\5\7\10", 4));
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert(t.objects == 3 && t.object_bytes == 3 * 65536);
    buf_reset(&b);
    batch_gone(&b, RECORD_SEGMENT_GONE, 7, 0);
    ck_assert_int_eq(apply(&b, 3), 0);
    ck_assert_int_eq(index_segment(ix, 7, &s), -ENOENT);
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert(t.objects == 2 && t.object_bytes == 2 * 65536);
    buf_free(&b);
    buf_free(&order);
}
END_TEST

/* --- crashes, damage, space -------------------------------------------------------------------------- */

static uint8_t *read_whole(const char *path, size_t *len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    *len = (size_t)st.st_size;
    ck_assert_int_eq(read(fd, bytes, *len), (ssize_t)*len);
    close(fd);
    return bytes;
}

static void write_whole(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void copy_to_crash_dir(const char *name)
{
    char from[128], to[128];
    size_t len;
    path_in(from, dir, name);
    path_in(to, crash_dir, name);
    uint8_t *bytes = read_whole(from, &len);
    write_whole(to, bytes, len);
    free(bytes);
}

/* Opens what a crash at this moment leaves; the generation tells the commit. */
static uint64_t generation_after_crash(void)
{
    struct index *crashed = NULL;
    uint64_t g = 0;
    ck_assert_int_eq(index_open(&crashed, crash_dir, key, false), 0);
    ck_assert_int_eq(index_generation(crashed, &g), 0);
    for (uint64_t k = 2; k <= g; k++) {               /* every commit is whole */
        struct inode_row row;
        ck_assert_int_eq(index_inode(crashed, 10 * k, &row, &hold), 0);
        ck_assert_int_eq(index_inode(crashed, 10 * k + 9, &row, &hold), 0);
    }
    ck_assert_int_eq(index_close(crashed), 0);
    return g;
}

static bool is_damaged_after_crash(void)
{
    struct index *crashed = NULL;
    int rc = index_open(&crashed, crash_dir, key, false);
    index_close(crashed);
    ck_assert(rc == 0 || rc == E_STATE_DAMAGED);
    return rc != 0;
}

static void commit_ten(uint64_t g)
{
    struct buf b = { 0 };
    char name[32];
    for (uint64_t i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "%d-%d", (int)g, (int)i);
        put_file(&b, 10 * g + i, name);
    }
    ck_assert_int_eq(apply(&b, g), 0);
    ck_assert_int_eq(index_sync(ix), 0);
    buf_free(&b);
}

START_TEST(a_crash_leaves_the_last_commit)
{
    for (uint64_t g = 2; g < 12; g++) {
        commit_ten(g);
        copy_to_crash_dir("index.db");
        copy_to_crash_dir("index.db-wal");
        ck_assert_uint_eq(generation_after_crash(), g);
    }
}
END_TEST

START_TEST(a_log_that_is_cut_leaves_an_earlier_commit_whole)
{
    char path[128];
    size_t len;
    uint64_t best = 0;
    srandom(3);
    for (uint64_t g = 2; g < 8; g++)
        commit_ten(g);
    path_in(path, dir, "index.db-wal");
    uint8_t *log = read_whole(path, &len);
    path_in(path, crash_dir, "index.db-wal");
    for (size_t at = 0; at < len; at += 1 + (size_t)random() % 3000) {
        copy_to_crash_dir("index.db");
        write_whole(path, log, at);
        uint64_t cut = generation_after_crash();
        ck_assert(cut >= best && cut <= 7);
        best = cut;
    }
    ck_assert_uint_ge(best, 6);
    free(log);
}
END_TEST

/* Only in the last round of the log can rot be taken for a torn write. */
START_TEST(a_byte_changed_in_a_log_that_was_synced_is_damage_but_in_the_last_commit)
{
    char path[128];
    size_t len;
    unsigned damaged = 0;
    srandom(3);
    for (uint64_t g = 2; g < 8; g++)
        commit_ten(g);
    path_in(path, dir, "index.db-wal");
    uint8_t *log = read_whole(path, &len);
    path_in(path, crash_dir, "index.db-wal");
    for (size_t at = 0; at < len; at += at < 40 ? 1 : 1 + (size_t)random() % 1500) {
        copy_to_crash_dir("index.db");
        log[at] ^= 4;
        write_whole(path, log, len);
        log[at] ^= 4;
        if (is_damaged_after_crash())
            damaged++;
        else
            ck_assert(at >= 32 && generation_after_crash() >= 6);
    }
    ck_assert_uint_gt(damaged, 40);
    free(log);
}
END_TEST

static int touch_entry(void *ctx, const struct dirent_row *d, const struct inode_row *i)
{
    (void)d;
    *(unsigned *)ctx += i != NULL;
    return 0;
}

START_TEST(a_byte_changed_in_any_page_is_damage_or_lies_where_nothing_is_read)
{
    char path[128];
    size_t len;
    unsigned damaged = 0, pages = 0;
    srandom(4);
    for (uint64_t g = 2; g < 30; g++)
        commit_ten(g);
    close_index();
    path_in(path, dir, "index.db");
    uint8_t *bytes = read_whole(path, &len);
    for (size_t page = 0; page < len; page += 4096, pages++) {
        size_t at = page + (size_t)random() % 4096;
        unsigned entries = 0;
        bytes[at] ^= 0x20;
        write_whole(path, bytes, len);
        bytes[at] ^= 0x20;
        int rc = index_open(&ix, dir, key, true);
        if (!rc) {
            struct buf out = { 0 };
            rc = index_scan_dir(ix, ROOT_INO, 0, UINT32_MAX, true, touch_entry, &entries);
            struct dirent_row d;
            for (uint64_t g = 2; rc == 0 && g < 30; g++) {
                char name[32];
                snprintf(name, sizeof name, "%d-%d", (int)g, 4);
                rc = lookup(name, &d);
            }
            if (!rc)
                rc = index_collect(ix, 1, SIZE_MAX, &out);
            buf_free(&out);
            index_close(ix);
            ix = NULL;
        }
        ck_assert(rc == E_STATE_DAMAGED || (rc == 0 && entries == 280));
        damaged += rc == E_STATE_DAMAGED;
    }
    ck_assert_uint_ge(damaged, pages / 2);
    write_whole(path, bytes, len);
    free(bytes);
    open_index();
    ck_assert_uint_eq(generation(), 29);
}
END_TEST

START_TEST(a_file_cut_short_is_damage)
{
    char path[128];
    size_t len;
    for (uint64_t g = 2; g < 30; g++)
        commit_ten(g);
    close_index();
    path_in(path, dir, "index.db");
    uint8_t *bytes = read_whole(path, &len);
    for (size_t cut = 0; cut < len; cut += 8192) {
        write_whole(path, bytes, cut);
        ck_assert_int_eq(index_open(&ix, dir, key, false), E_STATE_DAMAGED);
    }
    write_whole(path, bytes, len);
    free(bytes);
    open_index();
}
END_TEST

#define LARGE_ROWS 24u

/* Of up to five pages: what a row has beyond its first one are overflow pages. */
static void large_list(uint64_t ino, uint8_t turn, struct buf *list)
{
    static uint8_t value[20000];
    size_t len = 1000 + ino * 777 % (sizeof value - 1000);
    memset(value, (int)(turn * 100 + ino), len);
    buf_reset(list);
    xattr_list_add(list, "user.large", 10, value, len);
}

static void commit_large(uint64_t first, uint64_t count, uint64_t g)
{
    struct buf b = { 0 }, list = { 0 };
    for (uint64_t ino = first; ino < first + count; ino++) {
        struct inode_row row = file_row(ino);
        batch_inode(&b, &row);
        large_list(ino, (uint8_t)g, &list);
        batch_xattr(&b, &(struct xattr_row){ ino, list.len, list.data });
    }
    ck_assert_int_eq(apply(&b, g), 0);
    ck_assert_int_eq(index_sync(ix), 0);
    buf_free(&b);
    buf_free(&list);
}

/* 0 and every row is what was written, or an error. */
static int read_large(struct index *from, const uint8_t turns[])
{
    struct buf list = { 0 };
    struct xattr_row x;
    int rc = 0;
    for (uint64_t k = 0; !rc && k < LARGE_ROWS; k++) {
        rc = index_xattrs(from, 10 + k, &x, &hold);
        large_list(10 + k, turns[k], &list);
        ck_assert(rc || (x.len == list.len && !memcmp(x.list, list.data, x.len)));
    }
    buf_free(&list);
    return rc;
}

/* SQLite does not ask how long a file is while there is a log beside it. */
START_TEST(a_file_cut_short_beside_its_log_is_damage_or_lacks_nothing)
{
    uint8_t turns[LARGE_ROWS];
    char path[128];
    size_t len;
    unsigned damaged = 0, pages = 0;
    memset(turns, 2, sizeof turns);
    commit_large(10, LARGE_ROWS - 2, 2);
    close_index();
    open_index();
    commit_large(13, 2, 3);
    commit_large(10 + LARGE_ROWS - 2, 2, 4);
    turns[3] = turns[4] = 3;
    turns[LARGE_ROWS - 2] = turns[LARGE_ROWS - 1] = 4;
    path_in(path, dir, "index.db");
    uint8_t *bytes = read_whole(path, &len);
    path_in(path, crash_dir, "index.db");
    for (size_t cut = 0; cut <= len; cut += 4096, pages++) {
        struct index *crashed = NULL;
        write_whole(path, bytes, cut ? len - cut : len);
        copy_to_crash_dir("index.db-wal");
        int rc = index_open(&crashed, crash_dir, key, false);
        if (!rc)
            rc = read_large(crashed, turns);
        if (crashed)
            index_discard(crashed);
        ck_assert(rc == 0 || (cut && rc == E_STATE_DAMAGED));
        damaged += rc != 0;
    }
    ck_assert_uint_gt(damaged, pages / 2);
    free(bytes);
}
END_TEST

START_TEST(no_name_target_or_attribute_reaches_the_disk_in_the_clear)
{
    static const char *const files[] = { "index.db", "index.db-wal" };
    static const char *const canaries[] = { "canary-name", "canary-target", "user.canary", "canary-value" };
    struct buf b = { 0 }, list = { 0 };
    struct inode_row row = file_row(2);
    char path[128];
    put_file(&b, 3, "canary-name-\xc3\xa9");
    row.mode = S_IFLNK | 0777;
    row.target = (const uint8_t *)"canary-target";
    row.target_len = 13;
    batch_inode(&b, &row);
    xattr_list_add(&list, "user.canary", 11, "canary-value", 12);
    batch_xattr(&b, &(struct xattr_row){ 2, list.len, list.data });
    ck_assert_int_eq(apply(&b, 2), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
            size_t len;
            path_in(path, dir, files[f]);
            uint8_t *bytes = read_whole(path, &len);
            for (size_t c = 0; c < ARRAY_SIZE(canaries); c++)
                ck_assert_ptr_null(memmem(bytes, len, canaries[c], 6));
            free(bytes);
        }
        close_index();                                /* and once more after the checkpoint */
        open_index();
    }
    buf_free(&b);
    buf_free(&list);
}
END_TEST

START_TEST(the_log_does_not_grow_without_bound)
{
    struct buf b = { 0 };
    struct stat st;
    char path[128], name[32];
    path_in(path, dir, "index.db-wal");
    for (uint64_t g = 2; g < 200; g++) {
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t ino = 2 + (g * 7919 + i * 104729) % 50000;
            snprintf(name, sizeof name, "%d", (int)ino);
            put_file(&b, ino, name);
        }
        ck_assert_int_eq(apply(&b, g), 0);
        ck_assert_int_eq(index_sync(ix), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_le(st.st_size, 10 << 20);
    }
    close_index();
    open_index();
    ck_assert_uint_eq(generation(), 199);
    buf_free(&b);
}
END_TEST

/* A small filesystem of its own, in a mount namespace that ends with the test. */
static bool mount_small(const char *where, const char *options)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", where, "tmpfs", 0, options) == 0;
}

static void fill_with_names(struct buf *b, uint64_t first, unsigned count)
{
    char name[128];
    for (uint64_t ino = first; ino < first + count; ino++) {
        snprintf(name, sizeof name, "a-rather-long-name-so-that-space-runs-out-sooner-%020d", (int)ino);
        put_file(b, ino, name);
    }
}

START_TEST(a_full_disk_loses_nothing_and_work_resumes_with_space)
{
    static uint8_t zeros[1 << 20];
    struct buf b = { 0 };
    struct index_totals t;
    struct inode_row row;
    char path[128];
    uint64_t g = 2, first = 2;
    int rc = 0;
    close_index();
    if (!mount_small(crash_dir, "size=4m")) {
        printf("skipped: no permission to mount\n");
        open_index();
        return;
    }
    path_in(path, crash_dir, "ballast");
    write_whole(path, zeros, sizeof zeros);
    ck_assert_int_eq(index_create(crash_dir, key, 0, 0), 0);
    ck_assert_int_eq(index_open(&ix, crash_dir, key, false), 0);
    for (; g < 1000; g++, first += 300) {
        fill_with_names(&b, first, 300);
        rc = index_apply(ix, &b, true, g);
        if (rc)
            break;
        buf_reset(&b);
        ck_assert_int_eq(index_sync(ix), 0);
    }
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_int_eq(index_apply(ix, &b, true, g), -ENOSPC);
    ck_assert_uint_eq(generation(), g - 1);
    ck_assert_int_eq(index_totals(ix, &t), 0);
    ck_assert_uint_eq(t.inodes, first - 1);
    ck_assert_int_eq(index_inode(ix, first - 1, &row, &hold), 0);
    ck_assert_int_eq(index_inode(ix, first, &row, &hold), -ENOENT);
    unlink(path);
    ck_assert_int_eq(index_apply(ix, &b, true, g), 0);
    ck_assert_int_eq(index_sync(ix), 0);
    ck_assert_int_eq(index_close(ix), 0);
    ck_assert_int_eq(index_open(&ix, crash_dir, key, false), 0);
    ck_assert_int_eq(index_inode(ix, first + 299, &row, &hold), 0);
    ck_assert_int_eq(index_close(ix), 0);
    ix = NULL;
    umount2(crash_dir, MNT_DETACH);
    buf_free(&b);
    open_index();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("index");
    TCase *t = tcase_create("index");
    tcase_set_timeout(t, 180);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_new_index_has_a_root_and_its_counters_and_nothing_to_publish);
    tcase_add_test(t, opening_tells_missing_damaged_and_newer_apart);
    tcase_add_test(t, a_read_only_index_is_read_and_never_written);
    tcase_add_test(t, rows_come_back_after_a_remount);
    tcase_add_test(t, a_name_is_found_in_either_normal_form);
    tcase_add_test(t, a_directory_is_listed_in_cookie_order_from_any_position);
    tcase_add_test(t, orphans_are_found_and_totals_follow);
    tcase_add_test(t, chunks_go_from_a_position_on_however_many);
    tcase_add_test(t, a_batch_that_fails_changes_nothing);
    tcase_add_test(t, counters_never_go_down);
    tcase_add_test(t, readers_get_through_while_a_large_batch_is_applied);
    tcase_add_test(t, a_collection_has_the_current_rows_and_the_losses);
    tcase_add_test(t, truncating_a_huge_file_is_one_record_before_its_new_chunks);
    tcase_add_test(t, a_row_changed_between_collection_and_intent_is_published_again);
    tcase_add_test(t, a_collection_that_was_never_intended_is_collected_again);
    tcase_add_test(t, a_large_change_is_collected_in_parts);
    tcase_add_test(t, a_publication_of_the_store_is_taken_as_a_whole_or_not_at_all);
    tcase_add_test(t, a_publication_goes_from_intent_to_done_with_its_segments_in_order);
    tcase_add_test(t, a_crash_leaves_the_last_commit);
    tcase_add_test(t, a_log_that_is_cut_leaves_an_earlier_commit_whole);
    tcase_add_test(t, a_byte_changed_in_a_log_that_was_synced_is_damage_but_in_the_last_commit);
    tcase_add_test(t, a_byte_changed_in_any_page_is_damage_or_lies_where_nothing_is_read);
    tcase_add_test(t, a_file_cut_short_is_damage);
    tcase_add_test(t, a_file_cut_short_beside_its_log_is_damage_or_lacks_nothing);
    tcase_add_test(t, no_name_target_or_attribute_reaches_the_disk_in_the_clear);
    tcase_add_test(t, the_log_does_not_grow_without_bound);
    tcase_add_test(t, a_full_disk_loses_nothing_and_work_resumes_with_space);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
