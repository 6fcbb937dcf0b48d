/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The batch codec: what is encoded comes back; what is damaged is refused.
 */
#include <check.h>
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct record rec;

static struct inode_row sample_inode(void)
{
    return (struct inode_row){
        .ino = 0x0001000000000007, .parent = ROOT_INO, .cookie = 12, .size = 5000, .version = 9, .blocks = 2,
        .rdev = 0, .mode = S_IFREG | 0640, .nlink = 1, .uid = 1000, .gid = UINT32_MAX, .flags = INODE_XATTRS,
        .atime = { -1, 999999999 }, .mtime = { INT64_MAX, 0 }, .ctime = { 1700000000, 5 },
        .btime = { 1700000000, 5 } };
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_run(const struct run *a, const struct run *b)
{
    return a->segment == b->segment && a->offset == b->offset && a->first == b->first &&
           a->count == b->count && a->sealed == b->sealed && a->valid == b->valid;
}

START_TEST(an_inode_comes_back_with_every_field)
{
    struct buf b = { 0 };
    struct run runs[] = { { 3, 96, 0, 1, 4096, 4096 }, { 3, 4220, 1, 1, 904, 804 } };
    struct inode_row in = sample_inode();
    in.runs = runs;
    in.run_count = 2;
    in.target = (const uint8_t *)"elsewhere";
    in.target_len = 9;
    batch_inode(&b, &in);
    ck_assert(!b.failed);
    struct reader r = reader_over(b.data, b.len);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    const struct inode_row *out = &rec.inode;
    ck_assert_int_eq(rec.kind, RECORD_INODE);
    ck_assert(out->ino == in.ino && out->parent == in.parent && out->cookie == in.cookie);
    ck_assert(out->size == in.size && out->version == in.version && out->blocks == in.blocks);
    ck_assert(out->mode == in.mode && out->nlink == in.nlink && out->rdev == in.rdev);
    ck_assert(out->uid == in.uid && out->gid == in.gid && out->flags == in.flags);
    ck_assert(same_time(out->atime, in.atime) && same_time(out->mtime, in.mtime));
    ck_assert(same_time(out->ctime, in.ctime) && same_time(out->btime, in.btime));
    ck_assert_uint_eq(out->run_count, 2);
    ck_assert(same_run(&out->runs[0], &runs[0]) && same_run(&out->runs[1], &runs[1]));
    ck_assert_uint_eq(out->target_len, 9);
    ck_assert_mem_eq(out->target, "elsewhere", 9);
    ck_assert_int_eq(batch_next(&r, &rec), 0);
    buf_free(&b);
}
END_TEST

START_TEST(an_entry_an_xattr_list_and_a_tail_borrow_their_bytes)
{
    struct buf b = { 0 }, list = { 0 };
    const uint8_t *name, *value;
    size_t name_len, len;

    xattr_list_add(&list, "user.colour", 11, "blue", 4);
    xattr_list_add(&list, "user.empty", 10, NULL, 0);
    batch_dirent(&b, &(struct dirent_row){ .parent = 1, .cookie = 3, .ino = 2, .mode = S_IFDIR,
                                           .name_len = 5, .name = (const uint8_t *)"\xc3\xa9t\xc3\xa9" });
    batch_xattr(&b, &(struct xattr_row){ 2, list.len, list.data });
    batch_tail(&b, 7, 96, "ciphertext", 10);
    struct reader r = reader_over(b.data, b.len);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert_uint_eq(rec.dirent.mode, S_IFDIR);
    ck_assert_uint_eq(rec.dirent.name_len, 5);
    ck_assert_mem_eq(rec.dirent.name, "\xc3\xa9t\xc3\xa9", 5);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    struct reader l = reader_over(rec.xattr.list, rec.xattr.len);
    ck_assert_int_eq(xattr_list_next(&l, &name, &name_len, &value, &len), 1);
    ck_assert(name_len == 11 && len == 4 && !memcmp(value, "blue", 4));
    ck_assert_int_eq(xattr_list_next(&l, &name, &name_len, &value, &len), 1);
    ck_assert(name_len == 10 && len == 0);
    ck_assert_int_eq(xattr_list_next(&l, &name, &name_len, &value, &len), 0);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert(rec.kind == RECORD_TAIL && rec.tail.segment == 7 && rec.tail.offset == 96 && rec.tail.len == 10);
    ck_assert_int_eq(batch_next(&r, &rec), 0);
    buf_free(&b);
    buf_free(&list);
}
END_TEST

START_TEST(segments_counters_and_losses_come_back)
{
    struct buf b = { 0 };
    struct segment_row s = { .number = UINT32_MAX, .state = SEGMENT_PUBLISHED, .id = { "0123456789abcde" },
                             .epoch = 2, .length = 1 << 24, .sha256 = { 1, 2, 3 } };
    batch_segment(&b, &s);
    batch_gone(&b, RECORD_INODE_GONE, 5, 99);
    batch_gone(&b, RECORD_DIRENT_GONE, 5, 99);
    batch_gone(&b, RECORD_CHUNKS_GONE, 5, 1);
    batch_gone(&b, RECORD_SEGMENT_GONE, 4, 0);
    batch_counter(&b, COUNTER_VERSION, UINT64_MAX);
    struct reader r = reader_over(b.data, b.len);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert_uint_eq(rec.segment.number, UINT32_MAX);
    ck_assert(id_equal(&rec.segment.id, &s.id) && rec.segment.length == s.length && rec.segment.epoch == 2);
    ck_assert_mem_eq(rec.segment.sha256, s.sha256, 32);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert(rec.kind == RECORD_INODE_GONE && rec.gone.ino == 5);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert(rec.kind == RECORD_DIRENT_GONE && rec.gone.ino == 5 && rec.gone.n == 99);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert(rec.kind == RECORD_CHUNKS_GONE && rec.gone.n == 1);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert(rec.kind == RECORD_SEGMENT_GONE && rec.gone.ino == 4);
    ck_assert_int_eq(batch_next(&r, &rec), 1);
    ck_assert(rec.kind == RECORD_COUNTER && rec.counter.id == COUNTER_VERSION && rec.counter.value == UINT64_MAX);
    ck_assert_int_eq(batch_next(&r, &rec), 0);
    buf_free(&b);
}
END_TEST

/* A random valid map, with gaps, ragged ends and jumps between segments. */
static uint32_t random_runs(struct run *v)
{
    uint32_t n = 0, at = 0;

    while (at < CHUNK_BLOCKS && n < CHUNK_BLOCKS) {
        at += (uint32_t)random() % 3;
        if (at >= CHUNK_BLOCKS)
            break;
        struct run *r = &v[n++];
        uint32_t room = CHUNK_BLOCKS - at;
        r->segment = 1 + (uint32_t)random() % 4;
        r->offset = (uint32_t)random() % (15u << 20);
        r->first = (uint16_t)at;
        r->count = (uint16_t)(1 + (uint32_t)random() % (random() % 4 ? 1 : room));
        r->sealed = (uint16_t)(random() % 3 ? BLOCK_SIZE : 1 + random() % BLOCK_SIZE);
        r->valid = (uint16_t)(random() % 3 ? r->sealed : 1 + random() % r->sealed);
        at += r->count;
    }
    return n;
}

START_TEST(any_valid_map_of_runs_comes_back)
{
    static struct run in[CHUNK_BLOCKS], out[CHUNK_BLOCKS];
    srandom(20);
    for (int turn = 0; turn < 2000; turn++) {
        struct buf b = { 0 };
        uint32_t n = random_runs(in);
        runs_encode(&b, in, n);
        struct reader r = reader_over(b.data, b.len);
        ck_assert_int_eq(runs_decode(&r, out), (int)n);
        ck_assert_uint_eq(reader_left(&r), 0);
        for (uint32_t i = 0; i < n; i++)
            ck_assert(same_run(&in[i], &out[i]));
        buf_free(&b);
    }
}
END_TEST

START_TEST(a_wholly_scattered_chunk_takes_at_most_two_kilobytes)
{
    static struct run v[CHUNK_BLOCKS];
    struct buf b = { 0 };
    srandom(7);
    for (uint32_t i = 0; i < CHUNK_BLOCKS; i++)
        v[i] = (struct run){ 3, 96 + 4124 * ((uint32_t)random() % 4000), (uint16_t)i, 1, 4096, 4096 };
    runs_encode(&b, v, CHUNK_BLOCKS);
    ck_assert_uint_le(b.len, 2048);
    buf_free(&b);
}
END_TEST

static int decode_one(const struct buf *b)
{
    struct reader r = reader_over(b->data, b->len);
    return batch_next(&r, &rec);
}

START_TEST(names_that_could_climb_or_hide_are_refused)
{
    static const struct { const char *name; uint8_t len; } bad[] = {
        { "", 0 }, { ".", 1 }, { "..", 2 }, { "a/b", 3 }, { "a\0b", 3 } };
    static const struct { const char *name; uint8_t len; } good[] = { { "...", 3 }, { ".a", 2 }, { "\xff", 1 } };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct buf b = { 0 };
        batch_dirent(&b, &(struct dirent_row){ 1, 3, 2, S_IFREG, bad[i].len, (const uint8_t *)bad[i].name });
        ck_assert_int_eq(decode_one(&b), E_FORMAT);
        buf_free(&b);
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct buf b = { 0 };
        batch_dirent(&b, &(struct dirent_row){ 1, 3, 2, S_IFREG, good[i].len, (const uint8_t *)good[i].name });
        ck_assert_int_eq(decode_one(&b), 1);
        buf_free(&b);
    }
}
END_TEST

