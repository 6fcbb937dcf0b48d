/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * File contents behave as on ext4: appends, truncation, sparse files, fallocate,
 * holes, mappings, copies inside the file system, and locks.
 */
#include "expect.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

enum { MIB = 1 << 20 };

static int new_file(const char *name)
{
    return open(name, O_RDWR | O_CREAT | O_EXCL, 0644);
}

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? -1 : st.st_size;
}

/* Every byte from `from` to `to` has this value. */
static bool all(int fd, off_t from, off_t to, char value)
{
    static char got[MIB];
    while (from < to) {
        size_t want = to - from < MIB ? (size_t)(to - from) : MIB;
        if (pread(fd, got, want, from) != (ssize_t)want)
            return false;
        for (size_t i = 0; i < want; i++)
            if (got[i] != value)
                return false;
        from += (off_t)want;
    }
    return true;
}

static bool fill(int fd, off_t from, off_t to, char value)
{
    static char bytes[MIB];
    memset(bytes, value, sizeof(bytes));
    while (from < to) {
        size_t want = to - from < MIB ? (size_t)(to - from) : MIB;
        if (pwrite(fd, bytes, want, from) != (ssize_t)want)
            return false;
        from += (off_t)want;
    }
    return true;
}

static void appends_land_at_the_end(void)
{
    int a = open("f", O_WRONLY | O_APPEND | O_CREAT, 0644), b = open("f", O_RDWR | O_APPEND);
    EXPECT(a >= 0 && b >= 0);
    for (int i = 0; i < 500; i++)
        EXPECT(write(a, "aaaa", 4) == 4 && write(b, "bbb", 3) == 3);
    EXPECT(pwrite(a, "end", 3, 0) == 3 && size_of(b) == 3503);
    char got[8];
    EXPECT(pread(b, got, 7, 7 * 300) == 7 && !memcmp(got, "aaaabbb", 7));
    EXPECT(pread(b, got, 8, 3500) == 3 && !memcmp(got, "end", 3) && !close(a) && !close(b));
}

static void open_flags(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0 && fill(fd, 0, 10000, 'x'));
    EXPECT_ERRNO(new_file("f"), EEXIST);
    int cut = open("f", O_WRONLY | O_TRUNC);
    EXPECT(cut >= 0 && size_of(fd) == 0 && fill(cut, 0, 3, 'y') && all(fd, 0, 3, 'y'));
    char one;
    EXPECT(pread(fd, &one, 1, 3) == 0 && pread(fd, &one, 1, 1000) == 0);
    EXPECT_ERRNO(read(cut, &one, 1), EBADF);
    EXPECT_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    EXPECT_ERRNO(open(".", O_WRONLY), EISDIR);
    EXPECT(!close(cut) && !close(fd));
}

/* What is asked about is what lies below the kernel's cache, which knows of the cut. */
static void truncation_while_opening_for_reading(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0 && fill(fd, 0, 100000, 'x') && !fsync(fd));
    int cut = open("f", O_RDONLY | O_TRUNC);
    EXPECT(cut >= 0 && size_of(fd) == 0 && fill(fd, 0, 10, 'y') && !fsync(fd));
    EXPECT(lseek(fd, 0, SEEK_HOLE) == 10);
    EXPECT_ERRNO(lseek(fd, 50000, SEEK_DATA), ENXIO);
    EXPECT(!close(cut) && !close(fd));
}

static void direct_and_synchronous_io(void)
{
    char *page = NULL;
    EXPECT(!posix_memalign((void **)&page, 4096, 65536));
    memset(page, 'd', 65536);
    int fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644);
    EXPECT(fd >= 0 && pwrite(fd, page, 65536, 0) == 65536);
    memset(page, 0, 65536);
    EXPECT(pread(fd, page, 65536, 0) == 65536 && page[0] == 'd' && page[65535] == 'd');
    EXPECT(!close(fd));
    fd = open("f", O_RDWR | O_SYNC);
    EXPECT(fd >= 0 && pwrite(fd, "s", 1, 5) == 1);
    EXPECT(!fsync(fd) && !fdatasync(fd));
    EXPECT(!syncfs(fd));
    EXPECT(all(fd, 0, 5, 'd') && all(fd, 5, 6, 's') && all(fd, 6, 65536, 'd') && !close(fd));
    fd = open(".", O_RDONLY | O_DIRECTORY);
    EXPECT(fd >= 0 && !fsync(fd) && !close(fd));
    free(page);
}

static void truncation_forgets(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0 && fill(fd, 0, 3 * MIB + 777, 'x'));
    EXPECT(!ftruncate(fd, MIB + 100) && size_of(fd) == MIB + 100);
    EXPECT(!ftruncate(fd, 3 * MIB) && all(fd, 0, MIB + 100, 'x') && all(fd, MIB + 100, 3 * MIB, 0));
    EXPECT(!truncate("f", 0) && !truncate("f", 5000) && all(fd, 0, 5000, 0));
    EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
    EXPECT(!close(fd));
}

