/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Both sides of a comparison: the vault, and the twin that says what it holds.
 *
 * The twin is as plain as can be: six names, each with a number of a file or
 * none; files are bytes in memory.  Contents follow from the amount, the name
 * and how often something was written, so that old, new and mixed differ.
 */
#include "world.h"
#include "disk.h"
#include "fs/internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DIRECTORY 3u
#define FILES 12u
#define SIZE_MAX_TWIN (300u << 10)

static const char *const paths[NAMES] = { "a", "b", "c", "d", "d/a", "d/b" };
static const struct fs_who who = { 0, 0, 022 };

/* What OP_WRITE writes, and to which size OP_TRUNCATE cuts. */
static const struct { uint32_t offset, len; } writes[AMOUNTS] = {
    { 0, 100 }, { 3000, 5000 }, { 0, 200u << 10 }, { 4096, 4096 },
};
static const uint32_t sizes[AMOUNTS] = { 0, 1000, 9000, 200u << 10 };

static void pattern(uint8_t *p, size_t len, unsigned name, unsigned amount)
{
    uint32_t x = (name * 16 + amount) * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
}

/* --- all operations ----------------------------------------------------------------- */

static const struct op all[] = {
    { OP_WRITE, 0, 0, 0 }, { OP_WRITE, 0, 0, 1 }, { OP_WRITE, 0, 0, 2 }, { OP_WRITE, 1, 0, 3 }, { OP_CREATE, 2, 0, 0 },
    { OP_WRITE, 2, 0, 1 }, { OP_TRUNCATE, 0, 0, 0 }, { OP_TRUNCATE, 0, 0, 1 }, { OP_TRUNCATE, 1, 0, 2 },
    { OP_RENAME, 0, 1, 0 }, { OP_RENAME, 1, 2, 0 }, { OP_RENAME, 2, 0, 0 }, { OP_RENAME, 0, 4, 0 },
    { OP_RENAME, 4, 0, 0 }, { OP_LINK, 0, 2, 0 }, { OP_LINK, 1, 5, 0 }, { OP_UNLINK, 0, 0, 0 }, { OP_UNLINK, 1, 0, 0 },
    { OP_UNLINK, 4, 0, 0 }, { OP_CREATE, 5, 0, 0 }, { OP_WRITE, 4, 0, 2 }, { OP_RMDIR, 3, 0, 0 }, { OP_MKDIR, 3, 0, 0 },
    { OP_XATTR, 0, 0, 0 }, { OP_COPY, 1, 0, 0 }, { OP_SYNC, 0, 0, 0 }, { OP_COMMIT, 0, 0, 0 }, { OP_FLUSH, 0, 0, 0 },
    { OP_GC, 0, 0, 0 },
};

bool op_at(unsigned number, struct op *out)
{
    if (number >= ARRAY_SIZE(all))
        return false;
    *out = all[number];
    return true;
}

void op_text(const struct op *op, char out[64])
{
    static const char *const words[] = { "create", "write", "truncate", "rename", "link", "unlink", "mkdir",
                                         "rmdir", "xattr", "copy", "sync", "commit", "flush",
                                         "gc" };
    const char *name = paths[op->name], *other = paths[op->other], *word = words[op->kind];

    if (op_is_sync(op))
        snprintf(out, 64, "%s", word);
    else if (op->kind == OP_RENAME || op->kind == OP_LINK || op->kind == OP_COPY)
        snprintf(out, 64, "%s %s %s", word, name, other);
    else if (op->kind == OP_WRITE)
        snprintf(out, 64, "write %s %u+%u", name, writes[op->amount].offset, writes[op->amount].len);
    else if (op->kind == OP_TRUNCATE)
        snprintf(out, 64, "truncate %s %u", name, sizes[op->amount]);
    else
        snprintf(out, 64, "%s %s", word, name);
}

/* --- the vault ------------------------------------------------------------------------ */

void world_places(const struct world *w, char store[96], char state[96])
{
    snprintf(store, 96, "%s/store", w->top);
    snprintf(state, 96, "%s/state", w->top);
}

static char folder[64];
static pid_t maker;

static void remove_folder(void)
{
    char command[96];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (getpid() == maker && system(command))
        perror(folder);
}

