/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The pieces of a state directory, as init and a rebuild make them.
 */
#ifndef ECLUSE_FS_LAYOUT_H
#define ECLUSE_FS_LAYOUT_H

#include <ecluse/io.h>
#include <ecluse/state.h>

/* A directory or an empty file that must not be there yet, ours alone. */
int layout_directory(int at, const char *name, int *out, enum fault_point point);
int layout_file(int at, const char *name, int *out, enum fault_point point);
/* An empty journal: from now on its absence is damage. */
int layout_journal(int dir, const uint8_t local_key[KEY_SIZE]);
/* Removes all that is in a directory of ours, which may hold directories; the file `last` (or
 * "") only when all others are gone for good. */
int layout_empty(int dirfd, const char *last, enum fault_point point);

#endif
