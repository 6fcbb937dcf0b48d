/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Looks for plaintext: any run of 16 bytes of the given files.
 *
 *   hunt PLAINTEXT... -- WHERE...
 *
 * Every window of 16 bytes of every PLAINTEXT file is indexed, but those with
 * fewer than six different bytes (runs of zeros prove nothing).  Every byte of
 * every regular file below WHERE is then looked at.  Exit 1 when something is found,
 * 0 when nothing is, 2 when there was nothing to look for or to look at.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WINDOW = 16, DIFFERENT = 6, BITS = 30 };

static unsigned char *plain;
static size_t plain_len, window_count;

/* Windows by hash: a bitmap that answers most questions, then positions plus one. */
static uint8_t *seen;
static uint32_t *table;
static size_t table_mask;

static size_t files, found;
static uint64_t scanned;

static uint64_t hash(const unsigned char *w)
{
    uint64_t a, b;
    memcpy(&a, w, 8);
    memcpy(&b, w + 8, 8);
    a = (a ^ (b >> 29) ^ (b << 35)) * 0x9e3779b97f4a7c15u;
    return (a ^ (a >> 32) ^ b) * 0xd6e8feb86659fd93u;
}

static bool telling(const unsigned char *w)
{
    unsigned different = 0;
    for (int i = 0; i < WINDOW && different < DIFFERENT; i++) {
        int k = 0;
        while (k < i && w[k] != w[i])
            k++;
        different += k == i;
    }
    return different >= DIFFERENT;
}

static unsigned char *read_whole(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    unsigned char *data = NULL;
    size_t used = 0, room = 0;
    if (!f)
        return NULL;
    for (;;) {
        if (used + 65536 > room) {
            room = room ? 2 * room : 1 << 20;
            data = realloc(data, room);
            if (!data)
                abort();
        }
        size_t n = fread(data + used, 1, room - used, f);
        if (n == 0)
            break;
        used += n;
    }
    fclose(f);
    *len = used;
    return data;
}

static bool add_plaintext(const char *path)
{
    size_t len = 0;
    unsigned char *data = read_whole(path, &len);
    if (!data) {
        perror(path);
        return false;
    }
    /* A border of zeros, so that no window spans two files. */
    plain = realloc(plain, plain_len + len + WINDOW);
    if (!plain)
        abort();
    memcpy(plain + plain_len, data, len);
    memset(plain + plain_len + len, 0, WINDOW);
    plain_len += len + WINDOW;
    free(data);
    return true;
}

static void index_windows(void)
{
    size_t room = 1 << 16;
    while (room < 2 * plain_len)
        room *= 2;
    table = calloc(room, sizeof(*table));
    seen = calloc((size_t)1 << (BITS - 3), 1);
    if (!table || !seen)
        abort();
    table_mask = room - 1;
    for (size_t i = 0; i + WINDOW <= plain_len; i++) {
        if (!telling(plain + i))
            continue;
        uint64_t h = hash(plain + i);
        size_t at = h & table_mask;
        while (table[at] && memcmp(plain + table[at] - 1, plain + i, WINDOW) != 0)
            at = (at + 1) & table_mask;
        if (!table[at]) {
            table[at] = (uint32_t)i + 1;
            window_count++;
        }
        seen[h >> (64 - BITS + 3)] |= (uint8_t)(1u << ((h >> (64 - BITS)) & 7));
    }
}

static bool known(const unsigned char *w)
{
    uint64_t h = hash(w);
    if (!(seen[h >> (64 - BITS + 3)] & (1u << ((h >> (64 - BITS)) & 7))))
        return false;
    for (size_t at = h & table_mask; table[at]; at = (at + 1) & table_mask)
        if (!memcmp(plain + table[at] - 1, w, WINDOW))
            return true;
    return false;
}

static int look(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t len = 0;
    (void)ftw;
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    unsigned char *data = read_whole(path, &len);
    if (!data) {
        if (errno == ENOENT)
            return 0; /* gone meanwhile */
        perror(path);
        return -1;
    }
    files++;
    scanned += len;
    for (size_t i = 0; i + WINDOW <= len; i++)
        if (known(data + i)) {
            printf("plaintext in %s at byte %zu: ", path, i);
            for (size_t k = 0; k < WINDOW; k++)
                printf("%c", data[i + k] >= 32 && data[i + k] < 127 ? data[i + k] : '.');
            printf("\n");
            found++;
            break;
        }
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!add_plaintext(argv[i]))
            return 2;
    if (i + 1 >= argc || plain_len == 0 || plain_len >= UINT32_MAX) {
        fprintf(stderr, "usage: hunt PLAINTEXT... -- WHERE...\n");
        return 2;
    }
    index_windows();
    for (i++; i < argc; i++)
        if (nftw(argv[i], look, 64, FTW_PHYS)) {
            perror(argv[i]);
            return 2;
        }
    printf("%zu windows, %zu files, %llu bytes: plaintext in %zu\n", window_count, files,
           (unsigned long long)scanned, found);
    if (!window_count || !scanned)
        return 2;
    return found ? 1 : 0;
}
