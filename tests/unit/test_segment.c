/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The segment codec: what was sealed comes back at its place and nowhere else;
 * every altered byte, cut, extension and transplant is refused.
 */
#include <check.h>
#include <ecluse/error.h>
#include <ecluse/segment.h>
#include <errno.h>
#include <stdlib.h>

static const uint8_t epoch_key[KEY_SIZE] = { 1, 2, 3 }, other_epoch_key[KEY_SIZE] = { 9 };
static const enum suite suites[] = { SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305 };

static struct segment_header header;
static struct segment_key *key;
static struct nonce_base base;

static struct segment_header header_of(enum suite suite, uint8_t vault, uint8_t segment)
{
    struct segment_header h = { .format = SEGMENT_FORMAT, .suite = suite, .epoch = 7 };
    memset(h.vault.b, vault, sizeof h.vault.b);
    memset(h.segment.b, segment, sizeof h.segment.b);
    return h;
}

static struct segment_key *key_for(const struct segment_header *h)
{
    struct segment_key *k = NULL;
    ck_assert_int_eq(segment_key_new(&k, h, epoch_key), 0);
    return k;
}

static void set_up(void)
{
    ck_assert_int_eq(crypto_start(), 0);
    header = header_of(SUITE_AES_256_GCM, 0x11, 0x22);
    key = key_for(&header);
    nonce_base_new(&base);
}

static void tear_down(void)
{
    segment_key_free(key);
}

/* Refused by one of the two, as a reader of a file asks them. */
static int read_front(const uint8_t in[SEGMENT_DATA], const struct segment_key *k)
{
    struct segment_header h;
    int rc = segment_header_parse(in, &h);
    return rc ? rc : segment_header_check(in, k);
}

/* --- header ----------------------------------------------------------------------- */

START_TEST(a_header_comes_back_as_it_was_written)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header h, want = header_of(suites[_i], 3, 4);
    struct segment_key *k = key_for(&want);

    segment_header_write(front, &want, k);
    ck_assert_int_eq(segment_header_parse(front, &h), 0);
    ck_assert_int_eq(segment_header_check(front, k), 0);
    ck_assert_uint_eq(h.format, SEGMENT_FORMAT);
    ck_assert_int_eq(h.suite, suites[_i]);
    ck_assert_uint_eq(h.epoch, 7);
    ck_assert(id_equal(&h.vault, &want.vault) && id_equal(&h.segment, &want.segment));
    segment_key_free(k);
}
END_TEST

