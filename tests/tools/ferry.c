/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A sync client of the worse kind, between two copies of a store.
 *
 *   ferry SEED STEPS A B      so many steps, then stops wherever it is
 *   ferry SEED 0 A B          until both sides have the same
 *
 * What one side has whole is brought to the other, in both directions and in no
 * order: under a temporary name or growing under the final one, left half done,
 * taken up again.  A quarter of all objects, the same for each thousand seeds, is held
 * back until the last run.  Objects
 * that both sides have are brought again, the same bytes under the same name, and
 * copied under names of conflicts.  All of that follows from SEED and from what is
 * there.  The last line counts.
 *
 * An object is whole that has the modification time of all objects; clients set it
 * when they are done.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHOLE_TIME = 946684800, NAME = 64, MOST = 4096, PIECE = 16384 };

struct thing { char name[NAME]; off_t size[2]; bool whole[2]; };

static const char *side[2];
static struct thing things[MOST];
static size_t count;
static uint64_t seed, state;
static unsigned delivered, parts, again, conflicts;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % n);
}

/* --- what is there ----------------------------------------------------------------- */

static bool hex(const char *s, size_t len)
{
    return strspn(s, "0123456789abcdef") == len;
}

static bool is_object(const char *name)
{
    if (strncmp(name, "vault-", 6) == 0)
        return hex(name + 6, 32) && strcmp(name + 38, ".ecl") == 0;
    return strncmp(name, "segments/", 9) == 0 && hex(name + 9, 2) && name[11] == '/' && hex(name + 12, 30) &&
           !name[42];
}

static void note(int which, const char *name, const struct stat *st)
{
    struct thing *t = things;

    while (t < things + count && strcmp(t->name, name))
        t++;
    if (t == things + count) {
        if (count++ == MOST)
            die("too many objects");
        *t = (struct thing){ .size = { -1, -1 } };
        strcpy(t->name, name);
    }
    t->size[which] = st->st_size;
    t->whole[which] = st->st_mtim.tv_sec == WHOLE_TIME;
}

static void scan(int which, const char *below_root)
{
    char path[PATH_MAX], name[PATH_MAX];
    struct dirent *e;
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", side[which], below_root);
    DIR *d = opendir(path);
    while (d && (e = readdir(d))) {
        snprintf(name, sizeof name, "%s%s%s", below_root, *below_root ? "/" : "", e->d_name);
        if (e->d_type == DT_DIR && e->d_name[0] != '.' && strlen(name) <= 11)
            scan(which, name);
        else if (is_object(name) && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            note(which, name, &st);
    }
    if (d)
        closedir(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct thing *)a)->name, ((const struct thing *)b)->name);
}

static void look(void)
{
    count = 0;
    scan(0, "");
    scan(1, "");
    qsort(things, count, sizeof *things, by_name);
}

static bool held(const struct thing *t)
{
    uint64_t h = seed / 1000;

    for (const char *p = t->name; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    return (h >> 40) % 4 == 0;
}

static bool missing(const struct thing *t) { return t->whole[0] != t->whole[1]; }

/* One of those that a side lacks, or that both have. */
static struct thing *choose(bool lacking, bool last)
{
    struct thing *found = NULL;
    unsigned n = 0;

    for (struct thing *t = things; t < things + count; t++)
        if ((lacking ? missing(t) && (last || !held(t)) : t->whole[0] && t->whole[1]) && below(++n) == 0)
            found = t;
    return found;
}

/* --- transfers ------------------------------------------------------------------------ */

static void make_parents(char *path, size_t root)
{
    for (char *p = path + root + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
}

/* The first `len` bytes that `to` does not have yet; what it has is taken to be right. */
static void bring(int from, const struct thing *t, const char *to, off_t len)
{
    char source[PATH_MAX];
    static uint8_t piece[PIECE];
    struct stat st;

    snprintf(source, sizeof source, "%s/%s", side[from], t->name);
    chmod(to, 0644);
    int in = open(source, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (in < 0 || out < 0 || fstat(out, &st))
        die(to);
    for (off_t at = st.st_size; at < len;) {
        ssize_t n = pread(in, piece, len - at < PIECE ? (size_t)(len - at) : PIECE, at);
        if (n <= 0 || pwrite(out, piece, (size_t)n, at) != n)
            die(to);
        at += n;
    }
    if (len == t->size[from] &&
        futimens(out, (struct timespec[2]){ { .tv_sec = WHOLE_TIME }, { .tv_sec = WHOLE_TIME } }))
        die(to);
    close(in);
    close(out);
}

static void path_at(char out[PATH_MAX], int which, const struct thing *t, const char *before, const char *after)
{
    const char *base = strrchr(t->name, '/');

    base = base ? base + 1 : t->name;
    snprintf(out, PATH_MAX, "%s/%.*s%s%s%s", side[which], (int)(base - t->name), t->name, before, base, after);
    make_parents(out, strlen(side[which]));
}

/* Under another name, then into place, over whatever has the name; or stopped on the way. */
static void deliver_aside(int from, const struct thing *t, bool stop)
{
    char aside[PATH_MAX], final[PATH_MAX];

    path_at(aside, !from, t, ".syncthing.", ".tmp");
    path_at(final, !from, t, "", "");
    if (stop) {
        bring(from, t, aside, below((unsigned)t->size[from]));
        parts++;
        return;
    }
    unlink(aside);
    bring(from, t, aside, t->size[from]);
    if (rename(aside, final))
        die(final);
    delivered++;
}

/* Under the final name, by pieces. */
static void deliver_in_place(int from, const struct thing *t, bool stop)
{
    char final[PATH_MAX];
    off_t have = t->size[!from] < 0 ? 0 : t->size[!from], len = t->size[from];

    if (stop && len > have)
        len = have + below((unsigned)(len - have));
    /* Clients send powers of two. */
    if (stop && t->size[from] > 65536 && below(2))
        for (len = 65536; len * 2 < t->size[from] && (len < have || below(2)); len *= 2)
            ;
    path_at(final, !from, t, "", "");
    bring(from, t, final, len < have ? have : len);
    stop ? parts++ : delivered++;
}

static void step(bool last)
{
    unsigned what = below(20);
    struct thing *t = choose(last || what > 1, last);

    if (!t)
        return;
    int from = t->whole[0] && t->whole[1] ? (int)below(2) : t->whole[1];
    if (last || what > 1) {
        bool stop = !last && below(2);
        (below(2) ? deliver_aside : deliver_in_place)(from, t, stop);
    } else if (what) {
        deliver_aside(from, t, false);
        delivered--, again++;
    } else {
        char copy[PATH_MAX];
        path_at(copy, !from, t, "", below(2) ? " (conflicted copy 2026-01-01)" : ".sync-conflict-20260101-120000-ABCDEFG");
        bring(from, t, copy, t->size[from]);
        conflicts++;
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: ferry SEED STEPS A B\n");
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    state = seed * 0x9e3779b97f4a7c15u + 1;
    unsigned long steps = strtoul(argv[2], NULL, 10), done = 0;
    bool last = steps == 0;
    side[0] = argv[3], side[1] = argv[4];
    for (look(); last ? choose(true, true) != NULL : done < steps; look(), done++)
        step(last);
    printf("ferry %llu: %lu steps, %u delivered, %u in part, %u again, %u conflicted copies\n",
           (unsigned long long)seed, done, delivered, parts, again, conflicts);
    return 0;
}
