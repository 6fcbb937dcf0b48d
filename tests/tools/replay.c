/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Saves a document as a program did, up to any step, and judges what a crash left.
 *
 *   replay count STEPS                   how many steps there are
 *   replay run STEPS DIR K               the old contents, durable; then K steps.  Returns, but
 *                                        a child keeps all descriptors open until its
 *                                        standard input ends
 *   replay check STEPS DIR K TWIN WHEN   DIR is what a crash after K steps may leave
 *   replay classes STEPS TWIN            what the document is after each step
 *
 * scripts/record-saves describes the form of STEPS; `commit` as a step, in files made by
 * hand, is the fsync of something else.  Bytes follow from a version and their offset:
 * version 0 before, version 1 for whatever is written.
 *
 * `check` performs all the steps again in TWIN, on a plain filesystem, and keeps
 * T(0) … T(N), the trees after each step.  WHEN is `killed` or `committed` (an fsync of
 * something else was acknowledged after step K).  With LO the last acknowledged
 * fsync, or K when committed, the tree R in DIR is right when for a J in [LO, K]:
 *
 *   - the names of R are those of T(J);
 *   - each file holds what that inode held after a step in [F, K], where F is what had to
 *     be in the daemon by LO: the inode's last close, fsync or rename, and while it is
 *     open after it was cut, everything;
 *   - the document, old or new, is whole, under its own or another name; or it is as after
 *     such a step where the program itself has no whole one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEPS = 200, NAMES = 48, NAME = 120, HANDLES = 64, INODES = 400, DOCUMENTS = 12 };

static char lines[STEPS][3 * NAME];
static int step_count;
static char documents[DOCUMENTS][NAME], backups[DOCUMENTS][NAME];
static int document_count, backup_count;
static char before[NAMES][2 * NAME];
static int before_count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void load(const char *path)
{
    char line[3 * NAME];
    FILE *f = fopen(path, "r");

    if (!f)
        die(path);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (!*line || *line == '#')
            continue;
        if (sscanf(line, "document %119s", documents[document_count]) == 1)
            document_count++;
        else if (sscanf(line, "old %119s", backups[backup_count]) == 1)
            backup_count++;
        else if (!strncmp(line, "dir ", 4) || !strncmp(line, "file ", 5))
            snprintf(before[before_count++], sizeof *before, "%.200s", line);
        else
            snprintf(lines[step_count++], sizeof *lines, "%.350s", line);
        if (document_count == DOCUMENTS || backup_count == DOCUMENTS || before_count == NAMES || step_count == STEPS) {
            fprintf(stderr, "replay: %s is too long\n", path);
            exit(2);
        }
    }
    fclose(f);
}

/* --- bytes ---------------------------------------------------------------------- */

static uint8_t bytes[1 << 20];

static void make_bytes(int version, uint64_t offset, size_t len)
{
    if (len > sizeof bytes)
        die("a write is too long");
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (offset + i) / 8 * 0x9e3779b97f4a7c15u + (uint64_t)version * 0xbf58476d1ce4e5b9u + 1;
        x = (x ^ x >> 29) * 0x94d049bb133111ebu;
        bytes[i] = (uint8_t)(x >> 8 * ((offset + i) % 8));
    }
}

/* --- performing ------------------------------------------------------------------ */

struct handle {
    int fd;
    bool open;
    bool old;                  /* what is written is the old contents */
    ino_t ino;
    char *map;
    size_t map_len;
};

static struct handle handles[HANDLES];
static ino_t touched;          /* whose contents the last step changed, or 0 */

static struct handle *handle(const char *number)
{
    long h = strtol(number, NULL, 10);

    if (h < 0 || h >= HANDLES)
        die("a handle's number");
    return &handles[h];
}

static ino_t inode_at(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_ino;
}

static int open_flags(const char *text)
{
    int flags = O_CLOEXEC | (!strncmp(text, "rw", 2) ? O_RDWR : *text == 'w' ? O_WRONLY : O_RDONLY);

    return flags | (strstr(text, ",creat") ? O_CREAT : 0) | (strstr(text, ",excl") ? O_EXCL : 0) |
           (strstr(text, ",trunc") ? O_TRUNC : 0) | (strstr(text, ",append") ? O_APPEND : 0);
}

static bool step_open(int dir, char **word)
{
    struct handle *h = handle(word[1]);
    struct stat st;

    h->fd = openat(dir, word[2], open_flags(word[3]), strtol(word[4], NULL, 8) & 07777);
    if (h->fd < 0 || fstat(h->fd, &st))
        return false;
    *h = (struct handle){ .fd = h->fd, .open = true, .ino = st.st_ino };
    for (int i = 0; i < backup_count; i++)
        h->old |= !strcmp(backups[i], word[2]);
    touched = h->ino;
    return true;
}

