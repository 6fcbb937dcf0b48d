/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Looks at, or rewrites, the footers of a store with its recovery key.
 *
 *   footers STORE SHEET list        one line for each object: path, offset and length of the
 *                                   sealed footer, size of the file, kind of the payload
 *   footers STORE SHEET strip       every footer is sealed anew without its payload, as if all
 *                                   publications had been lost
 *   footers STORE SHEET name NAME   every run gets that name, whatever it is
 *   footers STORE SHEET salvage DIR RUNS   a salvage that keeps RUNS runs in memory at once; prints
 *                                   the number of passes
 *
 * What it writes is authentic, which nobody without the key could do.
 */
#include "fs/inspect.h"
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/salvage.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct keyring *keys;
static struct store *store;
static const char *root, *what, *name;

static int read_recovery(const char *path, uint8_t key[KEY_SIZE])
{
    uint8_t *text;
    size_t len;
    int bad;

    int rc = io_read_file(AT_FDCWD, path, 8192, &text, &len);
    if (rc)
        return rc;
    rc = recovery_parse((const char *)text, len, key, &bad);
    free(text);
    return rc;
}

static int trailer_of(struct inspected *x, uint64_t *at, uint64_t *len)
{
    uint8_t trailer[SEGMENT_TRAILER];

    int rc = io_read_at(x->fd, trailer, sizeof trailer, x->size - sizeof trailer);
    return rc ? rc : segment_trailer_open(x->key, x->size, trailer, at, len);
}

static void rebuild_footer(struct footer_view *v, struct buf *out)
{
    uint64_t actors[64];
    struct reverse_run run;
    struct borrowed_run borrowed;
    struct buf b = { 0 };
    uint64_t before = 0;
    size_t count = v->actor_count < 64 ? v->actor_count : 64;

    for (size_t k = 0; k < count; k++)
        actors[k] = get_le64(v->actors + 8 * k);
    footer_begin(out, actors, count);
    while (footer_next(v, &run) == 1) {
        if (strcmp(what, "name") == 0) {
            run.name = (const uint8_t *)name;
            run.name_len = (uint8_t)strlen(name);
        }
        footer_run(out, &run);
    }
    borrowed_begin(&b, (const struct id128 *)(const void *)v->segments, v->segment_count);
    for (; footer_next_borrowed(v, &borrowed) == 1; before = borrowed.of.ino) {
        if (strcmp(what, "name") == 0) {
            borrowed.of.name = (const uint8_t *)name;
            borrowed.of.name_len = (uint8_t)strlen(name);
        }
        borrowed_add(&b, before, &borrowed, (size_t)(borrowed.segment - v->segments) / sizeof(struct id128));
    }
    borrowed_end(&b, before);
    if (strcmp(what, "name") == 0 && v->kind)
        footer_end(out, &b, v->kind, v->payload, v->payload_len);
    else
        footer_end(out, &b, PAYLOAD_NONE, NULL, 0);
    buf_free(&b);
}

static int rewrite(struct inspected *x, const char *path, uint64_t at)
{
    struct buf footer = { 0 }, bytes = { 0 };
    uint8_t *front = malloc(at);

    int rc = front ? io_read_at(x->fd, front, at, 0) : -ENOMEM;
    rebuild_footer(&x->view, &footer);
    buf_append(&bytes, front, rc ? 0 : at);
    if (!rc)
        rc = segment_finish(x->key, at, footer.data, footer.len, &bytes);
    if (!rc && unlink(path))
        rc = -errno;
    int fd = rc ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL, 0444);
    if (!rc)
        rc = fd < 0 ? -errno : io_write_at(fd, bytes.data, bytes.len, 0, FAULT_other);
    if (fd >= 0)
        close(fd);
    free(front);
    buf_free(&footer);
    buf_free(&bytes);
    return rc;
}

static int visit(void *ctx, const struct id128 *id, uint64_t size)
{
    struct inspected x = { .fd = -1 };
    char text[ID_TEXT], path[4096];
    uint64_t at = 0, len = 0;

    (void)ctx;
    (void)size;
    id_format(id, text);
    snprintf(path, sizeof path, "%s/segments/%.2s/%s", root, text, text + 2);
    int rc = inspect_object(keys, store, id, &x) == INSPECT_WHOLE ? trailer_of(&x, &at, &len) : E_AUTH;
    if (!rc && strcmp(what, "list") == 0)
        printf("segments/%.2s/%s %llu %llu %llu %d\n", text, text + 2, (unsigned long long)at, (unsigned long long)len,
               (unsigned long long)x.size, (int)x.view.kind);
    else if (!rc)
        rc = rewrite(&x, path, at);
    if (rc)
        fprintf(stderr, "footers: %s: %s\n", path, error_name(rc));
    inspected_free(&x);
    return rc;
}

static int salvage(const char *dest, const char *runs)
{
    struct salvage_report report;
    struct salvage_options o = { .store = store, .keys = keys, .dest = open(dest, O_RDONLY | O_DIRECTORY),
                                 .runs_at_once = (size_t)atoi(runs) };

    int rc = o.dest < 0 ? -errno : salvage_store(&o, &report);
    if (!rc)
        printf("%u\n", report.passes);
    return rc;
}

int main(int argc, char **argv)
{
    struct vault_header h;
    uint8_t key[KEY_SIZE], *header = NULL;
    size_t len = 0;

    int rc = argc >= 4 && argc <= 6 ? crypto_start() : -EINVAL;
    if (!rc) {
        root = argv[1];
        what = argv[3];
        name = argc > 4 ? argv[4] : "";
        rc = read_recovery(argv[2], key);
    }
    if (!rc)
        rc = store_open(&store, argv[1], &header, &len);
    if (!rc)
        rc = vault_header_parse(header, len, &h);
    if (!rc)
        rc = keyring_create(&keys, &h.vault, h.suite, key);
    if (!rc)
        rc = argc == 6 ? salvage(argv[4], argv[5]) : store_list(store, visit, NULL, NULL);
    if (rc)
        fprintf(stderr, "footers: %s\n", error_name(rc));
    store_close(store);
    keyring_free(keys);
    free(header);
    return rc != 0;
}
