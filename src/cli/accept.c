/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse accept: the user's word that what this device refuses is right.
 *
 *   --older   the store lacks what was seen: it was restored on purpose
 *   --other   this vault stands where another one of this device's was
 *
 * Nothing is turned back: the tree stays what this device knows.  What it has and
 * had not published goes to the store at once; files whose contents are gone with
 * the store are named, and give an error until their objects come back.
 *
 * The question is asked after the vault is unlocked and with the figures at hand;
 * without a terminal it takes --yes.  The answer is logged (ECL-0325, ECL-0328).
 */
#include "policy.h"
#include <ecluse/audit.h>
#include <ecluse/log.h>
#include <ecluse/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_NAMED 1000u

struct accept {
    struct sources sources;
    char *state;
    bool older, other, yes;
    bool asked, declined;
    uint64_t unreadable;
    const char *spec;
    char store[PATH_MAX], state_dir[PATH_MAX], blamed[PATH_MAX];
};

static int parse(struct accept *a, int argc, char **argv)
{
    const struct option_place places[] = {
        { "older", &a->older, NULL }, { "other", &a->other, NULL }, { "yes", &a->yes, NULL },
        SOURCES_PLACES(a->sources), { "state", NULL, &a->state }, { 0 },
    };

    int rc = options_take(argc, argv, places, 1, 1, _("one store is expected"));
    if (!rc && a->older + a->other != 1)
        rc = usage_error(argv[0], _("either “--older” or “--other” is expected"));
    return rc ? rc : sources_check(&a->sources, argv[0]);
}

/* Says what follows from it, and asks. */
static int confirm(struct accept *a, const char *question)
{
    a->asked = true;
    fflush(stdout);
    if (a->yes || agreed(question))
        return 0;
    a->declined = true;
    return a->other ? E_OTHER_VAULT : E_OLDER_STATE;
}

/* --- an older store ------------------------------------------------------------------- */

static void say(const char *format, uint64_t count)
{
    if (count)
        printf(format, figure(count));
}

static int ask_older(void *ctx, const struct fs_older *w)
{
    struct accept *a = ctx;
    char words[WORDS_MAX];

    printf(_("The store %s lacks what this device has already seen:\n"), spelled(a->spec));
    if (w->publications)
        printf(_("  the last publications of this device: %s (the last one that is there: %s)\n"),
               figure(w->publications), words_for_time(w->until, words));
    say(_("  the last publications of other devices: %s\n"), w->heads);
    if (w->objects)
        printf(_("  objects: %s (%s)\n"), figure(w->objects), words_for_size(w->bytes, words));
    printf("%s", _("\nThat is right if the store was restored from a backup on purpose. Otherwise whoever hosts it\n"
                   "shows you the past: answer no, and ask for the present store.\n\n"
                   "If you accept, the folder keeps all its names as this device knows them; files whose contents\n"
                   "are gone give an error until the objects come back. A recovery from the store gives the same.\n\n"));
    return confirm(a, _("Accept this store as it is? (yes/no) [no] "));
}

static int name_file(void *ctx, const char *path)
{
    struct accept *a = ctx;

    if (!a->unreadable++)
        printf("%s", _("Files that cannot be read until their objects come back:\n"));
    if (a->unreadable <= FILES_NAMED) {
        printf("  %s\n", spelled(path));
    }
    return 0;
}

static int take_older(struct accept *a, struct vault_ref *v, struct store *store)
{
    struct fs_options o = { .uid = getuid(), .gid = getgid(), .accept = ask_older, .accept_ctx = a };
    struct fs *fs = NULL;

    int rc = fs_open(&fs, &v->state, store, &o);
    if (rc && *v->state.damaged)
        snprintf(a->blamed, sizeof a->blamed, "%.*s/%s", PATH_MAX - 80,
                 rc == E_OLDER_STATE ? a->store : v->state.path, v->state.damaged);
    if (rc)
        return rc;
    if (!a->asked)
        printf("%s", _("The store has all that this device has seen: there is nothing to accept.\n"));
    if (v->state.cloned)
        rc = state_adopt(&v->state);
    if (!rc && a->asked)
        rc = fs_unreadable(fs, name_file, a);
    if (a->unreadable > FILES_NAMED)
        printf(_("  … and %s more\n"), figure(a->unreadable - FILES_NAMED));
    int closed = fs_close(fs);
    if (!rc && !closed && a->asked)
        printf("%s", _("The store is accepted as it is.\n"));
    return rc ? rc : closed;
}

