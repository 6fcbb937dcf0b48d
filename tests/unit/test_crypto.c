/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The door to the two libraries: known answers, refusal of every alteration,
 * several threads on one key, and the bounds of what may be asked.
 */
#include <check.h>
#include <crypto/internal.h>
#include <ecluse/base.h>
#include <ecluse/error.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t key[KEY_SIZE] = { 1, 2, 3, 4 }, nonce[AEAD_NONCE] = { 9, 8, 7 };
static const enum suite both[] = { SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305 };

static void set_up(void) { ck_assert_int_eq(crypto_start(), 0); }

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static struct aead *keyed(enum suite suite, const uint8_t *k)
{
    struct aead *a = NULL;
    ck_assert_int_eq(aead_new(&a, suite, k), 0);
    return a;
}

/* --- known answers -------------------------------------------------------------- */

/* NIST GCM specification, test cases 13 to 16; RFC 8439, 2.8.2 and A.5. */
static const struct { enum suite suite; const char *key, *nonce, *aad, *plain, *sealed, *tag; } vectors[] = {
    { SUITE_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
      "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
    { SUITE_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
      "000000000000000000000000", "", "00000000000000000000000000000000",
      "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
    { SUITE_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      "cafebabefacedbaddecaf888", "",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
      "b094dac5d93471bdec1a502270e3cc6c" },
    { SUITE_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
      "76fc6ece0f4e1768cddf8853bb2d551b" },
    { SUITE_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
      "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
      "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
      "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
      "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
      "637265656e20776f756c642062652069742e",
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
      "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
      "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
      "3ff4def08e4b7a9de576d26586cec64b6116",
      "1ae10b594f09e26a7e902ecbd0600691" },
    { SUITE_CHACHA20_POLY1305, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
      "000000000102030405060708", "f33388860000000000004e91",
      "496e7465726e65742d4472616674732061726520647261667420646f63756d65"
      "6e74732076616c696420666f722061206d6178696d756d206f6620736978206d"
      "6f6e74687320616e64206d617920626520757064617465642c207265706c6163"
      "65642c206f72206f62736f6c65746564206279206f7468657220646f63756d65"
      "6e747320617420616e792074696d652e20497420697320696e617070726f7072"
      "6961746520746f2075736520496e7465726e65742d4472616674732061732072"
      "65666572656e6365206d6174657269616c206f7220746f206369746520746865"
      "6d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67"
      "726573732e2fe2809d",
      "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
      "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
      "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
      "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
      "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
      "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
      "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
      "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
      "a6ad5cb4022b02709b",
      "eead9d67890cbb22392336fea1851f38" },
};

START_TEST(both_suites_give_the_published_answers)
{
    uint8_t k[KEY_SIZE], n[AEAD_NONCE], aad[64], plain[512], sealed[512], tag[AEAD_TAG], out[512], got[AEAD_TAG];
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        from_hex(vectors[i].key, k);
        from_hex(vectors[i].nonce, n);
        from_hex(vectors[i].tag, tag);
        size_t aad_len = from_hex(vectors[i].aad, aad), len = from_hex(vectors[i].plain, plain);
        ck_assert_uint_eq(from_hex(vectors[i].sealed, sealed), len);
        struct aead *a = keyed(vectors[i].suite, k);
        ck_assert_int_eq(aead_seal(a, n, aad, aad_len, plain, len, out, got), 0);
        ck_assert_int_eq(memcmp(out, sealed, len), 0);
        ck_assert_mem_eq(got, tag, sizeof tag);
        ck_assert_int_eq(aead_open(a, n, aad, aad_len, sealed, len, tag, out), 0);
        ck_assert_int_eq(memcmp(out, plain, len), 0);
        aead_free(a);
    }
}
END_TEST

START_TEST(hmac_gives_the_answers_of_rfc_4231)
{
    uint8_t k[KEY_SIZE] = { 0 }, data[50], expected[SHA256_SIZE], out[SHA256_SIZE];
    from_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", expected);
    memcpy(k, "Jefe", 4);
    crypto_mac(k, "what do ya want for nothing?", 28, out);
    ck_assert_mem_eq(out, expected, sizeof out);
    from_hex("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", expected);
    memset(k, 0xaa, 20);
    memset(data, 0xdd, sizeof data);
    crypto_mac(k, data, sizeof data, out);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

START_TEST(hkdf_gives_the_answer_of_rfc_5869_without_salt)
{
    uint8_t input[22], out[42], expected[42];
    memset(input, 0x0b, sizeof input);
    from_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8", expected);
    ck_assert_int_eq(hkdf_derive(out, sizeof out, input, sizeof input, NULL, 0), 0);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

/* RFC 5869 written out with HMAC. */
START_TEST(hkdf_is_extract_then_expand_over_label_and_info)
{
    static const uint8_t zeros[KEY_SIZE];
    uint8_t prk[SHA256_SIZE], t1[SHA256_SIZE], t2[SHA256_SIZE], out[64];
    crypto_mac(zeros, key, KEY_SIZE, prk);
    crypto_mac(prk, "ecluse/testinfo\x01", 16, t1);
    uint8_t again[SHA256_SIZE + 16];
    memcpy(again, t1, SHA256_SIZE);
    memcpy(again + SHA256_SIZE, "ecluse/testinfo\x02", 16);
    crypto_mac(prk, again, sizeof again, t2);
    ck_assert_int_eq(crypto_hkdf(out, sizeof out, key, "ecluse/test", "info", 4), 0);
    ck_assert_mem_eq(out, t1, 32);
    ck_assert_mem_eq(out + 32, t2, 32);
    ck_assert_int_eq(crypto_hkdf(out, 32, key, "ecluse/testinfo", NULL, 0), 0);
    ck_assert_mem_eq(out, t1, 32);
    ck_assert_int_eq(crypto_hkdf(out, 32, key, "label", key, 100000), -EINVAL);
}
END_TEST

START_TEST(sha256_gives_the_published_answers_in_one_piece_and_in_many)
{
    static uint8_t million[1000000];
    uint8_t expected[SHA256_SIZE], out[SHA256_SIZE];
    struct sha256 *h = NULL;
    from_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", expected);
    crypto_sha256(NULL, 0, out);
    ck_assert_mem_eq(out, expected, sizeof out);
    from_hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", expected);
    memset(million, 'a', sizeof million);
    crypto_sha256(million, sizeof million, out);
    ck_assert_mem_eq(out, expected, sizeof out);
    ck_assert_int_eq(sha256_new(&h), 0);
    for (size_t at = 0, step = 1; at < sizeof million; at += step, step = step * 2 + 1) {
        step = step < sizeof million - at ? step : sizeof million - at;
        sha256_add(h, million + at, step);
    }
    sha256_add(h, NULL, 0);
    sha256_end(h, out);
    ck_assert_mem_eq(out, expected, sizeof out);
    ck_assert_int_eq(sha256_new(&h), 0);
    sha256_free(h);
    sha256_free(NULL);
}
END_TEST

/* --- alterations ---------------------------------------------------------------- */

START_TEST(any_altered_bit_of_text_tag_nonce_or_aad_is_refused_and_gives_no_plaintext)
{
    static const uint8_t zeros[40];
    uint8_t plain[40], sealed[40], tag[AEAD_TAG], out[40], n[AEAD_NONCE], aad[20] = { 5 };
    struct { uint8_t *p; size_t len; } parts[] = { { sealed, 40 }, { tag, 16 }, { n, 12 }, { aad, 20 } };
    memset(plain, 0x77, sizeof plain);
    memcpy(n, nonce, sizeof n);
    struct aead *a = keyed(both[_i], key);
    ck_assert_int_eq(aead_seal(a, n, aad, sizeof aad, plain, sizeof plain, sealed, tag), 0);
    for (size_t part = 0; part < ARRAY_SIZE(parts); part++)
        for (size_t bit = 0; bit < 8 * parts[part].len; bit++) {
            parts[part].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            memset(out, 0xee, sizeof out);
            ck_assert_int_eq(aead_open(a, n, aad, sizeof aad, sealed, sizeof sealed, tag, out), E_AUTH);
            ck_assert_mem_eq(out, zeros, sizeof out);
            parts[part].p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    ck_assert_int_eq(aead_open(a, n, aad, sizeof aad - 1, sealed, sizeof sealed, tag, out), E_AUTH);
    ck_assert_int_eq(aead_open(a, n, aad, sizeof aad, sealed, sizeof sealed - 1, tag, out), E_AUTH);
    ck_assert_int_eq(aead_open(a, n, NULL, 0, sealed, sizeof sealed, tag, out), E_AUTH);
    ck_assert_int_eq(aead_open(a, n, aad, sizeof aad, sealed, sizeof sealed, tag, out), 0);
    ck_assert_mem_eq(out, plain, sizeof plain);
    aead_free(a);
}
END_TEST

START_TEST(another_key_or_suite_does_not_open)
{
    uint8_t other[KEY_SIZE] = { 2 }, text[16] = { 1 }, sealed[16], tag[AEAD_TAG], out[16];
    struct aead *a = keyed(both[_i], key), *b = keyed(both[_i], other), *c = keyed(both[1 - _i], key);
    ck_assert_int_eq(aead_seal(a, nonce, NULL, 0, text, sizeof text, sealed, tag), 0);
    ck_assert_int_eq(aead_open(b, nonce, NULL, 0, sealed, sizeof text, tag, out), E_AUTH);
    ck_assert_int_eq(aead_open(c, nonce, NULL, 0, sealed, sizeof text, tag, out), E_AUTH);
    ck_assert_int_eq(aead_open(a, nonce, NULL, 0, sealed, sizeof text, tag, out), 0);
    aead_free(a);
    aead_free(b);
    aead_free(c);
}
END_TEST

START_TEST(sealing_and_opening_in_place_is_the_same_for_all_lengths)
{
    static uint8_t plain[70000], apart[70000], inside[70000];
    uint8_t tag[AEAD_TAG], tag2[AEAD_TAG];
    static const size_t lengths[] = { 0, 1, 15, 16, 17, 63, 64, 65, 255, 4095, 4096, 4097, 65536, 70000 };
    struct aead *a = keyed(both[_i], key);
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        size_t len = lengths[i];
        memcpy(inside, plain, sizeof plain);
        ck_assert_int_eq(aead_seal(a, nonce, "aad", 3, plain, len, apart, tag), 0);
        ck_assert_int_eq(aead_seal(a, nonce, "aad", 3, inside, len, inside, tag2), 0);
        ck_assert_int_eq(memcmp(apart, inside, len), 0);
        ck_assert_mem_eq(tag, tag2, sizeof tag);
        ck_assert_int_eq(aead_open(a, nonce, "aad", 3, inside, len, tag, inside), 0);
        ck_assert_mem_eq(inside, plain, sizeof plain);      /* nothing behind len was touched */
    }
    ck_assert_int_eq(aead_seal(a, nonce, NULL, 0, NULL, 0, NULL, tag), 0);
    ck_assert_int_eq(aead_open(a, nonce, NULL, 0, NULL, 0, tag, NULL), 0);
    tag[0] ^= 1;
    ck_assert_int_eq(aead_open(a, nonce, NULL, 0, NULL, 0, tag, NULL), E_AUTH);
    aead_free(a);
}
END_TEST

/* --- threads -------------------------------------------------------------------- */

#define THREADS 8

struct worker { pthread_t thread; struct aead *a; unsigned number; int errors; };

/* Seals, opens, now and then refuses; its own bytes, the common key. */
static void *work(void *arg)
{
    struct worker *w = arg;
    uint8_t plain[4096], sealed[4096], back[4096], n[AEAD_NONCE] = { 0 }, tag[AEAD_TAG];
    memset(plain, (int)w->number, sizeof plain);
    put_le32(n, w->number);
    for (uint32_t i = 0; i < 1500; i++) {
        put_le32(n + 4, i);
        put_le32(plain, i);
        w->errors += aead_seal(w->a, n, n, sizeof n, plain, sizeof plain, sealed, tag) != 0;
        w->errors += aead_open(w->a, n, n, sizeof n, sealed, sizeof sealed, tag, back) != 0;
        w->errors += memcmp(plain, back, sizeof plain) != 0;
        tag[i % AEAD_TAG] ^= 1;
        w->errors += i % 8 == 0 && aead_open(w->a, n, n, sizeof n, sealed, sizeof sealed, tag, back) != E_AUTH;
    }
    return NULL;
}

START_TEST(many_threads_share_a_key_without_disturbing_each_other)
{
    struct worker workers[THREADS] = { 0 };
    struct aead *a = keyed(both[_i], key);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].a = a;
        workers[i].number = i;
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        ck_assert_int_eq(workers[i].errors, 0);
    }
    aead_free(a);
}
END_TEST

/* --- records, suites ------------------------------------------------------------ */

START_TEST(a_record_opens_only_whole_unaltered_and_under_its_key_and_aad)
{
    uint8_t other[KEY_SIZE] = { 3 }, sealed[5 + RECORD_OVERHEAD], out[5];
    ck_assert_int_eq(record_seal(key, "aad", 3, (const uint8_t *)"hello", 5, sealed), 0);
    ck_assert_int_eq(record_open(key, "aad", 3, sealed, sizeof sealed, out), 0);
    ck_assert_mem_eq(out, "hello", 5);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_eq(record_open(key, "aad", 3, sealed, sizeof sealed, out), E_AUTH);
        ck_assert_mem_eq(out, "\0\0\0\0\0", 5);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof sealed; len++)
        ck_assert_int_eq(record_open(key, "aad", 3, sealed, len, out), E_AUTH);
    ck_assert_int_eq(record_open(other, "aad", 3, sealed, sizeof sealed, out), E_AUTH);
    ck_assert_int_eq(record_open(key, "aae", 3, sealed, sizeof sealed, out), E_AUTH);
    ck_assert_int_eq(record_open(key, NULL, 0, sealed, sizeof sealed, out), E_AUTH);
}
END_TEST

