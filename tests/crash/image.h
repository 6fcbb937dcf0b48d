/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A directory tree in memory, and what a power cut may leave of changes to it.
 *
 * An image is taken from a real directory, changed by recorded events and
 * written out again.  Pages are shared between images and never changed in
 * place, so a copy costs its tables.
 */
#ifndef ECLUSE_TESTS_IMAGE_H
#define ECLUSE_TESTS_IMAGE_H

#include "disk.h"

struct image;

/* All of `path`, which is on a filesystem in memory. */
struct image *image_load(const char *path);
/* Leaves out empty fan-out directories: there are many, and the store makes them. */
void image_forget_fans(struct image *i);
struct image *image_copy(const struct image *i);
void image_free(struct image *i);
/* Applies an event; of a write only [from, to) of its bytes. Events about
 * files that are not there do nothing. */
void image_apply(struct image *i, const struct event *e, uint64_t from, uint64_t to);
/* Writes it out below `path`, which is made empty first. */
void image_store(const struct image *i, const char *path);
/* Equal images have equal sums. */
uint64_t image_sum(const struct image *i);
/* Whether every file of i whose path begins with `prefix` has the bytes that the file
 * of that inode has in `whole`; names the first other one. */
bool image_whole(const struct image *i, const struct image *whole, const char *prefix, char found[128]);

/* Whether the files of this name, the first of each image, have the same bytes. */
bool image_same_file(const struct image *i, const struct image *other, const char *name);
/* A name of the file, for people. */
void image_name(const struct image *i, uint64_t ino, char out[128]);

#endif
