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

/* Root also sees the daemons of logged-in users. */
static int each_user(int (*visit)(void *ctx, const char *dir, uid_t owner), void *ctx)
{
    DIR *users = opendir("/run/user");
    char dir[SOCKET_PATH_MAX], *end;
    int rc = 0;

    if (!users)
        return 0;
    for (struct dirent *d; !rc && (d = readdir(users));) {
        unsigned long uid = strtoul(d->d_name, &end, 10);
        if (end == d->d_name || *end || uid == 0)
            continue;
        snprintf(dir, sizeof dir, "/run/user/%lu/ecluse", uid);
        if (is_private(dir, (uid_t)uid))
            rc = visit(ctx, dir, (uid_t)uid);
    }
    closedir(users);
    return rc;
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
    return rc || geteuid() ? rc : each_user(visit, ctx);
}
