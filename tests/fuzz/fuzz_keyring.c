/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the parsers of the keys module: keyring, vault header, recovery
 * sheet.  Each input is tried as it is and, so that the fuzzer gets behind the
 * checksums, with these mended.  Whatever parses is within the bounds; nothing
 * ever unlocks.  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc … fuzz_keyring.c
 */
#include <keys/internal.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_keyring(const uint8_t *bytes, size_t len)
{
    static const uint8_t secret[KEY_SIZE] = { 1 };
    struct keyring *k = NULL;
    struct slot_info slot;

    if (keyring_parse(&k, bytes, len))
        return;
    if (len > KEYRING_LIMIT || keyring_slots(k) > SLOT_LIMIT)
        abort();
    for (size_t i = 0; keyring_slot(k, i, &slot) == 0; i++)
        if (slot.kind == SLOT_PASSPHRASE ? !kdf_cost_valid(slot.cost) : slot.cost.memory_kib || slot.cost.passes)
            abort();
        else if (slot.number < 1 || slot.number > SLOT_LIMIT || slot.made < 0 || !label_valid(slot.label))
            abort();
    /* Opening the payload behind a slot that somehow gave a key: */
    if (keyring_unlock(k, SLOT_RECOVERY, secret, sizeof secret) == 0 ||
        keyring_unlock(k, SLOT_KEYFILE, secret, sizeof secret) == 0 ||
        keyring_open_payload(k, secret) == 0)
        abort();
    keyring_free(k);
}

static void try_header(const uint8_t *bytes, size_t len)
{
    struct vault_header h;
    static const uint8_t key[KEY_SIZE] = { 2 };
    if (vault_header_parse(bytes, len, &h))
        return;
    if (len != VAULT_HEADER_SIZE || !suite_name(h.suite) || vault_header_check(bytes, key) == 0)
        abort();
}

static void try_recovery(const uint8_t *bytes, size_t len)
{
    uint8_t key[KEY_SIZE], again[KEY_SIZE];
    char text[RECOVERY_TEXT];
    int bad;

    if (recovery_parse((const char *)bytes, len, key, &bad)) {
        if (bad < 0 || bad > RECOVERY_GROUPS)
            abort();
        return;
    }
    recovery_format(key, text);
    if (recovery_parse(text, strlen(text), again, &bad) || memcmp(key, again, KEY_SIZE))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started && crypto_start())
        abort();
    started = true;
    try_keyring(data, size);
    try_header(data, size);
    try_recovery(data, size);
    if (size < SHA256_SIZE)
        return 0;
    uint8_t *mended = malloc(size);
    if (!mended)
        return 0;
    memcpy(mended, data, size);
    crypto_sha256(mended, size - SHA256_SIZE, mended + size - SHA256_SIZE);
    try_keyring(mended, size);
    try_header(mended, size);
    free(mended);
    return 0;
}
