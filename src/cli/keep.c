/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Secrets that no person knows: made here, kept in a file, by a program or, sealed to
 * this machine, in a systemd credential.
 *
 * What is kept is durable, and was read back where a program is in between, before the
 * keyring names it: a slot whose secret is nowhere would be a false hope.  A file that is
 * there is never replaced.
 */
#include "key.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_FILE_BYTES 64u
#define TEXT_BYTES 64u           /* 256 bits in hexadecimal */

static int blamed_path(char *blamed, const char *path, int error)
{
    if (error)
        snprintf(blamed, PATH_MAX, "%s", path);
    return error;
}

int keep_in_file(const char *path, struct secret *out, char *blamed)
{
    *out = (struct secret){ .kind = SLOT_KEYFILE, .bytes = secret_alloc(KEY_FILE_BYTES), .len = KEY_FILE_BYTES };
    if (!out->bytes)
        return -ENOMEM;
    crypto_random(out->bytes, out->len);
    int rc = output_write(path, out->bytes, out->len, FAULT_key_file);
    if (rc)
        secret_drop(out);
    return blamed_path(blamed, path, rc);
}

/* --- text ---------------------------------------------------------------------------- */

/* With a newline behind it: so programs that read a line are content, and whatever reads
 * it back takes the newline off. */
static int make_text(enum slot_kind kind, struct secret *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *random = secret_alloc(TEXT_BYTES / 2);

    *out = (struct secret){ .kind = kind, .bytes = secret_alloc(TEXT_BYTES + 1), .len = TEXT_BYTES + 1 };
    if (!random || !out->bytes) {
        secret_free(random);
        secret_drop(out);
        return -ENOMEM;
    }
    crypto_random(random, TEXT_BYTES / 2);
    for (size_t k = 0; k < TEXT_BYTES; k++)
        out->bytes[k] = (uint8_t)digits[k % 2 ? random[k / 2] & 15 : random[k / 2] >> 4];
    out->bytes[TEXT_BYTES] = '\n';
    secret_free(random);
    return 0;
}

/* Was it given back, after `rc`? Then the newline is taken off. */
static int compare(int rc, const struct secret *back, struct secret *out)
{
    bool same = back->len == TEXT_BYTES && crypto_equal(back->bytes, out->bytes, TEXT_BYTES);

    out->len = TEXT_BYTES;
    return rc == E_NO_SECRET || (!rc && !same) ? E_NOT_KEPT : rc;
}

/* What a program that keeps something prints is of no interest, unless it is much. */
static int give(const char *put, const struct secret *text)
{
    uint8_t said[PIPE_BUF];
    ssize_t len = external_run(put, text, said, sizeof said);

    secret_wipe(said, sizeof said);
    return len == E_NO_SECRET ? E_NOT_KEPT : len < 0 ? (int)len : 0;
}

int keep_with_program(const char *put, const char *get, struct secret *out, char *blamed)
{
    struct secret back = { 0 };

    int rc = make_text(SLOT_COMMAND, out);
    if (!rc)
        rc = blamed_path(blamed, put, give(put, out));
    if (!rc)
        rc = blamed_path(blamed, get, compare(secret_program(get, &back), &back, out));
    secret_drop(&back);
    if (rc)
        secret_drop(out);
    return rc;
}

/* --- systemd ---------------------------------------------------------------------------- */

static const char creds[] = "systemd-creds";

bool keep_knows_key(const char *with_key)
{
    static const char *const keys[] = { "host", "tpm2", "host+tpm2", "auto" };

    for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
        if (strcmp(with_key, keys[k]) == 0)
            return true;
    return false;
}

/* The credential, which is no secret, and what it holds. */
static int encrypt(const char *name, const char *with_key, const struct secret *text, struct secret *sealed)
{
    char command[256];

    *sealed = (struct secret){ .bytes = secret_alloc(PIPE_BUF) };
    if (!sealed->bytes)
        return -ENOMEM;
    snprintf(command, sizeof command, "%s encrypt --name=%s --with-key=%s - -", creds, name, with_key);
    ssize_t len = external_run(command, text, sealed->bytes, PIPE_BUF);
    if (len <= 0)
        return len == 0 || len == E_NO_SECRET ? E_NOT_KEPT : (int)len;
    sealed->len = (size_t)len;
    return 0;
}

static int decrypt(const char *name, const struct secret *sealed, struct secret *out)
{
    char command[256];
    struct secret back = { .bytes = secret_alloc(TEXT_BYTES + 2) };

    if (!back.bytes)
        return -ENOMEM;
    snprintf(command, sizeof command, "%s decrypt --name=%s - -", creds, name);
    ssize_t len = external_run(command, sealed, back.bytes, TEXT_BYTES + 2);
    if (len == TEXT_BYTES + 1)
        back.len = TEXT_BYTES;
    int rc = compare(len < 0 ? (int)len : 0, &back, out);
    secret_drop(&back);
    return rc;
}

int keep_with_systemd(const char *path, const char *with_key, const struct id128 *vault, struct secret *out,
                      char *blamed)
{
    char id[ID_TEXT], name[ID_TEXT + 16];
    struct secret sealed = { 0 };

    id_format(vault, id);
    snprintf(name, sizeof name, "ecluse.%s", id);
    int rc = make_text(SLOT_CREDENTIAL, out);
    if (!rc)
        rc = encrypt(name, with_key, out, &sealed);
    if (!rc)
        rc = decrypt(name, &sealed, out);
    blamed_path(blamed, creds, rc);
    if (!rc)
        rc = blamed_path(blamed, path, output_write(path, sealed.bytes, sealed.len, FAULT_key_file));
    secret_drop(&sealed);
    if (rc)
        secret_drop(out);
    return rc;
}
