/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The recovery key as something to print, read aloud and type.
 *
 * 256 bits are 52 symbols of five bits, first bit first; the four bits that
 * are left in the last one are zero.  Each group of four is followed by a
 * check symbol, computed in the field of 32 elements (x^5 + x^2 + 1, where 2
 * generates all): with g the group's number, 1…13,
 *
 *   check = g + 2·d1 + 4·d2 + 8·d3 + 16·d4
 *
 * The five factors (1 for the check itself) differ and none is zero, and so do
 * the numbers g.  Hence always found, not just probably: one wrong symbol in a
 * group, two symbols of a group exchanged, a group in another one's place.
 *
 * Reading is in two passes.  The first looks for 65 symbols whose 13 checks all
 * hold, from the start of each word on; words around the key cannot be mistaken
 * for it (one chance in 2^65).  Only when there are none, the second looks for
 * what resembles a key most, to name the group that is wrong.
 */
#include "internal.h"

#define GROUP_DATA 4
#define GROUP_SYMBOLS 5
#define RESEMBLES 7    /* right groups that make a run of words a mistyped key */
#define SEPARATOR (-1)
#define NO_SYMBOL (-2)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void recovery_generate(uint8_t key[KEY_SIZE])
{
    crypto_random(key, KEY_SIZE);
}

/* v times 2, four times over: multiplication by 2^n in the field. */
static unsigned times_power(unsigned v, int n)
{
    while (n-- > 0)
        v = (v << 1) ^ (v & 16 ? 0x25 : 0);
    return v;
}

static unsigned check_symbol(const uint8_t data[GROUP_DATA], int group)
{
    unsigned check = (unsigned)group + 1;
    for (int i = 0; i < GROUP_DATA; i++)
        check ^= times_power(data[i], i + 1);
    return check;
}

/* Five bits from bit 5n on; zeros beyond the end. */
static uint8_t get_symbol(const uint8_t key[KEY_SIZE], int n)
{
    unsigned at = (unsigned)n * 5 / 8, shift = 11 - (unsigned)n * 5 % 8;
    unsigned next = at + 1 < KEY_SIZE ? key[at + 1] : 0;
    return (uint8_t)(((unsigned)key[at] << 8 | next) >> shift & 31);
}

static void put_symbol(uint8_t key[KEY_SIZE], int n, uint8_t symbol)
{
    unsigned at = (unsigned)n * 5 / 8, shift = 11 - (unsigned)n * 5 % 8;
    unsigned bits = (unsigned)symbol << shift;
    key[at] = (uint8_t)(key[at] | bits >> 8);
    if (at + 1 < KEY_SIZE)
        key[at + 1] = (uint8_t)(key[at + 1] | (bits & 255));
}

void recovery_format(const uint8_t key[KEY_SIZE], char out[RECOVERY_TEXT])
{
    uint8_t data[GROUP_DATA];

    for (int g = 0; g < RECOVERY_GROUPS; g++) {
        for (int i = 0; i < GROUP_DATA; i++) {
            data[i] = get_symbol(key, g * GROUP_DATA + i);
            *out++ = alphabet[data[i]];
        }
        *out++ = alphabet[check_symbol(data, g)];
        *out++ = g == RECOVERY_GROUPS - 1 ? '\0' : '-';
    }
    secret_wipe(data, sizeof data);
}

/* --- reading ----------------------------------------------------------- */

/* Dashes and spaces that word processors put in the place of ours: how many
 * bytes of UTF-8, 0 when it is none of them. */
static int wide_separator(const char *p, size_t left)
{
    const unsigned char *u = (const unsigned char *)p;
    if (left >= 2 && u[0] == 0xC2 && u[1] == 0xA0)
        return 2;                                   /* no-break space */
    if (left < 3 || u[0] != 0xE2)
        return 0;
    if (u[1] == 0x80 && ((u[2] >= 0x80 && u[2] <= 0x95) || u[2] == 0xAF))
        return 3;                                   /* spaces, hyphens, dashes */
    return u[1] == 0x88 && u[2] == 0x92 ? 3 : 0;    /* minus sign */
}

static int symbol_value(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        return 0;
    if (c == 'I' || c == 'L')
        return 1;
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : NO_SYMBOL;
}

struct cursor { const char *p, *end; };

/* The value of what is next, a letter that is no symbol (NO_SYMBOL), or a
 * SEPARATOR: anything in ASCII that is neither letter nor digit. */