START_TEST(the_same_text_sealed_twice_gives_two_different_records)
{
    uint8_t one[RECORD_OVERHEAD], two[RECORD_OVERHEAD];
    ck_assert_int_eq(record_seal(key, NULL, 0, NULL, 0, one), 0);
    ck_assert_int_eq(record_seal(key, NULL, 0, NULL, 0, two), 0);
    ck_assert_int_ne(memcmp(one, two, 24), 0);
    ck_assert_int_eq(record_open(key, NULL, 0, one, sizeof one, two), 0);
}
END_TEST

START_TEST(suites_have_names_and_nothing_else_is_a_suite)
{
    enum suite suite;
    struct aead *a;
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        ck_assert_int_eq(suite_parse(suite_name(both[i]), &suite), 0);
        ck_assert_int_eq((int)suite, (int)both[i]);
    }
    ck_assert_str_eq(suite_name(SUITE_AES_256_GCM), "aes-256-gcm");
    ck_assert_ptr_null(suite_name((enum suite)0));
    ck_assert_ptr_null(suite_name((enum suite)3));
    ck_assert_int_eq(suite_parse("AES-256-GCM", &suite), -EINVAL);
    ck_assert_int_eq(suite_parse("", &suite), -EINVAL);
    ck_assert_int_eq(aead_new(&a, (enum suite)0, key), -EINVAL);
    ck_assert_ptr_nonnull(suite_name(suite_fastest()));
    aead_free(NULL);
}
END_TEST

