/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Just enough JSON for the control socket: flat members out, members found by
 * name on the way in.
 *
 * Paths are bytes, JSON is Unicode: a byte that is not part of valid UTF-8 is
 * written as the lone surrogate \udc80…\udcff (the convention of Python), and
 * read back as that byte.  The reader trusts nothing: it stops at the end of
 * the text whatever is in it.
 */
#include "internal.h"
#include <ecluse/spell.h>
#include <stdio.h>
#include <stdlib.h>

void json_raw(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void json_key(struct buf *b, const char *key)
{
    if (b->len && b->data[b->len - 1] != '{')
        json_raw(b, ", ");
    json_raw(b, "\"");
    json_raw(b, key);
    json_raw(b, "\": ");
}

void json_string(struct buf *b, const char *key, const char *value)
{
    char one[SPELL_STEP];

    json_key(b, key);
    json_raw(b, "\"");
    while (*value) {
        value = spell_json_step(value, one);
        json_raw(b, one);
    }
    json_raw(b, "\"");
}

void json_number(struct buf *b, const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)value);
    json_key(b, key);
    json_raw(b, text);
}

void json_bool(struct buf *b, const char *key, bool value)
{
    json_key(b, key);
    json_raw(b, value ? "true" : "false");
}

/* --- reading ------------------------------------------------------------------ */

/* Past the string that starts at the quote s; NULL when it does not end. */
static const char *skip_string(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s + 1 : NULL;
}

/* Where the value of `key` starts. */
static const char *find_value(const char *json, const char *key)
{
    size_t len = strlen(key);

    for (const char *s = json; s && *s;) {
        if (*s != '"') {
            s++;
            continue;
        }
        const char *name = s + 1;
        s = skip_string(s);
        if (!s)
            return NULL;
        const char *after = s + strspn(s, " \t\r\n");
        if (*after != ':' || (size_t)(s - 1 - name) != len || memcmp(name, key, len))
            continue;
        return after + 1 + strspn(after + 1, " \t\r\n");
    }
    return NULL;
}

static size_t put_utf8(unsigned code, char out[4])
{
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = { 0, 0x00, 0xc0, 0xe0, 0xf0 };

    if (code >= 0xdc80 && code <= 0xdcff) {
        out[0] = (char)(code & 0xff);
        return 1;
    }
    out[0] = (char)(leads[len] | code >> 6 * (len - 1));
    for (size_t k = 1; k < len; k++)
        out[k] = (char)(0x80 | (code >> 6 * (len - 1 - k) & 0x3f));
    return len;
}

/* Four digits behind "\u"; 0 when they are not there. */
static unsigned hex_code(const char *s)
{
    char hex[5] = "";
    char *end;

    if (s[0] != '\\' || s[1] != 'u')
        return 0;
    memcpy(hex, s + 2, strnlen(s + 2, 4));
    unsigned long code = strtoul(hex, &end, 16);
    return end == hex + 4 ? (unsigned)code : 0;
}

/* Decodes one character or escape; NULL at the end or when malformed. */
static const char *take_character(const char *s, char out[4], size_t *len)
{
    *len = 1;
    if (!*s)
        return NULL;
    if (*s != '\\') {
        out[0] = *s;
        return s + 1;
    }
    if (s[1] != 'u') {
        out[0] = s[1];
        return s[1] && strchr("\"\\/", s[1]) ? s + 2 : NULL;
    }
    unsigned code = hex_code(s), low = code >= 0xd800 && code < 0xdc00 ? hex_code(s + 6) : 0;
    if (code == 0)
        return NULL;
    bool pair = low >= 0xdc00 && low < 0xe000;
    *len = put_utf8(pair ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : code, out);
    return s + (pair ? 12 : 6);
}

bool daemon_json_text(const char *json, const char *key, char *out, size_t size)
{
    const char *s = find_value(json, key);
    size_t used = 0, len;
    char one[4];

    if (!s || *s != '"')
        return false;
    for (s++; *s != '"';) {
        s = take_character(s, one, &len);
        if (!s || used + len >= size)
            return false;
        memcpy(out + used, one, len);
        used += len;
    }
    out[used] = '\0';
    return true;
}

bool daemon_json_number(const char *json, const char *key, int64_t *out)
{
    const char *s = find_value(json, key);
    char *end;

    if (!s)
        return false;
    if (strncmp(s, "true", 4) == 0 || strncmp(s, "false", 5) == 0) {
        *out = *s == 't';
        return true;
    }
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || errno)
        return false;
    *out = v;
    return true;
}
