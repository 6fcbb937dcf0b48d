/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Paths as the user types them, made absolute and real.
 */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Splits at the last component; false when there is none to split off. */
static bool split(const char *path, char parent[PATH_MAX], const char **base)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    if (!len || len >= PATH_MAX)
        return false;
    size_t cut = len;
    while (cut && path[cut - 1] != '/')
        cut--;
    *base = path + cut;
    if (!cut)
        snprintf(parent, PATH_MAX, ".");
    else
        snprintf(parent, PATH_MAX, "%.*s", (int)cut, path);
    return cut < len;
}

/* Climbs to the nearest ancestor that exists and appends what is missing. */
int path_real(const char *path, char out[PATH_MAX])
{
    char parent[PATH_MAX], real[PATH_MAX];
    const char *base;

    if (realpath(path, out))
        return 0;
    if (errno != ENOENT)
        return -errno;
    if (!split(path, parent, &base))
        return -ENOENT;
    int len = (int)strcspn(base, "/");
    if (strncmp(base, "..", 2) == 0 && len == 2)
        return -ENOENT;
    int rc = path_real(parent, real);
    if (rc)
        return rc;
    int n = snprintf(out, PATH_MAX, "%s/%.*s", strcmp(real, "/") ? real : "", len, base);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

bool path_within(const char *path, const char *outer)
{
    char real[PATH_MAX];

    return path_real(path, real) == 0 && path_inside(real, outer);
}

int path_sync_parent(const char *path, enum fault_point point)
{
    char real[PATH_MAX];

    if (!realpath(path, real))
        return -errno;
    char *slash = strrchr(real, '/');
    if (slash == real)
        slash++;
    *slash = '\0';
    return io_sync_dir_path(real, point);
}
