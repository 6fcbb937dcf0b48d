/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/* The block map of a chunk against a naive twin: an array of blocks. */
#include "fs/internal.h"
#include <check.h>
#include <stdlib.h>

struct twin_block { uint32_t segment, offset; uint16_t sealed, valid; };
static struct twin_block twin[CHUNK_BLOCKS];
static int64_t dropped_blocks;

static void count_dropped(void *ctx, const struct run *piece)
{
    (void)ctx;
    dropped_blocks += piece->count;
}

static void twin_set(uint32_t first, uint32_t count, const struct run *r)
{
    for (uint32_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        twin[first + i] = r ? (struct twin_block){ r->segment, r->offset + i * SEALED_BLOCK,
                                                   last ? r->sealed : BLOCK_SIZE, last ? r->valid : BLOCK_SIZE }
                            : (struct twin_block){ 0 };
    }
}

static void check_equal(const struct runs *r)
{
    for (uint32_t b = 0; b < CHUNK_BLOCKS; b++) {
        const struct run *run = runs_find(r, b);
        struct run one;
        if (!run) {
            ck_assert_uint_eq(twin[b].segment, 0);
            continue;
        }
        ck_assert(run_clip(run, b, 1, &one));
        ck_assert_uint_eq(one.segment, twin[b].segment);
        ck_assert_uint_eq(one.offset, twin[b].offset);
        ck_assert_uint_eq(one.sealed, twin[b].sealed);
        ck_assert_uint_eq(one.valid, twin[b].valid);
    }
    for (uint32_t k = 1; k < r->count; k++)
        ck_assert_uint_le(r->v[k - 1].first + r->v[k - 1].count, r->v[k].first);
}

START_TEST(random_replacements_agree_with_an_array_of_blocks)
{
    struct runs r = { 0 };
    int64_t mapped = 0, delta;

    srand((unsigned)_i + 1);
    memset(twin, 0, sizeof twin);
    for (int round = 0; round < 3000; round++) {
        uint32_t first = (uint32_t)rand() % CHUNK_BLOCKS;
        uint32_t count = 1 + (uint32_t)rand() % (rand() % 4 ? 4 : CHUNK_BLOCKS - first);
        if (count > CHUNK_BLOCKS - first)
            count = CHUNK_BLOCKS - first;
        struct run run = { .segment = 1 + (uint32_t)rand() % 3, .offset = (uint32_t)(rand() % 50) * SEALED_BLOCK + 96,
                           .first = (uint16_t)first, .count = (uint16_t)count, .sealed = BLOCK_SIZE, .valid = BLOCK_SIZE };
        if (rand() % 3 == 0) {
            run.sealed = (uint16_t)(1 + rand() % BLOCK_SIZE);
            run.valid = (uint16_t)(1 + rand() % run.sealed);
        }
        const struct run *with = rand() % 4 ? &run : NULL;
        ck_assert_int_eq(runs_replace(&r, first, count, with, count_dropped, NULL, &delta), 0);
        twin_set(first, count, with);
        mapped += delta;
        check_equal(&r);
    }
    int64_t blocks = 0;
    for (uint32_t k = 0; k < r.count; k++)
        blocks += r.v[k].count;
    ck_assert_int_eq(mapped, blocks);
    runs_free(&r);
}
END_TEST

START_TEST(consecutive_appends_are_one_run)
{
    struct runs r = { 0 };
    int64_t delta;

    for (uint16_t b = 0; b < 100; b++) {
        struct run run = { 7, 96 + b * SEALED_BLOCK, b, 1, BLOCK_SIZE, BLOCK_SIZE };
        ck_assert_int_eq(runs_replace(&r, b, 1, &run, count_dropped, NULL, &delta), 0);
        ck_assert_int_eq(delta, 1);
    }
    ck_assert_uint_eq(r.count, 1);
    ck_assert_uint_eq(r.v[0].count, 100);
    runs_free(&r);
}
END_TEST

START_TEST(what_is_replaced_is_reported_as_dropped)
{
    struct runs r = { 0 };
    struct run run = { 1, 96, 10, 20, BLOCK_SIZE, BLOCK_SIZE };
    int64_t delta;

    ck_assert_int_eq(runs_replace(&r, 10, 20, &run, count_dropped, NULL, &delta), 0);
    dropped_blocks = 0;
    ck_assert_int_eq(runs_replace(&r, 5, 10, NULL, count_dropped, NULL, &delta), 0);
    ck_assert_int_eq(dropped_blocks, 5);
    ck_assert_int_eq(delta, -5);
    ck_assert_ptr_null(runs_find(&r, 14));
    ck_assert_ptr_nonnull(runs_find(&r, 15));
    runs_free(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runs");
    TCase *t = tcase_create("runs");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, random_replacements_agree_with_an_array_of_blocks, 0, 4);
    tcase_add_test(t, consecutive_appends_are_one_run);
    tcase_add_test(t, what_is_replaced_is_reported_as_dropped);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