/* --- randomness and secrets ----------------------------------------------------- */

START_TEST(random_bytes_fill_all_of_the_request_and_do_not_repeat)
{
    static uint8_t one[300000], two[300000], zeros[16];
    static const size_t lengths[] = { 12, 16, 256, 257, 4095, 4096, 300000 };
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        size_t len = lengths[i];
        memset(one, 0, sizeof one);
        crypto_random(one, len);
        crypto_random(two, len);
        ck_assert_int_ne(memcmp(one, two, len), 0);
        for (size_t at = 0; at + 16 <= len; at += 16)
            ck_assert_int_ne(memcmp(one + at, zeros, 16), 0);
        ck_assert(len == sizeof one || memcmp(one + len, zeros, 1) == 0);
    }
    crypto_random(one, 0);
}
END_TEST

START_TEST(parent_and_child_do_not_draw_the_same_bytes)
{
    uint8_t mine[5000], theirs[5000];
    static const size_t lengths[] = { 12, 5000 };
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        pid_t child = fork();
        crypto_random(mine, lengths[i]);
        if (child == 0)
            _exit(write(ends[1], mine, lengths[i]) != (ssize_t)lengths[i]);
        ck_assert_int_eq(read(ends[0], theirs, lengths[i]), (int)lengths[i]);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        ck_assert_int_ne(memcmp(mine, theirs, lengths[i]), 0);
    }
}
END_TEST

