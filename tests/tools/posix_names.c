/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names and directories behave as on ext4: renames, links, special files, odd
 * names, and listings that change while they are read.
 */
#include "expect.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

static int put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    return close(fd) || n != (ssize_t)strlen(text) ? -1 : 0;
}

static bool holds(const char *name, const char *text)
{
    char got[256];
    int fd = open(name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n);
}

static nlink_t links(const char *name)
{
    struct stat st;
    return lstat(name, &st) ? 0 : st.st_nlink;
}

static ino_t inode(const char *name)
{
    struct stat st;
    return lstat(name, &st) ? 0 : st.st_ino;
}

static void rename_replaces(void)
{
    EXPECT(!put("a", "new") && !put("b", "old"));
    int fd = open("b", O_RDONLY);
    EXPECT(fd >= 0 && !rename("a", "b"));
    EXPECT_ERRNO(access("a", F_OK), ENOENT);
    EXPECT(holds("b", "new"));
    char old[8];
    EXPECT(read(fd, old, sizeof(old)) == 3 && !memcmp(old, "old", 3));
    EXPECT(!close(fd));
}

static void rename_of_directories(void)
{
    EXPECT(!mkdir("d", 0755) && !mkdir("d/e", 0755) && !mkdir("full", 0755) && !put("full/x", "x"));
    EXPECT(!put("f", "f"));
    EXPECT_ERRNO(rename("d", "full"), ENOTEMPTY);
    EXPECT_ERRNO(rename("f", "d"), EISDIR);
    EXPECT_ERRNO(rename("d", "f"), ENOTDIR);
    EXPECT_ERRNO(rename("d", "d/e/g"), EINVAL);
    EXPECT_ERRNO(rename("d/e", "missing/g"), ENOENT);
    EXPECT(!mkdir("empty", 0755) && !rename("full", "empty") && holds("empty/x", "x"));
    EXPECT(links("d") == 3 && !rename("d/e", "empty/e"));
    EXPECT(links("d") == 2 && links("empty") == 3);
    EXPECT(inode("empty/e/..") == inode("empty"));
}

static void rename_flags(void)
{
    EXPECT(!put("a", "A") && !put("b", "B") && !mkdir("d", 0755) && !put("d/x", "X"));
    EXPECT_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
    EXPECT(!renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) && holds("c", "A"));
    EXPECT(!renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_EXCHANGE));
    EXPECT(holds("b", "A") && holds("c", "B"));
    EXPECT(!renameat2(AT_FDCWD, "b", AT_FDCWD, "d", RENAME_EXCHANGE));
    EXPECT(holds("d", "A") && holds("b/x", "X"));
    EXPECT_ERRNO(renameat2(AT_FDCWD, "b", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
    EXPECT(!link("c", "c2") && !rename("c", "c2") && links("c") == 2 && links("c2") == 2);
}

static void unlinked_files_live_on(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    EXPECT(fd >= 0 && write(fd, "before", 6) == 6 && !unlink("f"));
    struct stat st;
    EXPECT(!fstat(fd, &st) && st.st_nlink == 0 && st.st_size == 6);
    EXPECT(pwrite(fd, "after", 5, 100000) == 5 && !fsync(fd));
    char got[8];
    EXPECT(pread(fd, got, 5, 100000) == 5 && !memcmp(got, "after", 5));
    EXPECT(!fchmod(fd, 0600) && !ftruncate(fd, 3) && pread(fd, got, 8, 0) == 3);
    EXPECT(!put("f", "another") && !close(fd) && holds("f", "another"));
}

static void removed_directories_are_dead(void)
{
    EXPECT(!mkdir("d", 0755));
    int fd = open("d", O_RDONLY | O_DIRECTORY);
    EXPECT(fd >= 0 && !put("d/x", "x"));
    EXPECT_ERRNO(rmdir("d"), ENOTEMPTY);
    EXPECT_ERRNO(unlink("d"), EISDIR);
    EXPECT_ERRNO(rmdir("d/x"), ENOTDIR);
    EXPECT(!unlink("d/x") && !rmdir("d"));
    EXPECT_ERRNO(openat(fd, "y", O_CREAT | O_WRONLY, 0644), ENOENT);
    EXPECT_ERRNO(mkdirat(fd, "z", 0755), ENOENT);
    EXPECT(!close(fd));
}

static void hard_links(void)
{
    EXPECT(!put("a", "one") && !mkdir("d", 0755) && !link("a", "d/b"));
    EXPECT(links("a") == 2 && inode("a") == inode("d/b"));
    EXPECT(!put("d/b", "two") && holds("a", "two"));
    EXPECT_ERRNO(link("a", "d/b"), EEXIST);
    EXPECT_ERRNO(link("d", "e"), EPERM);
    EXPECT(!unlink("a") && links("d/b") == 1 && holds("d/b", "two"));
}

static void symbolic_links(void)
{
    char target[4096], got[4096];
    memset(target, 't', sizeof(target) - 1);
    target[sizeof(target) - 1] = 0;
    EXPECT(!symlink(target, "long") && readlink("long", got, sizeof(got)) == 4095);
    EXPECT(!memcmp(got, target, 4095));
    struct stat st;
    EXPECT(!lstat("long", &st) && S_ISLNK(st.st_mode) && st.st_size == 4095);
    EXPECT(!symlink("loop2", "loop1") && !symlink("loop1", "loop2"));
    EXPECT_ERRNO(open("loop1", O_RDONLY), ELOOP);
    EXPECT(!put("f", "x") && !symlink("f", "good"));
    EXPECT_ERRNO(open("good", O_RDONLY | O_NOFOLLOW), ELOOP);
    EXPECT(holds("good", "x") && readlink("good", got, sizeof(got)) == 1);
    EXPECT_ERRNO(readlink("f", got, sizeof(got)), EINVAL);
    EXPECT(!link("good", "hard") && !lstat("hard", &st) && S_ISLNK(st.st_mode));
}

static void fifos_carry_bytes(void)
{
    EXPECT(!mkfifo("p", 0600));
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        int w = open("p", O_WRONLY);
        _exit(write(w, "through", 7) != 7);
    }
    int r = open("p", O_RDONLY);
    char got[8];
    EXPECT(r >= 0 && read(r, got, 8) == 7 && !memcmp(got, "through", 7));
    int status = 1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0 && !close(r));
}

