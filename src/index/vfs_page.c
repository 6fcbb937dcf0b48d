/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Sealing one page: the only place where the index's plaintext becomes bytes
 * for the disk.
 *
 *   page    ciphertext 4064 | nonce 12 | tag 16 | round 4       AES-256-GCM
 *   frame   ciphertext 24 + 4064 | nonce 12 | tag 16 | round 4
 *   AAD     kind (1 database, 2 WAL) | le64 page number, or offset in the WAL | round le32
 *
 * The round of a page is 0; that of a frame counts syncs (see vfs_wal.c).
 *
 * Every sealing takes 12 fresh bytes of the kernel's generator.  A pool of
 * them would be faster by a third of a microsecond and would repeat when the
 * machine is cloned or forked while it is half used.  Random 96-bit nonces
 * under one key bear 2^32 pages: 16 TiB of writes to one index.
 *
 * Not promised: freshness.  An older page of the same number opens; the state
 * directory is trusted not to be rolled back page by page.
 */
#include "vfs.h"
#include <ecluse/base.h>
#include <ecluse/error.h>

#define AAD_BYTES 13u
_Static_assert(PAGE_RESERVED == AEAD_NONCE + AEAD_TAG + 4, "nonce, tag, round");

static bool all_zero(const uint8_t *p, size_t len)
{
    uint8_t any = 0;

    while (len--)
        any |= *p++;
    return any == 0;
}

static void make_aad(uint8_t aad[AAD_BYTES], enum page_kind kind, uint64_t where, uint32_t round)
{
    aad[0] = (uint8_t)kind;
    put_le64(aad + 1, where);
    put_le32(aad + 9, round);
}

uint32_t page_round(const uint8_t *sealed, size_t len) { return get_le32(sealed + len - 4); }

int page_seal(struct aead *aead, enum page_kind kind, uint64_t where, uint32_t round, const uint8_t *plain,
              size_t len, uint8_t *out)
{
    size_t text = len - PAGE_RESERVED;
    uint8_t aad[AAD_BYTES], *nonce = out + text, *tag = nonce + AEAD_NONCE;

    if (!all_zero(plain + text, PAGE_RESERVED))
        return E_FORMAT;
    make_aad(aad, kind, where, round);
    crypto_random(nonce, AEAD_NONCE);
    put_le32(tag + AEAD_TAG, round);
    return aead_seal(aead, nonce, aad, sizeof aad, plain, text, out, tag);
}

int page_open(struct aead *aead, enum page_kind kind, uint64_t where, const uint8_t *sealed, size_t len,
              uint8_t *out)
{
    size_t text = len - PAGE_RESERVED;
    const uint8_t *nonce = sealed + text, *tag = nonce + AEAD_NONCE;
    uint8_t aad[AAD_BYTES];

    make_aad(aad, kind, where, page_round(sealed, len));
    int rc = aead_open(aead, nonce, aad, sizeof aad, sealed, text, tag, out);
    if (rc)
        memset(out, 0, text);
    memset(out + text, 0, PAGE_RESERVED);
    return rc;
}