START_TEST(every_altered_bit_of_header_and_commitment_is_refused)
{
    uint8_t front[SEGMENT_DATA];

    segment_header_write(front, &header, key);
    for (size_t bit = 0; bit < 8 * sizeof front; bit++) {
        front[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int rc = read_front(front, key);
        ck_assert_msg(rc == E_AUTH || rc == E_FORMAT || rc == E_NEWER_FORMAT, "bit %zu: %d", bit, rc);
        ck_assert_int_eq(segment_header_check(front, key), E_AUTH);
        front[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(read_front(front, key), 0);
}
END_TEST

START_TEST(a_header_that_is_believed_gives_a_key_that_does_not_fit)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header h;

    segment_header_write(front, &header, key);
    for (size_t at = 0; at < SEGMENT_HEADER; at++) {
        front[at] ^= 3;      /* suite 1 becomes 2 */
        if (segment_header_parse(front, &h) == 0) {
            struct segment_key *k = key_for(&h);
            ck_assert_int_eq(segment_header_check(front, k), E_AUTH);
            segment_key_free(k);
        }
        front[at] ^= 3;
    }
}
END_TEST

START_TEST(formats_and_suites_are_judged_before_any_key)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header h;

    segment_header_write(front, &header, key);
    put_le32(front + 8, 2);
    ck_assert_int_eq(segment_header_parse(front, &h), E_NEWER_FORMAT);
    put_le32(front + 8, 0);
    ck_assert_int_eq(segment_header_parse(front, &h), E_FORMAT);
    put_le32(front + 8, 1);
    put_le32(front + 12, 3);
    ck_assert_int_eq(segment_header_parse(front, &h), E_FORMAT);
    put_le32(front + 12, 0);
    ck_assert_int_eq(segment_header_parse(front, &h), E_FORMAT);
    put_le32(front + 12, 1);
    front[0] = 0;
    ck_assert_int_eq(segment_header_parse(front, &h), E_FORMAT);
}
END_TEST

START_TEST(keys_of_other_epochs_vaults_and_segments_do_not_fit)
{
    uint8_t front[SEGMENT_DATA];
    struct segment_header vault = header_of(SUITE_AES_256_GCM, 0x12, 0x22);
    struct segment_header segment = header_of(SUITE_AES_256_GCM, 0x11, 0x23);
    struct segment_key *others[3];

    segment_header_write(front, &header, key);
    ck_assert_int_eq(segment_key_new(&others[0], &header, other_epoch_key), 0);
    others[1] = key_for(&vault);
    others[2] = key_for(&segment);
    for (size_t k = 0; k < ARRAY_SIZE(others); k++) {
        ck_assert_int_eq(segment_header_check(front, others[k]), E_AUTH);
        segment_key_free(others[k]);
    }
}
END_TEST

START_TEST(key_and_commitment_are_as_the_format_says)
{
    uint8_t front[SEGMENT_DATA], secret[KEY_SIZE], commitment[32], sealed[3 + SEAL_OVERHEAD], plain[3];
    uint8_t ids[32], aad[25] = { 0 };
    struct aead *a = NULL;

    memcpy(ids, header.vault.b, 16);
    memcpy(ids + 16, header.segment.b, 16);
    segment_header_write(front, &header, key);
    ck_assert_int_eq(crypto_hkdf(commitment, 32, epoch_key, "ecluse/segment/commitment", front, 64), 0);
    ck_assert_mem_eq(front + 64, commitment, 32);
    ck_assert_int_eq(crypto_hkdf(secret, 32, epoch_key, "ecluse/segment", ids, 32), 0);
    ck_assert_int_eq(aead_new(&a, header.suite, secret), 0);
    ck_assert_int_eq(segment_seal(key, &base, 0, 0x0102, SEAL_DATA, (const uint8_t *)"abc", 3, sealed), 0);
    memcpy(aad, header.segment.b, 16);
    aad[16] = 2;
    aad[17] = 1;
    aad[24] = 1;
    ck_assert_int_eq(aead_open(a, sealed, aad, sizeof aad, sealed + 12, 3, sealed + 15, plain), 0);
    ck_assert_mem_eq(plain, "abc", 3);
    aead_free(a);
}
END_TEST

/* --- blocks ------------------------------------------------------------------------ */

START_TEST(a_block_comes_back_whole_and_partial)
{
    static const size_t sizes[] = { 1, 15, 16, 17, 4095, 4096, 100000 };
    struct segment_header h = header_of(suites[_i], 1, 2);
    struct segment_key *k = key_for(&h);

    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        size_t len = sizes[s];
        uint8_t *in = malloc(len), *sealed = malloc(len + SEAL_OVERHEAD), *out = malloc(len);
        crypto_random(in, len);
        ck_assert_int_eq(segment_seal(k, &base, (uint32_t)s, 96 + s, SEAL_DATA, in, len, sealed), 0);
        ck_assert_int_eq(segment_open(k, 96 + s, SEAL_DATA, sealed, len + SEAL_OVERHEAD, out), 0);
        ck_assert_mem_eq(in, out, len);
        if (len >= 16)
            ck_assert_ptr_null(memmem(sealed, len + SEAL_OVERHEAD, in, 16));
        free(in);
        free(sealed);
        free(out);
    }
    segment_key_free(k);
}
END_TEST

START_TEST(a_block_may_be_sealed_and_opened_in_place)
{
    uint8_t bytes[100 + SEAL_OVERHEAD], want[100];

    crypto_random(want, sizeof want);
    memcpy(bytes + AEAD_NONCE, want, sizeof want);
    ck_assert_int_eq(segment_seal(key, &base, 0, 96, SEAL_DATA, bytes + AEAD_NONCE, 100, bytes), 0);
    ck_assert_int_eq(segment_open(key, 96, SEAL_DATA, bytes, sizeof bytes, bytes + AEAD_NONCE), 0);
    ck_assert_mem_eq(bytes + AEAD_NONCE, want, sizeof want);
}
END_TEST

START_TEST(every_altered_bit_of_a_block_is_refused)
{
    struct segment_header h = header_of(suites[_i], 1, 2);
    struct segment_key *k = key_for(&h);
    uint8_t sealed[20 + SEAL_OVERHEAD], out[20];
    static const uint8_t in[20] = "twenty bytes of text";

    ck_assert_int_eq(segment_seal(k, &base, 0, 96, SEAL_DATA, in, sizeof in, sealed), 0);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(segment_open(k, 96, SEAL_DATA, sealed, sizeof sealed, out), E_AUTH);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(segment_open(k, 96, SEAL_DATA, sealed, sizeof sealed, out), 0);
    segment_key_free(k);
}
END_TEST

START_TEST(a_block_that_was_cut_or_extended_is_refused)
{
    uint8_t sealed[20 + SEAL_OVERHEAD + 1] = { 0 }, out[21];
    static const uint8_t in[20] = "twenty bytes of text";

    ck_assert_int_eq(segment_seal(key, &base, 0, 96, SEAL_DATA, in, sizeof in, sealed), 0);
    for (size_t len = 0; len <= sizeof sealed; len++)
        ck_assert_int_eq(segment_open(key, 96, SEAL_DATA, sealed, len, out),
                         len == 20 + SEAL_OVERHEAD ? 0 : E_AUTH);
}
END_TEST

