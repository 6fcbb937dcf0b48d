/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * One name, several spellings: NFC and NFD.
 *
 * A name is stored as given.  When its NFC form differs, that form is kept
 * beside it, so that a query in any form finds an entry in any other: the
 * query's NFC form equals either the name itself or its kept form.  Names
 * that are no UTF-8 have no variants.
 */
#include "internal.h"
#include <stdlib.h>
#include <utf8proc.h>

static bool is_ascii(const uint8_t *name, size_t len)
{
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++)
        any |= name[i];
    return any < 0x80;
}

int name_normalise(const uint8_t *name, size_t len, struct buf *out)
{
    utf8proc_uint8_t *form = NULL;

    buf_reset(out);
    if (is_ascii(name, len))
        return 0;
    utf8proc_ssize_t size = utf8proc_map(name, (utf8proc_ssize_t)len, &form,
                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (size > 0 && ((size_t)size != len || memcmp(form, name, len)))
        buf_append(out, form, (size_t)size);
    free(form);
    return size == UTF8PROC_ERROR_NOMEM || out->failed ? -ENOMEM : 0;
}
