/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of the daemon share.
 *
 * Threads: the main one (daemon_run, then session_run), one for lifetimes
 * (signals, idling), one for notifications, one that accepts on the control socket, and one for each
 * of its few connections.  The fields of struct served do not change once
 * those threads run.
 */
#ifndef ECLUSE_DAEMON_INTERNAL_H
#define ECLUSE_DAEMON_INTERNAL_H

#include <ecluse/daemon.h>
#include <ecluse/error.h>
#include <ecluse/log.h>
#include <ecluse/session.h>
#include <errno.h>
#include <sys/types.h>
#include <time.h>

#define SOCKET_PATH_MAX 108u  /* sun_path */
#define REQUEST_MAX 4096u
#define ANSWER_MAX 65536u

/* --- mountpoint.c: what the kernel says is mounted where ------------------- */

struct mounted {
    unsigned major, minor;       /* of the mounted filesystem */
    char type[32];
    unsigned owner;              /* user_id of a FUSE mount, else UINT_MAX */
};
/* The topmost mount at exactly this real path; E_NOT_MOUNTED. Asks nothing of
 * the mounted filesystem. */
int mounted_at(const char *path, struct mounted *out);
void mounted_read_ahead(const struct mounted *m, unsigned kib); /* root's to set; a hint */
bool mounted_is_ours(const struct mounted *m);      /* its type is fuse.ecluse */
/* True when nobody serves the mount any more. */
bool mounted_is_dead(const char *path);
/* Unmounts, as root by the system call, else by fusermount3. E_MOUNT_BUSY. */
int mounted_release(const char *path, bool lazy);

/* The directory below the mount, which refuses writers while nothing is
 * mounted (see guard.c). Starts as { -1 }. */
struct guard { int fd; mode_t mode; };
int guard_open(struct guard *g, const char *path);  /* checks it, changes nothing */
void guard_lift(struct guard *g);                   /* before mounting */
void guard_restore(struct guard *g);                /* when it failed */
void guard_set(struct guard *g);                    /* once mounted */
bool guard_missed(const struct guard *g);           /* something was written there meanwhile */
void guard_close(struct guard *g);

/* --- preflight.c ------------------------------------------------------------- */

struct vault_files {
    struct store *store;
    uint8_t *header;
    size_t header_len;
    struct vault_header vault;
    struct state state;
    bool state_open;
    struct guard guard;
    bool dead;                   /* a mount whose daemon died is still there */
};
/* All that can be found wrong without a secret; changes nothing on disk. */
int preflight(const struct mount_config *c, struct vault_files *f);
/* What can only be found wrong with it. */
int preflight_unlock(const struct mount_config *c, struct vault_files *f);
/* Right before mounting: takes a dead mount away, and looks at what is below it. */
int preflight_clear(const struct mount_config *c, struct vault_files *f);
void preflight_close(struct vault_files *f);
/* The same for the state: the file that is damaged, when that is known. */
int blame_state(const struct mount_config *c, const struct state *s, const char *path, int error);
/* Notes the path that an error is about; returns the error. */
int blame(const struct mount_config *c, const char *path, int error);

/* --- warden.c: who ends the connection of a daemon that was killed ------------- */

struct warden { pid_t pid; int tell; };
/* Before there are secrets or threads, from the thread that lives longest. Without
 * success there is none, and the other calls do nothing. */
void warden_start(struct warden *w);
/* `connection`: the minor device number of the mount. */
void warden_watch(struct warden *w, unsigned connection);
void warden_stop(struct warden *w);

/* --- run.c --------------------------------------------------------------------- */

struct served {
    const struct mount_config *config;
    struct id128 vault;
    const char *state_path;
    const struct state *state;   /* its keys are unlocked */
    enum suite suite;
    bool cloned;
    struct session *session;
    struct fs *fs;
    struct notify *notify;       /* NULL: nobody is told */
    struct control *control;     /* NULL before it serves; set once */
    struct mounted mount;
    struct warden warden;
    time_t since;
};

/* Unmounts what we mounted, and nothing that came after it. E_MOUNT_BUSY, E_NOT_MOUNTED. */
int served_release(const struct served *s);
bool served_is_mounted(const struct served *s);

/* --- process.c: what the process may and may not ----------------------------- */

void process_one_arena(void);       /* before any thread */
void process_harden(void);
/* Signals of the lifetime thread are blocked here, before any thread starts. */
void process_block_signals(void);
/* Leaves terminal, session and standard streams. */
void process_detach(void);

/* --- manager.c: what a service manager is told, when there is one ---------------- */

/* Before there are threads, and before any program is run. */
void manager_find(void);
/* Is standard error the journal?  It takes lines there too, but without their level and fields. */
bool manager_reads_errors(void);
void manager_tell(const char *state);
/* Unmounted: publishes while telling what is left. Without a manager, nothing. */
void manager_farewell(struct fs *fs);

/* --- lifetime.c ------------------------------------------------------------------ */

struct lifetime;
int lifetime_start(struct lifetime **out, struct served *s);
void lifetime_stop(struct lifetime *l);

/* --- control.c --------------------------------------------------------------------- */

struct control;
int control_start(struct control **out, struct served *s);
/* Lets no request touch the filesystem from now on, and waits for those under way. */
void control_close_fs(struct control *c);
/* Answers who waits for the end, and who will, that the store hangs. From any thread,
 * after control_start and before control_finish. */
void control_stuck(struct control *c);
/* Answers who waited for the end, and removes the socket. NULL is harmless. */
void control_finish(struct control *c, int result);

/* --- notify.c: what the desktop is told ------------------------------------------------ */

struct notify;
/* *out stays NULL when there is nobody to tell. */
int notify_start(struct notify **out, const struct mount_config *c);
/* For fs_options.event: returns at once, with any lock held. */
void notify_raise(void *notify, enum fs_event event, int error);
/* Tells what is due, within two seconds. NULL is harmless. */
void notify_stop(struct notify *n);

/* --- runtime.c: where sockets live ---------------------------------------------------- */

/* The directory for new sockets, made when missing. -EACCES when it is not ours alone. */
int runtime_dir(char out[SOCKET_PATH_MAX]);
/* Calls visit for every directory that may hold sockets, with the user it must
 * belong to; a non-zero return ends the walk. */
int runtime_each(int (*visit)(void *ctx, const char *dir, uid_t owner), void *ctx);

/* --- client.c -------------------------------------------------------------------------------- */

/* When the daemon that uses this state is unmounted and only publishes, waits
 * for its end. E_STATE_IN_USE when it is mounted, E_STORE_STUCK when its store hangs: waiting
 * is in vain. */
int client_wait_for_end(const char *state_path);

/* --- json.c, report.c --------------------------------------------------------------------- */

void json_key(struct buf *b, const char *key);
void json_string(struct buf *b, const char *key, const char *value);
void json_number(struct buf *b, const char *key, int64_t value);
void json_bool(struct buf *b, const char *key, bool value);
void json_raw(struct buf *b, const char *text);
/* What `status` answers; fs is not touched when `closing`. */
int report_status(const struct served *s, bool closing, struct buf *out);
int report_identity(const struct served *s, bool closing, struct buf *out);
void report_result(int result, struct buf *out);
/* To whoever is turned away before his request is read. */
void report_refusal(int result, struct buf *out);
/* Of an unmount that is not waited for: whoever is still mounted needs to wait for no end. */
void report_unmount(int result, bool mounted, struct buf *out);
void report_gc(const struct gc_report *r, struct buf *out);

#endif
