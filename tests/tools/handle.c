/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a file server does with a mount: it keeps handles, and opens files by them
 * later, without names.
 *
 *   handle save FILE...        the handles, one line each, on standard output
 *   handle open MOUNTPOINT     reads such lines and prints «inode size first-line» each
 *
 * Needs CAP_DAC_READ_SEARCH.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static union {
    struct file_handle h;
    char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} handle;

static int save(const char *path)
{
    int mount;
    handle.h.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(AT_FDCWD, path, &handle.h, &mount, 0)) {
        perror(path);
        return 1;
    }
    printf("%d ", handle.h.handle_type);
    for (unsigned i = 0; i < handle.h.handle_bytes; i++)
        printf("%02x", handle.h.f_handle[i]);
    printf("\n");
    return 0;
}

static int describe(int fd)
{
    struct stat st;
    char line[200] = "";
    if (fstat(fd, &st))
        return 1;
    ssize_t n = S_ISREG(st.st_mode) ? read(fd, line, sizeof(line) - 1) : 0;
    line[n < 0 ? 0 : strcspn(line, "\n")] = 0;
    printf("%llu %lld %s\n", (unsigned long long)st.st_ino, S_ISDIR(st.st_mode) ? 0 : (long long)st.st_size,
           S_ISDIR(st.st_mode) ? "/" : line);
    return n < 0;
}

static int open_all(const char *mountpoint)
{
    char hex[2 * MAX_HANDLE_SZ + 2];
    int failed = 0, mount = open(mountpoint, O_RDONLY | O_DIRECTORY);
    while (scanf("%d %257s", &handle.h.handle_type, hex) == 2) {
        handle.h.handle_bytes = (unsigned)strlen(hex) / 2;
        for (unsigned i = 0; i < handle.h.handle_bytes; i++) {
            unsigned byte = 0;
            sscanf(hex + 2 * i, "%2x", &byte);
            handle.h.f_handle[i] = (unsigned char)byte;
        }
        int fd = open_by_handle_at(mount, &handle.h, O_RDONLY);
        if (fd < 0)
            printf("refused: %s\n", strerror(errno));
        failed += fd < 0 || describe(fd);
        if (fd >= 0)
            close(fd);
    }
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc == 3 && !strcmp(argv[1], "open"))
        return open_all(argv[2]);
    if (argc < 3 || strcmp(argv[1], "save") != 0) {
        fprintf(stderr, "usage: handle save FILE... | handle open MOUNTPOINT\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        failed += save(argv[i]);
    return failed ? 1 : 0;
}
