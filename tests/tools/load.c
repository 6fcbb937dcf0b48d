/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A mixed load on a mounted folder whose daemon may die at any moment.  What it did
 * is noted where it survives; tests/tools/prove.c then says whether what came back
 * is what promise 3 allows.
 *
 *   load [--writers N] [--seed N] [--ops N] [--strict] [--faults] [--flush COMMAND] DIRECTORY LOG
 *
 * N processes, each with directories of its own, go on until the daemon is dead or
 * each has made --ops steps; exit 0 when nothing else ended them.  --strict tells
 * that the mount has no writeback cache, --faults that errors are expected;
 * COMMAND is run now and then, and publishes.  LOG is a map shared by all: it must lie
 * elsewhere.  LOG.base, which the proof leaves, is the tree to start from.
 *
 * A writer has at most one file open, and knows its own tree at each moment, so
 * every step is one that must succeed: an error while the daemon lives is a failure.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { STRICT_WRITE = 1 << 16 };

static struct log *shared;
static struct tree tree;
static uint64_t random_state;
static bool faults;
static int root = -1;

static uint64_t draw(void) /* splitmix64 */
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t n) { return (uint32_t)(draw() % n); }

/* --- one event --- */

static struct history *mine;
static struct event *event;
static long ops_left = -1;

static bool daemon_is_dead(void)
{
    struct statfs s;
    return fstatfs(root, &s) && errno == ENOTCONN;
}

/* A reply in the hands of a thread that is being killed gives EIO, and the end of the
 * connection comes somewhat later. */
static bool daemon_dies(void)
{
    const struct timespec moment = { 0, 10000000 };
    bool dead = false;
    for (int i = 0; !(dead = daemon_is_dead()) && i < 300; i++)
        nanosleep(&moment, NULL);
    return dead;
}

/* The end of a writer, at its first error. */
static void stop(const char *what, int error)
{
    bool expected = faults || daemon_dies();
    if (!expected)
        fprintf(stderr, "load: event %u, kind %u: %s: %s\n", atomic_load(&mine->count), event ? event->kind : 0,
                what, strerror(error));
    _exit(expected ? 0 : 1);
}

static void on_bus_error(int signal)
{
    (void)signal;
    stop("a mapped page", EIO);
}

static void begin(enum kind kind, uint32_t a, uint32_t b, uint64_t off, uint64_t len)
{
    unsigned n = atomic_load(&mine->count);
    event = &mine->events[n];
    event->kind = kind;
    event->a = a;
    event->b = b;
    event->tag = below(UINT32_MAX) + 1;
    event->off = off;
    event->len = len;
    if (kind == EV_CHMOD)
        event->tag = below(2) ? 0600 : 0644;
    event->issued = atomic_fetch_add(&shared->clock, 1) + 1;
    atomic_store(&mine->count, n + 1);
}

static void end(bool good)
{
    int error = errno;
    if (!good)
        stop("failed", error);
    event->acked = atomic_fetch_add(&shared->clock, 1) + 1;
    tree_apply(&tree, event);
    if (ops_left == 0 || atomic_load(&mine->count) == EVENTS_MAX)
        _exit(0);
    ops_left -= ops_left > 0;
}

/* --- what programs do; the working directory is the writer's --- */

static int fd = -1;

static const char *path(uint32_t address)
{
    static char paths[2][64];
    static int turn;
    turn = !turn;
    address_path(address, paths[turn]);
    return paths[turn];
}

static void sync_file(void)
{
    begin(EV_SYNC, 0, 0, 0, 0);
    end((below(2) ? fsync(fd) : fdatasync(fd)) == 0);
}

static void close_file(void)
{
    begin(EV_CLOSE, 0, 0, 0, 0);
    int rc = close(fd);
    fd = -1;
    end(rc == 0);
}

static void write_piece(uint64_t off, uint64_t len)
{
    static uint8_t bytes[FILE_MAX];
    begin(EV_WRITE, 0, 0, off, len);
    fill(bytes, len, event->tag);
    ssize_t n = pwrite(fd, bytes, len, (off_t)off);
    errno = n >= 0 && n != (ssize_t)len ? EIO : errno;
    end(n == (ssize_t)len);
}

