/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Where control sockets live: $XDG_RUNTIME_DIR/ecluse, for root /run/ecluse.
 *
 * Without XDG_RUNTIME_DIR (cron, sudo), or when its path is too long for a
 * socket, /run/user/UID is tried, then /tmp/ecluse-UID.  Whatever the place,
 * the directory counts only when it is a real directory of mode 0700 that
 * belongs to the user it should; clients look into all the places, since the
 * daemon may have been started with another environment.
 */
#include "internal.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* "/" + 32 of the vault id + "-" + 8 + ".sock" + NUL */
#define SOCKET_NAME_ROOM 48u

enum { PLACES = 3 };

/* The k-th candidate; false when it does not apply. */
static bool place(unsigned k, char out[SOCKET_PATH_MAX])
{
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    unsigned uid = geteuid();
    int len = -1;

    if (k == 0 && uid == 0)
        len = snprintf(out, SOCKET_PATH_MAX, "/run/ecluse");
    else if (k == 0 && xdg && *xdg == '/')
        len = snprintf(out, SOCKET_PATH_MAX, "%s/ecluse", xdg);
    else if (k == 1 && uid != 0)
        len = snprintf(out, SOCKET_PATH_MAX, "/run/user/%u/ecluse", uid);
    else if (k == 2)
        len = snprintf(out, SOCKET_PATH_MAX, "/tmp/ecluse-%u", uid);
    return len > 0 && (size_t)len < SOCKET_PATH_MAX - SOCKET_NAME_ROOM;
}

static bool is_private(const char *dir, uid_t owner)
{
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == owner && (st.st_mode & 077) == 0;
}

int runtime_dir(char out[SOCKET_PATH_MAX])
{
    int rc = -ENOENT;

    for (unsigned k = 0; k < PLACES; k++) {
        if (!place(k, out))
            continue;
        if (mkdir(out, 0700) && errno != EEXIST) {
            rc = -errno;
            continue;
        }
        if (is_private(out, geteuid()))
            return 0;
        rc = -EACCES;
    }
    return rc;
}

struct users { int (*visit)(void *ctx, const char *dir, uid_t owner); void *ctx; };

/* Directories of one kind: `prefix` UID `suffix`, found by listing `parent`. */
static int each_user(const struct users *u, const char *parent, const char *prefix, const char *suffix)
{
    DIR *all = opendir(parent);
    char dir[SOCKET_PATH_MAX], *end;
    size_t skip = strlen(prefix);
    int rc = 0;

    if (!all)
        return 0;
    for (struct dirent *d; !rc && (d = readdir(all));) {
        const char *digits = d->d_name + skip;
        if (strncmp(d->d_name, prefix, skip) || *digits < '1' || *digits > '9')
            continue;
        unsigned long uid = strtoul(digits, &end, 10);
        if (*end || uid > UINT32_MAX)
            continue;
        snprintf(dir, sizeof dir, "%s/%s%lu%s", parent, prefix, uid, suffix);
        if (is_private(dir, (uid_t)uid))
            rc = u->visit(u->ctx, dir, (uid_t)uid);
    }
    closedir(all);
    return rc;
}

/* Root also sees the daemons of users. */
static int each_of_users(int (*visit)(void *ctx, const char *dir, uid_t owner), void *ctx)
{
    struct users u = { visit, ctx };

    int rc = each_user(&u, "/run/user", "", "/ecluse");
    return rc ? rc : each_user(&u, "/tmp", "ecluse-", "");
}

int runtime_each(int (*visit)(void *ctx, const char *dir, uid_t owner), void *ctx)
{
    char dir[SOCKET_PATH_MAX], first[SOCKET_PATH_MAX] = "";
    int rc = 0;

    for (unsigned k = 0; !rc && k < PLACES; k++) {
        if (!place(k, dir) || strcmp(dir, first) == 0 || !is_private(dir, geteuid()))
            continue;
        if (k == 0)
            memcpy(first, dir, sizeof first);
        rc = visit(ctx, dir, geteuid());
    }
    return rc || geteuid() ? rc : each_of_users(visit, ctx);
}
