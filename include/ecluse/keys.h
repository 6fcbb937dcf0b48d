/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The recovery key, the keyring and the vault header.
 *
 * init:   recovery_generate → keyring_create → keyring_add_* → keyring_save;
 *         vault_header_make gives the bytes of vault-<id>.ecl.
 * mount:  keyring_load → keyring_unlock → vault_header_check → keyring_epoch…
 *
 * A keyring's secrets live in guarded memory and are wiped by keyring_free.
 * A keyring is used by one thread at a time.
 */
#ifndef ECLUSE_KEYS_H
#define ECLUSE_KEYS_H

#include <ecluse/base.h>
#include <ecluse/crypto.h>

/*
 * Recovery key as text: 13 groups of five Crockford base-32 symbols, four of
 * data and one check symbol that covers the group's position, so that the
 * group in error is known and swapped groups are found.
 * "ABCDE-FGHJK-…"; case, spaces, O/0 and I/L/1 are forgiven on input.
 */
#define RECOVERY_GROUPS 13
#define RECOVERY_TEXT (RECOVERY_GROUPS * 6)  /* 78, NUL included */
void recovery_generate(uint8_t key[KEY_SIZE]);
void recovery_format(const uint8_t key[KEY_SIZE], char out[RECOVERY_TEXT]);
/* Finds the key in text, which may be a whole sheet (the first run of 13
 * groups counts). 0; E_RECOVERY_KEY with *bad_group = 1…13, or 0 when no run
 * of 13 groups is there. */
int recovery_parse(const char *text, size_t len, uint8_t key[KEY_SIZE], int *bad_group);
/* Is text (as forgiving as above) group 1…13 of the key, and nothing more? */
bool recovery_has_group(const uint8_t key[KEY_SIZE], int group, const char *text, size_t len);

struct keyring;

/*
 * Slots: the ways in.  A number stays with its slot as long as it is there; a new
 * one gets the lowest that is free, 1…SLOT_LIMIT.  What is kept for a command or in a
 * credential is random text of our own making, so it is not stretched.
 */
#define SLOT_LIMIT 8u
#define SLOT_LABEL 65u            /* NUL included */
enum slot_kind { SLOT_PASSPHRASE = 1, SLOT_RECOVERY = 2, SLOT_KEYFILE = 3, SLOT_COMMAND = 4, SLOT_CREDENTIAL = 5 };
struct slot_info {
    unsigned number;
    enum slot_kind kind;
    struct kdf_cost cost;         /* zeros but for a passphrase */
    int64_t made;                 /* when it was last written, seconds since 1970; 0: not known */
    char label[SLOT_LABEL];       /* the owner's, for its owner; bytes that are no controls */
};

/* A new locked-open keyring for a new vault: epoch 0 and the device key from
 * the recovery key, a fresh actor id and a fresh local index key. */
int keyring_create(struct keyring **out, const struct id128 *vault, enum suite suite,
                   const uint8_t recovery[KEY_SIZE]);
/* Reads and parses dirfd/name. -ENOENT, E_KEYRING (checksum or bounds wrong),
 * E_NEWER_FORMAT. The result is locked until keyring_unlock. */
int keyring_load(struct keyring **out, int dirfd, const char *name);
/* Tries the slots that such a secret may open: text (SLOT_PASSPHRASE) those of a
 * command and of a credential too, and these first. E_PASSPHRASE when none opens;
 * E_KEYRING when one opens but the file as a whole does not authenticate. On a keyring
 * that is unlocked: is the secret a right one? */
int keyring_unlock(struct keyring *k, enum slot_kind kind, const void *secret, size_t len);
/* The same with one slot only; E_NO_SLOT. */
int keyring_unlock_slot(struct keyring *k, unsigned number, enum slot_kind kind, const void *secret, size_t len);
/* The slot that opened last; 0 when none did. */
unsigned keyring_opened_by(const struct keyring *k);
/* Adds a slot (number 0), or replaces the one of that number, which keeps its number and
 * label. E_SLOTS_FULL, E_NO_SLOT, -EINVAL, E_RECOVERY_KEY. Save afterwards. */
int keyring_set_slot(struct keyring *k, unsigned number, enum slot_kind kind, const void *secret, size_t len,
                     struct kdf_cost cost);
/* -EINVAL when it is too long or has controls, E_NO_SLOT. */
int keyring_set_label(struct keyring *k, unsigned number, const char *label);
/* E_NO_SLOT; E_NO_LAST_SLOT when it is the only one. Save afterwards. */
int keyring_remove_slot(struct keyring *k, unsigned number);
/* Crash-safe replacement of dirfd/name, whose directory is ours alone. The keyring must be
 * unlocked. */
int keyring_save(const struct keyring *k, int dirfd, const char *name);
void keyring_free(struct keyring *k);

/* Valid when locked, and then only what the file says: */
const struct id128 *keyring_vault(const struct keyring *k);
size_t keyring_slots(const struct keyring *k);
/* The i-th slot in the order of the file; -ENOENT beyond the last. */
int keyring_slot(const struct keyring *k, size_t i, struct slot_info *out);

/* Valid when unlocked: */
enum suite keyring_suite(const struct keyring *k);
uint64_t keyring_actor(const struct keyring *k);
/* Gives the device a new random actor id (clone detected):
 * the next publication starts a new chain. Save afterwards. */
int keyring_new_actor(struct keyring *k);
uint32_t keyring_epoch(const struct keyring *k);  /* current epoch */
/* Key of an epoch, NULL when this device does not hold it. Lives as long as k. */
const uint8_t *keyring_epoch_key(const struct keyring *k, uint32_t epoch);
/* Random key of this device for index and journal; never leaves the keyring. */
const uint8_t *keyring_local_key(const struct keyring *k);
/* Takes over the local key of another one of the same vault, whose index is gone on with. */
void keyring_take_local_key(struct keyring *k, const struct keyring *from);

/* The vault header: the whole content of vault-<id>.ecl. */
#define VAULT_HEADER_SIZE 128u
struct vault_header { struct id128 vault; uint32_t format; enum suite suite; };
/* MACed with a key derived from epoch key 0. */
int vault_header_make(uint8_t out[VAULT_HEADER_SIZE], const struct vault_header *h,
                      const uint8_t epoch0[KEY_SIZE]);
/* Without keys: E_NOT_VAULT (magic), E_NEWER_FORMAT, E_STORE_HEADER (length,
 * suite, checksum). */
int vault_header_parse(const uint8_t *bytes, size_t len, struct vault_header *out);
/* With the key: E_STORE_HEADER when the MAC is wrong. */
int vault_header_check(const uint8_t bytes[VAULT_HEADER_SIZE], const uint8_t epoch0[KEY_SIZE]);

#endif
