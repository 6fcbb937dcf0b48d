/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a service manager is told: datagrams to $NOTIFY_SOCKET, as sd_notify(3) has them.
 *
 * READY=1 once the folder is there, STOPPING=1 once it is gone; from then on, while the
 * last publication is under way, what is still to be published.  The unit's
 * TimeoutStopSec= is the bound of that wait; it is moved on (EXTEND_TIMEOUT_USEC) only
 * as long as less and less is left, so a store that hangs holds up no shutdown.
 * What is cut off is not lost: it waits in the state for the next mount.
 *
 * The variable is taken out of the environment, so that no program that we run can
 * speak in our name.  Numbers only: no name is told.
 *
 * $JOURNAL_STREAM says which device and inode the manager gave for the journal, see
 * systemd.exec(5); redirected since, standard error is another one.
 */
#include "internal.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TELL_SECONDS 5
#define EXTENSION "30000000"   /* microseconds */

static struct sockaddr_un manager;  /* set before there are threads */
static socklen_t manager_size;      /* 0: there is none */

void manager_find(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t len = name ? strlen(name) : 0;

    if (len > 1 && len < sizeof manager.sun_path && (*name == '/' || *name == '@')) {
        manager.sun_family = AF_UNIX;
        memcpy(manager.sun_path, name, len);
        if (*name == '@')
            manager.sun_path[0] = '\0';
        manager_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    unsetenv("NOTIFY_SOCKET");
}

bool manager_reads_errors(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    char rest;

    return stream && sscanf(stream, "%llu:%llu%c", &device, &inode, &rest) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

void manager_tell(const char *state)
{
    if (!manager_size)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_size) < 0)
        log_debug("ECL-0503 service manager: %s", error_name(-errno));
    close(fd);
}

/* --- the last publication ---------------------------------------------------------- */

struct farewell { struct fs *fs; sem_t over; uint64_t rows, bytes; };

static void *publish(void *arg)
{
    struct farewell *f = arg;

    /* Whatever comes of it, fs_close tries what is left once more, and says so. */
    log_info("ECL-0516 last publication: %s", error_name(fs_flush(f->fs)));
    sem_post(&f->over);
    return NULL;
}

static void tell_rest(struct farewell *f)
{
    struct fs_status now;
    char text[160];

    if (fs_status(f->fs, &now))
        return;
    bool fewer = now.unpublished_rows < f->rows || now.staged_bytes < f->bytes;
    f->rows = now.unpublished_rows;
    f->bytes = now.staged_bytes;
    snprintf(text, sizeof text, "%sSTATUS=Publishing: %llu changes, %llu KiB of content left",
             fewer ? "EXTEND_TIMEOUT_USEC=" EXTENSION "\n" : "", (unsigned long long)f->rows,
             (unsigned long long)f->bytes / 1024);
    manager_tell(text);
}

static bool is_over(struct farewell *f)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TELL_SECONDS;
    int rc;
    do
        rc = sem_timedwait(&f->over, &until);
    while (rc && errno == EINTR);
    return rc == 0;
}

void manager_farewell(struct fs *fs)
{
    struct farewell f = { .fs = fs, .rows = UINT64_MAX, .bytes = UINT64_MAX };
    pthread_t thread;

    manager_tell("STOPPING=1");
    if (!manager_size || !fs || sem_init(&f.over, 0, 0))
        return;
    if (pthread_create(&thread, NULL, publish, &f) == 0) {
        do
            tell_rest(&f);
        while (!is_over(&f));
        pthread_join(thread, NULL);
        manager_tell("STATUS=");
    }
    sem_destroy(&f.over);
}
