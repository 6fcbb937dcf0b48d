/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Works in a directory until it fails, and notes outside what was acknowledged.
 *
 *   record [--seed N] DIRECTORY LOG     works on; 0 when the directory died under it
 *   record --check DIRECTORY LOG        everything noted is there
 *
 * Four habits of programs: a new file with fsync of file and directory; a file
 * appended to with fdatasync; a file replaced by rename with fsync of the new one and
 * of the directory; a file overwritten in place with fsync.  A line «kind
 * name version» is written to LOG only after the last fsync succeeded.
 * Contents follow from name and version.  A version later than the noted one is
 * right too, as the next was under way, but it must be whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 200, LINE = 37, NAME = 32 };

static char content[1 << 17];
static uint64_t seed = 1;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

/* Bytes of a version of a file: its number, then what follows from it. */
static size_t make_content(const char *name, unsigned version)
{
    uint32_t x = version * 2654435761u + 1;
    for (const char *c = name; *c; c++)
        x = (x ^ (unsigned char)*c) * 16777619u;
    size_t len = 8 + x % (version % 7 ? 9000 : sizeof(content) - 8);
    memcpy(content, &version, 4);
    memcpy(content + 4, &x, 4);
    for (size_t i = 8; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        content[i] = (char)(x >> 24);
    }
    return len;
}

static bool write_version(const char *path, const char *name, unsigned version, int flags)
{
    size_t len = make_content(name, version);
    int fd = open(path, O_WRONLY | flags, 0644);
    bool good = fd >= 0 && pwrite(fd, content, len, 0) == (ssize_t)len && !fsync(fd);
    if (fd >= 0 && close(fd))
        good = false;
    return good;
}

static bool sync_directory(void)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    bool good = fd >= 0 && !fsync(fd);
    if (fd >= 0)
        close(fd);
    return good;
}

static bool append_line(unsigned version)
{
    char line[LINE + 1];
    int fd = open("appended", O_WRONLY | O_APPEND | O_CREAT, 0644);
    snprintf(line, sizeof(line), "line %031u\n", version);
    bool good = fd >= 0 && write(fd, line, LINE) == LINE && !fdatasync(fd);
    if (fd >= 0 && close(fd))
        good = false;
    return good && sync_directory();
}

/* In place: files of one 4 KiB block, so that a version is one request. */
static bool overwrite(const char *name, unsigned version)
{
    static char block[4096];
    make_content(name, version);
    memcpy(block, content, 8);
    memset(block + 8, (int)(version & 127), sizeof(block) - 8);
    int fd = open(name, O_WRONLY | O_CREAT, 0644);
    bool good = fd >= 0 && pwrite(fd, block, sizeof(block), 0) == sizeof(block) && !fsync(fd);
    if (fd >= 0 && close(fd))
        good = false;
    return good && sync_directory();
}

static bool replace(const char *name, unsigned version)
{
    return write_version("new", name, version, O_CREAT | O_TRUNC) && !rename("new", name) && sync_directory();
}

/* Goes on where an earlier run ended: after the last version noted, and after the
 * lines that are there, noted or not. */
static void resume(const char *log, unsigned *version, unsigned *appended)
{
    char name[NAME];
    unsigned seen;
    struct stat st;
    FILE *f = fopen(log, "r");
    while (f && fscanf(f, "%31s %u", name, &seen) == 2)
        if (name[0] != 'a' && seen >= *version)
            *version = seen + 1;
    if (f)
        fclose(f);
    if (!stat("appended", &st))
        *appended = (unsigned)(st.st_size / LINE);
}

