/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse doctor: will a vault work here, and what to do when not?
 *
 * Looks, and changes nothing; asks for no passphrase.  Each finding is ok, a note
 * (worth knowing, and everything works) or a problem; only problems make the exit
 * code other than 0.
 */
#include "doctor.h"
#include "checkup.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct { const char *word, *shown; } verdicts[] = {
    [FINDING_OK] = { "ok", N_("ok") },
    /* TRANSLATORS: the verdicts of “ecluse doctor”, in a column */
    [FINDING_NOTE] = { "note", N_("note") },
    [FINDING_PROBLEM] = { "problem", N_("problem") },
};

/* Padded by characters, not by bytes. */
static void put_word(const char *word)
{
    int width = 0;

    for (const char *c = word; *c; c++)
        width += ((unsigned char)*c & 0xc0) != 0x80;
    printf("%s%*s", word, width < 10 ? 10 - width : 1, "");
}

void doctor_say(struct doctor *d, const char *check, enum finding f, const char *format, ...)
{
    char sentence[PATH_MAX + 1024];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    d->problems += f == FINDING_PROBLEM;
    if (d->json) {
        printf("%s\n  {\"check\": \"%s\", \"verdict\": \"%s\", \"sentence\": ", d->count ? "," : "", check,
               verdicts[f].word);
        spell_json(stdout, sentence);
        printf("}");
    } else {
        put_word(_(verdicts[f].shown));
        spell_plain(stdout, sentence);
        printf("\n");
    }
    d->count++;
}

int command_doctor(int argc, char **argv)
{
    struct doctor d = { 0 };
    char *state = NULL;
    const struct option_place places[] = { { "json", &d.json, NULL }, { "state", NULL, &state }, { 0 } };

    int rc = options_take(argc, argv, places, 0, 1, _("one store is expected"));
    if (!rc) {
        d.state = state;
        printf("%s", d.json ? "{\"findings\": [" : "");
        doctor_system(&d);
        doctor_swap(&d);
        doctor_policy(&d, argv[optind]);
        doctor_store(&d, argv[optind]);
        if (d.json)
            printf("\n], \"problems\": %u}\n", d.problems);
        rc = d.problems ? EXIT_SYSTEM : EXIT_DONE;
    }
    free(state);
    return rc;
}