#ifdef ECLUSE_FAULTS
START_TEST(a_generator_that_fails_ends_the_process)
{
    uint8_t bytes[5000];
    setenv("ECLUSE_FAULT_RANDOM", "fail", 1);
    crypto_random(bytes, _i ? sizeof bytes : AEAD_NONCE);
}
END_TEST
#endif

START_TEST(secret_memory_starts_as_zeros_and_is_wiped)
{
    static const uint8_t zeros[100];
    uint8_t *p = secret_alloc(100);
    ck_assert_ptr_nonnull(p);
    ck_assert_mem_eq(p, zeros, 100);
    memset(p, 0x55, 100);
    secret_wipe(p, 100);
    ck_assert_mem_eq(p, zeros, 100);
    secret_wipe(NULL, 0);
    secret_free(p);
    secret_free(NULL);
    ck_assert_ptr_null(secret_alloc(SIZE_MAX / 2));
}
END_TEST

START_TEST(secret_memory_that_cannot_be_locked_can_still_be_used)
{
    struct rlimit none = { 0, 0 };
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    uint8_t *p = secret_alloc(64);
    ck_assert_ptr_nonnull(p);
    memset(p, 1, 64);
    secret_free(p);
}
END_TEST

START_TEST(an_overrun_of_secret_memory_is_caught)
{
    volatile uint8_t *p = secret_alloc(64);
    signal(SIGSEGV, SIG_DFL);       /* no report from a sanitizer: this is meant */
    p[64] = 1;
}
END_TEST

