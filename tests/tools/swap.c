/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Exchanges two names, over and over, until it is ended.
 *
 *   swap A B     an exchange that is refused (a mountpoint) is tried again
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>

int main(int argc, char **argv)
{
    unsigned random = 1;

    if (argc != 3)
        return 2;
    for (;;) {
        renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE);
        random = random * 1103515245u + 12345u;
        for (unsigned k = random >> 22; k; k--)
            sched_yield();
    }
}