void memory_folder(char out[64])
{
    const char *in = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/ecluse-XXXXXX", in ? in : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(2);
    }
    maker = getpid();
    atexit(remove_folder);
    memcpy(out, folder, sizeof folder);
}

static void die(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, error_name(rc));
    exit(2);
}

void world_make(struct world *w)
{
    char store[96], state[96];
    struct opened v;
    struct vault_options o = { .store_path = store, .state_dir = state, .suite = SUITE_AES_256_GCM,
                               .cost = KDF_FLOOR };

    world_places(w, store, state);
    int rc = crypto_start();
    if (!rc)
        rc = vault_create(&o, w->recovery, &w->vault);
    if (!rc)
        rc = world_open(w, &v);
    if (rc)
        die("world_make", rc);
    /* What twin_new has. */
    static const struct op first[] = {
        { OP_CREATE, 0, 0, 0 }, { OP_WRITE, 0, 0, 2 }, { OP_CREATE, 1, 0, 0 }, { OP_WRITE, 1, 0, 1 },
        { OP_MKDIR, 3, 0, 0 }, { OP_CREATE, 4, 0, 0 }, { OP_WRITE, 4, 0, 0 }, { OP_FLUSH, 0, 0, 0 },
    };
    for (size_t k = 0; !rc && k < ARRAY_SIZE(first); k++)
        rc = op_run(v.fs, &first[k]);
    if (!rc)
        rc = world_close(&v);
    if (rc)
        die("world_make", rc);
}

int world_open(const struct world *w, struct opened *v)
{
    char store[96], state[96], path[PATH_MAX];
    struct fs_options o = { .owners = true };
    uint8_t *header = NULL;
    size_t len;

    *v = (struct opened){ .state = { .dir = -1, .staging = -1, .lock = -1 } };
    world_places(w, store, state);
    int rc = state_path(path, state, &w->vault);
    disk_begin();
    if (!rc)
        rc = state_open(&v->state, path, &w->vault);
    if (!rc)
        rc = keyring_unlock(v->state.keys, SLOT_RECOVERY, w->recovery, KEY_SIZE);
    bool adopt = !rc && v->state.cloned;
    if (adopt)
        rc = keyring_new_actor(v->state.keys);
    if (!rc && adopt)
        rc = keyring_save(v->state.keys, v->state.dir, "keyring");
    if (!rc)
        rc = store_open(&v->store, store, &header, &len);
    free(header);
    if (!rc)
        rc = fs_open(&v->fs, &v->state, v->store, &o);
    if (!rc && adopt)
        rc = state_adopt(&v->state);
    if (rc)
        world_close(v);
    disk_end();
    return rc;
}

int world_close(struct opened *v)
{
    disk_begin();
    int rc = v->fs ? fs_close(v->fs) : 0;
    state_close(&v->state);
    store_close(v->store);
    v->fs = NULL;
    v->store = NULL;
    disk_end();
    return rc;
}

void world_adopt(const struct world *w)
{
    char store[96], state[96], path[PATH_MAX];
    struct state s = { .dir = -1, .staging = -1, .lock = -1 };

    world_places(w, store, state);
    int rc = state_path(path, state, &w->vault);
    if (!rc)
        rc = state_open(&s, path, &w->vault);
    if (!rc)
        rc = state_adopt(&s);
    state_close(&s);
    if (rc)
        die("world_adopt", rc);
}

/* --- operations on the vault -------------------------------------------------------------- */

static int find(struct fs *fs, uint64_t dir, const char *name, uint64_t *ino)
{
    struct stat st;
    bool exact;
    int rc = fs_lookup(fs, dir, name, &st, &exact);
    if (!rc)
        *ino = st.st_ino;
    return rc;
}

/* Directory and last word of a name. */
static int place_of(struct fs *fs, unsigned name, uint64_t *dir, const char **word)
{
    *dir = ROOT_INO;
    *word = paths[name];
    if (name <= DIRECTORY)
        return 0;
    *word = paths[name] + 2;
    return find(fs, ROOT_INO, paths[DIRECTORY], dir);
}

