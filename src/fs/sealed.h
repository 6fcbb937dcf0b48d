/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Small files of the state that are sealed as a whole: `heads`, `history`.
 *
 *   record under HKDF(local key, label), the vault id as associated data
 */
#ifndef ECLUSE_FS_SEALED_H
#define ECLUSE_FS_SEALED_H

#include <ecluse/base.h>
#include <ecluse/io.h>
#include <ecluse/keys.h>

struct sealed_file {
    const char *name, *label;
    size_t limit;              /* bytes of the file */
    enum fault_point point;
};

/* The old or the new, never less (io_replace_file). -EFBIG: it would be longer than the limit, and nothing
 * is written; -ENOMEM also when `plain` failed. */
int sealed_write(const struct sealed_file *f, int dir, const struct keyring *keys, const struct buf *plain);
/* What is in it, malloc'd. E_AUTH, E_FORMAT, -ENOENT, -EFBIG and what else io_read_file gives. */
int sealed_read(const struct sealed_file *f, int dir, const struct keyring *keys, uint8_t **plain, size_t *len);

#endif
