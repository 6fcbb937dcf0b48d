/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The manifest: the SHA-256 of every object, as sha256sum(1) writes and reads it.
 *
 *   <64 hex>  segments/<2 hex>/<30 hex>     by path
 *   <64 hex>  vault-<32 hex>.ecl            the last line
 *
 * It lets somebody without a key tell later whether all is there and unchanged.
 * Objects that are not whole are left out, lest a half-received store be certified.
 * Nothing authenticates it: it is to be kept where the store's host cannot reach it.
 */
#include "body.h"
#include <ecluse/check.h>
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/segment.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_LIMIT (1u << 30)
#define SUM_TEXT (2 * SHA256_SIZE)
#define SEGMENTS "segments/"

void object_path(const struct id128 *id, char out[OBJECT_PATH])
{
    char text[ID_TEXT];

    id_format(id, text);
    snprintf(out, OBJECT_PATH, SEGMENTS "%.2s/%s", text, text + 2);
}

/* --- writing ------------------------------------------------------------------------- */

struct writing { const struct manifest_options *o; struct buf ids; };

static int by_id(const void *a, const void *b) { return memcmp(a, b, sizeof(struct id128)); }

static int note_id(void *ctx, const struct id128 *id, uint64_t size)
{
    struct writing *w = ctx;

    (void)size;
    buf_append(&w->ids, id->b, sizeof id->b);
    return w->ids.failed ? -ENOMEM : 0;
}

static int note_foreign(void *ctx, const char *path)
{
    const struct manifest_options *o = ((struct writing *)ctx)->o;
    return o->foreign ? o->foreign(o->ctx, path) : 0;
}

static int put_line(const struct writing *w, const uint8_t sum[SHA256_SIZE], const char *path)
{
    char line[SUM_TEXT + 80];

    for (size_t k = 0; k < SHA256_SIZE; k++)
        snprintf(line + 2 * k, 3, "%02x", sum[k]);
    snprintf(line + SUM_TEXT, sizeof line - SUM_TEXT, "  %s\n", path);
    return w->o->put(w->o->ctx, line);
}

/* Whole as far as that can be told without a key. */
static int sum_object(const struct writing *w, const struct id128 *id, uint8_t sum[SHA256_SIZE])
{
    struct body body;
    struct stat st;

    int fd = store_get(w->o->store, id);
    if (fd < 0)
        return fd;
    int rc = fstat(fd, &st) ? -errno : 0;
    if (!rc && segment_size_class((uint64_t)st.st_size) != (uint64_t)st.st_size)
        rc = E_NOT_ARRIVED;
    if (!rc)
        rc = body_read(fd, (uint64_t)st.st_size, &body);
    if (rc == -ENODATA || (!rc && body.zero_page))
        rc = E_NOT_ARRIVED;
    if (!rc)
        memcpy(sum, body.sha256, sizeof body.sha256);
    close(fd);
    return rc;
}

static int write_object(const struct writing *w, const struct id128 *id)
{
    uint8_t sum[SHA256_SIZE];
    char path[OBJECT_PATH];

    object_path(id, path);
    int rc = sum_object(w, id, sum);
    if (!rc)
        return put_line(w, sum, path);
    if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)
        return rc;
    return w->o->left_out ? w->o->left_out(w->o->ctx, path, rc) : 0;
}

int manifest_write(const struct manifest_options *o)
{
    struct writing w = { .o = o };
    uint8_t sum[SHA256_SIZE];

    int rc = store_list(o->store, note_id, note_foreign, &w);
    size_t count = w.ids.len / sizeof(struct id128);
    if (!rc && count)
        qsort(w.ids.data, count, sizeof(struct id128), by_id);
    for (size_t k = 0; !rc && k < count; k++) {
        struct id128 id;
        memcpy(&id, w.ids.data + k * sizeof id, sizeof id);
        if (o->progress)
            o->progress(o->ctx, k, count);
        rc = write_object(&w, &id);
    }
    buf_free(&w.ids);
    if (rc)
        return rc;
    crypto_sha256(o->header, o->header_len, sum);
    return put_line(&w, sum, store_header_name(o->store));
}

