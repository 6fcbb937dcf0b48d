/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The recovery sheet: a page to print, made to be found again in ten years by
 * somebody who was never told about it.
 *
 * It never carries more than 13 groups in a row that look like the key, so that
 * recovery_parse finds the key in the whole sheet.
 */
#include "internal.h"
#include <stdio.h>

#define TEXT_MAX (5u * PATH_MAX)

char *sheet_text(const uint8_t recovery[KEY_SIZE], const struct id128 *vault, const char *store)
{
    char id[ID_TEXT], key[RECOVERY_TEXT], when[WORDS_MAX];
    char *text = secret_alloc(TEXT_MAX);

    if (!text)
        return NULL;
    id_format(vault, id);
    recovery_format(recovery, key);
    int len = snprintf(text, TEXT_MAX,
        _("ÉCLUSE — RECOVERY KEY\n"
          "\n"
          "Vault:    %s\n"
          "Store:    %s\n"
          "Made on:  %s\n"
          "\n"
          "    %s\n"
          "\n"
          "Whoever has this key and a copy of the store can read the whole vault.\n"
          "Without it, once the passphrase is forgotten or this computer is lost,\n"
          "nobody can: neither the hosting provider nor the authors of Écluse.\n"
          "\n"
          "  * Print this sheet or copy the key by hand, and check it by reading it aloud.\n"
          "  * Keep it under lock and key, away from this computer and from the store.\n"
          "  * Delete the file, if there is one, once the paper is safe.\n"
          "  * Never send it by email and never put it in the cloud.\n"
          "\n"
          "To choose a new passphrase with it:   ecluse passwd --recovery STORE\n"),
        id, spelled(store), words_for_time(time(NULL), when), key);
    secret_wipe(key, sizeof key);
    if (len > 0 && (size_t)len < TEXT_MAX)
        return text;
    secret_free(text);
    return NULL;
}
