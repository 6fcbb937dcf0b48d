/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The journal: sealed batches in a file of fixed size.
 *
 *   record   length le32 | generation le64 | sequence le64, all plain
 *            | nonce 12 | ciphertext | tag 16 | zeros up to 4096
 *   AAD      generation le64 | sequence le64 | offset le64 | length le32
 *
 * The file is written once with zeros, so that its blocks are allocated and
 * initialised and an append changes no metadata: one write and one fdatasync,
 * one flush of the disk.  Records begin at multiples of 4096, so a write never
 * touches a sector, nor a page of the kernel's cache, that holds an earlier
 * record.  (O_DSYNC, O_DIRECT and 512-byte steps were measured on ext4 and are
 * within the noise of this, or slower.)
 *
 * Replay stops at the first record that does not open as number k of the
 * current generation at this place: never written, torn, or of an older
 * generation.  A record is written only after the one before it was synced, so
 * nothing acknowledged lies behind a torn one; and a later record of the same
 * generation that opens proves that the one before it rotted.  So does a first
 * record of a later generation than the index's: the index lost its last commit.
 * Both are damage.
 *
 * Not promised: telling the very last record, if it rots, from a torn one.
 */
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/journal.h>
#include <ecluse/log.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP 4096u
#define PLAIN 20u               /* length, generation, sequence */
#define HEAD (PLAIN + AEAD_NONCE)
#define OVERHEAD (HEAD + AEAD_TAG)
#define AAD_BYTES 28u
#define ROOM ((JOURNAL_RECORD_MAX + OVERHEAD + STEP - 1) / STEP * STEP)

struct journal {
    int fd;
    struct aead *aead;
    uint64_t generation;
    uint64_t sequence;      /* of the next record */
    uint64_t offset;        /* where it goes */
    int failed;             /* of an append; nothing more is written */
    uint8_t *sealed;        /* ROOM bytes */
};

static uint64_t footprint(size_t len) { return (len + OVERHEAD + STEP - 1) / STEP * STEP; }

static void make_aad(const struct journal *j, size_t len, uint8_t aad[AAD_BYTES])
{
    put_le64(aad, j->generation);
    put_le64(aad + 8, j->sequence);
    put_le64(aad + 16, j->offset);
    put_le32(aad + 24, (uint32_t)len);
}

static void advance(struct journal *j, size_t len)
{
    j->offset += footprint(len);
    j->sequence++;
}

/* --- opening -------------------------------------------------------------------- */

static int make_aead(struct journal *j, const uint8_t local_key[KEY_SIZE])
{
    uint8_t key[KEY_SIZE];

    int rc = crypto_hkdf(key, sizeof key, local_key, "ecluse/journal", NULL, 0);
    if (!rc)
        rc = aead_new(&j->aead, SUITE_AES_256_GCM, key);
    secret_wipe(key, sizeof key);
    return rc;
}

/* A file that is too short was interrupted here before: what follows its end
 * was never used. */
static int preallocate(struct journal *j, int dirfd)
{
    struct stat st;
    int rc = 0;

    if (fstat(j->fd, &st))
        return -errno;
    if (!S_ISREG(st.st_mode))
        return E_STATE_DAMAGED;
    if (st.st_size >= (off_t)JOURNAL_SIZE)
        return 0;
    memset(j->sealed, 0, ROOM);
    for (uint64_t at = (uint64_t)st.st_size; !rc && at < JOURNAL_SIZE;) {
        uint64_t left = JOURNAL_SIZE - at, len = left < ROOM ? left : ROOM;
        rc = io_write_at(j->fd, j->sealed, (size_t)len, at, FAULT_journal_append);
        at += len;
    }
    if (!rc)
        rc = io_sync(j->fd, FAULT_journal_sync);
    return rc ? rc : io_sync_dir(dirfd, FAULT_journal_sync);
}

int journal_open(struct journal **out, int dirfd, const uint8_t local_key[KEY_SIZE], uint64_t generation)
{
    struct journal *j = calloc(1, sizeof *j);
    int rc = 0;

    if (!j)
        return -ENOMEM;
    j->generation = generation;
    j->fd = openat(dirfd, "journal", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd < 0)
        rc = -errno;
    j->sealed = rc ? NULL : malloc(ROOM);
    if (!rc && !j->sealed)
        rc = -ENOMEM;
    if (!rc)
        rc = make_aead(j, local_key);
    if (!rc)
        rc = preallocate(j, dirfd);
    if (rc) {
        journal_close(j);
        return rc;
    }
    *out = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    aead_free(j->aead);
    free(j->sealed);
    free(j);
}

/* --- reading -------------------------------------------------------------------- */

/* The record of this generation, number and place into `plain`,
 * JOURNAL_RECORD_MAX bytes: 1 and its length, 0 none, or an error. */
