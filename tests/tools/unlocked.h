/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/* A store, open, with the keyring of a state that a file with its passphrase unlocks. */
#ifndef ECLUSE_TOOLS_UNLOCKED_H
#define ECLUSE_TOOLS_UNLOCKED_H

#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/keys.h>
#include <ecluse/store.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int unlock_keyring(struct keyring *keys, const char *path)
{
    uint8_t *pass;
    size_t len;

    int rc = io_read_file(AT_FDCWD, path, 4096, &pass, &len);
    if (rc)
        return rc;
    if (len && pass[len - 1] == '\n')
        len--;
    rc = keyring_unlock(keys, SLOT_PASSPHRASE, pass, len);
    free(pass);
    return rc;
}

/* `argv` is the tool's: STORE, the directory with the keyring, PASSFILE. */
static int open_unlocked(char **argv, struct store **store, struct keyring **keys)
{
    uint8_t *header = NULL;
    size_t len;

    int rc = crypto_start();
    int dir = rc ? -1 : open(argv[2], O_RDONLY | O_DIRECTORY);
    if (!rc)
        rc = dir < 0 ? -errno : keyring_load(keys, dir, "keyring");
    if (!rc)
        rc = unlock_keyring(*keys, argv[3]);
    if (!rc)
        rc = store_open(store, argv[1], &header, &len);
    free(header);
    if (dir >= 0)
        close(dir);
    return rc;
}

#endif
