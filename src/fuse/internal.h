/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of the FUSE layer share.
 *
 * One thread (session_run's) waits for events; workers receive requests,
 * dispatch.c decides which of them; a handler runs on its worker from the
 * first byte to the reply.  A handler replies exactly once on every path and
 * touches no lock of this layer, so it may block for as long as fs does.
 */
#ifndef ECLUSE_FUSE_INTERNAL_H
#define ECLUSE_FUSE_INTERNAL_H

#include <ecluse/error.h>
#include <ecluse/log.h>
#include <ecluse/session.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define REQUEST_MAX (1u << 20)               /* payload of the largest READ or WRITE */
#define HEADER_ROOM 4096u                    /* what comes before a payload */
#define BUFFER_SIZE (HEADER_ROOM + REQUEST_MAX)

/* We are the only writer, so what the kernel knows stays true. Seconds. */
#define CACHE_TIMEOUT 86400.0

/* What a request is, read off its raw bytes before libfuse decodes it: libfuse
 * 3.14 hides the flags that come with FUSE_HANDLE_KILLPRIV_V2. */
struct peek {
    uint32_t opcode;
    uint32_t payload;        /* bytes to be read, written or copied; 0 for others */
    bool kill_priv;
    bool program;            /* a program waits for it; else the kernel's own doing */
    uint32_t init_flags;     /* INIT only: what the kernel offers */
};

/* One thread that serves requests. */
struct worker {
    struct session *session;
    pthread_t thread;
    struct worker *next;     /* in pool.working or pool.left; pool.lock */
    struct worker *next_parked; /* pool.lock */
    sem_t called;            /* posted when taken from pool.parked */
    uint8_t *buffer;         /* BUFFER_SIZE bytes; its own */
    struct peek peek;        /* of the request being served; its own */
    atomic_bool receiving;   /* may be interrupted by the wake-up signal */
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;  /* a worker left */
    struct worker *working;  /* lock */
    struct worker *parked;   /* lock */
    struct worker *left;     /* lock: ended, to be joined */
    unsigned count;          /* lock: of `working` */
    atomic_uint free;        /* workers that receive, or are about to */
    _Atomic(struct worker *) leader; /* see dispatch.c */
    atomic_bool short_of;    /* the last call found no worker */
    atomic_bool watched;
    atomic_uint beat;        /* requests that leaders began */
    atomic_int pace;         /* requests in quick succession; below 0: no leader yet */
    atomic_ullong last;      /* when the last request came, ns */
};

/* A name to be dropped from the kernel's cache. */
struct stale { struct stale *next; uint64_t parent; size_t len; char name[]; };

struct notifier {
    pthread_rwlock_t open;   /* shared by notifications under way */
    bool usable;             /* open: requests are being served */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct stale *first, **last; /* lock */
    bool started, stop;      /* lock */
    pthread_t thread;
};

#define WRITER_SLOTS 256u

struct session {
    struct fuse_session *fuse;
    struct fs *fs;
    char *mountpoint;
    bool writeback, devices, acl;
    bool killpriv;           /* agreed on; set before INIT is answered */
    bool no_opendir;         /* the kernel understands ENOSYS to OPENDIR; as above */
    sem_t event;             /* something below changed */
    atomic_bool agreed;      /* INIT was answered */
    atomic_bool stop;        /* session_stop was called */
    atomic_bool ended;       /* no more requests will come */
    atomic_bool leaving;     /* workers shall leave */
    atomic_uint last_request;/* monotonic seconds */
    atomic_uint open_files;
    /* Handles that may write, by inode number modulo; see op_lseek. */
    atomic_uint writers[WRITER_SLOTS];
    struct pool pool;
    struct notifier notifier;
};

/* --- channel.c: the device, requests as bytes -------------------------------- */
int channel_attach(struct session *s);
/* The next request into the worker's buffer. Its length; 0 when the session is
 * over; -EINTR, -EAGAIN: ask again. */
int channel_receive(struct worker *w);
void channel_process(struct worker *w, size_t len);
/* The worker that runs on this thread, or NULL. */
struct worker *worker_self(void);
void worker_become(struct worker *w);

/* --- dispatch.c: which worker receives --------------------------------------------- */
void *dispatch_work(void *worker);

/* --- workers.c: the threads -------------------------------------------------------- */
void workers_init(struct pool *p);
void workers_free(struct pool *p);
int workers_start(struct session *s);
/* Lets every worker finish its request, and waits for it. */
void workers_end(struct session *s);
/* One more free worker: a parked one, else a new thread. */
int worker_call(struct session *s);
/* Calls all that are parked: the connection has ended. */
void workers_recall(struct session *s);
/* Parks the calling worker if `still`, tested under the lock, says so. Then it
 * waits as it likes, for w->called at least, and unparks. */
bool worker_park(struct worker *w, bool (*still)(struct worker *w));
void worker_unpark(struct worker *w);
/* The last act of a worker's thread, which does not count as free any more. */
void worker_leave(struct worker *w);

/* --- init.c: what the kernel and we agree on -------------------------------------- */
void op_init(void *userdata, struct fuse_conn_info *conn);
/* Adds to the reply to INIT what libfuse cannot ask for. */
void init_complete(struct session *s, void *init_out, size_t len, uint32_t offered);

/* --- notify.c ------------------------------------------------------------------------ */
int notify_init(struct session *s);
void notify_open(struct session *s);
/* Ends the thread and waits for notifications under way; workers still serve. */
void notify_close(struct session *s);
void notify_free(struct session *s);

/* --- reply.c -------------------------------------------------------------------------- */
static inline struct session *session_of(fuse_req_t req) { return fuse_req_userdata(req); }
static inline struct fs *fs_of(fuse_req_t req) { return session_of(req)->fs; }
struct fs_who who_asks(fuse_req_t req);
void reply_result(fuse_req_t req, int rc);
/* rc 0: the entry, which the kernel may remember under this name if `exact`. */
void reply_entry(fuse_req_t req, int rc, const struct stat *attr, bool exact);
void entry_fill(struct fuse_entry_param *e, const struct stat *attr, bool exact);
void reply_attr(fuse_req_t req, int rc, const struct stat *attr);
/* Room for a reply of up to REQUEST_MAX bytes; the request itself stays intact
 * as long as it is shorter than HEADER_ROOM. */
uint8_t *reply_room(void);

/* --- handlers ---------------------------------------------------------------------------- */
void op_lookup(fuse_req_t, fuse_ino_t, const char *);
void op_forget(fuse_req_t, fuse_ino_t, uint64_t);
void op_forget_multi(fuse_req_t, size_t, struct fuse_forget_data *);
void op_mknod(fuse_req_t, fuse_ino_t, const char *, mode_t, dev_t);
void op_mkdir(fuse_req_t, fuse_ino_t, const char *, mode_t);
void op_symlink(fuse_req_t, const char *, fuse_ino_t, const char *);
void op_link(fuse_req_t, fuse_ino_t, fuse_ino_t, const char *);
void op_unlink(fuse_req_t, fuse_ino_t, const char *);
void op_rmdir(fuse_req_t, fuse_ino_t, const char *);
void op_rename(fuse_req_t, fuse_ino_t, const char *, fuse_ino_t, const char *, unsigned);
void op_readlink(fuse_req_t, fuse_ino_t);
void op_getattr(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_setattr(fuse_req_t, fuse_ino_t, struct stat *, int, struct fuse_file_info *);
void op_statfs(fuse_req_t, fuse_ino_t);
void op_setxattr(fuse_req_t, fuse_ino_t, const char *, const char *, size_t, int);
void op_getxattr(fuse_req_t, fuse_ino_t, const char *, size_t);
void op_listxattr(fuse_req_t, fuse_ino_t, size_t);
void op_removexattr(fuse_req_t, fuse_ino_t, const char *);
void op_opendir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_readdir(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void op_readdirplus(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void op_releasedir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_open(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_create(fuse_req_t, fuse_ino_t, const char *, mode_t, struct fuse_file_info *);
void op_release(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void op_read(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void op_write(fuse_req_t, fuse_ino_t, const char *, size_t, off_t, struct fuse_file_info *);
void op_fsync(fuse_req_t, fuse_ino_t, int, struct fuse_file_info *);
void op_fallocate(fuse_req_t, fuse_ino_t, int, off_t, off_t, struct fuse_file_info *);
void op_lseek(fuse_req_t, fuse_ino_t, off_t, int, struct fuse_file_info *);
void op_copy_file_range(fuse_req_t, fuse_ino_t, off_t, struct fuse_file_info *, fuse_ino_t, off_t,
                        struct fuse_file_info *, size_t, int);
void op_ioctl(fuse_req_t, fuse_ino_t, unsigned, void *, struct fuse_file_info *, unsigned, const void *,
              size_t, size_t);

#endif
