/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * From "the user asked for a mount" to "it is unmounted and published".
 *
 * Order: check, unlock, open the filesystem (this repairs what a crash left),
 * mount, control socket, serve; then no more requests for the filesystem,
 * unmount, publish, and only then answer whoever waited for the end.  The
 * process that serves is the one that opened the index: nothing here forks but
 * the warden, before anything else.
 */
#include "internal.h"
#include <ecluse/audit.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_AHEAD_KIB 512u

static void on_ready(void *ctx)
{
    struct served *s = ctx;

    mounted_read_ahead(&s->mount, READ_AHEAD_KIB);
    if (!s->config->foreground) {
        process_detach();
        log_open(s->config->log ? s->config->log : LOG_TARGET_SYSTEM, LOG_LEVEL_INFO);
    }
    audit_append(s->state->dir, s->state->keys, AUDIT_MOUNTED, 0,
                 AUDIT_FIELDS(AUDIT_NUMBER("read_only", s->config->read_only)));
    manager_tell(s->config->read_only ? "READY=1\nSTATUS=Mounted read-only" : "READY=1\nSTATUS=Mounted");
    log_info("ECL-0510 mounted%s", s->config->read_only ? " read-only" : "");
    if (s->config->ready)
        s->config->ready(s->config->ctx);
}

static void raise_event(void *served, enum fs_event event, int error)
{
    struct served *s = served;

    if (s->notify)
        notify_raise(s->notify, event, error);
}

static void tell_stuck(void *served)
{
    struct served *s = served;

    if (s->control)
        control_stuck(s->control);
}

static int new_session(struct served *s)
{
    const struct mount_config *c = s->config;
    struct session_options o = {
        .mountpoint = c->mountpoint, .fsname = c->fsname ? c->fsname : "ecluse",
        .read_only = c->read_only, .writeback = !c->strict && !c->read_only,
        .allow_other = c->allow_other, .allow_root = c->allow_root, .noexec = c->noexec,
        .devices = c->owners && geteuid() == 0, .acl = c->owners,
    };
    return session_new(&s->session, &o);
}

/*
 * A copied or restored state goes on as somebody else: the original may still
 * write, and (actor, number) must never name two publications.  The lock file
 * says so only once the filesystem has noted the new actor and resealed what
 * was not published; a crash before makes it one more actor, no worse.
 */
static int open_fs(struct served *s, struct vault_files *f)
{
    const struct mount_config *c = s->config;
    struct fs_options o = {
        .read_only = c->read_only, .strict = c->strict, .owners = c->owners, .uid = c->uid, .gid = c->gid,
        .fetch = c->strict || c->read_only ? NULL : session_fetch, .forget_name = session_forget_name,
        .ctx = s->session, .grace = c->grace, .publish_ms = c->publish_seconds * 1000,
        .publish_every = c->publish_every,
        .event = raise_event, .stuck = tell_stuck, .event_ctx = s,
    };
    struct fs_status now;

    int rc = fs_open(&s->fs, &f->state, f->store, &o);
    s->cloned = f->state.cloned;
    /* What fails there is found at first use: the vault is open by now. */
    bool known = !rc && !fs_status(s->fs, &now);
    if (known && c->notice && (s->cloned || now.unseen || now.forked))
        c->notice(c->ctx, s->cloned, &now);
    if (!rc && !c->read_only)
        rc = place_claim(f->state.dir, c->store_path);
    if (!rc && s->cloned && !c->read_only)
        rc = state_adopt(&f->state);
    return rc;
}

/* The directory that was looked at is mounted on, whatever has its name by now. When
 * it was moved away, the mount is elsewhere than everybody thinks: it goes again. */
static int check_place(struct served *s, const struct guard *g)
{
    char opened[32], where[PATH_MAX];

    int rc = mounted_at(s->config->mountpoint, &s->mount);
    if (rc != E_NOT_MOUNTED || g->fd < 0)
        return rc;
    snprintf(opened, sizeof opened, "/proc/self/fd/%d", g->fd);
    ssize_t len = readlink(opened, where, sizeof where - 1);
    where[len > 0 ? len : 0] = '\0';
    if (mounted_at(where, &s->mount) == 0 && mounted_is_ours(&s->mount))
        mounted_release(where, true);
    return blame(s->config, s->config->mountpoint, E_MOUNTPOINT);
}

