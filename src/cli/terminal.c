/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Asking on the controlling terminal, whatever standard input is.
 *
 * The echo comes back in every case: signals that would end or stop the
 * program are noted while it is off, and delivered again once it is on.
 * Answers go into the caller's (guarded) memory byte by byte, so that no
 * buffer of the C library keeps a copy.
 */
#include "internal.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };
static volatile sig_atomic_t noted;

static void note_signal(int sig)
{
    noted = sig;
}

static void catch_signals(struct sigaction old[ARRAY_SIZE(caught)])
{
    struct sigaction act = { .sa_handler = note_signal };

    noted = 0;
    for (size_t k = 0; k < ARRAY_SIZE(caught); k++)
        sigaction(caught[k], &act, &old[k]);
}

static void release_signals(const struct sigaction old[ARRAY_SIZE(caught)])
{
    for (size_t k = 0; k < ARRAY_SIZE(caught); k++)
        sigaction(caught[k], &old[k], NULL);
}

bool terminal_here(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

bool terminal_redraws(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

static int write_all(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int terminal_show(const char *text)
{
    int fd = open("/dev/tty", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return E_NO_TERMINAL;
    int rc = write_all(fd, text);
    close(fd);
    return rc;
}

/* Up to the end of the line, which is not part of the answer. */
static ssize_t read_line(int fd, uint8_t *out, size_t size)
{
    size_t used = 0;

    for (;;) {
        ssize_t n = read(fd, out + used, 1);
        if (n < 0)
            return -errno;
        if (n == 0 || out[used] == '\n')
            break;
        if (++used == size)
            return -EFBIG;
    }
    return (ssize_t)used;
}

static ssize_t ask_once(int fd, const char *prompt, bool echo, uint8_t *out, size_t size)
{
    struct sigaction old[ARRAY_SIZE(caught)];
    struct termios before, quiet;

    if (tcgetattr(fd, &before))
        return E_NO_TERMINAL;
    catch_signals(old);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    if (!echo)
        tcsetattr(fd, TCSAFLUSH, &quiet);
    ssize_t rc = write_all(fd, prompt);
    if (!rc)
        rc = read_line(fd, out, size);
    if (!echo) {
        tcsetattr(fd, TCSAFLUSH, &before);
        write_all(fd, "\n");
    }
    release_signals(old);
    return rc;
}

ssize_t terminal_ask(const char *prompt, bool echo, uint8_t *out, size_t size)
{
    ssize_t rc;

    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return E_NO_TERMINAL;
    for (;;) {
        rc = ask_once(fd, prompt, echo, out, size);
        if (!noted)
            break;
        int sig = noted;
        kill(getpid(), sig);  /* also when the answer came at the same moment */
        if (rc >= 0 || (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU))
            break;  /* ignored by our parent: then the answer counts, or is "interrupted" */
    }
    close(fd);
    return rc;
}
