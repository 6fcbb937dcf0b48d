/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Random operations on the mounted vault and on a plain directory: every result and
 * every errno must agree, and now and then the whole trees.
 *
 *   model [--seed N] [--ops N] [--seconds N] [--every N] [--remount COMMAND]
 *         [--remount-every N] [--owners] [--direct] [--trace] MOUNT PLAIN
 *
 * One operation is drawn at a time, with all its parameters, from the seed
 * alone, so that the same seed replays the same history.  Names come from a
 * small set, so that operations meet.  COMMAND unmounts and mounts again; every file
 * is closed before.  --owners tells that the mount keeps owners (root).  The
 * first disagreement is printed with its operation, and ends the run.
 */
#include "twin.h"

#include <linux/falloc.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

enum {
    SLOTS = 10,
    BUFFER = 1 << 18,
    MIB = 1 << 20,
};

struct settings {
    uint64_t seed;
    long ops, seconds, every, remount_every;
    const char *remount;
    bool owners, direct, trace;
    const char *root[2];
};

static struct settings settings = { .seed = 1, .ops = 10000, .every = 3000, .remount_every = 7000 };
static int root[2];
static struct { int fd[2]; } slots[SLOTS];

/* What an operation gave back besides its result, by side. */
static char given[2][BUFFER];
static size_t given_len[2];
static char bytes[BUFFER];

/* The parameters of an operation; each uses those that it needs. */
struct op {
    char path[128], other[128];
    int slot, other_slot, open_flags, choice;
    off_t off, other_off;
    size_t len;
    mode_t mode;
    struct timespec times[2];
    char xattr[16];
};

/* --- drawing --- */

static uint64_t state;

static uint64_t draw(void) /* splitmix64 */
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(unsigned n) { return (unsigned)(draw() % n); }

static void draw_path(char out[128])
{
    static const char *const names[] = {
        "a", "b", "c", "dossier", "\303\251t\303\251 \302\253 1 \302\273", "line\nbreak", "\377\376 bytes"
    };
    unsigned depth = below(10);
    depth = depth < 3 ? 1 : depth < 8 ? 2 : 3;
    out[0] = 0;
    for (unsigned i = 0; i < depth; i++) {
        strcat(out, i ? "/" : "");
        strcat(out, names[below(sizeof(names) / sizeof(*names))]);
    }
}

/* Near the start, around the border of the first MiB, or anywhere in 4 MiB. */
static off_t draw_offset(void)
{
    switch (below(10)) {
    case 0: return below(4 * MIB);
    case 1: return MIB - 3000 + below(6000);
    case 2: return below(300) * 4096;
    case 3: return 0;
    default: return below(65536);
    }
}

static size_t draw_length(void)
{
    switch (below(10)) {
    case 0: return 1 + below(200000);
    case 1: return 4096 * (1 + below(8));
    case 2:
    case 3:
    case 4: return 1 + below(20000);
    default: return below(300);
    }
}

static struct op draw_op(void)
{
    static const int access_modes[] = { O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_WRONLY };
    struct op op;
    memset(&op, 0, sizeof(op));
    draw_path(op.path);
    draw_path(op.other);
    op.slot = (int)below(SLOTS);
    op.other_slot = (int)below(SLOTS);
    op.choice = (int)below(1000);
    op.off = draw_offset();
    op.other_off = draw_offset();
    op.len = draw_length();
    op.mode = below(4) ? 0600 | below(0200) : below(010000) | 0600;
    op.open_flags = access_modes[below(5)] | (below(4) ? O_CREAT : 0) | (below(6) ? 0 : O_EXCL) |
                    (below(6) ? 0 : O_TRUNC) | (below(5) ? 0 : O_APPEND) | (below(8) ? 0 : O_NOFOLLOW);
    for (int i = 0; i < 2; i++)
        op.times[i] = (struct timespec){ 1000000000 + below(200000000), below(1000000000) };
    snprintf(op.xattr, sizeof(op.xattr), "user.%c", 'a' + (int)below(3));
    return op;
}

/* --- operations: a result or -errno, for one side --- */

static long result(long r) { return r < 0 ? -errno : r; }

static void give(int side, const void *data, size_t len)
{
    memcpy(given[side], data, len);
    given_len[side] = len;
}