/* Without a writeback cache a request ends where a page was written in part, unless
 * that is its end. */
static uint64_t request_end(uint64_t off, uint64_t end)
{
    uint64_t limit = off % PAGE ? off / PAGE * PAGE + PAGE : off + STRICT_WRITE;
    return !tree.strict || end < limit ? end : limit;
}

static void write_file(uint64_t off, uint64_t len)
{
    if (off + len > FILE_MAX)
        off = FILE_MAX - len;
    uint64_t end = off + len;
    for (uint64_t next; off < end; off = next) {
        next = request_end(off, end);
        write_piece(off, next - off);
    }
}

static uint64_t draw_length(void)
{
    switch (below(32)) {
    case 0: return 1 + below(3 << 20);
    case 1:
    case 2: return 1 + below(200000);
    case 3: return PAGE * (1 + below(8));
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: return 1 + below(20000);
    default: return 1 + below(5000);
    }
}

static void maybe_sync(void)
{
    if (below(6) == 0)
        sync_file();
}

static void create_file(uint32_t a)
{
    begin(EV_CREATE, a, 0, 0, 0);
    fd = open(path(a), O_RDWR | O_CREAT | O_EXCL, 0644);
    end(fd >= 0);
}

static void open_file(uint32_t a, bool cutting)
{
    begin(cutting ? EV_OPEN_CUT : EV_OPEN, a, 0, 0, 0);
    fd = open(path(a), O_RDWR | (cutting ? O_TRUNC : 0));
    end(fd >= 0);
}

static void cut_file(uint64_t size)
{
    begin(EV_CUT, 0, 0, size, 0);
    end(ftruncate(fd, (off_t)size) == 0);
}

static void move(enum kind kind, uint32_t a, uint32_t b)
{
    begin(kind, a, b, 0, 0);
    end(renameat2(AT_FDCWD, path(a), AT_FDCWD, path(b), kind == EV_EXCHANGE ? RENAME_EXCHANGE : 0) == 0);
}

static void fresh_file(uint32_t a)
{
    create_file(a);
    if (below(10)) {
        write_file(below(8) ? 0 : below(100000), draw_length());
        maybe_sync();
    }
    close_file();
}

/* Several writes, cuts between them. */
static void change_file(uint32_t a)
{
    open_file(a, below(6) == 0);
    uint64_t size = tree.open->now.size;
    for (unsigned i = below(3) + 1; i; i--) {
        switch (below(6)) {
        case 0: cut_file(below(size + 1)); break;
        case 1: cut_file(below(2) ? 0 : below(300000)); break;
        case 2: write_file(tree.open->now.size, draw_length()); break;
        default: write_file(below(tree.open->now.size + 1), draw_length()); break;
        }
        maybe_sync();
    }
    close_file();
}

static void map_file(uint32_t a)
{
    open_file(a, false);
    uint64_t size = tree.open->now.size;
    uint8_t *p = size ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (p != MAP_FAILED) {
        for (unsigned i = below(3) + 1; i; i--) {
            uint64_t off = below(size), len = 1 + below(9000);
            len = len < size - off ? len : size - off;
            begin(EV_STORE, 0, 0, off, len);
            fill(p + off, len, event->tag);
            end(true);
        }
        begin(EV_SYNC, 0, 0, 0, 0);
        end(msync(p, size, MS_SYNC) == 0);
        munmap(p, size);
    }
    close_file();
}

static void punch_file(uint32_t a)
{
    open_file(a, false);
    uint64_t size = tree.open->now.size;
    if (size) {
        uint64_t off = below(size);
        begin(EV_PUNCH, 0, 0, off, 1 + below(30000));
        end(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)event->len) == 0);
    }
    close_file();
}

static void sync_directory(void)
{
    static const char *const dirs[DIRS] = { ".", "a", "b" };
    int dir = open(dirs[below(DIRS)], O_RDONLY | O_DIRECTORY);
    int error = errno;
    if (dir < 0)
        stop("a directory", error);
    begin(EV_SYNC_DIR, 0, 0, 0, 0);
    end(fsync(dir) == 0);
    close(dir);
}

