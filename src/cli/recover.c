/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse recover: this device's state of a vault, from the store and the
 * recovery key alone.
 *
 * What a rebuild is for a damaged state (rebuild.c), for a device that has none:
 * one that is there is never touched.
 */
#include "policy.h"
#include <stdio.h>
#include <stdlib.h>

struct recover {
    struct sources sources;
    char *recovery_file, *state;
    bool partial;
    char store[PATH_MAX], state_dir[PATH_MAX], blamed[PATH_MAX];
};

static int parse(struct recover *r, int argc, char **argv)
{
    const struct option_place places[] = {
        SOURCES_PLACES(r->sources), { "recovery-file", NULL, &r->recovery_file }, { "state", NULL, &r->state },
        { "partial", &r->partial, NULL }, { 0 },
    };

    int rc = options_take(argc, argv, places, 1, 1, _("one store is expected"));
    return rc ? rc : sources_check(&r->sources, argv[0]);
}

static int run(struct recover *r, int argc, char **argv)
{
    struct secret kept = { 0 };

    int rc = parse(r, argc, argv);
    if (rc)
        return rc;
    const char *store = argv[optind];
    if (!realpath(store, r->store))
        return complain(errno == ENOENT ? E_STORE_MISSING : -errno, store);
    if (r->state) {
        rc = path_real(r->state, r->state_dir);
        if (rc)
            return complain(rc, r->state);
        if (path_within(r->state_dir, r->store))
            return complain(E_NESTED, r->state);
    }
    rc = policy_allows(&(struct policy_use){
        .command = "recover", .store = r->store, .state = r->state, .state_dir = r->state ? r->state_dir : NULL,
        .sources = &r->sources,
        .slots = r->sources.keyfile ? 1u << SLOT_KEYFILE
                 : r->sources.passfile || r->sources.extpass ? 1u << SLOT_PASSPHRASE : 0,
    });
    if (rc)
        return rc;
    struct rebuild_request request = {
        .store = r->store, .state_dir = r->state ? r->state_dir : NULL, .shown = store, .sources = &r->sources,
        .recovery_file = r->recovery_file, .partial = r->partial, .only_new = true, .kept = &kept,
        .blamed = r->blamed,
    };
    rc = rebuild_run(&request);
    bool only_recovery = kept.kind == SLOT_RECOVERY;
    secret_drop(&kept);
    if (!rc && !only_recovery)
        printf(_("To work in it: ecluse mount %s FOLDER\n"), shell_word(store));
    return rc;
}

int command_recover(int argc, char **argv)
{
    struct recover r = { 0 };

    int rc = run(&r, argc, argv);
    sources_free(&r.sources);
    free(r.recovery_file);
    free(r.state);
    return rc;
}
