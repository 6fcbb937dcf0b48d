/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names: looking up, making, linking, removing, renaming.
 *
 * What the kernel may remember of a name for a day must stay true for a day
 * without our saying anything.  It does for a name found as it was asked for.
 * It does not for a name found as a variant of another spelling (NFC, NFD):
 * that entry is asked for again each time.  Nor does the absence of a name
 * that is not plain ASCII: a variant of it may be made, and would be found.
 */
#include "internal.h"
#include <limits.h>
#include <sys/stat.h>

static bool has_variants(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80)
            return true;
    return false;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct stat attr;
    bool exact = true;

    int rc = fs_lookup(fs_of(req), parent, name, &attr, &exact);
    if (rc == -ENOENT && !has_variants(name)) {
        struct fuse_entry_param absent = { .entry_timeout = CACHE_TIMEOUT };
        fuse_reply_entry(req, &absent);
    } else {
        reply_entry(req, rc, &attr, exact);
    }
}

/* Nothing is held per lookup, so there is nothing to forget. */
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    (void)ino;
    (void)count;
    fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    (void)count;
    (void)forgets;
    fuse_reply_none(req);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct fs_who who = who_asks(req);
    struct stat attr;
    int rc = -EPERM;

    if ((!S_ISCHR(mode) && !S_ISBLK(mode)) || session_of(req)->devices)
        rc = fs_mknod(fs_of(req), parent, name, &who, mode, rdev, &attr);
    reply_entry(req, rc, &attr, true);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fs_who who = who_asks(req);
    struct stat attr;

    int rc = fs_mkdir(fs_of(req), parent, name, &who, mode, &attr);
    reply_entry(req, rc, &attr, true);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct fs_who who = who_asks(req);
    struct stat attr;

    int rc = fs_symlink(fs_of(req), parent, name, &who, target, &attr);
    reply_entry(req, rc, &attr, true);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct stat attr;

    int rc = fs_link(fs_of(req), ino, parent, name, &attr);
    reply_entry(req, rc, &attr, true);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_result(req, fs_unlink(fs_of(req), parent, name));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_result(req, fs_rmdir(fs_of(req), parent, name));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags)
{
    reply_result(req, fs_rename(fs_of(req), parent, name, new_parent, new_name, flags));
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char *target = (char *)reply_room();

    int rc = fs_readlink(fs_of(req), ino, target, PATH_MAX);
    if (rc)
        reply_result(req, rc);
    else
        fuse_reply_readlink(req, target);
}
