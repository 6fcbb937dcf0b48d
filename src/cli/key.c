/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse key: the ways into a vault on this device.
 *
 *   list    says what they are; needs no secret
 *   add     one more (key_add.c)
 *   remove  one less, but never the last one
 *   test    does this secret open?
 *   tune    makes guessing a passphrase dearer, never cheaper
 *
 * Only the keyring of the local state is concerned; the store knows of no slot.  List and
 * test change nothing and work while the vault is mounted.  The others replace the keyring
 * by one rename, and need the state for themselves: the daemon that has it may replace the
 * keyring too.
 */
#include "key.h"
#include <stdlib.h>

enum { KEY_NEW_EXTPASS = 1024, KEY_NEW_KEYFILE, KEY_NEW_RECOVERY, KEY_NEW_RECOVERY_FILE, KEY_GENERATE, KEY_STORE_WITH,
       KEY_SYSTEMD, KEY_WITH_KEY, KEY_LABEL, KEY_MILLISECONDS };

#define MILLISECONDS_MAX 60000u

static const struct option list_options[] = {
    KEY_OPTIONS, { "json", no_argument, NULL, OPTION_JSON }, { NULL, 0, NULL, 0 },
};
static const struct option add_options[] = {
    KEY_OPTIONS, { "new-passfile", required_argument, NULL, OPTION_NEW_PASSFILE },
    { "new-extpass", required_argument, NULL, KEY_NEW_EXTPASS }, { "store-with", required_argument, NULL, KEY_STORE_WITH },
    { "new-keyfile", required_argument, NULL, KEY_NEW_KEYFILE }, { "generate", no_argument, NULL, KEY_GENERATE },
    { "new-recovery", no_argument, NULL, KEY_NEW_RECOVERY },
    { "new-recovery-file", required_argument, NULL, KEY_NEW_RECOVERY_FILE },
    { "systemd", required_argument, NULL, KEY_SYSTEMD }, { "with-key", required_argument, NULL, KEY_WITH_KEY },
    { "label", required_argument, NULL, KEY_LABEL }, { NULL, 0, NULL, 0 },
};
static const struct option slot_options[] = {
    KEY_OPTIONS, { "slot", required_argument, NULL, OPTION_SLOT }, { NULL, 0, NULL, 0 },
};
static const struct option tune_options[] = {
    KEY_OPTIONS, { "slot", required_argument, NULL, OPTION_SLOT },
    { "milliseconds", required_argument, NULL, KEY_MILLISECONDS }, { NULL, 0, NULL, 0 },
};

/* --- words ------------------------------------------------------------------------------ */

const char *words_for_kind(enum slot_kind kind)
{
    return audit_value_words(audit_slot(kind));
}

const char *words_for_cost(struct kdf_cost cost, char text[COST_WORDS])
{
    char memory[WORDS_MAX];

    words_for_power(cost.memory_kib, memory);
    /* TRANSLATORS: what a try of a passphrase costs: memory, and how often it is gone through */
    snprintf(text, COST_WORDS, _("%s, %u passes"), memory, cost.passes);
    return text;
}

/* --- the keyring ------------------------------------------------------------------------- */

bool key_find(const struct key_work *w, unsigned number, struct slot_info *out)
{
    for (size_t i = 0; keyring_slot(unlocked_keyring(&w->vault), i, out) == 0; i++)
        if (out->number == number)
            return true;
    return false;
}

static int get_secret(struct key_work *w)
{
    if (w->open.recovery || w->open.recovery_file)
        return secret_recovery(w->open.recovery_file, &w->given, w->vault.blamed);
    return secret_of_vault(&w->open.sources, &w->vault.vault.vault, w->shown, &w->given, w->vault.blamed);
}

