/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Proves that what a mount shows after a crash is what promise 3 allows, given what
 * tests/tools/load.c noted.
 *
 *   prove [--all] DIRECTORY LOG
 *
 * Every name, attribute and byte is read.  The tree found becomes LOG.base, from which
 * the next load, and its proof, start: so nothing of earlier rounds may change either.
 * What is proven is struck from LOG; another proof then wants this very tree.
 * --all after a clean end: everything acknowledged must be in.
 *
 * The argument.  The daemon works on requests one at a time (one lock), and a
 * crash leaves the tree after a prefix of that order.  A writer's requests about names
 * and attributes follow its system calls, one each.  So the tree of each
 * writer alone must equal its history at some position k, where files may have,
 * page by page, what had landed, or what was written since and the kernel may have
 * sent on its own (load.h).  close, fsync and msync, once they are in, have landed it all,
 * and so has a rename over a name.  One tree may fit several positions.
 *   Durable: whatever was acknowledged before a successful fsync of any writer was
 * issued (or before a flush) is in, and so is that fsync.
 *   Order: if event j of writer B is in, then so is all that A had been told before B
 * issued j.  A choice of one position for each writer that meets all these bounds
 * is looked for from the least positions upwards: raising one only raises
 * bounds of others, so the least solution is found if there is one.
 * No alarm is false: each rule follows from the order of a request's issue, its
 * place in the daemon's order and its acknowledgment.
 *   Not claimed: the age of 5 s after which things are in without fsync (the clock of a
 * loaded machine proves nothing); times; and that a request of several pages landed
 * as one, but for --strict, where each write(2) of the load is one request and
 * must be there whole or not.
 */
#include "load.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct log *noted;
static int failures;

#define WRONG(...) (fprintf(stderr, "prove: " __VA_ARGS__), fputc('\n', stderr), failures++)

/* --- the tree found --- */

static struct node *inodes[ADDRESSES];
static uint32_t inode_count, inode_names[ADDRESSES];

static struct node *known_inode(uint64_t number)
{
    for (uint32_t i = 0; i < inode_count; i++)
        if (inodes[i]->number == number) {
            inode_names[i]++;
            return inodes[i];
        }
    return NULL;
}

static void read_contents(int dir, const char *name, const char *shown, struct node *n, uint64_t size)
{
    int fd = openat(dir, name, O_RDONLY);
    uint64_t got = 0;
    if (size > FILE_MAX) {
        WRONG("%s: %llu bytes", shown, (unsigned long long)size);
        size = 0;
    }
    bytes_resize(&n->base, size);
    for (ssize_t r; fd >= 0 && got < size && (r = read(fd, n->base.p + got, size - got)) > 0;)
        got += (uint64_t)r;
    char more;
    if (fd < 0 || got < size || read(fd, &more, 1) != 0)
        WRONG("%s: cannot be read after %llu of %llu bytes: %s", shown, (unsigned long long)got,
              (unsigned long long)size, strerror(errno));
    if (fd >= 0) {
        if (fgetxattr(fd, "user.tag", &n->tag, sizeof(n->tag)) < 0 && errno != ENODATA)
            WRONG("%s: user.tag: %s", shown, strerror(errno));
        close(fd);
    }
}

static struct node *find_node(int dir, const char *name, const char *shown)
{
    struct stat st;
    char target[64] = "";
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT)
            WRONG("%s: %s", shown, strerror(errno));
        return NULL;
    }
    struct node *n = known_inode(st.st_ino);
    if (n)
        return n;
    n = node_new(st.st_mode & S_IFMT, st.st_mode & 07777, 0);
    n->number = st.st_ino;
    n->nlink = (uint32_t)st.st_nlink;
    if (S_ISREG(st.st_mode))
        read_contents(dir, name, shown, n, (uint64_t)st.st_size);
    else if (S_ISLNK(st.st_mode) && (readlinkat(dir, name, target, sizeof(target) - 1) < 0 ||
                                     sscanf(target, "to/%u", &n->tag) != 1))
        WRONG("%s: leads to «%s»", shown, target);
    inode_names[inode_count] = 1;
    return inodes[inode_count++] = n;
}