START_TEST(a_block_does_not_open_in_another_place)
{
    struct segment_header elsewhere[] = {
        header_of(SUITE_AES_256_GCM, 0x11, 0x23),        /* another segment */
        header_of(SUITE_AES_256_GCM, 0x12, 0x22),        /* another vault */
        header_of(SUITE_CHACHA20_POLY1305, 0x11, 0x22),  /* another suite */
    };
    uint8_t sealed[4 + SEAL_OVERHEAD], out[4];

    ck_assert_int_eq(segment_seal(key, &base, 0, 96, SEAL_DATA, (const uint8_t *)"here", 4, sealed), 0);
    ck_assert_int_eq(segment_open(key, 97, SEAL_DATA, sealed, sizeof sealed, out), E_AUTH);
    ck_assert_int_eq(segment_open(key, 96 + (1ull << 32), SEAL_DATA, sealed, sizeof sealed, out), E_AUTH);
    ck_assert_int_eq(segment_open(key, 96, SEAL_FOOTER, sealed, sizeof sealed, out), E_AUTH);
    ck_assert_int_eq(segment_open(key, 96, SEAL_TRAILER, sealed, sizeof sealed, out), E_AUTH);
    for (size_t e = 0; e < ARRAY_SIZE(elsewhere); e++) {
        struct segment_key *k = key_for(&elsewhere[e]);
        ck_assert_int_eq(segment_open(k, 96, SEAL_DATA, sealed, sizeof sealed, out), E_AUTH);
        segment_key_free(k);
    }
    ck_assert_int_eq(segment_open(key, 96, SEAL_DATA, sealed, sizeof sealed, out), 0);
}
END_TEST

START_TEST(the_same_plaintext_never_gives_the_same_bytes)
{
    uint8_t a[64 + SEAL_OVERHEAD], b[64 + SEAL_OVERHEAD];
    static const uint8_t in[64];
    struct nonce_base other;

    nonce_base_new(&other);
    ck_assert_int_eq(segment_seal(key, &base, 0, 96, SEAL_DATA, in, 64, a), 0);
    ck_assert_int_eq(segment_seal(key, &base, 1, 96, SEAL_DATA, in, 64, b), 0);
    ck_assert_mem_ne(a, b, sizeof a);
    ck_assert_mem_ne(a + AEAD_NONCE, b + AEAD_NONCE, 64);
    ck_assert_int_eq(segment_seal(key, &other, 0, 96, SEAL_DATA, in, 64, b), 0);
    ck_assert_mem_ne(a, b, AEAD_NONCE);
    ck_assert_mem_ne(a + AEAD_NONCE, b + AEAD_NONCE, 64);
}
END_TEST

START_TEST(a_nonce_is_its_base_and_the_index_added_with_wrapping)
{
    struct nonce_base b = { { 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xff, 0xff, 0xfe } };
    static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1 };
    uint8_t sealed[1 + SEAL_OVERHEAD];

    ck_assert_int_eq(segment_seal(key, &b, 3, 96, SEAL_DATA, want, 1, sealed), 0);
    ck_assert_mem_eq(sealed, want, sizeof want);
}
END_TEST

START_TEST(nothing_at_all_is_not_sealed)
{
    uint8_t sealed[SEAL_OVERHEAD] = { 0 };
    ck_assert_int_eq(segment_seal(key, &base, 0, 96, SEAL_DATA, sealed, 0, sealed), -EINVAL);
}
END_TEST

/* --- footer ------------------------------------------------------------------------ */

static const uint64_t actors[] = { 0x1122334455667788, 9 };
static const struct reverse_run run_a = {
    .ino = 5, .first = 0, .version = 1, .parent = 1, .offset = SEGMENT_DATA, .count = 2, .last = 4096,
    .name_len = 4, .name = (const uint8_t *)"note" };
static const struct reverse_run run_b = {
    .ino = (1ull << 48) | 77, .first = 1ull << 40, .version = UINT64_MAX, .parent = 0,
    .offset = SEGMENT_DATA + 2 * SEALED_BLOCK, .count = 1, .last = 1 };

static void build(struct buf *out, const struct reverse_run *run)
{
    footer_begin(out, actors, 2);
    footer_run(out, run);
    footer_end(out, NULL, PAYLOAD_PUBLICATION, "payload", 7);
    ck_assert(!out->failed);
}

static void assert_run(const struct reverse_run *got, const struct reverse_run *want)
{
    ck_assert_uint_eq(got->ino, want->ino);
    ck_assert_uint_eq(got->first, want->first);
    ck_assert_uint_eq(got->version, want->version);
    ck_assert_uint_eq(got->parent, want->parent);
    ck_assert_uint_eq(got->offset, want->offset);
    ck_assert_uint_eq(got->count, want->count);
    ck_assert_uint_eq(got->last, want->last);
    ck_assert_uint_eq(got->name_len, want->name_len);
    ck_assert_int_eq(want->name_len && memcmp(got->name, want->name, want->name_len), 0);
}

