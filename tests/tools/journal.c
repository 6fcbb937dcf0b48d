/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A journal that only listens: writes each datagram that comes to SOCKET to standard output,
 * a blank line behind it, until it is ended.
 *
 *   journal SOCKET
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char data[65536];

    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address)) {
        perror(argv[1]);
        return 1;
    }
    for (;;) {
        ssize_t n = recv(fd, data, sizeof data, 0);
        if (n < 0)
            return 1;
        fwrite(data, 1, (size_t)n, stdout);
        putchar('\n');
        fflush(stdout);
    }
}