static void far_writes_leave_holes(void)
{
    off_t far = (off_t)1 << 40;
    int fd = new_file("f");
    EXPECT(fd >= 0 && fill(fd, far, far + 10000, 'x') && size_of(fd) == far + 10000);
    struct stat st;
    EXPECT(!fsync(fd) && !fstat(fd, &st) && st.st_blocks < 1024);
    EXPECT(all(fd, 0, MIB, 0) && all(fd, far - MIB, far, 0) && all(fd, far, far + 10000, 'x'));
    off_t data = lseek(fd, 0, SEEK_DATA);
    EXPECT(data > far - MIB && data <= far);
    EXPECT(lseek(fd, 0, SEEK_HOLE) == 0 && lseek(fd, far, SEEK_HOLE) >= far + 10000);
    EXPECT_ERRNO(lseek(fd, far + 10000, SEEK_DATA), ENXIO);
    EXPECT_ERRNO(lseek(fd, far + 10001, SEEK_HOLE), ENXIO);
    EXPECT(!close(fd));
}

static void data_is_never_a_hole(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0);
    for (off_t at = 0; at < 64 * MIB; at += 4 * MIB)
        EXPECT(fill(fd, at + 5000, at + 5001, 'x'));
    EXPECT(!fsync(fd));
    off_t data = 0, found = 0;
    while ((data = lseek(fd, data, SEEK_DATA)) >= 0) {
        off_t hole = lseek(fd, data, SEEK_HOLE);
        EXPECT(hole > data);
        for (off_t at = 0; at < 64 * MIB; at += 4 * MIB)
            found += at + 5000 >= data && at + 5000 < hole;
        data = hole;
    }
    EXPECT(errno == ENXIO && found == 16 && !close(fd));
}

static void fallocate_modes(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0 && !fallocate(fd, 0, 0, 100000) && size_of(fd) == 100000 && all(fd, 0, 100000, 0));
    EXPECT(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB) && size_of(fd) == 100000);
    EXPECT(fill(fd, 0, 100000, 'x'));
    EXPECT(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 50000));
    EXPECT(all(fd, 0, 5000, 'x') && all(fd, 5000, 55000, 0) && all(fd, 55000, 100000, 'x'));
    EXPECT(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 90000, 20000) && size_of(fd) == 110000);
    EXPECT(all(fd, 55000, 90000, 'x') && all(fd, 90000, 110000, 0));
    EXPECT(!fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 100000, MIB));
    EXPECT(size_of(fd) == 110000);
    EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
    EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
    EXPECT(!close(fd));
}

static void mappings_share_or_not(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0 && fill(fd, 0, 20000, 'a'));
    char *shared = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *own = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EXPECT(shared != MAP_FAILED && own != MAP_FAILED);
    own[0] = 'p';
    shared[9000] = 's';
    char got;
    EXPECT(pread(fd, &got, 1, 9000) == 1 && got == 's' && pread(fd, &got, 1, 0) == 1 && got == 'a');
    EXPECT(pwrite(fd, "w", 1, 12345) == 1 && shared[12345] == 'w');
    EXPECT(!msync(shared, 20000, MS_SYNC) && !munmap(shared, 20000) && !munmap(own, 20000));
    EXPECT(!close(fd) && (fd = open("f", O_RDONLY)) >= 0);
    EXPECT(all(fd, 0, 9000, 'a') && all(fd, 9000, 9001, 's') && all(fd, 12345, 12346, 'w'));
    EXPECT(size_of(fd) == 20000 && !close(fd));
}

static void mapped_writes_outlive_the_descriptor(void)
{
    int fd = new_file("f");
    EXPECT(fd >= 0 && !ftruncate(fd, 8 * MIB));
    char *map = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(map != MAP_FAILED && !close(fd));
    for (size_t i = 0; i < 8 * MIB; i += 4096)
        map[i] = 'm';
    EXPECT(!munmap(map, 8 * MIB) && (fd = open("f", O_RDONLY)) >= 0);
    for (off_t at = 0; at < 8 * MIB; at += 4096)
        EXPECT(all(fd, at, at + 1, 'm') && all(fd, at + 1, at + 64, 0));
    EXPECT(!close(fd));
}