/* With one slot only, unless `slot` is 0. */
static int unlock(struct key_work *w, unsigned slot, enum way_use use, uint64_t *took)
{
    struct timespec t0, t1;

    int rc = unlocked_allowed(&w->vault, &w->open, use);
    if (!rc)
        rc = get_secret(w);
    if (rc)
        return complain(rc, w->vault.blamed);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    rc = unlocked_open(&w->vault, &w->given, slot, use);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    if (took)
        *took = (uint64_t)((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000);
    if (rc == E_POLICY || rc == E_POLICY_BROKEN)
        return complain(rc, w->vault.blamed);
    if (rc)
        return complain(rc, rc == E_KEYRING ? w->vault.state_path : w->shown);
    return complain(unlocked_check(&w->vault, w->vault.keys), w->shown);
}

int key_unlock(struct key_work *w) { return unlock(w, 0, WAY_TENDS, NULL); }

int key_may_make(struct key_work *w, enum slot_kind kind)
{
    return complain(policy_allows_slot(kind, NULL, w->vault.state.dir, w->vault.blamed), w->vault.blamed);
}

int key_save(struct key_work *w, enum audit_event event, const struct slot_info *slot)
{
    const struct state *state = &w->vault.state;

    int rc = keyring_save(state->keys, state->dir, "keyring");
    audit_append(state->dir, state->keys, event, rc,
                 AUDIT_FIELDS(AUDIT_WORD("kind", audit_slot(slot->kind)), AUDIT_NUMBER("slot", slot->number),
                              AUDIT_NUMBER("memory_kib", slot->cost.memory_kib),
                              AUDIT_NUMBER("passes", slot->cost.passes)));
    return complain(rc, w->vault.state_path);
}

/* --- remove -------------------------------------------------------------------------------- */

static bool only_recovery(const struct keyring *k)
{
    struct slot_info s;

    for (size_t i = 0; keyring_slot(k, i, &s) == 0; i++)
        if (s.kind != SLOT_RECOVERY)
            return false;
    return true;
}

static int key_remove(struct key_work *w)
{
    struct slot_info s;

    if (!key_find(w, w->slot, &s))
        return complain(E_NO_SLOT, w->shown);
    if (keyring_slots(w->vault.state.keys) == 1)
        return complain(E_NO_LAST_SLOT, w->shown);
    int rc = key_unlock(w);
    if (!rc)
        rc = complain(keyring_remove_slot(w->vault.state.keys, w->slot), w->shown);
    if (!rc)
        rc = key_save(w, AUDIT_KEY_REMOVED, &s);
    if (rc)
        return rc;
    printf(_("Slot %u (%s) is removed.\n"), s.number, words_for_kind(s.kind));
    if (only_recovery(w->vault.state.keys))
        printf(_("Only the recovery key opens the vault on this device now.\n"));
    return EXIT_DONE;
}

/* --- test ----------------------------------------------------------------------------------- */

static int key_test(struct key_work *w)
{
    struct slot_info s;
    uint64_t took;

    if (w->slot && !key_find(w, w->slot, &s))
        return complain(E_NO_SLOT, w->shown);
    int rc = unlock(w, w->slot, WAY_LOOKS, &took);
    if (rc)
        return rc;
    key_find(w, keyring_opened_by(unlocked_keyring(&w->vault)), &s);
    /* TRANSLATORS: number and kind of a slot; seconds and hundredths */
    printf(_("Slot %u (%s) opens the vault; that took %llu.%02llu s.\n"), s.number, words_for_kind(s.kind),
           (unsigned long long)took / 1000, (unsigned long long)took % 1000 / 10);
    return EXIT_DONE;
}

/* --- tune ------------------------------------------------------------------------------------ */

static bool same_cost(struct kdf_cost a, struct kdf_cost b)
{
    return a.memory_kib == b.memory_kib && a.passes == b.passes;
}

static int key_tune(struct key_work *w)
{
    char before[COST_WORDS], after[COST_WORDS];
    struct slot_info s;

    int rc = w->slot && !key_find(w, w->slot, &s) ? complain(E_NO_SLOT, w->shown) : key_may_make(w, SLOT_PASSPHRASE);
    if (!rc)
        rc = unlock(w, w->slot, WAY_TENDS, NULL);
    if (rc)
        return rc;
    key_find(w, keyring_opened_by(w->vault.state.keys), &s);
    if (s.kind != SLOT_PASSPHRASE)
        return usage_error("key", _("slot %u holds no passphrase"), s.number);
    struct kdf_cost cost = policy_cost(kdf_calibrate(s.cost, w->milliseconds));
    if (same_cost(cost, s.cost)) {
        printf(_("Slot %u stays at %s: no more fits in %u ms here.\n"), s.number, words_for_cost(s.cost, before),
               w->milliseconds);
        return EXIT_DONE;
    }
    snprintf(w->vault.blamed, sizeof w->vault.blamed, "%s", w->shown);
    rc = way_add(w->vault.state.keys, s.number, &w->given, cost, w->vault.state.dir, w->vault.blamed);
    rc = complain(rc, w->vault.blamed);
    words_for_cost(s.cost, before);
    s.cost = cost;
    if (!rc)
        rc = key_save(w, AUDIT_KEY_TUNED, &s);
    if (!rc)
        printf(_("Slot %u: %s; before, %s.\n"), s.number, words_for_cost(cost, after), before);
    return rc;
}

/* --- the command line ------------------------------------------------------------------------- */

static int remove_check(const struct key_work *w)
{
    return w->slot ? EXIT_DONE : usage_error("key", _("say with --slot which slot is removed"));
}

static const struct action {
    const char *name;
    const struct option *options;
    int (*check)(const struct key_work *w);
    int (*run)(struct key_work *w);
    bool changes;
} actions[] = {
    { "list", list_options, NULL, key_list, false },
    { "add", add_options, key_add_check, key_add, true },
    { "remove", slot_options, remove_check, key_remove, true },
    { "test", slot_options, NULL, key_test, false },
    { "tune", tune_options, NULL, key_tune, true },
};

static const struct action *find_action(const char *name)
{
    for (size_t k = 0; k < ARRAY_SIZE(actions); k++)
        if (strcmp(name, actions[k].name) == 0)
            return &actions[k];
    return NULL;
}

static int milliseconds_option(struct key_work *w, const char *value)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (errno || *value < '0' || *value > '9' || *end || n < 1 || n > MILLISECONDS_MAX)
        return usage_error("key", _("“%s” is not a number of milliseconds (1 to %u)"), value, MILLISECONDS_MAX);
    w->milliseconds = (unsigned)n;
    return EXIT_DONE;
}

