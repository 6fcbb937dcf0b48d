/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Gives what is staged its names, many at a time.
 *
 * On a disk of its own a name must not be durable before the contents.  A sync for each
 * file waits once for the disk with each; so an export collects files that are whole,
 * starts writing them all, then syncs each, and only then names them: the first sync
 * makes the filesystem's journal durable for all, and the others find little left to do.
 * Not syncfs(2) instead: it would wait for whatever others write to that disk, does not
 * say which file failed, and does nothing on most network filesystems and all of FUSE.
 *
 *   - What has its name was synced before, with its attributes.
 *   - A folder gets its attributes behind all that was staged before it ended, so that
 *     nothing is put into it afterwards.
 *   - At most file_room files are open and not named, and BYTES_MAX of contents (or one
 *     file) not synced; what is in the batch is lost by a kill, and copied again.
 *
 * The vault needs none of this: an import's batch is one file.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_MAX 256u
#define FOLDERS_MAX 64u
#define BYTES_MAX (64u << 20)
#define DESCRIPTORS_KEPT 110u  /* for the walk and all else */

void staged_name(uint64_t number, char name[STAGED_NAME])
{
    snprintf(name, STAGED_NAME, "%016llx", (unsigned long long)number);
}

/* A file has one descriptor, a folder two. */
int batch_open(struct transfer *t)
{
    struct batch *b = &t->batch;
    struct rlimit limit = { .rlim_cur = 1024 };

    getrlimit(RLIMIT_NOFILE, &limit);
    size_t spare = limit.rlim_cur > DESCRIPTORS_KEPT ? (size_t)limit.rlim_cur - DESCRIPTORS_KEPT : 0;
    b->file_room = t->import || spare < 2 ? 1 : spare / 2 < FILES_MAX ? spare / 2 : FILES_MAX;
    b->folder_room = spare < 4 ? 1 : spare / 4 < FOLDERS_MAX ? spare / 4 : FOLDERS_MAX;
    b->files = calloc(b->file_room, sizeof *b->files);
    b->folders = calloc(b->folder_room, sizeof *b->folders);
    return b->files && b->folders ? 0 : -ENOMEM;
}

static struct node file_node(const struct transfer *t, const struct staged_file *f)
{
    const struct staged_folder *folder = &t->batch.folders[f->folder];
    return (struct node){ .above = folder->path, .name = f->name, .st = f->st, .from = -1, .to = folder->to };
}

/* --- collecting ------------------------------------------------------------------------ */

static void drop_file(struct transfer *t, struct staged_file *f)
{
    char staged[STAGED_NAME];

    staged_name(f->number, staged);
    if (f->fd >= 0)
        close(f->fd);
    if (f->number)
        unlinkat(t->staging, staged, 0);
    free(f->name);
    *f = (struct staged_file){ .fd = -1 };
}

static void clear(struct transfer *t)
{
    struct batch *b = &t->batch;

    while (b->file_count)
        drop_file(t, &b->files[--b->file_count]);
    while (b->folder_count) {
        struct staged_folder *f = &b->folders[--b->folder_count];
        close(f->to);
        if (f->from >= 0)
            close(f->from);
        free(f->path);
    }
    b->bytes = 0;
}

void batch_close(struct transfer *t)
{
    clear(t);
    free(t->batch.files);
    free(t->batch.folders);
    t->batch = (struct batch){ 0 };
}

/* The path of the node's folder, or with `itself` of the node; malloc'd. */
static char *path_of(const struct node *n, bool itself)
{
    struct buf path = { 0 };

    walk_path(n, &path);
    char *text = path.failed ? NULL : (char *)path.data;
    if (!text)
        buf_free(&path);
    else if (!itself) {
        char *slash = strrchr(text, '/');
        *(slash ? slash : text) = '\0';
    }
    return text;
}

static int add_folder(struct batch *b, const struct node *n, int to, bool itself)
{
    struct staged_folder f = { .number = itself ? n->self : n->folder, .from = -1, .to = fcntl(to, F_DUPFD_CLOEXEC, 3) };

    if (f.to < 0)
        return -errno;
    f.path = path_of(n, itself);
    if (!f.path) {
        close(f.to);
        return -ENOMEM;
    }
    b->folders[b->folder_count++] = f;
    return 0;
}

/* Of the folders in the batch, the one with this number, or NULL. The last ones are the likeliest. */
static struct staged_folder *find_folder(struct batch *b, uint64_t number)
{
    size_t k = b->folder_count;

    while (k && b->folders[k - 1].number != number)
        k--;
    return k ? &b->folders[k - 1] : NULL;
}

static int folder_of(struct transfer *t, const struct node *n, struct staged_folder **out)
{
    struct batch *b = &t->batch;
    int rc = 0;

    *out = find_folder(b, n->folder);
    if (*out)
        return 0;
    if (b->folder_count == b->folder_room)
        rc = batch_settle(t);
    if (!rc)
        rc = add_folder(b, n, n->to, false);
    *out = &b->folders[b->folder_count - !rc];
    return rc;
}

