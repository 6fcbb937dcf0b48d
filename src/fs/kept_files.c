/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Staged segments of the old state that the new one goes on with.
 *
 * A file that rows refer to is linked into the new staging directory: the same
 * bytes, of which the new state only reads, since it seals anew whatever it
 * finds staged (it is a new actor).  One that the journal still has to complete
 * is copied first: nothing of the old state is written to.
 */
#include "rebuild.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_STEP (4u << 20)

static int copy_bytes(int from, int to)
{
    uint8_t *bytes = malloc(COPY_STEP);
    uint64_t at = 0;
    ssize_t n = bytes ? 1 : 0;
    int rc = bytes ? 0 : -ENOMEM;

    while (!rc && n) {
        n = pread(from, bytes, COPY_STEP, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        rc = n < 0 ? -errno : io_write_at(to, bytes, (size_t)n, at, FAULT_rebuild);
        at += n > 0 ? (uint64_t)n : 0;
    }
    free(bytes);
    return rc;
}

int kept_copy(int from_dir, const char *name, int to_dir)
{
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (from < 0)
        return -errno;
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = to < 0 ? -errno : copy_bytes(from, to);
    if (!rc)
        rc = io_sync(to, FAULT_rebuild);
    if (to >= 0)
        close(to);
    close(from);
    return rc;
}

static int copy_staged(struct rebuild *b, struct object *o)
{
    char name[ID_TEXT];

    id_format(&o->id, name);
    int rc = kept_copy(b->o->old->staging, name, b->renewal.files.staging);
    o->linked = o->copied = !rc;
    return rc;
}

int kept_link(struct rebuild *b, struct object *o)
{
    char name[ID_TEXT];

    if (o->linked)
        return 0;
    id_format(&o->id, name);
    int rc = fault_hit(FAULT_rebuild);
    if (rc)
        return rc;
    if (linkat(b->o->old->staging, name, b->renewal.files.staging, name, 0) == 0) {
        o->linked = true;
        return 0;
    }
    return errno == ENOENT || errno == ENOSPC ? -errno : copy_staged(b, o);
}

int kept_write(struct rebuild *b, struct object *o, uint64_t offset, const void *bytes, size_t len)
{
    char name[ID_TEXT];

    int rc = o->copied ? 0 : copy_staged(b, o);
    if (rc)
        return rc;
    id_format(&o->id, name);
    int fd = openat(b->renewal.files.staging, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    rc = io_write_at(fd, bytes, len, offset, FAULT_rebuild);
    close(fd);
    if (!rc && offset + len > o->size)
        o->size = offset + len;
    return rc;
}

int kept_head(struct rebuild *b, struct object *o, uint32_t epoch)
{
    const uint8_t *epoch_key = keyring_epoch_key(b->o->keys, epoch);
    struct segment_header h = { .format = SEGMENT_FORMAT, .suite = keyring_suite(b->o->keys), .epoch = epoch,
                                .vault = *keyring_vault(b->o->keys), .segment = o->id };
    uint8_t bytes[SEGMENT_DATA];
    struct segment_key *key;
    int fd;

    int rc = object_open(b, o, &fd, &key);
    if (!rc)
        close(fd);
    else if (rc != E_AUTH && rc != E_FORMAT && rc != E_NEWER_FORMAT && rc != E_NOT_ARRIVED)
        return rc;
    else if (!epoch_key)
        return 0;                /* nor would its blocks open */
    else if (!(rc = segment_key_new(&key, &h, epoch_key))) {
        segment_header_write(bytes, &h, key);
        rc = kept_write(b, o, 0, bytes, sizeof bytes);
    }
    segment_key_free(key);
    return rc;
}

int kept_sync(struct rebuild *b)
{
    char name[ID_TEXT];
    int rc = 0;

    for (size_t k = 0; !rc && k < b->survey.count; k++) {
        if (!b->survey.objects[k].copied)
            continue;
        id_format(&b->survey.objects[k].id, name);
        int fd = openat(b->renewal.files.staging, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        rc = fd < 0 ? -errno : io_sync(fd, FAULT_rebuild);
        if (fd >= 0)
            close(fd);
    }
    return rc;
}

/* --- reading ----------------------------------------------------------------------------- */

void kept_close(struct kept_reader *r)
{
    if (!r->object)
        return;
    close(r->fd);
    segment_key_free(r->key);
    *r = (struct kept_reader){ 0 };
}

static bool reader_at(struct rebuild *b, struct kept_reader *r, struct object *o)
{
    if (r->object == o)
        return true;
    kept_close(r);
    if (object_open(b, o, &r->fd, &r->key))
        return false;
    r->object = o;
    return true;
}

bool kept_opens(struct rebuild *b, struct kept_reader *r, struct object *o, const struct run *run)
{
    size_t len = (size_t)run_bytes(run);
    uint8_t plain[BLOCK_SIZE], *sealed;
    bool good = true;

    if (!reader_at(b, r, o))
        return false;
    sealed = malloc(len);
    good = sealed && io_read_at(r->fd, sealed, len, run->offset) == 0;
    for (uint32_t i = 0; good && i < run->count; i++) {
        uint64_t at = (uint64_t)i * SEALED_BLOCK;
        size_t block = (i + 1u == run->count ? run->sealed : BLOCK_SIZE) + SEAL_OVERHEAD;
        good = segment_open(r->key, run->offset + at, SEAL_DATA, sealed + at, block, plain) == 0;
    }
    secret_wipe(plain, sizeof plain);
    free(sealed);
    return good;
}
