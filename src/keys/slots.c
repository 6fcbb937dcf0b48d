/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Slots: the KEK of a keyring, wrapped under what a person has or knows.
 *
 *   secret     S = Argon2id(passphrase, salt)
 *              S = HKDF(recovery key,          "ecluse/slot-recovery" ‖ salt)
 *              S = HKDF(SHA-256(key file),     "ecluse/slot-keyfile" ‖ salt)
 *              S = HKDF(SHA-256(random text),  "ecluse/slot-random" ‖ salt)
 *   context    kind ‖ cost ‖ salt ‖ vault id
 *   commitment HKDF(S, "ecluse/slot-commit" ‖ context)
 *   wrapped    XChaCha20-Poly1305 under HKDF(S, "ecluse/slot-wrap" ‖ context),
 *              with all of the slot before it as associated data
 *
 * The AEAD alone does not commit to its key: one ciphertext could be made to
 * open under many passphrases and so tell, in one try, whether the user's is
 * among them.  The commitment, compared before anything is opened, ties a slot
 * to one S.
 *
 * Every reason why a slot does not open gives the same E_PASSPHRASE, a secret
 * of an impossible length too.  A key file is not stretched: it has to be random; nor
 * is the text that we made for a command or a credential to keep.
 *
 * Not promised: that the holder of an old copy of the keyring and of a secret
 * that opened it is kept out by replacing the slot.  The KEK stays; a new epoch
 * in a newly enrolled keyring is what shuts out.
 */
#include "internal.h"

enum { AT_KIND = 0, AT_MEMORY = 4, AT_PASSES = 8, AT_SALT = 12, AT_COMMITMENT = 28 };

/* Working memory of one derivation; guarded. */
struct derivation {
    uint8_t hash[SHA256_SIZE];
    uint8_t secret[KEY_SIZE];
    uint8_t wrap[KEY_SIZE];
    uint8_t commitment[KEY_SIZE];
    uint8_t kek[KEY_SIZE];
};

enum slot_kind slot_kind_of(const struct slot *s)
{
    return (enum slot_kind)get_le32(s->b + AT_KIND);
}

struct kdf_cost slot_cost_of(const struct slot *s)
{
    return (struct kdf_cost){ get_le32(s->b + AT_MEMORY), get_le32(s->b + AT_PASSES) };
}

bool slot_valid(const struct slot *s)
{
    struct kdf_cost cost = slot_cost_of(s);

    switch (get_le32(s->b + AT_KIND)) {
    case SLOT_PASSPHRASE:
        return kdf_cost_valid(cost);
    case SLOT_RECOVERY:
    case SLOT_KEYFILE:
    case SLOT_COMMAND:
    case SLOT_CREDENTIAL:
        return cost.memory_kib == 0 && cost.passes == 0;
    default:
        return false;
    }
}

static bool is_text(enum slot_kind kind)
{
    return kind == SLOT_PASSPHRASE || kind == SLOT_COMMAND || kind == SLOT_CREDENTIAL;
}

bool slot_takes(const struct slot *s, enum slot_kind kind)
{
    return slot_kind_of(s) == kind || (is_text(slot_kind_of(s)) && is_text(kind));
}

bool label_valid(const char *label)
{
    size_t len = 0;

    for (; label[len]; len++)
        if (len == SLOT_LABEL - 1 || (unsigned char)label[len] < 0x20 || label[len] == 0x7f)
            return false;
    return true;
}

static bool length_allowed(enum slot_kind kind, size_t len)
{
    switch (kind) {
    case SLOT_PASSPHRASE:
        return len >= 1 && len <= PASSPHRASE_LIMIT;
    case SLOT_RECOVERY:
        return len == KEY_SIZE;
    case SLOT_KEYFILE:
        return len >= KEYFILE_MIN && len <= KEYFILE_MAX;
    case SLOT_COMMAND:
    case SLOT_CREDENTIAL:
        return len >= TEXT_MIN && len <= PASSPHRASE_LIMIT;
    }
    return false;
}

