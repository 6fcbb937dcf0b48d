/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The beginning of a vault.
 *
 * Everything that can be known beforehand is checked first, and the slow and
 * failing part of the keys (Argon2id) is done in memory; only then is the disk
 * touched, in this order:
 *
 *   1. <base>/.<id>.new/    lock, keyring, staging/, index.db and its log, journal,
 *                           ballast, each synced
 *   2. <base>/<id>/         by one rename, then <base> is synced
 *   3. the recovery key     to whoever is to keep it
 *   4. the store            store_create, its header last
 *
 * Invariants: a store with a header has its state, and somebody its recovery
 * key; a state under its final name is whole.  On failure all that was made is removed, and nothing else: the
 * temporary directory is ours alone (mkdir refuses one that is there), and
 * directories above it go only when they were not there before and are empty.
 *
 * Not promised: that a kill between 2 and 4 leaves nothing.  It leaves a state
 * for a vault that does not exist, under a random name that nothing refers to.
 */
#include "internal.h"
#include "layout.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define VAULT_FORMAT 1u
#define WORK_ROOM (8ull << 20)      /* for the index and the rest of a new state */

/* A path that may not exist yet, without symbolic links: all but what follows
 * the first `existing` bytes is there. */
struct place { char path[PATH_MAX]; size_t existing; };

struct making {
    const struct vault_options *o;
    struct id128 vault;
    struct keyring *keys;
    uint8_t header[VAULT_HEADER_SIZE];
    struct place store, state;
    char name[ID_TEXT], temporary[ID_TEXT + 5];
    int base;                       /* the directory that holds the state */
    struct state files;             /* descriptors of the state being made */
    bool made, renamed;
};

/* --- checks: nothing is changed here ------------------------------------------------ */

