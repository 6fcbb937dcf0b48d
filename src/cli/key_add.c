/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse key add: one more way into the vault on this device.
 *
 * The keyring is opened with a way that is there; then the new secret is asked for, read,
 * or made and put where it is to be kept; and only then the keyring is replaced, by
 * one rename.  Whatever goes wrong or is interrupted before that leaves it as it was.
 */
#include "key.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_stdin(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* Which of a pair that belongs together is missing? */
static int check_pairs(const struct key_work *w)
{
    if (w->generate && !w->fresh.keyfile)
        return usage_error("key", _("the option “%s” goes with “%s”"), "--generate", "--new-keyfile");
    if (w->generate && is_stdin(w->fresh.keyfile))
        return usage_error("key", _("the new key needs a file of its own"));
    if (w->store_with && !w->fresh.extpass)
        return usage_error("key", _("the option “%s” goes with “%s”"), "--store-with", "--new-extpass");
    if (w->with_key && !w->systemd)
        return usage_error("key", _("the option “%s” goes with “%s”"), "--with-key", "--systemd");
    if (w->with_key && !keep_knows_key(w->with_key))
        return usage_error("key", _("unknown key “%s” (host, tpm2, host+tpm2 or auto)"), w->with_key);
    return EXIT_DONE;
}

int key_add_check(const struct key_work *w)
{
    const struct sources *old = &w->open.sources, *new = &w->fresh;

    if (!!new->passfile + !!new->extpass + !!new->keyfile + !!w->systemd + (w->recovery || w->recovery_file) > 1)
        return usage_error("key", _("only one slot can be added at a time"));
    if (w->recovery && w->recovery_file)
        return usage_error("key", _("only one of “%s” and “%s” can be given"), "--new-recovery", "--new-recovery-file");
    if (is_stdin(old->passfile) + is_stdin(old->keyfile) + is_stdin(w->open.recovery_file) + is_stdin(new->passfile) +
            is_stdin(new->keyfile) + is_stdin(w->recovery_file) > 1)
        return usage_error("key", _("standard input can give only one secret"));
    if (w->label && (strlen(w->label) >= SLOT_LABEL || !spell_is_plain(w->label)))
        return usage_error("key", _("a label has at most %u bytes, without control characters"), SLOT_LABEL - 1);
    return check_pairs(w);
}

/* The file that is to be made, or NULL. */
static const char *new_file(const struct key_work *w)
{
    return w->generate ? w->fresh.keyfile : w->systemd;
}

/* Before anything is asked or made. */
static int check_file(const struct key_work *w)
{
    const char *path = new_file(w);
    struct stat st;

    if (!path)
        return EXIT_DONE;
    if (path_within(path, w->vault.path) || path_within(path, w->vault.state_path))
        return complain(E_NESTED, path);
    return lstat(path, &st) == 0 ? complain(-EEXIST, path) : EXIT_DONE;
}

static int get_recovery(struct key_work *w, struct secret *s)
{
    if (w->recovery && w->given.kind == SLOT_RECOVERY)
        return secret_copy(&w->given, s);
    return secret_recovery(w->recovery_file, s, w->vault.blamed);
}

static int get_new(struct key_work *w, struct secret *s)
{
    char *blamed = w->vault.blamed;

    if (w->generate)
        return keep_in_file(w->fresh.keyfile, s, blamed);
    if (w->store_with)
        return keep_with_program(w->store_with, w->fresh.extpass, s, blamed);
    if (w->systemd)
        return keep_with_systemd(w->systemd, w->with_key ? w->with_key : "auto", &w->vault.vault.vault, s, blamed);
    if (w->recovery || w->recovery_file)
        return get_recovery(w, s);
    return secret_get(&w->fresh, NULL, _("New passphrase: "), true, s, blamed);
}

/* A second slot of the recovery key would be the same again: it is written anew. */
static unsigned place_for(const struct keyring *k, enum slot_kind kind)
{
    struct slot_info s;

    for (size_t i = 0; keyring_slot(k, i, &s) == 0; i++)
        if (kind == SLOT_RECOVERY && s.kind == SLOT_RECOVERY)
            return s.number;
    return 0;
}

/* In memory. */
static int set_slot(struct key_work *w, const struct secret *s, struct slot_info *made)
{
    struct keyring *k = w->vault.state.keys;
    unsigned number = place_for(k, s->kind);

    int rc = way_add(k, number, s, secret_cost(s, KDF_FLOOR), w->vault.state.dir, w->vault.blamed);
    if (rc)
        return rc == E_RECOVERY_KEY ? E_PASSPHRASE : rc;    /* well typed, and another vault's */
    if (!number)
        keyring_slot(k, keyring_slots(k) - 1, made);
    else
        key_find(w, number, made);
    return w->label ? keyring_set_label(k, made->number, w->label) : 0;
}

static int add(struct key_work *w, struct slot_info *made)
{
    struct secret s = { 0 };

    int rc = get_new(w, &s);
    if (rc)
        return complain(rc, w->vault.blamed);
    rc = set_slot(w, &s, made);
    secret_drop(&s);
    if (rc && new_file(w))
        unlink(new_file(w));
    return complain(rc, w->vault.blamed);
}

static void explain(const struct key_work *w, const struct slot_info *made)
{
    char id[ID_TEXT], path[PATH_MAX];

    printf(_("Slot %u (%s) opens the vault from now on.\n"), made->number, words_for_kind(made->kind));
    if (w->generate)
        printf(_("The new key is in %s; there is no other copy.\n"), spelled(w->fresh.keyfile));
    if (!w->systemd)
        return;
    id_format(&w->vault.vault.vault, id);
    if (path_real(w->systemd, path))
        snprintf(path, sizeof path, "%s", w->systemd);
    printf(_("The unit that mounts the vault finds the credential with these lines:\n"));
    printf("\n  [Service]\n  LoadCredentialEncrypted=ecluse.%s:%s\n", id, spelled(path));
}

static enum slot_kind kind_wanted(const struct key_work *w)
{
    return w->fresh.keyfile ? SLOT_KEYFILE : w->store_with ? SLOT_COMMAND : w->systemd ? SLOT_CREDENTIAL
           : w->recovery || w->recovery_file ? SLOT_RECOVERY : SLOT_PASSPHRASE;
}

int key_add(struct key_work *w)
{
    struct slot_info made = { 0 };

    int rc = key_may_make(w, kind_wanted(w));
    if (!rc)
        rc = check_file(w);
    if (!rc)
        rc = key_unlock(w);
    if (rc)
        return rc;
    snprintf(w->vault.blamed, sizeof w->vault.blamed, "%s", w->shown);
    if (keyring_slots(w->vault.state.keys) == SLOT_LIMIT && !w->recovery && !w->recovery_file)
        return complain(E_SLOTS_FULL, w->shown);
    rc = add(w, &made);
    if (rc)
        return rc;
    rc = key_save(w, AUDIT_KEY_ADDED, &made);
    if (!rc)
        explain(w, &made);
    else if (new_file(w))
        fprintf(stderr, _("%s was made; “ecluse key test” tells whether it opens the vault.\n"), spelled(new_file(w)));
    return rc;
}
