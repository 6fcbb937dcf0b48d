/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Numbers, sizes, dates and durations as the language of the messages writes them:
 * "1,5 Go", "12 345", "23 novembre 2026 à 14 h 05" in French; "1.5 GB", "12,345",
 * "November 23, 2026 at 14:05" in English; and in the C locale what programs have
 * always read there: no groups, and dates of ISO 8601.
 *
 * The catalogue decides, not LC_NUMERIC or LC_TIME: the locale of the user is often
 * not installed on servers, and one sentence must not speak two languages.
 */
#include "internal.h"
#include <stdio.h>

const char *words_for_count(uint64_t n, char text[WORDS_MAX])
{
    char digits[24];
    /* TRANSLATORS: what stands between groups of three digits: 12,345 */
    const char *gap = message_is_plain() ? "" : _(",");
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), used = 0;

    for (size_t k = 0; k < len; k++) {
        bool here = k && (len - k) % 3 == 0;
        used += (size_t)snprintf(text + used, WORDS_MAX - used, "%s%c", here ? gap : "", digits[k]);
    }
    return text;
}

const char *figure(uint64_t n)
{
    static char places[8][WORDS_MAX];
    static unsigned turn;

    return words_for_count(n, places[turn++ % ARRAY_SIZE(places)]);
}

/* Rounded: one that is cut off would not be what other programs show. */
static uint64_t rounded(uint64_t bytes, uint64_t unit, unsigned parts)
{
    return bytes / unit * parts + (bytes % unit * parts + unit / 2) / unit;
}

const char *words_for_size(uint64_t bytes, char text[WORDS_MAX])
{
    static const char *const units[] = { N_("B"), N_("kB"), N_("MB"), N_("GB"), N_("TB"), N_("PB") };
    uint64_t one = 1;
    unsigned unit = 0;

    for (; rounded(bytes, one, 1) >= 1000 && unit + 1 < ARRAY_SIZE(units); unit++)
        one *= 1000;
    uint64_t tenths = rounded(bytes, one, 10);
    if (unit == 0 || tenths >= 1000)
        /* TRANSLATORS: a size: number and unit */
        snprintf(text, WORDS_MAX, _("%llu %s"), (unsigned long long)rounded(bytes, one, 1), _(units[unit]));
    else
        /* TRANSLATORS: a size with one decimal: 3.4 MB */
        snprintf(text, WORDS_MAX, _("%llu.%u %s"), (unsigned long long)tenths / 10, (unsigned)(tenths % 10), _(units[unit]));
    return text;
}

const char *words_for_power(uint64_t kib, char text[WORDS_MAX])
{
    bool small = kib < 1024 || kib % 1024;

    /* TRANSLATORS: a power of two, as administrators write it: 64 KiB, 128 MiB */
    snprintf(text, WORDS_MAX, small ? _("%llu KiB") : _("%llu MiB"), (unsigned long long)(small ? kib : kib / 1024));
    return text;
}

const char *words_for_time(int64_t seconds, char text[WORDS_MAX])
{
    static const char *const months[] = {
        N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June"), N_("July"), N_("August"),
        N_("September"), N_("October"), N_("November"), N_("December"),
    };
    time_t t = (time_t)seconds;
    char day[16];
    struct tm tm;

    if (seconds <= 0 || !localtime_r(&t, &tm)) {
        snprintf(text, WORDS_MAX, "%s", _("never"));
    } else if (message_is_plain()) {
        strftime(text, WORDS_MAX, "%Y-%m-%d %H:%M", &tm);
    } else {
        /* TRANSLATORS: the first day of a month, in a date */
        snprintf(day, sizeof day, tm.tm_mday == 1 ? _("1") : "%d", tm.tm_mday);
        /* TRANSLATORS: a date and a time: month, day, year, hour, minute */
        snprintf(text, WORDS_MAX, _("%1$s %2$s, %3$d at %4$d:%5$02d"), _(months[tm.tm_mon]), day, tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min);
    }
    return text;
}

const char *words_for_duration(uint64_t seconds, char text[WORDS_MAX])
{
    char hours[WORDS_MAX];

    if (seconds < 60)
        snprintf(text, WORDS_MAX, _("%u s"), (unsigned)seconds);
    else if (seconds < 3600)
        snprintf(text, WORDS_MAX, _("%u min"), (unsigned)((seconds + 30) / 60));
    else
        /* TRANSLATORS: hours and minutes */
        snprintf(text, WORDS_MAX, _("%s h %02u"), words_for_count(seconds / 3600, hours), (unsigned)(seconds % 3600 / 60));
    return text;
}
