/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The segment codec: bytes in, bytes out, no files.
 *
 *   header 64 B | commitment 32 B | sealed blocks … | sealed footer | padding | trailer
 *
 * A sealed block is nonce 12 B | ciphertext | tag 16 B, one after another from
 * SEGMENT_DATA on.  The footer is one sealed block of type FOOTER.  The
 * trailer is a sealed block of fixed size at the very end of the file and says
 * where the footer is.  Padding is random.  docs/format.md has every byte.
 *
 * A struct segment_key is thread-safe; it is freed by segment_key_free.
 */
#ifndef ECLUSE_SEGMENT_H
#define ECLUSE_SEGMENT_H

#include <ecluse/base.h>
#include <ecluse/crypto.h>

#define SEGMENT_FORMAT 1u
#define SEGMENT_HEADER 64u
#define SEGMENT_DATA 96u                       /* header and key commitment */
#define SEAL_OVERHEAD (AEAD_NONCE + AEAD_TAG)  /* 28 */
#define SEALED_BLOCK (BLOCK_SIZE + SEAL_OVERHEAD)
#define SEGMENT_TRAILER 60u                    /* sealed: 32 bytes of plaintext */
#define SEGMENT_MIN (64u << 10)
#define SEGMENT_MAX (16u << 20)

enum seal_type { SEAL_DATA = 1, SEAL_FOOTER = 2, SEAL_TRAILER = 3 };

struct segment_header {
    uint32_t format;
    enum suite suite;
    uint32_t epoch;
    struct id128 vault;
    struct id128 segment;
};

/* Key of one segment: HKDF-SHA-256(epoch key, "ecluse/segment" ‖ vault ‖ segment). */
struct segment_key;
int segment_key_new(struct segment_key **out, const struct segment_header *h,
                    const uint8_t epoch_key[KEY_SIZE]);
void segment_key_free(struct segment_key *k);

/* Writes header and commitment. */
void segment_header_write(uint8_t out[SEGMENT_DATA], const struct segment_header *h,
                          const struct segment_key *k);
/* Parses without keys: E_FORMAT, E_NEWER_FORMAT. */
int segment_header_parse(const uint8_t in[SEGMENT_DATA], struct segment_header *out);
/* Compares the commitment in constant time: E_AUTH. Before any segment_open. */
int segment_header_check(const uint8_t in[SEGMENT_DATA], const struct segment_key *k);

/* The nonce of block i of a request: base with i added to its last 4 bytes
 * (big-endian, wrapping). One fresh random base per request. */
struct nonce_base { uint8_t b[AEAD_NONCE]; };
void nonce_base_new(struct nonce_base *base);

/* Seals len (1 … UINT32_MAX) bytes that will stand at `offset` of the segment;
 * out receives len + SEAL_OVERHEAD bytes. */
int segment_seal(struct segment_key *k, const struct nonce_base *base, uint32_t i,
                 uint64_t offset, enum seal_type type, const uint8_t *in, size_t len, uint8_t *out);
/* Opens in_len bytes found at `offset`; out receives in_len - SEAL_OVERHEAD. E_AUTH. */
int segment_open(struct segment_key *k, uint64_t offset, enum seal_type type,
                 const uint8_t *in, size_t in_len, uint8_t *out);

/* The least size class (power of two, 64 KiB … 16 MiB) that holds `used`
 * bytes; 0 when none does. */
uint64_t segment_size_class(uint64_t used);

/* One run of the reverse map: `count` sealed blocks from `offset` on hold
 * blocks first… of inode `ino`; all full but perhaps the last, which seals
 * `last` bytes. `parent` and `name` are a hint (name may be empty). */
struct reverse_run {
    uint64_t ino;          /* local number; its actor index is in the actors table */
    uint64_t first;
    uint64_t version;
    uint64_t parent;
    uint32_t offset;
    uint32_t count;
    uint32_t last;
    uint8_t name_len;
    const uint8_t *name;   /* borrowed; not NUL-terminated */
};

/* A run whose blocks stand in another segment, older than this one: of a file that
 * shares them, so that the footer there may not name it. */
struct borrowed_run {
    struct reverse_run of;
    const uint8_t *segment;   /* its id, 16 bytes; borrowed */
    uint64_t size;            /* of the file */
    uint32_t valid;           /* 1 … last: what of the last block still counts */
};

/* What a footer's payload carries besides the reverse map. */
enum payload_kind { PAYLOAD_NONE = 0, PAYLOAD_PUBLICATION = 1, PAYLOAD_CHECKPOINT = 2 };

/* The plaintext of a footer. Built by footer_begin, footer_run…, footer_end. */
void footer_begin(struct buf *out, const uint64_t *actors, size_t actor_count);
void footer_run(struct buf *out, const struct reverse_run *run);
/* `borrowed` is what the three functions below made, or NULL. */
void footer_end(struct buf *out, const struct buf *borrowed, enum payload_kind kind, const void *payload, size_t len);
/* The segments that the runs are in; then the runs, ascending by inode. `segment` is a
 * place among these; `before` the inode of the run before, at first 0. */
void borrowed_begin(struct buf *out, const struct id128 *segments, size_t count);
void borrowed_add(struct buf *out, uint64_t before, const struct borrowed_run *run, size_t segment);
void borrowed_end(struct buf *out, uint64_t before);

/* Reads a footer's plaintext; borrowed pointers point into it. */
struct footer_view {
    const uint8_t *actors;   /* 8 bytes each, little-endian; may be unaligned */
    size_t actor_count;
    enum payload_kind kind;
    const uint8_t *payload;
    size_t payload_len;
    struct reader runs, borrowed;
    const uint8_t *segments; /* ids of those that borrowed runs are in */
    size_t segment_count;
    struct borrowed_run file; /* where footer_next_borrowed is */
};
int footer_parse(const void *plain, size_t len, struct footer_view *out); /* E_FORMAT */
/* 1 a run, 0 the end, E_FORMAT. */
int footer_next(struct footer_view *v, struct reverse_run *out);
int footer_next_borrowed(struct footer_view *v, struct borrowed_run *out);

/*
 * Everything after the blocks: sealed footer, padding, trailer.  `used` is
 * where the blocks end.  out receives exactly size_class - used bytes, ready
 * to be written at `used`; E2BIG when no class fits.
 */
int segment_finish(struct segment_key *k, uint64_t used, const void *footer, size_t footer_len,
                   struct buf *out);
/* The same, for a footer with the publication of that number; its trailer tells it. */
int segment_finish_carrier(struct segment_key *k, uint64_t used, uint64_t publication, const void *footer,
                           size_t footer_len, struct buf *out);
struct segment_trailer { uint64_t footer_offset, footer_sealed_len, publication; /* 0: none */ };
/* Opens the trailer (the last SEGMENT_TRAILER bytes of a file of `size`). The
 * size is authenticated: E_AUTH when the file was truncated or extended. */
int segment_trailer_open(struct segment_key *k, uint64_t size, const uint8_t in[SEGMENT_TRAILER],
                         uint64_t *footer_offset, uint64_t *footer_sealed_len);
int segment_trailer_read(struct segment_key *k, uint64_t size, const uint8_t in[SEGMENT_TRAILER],
                         struct segment_trailer *out);

#endif
