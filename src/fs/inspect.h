/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * One object of a store, opened with keys and nothing else; when it does not
 * open, why not.  Reads only.  Thread-safe as long as each thread has its own
 * struct inspected.
 */
#ifndef ECLUSE_FS_INSPECT_H
#define ECLUSE_FS_INSPECT_H

#include <ecluse/keys.h>
#include <ecluse/segment.h>
#include <ecluse/store.h>

enum inspection {
    INSPECT_WHOLE,      /* front, trailer and footer are authentic, and the footer parses */
    INSPECT_GONE,       /* there is no such file (any more) */
    INSPECT_SHORT,      /* what is there may be the beginning of it */
    INSPECT_FILLING,    /* pages of zeros where there can be none: it is being received */
    INSPECT_FRONT,      /* an object of this vault whose first 96 bytes were altered */
    INSPECT_MISPLACED,  /* authentic, but another object than its name says */
    INSPECT_LONGER,     /* something was added behind its end */
    INSPECT_TRAILER,    /* the trailer does not open: altered, or cut to a smaller size class */
    INSPECT_FOOTER,     /* the footer does not open */
    INSPECT_STRANGE,    /* nothing shows that it is of this vault */
    INSPECT_NEWER,      /* written by a newer version, or so it says */
    INSPECT_MALFORMED,  /* authentic, but not as the format has it */
    INSPECT_UNREADABLE, /* the system could not read it: `error` */
};

struct inspected {
    int fd;                    /* INSPECT_WHOLE: open for reading; else -1 */
    uint64_t size;             /* of the file, 0 when it could not be opened */
    struct segment_key *key;   /* INSPECT_WHOLE */
    struct buf footer;         /* its plaintext; memory is reused by the next call */
    struct footer_view view;   /* borrows from it */
    int error;
};

/* `out` starts as { .fd = -1 }; the last call is followed by inspected_free.
 * What an earlier call left open is closed first. */
enum inspection inspect_object(const struct keyring *keys, struct store *store, const struct id128 *id,
                               struct inspected *out);
void inspected_free(struct inspected *x);

/* Is an aligned page of the file all zeros? No sealed or padding bytes ever are
 * (one chance in 2^32768); a file that a sync client has made room for is. */
bool has_zero_page(int fd, uint64_t size);

/* One sealed block, as footers tell it. */
struct sealed_block { uint32_t offset, sealed; };
/* All that the reverse map names, each once, by offset. -ENOMEM. */
int footer_blocks(const struct footer_view *view, struct buf *out);
bool blocks_have(const struct buf *blocks, uint32_t offset, uint32_t sealed);

#endif