START_TEST(values_out_of_range_are_refused)
{
    struct buf b = { 0 };
    struct inode_row i = sample_inode();
    i.mode = 0640;                                       /* no type */
    batch_inode(&b, &i);
    ck_assert_int_eq(decode_one(&b), E_FORMAT);
    buf_reset(&b);
    i = sample_inode();
    i.ctime.tv_nsec = 1000000000;
    batch_inode(&b, &i);
    ck_assert_int_eq(decode_one(&b), E_FORMAT);
    buf_reset(&b);
    batch_chunk(&b, &(struct chunk_row){ .ino = 2, .n = 0 });
    ck_assert_int_eq(decode_one(&b), E_FORMAT);
    buf_reset(&b);
    batch_segment(&b, &(struct segment_row){ .number = 1, .state = 3 });
    ck_assert_int_eq(decode_one(&b), E_FORMAT);
    buf_reset(&b);
    buf_byte(&b, 200);                                   /* no such kind */
    ck_assert_int_eq(decode_one(&b), E_FORMAT);
    buf_free(&b);
}
END_TEST

START_TEST(runs_that_leave_the_chunk_or_the_segment_are_refused)
{
    static const struct run bad[] = {
        { 1, 96, 200, 57, 4096, 4096 },                  /* ends at block 257 */
        { 1, UINT32_MAX - 4000, 0, 1, 4096, 4096 },      /* ends beyond 32 bits */
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct buf b = { 0 };
        batch_chunk(&b, &(struct chunk_row){ .ino = 2, .n = 1, .run_count = 1, .runs = &bad[i] });
        ck_assert_int_eq(decode_one(&b), E_FORMAT);
        buf_free(&b);
    }
}
END_TEST

