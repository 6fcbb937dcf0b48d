/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A full disk: who is refused, and what deletions live on.
 *
 * When a commit finds no space its rows stay dirty, changes that need space get
 * ENOSPC, and the ballast, a preallocated file, is deleted so that the commits
 * of deletions go through.  Changes pass again once there is room for a new
 * ballast and half as much; the commit thread looks while there is not.
 *
 * Invariant: the disk of the state has the ballast, or no_space holds.  So a vault
 * that ended on a full disk also begins like that.  (Where the filesystem
 * cannot preallocate, the ballast is empty.)
 *
 * All but ballast_size by the owner of the commit's turn, or before the threads.
 */
#include "internal.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

uint64_t ballast_size(const struct statvfs *v)
{
    uint64_t part = (uint64_t)v->f_blocks * v->f_frsize / 16;
    return part < BALLAST_SIZE ? part : BALLAST_SIZE;
}

int ballast_make(int dir)
{
    struct statvfs v;

    if (fstatvfs(dir, &v))
        return -errno;
    int rc = fault_hit(FAULT_ballast);
    if (rc)
        return rc;
    int fd = openat(dir, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    uint64_t size = ballast_size(&v);
    if (size && fallocate(fd, 0, 0, (off_t)size) && errno != EOPNOTSUPP && errno != ENOSYS)
        rc = -errno;
    if (!rc)
        rc = io_sync(fd, FAULT_ballast);
    close(fd);
    if (rc)
        unlinkat(dir, "ballast", 0);
    return rc;
}

static bool has_room(struct fs *fs)
{
    struct statvfs v;

    return fstatvfs(fs->state->dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize >= ballast_size(&v) * 3 / 2;
}

void space_lost(struct fs *fs)
{
    if (!atomic_exchange(&fs->no_space, true)) {
        log_warning("ECL-0302 no space for the index: changes are refused until there is");
        fs_raise(fs, FS_EVENT_NO_SPACE, -ENOSPC);
    }
    unlinkat(fs->state->dir, "ballast", 0);
}

void space_look(struct fs *fs)
{
    if (!atomic_load(&fs->no_space) || !has_room(fs))
        return;
    int rc = ballast_make(fs->state->dir);
    if (rc) {
        log_debug("ECL-0303 the ballast could not be restored: %s", error_name(rc));
        return;
    }
    atomic_store(&fs->no_space, false);
    log_info("ECL-0304 space is back");
    fs_raise(fs, FS_EVENT_SPACE_BACK, 0);
}

void space_start(struct fs *fs)
{
    struct stat st;

    if (fs->opt.read_only || fstatat(fs->state->dir, "ballast", &st, AT_SYMLINK_NOFOLLOW) == 0)
        return;
    if (!has_room(fs) || ballast_make(fs->state->dir))
        space_lost(fs);
    else
        atomic_store(&fs->no_space, false);   /* the replay spent it */
}
