/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Where the policy is, whose it is, and what it allows.
 */
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/policy.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT 65536u

static int flawed(struct policy_report *r, enum policy_flaw flaw, const char *word, int error)
{
    *r = (struct policy_report){ .flaw = flaw, .error = error };
    snprintf(r->word, sizeof r->word, "%s", word);
    return E_POLICY_BROKEN;
}

static bool is_roots_alone(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static bool is_plain(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The file is looked at by the descriptor it is then read through. */
static int read_file(int dir, const char *name, struct policy *out, struct policy_report *r)
{
    uint8_t *bytes = NULL;
    size_t len = 0;

    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : flawed(r, POLICY_UNREADABLE, POLICY_FILE, -errno);
    if (!is_roots_alone(fd)) {
        close(fd);
        return flawed(r, POLICY_OWNER, POLICY_FILE, 0);
    }
    /* A pipe that nobody writes would be read as a policy without rules. */
    int rc = is_plain(fd) ? io_read_fd(fd, FILE_LIMIT, &bytes, &len) : -EINVAL;
    close(fd);
    if (rc)
        return flawed(r, POLICY_UNREADABLE, POLICY_FILE, rc);
    rc = policy_parse(bytes, len, out, r);
    free(bytes);
    return rc;
}

int policy_load(struct policy *out, struct policy_report *report)
{
    char parent[] = POLICY_FILE;
    char *slash = strrchr(parent, '/');

    *out = (struct policy){ 0 };
    *report = (struct policy_report){ 0 };
    *slash = '\0';
    int dir = open(parent, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : flawed(report, POLICY_UNREADABLE, parent, -errno);
    int rc = is_roots_alone(dir) ? read_file(dir, slash + 1, out, report) : flawed(report, POLICY_OWNER, parent, 0);
    close(dir);
    return rc;
}

/* --- what it allows ------------------------------------------------------------------------ */

#define LINKS_MAX 40

/* `rest`, which is what follows, gets the target of the link `path` in front; false unless it is root's. */
static bool follow(char path[PATH_MAX], const struct stat *link, char rest[PATH_MAX])
{
    char target[PATH_MAX], tail[PATH_MAX];

    ssize_t len = link->st_uid == 0 ? readlink(path, target, sizeof target - 1) : -1;
    if (len <= 0)
        return false;
    target[len] = '\0';
    memcpy(tail, rest, sizeof tail);
    *strrchr(path, '/') = '\0';
    if (*target == '/')
        *path = '\0';
    return snprintf(rest, PATH_MAX, "%s/%s", target, tail) < PATH_MAX;
}

/*
 * Where an absolute path of the policy leads, as far as it exists, by the symbolic links of root
 * alone: with one that a user made he would say what the policy means.  False when there is
 * such a link.
 */
static bool roots_path(const char *given, char out[PATH_MAX])
{
    char rest[PATH_MAX], name[PATH_MAX];
    struct stat st;
    int links = 0;

    if (snprintf(rest, sizeof rest, "%s", given) >= (int)sizeof rest)
        return false;
    *out = '\0';
    for (char *word = rest; *(word += strspn(word, "/"));) {
        size_t len = strcspn(word, "/"), used = strlen(out);
        snprintf(name, sizeof name, "%.*s", (int)len, word);
        memmove(rest, word + len, strlen(word + len) + 1);
        word = rest;
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            *(used ? strrchr(out, '/') : out) = '\0';
            continue;
        }
        if (snprintf(out + used, PATH_MAX - used, "/%s", name) >= (int)(PATH_MAX - used))
            return false;
        /* What is not there yet has no other name. */
        if (lstat(out, &st) == 0 && S_ISLNK(st.st_mode) && (links++ == LINKS_MAX || !follow(out, &st, rest)))
            return false;
    }
    return true;
}

static bool below(const char *outer, const char *path)
{
    char real[PATH_MAX], full[PATH_MAX];

    if (*outer == '~') {
        const struct passwd *user = getpwuid(getuid());
        if (!user || !user->pw_dir || *user->pw_dir != '/' ||
            snprintf(full, sizeof full, "%s%s", user->pw_dir, outer + 1) >= (int)sizeof full)
            return false;
        outer = full;
    }
    return roots_path(outer, real) && path_inside(path, real);
}

bool policy_path_allowed(const struct policy *p, enum policy_rule rule, const char *path)
{
    const struct policy_paths *list = rule == POLICY_STORES ? &p->stores : &p->mountpoints;

    for (size_t k = 0; k < list->count; k++)
        if (below(list->v[k], path))
            return true;
    return !p->line[rule];
}

/* The recovery key is always a way in: a vault without one would be lost with its device. */
bool policy_slot_allowed(const struct policy *p, enum slot_kind kind)
{
    return !p->line[POLICY_SLOTS] || kind == SLOT_RECOVERY || (p->slots & 1u << kind);
}

bool policy_cost_allowed(const struct policy *p, struct kdf_cost cost)
{
    return cost.memory_kib >= p->floor.memory_kib && cost.passes >= p->floor.passes;
}
