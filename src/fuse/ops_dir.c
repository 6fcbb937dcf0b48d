/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Directories.
 *
 * A position in a listing means the same for every handle and for ever, so
 * there is nothing to open.  The kernel is told so once, by ENOSYS, and then
 * keeps handles to itself: two round trips less per directory.  It also keeps
 * listings it has seen whole and drops them when it changes the directory,
 * and nobody else does.
 */
#include "internal.h"

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->cache_readdir = 1;
    fi->keep_cache = 1;
    if (session_of(req)->no_opendir)
        fuse_reply_err(req, ENOSYS);
    else
        fuse_reply_open(req, fi);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

struct listing {
    fuse_req_t req;
    char *bytes;
    size_t size, used;
};

static int fill(void *ctx, const char *name, const struct stat *attr, uint64_t next)
{
    struct listing *l = ctx;
    size_t room = l->size - l->used;
    size_t need = fuse_add_direntry(l->req, l->bytes + l->used, room, name, attr, (off_t)next);

    if (need > room)
        return 1;
    l->used += need;
    return 0;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int fill_plus(void *ctx, const char *name, const struct stat *attr, uint64_t next)
{
    struct listing *l = ctx;
    struct fuse_entry_param e;
    size_t room = l->size - l->used;

    entry_fill(&e, attr, true);
    if (is_dots(name))
        e.ino = 0;               /* no entry of its own for the kernel to remember */
    size_t need = fuse_add_direntry_plus(l->req, l->bytes + l->used, room, name, &e, (off_t)next);
    if (need > room)
        return 1;
    l->used += need;
    return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
    struct listing l = { .req = req, .bytes = (char *)reply_room(), .size = size };

    if (l.size > REQUEST_MAX)
        l.size = REQUEST_MAX;
    int rc = fs_readdir(fs_of(req), ino, (uint64_t)off, plus, plus ? fill_plus : fill, &l);
    /* What was listed before an error is true; the error comes with the rest. */
    if (rc && !l.used)
        reply_result(req, rc);
    else
        fuse_reply_buf(req, l.bytes, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)fi;
    list(req, ino, size, off, true);
}
