/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names that others chose, written so that neither a terminal nor a parser is fooled.
 *
 * A character acts when it controls a terminal, or turns, joins or hides the text around
 * it.  For people, such characters and bytes that are no UTF-8 become \xNN, byte by byte;
 * what was spelled once is not changed by a second time.
 */
#ifndef ECLUSE_SPELL_H
#define ECLUSE_SPELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for one character, spelled in either way, and a NUL. */
#define SPELL_STEP 17
/* Takes one character off text (not at its end), writes it spelled, and returns what follows. */
const char *spell_step(const char *text, char out[SPELL_STEP]);
/* The same as JSON has it between quotes: in ASCII where it acts, \udc80…\udcff for a byte
 * that is no UTF-8. */
const char *spell_json_step(const char *text, char out[SPELL_STEP]);
/* All of it, cut between characters where it does not fit. */
void spell(const char *text, char *out, size_t size);
/* Would it be shown as it is? */
bool spell_is_plain(const char *text);

#endif
