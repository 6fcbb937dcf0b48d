/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What must be right before anything is mounted.
 *
 * preflight needs no secret and changes nothing on disk, so that a mistyped
 * path is not answered by a question for the passphrase, nor a wrong passphrase
 * by half a mount.  preflight_unlock then binds the three together: the store's
 * header must carry the MAC of the keyring's epoch 0 and its suite.
 */
#include "internal.h"
#include <ecluse/audit.h>
#include <ecluse/io.h>
#include <ecluse/synced.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int blame(const struct mount_config *c, const char *path, int error)
{
    if (error && c->blamed)
        snprintf(c->blamed, PATH_MAX, "%s", path);
    return error;
}

int blame_state(const struct mount_config *c, const struct state *s, const char *path, int error)
{
    char file[PATH_MAX];

    if ((error != E_STATE_DAMAGED && error != E_KEYRING && error != E_OLDER_STATE) || !*s->damaged)
        return blame(c, path, error);
    snprintf(file, sizeof file, "%.*s/%s", (int)(PATH_MAX - sizeof s->damaged - 2), path, s->damaged);
    return blame(c, file, error);
}

static int open_store(const struct mount_config *c, struct vault_files *f)
{
    int rc = store_open(&f->store, c->store_path, &f->header, &f->header_len);
    if (rc == -ENOENT)
        rc = E_STORE_MISSING;
    if (rc == -ENOTDIR)
        rc = E_NOT_VAULT;
    if (!rc && !store_is_at(f->store, c->store_path))
        rc = -ESTALE;
    if (!rc)
        rc = vault_header_parse(f->header, f->header_len, &f->vault);
    if (!rc && !c->read_only)
        rc = store_writable(f->store);
    return blame(c, c->store_path, rc);
}

/* A live mount of ours is in the way; whatever else is mounted there (autofs, a
 * volume) can be mounted upon.  A dead one stays for now: its errors are better
 * than an empty folder, above all when this mount fails too. */
static int check_mountpoint(const struct mount_config *c, struct vault_files *f)
{
    struct mounted m;

    int rc = mounted_at(c->mountpoint, &m);
    f->dead = rc == 0 && mounted_is_ours(&m) && mounted_is_dead(c->mountpoint);
    if (f->dead)
        return geteuid() == 0 || m.owner == geteuid() ? 0 : blame(c, c->mountpoint, -EPERM);
    if (rc == 0 && strncmp(m.type, "fuse", 4) == 0)
        return blame(c, c->mountpoint, E_MOUNTPOINT_BUSY);
    if (rc == 0 && strcmp(m.type, "autofs") == 0)
        return 0;  /* opening it would ask for the very mount that we are */
    return blame(c, c->mountpoint, guard_open(&f->guard, c->mountpoint));
}

/* What is there may be another one by now: the passphrase was asked for meanwhile. */
int preflight_clear(const struct mount_config *c, struct vault_files *f)
{
    int rc = f->dead ? check_mountpoint(c, f) : 0;

    while (!rc && f->dead) {
        rc = mounted_release(c->mountpoint, true);
        log_warning("ECL-0504 cleared the mount of a daemon that died: %s", error_name(rc));
        rc = rc ? blame(c, c->mountpoint, rc) : check_mountpoint(c, f);
    }
    return rc;
}

/* A daemon that was unmounted holds the state until it has published; one that
 * was killed, until the kernel has cleaned up after it. */
static int open_when_free(struct state *s, const char *path, const struct id128 *vault)
{
    static const struct timespec pause = { .tv_nsec = 100000000 };
    int rc = state_open(s, path, vault), ended = 0;

    for (int tries = 0; rc == E_STATE_IN_USE && tries < 20; tries++) {
        ended = client_wait_for_end(path);
        if (ended)
            return ended;
        if (tries)
            nanosleep(&pause, NULL);
        rc = state_open(s, path, vault);
    }
    return rc;
}

