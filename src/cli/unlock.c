/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A store and the keys to read it, for commands that change nothing.
 *
 * The recovery key suffices, and then nothing local is looked at.  Otherwise the
 * keyring of this device's state is opened with its passphrase or key file.  A state
 * that a daemon has locked, or that is damaged, still gives its keyring, which is
 * only ever replaced whole.
 */
#include "checkup.h"
#include <ecluse/log.h>
#include <ecluse/rebuild.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool key_option(struct key_options *k, int found, const char *value, int *rc)
{
    switch (found) {
    case OPTION_PASSFILE: *rc = option_set(&k->sources.passfile, value); return true;
    case OPTION_EXTPASS: *rc = option_set(&k->sources.extpass, value); return true;
    case OPTION_KEYFILE: *rc = option_set(&k->sources.keyfile, value); return true;
    case OPTION_STATE: *rc = option_set(&k->state, value); return true;
    case OPTION_RECOVERY_FILE: *rc = option_set(&k->recovery_file, value); return true;
    case OPTION_RECOVERY: k->recovery = true; return true;
    default: return false;
    }
}

bool key_options_any(const struct key_options *k)
{
    return k->sources.passfile || k->sources.extpass || k->sources.keyfile || k->recovery_file || k->recovery;
}

int key_options_check(const struct key_options *k, const char *command)
{
    if (!!k->sources.passfile + !!k->sources.extpass + !!k->sources.keyfile + !!k->recovery_file + k->recovery > 1)
        return usage_error(command, _("only one way to open the vault can be given"));
    if (!k->state)
        return EXIT_DONE;
    return policy_allows(&(struct policy_use){ .command = command, .state = k->state });
}

void key_options_free(struct key_options *k)
{
    sources_free(&k->sources);
    free(k->recovery_file);
    free(k->state);
}

static int blamed_path(struct unlocked *u, const char *path, int error)
{
    if (error)
        snprintf(u->blamed, sizeof u->blamed, "%s", path);
    return error;
}

int unlocked_store(struct unlocked *u, const char *store)
{
    char id[ID_TEXT];

    if (!realpath(store, u->path))
        return blamed_path(u, store, errno == ENOENT ? E_STORE_MISSING : errno == ENOTDIR ? E_NOT_VAULT : -errno);
    int rc = store_open(&u->store, u->path, &u->header, &u->header_len);
    if (!rc && !store_is_at(u->store, u->path))
        rc = -ESTALE;
    if (!rc)
        rc = vault_header_parse(u->header, u->header_len, &u->vault);
    if (!rc) {
        id_format(&u->vault.vault, id);
        log_vault(id);
    }
    if (rc != E_NOT_ARRIVED)
        return blamed_path(u, store, rc);
    snprintf(u->blamed, sizeof u->blamed, "%s/vault-*.ecl", store);
    return rc;
}

int unlocked_check(const struct unlocked *u, const struct keyring *k)
{
    const uint8_t *epoch0 = keyring_epoch_key(k, 0);

    if (!epoch0)
        return E_KEYRING;
    if (u->header_len != VAULT_HEADER_SIZE || keyring_suite(k) != u->vault.suite)
        return E_STORE_HEADER;
    return vault_header_check(u->header, epoch0);
}

void unlocked_note(const struct unlocked *u, const struct key_options *k, enum audit_event event, int result,
                   const struct audit_field *fields)
{
    char base[PATH_MAX];

    if (u->part == STATE_OPEN)
        audit_append(u->state.dir, u->keys == u->state.keys ? u->keys : NULL, event, result, fields);
    else if (!k->state || path_real(k->state, base) == 0)
        audit_append_at(k->state ? base : NULL, &u->vault.vault, event, result, fields);
}

int unlocked_allowed(struct unlocked *u, const struct key_options *k, enum way_use use)
{
    const struct sources *s = &k->sources;
    bool recovery = k->recovery || k->recovery_file;
    char base[PATH_MAX];

    return policy_refuses(&(struct policy_use){
        .store = u->path, .anywhere = use != WAY_OPENS, .state = k->state, .sources = s,
        .state_dir = k->state && path_real(k->state, base) == 0 ? base : NULL,
        .slots = use == WAY_TENDS || recovery ? 0 : s->keyfile ? 1u << SLOT_KEYFILE : POLICY_TEXT,
    }, u->blamed);
}

