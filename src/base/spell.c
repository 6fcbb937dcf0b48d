/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * One character after another, decoded by hand: the locale may be C, and what is decoded
 * is not to be trusted.
 */
#include <ecluse/base.h>
#include <ecluse/spell.h>
#include <stdio.h>

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

static bool acts(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c || code == 0x180e ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || (code >= 0xfff0 && code <= 0xfffb) ||
           code >= 0xe0000;
}

const char *spell_step(const char *text, char out[SPELL_STEP])
{
    uint32_t code = 0;
    size_t len = decode((const unsigned char *)text, &code), used = 0;

    if (len && !acts(code)) {
        memcpy(out, text, len);
        out[len] = '\0';
        return text + len;
    }
    for (size_t k = 0; k < (len ? len : 1); k++)
        used += (size_t)snprintf(out + used, SPELL_STEP - used, "\\x%02x", (unsigned char)text[k]);
    return text + (len ? len : 1);
}

const char *spell_json_step(const char *text, char out[SPELL_STEP])
{
    uint32_t code = 0;
    size_t len = decode((const unsigned char *)text, &code);

    if (len && !acts(code) && code != '"' && code != '\\')
        return spell_step(text, out);
    if (!len)
        code = 0xdc00u + (unsigned char)*text;
    if (code < 0x10000)
        snprintf(out, SPELL_STEP, "\\u%04x", code);
    else
        snprintf(out, SPELL_STEP, "\\u%04x\\u%04x", 0xd800u + ((code - 0x10000) >> 10), 0xdc00u + (code & 0x3ff));
    return text + (len ? len : 1);
}

void spell(const char *text, char *out, size_t size)
{
    char one[SPELL_STEP];

    while (*text) {
        text = spell_step(text, one);
        size_t len = strlen(one);
        if (len >= size)
            break;
        memcpy(out, one, len);
        out += len;
        size -= len;
    }
    *out = '\0';
}

bool spell_is_plain(const char *text)
{
    char one[SPELL_STEP];

    while (*text) {
        const char *next = spell_step(text, one);
        if ((size_t)(next - text) != strlen(one))
            return false;
        text = next;
    }
    return true;
}
