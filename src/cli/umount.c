/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse umount and ecluse flush: both return when what was written has left
 * for the store, or say why it has not.
 */
#include "internal.h"
#include <ecluse/io.h>
#include <stdio.h>
#include <stdlib.h>

/* Options that are the same for both: --state, which finds nothing that the
 * mountpoint does not, but narrows "all" for flush. */
static int parse(int argc, char **argv, char **state, int least)
{
    static const struct option options[] = {
        { "state", required_argument, NULL, OPTION_STATE }, { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1)
        rc = found == OPTION_STATE ? option_set(state, optarg) : option_error(argc, argv, found);
    if (!rc && (argc - optind < least || argc - optind > 1))
        rc = usage_error(argv[0], _("one mountpoint is expected"));
    return rc;
}

/* The error came after the unmounting: it is about the last publication. */
static bool was_unmounted(int error)
{
    return error && error != E_NOT_MOUNTED && error != E_MOUNT_BUSY && error != E_CONTROL && error != -EPERM &&
           error != -EACCES && error != -EAGAIN && error != E_FUSE;
}

int command_umount(int argc, char **argv)
{
    char *state = NULL;

    int rc = parse(argc, argv, &state, 1);
    free(state);
    if (rc)
        return rc;
    rc = daemon_unmount(argv[optind]);
    int code = complain(rc, argv[optind]);
    if (was_unmounted(rc))
        fputs(_("The folder is unmounted all the same. What could not be published stays on this\n"
                "device, and is published after the next mount.\n"), stderr);
    return code;
}

/* Every mounted vault of the user; the first failure is the exit code. */
static int flush_all(const char *state)
{
    struct daemon_ref *all = NULL;
    char real[PATH_MAX] = "/";
    int first = EXIT_DONE;

    int rc = state ? path_real(state, real) : 0;
    if (rc)
        return complain(rc, state);
    int count = daemon_list(&all);
    if (count < 0)
        return complain(count, NULL);
    for (int k = 0; k < count; k++) {
        if (!path_within(all[k].state, real))
            continue;
        rc = complain(daemon_flush(&all[k]), all[k].mountpoint);
        first = first ? first : rc;
    }
    free(all);
    return first;
}

int command_flush(int argc, char **argv)
{
    struct daemon_ref d;
    char *state = NULL;

    int rc = parse(argc, argv, &state, 0);
    if (!rc && optind == argc)
        rc = flush_all(state);
    else if (!rc) {
        int found = daemon_find(argv[optind], &d);
        rc = complain(found ? found : daemon_flush(&d), argv[optind]);
    }
    free(state);
    return rc;
}