static bool step_write(struct handle *h, uint64_t offset, size_t len)
{
    make_bytes(!h->old, offset, len);
    return pwrite(h->fd, bytes, len, (off_t)offset) == (ssize_t)len;
}

static bool step_append(struct handle *h, size_t len)
{
    struct stat st;

    if (fstat(h->fd, &st))
        return false;
    make_bytes(1, (uint64_t)st.st_size, len);
    return write(h->fd, bytes, len) == (ssize_t)len;
}

static bool step_map(struct handle *h, uint64_t offset, size_t len)
{
    h->map_len = (size_t)offset + len;
    h->map = mmap(NULL, h->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
    if (h->map == MAP_FAILED)
        return false;
    make_bytes(1, offset, len);
    memcpy(h->map + offset, bytes, len);
    return true;
}

static bool step_close(struct handle *h)
{
    h->open = false;
    if (h->map)
        munmap(h->map, h->map_len);
    h->map = NULL;
    return !close(h->fd);
}

static bool on_handle(char **word, const long *n)
{
    struct handle *h = handle(word[1]);
    const char *call = word[0];

    touched = h->ino;
    if (!strcmp(call, "write"))
        return step_write(h, (uint64_t)n[2], (size_t)n[3]);
    if (!strcmp(call, "append"))
        return step_append(h, (size_t)n[2]);
    if (!strcmp(call, "map"))
        return step_map(h, (uint64_t)n[2], (size_t)n[3]);
    if (!strcmp(call, "ftruncate"))
        return !ftruncate(h->fd, n[2]);
    if (!strcmp(call, "fallocate"))
        return !fallocate(h->fd, 0, n[2], n[3]);
    if (!strcmp(call, "fsync"))
        return !fsync(h->fd);
    if (!strcmp(call, "fchmod"))
        return !fchmod(h->fd, strtol(word[2], NULL, 8) & 07777);
    if (!strcmp(call, "close"))
        return step_close(h);
    errno = ENOSYS;
    return false;
}

static bool perform(int dir, const char *line)
{
    char copy[3 * NAME], *word[6], *rest = copy;
    long n[6] = { 0 };
    int count = 0;

    snprintf(copy, sizeof copy, "%s", line);
    memset(word, 0, sizeof word);
    for (char *w; count < 6 && (w = strsep(&rest, " ")); count++) {
        word[count] = w;
        n[count] = strtol(w, NULL, 10);
    }
    const char *call = word[0];
    touched = 0;
    if (!strcmp(call, "commit"))
        return !fsync(dir);
    if (!strcmp(call, "open"))
        return step_open(dir, word);
    if (!strcmp(call, "rename"))
        return !renameat(dir, word[1], dir, word[2]);
    if (!strcmp(call, "link"))
        return !linkat(dir, word[1], dir, word[2], 0);
    if (!strcmp(call, "symlink"))
        return !symlinkat(word[1], dir, word[2]);
    if (!strcmp(call, "unlink") || !strcmp(call, "rmdir"))
        return !unlinkat(dir, word[1], *call == 'r' ? AT_REMOVEDIR : 0);
    if (!strcmp(call, "mkdir"))
        return !mkdirat(dir, word[1], 0777);
    if (!strcmp(call, "chmod"))
        return !fchmodat(dir, word[1], strtol(word[2], NULL, 8) & 07777, 0);
    return on_handle(word, n);
}

static int prepare(const char *path, bool durable)
{
    char name[NAME];
    size_t len;

    if (mkdir(path, 0777))
        die(path);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < before_count; i++) {
        if (sscanf(before[i], "dir %119s", name) == 1) {
            if (mkdirat(dir, name, 0777))
                die(name);
            continue;
        }
        if (sscanf(before[i], "file %119s %zu", name, &len) != 2)
            die(before[i]);
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        make_bytes(0, 0, len);
        if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || (durable && fsync(fd)) || close(fd))
            die(name);
    }
    if (durable && fsync(dir))
        die(path);
    return dir;
}

/* The parent never has the descriptors: closing a copy would bring their data home. */
static int run(const char *path, int upto)
{
    int ready[2], good = 0;
    char byte = 1;

    close_range(3, ~0u, 0);    /* above all what keeps our standard input from ending */
    if (pipe(ready))
        die("pipe");
    if (fork()) {
        close(ready[1]);
        good = read(ready[0], &byte, 1) == 1;
        _exit(good ? 0 : 1);
    }
    close(ready[0]);
    int dir = prepare(path, true);
    for (int k = 0; k < upto; k++)
        if (!perform(dir, lines[k]))
            die(lines[k]);
    if (write(ready[1], &byte, 1) != 1)
        die("ready");
    close(ready[1]);
    return read(STDIN_FILENO, &byte, 1) < 0;
}

