/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Replies: the only place where codes of the layers below become errnos.
 */
#include "internal.h"

/* Without ACLs the kernel has applied the umask. */
struct fs_who who_asks(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    return (struct fs_who){ .uid = ctx->uid, .gid = ctx->gid, .umask = session_of(req)->acl ? ctx->umask : 0 };
}

uint8_t *reply_room(void)
{
    return worker_self()->buffer + HEADER_ROOM;
}

void reply_result(fuse_req_t req, int rc)
{
    fuse_reply_err(req, rc < 0 ? error_errno(rc) : 0);
}

/* Inode numbers are never used twice, so one generation is enough. */
void entry_fill(struct fuse_entry_param *e, const struct stat *attr, bool exact)
{
    e->ino = attr->st_ino;
    e->generation = 0;
    e->attr = *attr;
    e->attr_timeout = CACHE_TIMEOUT;
    e->entry_timeout = exact ? CACHE_TIMEOUT : 0;
}

void reply_entry(fuse_req_t req, int rc, const struct stat *attr, bool exact)
{
    struct fuse_entry_param e;

    if (rc) {
        reply_result(req, rc);
        return;
    }
    entry_fill(&e, attr, exact);
    fuse_reply_entry(req, &e);
}

void reply_attr(fuse_req_t req, int rc, const struct stat *attr)
{
    if (rc)
        reply_result(req, rc);
    else
        fuse_reply_attr(req, attr, CACHE_TIMEOUT);
}