/* As editors do: the new contents beside, then over; often without fsync, and
 * sometimes renamed while still open. */
static void replace_file(uint32_t beside, uint32_t target)
{
    create_file(beside);
    write_file(0, draw_length());
    if (below(3) == 0)
        sync_file();
    bool late = below(2);
    if (!late)
        close_file();
    move(EV_RENAME, beside, target);
    if (late) {
        for (unsigned i = below(4); i; i--)      /* the rename becomes durable, and nobody closes */
            sync_directory();
        if (below(2))
            write_file(below(20000), draw_length());
        close_file();
    }
}

static void unlink_name(uint32_t a)
{
    begin(EV_UNLINK, a, 0, 0, 0);
    end(unlink(path(a)) == 0);
}

/* Writes to a file that has lost its name. */
static void unlink_open(uint32_t a)
{
    open_file(a, false);
    write_file(0, draw_length());
    unlink_name(a);
    close_file();
}

static void make_link(uint32_t a, uint32_t b)
{
    begin(EV_LINK, a, b, 0, 0);
    end(link(path(a), path(b)) == 0);
}

static void make_symlink(uint32_t a)
{
    char target[32];
    begin(EV_SYMLINK, a, 0, 0, 0);
    snprintf(target, sizeof(target), "to/%u", event->tag);
    end(symlink(target, path(a)) == 0);
}

static void set_attribute(uint32_t a)
{
    begin(EV_XATTR, a, 0, 0, 0);
    end(setxattr(path(a), "user.tag", &event->tag, sizeof(event->tag), 0) == 0);
}

static void change_mode(uint32_t a)
{
    begin(EV_CHMOD, a, 0, 0, 0);
    end(chmod(path(a), event->tag) == 0);
}

static bool is_empty(const struct node *dir)
{
    for (int i = 0; i < INNER; i++)
        if (dir->inner[i])
            return false;
    return true;
}

static void on_directory(uint32_t a, const struct node *n, uint32_t b, bool b_free)
{
    if (b < TOP && b_free && below(2))
        move(EV_RENAME, a, b);
    else if (is_empty(n)) {
        begin(EV_RMDIR, a, 0, 0, 0);
        end(rmdir(path(a)) == 0);
    }
}

static void on_nothing(uint32_t a, uint32_t b, bool b_replaceable)
{
    switch (below(8)) {
    case 0:
        if (a < TOP) {
            begin(EV_MKDIR, a, 0, 0, 0);
            end(mkdir(path(a), 0755) == 0);
        }
        break;
    case 1: make_symlink(a); break;
    case 2:
    case 3:
        if (b_replaceable && a != b)
            replace_file(a, b);
        break;
    default: fresh_file(a); break;
    }
}

static void on_file(uint32_t a, uint32_t b, bool b_free, bool b_file)
{
    switch (below(16)) {
    case 0: set_attribute(a); break;
    case 1: change_mode(a); break;
    case 2: unlink_open(a); break;
    case 3:
    case 4: unlink_name(a); break;
    case 5: map_file(a); break;
    case 6: punch_file(a); break;
    case 7: open_file(a, true); write_file(0, draw_length()); maybe_sync(); close_file(); break;
    case 8:
        if (b_file)
            move(EV_EXCHANGE, a, b);
        break;
    case 9:
        if (b_free)
            make_link(a, b);
        break;
    case 10:
    case 11:
        if (b_free || b_file)
            move(EV_RENAME, a, b);
        break;
    default: change_file(a); break;
    }
}

static void one_thing(void)
{
    uint32_t a = below(ADDRESSES), b = below(ADDRESSES);
    if (below(4))              /* mostly the names at the top */
        a %= TOP;
    if (below(4))
        b %= TOP;
    struct node **from = slot_at(&tree, a), **to = slot_at(&tree, b);
    if (!from || !to || a == b)
        return;
    bool b_free = !*to, b_file = *to && (*to)->type != S_IFDIR;
    if (below(12) == 0)
        sync_directory();
    else if (!*from)
        on_nothing(a, b, b_file);
    else if ((*from)->type == S_IFDIR)
        on_directory(a, *from, b, b_free);
    else if ((*from)->type == S_IFREG)
        on_file(a, b, b_free, b_file);
    else
        unlink_name(a);
}