static int file_of(struct fs *fs, unsigned name, uint64_t *ino)
{
    uint64_t dir;
    const char *word;
    int rc = place_of(fs, name, &dir, &word);
    return rc ? rc : find(fs, dir, word, ino);
}

static int write_file(struct fs *fs, uint64_t ino, const struct op *op)
{
    static uint8_t bytes[SIZE_MAX_TWIN];    /* this memory must not fail */
    uint32_t len = writes[op->amount].len;

    pattern(bytes, len, op->name, op->amount);
    int rc = fs_open_file(fs, ino, O_WRONLY, false);
    if (!rc) {
        ssize_t n = fs_write(fs, ino, bytes, len, writes[op->amount].offset, false, false);
        rc = n < 0 ? (int)n : 0;
        fs_release(fs, ino, O_WRONLY);
    }
    return rc;
}

static int copy_file(struct fs *fs, uint64_t from, uint64_t to)
{
    int rc = fs_open_file(fs, from, O_RDONLY, false);
    if (rc)
        return rc;
    rc = fs_open_file(fs, to, O_WRONLY, false);
    if (!rc) {
        ssize_t n = fs_copy(fs, from, 0, to, 0, BLOCK_SIZE);
        rc = n < 0 ? (int)n : 0;
        fs_release(fs, to, O_WRONLY);
    }
    fs_release(fs, from, O_RDONLY);
    return rc;
}

static int on_file(struct fs *fs, const struct op *op)
{
    struct stat st = { .st_size = sizes[op->amount] };
    uint64_t ino, other;

    int rc = file_of(fs, op->name, &ino);
    if (rc)
        return rc;
    switch (op->kind) {
    case OP_WRITE:
        return write_file(fs, ino, op);
    case OP_TRUNCATE:
        return fs_setattr(fs, ino, FS_SET_SIZE, &st, &st);
    case OP_XATTR:
        return fs_setxattr(fs, ino, "user.mark", "marked", 6, 0);
    default:                       /* OP_COPY */
        rc = file_of(fs, op->other, &other);
        return rc ? rc : copy_file(fs, ino, other);
    }
}

static int on_names(struct fs *fs, const struct op *op)
{
    uint64_t dir, to_dir, ino;
    const char *word, *to;
    struct stat st;

    int rc = place_of(fs, op->name, &dir, &word);
    if (!rc)
        rc = place_of(fs, op->other, &to_dir, &to);
    if (rc)
        return rc;
    switch (op->kind) {
    case OP_CREATE:
        rc = fs_create(fs, dir, word, &who, 0666, O_WRONLY | O_EXCL, &st);
        if (!rc)
            fs_release(fs, st.st_ino, O_WRONLY);
        return rc;
    case OP_MKDIR:
        return fs_mkdir(fs, dir, word, &who, 0777, &st);
    case OP_RMDIR:
        return fs_rmdir(fs, dir, word);
    case OP_UNLINK:
        return fs_unlink(fs, dir, word);
    case OP_RENAME:
        return fs_rename(fs, dir, word, to_dir, to, 0);
    default:                       /* OP_LINK */
        rc = file_of(fs, op->name, &ino);
        return rc ? rc : fs_link(fs, ino, to_dir, to, &st);
    }
}

static int run(struct fs *fs, const struct op *op)
{
    switch (op->kind) {
    case OP_SYNC:
        return fs_sync(fs);
    case OP_COMMIT:
        return commit_all(fs, true);
    case OP_FLUSH:
        return fs_flush(fs);
    case OP_GC: {
        struct gc_report report;
        return fs_gc(fs, true, &report);
    }
    case OP_WRITE: case OP_TRUNCATE: case OP_XATTR: case OP_COPY:
        return on_file(fs, op);
    default:
        return on_names(fs, op);
    }
}

int op_run(struct fs *fs, const struct op *op)
{
    disk_begin();
    int rc = run(fs, op);
    disk_end();
    return rc;
}

/* --- the tree as the vault has it ------------------------------------------------------------ */