/* --- another vault -------------------------------------------------------------------- */

static int take_other(struct accept *a, struct vault_ref *v)
{
    char text[ID_TEXT];

    int rc = place_check(v->state.path, a->store);
    if (!rc) {
        printf("%s", _("No other vault of this device was here: there is nothing to accept.\n"));
        return 0;
    }
    printf(_("At %s this device last saw another vault. If you did not move the stores yourself, whoever\n"
             "hosts them exchanged them: answer no, or what you write would go into the wrong vault.\n\n"), spelled(a->spec));
    rc = confirm(a, _("Is this the vault that belongs here? (yes/no) [no] "));
    if (!rc)
        rc = place_claim(v->state.dir, a->store);
    id_format(&v->vault, text);
    if (!rc)
        log_warning("ECL-0328 accepted by the user: vault %s stands here now", text);
    if (!rc)
        printf("%s", _("This vault is expected here from now on.\n"));
    return rc;
}

/* --- both -------------------------------------------------------------------------------- */

static int unlock(struct accept *a, struct vault_ref *v)
{
    struct secret s;

    int rc = secret_of_vault(&a->sources, &v->vault, a->spec, &s, a->blamed);
    if (rc)
        return rc;
    rc = vault_unlock(v, &s, WAY_OPENS, a->store, a->blamed);
    secret_drop(&s);
    return rc;
}

static int open_and_take(struct accept *a, struct vault_ref *v)
{
    struct store *store = NULL;
    uint8_t *header = NULL;
    size_t len;

    int rc = unlock(a, v);
    if (rc || a->other)
        return rc ? rc : take_other(a, v);
    rc = store_open(&store, a->store, &header, &len);
    free(header);
    if (!rc)
        rc = store_writable(store);
    if (!rc) {
        snprintf(a->blamed, sizeof a->blamed, "%s", a->store);
        rc = take_older(a, v, store);
    }
    store_close(store);
    return rc;
}

static int run(struct accept *a, int argc, char **argv)
{
    struct vault_ref v;

    int rc = parse(a, argc, argv);
    if (rc)
        return rc;
    a->spec = argv[optind];
    if (!realpath(a->spec, a->store))
        return complain(errno == ENOENT ? E_STORE_MISSING : -errno, a->spec);
    rc = a->state ? path_real(a->state, a->state_dir) : 0;
    if (rc)
        return complain(rc, a->state);
    rc = policy_allows(&(struct policy_use){
        .command = "accept", .store = a->store, .state = a->state, .state_dir = a->state ? a->state_dir : NULL,
        .sources = &a->sources, .slots = a->sources.keyfile ? 1u << SLOT_KEYFILE : POLICY_TEXT,
    });
    if (rc)
        return rc;
    log_open(LOG_TARGET_SYSTEM, LOG_LEVEL_INFO);
    rc = vault_open(&v, a->store, a->state ? a->state_dir : NULL, a->blamed);
    if (!rc && a->older && (rc = place_check(v.state.path, a->store)))
        snprintf(a->blamed, sizeof a->blamed, "%s", a->store);
    if (!rc)
        rc = open_and_take(a, &v);
    if (v.open && a->asked)
        audit_append(v.state.dir, v.state.keys, AUDIT_ACCEPTED, rc,
                     AUDIT_FIELDS(AUDIT_WORD("what", a->older ? "older" : "other")));
    vault_close(&v);
    fflush(stdout);
    if (a->declined && rc)
        fprintf(stderr, "%s", _("ecluse: not accepted; nothing was changed\n"));
    return a->declined ? (int)error_exit(rc) : complain(rc, a->blamed);
}

int command_accept(int argc, char **argv)
{
    struct accept a = { 0 };

    int rc = run(&a, argc, argv);
    sources_free(&a.sources);
    free(a.state);
    return rc;
}
