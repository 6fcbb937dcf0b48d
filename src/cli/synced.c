/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Does somebody sync the folder in which a recovery sheet would lie?
 *
 * Told by what the clients leave there, and by the names they give their folders.
 * Not promised to find every client: silence means nothing.
 */
#include "internal.h"
#include <stdio.h>
#include <unistd.h>

static const char *const marks[] = { ".stfolder", ".dropbox", ".dropbox.cache", ".sync_journal.db",
                                     ".nextcloudsync.log", ".owncloudsync.log", ".OneDrive", ".seafile-data",
                                     ".megarc", ".resilio-sync", ".tresorit", ".bzvol" };

/* At the start of the name, capitals or not. */
static const char *const names[] = { "Dropbox", "OneDrive", "Google Drive", "GoogleDrive", "Nextcloud", "ownCloud",
                                     "pCloud", "MEGA", "Box Sync", "iCloud", "Seafile", "Syncthing", "Tresorit" };

static bool is_synced(const char *dir)
{
    char path[PATH_MAX + 32];
    const char *base = strrchr(dir, '/') + 1;

    for (size_t k = 0; k < ARRAY_SIZE(names); k++)
        if (strncasecmp(base, names[k], strlen(names[k])) == 0)
            return true;
    for (size_t k = 0; k < ARRAY_SIZE(marks); k++) {
        snprintf(path, sizeof path, "%s/%s", dir, marks[k]);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

bool synced_folder(const char *path, char out[PATH_MAX])
{
    if (path_real(path, out))
        return false;
    for (char *slash; (slash = strrchr(out, '/')) && slash != out;) {
        *slash = '\0';
        if (is_synced(out))
            return true;
    }
    return false;
}