/* How many names a directory has, whatever they are; 0 when it is not there. */
static unsigned names_in(int dir, const char *name)
{
    unsigned count = 0;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    if (d)
        closedir(d);
    return count;
}

static void find_inner(int root, uint32_t top, struct node *dir, const char *shown)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < INNER; i++) {
        char path[64];
        address_path(TOP + top * INNER + i, path);
        dir->inner[i] = find_node(root, path, path);
        count += dir->inner[i] != NULL;
    }
    if (names_in(root, shown) != count)
        WRONG("%s: has %u names, not %u", shown, names_in(root, shown), count);
}

static void find_tree(int root, struct tree *t)
{
    static const char *const dirs[DIRS] = { ".", "a", "b" };
    unsigned count[DIRS] = { faccessat(root, "a", F_OK, 0) == 0, 0, 0 };

    count[0] += faccessat(root, "b", F_OK, 0) == 0;
    for (uint32_t a = 0; a < TOP; a++) {
        char path[64];
        address_path(a, path);
        t->slots[a] = find_node(root, path, path);
        count[a / NAMES] += t->slots[a] != NULL;
        if (t->slots[a] && t->slots[a]->type == S_IFDIR)
            find_inner(root, a, t->slots[a], path);
    }
    for (int i = 0; i < DIRS; i++)
        if (names_in(root, dirs[i]) != count[i])
            WRONG("%s: has %u names, not %u", dirs[i], names_in(root, dirs[i]), count[i]);
    for (uint32_t i = 0; i < inode_count; i++) {
        uint32_t want = inodes[i]->type == S_IFDIR ? 2 : inode_names[i];
        if (inodes[i]->nlink != want)
            WRONG("inode %llu: %u links, not %u", (unsigned long long)inodes[i]->number, inodes[i]->nlink, want);
        if (inodes[i]->type == S_IFDIR)
            inodes[i]->nlink = 1;
    }
}

/* --- does it equal the history at a position? --- */

static unsigned pass;
static const char *reason;
static uint64_t reason_at;

static bool say_no(const char *why, uint64_t at)
{
    reason = why;
    reason_at = at;
    return false;
}

static uint8_t base_byte(const struct node *n, uint64_t at) { return at < n->base.room ? n->base.p[at] : 0; }

static bool page_fits(const struct node *n, const uint8_t *got, uint64_t q, uint64_t len, bool beyond)
{
    const struct version *v = n->pending ? n->pending[q] : NULL;
    bool mixed = v && v->mixed;

    for (const struct version *w = v; w; w = w->next)
        if (!memcmp(got, w->bytes, len))
            return true;
    if (!v && q * PAGE + len <= n->base.room)
        return !memcmp(got, n->base.p + q * PAGE, len);
    for (uint64_t i = 0; i < len; i++) {
        bool fits = (!beyond || mixed) && got[i] == base_byte(n, q * PAGE + i);
        for (const struct version *w = mixed ? v : NULL; w && !fits; w = w->next)
            fits = got[i] == w->bytes[i];
        if (!fits)
            return false;
    }
    return true;
}

static bool size_fits(const struct node *n, uint64_t size)
{
    if (size == n->base.size)
        return true;
    if (size < n->base.size || size > n->now.size || !n->pending || !n->pending[(size - 1) / PAGE])
        return false;
    bool fits = size % PAGE == 0;
    for (unsigned i = 0; i < n->size_count; i++)
        fits |= size == n->sizes[i];
    return fits;
}

static bool contents_fit(const struct node *n, const struct node *f)
{
    uint64_t size = f->base.size;
    if (!size_fits(n, size))
        return say_no("size", size);
    if (!n->pending)
        return !size || !memcmp(n->base.p, f->base.p, size) || say_no("contents", 0);
    for (uint64_t at = 0; at < size; at += PAGE) {
        uint64_t len = size - at < PAGE ? size - at : PAGE;
        if (!page_fits(n, f->base.p + at, at / PAGE, len, at + len == size && size > n->base.size))
            return say_no("contents at", at);
    }
    return true;
}

/* The same file again must be the same inode; since the number of names agrees, two
 * files can never be one inode. */