static void sockets_listen(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "sock" };
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(s >= 0 && c >= 0 && !bind(s, (struct sockaddr *)&at, sizeof(at)) && !listen(s, 1));
    struct stat st;
    EXPECT(!lstat("sock", &st) && S_ISSOCK(st.st_mode));
    EXPECT(!connect(c, (struct sockaddr *)&at, sizeof(at)));
    EXPECT_ERRNO(open("sock", O_RDONLY), ENXIO);
    EXPECT(!close(c) && !close(s) && !unlink("sock"));
}

static void device_nodes(void)
{
    struct stat st;
    EXPECT(!mknod("null", S_IFCHR | 0600, makedev(1, 3)) && !lstat("null", &st));
    EXPECT(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    EXPECT(!mknod("disk", S_IFBLK | 0600, makedev(300, 70000)) && !lstat("disk", &st));
    EXPECT(S_ISBLK(st.st_mode) && st.st_rdev == makedev(300, 70000));
}

static void names_of_every_byte(void)
{
    char name[257];
    for (int c = 1; c < 256; c++) {
        if (c == '/' || c == '.')
            continue;
        snprintf(name, sizeof(name), "%c", c);
        EXPECT(!put(name, name) && holds(name, name));
    }
    memset(name, 'n', 256);
    name[255] = 0;
    EXPECT(!put(name, "long") && holds(name, "long"));
    name[255] = 'n';
    name[256] = 0;
    EXPECT_ERRNO(put(name, "too long"), ENAMETOOLONG);
    EXPECT_ERRNO(mkdir(name, 0755), ENAMETOOLONG);
    EXPECT_ERRNO(open("no such name", O_RDONLY), ENOENT);
}

static void deep_trees(void)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 300; i++) {
        EXPECT(fd >= 0 && !mkdirat(fd, "level", 0755));
        int next = openat(fd, "level", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    for (int i = 0; i < 300; i++) {
        int up = openat(fd, "..", O_RDONLY | O_DIRECTORY);
        EXPECT(up >= 0 && !unlinkat(up, "level", AT_REMOVEDIR));
        close(fd);
        fd = up;
    }
    close(fd);
}

enum { MANY = 3000 };

static bool make_many(void)
{
    char name[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "n%04d", i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0 || close(fd))
            return false;
    }
    return true;
}