static int next_value(struct cursor *c)
{
    int wide = wide_separator(c->p, (size_t)(c->end - c->p));
    char ch = *c->p;

    c->p += wide ? wide : 1;
    if (wide)
        return SEPARATOR;
    if ((unsigned char)ch >= 0x80 || (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z'))
        return symbol_value(ch);
    return SEPARATOR;
}

/* Five symbols, whatever separates them. Their number, or less when the text
 * or the symbols end before. */
static int read_symbols(struct cursor *c, uint8_t out[GROUP_SYMBOLS])
{
    int n = 0;
    while (n < GROUP_SYMBOLS && c->p < c->end) {
        int v = next_value(c);
        if (v == NO_SYMBOL)
            break;
        if (v != SEPARATOR)
            out[n++] = (uint8_t)v;
    }
    return n;
}

static bool group_holds(const uint8_t s[GROUP_SYMBOLS], int group)
{
    bool spare = group < RECOVERY_GROUPS - 1 || (s[GROUP_DATA - 1] & 15) == 0;
    return spare && check_symbol(s, group) == s[GROUP_DATA];
}

/* First pass: are there 13 groups whose checks hold, from here on? */
static bool read_key(struct cursor c, uint8_t key[KEY_SIZE])
{
    uint8_t s[GROUP_SYMBOLS];
    bool holds = true;

    memset(key, 0, KEY_SIZE);
    for (int g = 0; holds && g < RECOVERY_GROUPS; g++) {
        holds = read_symbols(&c, s) == GROUP_SYMBOLS && group_holds(s, g);
        for (int i = 0; holds && i < GROUP_DATA; i++)
            put_symbol(key, g * GROUP_DATA + i, s[i]);
    }
    secret_wipe(s, sizeof s);
    if (!holds)
        secret_wipe(key, KEY_SIZE);
    return holds;
}

/* Moves to the start of the next word; false at the end of the text. */
static bool skip_separators(struct cursor *c)
{
    struct cursor ahead = *c;
    while (c->p < c->end && next_value(&ahead) == SEPARATOR)
        *c = ahead;
    return c->p < c->end;
}

static void skip_word(struct cursor *c)
{
    struct cursor ahead = *c;
    while (c->p < c->end && next_value(&ahead) != SEPARATOR)
        *c = ahead;
}

/* How many letters are left of the word; 99 for any more. */
static int word_rest(struct cursor c)
{
    int n = 0;
    while (n < 99 && c.p < c.end && next_value(&c) != SEPARATOR)
        n++;
    return n;
}

/*
 * What stands where a group should: 1 when it is that group, 0 when it could be
 * a group, -1 when it is none.  A long word is groups without dashes; a word a
 * little too short or too long is a group with a slip.
 */
static int read_piece(struct cursor *c, int group)
{
    uint8_t s[GROUP_SYMBOLS] = { 0 };
    int rest = word_rest(*c), take = rest <= GROUP_SYMBOLS + 2 ? rest : GROUP_SYMBOLS;
    int verdict = take == GROUP_SYMBOLS ? 0 : -1;

    for (int n = 0; n < take; n++) {
        int v = next_value(c);
        if (v == NO_SYMBOL)
            verdict = -1;
        else if (n < GROUP_SYMBOLS)
            s[n] = (uint8_t)v;
    }
    if (verdict == 0)
        verdict = group_holds(s, group);
    secret_wipe(s, sizeof s);
    return verdict;
}

/* Second pass: how much do the 13 pieces from here on resemble a key? The
 * number of groups that hold, -1 when nobody would take it for a key. */
static int resemblance(struct cursor c, int *first_bad)
{
    int right = 0;
    bool formed = true;

    *first_bad = 0;
    for (int g = 0; g < RECOVERY_GROUPS; g++) {
        if (!skip_separators(&c))
            return -1;
        int verdict = read_piece(&c, g);
        right += verdict == 1;
        formed &= verdict >= 0;
        if (verdict != 1 && !*first_bad)
            *first_bad = g + 1;
    }
    return formed || right >= RESEMBLES ? right : -1;
}

int recovery_parse(const char *text, size_t len, uint8_t key[KEY_SIZE], int *bad_group)
{
    int best = -1, bad;

    *bad_group = 0;
    for (struct cursor c = { text, text + len }; skip_separators(&c); skip_word(&c))
        if (read_key(c, key))
            return 0;
    for (struct cursor c = { text, text + len }; skip_separators(&c); skip_word(&c)) {
        int right = resemblance(c, &bad);
        if (right > best) {
            best = right;
            *bad_group = bad;
        }
    }
    return E_RECOVERY_KEY;
}

bool recovery_has_group(const uint8_t key[KEY_SIZE], int group, const char *text, size_t len)
{
    struct cursor c = { text, text + len };
    uint8_t s[GROUP_SYMBOLS] = { 0 };

    bool same = group >= 1 && group <= RECOVERY_GROUPS && read_symbols(&c, s) == GROUP_SYMBOLS &&
                group_holds(s, group - 1) && !skip_separators(&c);
    for (int i = 0; same && i < GROUP_DATA; i++)
        same = s[i] == get_symbol(key, (group - 1) * GROUP_DATA + i);
    secret_wipe(s, sizeof s);
    return same;
}
