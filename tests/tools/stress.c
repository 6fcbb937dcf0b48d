/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Many threads on one directory, each with something that must stay true.
 *
 *   stress [--seconds N] [--seed N] DIRECTORY
 *
 *   records    shared files of 1000-byte records, no two aligned alike: a record holds
 *              the version that was written last
 *   replace    a file is renamed over again and again: whoever opens the name
 *              finds a whole file, and never an older one than before
 *   exchange   two names are swapped: both always exist
 *   append     lines of all threads in one file: each is there once, in its order
 *   counters   a shared mapping in which all threads count
 *   private    a file per thread, with a twin in memory: write, truncate, punch, read
 *   churn      a directory where names come and go: what stays is listed once
 *   links      links come and go: the link count is right when all is still
 *
 * The checks at the end read everything again.  Exit 1 at the first lie.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FILES = 4, RECORDS = 200, RECORD = 1000,
    TWIN = 300000,
    STEADY = 40,
    COUNTERS = 64,
};

static atomic_int failed;
static atomic_bool stop;
static atomic_ulong operations;
static unsigned seconds = 5;
static uint64_t base_seed = 1;

#define CHECK(condition, ...) \
    do { \
        if (!(condition)) { \
            int saved = errno; \
            fprintf(stderr, "%s:%d: not so: %s (%s): ", __FILE__, __LINE__, #condition, strerror(saved)); \
            fprintf(stderr, __VA_ARGS__); \
            fputc('\n', stderr); \
            failed = 1; \
            stop = true; \
            return; \
        } \
    } while (0)

struct worker {
    pthread_t thread;
    unsigned number;
    uint64_t seed;
    void (*run)(struct worker *w);
    unsigned lines; /* append: how many of this worker are in the file */
};

static unsigned below(struct worker *w, unsigned n)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((w->seed >> 33) % n);
}

/* --- records --- */

static struct { pthread_mutex_t lock; uint32_t version; } slots[FILES][RECORDS];

static void make_record(char *out, unsigned file, unsigned slot, uint32_t version)
{
    uint32_t x = version * 2654435761u ^ (file << 16 | slot);
    for (size_t i = 0; i < RECORD; i += 4) {
        x = x * 1664525u + 1013904223u;
        memcpy(out + i, &x, 4);
    }
    memcpy(out, &version, 4);
}

static bool record_holds(int fd, unsigned file, unsigned slot, uint32_t version)
{
    char want[RECORD] = { 0 }, got[RECORD];
    if (version)
        make_record(want, file, slot, version);
    return pread(fd, got, RECORD, (off_t)slot * RECORD) == RECORD && !memcmp(got, want, RECORD);
}

static void records(struct worker *w)
{
    char name[32], bytes[RECORD];
    int fd[FILES];
    for (unsigned f = 0; f < FILES; f++) {
        snprintf(name, sizeof(name), "records-%u", f);
        CHECK((fd[f] = open(name, O_RDWR)) >= 0, "%s", name);
    }
    while (!stop) {
        unsigned f = below(w, FILES), s = below(w, RECORDS);
        bool good = true;
        pthread_mutex_lock(&slots[f][s].lock);
        if (below(w, 2)) {
            make_record(bytes, f, s, ++slots[f][s].version);
            good = pwrite(fd[f], bytes, RECORD, (off_t)s * RECORD) == RECORD;
        } else {
            good = record_holds(fd[f], f, s, slots[f][s].version);
        }
        pthread_mutex_unlock(&slots[f][s].lock);
        CHECK(good, "record %u of file %u", s, f);
        CHECK(below(w, 300) || !fsync(fd[f]), "fsync");
        operations++;
    }
    for (unsigned f = 0; f < FILES; f++)
        close(fd[f]);
}

static void check_records(void)
{
    char name[32];
    for (unsigned f = 0; f < FILES; f++) {
        snprintf(name, sizeof(name), "records-%u", f);
        int fd = open(name, O_RDONLY);
        for (unsigned s = 0; s < RECORDS; s++)
            CHECK(record_holds(fd, f, s, slots[f][s].version), "record %u of file %u in the end", s, f);
        close(fd);
    }
}

/* --- replace --- */

static void replace_write(struct worker *w)
{
    static char bytes[20000];
    for (uint32_t version = 1; !stop; version++) {
        int fd = open("replaced.new", O_WRONLY | O_CREAT | O_EXCL, 0644);
        size_t len = 5000 + below(w, 15000);
        memset(bytes, (int)(version & 255), len);
        memcpy(bytes, &version, 4);
        CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "version %u", version);
        CHECK(below(w, 8) || !fsync(fd), "fsync of version %u", version);
        CHECK(!close(fd) && !rename("replaced.new", "replaced"), "version %u", version);
        operations++;
    }
}

