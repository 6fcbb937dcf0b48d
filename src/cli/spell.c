/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names that others chose, written so that neither a terminal nor a parser is fooled.
 */
#include "checkup.h"

/* Length of the valid UTF-8 sequence at s and its code point; 0 when there is none. */
static size_t decode(const unsigned char *s, uint32_t *code)
{
    static const struct { unsigned char mask, lead; size_t len; uint32_t least; } form[] = {
        { 0x80, 0x00, 1, 0 }, { 0xe0, 0xc0, 2, 0x80 }, { 0xf0, 0xe0, 3, 0x800 }, { 0xf8, 0xf0, 4, 0x10000 },
    };
    for (size_t k = 0; k < ARRAY_SIZE(form); k++) {
        if ((s[0] & form[k].mask) != form[k].lead)
            continue;
        *code = s[0] & (unsigned char)~form[k].mask;
        for (size_t i = 1; i < form[k].len; i++) {
            if ((s[i] & 0xc0) != 0x80)   /* also ends at the NUL */
                return 0;
            *code = *code << 6 | (s[i] & 0x3f);
        }
        bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
        return *code < form[k].least || *code > 0x10ffff || surrogate ? 0 : form[k].len;
    }
    return 0;
}

void spell_json(FILE *out, const char *text)
{
    uint32_t code;

    fputc('"', out);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t len = decode(s, &code);
        if (len > 1 || (len == 1 && *s >= 0x20 && *s != '"' && *s != '\\' && *s != 0x7f)) {
            fwrite(s, 1, len, out);
            s += len;
            continue;
        }
        fprintf(out, "\\u%04x", len ? *s : 0xdc00u + *s);
        s++;
    }
    fputc('"', out);
}

/* Controls, and what turns, joins or hides the text around it. */
static bool acts(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
           (code >= 0xfff0 && code <= 0xfffb) || code >= 0xe0000;
}

bool spell_is_plain(const char *text)
{
    uint32_t code;

    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t len = decode(s, &code);
        if (!len || acts(code))
            return false;
        s += len;
    }
    return true;
}

void spell_plain(FILE *out, const char *text)
{
    uint32_t code = 0;

    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t len = decode(s, &code);
        if (len && !acts(code)) {
            fwrite(s, 1, len, out);
            s += len;
        } else {
            fprintf(out, "\\x%02x", *s++);
        }
    }
}
