/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What `ecluse doctor` finds out about a store and about this device's state of it,
 * without any key: are they there, in the right places, with room to work?
 */
#include "doctor.h"
#include <ecluse/store.h>
#include <ecluse/synced.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPACE_NEEDED (64ull << 20)   /* a segment, a publication, and room for deletions */
#define SPACE_WANTED (1ull << 30)

/* --- the store ------------------------------------------------------------------------- */

/* False when there is no vault. */
static bool check_vault(struct doctor *d, const char *store, struct id128 *vault)
{
    struct store *opened = NULL;
    uint8_t *header = NULL;
    size_t len = 0;
    struct vault_header h = { 0 };
    char id[ID_TEXT];

    int rc = store_open(&opened, store, &header, &len);
    if (rc == -ENOENT)
        rc = E_STORE_MISSING;
    if (!rc)
        rc = vault_header_parse(header, len, &h);
    int writable = rc ? rc : store_writable(opened);
    if (rc) {
        doctor_say(d, "store", FINDING_PROBLEM, "%s: %s", store, error_sentence(rc));
    } else if (writable) {
        doctor_say(d, "store", FINDING_PROBLEM, _("%s can be read, but not written to: nothing can be published (%s)"),
                   store, error_sentence(writable));
    } else {
        id_format(&h.vault, id);
        doctor_say(d, "store", FINDING_OK, _("%s is a store, of the vault %s"), store, id);
    }
    if (opened)
        store_close(opened);
    free(header);
    *vault = h.vault;
    return rc == 0;
}

static void check_carried(struct doctor *d, const char *store)
{
    char root[PATH_MAX];
    const char *client = synced_by(store, root);

    if (client)
        doctor_say(d, "store-synced", FINDING_OK, _("the store is in a folder that %s copies (%s)"), client, root);
    else
        doctor_say(d, "store-synced", FINDING_NOTE, "%s",
                   _("no sync client that is known here copies the store: make sure that something does, if it should"));
}

/* --- the state ---------------------------------------------------------------------------- */

static bool is_remote(const char *path)
{
    static const unsigned long magics[] = { 0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x01021997 };
    struct statfs fs;

    if (statfs(path, &fs))
        return false;
    for (size_t k = 0; k < ARRAY_SIZE(magics); k++)
        if (((unsigned long)fs.f_type & 0xffffffff) == magics[k])
            return true;
    return false;
}

static void check_state(struct doctor *d, const char *state)
{
    struct stat st;
    char root[PATH_MAX];
    const char *client = synced_by(state, root);

    if (client) {
        doctor_say(d, "state", FINDING_PROBLEM,
                   _("the local state would be in a folder that %s copies (%s): it is refused there, for it must stay on "
                     "this device; choose another place with --state"), client, root);
        return;
    }
    if (stat(state, &st))
        doctor_say(d, "state", FINDING_NOTE, _("this device does not know the vault yet (%s): “ecluse recover” makes it "
                                               "known, with the recovery key"), state);
    else if (st.st_uid != geteuid() || (st.st_mode & 077))
        doctor_say(d, "state", FINDING_PROBLEM,
                   _("the local state %s belongs to another user or is open to others: set its owner, and chmod 700"), state);
    else if (is_remote(state))
        doctor_say(d, "state", FINDING_NOTE,
                   _("the local state %s is on a network filesystem: a local disk is faster and safer"), state);
    else
        doctor_say(d, "state", FINDING_OK, _("the local state is in its place (%s)"), state);
}

/* --- space ----------------------------------------------------------------------------------- */

/* Of the nearest directory that exists. */
static bool free_space(const char *path, uint64_t *bytes)
{
    char there[PATH_MAX];
    struct statvfs fs;

    snprintf(there, sizeof there, "%s", path);
    while (statvfs(there, &fs)) {
        char *slash = strrchr(there, '/');
        if (!slash || slash == there)
            return false;
        *slash = '\0';
    }
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return true;
}

static void check_space(struct doctor *d, const char *check, const char *path)
{
    char size[WORDS_MAX];
    uint64_t bytes;

    if (!free_space(path, &bytes))
        return;
    words_for_size(bytes, size);
    if (bytes < SPACE_NEEDED)
        doctor_say(d, check, FINDING_PROBLEM, _("only %s free in %s: make room, or changes will be refused"), size, path);
    else if (bytes < SPACE_WANTED)
        doctor_say(d, check, FINDING_NOTE, _("%s free in %s: that is little"), size, path);
    else
        doctor_say(d, check, FINDING_OK, _("%s free in %s"), size, path);
}

/* --- all of it --------------------------------------------------------------------------------- */

/* Without a store, the place where states would be. */
static bool find_state(struct doctor *d, const struct id128 *vault, char out[PATH_MAX])
{
    const struct id128 none = { { 0 } };
    char explicit_dir[PATH_MAX];

    int rc = d->state ? path_real(d->state, explicit_dir) : 0;
    if (!rc)
        rc = state_path(out, d->state ? explicit_dir : NULL, vault ? vault : &none);
    if (rc)
        doctor_say(d, "state", FINDING_PROBLEM, "%s: %s", d->state ? d->state : "HOME", error_sentence(rc));
    else if (!vault)
        *strrchr(out, '/') = '\0';
    return rc == 0;
}

static void check_base(struct doctor *d, const char *base)
{
    char root[PATH_MAX];
    const char *client = synced_by(base, root);

    if (client)
        doctor_say(d, "state", FINDING_PROBLEM,
                   _("local states would be in a folder that %s copies (%s): they are refused there; choose another place "
                     "with --state"), client, root);
    else
        doctor_say(d, "state", FINDING_OK, _("local states have their place in %s"), base);
}

void doctor_store(struct doctor *d, const char *store)
{
    char state[PATH_MAX], real[PATH_MAX];
    struct id128 vault;

    bool known = store && check_vault(d, store, &vault);
    if (known && realpath(store, real))
        check_carried(d, real);
    if (!find_state(d, known ? &vault : NULL, state))
        return;
    if (known)
        check_state(d, state);
    else
        check_base(d, state);
    check_space(d, "space", state);
    if (known)
        check_space(d, "store-space", store);
}
