/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Do the bytes of an object look random?
 *
 * Sealed bytes, nonces and padding are as uniform random bytes to whoever has no
 * key; plaintext is not.  Two statistics are taken, of the byte values and of the
 * differences of neighbours (mod 256; those of uniform bytes are uniform and
 * independent too), which finds counters and repeated patterns whose values are
 * even.  Each is Pearson's chi-square against equal frequency, with 255 degrees
 * of freedom: n values of which value v occurs c(v) times give
 *
 *     256/n * sum c(v)^2 - n            mean 255, standard deviation 22.6
 *
 * Windows of 4096 bytes find plaintext of a few hundred bytes amid a large body:
 * English text gives 60 000, base64 12 000, hexadecimal digits 60 000.  Random bytes
 * exceed 640 with probability 2e-34 by the limit distribution; with 16 expected in
 * each cell the true tail is heavier, but stays below 1e-24.  Of a thousand million
 * windows (4 TB) one is wrong with probability 1e-15.
 *
 * The whole body finds faint structure (media files, archives).  Its bound cannot be
 * as tight: the nonces of the 256 blocks of one request have 11 bytes in common, so
 * that in 1 MiB up to 11 values occur 254 times too often, which adds 173 on
 * average, whatever the number of requests, as both terms grow together.  Random bodies exceed 448 once in 1e12;
 * 1500 leaves room for the nonces even if 8 of those 11 bytes are the same
 * (probability 2e-15).
 *
 * Not promised: that compressed or foreign encrypted bytes are told from ours.  Only
 * keys can do that.
 */
#include "body.h"
#include <ecluse/io.h>
#include <ecluse/segment.h>
#include <errno.h>
#include <stdlib.h>

#define WINDOW_BOUND 640.0
#define WHOLE_BOUND 1500.0
#define WINDOW_LEAST 1024u       /* a shorter rest says little */
#define READ_STEP (256u << 10)   /* a multiple of WINDOW */

static double chi_square(const uint32_t counts[256], uint64_t n)
{
    double sum = 0;

    for (unsigned v = 0; v < 256; v++)
        sum += (double)counts[v] * counts[v];
    return n ? sum * 256 / (double)n - (double)n : 0;
}

static bool is_odd(const struct tally *t, uint64_t n, double bound)
{
    return chi_square(t->values, n) > bound || chi_square(t->steps, n) > bound;
}

static void end_window(struct randomness *r)
{
    if (r->in_window >= WINDOW_LEAST && is_odd(&r->window, r->in_window, WINDOW_BOUND))
        r->odd = true;
    for (unsigned v = 0; v < 256; v++) {
        r->whole.values[v] += r->window.values[v];
        r->whole.steps[v] += r->window.steps[v];
    }
    r->window = (struct tally){ 0 };
    r->count += r->in_window;
    r->in_window = 0;
}

void randomness_add(struct randomness *r, const uint8_t *bytes, size_t len)
{
    for (size_t k = 0; k < len; k++) {
        r->window.values[bytes[k]]++;
        r->window.steps[(uint8_t)(bytes[k] - r->last)]++;
        r->last = bytes[k];
        if (++r->in_window == WINDOW)
            end_window(r);
    }
}

bool randomness_holds(struct randomness *r)
{
    end_window(r);
    return !r->odd && !is_odd(&r->whole, r->count, WHOLE_BOUND);
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, WINDOW - 1) == 0;
}

static int read_all(int fd, uint64_t size, struct body *out, uint8_t *bytes, struct sha256 *hash,
                    struct randomness *r)
{
    for (uint64_t at = 0; at < size;) {
        size_t len = size - at < READ_STEP ? (size_t)(size - at) : READ_STEP;
        size_t skip = at ? 0 : len < SEGMENT_HEADER ? len : SEGMENT_HEADER;
        int rc = io_read_at(fd, bytes, len, at);
        if (rc)
            return rc;
        sha256_add(hash, bytes, len);
        randomness_add(r, bytes + skip, len - skip);
        for (size_t k = 0; k + WINDOW <= len; k += WINDOW)
            out->zero_page |= is_zero(bytes + k);
        at += len;
    }
    return 0;
}

int body_read(int fd, uint64_t size, struct body *out)
{
    uint8_t *bytes = malloc(READ_STEP);
    struct randomness *r = calloc(1, sizeof *r);
    struct sha256 *hash = NULL;

    *out = (struct body){ 0 };
    int rc = bytes && r ? sha256_new(&hash) : -ENOMEM;
    if (!rc)
        rc = read_all(fd, size, out, bytes, hash, r);
    if (!rc) {
        sha256_end(hash, out->sha256);
        out->random = randomness_holds(r);
    } else {
        sha256_free(hash);
    }
    free(bytes);
    free(r);
    return rc;
}