static void replace_read(struct worker *w)
{
    char *bytes = malloc(20001);
    uint32_t last = 0;
    while (!stop) {
        uint32_t version = 0;
        int fd = open("replaced", O_RDONLY);
        ssize_t len = fd < 0 ? -1 : read(fd, bytes, 20001);
        CHECK(len >= 5000, "%zd bytes", len);
        memcpy(&version, bytes, 4);
        CHECK(version >= last, "version %u after %u", version, last);
        for (ssize_t i = 4; i < len; i++)
            CHECK((unsigned char)bytes[i] == (version & 255), "byte %zd of version %u", i, version);
        last = version;
        close(fd);
        operations++;
    }
    free(bytes);
    (void)w;
}

/* --- exchange --- */

static void exchange(struct worker *w)
{
    while (!stop) {
        struct stat st;
        if (below(w, 2))
            CHECK(!renameat2(AT_FDCWD, "left/x", AT_FDCWD, "right/y", RENAME_EXCHANGE), "exchange");
        else
            CHECK(!stat(below(w, 2) ? "left/x" : "right/y", &st), "a name was missing");
        operations++;
    }
}

/* --- append --- */

enum { LINE = 32 };

static void append(struct worker *w)
{
    char line[LINE + 1];
    int fd = open("appended", O_WRONLY | O_APPEND | O_CREAT, 0644);
    CHECK(fd >= 0, "appended");
    while (!stop && w->lines < 20000) {
        snprintf(line, sizeof(line), "%4u %025u\n", w->number, w->lines + 1);
        line[LINE - 1] = '\n';
        CHECK(write(fd, line, LINE) == LINE, "line %u", w->lines);
        w->lines++;
        CHECK(below(w, 200) || !fdatasync(fd), "fdatasync");
        operations++;
    }
    close(fd);
}

static void check_appended(const struct worker *workers, unsigned count)
{
    unsigned number, line, seen[64] = { 0 };
    FILE *f = fopen("appended", "r");
    while (f && fscanf(f, "%u %u", &number, &line) == 2)
        CHECK(number < 64 && line == ++seen[number], "line %u of thread %u", line, number);
    for (unsigned i = 0; i < count; i++)
        CHECK(seen[i] == workers[i].lines, "thread %u has %u lines, not %u", i, seen[i], workers[i].lines);
    if (f)
        fclose(f);
}

/* --- counters --- */

static atomic_ulong counted;

static void counters(struct worker *w)
{
    int fd = open("counters", O_RDWR);
    atomic_ulong *map = mmap(NULL, COUNTERS * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED, "mmap");
    while (!stop) {
        for (int i = 0; i < 200; i++)
            map[below(w, COUNTERS) * (4096 / sizeof(*map))]++;
        counted += 200;
        CHECK(below(w, 50) || !msync(map, COUNTERS * 4096, MS_SYNC), "msync");
        operations++;
    }
    munmap(map, COUNTERS * 4096);
    close(fd);
}

static void check_counters(void)
{
    unsigned long sum = 0, one;
    int fd = open("counters", O_RDONLY);
    for (off_t i = 0; i < COUNTERS; i++) {
        CHECK(pread(fd, &one, sizeof(one), i * 4096) == sizeof(one), "counter");
        sum += one;
    }
    CHECK(sum == counted, "%lu counted, %lu found", (unsigned long)counted, sum);
    close(fd);
}

/* --- private --- */

static void private_step(struct worker *w, int fd, char *twin, size_t *size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char bytes[30000];
    size_t at = below(w, TWIN - 30000), len = 1 + below(w, sizeof(bytes));
    switch (below(w, 7)) {
    case 0:
    case 1:
        memset(bytes, letters[below(w, 26)], len);
        CHECK(pwrite(fd, bytes, len, (off_t)at) == (ssize_t)len, "write");
        memcpy(twin + at, bytes, len);
        *size = at + len > *size ? at + len : *size;
        break;
    case 2:
        CHECK(!ftruncate(fd, (off_t)at), "truncate");
        if (at < *size)
            memset(twin + at, 0, *size - at);
        *size = at;
        break;
    case 3:
        CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len), "punch");
        memset(twin + at, 0, len);
        break;
    case 4:
        CHECK(below(w, 20) || !fsync(fd), "fsync");
        break;
    default: {
        size_t want = at >= *size ? 0 : *size - at < len ? *size - at : len;
        CHECK(pread(fd, bytes, len, (off_t)at) == (ssize_t)want, "read of %zu at %zu of %zu", len, at, *size);
        CHECK(!memcmp(bytes, twin + at, want), "bytes at %zu", at);
    }
    }
}

static void private(struct worker *w)
{
    char name[32], *twin = calloc(1, TWIN), *got = malloc(TWIN);
    size_t size = 0;
    snprintf(name, sizeof(name), "private-%u", w->number);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0 && twin && got, "%s", name);
    while (!stop) {
        private_step(w, fd, twin, &size);
        if (!below(w, 100)) {
            CHECK(!close(fd) && (fd = open(name, O_RDWR)) >= 0, "%s", name);
        }
        operations++;
    }
    if (!failed)
        CHECK(pread(fd, got, TWIN, 0) == (ssize_t)size && !memcmp(got, twin, size), "%s in the end", name);
    close(fd);
    free(twin);
    free(got);
}