START_TEST(equality_looks_at_every_byte)
{
    ck_assert(crypto_equal("abc", "abc", 3));
    ck_assert(!crypto_equal("abc", "abd", 3));
    ck_assert(!crypto_equal("abc", "bbc", 3));
    ck_assert(crypto_equal(NULL, NULL, 0));
}
END_TEST

/* --- passphrases ---------------------------------------------------------------- */

START_TEST(costs_outside_the_bounds_are_refused_before_anything_is_allocated)
{
    static const struct kdf_cost wrong[] = {
        { 0, 0 }, { 0, 3 }, { 65535, 3 }, { 1048577, 3 }, { UINT32_MAX, 3 }, { 65536, 2 }, { 65536, 17 },
        { 65536, UINT32_MAX }, { 65536, 0 },
    };
    uint8_t salt[SALT_SIZE] = { 0 }, out[KEY_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        ck_assert(!kdf_cost_valid(wrong[i]));
        ck_assert_int_eq(crypto_kdf(out, "x", 1, salt, wrong[i]), -EINVAL);
    }
    ck_assert(kdf_cost_valid(KDF_FLOOR));
    ck_assert(kdf_cost_valid((struct kdf_cost){ 1048576, 16 }));
}
END_TEST

/* Computed with the reference implementation of Argon2 (one lane). */
START_TEST(argon2id_at_the_floor_gives_the_answer_of_the_reference)
{
    uint8_t salt[SALT_SIZE], out[KEY_SIZE], expected[KEY_SIZE];
    memcpy(salt, "somesaltsomesalt", SALT_SIZE);
    from_hex("7664ad4ba1a3c999fcdd0991ffc2270f78302d2383233db5e7befc85d1bb1819", expected);
    ck_assert_int_eq(crypto_kdf(out, "password", 8, salt, KDF_FLOOR), 0);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

START_TEST(passphrase_and_salt_both_matter_and_an_empty_passphrase_is_allowed)
{
    uint8_t salt[SALT_SIZE] = { 1 }, one[KEY_SIZE], two[KEY_SIZE], three[KEY_SIZE];
    ck_assert_int_eq(crypto_kdf(one, NULL, 0, salt, KDF_FLOOR), 0);
    ck_assert_int_eq(crypto_kdf(two, "\0", 1, salt, KDF_FLOOR), 0);
    salt[0] = 2;
    ck_assert_int_eq(crypto_kdf(three, NULL, 0, salt, KDF_FLOOR), 0);
    ck_assert_mem_ne(one, two, sizeof one);
    ck_assert_mem_ne(one, three, sizeof one);
}
END_TEST

/* Bytes of private writable memory in use: what RLIMIT_DATA counts. */
static rlim_t data_in_use(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*u %*u %*u %*u %*u %lu", &pages), 1);
    fclose(f);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

START_TEST(a_derivation_without_memory_is_an_error)
{
    uint8_t salt[SALT_SIZE] = { 0 }, out[KEY_SIZE];
    rlim_t limit = data_in_use() + (100u << 20);
    struct rlimit little = { limit, limit };
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &little), 0);
    ck_assert_int_eq(crypto_kdf(out, "x", 1, salt, (struct kdf_cost){ 512 * 1024, 3 }), -ENOMEM);
}
END_TEST