START_TEST(a_footer_comes_back_with_actors_runs_and_payload)
{
    struct buf b = { 0 };
    struct footer_view v;
    struct reverse_run r;

    footer_begin(&b, actors, 2);
    footer_run(&b, &run_a);
    footer_run(&b, &run_b);
    footer_end(&b, NULL, PAYLOAD_CHECKPOINT, "rows", 4);
    ck_assert_int_eq(footer_parse(b.data, b.len, &v), 0);
    ck_assert_uint_eq(v.actor_count, 2);
    ck_assert_uint_eq(get_le64(v.actors), actors[0]);
    ck_assert_uint_eq(get_le64(v.actors + 8), actors[1]);
    ck_assert_int_eq(v.kind, PAYLOAD_CHECKPOINT);
    ck_assert_uint_eq(v.payload_len, 4);
    ck_assert_mem_eq(v.payload, "rows", 4);
    ck_assert_int_eq(footer_next(&v, &r), 1);
    assert_run(&r, &run_a);
    ck_assert_int_eq(footer_next(&v, &r), 1);
    assert_run(&r, &run_b);
    ck_assert_int_eq(footer_next(&v, &r), 0);
    ck_assert_int_eq(footer_next(&v, &r), 0);
    buf_free(&b);
}
END_TEST

START_TEST(a_footer_may_hold_nothing)
{
    struct buf b = { 0 };
    struct footer_view v;
    struct reverse_run r;

    footer_begin(&b, NULL, 0);
    footer_end(&b, NULL, PAYLOAD_NONE, NULL, 0);
    ck_assert_int_eq(footer_parse(b.data, b.len, &v), 0);
    ck_assert_uint_eq(v.actor_count, 0);
    ck_assert_int_eq(v.kind, PAYLOAD_NONE);
    ck_assert_int_eq(footer_next(&v, &r), 0);
    buf_free(&b);
}
END_TEST

START_TEST(a_footer_cut_anywhere_or_extended_is_refused)
{
    struct buf b = { 0 };
    struct footer_view v;
    struct reverse_run r;

    build(&b, &run_a);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *exact = malloc(len + 1);      /* so that a sanitizer sees a read beyond */
        memcpy(exact, b.data, len);
        ck_assert_int_eq(footer_parse(exact, len, &v), E_FORMAT);
        ck_assert_int_eq(footer_next(&v, &r), E_FORMAT);
        free(exact);
    }
    buf_byte(&b, 0);
    ck_assert_int_eq(footer_parse(b.data, b.len, &v), E_FORMAT);
    buf_free(&b);
}
END_TEST

START_TEST(an_altered_footer_is_refused_or_stays_in_range)
{
    struct buf b = { 0 };
    struct footer_view v;
    struct reverse_run r;

    build(&b, &run_b);
    for (size_t at = 0; at < b.len; at++)
        for (unsigned with = 1; with < 256; with++) {
            b.data[at] ^= (uint8_t)with;
            if (footer_parse(b.data, b.len, &v) == 0) {
                int rc;
                while ((rc = footer_next(&v, &r)) == 1) {
                    ck_assert(r.count && r.last >= 1 && r.last <= BLOCK_SIZE && r.ino);
                    ck_assert((uint64_t)r.offset + (r.count - 1ull) * SEALED_BLOCK + r.last + SEAL_OVERHEAD <=
                              SEGMENT_MAX - SEGMENT_TRAILER);
                }
                ck_assert_int_eq(rc, 0);
            }
            b.data[at] ^= (uint8_t)with;
        }
    buf_free(&b);
}
END_TEST

/* Changes one field of a good run; the footer with it must be refused. */
static void refuse_run(struct reverse_run run)
{
    struct buf b = { 0 };
    struct footer_view v;

    build(&b, &run);
    ck_assert_int_eq(footer_parse(b.data, b.len, &v), E_FORMAT);
    buf_free(&b);
}
#define REFUSE(...) do { struct reverse_run r = run_a; __VA_ARGS__; refuse_run(r); } while (0)

START_TEST(a_run_outside_of_its_segment_its_file_or_its_actors_is_refused)
{
    REFUSE(r.ino = 0);
    REFUSE(r.ino = 2ull << 48);
    REFUSE(r.ino = UINT64_MAX);
    REFUSE(r.parent = 2ull << 48);
    REFUSE(r.count = UINT32_MAX);
    REFUSE(r.count = SEGMENT_MAX / SEALED_BLOCK + 1);
    REFUSE(r.offset = SEGMENT_DATA - 1);
    REFUSE(r.offset = SEGMENT_MAX);
    REFUSE(r.offset = UINT32_MAX);
    REFUSE(r.offset = SEGMENT_MAX - SEGMENT_TRAILER - 2 * SEALED_BLOCK + 1);
    REFUSE(r.first = UINT64_MAX);
    REFUSE(r.first = INT64_MAX / BLOCK_SIZE - 1);
    REFUSE(r.last = 0);
    REFUSE(r.last = BLOCK_SIZE + 1);
}
END_TEST

