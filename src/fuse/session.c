/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The life of a session: options, mounting, serving, stopping.
 *
 * session_run only waits: for the protocol to be agreed on, for session_stop,
 * for the end of the connection.  It ends in an order that loses nothing:
 *
 *   1. notifications end while workers still serve, since each waits for
 *      requests that a worker must answer,
 *   2. workers finish the request they have and leave.
 *
 * It does not fetch what the kernel still holds of written files: whoever
 * stops a session has done that (an unmount from outside does it by itself).
 * Files kept open on a stopped mount get ENOTCONN.
 */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CALL_SECONDS 1

static const struct fuse_lowlevel_ops operations = {
    .init = op_init, .lookup = op_lookup, .forget = op_forget, .forget_multi = op_forget_multi,
    .getattr = op_getattr, .setattr = op_setattr, .readlink = op_readlink, .mknod = op_mknod,
    .mkdir = op_mkdir, .unlink = op_unlink, .rmdir = op_rmdir, .symlink = op_symlink,
    .rename = op_rename, .link = op_link, .open = op_open, .create = op_create, .read = op_read,
    .write = op_write, .release = op_release, .fsync = op_fsync, .opendir = op_opendir,
    .readdir = op_readdir, .readdirplus = op_readdirplus, .releasedir = op_releasedir,
    .fsyncdir = op_fsync, .statfs = op_statfs, .setxattr = op_setxattr, .getxattr = op_getxattr,
    .listxattr = op_listxattr, .removexattr = op_removexattr, .fallocate = op_fallocate,
    .lseek = op_lseek, .copy_file_range = op_copy_file_range, .ioctl = op_ioctl,
    /* No flush: the kernel has written a closed file's pages back before it
     * asks, keeps their errors itself, and never asks again after ENOSYS.
     * No locks: the kernel keeps them, and one kernel is all there is. */
};

/* libfuse explains itself on standard error, which a daemon has not. */
static void library_log(enum fuse_log_level level, const char *format, va_list args)
{
    char text[256];

    (void)level;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("ECL-0401 libfuse: %s", text);
}

const char *session_library(void)
{
    return fuse_pkgversion();
}

/* --- mount options ------------------------------------------------------------- */

/* A comma or backslash in a value would be read as the next option. */
static char *escape(const char *value)
{
    char *out = malloc(2 * strlen(value) + 1), *p = out;

    if (!out)
        return NULL;
    for (; *value; value++) {
        if (*value == ',' || *value == '\\')
            *p++ = '\\';
        *p++ = *value;
    }
    *p = '\0';
    return out;
}

static char *mount_options(const struct session_options *o)
{
    char *text = NULL, *name = escape(o->fsname);

    if (name && asprintf(&text, "-odefault_permissions,nosuid,nodev,subtype=ecluse,fsname=%s%s%s%s%s", name,
                         o->read_only ? ",ro" : "", o->noexec ? ",noexec" : "",
                         o->allow_other ? ",allow_other" : "",
                         o->allow_root && !o->allow_other ? ",allow_root" : "") < 0)
        text = NULL;
    free(name);
    return text;
}

static int open_library(struct session *s, const struct session_options *o)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    char *options = mount_options(o);
    int rc = 0;

    if (!options || fuse_opt_add_arg(&args, "ecluse") || fuse_opt_add_arg(&args, options))
        rc = -ENOMEM;
    if (!rc) {
        fuse_set_log_func(library_log);
        s->fuse = fuse_session_new(&args, &operations, sizeof operations, s);
        rc = s->fuse ? 0 : E_FUSE;
    }
    fuse_opt_free_args(&args);
    free(options);
    return rc;
}

int session_new(struct session **out, const struct session_options *o)
{
    struct session *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->writeback = o->writeback;
    s->devices = o->devices;
    s->acl = o->acl;
    sem_init(&s->event, 0, 0);
    workers_init(&s->pool);
    notify_init(s);
    s->mountpoint = strdup(o->mountpoint);
    int rc = s->mountpoint ? open_library(s, o) : -ENOMEM;
    if (rc) {
        session_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    if (s->fuse)
        fuse_session_destroy(s->fuse);
    workers_free(&s->pool);
    notify_free(s);
    sem_destroy(&s->event);
    free(s->mountpoint);
    free(s);
}

/* --- mounting -------------------------------------------------------------------- */

/* libfuse does not say.  With device and helper in place, somebody refused:
 * the helper, whose words went to standard error, or the system. */
static int why_not_mounted(void)
{
    bool helper = geteuid() == 0 || access("/usr/bin/fusermount3", X_OK) == 0 ||
                  access("/bin/fusermount3", X_OK) == 0;
    return access("/dev/fuse", R_OK | W_OK) == 0 && helper ? -EPERM : E_FUSE;
}

int session_mount(struct session *s, struct fs *fs, int at)
{
    char opened[32];
    struct stat st;

    /* fusermount3 looks for itself that nobody fools it. */
    bool direct = geteuid() == 0 && at >= 0;
    snprintf(opened, sizeof opened, "/proc/self/fd/%d", at);
    const char *place = direct ? opened : s->mountpoint;
    if (stat(place, &st) || !S_ISDIR(st.st_mode))
        return errno == EACCES ? -EACCES : E_MOUNTPOINT;
    s->fs = fs;
    if (fuse_session_mount(s->fuse, place))
        return why_not_mounted();
    return channel_attach(s);
}

void session_unmount(struct session *s)
{
    fuse_session_unmount(s->fuse);
}

/* --- serving ----------------------------------------------------------------------- */

/* While no thread is to be had for the next request it is tried again: whoever is served now may
 * be waiting for that one. */
static void wait_event(struct session *s)
{
    struct timespec until;

    while (atomic_load(&s->pool.short_of)) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += CALL_SECONDS;
        if (sem_clockwait(&s->event, CLOCK_MONOTONIC, &until) == 0)
            return;
        if (errno == ETIMEDOUT)
            worker_call(s);
    }
    while (sem_wait(&s->event) && errno == EINTR)
        ;
}

int session_run(struct session *s, void (*ready)(void *ctx), void *ctx)
{
    notify_open(s);
    int rc = workers_start(s);
    if (rc)
        return rc;
    for (bool told = false; !s->ended && !s->stop; wait_event(s))
        if (s->agreed && !told) {
            told = true;
            ready(ctx);
        }
    notify_close(s);
    workers_end(s);
    return s->agreed || s->stop ? 0 : E_FUSE;
}

void session_stop(struct session *s)
{
    int saved = errno;

    s->stop = true;
    sem_post(&s->event);
    errno = saved;
}

/* --- what the daemon asks ------------------------------------------------------------ */

unsigned session_idle(const struct session *s)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    unsigned last = atomic_load_explicit(&s->last_request, memory_order_relaxed);
    return (unsigned)t.tv_sec - last;
}

unsigned session_open_files(const struct session *s)
{
    return atomic_load_explicit(&s->open_files, memory_order_relaxed);
}
