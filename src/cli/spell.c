/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names that others chose, in what the command line says: in sentences, in JSON, and in
 * commands that the user is to copy.
 */
#include "checkup.h"
#include <stdio.h>

#define PLACES 4u
#define PLACE_SIZE (4u * PATH_MAX + 8u)

void spell_json(FILE *out, const char *text)
{
    char one[SPELL_STEP];

    fputc('"', out);
    while (*text) {
        text = spell_json_step(text, one);
        fputs(one, out);
    }
    fputc('"', out);
}

void spell_plain(FILE *out, const char *text)
{
    char one[SPELL_STEP];

    while (*text) {
        text = spell_step(text, one);
        fputs(one, out);
    }
}

static char *next_place(void)
{
    static char places[PLACES][PLACE_SIZE];
    static unsigned turn;

    return places[turn++ % PLACES];
}

const char *spelled(const char *text)
{
    char *place = next_place();

    spell(text, place, PLACE_SIZE);
    return place;
}

/* Between '…', or $'…' where something is written as \xNN. */
static void quote(const char *text, bool plain, char *out, size_t size)
{
    char one[SPELL_STEP];

    size_t used = (size_t)snprintf(out, size, plain ? "'" : "$'");
    while (*text && used + SPELL_STEP + 2 < size) {
        const char *next = spell_step(text, one);
        const char *put = *text == '\'' ? (plain ? "'\\''" : "\\'") : *text == '\\' && !plain ? "\\\\" : one;
        used += (size_t)snprintf(out + used, size - used, "%s", put);
        text = next;
    }
    snprintf(out + used, size - used, "'");
}

const char *shell_word(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=,:@%+-";
    char *place = next_place();

    if (*text && text[strspn(text, safe)] == '\0')
        snprintf(place, PLACE_SIZE, "%s", text);
    else
        quote(text, spell_is_plain(text), place, PLACE_SIZE);
    return place;
}