/* --- running --- */

static uint32_t writers = 6;
static const char *flush_command;

static void flush_now_and_then(void)
{
    mine = &shared->history[shared->writers];
    while (!shared->over && !daemon_is_dead()) {
        struct timespec pause = { 0, 1000000 * (10 + below(150)) };
        begin(EV_FLUSH, 0, 0, 0, 0);
        if (system(flush_command) == 0)
            event->acked = atomic_fetch_add(&shared->clock, 1) + 1;
        if (atomic_load(&mine->count) == EVENTS_MAX)
            break;
        nanosleep(&pause, NULL);
    }
    _exit(0);
}

static pid_t start(uint32_t writer, const char *base, uint64_t seed)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    random_state = seed * 1000003 + writer;
    if (writer == writers)
        flush_now_and_then();
    char name[16];
    snprintf(name, sizeof(name), "w%u", writer);
    mine = &shared->history[writer];
    signal(SIGBUS, on_bus_error);
    tree.strict = shared->strict;
    if (!tree_load(base, writer, &tree))
        _exit(2);
    if (fchdir(root) || chdir(name))
        stop("the writer's directory", errno);
    for (;;)
        one_thing();
}

/* The directories of the writers, durable before anything else. */
static bool make_directories(void)
{
    static const char *const dirs[DIRS] = { "", "/a", "/b" };
    char name[32];
    for (uint32_t i = 0; i < writers * DIRS; i++) {
        snprintf(name, sizeof(name), "w%u%s", i / DIRS, dirs[i % DIRS]);
        if (mkdirat(root, name, 0755) && errno != EEXIST)
            return false;
    }
    return fsync(root) == 0;
}

static int run(const char *base, uint64_t seed)
{
    int status, bad = 0;
    pid_t pids[WRITERS_MAX + 1], flusher = -1;
    if (!make_directories()) {
        int error = errno;
        bool expected = faults || daemon_dies();
        if (!expected)
            fprintf(stderr, "load: directories: %s\n", strerror(error));
        return expected ? 0 : 1;
    }
    for (uint32_t i = 0; i < writers; i++)
        pids[i] = start(i, base, seed);
    if (flush_command)
        flusher = start(writers, base, seed);
    for (uint32_t i = 0; i < writers; i++)
        bad += waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    shared->over = true;
    if (flusher > 0)
        waitpid(flusher, &status, 0);
    return bad ? 1 : 0;
}


static struct log *map_log(const char *name)
{
    int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, sizeof(struct log)))
        return NULL;
    void *p = mmap(NULL, sizeof(struct log), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return p == MAP_FAILED ? NULL : p;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "writers", required_argument, NULL, 'w' }, { "seed", required_argument, NULL, 's' },
        { "ops", required_argument, NULL, 'o' }, { "flush", required_argument, NULL, 'f' },
        { "strict", no_argument, NULL, 't' }, { "faults", no_argument, NULL, 'e' }, { NULL, 0, NULL, 0 },
    };
    uint64_t seed = 1;
    bool strict = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 'w': writers = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        case 'o': ops_left = strtol(optarg, NULL, 10); break;
        case 'f': flush_command = optarg; break;
        case 't': strict = true; break;
        case 'e': faults = true; break;
        default: return 2;
        }
    if (argc - optind != 2 || !writers || writers > WRITERS_MAX) {
        fprintf(stderr, "usage: load [OPTION]... DIRECTORY LOG\n");
        return 2;
    }
    char *base;
    if (asprintf(&base, "%s.base", argv[optind + 1]) < 0)
        return 2;
    shared = map_log(argv[optind + 1]);
    root = open(argv[optind], O_RDONLY | O_DIRECTORY);
    if (shared && root < 0 && (errno == ENOTCONN || errno == ECONNABORTED))
        return 0;
    if (!shared || root < 0) {
        perror("load");
        return 2;
    }
    shared->strict = strict;
    shared->writers = writers;
    return run(base, seed);
}
