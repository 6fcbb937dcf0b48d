/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Ends the connection to the kernel when the daemon has died in the middle of a fetch.
 *
 * A thread that asks the kernel for its dirty pages waits inside the kernel, and no
 * signal ends that wait.  It waits for writes that the daemon's other threads
 * answer.  When all are killed, nobody does: the thread stays, and with it the open
 * /dev/fuse, so the kernel never learns that the connection is over.  Programs
 * that use the mount hang, and the state remains locked, until the machine is
 * restarted.  So a process beside the daemon, told by the kernel that its parent
 * died, writes to the connection's file `abort`.
 *
 * It is forked before there is any secret or thread, holds nothing but the file that it
 * writes to (of this very connection, whatever gets its number later), and
 * ignores what service managers and terminals send to all processes of a group.
 * Where there is no fusectl filesystem and one may not be made, the daemon
 * does without.
 */
#include "internal.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT_DIED SIGUSR1

/* Systems without a service manager do not mount it; root needs no place for it. */
static int open_control(void)
{
    int context = fsopen("fusectl", FSOPEN_CLOEXEC);
    int made = context < 0 ? -1 : fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    int control = made ? -1 : fsmount(context, FSMOUNT_CLOEXEC, 0);

    if (context >= 0)
        close(context);
    return control;
}

static int open_abort(unsigned connection)
{
    char name[64];

    snprintf(name, sizeof name, "/sys/fs/fuse/connections/%u/abort", connection);
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    int control = open_control();
    if (control < 0)
        return -1;
    snprintf(name, sizeof name, "%u/abort", connection);
    fd = openat(control, name, O_WRONLY | O_CLOEXEC);
    close(control);
    return fd;
}

static void ignore_signals(void)
{
    static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };

    for (size_t k = 0; k < ARRAY_SIZE(ignored); k++)
        signal(ignored[k], SIG_IGN);
}

/* The child: `set` holds PARENT_DIED, which is blocked. */
_Noreturn static void watch(int pipe_end, const sigset_t *set)
{
    unsigned connection;
    int sig, fd = -1;

    ignore_signals();
    dup2(pipe_end, 0);
    close_range(1, ~0u, 0);
    if (read(0, &connection, sizeof connection) == sizeof connection)
        fd = open_abort(connection);
    close(0);
    if (fd >= 0 && sigwait(set, &sig) == 0 && write(fd, "1", 1) == 1)
        _exit(0);
    _exit(1);
}

void warden_start(struct warden *w)
{
    sigset_t set, before;
    int ends[2];
    pid_t parent = getpid();

    *w = (struct warden){ .pid = -1, .tell = -1 };
    if (pipe2(ends, O_CLOEXEC))
        return;
    sigemptyset(&set);
    sigaddset(&set, PARENT_DIED);
    sigprocmask(SIG_BLOCK, &set, &before);
    w->pid = fork();
    if (w->pid == 0) {
        prctl(PR_SET_PDEATHSIG, PARENT_DIED);
        if (getppid() == parent)
            watch(ends[0], &set);
        _exit(1);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[0]);
    w->tell = ends[1];
}

void warden_watch(struct warden *w, unsigned connection)
{
    if (w->tell >= 0 && write(w->tell, &connection, sizeof connection) < 0)
        log_debug("ECL-0515 the warden: %s", error_name(-errno));
}

void warden_stop(struct warden *w)
{
    if (w->tell >= 0)
        close(w->tell);
    if (w->pid > 0) {
        kill(w->pid, SIGKILL);
        waitpid(w->pid, NULL, 0);
    }
    *w = (struct warden){ .pid = -1, .tell = -1 };
}
