/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Open files and their contents.
 *
 * A read is decrypted straight into the worker's buffer, a write is sealed
 * straight from it.  fs counts open handles per inode; a handle carries no
 * state of its own.
 */
#include "internal.h"
#include <fcntl.h>
#include <unistd.h>

/* --- handles ---------------------------------------------------------------------- */

static atomic_uint *writers_of(struct session *s, fuse_ino_t ino)
{
    return &s->writers[ino % WRITER_SLOTS];
}

static bool writes(const struct fuse_file_info *fi)
{
    return (fi->flags & O_ACCMODE) != O_RDONLY;
}

static void handle_opened(struct session *s, fuse_ino_t ino, const struct fuse_file_info *fi)
{
    atomic_fetch_add_explicit(&s->open_files, 1, memory_order_relaxed);
    if (writes(fi))
        atomic_fetch_add(writers_of(s, ino), 1);
}

static void handle_closed(struct session *s, fuse_ino_t ino, const struct fuse_file_info *fi)
{
    if (writes(fi))
        atomic_fetch_sub(writers_of(s, ino), 1);
    atomic_fetch_sub_explicit(&s->open_files, 1, memory_order_relaxed);
    fs_release(s->fs, ino, fi->flags);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct session *s = session_of(req);

    int rc = fs_open_file(s->fs, ino, fi->flags, worker_self()->peek.kill_priv);
    if (rc) {
        /* Another file may have taken the name meanwhile; for ESTALE the kernel looks again. */
        reply_result(req, rc == -ENOENT ? -ESTALE : rc);
        return;
    }
    handle_opened(s, ino, fi);
    fi->keep_cache = 1;
    /* Interrupted in the meantime: there will be no RELEASE. */
    if (fuse_reply_open(req, fi) == -ENOENT)
        handle_closed(s, ino, fi);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    struct session *s = session_of(req);
    struct fs_who who = who_asks(req);
    struct fuse_entry_param e;
    struct stat attr;

    int rc = fs_create(s->fs, parent, name, &who, mode, fi->flags, &attr);
    if (rc) {
        reply_result(req, rc);
        return;
    }
    handle_opened(s, attr.st_ino, fi);
    fi->keep_cache = 1;
    entry_fill(&e, &attr, true);
    if (fuse_reply_create(req, &e, fi) == -ENOENT)
        handle_closed(s, attr.st_ino, fi);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    handle_closed(session_of(req), ino, fi);
    fuse_reply_err(req, 0);
}

/* --- contents ------------------------------------------------------------------------ */

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    uint8_t *bytes = reply_room();

    ssize_t (*how)(struct fs *, uint64_t, void *, size_t, uint64_t) = fi->flags & O_NOATIME ? fs_peek : fs_read;
    ssize_t got = size > REQUEST_MAX ? -EINVAL : how(fs_of(req), ino, bytes, size, (uint64_t)off);
    if (got < 0)
        reply_result(req, (int)got);
    else
        fuse_reply_buf(req, (const char *)bytes, (size_t)got);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
              struct fuse_file_info *fi)
{
    struct session *s = session_of(req);

    ssize_t put = fs_write(s->fs, ino, bytes, size, (uint64_t)off, s->writeback && fi->writepage,
                           worker_self()->peek.kill_priv);
    if (put < 0)
        reply_result(req, (int)put);
    else
        fuse_reply_write(req, (size_t)put);
}

/* Of a directory too: everything acknowledged so far becomes durable. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    (void)ino;
    (void)data_only;
    (void)fi;
    reply_result(req, fs_sync(fs_of(req)));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
    (void)fi;
    reply_result(req, fs_fallocate(fs_of(req), ino, mode, (uint64_t)off, (uint64_t)len));
}

/*
 * The kernel asks without having written back what it holds, and what it holds
 * is data where we still see a hole, or the end.  So it is asked for its pages
 * first, when the file is open for writing.  It keeps nothing that its writes
 * or this call need, and another worker takes the writes.
 */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    struct session *s = session_of(req);
    uint64_t found = 0;

    (void)fi;
    if (s->writeback && atomic_load(writers_of(s, ino)))
        session_fetch(s, ino);
    int rc = fs_seek(s->fs, ino, (uint64_t)off, whence, &found);
    if (rc)
        reply_result(req, rc);
    else
        fuse_reply_lseek(req, (off_t)found);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off, struct fuse_file_info *from_fi,
                        fuse_ino_t to, off_t to_off, struct fuse_file_info *to_fi, size_t len, int flags)
{
    ssize_t copied = -EINVAL;

    (void)from_fi;
    (void)to_fi;
    if (!flags)
        copied = fs_copy(fs_of(req), from, (uint64_t)from_off, to, (uint64_t)to_off, len);
    if (copied < 0)
        reply_result(req, (int)copied);
    else
        fuse_reply_write(req, (size_t)copied);
}

/* isatty(3), lsattr(1) and others try; nothing here has such commands. */
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void *arg, struct fuse_file_info *fi,
              unsigned flags, const void *in, size_t in_size, size_t out_size)
{
    (void)ino;
    (void)command;
    (void)arg;
    (void)fi;
    (void)flags;
    (void)in;
    (void)in_size;
    (void)out_size;
    fuse_reply_err(req, ENOTTY);
}