/* --- reading --------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_sum(const char *text, uint8_t out[SHA256_SIZE])
{
    for (size_t k = 0; k < SHA256_SIZE; k++) {
        int high = digit(text[2 * k]), low = high < 0 ? -1 : digit(text[2 * k + 1]);
        if (low < 0)
            return false;
        out[k] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool parse_object(const char *path, struct id128 *out)
{
    char text[ID_TEXT], again[OBJECT_PATH];

    if (strlen(path) != sizeof SEGMENTS - 1 + ID_TEXT || strncmp(path, SEGMENTS, sizeof SEGMENTS - 1))
        return false;
    snprintf(text, sizeof text, "%.2s%.30s", path + sizeof SEGMENTS - 1, path + sizeof SEGMENTS + 2);
    if (id_parse(text, out))
        return false;
    object_path(out, again);
    return strcmp(path, again) == 0;
}

/* "vault-<32 hex>.ecl" */
static bool is_header(const char *path)
{
    char text[ID_TEXT];
    struct id128 id;

    if (strlen(path) != 6 + ID_TEXT - 1 + 4 || strncmp(path, "vault-", 6) || strcmp(path + 6 + ID_TEXT - 1, ".ecl"))
        return false;
    snprintf(text, sizeof text, "%.32s", path + 6);
    return id_parse(text, &id) == 0;
}

/* One line without its end. */
static int parse_line(struct manifest *m, char *line)
{
    struct manifest_line *l = &m->lines[m->count];
    uint8_t sum[SHA256_SIZE];
    size_t len = strlen(line);

    if (len && line[len - 1] == '\r')
        line[--len] = '\0';
    if (len < SUM_TEXT + 3 || !parse_sum(line, sum) || line[SUM_TEXT] != ' ' ||
        (line[SUM_TEXT + 1] != ' ' && line[SUM_TEXT + 1] != '*'))
        return E_FORMAT;
    const char *path = line + SUM_TEXT + 2;
    if (strncmp(path, "./", 2) == 0)
        path += 2;
    if (is_header(path) && !m->has_header) {
        m->has_header = true;
        snprintf(m->header_name, sizeof m->header_name, "%s", path);
        memcpy(m->header, sum, sizeof sum);
        return 0;
    }
    if (!parse_object(path, &l->id))
        return E_FORMAT;
    memcpy(l->sha256, sum, sizeof sum);
    m->count++;
    return 0;
}

static int parse_all(struct manifest *m, char *text, size_t *line)
{
    int rc = 0;

    for (*line = 1; !rc && *text; ++*line) {
        size_t len = strcspn(text, "\n");
        char *next = text + len + (text[len] == '\n');
        text[len] = '\0';
        rc = parse_line(m, text);
        if (rc)
            return rc;
        text = next;
    }
    if (m->count)
        qsort(m->lines, m->count, sizeof *m->lines, by_id);
    for (size_t k = 1; k < m->count; k++)
        if (id_equal(&m->lines[k - 1].id, &m->lines[k].id))
            return E_FORMAT;
    return 0;
}

int manifest_parse(const void *bytes, size_t len, struct manifest *out, size_t *line)
{
    char *text = malloc(len + 1);

    *out = (struct manifest){ .lines = calloc(len / (SUM_TEXT + 3) + 1, sizeof *out->lines) };
    *line = 1;
    int rc = text && out->lines ? 0 : -ENOMEM;
    if (!rc) {
        if (len)
            memcpy(text, bytes, len);
        text[len] = '\0';
        rc = strlen(text) == len ? parse_all(out, text, line) : E_FORMAT;
    }
    free(text);
    if (rc)
        manifest_free(out);
    return rc;
}

int manifest_read(const char *path, struct manifest *out, size_t *line)
{
    uint8_t *bytes = NULL;
    size_t len = 0;

    *out = (struct manifest){ 0 };
    *line = 0;
    int rc = io_read_file(AT_FDCWD, path, MANIFEST_LIMIT, &bytes, &len);
    if (!rc)
        rc = manifest_parse(bytes, len, out, line);
    free(bytes);
    return rc;
}

void manifest_free(struct manifest *m)
{
    free(m->lines);
    *m = (struct manifest){ 0 };
}
