/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Copies a tree beside another one, and never over anything.
 *
 * A file or link is made in the staging folder, whole and with all its attributes,
 * and gets its name by a rename that replaces nothing (settle.c).  A folder is made with
 * a mode that nothing else has and gets its own when all is in it.  So whatever ends a
 * run, another one finds finished files, folders that say that they are not, and a
 * staging folder that it may empty.
 *
 * What is there already is done when it looks the same (size and time of change); of
 * the rest the contents are compared, and what differs is a conflict, left as it is.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* --- counting ---------------------------------------------------------------------- */

static int count_entry(struct transfer *t, const struct node *n)
{
    if (S_ISREG(n->st.st_mode)) {
        t->found++;
        t->found_bytes += (uint64_t)n->st.st_size;
        t->meter.files++;
        t->meter.bytes = t->found_bytes;
    }
    meter_show(&t->meter);
    return 0;
}

const struct visitor visitor_count = { .entry = count_entry };

/* --- staging ------------------------------------------------------------------------------ */

static int told(struct transfer *t, const struct node *n, enum side side, int rc)
{
    return side == SIDE_SOURCE ? transfer_source_error(t, n, rc) : transfer_dest_error(t, n, rc);
}

/* Nothing stays behind of what was staged; `rc` 0 means that the entry is told. */
static int drop(struct transfer *t, const char *staged, int to, int rc)
{
    if (to >= 0)
        close(to);
    unlinkat(t->staging, staged, 0);
    return rc ? rc : 1;
}

/* Where the entry is, or will be: `staged` as long as it has no name. */
static int remember(struct transfer *t, const struct node *n, int dir, const char *name, uint64_t staged)
{
    struct identity to;
    struct buf path = { 0 };

    int rc = identify(dir, name, &to);
    if (rc)
        return transfer_dest_error(t, n, rc);
    walk_path(n, &path);
    if (path.failed) {
        buf_free(&path);
        return -ENOMEM;
    }
    return links_add(&t->links, &n->st, &to, (char *)path.data, staged);
}

/* 0: whole and staged; 1: left out and told. */
static int make_file(struct transfer *t, const struct node *n)
{
    struct staged_file s = { .number = ++t->staged, .fd = -1, .st = n->st };
    enum side side = SIDE_SOURCE;
    char staged[STAGED_NAME];
    struct stat st;

    int from = copy_open_source(n, &st);
    if (from < 0)
        return transfer_source_error(t, n, from) ?: 1;
    staged_name(s.number, staged);
    int to = openat(t->staging, staged, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, st.st_mode & 0777);
    int rc = to < 0 ? -errno : copy_fill(t, from, to, &st, &side);
    if (to < 0 || rc) {
        close(from);
        return drop(t, staged, to, told(t, n, to < 0 ? SIDE_DEST : side, rc));
    }
    rc = attributes_copy(t, from, to, &st);
    close(from);
    s.lost = rc > 0;
    s.fd = to;
    /* The vault keeps the order of contents and names by itself, and syncs when it publishes. */
    if (t->import) {
        s.fd = -1;
        rc = close(to) && rc >= 0 ? -errno : rc;
    }
    if (rc >= 0 && n->st.st_nlink > 1)
        rc = remember(t, n, t->staging, staged, s.number);
    if (rc < 0)
        return drop(t, staged, s.fd, transfer_dest_error(t, n, rc));
    return batch_add(t, n, s);
}

