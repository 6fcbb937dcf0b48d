/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of the keys module share: the layout of the keyring file, a
 * slot as its bytes, an opened keyring.
 *
 *   header 40 | slots, 132 each | notes, 80 each | sealed payload | MAC 32 | SHA-256 32
 *
 * All sizes are fixed or bounded here, never by the file.  docs/format.md has
 * every byte.
 */
#ifndef ECLUSE_KEYS_INTERNAL_H
#define ECLUSE_KEYS_INTERNAL_H

#include <ecluse/error.h>
#include <ecluse/keys.h>
#include <errno.h>

#define KEYRING_FORMAT 2u          /* 1 had no notes */
#define KEYRING_HEADER 40u
#define KEYRING_TRAILER 64u        /* MAC and checksum */
#define SLOT_CONTEXT 28u           /* kind, cost, salt: what the slot's keys depend on */
#define SLOT_WRAPPED 60u           /* where the wrapped KEK is */
#define SLOT_BYTES (SLOT_WRAPPED + KEY_SIZE + RECORD_OVERHEAD)
#define NOTE_BYTES 80u
#define PAYLOAD_FIXED 108u
#define EPOCH_BYTES 36u
#define EPOCH_LIMIT 1024u
#define PAYLOAD_LIMIT (PAYLOAD_FIXED + EPOCH_LIMIT * EPOCH_BYTES)
#define KEYRING_LIMIT \
    (KEYRING_HEADER + SLOT_LIMIT * (SLOT_BYTES + NOTE_BYTES) + PAYLOAD_LIMIT + RECORD_OVERHEAD + KEYRING_TRAILER)

/* Secrets that users give. */
#define PASSPHRASE_LIMIT 4096u
#define KEYFILE_MIN 32u
#define KEYFILE_MAX (64u << 10)
#define TEXT_MIN 32u               /* of a command or credential: at least 128 bits, in hexadecimal */

/* One way in, as it is in the file: kind 4 | memory 4 | passes 4 | salt 16 |
 * commitment 32 | wrapped KEK 72. */
struct slot { uint8_t b[SLOT_BYTES]; };
_Static_assert(sizeof(struct slot) == 132, "a slot is its bytes");

/* What the owner sees of a slot; no key depends on it. */
struct note { unsigned number; int64_t made; char label[SLOT_LABEL]; };

/* What is known once a slot was opened; only in guarded memory. */
struct opened {
    uint8_t kek[KEY_SIZE];
    uint8_t device_key[KEY_SIZE];
    uint8_t local_key[KEY_SIZE];
    uint64_t actor, device;
    uint32_t suite, epoch, count;
    struct epoch_entry { uint32_t number; uint8_t key[KEY_SIZE]; } epochs[];
};

struct keyring {
    struct id128 vault;
    size_t slot_count;
    struct slot slots[SLOT_LIMIT];
    struct note notes[SLOT_LIMIT];  /* of the slots, in their order */
    unsigned opened_by;
    uint8_t *file;             /* as loaded; NULL once it was authenticated */
    size_t file_len;
    struct opened *opened;     /* NULL while locked */
};

/* Zeroed; NULL when out of memory. Freed by secret_free. */
struct opened *opened_new(size_t epochs);

/* --- slots.c --- */
enum slot_kind slot_kind_of(const struct slot *s);
struct kdf_cost slot_cost_of(const struct slot *s);
/* Kind known, costs within the bounds that are fixed in code. */
bool slot_valid(const struct slot *s);
/* May a secret of `kind` open it? Text is tried on every slot that text opens. */
bool slot_takes(const struct slot *s, enum slot_kind kind);
/* No longer than SLOT_LABEL allows, and without controls. */
bool label_valid(const char *label);
/* Wraps kek. -EINVAL (kind, length or cost not allowed), -ENOMEM, -EIO. */
int slot_make(struct slot *out, enum slot_kind kind, struct kdf_cost cost, const struct id128 *vault,
              const void *secret, size_t len, const uint8_t kek[KEY_SIZE]);
/* E_PASSPHRASE for every reason why it does not open; -ENOMEM, -EIO. On error
 * kek is all zeros. */
int slot_open(const struct slot *s, const struct id128 *vault, const void *secret, size_t len,
              uint8_t kek[KEY_SIZE]);

/* --- keyring_format.c: bytes in, bytes out --- */
/* A locked keyring from the bytes of its file. E_KEYRING, E_NEWER_FORMAT, -ENOMEM. */
int keyring_parse(struct keyring **out, const uint8_t *bytes, size_t len);
/* Authenticates the file with the KEK and opens the payload: k becomes
 * unlocked. E_KEYRING, -ENOMEM. */
int keyring_open_payload(struct keyring *k, const uint8_t kek[KEY_SIZE]);
/* The bytes of the file of an unlocked keyring; malloc'd, caller frees. */
int keyring_encode(const struct keyring *k, uint8_t **out, size_t *len);

#endif
