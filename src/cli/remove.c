/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Removes of the source what was verified, and nothing else.
 *
 * A file goes only while it is, by its fingerprint, the one that was compared, while
 * nobody has it open for writing (where the filesystem tells: a lease), and while the
 * copy is there.  Folders go when they are empty.  The source's own folder stays.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <unistd.h>

/* -EBUSY when somebody may still write. Not every filesystem has leases. */
static int check_unused(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        return 0;
    return errno == EAGAIN || errno == EBUSY ? -EBUSY : 0;
}

static bool copy_is_there(const struct node *n)
{
    struct stat st;

    return n->to >= 0 && fstatat(n->to, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (st.st_mode & S_IFMT) == (n->st.st_mode & S_IFMT) && st.st_size == n->st.st_size;
}

static int unlink_source(const struct node *n)
{
    int rc = fault_hit(FAULT_source_remove);
    return rc ? rc : unlinkat(n->from, n->name, 0) ? -errno : 0;
}

static int remove_one(struct transfer *t, const struct node *n)
{
    struct stat st, named;

    int fd = copy_open_source(n, &st);
    if (fd < 0)
        return fd;
    int rc = prints_have(&t->verified, &st) && copy_is_there(n) ? 0 : -EBUSY;
    if (!rc && S_ISREG(st.st_mode))
        rc = check_unused(fd);
    if (!rc && (fstatat(n->from, n->name, &named, AT_SYMLINK_NOFOLLOW) || named.st_ino != st.st_ino ||
                named.st_dev != st.st_dev))
        rc = -EBUSY;
    if (!rc)
        rc = unlink_source(n);
    /* Its other names are verified too, but its time of change is another one now. */
    if (!rc && st.st_nlink > 1 && fstat(fd, &named) == 0 && named.st_size == st.st_size &&
        named.st_mtim.tv_sec == st.st_mtim.tv_sec && named.st_mtim.tv_nsec == st.st_mtim.tv_nsec)
        rc = prints_add(&t->verified, &named);
    close(fd);
    return rc;
}

static int remove_entry(struct transfer *t, const struct node *n)
{
    bool regular = S_ISREG(n->st.st_mode);

    if (prints_have(&t->told, &n->st) || (!regular && !S_ISLNK(n->st.st_mode)))
        return 0;
    int rc = remove_one(t, n);
    if (rc == -ENOMEM)
        return rc;
    if (rc)
        transfer_leave(t, n, LEFT_NOT_REMOVED, rc);
    else
        t->removed++;
    if (!rc && regular)
        t->removed_bytes += (uint64_t)n->st.st_size;
    t->meter.files++;
    meter_show(&t->meter);
    return 0;
}

static int remove_enter(struct transfer *t, const struct node *n, int from, struct entered *out)
{
    (void)t;
    (void)from;
    out->to = openat(n->to, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return out->to < 0;
}

/* A folder in which something was left stays, and what was left is told. */
static int remove_leave(struct transfer *t, const struct node *n, int from, int to, bool finish)
{
    (void)from;
    (void)to;
    (void)finish;
    if (!prints_have(&t->verified, &n->st) || unlinkat(n->from, n->name, AT_REMOVEDIR) == 0)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        transfer_leave(t, n, LEFT_NOT_REMOVED, -errno);
    return 0;
}

const struct visitor visitor_remove = { remove_enter, remove_leave, remove_entry };
