/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Walking the store: its objects, and whatever else lies in it.
 *
 * Nothing is opened but the directories of the layout itself; a foreign
 * directory is reported once and not entered, a foreign file not even looked
 * at.  Memory and descriptors do not grow with what was planted.
 *
 * An object is a regular file with an object's name, whatever its size: it may
 * be on its way, and what it holds is not for this layer to judge.  Our own
 * hidden files are passed over for an hour after their last change, since one
 * may just be written; an older one was left by a crash and counts as foreign.
 *
 * Not promised: a consistent picture while a sync client works.
 */
#include "internal.h"
#include <dirent.h>
#include <ecluse/error.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define FRESH_SECONDS 3600

struct walk {
    const struct store *store;
    int (*visit)(void *ctx, const struct id128 *id, uint64_t size);
    int (*foreign)(void *ctx, const char *path);
    void *ctx;
    time_t now;
};

/* A directory of the layout; `fan` is NULL above the fan-out. */
struct level {
    int (*entry)(const struct walk *w, const struct level *here, int dir, const char *name);
    const char *prefix;
    const char *fan;
};

static int report(const struct walk *w, const struct level *here, const char *name)
{
    char path[SHOWN_PATH] = "";
    size_t at = 0;

    if (!w->foreign)
        return 0;
    show_name(path, &at, here->prefix);
    if (here->fan) {
        show_name(path, &at, here->fan);
        show_name(path, &at, "/");
    }
    show_name(path, &at, name);
    return w->foreign(w->ctx, path);
}

/* The local time of change: what a sync client sets does not matter. */
static bool fresh_hidden(const struct walk *w, int dir, const char *name)
{
    struct stat st;

    return is_hidden_name(name) && reach_stat(dir, name, &st) == 0 &&
           st.st_ctim.tv_sec > w->now - FRESH_SECONDS;
}

static int stray(const struct walk *w, const struct level *here, int dir, const char *name)
{
    return fresh_hidden(w, dir, name) ? 0 : report(w, here, name);
}

static int walk_dir(const struct walk *w, const struct level *here, int dir)
{
    const struct dirent *e;
    int rc = 0;
    DIR *d = fdopendir(dir);

    if (!d) {
        rc = -errno;
        close(dir);
        return rc;
    }
    while (!rc && (errno = 0, e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = here->entry(w, here, dirfd(d), e->d_name);
    if (!rc && errno)
        rc = -errno;
    closedir(d);
    return rc;
}

/* Enters `name`, or reports it when it is no directory. */
static int enter(const struct walk *w, const struct level *here, int dir, const char *name,
                 const struct level *below)
{
    int fd = reach_dir(dir, name);

    if (fd == -ENOENT)               /* went while we looked */
        return 0;
    if (fd == E_FORMAT)
        return report(w, here, name);
    return fd < 0 ? fd : walk_dir(w, below, fd);
}

static int object_entry(const struct walk *w, const struct level *here, int dir, const char *name)
{
    struct id128 id;
    struct stat st;

    if (!object_id(here->fan, name, &id))
        return stray(w, here, dir, name);
    int rc = reach_stat(dir, name, &st);
    if (rc == -ENOENT)
        return 0;
    if (rc == E_FORMAT)
        return report(w, here, name);
    if (rc || !w->visit)
        return rc;
    return w->visit(w->ctx, &id, (uint64_t)st.st_size);
}

static int fan_entry(const struct walk *w, const struct level *here, int dir, const char *name)
{
    const struct level below = { object_entry, SEGMENTS "/", name };

    if (!is_fan_name(name))
        return stray(w, here, dir, name);
    return enter(w, here, dir, name, &below);
}

static int root_entry(const struct walk *w, const struct level *here, int dir, const char *name)
{
    static const struct level below = { fan_entry, SEGMENTS "/", NULL };
    struct stat st;

    if (strcmp(name, SEGMENTS) == 0)
        return enter(w, here, dir, name, &below);
    if (strcmp(name, w->store->header) == 0 && reach_stat(dir, name, &st) == 0)
        return 0;
    return stray(w, here, dir, name);
}

int store_list(struct store *s,
               int (*visit)(void *ctx, const struct id128 *id, uint64_t size),
               int (*foreign)(void *ctx, const char *path), void *ctx)
{
    static const struct level top = { root_entry, "", NULL };
    const struct walk w = { s, visit, foreign, ctx, time(NULL) };

    int dir = reach_dir(s->root, ".");
    return dir < 0 ? dir : walk_dir(&w, &top, dir);
}
