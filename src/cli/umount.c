/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse umount and ecluse flush: both return when what was written has left
 * for the store, or say why it has not.
 *
 * As umount.ecluse, the former is the helper of umount(8), which thereby waits too;
 * what is lazy or forced there goes back to it, for nothing of ours can wait then.
 */
#include "internal.h"
#include <ecluse/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --state finds nothing that the mountpoint does not, but narrows "all". Flush needs
 * no word for all; umount does, lest a forgotten argument close everything. */
static int parse(int argc, char **argv, char **state, bool *all)
{
    const struct option_place places[] = { { "state", NULL, state }, { all ? "all" : NULL, all, NULL }, { 0 } };

    int rc = options_take(argc, argv, places, 0, 1, _("one mountpoint is expected"));
    if (!rc && all && *all && optind < argc)
        rc = usage_error(argv[0], _("“--all” goes without a mountpoint"));
    else if (!rc && all && !*all && optind == argc)
        rc = usage_error(argv[0], _("one mountpoint is expected"));
    return rc;
}

/* Vaults of this user (root: of everybody) whose state lies below `state`. A count, or
 * -1 after saying why; *out is malloc'd. */
static int list(const char *state, struct daemon_ref **out, int *code)
{
    char real[PATH_MAX] = "/";
    int kept = 0;

    int rc = state ? path_real(state, real) : 0;
    int count = rc ? rc : daemon_list(out);
    *code = complain(count < 0 ? count : 0, rc ? state : NULL);
    for (int k = 0; k < count; k++)
        if (path_within((*out)[k].state, real))
            (*out)[kept++] = (*out)[k];
    return count < 0 ? -1 : kept;
}

/* The error came after the unmounting: it is about the last publication. */
static bool was_unmounted(int error)
{
    return error && error != E_NOT_MOUNTED && error != E_MOUNT_BUSY && error != E_CONTROL && error != -EPERM &&
           error != -EACCES && error != -EAGAIN && error != E_FUSE && error != E_UNMOUNT;
}

static void say_waiting(void)
{
    fputs(_("ecluse: waiting for the last publication; it goes on when you stop this command (Ctrl-C)\n"), stderr);
}

static int unmount(const char *mountpoint, bool ourselves)
{
    int rc = daemon_unmount(mountpoint, ourselves, say_waiting);
    int code = complain(rc, mountpoint);

    if (rc == E_UNSAVED)
        fputs(_("The folder is unmounted all the same. Check the files that you changed last; the log says why\n"
                "they could not be written to this device.\n"), stderr);
    else if (rc == E_STORE_STUCK)
        fputs(_("The folder is unmounted. What could not be published stays on this device; it is published when the\n"
                "store answers again, or after the next mount. Nothing is lost when this computer is shut down.\n"), stderr);
    else if (was_unmounted(rc))
        fputs(_("The folder is unmounted all the same. What could not be published stays on this\n"
                "device, and is published after the next mount.\n"), stderr);
    return code;
}

static int code_of(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return complain(-errno, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SYSTEM;
}

/* All at once, each in a process of its own: that one publishes for long must not
 * leave the next one open. The first failure is the exit code. */
static int unmount_all(const char *state)
{
    struct daemon_ref *all = NULL;
    int first, count = list(state, &all, &first);
    pid_t *children = count > 0 ? calloc((size_t)count, sizeof *children) : NULL;

    if (count > 0 && !children)
        first = complain(-ENOMEM, NULL);
    for (int k = 0; children && k < count; k++) {
        children[k] = fork();
        if (children[k] == 0)
            _exit(unmount(all[k].mountpoint, false));
    }
    for (int k = 0; children && k < count; k++) {
        int code = children[k] > 0 ? code_of(children[k]) : unmount(all[k].mountpoint, false);
        first = first ? first : code;
    }
    free(children);
    free(all);
    return first;
}

int command_umount(int argc, char **argv)
{
    char *state = NULL;
    bool all = false;

    int rc = parse(argc, argv, &state, &all);
    if (!rc)
        rc = all ? unmount_all(state) : unmount(argv[optind], false);
    free(state);
    return rc;
}

/* umount.ecluse DIR [-flnrv] [-N namespace] [-t type] */
int command_umount_helper(int argc, char **argv)
{
    bool lazy = false, force = false;
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt(argc, argv, ":flnrvN:t:")) != -1) {
        switch (found) {
        case 'l': lazy = true; break;
        case 'f': force = true; break;
        case 'n': case 'r': case 'v': case 'N': case 't': break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind != 1)
        rc = usage_error("umount", _("one mountpoint is expected"));
    /* While an automount expires the vault, autofs lets only umount(8) and its children through. */
    if (rc || !(lazy || force))
        return rc ? rc : unmount(argv[optind], geteuid() == 0);
    const char *how = lazy && force ? "-ilf" : lazy ? "-il" : "-if";
    execlp("umount", "umount", how, "--", argv[optind], (char *)NULL);
    return complain(-errno, "umount");
}

/* Every mounted vault of the user; the first failure is the exit code. */
static int flush_all(const char *state)
{
    struct daemon_ref *all = NULL;
    int first, count = list(state, &all, &first);

    for (int k = 0; k < count; k++) {
        int rc = complain(daemon_flush(&all[k]), all[k].mountpoint);
        first = first ? first : rc;
    }
    free(all);
    return first;
}

int command_flush(int argc, char **argv)
{
    struct daemon_ref d;
    char *state = NULL;

    int rc = parse(argc, argv, &state, NULL);
    if (!rc && optind == argc)
        rc = flush_all(state);
    else if (!rc) {
        int found = daemon_find(argv[optind], &d);
        rc = complain(found ? found : daemon_flush(&d), argv[optind]);
    }
    free(state);
    return rc;
}