static int make_link(struct transfer *t, const struct node *n)
{
    struct staged_file s = { .number = ++t->staged, .fd = -1, .st = n->st };
    char target[PATH_MAX], staged[STAGED_NAME];
    struct stat st;

    int from = copy_open_source(n, &st);
    ssize_t len = from < 0 ? from : readlinkat(from, "", target, sizeof target);
    if (from < 0 || len < 0 || len == sizeof target) {
        int rc = from < 0 ? from : len < 0 ? -errno : -ENAMETOOLONG;
        if (from >= 0)
            close(from);
        return transfer_source_error(t, n, rc) ?: 1;
    }
    target[len] = '\0';
    staged_name(s.number, staged);
    int rc = symlinkat(target, t->staging, staged) ? -errno : 0;
    int to = rc ? -1 : openat(t->staging, staged, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int kept = rc ? rc : to < 0 ? -errno : attributes_copy(t, from, to, &st);
    close(from);
    if (kept < 0)
        return drop(t, staged, to, transfer_dest_error(t, n, kept));
    close(to);
    s.lost = kept > 0;
    return batch_add(t, n, s);
}

/* --- what is there already --------------------------------------------------------------- */

static bool same_link(const struct node *n)
{
    char a[PATH_MAX], b[PATH_MAX];

    ssize_t len = readlinkat(n->from, n->name, a, sizeof a);
    return len >= 0 && readlinkat(n->to, n->name, b, sizeof b) == len && memcmp(a, b, (size_t)len) == 0;
}

/* 0: the same; 1: not; or an error of one side, which was told and counts as 1. */
static int same_contents(struct transfer *t, const struct node *n, bool *was_told)
{
    enum side side = SIDE_SOURCE;
    struct stat st;

    int from = copy_open_source(n, &st);
    int to = from < 0 ? -1 : openat(n->to, n->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc = from < 0 ? from : to < 0 ? -errno : compare_contents(t, from, to, (uint64_t)st.st_size, &side);
    if (from >= 0 && to < 0)
        side = SIDE_DEST;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (rc >= 0)
        return rc;
    *was_told = true;
    return told(t, n, side, rc);
}

/* 0: the same; 1: left out and told. */
static int compare_existing(struct transfer *t, const struct node *n, const struct stat *there)
{
    bool was_told = false;
    int rc = 1;

    if ((there->st_mode & S_IFMT) != (n->st.st_mode & S_IFMT))
        rc = 1;
    else if (S_ISLNK(n->st.st_mode))
        rc = !same_link(n);
    else if (there->st_size == n->st.st_size)
        rc = there->st_mtim.tv_sec == n->st.st_mtim.tv_sec && there->st_mtim.tv_nsec == n->st.st_mtim.tv_nsec
                 ? 0 : same_contents(t, n, &was_told);
    if (rc < 0 || was_told)
        return rc < 0 ? rc : 1;
    if (rc)
        transfer_leave(t, n, LEFT_CONFLICT, 0);
    return rc;
}

/* `f` when the file is known by another name. */
static int look_at_existing(struct transfer *t, const struct node *n, const struct stat *there, const struct known_file *f)
{
    bool itself = f && !f->staged && f->to.ino == there->st_ino;
    int rc = itself ? 0 : compare_existing(t, n, there);

    if (rc)
        return rc;
    if (f && !itself) {
        transfer_leave(t, n, LEFT_HARD_LINK, 0);
        return 0;
    }
    t->already++;
    return !f && !t->dry_run && S_ISREG(n->st.st_mode) && n->st.st_nlink > 1 ? remember(t, n, n->to, n->name, 0) : 0;
}

/* --- several names ---------------------------------------------------------------------------- */

/* Links it beside what is staged, and looks whether it is the file that was meant. */
static int link_known(struct transfer *t, const struct known_file *f, const char *staged)
{
    char first[STAGED_NAME];
    const char *base = first;
    struct identity now;

    staged_name(f->staged, first);
    int dir = f->staged ? fcntl(t->staging, F_DUPFD_CLOEXEC, 3) : walk_open_parent(t->dest, f->path, &base);
    int rc = dir < 0 ? -ENOENT : linkat(dir, base, t->staging, staged, 0) ? -errno : 0;
    if (dir >= 0)
        close(dir);
    if (rc)
        return rc;
    rc = identify(t->staging, staged, &now);
    if (!rc && !identity_same(&now, &f->to))
        rc = -ENOENT;
    if (rc)
        unlinkat(t->staging, staged, 0);
    return rc;
}

/* 0: staged; 1: told; 2: to be copied, for it is not there any more or can have one name only. */
static int link_to(struct transfer *t, const struct node *n, const struct known_file *f)
{
    struct staged_file s = { .number = ++t->staged, .fd = -1, .st = n->st, .further = true };
    char staged[STAGED_NAME];

    staged_name(s.number, staged);
    int rc = link_known(t, f, staged);
    if (!rc)
        return batch_add(t, n, s);
    if (rc == -EPERM || rc == -EMLINK || rc == -EOPNOTSUPP)
        transfer_leave(t, n, LEFT_HARD_LINK, rc);
    else if (rc != -ENOENT)
        return transfer_dest_error(t, n, rc) ?: 1;
    return 2;
}

/* Is something there? An empty file by which a killed run held the name goes. */
static bool is_taken(const struct transfer *t, const struct node *n, struct stat *there)
{
    if (n->fresh || n->to < 0 || fstatat(n->to, n->name, there, AT_SYMLINK_NOFOLLOW))
        return false;
    if (!t->claims || !io_is_claim(there) || io_is_claim(&n->st))
        return true;
    return unlinkat(n->to, n->name, 0);
}

/* --- entries -------------------------------------------------------------------------------------- */

static int make(struct transfer *t, const struct node *n)
{
    if (!t->dry_run)
        return S_ISLNK(n->st.st_mode) ? make_link(t, n) : make_file(t, n);
    if (S_ISLNK(n->st.st_mode)) {
        t->symlinks++;
        return 0;
    }
    t->files++;
    t->bytes += (uint64_t)n->st.st_size;
    return 0;
}

static int copy_one(struct transfer *t, const struct node *n)
{
    bool several = S_ISREG(n->st.st_mode) && n->st.st_nlink > 1 && !t->dry_run;
    const struct known_file *f = several ? links_find(&t->links, &n->st) : NULL;
    struct stat there;

    if (is_taken(t, n, &there))
        return look_at_existing(t, n, &there, f);
    int rc = f ? link_to(t, n, f) : 2;
    return rc == 2 ? make(t, n) : rc;
}

static int copy_entry(struct transfer *t, const struct node *n)
{
    uint64_t before = t->meter.bytes;
    bool regular = S_ISREG(n->st.st_mode);

    if (!regular && !S_ISLNK(n->st.st_mode)) {
        transfer_leave(t, n, LEFT_SPECIAL, 0);
        return 0;
    }
    int rc = copy_one(t, n);
    if (regular) {
        t->meter.files++;
        t->meter.bytes = before + (uint64_t)n->st.st_size;
    }
    meter_show(&t->meter);
    return rc < 0 ? rc : 0;
}

/* --- folders ------------------------------------------------------------------------------------------ */

static int enter_existing(struct transfer *t, const struct node *n, struct entered *out)
{
    struct stat st;

    out->to = openat(n->to, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out->to < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        transfer_leave(t, n, LEFT_CONFLICT, 0);
        return 1;
    }
    if (out->to < 0 || fstat(out->to, &st))
        return told(t, n, SIDE_DEST, -errno) ?: 1;
    /* Ours when it was begun, or when it is finished but gets something more. */
    out->finish = (st.st_mode & 07777) == FOLDER_BEGUN ||
                  (st.st_mode == n->st.st_mode && st.st_mtim.tv_sec == n->st.st_mtim.tv_sec &&
                   st.st_mtim.tv_nsec == n->st.st_mtim.tv_nsec);
    out->fresh = false;
    return out->finish ? 0 : prints_add(&t->merged, &n->st);
}

static int copy_enter(struct transfer *t, const struct node *n, int from, struct entered *out)
{
    struct stat st;

    (void)from;
    if (t->dry_run) {
        bool there = n->to >= 0 && fstatat(n->to, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        t->folders += !there;
        return there ? enter_existing(t, n, out) : 0;
    }
    if (mkdirat(n->to, n->name, FOLDER_BEGUN)) {
        if (errno == EEXIST)
            return enter_existing(t, n, out);
        return transfer_name_error(t, n, -errno) ?: 1;
    }
    t->folders++;
    out->to = openat(n->to, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    out->fresh = out->finish = true;
    return out->to < 0 ? transfer_dest_error(t, n, -errno) ?: 1 : 0;
}

static int copy_leave(struct transfer *t, const struct node *n, int from, int to, bool finish)
{
    return finish && !t->dry_run && to >= 0 ? batch_end_folder(t, n, from, to) : 0;
}

const struct visitor visitor_copy = { copy_enter, copy_leave, copy_entry };
