/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Attributes behave as on ext4: times, modes, owners, privileged bits, extended
 * attributes.  What needs several users runs only as root, in a directory that
 * keeps owners and lets others in.
 */
#include "expect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

enum { SOMEBODY = 65534, SOMEBODY_ELSE = 65533 };

static int touch(const char *name, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
    return fd < 0 || fchmod(fd, mode) ? -1 : close(fd);
}

static bool later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static bool equal(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static struct stat stat_of(const char *name)
{
    struct stat st;
    memset(&st, 0, sizeof(st));
    lstat(name, &st);
    return st;
}

/* The clock of file times ticks every few ms: makes the next time a later one. */
static void tick(void)
{
    nanosleep(&(struct timespec){ 0, 12 * 1000 * 1000 }, NULL);
}

static int as_user(uid_t uid, void (*body)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (setgid(uid) || setuid(uid))
            _exit(9);
        body();
        _exit(check_broken);
    }
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

static void times_keep_nanoseconds(void)
{
    static const struct timespec odd[][2] = {
        { { 1234567890, 123456789 }, { 987654321, 1 } },
        { { -86400 * 365, 999999999 }, { -1, 5 } },
        { { 8000000000, 7 }, { 4102444800, 999999999 } },
    };
    EXPECT(!touch("f", 0644) && !mkdir("d", 0755) && !symlink("nowhere", "l"));
    for (size_t i = 0; i < 3; i++)
        for (const char **n = (const char *[]){ "f", "d", "l", NULL }; *n; n++) {
            EXPECT(!utimensat(AT_FDCWD, *n, odd[i], AT_SYMLINK_NOFOLLOW));
            struct stat st = stat_of(*n);
            EXPECT(equal(st.st_atim, odd[i][0]) && equal(st.st_mtim, odd[i][1]));
        }
}

static void times_are_set_apart(void)
{
    struct timespec one[2] = { { 1000, 1 }, { 2000, 2 } };
    struct timespec two[2] = { { 0, UTIME_OMIT }, { 3000, 3 } };
    struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
    EXPECT(!touch("f", 0644) && !utimensat(AT_FDCWD, "f", one, 0));
    EXPECT(!utimensat(AT_FDCWD, "f", two, 0));
    EXPECT(stat_of("f").st_atim.tv_sec == 1000 && stat_of("f").st_mtim.tv_sec == 3000);
    EXPECT(!utimensat(AT_FDCWD, "f", now, 0));
    EXPECT(stat_of("f").st_atim.tv_sec > 1000000 && stat_of("f").st_mtim.tv_nsec == 3);
}

static void changes_move_the_right_times(void)
{
    EXPECT(!touch("f", 0644));
    struct stat before = stat_of("f");
    tick();
    int fd = open("f", O_RDWR);
    EXPECT(fd >= 0 && write(fd, "x", 1) == 1);
    struct stat written = stat_of("f");
    EXPECT(later(written.st_mtim, before.st_mtim) && later(written.st_ctim, before.st_ctim));
    tick();
    EXPECT(!fchmod(fd, 0600));
    struct stat chmodded = stat_of("f");
    EXPECT(equal(chmodded.st_mtim, written.st_mtim) && later(chmodded.st_ctim, written.st_ctim));
    tick();
    EXPECT(!ftruncate(fd, 0) && !close(fd));
    struct stat cut = stat_of("f");
    EXPECT(later(cut.st_mtim, chmodded.st_mtim) && later(cut.st_ctim, chmodded.st_ctim));
    tick();
    EXPECT(!link("f", "g") && later(stat_of("f").st_ctim, cut.st_ctim));
    EXPECT(equal(stat_of("f").st_mtim, cut.st_mtim));
}

static void writing_ends_with_its_time(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    struct timespec set[2] = { { 1000, 0 }, { 2000, 0 } };
    EXPECT(fd >= 0 && write(fd, "data", 4) == 4 && !futimens(fd, set));
    EXPECT(!fsync(fd) && !close(fd));
    EXPECT(stat_of("f").st_mtim.tv_sec == 2000 && stat_of("f").st_size == 4);
}

static void directories_tell_of_changes(void)
{
    EXPECT(!mkdir("d", 0755) && !mkdir("e", 0755));
    struct stat d = stat_of("d"), e = stat_of("e");
    tick();
    EXPECT(!touch("d/f", 0644) && later(stat_of("d").st_mtim, d.st_mtim));
    d = stat_of("d");
    tick();
    EXPECT(!rename("d/f", "e/f"));
    EXPECT(later(stat_of("d").st_mtim, d.st_mtim) && later(stat_of("e").st_mtim, e.st_mtim));
    e = stat_of("e");
    tick();
    EXPECT(!unlink("e/f") && later(stat_of("e").st_mtim, e.st_mtim));
    EXPECT(later(stat_of("e").st_ctim, e.st_ctim));
}

/* From the file system, not from the page cache: FUSE learns of no other read. */
static bool read_one(const char *name)
{
    char one;
    int fd = open(name, O_RDONLY);
    return fd >= 0 && !fsync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) && read(fd, &one, 1) == 1 &&
           !close(fd);
}

