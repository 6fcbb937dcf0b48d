/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse passwd: another way into the same vault.
 *
 * Only the keyring on this device changes, by one rename; the store knows of
 * no passphrase.  The vault must not be mounted here.  A passphrase replaces
 * the one that was given, which it is stretched no less than, or the only one there
 * is; a key file is added to what is there.  “ecluse key” does the rest.
 */
#include "policy.h"
#include <ecluse/audit.h>
#include <stdio.h>
#include <stdlib.h>

struct passwd {
    struct sources old;
    struct sources new;
    char *recovery_file, *add_keyfile, *state;
    bool recovery;
    unsigned slot;                   /* 0: not said */
    char state_dir[PATH_MAX], store[PATH_MAX], blamed[PATH_MAX];
};

static bool is_stdin(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int check(const struct passwd *p, const char *command)
{
    int ways = !!p->old.passfile + !!p->old.extpass + !!p->old.keyfile + !!p->recovery_file + p->recovery;

    if (ways > 1)
        return usage_error(command, _("only one way to open the vault can be given"));
    if (p->slot && p->add_keyfile && !p->new.passfile)
        return usage_error(command, _("the option “%s” goes with “%s”"), "--slot", "--new-passfile");
    if (is_stdin(p->old.passfile) + is_stdin(p->old.keyfile) + is_stdin(p->recovery_file) +
            is_stdin(p->new.passfile) + is_stdin(p->add_keyfile) > 1)
        return usage_error(command, _("standard input can give only one secret"));
    return EXIT_DONE;
}

static int parse(struct passwd *p, int argc, char **argv)
{
    static const struct option options[] = {
        { "passfile", required_argument, NULL, OPTION_PASSFILE },
        { "extpass", required_argument, NULL, OPTION_EXTPASS },
        { "keyfile", required_argument, NULL, OPTION_KEYFILE },
        { "recovery", no_argument, NULL, OPTION_RECOVERY },
        { "recovery-file", required_argument, NULL, OPTION_RECOVERY_FILE },
        { "new-passfile", required_argument, NULL, OPTION_NEW_PASSFILE },
        { "add-keyfile", required_argument, NULL, OPTION_ADD_KEYFILE },
        { "slot", required_argument, NULL, OPTION_SLOT },
        { "state", required_argument, NULL, OPTION_STATE },
        { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (found) {
        case OPTION_PASSFILE: rc = option_set(&p->old.passfile, optarg); break;
        case OPTION_EXTPASS: rc = option_set(&p->old.extpass, optarg); break;
        case OPTION_KEYFILE: rc = option_set(&p->old.keyfile, optarg); break;
        case OPTION_RECOVERY: p->recovery = true; break;
        case OPTION_RECOVERY_FILE: rc = option_set(&p->recovery_file, optarg); break;
        case OPTION_NEW_PASSFILE: rc = option_set(&p->new.passfile, optarg); break;
        case OPTION_ADD_KEYFILE: rc = option_set(&p->add_keyfile, optarg); break;
        case OPTION_STATE: rc = option_set(&p->state, optarg); break;
        case OPTION_SLOT: rc = slot_option(&p->slot, argv[0], optarg); break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind != 1)
        rc = usage_error(argv[0], _("one store is expected"));
    return rc ? rc : check(p, argv[0]);
}

static int unlock(struct passwd *p, struct vault_ref *v)
{
    struct secret s;
    int rc;

    if (p->recovery || p->recovery_file)
        rc = secret_recovery(p->recovery_file, &s, p->blamed);
    else
        rc = secret_get(&p->old, &v->vault, _("Present passphrase: "), false, &s, p->blamed);
    if (rc)
        return rc;
    rc = vault_unlock(v, &s, WAY_TENDS, p->store, p->blamed);
    secret_drop(&s);
    return rc;
}

static int add_keyfile(struct passwd *p, struct vault_ref *v)
{
    struct secret s;

    int rc = secret_keyfile(p->add_keyfile, &s, p->blamed);
    if (!rc)
        rc = way_add(v->state.keys, 0, &s, secret_cost(&s, KDF_FLOOR), v->state.dir, p->blamed);
    secret_drop(&s);
    return rc;
}

/* The slot that is replaced: that of --slot, or that of the passphrase that was given, or
 * the only passphrase's; zeros when there is none. EXIT_USAGE when that leaves a choice. */
static int choose(const struct passwd *p, struct keyring *k, struct slot_info *out)
{
    struct slot_info s;
    int passphrases = 0;

    *out = (struct slot_info){ 0 };
    for (size_t i = 0; keyring_slot(k, i, &s) == 0; i++) {
        if (s.kind != SLOT_PASSPHRASE || (p->slot && s.number != p->slot))
            continue;
        *out = s;
        passphrases++;
        if (s.number == p->slot || s.number == keyring_opened_by(k))
            return EXIT_DONE;
    }
    if (p->slot)
        return usage_error("passwd", _("slot %u holds no passphrase"), p->slot);
    if (passphrases > 1)
        return usage_error("passwd", _("there are several passphrases; say with --slot which one is replaced"));
    return EXIT_DONE;
}

static int set_passphrase(struct passwd *p, struct vault_ref *v, const struct slot_info *old)
{
    /* A cost that this machine has just paid, at least; another one it may not be able to. */
    bool paid = old->number && old->number == keyring_opened_by(v->state.keys);
    struct secret s;

    int rc = secret_get(&p->new, NULL, _("New passphrase: "), true, &s, p->blamed);
    if (!rc)
        rc = way_add(v->state.keys, old->number, &s, secret_cost(&s, paid ? old->cost : KDF_FLOOR), v->state.dir,
                     p->blamed);
    secret_drop(&s);
    return rc;
}

/* What gives secrets, and the ways in that are made. */
static int check_policy(const struct passwd *p)
{
    struct sources s = p->old;

    s.passfile = s.passfile ? s.passfile : p->new.passfile;
    s.keyfile = s.keyfile ? s.keyfile : p->add_keyfile;
    return policy_allows(&(struct policy_use){
        .command = "passwd", .store = p->store, .state = p->state, .state_dir = p->state ? p->state_dir : NULL,
        .sources = &s,
        .slots = (p->add_keyfile ? 1u << SLOT_KEYFILE : 0) |
                 (p->new.passfile || !p->add_keyfile ? 1u << SLOT_PASSPHRASE : 0),
    });
}

/* An exit code; what is wrong was said. */
static int change(struct passwd *p, struct vault_ref *v)
{
    bool passphrase = p->new.passfile || !p->add_keyfile;
    struct slot_info old = { 0 };

    int rc = unlock(p, v);
    if (!rc && passphrase && choose(p, v->state.keys, &old))
        return EXIT_USAGE;
    if (!rc && p->add_keyfile)
        rc = add_keyfile(p, v);
    if (!rc && passphrase)
        rc = set_passphrase(p, v, &old);
    if (rc)
        return complain(rc, p->blamed);
    rc = keyring_save(v->state.keys, v->state.dir, "keyring");
    if (p->add_keyfile)
        audit_append(v->state.dir, v->state.keys, AUDIT_KEY_ADDED, rc,
                     AUDIT_FIELDS(AUDIT_WORD("kind", audit_slot(SLOT_KEYFILE))));
    if (passphrase)
        audit_append(v->state.dir, v->state.keys, AUDIT_PASSPHRASE_CHANGED, rc, NULL);
    return complain(rc, v->state.path);
}

static int run(struct passwd *p, int argc, char **argv)
{
    struct vault_ref v;

    int rc = parse(p, argc, argv);
    if (rc)
        return rc;
    const char *store = argv[optind];
    if (!realpath(store, p->store))
        return complain(errno == ENOENT ? E_STORE_MISSING : -errno, store);
    if (p->state) {
        rc = path_real(p->state, p->state_dir);
        if (rc)
            return complain(rc, p->state);
    }
    rc = check_policy(p);
    if (rc)
        return rc;
    rc = complain(vault_open(&v, p->store, p->state ? p->state_dir : NULL, p->blamed), p->blamed);
    if (!rc)
        rc = change(p, &v);
    vault_close(&v);
    if (rc)
        return rc;
    if (p->add_keyfile)
        printf(_("The key file opens the vault from now on.\n"));
    if (p->new.passfile || !p->add_keyfile)
        printf(_("The passphrase has been changed on this device.\n"));
    return EXIT_DONE;
}

int command_passwd(int argc, char **argv)
{
    struct passwd p = { 0 };

    int rc = run(&p, argc, argv);
    sources_free(&p.old);
    free(p.new.passfile);
    free(p.recovery_file);
    free(p.add_keyfile);
    free(p.state);
    return rc;
}
