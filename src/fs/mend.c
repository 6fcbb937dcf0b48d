/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * After some rows were lost: the rest made to fit together.
 *
 * Entries that lead nowhere go; counts of links and entries follow the entries
 * that are there; a file or directory that has no name left gets one in the root
 * directory, `recovered-<number>`.  What is changed is noted as unpublished like
 * any change.  Several rounds, since one repair may call for another.
 */
#include "rebuild.h"
#include <stdio.h>

#define GENERATION 1u
#define ROUNDS 8u
#define TYPE_SHIFT 12

struct mending {
    struct rebuild *b;
    struct buf rows;
    struct row_hold hold;
    uint64_t found;
};

static int fix_counts(struct mending *m, uint64_t ino, uint64_t links, uint64_t entries)
{
    struct inode_row row;

    int rc = index_inode(m->b->index, ino, &row, &m->hold);
    if (rc)
        return rc;
    row.nlink = (uint32_t)links;
    if (S_ISDIR(row.mode))
        row.size = entries;
    batch_inode(&m->rows, &row);
    return 0;
}

static int give_name(struct mending *m, uint64_t ino, uint64_t type)
{
    char name[40];
    struct inode_row row;

    int rc = index_inode(m->b->index, ino, &row, &m->hold);
    if (rc)
        return rc;
    int len = snprintf(name, sizeof name, "recovered-%llx", (unsigned long long)ino);
    row.parent = ROOT_INO;
    row.cookie = ++m->b->numbers.cookie;
    if (!S_ISDIR(row.mode))
        row.nlink = 1;
    batch_inode(&m->rows, &row);
    batch_dirent(&m->rows, &(struct dirent_row){ .parent = ROOT_INO, .cookie = row.cookie, .ino = ino,
                                                 .mode = (uint32_t)type << TYPE_SHIFT, .name_len = (uint8_t)len,
                                                 .name = (const uint8_t *)name });
    m->b->report->named++;
    return 0;
}

static int mend(void *ctx, enum index_flaw flaw, uint64_t a, uint64_t b, uint64_t c)
{
    struct mending *m = ctx;

    m->found++;
    switch (flaw) {
    case FLAW_ENTRY:
        batch_gone(&m->rows, RECORD_DIRENT_GONE, a, b);
        return 0;
    case FLAW_COUNTS:
        return fix_counts(m, a, b, c);
    case FLAW_NAMELESS:
        return give_name(m, a, b);
    }
    return -EINVAL;
}

int mend_rows(struct rebuild *b)
{
    struct mending m = { .b = b };
    int rc = 0;

    for (unsigned round = 0; !rc && round < ROUNDS; round++) {
        m.found = 0;
        buf_reset(&m.rows);
        rc = index_scan_flaws(b->index, mend, &m);
        if (!m.found)
            break;
        if (!rc)
            rc = m.rows.failed ? -ENOMEM : index_apply(b->index, &m.rows, true, GENERATION);
    }
    buf_free(&m.rows);
    row_hold_free(&m.hold);
    return rc;
}
