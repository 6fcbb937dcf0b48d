/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Checks for the programs that try a mounted directory, and their frame.
 *
 * Each program is called with a directory, runs its table of checks there, each in
 * a fresh subdirectory that is the working directory, and says which failed.
 * A check is a function that stops at its first broken expectation.  They must
 * also pass on ext4: that is the proof that they ask for what ext4 does.
 */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
    const char *sentence;
    void (*run)(void);
    bool root_only; /* run when the environment has OWNERS: root, and a mount that keeps owners */
};

static bool check_broken;

#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "  %s:%d: not so: %s (errno: %s)\n", __FILE__, __LINE__, #condition, \
                    strerror(errno)); \
            check_broken = true; \
            return; \
        } \
    } while (0)

/* The call fails with this errno. */
#define EXPECT_ERRNO(call, code) \
    do { \
        errno = 0; \
        EXPECT((call) < 0); \
        EXPECT(errno == (code)); \
    } while (0)

static int run_checks(const char *dir, const struct check *checks, size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        char path[64];
        if (checks[i].root_only && !getenv("OWNERS"))
            continue;
        snprintf(path, sizeof(path), "check-%d-%zu", (int)getpid(), i);
        if (chdir(dir) || mkdir(path, 0755) || chdir(path)) {
            perror(dir);
            return 1;
        }
        check_broken = false;
        checks[i].run();
        printf("%s: %s\n", check_broken ? "FAILED" : "ok", checks[i].sentence);
        failed += check_broken;
    }
    return failed ? 1 : 0;
}

#define CHECKS_MAIN(table) \
    int main(int argc, char **argv) \
    { \
        if (argc != 2) { \
            fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]); \
            return 2; \
        } \
        char *dir = realpath(argv[1], NULL); \
        if (!dir) { \
            perror(argv[1]); \
            return 2; \
        } \
        int result = run_checks(dir, table, sizeof(table) / sizeof((table)[0])); \
        free(dir); \
        return result; \
    }

#endif
