/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A new state directory in the place of an old one, by one rename.
 *
 *   1. <base>/.<id>.rebuild/ is made, with a file `rebuilding` in it; all else is
 *      made in there and synced, the directory and <base> too
 *   2. <base>/<id> and <base>/.<id>.rebuild change places: one renameat2
 *   3. what is now <base>/.<id>.rebuild, the old state as it was, becomes
 *      <base>/<id>/damaged-<UTC time>
 *   4. `rebuilding` is removed
 *
 * Why so: the old index must never be seen beside the new log nor the other way
 * round, since frames of the one would open in the other; so the files cannot
 * change places one by one.  A kill before 2 leaves the old state, still damaged
 * and still offered for a rebuild, and a directory that its mark says is not
 * finished: worthless, or gone on with when there is no old state (resume.c).  A
 * kill after 2 leaves the new state, whole; the mark, which is in
 * the state now, says that 3 and 4 remain (renewal_settle, at the next mount).
 * No file of the old state is opened for writing, and none is removed, ever:
 * what the new one needs of it are links or copies.
 *
 * Without RENAME_EXCHANGE (NFS) the old one steps aside to <base>/.<id>.old
 * first.  A kill between the two renames leaves no state under its name; whoever
 * opens a damaged one puts the old one back (state_open_damaged).
 */
#include "rebuild.h"
#include "layout.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define MARK "rebuilding"

/* --- names --------------------------------------------------------------------------- */

static int split_path(const char *path, char base[PATH_MAX], char name[NAME_LIMIT + 1])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? strlen(slash + 1) : 0;

    if (!slash || !len || len > NAME_LIMIT - 16 || strlen(path) >= PATH_MAX)
        return -EINVAL;
    memcpy(name, slash + 1, len + 1);
    memcpy(base, path, strlen(path) + 1);
    base[slash == path ? 1 : slash - path] = '\0';
    return 0;
}

static void damaged_name(char out[64], unsigned attempt)
{
    time_t now_seconds = time(NULL);
    struct tm tm;
    size_t len;

    gmtime_r(&now_seconds, &tm);
    len = strftime(out, 48, "damaged-%Y%m%dT%H%M%SZ", &tm);
    if (attempt)
        snprintf(out + len, 64 - len, "-%u", attempt + 1);
}