static bool node_fits(struct node *n, struct node *f)
{
    if (!n || !f)
        return n == f || say_no(n ? "is missing" : "should not be there", 0);
    if (n->type != f->type || n->nlink != f->nlink || n->mode != f->mode || n->tag != f->tag)
        return say_no(n->type != f->type ? "type" : n->nlink != f->nlink ? "links"
                      : n->mode != f->mode ? "mode" : "attribute or target", 0);
    if (n->pass == pass && n->found != f)
        return say_no("is another inode under each name", 0);
    n->pass = pass;
    n->found = f;
    for (int i = 0; n->type == S_IFDIR && i < INNER; i++)
        if (!node_fits(n->inner[i], f->inner[i]))
            return false;
    if (n->type != S_IFREG)
        return true;
    if (n->judged != f || n->judged_changes != n->changes) {
        n->good = contents_fit(n, f);
        n->judged = f;
        n->judged_changes = n->changes;
        return n->good;
    }
    return n->good || say_no("contents, as before", 0);
}

static unsigned misfits(const struct tree *t, const struct tree *found, bool tell)
{
    unsigned count = 0;
    pass++;
    for (uint32_t a = 0; a < TOP; a++) {
        if (tell && t->slots[a])
            t->slots[a]->judged = NULL;      /* so that the reason is found again */
        if (node_fits(t->slots[a], found->slots[a]))
            continue;
        if (tell) {
            char path[64];
            address_path(a, path);
            fprintf(stderr, "prove:   %s: %s %llu\n", path, reason, (unsigned long long)reason_at);
            if (t->slots[a] && t->slots[a]->type == S_IFREG && found->slots[a])
                fprintf(stderr, "prove:   base %llu, now %llu, found %llu bytes%s\n",
                        (unsigned long long)t->slots[a]->base.size, (unsigned long long)t->slots[a]->now.size,
                        (unsigned long long)found->slots[a]->base.size, t->slots[a]->pending ? ", pages pending" : "");
        }
        count++;
    }
    return count;
}

/* --- positions --- */

static bool *possible[WRITERS_MAX];           /* by position */
static unsigned position[WRITERS_MAX];

static unsigned told_before(const struct history *h, uint64_t moment)
{
    unsigned n = 0, count = h->count;
    while (n < count && h->events[n].acked && h->events[n].acked < moment)
        n++;
    return n;
}

static bool syncs(const struct event *e)
{
    return e->acked && (e->kind == EV_SYNC || e->kind == EV_SYNC_DIR || e->kind == EV_FLUSH);
}

/* What is durable at least: the start of the search. */
static void set_durable(bool all)
{
    uint64_t last = all ? UINT64_MAX : 0;
    for (uint32_t w = 0; w <= noted->writers; w++)
        for (unsigned i = 0; i < noted->history[w].count; i++) {
            const struct event *e = &noted->history[w].events[i];
            if (syncs(e) && w < noted->writers)
                position[w] = i + 1;
            if (syncs(e) && e->issued > last)
                last = e->issued;
        }
    for (uint32_t w = 0; w < noted->writers; w++) {
        unsigned n = told_before(&noted->history[w], last);
        position[w] = n > position[w] ? n : position[w];
    }
}

static void replay(uint32_t w, struct tree *t, unsigned upto, const char *base)
{
    *t = (struct tree){ .strict = noted->strict };
    if (!tree_load(base, w, t)) {
        fprintf(stderr, "prove: %s cannot be read\n", base);
        exit(2);
    }
    for (unsigned i = 0; i < upto; i++)
        tree_apply(t, &noted->history[w].events[i]);
}

static void tell_events(uint32_t w, unsigned at)
{
    static const char *const kinds[] = {
        "create", "open", "open and cut", "write", "store", "sync", "close", "cut", "punch", "rename", "exchange",
        "link", "unlink", "mkdir", "rmdir", "symlink", "set attribute", "chmod", "sync directory", "flush",
    };
    unsigned count = noted->history[w].count;
    for (unsigned i = at < 20 ? 0 : at - 20; i < count && i < at + 6; i++) {
        const struct event *e = &noted->history[w].events[i];
        char a[64], b[64];
        address_path(e->a, a);
        address_path(e->b, b);
        fprintf(stderr, "prove: %5u %6llu %6llu %s %s %s at %llu, %llu bytes\n", i + 1, (unsigned long long)e->issued,
                (unsigned long long)e->acked, kinds[e->kind], a, b, (unsigned long long)e->off,
                (unsigned long long)e->len);
    }
}

