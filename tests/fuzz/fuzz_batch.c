/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Fuzzer of the batch decoder: any bytes give records in range or E_FORMAT, and
 * what was decoded survives being encoded and decoded again.  No files.
 *
 *   clang -fsanitize=fuzzer,address,undefined -Iinclude … fuzz_batch.c
 */
#include <ecluse/batch.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct buf *b, const struct record *r)
{
    switch (r->kind) {
    case RECORD_INODE:
        batch_inode(b, &r->inode);
        break;
    case RECORD_DIRENT:
        batch_dirent(b, &r->dirent);
        break;
    case RECORD_XATTR:
        batch_xattr(b, &r->xattr);
        break;
    case RECORD_CHUNK:
        batch_chunk(b, &r->chunk);
        break;
    case RECORD_SEGMENT:
        batch_segment(b, &r->segment);
        break;
    case RECORD_COUNTER:
        batch_counter(b, r->counter.id, r->counter.value);
        break;
    case RECORD_TAIL:
        batch_tail(b, r->tail.segment, r->tail.offset, r->tail.bytes, r->tail.len);
        break;
    default:
        batch_gone(b, r->kind, r->gone.ino, r->gone.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct record one, two;
    struct reader in = reader_over(data, size);

    while (batch_next(&in, &one) == 1) {
        struct buf first = { 0 }, second = { 0 };
        encode(&first, &one);
        struct reader again = reader_over(first.data, first.len);
        if (batch_next(&again, &two) != 1 || reader_left(&again))
            abort();
        encode(&second, &two);
        if (first.len != second.len || memcmp(first.data, second.data, first.len))
            abort();
        buf_free(&first);
        buf_free(&second);
    }
    return 0;
}