/* One line for a name: "path type links size hash xattr". */
static void line(struct buf *out, const char *path, bool dir, unsigned links, uint64_t size, const uint8_t *bytes,
                 bool marked)
{
    char text[256], hex[17];
    uint8_t hash[SHA256_SIZE];

    crypto_sha256(bytes, size, hash);
    for (int k = 0; k < 8; k++)
        snprintf(hex + 2 * k, 3, "%02x", hash[k]);
    int n = dir ? snprintf(text, sizeof text, "%s/\n", path)
                : snprintf(text, sizeof text, "%s links %u size %llu %s%s\n", path, links,
                           (unsigned long long)size, hex, marked ? " marked" : "");
    buf_append(out, text, (size_t)n);
}

static int file_words(struct fs *fs, const char *path, uint64_t ino, struct buf *out)
{
    struct stat st;
    char mark[8];

    int rc = fs_getattr(fs, ino, &st);
    if (rc)
        return rc;
    if (S_ISDIR(st.st_mode)) {
        line(out, path, true, 0, 0, NULL, false);
        return 0;
    }
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    ssize_t n = fs_read(fs, ino, bytes, (size_t)st.st_size + 1, 0);
    if (n != st.st_size)
        rc = n < 0 ? (int)n : -EIO;
    ssize_t marked = fs_getxattr(fs, ino, "user.mark", mark, sizeof mark);
    if (!rc && marked < 0 && marked != -ENODATA)
        rc = (int)marked;
    if (!rc)
        line(out, path, false, (unsigned)st.st_nlink, (uint64_t)st.st_size, bytes, marked == 6);
    free(bytes);
    return rc;
}

static int count_name(void *ctx, const char *name, const struct stat *attr, uint64_t next)
{
    (void)attr, (void)next;
    *(unsigned *)ctx += strcmp(name, ".") && strcmp(name, "..");
    return 0;
}

int tree_words(struct fs *fs, struct buf *out)
{
    unsigned listed = 0, found = 0;
    uint64_t ino, dir = 0;
    int rc = 0;

    for (unsigned k = 0; !rc && k < NAMES; k++) {
        int missing = file_of(fs, k, &ino);
        if (missing == -ENOENT)
            continue;
        rc = missing ? missing : file_words(fs, paths[k], ino, out);
        found++;
        if (k == DIRECTORY)
            dir = ino;
    }
    /* Nor may anything else be listed. */
    if (!rc)
        rc = fs_readdir(fs, ROOT_INO, 0, false, count_name, &listed);
    if (!rc && dir)
        rc = fs_readdir(fs, dir, 0, false, count_name, &listed);
    return rc ? rc : listed == found ? 0 : -ENOTUNIQ;
}

int tree_hash(struct fs *fs, uint8_t out[SHA256_SIZE])
{
    struct buf words = { 0 };
    int rc = tree_words(fs, &words);
    if (!rc)
        crypto_sha256(words.data, words.len, out);
    buf_free(&words);
    return rc;
}

/* --- the twin --------------------------------------------------------------------------------- */

struct file { unsigned links; uint32_t size; bool dir, marked; uint8_t *bytes; };
struct twin { int names[NAMES]; struct file files[FILES]; };   /* -1: no such name */

struct twin *twin_new(void)
{
    static const struct op first[] = {
        { OP_CREATE, 0, 0, 0 }, { OP_WRITE, 0, 0, 2 }, { OP_CREATE, 1, 0, 0 }, { OP_WRITE, 1, 0, 1 },
        { OP_MKDIR, 3, 0, 0 }, { OP_CREATE, 4, 0, 0 }, { OP_WRITE, 4, 0, 0 },
    };
    struct twin *t = calloc(1, sizeof *t);

    for (unsigned k = 0; k < NAMES; k++)
        t->names[k] = -1;
    for (size_t k = 0; k < ARRAY_SIZE(first); k++)
        twin_run(t, &first[k]);
    return t;
}

struct twin *twin_copy(const struct twin *from)
{
    struct twin *t = malloc(sizeof *t);

    *t = *from;
    for (unsigned k = 0; k < FILES; k++)
        if (t->files[k].bytes) {
            t->files[k].bytes = malloc(SIZE_MAX_TWIN);
            memcpy(t->files[k].bytes, from->files[k].bytes, SIZE_MAX_TWIN);
        }
    return t;
}

void twin_free(struct twin *t)
{
    for (unsigned k = 0; t && k < FILES; k++)
        free(t->files[k].bytes);
    free(t);
}