static bool climbs(const char *rest)
{
    for (const char *p = rest; (p = strstr(p, "..")); p += 2)
        if ((p == rest || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
            return true;
    return false;
}

/* Shortens path to its parent, in place; false at the root or the last word. */
static bool to_parent(char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    bool shorter = len < strlen(path);
    path[len] = '\0';
    return shorter && len > 0;
}

static int locate(struct place *out, const char *path)
{
    char head[PATH_MAX], real[PATH_MAX];
    size_t len = strlen(path);

    if (len == 0)
        return -ENOENT;
    if (len >= sizeof head)
        return -ENAMETOOLONG;
    memcpy(head, path, len + 1);
    while (!realpath(head, real)) {
        if (errno != ENOENT)
            return -errno;
        if (!to_parent(head)) {
            if (!realpath(".", real))
                return -errno;
            head[0] = '\0';
            break;
        }
    }
    const char *rest = path + strlen(head);
    rest += strspn(rest, "/");
    if (climbs(rest))
        return -ENOENT;
    out->existing = strlen(real);
    const char *slash = *rest && out->existing > 1 ? "/" : "";
    int n = snprintf(out->path, sizeof out->path, "%s%s%s", real, slash, rest);
    if (n >= (int)sizeof out->path)
        return -ENAMETOOLONG;
    while (n > 1 && out->path[n - 1] == '/')
        out->path[--n] = '\0';
    return 0;
}

static bool is_there(const struct place *p) { return p->path[p->existing] == '\0'; }

/* May names be made in what exists of this path? */
static int check_writable(const struct place *p)
{
    char existing[PATH_MAX];

    memcpy(existing, p->path, p->existing);
    existing[p->existing] = '\0';
    return faccessat(AT_FDCWD, existing, W_OK | X_OK, AT_EACCESS) ? -errno : 0;
}

static int check_store(struct making *m)
{
    int rc = locate(&m->store, m->o->store_path);
    if (!rc && is_there(&m->store))
        rc = store_vacant(m->store.path);
    else if (!rc && strchr(m->store.path + m->store.existing + 1, '/'))
        rc = -ENOENT;    /* store_create makes the directory, not those above it */
    if (!rc)
        rc = check_writable(&m->store);
    return rc == -EROFS ? E_STORE_READ_ONLY : rc;
}

static int check_space(const struct place *p)
{
    char existing[PATH_MAX];
    struct statvfs v;

    memcpy(existing, p->path, p->existing);
    existing[p->existing] = '\0';
    if (statvfs(existing, &v))
        return -errno;
    return (uint64_t)v.f_bavail * v.f_frsize < ballast_size(&v) + WORK_ROOM ? -ENOSPC : 0;
}

static int check_state(struct making *m)
{
    char path[PATH_MAX], base[PATH_MAX];

    int rc = state_path(path, m->o->state_dir, &m->vault);
    if (!rc)
        rc = locate(&m->state, path);
    if (!rc && is_there(&m->state))
        rc = E_STATE_EXISTS;
    if (!rc)
        rc = check_writable(&m->state);
    if (!rc)
        rc = check_space(&m->state);
    if (rc)
        return rc;
    memcpy(base, m->state.path, sizeof base);
    to_parent(base);
    bool nested = path_inside(base, m->store.path) || path_inside(m->store.path, m->state.path);
    return nested ? E_NESTED : 0;
}

static int check(struct making *m)
{
    const struct vault_options *o = m->o;

    if (!o->store_path || !suite_name(o->suite))
        return -EINVAL;
    if ((o->passphrase && o->passphrase_len == 0) || (o->keyfile && o->keyfile_len == 0))
        return -EINVAL;
    if (o->passphrase && !kdf_cost_valid(o->cost))
        return -EINVAL;
    int rc = check_store(m);
    return rc ? rc : check_state(m);
}

/* --- keys: in memory ------------------------------------------------------------------ */

static int make_keys(struct making *m, const uint8_t recovery[KEY_SIZE])
{
    const struct vault_options *o = m->o;
    struct vault_header h = { .vault = m->vault, .format = VAULT_FORMAT, .suite = o->suite };

    int rc = keyring_create(&m->keys, &m->vault, o->suite, recovery);
    if (!rc)
        rc = keyring_set_slot(m->keys, 0, SLOT_RECOVERY, recovery, KEY_SIZE, (struct kdf_cost){ 0, 0 });
    if (!rc && o->passphrase)
        rc = keyring_set_slot(m->keys, 0, SLOT_PASSPHRASE, o->passphrase, o->passphrase_len, o->cost);
    if (!rc && o->keyfile)
        rc = keyring_set_slot(m->keys, 0, SLOT_KEYFILE, o->keyfile, o->keyfile_len, o->cost);
    if (!rc)
        rc = vault_header_make(m->header, &h, keyring_epoch_key(m->keys, 0));
    return rc;
}

/* --- the state -------------------------------------------------------------------------- */

/* All of it in the temporary directory, durable when this returns. */
static int fill_state(struct making *m)
{
    struct state *s = &m->files;
    char base[PATH_MAX];

    memcpy(base, m->state.path, sizeof base);
    to_parent(base);
    if (snprintf(s->path, sizeof s->path, "%s/%s", base, m->temporary) >= (int)sizeof s->path)
        return -ENAMETOOLONG;
    int rc = layout_directory(s->dir, "staging", &s->staging, FAULT_init);
    if (!rc)
        rc = io_sync_dir(s->staging, FAULT_init);
    if (!rc)
        rc = layout_file(s->dir, "lock", &s->lock, FAULT_init);
    if (!rc)
        rc = state_adopt(s);
    if (!rc)
        rc = keyring_save(m->keys, s->dir, "keyring");
    if (!rc)
        rc = index_create(s->path, keyring_local_key(m->keys), m->o->uid, m->o->gid);
    if (!rc)
        rc = layout_journal(s->dir, keyring_local_key(m->keys));
    if (!rc)
        rc = place_claim(s->dir, m->store.path);
    if (!rc)
        rc = ballast_make(s->dir);
    if (!rc)
        audit_append(s->dir, m->keys, AUDIT_VAULT_MADE, 0, AUDIT_FIELDS(AUDIT_WORD("suite", suite_name(m->o->suite))));
    return rc ? rc : io_sync_dir(s->dir, FAULT_init);
}

static int make_state(struct making *m)
{
    char base[PATH_MAX];

    memcpy(base, m->state.path, sizeof base);
    to_parent(base);
    int rc = fault_hit(FAULT_init);
    if (!rc)
        rc = io_make_dirs(base, 0700);
    if (rc)
        return rc;
    m->base = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->base < 0)
        return -errno;
    id_format(&m->vault, m->name);
    snprintf(m->temporary, sizeof m->temporary, ".%s.new", m->name);
    rc = layout_directory(m->base, m->temporary, &m->files.dir, FAULT_init);
    m->made = m->files.dir >= 0;
    if (!rc)
        rc = fill_state(m);
    if (!rc)
        rc = io_rename_new(m->base, m->temporary, m->base, m->name, FAULT_init);
    m->renamed = !rc;
    return rc ? rc : io_sync_dir(m->base, FAULT_init);
}

/* --- undoing ------------------------------------------------------------------------------ */

static void undo(struct making *m)
{
    char path[PATH_MAX];

    if (m->made) {
        layout_empty(m->files.dir, "", FAULT_init);
        unlinkat(m->base, m->renamed ? m->name : m->temporary, AT_REMOVEDIR);
    }
    memcpy(path, m->state.path, sizeof path);
    while (to_parent(path) && strlen(path) > m->state.existing)
        if (rmdir(path) && errno != ENOENT)
            break;
}

int vault_create(const struct vault_options *o, uint8_t recovery[KEY_SIZE], struct id128 *vault)
{
    struct making *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->o = o;
    m->base = m->files.dir = m->files.staging = m->files.lock = -1;
    crypto_random(m->vault.b, sizeof m->vault.b);
    int rc = check(m);
    if (rc)
        goto out;
    recovery_generate(recovery);
    rc = make_keys(m, recovery);
    if (rc)
        goto out;
    rc = make_state(m);
    if (!rc && o->deliver)
        rc = o->deliver(o->ctx, recovery, &m->vault);
    if (!rc)
        rc = store_create(m->store.path, &m->vault, m->header, sizeof m->header);
    if (rc)
        undo(m);
    else
        *vault = m->vault;
out:
    if (rc)
        secret_wipe(recovery, KEY_SIZE);
    state_close(&m->files);
    if (m->base >= 0)
        close(m->base);
    keyring_free(m->keys);
    free(m);
    return rc;
}
