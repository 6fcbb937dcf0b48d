/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The vault header: says, in the store, what the store is.
 *
 *   magic 8 | format 4 | suite 4 | vault 16 | zeros 32 | MAC 32 | SHA-256 32
 *
 * The checksum tells a truncated or half-transferred header without any key.
 * The MAC, under a key that only holders of epoch 0 have, makes sure that
 * format, suite and vault are those that were chosen at init: no downgrade.  It
 * is of epoch 0 for ever, since the header is written once.
 *
 * Magic, format and the checksum at the end stay in every later format, so that
 * a newer header is told from a damaged one.
 */
#include "internal.h"
#include <assert.h>

#define HEADER_FORMAT 1u

static const uint8_t magic[8] = { 'E', 'C', 'L', 'V', 'A', 'U', 'L', 'T' };

enum { AT_FORMAT = 8, AT_SUITE = 12, AT_VAULT = 16, AT_ZEROS = 32, AT_MAC = 64, AT_SUM = 96 };
_Static_assert(AT_SUM + SHA256_SIZE == VAULT_HEADER_SIZE, "as documented");

static int compute_mac(const uint8_t bytes[VAULT_HEADER_SIZE], const uint8_t epoch0[KEY_SIZE],
                       uint8_t out[SHA256_SIZE])
{
    uint8_t *key = secret_alloc(KEY_SIZE);
    if (!key)
        return -ENOMEM;
    int rc = crypto_hkdf(key, KEY_SIZE, epoch0, "ecluse/vault-header", bytes + AT_VAULT, 16);
    if (!rc)
        crypto_mac(key, bytes, AT_MAC, out);
    secret_free(key);
    return rc;
}

int vault_header_make(uint8_t out[VAULT_HEADER_SIZE], const struct vault_header *h,
                      const uint8_t epoch0[KEY_SIZE])
{
    if (h->format != HEADER_FORMAT || !suite_name(h->suite))
        return -EINVAL;
    memset(out, 0, VAULT_HEADER_SIZE);
    memcpy(out, magic, sizeof magic);
    put_le32(out + AT_FORMAT, h->format);
    put_le32(out + AT_SUITE, h->suite);
    memcpy(out + AT_VAULT, h->vault.b, sizeof h->vault.b);
    int rc = compute_mac(out, epoch0, out + AT_MAC);
    if (!rc)
        crypto_sha256(out, AT_SUM, out + AT_SUM);
    return rc;
}

static bool zeros(const uint8_t *p, size_t len)
{
    uint8_t any = 0;
    while (len--)
        any |= *p++;
    return any == 0;
}

int vault_header_parse(const uint8_t *bytes, size_t len, struct vault_header *out)
{
    uint8_t sum[SHA256_SIZE];

    if (len < sizeof magic || memcmp(bytes, magic, sizeof magic))
        return E_NOT_VAULT;
    if (len < AT_SUITE + SHA256_SIZE)
        return E_STORE_HEADER;
    crypto_sha256(bytes, len - SHA256_SIZE, sum);
    if (memcmp(sum, bytes + len - SHA256_SIZE, SHA256_SIZE))
        return E_STORE_HEADER;
    out->format = get_le32(bytes + AT_FORMAT);
    if (out->format > HEADER_FORMAT)
        return E_NEWER_FORMAT;
    if (out->format != HEADER_FORMAT || len != VAULT_HEADER_SIZE || !zeros(bytes + AT_ZEROS, AT_MAC - AT_ZEROS))
        return E_STORE_HEADER;
    out->suite = (enum suite)get_le32(bytes + AT_SUITE);
    memcpy(out->vault.b, bytes + AT_VAULT, sizeof out->vault.b);
    return suite_name(out->suite) ? 0 : E_STORE_HEADER;
}

int vault_header_check(const uint8_t bytes[VAULT_HEADER_SIZE], const uint8_t epoch0[KEY_SIZE])
{
    uint8_t mac[SHA256_SIZE];

    int rc = compute_mac(bytes, epoch0, mac);
    if (!rc && !crypto_equal(mac, bytes + AT_MAC, SHA256_SIZE))
        rc = E_STORE_HEADER;
    return rc;
}
