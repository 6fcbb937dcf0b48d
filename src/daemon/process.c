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
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

void process_notify(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    size_t len = name ? strlen(name) : 0;
    if (!len || len >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, name, len);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0)
        log_debug("ECL-0503 service manager: %s", error_name(-errno));
    close(fd);
}