static bool exists(int at, const char *name)
{
    struct stat st;
    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Never over another one. Where RENAME_NOREPLACE is not known a directory cannot
 * be linked either; the names are ours, so asking first is as good. */
static int move_directory(int from_dir, const char *from, int to_dir, const char *to)
{
    if (exists(to_dir, to))
        return -EEXIST;
    int rc = io_rename_new(from_dir, from, to_dir, to, FAULT_rebuild);
    if (rc == -EINVAL)
        rc = renameat(from_dir, from, to_dir, to) ? -errno : 0;
    return rc;
}

/* --- beginning ------------------------------------------------------------------------- */

/* One that was given up says so itself; it is ours alone while we hold its lock. */
static int remove_leftover(struct renewal *w)
{
    if (unlinkat(w->basefd, w->temporary, AT_REMOVEDIR) == 0)
        return 0;
    if (errno == ENOENT)
        return 0;
    int fd = openat(w->basefd, w->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = flock(fd, LOCK_EX | LOCK_NB) ? E_STATE_IN_USE : exists(fd, MARK) ? 0 : -EEXIST;
    if (!rc) {
        rc = layout_empty(fd, MARK, FAULT_rebuild);
        if (!rc)
            rc = unlinkat(w->basefd, w->temporary, AT_REMOVEDIR) ? -errno : 0;
    }
    close(fd);
    return rc;
}

static int make_pieces(struct renewal *w)
{
    struct state *s = &w->files;
    int mark = -1;

    int rc = flock(s->dir, LOCK_EX | LOCK_NB) ? E_STATE_IN_USE : 0;
    if (!rc)
        rc = layout_file(s->dir, MARK, &mark, FAULT_rebuild);
    if (mark >= 0)
        close(mark);
    /* Nothing is there without it, or nobody would know that it may be removed. */
    if (!rc)
        rc = io_sync_dir(s->dir, FAULT_rebuild);
    if (!rc)
        rc = layout_directory(s->dir, "staging", &s->staging, FAULT_rebuild);
    /* Its lock stays empty: a state that is to take a new actor. */
    if (!rc)
        rc = layout_file(s->dir, "lock", &s->lock, FAULT_rebuild);
    if (!rc && flock(s->lock, LOCK_EX | LOCK_NB))
        rc = E_STATE_IN_USE;
    return rc;
}

static int open_base(struct renewal *w, const char *path, bool make)
{
    *w = (struct renewal){ .basefd = -1, .files = { .dir = -1, .staging = -1, .lock = -1 } };
    int rc = split_path(path, w->base, w->name);
    if (!rc && make)
        rc = io_make_dirs(w->base, 0700);
    if (rc)
        return rc;
    w->basefd = open(w->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->basefd < 0)
        return -errno;
    snprintf(w->temporary, sizeof w->temporary, ".%s.rebuild", w->name);
    return snprintf(w->files.path, sizeof w->files.path, "%s/%s", w->base, w->temporary) >= (int)sizeof w->files.path
         ? -ENAMETOOLONG : 0;
}

int renewal_reopen(struct renewal *w, const char *path)
{
    struct state *s = &w->files;

    int rc = open_base(w, path, false);
    if (rc)
        return rc;
    s->dir = openat(w->basefd, w->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->dir < 0)
        return -ENOENT;
    if (flock(s->dir, LOCK_EX | LOCK_NB))
        return E_STATE_IN_USE;
    s->staging = openat(s->dir, "staging", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    s->lock = openat(s->dir, "lock", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (!exists(s->dir, MARK) || s->staging < 0 || s->lock < 0)
        return -ENOENT;
    return flock(s->lock, LOCK_EX | LOCK_NB) ? E_STATE_IN_USE : 0;
}

int renewal_begin(struct renewal *w, const char *path, bool has_old)
{
    int rc = open_base(w, path, !has_old);
    if (!rc)
        rc = remove_leftover(w);
    if (!rc)
        rc = layout_directory(w->basefd, w->temporary, &w->files.dir, FAULT_rebuild);
    w->made = w->files.dir >= 0;
    if (!rc)
        rc = make_pieces(w);
    /* What an interruption leaves is to be found again. */
    return rc ? rc : io_sync_dir(w->basefd, FAULT_rebuild);
}

void renewal_end(struct renewal *w)
{
    if (w->made) {
        layout_empty(w->files.dir, MARK, FAULT_rebuild);
        unlinkat(w->basefd, w->temporary, AT_REMOVEDIR);
    }
    state_close(&w->files);
    if (w->basefd >= 0)
        close(w->basefd);
    w->basefd = -1;
    w->made = false;
}

/* --- the switch -------------------------------------------------------------------------- */

static int exchange(const struct renewal *w)
{
    char aside[sizeof w->temporary];

    if (renameat2(w->basefd, w->temporary, w->basefd, w->name, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    snprintf(aside, sizeof aside, ".%s.old", w->name);
    int rc = move_directory(w->basefd, w->name, w->basefd, aside);
    return rc ? rc : move_directory(w->basefd, w->temporary, w->basefd, w->name);
}

/* The old state, under either name that it may have, into the new one. */
static int move_old(int basefd, const char *name, int statefd, char moved[64])
{
    static const char *const suffixes[] = { "rebuild", "old" };
    char from[NAME_LIMIT + 16];

    for (size_t k = 0; k < ARRAY_SIZE(suffixes); k++) {
        snprintf(from, sizeof from, ".%s.%s", name, suffixes[k]);
        if (!exists(basefd, from))
            continue;
        int rc = -EEXIST;
        for (unsigned attempt = 0; rc == -EEXIST && attempt < 100; attempt++) {
            damaged_name(moved, attempt);
            rc = move_directory(basefd, from, statefd, moved);
        }
        if (rc)
            return rc;
    }
    int rc = io_sync_dir(statefd, FAULT_rebuild);
    if (!rc)
        rc = io_sync_dir(basefd, FAULT_rebuild);
    unlinkat(statefd, HISTORY_FILE, 0);
    if (!rc && unlinkat(statefd, MARK, 0) && errno != ENOENT)
        rc = -errno;
    return rc ? rc : io_sync_dir(statefd, FAULT_rebuild);
}

int renewal_switch(struct renewal *w, bool has_old, char damaged[PATH_MAX])
{
    char moved[64] = "";

    damaged[0] = '\0';
    int rc = io_sync_dir(w->files.staging, FAULT_rebuild);
    if (!rc)
        rc = io_sync_dir(w->files.dir, FAULT_rebuild);
    if (!rc)
        rc = io_sync_dir(w->basefd, FAULT_rebuild);
    if (!rc)
        rc = fault_hit(FAULT_rebuild);
    if (!rc)
        rc = has_old ? exchange(w) : move_directory(w->basefd, w->temporary, w->basefd, w->name);
    if (rc)
        return rc;
    w->made = false;             /* from here on it is the state */
    rc = io_sync_dir(w->basefd, FAULT_rebuild);
    if (!rc)
        rc = move_old(w->basefd, w->name, w->files.dir, moved);
    if (*moved && snprintf(damaged, PATH_MAX, "%s/%s/%s", w->base, w->name, moved) >= PATH_MAX)
        damaged[0] = '\0';
    return rc;
}

int renewal_settle(const struct state *s)
{
    char base[PATH_MAX], name[NAME_LIMIT + 1], moved[64];

    if (!exists(s->dir, MARK))
        return 0;
    int rc = split_path(s->path, base, name);
    if (rc)
        return rc;
    int basefd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (basefd < 0)
        return -errno;
    rc = move_old(basefd, name, s->dir, moved);
    close(basefd);
    log_info("ECL-0341 the end of a rebuild: the old state is kept in this one: %s", error_name(rc));
    return rc;
}