static int derive_secret(struct derivation *d, const struct slot *s, const void *secret, size_t len)
{
    const uint8_t *salt = s->b + AT_SALT;

    switch (slot_kind_of(s)) {
    case SLOT_PASSPHRASE:
        return crypto_kdf(d->secret, secret, len, salt, slot_cost_of(s));
    case SLOT_RECOVERY:
        return crypto_hkdf(d->secret, KEY_SIZE, secret, "ecluse/slot-recovery", salt, SALT_SIZE);
    case SLOT_KEYFILE:
        crypto_sha256(secret, len, d->hash);
        return crypto_hkdf(d->secret, KEY_SIZE, d->hash, "ecluse/slot-keyfile", salt, SALT_SIZE);
    case SLOT_COMMAND:
    case SLOT_CREDENTIAL:
        crypto_sha256(secret, len, d->hash);
        return crypto_hkdf(d->secret, KEY_SIZE, d->hash, "ecluse/slot-random", salt, SALT_SIZE);
    }
    return -EINVAL;
}

/* Fills d with what the secret gives for this slot's context. */
static int derive(struct derivation *d, const struct slot *s, const struct id128 *vault,
                  const void *secret, size_t len)
{
    uint8_t context[SLOT_CONTEXT + sizeof vault->b];

    memcpy(context, s->b, SLOT_CONTEXT);
    memcpy(context + SLOT_CONTEXT, vault->b, sizeof vault->b);
    int rc = derive_secret(d, s, secret, len);
    if (!rc)
        rc = crypto_hkdf(d->wrap, KEY_SIZE, d->secret, "ecluse/slot-wrap", context, sizeof context);
    if (!rc)
        rc = crypto_hkdf(d->commitment, KEY_SIZE, d->secret, "ecluse/slot-commit", context, sizeof context);
    return rc;
}

int slot_make(struct slot *out, enum slot_kind kind, struct kdf_cost cost, const struct id128 *vault,
              const void *secret, size_t len, const uint8_t kek[KEY_SIZE])
{
    struct derivation *d = NULL;
    struct slot s = { { 0 } };

    put_le32(s.b + AT_KIND, (uint32_t)kind);
    if (kind == SLOT_PASSPHRASE) {
        put_le32(s.b + AT_MEMORY, cost.memory_kib);
        put_le32(s.b + AT_PASSES, cost.passes);
    }
    if (!slot_valid(&s) || !length_allowed(kind, len))
        return -EINVAL;
    d = secret_alloc(sizeof *d);
    if (!d)
        return -ENOMEM;
    crypto_random(s.b + AT_SALT, SALT_SIZE);
    int rc = derive(d, &s, vault, secret, len);
    if (!rc) {
        memcpy(s.b + AT_COMMITMENT, d->commitment, KEY_SIZE);
        rc = record_seal(d->wrap, s.b, SLOT_WRAPPED, kek, KEY_SIZE, s.b + SLOT_WRAPPED);
    }
    secret_free(d);
    if (!rc)
        *out = s;
    return rc;
}

int slot_open(const struct slot *s, const struct id128 *vault, const void *secret, size_t len,
              uint8_t kek[KEY_SIZE])
{
    memset(kek, 0, KEY_SIZE);
    if (!slot_valid(s) || !length_allowed(slot_kind_of(s), len))
        return E_PASSPHRASE;
    struct derivation *d = secret_alloc(sizeof *d);
    if (!d)
        return -ENOMEM;
    int rc = derive(d, s, vault, secret, len);
    if (!rc && !crypto_equal(d->commitment, s->b + AT_COMMITMENT, KEY_SIZE))
        rc = E_PASSPHRASE;
    if (!rc && record_open(d->wrap, s->b, SLOT_WRAPPED, s->b + SLOT_WRAPPED, SLOT_BYTES - SLOT_WRAPPED, d->kek))
        rc = E_PASSPHRASE;
    if (!rc)
        memcpy(kek, d->kek, KEY_SIZE);
    secret_free(d);
    return rc;
}