static int parse(struct key_work *w, const struct action *a, int argc, char **argv)
{
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", a->options, NULL)) != -1) {
        if (key_option(&w->open, found, optarg, &rc))
            continue;
        switch (found) {
        case OPTION_JSON: w->json = true; break;
        case OPTION_SLOT: rc = slot_option(&w->slot, "key", optarg); break;
        case OPTION_NEW_PASSFILE: rc = option_set(&w->fresh.passfile, optarg); break;
        case KEY_NEW_EXTPASS: rc = option_set(&w->fresh.extpass, optarg); break;
        case KEY_NEW_KEYFILE: rc = option_set(&w->fresh.keyfile, optarg); break;
        case KEY_NEW_RECOVERY: w->recovery = true; break;
        case KEY_NEW_RECOVERY_FILE: rc = option_set(&w->recovery_file, optarg); break;
        case KEY_GENERATE: w->generate = true; break;
        case KEY_STORE_WITH: rc = option_set(&w->store_with, optarg); break;
        case KEY_SYSTEMD: rc = option_set(&w->systemd, optarg); break;
        case KEY_WITH_KEY: rc = option_set(&w->with_key, optarg); break;
        case KEY_LABEL: rc = option_set(&w->label, optarg); break;
        case KEY_MILLISECONDS: rc = milliseconds_option(w, optarg); break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind != 1)
        rc = usage_error("key", _("one store is expected"));
    if (!rc)
        rc = key_options_check(&w->open, "key");
    return rc || !a->check ? rc : a->check(w);
}

/* Where the store is, and what gives a new secret; what opens was looked at with the options. */
static int check_policy(const struct key_work *w)
{
    char base[PATH_MAX];
    bool named = w->open.state && path_real(w->open.state, base) == 0;

    return policy_allows(&(struct policy_use){
        .command = "key", .store = w->vault.path, .state_dir = named ? base : NULL, .sources = &w->fresh,
    });
}

static int open_vault(struct key_work *w, bool changes)
{
    struct unlocked *u = &w->vault;

    int rc = unlocked_store(u, w->shown);
    if (!rc && changes && check_policy(w))
        return EXIT_POLICY;
    if (!rc)
        rc = unlocked_state(u, &w->open);
    if (rc || !changes || u->part == STATE_OPEN)
        return complain(rc, u->blamed);
    snprintf(u->blamed, sizeof u->blamed, "%s", u->state_path);
    if (*u->state.damaged)
        snprintf(u->blamed + strlen(u->blamed), sizeof u->blamed - strlen(u->blamed), "/%s", u->state.damaged);
    return complain(u->part == STATE_BUSY ? E_STATE_IN_USE : E_STATE_DAMAGED, u->blamed);
}

static void clean_up(struct key_work *w)
{
    char *texts[] = { w->fresh.passfile, w->fresh.extpass, w->fresh.keyfile, w->store_with, w->recovery_file,
                      w->systemd, w->with_key, w->label };

    for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
        free(texts[k]);
    secret_drop(&w->given);
    unlocked_close(&w->vault);
    key_options_free(&w->open);
}

int command_key(int argc, char **argv)
{
    struct key_work w = { .milliseconds = KDF_MILLISECONDS };

    if (argc < 2)
        return usage_error("key", _("list, add, remove, test or tune is expected"));
    const struct action *a = find_action(argv[1]);
    if (!a)
        return usage_error("key", _("there is no “key %s” (list, add, remove, test or tune)"), argv[1]);
    argv[1] = argv[0];
    int rc = parse(&w, a, argc - 1, argv + 1);
    if (!rc) {
        w.shown = argv[optind + 1];
        rc = open_vault(&w, a->changes);
    }
    if (!rc)
        rc = a->run(&w);
    clean_up(&w);
    return rc;
}
