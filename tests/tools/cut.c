/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Cuts the power of filesystems: what was not synced is gone.
 *
 *   cut MOUNTPOINT...
 *
 * As `xfs_io -x -c shutdown` does, for ext4 and xfs alike: the filesystem stops at
 * once, without letting its journal out.  (xfs_io looks at every mount of the
 * machine first, and so waits for any that hangs.)
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHUTDOWN _IOR('X', 125, uint32_t)
#define NO_LOG_FLUSH 2u

int main(int argc, char **argv)
{
    int fds[8], count = argc - 1;
    uint32_t how = NO_LOG_FLUSH;

    if (count < 1 || count > 8) {
        fprintf(stderr, "usage: cut MOUNTPOINT...\n");
        return 2;
    }
    for (int k = 0; k < count; k++)
        if ((fds[k] = open(argv[k + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
            perror(argv[k + 1]);
            return 1;
        }
    for (int k = 0; k < count; k++)       /* one right after the other */
        if (ioctl(fds[k], SHUTDOWN, &how)) {
            perror(argv[k + 1]);
            return 1;
        }
    return 0;
}
