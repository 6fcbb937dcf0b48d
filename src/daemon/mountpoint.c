/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What is mounted where, by the kernel's own table, and how it is unmounted.
 *
 * /proc/self/mountinfo answers without asking the mounted filesystem, so it
 * can be read while that one is dead, hung, or not serving yet.  Only
 * mounted_is_dead asks it, for one attribute.
 *
 * Root unmounts by the system call and never follows a symbolic link in the
 * last component; others go through fusermount3, which checks that the mount
 * is theirs.
 */
#include "internal.h"
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* As the kernel writes paths into mountinfo. */
static void octal_escape(const char *path, char *out, size_t size)
{
    size_t used = 0;

    for (; *path && used + 5 < size; path++) {
        if (strchr(" \t\n\\", *path))
            used += (size_t)snprintf(out + used, size - used, "\\%03o", (unsigned char)*path);
        else
            out[used++] = *path;
    }
    out[used] = '\0';
}

/* id parent major:minor root mountpoint options… - type source options */
static bool parse_line(const char *line, const char *escaped, struct mounted *out)
{
    struct mounted m = { .owner = UINT32_MAX };
    int at = 0;

    if (sscanf(line, "%*u %*u %u:%u %*s %n", &m.major, &m.minor, &at) != 2 || !at)
        return false;
    size_t len = strlen(escaped);
    if (strncmp(line + at, escaped, len) || line[(size_t)at + len] != ' ')
        return false;
    const char *rest = strstr(line + at, " - ");
    if (!rest || sscanf(rest, " - %31s", m.type) != 1)
        return false;
    const char *owner = strstr(rest, "user_id=");
    if (owner)
        m.owner = (unsigned)strtoul(owner + strlen("user_id="), NULL, 10);
    *out = m;
    return true;
}

int mounted_at(const char *path, struct mounted *out)
{
    char escaped[4 * PATH_MAX], *line = NULL;
    size_t room = 0;
    int rc = E_NOT_MOUNTED;

    FILE *table = fopen("/proc/self/mountinfo", "re");
    if (!table)
        return -errno;
    octal_escape(path, escaped, sizeof escaped);
    while (getline(&line, &room, table) > 0)
        if (parse_line(line, escaped, out))
            rc = 0;  /* the last one is on top */
    free(line);
    fclose(table);
    return rc;
}

bool mounted_is_ours(const struct mounted *m)
{
    return strcmp(m->type, "fuse.ecluse") == 0;
}

bool mounted_is_dead(const char *path)
{
    struct statfs fs;

    /* Attributes would come from the kernel's cache; this is always asked. */
    return statfs(path, &fs) && (errno == ENOTCONN || errno == ECONNABORTED);
}

/*
 * The kernel reads ahead 128 KiB unless root says otherwise: too little to keep
 * two processors opening blocks. FUSE can only make it less.
 */
void mounted_read_ahead(const struct mounted *m, unsigned kib)
{
    char path[64];

    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", m->major, m->minor);
    int fd = geteuid() == 0 ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (dprintf(fd, "%u\n", kib) < 0)
        log_debug("ECL-0541 read-ahead stays as it was");
    close(fd);
}

/* --- unmounting -------------------------------------------------------------- */

/* "fusermount3: failed to unmount PATH: CAUSE", in English; the exit code is always 1. */
static int why_kept(const char *said)
{
    const char *colon = strrchr(said, ':'), *cause = colon ? colon + 1 + strspn(colon + 1, " ") : said;

    if (strcmp(cause, "Device or resource busy") == 0)
        return E_MOUNT_BUSY;
    log_warning("ECL-0542 fusermount3: %s", *cause ? cause : "no word");
    return strcmp(cause, "Operation not permitted") && strcmp(cause, "Permission denied") ? E_UNMOUNT : -EPERM;
}

/* Its words, whole or not: it is never kept waiting. */
static void hear(int fd, char *out, size_t size)
{
    char rest[256];
    size_t used = 0;
    ssize_t n;

    while ((n = used + 1 < size ? read(fd, out + used, size - 1 - used) : read(fd, rest, sizeof rest)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && used + 1 < size)
            used += (size_t)n;
    }
    out[used] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static int spawn_helper(const char *path, bool lazy, int output, pid_t *pid)
{
    const char *argv[] = { "fusermount3", "-u", lazy ? "-z" : "--", lazy ? "--" : path, lazy ? path : NULL, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int rc = posix_spawnp(pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc ? E_FUSE : 0;
}

static int spawn_fusermount(const char *path, bool lazy)
{
    char said[512];
    int ends[2], status = -1;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    int rc = spawn_helper(path, lazy, ends[1], &pid);
    close(ends[1]);
    if (!rc) {
        hear(ends[0], said, sizeof said);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        rc = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : why_kept(said);
    }
    close(ends[0]);
    return rc;
}

int mounted_release(const char *path, bool lazy)
{
    struct mounted m;

    int rc = mounted_at(path, &m);
    if (rc)
        return rc;
    if (geteuid() == 0) {
        if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
            return 0;
        return errno == EBUSY ? E_MOUNT_BUSY : errno == EINVAL ? E_NOT_MOUNTED : -errno;
    }
    return m.owner == geteuid() ? spawn_fusermount(path, lazy) : -EPERM;
}

/* --- naming -------------------------------------------------------------------- */

/* The path of something that cannot be asked (a dead or foreign mount): its
 * parent can. */
static int resolve_by_parent(const char *path, char out[PATH_MAX])
{
    char copy[PATH_MAX], parent[PATH_MAX];

    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len >= sizeof copy)
        return -ENAMETOOLONG;
    memcpy(copy, path, len);
    copy[len] = '\0';
    char *slash = strrchr(copy, '/');
    const char *base = slash ? slash + 1 : copy;
    if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return E_MOUNTPOINT;
    if (slash && slash != copy)
        *slash = '\0';
    if (!realpath(!slash ? "." : slash == copy ? "/" : copy, parent))
        return errno == ENAMETOOLONG ? -ENAMETOOLONG : E_MOUNTPOINT;
    int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(parent, "/") ? parent : "", base);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int daemon_resolve(const char *path, char out[PATH_MAX])
{
    struct mounted m;

    if (realpath(path, out))
        return 0;
    int error = errno;
    if (error == ENAMETOOLONG)
        return -ENAMETOOLONG;
    if (error == ENOENT || error == ENOTDIR || error == ELOOP)
        return E_MOUNTPOINT;
    int rc = resolve_by_parent(path, out);
    if (rc)
        return rc;
    return mounted_at(out, &m) == 0 ? 0 : error == EACCES ? -EACCES : E_MOUNTPOINT;
}
