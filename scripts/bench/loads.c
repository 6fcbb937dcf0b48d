/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The loads of the benchmark that a shell tool would distort: a process per
 * file, a source that must itself be read, or a timer that starts too early.
 *
 *     loads write  FILE BYTES      sequential, 1 MiB at a time, then fsync
 *     loads read   FILE            sequential, 1 MiB at a time
 *     loads append FILE COUNT      COUNT buffered writes of 4 KiB, O_APPEND, then fsync
 *     loads edit   FILE OFFSET     overwrites 4 KiB in place, then fsync
 *     loads create DIR COUNT FAN   COUNT files of 512 bytes, FAN in each directory (0: all in DIR)
 *     loads stat   DIR COUNT FAN   in the order in which they were made
 *     loads unlink DIR COUNT FAN
 *     loads make | drop DIR COUNT FAN    the directories that FAN asks for
 *
 * Each prints the seconds that it took, and after them, for `create`, the
 * seconds of the first and of the last tenth.  Written bytes are pseudo-random
 * from a fixed seed, and no two blocks are equal: nothing can be compressed,
 * deduplicated or left as a hole.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, PIECE = 1 << 20, SMALL = 512 };

static unsigned char piece[PIECE];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "loads: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fill(void)
{
    uint64_t x = 0x9e3779b97f4a7c15; /* xorshift64, the seed */
    for (size_t i = 0; i < PIECE; i += sizeof x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(piece + i, &x, sizeof x);
    }
}

static void stamp(uint64_t block, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++, block++)
        memcpy(piece + i * BLOCK, &block, sizeof block);
}

static void put(int fd, const char *path, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, piece + done, len - done);
        if (n < 0)
            die(path);
        done += (size_t)n;
    }
}

static void sync_and_close(int fd, const char *path)
{
    if (fsync(fd) || close(fd))
        die(path);
}

static int open_or_die(const char *path, int flags)
{
    int fd = open(path, flags, 0644);
    if (fd < 0)
        die(path);
    return fd;
}

static void run_write(const char *path, uint64_t bytes, uint64_t fan)
{
    (void)fan;
    int fd = open_or_die(path, O_WRONLY | O_CREAT | O_TRUNC);
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        stamp(at / BLOCK, PIECE / BLOCK);
        put(fd, path, bytes - at < PIECE ? (size_t)(bytes - at) : PIECE);
    }
    sync_and_close(fd, path);
}

static void run_read(const char *path, uint64_t count, uint64_t fan)
{
    (void)count, (void)fan;
    int fd = open_or_die(path, O_RDONLY);
    ssize_t n;
    while ((n = read(fd, piece, PIECE)) > 0)
        ;
    if (n < 0)
        die(path);
    close(fd);
}

static void run_append(const char *path, uint64_t count, uint64_t fan)
{
    (void)fan;
    int fd = open_or_die(path, O_WRONLY | O_CREAT | O_APPEND);
    for (uint64_t i = 0; i < count; i++) {
        stamp(i, 1);
        put(fd, path, BLOCK);
    }
    sync_and_close(fd, path);
}

static void run_edit(const char *path, uint64_t offset, uint64_t fan)
{
    (void)fan;
    int fd = open_or_die(path, O_WRONLY);
    stamp(~offset, 1);
    if (pwrite(fd, piece, BLOCK, (off_t)offset) != BLOCK)
        die(path);
    sync_and_close(fd, path);
}

static const char *name_of(const char *dir, uint64_t i, uint64_t fan)
{
    static char name[4200];
    if (fan)
        snprintf(name, sizeof name, "%s/d%05u/f%07u", dir, (unsigned)(i / fan), (unsigned)i);
    else
        snprintf(name, sizeof name, "%s/f%07u", dir, (unsigned)i);
    return name;
}

static double first_tenth, last_tenth;

static void run_create(const char *dir, uint64_t count, uint64_t fan)
{
    double start = now();
    for (uint64_t i = 0; i < count; i++) {
        const char *name = name_of(dir, i, fan);
        int fd = open_or_die(name, O_WRONLY | O_CREAT | O_EXCL);
        stamp(i, 1);
        put(fd, name, SMALL);
        if (close(fd))
            die(name);
        if (i + 1 == count / 10)
            first_tenth = now() - start;
        if (i + 1 == count - count / 10)
            last_tenth = now();
    }
    last_tenth = now() - last_tenth;
}

static void run_stat(const char *dir, uint64_t count, uint64_t fan)
{
    struct stat st;
    for (uint64_t i = 0; i < count; i++)
        if (lstat(name_of(dir, i, fan), &st) || st.st_size != SMALL)
            die(name_of(dir, i, fan));
}

static void run_unlink(const char *dir, uint64_t count, uint64_t fan)
{
    for (uint64_t i = 0; i < count; i++)
        if (unlink(name_of(dir, i, fan)))
            die(name_of(dir, i, fan));
}

static void each_directory(const char *dir, uint64_t count, uint64_t fan, int (*act)(const char *))
{
    char name[4200];
    for (uint64_t i = 0; fan && i < count; i += fan) {
        snprintf(name, sizeof name, "%s/d%05u", dir, (unsigned)(i / fan));
        if (act(name))
            die(name);
    }
}

static int make_directory(const char *name) { return mkdir(name, 0755); }

static void run_make(const char *dir, uint64_t count, uint64_t fan)
{
    each_directory(dir, count, fan, make_directory);
}

static void run_drop(const char *dir, uint64_t count, uint64_t fan)
{
    each_directory(dir, count, fan, rmdir);
}

static const struct {
    const char *name;
    void (*run)(const char *path, uint64_t count, uint64_t fan);
} loads[] = {
    {"write", run_write},   {"read", run_read},     {"append", run_append},
    {"edit", run_edit},     {"create", run_create}, {"stat", run_stat},
    {"unlink", run_unlink}, {"make", run_make},     {"drop", run_drop},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 3 && i < sizeof loads / sizeof *loads; i++) {
        if (strcmp(argv[1], loads[i].name))
            continue;
        uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
        uint64_t fan = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
        fill();
        double start = now();
        loads[i].run(argv[2], count, fan);
        printf("%.6f", now() - start);
        if (first_tenth > 0)
            printf(" %.6f %.6f", first_tenth, last_tenth);
        putchar('\n');
        return 0;
    }
    fputs("usage: loads LOAD PATH [COUNT [FAN]]\n", stderr);
    return 2;
}