static void close_slot(int slot)
{
    for (int side = 0; side < 2; side++) {
        if (slots[slot].fd[side] >= 0)
            close(slots[slot].fd[side]);
        slots[slot].fd[side] = -1;
    }
}

static bool is_regular(int fd)
{
    struct stat st;
    return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? -1 : st.st_size;
}

/* Opens into a slot. FIFOs are closed again; with --direct the vault's side has O_DIRECT
 * now and then, which must change nothing (ext4 wants aligned requests then). */
static long do_open(int side, const struct op *op)
{
    int direct = settings.direct && side == MOUNT && op->choice < 50 ? O_DIRECT : 0;
    if (side == 0)
        close_slot(op->slot);
    int fd = openat(root[side], op->path, op->open_flags | O_NONBLOCK | direct, op->mode & 0777);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (!fstat(fd, &st) && S_ISFIFO(st.st_mode))
        return close(fd);
    slots[op->slot].fd[side] = fd;
    return 0;
}

static long do_close(int side, const struct op *op)
{
    int fd = slots[op->slot].fd[side];
    slots[op->slot].fd[side] = -1;
    return fd < 0 ? -EBADF : result(close(fd));
}

static long do_unlink(int side, const struct op *op) { return result(unlinkat(root[side], op->path, 0)); }
static long do_rmdir(int side, const struct op *op) { return result(unlinkat(root[side], op->path, AT_REMOVEDIR)); }
static long do_mkdir(int side, const struct op *op) { return result(mkdirat(root[side], op->path, op->mode & 01777)); }
static long do_fifo(int side, const struct op *op) { return result(mkfifoat(root[side], op->path, op->mode & 0777)); }

static long do_rename(int side, const struct op *op)
{
    unsigned flags = op->choice < 150 ? RENAME_EXCHANGE : op->choice < 300 ? RENAME_NOREPLACE : 0;
    return result(renameat2(root[side], op->path, root[side], op->other, flags));
}

static long do_link(int side, const struct op *op)
{
    return result(linkat(root[side], op->path, root[side], op->other, 0));
}

static long do_symlink(int side, const struct op *op) { return result(symlinkat(op->other, root[side], op->path)); }

static long do_readlink(int side, const struct op *op)
{
    char target[256];
    ssize_t n = readlinkat(root[side], op->path, target, sizeof(target));
    if (n > 0)
        give(side, target, (size_t)n);
    return result(n);
}

static long do_chmod(int side, const struct op *op) { return result(fchmodat(root[side], op->path, op->mode, 0)); }

static long do_chown(int side, const struct op *op)
{
    uid_t uid = op->choice % 3 ? (uid_t)(op->choice % 7) : (uid_t)-1;
    gid_t gid = op->choice % 2 ? (gid_t)(op->choice % 5) : (gid_t)-1;
    if (!settings.owners)
        return 0;
    return result(fchownat(root[side], op->path, uid, gid, AT_SYMLINK_NOFOLLOW));
}

static long do_utimens(int side, const struct op *op)
{
    struct timespec times[2] = { op->times[0], op->times[1] };
    if (op->choice < 200)
        times[0].tv_nsec = UTIME_OMIT;
    else if (op->choice < 300)
        times[1].tv_nsec = UTIME_OMIT;
    else if (op->choice < 400)
        times[1].tv_nsec = UTIME_NOW;
    return result(utimensat(root[side], op->path, times, AT_SYMLINK_NOFOLLOW));
}

/* To the size that it has: ext4 says modified, other file systems and FUSE do not. */
static long do_truncate(int side, const struct op *op)
{
    char path[4400];
    struct stat st;
    if (!fstatat(root[side], op->path, &st, 0) && S_ISREG(st.st_mode) && st.st_size == op->off)
        return 0;
    snprintf(path, sizeof(path), "%s/%s", settings.root[side], op->path);
    return result(truncate(path, op->off));
}

static long do_stat(int side, const struct op *op)
{
    struct stat st;
    long r = result(fstatat(root[side], op->path, &st, op->choice % 2 ? AT_SYMLINK_NOFOLLOW : 0));
    if (!r)
        give(side, &st, sizeof(st));
    return r;
}

