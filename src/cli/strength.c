/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * How hard a passphrase is to guess, by zxcvbn.
 *
 * It knows English words only, and takes those of other languages for chance.
 * So there are some of ours, and words with blanks between them count for no more
 * than words drawn from a list would: 13 bits each.
 *
 * Only an estimate, for advice: a weak passphrase is never refused.  It guards
 * the keyring of this device; nothing that depends on it is in the store.
 */
#include "internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <zxcvbn.h>

#define WORD_BITS 13
#define LOOKED_AT 100u       /* bytes; the rest cannot make it weaker */

static const char *const guessed_first[] = {
    "ecluse", "écluse", "coffre", "depot", "dépôt", "bonjour", "soleil", "motdepasse", "passe", "phrase", "azerty",
    "azertyuiop", "qwerty", "quebec", "québec", "canada", "montreal", "montréal", "gatineau", "ottawa", "laval",
    "canadiens", "hockey", "amour", "maison", "famille", "chocolat", "doudou", "loulou", "nicolas", "camille",
    "secret", "bienvenue", "gouvernement", "ministere", "ministère", "hiver", "printemps", "automne", NULL,
};

/* Words with blanks between, of letters only; 0 when it is something else. */
static int count_words(const char *text)
{
    int words = 0;

    for (bool inside = false; *text; text++) {
        bool blank = *text == ' ';
        if (!blank && !isalpha((unsigned char)*text) && (unsigned char)*text < 0x80)
            return 0;
        words += !blank && !inside;
        inside = !blank;
    }
    return words;
}

static ssize_t measure(const void *in, size_t len, uint8_t *out, size_t size)
{
    char text[LOOKED_AT + 1] = "";

    memcpy(text, in, len);
    double bits = ZxcvbnMatch(text, (const char **)(uintptr_t)guessed_first, NULL);
    int words = count_words(text), whole = bits < 0 ? 0 : bits > 1000 ? 1000 : (int)bits;
    if (words && whole > words * WORD_BITS)
        whole = words * WORD_BITS;
    if (size < sizeof whole)
        return -1;
    memcpy(out, &whole, sizeof whole);
    return (ssize_t)sizeof whole;
}

int strength_bits(const uint8_t *text, size_t len)
{
    uint8_t got[sizeof(int)];
    int bits;

    ssize_t n = aside_run(measure, text, len < LOOKED_AT ? len : LOOKED_AT, got, sizeof got);
    if (n != (ssize_t)sizeof got)
        return n < 0 ? (int)n : -EIO;
    memcpy(&bits, got, sizeof bits);
    return bits;
}

const char *strength_words(int bits)
{
    if (bits < STRENGTH_WEAK)
        return _("weak");
    if (bits < STRENGTH_FAIR)
        return _("fair");
    return bits < STRENGTH_GOOD ? _("good") : _("very good");
}
