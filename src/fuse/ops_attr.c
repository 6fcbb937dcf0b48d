/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Attributes, and what df(1) asks.
 *
 * Who may change what was checked by the kernel (default_permissions).  The
 * clearing of suid, sgid and file capabilities is ours: on a truncation when
 * the kernel says so, on a change of owner always, and on a SETATTR that sets
 * nothing, which is all the kernel sends before fallocate and copy_file_range.
 */
#include "internal.h"
#include <sys/statvfs.h>

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat attr;

    (void)fi;
    int rc = fs_getattr(fs_of(req), ino, &attr);
    reply_attr(req, rc, &attr);
}

static unsigned fields(int to_set)
{
    static const struct { int kernel; unsigned ours; } map[] = {
        { FUSE_SET_ATTR_MODE, FS_SET_MODE }, { FUSE_SET_ATTR_UID, FS_SET_UID },
        { FUSE_SET_ATTR_GID, FS_SET_GID }, { FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
        { FUSE_SET_ATTR_ATIME, FS_SET_ATIME }, { FUSE_SET_ATTR_MTIME, FS_SET_MTIME },
        { FUSE_SET_ATTR_CTIME, FS_SET_CTIME }, { FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW },
        { FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW },
        { FUSE_SET_ATTR_KILL_SUID, FS_KILL_PRIV },  /* the kernel's FATTR_KILL_SUIDGID */
    };
    unsigned set = 0;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (to_set & map[i].kernel)
            set |= map[i].ours;
    return set;
}

/*
 * A kernel that gathers writes brings the times of a file home before it forgets
 * the file, even one whose last name has just gone, and with it the inode.
 * An error would be remembered as lost data, and reported by syncfs(2).
 */
static bool is_farewell(const struct session *s, unsigned set, int rc)
{
    return rc == -ENOENT && s->writeback && !(set & ~(unsigned)(FS_SET_MTIME | FS_SET_CTIME));
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
    struct stat result;
    unsigned set = fields(to_set);

    (void)fi;
    /* chown(2), also to the same owner: then nothing comes with it but the ctime. */
    if (!(set & ~(unsigned)FS_SET_CTIME) || (set & (FS_SET_UID | FS_SET_GID)))
        set |= FS_KILL_PRIV;
    int rc = fs_setattr(fs_of(req), ino, set, attr, &result);
    if (is_farewell(session_of(req), set, rc)) {
        result = *attr;
        result.st_ino = ino;
        rc = 0;
    }
    reply_attr(req, rc, &result);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs v;

    (void)ino;
    int rc = fs_statvfs(fs_of(req), &v);
    if (rc)
        reply_result(req, rc);
    else
        fuse_reply_statfs(req, &v);
}
