/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the process may leave behind, and how it leaves its terminal.
 *
 * No core, no ptrace by the user's other processes: keys are in its memory.
 */
#include "internal.h"
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_WANTED 65536u

/* What one worker allocates, another frees: with an arena for each thread, rows that
 * come and go leave a hundred MiB of holes behind. */
void process_one_arena(void)
{
    mallopt(M_ARENA_MAX, 1);
}

void process_harden(void)
{
    struct rlimit r = { 0, 0 };

    setrlimit(RLIMIT_CORE, &r);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < FILES_WANTED) {
        r.rlim_cur = r.rlim_max < FILES_WANTED ? r.rlim_max : FILES_WANTED;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    umask(077);
}

void process_block_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);    /* a limit of the session's: the write says EFBIG */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void process_detach(void)
{
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}
