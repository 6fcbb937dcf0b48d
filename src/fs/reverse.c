/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The reverse maps of the segments of a publication: which file's blocks each
 * of them holds, so that a segment alone can be salvaged.
 *
 * They are gathered from the rows that are being published: whatever a staged
 * segment holds that is alive was written since the last publication, so its
 * row is among them.  Names are hints, looked up in the index at the end.
 */
#include "internal.h"
#include <stdlib.h>

struct reverse_entry {
    uint64_t ino, first;       /* file block */
    uint32_t segment, offset, count, last;
};

struct owner { uint64_t ino, version, parent, cookie; };

struct reverse {
    struct buf entries, owners;
    bool sorted;
};

int reverse_new(struct reverse **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : -ENOMEM;
}

void reverse_free(struct reverse *r)
{
    if (!r)
        return;
    buf_free(&r->entries);
    buf_free(&r->owners);
    free(r);
}

static void add_runs(struct reverse *r, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        struct reverse_entry e = {
            .ino = ino, .first = base + runs[k].first, .segment = runs[k].segment,
            .offset = runs[k].offset, .count = runs[k].count, .last = runs[k].sealed };
        buf_append(&r->entries, &e, sizeof e);
    }
}

int reverse_add(struct reverse *r, const uint8_t *rows, size_t len)
{
    struct reader in = reader_over(rows, len);
    struct record *rec = malloc(sizeof *rec);
    int rc = rec ? 1 : -ENOMEM;

    while (rc == 1 && (rc = batch_next(&in, rec)) == 1) {
        if (rec->kind == RECORD_CHUNK) {
            add_runs(r, rec->chunk.ino, rec->chunk.n * CHUNK_BLOCKS, rec->chunk.runs, rec->chunk.run_count);
        } else if (rec->kind == RECORD_INODE && S_ISREG(rec->inode.mode)) {
            struct owner o = { rec->inode.ino, rec->inode.version, rec->inode.parent, rec->inode.cookie };
            add_runs(r, rec->inode.ino, 0, rec->inode.runs, rec->inode.run_count);
            buf_append(&r->owners, &o, sizeof o);
        }
    }
    free(rec);
    r->sorted = false;
    return rc ? rc : r->entries.failed || r->owners.failed ? -ENOMEM : 0;
}

static int by_place(const void *a, const void *b)
{
    const struct reverse_entry *x = a, *y = b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_ino(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void sort(struct reverse *r)
{
    if (r->sorted)
        return;
    if (r->entries.len)
        qsort(r->entries.data, r->entries.len / sizeof(struct reverse_entry), sizeof(struct reverse_entry), by_place);
    if (r->owners.len)
        qsort(r->owners.data, r->owners.len / sizeof(struct owner), sizeof(struct owner), by_ino);
    r->sorted = true;
}

/* The owner's row as published; the hint about its name needs no exactness. */
static const struct owner *owner_of(const struct reverse *r, uint64_t ino)
{
    struct owner key = { .ino = ino };
    return r->owners.len ? bsearch(&key, r->owners.data, r->owners.len / sizeof key, sizeof key, by_ino) : NULL;
}

static int write_run(struct fs *fs, struct reverse *r, const struct reverse_entry *e, uint64_t *named,
                     struct row_hold *hold, struct buf *out)
{
    const struct owner *o = owner_of(r, e->ino);
    struct reverse_run run = { .ino = e->ino, .first = e->first, .offset = e->offset,
                               .count = e->count, .last = e->last };
    struct dirent_row d;

    if (o) {
        run.version = o->version;
        run.parent = o->parent;
        if (*named != e->ino) {   /* once per file and segment is enough */
            int rc = index_dirent_at(fs->index, o->parent, o->cookie, &d, hold);
            if (rc && rc != -ENOENT)
                return rc;
            if (!rc) {
                run.name = d.name;
                run.name_len = d.name_len;
            }
        }
        *named = e->ino;
    }
    footer_run(out, &run);
    return 0;
}

int reverse_footer(struct fs *fs, struct reverse *r, uint32_t segment, struct buf *out)
{
    uint64_t named = 0;
    const struct reverse_entry *e = (const struct reverse_entry *)(const void *)r->entries.data;
    size_t count = r->entries.len / sizeof *e, low = 0, high = count;
    struct row_hold hold = { 0 };
    int rc = 0;

    sort(r);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (e[mid].segment < segment)
            low = mid + 1;
        else
            high = mid;
    }
    footer_begin(out, fs->actors, fs->actor_count);
    for (; !rc && low < count && e[low].segment == segment; low++)
        rc = write_run(fs, r, &e[low], &named, &hold, out);
    row_hold_free(&hold);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}
