/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A bar for long copies: share, bytes, files, rate, time left.
 *
 * One line on standard error that is written over, no wider than the terminal: what
 * does not fit is left out from the right.  Without a terminal (or with one that
 * cannot go back) it is a line of its own every ten seconds.  No colours.
 */
#include "transfer.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS 100
#define LINE_MS 10000
#define LINE_MAX_BYTES 512
#define BAR_CELLS 20u

static int64_t ms_between(const struct timespec *from, const struct timespec *to)
{
    return (to->tv_sec - from->tv_sec) * 1000 + (to->tv_nsec - from->tv_nsec) / 1000000;
}

static unsigned width(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

static unsigned columns(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Appends a part when the line stays within `room` columns. */
static void append(char line[LINE_MAX_BYTES], const char *part, unsigned room)
{
    size_t used = strlen(line);

    if (columns(line) + columns(part) <= room && used + strlen(part) < LINE_MAX_BYTES)
        memcpy(line + used, part, strlen(part) + 1);
}

static void append_bar(char line[LINE_MAX_BYTES], unsigned percent, unsigned room)
{
    char bar[BAR_CELLS + 4] = " [";
    unsigned full = percent * BAR_CELLS / 100;

    for (unsigned k = 0; k < BAR_CELLS; k++)
        bar[2 + k] = k < full ? '#' : '.';
    memcpy(bar + 2 + BAR_CELLS, "]", 2);
    if (room >= 72)
        append(line, bar, room);
}

static void append_left(char line[LINE_MAX_BYTES], const struct meter *m, uint64_t rate, unsigned room)
{
    char part[128], words[WORDS_MAX];

    if (!rate || m->bytes >= m->bytes_total)
        return;
    snprintf(part, sizeof part, _(", %s left"), words_for_duration((m->bytes_total - m->bytes) / rate, words));
    append(line, part, room);
}

static void compose(const struct meter *m, int64_t ms, unsigned room, char line[LINE_MAX_BYTES])
{
    char part[256], a[WORDS_MAX];
    uint64_t rate = ms > 0 ? m->bytes * 1000 / (uint64_t)ms : 0;
    unsigned percent = m->bytes_total ? (unsigned)(m->bytes * 100.0 / m->bytes_total) : 0;

    *line = '\0';
    append(line, m->label, room);
    if (m->bytes_total) {
        percent = percent > 100 ? 100 : percent;
        /* TRANSLATORS: a share, behind what is being done */
        snprintf(part, sizeof part, _(": %u%%"), percent);
        append(line, part, room);
        append_bar(line, percent, room);
    }
    snprintf(part, sizeof part, _(" %s"), words_for_size(m->bytes, a));
    append(line, part, room);
    if (rate && ms > 1000) {
        snprintf(part, sizeof part, _(", %s/s"), words_for_size(rate, a));
        append(line, part, room);
        append_left(line, m, rate, room);
    }
    if (m->files_total)
        /* TRANSLATORS: how many of how many files */
        snprintf(part, sizeof part, _(", files: %s of %s"), figure(m->files),
                 figure(m->files_total));
    else
        snprintf(part, sizeof part, _(", files: %s"), figure(m->files));
    append(line, part, room);
}

void meter_begin(struct meter *m, const char *label, uint64_t files_total, uint64_t bytes_total)
{
    meter_clear(m);
    *m = (struct meter){ .label = label, .files_total = files_total, .bytes_total = bytes_total };
    clock_gettime(CLOCK_MONOTONIC, &m->began);
    m->shown = m->began;
}

void meter_show(struct meter *m)
{
    char line[LINE_MAX_BYTES];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = ms_between(&m->shown, &now);
    if (ms < REDRAW_MS)        /* nearly always; asking the terminal takes longer */
        return;
    bool redraw = terminal_redraws();
    if (!redraw && ms < LINE_MS)
        return;
    m->shown = now;
    compose(m, ms_between(&m->began, &now), redraw ? width() - 1 : LINE_MAX_BYTES, line);
    fprintf(stderr, redraw ? "\r\033[K%s" : "%s\n", line);
    m->drawn = redraw;
}

void meter_clear(struct meter *m)
{
    if (m->drawn)
        fputs("\r\033[K", stderr);
    m->drawn = false;
}
