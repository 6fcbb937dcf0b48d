/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Gives what is staged its names, many at a time.
 *
 * On a disk of its own a name must not be durable before the contents.  A sync for each
 * file makes the disk empty its own memory with each; so an export collects files that
 * are whole, has them all written, makes that durable at once, and only then names them.
 *
 * At once is syncfs(2), which also waits for what others have written to that disk: only
 * with many files, on filesystems where it is a barrier for contents and disk (it does
 * nothing for most network filesystems and for FUSE), and not while others have much in
 * the air.  Else it is an fsync for each.  Errors of single files are those of the wait
 * for them, as syncfs(2) did not tell any before Linux 5.8.
 *
 *   - What has its name was synced before, with its attributes.
 *   - A folder gets its attributes behind all that was staged before it ended, so that
 *     nothing is put into it afterwards.
 *   - While one batch is synced, by a thread that does nothing else, the next one fills.
 *     Each is at most FILES_MAX files and, but for its last one, BYTES_MAX of contents;
 *     what is in them is lost by a kill, and copied again.
 *
 * The vault needs none of this: an import's batch is one file, placed at once.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FILES_MAX 192u
#define FOLDERS_MAX 48u
#define BYTES_MAX (64u << 20)
#define WHOLE_MIN 16u          /* files for which one syncfs(2) is less than an fsync each */
#define OTHERS_MAX (256u << 20)
#define DESCRIPTORS_KEPT 110u  /* for the walk and all else */

void staged_name(uint64_t number, char name[STAGED_NAME])
{
    snprintf(name, STAGED_NAME, "%016llx", (unsigned long long)number);
}

static size_t within(size_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : value;
}

static int open_one(struct batch *b, size_t files, size_t folders)
{
    *b = (struct batch){ .file_room = files, .folder_room = folders };
    b->files = calloc(files, sizeof *b->files);
    b->folders = calloc(folders, sizeof *b->folders);
    return b->files && b->folders ? 0 : -ENOMEM;
}

/* Of two batches: a file has one descriptor, a folder two. */
int batches_open(struct transfer *t)
{
    struct rlimit limit = { .rlim_cur = 1024 };

    getrlimit(RLIMIT_NOFILE, &limit);
    size_t spare = limit.rlim_cur > DESCRIPTORS_KEPT ? (size_t)limit.rlim_cur - DESCRIPTORS_KEPT : 0;
    size_t files = t->import ? 1 : within(spare / 4, 1, FILES_MAX), folders = within(spare / 8, 1, FOLDERS_MAX);
    int rc = open_one(&t->filling, files, folders);
    return rc ? rc : open_one(&t->settling, files, folders);
}

