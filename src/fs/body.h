/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What can be said of an object's bytes without any key: their SHA-256, whether
 * they look random, whether pages of them are still missing.
 *
 * Pure but for body_read, which reads the file once.  One thread.
 */
#ifndef ECLUSE_FS_BODY_H
#define ECLUSE_FS_BODY_H

#include <ecluse/base.h>
#include <ecluse/crypto.h>

#define WINDOW 4096u

/* Counts of byte values, and of differences between neighbours. */
struct tally { uint32_t values[256], steps[256]; };

/* Random enough over all that was added so far? See body.c for the two bounds. */
struct randomness { struct tally window, whole; uint64_t count, in_window; uint8_t last; bool odd; };
void randomness_add(struct randomness *r, const uint8_t *bytes, size_t len);
/* Of everything that was added; may be called once. */
bool randomness_holds(struct randomness *r);

struct body {
    uint8_t sha256[SHA256_SIZE];
    bool random;               /* bytes from 64 on */
    bool zero_page;            /* an aligned page of 4096 zeros */
};
/* Reads the first `size` bytes. -ENODATA when there are fewer, other -errno. */
int body_read(int fd, uint64_t size, struct body *out);

#endif