/* relatime: a read moves the access time when that is not later than the last change. */
static void reading_moves_the_access_time_once(void)
{
    struct timespec old[2] = { { 1000000000, 0 }, { 1100000000, 0 } };
    int fd = open("f", O_WRONLY | O_CREAT, 0644);
    EXPECT(fd >= 0 && write(fd, "data", 4) == 4 && !close(fd));
    EXPECT(!utimensat(AT_FDCWD, "f", old, 0));
    tick();
    EXPECT(read_one("f"));
    struct stat first = stat_of("f");
    EXPECT(first.st_atim.tv_sec > 1200000000 && first.st_mtim.tv_sec == 1100000000);
    tick();
    EXPECT(read_one("f") && equal(stat_of("f").st_atim, first.st_atim));
    EXPECT(equal(stat_of("f").st_ctim, first.st_ctim));
    fd = open("f", O_RDONLY | O_NOATIME);
    EXPECT(fd >= 0 && !close(fd));
}

static void modes_obey_the_umask(void)
{
    mode_t old = umask(027);
    int fd = open("f", O_CREAT | O_WRONLY, 0666);
    EXPECT(fd >= 0 && !close(fd) && (stat_of("f").st_mode & 07777) == 0640);
    EXPECT(!mkdir("d", 0777) && (stat_of("d").st_mode & 07777) == 0750);
    EXPECT(!mkfifo("p", 0666) && (stat_of("p").st_mode & 07777) == 0640);
    umask(old);
    for (mode_t mode = 0; mode < 01000; mode += 0111)
        EXPECT(!chmod("f", mode) && (stat_of("f").st_mode & 07777) == mode);
    EXPECT(!chmod("d", 01777) && (stat_of("d").st_mode & 07777) == 01777);
}

static void xattrs_are_bytes(void)
{
    char value[2000], got[2000], list[256];
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)(i * 7);
    EXPECT(!touch("f", 0644) && !mkdir("d", 0755));
    for (const char **n = (const char *[]){ "f", "d", NULL }; *n; n++) {
        EXPECT(!setxattr(*n, "user.one", value, sizeof(value), 0));
        EXPECT(getxattr(*n, "user.one", NULL, 0) == sizeof(value));
        EXPECT(getxattr(*n, "user.one", got, sizeof(got)) == sizeof(value));
        EXPECT(!memcmp(got, value, sizeof(value)));
        EXPECT_ERRNO(getxattr(*n, "user.one", got, 10), ERANGE);
        EXPECT(!setxattr(*n, "user.empty", "", 0, 0) && getxattr(*n, "user.empty", got, 1) == 0);
        ssize_t len = listxattr(*n, list, sizeof(list));
        EXPECT(len >= 20 && memmem(list, (size_t)len, "user.one", 9));
        EXPECT(memmem(list, (size_t)len, "user.empty", 11));
    }
}

static void xattr_flags(void)
{
    EXPECT(!touch("f", 0644));
    EXPECT_ERRNO(setxattr("f", "user.a", "1", 1, XATTR_REPLACE), ENODATA);
    EXPECT(!setxattr("f", "user.a", "1", 1, XATTR_CREATE));
    EXPECT_ERRNO(setxattr("f", "user.a", "2", 1, XATTR_CREATE), EEXIST);
    EXPECT(!setxattr("f", "user.a", "22", 2, XATTR_REPLACE) && getxattr("f", "user.a", NULL, 0) == 2);
    EXPECT(!removexattr("f", "user.a"));
    EXPECT_ERRNO(removexattr("f", "user.a"), ENODATA);
    EXPECT_ERRNO(getxattr("f", "user.a", NULL, 0), ENODATA);
    EXPECT(!symlink("f", "l") && !mkfifo("p", 0600));
    EXPECT_ERRNO(lsetxattr("l", "user.a", "1", 1, 0), EPERM);
    EXPECT_ERRNO(setxattr("p", "user.a", "1", 1, 0), EPERM);
    EXPECT_ERRNO(setxattr("f", "nonsense.a", "1", 1, 0), EOPNOTSUPP);
}

