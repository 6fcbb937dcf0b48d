/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Known answers, checked at every start: a library that computes something else
 * must not seal a single block.  Takes some ten microseconds.
 *
 * Sources: McGrew and Viega, "The Galois/Counter Mode", test case 16; RFC 8439
 * section 2.8.2; RFC 5869 test case 3; FIPS 180-2 "abc"; RFC 4231 test case 1;
 * draft-irtf-cfrg-xchacha-03 A.3.1.
 */
#include "internal.h"
#include <ecluse/base.h>
#include <ecluse/error.h>
#include <errno.h>

struct answer {
    enum suite suite;
    uint8_t key[KEY_SIZE], nonce[AEAD_NONCE], tag[AEAD_TAG];
    const char *aad;
    size_t aad_len;
    const char *plain;
    const char *sealed;
    size_t len;
};

static const char rfc_aad[] = "\x50\x51\x52\x53\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7";
static const char rfc_plain[] =
    "Ladies and Gentlemen of the class of '99: If I could offer you "
    "only one tip for the future, sunscreen would be it.";

#define RFC_KEY { 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, \
                  0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f }

static const struct answer answers[] = {
    { SUITE_AES_256_GCM,
      { 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
        0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08 },
      { 0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88 },
      { 0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b },
      "\xfe\xed\xfa\xce\xde\xad\xbe\xef\xfe\xed\xfa\xce\xde\xad\xbe\xef\xab\xad\xda\xd2", 20,
      "\xd9\x31\x32\x25\xf8\x84\x06\xe5\xa5\x59\x09\xc5\xaf\xf5\x26\x9a"
      "\x86\xa7\xa9\x53\x15\x34\xf7\xda\x2e\x4c\x30\x3d\x8a\x31\x8a\x72"
      "\x1c\x3c\x0c\x95\x95\x68\x09\x53\x2f\xcf\x0e\x24\x49\xa6\xb5\x25"
      "\xb1\x6a\xed\xf5\xaa\x0d\xe6\x57\xba\x63\x7b\x39",
      "\x52\x2d\xc1\xf0\x99\x56\x7d\x07\xf4\x7f\x37\xa3\x2a\x84\x42\x7d"
      "\x64\x3a\x8c\xdc\xbf\xe5\xc0\xc9\x75\x98\xa2\xbd\x25\x55\xd1\xaa"
      "\x8c\xb0\x8e\x48\x59\x0d\xbb\x3d\xa7\xb0\x8b\x10\x56\x82\x88\x38"
      "\xc5\xf6\x1e\x63\x93\xba\x7a\x0a\xbc\xc9\xf6\x62", 60 },
    { SUITE_CHACHA20_POLY1305, RFC_KEY,
      { 0x07, 0x00, 0x00, 0x00, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47 },
      { 0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91 },
      rfc_aad, sizeof rfc_aad - 1, rfc_plain,
      "\xd3\x1a\x8d\x34\x64\x8e\x60\xdb\x7b\x86\xaf\xbc\x53\xef\x7e\xc2"
      "\xa4\xad\xed\x51\x29\x6e\x08\xfe\xa9\xe2\xb5\xa7\x36\xee\x62\xd6"
      "\x3d\xbe\xa4\x5e\x8c\xa9\x67\x12\x82\xfa\xfb\x69\xda\x92\x72\x8b"
      "\x1a\x71\xde\x0a\x9e\x06\x0b\x29\x05\xd6\xa5\xb6\x7e\xcd\x3b\x36"
      "\x92\xdd\xbd\x7f\x2d\x77\x8b\x8c\x98\x03\xae\xe3\x28\x09\x1b\x58"
      "\xfa\xb3\x24\xe4\xfa\xd6\x75\x94\x55\x85\x80\x8b\x48\x31\xd7\xbc"
      "\x3f\xf4\xde\xf0\x8e\x4b\x7a\x9d\xe5\x76\xd2\x65\x86\xce\xc6\x4b"
      "\x61\x16", sizeof rfc_plain - 1 },
};

#define LONGEST 128u