static int make_file(struct twin *t, unsigned name, bool dir)
{
    int k = 0;
    while (t->files[k].links)
        k++;
    free(t->files[k].bytes);
    t->files[k] = (struct file){ .links = 1, .dir = dir, .bytes = calloc(1, SIZE_MAX_TWIN) };
    t->names[name] = k;
    return 0;
}

static void drop_name(struct twin *t, unsigned name)
{
    t->files[t->names[name]].links--;
    t->names[name] = -1;
}

static bool parent_missing(const struct twin *t, unsigned name)
{
    return name > DIRECTORY && t->names[DIRECTORY] < 0;
}

static void resize(struct file *f, uint32_t size)
{
    if (size < f->size)
        memset(f->bytes + size, 0, f->size - size);
    f->size = size;
}

static void overwrite(struct file *f, const struct op *op)
{
    uint32_t end = writes[op->amount].offset + writes[op->amount].len;

    pattern(f->bytes + writes[op->amount].offset, writes[op->amount].len, op->name, op->amount);
    if (end > f->size)
        f->size = end;
}

static int twin_file(struct twin *t, struct file *f, const struct op *op)
{
    switch (op->kind) {
    case OP_WRITE:
        overwrite(f, op);
        return 0;
    case OP_TRUNCATE:
        resize(f, sizes[op->amount]);
        return 0;
    case OP_XATTR:
        f->marked = true;
        return 0;
    default: {                     /* OP_COPY */
        if (t->names[op->other] < 0)
            return -ENOENT;
        struct file *to = &t->files[t->names[op->other]];
        uint32_t len = f->size < BLOCK_SIZE ? f->size : BLOCK_SIZE;
        memmove(to->bytes, f->bytes, len);
        if (len > to->size)
            to->size = len;
        return 0;
    }
    }
}

static int twin_rename(struct twin *t, unsigned from, unsigned to)
{
    if (t->names[from] < 0)
        return -ENOENT;
    if (t->names[to] == t->names[from])
        return 0;                  /* two names of one file: nothing happens */
    if (t->names[to] >= 0)
        drop_name(t, to);
    t->names[to] = t->names[from];
    t->names[from] = -1;
    return 0;
}

static int twin_names(struct twin *t, const struct op *op)
{
    bool there = t->names[op->name] >= 0;

    switch (op->kind) {
    case OP_CREATE: case OP_MKDIR:
        return there ? -EEXIST : make_file(t, op->name, op->kind == OP_MKDIR);
    case OP_RMDIR:
        if (there && (t->names[4] >= 0 || t->names[5] >= 0))
            return -ENOTEMPTY;
        /* fall through */
    case OP_UNLINK:
        if (!there)
            return -ENOENT;
        drop_name(t, op->name);
        return 0;
    case OP_RENAME:
        return twin_rename(t, op->name, op->other);
    default:                       /* OP_LINK */
        if (!there)
            return -ENOENT;
        if (t->names[op->other] >= 0)
            return -EEXIST;
        t->names[op->other] = t->names[op->name];
        t->files[t->names[op->name]].links++;
        return 0;
    }
}

int twin_run(struct twin *t, const struct op *op)
{
    if (op_is_sync(op))
        return 0;
    if (parent_missing(t, op->name) || parent_missing(t, op->other))
        return -ENOENT;
    bool contents = op->kind == OP_WRITE || op->kind == OP_TRUNCATE || op->kind == OP_XATTR || op->kind == OP_COPY;
    if (!contents)
        return twin_names(t, op);
    if (t->names[op->name] < 0)
        return -ENOENT;
    return twin_file(t, &t->files[t->names[op->name]], op);
}

void twin_words(const struct twin *t, struct buf *out)
{
    for (unsigned k = 0; k < NAMES; k++) {
        if (t->names[k] < 0)
            continue;
        const struct file *f = &t->files[t->names[k]];
        line(out, paths[k], f->dir, f->links, f->size, f->bytes, f->marked);
    }
}

void twin_hash(const struct twin *t, uint8_t out[SHA256_SIZE])
{
    struct buf words = { 0 };
    twin_words(t, &words);
    crypto_sha256(words.data, words.len, out);
    buf_free(&words);
}