START_TEST(the_last_place_of_a_segment_and_of_a_file_is_allowed)
{
    struct reverse_run run = run_a;
    struct buf b = { 0 };
    struct footer_view v;

    run.offset = SEGMENT_MAX - SEGMENT_TRAILER - 2 * SEALED_BLOCK;
    run.first = INT64_MAX / BLOCK_SIZE - 2;
    build(&b, &run);
    ck_assert_int_eq(footer_parse(b.data, b.len, &v), 0);
    buf_free(&b);
}
END_TEST

static void refuse_name(const char *name, size_t len)
{
    struct reverse_run r = run_a;
    r.name = (const uint8_t *)name;
    r.name_len = (uint8_t)len;
    refuse_run(r);
}

START_TEST(a_name_that_could_climb_is_refused)
{
    refuse_name(".", 1);
    refuse_name("..", 2);
    refuse_name("/", 1);
    refuse_name("a/b", 3);
    refuse_name("a\0b", 3);
}
END_TEST

static void refuse_bytes(const char *bytes, size_t len)
{
    struct footer_view v;
    ck_assert_int_eq(footer_parse(bytes, len, &v), E_FORMAT);
}

START_TEST(malformed_frames_are_refused)
{
    refuse_bytes("", 0);
    refuse_bytes("\3\0\0\0\0\0\0", 7);                   /* version */
    refuse_bytes("\0\0\0\0\0\0\0", 7);
    refuse_bytes("\1\1\0\0\0", 5);                       /* more actors than bytes */
    refuse_bytes("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11);
    refuse_bytes("\1\x80\0\0\0\0", 6);                   /* over-long number */
    refuse_bytes("\1\0\0\3\1x", 6);                      /* payload kind */
    refuse_bytes("\1\0\0\0\1x", 6);                      /* a payload of no kind */
    refuse_bytes("\1\0\0\1\0", 5);                       /* a kind without payload */
    refuse_bytes("\1\0\0\1\5x", 6);                      /* a payload longer than there is */
    refuse_bytes("\1\0\1\1\0\0\0\x60\0\0\0\0\0", 13);    /* a run, but no actors */
}
END_TEST

/* --- borrowed runs ------------------------------------------------------------------- */

static const struct id128 lenders[] = { { .b = { 1, 2, 3 } }, { .b = { 9, 8, 7 } } };

static void make_borrowed(struct borrowed_run out[3])
{
    for (int k = 0; k < 3; k++) {
        out[k] = (struct borrowed_run){ .of = run_a, .segment = lenders[k != 0].b, .size = 8192, .valid = 4096 };
        out[k].of.first = (uint64_t)k * 2;
    }
    out[1].of.last = 900;
    out[1].valid = 4;
    out[2].of = run_b;
    out[2].size = INT64_MAX;
    out[2].valid = 1;
}

static void build_borrowed(struct buf *out, const struct borrowed_run *v, size_t count)
{
    struct buf b = { 0 };
    uint64_t before = 0;

    borrowed_begin(&b, lenders, 2);
    for (size_t k = 0; k < count; before = v[k++].of.ino)
        borrowed_add(&b, before, &v[k], v[k].segment == lenders[1].b);
    borrowed_end(&b, before);
    footer_begin(out, actors, 2);
    footer_run(out, &run_b);
    footer_end(out, &b, PAYLOAD_PUBLICATION, "payload", 7);
    ck_assert(!out->failed);
    buf_free(&b);
}

START_TEST(borrowed_runs_come_back_by_file_with_their_segments)
{
    struct buf b = { 0 };
    struct footer_view v;
    struct reverse_run own;
    struct borrowed_run want[3], r;

    make_borrowed(want);
    build_borrowed(&b, want, 3);
    ck_assert_int_eq(footer_parse(b.data, b.len, &v), 0);
    ck_assert_uint_eq(v.segment_count, 2);
    ck_assert_int_eq(v.kind, PAYLOAD_PUBLICATION);
    ck_assert_uint_eq(v.payload_len, 7);
    ck_assert_int_eq(footer_next(&v, &own), 1);
    assert_run(&own, &run_b);
    ck_assert_int_eq(footer_next(&v, &own), 0);
    for (int k = 0; k < 3; k++) {
        ck_assert_int_eq(footer_next_borrowed(&v, &r), 1);
        assert_run(&r.of, &want[k].of);
        ck_assert_mem_eq(r.segment, want[k].segment, 16);
        ck_assert_uint_eq(r.size, want[k].size);
        ck_assert_uint_eq(r.valid, want[k].valid);
    }
    ck_assert_int_eq(footer_next_borrowed(&v, &r), 0);
    ck_assert_int_eq(footer_next_borrowed(&v, &r), 0);
    buf_free(&b);
}
END_TEST

START_TEST(a_footer_of_version_1_has_no_borrowed_runs)
{
    static const char bytes[] = "\1\0\0\1\1x";
    struct footer_view v;
    struct borrowed_run r;

    ck_assert_int_eq(footer_parse(bytes, sizeof bytes - 1, &v), 0);
    ck_assert_uint_eq(v.payload_len, 1);
    ck_assert_int_eq(footer_next_borrowed(&v, &r), 0);
}
END_TEST

/* Changes the second of three good runs; the footer with it must be refused. */
static void refuse_borrowed(struct borrowed_run run)
{
    struct borrowed_run v[3], r;
    struct buf b = { 0 };
    struct footer_view view;

    make_borrowed(v);
    v[1] = run;
    build_borrowed(&b, v, 3);
    ck_assert_int_eq(footer_parse(b.data, b.len, &view), E_FORMAT);
    ck_assert_int_eq(footer_next_borrowed(&view, &r), E_FORMAT);
    buf_free(&b);
}
#define REFUSE_BORROWED(...) \
    do { struct borrowed_run v[3]; make_borrowed(v); struct borrowed_run r = v[1]; __VA_ARGS__; refuse_borrowed(r); } while (0)

START_TEST(a_borrowed_run_outside_of_its_segment_or_its_file_is_refused)
{
    REFUSE_BORROWED(r.of.offset = SEGMENT_DATA - 1);
    REFUSE_BORROWED(r.of.offset = SEGMENT_MAX - SEGMENT_TRAILER - SEALED_BLOCK - 900);
    REFUSE_BORROWED(r.of.first = INT64_MAX / BLOCK_SIZE - 1);
    REFUSE_BORROWED(r.of.count = 0);
    REFUSE_BORROWED(r.of.count = SEGMENT_MAX / SEALED_BLOCK + 1);
    REFUSE_BORROWED(r.of.last = 0);
    REFUSE_BORROWED(r.valid = 0);
    REFUSE_BORROWED(r.valid = 901);
    REFUSE_BORROWED(r.of.ino = 4);                        /* files ascend */
    REFUSE_BORROWED(r.of.ino = 2ull << 48);
    REFUSE_BORROWED(r.of.ino = 6, r.of.parent = 2ull << 48);
    REFUSE_BORROWED(r.of.ino = 6, r.size = INT64_MAX + 1ull);
    REFUSE_BORROWED(r.of.ino = 6, r.of.name = (const uint8_t *)"a/b", r.of.name_len = 3);
}
END_TEST

START_TEST(borrowed_runs_cut_anywhere_or_altered_are_refused_or_stay_in_range)
{
    struct borrowed_run want[3], r;
    struct buf b = { 0 };
    struct footer_view v;
    int rc;

    make_borrowed(want);
    build_borrowed(&b, want, 3);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, b.data, len);
        ck_assert_int_eq(footer_parse(exact, len, &v), E_FORMAT);
        free(exact);
    }
    for (size_t at = 0; at < b.len; at++)
        for (unsigned with = 1; with < 256; with++) {
            b.data[at] ^= (uint8_t)with;
            if (footer_parse(b.data, b.len, &v) == 0) {
                while ((rc = footer_next_borrowed(&v, &r)) == 1) {
                    ck_assert(r.of.ino && r.of.count && r.valid >= 1 && r.valid <= r.of.last && r.of.last <= BLOCK_SIZE);
                    ck_assert(r.segment >= v.segments && r.segment < v.segments + 16 * v.segment_count);
                }
                ck_assert_int_eq(rc, 0);
            }
            b.data[at] ^= (uint8_t)with;
        }
    buf_free(&b);
}
END_TEST