/* Seals, compares, opens, and refuses when the tag is another. */
static bool suite_works(const struct answer *k)
{
    uint8_t out[LONGEST], tag[AEAD_TAG];
    struct aead *a = NULL;

    if (aead_new(&a, k->suite, k->key))
        return false;
    bool ok = !aead_seal(a, k->nonce, k->aad, k->aad_len, (const uint8_t *)k->plain, k->len, out, tag) &&
              memcmp(out, k->sealed, k->len) == 0 && memcmp(tag, k->tag, sizeof tag) == 0 &&
              !aead_open(a, k->nonce, k->aad, k->aad_len, out, k->len, tag, out) &&
              memcmp(out, k->plain, k->len) == 0;
    tag[0] ^= 1;
    ok = ok && aead_open(a, k->nonce, k->aad, k->aad_len, (const uint8_t *)k->sealed, k->len, tag, out) == E_AUTH;
    aead_free(a);
    return ok;
}

static bool hkdf_works(void)
{
    static const char expected[] =
        "\x8d\xa4\xe7\x75\xa5\x63\xc1\x8f\x71\x5f\x80\x2a\x06\x3c\x5a\x31\xb8\xa1\x1f\x5c\x5e"
        "\xe1\x87\x9e\xc3\x45\x4e\x5f\x3c\x73\x8d\x2d\x9d\x20\x13\x95\xfa\xa4\xb6\x1a\x96\xc8";
    uint8_t key[22], out[42];

    memset(key, 0x0b, sizeof key);
    return !hkdf_derive(out, sizeof out, key, sizeof key, "", 0) && memcmp(out, expected, sizeof out) == 0;
}

static bool hashes_work(void)
{
    static const char abc[] =
        "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
        "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad";
    static const char hi_there[] =
        "\xb0\x34\x4c\x61\xd8\xdb\x38\x53\x5c\xa8\xaf\xce\xaf\x0b\xf1\x2b"
        "\x88\x1d\xc2\x00\xc9\x83\x3d\xa7\x26\xe9\x37\x6c\x2e\x32\xcf\xf7";
    uint8_t key[KEY_SIZE] = { 0 }, hash[SHA256_SIZE], mac[SHA256_SIZE];

    memset(key, 0x0b, 20);      /* HMAC pads short keys with zeros */
    crypto_sha256("abc", 3, hash);
    crypto_mac(key, "Hi There", 8, mac);
    return memcmp(hash, abc, sizeof hash) == 0 && memcmp(mac, hi_there, sizeof mac) == 0;
}

static bool record_works(void)
{
    static const uint8_t key[KEY_SIZE] = RFC_KEY;
    static const char record[] =
        "\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b\x4c\x4d\x4e\x4f\x50\x51\x52\x53\x54\x55\x56\x57"
        "\xbd\x6d\x17\x9d\x3e\x83\xd4\x3b\x95\x76\x57\x94\x93\xc0\xe9\x39"
        "\x57\x2a\x17\x00\x25\x2b\xfa\xcc\xbe\xd2\x90\x2c\x21\x39\x6c\xbb"
        "\x73\x1c\x7f\x1b\x0b\x4a\xa6\x44\x0b\xf3\xa8\x2f\x4e\xda\x7e\x39"
        "\xae\x64\xc6\x70\x8c\x54\xc2\x16\xcb\x96\xb7\x2e\x12\x13\xb4\x52"
        "\x2f\x8c\x9b\xa4\x0d\xb5\xd9\x45\xb1\x1b\x69\xb9\x82\xc1\xbb\x9e"
        "\x3f\x3f\xac\x2b\xc3\x69\x48\x8f\x76\xb2\x38\x35\x65\xd3\xff\xf9"
        "\x21\xf9\x66\x4c\x97\x63\x7d\xa9\x76\x88\x12\xf6\x15\xc6\x8b\x13"
        "\xb5\x2e\xc0\x87\x59\x24\xc1\xc7\x98\x79\x47\xde\xaf\xd8\x78\x0a\xcf\x49";
    uint8_t out[LONGEST];

    return !record_open(key, rfc_aad, sizeof rfc_aad - 1, (const uint8_t *)record, sizeof record - 1, out) &&
           memcmp(out, rfc_plain, sizeof rfc_plain - 1) == 0;
}

int selftest_run(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        if (!suite_works(&answers[i]))
            return -ENOSYS;
    return hkdf_works() && hashes_work() && record_works() ? 0 : -ENOSYS;
}
