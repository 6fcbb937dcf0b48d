/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Reads back what was copied, and compares it with the source, byte by byte.
 *
 * By now everything is published, and the daemon has forgotten what it knew (see
 * fs_forget).  Reading past the page cache (O_DIRECT) and asking for attributes anew
 * then takes the whole way: maps from the index, objects from the store, decryption.
 * Equal bytes say more than equal sums, and need no list of sums.
 */
#include "transfer.h"
#include <fcntl.h>
#include <unistd.h>

/* Where both sides have nothing but holes, nothing needs to be read. */
static off_t data_from(int fd, off_t at, off_t size)
{
    off_t data = lseek(fd, at, SEEK_DATA);
    return data >= 0 ? data : errno == ENXIO ? size : at;
}

static off_t next_data(int from, int to, off_t at, off_t size)
{
    off_t a = data_from(from, at, size), b = data_from(to, at, size);
    return a < b ? a : b;
}

/* As many bytes as there are, up to `size`. */
static int read_full(int fd, uint8_t *buffer, size_t size, off_t at, size_t *got)
{
    for (*got = 0; *got < size;) {
        ssize_t n = pread(fd, buffer + *got, size - *got, at + (off_t)*got);
        if (n < 0 && errno == EINTR && !signals_caught())
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        *got += (size_t)n;
    }
    return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Where holes are is asked again only behind zeros: each question goes all the way to the vault. */
int compare_contents(struct transfer *t, int from, int to, uint64_t size, enum side *side)
{
    off_t end = (off_t)size, at = end > (off_t)COPY_SIZE ? next_data(from, to, 0, end) : 0;

    while (at < end) {
        size_t want = end - at < (off_t)COPY_SIZE ? (size_t)(end - at) : COPY_SIZE, a, b;

        *side = SIDE_SOURCE;
        int rc = signals_caught() ? -EINTR : read_full(from, t->buffer, want, at, &a);
        if (rc)
            return rc;
        *side = SIDE_DEST;
        rc = read_full(to, t->other, want, at, &b);
        if (rc)
            return rc;
        if (a != want || b != want || memcmp(t->buffer, t->other, want))
            return 1;
        at += (off_t)want;
        t->meter.bytes += want;
        if (at < end && is_zero(t->buffer, want))
            at = next_data(from, to, at, end);
        meter_show(&t->meter);
    }
    return 0;
}

/* --- one entry ------------------------------------------------------------------------ */

static int open_dest(const struct node *n, struct stat *st)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_DIRECT;

    if (n->to < 0 || fstatat(n->to, n->name, st, AT_SYMLINK_NOFOLLOW))
        return n->to < 0 ? -ENOENT : -errno;
    if ((st->st_mode & S_IFMT) != (n->st.st_mode & S_IFMT))
        return -ESTALE;
    if (S_ISLNK(n->st.st_mode))
        flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(n->to, n->name, S_ISLNK(n->st.st_mode) ? flags : flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(n->to, n->name, flags);
    return fd < 0 ? -errno : fd;
}

static int same_target(int from, int to)
{
    char a[PATH_MAX], b[PATH_MAX];

    ssize_t len = readlinkat(from, "", a, sizeof a);
    return len >= 0 && readlinkat(to, "", b, sizeof b) == len ? memcmp(a, b, (size_t)len) != 0 : 1;
}

/* -1: verified; else why not, with *error. Below LEFT_VERIFIED: the end of the walk. */
#define LEFT_VERIFIED (-1)

static int judge_data(struct transfer *t, int from, int to, const struct stat *st, int *error)
{
    enum side side = SIDE_SOURCE;
    struct stat there;
    int rc = 0;

    if (S_ISLNK(st->st_mode))
        rc = same_target(from, to);
    else if (fstat(to, &there))
        *error = rc = -errno, side = SIDE_DEST;
    else
        rc = there.st_size != st->st_size ? 1 : compare_contents(t, from, to, (uint64_t)st->st_size, &side);
    if ((rc == -EINTR && signals_caught()) || rc == -ENOMEM)
        return rc;
    *error = rc < 0 ? rc : 0;
    return rc == 0 ? LEFT_VERIFIED : rc < 0 && side == SIDE_SOURCE ? LEFT_UNREADABLE : LEFT_NOT_VERIFIED;
}

static int judge(struct transfer *t, const struct node *n, int from, int to, const struct stat *st, int *error)
{
    struct stat now;

    int why = judge_data(t, from, to, st, error);
    if (why < LEFT_VERIFIED)
        return why;
    int kept = why == LEFT_VERIFIED ? attributes_compare(t, from, to, st) : 0;
    if (kept < 0) {
        *error = kept;
        why = LEFT_NOT_VERIFIED;
    }
    if (fstat(from, &now) || !copy_same_state(st, &now) || !copy_same_state(&n->st, &now)) {
        *error = 0;
        why = LEFT_CHANGING;
    }
    return kept > 0 && why == LEFT_VERIFIED ? LEFT_ATTRIBUTES : why;
}

/* A page that its disk has not seen takes writes through a map without a trace in the times, by
 * which the removal knows the file; one that was written out does not. Not on a tmpfs. */
static void write_out(int from)
{
    sync_file_range(from, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

/* Already verified under another name, which the vault has too, and not changed since. */
static bool by_other_name(const struct transfer *t, const struct node *n, const struct known_file *f,
                          const struct stat *there)
{
    return f && f->verified && f->to.ino == there->st_ino && prints_have(&t->verified, &n->st);
}

static int mark(struct transfer *t, const struct node *n, struct known_file *f, const struct stat *there)
{
    if (S_ISREG(n->st.st_mode)) {
        t->verified_files++;
        t->verified_bytes += (uint64_t)n->st.st_size;
    }
    if (f && f->to.ino == there->st_ino)
        f->verified = true;
    return t->remove || f ? prints_add(&t->verified, &n->st) : 0;
}

static int verify(struct transfer *t, const struct node *n)
{
    struct known_file *f = S_ISREG(n->st.st_mode) && n->st.st_nlink > 1 ? links_find(&t->links, &n->st) : NULL;
    struct stat st, there;
    int error = 0, from = -1, why = LEFT_NOT_VERIFIED;

    int to = open_dest(n, &there);
    if (to == -ENOENT) {
        why = LEFT_CHANGING;   /* it came after the copying */
    } else if (to < 0) {
        error = to;
    } else if (by_other_name(t, n, f, &there)) {
        why = LEFT_VERIFIED;
    } else {
        from = copy_open_source(n, &st);
        if (from >= 0 && t->remove && S_ISREG(st.st_mode))
            write_out(from);
        why = from < 0 ? LEFT_UNREADABLE : judge(t, n, from, to, &st, &error);
        error = from < 0 ? from : error;
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (why == LEFT_VERIFIED)
        return mark(t, n, f, &there);
    if (why < LEFT_VERIFIED)
        return why;
    transfer_leave(t, n, (enum left_reason)why, error);
    return 0;
}

static int verify_entry(struct transfer *t, const struct node *n)
{
    uint64_t before = t->meter.bytes;
    bool regular = S_ISREG(n->st.st_mode);

    if ((!regular && !S_ISLNK(n->st.st_mode)) || prints_have(&t->told, &n->st))
        return 0;
    int rc = verify(t, n);
    if (regular) {
        t->meter.files++;
        t->meter.bytes = before + (uint64_t)n->st.st_size;
    }
    meter_show(&t->meter);
    return rc;
}

/* --- folders ------------------------------------------------------------------------------ */

static int verify_enter(struct transfer *t, const struct node *n, int from, struct entered *out)
{
    (void)from;
    out->to = openat(n->to, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out->to >= 0)
        return 0;
    transfer_leave(t, n, errno == ENOENT ? LEFT_CHANGING : LEFT_NOT_VERIFIED, errno == ENOENT ? 0 : -errno);
    return 1;
}

static int verify_leave(struct transfer *t, const struct node *n, int from, int to, bool finish)
{
    (void)finish;
    if (prints_have(&t->told, &n->st))
        return 0;
    int rc = prints_have(&t->merged, &n->st) ? 0 : attributes_compare(t, from, to, &n->st);
    if (rc == -ENOMEM)
        return rc;
    if (rc)
        transfer_leave(t, n, rc < 0 ? LEFT_NOT_VERIFIED : LEFT_ATTRIBUTES, rc < 0 ? rc : 0);
    return rc || !t->remove ? 0 : prints_add(&t->verified, &n->st);
}

const struct visitor visitor_verify = { verify_enter, verify_leave, verify_entry };