/* --- trees ------------------------------------------------------------------------ */

struct leaf { char name[NAME]; ino_t ino; uint64_t hash; };
struct tree { struct leaf v[NAMES]; int count; };

static struct tree trees[STEPS + 1], left_behind;
static int floors[STEPS + 1][INODES];          /* by the inode's place in `known` */
static struct { ino_t ino; uint64_t hash; bool hashed, cut; int floor; off_t size; } known[INODES];
static int known_count;

static uint64_t hash_file(int fd)
{
    static uint8_t buf[1 << 16];
    uint64_t h = 0xcbf29ce484222325u;
    ssize_t got;

    while ((got = read(fd, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < got; i++)
            h = (h ^ buf[i]) * 0x100000001b3u;
    return got < 0 ? 0 : h;
}

static int inode_index(ino_t ino)
{
    for (int i = 0; i < known_count; i++)
        if (known[i].ino == ino)
            return i;
    if (known_count == INODES)
        die("too many inodes");
    known[known_count].ino = ino;
    return known_count++;
}

/* Contents are read again only when a step changed them. */
static uint64_t contents(int dir, const char *name, const struct stat *st, bool twin)
{
    int i = twin ? inode_index(st->st_ino) : 0;

    if (twin && known[i].hashed)
        return known[i].hash;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    uint64_t h = fd < 0 ? 0 : hash_file(fd);
    if (fd < 0)
        die(name);
    close(fd);
    if (twin) {
        known[i].hashed = true;
        known[i].hash = h;
        known[i].size = st->st_size;
    }
    return h;
}

static void walk(int top, const char *at, struct tree *t, bool twin)
{
    int fd = openat(top, *at ? at : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;

    if (!d)
        die(at);
    for (struct dirent *e; (e = readdir(d));) {
        char name[3 * NAME];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(name, sizeof name, "%s%s%s", at, *at ? "/" : "", e->d_name);
        if (strlen(name) >= NAME || t->count == NAMES || fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW))
            die(name);
        struct leaf *l = &t->v[t->count++];
        memcpy(l->name, name, strlen(name) + 1);
        l->ino = st.st_ino;
        l->hash = S_ISREG(st.st_mode) ? contents(top, name, &st, twin) : S_ISDIR(st.st_mode);
        if (S_ISDIR(st.st_mode))
            walk(top, name, t, twin);
    }
    closedir(d);
}

static const struct leaf *find(const struct tree *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (!strcmp(t->v[i].name, name))
            return &t->v[i];
    return NULL;
}

/* --- the twin ----------------------------------------------------------------------- */

static bool has_writer(ino_t ino)
{
    for (int h = 0; h < HANDLES; h++)
        if (handles[h].open && handles[h].ino == ino && (fcntl(handles[h].fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
            return true;
    return false;
}

/* What step k, just performed, obliges the daemon to know of the inodes. */
static void oblige(int dir, int k, const char *line, off_t size_before)
{
    char a[NAME] = "", b[NAME] = "";

    if (sscanf(line, "rename %119s %119s", a, b) == 2)
        known[inode_index(inode_at(dir, b))].floor = k;
    if (touched) {
        int i = inode_index(touched);
        struct stat st = { 0 };
        known[i].hashed = false;
        for (int h = 0; h < HANDLES; h++)
            if (handles[h].open && handles[h].ino == touched)
                fstat(handles[h].fd, &st);
        if (!strncmp(line, "close", 5) || !strncmp(line, "fsync", 5))
            known[i].floor = k;
        if (has_writer(touched) && st.st_size < size_before)
            known[i].cut = true;
    }
    for (int i = 0; i < known_count; i++) {
        known[i].cut &= has_writer(known[i].ino);
        if (known[i].cut)
            known[i].floor = k;
        floors[k][i] = known[i].floor;
    }
}

static off_t size_of(int dir, const char *line)
{
    char name[NAME];
    struct stat st = { 0 };
    int h;

    if (sscanf(line, "open %d %119s", &h, name) == 2)
        fstatat(dir, name, &st, 0);
    else if (sscanf(line, "%*s %d", &h) == 1 && h >= 0 && h < HANDLES && handles[h].open)
        fstat(handles[h].fd, &st);
    return st.st_size;
}

static void make_trees(const char *path)
{
    int dir = prepare(path, false);

    walk(dir, "", &trees[0], true);
    for (int k = 1; k <= step_count; k++) {
        off_t size = size_of(dir, lines[k - 1]);
        if (!perform(dir, lines[k - 1]))
            die(lines[k - 1]);
        oblige(dir, k, lines[k - 1], size);
        walk(dir, "", &trees[k], true);
    }
    close(dir);
}

/* Of one document: "old", "new", "other" (whole under another name) or "part". */
static const char *class_of(const struct tree *t, const char *document)
{
    const struct leaf *old = find(&trees[0], document), *new = find(&trees[step_count], document);
    const struct leaf *is = find(t, document);

    if (is && new && is->hash == new->hash)
        return "new";
    if (old ? is && is->hash == old->hash : !is)
        return "old";
    for (int i = 0; i < t->count; i++)
        if ((old && t->v[i].hash == old->hash) || (new && t->v[i].hash == new->hash))
            return "other";
    return "part";
}

/* --- judging -------------------------------------------------------------------------- */

static bool same_names(const struct tree *a, const struct tree *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!find(b, a->v[i].name))
            return false;
    return true;
}

/* May the file be so, when the names are those after step j?  With `document`, only as
 * after a step that itself leaves no whole one. */
static bool file_right(const struct leaf *r, int j, int lo, int k, const char *document)
{
    const struct leaf *is = find(&trees[j], r->name);
    int from = lo ? floors[lo][inode_index(is->ino)] : 0;

    for (int s = from; s <= k; s++) {
        const struct leaf *l = find(&trees[s], r->name);
        if (l && l->ino == is->ino && l->hash == r->hash &&
            (!document || !strcmp(class_of(&trees[s], document), "part")))
            return true;
    }
    return false;
}

/* No whole document is left, under any name: was there none before the crash either? */
static bool part_right(const char *document, int j, int lo, int k)
{
    const struct leaf *r = find(&left_behind, document);

    return r ? file_right(r, j, lo, k, document) : !strcmp(class_of(&trees[j], document), "part");
}

static bool right_as(int j, int lo, int k, char *why, size_t room)
{
    if (!same_names(&left_behind, &trees[j]))
        return false;
    for (int i = 0; i < left_behind.count; i++)
        if (!file_right(&left_behind.v[i], j, lo, k, NULL)) {
            snprintf(why, room, "the contents of %s", left_behind.v[i].name);
            return false;
        }
    for (int d = 0; d < document_count; d++)
        if (!strcmp(class_of(&left_behind, documents[d]), "part") && !part_right(documents[d], j, lo, k)) {
            snprintf(why, room, "%.119s is neither old nor new", documents[d]);
            return false;
        }
    return true;
}

static int check(const char *path, int k, const char *twin, bool committed)
{
    int lo = committed ? k : 0, dir = open(path, O_RDONLY | O_DIRECTORY);
    char why[2 * NAME] = "its names";

    if (dir < 0)
        die(path);
    make_trees(twin);
    walk(dir, "", &left_behind, false);
    for (int s = 0; s < k; s++)
        if (!committed && (!strncmp(lines[s], "fsync", 5) || !strcmp(lines[s], "commit")))
            lo = s + 1;
    for (int j = k; j >= lo; j--)
        if (right_as(j, lo, k, why, sizeof why)) {
            for (int d = 0; d < document_count; d++)
                printf("%s%c", class_of(&left_behind, documents[d]), d + 1 < document_count ? ' ' : '\n');
            return 0;
        }
    printf("after step %d of %d (%s), with all up to %d durable: wrong: %s\n", k, step_count, k ? lines[k - 1] : "", lo, why);
    for (int i = 0; i < left_behind.count; i++)
        printf("  there is %s %016llx\n", left_behind.v[i].name, (unsigned long long)left_behind.v[i].hash);
    for (int i = 0; i < trees[k].count; i++)
        printf("  instead of %s %016llx\n", trees[k].v[i].name, (unsigned long long)trees[k].v[i].hash);
    return 1;
}

static int classes(const char *twin)
{
    make_trees(twin);
    for (int k = 0; k <= step_count; k++)
        for (int d = 0; d < document_count; d++)
            printf("%d %s %s\n", k, documents[d], class_of(&trees[k], documents[d]));
    return 0;
}

int main(int argc, char **argv)
{
    umask(022);
    if (argc >= 3)
        load(argv[2]);
    int k = argc >= 5 ? (int)strtol(argv[4], NULL, 10) : 0;
    if (k < 0 || k > step_count)
        die("there are fewer steps");
    if (argc == 3 && !strcmp(argv[1], "count"))
        return printf("%d\n", step_count) < 0;
    if (argc == 5 && !strcmp(argv[1], "run"))
        return run(argv[3], k);
    if (argc == 7 && !strcmp(argv[1], "check"))
        return check(argv[3], k, argv[5], !strcmp(argv[6], "committed"));
    if (argc == 4 && !strcmp(argv[1], "classes"))
        return classes(argv[3]);
    fprintf(stderr, "usage: replay count|run|check|classes STEPS ...\n");
    return 2;
}
