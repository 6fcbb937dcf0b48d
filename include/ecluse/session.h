/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The FUSE session: decodes the kernel's requests, calls fs, replies once.
 *
 * Call sequence: session_new → fs_open (with the session as the context of
 * fetch and forget_name) → session_mount → session_run → session_unmount →
 * fs_close → session_free.  session_stop may come from any thread or from a
 * signal handler.  Owns nothing of the fs.
 */
#ifndef ECLUSE_SESSION_H
#define ECLUSE_SESSION_H

#include <ecluse/base.h>
#include <ecluse/fs.h>

struct session;

struct session_options {
    const char *mountpoint;   /* absolute, real */
    const char *fsname;
    bool read_only;
    bool writeback;           /* the kernel may gather writes (not -o strict) */
    bool allow_other, allow_root;
    bool noexec;
    bool devices;             /* mounted by root with -o owners: device nodes may be made */
    bool acl;                 /* with -o owners: POSIX ACLs, enforced by the kernel */
};

/* The version of libfuse that is in use. */
const char *session_library(void);
/* -ENOMEM, E_FUSE. Mounts nothing yet; the strings are copied. */
int session_new(struct session **out, const struct session_options *o);
/* Mounts; as root on the directory `at` (-1: on whatever has the name by then), which
 * stays open until the session is freed. E_FUSE (no /dev/fuse, no fusermount3), E_MOUNTPOINT…, -EPERM. The
 * kernel's requests wait until session_run. */
int session_mount(struct session *s, struct fs *fs, int at);
/*
 * Serves until unmounted from outside or stopped. `ready` is called once, after
 * the kernel and we have agreed on the protocol (INIT), so that whoever looks
 * at the mountpoint from then on gets an answer.
 */
int session_run(struct session *s, void (*ready)(void *ctx), void *ctx);
/* Makes session_run return; async-signal-safe. What the kernel still holds of
 * written files is lost unless it was written back before (syncfs, umount). */
void session_stop(struct session *s);
/* Lets go of the device. As root the caller has unmounted: only it knows where. */
void session_unmount(struct session *s);
void session_free(struct session *s);

/* Monotonic seconds since the last request, for idle unmounting; counts only
 * requests of programs, not those the kernel makes by itself on its way out. */
unsigned session_idle(const struct session *s);
/* Handles that are open now. */
unsigned session_open_files(const struct session *s);

/* The hooks of struct fs_options; ctx is the struct session. */
int session_fetch(void *session, uint64_t ino);
void session_forget_name(void *session, uint64_t parent, const char *name, size_t len);

#endif
