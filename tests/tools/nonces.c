/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Looks for a (key, nonce) pair that sealed twice.
 *
 *   nonces LOG...
 *
 * A LOG is what src/crypto/nonces.c wrote: records of 32 bytes.  Prints how many
 * there are, under how many keys, and how many repeat an earlier one.  Exit 0
 * when none does, 1 when one does, 2 when a log cannot be read, is cut within a
 * record, or when there is no record at all.
 *
 * Records are sorted in memory; when there are too many for that, by shares of
 * equal checksum, one after another, each time reading the logs anew.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RECORD = 32, KEY = 8, SHARE_MAX = 8 << 20 };   /* records: 256 MiB */

static unsigned char (*records)[RECORD];
static size_t count;
static uint64_t total, keys, repeats;

static unsigned checksum(const unsigned char *r)
{
    uint32_t x = 2166136261u;
    for (int i = 0; i < RECORD; i++)
        x = (x ^ r[i]) * 16777619u;
    return x ^ x >> 16;
}

static uint64_t count_records(int logs, char **paths)
{
    uint64_t n = 0;
    for (int i = 0; i < logs; i++) {
        struct stat st;
        if (stat(paths[i], &st) || st.st_size % RECORD) {
            fprintf(stderr, "%s: not a log of whole records\n", paths[i]);
            exit(2);
        }
        n += (uint64_t)st.st_size / RECORD;
    }
    return n;
}

static void take_share(int logs, char **paths, unsigned shares, unsigned share, size_t room)
{
    unsigned char r[RECORD];

    count = 0;
    for (int i = 0; i < logs; i++) {
        FILE *f = fopen(paths[i], "rb");
        if (!f) {
            perror(paths[i]);
            exit(2);
        }
        while (fread(r, RECORD, 1, f) == 1) {
            if (checksum(r) % shares != share)
                continue;
            if (count == room) {
                fprintf(stderr, "a log grew, or its records are all alike\n");
                exit(2);
            }
            memcpy(records[count++], r, RECORD);
        }
        fclose(f);
    }
}

static int compare(const void *a, const void *b) { return memcmp(a, b, RECORD); }

static void show(const unsigned char *r)
{
    printf("sealed twice: key ");
    for (int i = 0; i < RECORD; i++)
        printf("%s%02x", i == KEY ? ", nonce " : "", r[i]);
    printf("\n");
}

static void judge_share(void)
{
    qsort(records, count, RECORD, compare);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || memcmp(records[i], records[i - 1], KEY))
            keys++;
        else if (memcmp(records[i], records[i - 1], RECORD) == 0 && repeats++ < 5)
            show(records[i]);
    }
    total += count;
}

int main(int argc, char **argv)
{
    uint64_t n = count_records(argc - 1, argv + 1);
    unsigned shares = (unsigned)(n / SHARE_MAX) + 1;
    size_t room = (size_t)(n / shares + n / shares / 4 + 1024);

    records = malloc(room * RECORD);
    if (!records)
        return 2;
    for (unsigned k = 0; k < shares; k++) {
        take_share(argc - 1, argv + 1, shares, k, room);
        judge_share();
    }
    /* A key is counted in each share that it has records in. */
    printf("%llu sealings, %s%llu keys, %llu repeated\n", (unsigned long long)total, shares > 1 ? "at most " : "",
           (unsigned long long)keys, (unsigned long long)repeats);
    return !total ? 2 : repeats != 0;
}