static void fill(struct buf *b)
{
    struct run runs[] = { { 1, 96, 0, 200, 4096, 4096 }, { 2, 96, 220, 1, 10, 5 } };
    struct inode_row i = sample_inode();
    i.runs = runs;
    i.run_count = 2;
    batch_inode(b, &i);
    batch_dirent(b, &(struct dirent_row){ 1, 3, 2, S_IFREG, 4, (const uint8_t *)"name" });
    batch_segment(b, &(struct segment_row){ .number = 1, .state = SEGMENT_STAGED, .length = 96 });
    batch_chunk(b, &(struct chunk_row){ .ino = 2, .n = 4, .run_count = 2, .runs = runs });
    batch_tail(b, 1, 96, "0123456789", 10);
}

static int walk(const uint8_t *bytes, size_t len, int *records)
{
    struct reader r = reader_over(bytes, len);
    int rc;
    *records = 0;
    while ((rc = batch_next(&r, &rec)) == 1)
        ++*records;
    return rc;
}

START_TEST(a_batch_cut_anywhere_gives_whole_records_or_an_error)
{
    struct buf b = { 0 };
    int records, ends = 0;
    fill(&b);
    for (size_t len = 0; len <= b.len; len++) {
        uint8_t *copy = malloc(len ? len : 1);
        memcpy(copy, b.data, len);
        int rc = walk(copy, len, &records);
        ck_assert(rc == 0 || rc == E_FORMAT);
        ends += rc == 0;
        free(copy);
    }
    ck_assert_int_eq(ends, 6);                           /* the five ends of records, and nothing */
    buf_free(&b);
}
END_TEST

START_TEST(a_batch_with_any_byte_changed_never_yields_values_out_of_range)
{
    struct buf b = { 0 };
    fill(&b);
    for (size_t at = 0; at < b.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            b.data[at] ^= (uint8_t)(1 << bit);
            struct reader r = reader_over(b.data, b.len);
            while (batch_next(&r, &rec) == 1) {
                const struct run *v = rec.kind == RECORD_CHUNK ? rec.chunk.runs : rec.inode.runs;
                uint32_t n = rec.kind == RECORD_CHUNK ? rec.chunk.run_count : rec.inode.run_count;
                if (rec.kind != RECORD_CHUNK && rec.kind != RECORD_INODE)
                    continue;
                for (uint32_t i = 0; i < n; i++)
                    ck_assert(v[i].first + v[i].count <= (int)CHUNK_BLOCKS && v[i].valid >= 1 &&
                              v[i].valid <= v[i].sealed && v[i].sealed <= BLOCK_SIZE);
            }
            b.data[at] ^= (uint8_t)(1 << bit);
        }
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("batch");
    TCase *t = tcase_create("batch");
    tcase_add_test(t, an_inode_comes_back_with_every_field);
    tcase_add_test(t, an_entry_an_xattr_list_and_a_tail_borrow_their_bytes);
    tcase_add_test(t, segments_counters_and_losses_come_back);
    tcase_add_test(t, any_valid_map_of_runs_comes_back);
    tcase_add_test(t, a_wholly_scattered_chunk_takes_at_most_two_kilobytes);
    tcase_add_test(t, names_that_could_climb_or_hide_are_refused);
    tcase_add_test(t, values_out_of_range_are_refused);
    tcase_add_test(t, runs_that_leave_the_chunk_or_the_segment_are_refused);
    tcase_add_test(t, a_batch_cut_anywhere_gives_whole_records_or_an_error);
    tcase_add_test(t, a_batch_with_any_byte_changed_never_yields_values_out_of_range);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