static int work(int log, unsigned version, unsigned appended)
{
    static const char kinds[] = "naro";
    char name[NAME], line[NAME + 40];
    for (;; version++) {
        char kind = kinds[below(4)];
        bool good = false;
        snprintf(name, sizeof(name), "%c%05u", kind, kind == 'n' ? version : below(NAMES));
        switch (kind) {
        case 'n': good = write_version(name, name, version, O_CREAT | O_TRUNC) && sync_directory(); break;
        case 'a': good = append_line(++appended); break;
        case 'r': good = replace(name, version); break;
        case 'o': good = overwrite(name, version); break;
        default: break;
        }
        if (!good)
            break;
        int len = snprintf(line, sizeof(line), "%s %u\n", name, kind == 'a' ? appended : version);
        if (write(log, line, (size_t)len) != len)
            return 2;
    }
    fprintf(stderr, "ended by: %s\n", strerror(errno));
    return errno == ENOTCONN || errno == ECONNABORTED || errno == EIO ? 0 : 1;
}

/* --- check --- */

static bool version_is_whole(const char *name, size_t len, unsigned version)
{
    static char got[sizeof(content)];
    memcpy(got, content, len);
    if (name[0] != 'o') {
        size_t want = make_content(name, version);
        return len == want && !memcmp(got, content, len);
    }
    make_content(name, version);
    bool whole = len == 4096 && !memcmp(got, content, 8);
    for (size_t i = 8; whole && i < len; i++)
        whole = got[i] == (char)(version & 127);
    return whole;
}

static bool check_file(const char *name, unsigned noted)
{
    int fd = open(name, O_RDONLY);
    ssize_t len = fd < 0 ? -1 : read(fd, content, sizeof(content));
    unsigned version = 0;
    if (fd >= 0)
        close(fd);
    if (len >= 8)
        memcpy(&version, content, 4);
    if (len >= 8 && version >= noted && version_is_whole(name, (size_t)len, version))
        return true;
    printf("lost: %s has %zd bytes, version %u; version %u was acknowledged\n", name, len, version, noted);
    return false;
}

static bool check_appended(unsigned noted)
{
    char want[LINE + 1], got[LINE + 1] = "";
    FILE *f = fopen("appended", "r");
    unsigned n = 0;
    while (f && fread(got, 1, LINE, f) == LINE) {
        snprintf(want, sizeof(want), "line %031u\n", ++n);
        if (memcmp(got, want, LINE) != 0) {
            printf("wrong: line %u of the appended file\n", n);
            break;
        }
    }
    if (f)
        fclose(f);
    if (n < noted)
        printf("lost: %u lines, %u were acknowledged\n", n, noted);
    return n >= noted;
}

/* The last line about a name counts. */
static int check(FILE *log)
{
    static char names[1 << 20][8];
    static unsigned versions[1 << 20];
    char name[NAME];
    size_t count = 0, lines = 0;
    unsigned version, appended = 0;
    int bad = 0;
    for (; fscanf(log, "%31s %u", name, &version) == 2; lines++) {
        size_t i = name[0] == 'n' || name[0] == 'a' ? count : 0;
        while (i < count && strcmp(names[i], name) != 0)
            i++;
        if (name[0] == 'a')
            appended = version;
        else if (i < sizeof(versions) / sizeof(*versions)) {
            memcpy(names[i], name, 7);
            versions[i] = version;
            count += i == count;
        }
    }
    for (size_t i = 0; i < count; i++)
        bad += !check_file(names[i], versions[i]);
    bad += !check_appended(appended);
    printf("%zu acknowledged, %zu files and %u lines looked at, %d bad\n", lines, count, appended, bad);
    return bad || !lines ? 1 : 0;
}

int main(int argc, char **argv)
{
    bool checking = argc == 4 && !strcmp(argv[1], "--check");
    if (argc == 5 && !strcmp(argv[1], "--seed")) {
        seed = strtoull(argv[2], NULL, 10);
        argv += 2;
        argc -= 2;
    }
    if (argc != 3 && !checking) {
        fprintf(stderr, "usage: record [--seed N | --check] DIRECTORY LOG\n");
        return 2;
    }
    unsigned version = 1, appended = 0;
    char *path = argv[argc - 1];
    int log = open(path, checking ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND, 0644);
    path = realpath(path, NULL);
    if (log < 0 || !path || chdir(argv[argc - 2])) {
        perror("record");
        return 2;
    }
    resume(path, &version, &appended);
    free(path);
    return checking ? check(fdopen(log, "r")) : work(log, version, appended);
}