static int read_record(struct journal *j, uint8_t *plain, size_t *len)
{
    uint8_t aad[AAD_BYTES];

    if (j->offset + STEP > JOURNAL_SIZE)
        return 0;
    int rc = io_read_at(j->fd, j->sealed, STEP, j->offset);
    if (rc)
        return rc == -ENODATA ? 0 : rc;
    *len = get_le32(j->sealed);
    if (!*len || !journal_fits(j, *len) || get_le64(j->sealed + 4) != j->generation ||
        get_le64(j->sealed + 12) != j->sequence)
        return 0;
    uint64_t size = footprint(*len);
    if (size > STEP)
        rc = io_read_at(j->fd, j->sealed + STEP, (size_t)size - STEP, j->offset + STEP);
    if (rc)
        return rc == -ENODATA ? 0 : rc;
    make_aad(j, *len, aad);
    rc = aead_open(j->aead, j->sealed + PLAIN, aad, sizeof aad, j->sealed + HEAD, *len, j->sealed + HEAD + *len,
                   plain);
    return rc == E_AUTH ? 0 : rc ? rc : 1;
}

/* Whether a record that comes after the end is there, which the end must not
 * have: it begins where the record that is not there would have ended, at most
 * ROOM from here.  At the very front it may also be one of a later generation. */
static int find_later(const struct journal *end, uint8_t *plain)
{
    struct journal j = *end;
    uint8_t head[PLAIN];
    size_t len;
    int rc = 0;

    for (; !rc && j.offset <= end->offset + ROOM && j.offset + STEP <= JOURNAL_SIZE; j.offset += STEP) {
        rc = io_read_at(j.fd, head, sizeof head, j.offset);
        if (rc)
            return rc == -ENODATA ? 0 : rc;
        j.generation = get_le64(head + 4);
        j.sequence = get_le64(head + 12);
        bool later = j.generation == end->generation ? j.sequence > end->sequence
                   : j.generation > end->generation && !j.offset && !j.sequence;
        rc = later ? read_record(&j, plain, &len) : 0;
    }
    return rc;
}

int journal_replay(struct journal *j, int (*visit)(void *ctx, const uint8_t *batch, size_t len), void *ctx)
{
    uint8_t *plain = malloc(JOURNAL_RECORD_MAX);
    size_t len = 0;
    int rc;

    if (!plain)
        return -ENOMEM;
    journal_reset(j, j->generation);
    while ((rc = read_record(j, plain, &len)) == 1) {
        advance(j, len);
        rc = visit(ctx, plain, len);
        if (rc)
            break;
    }
    if (!rc && find_later(j, plain) == 1) {
        log_error("ECL-0605 journal: record %llu of generation %llu is not there, but a later one",
                  (unsigned long long)j->sequence, (unsigned long long)j->generation);
        rc = E_STATE_DAMAGED;
    }
    secret_wipe(plain, JOURNAL_RECORD_MAX);
    free(plain);
    return rc;
}

/* --- writing -------------------------------------------------------------------- */

int journal_fits(const struct journal *j, size_t len)
{
    return len <= JOURNAL_RECORD_MAX && j->offset + footprint(len) <= JOURNAL_SIZE;
}

int journal_append(struct journal *j, const void *batch, size_t len)
{
    uint8_t aad[AAD_BYTES], *nonce = j->sealed + PLAIN;

    if (j->failed)
        return j->failed;
    if (!journal_fits(j, len))
        return -E2BIG;
    if (!len)
        return 0;                  /* nothing to say; a length of 0 is the end */
    uint64_t size = footprint(len);
    put_le32(j->sealed, (uint32_t)len);
    put_le64(j->sealed + 4, j->generation);
    put_le64(j->sealed + 12, j->sequence);
    crypto_random(nonce, AEAD_NONCE);
    make_aad(j, len, aad);
    int rc = aead_seal(j->aead, nonce, aad, sizeof aad, batch, len, j->sealed + HEAD, j->sealed + HEAD + len);
    memset(j->sealed + OVERHEAD + len, 0, (size_t)size - OVERHEAD - len);
    if (!rc)
        rc = io_write_at(j->fd, j->sealed, (size_t)size, j->offset, FAULT_journal_append);
    /* A filesystem that copies on write can lack the space. Nothing was said to
     * be durable, so the next record takes the same place. */
    if (rc == -ENOSPC || rc == -EDQUOT)
        return -E2BIG;
    if (!rc)
        rc = io_sync(j->fd, FAULT_journal_sync);
    if (rc) {
        j->failed = rc;
        return rc;
    }
    advance(j, len);
    return 0;
}

void journal_reset(struct journal *j, uint64_t generation)
{
    j->generation = generation;
    j->sequence = 0;
    j->offset = 0;
}