/* Which positions of a writer equal the tree found? */
static void find_positions(uint32_t w, const struct tree *found, const char *base)
{
    unsigned count = noted->history[w].count, best = 0, least = TOP + 1, fits = 0;
    struct tree t;

    possible[w] = must(calloc(count + 1, sizeof(bool)));
    replay(w, &t, 0, base);
    for (unsigned k = 0;; k++) {
        unsigned bad = misfits(&t, found, false);
        possible[w][k] = !bad;
        fits += !bad;
        if (bad < least || (bad == least && k <= position[w])) {
            least = bad;
            best = k;
        }
        if (k == count)
            break;
        tree_apply(&t, &noted->history[w].events[k]);
    }
    if (fits)
        return;
    tell_events(w, best);
    WRONG("writer %u: its tree is that of no position among %u; %u is the nearest, %u is durable:", w, count, best,
          position[w]);
    replay(w, &t, best, base);
    misfits(&t, found, true);
}

/* The least choice that meets every bound. */
static void choose_positions(void)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t a = 0; a < noted->writers; a++) {
            const struct history *h = &noted->history[a];
            unsigned k = position[a];
            for (uint32_t b = 0; b < noted->writers; b++) {
                unsigned n = position[b] ? told_before(h, noted->history[b].events[position[b] - 1].issued) : 0;
                k = b != a && n > k ? n : k;
            }
            unsigned bound = k;
            while (k <= h->count && !possible[a][k])
                k++;
            if (k > h->count) {
                for (k = bound; k && !possible[a][k]; k--)
                    continue;
                WRONG("writer %u: position %u of %u was found, but %u events must be in", a, k, h->count, bound);
                return;
            }
            again |= k != position[a];
            position[a] = k;
        }
    }
}

static void save(const char *base, struct tree *trees)
{
    char *temporary;
    if (asprintf(&temporary, "%s.new", base) < 0)
        exit(2);
    FILE *f = fopen(temporary, "w");
    bool good = f;
    for (uint32_t w = 0; good && w < noted->writers; w++) {
        uint64_t numbers = 0;
        for (int i = 0; i < TOP; i++)
            good = good && node_save(f, trees[w].slots[i], &numbers);
    }
    if (!f || fclose(f) || !good || rename(temporary, base)) {
        perror("prove: the tree found cannot be kept");
        exit(2);
    }
    free(temporary);
}

static bool note_load(const char *name)
{
    int fd = open(name, O_RDWR);
    noted = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*noted), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return noted != MAP_FAILED;
}

int main(int argc, char **argv)
{
    static struct tree found[WRITERS_MAX];
    char *base, name[16];
    bool all = argc == 4 && !strcmp(argv[1], "--all");
    argc -= all;
    argv += all;
    int root = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
    if (root < 0 || !note_load(argv[2]) || asprintf(&base, "%s.base", argv[2]) < 0) {
        fprintf(stderr, "usage: prove [--all] DIRECTORY LOG\n");
        return 2;
    }
    uint64_t events = 0;
    set_durable(all);
    for (uint32_t w = 0; w < noted->writers; w++) {
        snprintf(name, sizeof(name), "w%u", w);
        inode_count = 0;
        int dir = openat(root, name, O_RDONLY | O_DIRECTORY);
        if (dir >= 0) {
            find_tree(dir, &found[w]);
            close(dir);
        } else if (errno != ENOENT)
            WRONG("%s: %s", name, strerror(errno));
        /* Numbers of inodes are done with; saving numbers anew. */
        for (uint32_t i = 0; i < inode_count; i++)
            inodes[i]->number = 0;
        find_positions(w, &found[w], base);
        events += noted->history[w].count;
    }
    if (!failures)
        choose_positions();
    uint64_t in = 0;
    for (uint32_t w = 0; w < noted->writers; w++) {
        in += position[w];
    }
    printf("%llu events, %llu in at least\n", (unsigned long long)events, (unsigned long long)in);
    if (!failures && noted->writers) {
        save(base, found);
        for (uint32_t w = 0; w <= noted->writers; w++)
            noted->history[w].count = 0;
    }
    return failures ? 1 : 0;
}