/* Counts into seen[] what a stream still yields; false for a foreign entry. */
static bool count_entries(DIR *d, unsigned char *seen)
{
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        int i = -1;
        if (e->d_name[0] == '.' || e->d_name[0] == 'x')
            continue;
        if (sscanf(e->d_name, "n%d", &i) != 1 || i < 0 || i >= MANY)
            return false;
        seen[i]++;
    }
    return true;
}

static void listings_are_complete(void)
{
    static unsigned char seen[MANY];
    memset(seen, 0, sizeof(seen));
    EXPECT(make_many());
    DIR *d = opendir(".");
    EXPECT(d && count_entries(d, seen));
    for (int i = 0; i < MANY; i++)
        EXPECT(seen[i] == 1);
    rewinddir(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        struct stat st;
        EXPECT(!lstat(e->d_name, &st));
        if (strcmp(e->d_name, "..")) /* the parent may be another mount's */
            EXPECT(st.st_ino == e->d_ino);
        EXPECT(e->d_type == (e->d_name[0] == '.' ? DT_DIR : DT_REG));
    }
    EXPECT(!closedir(d));
}

/* Removes behind and ahead, adds, and goes on: survivors are seen exactly once. */
static void listings_survive_changes(void)
{
    static unsigned char seen[MANY];
    char name[32];
    memset(seen, 0, sizeof(seen));
    EXPECT(make_many());
    DIR *d = opendir(".");
    EXPECT(d);
    for (int i = 0; i < MANY / 3; i++) {
        struct dirent *e = readdir(d);
        int n = -1;
        EXPECT(e);
        if (sscanf(e->d_name, "n%d", &n) == 1)
            seen[n]++;
    }
    for (int i = 0; i < MANY; i += 3) {
        snprintf(name, sizeof(name), "n%04d", i);
        EXPECT(!unlink(name));
        snprintf(name, sizeof(name), "x%04d", i);
        EXPECT(!put(name, ""));
    }
    EXPECT(count_entries(d, seen) && !closedir(d));
    for (int i = 0; i < MANY; i++)
        EXPECT(i % 3 == 0 ? seen[i] <= 1 : seen[i] == 1);
}

static void positions_stay_valid(void)
{
    enum { MARKS = 20 };
    long mark[MARKS];
    char after[MARKS][256];
    EXPECT(make_many());
    DIR *d = opendir(".");
    EXPECT(d);
    for (int m = 0; m < MARKS; m++) {
        for (int i = 0; i < 100; i++)
            EXPECT(readdir(d));
        mark[m] = telldir(d);
        struct dirent *e = readdir(d);
        EXPECT(e);
        snprintf(after[m], sizeof(after[m]), "%s", e->d_name);
    }
    EXPECT(!put("x new", "") && !put("x newer", ""));
    for (int m = MARKS - 1; m >= 0; m--) {
        seekdir(d, mark[m]);
        struct dirent *e = readdir(d);
        EXPECT(e && !strcmp(e->d_name, after[m]));
    }
    EXPECT(!closedir(d));
}

static const struct check checks[] = {
    { "a rename replaces its target, whose open readers keep it", rename_replaces, false },
    { "directories are renamed under the rules of POSIX", rename_of_directories, false },
    { "NOREPLACE refuses and EXCHANGE swaps", rename_flags, false },
    { "an unlinked open file lives until it is closed", unlinked_files_live_on, false },
    { "nothing is created in a removed directory", removed_directories_are_dead, false },
    { "hard links are one file", hard_links, false },
    { "symbolic links keep 4095 bytes and are not followed when told so", symbolic_links, false },
    { "a FIFO carries bytes", fifos_carry_bytes, false },
    { "a socket listens", sockets_listen, false },
    { "device nodes keep their numbers", device_nodes, true },
    { "a name is any 255 bytes", names_of_every_byte, false },
    { "trees may be 300 deep", deep_trees, false },
    { "a listing shows each name once, with its inode and type", listings_are_complete, false },
    { "a listing survives changes made while it is read", listings_survive_changes, false },
    { "seekdir returns to where telldir was", positions_stay_valid, false },
};

CHECKS_MAIN(checks)
