/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Plays the service manager: hear SOCKET COMMAND...
 *
 * Binds SOCKET (abstract when it begins with @), runs the command with NOTIFY_SOCKET
 * set to it, and prints each line of each datagram, until the command has ended.
 * Its exit code is the command's.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int bind_to(const char *name)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t len = strlen(name);

    if (len >= sizeof at.sun_path)
        return -1;
    memcpy(at.sun_path, name, len);
    if (*name == '@')
        at.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, size) ? -1 : fd;
}

static void print_waiting(int fd)
{
    char text[4096];
    ssize_t n;

    while ((n = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0)
        printf("%.*s\n", (int)n, text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int status;

    int fd = argc > 2 ? bind_to(argv[1]) : -1;
    if (fd < 0) {
        perror("hear");
        return 99;
    }
    setenv("NOTIFY_SOCKET", argv[1], 1);
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(98);
    }
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
                           { .fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN } };
    while (!p[1].revents) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 99;
        print_waiting(fd);
    }
    waitpid(child, &status, 0);
    print_waiting(fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
