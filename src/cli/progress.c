/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * How far a long command is: one line on standard error, ten times a second at
 * most, and nothing when that is no terminal, or one that cannot.
 */
#include "checkup.h"

#define PROGRESS_MS 100

static bool too_soon(struct progress *p)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ms = (t.tv_sec - p->shown.tv_sec) * 1000 + (t.tv_nsec - p->shown.tv_nsec) / 1000000;
    if (ms < PROGRESS_MS)
        return true;
    p->shown = t;
    return false;
}

void progress_show(struct progress *p, const char *label, uint64_t done, uint64_t total)
{
    if (!terminal_redraws() || (label == p->label && too_soon(p)))
        return;
    p->label = label;
    p->drawn = true;
    fprintf(stderr, "\r\033[K%s", label);
    if (total)
        fprintf(stderr, _(": %u%%"), (unsigned)(done * 100 / total));
    else
        fprintf(stderr, _(": %s"), figure(done));
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