int batch_add(struct transfer *t, const struct node *n, struct staged_file s)
{
    struct batch *b = &t->batch;
    struct staged_folder *folder;

    int rc = folder_of(t, n, &folder);
    s.name = rc ? NULL : strdup(n->name);
    if (!rc && !s.name)
        rc = -ENOMEM;
    if (rc) {
        drop_file(t, &s);
        return rc;
    }
    s.folder = (size_t)(folder - b->folders);
    b->files[b->file_count++] = s;
    b->bytes += S_ISREG(s.st.st_mode) && !s.further ? (uint64_t)s.st.st_size : 0;
    return b->file_count == b->file_room || b->bytes >= BYTES_MAX ? batch_settle(t) : 0;
}

/* --- settling ------------------------------------------------------------------------------ */

static int sync_one(struct transfer *t, struct staged_file *f)
{
    struct node n = file_node(t, f);

    int rc = signals_caught() ? -EINTR : io_sync_all(f->fd, FAULT_transfer_sync);
    if (close(f->fd) && !rc)
        rc = -errno;
    f->fd = -1;
    if (!rc)
        return 0;
    rc = transfer_dest_error(t, &n, rc);
    free(f->name);
    f->name = NULL;                            /* it gets none */
    return rc;
}

static int sync_files(struct transfer *t)
{
    struct batch *b = &t->batch;
    int rc = 0;

    for (size_t k = 0; k < b->file_count; k++)
        if (b->files[k].fd >= 0)
            sync_file_range(b->files[k].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t k = 0; !rc && k < b->file_count; k++)
        rc = b->files[k].fd < 0 ? 0 : sync_one(t, &b->files[k]);
    return rc;
}

static void count_placed(struct transfer *t, const struct staged_file *f)
{
    if (S_ISLNK(f->st.st_mode)) {
        t->symlinks++;
    } else if (f->further) {
        t->hard_links++;
    } else {
        t->files++;
        t->bytes += (uint64_t)f->st.st_size;
    }
}

/* Where its next name is linked to. */
static int remember_placed(struct transfer *t, const struct node *n)
{
    const struct known_file *f = links_find(&t->links, &n->st);
    char *path = f ? path_of(n, true) : NULL;

    if (!f)
        return 0;
    struct identity to = f->to;
    return path ? links_add(&t->links, &n->st, &to, path, 0) : -ENOMEM;
}

static int place(struct transfer *t, struct staged_file *f)
{
    struct node n = file_node(t, f);
    char staged[STAGED_NAME];

    staged_name(f->number, staged);
    int rc = io_rename_new(t->staging, staged, n.to, n.name, FAULT_transfer_place);
    if (rc == -EEXIST) {
        transfer_leave(t, &n, LEFT_CONFLICT, 0);
        return 0;
    }
    if (rc)
        return transfer_dest_error(t, &n, rc);
    f->number = 0;
    count_placed(t, f);
    if (f->lost && !t->import)
        transfer_leave(t, &n, LEFT_ATTRIBUTES, 0);
    return S_ISREG(f->st.st_mode) && f->st.st_nlink > 1 ? remember_placed(t, &n) : 0;
}

static int end_folder(struct transfer *t, const struct node *n, int from, int to)
{
    int rc = attributes_copy(t, from, to, &n->st);

    if (rc < 0)
        return transfer_dest_error(t, n, rc);
    if (rc && !t->import)
        transfer_leave(t, n, LEFT_ATTRIBUTES, 0);
    return 0;
}

int batch_settle(struct transfer *t)
{
    struct batch *b = &t->batch;

    int rc = sync_files(t);
    for (size_t k = 0; !rc && k < b->file_count; k++)
        rc = b->files[k].name ? place(t, &b->files[k]) : 0;
    for (size_t k = 0; !rc && k < b->folder_count; k++) {
        struct staged_folder *f = &b->folders[k];
        struct node n = { .above = "", .name = f->path, .st = f->st, .from = -1, .to = -1 };
        rc = f->from < 0 ? 0 : end_folder(t, &n, f->from, f->to);
    }
    clear(t);
    return rc;
}

int batch_end_folder(struct transfer *t, const struct node *n, int from, int to)
{
    struct batch *b = &t->batch;
    struct staged_folder *f = find_folder(b, n->self);
    int rc = 0;

    if (!f && b->folder_count == b->folder_room)
        rc = batch_settle(t);
    if (!rc && !b->file_count)
        return end_folder(t, n, from, to);
    if (!rc && !f)
        rc = add_folder(b, n, to, true);
    if (rc)
        return rc;
    f = find_folder(b, n->self);
    f->st = n->st;
    f->from = fcntl(from, F_DUPFD_CLOEXEC, 3);
    return f->from < 0 ? -errno : 0;
}