START_TEST(malformed_borrowed_frames_are_refused)
{
    refuse_bytes("\2\0\0\0\0", 5);                       /* no payload */
    refuse_bytes("\2\0\0\1\0\0\0", 7);                   /* more segments than bytes */
    refuse_bytes("\2\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\0", 16);
    refuse_bytes("\2\1" "actor__1" "\0\0\5\1\0\0\0\0\0\0\0", 21); /* a file without runs */
    refuse_bytes("\2\1" "actor__1" "\0\0\5\1\0\0\0\1\0\0\x60\0\0\0\0\0\0", 27); /* a run in no segment */
}
END_TEST

/* --- the end of a segment ------------------------------------------------------------ */

START_TEST(size_classes_are_powers_of_two_between_the_limits)
{
    ck_assert_uint_eq(segment_size_class(0), SEGMENT_MIN);
    ck_assert_uint_eq(segment_size_class(SEGMENT_MIN), SEGMENT_MIN);
    for (uint64_t size = SEGMENT_MIN; size < SEGMENT_MAX; size *= 2) {
        ck_assert_uint_eq(segment_size_class(size), size);
        ck_assert_uint_eq(segment_size_class(size + 1), 2 * size);
    }
    ck_assert_uint_eq(segment_size_class(SEGMENT_MAX), SEGMENT_MAX);
    ck_assert_uint_eq(segment_size_class(SEGMENT_MAX + 1), 0);
    ck_assert_uint_eq(segment_size_class(UINT64_MAX), 0);
}
END_TEST

