/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The device: requests as bytes, between the kernel and libfuse.
 *
 * libfuse 3.14 can neither ask for FUSE_HANDLE_KILLPRIV_V2 nor tell a handler
 * the flags that come with it.  Both are in the raw messages, and these pass
 * through here: the reply to INIT is completed on its way out, and each
 * request is looked at before libfuse decodes it.
 *
 * A message that is too short for what its header says never comes from the
 * kernel; it is passed on as a request of no interest.
 */
#include "internal.h"
#include <linux/fuse.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static _Thread_local struct worker *self;

struct worker *worker_self(void)
{
    return self;
}

void worker_become(struct worker *w)
{
    self = w;
}

/* --- looking at requests --------------------------------------------------------- */

/* The body of a request when it is long enough, else NULL. */
static const void *body(const uint8_t *message, size_t len, size_t need)
{
    return len >= sizeof(struct fuse_in_header) + need ? message + sizeof(struct fuse_in_header) : NULL;
}

static void look_at_write(struct peek *p, const struct fuse_write_in *in)
{
    if (!in)
        return;
    p->payload = in->size;
    p->kill_priv = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
    p->program = !(in->write_flags & FUSE_WRITE_CACHE);
}

static void look(struct peek *p, const uint8_t *m, size_t len)
{
    const struct fuse_in_header *head = (const void *)m;
    const struct fuse_open_in *open;
    const struct fuse_create_in *create;
    const struct fuse_read_in *read;
    const struct fuse_copy_file_range_in *copy;
    const struct fuse_init_in *init;

    *p = (struct peek){ .opcode = head->opcode, .program = true };
    switch (head->opcode) {
    case FUSE_WRITE:
        look_at_write(p, body(m, len, sizeof(struct fuse_write_in)));
        break;
    case FUSE_READ:
        if ((read = body(m, len, sizeof *read)))
            p->payload = read->size;
        break;
    case FUSE_COPY_FILE_RANGE:
        if ((copy = body(m, len, sizeof *copy)))
            p->payload = copy->len < REQUEST_MAX ? (uint32_t)copy->len : REQUEST_MAX;
        break;
    case FUSE_OPEN:
        if ((open = body(m, len, sizeof *open)))
            p->kill_priv = open->open_flags & FUSE_OPEN_KILL_SUIDGID;
        break;
    case FUSE_CREATE:
        if ((create = body(m, len, sizeof *create)))
            p->kill_priv = create->open_flags & FUSE_OPEN_KILL_SUIDGID;
        break;
    case FUSE_INIT:
        if ((init = body(m, len, offsetof(struct fuse_init_in, flags2))))
            p->init_flags = init->flags;
        break;
    case FUSE_FORGET: case FUSE_BATCH_FORGET: case FUSE_RELEASE: case FUSE_RELEASEDIR:
    case FUSE_INTERRUPT: case FUSE_DESTROY: case FUSE_STATFS:
        p->program = false;
        break;
    default:
        break;
    }
}

static void note_activity(struct session *s)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    unsigned now = (unsigned)t.tv_sec;
    /* Written only when it changes: the line stays shared between cores. */
    if (atomic_load_explicit(&s->last_request, memory_order_relaxed) != now)
        atomic_store_explicit(&s->last_request, now, memory_order_relaxed);
}

/* --- libfuse's way to the device ----------------------------------------------------- */

/* libfuse asks for as much as the kernel could ever send; we have agreed on
 * requests that fit. */
static ssize_t device_read(int fd, void *buf, size_t len, void *userdata)
{
    (void)userdata;
    return read(fd, buf, len < BUFFER_SIZE ? len : BUFFER_SIZE);
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct session *s = userdata;
    const struct fuse_out_header *head = iov[0].iov_base;
    bool init = self && self->peek.opcode == FUSE_INIT && head->unique != 0 && !head->error && count == 2;

    if (init)
        init_complete(s, iov[1].iov_base, iov[1].iov_len, self->peek.init_flags);
    ssize_t n = writev(fd, iov, count);
    if (init && n > 0) {
        s->agreed = true;
        sem_post(&s->event);
    }
    return n;
}

int channel_attach(struct session *s)
{
    static const struct fuse_custom_io io = { .read = device_read, .writev = device_writev };

    note_activity(s);
    return fuse_session_custom_io(s->fuse, &io, fuse_session_fd(s->fuse)) ? -ENOMEM : 0;
}

int channel_receive(struct worker *w)
{
    struct fuse_buf buf = { .mem = w->buffer, .size = BUFFER_SIZE };
    int n = fuse_session_receive_buf(w->session->fuse, &buf);

    if (n > 0) {
        look(&w->peek, w->buffer, (size_t)n);
        if (w->peek.program)
            note_activity(w->session);
    }
    return n;
}

void channel_process(struct worker *w, size_t len)
{
    struct fuse_buf buf = { .mem = w->buffer, .size = len };

    fuse_session_process_buf(w->session->fuse, &buf);
}
