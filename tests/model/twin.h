/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Two directories that ought to be the same one: the mounted vault and a plain
 * directory.
 *
 * Comparison tells what differs legitimately from what does not: sizes of directories,
 * st_blocks, inode numbers and the exact instant of "now" may differ; names, types,
 * modes, owners, link counts, the shape of hard links, sizes, contents, link
 * targets, extended attributes and every time that was set explicitly may not.
 */
#ifndef TESTS_TWIN_H
#define TESTS_TWIN_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum side { MOUNT, PLAIN };

/* Times before this were set by utimensat; later ones are "now". */
#define TWIN_SET_BEFORE 1300000000

/* Which inode of the mount stands for which one of the plain side. */
struct pair { ino_t plain, mount; };
static struct pair *pairs;
static size_t pair_count, pair_room;

static bool pair_matches(ino_t plain, ino_t mount)
{
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].plain == plain || pairs[i].mount == mount)
            return pairs[i].plain == plain && pairs[i].mount == mount;
    if (pair_count == pair_room) {
        pair_room = pair_room ? 2 * pair_room : 1024;
        pairs = realloc(pairs, pair_room * sizeof(*pairs));
        if (!pairs)
            abort();
    }
    pairs[pair_count++] = (struct pair){ plain, mount };
    return true;
}

static bool same_time(struct timespec mount, struct timespec plain)
{
    if (plain.tv_sec < TWIN_SET_BEFORE)
        return mount.tv_sec == plain.tv_sec && mount.tv_nsec == plain.tv_nsec;
    return labs(mount.tv_sec - plain.tv_sec) < 600;
}

/* Says what differs between two attributes, NULL when nothing does. */
static const char *twin_differs(const struct stat *mount, const struct stat *plain)
{
    if (mount->st_mode != plain->st_mode)
        return "mode";
    if (mount->st_nlink != plain->st_nlink)
        return "link count";
    if (mount->st_uid != plain->st_uid || mount->st_gid != plain->st_gid)
        return "owner";
    if (!S_ISDIR(plain->st_mode) && mount->st_size != plain->st_size)
        return "size";
    if (mount->st_rdev != plain->st_rdev)
        return "device number";
    if (!same_time(mount->st_mtim, plain->st_mtim))
        return "mtime";
    if (labs(mount->st_ctim.tv_sec - plain->st_ctim.tv_sec) > 600)
        return "ctime";
    return NULL;
}

struct twin_name { char *name; unsigned char type; ino_t ino; };

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct twin_name *)a)->name, ((const struct twin_name *)b)->name);
}

/* Fills list with the names of an open directory, sorted: their number or -errno. */
static long twin_names(int dir, struct twin_name **list)
{
    long count = 0;
    *list = NULL;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return -errno;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        struct twin_name *more = realloc(*list, (size_t)(count + 1) * sizeof(*more));
        if (!more)
            abort();
        *list = more;
        more[count++] = (struct twin_name){ strdup(e->d_name), e->d_type, e->d_ino };
    }
    closedir(d);
    if (count)
        qsort(*list, (size_t)count, sizeof(**list), by_name);
    return count;
}

