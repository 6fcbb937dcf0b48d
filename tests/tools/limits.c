/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What Écluse answers where file systems differ: the last byte of 8 EiB, names
 * in the two Unicode forms, what it refuses by design.
 */
#include "expect.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>

static void sparse_to_the_last_byte(void)
{
    off_t last = INT64_MAX - 1;
    char got = 0;
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644);
    EXPECT(fd >= 0 && !ftruncate(fd, INT64_MAX));
    /* The page cache ends one page earlier. */
    off_t far = last - (last & 4095) - 4096;
    EXPECT(pwrite(fd, "z", 1, far) == 1 && !fsync(fd));
    EXPECT(pread(fd, &got, 1, far) == 1 && got == 'z');
    EXPECT(pread(fd, &got, 1, far - 1) == 1 && got == 0);
    struct stat st;
    EXPECT(!fstat(fd, &st) && st.st_size == INT64_MAX && st.st_blocks < 1024);
    EXPECT(lseek(fd, 0, SEEK_DATA) <= far && lseek(fd, 0, SEEK_DATA) >= far - (1 << 20));
    EXPECT(!ftruncate(fd, 0) && !fstat(fd, &st) && st.st_size == 0 && !close(fd));
}

/* Data that is really there on both sides of 1 TiB and 5 TiB, and truncation between. */
static void data_beyond_a_tebibyte(void)
{
    enum { PIECE = 3 << 20 };
    static const off_t at[] = { ((off_t)1 << 40) - 1000000, (off_t)5 << 40 };
    static char bytes[PIECE], got[PIECE];
    for (size_t i = 0; i < PIECE; i++)
        bytes[i] = (char)(i * 13 ^ i >> 11);
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644);
    EXPECT(fd >= 0);
    for (int i = 0; i < 2; i++)
        EXPECT(pwrite(fd, bytes, PIECE, at[i]) == PIECE);
    EXPECT(!fsync(fd) && !close(fd) && (fd = open("f", O_RDWR)) >= 0);
    for (int i = 0; i < 2; i++)
        EXPECT(pread(fd, got, PIECE, at[i]) == PIECE && !memcmp(bytes, got, PIECE));
    struct stat st;
    EXPECT(!fstat(fd, &st) && st.st_size == at[1] + PIECE);
    EXPECT(st.st_blocks >= 2 * PIECE / 512 && st.st_blocks < 4 * PIECE / 512);
    EXPECT(!ftruncate(fd, at[1] + 5) && !ftruncate(fd, at[1] + 10) && pread(fd, got, 20, at[1]) == 10);
    EXPECT(!memcmp(got, bytes, 5) && !memcmp(got + 5, "\0\0\0\0", 5) && !close(fd));
}

static void collapse_and_insert_are_refused(void)
{
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644);
    EXPECT(fd >= 0 && !ftruncate(fd, 65536));
    EXPECT_ERRNO(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
    EXPECT_ERRNO(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096), EOPNOTSUPP);
    struct stat st;
    EXPECT(!fstat(fd, &st) && st.st_size == 65536 && !close(fd));
}

#define COMPOSED "\303\211t\303\251"     /* Été, two letters composed */
#define DECOMPOSED "E\314\201te\314\201" /* the same, accents apart */

static bool make(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    return fd >= 0 && !close(fd);
}

static void accents_are_found_in_both_forms(void)
{
    struct stat a, b;
    EXPECT(!mkdir("mac", 0755) && !mkdir("linux", 0755));
    EXPECT(make("mac/" DECOMPOSED) && !stat("mac/" COMPOSED, &a) && !stat("mac/" DECOMPOSED, &b));
    EXPECT(a.st_ino == b.st_ino);
    EXPECT(make("linux/" COMPOSED) && !stat("linux/" DECOMPOSED, &a) && !stat("linux/" COMPOSED, &b));
    EXPECT(a.st_ino == b.st_ino);
    EXPECT_ERRNO(stat("linux/Ete", &a), ENOENT);
}

static void an_exact_name_wins(void)
{
    struct stat a, b;
    EXPECT(make(COMPOSED) && !stat(COMPOSED, &a) && !rename(COMPOSED, "kept"));
    EXPECT(make(DECOMPOSED) && !rename("kept", COMPOSED));
    EXPECT(!stat(COMPOSED, &b) && a.st_ino == b.st_ino);
    EXPECT(!unlink(COMPOSED) && !stat(COMPOSED, &b) && a.st_ino != b.st_ino);
    EXPECT(!unlink(DECOMPOSED));
    EXPECT_ERRNO(stat(COMPOSED, &a), ENOENT);
}

static void unnamed_files_are_refused(void)
{
    EXPECT_ERRNO(open("f", O_TMPFILE | O_RDWR, 0600), ENOENT);
    EXPECT_ERRNO(open(".", O_TMPFILE | O_RDWR, 0600), EOPNOTSUPP);
}

static const struct check checks[] = {
    { "a file may be sparse to 8 EiB", sparse_to_the_last_byte, false },
    { "data lies beyond 1 TiB and 5 TiB", data_beyond_a_tebibyte, false },
    { "collapse and insert are refused and change nothing", collapse_and_insert_are_refused, false },
    { "a name is found in both Unicode forms", accents_are_found_in_both_forms, false },
    { "an exact name wins over its variant", an_exact_name_wins, false },
    { "temporary files without a name are refused", unnamed_files_are_refused, false },
};

CHECKS_MAIN(checks)
