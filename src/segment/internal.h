/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/* Shared inside src/segment only. */
#ifndef ECLUSE_SEGMENT_INTERNAL_H
#define ECLUSE_SEGMENT_INTERNAL_H

#include <ecluse/segment.h>

/* `front` is what the file must begin with, commitment included; immutable. */
struct segment_key {
    struct aead *aead;
    struct id128 segment;
    uint8_t front[SEGMENT_DATA];
};

#endif
