/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Extended attributes.
 *
 * `ls -l` asks every file for its ACL and its SELinux label.  Labels are never
 * kept, ACLs only when the mount has them (docs/design.md); saying so,
 * EOPNOTSUPP, is not only honest but cheap: ls then stops asking for the whole
 * device, where ENODATA would have it ask for every file.  ENOSYS would be
 * cheaper still, but ends all attributes.  A mount with ACLs answers ENODATA,
 * which the kernel keeps with the inode.
 */
#include "internal.h"

static bool starts(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool refused(fuse_req_t req, const char *name)
{
    if (starts(name, "system.posix_acl_"))
        return !session_of(req)->acl;
    if (strcmp(name, "security.selinux") == 0)
        return true;
    return !starts(name, "user.") && !starts(name, "trusted.") && !starts(name, "security.");
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    reply_result(req, refused(req, name) ? -EOPNOTSUPP : fs_setxattr(fs_of(req), ino, name, value, size, flags));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    reply_result(req, refused(req, name) ? -EOPNOTSUPP : fs_removexattr(fs_of(req), ino, name));
}

/* `size` 0 asks for the length alone. */
static void reply_bytes(fuse_req_t req, ssize_t len, size_t size, const uint8_t *bytes)
{
    if (len < 0)
        reply_result(req, (int)len);
    else if (size == 0)
        fuse_reply_xattr(req, (size_t)len);
    else
        fuse_reply_buf(req, (const char *)bytes, (size_t)len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    uint8_t *value = reply_room();
    ssize_t len = -EOPNOTSUPP;

    if (!refused(req, name))
        len = fs_getxattr(fs_of(req), ino, name, value, size < REQUEST_MAX ? size : REQUEST_MAX);
    reply_bytes(req, len, size, value);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    uint8_t *list = reply_room();

    ssize_t len = fs_listxattr(fs_of(req), ino, (char *)list, size < REQUEST_MAX ? size : REQUEST_MAX);
    reply_bytes(req, len, size, list);
}
