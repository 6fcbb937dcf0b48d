/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a check can say without keys: random bytes are never suspected, plaintext
 * always is; a manifest is read as sha256sum writes it, and nothing else is.
 */
#include <check.h>
#include <ecluse/check.h>
#include <ecluse/error.h>
#include <ecluse/segment.h>
#include <errno.h>
#include <fs/body.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BODY (256u << 10)

static uint8_t body[BODY];

static bool looks_random(void)
{
    struct randomness *r = calloc(1, sizeof *r);

    randomness_add(r, body, sizeof body);
    bool holds = randomness_holds(r);
    free(r);
    return holds;
}

/* Short texts at any place, of many kinds. */
static void put_text(size_t at, size_t len, const char *text)
{
    for (size_t k = 0; k < len && at + k < sizeof body; k++)
        body[at + k] = (uint8_t)text[k % strlen(text)];
}

START_TEST(random_bytes_look_random)
{
    for (int k = 0; k < 400; k++) {      /* 25 600 windows */
        crypto_random(body, sizeof body);
        ck_assert(looks_random());
    }
}
END_TEST

START_TEST(sealed_blocks_of_one_request_look_random)
{
    struct segment_header h = { .format = 1, .suite = SUITE_AES_256_GCM };
    static uint8_t sealed[256 * SEALED_BLOCK], plain[BLOCK_SIZE], key[KEY_SIZE];
    struct segment_key *k;
    struct nonce_base base;

    ck_assert_int_eq(segment_key_new(&k, &h, key), 0);
    for (int round = 0; round < 20; round++) {
        struct randomness *r = calloc(1, sizeof *r);
        nonce_base_new(&base);
        for (uint32_t i = 0; i < 256; i++)
            ck_assert_int_eq(segment_seal(k, &base, i, 96 + i * SEALED_BLOCK, SEAL_DATA, plain, sizeof plain,
                                          sealed + i * SEALED_BLOCK), 0);
        randomness_add(r, sealed, sizeof sealed);
        ck_assert(randomness_holds(r));
        free(r);
    }
    segment_key_free(k);
}
END_TEST

START_TEST(plaintext_is_found_wherever_it_is)
{
    static const char *const texts[] = {
        "Le Conseil du tr\xc3\xa9sor adopte la politique de gestion des documents. ",
        "4a6f686e20446f65", "SGVsbG8sIHdvcmxkISBUaGlz", "%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\n", "\x01\x02",
        "a",
    };
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        for (size_t at = 0; at + 2048 <= sizeof body; at += 51001) {
            crypto_random(body, sizeof body);
            put_text(at, 2048, texts[k]);
            ck_assert_msg(!looks_random(), "text %zu at %zu", k, at);
        }
}
END_TEST

START_TEST(even_but_orderly_bytes_are_found)
{
    for (size_t k = 0; k < sizeof body; k++)
        body[k] = (uint8_t)k;
    ck_assert(!looks_random());
    for (size_t k = 0; k < sizeof body; k++)
        body[k] = (uint8_t)(k * 5);
    ck_assert(!looks_random());
    crypto_random(body, sizeof body);
    for (size_t k = 0; k < sizeof body; k++)
        body[k] &= 0x7f;
    ck_assert(!looks_random());
}
END_TEST

/* --- the manifest ---------------------------------------------------------------------- */

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ONE "segments/0a/bcdef0123456789abcdef012345678"
#define TWO "segments/ff/bcdef0123456789abcdef012345678"
#define HEADER "vault-0123456789abcdef0123456789abcdef.ecl"

static int read_text(const char *text, struct manifest *m, size_t *line)
{
    char path[] = "/tmp/ecluse-manifest.XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = manifest_read(path, m, line);
    unlink(path);
    return rc;
}

START_TEST(a_manifest_is_read)
{
    struct manifest m;
    size_t line;

    ck_assert_int_eq(read_text(SUM "  " TWO "\n" SUM " *./" ONE "\r\n" SUM "  " HEADER, &m, &line), 0);
    ck_assert_uint_eq(m.count, 2);
    ck_assert_uint_eq(m.lines[0].id.b[0], 0x0a);
    ck_assert_uint_eq(m.lines[1].id.b[0], 0xff);
    ck_assert_uint_eq(m.lines[0].sha256[1], 0x23);
    ck_assert(m.has_header);
    ck_assert_str_eq(m.header_name, HEADER);
    manifest_free(&m);
    ck_assert_int_eq(read_text("", &m, &line), 0);
    manifest_free(&m);
}
END_TEST

START_TEST(what_is_no_manifest_is_refused)
{
    static const char *const bad[] = {
        "nonsense\n", SUM "\n", SUM "  \n", SUM "  " ONE "x\n", SUM "  segments/0A/bcdef0123456789abcdef012345678\n",
        SUM "  ../" ONE "\n", SUM " " ONE "\n", SUM "  " HEADER "\n" SUM "  " HEADER "\n",
        SUM "  " ONE "\n" SUM "  " ONE "\n", "g" SUM "  " ONE "\n", SUM "  segments/0a/bcdef0123456789abcdef01234567/\n",
        "\n",
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct manifest m;
        size_t line;
        ck_assert_msg(read_text(bad[k], &m, &line) == E_FORMAT, "%zu is accepted", k);
        ck_assert_uint_ge(line, 1);
    }
}
END_TEST

int main(void)
{
    if (crypto_start())
        return 2;
    Suite *s = suite_create("check");
    TCase *t = tcase_create("check");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, random_bytes_look_random);
    tcase_add_test(t, sealed_blocks_of_one_request_look_random);
    tcase_add_test(t, plaintext_is_found_wherever_it_is);
    tcase_add_test(t, even_but_orderly_bytes_are_found);
    tcase_add_test(t, a_manifest_is_read);
    tcase_add_test(t, what_is_no_manifest_is_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
