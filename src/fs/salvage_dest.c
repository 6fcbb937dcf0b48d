/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Where salvaged files go.
 *
 *   DEST/folder-<number>/<name>              files of one directory together
 *   DEST/folder-<number>/file-<number>       one whose name is not known
 *   … .incomplete                            blocks are missing
 *   … .older-end                             a second form, with what was cut off
 *   … .<number of the file>                  the name was taken
 *   DEST/.salvage.partial                    the one that is being written
 *
 * Numbers are those of inodes, with the actor's place before them unless it is the
 * first.  A name is one component: footer_parse refuses others, and here every step
 * is one component, made by us, without following links.  Nothing is replaced.
 */
#include "salvaging.h"
#include <ecluse/io.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACTOR_SHIFT 48
#define COUNTER_MASK ((1ull << ACTOR_SHIFT) - 1)
#define NUMBER_TEXT 32
#define TRIES 1000u
static const char partial[] = ".salvage.partial";
/* By the marks of landing_finish. */
static const char *const endings[] = { "", ".incomplete", ".older-end", ".older-end.incomplete" };

static void number_text(uint64_t ino, char out[NUMBER_TEXT])
{
    if (ino >> ACTOR_SHIFT)
        snprintf(out, NUMBER_TEXT, "%llu-%llu", (unsigned long long)(ino >> ACTOR_SHIFT),
                 (unsigned long long)(ino & COUNTER_MASK));
    else
        snprintf(out, NUMBER_TEXT, "%llu", (unsigned long long)ino);
}

int landing_begin(const struct salvaging *s, struct landing *l, uint64_t ino, uint64_t parent)
{
    char number[NUMBER_TEXT];

    l->dest = s->o->dest;
    number_text(parent, number);
    snprintf(l->folder_name, sizeof l->folder_name, "folder-%s", number);
    number_text(ino, number);
    snprintf(l->path, sizeof l->path, "%s/file-%s", l->folder_name, number);
    if (mkdirat(l->dest, l->folder_name, 0700) && errno != EEXIST)
        return -errno;
    l->folder = openat(l->dest, l->folder_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (l->folder < 0)
        return -errno;
    l->fd = openat(l->dest, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    l->made = l->fd >= 0;
    return l->made ? 0 : -errno;
}

int landing_write(const struct landing *l, const uint8_t *bytes, size_t len, uint64_t offset)
{
    return io_write_at(l->fd, bytes, len, offset, FAULT_other);
}

/* Cut so that what is appended still fits, not within a UTF-8 sequence. */
static size_t fitting(const uint8_t *name, size_t len, size_t appended)
{
    if (len + appended <= NAME_LIMIT)
        return len;
    len = NAME_LIMIT - appended;
    while (len && (name[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static int try_names(struct landing *l, const uint8_t *base, size_t base_len, const char *number, unsigned marks)
{
    char name[NAME_LIMIT + 1], more[NUMBER_TEXT + 32] = "";
    const char *end = endings[marks];
    int rc = -EEXIST;

    for (unsigned k = 0; rc == -EEXIST && k < TRIES; k++) {
        if (k == 1)
            snprintf(more, sizeof more, ".%s", number);
        else if (k > 1)
            snprintf(more, sizeof more, ".%s.%u", number, k);
        size_t len = fitting(base, base_len, strlen(more) + strlen(end));
        snprintf(name, sizeof name, "%.*s%s%s", (int)len, (const char *)base, more, end);
        rc = io_rename_claiming(l->dest, partial, l->folder, name, FAULT_other);
    }
    if (!rc) {
        snprintf(l->path, sizeof l->path, "%s/%s", l->folder_name, name);
        l->made = false;
    }
    return rc;
}

int landing_finish(struct landing *l, uint64_t ino, uint64_t size, const uint8_t *name, size_t name_len,
                   unsigned marks)
{
    char number[NUMBER_TEXT], nameless[NUMBER_TEXT + 8];
    int rc = ftruncate(l->fd, (off_t)size) ? -errno : 0;

    if (close(l->fd) && !rc)     /* some filesystems tell only now that they are full */
        rc = -errno;
    l->fd = -1;
    number_text(ino, number);
    snprintf(nameless, sizeof nameless, "file-%s", number);
    if (rc)
        return rc;
    rc = name_len ? try_names(l, name, name_len, number, marks) : -EINVAL;
    /* Nor when this filesystem has not such a name: its encoding, length, characters. */
    if (rc == -EINVAL || rc == -EILSEQ || rc == -ENAMETOOLONG)
        rc = try_names(l, (const uint8_t *)nameless, strlen(nameless), number, marks);
    return rc;
}

void landing_end(struct landing *l)
{
    if (l->fd >= 0)
        close(l->fd);
    if (l->made)
        unlinkat(l->dest, partial, 0);
    if (l->folder >= 0)
        close(l->folder);
    *l = (struct landing){ .folder = -1, .fd = -1 };
}