static long do_list(int side, const struct op *op)
{
    struct twin_name *list = NULL;
    int fd = openat(root[side], op->choice < 100 ? "." : op->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    long count = fd < 0 ? -errno : twin_names(fd, &list);
    for (long i = 0; i < count; i++) {
        struct stat st;
        if (fstatat(fd, list[i].name, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != list[i].ino ||
            IFTODT(st.st_mode) != list[i].type)
            count = -ESTALE; /* a listing that contradicts its own side */
        else if (given_len[side] + 256 < BUFFER)
            given_len[side] += (size_t)snprintf(given[side] + given_len[side], 256, "%s/", list[i].name);
    }
    twin_names_free(list, count < 0 ? 0 : count);
    if (fd >= 0)
        close(fd);
    return count;
}

/* Extended attributes go through a descriptor, of whatever can be opened. */
static long with_xattrs(int side, const struct op *op, long (*body)(int fd, int side, const struct op *op))
{
    int fd = openat(root[side], op->path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    long r = body(fd, side, op);
    close(fd);
    return r;
}

static long set_xattr(int fd, int side, const struct op *op)
{
    int flags = op->choice < 200 ? XATTR_CREATE : op->choice < 400 ? XATTR_REPLACE : 0;
    (void)side;
    return result(fsetxattr(fd, op->xattr, bytes + op->choice, op->len % 300, flags));
}

static long get_xattr(int fd, int side, const struct op *op)
{
    char value[512];
    ssize_t n = fgetxattr(fd, op->xattr, value, op->choice < 200 ? op->len % 100 : sizeof(value));
    if (n > 0 && (op->choice >= 200 || op->len % 100))
        give(side, value, (size_t)n);
    return result(n);
}

static long remove_xattr(int fd, int side, const struct op *op)
{
    (void)side;
    return result(fremovexattr(fd, op->xattr));
}

static long list_xattrs(int fd, int side, const struct op *op)
{
    (void)op;
    long n = twin_xattrs(fd, given[side], BUFFER);
    given_len[side] = n > 0 ? (size_t)n : 0;
    return n;
}

static long do_setxattr(int side, const struct op *op) { return with_xattrs(side, op, set_xattr); }
static long do_getxattr(int side, const struct op *op) { return with_xattrs(side, op, get_xattr); }
static long do_removexattr(int side, const struct op *op) { return with_xattrs(side, op, remove_xattr); }
static long do_listxattr(int side, const struct op *op) { return with_xattrs(side, op, list_xattrs); }

static long remove_below(int dir)
{
    struct twin_name *list;
    long count = twin_names(dir, &list), r = count < 0 ? count : 0;
    for (long i = 0; i < count && r == 0; i++) {
        if (!unlinkat(dir, list[i].name, 0))
            continue;
        int fd = openat(dir, list[i].name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        r = fd < 0 ? -errno : remove_below(fd);
        if (fd >= 0)
            close(fd);
        if (r == 0)
            r = result(unlinkat(dir, list[i].name, AT_REMOVEDIR));
    }
    twin_names_free(list, count);
    return r;
}

static long do_remove_tree(int side, const struct op *op)
{
    int fd = openat(root[side], op->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    long r = remove_below(fd);
    close(fd);
    return r ? r : result(unlinkat(root[side], op->path, AT_REMOVEDIR));
}

static long do_write(int side, const struct op *op)
{
    return result(pwrite(slots[op->slot].fd[side], bytes + op->choice, op->len, op->off));
}

static long do_append(int side, const struct op *op)
{
    int fd = slots[op->slot].fd[side];
    if (size_of(fd) > 6 * MIB)
        return -EFBIG;
    off_t at = lseek(fd, 0, SEEK_END);
    if (at < 0 || !is_regular(fd))
        return at < 0 ? -errno : -EINVAL;
    return result(write(fd, bytes + op->choice, op->len));
}

static long do_read(int side, const struct op *op)
{
    ssize_t n = pread(slots[op->slot].fd[side], given[side], op->len, op->off);
    given_len[side] = n > 0 ? (size_t)n : 0;
    return result(n);
}

static long do_ftruncate(int side, const struct op *op)
{
    off_t size = op->choice < 300 ? 0 : op->off;
    return result(ftruncate(slots[op->slot].fd[side], size));
}

/* A tmpfs as twin cannot zero a range: then neither side is asked. */
static bool twin_zeroes(void)
{
    static int answer = -1;
    if (answer < 0) {
        int fd = openat(root[PLAIN], ".", O_TMPFILE | O_RDWR, 0600);
        answer = fd < 0 || !fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 1) || errno != EOPNOTSUPP;
        if (fd >= 0)
            close(fd);
    }
    return answer;
}

static long do_fallocate(int side, const struct op *op)
{
    static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_PUNCH_HOLE };
    int mode = modes[op->choice % 6];
    if ((mode & FALLOC_FL_ZERO_RANGE) && !twin_zeroes())
        return 0;
    return result(fallocate(slots[op->slot].fd[side], mode, op->off, (off_t)op->len));
}

static long do_map(int side, const struct op *op)
{
    int fd = slots[op->slot].fd[side];
    off_t size = size_of(fd), start = op->off & ~(off_t)4095;
    if (size <= op->off || !is_regular(fd))
        return -ENXIO;
    size_t len = (size_t)(size - op->off) < op->len ? (size_t)(size - op->off) : op->len;
    size_t skip = (size_t)(op->off - start);
    bool writes = op->choice % 3, shared = op->choice % 7;
    if (!len)
        return 0;
    char *map = mmap(NULL, skip + len, writes ? PROT_READ | PROT_WRITE : PROT_READ,
                     shared ? MAP_SHARED : MAP_PRIVATE, fd, start);
    if (map == MAP_FAILED)
        return -errno;
    if (writes)
        memcpy(map + skip, bytes + op->choice, len);
    give(side, map + skip, len);
    long r = op->choice % 5 ? 0 : result(msync(map, skip + len, MS_SYNC));
    munmap(map, skip + len);
    return r;
}

/* To the end of the source or of the length, in as many calls as it takes. */
static long do_copy(int side, const struct op *op)
{
    int from = slots[op->slot].fd[side], to = slots[op->other_slot].fd[side];
    off_t at = op->off, into = op->other_off;
    size_t left = op->choice % 2 ? op->len : op->len * 8;
    long copied = 0;
    while (left) {
        ssize_t n = copy_file_range(from, &at, to, &into, left, 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        copied += n;
        left -= (size_t)n;
    }
    return copied;
}

static bool only_zeros(int fd, off_t from, off_t to)
{
    static char got[65536];
    while (from < to) {
        ssize_t n = pread(fd, got, to - from < 65536 ? (size_t)(to - from) : 65536, from);
        if (n <= 0)
            return n == 0;
        for (ssize_t i = 0; i < n; i++)
            if (got[i])
                return false;
        from += n;
    }
    return true;
}

/* Where data starts may differ by whole blocks; that no data is skipped, may not. */
static long do_seek(int side, const struct op *op)
{
    int fd = slots[op->slot].fd[side];
    off_t size = size_of(fd);
    if (size < 0 || !is_regular(fd))
        return -EBADF;
    off_t hole = lseek(fd, op->off, SEEK_HOLE), data = lseek(fd, op->off, SEEK_DATA);
    if (op->off >= size)
        return data < 0 && hole < 0 ? -ENXIO : -EIO;
    if (data < 0 && errno == ENXIO)
        data = size;
    if (hole < op->off || hole > size || data < op->off || data > size)
        return -EIO;
    char path[64]; /* the slot may be open for writing only */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int reader = open(path, O_RDONLY);
    bool good = reader >= 0 && only_zeros(reader, op->off, data);
    if (reader >= 0)
        close(reader);
    return good ? 1 : -EIO;
}

static long do_fstat(int side, const struct op *op)
{
    struct stat st;
    long r = result(fstat(slots[op->slot].fd[side], &st));
    if (!r)
        give(side, &st, sizeof(st));
    return r;
}

static long do_fsync(int side, const struct op *op)
{
    int fd = slots[op->slot].fd[side];
    return result(op->choice % 2 ? fsync(fd) : fdatasync(fd));
}

static long do_fchmod(int side, const struct op *op) { return result(fchmod(slots[op->slot].fd[side], op->mode)); }
static long do_futimens(int side, const struct op *op) { return result(futimens(slots[op->slot].fd[side], op->times)); }

static const struct kind {
    const char *name;
    unsigned weight;
    long (*run)(int side, const struct op *op);
    bool gives_stat, of_slot;
} kinds[] = {
    { "open", 90, do_open, false, false },
    { "close", 20, do_close, false, true },
    { "unlink", 35, do_unlink, false, false },
    { "mkdir", 45, do_mkdir, false, false },
    { "rmdir", 15, do_rmdir, false, false },
    { "mkfifo", 6, do_fifo, false, false },
    { "rename", 70, do_rename, false, false },
    { "link", 30, do_link, false, false },
    { "symlink", 20, do_symlink, false, false },
    { "readlink", 15, do_readlink, false, false },
    { "chmod", 20, do_chmod, false, false },
    { "chown", 15, do_chown, false, false },
    { "utimens", 25, do_utimens, false, false },
    { "truncate", 15, do_truncate, false, false },
    { "stat", 60, do_stat, true, false },
    { "list", 30, do_list, false, false },
    { "setxattr", 25, do_setxattr, false, false },
    { "getxattr", 20, do_getxattr, false, false },
    { "removexattr", 15, do_removexattr, false, false },
    { "listxattr", 15, do_listxattr, false, false },
    { "remove-tree", 3, do_remove_tree, false, false },
    { "write", 110, do_write, false, true },
    { "append", 40, do_append, false, true },
    { "read", 100, do_read, false, true },
    { "ftruncate", 40, do_ftruncate, false, true },
    { "fallocate", 30, do_fallocate, false, true },
    { "map", 40, do_map, false, true },
    { "copy", 30, do_copy, false, true },
    { "seek", 25, do_seek, false, true },
    { "fstat", 40, do_fstat, true, true },
    { "fsync", 6, do_fsync, false, true },
    { "fchmod", 10, do_fchmod, false, true },
    { "futimens", 12, do_futimens, false, true },
};

/* --- the run --- */

static const struct kind *draw_kind(void)
{
    unsigned total = 0, at;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        total += kinds[i].weight;
    at = below(total);
    const struct kind *k = kinds;
    for (; at >= k->weight; k++)
        at -= k->weight;
    return k;
}

static void print_op(long number, const struct kind *kind, const struct op *op)
{
    fprintf(stderr, "seed %llu, operation %ld: %s path «%s» other «%s» slots %d %d offsets %lld %lld "
            "length %zu flags %#o mode %#o choice %d xattr %s\n", (unsigned long long)settings.seed, number,
            kind->name, op->path, op->other, op->slot, op->other_slot, (long long)op->off,
            (long long)op->other_off, op->len, (unsigned)op->open_flags, op->mode, op->choice, op->xattr);
}

/* For --trace: what the plain side gave, and which of its files were meant. */
static void print_outcome(const struct op *op, long r)
{
    struct stat path = { 0 }, slot = { 0 }, other = { 0 };
    fstatat(root[PLAIN], op->path, &path, AT_SYMLINK_NOFOLLOW);
    fstat(slots[op->slot].fd[PLAIN], &slot);
    fstat(slots[op->other_slot].fd[PLAIN], &other);
    fprintf(stderr, "  gave %ld; path is #%llu of %lld bytes, slots #%llu of %lld bytes, #%llu of %lld bytes\n", r,
            (unsigned long long)path.st_ino, (long long)path.st_size, (unsigned long long)slot.st_ino,
            (long long)slot.st_size, (unsigned long long)other.st_ino, (long long)other.st_size);
}

/* A directory that was removed while open: FUSE has nobody to ask about it. */
static bool is_removed_directory(int fd)
{
    struct stat st;
    return fd >= 0 && !fstat(fd, &st) && S_ISDIR(st.st_mode) && st.st_nlink == 0;
}

static const char *disagreement(const struct kind *kind, const struct op *op, const long r[2])
{
    if (kind->of_slot && r[MOUNT] == -ENOENT && is_removed_directory(slots[op->slot].fd[PLAIN]))
        return NULL;
    if (r[0] != r[1])
        return "result";
    if (given_len[0] != given_len[1])
        return "length of what was given back";
    if (!kind->gives_stat)
        return memcmp(given[0], given[1], given_len[0]) ? "bytes given back" : NULL;
    return given_len[0] ? twin_differs((struct stat *)given[0], (struct stat *)given[1]) : NULL;
}

static bool run_op(long number)
{
    const struct kind *kind = draw_kind();
    struct op op = draw_op();
    long r[2];
    if (settings.trace)
        print_op(number, kind, &op);
    for (int side = 0; side < 2; side++) {
        given_len[side] = 0;
        r[side] = kind->run(side, &op);
    }
    if (settings.trace)
        print_outcome(&op, r[PLAIN]);
    const char *what = disagreement(kind, &op, r);
    if (!what)
        return true;
    print_op(number, kind, &op);
    for (int side = 0; side < 2; side++)
        fprintf(stderr, "  %s: %ld%s%s\n", side == MOUNT ? "vault" : "plain", r[side], r[side] < 0 ? " " : "",
                r[side] < 0 ? strerrorname_np((int)-r[side]) : "");
    if (kind->gives_stat && given_len[0] && given_len[1])
        for (int side = 0; side < 2; side++) {
            const struct stat *st = (const struct stat *)given[side];
            fprintf(stderr, "  mode %o links %lu size %lld owner %u:%u mtime %lld.%09ld\n", st->st_mode,
                    (unsigned long)st->st_nlink, (long long)st->st_size, st->st_uid, st->st_gid,
                    (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
        }
    fprintf(stderr, "  they disagree: %s\n", what);
    return false;
}

static bool open_roots(void)
{
    for (int side = 0; side < 2; side++) {
        root[side] = open(settings.root[side], O_RDONLY | O_DIRECTORY);
        if (root[side] < 0) {
            perror(settings.root[side]);
            return false;
        }
    }
    return true;
}

static bool remount(void)
{
    for (int i = 0; i < SLOTS; i++)
        close_slot(i);
    if (twin_compare(root[MOUNT], root[PLAIN], false))
        return false;
    close(root[MOUNT]);
    close(root[PLAIN]);
    if (system(settings.remount)) {
        fprintf(stderr, "the remount failed\n");
        return false;
    }
    return open_roots() && twin_compare(root[MOUNT], root[PLAIN], true) == 0;
}

static int run(void)
{
    time_t end = time(NULL) + settings.seconds;
    long n = 0;
    if (!open_roots())
        return 2;
    for (; settings.seconds ? time(NULL) < end : n < settings.ops; n++) {
        bool good = run_op(n);
        if (good && settings.remount && n % settings.remount_every == settings.remount_every - 1)
            good = remount();
        else if (good && n % settings.every == settings.every - 1)
            good = twin_compare(root[MOUNT], root[PLAIN], false) == 0;
        if (!good) {
            printf("seed %llu: disagreement at operation %ld\n", (unsigned long long)settings.seed, n);
            return 1;
        }
    }
    if (twin_compare(root[MOUNT], root[PLAIN], false) || (settings.remount && !remount()))
        return 1;
    printf("seed %llu: %ld operations agree\n", (unsigned long long)settings.seed, n);
    return 0;
}

static bool parse(int argc, char **argv)
{
    struct { const char *name; long *number; const char **text; bool *set; } options[] = {
        { "--ops", &settings.ops, NULL, NULL },
        { "--seconds", &settings.seconds, NULL, NULL },
        { "--every", &settings.every, NULL, NULL },
        { "--remount-every", &settings.remount_every, NULL, NULL },
        { "--remount", NULL, &settings.remount, NULL },
        { "--owners", NULL, NULL, &settings.owners },
        { "--direct", NULL, NULL, &settings.direct },
        { "--trace", NULL, NULL, &settings.trace },
    };
    int i = 1;
    for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
        bool known = !strcmp(argv[i], "--seed") && i + 1 < argc;
        if (known)
            settings.seed = strtoull(argv[++i], NULL, 10);
        for (size_t k = 0; !known && k < sizeof(options) / sizeof(*options); k++) {
            if (strcmp(argv[i], options[k].name) || (!options[k].set && i + 1 >= argc))
                continue;
            known = true;
            if (options[k].set)
                *options[k].set = true;
            else if (options[k].text)
                *options[k].text = argv[++i];
            else
                *options[k].number = strtol(argv[++i], NULL, 10);
        }
        if (!known)
            return false;
    }
    if (argc - i != 2 || settings.every < 1 || settings.remount_every < 1)
        return false;
    settings.root[MOUNT] = argv[i];
    settings.root[PLAIN] = argv[i + 1];
    return true;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: model [--seed N] [--ops N | --seconds N] [--every N] [--remount COMMAND]\n"
                        "             [--remount-every N] [--owners] [--direct] [--trace] MOUNT PLAIN\n");
        return 2;
    }
    state = settings.seed;
    printf("seed %llu\n", (unsigned long long)settings.seed);
    fflush(stdout);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)draw();
    for (int i = 0; i < SLOTS; i++)
        slots[i].fd[0] = slots[i].fd[1] = -1;
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    return run();
}
