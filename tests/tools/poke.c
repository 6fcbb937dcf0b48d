/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Misuses a control socket.
 *
 *   poke SOCKET garbage [--seed N] N   N connections with random bytes, answers read
 *   poke SOCKET huge                   bytes without a newline until the other side hangs up
 *   poke SOCKET half N                 N connections that end within a request
 *   poke SOCKET slow N                 N connections at once, that say a byte a second; waits
 *                                      until all were hung up, prints after how many ms
 *   poke SOCKET deaf N                 N requests whose answers nobody reads
 *   poke SOCKET many N                 N requests at once; prints how many were answered
 *   poke SOCKET say TEXT               one request; prints the answer
 *
 * Exit 1 when the socket cannot be reached.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MANY_MAX = 900 };

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int fds[MANY_MAX];
static uint64_t seed = 1;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static int reach(void)
{
    struct timeval limit = { .tv_sec = 20 };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("poke");
        exit(1);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

/* Bytes of the answer, up to the end of the connection; 0 when there was none. */
static size_t listen_to(int fd, char *out, size_t size)
{
    size_t used = 0;
    ssize_t n;

    while (used + 1 < size && (n = read(fd, out + used, size - used - 1)) > 0)
        used += (size_t)n;
    out[used] = '\0';
    close(fd);
    return used;
}

static void garbage(int count)
{
    static const char *const words[] = { "ping", "status", "flush", "ping\n", "\n", "status\r\n", "PING\n", " ping\n" };
    char bytes[6000], answer[65536];

    for (int k = 0; k < count; k++) {
        int fd = reach();
        size_t len = below(sizeof bytes), at = 0;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)below(256);
        if (below(3) == 0) {
            const char *word = words[below(sizeof words / sizeof *words)];
            at = strlen(word);
            memcpy(bytes, word, at);
        }
        len = below(4) ? len : at;
        send(fd, bytes, len, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        listen_to(fd, answer, sizeof answer);
    }
}

static void huge(void)
{
    static char bytes[65536];
    uint64_t sent = 0;
    int fd = reach();
    ssize_t n;

    memset(bytes, 'x', sizeof bytes);
    while (sent < (1u << 30) && (n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL)) > 0)
        sent += (uint64_t)n;
    printf("%llu\n", (unsigned long long)sent);
}

static void open_all(int count, const char *text)
{
    for (int k = 0; k < count; k++) {
        fds[k] = reach();
        /* Who is turned away at once finds the answer there all the same. */
        if (text && send(fds[k], text, strlen(text), MSG_NOSIGNAL) < 0 && errno != EPIPE)
            perror("poke");
    }
}

static long milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void slow(int count)
{
    long begin = milliseconds(), last = begin;
    int left = count;

    open_all(count, "s");
    while (left) {
        struct pollfd p[MANY_MAX];
        for (int k = 0; k < count; k++)
            p[k] = (struct pollfd){ fds[k], POLLIN, 0 };
        poll(p, (nfds_t)count, 1000);
        for (int k = 0; k < count; k++) {
            char answer[4096];
            if (fds[k] < 0 || !p[k].revents)
                continue;
            listen_to(fds[k], answer, sizeof answer);
            fds[k] = -1;
            left--;
        }
        for (int k = 0; milliseconds() - last >= 1000 && k < count; k++)
            if (fds[k] >= 0)
                send(fds[k], "t", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        last = milliseconds() - last >= 1000 ? milliseconds() : last;
    }
    printf("%ld\n", milliseconds() - begin);
}

static void many(int count)
{
    char answer[65536];
    int answered = 0;

    open_all(count, "status\n");
    for (int k = 0; k < count; k++)
        answered += listen_to(fds[k], answer, sizeof answer) > 2;
    printf("%d\n", answered);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    char answer[65536];

    const char *word = argc > 3 ? argv[argc - 1] : "0";
    int n = atoi(word);

    if (argc == 6 && !strcmp(argv[3], "--seed"))
        seed = strtoull(argv[4], NULL, 10);
    if (argc < 3 || strlen(argv[1]) >= sizeof address.sun_path || n > MANY_MAX)
        return 2;
    strcpy(address.sun_path, argv[1]);
    if (!strcmp(what, "garbage"))
        garbage(n);
    else if (!strcmp(what, "huge"))
        huge();
    else if (!strcmp(what, "half"))
        for (int k = 0; k < n; k++) {
            int fd = reach();
            send(fd, "stat", 4, MSG_NOSIGNAL);
            close(fd);
        }
    else if (!strcmp(what, "slow"))
        slow(n);
    else if (!strcmp(what, "deaf"))
        open_all(n, "status\n");
    else if (!strcmp(what, "many"))
        many(n);
    else if (!strcmp(what, "say")) {
        int fd = reach();
        /* The other side may hang up before it has heard all. */
        if (send(fd, word, strlen(word), MSG_NOSIGNAL) >= 0 && send(fd, "\n", 1, MSG_NOSIGNAL) < 0 && errno != EPIPE)
            perror("poke");
        listen_to(fd, answer, sizeof answer);
        printf("%s", answer);
    } else
        return 2;
    return 0;
}
