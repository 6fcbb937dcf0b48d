/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Bytes over time, as an SVG figure.
 *
 * A step at each publication or removal, or, when there are many, at the last one of each part
 * of the time: the very rows of the table below it, which is its alternative for whoever does
 * not see it.  Whole numbers only: a decimal comma of the user's locale would be no SVG.
 */
#include "report.h"

#define WIDTH 760
#define HEIGHT 300
#define LEFT 86
#define RIGHT 14
#define TOP 16
#define BOTTOM 40
#define LINES 5u

struct frame { int64_t first, last; uint64_t step, top; };

/* 1, 2 or 5 times a power of ten, so that LINES of them hold all. */
static uint64_t step_for(uint64_t most)
{
    uint64_t step = 1;

    for (unsigned k = 0; step * LINES < most; k++)
        step = k % 3 == 1 ? step / 2 * 5 : step * 2;
    return step;
}

static int x_of(const struct frame *m, int64_t time)
{
    double part = time <= m->first ? 0 : time >= m->last ? 1 : (double)(time - m->first) / (double)(m->last - m->first);
    return LEFT + (int)(part * (WIDTH - LEFT - RIGHT));
}

static int y_of(const struct frame *m, uint64_t bytes)
{
    return HEIGHT - BOTTOM - (int)((double)bytes / (double)m->top * (HEIGHT - TOP - BOTTOM));
}

static void put_text(FILE *out, int x, int y, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">", x, y, anchor);
    report_escape(out, text);
    fputs("</text>\n", out);
}

static void put_axes(FILE *out, const struct frame *m)
{
    char words[WORDS_MAX];

    for (uint64_t v = 0; v <= m->top; v += m->step) {
        int y = y_of(m, v);
        fprintf(out, "<path d=\"M%d %dH%d\" stroke=\"%s\"/>\n", LEFT, y, WIDTH - RIGHT, v ? "#b8b8b8" : "#111");
        put_text(out, LEFT - 8, y + 4, "end", words_for_size(v, words));
    }
    put_text(out, LEFT, HEIGHT - 12, "start", words_for_time(m->first, words));
    put_text(out, WIDTH - RIGHT, HEIGHT - 12, "end", words_for_time(m->last, words));
}

static void put_steps(FILE *out, const struct frame *m, const struct report_point *points, size_t count)
{
    int at = x_of(m, m->first);

    fprintf(out, "%d %d", at, y_of(m, 0));
    for (size_t k = 0; k < count; k++) {
        int x = x_of(m, points[k].time);
        at = x > at ? x : at;      /* the line never goes back, as a clock may */
        fprintf(out, "H%dV%d", at, y_of(m, points[k].bytes));
    }
    fprintf(out, "H%d", x_of(m, m->last));
}

void report_chart(FILE *out, const struct report_facts *f, const char *prefix)
{
    struct report_point points[REPORT_ROWS];
    size_t count = report_points(f, points);
    struct frame m = { .first = f->log.first, .last = f->now };
    char size[WORDS_MAX], first[WORDS_MAX], last[WORDS_MAX], text[512];
    uint64_t most = 1;

    for (size_t k = 0; k < count; k++)
        most = points[k].bytes > most ? points[k].bytes : most;
    m.step = step_for(most);
    m.top = (most + m.step - 1) / m.step * m.step;
    fprintf(out, "<figure>\n<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" "
                 "aria-labelledby=\"%s-chart %s-chart-text\" font-family=\"'DejaVu Sans',Verdana,sans-serif\" "
                 "font-size=\"12\" fill=\"#111\">\n<title id=\"%s-chart\">", WIDTH, HEIGHT, prefix, prefix, prefix);
    report_escape(out, _("Size of what this device has put into the store, over time"));
    /* TRANSLATORS: what a chart shows: two dates and a size */
    snprintf(text, sizeof text, _("From %s to %s; %s at the end. The table below has the same figures."),
             words_for_time(m.first, first), words_for_time(m.last, last),
             words_for_size(count ? points[count - 1].bytes : 0, size));
    fprintf(out, "</title>\n<desc id=\"%s-chart-text\">", prefix);
    report_escape(out, text);
    fputs("</desc>\n", out);
    put_axes(out, &m);
    fputs("<path fill=\"#0b4a6f\" fill-opacity=\".18\" d=\"M", out);
    put_steps(out, &m, points, count);
    fprintf(out, "V%dz\"/>\n<path fill=\"none\" stroke=\"#0b4a6f\" stroke-width=\"2.5\" d=\"M", y_of(&m, 0));
    put_steps(out, &m, points, count);
    fputs("\"/>\n</svg>\n<figcaption>", out);
    report_escape(out, _("Size of what this device has put into the store, over time"));
    fputs("</figcaption>\n</figure>\n", out);
}
