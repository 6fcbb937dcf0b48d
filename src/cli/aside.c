/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Libraries that were not made for secrets, kept away from ours.
 *
 * What they leave behind in freed memory and on the stack is a copy that nobody
 * wipes.  So they work in a child, which ends at once and whose pages the kernel
 * clears; a library that crashes or does not come to an end costs its result only.
 *
 * The caller has one thread.  The child's memory is not locked: for that instant
 * it could be swapped out.
 */
#include "internal.h"
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_SECONDS 10

static _Noreturn void work_and_leave(aside_work *work, const void *in, size_t len, uint8_t *out, size_t size, int to)
{
    alarm(LIMIT_SECONDS);
    ssize_t n = work(in, len, out, size);
    for (ssize_t done = 0, step; done < n; done += step) {
        step = write(to, out + done, (size_t)(n - done));
        if (step <= 0)
            _exit(1);
    }
    _exit(n < 0);
}

static ssize_t read_all(int from, uint8_t *out, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t n = read(from, out + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

ssize_t aside_run(aside_work *work, const void *in, size_t len, uint8_t *out, size_t size)
{
    int ends[2], status = -1;

    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    pid_t child = fork();
    if (child == 0)
        work_and_leave(work, in, len, out, size, ends[1]);
    ssize_t rc = child < 0 ? -errno : 0;
    close(ends[1]);
    if (!rc)
        rc = read_all(ends[0], out, size);
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return rc >= 0 && status ? -EIO : rc;
}
