/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Identifiers as text.  One spelling only, so that a name in the store can be
 * compared byte by byte with the id in an authenticated header.
 */
#include <ecluse/base.h>
#include <errno.h>

static const char digits[] = "0123456789abcdef";

void id_format(const struct id128 *id, char out[ID_TEXT])
{
    for (int i = 0; i < 16; i++) {
        out[2 * i] = digits[id->b[i] >> 4];
        out[2 * i + 1] = digits[id->b[i] & 15];
    }
    out[ID_TEXT - 1] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int id_parse(const char *text, struct id128 *out)
{
    struct id128 id;

    for (int i = 0; i < 16; i++) {
        int high = digit_value(text[2 * i]);
        int low = high < 0 ? -1 : digit_value(text[2 * i + 1]);   /* never past the NUL */
        if (low < 0)
            return -EINVAL;
        id.b[i] = (uint8_t)(high << 4 | low);
    }
    if (text[ID_TEXT - 1])
        return -EINVAL;
    *out = id;
    return 0;
}