static void copies_inside(void)
{
    int a = new_file("a"), b = new_file("b");
    EXPECT(a >= 0 && b >= 0 && fill(a, 0, MIB, '1') && fill(a, MIB, 2 * MIB + 123, '2'));
    off_t from = 0, to = 0;
    for (ssize_t n = 1; n > 0;)
        EXPECT((n = copy_file_range(a, &from, b, &to, 8 * MIB, 0)) >= 0);
    EXPECT(size_of(b) == 2 * MIB + 123 && all(b, 0, MIB, '1') && all(b, MIB, 2 * MIB + 123, '2'));
    EXPECT(fill(a, 4096, 8192, 'c') && all(b, 0, MIB, '1') && all(a, 4096, 8192, 'c'));
    EXPECT(fill(b, 0, 100, 'd') && all(a, 0, 4096, '1'));
    from = 10, to = 3 * MIB + 7;
    EXPECT(copy_file_range(b, &from, b, &to, 5000, 0) == 5000);
    EXPECT(all(b, 3 * MIB + 7, 3 * MIB + 97, 'd') && all(b, 3 * MIB + 97, 3 * MIB + 5007, '1'));
    from = 0, to = 100;
    EXPECT_ERRNO(copy_file_range(b, &from, b, &to, 5000, 0), EINVAL);
    EXPECT(!close(a) && !close(b));
}

static void statfs_tells_the_truth(void)
{
    struct statvfs before, after;
    int fd = new_file("f");
    EXPECT(fd >= 0 && !statvfs(".", &before));
    EXPECT(before.f_namemax == 255 && before.f_bsize >= 512 && before.f_blocks >= before.f_bfree);
    EXPECT(before.f_bavail > 0 && before.f_bavail <= before.f_bfree);
    /* Others may give up space meanwhile, but not each time. */
    bool told = false;
    for (off_t at = 0; !told && at < 8 * 48 * MIB; at += 48 * MIB) {
        EXPECT(!statvfs(".", &before) && fill(fd, at, at + 48 * MIB, 'x') && !fsync(fd) && !statvfs(".", &after));
        told = (before.f_bfree * before.f_frsize) + 8 * MIB > after.f_bfree * after.f_frsize;
    }
    EXPECT(told);
    /* Under writeback FUSE asks for the number of blocks again at the next close. */
    struct stat st;
    EXPECT(!close(fd) && !stat("f", &st) && st.st_blocks >= 48 * 2048 - 64);
}

static void many_open_files(void)
{
    enum { COUNT = 700 };
    static int fd[COUNT];
    char name[32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        EXPECT((fd[i] = new_file(name)) >= 0 && fill(fd[i], i, i + 100, (char)('a' + i % 26)));
        EXPECT(i % 2 || !unlink(name));
    }
    for (int i = 0; i < COUNT; i++)
        EXPECT(all(fd[i], i, i + 100, (char)('a' + i % 26)) && !close(fd[i]));
}

/* In a child: 0 when it gets the lock without waiting, 1 when it would wait. */
static int child_tries(bool posix)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        int fd = open("lock", O_RDWR);
        struct flock whole = { .l_type = F_WRLCK, .l_start = 5, .l_len = 1 };
        int got = posix ? fcntl(fd, F_SETLK, &whole) : flock(fd, LOCK_EX | LOCK_NB);
        _exit(got ? 1 : 0);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void locks_exclude(void)
{
    int fd = new_file("lock");
    struct flock range = { .l_type = F_WRLCK, .l_start = 0, .l_len = 10 };
    EXPECT(fd >= 0 && child_tries(true) == 0 && child_tries(false) == 0);
    EXPECT(!fcntl(fd, F_SETLK, &range) && child_tries(true) == 1 && child_tries(false) == 0);
    range.l_type = F_UNLCK;
    EXPECT(!fcntl(fd, F_SETLK, &range) && child_tries(true) == 0);
    EXPECT(!flock(fd, LOCK_EX) && child_tries(false) == 1 && child_tries(true) == 0);
    EXPECT(!flock(fd, LOCK_UN) && child_tries(false) == 0);
    int other = open("lock", O_RDWR);
    range.l_type = F_WRLCK;
    EXPECT(other >= 0 && !fcntl(fd, F_OFD_SETLK, &range));
    EXPECT_ERRNO(fcntl(other, F_OFD_SETLK, &range), EAGAIN);
    EXPECT(!close(other) && !close(fd));
}

static const struct check checks[] = {
    { "appends land at the end, whoever writes", appends_land_at_the_end, false },
    { "open obeys its flags", open_flags, false },
    { "O_TRUNC cuts with O_RDONLY too", truncation_while_opening_for_reading, false },
    { "direct and synchronous I/O give the same bytes", direct_and_synchronous_io, false },
    { "what was cut off reads as zeros when the file grows again", truncation_forgets, false },
    { "a write at 1 TiB leaves a hole before it", far_writes_leave_holes, false },
    { "SEEK_DATA finds every byte of data", data_is_never_a_hole, false },
    { "fallocate extends, keeps the size, punches and zeroes", fallocate_modes, false },
    { "mappings are shared or private", mappings_share_or_not, false },
    { "mapped writes outlive the descriptor", mapped_writes_outlive_the_descriptor, false },
    { "copies inside the file system are independent", copies_inside, false },
    { "statfs and st_blocks tell of what was written", statfs_tells_the_truth, false },
    { "700 files are open at once, half of them unlinked", many_open_files, false },
    { "flock, POSIX and OFD locks exclude", locks_exclude, false },
};

CHECKS_MAIN(checks)
