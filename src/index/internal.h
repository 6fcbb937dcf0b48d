/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/* What the files of the index layer share. */
#ifndef ECLUSE_INDEX_INTERNAL_H
#define ECLUSE_INDEX_INTERNAL_H

#include <ecluse/base.h>
#include <ecluse/batch.h>
#include <ecluse/error.h>
#include <ecluse/index.h>

#define FIRST_COOKIE 3u        /* 0, 1 and 2 are positions of "." and ".." */
#define NANOSECONDS 1000000000

/* Signed numbers as unsigned ones that stay small: 0, -1, 1, -2… */
static inline uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (uint64_t)(v >> 63); }
static inline int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1 ^ (0 - (v & 1))); }

#endif
