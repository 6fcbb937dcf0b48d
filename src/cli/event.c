/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a desktop notification says.
 */
#include "internal.h"
#include <stdio.h>

struct text { const char *summary, *sentence; };

/* The sentences begin with the mountpoint; those of errors have the cause too. */
static const struct text texts[FS_EVENT_COUNT] = {
    [FS_EVENT_READ_ONLY] = { N_("The vault is read-only"),
        N_("%s takes no changes since a disk error (%s). What was saved before is safe. Check the disk, then unmount "
           "the vault and mount it again.") },
    [FS_EVENT_NO_SPACE] = { N_("No space left for the vault"),
        N_("%s takes no changes (%s): the disk of its local state is full. Make room on this computer, or delete files in "
           "the vault: it goes on by itself.") },
    [FS_EVENT_SPACE_BACK] = { N_("The vault has space again"), N_("%s takes changes again.") },
    [FS_EVENT_PUBLICATION_WAITS] = { N_("The vault is not being published"),
        N_("What changed in %s waits on this computer (%s). It is tried again by itself. Until then, keep this "
           "computer; see that the folder of the store is there, can be written and has room.") },
    [FS_EVENT_PUBLICATION_RESUMES] = { N_("The vault is being published again"),
        N_("What waited in %s is in the store.") },
    [FS_EVENT_REFUSED] = { N_("The store was altered"),
        N_("An object in the store of %s was refused (%s). Files that need it cannot be read; nothing false is "
           "shown. Delete nothing, and have the store checked (ecluse check).") },
    [FS_EVENT_NOT_ARRIVED] = { N_("Something is missing in the store"),
        N_("%s needs objects that are not in the store (%s). Let the sync finish; if it has, the host may have lost or "
           "deleted them. Files that need them cannot be read until then.") },
    [FS_EVENT_DIED] = { N_("The vault is there again"),
        N_("What served %s had ended unexpectedly, and was started again. What programs had not yet saved may be "
           "missing.") },
    [FS_EVENT_BESIDE] = { N_("Something was written beside the vault"),
        N_("While %s was being mounted, a program wrote into the folder below it, in the clear. Unmount the vault, and "
           "move what is in the folder away.") },
};

void event_text(enum fs_event event, int error, const char *mountpoint, char *summary, size_t summary_size,
                char *sentence, size_t sentence_size)
{
    char place[4 * PATH_MAX];    /* a thread of the daemon calls this */

    spell(mountpoint, place, sizeof place);
    snprintf(summary, summary_size, "%s", _(texts[event].summary));
    snprintf(sentence, sentence_size, _(texts[event].sentence), place, error ? error_sentence(error) : "");
}