static struct node file_node(const struct batch *b, const struct staged_file *f)
{
    const struct staged_folder *folder = &b->folders[f->folder];
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

static void clear(struct transfer *t, struct batch *b)
{
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
    b->error = 0;
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

/* --- settling ------------------------------------------------------------------------------ */

/* Written, but perhaps not beyond the disk's own memory. */
static int wait_written(int fd)
{
    while (sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
        if (errno != EINTR || signals_caught())
            return -errno;
    return 0;
}

/* Is syncfs(2) a barrier there, for contents, names and the disk? */
static bool syncs_whole(int dir)
{
    struct statfs fs;

    return fstatfs(dir, &fs) == 0 &&
           (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC);
}

/* What all programs have written and no disk has yet. */
static uint64_t dirty_bytes(void)
{
    uint64_t kib = UINT64_MAX >> 10;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && fgets(line, sizeof line, f) && sscanf(line, "Dirty: %" SCNu64, &kib) != 1)
        ;
    if (f)
        fclose(f);
    return kib << 10;
}

static int sync_file(int fd, bool whole)
{
    if (signals_caught())
        return -EINTR;
    if (!whole)
        return io_sync_all(fd, FAULT_transfer_sync);
    int rc = fault_hit(FAULT_transfer_sync);
    return rc && rc != -EINTR ? rc : wait_written(fd);   /* interrupted, it waits again */
}

static void *sync_files(void *arg)
{
    struct batch *b = arg;
    bool whole = b->file_count >= WHOLE_MIN && syncs_whole(b->staging) && dirty_bytes() < b->bytes + OTHERS_MAX;
    int rc = 0;

    for (size_t k = 0; k < b->file_count; k++)
        if (b->files[k].fd >= 0)
            sync_file_range(b->files[k].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t k = 0; !rc && k < b->file_count; k++)
        if (b->files[k].fd >= 0)
            rc = sync_file(b->files[k].fd, whole);
    if (!rc && whole && syncfs(b->staging))
        rc = -errno;
    b->error = rc;
    return NULL;
}

static void start_syncing(struct batch *b)
{
    bool any = false;

    for (size_t k = 0; k < b->file_count; k++)
        any |= b->files[k].fd >= 0;
    b->running = any && pthread_create(&b->thread, NULL, sync_files, b) == 0;
    if (any && !b->running)
        sync_files(b);
}

static void wait_for(struct batch *b)
{
    if (b->running)
        pthread_join(b->thread, NULL);
    b->running = false;
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

static int place(struct transfer *t, const struct batch *b, struct staged_file *f)
{
    struct node n = file_node(b, f);
    char staged[STAGED_NAME];

    staged_name(f->number, staged);
    int rc = io_rename_claiming(t->staging, staged, n.to, n.name, FAULT_transfer_place);
    if (rc == -EEXIST) {
        transfer_leave(t, &n, LEFT_CONFLICT, 0);
        return 0;
    }
    if (rc)
        return transfer_name_error(t, &n, rc);
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

/* The batch that is being synced: nothing of it is left afterwards. */
static int finish(struct transfer *t)
{
    struct batch *b = &t->settling;

    wait_for(b);
    int rc = b->error;
    if (rc)                                    /* nothing there can be trusted any more */
        t->blamed = t->dest_path;
    for (size_t k = 0; !rc && k < b->file_count; k++)
        rc = place(t, b, &b->files[k]);
    for (size_t k = 0; !rc && k < b->folder_count; k++) {
        struct staged_folder *f = &b->folders[k];
        struct node n = { .above = "", .name = f->path, .st = f->st, .from = -1, .to = -1 };
        rc = f->from < 0 ? 0 : end_folder(t, &n, f->from, f->to);
    }
    clear(t, b);
    return rc;
}

/* An import's is placed at once: it has nothing to wait for. */
static int next_batch(struct transfer *t)
{
    int rc = finish(t);
    if (rc)
        return rc;
    struct batch full = t->filling;
    t->filling = t->settling;
    t->settling = full;
    t->settling.staging = t->staging;
    start_syncing(&t->settling);
    return t->import ? finish(t) : 0;
}

int batches_settle(struct transfer *t)
{
    int rc = t->filling.files ? next_batch(t) : 0;
    return rc ? rc : finish(t);
}

void batches_close(struct transfer *t)
{
    struct batch *both[] = { &t->settling, &t->filling };

    for (size_t k = 0; k < ARRAY_SIZE(both); k++) {
        wait_for(both[k]);
        clear(t, both[k]);
        free(both[k]->files);
        free(both[k]->folders);
        *both[k] = (struct batch){ 0 };
    }
}

/* --- filling --------------------------------------------------------------------------------- */

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
    struct batch *b = &t->filling;
    int rc = 0;

    *out = find_folder(b, n->folder);
    if (*out)
        return 0;
    if (b->folder_count == b->folder_room)
        rc = next_batch(t);
    if (!rc)
        rc = add_folder(b, n, n->to, false);
    *out = &b->folders[b->folder_count - !rc];
    return rc;
}

int batch_add(struct transfer *t, const struct node *n, struct staged_file s)
{
    struct batch *b = &t->filling;
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
    return b->file_count == b->file_room || b->bytes >= BYTES_MAX ? next_batch(t) : 0;
}

int batch_end_folder(struct transfer *t, const struct node *n, int from, int to)
{
    struct batch *b = &t->filling;
    struct staged_folder *f = find_folder(b, n->self);
    int rc = 0;

    if (!b->file_count && !t->settling.file_count)
        return end_folder(t, n, from, to);
    if (!f && b->folder_count == b->folder_room)
        rc = next_batch(t);
    if (!rc && !f)
        rc = add_folder(b, n, to, true);
    if (rc)
        return rc;
    f = find_folder(b, n->self);
    f->st = n->st;
    f->from = fcntl(from, F_DUPFD_CLOEXEC, 3);
    return f->from < 0 ? -errno : 0;
}
