/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The head of the audit log: which record a holder of the keys has written last.
 *
 *   <number, 20 digits> <end in the file, 20 digits> <hash, 64 hex> <mac, 64 hex> newline
 *
 * mac = HMAC-SHA-256 under HKDF(local key, "ecluse/audit") of the vault id and all in front of it.
 * Without the keys nobody can make one; with them, whoever opens the vault is told
 * when the log was cut or rewritten below it.
 *
 * It is one sector, written in place: an atomic step for disks, and no directory changes.
 */
#include "audit.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGITS = 20, HEX = 64, SIGNED = 2 * (DIGITS + 1) + HEX, HEAD_BYTES = SIGNED + 1 + HEX + 1 };

/* --- bytes ----------------------------------------------------------------------------- */

static bool digits(const char *text, uint64_t *out)
{
    *out = 0;
    for (int k = 0; k < DIGITS; k++) {
        if (text[k] < '0' || text[k] > '9' || *out > (INT64_MAX - 9) / 10)
            return false;
        *out = *out * 10 + (uint64_t)(text[k] - '0');
    }
    return true;
}

static bool hex(const char *text, char out[AUDIT_HASH_TEXT])
{
    memcpy(out, text, HEX);
    out[HEX] = '\0';
    return strspn(out, "0123456789abcdef") == HEX;
}

static int parse(const char *p, struct audit_head *out)
{
    bool good = digits(p, &out->seq) && p[DIGITS] == ' ' && digits(p + DIGITS + 1, &out->end) &&
                p[2 * DIGITS + 1] == ' ' && hex(p + 2 * DIGITS + 2, out->hash) && p[SIGNED] == ' ' &&
                hex(p + SIGNED + 1, out->mac) && p[HEAD_BYTES - 1] == '\n';
    return good ? 0 : E_FORMAT;
}

static int sign(const struct audit_head *h, const struct keyring *keys, char out[AUDIT_HASH_TEXT])
{
    uint8_t key[KEY_SIZE], mac[SHA256_SIZE];
    char text[sizeof(struct id128) + SIGNED + 1];

    memcpy(text, keyring_vault(keys)->b, sizeof(struct id128));
    snprintf(text + sizeof(struct id128), SIGNED + 1, "%020llu %020llu %s", (unsigned long long)h->seq,
             (unsigned long long)h->end, h->hash);
    int rc = crypto_hkdf(key, sizeof key, keyring_local_key(keys), "ecluse/audit", NULL, 0);
    if (!rc)
        crypto_mac(key, text, sizeof text - 1, mac);
    secret_wipe(key, sizeof key);
    for (size_t k = 0; !rc && k < sizeof mac; k++)
        snprintf(out + 2 * k, 3, "%02x", mac[k]);
    return rc;
}

int audit_head_check(const struct audit_head *h, const struct keyring *keys)
{
    char mac[AUDIT_HASH_TEXT];

    int rc = sign(h, keys, mac);
    return rc ? rc : crypto_equal(mac, h->mac, HEX) ? 0 : E_AUTH;
}

/* --- the file ------------------------------------------------------------------------------ */

static int read_fd(int fd, struct audit_head *out)
{
    char text[HEAD_BYTES + 1];

    ssize_t n = pread(fd, text, sizeof text, 0);
    if (n < 0)
        return -errno;
    return n == 0 ? -ENOENT : n != HEAD_BYTES ? E_FORMAT : parse(text, out);
}

int audit_head_read(int dir, struct audit_head *out)
{
    int fd = openat(dir, AUDIT_HEAD, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP ? E_FORMAT : -errno;
    int rc = audit_lock(fd, LOCK_SH, AUDIT_PATIENCE);
    if (!rc)
        rc = read_fd(fd, out);
    close(fd);
    return rc;
}

int audit_head_prepare(int dir)
{
    int fd = openat(dir, AUDIT_HEAD, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    int rc = fchmod(fd, 0600) ? -errno : 0;
    close(fd);
    return rc ? rc : io_sync_dir(dir, FAULT_audit);
}

int audit_head_write(int dir, const struct keyring *keys, struct audit_head *h, bool anew)
{
    struct audit_head there;
    char text[HEAD_BYTES + 1];

    int rc = sign(h, keys, h->mac);
    if (rc)
        return rc;
    int fd = openat(dir, AUDIT_HEAD, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = audit_lock(fd, LOCK_EX, AUDIT_PATIENCE);
    bool later = !rc && !anew && read_fd(fd, &there) == 0 && audit_head_check(&there, keys) == 0 && there.end > h->end;
    if (!rc && !later) {
        snprintf(text, sizeof text, "%020llu %020llu %s %s\n", (unsigned long long)h->seq, (unsigned long long)h->end,
                 h->hash, h->mac);
        rc = io_write_at(fd, text, HEAD_BYTES, 0, FAULT_audit);
    }
    if (!rc && !later)
        rc = io_sync(fd, FAULT_audit);
    close(fd);
    return rc;
}
