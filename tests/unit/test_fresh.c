/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a device remembers of the store: others' publications, the place, the words.
 */
#include <check.h>
#include <fcntl.h>
#include <fs/rebuild.h>
#include <fs/seen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];

static void set_up(void)
{
    ck_assert_int_eq(crypto_start(), 0);
    snprintf(base, sizeof base, "/tmp/ecluse-fresh.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
}

static void tear_down(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", base);
    ck_assert_int_eq(system(command), 0);
}

static struct head sample(uint64_t actor, uint64_t seq)
{
    struct head h = { .self = { .actor = actor, .seq = seq }, .time = 1700000000 };

    memset(h.self.hash, (int)seq, sizeof h.self.hash);
    memset(h.object.b, (int)actor, sizeof h.object.b);
    return h;
}

static struct keyring *new_keys(void)
{
    static const struct id128 vault = { { 1, 2, 3 } };
    static const uint8_t recovery[KEY_SIZE] = { 5 };
    struct keyring *k;

    ck_assert_int_eq(keyring_create(&k, &vault, SUITE_AES_256_GCM, recovery), 0);
    return k;
}

START_TEST(the_last_publication_of_each_actor_comes_back)
{
    struct heads h = { .accepted = 9, .relied = 4 }, again;
    struct keyring *keys = new_keys();
    int dir = open(base, O_RDONLY | O_DIRECTORY);

    ck_assert_int_eq(heads_read(&again, dir, keys), 0);     /* none yet */
    ck_assert_uint_eq(again.count, 0);
    for (uint64_t k = 1; k <= 50; k++) {
        struct head one = sample(k, k), later = sample(k, k + 100);
        ck_assert_int_eq(heads_put(&h, &one), 0);
        if (k % 2)
            ck_assert_int_eq(heads_put(&h, &later), 0);
    }
    ck_assert_uint_eq(h.count, 50);
    ck_assert_int_eq(heads_write(&h, dir, keys), 0);
    ck_assert_int_eq(heads_read(&again, dir, keys), 0);
    ck_assert_uint_eq(again.count, 50);
    ck_assert_uint_eq(again.accepted, 9);
    ck_assert_uint_eq(again.relied, 4);
    for (uint64_t k = 1; k <= 50; k++) {
        struct head want = sample(k, k % 2 ? k + 100 : k), *got = heads_find(&again, k);
        ck_assert_ptr_nonnull(got);
        ck_assert_mem_eq(got, &want, sizeof want);
    }
    heads_free(&h);
    heads_free(&again);
    close(dir);
    keyring_free(keys);
}
END_TEST

/* It would not be read again, and a recovery must not fail for want of it. */
START_TEST(a_history_that_is_too_long_is_not_written)
{
    struct history h = { 0 }, again;
    struct keyring *keys = new_keys();
    int dir = open(base, O_RDONLY | O_DIRECTORY);
    uint8_t *bytes;
    size_t len;

    h.count = (64u << 20) / 143 + 1;
    ck_assert_int_eq(history_write(&h, dir, keys), -EFBIG);
    ck_assert_int_eq(io_read_file(dir, HISTORY_FILE, 4096, &bytes, &len), -ENOENT);
    h.count = (64u << 20) / 170;     /* as long as entries are, it is too long only once it is encoded */
    h.v = calloc(h.count, sizeof *h.v);
    ck_assert_ptr_nonnull(h.v);
    for (size_t k = 0; k < h.count; k++)
        h.v[k].link.time = h.v[k].link.self.seq = h.v[k].link.before.seq = h.v[k].link.around.seq = INT64_MAX;
    ck_assert_int_eq(history_write(&h, dir, keys), -EFBIG);
    ck_assert_int_eq(io_read_file(dir, HISTORY_FILE, 4096, &bytes, &len), -ENOENT);
    h.count = 3;
    for (size_t k = 0; k < h.count; k++)
        h.v[k].link.self.seq = k + 1;
    ck_assert_int_eq(history_write(&h, dir, keys), 0);
    ck_assert_int_eq(history_read(&again, dir, keys), 0);
    ck_assert_uint_eq(again.count, 3);
    history_free(&again);
    free(h.v);
    close(dir);
    keyring_free(keys);
}
END_TEST

START_TEST(no_altered_byte_of_the_file_goes_unnoticed)
{
    struct keyring *keys = new_keys(), *others = new_keys();
    int dir = open(base, O_RDONLY | O_DIRECTORY);
    struct heads h = { 0 }, again;
    struct head one = sample(7, 3);
    uint8_t *bytes;
    size_t len;

    ck_assert_int_eq(heads_put(&h, &one), 0);
    ck_assert_int_eq(heads_write(&h, dir, keys), 0);
    ck_assert_int_eq(heads_read(&again, dir, others), E_STATE_DAMAGED);
    ck_assert_int_eq(io_read_file(dir, "heads", 4096, &bytes, &len), 0);
    for (size_t k = 0; k < len; k++) {
        bytes[k] ^= 0x40;
        ck_assert_int_eq(io_replace_file(dir, "heads", bytes, len, FAULT_other), 0);
        ck_assert_int_eq(heads_read(&again, dir, keys), E_STATE_DAMAGED);
        bytes[k] ^= 0x40;
    }
    ck_assert_int_eq(io_replace_file(dir, "heads", bytes, len - 1, FAULT_other), 0);
    ck_assert_int_eq(heads_read(&again, dir, keys), E_STATE_DAMAGED);
    free(bytes);
    heads_free(&h);
    close(dir);
    keyring_free(keys);
    keyring_free(others);
}
END_TEST

START_TEST(an_actor_named_twice_is_malformed)
{
    struct heads h = { 0 };
    struct head one = sample(7, 3), two = sample(8, 4);
    struct buf b = { 0 };

    ck_assert_int_eq(heads_put(&h, &one), 0);
    ck_assert_int_eq(heads_put(&h, &two), 0);
    h.v[1].self.actor = 7;
    heads_encode(&h, &b);
    heads_free(&h);
    ck_assert_int_eq(heads_decode(&h, b.data, b.len), E_FORMAT);
    ck_assert_uint_eq(h.count, 0);
    buf_free(&b);
}
END_TEST

static int make_state(const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", base, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    return open(path, O_RDONLY | O_DIRECTORY);
}

START_TEST(a_vault_in_the_place_of_another_one_is_told)
{
    char a[PATH_MAX], b[PATH_MAX];
    int one = make_state("00000000000000000000000000000001", a), two = make_state("00000000000000000000000000000002", b);

    ck_assert_int_eq(place_check(a, "/store/one"), 0);
    ck_assert_int_eq(place_claim(one, "/store/one"), 0);
    ck_assert_int_eq(place_claim(two, "/store/two"), 0);
    ck_assert_int_eq(place_check(a, "/store/one"), 0);
    ck_assert_int_eq(place_check(b, "/store/two"), 0);
    ck_assert_int_eq(place_check(a, "/store/two"), E_OTHER_VAULT);
    ck_assert_int_eq(place_check(b, "/store/one"), E_OTHER_VAULT);
    ck_assert_int_eq(place_check(a, "/store/new"), 0);           /* moved to where nobody was */
    ck_assert_int_eq(place_check("/nowhere/00000000000000000000000000000003", "/store/one"), 0);
    ck_assert_int_eq(place_claim(two, "/store/one"), 0);         /* accepted: no more alarm for either */
    ck_assert_int_eq(place_check(a, "/store/one"), 0);
    ck_assert_int_eq(place_check(b, "/store/one"), 0);
    close(one);
    close(two);
}
END_TEST

START_TEST(words_are_the_same_for_the_same_hash_only)
{
    uint8_t hash[SHA256_SIZE] = { 0 };
    char one[PHRASE_TEXT], two[PHRASE_TEXT];

    phrase_for(hash, one);
    ck_assert_str_eq(one, "abandon abandon abandon abandon");
    for (int at = 0; at < 4; at++)
        for (int v = 1; v < 256; v++) {
            hash[at] = (uint8_t)v;
            phrase_for(hash, two);
            ck_assert_str_ne(one, two);
            ck_assert_uint_lt(strspn(two, "abcdefghijklmnopqrstuvwxyz "), PHRASE_TEXT);
            ck_assert_uint_eq(strspn(two, "abcdefghijklmnopqrstuvwxyz "), strlen(two));
            hash[at] = 0;
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fresh");
    TCase *t = tcase_create("core");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_last_publication_of_each_actor_comes_back);
    tcase_add_test(t, a_history_that_is_too_long_is_not_written);
    tcase_add_test(t, no_altered_byte_of_the_file_goes_unnoticed);
    tcase_add_test(t, an_actor_named_twice_is_malformed);
    tcase_add_test(t, a_vault_in_the_place_of_another_one_is_told);
    tcase_add_test(t, words_are_the_same_for_the_same_hash_only);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
