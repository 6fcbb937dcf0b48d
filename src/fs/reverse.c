/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The reverse maps of the segments of a publication: which file's blocks each
 * of them holds, so that a segment alone can be salvaged.
 *
 * They are gathered from the rows that are being published: whatever a staged
 * segment holds that is alive was written since the last publication, so its
 * row is among them.  Names are hints, looked up in the index at the end.
 */
#include "publishing.h"
#include <stdlib.h>

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
    borrowed_free(&r->borrowed);
    free(r);
}

static void add_runs(struct reverse *r, uint64_t ino, uint64_t base, const struct run *runs, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        struct reverse_entry e = {
            .ino = ino, .first = base + runs[k].first, .segment = runs[k].segment,
            .offset = runs[k].offset, .count = runs[k].count, .last = runs[k].sealed,
            .valid = runs[k].valid };
        buf_append(&r->entries, &e, sizeof e);
    }
}

/* --- owners ----------------------------------------------------------------------- */

struct owner owner_of_row(const struct inode_row *row)
{
    return (struct owner){ row->ino, row->version, row->parent, row->cookie, row->size };
}

static int by_ino(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

void owners_sort(struct buf *owners)
{
    if (owners->len)
        qsort(owners->data, owners->len / sizeof(struct owner), sizeof(struct owner), by_ino);
}

const struct owner *owner_find(const struct buf *owners, uint64_t ino)
{
    struct owner key = { .ino = ino };
    return owners->len ? bsearch(&key, owners->data, owners->len / sizeof key, sizeof key, by_ino) : NULL;
}

int owner_name(struct fs *fs, const struct owner *o, struct reverse_run *run, struct row_hold *hold)
{
    struct dirent_row d;

    int rc = index_dirent_at(fs->index, o->parent, o->cookie, &d, hold);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    run->name = d.name;
    run->name_len = d.name_len;
    return 0;
}

/* --- gathering -------------------------------------------------------------------- */

int reverse_add(void *reverse, const uint8_t *rows, size_t len)
{
    struct reverse *r = reverse;
    struct reader in = reader_over(rows, len);
    struct record *rec = malloc(sizeof *rec);
    int rc = rec ? 1 : -ENOMEM;

    while (rc == 1 && (rc = batch_next(&in, rec)) == 1) {
        if (rec->kind == RECORD_CHUNK) {
            add_runs(r, rec->chunk.ino, rec->chunk.n * CHUNK_BLOCKS, rec->chunk.runs, rec->chunk.run_count);
        } else if (rec->kind == RECORD_INODE && S_ISREG(rec->inode.mode)) {
            struct owner o = owner_of_row(&rec->inode);
            add_runs(r, rec->inode.ino, 0, rec->inode.runs, rec->inode.run_count);
            buf_append(&r->owners, &o, sizeof o);
        }
    }
    free(rec);
    r->sorted = false;
    return rc ? rc : r->entries.failed || r->owners.failed ? -ENOMEM : 0;
}

/* Of two at the same place the longer one first: it covers the other. */
static int by_place(const void *a, const void *b)
{
    const struct reverse_entry *x = a, *y = b;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->count > y->count ? -1 : x->count < y->count;
}

static void sort(struct reverse *r)
{
    if (r->sorted)
        return;
    if (r->entries.len)
        qsort(r->entries.data, r->entries.len / sizeof(struct reverse_entry), sizeof(struct reverse_entry), by_place);
    owners_sort(&r->owners);
    r->sorted = true;
}

/* One segment's runs, in the order of their bytes, as they are written. */
struct listing {
    struct fs *fs;
    struct reverse *r;
    size_t budget;
    uint64_t named;            /* the file whose name was told last */
    uint64_t covered;          /* bytes below have a reference */
    size_t left, needed;       /* runs to come; those of them that are the first reference */
    struct row_hold hold;
    struct buf *out;
};

static uint64_t end_of(const struct reverse_entry *e)
{
    return e->offset + (uint64_t)(e->count - 1) * SEALED_BLOCK + e->last + SEAL_OVERHEAD;
}

/* Is there room for a run with so long a name, and for `runs` more? */
static bool affordable(const struct listing *l, size_t name_len, size_t runs)
{
    return l->out->len + name_len + (1 + runs) * REVERSE_RUN_MAX <= l->budget;
}

static int write_run(struct listing *l, const struct reverse_entry *e)
{
    const struct owner *o = owner_find(&l->r->owners, e->ino), nobody = { .ino = e->ino };
    struct reverse_run run = { .ino = e->ino, .first = e->first, .offset = e->offset,
                               .count = e->count, .last = e->last };
    bool first = end_of(e) > l->covered;
    int rc = 0;

    l->left--;
    if (first) {
        l->covered = end_of(e);
        l->needed--;
    } else if (!affordable(l, 0, l->needed)) {
        borrowed_left(&l->r->borrowed, o ? o : &nobody, e);
        return 0;
    }
    if (o) {
        run.version = o->version;
        run.parent = o->parent;
        if (l->named != e->ino)   /* once per file and segment is enough */
            rc = owner_name(l->fs, o, &run, &l->hold);
        if (!affordable(l, run.name_len, l->left))
            run.name_len = 0;
        l->named = e->ino;
    }
    footer_run(l->out, &run);
    return rc;
}

static size_t count_needed(const struct reverse_entry *e, size_t count)
{
    uint64_t covered = 0;
    size_t needed = 0;

    for (size_t k = 0; k < count; k++)
        if (end_of(&e[k]) > covered) {
            covered = end_of(&e[k]);
            needed++;
        }
    return needed;
}

/* Where the entries of segment numbers from `segment` on begin. */
static size_t lower_bound(const struct reverse *r, uint64_t segment)
{
    const struct reverse_entry *e = (const struct reverse_entry *)(const void *)r->entries.data;
    size_t low = 0, high = r->entries.len / sizeof *e;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (e[mid].segment < segment)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t reverse_room(struct reverse *r, uint32_t segment)
{
    sort(r);
    return (lower_bound(r, (uint64_t)segment + 1) - lower_bound(r, segment)) * REVERSE_RUN_MAX;
}

int reverse_footer(struct fs *fs, struct reverse *r, uint32_t segment, size_t budget, struct buf *out)
{
    struct listing l = { .fs = fs, .r = r, .budget = budget, .out = out };
    int rc = 0;

    sort(r);
    const struct reverse_entry *e = (const struct reverse_entry *)(const void *)r->entries.data;
    size_t from = lower_bound(r, segment), end = lower_bound(r, (uint64_t)segment + 1);
    l.left = end - from;
    l.needed = from < end ? count_needed(e + from, end - from) : 0;
    footer_begin(out, fs->actors, fs->actor_count);
    for (size_t k = from; !rc && k < end; k++)
        rc = write_run(&l, &e[k]);
    row_hold_free(&l.hold);
    return rc ? rc : out->failed ? -ENOMEM : 0;
}