static void twin_names_free(struct twin_name *list, long count)
{
    for (long i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The extended attributes of an open file, as sorted text of names, lengths and
 * check sums of values: its length, or -errno. */
static long twin_xattrs(int fd, char *out, size_t size)
{
    char list[4096], value[4096], *names[256];
    size_t count = 0, used = 0;
    ssize_t len = flistxattr(fd, list, sizeof(list));
    if (len < 0)
        return -errno;
    for (char *name = list; name < list + len && count < 256; name += strlen(name) + 1)
        names[count++] = name;
    qsort(names, count, sizeof(*names), by_text);
    for (size_t i = 0; i < count; i++) {
        ssize_t n = fgetxattr(fd, names[i], value, sizeof(value));
        if (n < 0)
            return -errno;
        unsigned sum = 2166136261u;
        for (ssize_t k = 0; k < n; k++)
            sum = (sum ^ (unsigned char)value[k]) * 16777619u;
        used += (size_t)snprintf(out + used, size - used, "%s[%zd]=%08x ", names[i], n, sum);
        if (used >= size)
            return -ERANGE;
    }
    return (long)used;
}

static int say(const char *path, const char *what)
{
    fprintf(stderr, "difference: %s: %s\n", *path ? path : ".", what);
    return 1;
}

static int compare_contents(int mount, int plain, const char *path)
{
    static char a[1 << 18], b[1 << 18];
    for (off_t at = 0;;) {
        ssize_t got = pread(mount, a, sizeof(a), at), want = pread(plain, b, sizeof(b), at);
        if (got != want)
            return say(path, "length of what is read");
        if (got <= 0)
            return 0;
        for (ssize_t i = 0; i < got; i++)
            if (a[i] != b[i]) {
                fprintf(stderr, "byte %lld is %02x, not %02x\n", (long long)at + i, a[i] & 255, b[i] & 255);
                return say(path, "contents");
            }
        at += got;
    }
}

static int compare_link(int mount, int plain, const char *name, const char *path)
{
    char a[4097] = "", b[4097] = "";
    ssize_t n = readlinkat(mount, name, a, sizeof(a)), m = readlinkat(plain, name, b, sizeof(b));
    return n != m || n < 0 || memcmp(a, b, (size_t)n) ? say(path, "link target") : 0;
}

static int compare_xattrs(int mount, int plain, const char *path)
{
    char a[8192] = "", b[8192] = "";
    long n = twin_xattrs(mount, a, sizeof(a)), m = twin_xattrs(plain, b, sizeof(b));
    if (n == m && !strcmp(a, b))
        return 0;
    fprintf(stderr, "%s (%ld), not %s (%ld)\n", a, n, b, m);
    return say(path, "extended attributes");
}

static int compare_below(int mount, int plain, const char *path);

static int compare_entry(int mount, int plain, const char *name, const char *path)
{
    struct stat a, b;
    if (fstatat(mount, name, &a, AT_SYMLINK_NOFOLLOW) || fstatat(plain, name, &b, AT_SYMLINK_NOFOLLOW))
        return say(path, "cannot be looked at");
    const char *what = twin_differs(&a, &b);
    if (what) {
        fprintf(stderr, "mode %o links %lu size %lld mtime %lld, not mode %o links %lu size %lld mtime %lld\n",
                a.st_mode, (unsigned long)a.st_nlink, (long long)a.st_size, (long long)a.st_mtime, b.st_mode,
                (unsigned long)b.st_nlink, (long long)b.st_size, (long long)b.st_mtime);
        return say(path, what);
    }
    if (!pair_matches(b.st_ino, a.st_ino))
        return say(path, "inode number, or which names are one file");
    if (S_ISLNK(b.st_mode))
        return compare_link(mount, plain, name, path);
    if (!S_ISREG(b.st_mode) && !S_ISDIR(b.st_mode))
        return 0;
    int x = openat(mount, name, O_RDONLY), y = openat(plain, name, O_RDONLY);
    int bad = (x < 0) != (y < 0) ? say(path, "cannot be opened") : 0;
    if (x >= 0 && y >= 0) {
        bad += compare_xattrs(x, y, path);
        bad += S_ISDIR(b.st_mode) ? compare_below(x, y, path) : compare_contents(x, y, path);
    }
    if (x >= 0)
        close(x);
    if (y >= 0)
        close(y);
    return bad;
}

static int compare_below(int mount, int plain, const char *path)
{
    struct twin_name *a, *b;
    long n = twin_names(mount, &a), m = twin_names(plain, &b), i = 0, k = 0;
    int bad = n < 0 || m < 0 ? say(path, "cannot be listed") : 0;
    while (i < n || k < m) {
        int order = i >= n ? 1 : k >= m ? -1 : strcmp(a[i].name, b[k].name);
        char *below = NULL;
        if (asprintf(&below, "%s/%s", path, order <= 0 ? a[i].name : b[k].name) < 0)
            abort();
        if (order)
            bad += say(below, order < 0 ? "should not be there" : "is missing");
        else
            bad += compare_entry(mount, plain, a[i].name, below);
        free(below);
        i += order <= 0;
        k += order >= 0;
    }
    twin_names_free(a, n);
    twin_names_free(b, m);
    return bad;
}

/*
 * Compares two open directories, recursively; prints each difference and returns
 * their number.  Inode numbers of the mount are remembered by those of the plain
 * side: with `keep` the earlier ones must be met again (a remount keeps
 * them), else the memory starts anew.
 */
static int twin_compare(int mount, int plain, bool keep)
{
    if (!keep)
        pair_count = 0;
    return compare_below(mount, plain, "");
}

#endif
