/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the journal's reader, in memory.
 *
 *   first byte 0   the rest is the file: nothing opens, nothing is visited
 *              1   the rest is cut into records that we seal; then one byte of the
 *                  file is changed, as the second and third byte say: what is visited is
 *                  what was written, up to there, and a gap is damage
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude -Isrc … fuzz_journal.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES (1u << 20)
static uint8_t file[FILE_BYTES];

/* The journal's I/O is ours. */
#define io_read_at memory_read
#define io_write_at memory_write
#define io_sync memory_sync
#include <index/journal.c>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int memory_read(int fd, void *buf, size_t len, uint64_t offset)
{
    (void)fd;
    if (offset > FILE_BYTES || len > FILE_BYTES - offset)
        return -ENODATA;
    memcpy(buf, file + offset, len);
    return 0;
}

int memory_write(int fd, const void *buf, size_t len, uint64_t offset, enum fault_point point)
{
    (void)fd;
    (void)point;
    if (offset > FILE_BYTES || len > FILE_BYTES - offset)
        return -ENOSPC;
    memcpy(file + offset, buf, len);
    return 0;
}

int memory_sync(int fd, enum fault_point point)
{
    (void)fd;
    (void)point;
    return 0;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct written { const uint8_t *data; size_t size, at, count; };

/* The next record of the input: a length of one byte, and as many bytes or fewer. */
static size_t next_record(struct written *w, const uint8_t **bytes)
{
    if (w->at >= w->size)
        return 0;
    size_t len = w->data[w->at++] + 1u, left = w->size - w->at;
    *bytes = w->data + w->at;
    len = len < left ? len : left;
    w->at += len;
    return len;
}

static int compare(void *ctx, const uint8_t *batch, size_t len)
{
    struct written *w = ctx;
    const uint8_t *bytes;

    require(w->data != NULL);
    size_t want = next_record(w, &bytes);
    require(want == len && memcmp(batch, bytes, len) == 0);
    w->count++;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct journal j = { .fd = -1 };
    static const uint8_t key[KEY_SIZE] = { 3 };
    struct written w = { 0 }, read = { 0 };
    const uint8_t *bytes;
    size_t count = 0;

    if (!j.aead) {
        require(crypto_start() == 0);
        j.sealed = malloc(ROOM);
        require(j.sealed && make_aead(&j, key) == 0);
    }
    if (size < 3)
        return 0;
    memset(file, 0, 1u << 16);
    journal_reset(&j, 5);
    if (!(data[0] & 1)) {
        memcpy(file, data + 1, size - 1 < FILE_BYTES ? size - 1 : FILE_BYTES);
        require(journal_replay(&j, compare, &read) == 0);
        return 0;
    }
    w = read = (struct written){ .data = data + 3, .size = size - 3 < 3000 ? size - 3 : 3000 };
    for (size_t len; (len = next_record(&w, &bytes)) && !journal_append(&j, bytes, len);)
        count++;
    size_t end = j.offset, broken = end ? (data[1] | (size_t)data[2] << 8) * 61 % end : 0;
    bool changes = data[0] & 2 && broken % STEP < 64;
    if (changes)
        file[broken] ^= 0x10;
    int rc = journal_replay(&j, compare, &read);
    if (!changes)
        require(rc == 0 && read.count == count);
    require(read.count <= count && (rc == 0 || rc == E_STATE_DAMAGED));
    require(!changes || read.count <= broken / STEP || read.count == count);
    memset(file, 0, end);
    return 0;
}
