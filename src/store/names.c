/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Names in the store: what ours look like, and how a foreign one is shown.
 *
 *   vault-<32 hex>.ecl          header
 *   segments/<2 hex>/<30 hex>   object; the 32 digits are its id
 *   .~ecluse-<32 hex>.tmp       a file on its way (see arrive.c)
 *
 * Digits are lower case.  Whatever differs by a character is foreign, so that a
 * "conflicted copy" is never taken for the original.
 */
#include "internal.h"
#include <stdio.h>

static const char header_prefix[] = "vault-", header_suffix[] = ".ecl";
static const char hidden_prefix[] = ".~ecluse-", hidden_suffix[] = ".tmp";

void fan_name(uint8_t first, char out[FAN_NAME])
{
    snprintf(out, FAN_NAME, "%02x", first);
}

void object_name(const struct id128 *id, char out[OBJECT_NAME])
{
    char text[ID_TEXT];

    id_format(id, text);
    memcpy(out, text + 2, OBJECT_NAME);
}

static void framed(const char *prefix, const struct id128 *id, const char *suffix, char *out, size_t size)
{
    char text[ID_TEXT];

    id_format(id, text);
    snprintf(out, size, "%s%s%s", prefix, text, suffix);
}

void header_name(const struct id128 *vault, char out[HEADER_NAME])
{
    framed(header_prefix, vault, header_suffix, out, HEADER_NAME);
}

void hidden_name(const struct id128 *id, char out[HIDDEN_NAME])
{
    framed(hidden_prefix, id, hidden_suffix, out, HIDDEN_NAME);
}

static bool is_framed(const char *prefix, const char *name, const char *suffix)
{
    char text[ID_TEXT] = "";
    struct id128 id;
    size_t before = strlen(prefix), len = strlen(name);

    if (len != before + ID_TEXT - 1 + strlen(suffix) || strncmp(name, prefix, before) ||
        strcmp(name + before + ID_TEXT - 1, suffix))
        return false;
    memcpy(text, name + before, ID_TEXT - 1);
    return id_parse(text, &id) == 0;
}

bool is_header_name(const char *name)
{
    return is_framed(header_prefix, name, header_suffix);
}

bool is_hidden_name(const char *name)
{
    return is_framed(hidden_prefix, name, hidden_suffix);
}

bool is_fan_name(const char *name)
{
    return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

bool object_id(const char *fan, const char *name, struct id128 *out)
{
    char text[ID_TEXT];

    if (!is_fan_name(fan) || strlen(name) != OBJECT_NAME - 1)
        return false;
    snprintf(text, sizeof text, "%s%s", fan, name);
    return id_parse(text, out) == 0;
}

/* --- showing --------------------------------------------------------------------- */

/* Length of the well-formed UTF-8 sequence at p, and its code point; else 0. */
static size_t decode(const uint8_t *p, uint32_t *code)
{
    size_t len = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

    if (!len)
        return 0;
    *code = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)   /* also ends at the NUL */
            return 0;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    if ((len == 3 && *code < 0x800) || (len == 4 && *code < 0x10000) || *code > 0x10ffff ||
        (*code >= 0xd800 && *code < 0xe000))
        return 0;
    return len;
}

/* Not a control, and nothing that turns, joins or hides what stands around it. */
static bool shows(uint32_t code)
{
    return code >= 0xa0 && code != 0xad && code != 0x61c && !(code >= 0x200b && code <= 0x200f) &&
           !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2060 && code <= 0x206f) &&
           code != 0xfeff && !(code >= 0xfff0 && code <= 0xfffb) && code < 0xe0000;
}

void show_name(char path[SHOWN_PATH], size_t *at, const char *name)
{
    const uint8_t *p = (const uint8_t *)name;
    uint32_t code;

    while (*p && *at + 8 < SHOWN_PATH) {
        size_t len = decode(p, &code);
        if (*p >= 0x20 && *p < 0x7f && *p != '\\') {
            path[(*at)++] = (char)*p++;
        } else if (len && shows(code)) {
            memcpy(path + *at, p, len);
            *at += len;
            p += len;
        } else {
            *at += (size_t)snprintf(path + *at, 5, "\\x%02x", *p++);
        }
    }
    path[*at] = 0;
}