/* The whole end for `used`, opened again as a reader would. */
static void assert_end(struct segment_key *k, uint64_t used, const uint8_t *footer, size_t len, uint64_t size)
{
    struct buf b = { 0 };
    uint64_t at, sealed_len;
    uint8_t *plain = malloc(len);

    ck_assert_int_eq(segment_finish(k, used, footer, len, &b), 0);
    ck_assert_uint_eq(used + b.len, size);
    ck_assert_int_eq(segment_trailer_open(k, size, b.data + b.len - SEGMENT_TRAILER, &at, &sealed_len), 0);
    ck_assert_uint_eq(at, used);
    ck_assert_uint_eq(sealed_len, len + SEAL_OVERHEAD);
    ck_assert_int_eq(segment_open(k, at, SEAL_FOOTER, b.data + (at - used), (size_t)sealed_len, plain), 0);
    ck_assert_mem_eq(plain, footer, len);
    free(plain);
    buf_free(&b);
}

START_TEST(a_finished_segment_fills_its_class_exactly)
{
    struct segment_header h = header_of(suites[_i], 1, 2);
    struct segment_key *k = key_for(&h);
    static const uint8_t footer[100] = "a footer";
    uint64_t fixed = sizeof footer + SEAL_OVERHEAD + SEGMENT_TRAILER;

    assert_end(k, SEGMENT_DATA, footer, sizeof footer, SEGMENT_MIN);
    for (uint64_t size = SEGMENT_MIN; size <= SEGMENT_MAX; size *= 2) {
        assert_end(k, size - fixed, footer, sizeof footer, size);
        if (size < SEGMENT_MAX)
            assert_end(k, size - fixed + 1, footer, sizeof footer, 2 * size);
    }
    segment_key_free(k);
}
END_TEST

START_TEST(what_fits_no_class_is_refused_and_leaves_nothing)
{
    struct buf b = { 0 };
    static const uint8_t footer[100];
    uint64_t most = SEGMENT_MAX - sizeof footer - SEAL_OVERHEAD - SEGMENT_TRAILER;

    ck_assert_int_eq(segment_finish(key, most + 1, footer, sizeof footer, &b), -E2BIG);
    ck_assert_int_eq(segment_finish(key, UINT64_MAX, footer, sizeof footer, &b), -E2BIG);
    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, footer, SIZE_MAX, &b), -E2BIG);
    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA - 1, footer, sizeof footer, &b), -EINVAL);
    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, footer, 0, &b), -EINVAL);
    ck_assert_uint_eq(b.len, 0);
    buf_free(&b);
}
END_TEST

START_TEST(two_ends_of_the_same_segment_have_nothing_in_common)
{
    struct buf a = { 0 }, b = { 0 };
    static const uint8_t footer[5000];
    size_t same = 0;

    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, footer, sizeof footer, &a), 0);
    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, footer, sizeof footer, &b), 0);
    for (size_t k = 0; k < a.len; k++)
        same += a.data[k] == b.data[k];
    ck_assert_uint_lt(same, a.len / 128);       /* 1/256 by chance */
    buf_free(&a);
    buf_free(&b);
}
END_TEST

START_TEST(every_altered_bit_of_a_trailer_is_refused)
{
    struct buf b = { 0 };
    uint64_t at, len;

    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, "x", 1, &b), 0);
    uint8_t *trailer = b.data + b.len - SEGMENT_TRAILER;
    for (size_t bit = 0; bit < 8 * SEGMENT_TRAILER; bit++) {
        trailer[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_eq(segment_trailer_open(key, SEGMENT_MIN, trailer, &at, &len), E_AUTH);
        trailer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buf_free(&b);
}
END_TEST

START_TEST(a_file_of_another_size_has_no_trailer_that_opens)
{
    static const uint64_t sizes[] = { 0, 1, SEGMENT_TRAILER, SEGMENT_DATA, SEGMENT_MIN - 1, SEGMENT_MIN + 1,
                                      2 * SEGMENT_MIN, SEGMENT_MAX, 2ull * SEGMENT_MAX, UINT64_MAX };
    struct buf b = { 0 };
    uint64_t at, len;

    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, "x", 1, &b), 0);
    const uint8_t *trailer = b.data + b.len - SEGMENT_TRAILER;
    for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
        ck_assert_int_eq(segment_trailer_open(key, sizes[k], trailer, &at, &len), E_AUTH);
    ck_assert_int_eq(segment_trailer_open(key, SEGMENT_MIN, trailer, &at, &len), 0);
    buf_free(&b);
}
END_TEST

START_TEST(a_trailer_tells_which_publication_the_footer_carries)
{
    struct segment_trailer t;
    struct buf b = { 0 };

    ck_assert_int_eq(segment_finish_carrier(key, SEGMENT_DATA, 77, "x", 1, &b), 0);
    ck_assert_int_eq(segment_trailer_read(key, b.len + SEGMENT_DATA, b.data + b.len - SEGMENT_TRAILER, &t), 0);
    ck_assert(t.publication == 77 && t.footer_offset == SEGMENT_DATA && t.footer_sealed_len == 1 + SEAL_OVERHEAD);
    buf_reset(&b);
    ck_assert_int_eq(segment_finish(key, SEGMENT_DATA, "x", 1, &b), 0);
    ck_assert_int_eq(segment_trailer_read(key, b.len + SEGMENT_DATA, b.data + b.len - SEGMENT_TRAILER, &t), 0);
    ck_assert(t.publication == 0);
    ck_assert_int_eq(segment_finish_carrier(key, SEGMENT_DATA, UINT64_MAX, "x", 1, &b), -EINVAL);
    buf_free(&b);
}
END_TEST

