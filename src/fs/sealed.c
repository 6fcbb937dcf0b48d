/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Files that are written and read as one sealed record.
 */
#include "sealed.h"
#include <ecluse/crypto.h>
#include <ecluse/error.h>
#include <errno.h>
#include <stdlib.h>

static int derive(const struct sealed_file *f, const struct keyring *keys, uint8_t key[KEY_SIZE])
{
    return crypto_hkdf(key, KEY_SIZE, keyring_local_key(keys), f->label, NULL, 0);
}

int sealed_write(const struct sealed_file *f, int dir, const struct keyring *keys, const struct buf *plain)
{
    const struct id128 *vault = keyring_vault(keys);
    uint8_t key[KEY_SIZE], *sealed;

    if (plain->failed)
        return -ENOMEM;
    if (plain->len > f->limit - RECORD_OVERHEAD)
        return -EFBIG;
    sealed = malloc(plain->len + RECORD_OVERHEAD);
    int rc = sealed ? derive(f, keys, key) : -ENOMEM;
    if (!rc)
        rc = record_seal(key, vault->b, sizeof vault->b, plain->data, plain->len, sealed);
    if (!rc)
        rc = io_replace_file(dir, f->name, sealed, plain->len + RECORD_OVERHEAD, f->point);
    secret_wipe(key, sizeof key);
    free(sealed);
    return rc;
}

int sealed_read(const struct sealed_file *f, int dir, const struct keyring *keys, uint8_t **plain, size_t *len)
{
    const struct id128 *vault = keyring_vault(keys);
    uint8_t key[KEY_SIZE], *bytes = NULL;

    *plain = NULL;
    int rc = io_read_file(dir, f->name, f->limit, &bytes, len);
    if (!rc && !(*plain = malloc(*len + 1)))
        rc = -ENOMEM;
    if (!rc)
        rc = derive(f, keys, key);
    if (!rc)
        rc = record_open(key, vault->b, sizeof vault->b, bytes, *len, *plain);
    secret_wipe(key, sizeof key);
    free(bytes);
    if (rc) {
        free(*plain);
        *plain = NULL;
        return rc;
    }
    *len -= RECORD_OVERHEAD;
    return 0;
}
