/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Folders that a sync client copies away: the place for a store, and none for a state.
 */
#ifndef ECLUSE_SYNCED_H
#define ECLUSE_SYNCED_H

#include <limits.h>

/*
 * The name of the client that copies the folder in which `path` lies, and that folder
 * in `root` (PATH_MAX bytes); NULL when none is known. `path` is absolute and may not
 * exist yet. Reads the client's marks and configuration; changes nothing.
 */
const char *synced_by(const char *path, char root[PATH_MAX]);

#endif