START_TEST(a_trailer_with_impossible_contents_is_refused)
{
    const uint64_t end = SEGMENT_MIN - SEGMENT_TRAILER;
    const uint64_t bad[][4] = {
        { SEGMENT_DATA - 1, 100, SEGMENT_MIN, 0 }, { end + 1, 100, SEGMENT_MIN, 0 },
        { end - 99, 100, SEGMENT_MIN, 0 },         { SEGMENT_DATA, UINT64_MAX, SEGMENT_MIN, 0 },
        { UINT64_MAX, 100, SEGMENT_MIN, 0 },       { SEGMENT_DATA, SEAL_OVERHEAD, SEGMENT_MIN, 0 },
        { SEGMENT_DATA, 100, SEGMENT_MIN * 2, 0 }, { SEGMENT_DATA, 100, SEGMENT_MIN, 1ull << 63 },
    };
    uint8_t plain[32], sealed[SEGMENT_TRAILER];
    uint64_t at, len;

    for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
        for (int f = 0; f < 4; f++)
            put_le64(plain + 8 * f, bad[k][f]);
        ck_assert_int_eq(segment_seal(key, &base, (uint32_t)k, end, SEAL_TRAILER, plain, 32, sealed), 0);
        ck_assert_int_eq(segment_trailer_open(key, SEGMENT_MIN, sealed, &at, &len), E_FORMAT);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("segment");
    TCase *t = tcase_create("segment");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, a_header_comes_back_as_it_was_written, 0, 2);
    tcase_add_test(t, every_altered_bit_of_header_and_commitment_is_refused);
    tcase_add_test(t, a_header_that_is_believed_gives_a_key_that_does_not_fit);
    tcase_add_test(t, formats_and_suites_are_judged_before_any_key);
    tcase_add_test(t, keys_of_other_epochs_vaults_and_segments_do_not_fit);
    tcase_add_test(t, key_and_commitment_are_as_the_format_says);
    tcase_add_loop_test(t, a_block_comes_back_whole_and_partial, 0, 2);
    tcase_add_test(t, a_block_may_be_sealed_and_opened_in_place);
    tcase_add_loop_test(t, every_altered_bit_of_a_block_is_refused, 0, 2);
    tcase_add_test(t, a_block_that_was_cut_or_extended_is_refused);
    tcase_add_test(t, a_block_does_not_open_in_another_place);
    tcase_add_test(t, the_same_plaintext_never_gives_the_same_bytes);
    tcase_add_test(t, a_nonce_is_its_base_and_the_index_added_with_wrapping);
    tcase_add_test(t, nothing_at_all_is_not_sealed);
    tcase_add_test(t, a_footer_comes_back_with_actors_runs_and_payload);
    tcase_add_test(t, a_footer_may_hold_nothing);
    tcase_add_test(t, a_footer_cut_anywhere_or_extended_is_refused);
    tcase_add_test(t, an_altered_footer_is_refused_or_stays_in_range);
    tcase_add_test(t, a_run_outside_of_its_segment_its_file_or_its_actors_is_refused);
    tcase_add_test(t, the_last_place_of_a_segment_and_of_a_file_is_allowed);
    tcase_add_test(t, a_name_that_could_climb_is_refused);
    tcase_add_test(t, malformed_frames_are_refused);
    tcase_add_test(t, borrowed_runs_come_back_by_file_with_their_segments);
    tcase_add_test(t, a_footer_of_version_1_has_no_borrowed_runs);
    tcase_add_test(t, a_borrowed_run_outside_of_its_segment_or_its_file_is_refused);
    tcase_add_test(t, borrowed_runs_cut_anywhere_or_altered_are_refused_or_stay_in_range);
    tcase_add_test(t, malformed_borrowed_frames_are_refused);
    tcase_add_test(t, size_classes_are_powers_of_two_between_the_limits);
    tcase_add_loop_test(t, a_finished_segment_fills_its_class_exactly, 0, 2);
    tcase_add_test(t, what_fits_no_class_is_refused_and_leaves_nothing);
    tcase_add_test(t, two_ends_of_the_same_segment_have_nothing_in_common);
    tcase_add_test(t, every_altered_bit_of_a_trailer_is_refused);
    tcase_add_test(t, a_file_of_another_size_has_no_trailer_that_opens);
    tcase_add_test(t, a_trailer_tells_which_publication_the_footer_carries);
    tcase_add_test(t, a_trailer_with_impossible_contents_is_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
