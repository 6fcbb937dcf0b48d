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

bool name_is_variant(const void *a, size_t a_len, const void *b, size_t b_len)
{
    struct buf x = { 0 }, y = { 0 };
    bool same = false;

    if (name_normalise(a, a_len, &x) == 0 && name_normalise(b, b_len, &y) == 0) {
        /* No form of its own: the name is in its normal form already. */
        const void *p = x.len ? x.data : a, *q = y.len ? y.data : b;
        size_t p_len = x.len ? x.len : a_len, q_len = y.len ? y.len : b_len;
        same = p_len == q_len && memcmp(p, q, p_len) == 0;
    }
    buf_free(&x);
    buf_free(&y);
    return same;
}
