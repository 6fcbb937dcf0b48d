/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse init: a new vault, and the recovery key in its owner's hands.
 *
 * The key exists nowhere but on the sheet, so the sheet's place is secured
 * before anything is made: a new file of mode 0600 whose space is reserved (its
 * name comes with its content), or the terminal.  The sheet is written before the store becomes a vault; with
 * --confirm one group of it is asked for as well, and whoever cannot read it
 * there has no vault that only the lost sheet could have saved.
 */
#include "policy.h"
#include <ecluse/io.h>
#include <ecluse/synced.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHEET_ROOM 49152
#define CONFIRM_TRIES 3

struct init {
    struct sources sources;
    char *keyfile, *state, *sheet_path, *confirm_command;
    bool confirm;
    char state_dir[PATH_MAX], store[PATH_MAX];
    enum suite suite;
    struct output sheet;             /* without a path: the terminal */
    bool saved;                      /* it is there */
    struct secret passphrase, key;
    char blamed[PATH_MAX];
};

static int parse(struct init *in, int argc, char **argv)
{
    static const struct option options[] = {
        { "passfile", required_argument, NULL, OPTION_PASSFILE },
        { "extpass", required_argument, NULL, OPTION_EXTPASS },
        { "keyfile", required_argument, NULL, OPTION_KEYFILE },
        { "recovery-out", required_argument, NULL, OPTION_RECOVERY_OUT },
        { "confirm", optional_argument, NULL, OPTION_CONFIRM },
        { "suite", required_argument, NULL, OPTION_SUITE },
        { "state", required_argument, NULL, OPTION_STATE },
        { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (found) {
        case OPTION_PASSFILE: rc = option_set(&in->sources.passfile, optarg); break;
        case OPTION_EXTPASS: rc = option_set(&in->sources.extpass, optarg); break;
        case OPTION_KEYFILE: rc = option_set(&in->keyfile, optarg); break;
        case OPTION_RECOVERY_OUT: rc = option_set(&in->sheet_path, optarg); break;
        case OPTION_STATE: rc = option_set(&in->state, optarg); break;
        case OPTION_CONFIRM:
            in->confirm = true;
            if (optarg)
                rc = option_set(&in->confirm_command, optarg);
            break;
        case OPTION_SUITE:
            if (suite_parse(optarg, &in->suite))
                rc = usage_error(argv[0], _("unknown suite “%s” (aes-256-gcm or chacha20-poly1305)"), optarg);
            break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind != 1)
        rc = usage_error(argv[0], _("one store is expected"));
    return rc ? rc : sources_check(&in->sources, argv[0]);
}

/* --- checks: nothing is made, nothing is asked ------------------------------------------ */

/* The vault has no identifier yet: any will do. */
static int check_synced(const struct init *in)
{
    const struct id128 none = { { 0 } };
    char path[PATH_MAX] = "", root[PATH_MAX];

    int rc = state_path(path, in->state ? in->state_dir : NULL, &none);
    if (!rc && synced_by(path, root)) {
        *strrchr(path, '/') = '\0';
        rc = E_STATE_SYNCED;
    }
    return complain(rc, path);
}

static int check_paths(struct init *in, const char *store)
{
    struct stat st;

    int rc = path_real(store, in->store);
    if (rc)
        return complain(rc, store);
    if (in->state) {
        rc = path_real(in->state, in->state_dir);
        if (rc)
            return complain(rc, in->state);
    }
    if (in->state && (path_within(in->state_dir, in->store) || path_within(in->store, in->state_dir)))
        return complain(E_NESTED, in->state_dir);
    rc = check_synced(in);
    if (rc)
        return rc;
    if (in->sheet_path && path_within(in->sheet_path, in->store))
        return complain(E_NESTED, in->sheet_path);
    if (in->sheet_path && lstat(in->sheet_path, &st) == 0)
        return complain(-EEXIST, in->sheet_path);
    if (!in->sheet_path && !terminal_here())
        return complain(E_NO_TERMINAL, "--recovery-out");
    if (in->confirm && !in->confirm_command && !terminal_here())
        return complain(E_NO_TERMINAL, "--confirm");
    return EXIT_DONE;
}

/* Nothing was asked for, and the policy does not allow what would be: the recovery key's slot will do. */
static bool only_recovery(const struct init *in)
{
    return !in->keyfile && !in->sources.passfile && !in->sources.extpass && !policy_permits(SLOT_PASSPHRASE);
}

static int check_policy(const struct init *in)
{
    struct sources s = in->sources;
    bool passphrase = !in->keyfile || s.passfile || s.extpass;

    s.keyfile = in->keyfile;
    passphrase &= !only_recovery(in);
    return policy_allows(&(struct policy_use){
        .command = "init", .store = in->store, .state = in->state, .sources = &s,
        .slots = (passphrase ? 1u << SLOT_PASSPHRASE : 0) | (in->keyfile ? 1u << SLOT_KEYFILE : 0),
    });
}

static void warn_of_place(const struct init *in)
{
    char path[PATH_MAX], folder[PATH_MAX];

    if (in->sheet_path && path_real(in->sheet_path, path) == 0 && synced_by(path, folder))
        fprintf(stderr, _("ecluse: warning: %s seems to be synced: the recovery key must not stay there\n"), spelled(folder));
}

static int get_secrets(struct init *in)
{
    const struct sources *s = &in->sources;
    int rc = 0;

    if (in->keyfile)
        rc = secret_keyfile(in->keyfile, &in->key, in->blamed);
    if (!rc && (!in->keyfile || s->passfile || s->extpass) && !only_recovery(in))
        rc = secret_get(s, NULL, _("New passphrase for this vault: "), true, &in->passphrase, in->blamed);
    return complain(rc, in->blamed);
}

/* --- the sheet ----------------------------------------------------------------------------- */

/* Its space is reserved: afterwards only a failing disk can keep it from being written. */
static int reserve_sheet(struct init *in)
{
    if (!in->sheet_path)
        return EXIT_DONE;
    int rc = output_begin(&in->sheet, in->sheet_path, 0600);
    if (!rc)
        rc = -posix_fallocate(in->sheet.fd, 0, SHEET_ROOM);
    if (rc == -EOPNOTSUPP || rc == -EINVAL)
        rc = 0;
    return complain(rc, in->sheet_path);
}

static int write_sheet(struct init *in, const char *text)
{
    size_t len = strlen(text);

    int rc = io_write_at(in->sheet.fd, text, len, 0, FAULT_init);
    if (!rc && ftruncate(in->sheet.fd, (off_t)len))
        rc = -errno;
    if (!rc)
        rc = output_commit(&in->sheet, FAULT_init);
    in->saved = !rc;
    return rc;
}

static bool is_page(const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    return dot && (strcasecmp(dot, ".html") == 0 || strcasecmp(dot, ".htm") == 0);
}

/* --- the confirmation ------------------------------------------------------------------------- */

static void do_nothing(int sig)
{
    (void)sig;
}

/* What was read off the sheet; -EINTR is an answer too. */
static ssize_t ask_group(const struct init *in, int group, uint8_t *out, size_t size)
{
    char text[PATH_MAX + 64];

    if (in->confirm_command) {
        snprintf(text, sizeof text, "%s %d", in->confirm_command, group);
        return external_run(text, NULL, out, size);
    }
    snprintf(text, sizeof text, _("To confirm that you have the key, type its group %d (of %d): "), group, RECOVERY_GROUPS);
    return terminal_ask(text, true, out, size);
}

static int pick_group(void)
{
    uint8_t byte;

    crypto_random(&byte, 1);
    return 1 + byte % RECOVERY_GROUPS;
}

static int confirm(const struct init *in, const uint8_t recovery[KEY_SIZE])
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    const struct sigaction quiet = { .sa_handler = do_nothing };
    struct sigaction old[ARRAY_SIZE(ends)];
    int group = pick_group(), rc = E_UNCONFIRMED;

    uint8_t *typed = secret_alloc(PASSPHRASE_MAX);
    if (!typed)
        return -ENOMEM;
    for (size_t k = 0; k < ARRAY_SIZE(ends); k++)   /* so that giving up undoes what was made */
        sigaction(ends[k], &quiet, &old[k]);
    for (int left = CONFIRM_TRIES; left > 0; left--) {
        ssize_t n = ask_group(in, group, typed, PASSPHRASE_MAX);
        if (n < 0)
            break;
        if (recovery_has_group(recovery, group, (const char *)typed, (size_t)n)) {
            rc = 0;
            break;
        }
        if (!in->confirm_command)   /* a program sees that it is asked again */
            fprintf(stderr, _("ecluse: that is not group %d of the key\n"), group);
    }
    for (size_t k = 0; k < ARRAY_SIZE(ends); k++)
        sigaction(ends[k], &old[k], NULL);
    secret_free(typed);
    return rc;
}

static int deliver_sheet(void *ctx, const uint8_t recovery[KEY_SIZE], const struct id128 *vault)
{
    struct init *in = ctx;
    char *text = is_page(in->sheet_path) ? sheet_html(recovery, vault, in->store)
                                         : sheet_text(recovery, vault, in->store);
    if (!text)
        return -ENOMEM;
    int rc = in->sheet_path ? write_sheet(in, text) : terminal_show(text);
    secret_free(text);
    if (rc)
        snprintf(in->blamed, sizeof in->blamed, "%s", in->sheet_path ? in->sheet_path : "");
    return rc || !in->confirm ? rc : confirm(in, recovery);
}

/* --- making ---------------------------------------------------------------------------------- */

static int make(struct init *in, uint8_t *recovery, struct id128 *vault)
{
    struct vault_options o = {
        .store_path = in->store, .state_dir = in->state ? in->state_dir : NULL,
        .suite = in->suite ? in->suite : suite_fastest(),
        .passphrase = in->passphrase.bytes, .passphrase_len = in->passphrase.len,
        .keyfile = in->key.bytes, .keyfile_len = in->key.len,
        .cost = secret_cost(&in->passphrase, KDF_FLOOR), .uid = getuid(), .gid = getgid(),
        .deliver = deliver_sheet, .ctx = in,
    };

    snprintf(in->blamed, sizeof in->blamed, "%s", in->store);
    int rc = vault_create(&o, recovery, vault);
    if (rc && in->saved)
        unlink(in->sheet_path);
    return complain(rc, in->blamed);
}

static int run(struct init *in, int argc, char **argv)
{
    struct id128 vault;
    char id[ID_TEXT];

    int rc = parse(in, argc, argv);
    if (!rc)
        rc = check_paths(in, argv[optind]);
    if (!rc)
        rc = check_policy(in);
    if (!rc)
        rc = get_secrets(in);
    if (!rc)
        rc = reserve_sheet(in);
    if (rc)
        return rc;
    warn_of_place(in);
    uint8_t *recovery = secret_alloc(KEY_SIZE);
    rc = recovery ? make(in, recovery, &vault) : complain(-ENOMEM, NULL);
    secret_free(recovery);
    if (rc)
        return rc;
    id_format(&vault, id);
    printf(_("Vault %s is ready in %s.\n"), id, spelled(in->store));
    if (in->sheet_path)
        printf(_("The recovery key is in %s: print it, keep it safe, then delete the file.\n"), spelled(in->sheet_path));
    if (only_recovery(in))
        rebuild_explain_keys(in->store, in->state ? in->state_dir : NULL);
    else
        printf(_("To work in it: ecluse mount %s FOLDER\n"), shell_word(in->store));
    return EXIT_DONE;
}

int command_init(int argc, char **argv)
{
    struct init in = { .sheet.fd = -1 };

    int rc = run(&in, argc, argv);
    secret_drop(&in.passphrase);
    secret_drop(&in.key);
    output_end(&in.sheet);
    sources_free(&in.sources);
    free(in.keyfile);
    free(in.state);
    free(in.sheet_path);
    free(in.confirm_command);
    return rc;
}
