/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Is what a mount shows the truth, or an error, and nothing else?
 *
 *   agree TRUTH MOUNT
 *
 * Both trees are walked.  Each name of the one must be in the other, with the same
 * type, size and target; each 4 KiB of each file must be the same bytes, or give
 * EIO.  The page cache of each file is dropped first, so that the store is asked.
 * Prints "SAME blocks, EIO refused"; exit 0, or 3 with the first lie.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP 4096

static unsigned long long same, refused;

static void lie(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void lie(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(3);
}

static void compare_files(const char *a, const char *b, off_t size)
{
    char x[STEP], y[STEP];
    int f = open(a, O_RDONLY), g = open(b, O_RDONLY);

    if (f < 0)
        lie("%s: %s", a, strerror(errno));
    if (g < 0) {
        if (errno != EIO)
            lie("%s: %s", b, strerror(errno));
        refused++;
        close(f);
        return;
    }
    posix_fadvise(g, 0, 0, POSIX_FADV_RANDOM);
    posix_fadvise(g, 0, 0, POSIX_FADV_DONTNEED);
    for (off_t at = 0; at < size; at += STEP) {
        ssize_t want = pread(f, x, STEP, at), got = pread(g, y, STEP, at);
        if (got < 0 && errno != EIO)
            lie("%s at %lld: %s", b, (long long)at, strerror(errno));
        if (got < 0)
            refused++;
        else if (got != want || memcmp(x, y, (size_t)want))
            lie("%s at %lld: other bytes", b, (long long)at);
        else
            same++;
    }
    if (pread(g, y, 1, size) > 0)
        lie("%s: is longer than it should be", b);
    close(f);
    close(g);
}

static void compare_links(const char *a, const char *b)
{
    char x[PATH_MAX] = "", y[PATH_MAX] = "";
    ssize_t m = readlink(a, x, sizeof x - 1), n = readlink(b, y, sizeof y - 1);

    if (m != n || strcmp(x, y))
        lie("%s: another target", b);
}

/* An error in the middle of a listing is no end of it. */
static int count_names(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    if (!d)
        lie("%s: %s", path, strerror(errno));
    for (errno = 0; readdir(d); errno = 0)
        n++;
    if (errno)
        lie("%s: after %d names: %s", path, n, strerror(errno));
    closedir(d);
    return n;
}

static void compare(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];
    struct stat s, t;

    if (lstat(a, &s))
        lie("%s: %s", a, strerror(errno));
    if (lstat(b, &t))
        lie("%s: %s", b, strerror(errno));
    if ((s.st_mode & S_IFMT) != (t.st_mode & S_IFMT) || (!S_ISDIR(s.st_mode) && s.st_size != t.st_size))
        lie("%s: another type or size", b);
    if (S_ISREG(s.st_mode))
        compare_files(a, b, s.st_size);
    if (S_ISLNK(s.st_mode))
        compare_links(a, b);
    if (!S_ISDIR(s.st_mode))
        return;
    int want = count_names(a), got = count_names(b);
    if (got != want)
        lie("%s: a listing of %d names and not %d; the next one has %d", b, got, want, count_names(b));
    DIR *d = opendir(a);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(x, sizeof x, "%s/%s", a, e->d_name) >= PATH_MAX ||
            snprintf(y, sizeof y, "%s/%s", b, e->d_name) >= PATH_MAX)
            lie("%s: a path is too long", a);
        compare(x, y);
    }
    if (d)
        closedir(d);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    compare(argv[1], argv[2]);
    printf("%llu blocks, %llu refused\n", same, refused);
    return 0;
}