/* --- churn --- */

static void list_steady(void)
{
    unsigned seen[STEADY] = { 0 }, n;
    DIR *d = opendir("churn");
    CHECK(d, "churn");
    for (struct dirent *e; (e = readdir(d));)
        if (sscanf(e->d_name, "steady-%u", &n) == 1 && n < STEADY)
            seen[n]++;
    closedir(d);
    for (n = 0; n < STEADY; n++)
        CHECK(seen[n] == 1, "steady-%u was listed %u times", n, seen[n]);
}

static void churn(struct worker *w)
{
    char name[64], other[64];
    for (unsigned i = 0; !stop; i++) {
        snprintf(name, sizeof(name), "churn/%u-%u", w->number, i % 50);
        snprintf(other, sizeof(other), "churn/%u-%u-moved", w->number, i % 50);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        CHECK(fd >= 0 && write(fd, name, 30) == 30 && !close(fd), "%s", name);
        CHECK(!rename(name, other), "%s", name);
        CHECK(!mkdir(name, 0755) && !rmdir(name), "%s", name);
        CHECK(!unlink(other), "%s", other);
        if (i % 10 == 0)
            list_steady();
        operations++;
    }
}

/* --- links --- */

static void links(struct worker *w)
{
    char name[64];
    snprintf(name, sizeof(name), "churn/link-%u", w->number);
    while (!stop) {
        struct stat st;
        CHECK(!link("linked", name) && !stat(name, &st) && st.st_nlink >= 2, "%s", name);
        CHECK(!unlink(name), "%s", name);
        CHECK(!chmod("linked", 0600 | below(w, 0100)) && !utimensat(AT_FDCWD, "linked", NULL, 0), "linked");
        operations++;
    }
}

static void check_links(void)
{
    struct stat st;
    CHECK(!stat("linked", &st) && st.st_nlink == 1, "%u links in the end", (unsigned)st.st_nlink);
}

/* --- the run --- */

static bool make_file(const char *name, off_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return fd >= 0 && !ftruncate(fd, size) && !close(fd);
}

static bool prepare(void)
{
    char name[32], zeros[6000] = { 0 };
    bool good = !mkdir("churn", 0755) && !mkdir("left", 0755) && !mkdir("right", 0755);
    for (unsigned f = 0; f < FILES; f++) {
        snprintf(name, sizeof(name), "records-%u", f);
        good = good && make_file(name, RECORDS * RECORD);
        for (unsigned s = 0; s < RECORDS; s++)
            pthread_mutex_init(&slots[f][s].lock, NULL);
    }
    for (unsigned n = 0; n < STEADY; n++) {
        snprintf(name, sizeof(name), "churn/steady-%u", n);
        good = good && make_file(name, 0);
    }
    int fd = open("replaced", O_WRONLY | O_CREAT, 0644);
    good = good && write(fd, zeros, sizeof(zeros)) == sizeof(zeros) && !close(fd);
    return good && make_file("left/x", 1) && make_file("right/y", 2) && make_file("linked", 3) &&
           make_file("counters", COUNTERS * 4096);
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    w->run(w);
    return NULL;
}

int main(int argc, char **argv)
{
    static void (*const jobs[])(struct worker *) = {
        replace_write, replace_read, replace_read, records, records, records, exchange, exchange, append,
        append, append, counters, counters, private, private, private, churn, churn, churn, links, links,
    };
    enum { COUNT = sizeof(jobs) / sizeof(*jobs) };
    static struct worker workers[COUNT];
    int i = 1;
    for (; i + 2 < argc && !strncmp(argv[i], "--", 2); i += 2) {
        if (!strcmp(argv[i], "--seconds"))
            seconds = (unsigned)atoi(argv[i + 1]);
        else
            base_seed = strtoull(argv[i + 1], NULL, 10);
    }
    if (argc - i != 1 || chdir(argv[i]) || !prepare()) {
        perror("stress");
        return 2;
    }
    for (unsigned n = 0; n < COUNT; n++) {
        workers[n].number = n;
        workers[n].seed = base_seed * 1000 + n;
        workers[n].run = jobs[n];
        pthread_create(&workers[n].thread, NULL, run_worker, &workers[n]);
    }
    struct timespec left = { seconds, 0 };
    while (!stop && nanosleep(&left, &left))
        ;
    stop = true;
    for (unsigned n = 0; n < COUNT; n++)
        pthread_join(workers[n].thread, NULL);
    if (!failed)
        check_records();
    if (!failed)
        check_appended(workers, COUNT);
    if (!failed)
        check_counters();
    if (!failed)
        check_links();
    printf("seed %llu: %lu operations by %d threads, %s\n", (unsigned long long)base_seed, (unsigned long)operations,
           COUNT, failed ? "FAILED" : "all true");
    return failed ? 1 : 0;
}
