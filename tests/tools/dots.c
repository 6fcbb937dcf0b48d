/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Lists the publications of a store, with the keys of a state.
 *
 *   dots STORE STATE PASSFILE
 *
 * STATE is the directory with the keyring.  One line for each: actor, number, object.
 * Every object must open under the id that its name says; exit 1 when one does not.
 */
#include "fs/internal.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int unlock(struct keyring *keys, const char *path)
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

static int show(void *ctx, const struct id128 *id, uint64_t size)
{
    char text[ID_TEXT];
    struct dot dot;
    (void)size;

    int rc = unseen_dot(ctx, id, &dot);
    id_format(id, text);
    if (!rc)
        printf("%016" PRIx64 " %" PRIu64 " %s\n", dot.actor, dot.seq, text);
    else if (rc != -ENOENT)
        fprintf(stderr, "object %s: %s\n", text, error_name(rc));
    return rc == -ENOENT ? 0 : rc;
}

int main(int argc, char **argv)
{
    struct state state = { 0 };
    struct fs fs = { .state = &state };
    uint8_t *header = NULL;
    size_t len;

    int rc = argc == 4 ? crypto_start() : -EINVAL;
    int dir = rc ? -1 : open(argv[2], O_RDONLY | O_DIRECTORY);
    if (!rc)
        rc = dir < 0 ? -errno : keyring_load(&state.keys, dir, "keyring");
    if (!rc)
        rc = unlock(state.keys, argv[3]);
    if (!rc)
        rc = store_open(&fs.store, argv[1], &header, &len);
    if (!rc) {
        fs.vault = *keyring_vault(state.keys);
        fs.suite = keyring_suite(state.keys);
        rc = store_list(fs.store, show, NULL, &fs);
    }
    if (rc)
        fprintf(stderr, "dots: %s\n", error_name(rc));
    store_close(fs.store);
    keyring_free(state.keys);
    free(header);
    return rc != 0;
}
