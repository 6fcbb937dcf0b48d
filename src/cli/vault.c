/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A store's header and this device's state, for commands that work on the
 * keyring while the vault is not mounted (the state's lock sees to that).
 */
#include "policy.h"
#include <ecluse/log.h>
#include <stdio.h>
#include <stdlib.h>

static int blamed_path(char *blamed, const char *path, int error)
{
    if (error)
        snprintf(blamed, PATH_MAX, "%s", path);
    return error;
}

int vault_open(struct vault_ref *v, const char *store, const char *state_dir, char *blamed)
{
    struct store *opened = NULL;
    struct vault_header h;
    char path[PATH_MAX], id[ID_TEXT];

    *v = (struct vault_ref){ 0 };
    int rc = store_open(&opened, store, &v->header, &v->header_len);
    if (rc == -ENOENT)
        rc = E_STORE_MISSING;
    if (!rc) {
        store_close(opened);
        rc = vault_header_parse(v->header, v->header_len, &h);
    }
    if (rc)
        return blamed_path(blamed, store, rc);
    v->vault = h.vault;
    id_format(&v->vault, id);
    log_vault(id);
    rc = state_path(path, state_dir, &v->vault);
    if (rc)
        return blamed_path(blamed, state_dir ? state_dir : "", rc);
    rc = state_open(&v->state, path, &v->vault);
    v->open = rc == 0;
    if (rc && *v->state.damaged)
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", v->state.damaged);
    return blamed_path(blamed, path, rc);
}

static int check_header(const struct vault_ref *v)
{
    const uint8_t *epoch0 = keyring_epoch_key(v->state.keys, 0);
    if (!epoch0)
        return E_KEYRING;
    return v->header_len == VAULT_HEADER_SIZE ? vault_header_check(v->header, epoch0) : E_STORE_HEADER;
}

int vault_unlock(struct vault_ref *v, const struct secret *s, enum way_use use, const char *store, char *blamed)
{
    int rc = way_open(&(struct way){
        .keys = v->state.keys, .secret = s, .use = use, .dir = v->state.dir, .blamed = blamed,
    });
    if (rc == E_POLICY || rc == E_POLICY_BROKEN)
        return rc;
    if (!rc)
        rc = check_header(v);
    return blamed_path(blamed, rc == E_KEYRING ? v->state.path : store, rc);
}

void vault_close(struct vault_ref *v)
{
    if (v->open)
        state_close(&v->state);
    free(v->header);
    *v = (struct vault_ref){ 0 };
}
