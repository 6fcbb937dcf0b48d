/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * How a long transfer is interrupted: while it copies, the signal is noted and the
 * walk ends in order; while it waits for the daemon there is nothing to tidy, and a
 * farewell and the signal itself end it.
 */
#include "transfer.h"
#include <signal.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
static volatile sig_atomic_t noted, waits;
static const char *said;
static size_t said_len;

static void on_signal(int sig)
{
    noted = sig;
    if (!waits)
        return;
    ssize_t n = write(STDERR_FILENO, said, said_len);
    (void)n;
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A signal that was ignored before (nohup) stays so. */
void signals_catch(const char *farewell)
{
    struct sigaction act = { .sa_handler = on_signal }, old;

    said = farewell;
    said_len = strlen(farewell);
    for (size_t k = 0; k < ARRAY_SIZE(caught); k++)
        if (sigaction(caught[k], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(caught[k], &act, NULL);
    signal(SIGIO, SIG_IGN);   /* a lease that is broken */
    signal(SIGXFSZ, SIG_IGN); /* the write says EFBIG */
}

void signals_wait(bool waiting)
{
    waits = waiting;
    if (waiting && noted)
        on_signal(noted);
}

int signals_caught(void)
{
    return noted;
}

void signals_end(void)
{
    if (!noted)
        return;
    signal(noted, SIG_DFL);
    raise(noted);
}