/* --- the recovery key ------------------------------------------------------------------ */

static int with_recovery(struct unlocked *u, const struct key_options *k)
{
    struct secret s = { 0 };

    int rc = secret_recovery(k->recovery_file, &s, u->blamed);
    if (rc)
        return rc;
    rc = way_recover(&u->own, &u->vault.vault, u->vault.suite, &s, u->blamed);
    secret_drop(&s);
    if (rc)
        return rc;
    if (unlocked_check(u, u->own))
        rc = E_PASSPHRASE;       /* another vault's key, or an altered header: it cannot be told */
    u->keys = u->own;
    unlocked_note(u, k, AUDIT_UNLOCKED, rc, AUDIT_FIELDS(AUDIT_WORD("with", audit_slot(SLOT_RECOVERY))));
    return blamed_path(u, k->recovery_file ? k->recovery_file : u->path, rc);
}

/* --- the state of this device ------------------------------------------------------------- */

/* The keyring alone, of a state that cannot be had as a whole. */
static int load_keyring(struct unlocked *u)
{
    int dir = open(u->state_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? E_STATE_MISSING : -errno;
    int rc = keyring_load(&u->own, dir, "keyring");
    close(dir);
    if (rc == -ENOENT)
        rc = E_KEYRING;
    if (!rc && !id_equal(keyring_vault(u->own), &u->vault.vault))
        rc = E_STATE_FOREIGN;
    return rc;
}

int unlocked_state(struct unlocked *u, const struct key_options *k)
{
    int rc = state_path(u->state_path, k->state, &u->vault.vault);
    if (!rc)
        rc = state_open(&u->state, u->state_path, &u->vault.vault);
    u->part = rc == 0 ? STATE_OPEN : rc == E_STATE_IN_USE ? STATE_BUSY : rc == E_STATE_DAMAGED ? STATE_BROKEN : STATE_UNUSED;
    if (u->part == STATE_BUSY || u->part == STATE_BROKEN)
        rc = load_keyring(u);
    return blamed_path(u, u->state_path, rc);
}

struct keyring *unlocked_keyring(const struct unlocked *u)
{
    return u->part == STATE_OPEN ? u->state.keys : u->own;
}

int unlocked_open(struct unlocked *u, const struct secret *s, unsigned slot, enum way_use use)
{
    struct keyring *keys = unlocked_keyring(u);
    /* A daemon's, or a damaged one, is not open; its log can be written all the same. */
    int dir = u->part == STATE_OPEN ? u->state.dir : open(u->state_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    int rc = way_open(&(struct way){ .keys = keys, .secret = s, .slot = slot, .use = use, .dir = dir, .blamed = u->blamed });
    if (u->part != STATE_OPEN && dir >= 0)
        close(dir);
    u->keys = rc ? NULL : keys;
    return rc;
}

static int with_state(struct unlocked *u, const struct key_options *k, const char *shown, enum way_use use)
{
    struct secret s = { 0 };

    int rc = unlocked_state(u, k);
    if (rc)
        return rc;
    rc = secret_of_vault(&k->sources, &u->vault.vault, shown, &s, u->blamed);
    if (rc)
        return rc;
    rc = unlocked_open(u, &s, 0, use);
    secret_drop(&s);
    if (rc == E_POLICY || rc == E_POLICY_BROKEN)
        return rc;
    if (rc)
        return blamed_path(u, rc == E_PASSPHRASE ? shown : u->state_path, rc);
    return blamed_path(u, shown, unlocked_check(u, u->keys));
}

int unlocked_keys(struct unlocked *u, const struct key_options *k, const char *shown, enum way_use use)
{
    int rc = unlocked_allowed(u, k, use);
    return rc ? rc : k->recovery || k->recovery_file ? with_recovery(u, k) : with_state(u, k, shown, use);
}

void unlocked_close(struct unlocked *u)
{
    keyring_free(u->own);
    if (u->part == STATE_OPEN)
        state_close(&u->state);
    store_close(u->store);
    free(u->header);
    *u = (struct unlocked){ 0 };
}
