/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the kernel and we agree on when the connection begins.
 *
 * We are the only writer of the tree, so the kernel may believe its caches:
 * it gathers writes, keeps pages across opens, and revalidates nothing.
 * Splicing is left out: it needs pipes of a megabyte per thread, and what is
 * read is decrypted into memory anyway.
 *
 * Listings always carry the attributes.  Left to itself the kernel asks for
 * them only in the first piece of a listing, since ls(1), file managers and
 * others read it whole before they look at files: first ls -lR 25 % slower,
 * find(1) 30 %.  The price is a bare `ls` of a large directory that nobody
 * has seen yet: 8 us per name instead of 3.
 */
#include "internal.h"
#include <linux/fuse.h>

/* Requests that nobody waits for (readahead, writeback) at the same time. More
 * of them only means more buffers, since the disk is behind one process. */
#define BACKGROUND_MAX 16u

static void want(struct fuse_conn_info *conn, unsigned capability)
{
    conn->want |= conn->capable & capability;
}

void op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct session *s = userdata;

    conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                              FUSE_CAP_SPLICE_MOVE | FUSE_CAP_IOCTL_DIR | FUSE_CAP_READDIRPLUS_AUTO);
    want(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ATOMIC_O_TRUNC);
    want(conn, FUSE_CAP_READDIRPLUS);
    want(conn, FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT);
    if (s->writeback && !(conn->capable & FUSE_CAP_WRITEBACK_CACHE)) {
        log_warning("ECL-0403 this kernel has no writeback cache");
        s->writeback = false;
    }
    if (s->writeback)
        want(conn, FUSE_CAP_WRITEBACK_CACHE);
    /* A default list takes the place of the umask: fs must be told it. */
    s->acl = s->acl && (conn->capable & FUSE_CAP_POSIX_ACL) && (conn->capable & FUSE_CAP_DONT_MASK);
    if (s->acl)
        want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
    s->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
    conn->max_write = REQUEST_MAX;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
    conn->time_gran = 1;
}

void init_complete(struct session *s, void *init_out, size_t len, uint32_t offered)
{
    struct fuse_init_out *out = init_out;

    if (len < sizeof *out || !(offered & FUSE_HANDLE_KILLPRIV_V2))
        return;
    out->flags |= FUSE_HANDLE_KILLPRIV_V2;
    s->killpriv = true;
}