START_TEST(calibration_stays_within_the_bounds_and_grows_with_the_time_allowed)
{
    struct kdf_cost least = kdf_calibrate(KDF_FLOOR, 0), more = kdf_calibrate(KDF_FLOOR, 1000);
    struct kdf_cost odd = { 70000, 5 }, same = kdf_calibrate(odd, 0), above = kdf_calibrate(odd, 2000);
    ck_assert_uint_eq(least.memory_kib, 65536);
    ck_assert_uint_eq(least.passes, 3);
    ck_assert(kdf_cost_valid(more));
    ck_assert_uint_eq(same.memory_kib, odd.memory_kib);
    ck_assert_uint_eq(same.passes, odd.passes);
    ck_assert(kdf_cost_valid(above));
    ck_assert_uint_ge(above.memory_kib, odd.memory_kib);
    ck_assert_uint_ge(above.passes, odd.passes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("crypto");
    TCase *t = tcase_create("crypto");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, both_suites_give_the_published_answers);
    tcase_add_test(t, hmac_gives_the_answers_of_rfc_4231);
    tcase_add_test(t, hkdf_gives_the_answer_of_rfc_5869_without_salt);
    tcase_add_test(t, hkdf_is_extract_then_expand_over_label_and_info);
    tcase_add_test(t, sha256_gives_the_published_answers_in_one_piece_and_in_many);
    tcase_add_loop_test(t, any_altered_bit_of_text_tag_nonce_or_aad_is_refused_and_gives_no_plaintext, 0, 2);
    tcase_add_loop_test(t, another_key_or_suite_does_not_open, 0, 2);
    tcase_add_loop_test(t, sealing_and_opening_in_place_is_the_same_for_all_lengths, 0, 2);
    tcase_add_loop_test(t, many_threads_share_a_key_without_disturbing_each_other, 0, 2);
    tcase_add_test(t, a_record_opens_only_whole_unaltered_and_under_its_key_and_aad);
    tcase_add_test(t, the_same_text_sealed_twice_gives_two_different_records);
    tcase_add_test(t, suites_have_names_and_nothing_else_is_a_suite);
    tcase_add_test(t, random_bytes_fill_all_of_the_request_and_do_not_repeat);
    tcase_add_test(t, parent_and_child_do_not_draw_the_same_bytes);
#ifdef ECLUSE_FAULTS
    tcase_add_loop_test_raise_signal(t, a_generator_that_fails_ends_the_process, SIGABRT, 0, 2);
#endif
    tcase_add_test(t, secret_memory_starts_as_zeros_and_is_wiped);
    tcase_add_test(t, secret_memory_that_cannot_be_locked_can_still_be_used);
    tcase_add_test_raise_signal(t, an_overrun_of_secret_memory_is_caught, SIGSEGV);
    tcase_add_test(t, equality_looks_at_every_byte);
    tcase_add_test(t, costs_outside_the_bounds_are_refused_before_anything_is_allocated);
    tcase_add_test(t, argon2id_at_the_floor_gives_the_answer_of_the_reference);
    tcase_add_test(t, passphrase_and_salt_both_matter_and_an_empty_passphrase_is_allowed);
    tcase_add_test(t, a_derivation_without_memory_is_an_error);
    tcase_add_test(t, calibration_stays_within_the_bounds_and_grows_with_the_time_allowed);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