static int mount_it(struct served *s, struct vault_files *f)
{
    bool died = f->dead;
    int rc = preflight_clear(s->config, f);
    if (rc)
        return rc;
    guard_lift(&f->guard);
    rc = session_mount(s->session, s->fs, f->guard.fd);
    if (rc) {
        guard_restore(&f->guard);
        return blame(s->config, rc == E_FUSE ? "/dev/fuse" : s->config->mountpoint, rc);
    }
    rc = check_place(s, &f->guard);
    if (rc) {
        guard_restore(&f->guard);
        return rc;
    }
    guard_set(&f->guard);
    warden_watch(&s->warden, s->mount.minor);
    if (died && s->notify)
        notify_raise(s->notify, FS_EVENT_DIED, 0);
    if (guard_missed(&f->guard)) {
        log_warning("ECL-0506 something was written into the folder below the mount");
        if (s->notify)
            notify_raise(s->notify, FS_EVENT_BESIDE, 0);
    }
    return rc;
}

/* While mounted. The result is that of serving. */
static int serve(struct served *s)
{
    struct lifetime *lifetime = NULL;

    int rc = control_start(&s->control, s);
    if (!rc)
        rc = lifetime_start(&lifetime, s);
    if (!rc)
        rc = session_run(s->session, on_ready, s);
    if (lifetime)
        lifetime_stop(lifetime);
    /* Programs that are still there get an error, whatever those who ask wait for. */
    if (served_is_mounted(s))
        mounted_release(s->config->mountpoint, true);
    session_unmount(s->session);
    if (s->control)
        control_close_fs(s->control);
    manager_farewell(s->fs);
    return rc;
}

/* What the filesystem finds wrong on opening is the store's or the state's. */
static int blame_open(const struct served *s, const struct vault_files *f, int error)
{
    enum exit_code kind = error_exit(error);
    bool store = kind == EXIT_OLDER || kind == EXIT_INTEGRITY || kind == EXIT_STORE;

    return blame_state(s->config, &f->state, store ? s->config->store_path : f->state.path, error);
}

static int run(struct served *s, struct vault_files *f)
{
    int rc = new_session(s);
    if (!rc)
        rc = notify_start(&s->notify, s->config);
    if (!rc)
        rc = blame_open(s, f, open_fs(s, f));
    if (!rc)
        rc = mount_it(s, f);
    if (rc)
        audit_append(f->state.dir, f->state.keys, AUDIT_MOUNTED, rc, NULL);
    bool mounted = !rc;
    if (!rc)
        rc = serve(s);
    if (s->fs) {
        int closed = fs_close(s->fs);
        if (mounted)
            audit_append(f->state.dir, f->state.keys, AUDIT_UNMOUNTED, rc ? rc : closed, NULL);
        log_info("ECL-0512 unmounted: %s", error_name(closed));
        rc = rc ? rc : blame(s->config, s->config->store_path, closed);
    }
    if (s->session)
        session_free(s->session);
    preflight_close(f);
    control_finish(s->control, rc);
    notify_stop(s->notify);
    return rc;
}

int daemon_run(const struct mount_config *c)
{
    struct vault_files f = { .guard = { .fd = -1 } };
    struct served s = { .config = c, .since = time(NULL) };
    char id[ID_TEXT];

    if (c->blamed)
        c->blamed[0] = '\0';
    process_one_arena();
    process_harden();
    manager_find();
    warden_start(&s.warden);
    bool seen = (c->foreground || c->verbose) && !manager_reads_errors();
    log_open(c->log ? c->log : seen ? LOG_TARGET_STDERR : LOG_TARGET_SYSTEM, LOG_LEVEL_INFO);
    int rc = preflight(c, &f);
    id_format(&f.vault.vault, id);
    if (!rc)
        log_vault(id);
    if (!rc)
        rc = preflight_unlock(c, &f);
    if (rc || chdir("/")) {
        rc = rc ? rc : -errno;
        preflight_close(&f);
        warden_stop(&s.warden);
        return rc;
    }
    s.vault = f.vault.vault;
    s.state_path = f.state.path;
    s.state = &f.state;
    s.suite = f.vault.suite;
    process_block_signals();
    rc = run(&s, &f);
    warden_stop(&s.warden);
    return rc;
}
