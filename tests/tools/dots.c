/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Lists the publications of a store, with the keys of a state.
 *
 *   dots STORE STATE PASSFILE
 *
 * STATE is the directory with the keyring.  One line for each: actor, number, object.
 * Every object must open under the id that its name says; exit 1 when one does not.
 */
#include "fs/seen.h"
#include "unlocked.h"
#include <inttypes.h>
#include <stdio.h>

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

    int rc = argc == 4 ? open_unlocked(argv, &fs.store, &state.keys) : -EINVAL;
    if (!rc) {
        fs.vault = *keyring_vault(state.keys);
        fs.suite = keyring_suite(state.keys);
        rc = store_list(fs.store, show, NULL, &fs);
    }
    if (rc)
        fprintf(stderr, "dots: %s\n", error_name(rc));
    store_close(fs.store);
    keyring_free(state.keys);
    return rc != 0;
}
