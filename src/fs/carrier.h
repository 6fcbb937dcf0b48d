/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What an object of the store, or a file that is to become one, tells of itself: header,
 * trailer, footer.  No index is asked; every caller has a file and the keys.
 *
 * A file that ends too early is E_NOT_ARRIVED, what does not authenticate E_AUTH.
 */
#ifndef ECLUSE_FS_CARRIER_H
#define ECLUSE_FS_CARRIER_H

#include <ecluse/keys.h>
#include <ecluse/segment.h>

/* Its key, once the header is known to be that of this object in this vault. The caller frees it,
 * after an error too. Also E_FORMAT, E_NEWER_FORMAT. */
int carrier_key(const struct keyring *keys, const struct id128 *id, int fd, struct segment_key **key, uint32_t *epoch);
/* `size` is that of the file. */
int carrier_trailer(int fd, uint64_t size, struct segment_key *key, struct segment_trailer *out);
/* The plaintext of the footer that the trailer tells of, in place of what is in `footer`. */
int carrier_footer(int fd, struct segment_key *key, const struct segment_trailer *t, struct buf *footer);

#endif
