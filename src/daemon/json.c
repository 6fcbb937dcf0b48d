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

/* Length of the valid UTF-8 sequence at s, 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
    static const struct { unsigned char mask, lead; size_t len; uint32_t least; } form[] = {
        { 0x80, 0x00, 1, 0 }, { 0xe0, 0xc0, 2, 0x80 }, { 0xf0, 0xe0, 3, 0x800 }, { 0xf8, 0xf0, 4, 0x10000 },
    };
    for (size_t k = 0; k < ARRAY_SIZE(form); k++) {
        if ((s[0] & form[k].mask) != form[k].lead)
            continue;
        uint32_t code = s[0] & (unsigned char)~form[k].mask;
        for (size_t i = 1; i < form[k].len; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (s[i] & 0x3f);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        return code < form[k].least || code > 0x10ffff || surrogate ? 0 : form[k].len;
    }
    return 0;
}

void json_string(struct buf *b, const char *key, const char *value)
{
    char escape[8];

    json_key(b, key);
    json_raw(b, "\"");
    for (const unsigned char *s = (const unsigned char *)value; *s;) {
        size_t len = utf8_length(s);
        if (len > 1 || (len == 1 && *s >= 0x20 && *s != '"' && *s != '\\' && *s != 0x7f)) {
            buf_append(b, s, len);
            s += len;
            continue;
        }
        snprintf(escape, sizeof escape, "\\u%04x", len ? *s : 0xdc00u + *s);
        json_raw(b, escape);
        s++;
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

static size_t put_utf8(unsigned code, char out[3])
{
    if (code >= 0xdc80 && code <= 0xdcff) {
        out[0] = (char)(code & 0xff);
        return 1;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

/* Decodes one character or escape; NULL at the end or when malformed. */
static const char *take_character(const char *s, char out[3], size_t *len)
{
    char hex[5] = "";
    char *end;

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
    memcpy(hex, s + 2, strnlen(s + 2, 4));
    unsigned long code = strtoul(hex, &end, 16);
    if (end != hex + 4 || code == 0)
        return NULL;
    *len = put_utf8((unsigned)code, out);
    return s + 6;
}

bool daemon_json_text(const char *json, const char *key, char *out, size_t size)
{
    const char *s = find_value(json, key);
    size_t used = 0, len;
    char one[3];

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