static int open_state(const struct mount_config *c, struct vault_files *f)
{
    char path[PATH_MAX], root[PATH_MAX];

    int rc = state_path(path, c->state_dir, &f->vault.vault);
    if (rc)
        return blame(c, c->state_dir ? c->state_dir : "", rc);
    if (synced_by(path, root))
        return blame(c, path, E_STATE_SYNCED);
    rc = place_check(path, c->store_path);
    if (rc == E_OTHER_VAULT)
        audit_append_at(c->state_dir, &f->vault.vault, AUDIT_ALARM, rc, NULL);
    if (rc)
        return blame(c, c->store_path, rc);
    rc = open_when_free(&f->state, path, &f->vault.vault);
    f->state_open = rc == 0;
    return blame_state(c, &f->state, rc == E_STATE_IN_USE ? c->store_path : path, rc);
}

static int check_nesting(const struct mount_config *c, const struct vault_files *f)
{
    char state[PATH_MAX];

    if (path_inside(c->mountpoint, c->store_path) || path_inside(c->store_path, c->mountpoint))
        return blame(c, c->mountpoint, E_NESTED);
    if (!f->state_open)
        return 0;
    if (!realpath(f->state.path, state))
        return blame(c, f->state.path, -errno);
    if (path_inside(state, c->store_path) || path_inside(c->store_path, state))
        return blame(c, state, E_NESTED);
    if (path_inside(state, c->mountpoint) || path_inside(c->mountpoint, state))
        return blame(c, c->mountpoint, E_NESTED);
    return 0;
}

/* fusermount3 refuses this, but only after the passphrase. */
static int check_others(const struct mount_config *c)
{
    char line[256], word[32];
    bool allowed = false;

    if (geteuid() == 0 || !(c->allow_other || c->allow_root))
        return 0;
    FILE *conf = fopen("/etc/fuse.conf", "re");
    while (conf && fgets(line, sizeof line, conf))
        allowed |= sscanf(line, " %31s", word) == 1 && strcmp(word, "user_allow_other") == 0;
    if (conf)
        fclose(conf);
    return allowed ? 0 : blame(c, "allow_other (/etc/fuse.conf: user_allow_other)", -EPERM);
}

static int check_fuse(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES || errno == EPERM ? E_FUSE_DENIED : E_FUSE;
    close(fd);
    return 0;
}

int preflight(const struct mount_config *c, struct vault_files *f)
{
    int rc = open_store(c, f);
    if (!rc)
        rc = check_nesting(c, f);
    if (!rc)
        rc = check_mountpoint(c, f);
    if (!rc)
        rc = open_state(c, f);
    if (!rc)
        rc = check_nesting(c, f);
    if (!rc)
        rc = check_others(c);
    return rc ? rc : blame(c, "/dev/fuse", check_fuse());
}

int preflight_unlock(const struct mount_config *c, struct vault_files *f)
{
    int rc = c->unlock(c->ctx, &f->vault.vault, f->state.keys, f->state.dir);
    if (rc == E_PASSPHRASE || rc == E_KEYRING)
        return blame(c, rc == E_PASSPHRASE ? c->store_path : f->state.path, rc);
    if (rc)
        return rc;
    const uint8_t *epoch0 = keyring_epoch_key(f->state.keys, 0);
    if (!epoch0)
        return blame(c, f->state.path, E_KEYRING);
    if (f->header_len != VAULT_HEADER_SIZE || f->vault.suite != keyring_suite(f->state.keys))
        rc = E_STORE_HEADER;
    if (!rc)
        rc = vault_header_check(f->header, epoch0);
    return blame(c, c->store_path, rc);
}

void preflight_close(struct vault_files *f)
{
    guard_close(&f->guard);
    if (f->state_open)
        state_close(&f->state);
    if (f->store)
        store_close(f->store);
    free(f->header);
}