static void owners_are_kept(void)
{
    EXPECT(!touch("same", 06755) && !chown("same", (uid_t)-1, (gid_t)-1));
    EXPECT((stat_of("same").st_mode & 07777) == 0755);
    EXPECT(!touch("f", 06755) && !chown("f", SOMEBODY, SOMEBODY_ELSE));
    struct stat st = stat_of("f");
    EXPECT(st.st_uid == SOMEBODY && st.st_gid == SOMEBODY_ELSE && (st.st_mode & 07777) == 0755);
    EXPECT(!symlink("f", "l") && !lchown("l", 12, 34));
    EXPECT(stat_of("l").st_uid == 12 && stat_of("l").st_gid == 34 && stat_of("f").st_uid == SOMEBODY);
    EXPECT(!setxattr("f", "trusted.x", "t", 1, 0) && getxattr("f", "trusted.x", NULL, 0) == 1);
}

static void setgid_directories_pass_on_their_group(void)
{
    EXPECT(!mkdir("d", 0755) && !chown("d", 0, SOMEBODY) && !chmod("d", 02775));
    EXPECT(!touch("d/f", 0644) && stat_of("d/f").st_gid == SOMEBODY);
    EXPECT(!mkdir("d/e", 0755) && stat_of("d/e").st_gid == SOMEBODY);
    EXPECT(stat_of("d/e").st_mode & S_ISGID);
    EXPECT(!(stat_of("d/f").st_mode & S_ISGID));
}

static void write_one(void)
{
    int fd = open("f", O_WRONLY);
    EXPECT(fd >= 0 && pwrite(fd, "x", 1, 0) == 1 && !close(fd));
}

static void truncate_it(void)
{
    EXPECT(!truncate("f", 0));
}

static void writers_lose_privileged_bits(void)
{
    static void (*const change[])(void) = { write_one, truncate_it };
    for (size_t i = 0; i < 2; i++) {
        EXPECT(!touch("f", 0777));
        EXPECT(!chown("f", SOMEBODY, SOMEBODY) && !chmod("f", 06777));
        EXPECT(!as_user(SOMEBODY, change[i]));
        EXPECT((stat_of("f").st_mode & 07777) == 0777);
        EXPECT(!unlink("f"));
    }
}

static void capabilities_end_with_a_write(void)
{
    /* struct vfs_cap_data, revision 2: cap_net_bind_service, effective */
    static const unsigned char cap[20] = { 1, 0, 0, 2, 0, 4 };
    EXPECT(!touch("f", 0755));
    EXPECT(!setxattr("f", "security.capability", cap, sizeof(cap), 0));
    EXPECT(getxattr("f", "security.capability", NULL, 0) == sizeof(cap));
    write_one();
    EXPECT_ERRNO(getxattr("f", "security.capability", NULL, 0), ENODATA);
}

static void try_to_take(void)
{
    EXPECT_ERRNO(unlink("sticky/theirs"), EPERM);
    EXPECT_ERRNO(rename("sticky/theirs", "sticky/mine"), EPERM);
    EXPECT_ERRNO(open("secret", O_RDONLY), EACCES);
    EXPECT_ERRNO(open("readable", O_WRONLY), EACCES);
    EXPECT_ERRNO(chmod("readable", 0777), EPERM);
    EXPECT_ERRNO(mkdir("closed/x", 0755), EACCES);
    EXPECT_ERRNO(truncate("readable", 0), EACCES);
    EXPECT(!touch("sticky/mine", 0600) && !unlink("sticky/mine"));
}

static void permissions_hold(void)
{
    EXPECT(!chmod(".", 0755) && !mkdir("sticky", 0755) && !chmod("sticky", 01777));
    EXPECT(!touch("sticky/theirs", 0666) && !chown("sticky/theirs", SOMEBODY_ELSE, 0));
    EXPECT(!touch("secret", 0600) && !touch("readable", 0644) && !mkdir("closed", 0755));
    EXPECT(!as_user(SOMEBODY, try_to_take));
}

static const struct check checks[] = {
    { "times keep their nanoseconds, before 1970 and after 2106", times_keep_nanoseconds, false },
    { "atime and mtime are set apart", times_are_set_apart, false },
    { "each change moves the times that it should", changes_move_the_right_times, false },
    { "a time set after a write stays", writing_ends_with_its_time, false },
    { "a directory's times tell of its changes", directories_tell_of_changes, false },
    { "a read moves the access time once", reading_moves_the_access_time_once, false },
    { "modes obey the umask and chmod", modes_obey_the_umask, false },
    { "extended attributes are bytes", xattrs_are_bytes, false },
    { "extended attributes are created, replaced and removed", xattr_flags, false },
    { "owners are kept and chown clears suid and sgid", owners_are_kept, true },
    { "a setgid directory passes on its group", setgid_directories_pass_on_their_group, true },
    { "a write or truncation by a user clears suid and sgid", writers_lose_privileged_bits, true },
    { "a write ends file capabilities", capabilities_end_with_a_write, true },
    { "permissions and sticky directories hold", permissions_hold, true },
};

CHECKS_MAIN(checks)
