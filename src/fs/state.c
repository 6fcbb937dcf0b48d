/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The state directory: whose it is, whether it is in use, whether it is still
 * the one it was.
 *
 *   lock   magic 8 | format 4 | zeros 4 | machine 32 | file 20 | directory 20 | SHA-256 32
 *          file, directory: inode le64 | birth seconds le64 | nanoseconds le32
 *          machine: SHA-256("ecluse/machine" ‖ machine id), zeros when there is none
 *
 * Two machines that go on from copies of one state would write different
 * publications under one number.  So the lock file names the machine and, for
 * itself and the directory, what no copy can keep: the inode number and the time
 * of birth.  Anything else than what is expected, a torn or foreign lock file
 * too, means `cloned`: the worst of a false alarm is one more actor.
 *
 * Order for whoever mounts a cloned state: keyring_new_actor, keyring_save,
 * and only then state_adopt; a crash in between leaves it cloned.
 *
 * The lock is the open file's (flock): it passes to a forked daemon and ends
 * with the last descriptor.  The file is never replaced, so there is only one
 * thing to lock.
 *
 * Not promised: noticing a backup that was written back onto the same inodes, or a
 * snapshot of the whole disk or virtual machine that was turned back: they keep
 * inodes and births.  The publications in the store tell then (unseen.c), and
 * whoever finds that out disowns the state.
 */
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/journal.h>
#include <ecluse/log.h>
#include <ecluse/rebuild.h>
#include <ecluse/state.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_FORMAT 1u
#define PLACE_BYTES 20u
#define LOG_LEAST 32             /* the header of the index's log */
enum { AT_FORMAT = 8, AT_MACHINE = 16, AT_FILE = 48, AT_DIRECTORY = 68, AT_SUM = 88, LOCK_BYTES = 120 };
_Static_assert(AT_FILE + PLACE_BYTES == AT_DIRECTORY && AT_DIRECTORY + PLACE_BYTES == AT_SUM &&
               AT_SUM + SHA256_SIZE == LOCK_BYTES, "as documented");

static const uint8_t magic[8] = { 'E', 'C', 'L', 'S', 'T', 'A', 'T', 'E' };

/* --- where -------------------------------------------------------------------- */

static const char *home_directory(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    struct passwd *p = getpwuid(geteuid());
    return p && p->pw_dir && p->pw_dir[0] == '/' ? p->pw_dir : NULL;
}

int state_path(char out[PATH_MAX], const char *explicit_dir, const struct id128 *vault)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *base = explicit_dir, *below = "";
    char id[ID_TEXT];

    if (!base && geteuid() == 0) {
        base = "/var/lib/ecluse";
    } else if (!base && xdg && xdg[0] == '/') {
        base = xdg;
        below = "/ecluse";
    } else if (!base) {
        base = home_directory();
        below = "/.local/state/ecluse";
    }
    if (!base)
        return -ENOENT;
    id_format(vault, id);
    return snprintf(out, PATH_MAX, "%s%s/%s", base, below, id) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* --- identity ------------------------------------------------------------------ */

static bool read_machine_id(const char *path, char id[32])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    int rc = io_read_at(fd, id, 32, 0);
    close(fd);
    for (int i = 0; !rc && i < 32; i++)
        if (!strchr("0123456789abcdef", id[i]) || !id[i])
            rc = -EINVAL;
    return rc == 0;
}

/* Never the machine id itself, which systemd asks to keep private. A machine
 * without one is all zeros: a name that may change would be a false alarm. */
static void hash_machine(uint8_t out[SHA256_SIZE])
{
    static const char label[] = "ecluse/machine";
    char text[sizeof label - 1 + 32];

    memcpy(text, label, sizeof label - 1);
    memset(out, 0, SHA256_SIZE);
    if (read_machine_id("/etc/machine-id", text + sizeof label - 1) ||
        read_machine_id("/var/lib/dbus/machine-id", text + sizeof label - 1))
        crypto_sha256(text, sizeof text, out);
}

/* Where the filesystem keeps no time of birth it is zeros, always. */
static int describe_place(int fd, uint8_t out[PLACE_BYTES])
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st))
        return -errno;
    bool born = st.stx_mask & STATX_BTIME;
    put_le64(out, st.stx_ino);
    put_le64(out + 8, born ? (uint64_t)st.stx_btime.tv_sec : 0);
    put_le32(out + 16, born ? st.stx_btime.tv_nsec : 0);
    return 0;
}

/* What the lock file of this very directory, on this machine, must say. */
static int describe(const struct state *s, uint8_t out[LOCK_BYTES])
{
    memset(out, 0, LOCK_BYTES);
    memcpy(out, magic, sizeof magic);
    put_le32(out + AT_FORMAT, LOCK_FORMAT);
    hash_machine(out + AT_MACHINE);
    int rc = describe_place(s->lock, out + AT_FILE);
    if (!rc)
        rc = describe_place(s->dir, out + AT_DIRECTORY);
    if (!rc)
        crypto_sha256(out, AT_SUM, out + AT_SUM);
    return rc;
}

static int compare_identity(struct state *s)
{
    uint8_t expected[LOCK_BYTES], found[LOCK_BYTES];
    struct stat st;

    int rc = describe(s, expected);
    if (rc)
        return rc;
    if (fstat(s->lock, &st))
        return -errno;
    s->cloned = true;
    if (st.st_size != LOCK_BYTES)
        return 0;
    rc = io_read_at(s->lock, found, LOCK_BYTES, 0);
    s->cloned = rc || memcmp(expected, found, LOCK_BYTES);
    return rc == -ENODATA ? 0 : rc;
}

int state_adopt(struct state *s)
{
    uint8_t identity[LOCK_BYTES];

    int rc = describe(s, identity);
    if (!rc)
        rc = io_write_at(s->lock, identity, LOCK_BYTES, 0, FAULT_state_adopt);
    if (!rc && ftruncate(s->lock, LOCK_BYTES))
        rc = -errno;
    if (!rc)
        rc = io_sync(s->lock, FAULT_state_adopt);
    if (!rc)
        s->cloned = false;
    return rc;
}

int state_disown(struct state *s)
{
    static const uint8_t nobody[sizeof magic];

    int rc = io_write_at(s->lock, nobody, sizeof nobody, 0, FAULT_state_adopt);
    if (!rc)
        rc = io_sync(s->lock, FAULT_state_adopt);
    if (!rc)
        s->cloned = true;
    return rc;
}

/* --- opening -------------------------------------------------------------------- */

/* Ours, and nobody else's to look into or to change. */
static int check_private(int fd, mode_t type)
{
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    if ((st.st_mode & S_IFMT) != type)
        return E_STATE_DAMAGED;
    if (st.st_uid == geteuid() && (st.st_mode & 077) == 0)
        return 0;
    log_error("ECL-0330 the state belongs to somebody else or others may enter it (mode %03o)",
              (unsigned)(st.st_mode & 0777));
    return -EACCES;
}

static int open_directory(struct state *s, const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;    /* a slash at the end would follow a symbolic link */
    if (len >= sizeof s->path)
        return -ENAMETOOLONG;
    memcpy(s->path, path, len);
    s->path[len] = '\0';
    s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->dir >= 0)
        return check_private(s->dir, S_IFDIR);
    if (errno == ENOENT)
        return E_STATE_MISSING;
    return errno == ENOTDIR || errno == ELOOP ? E_STATE_DAMAGED : -errno;
}

/* A rebuild may have put another directory in its place before we had the lock. */
static int check_place(const struct state *s)
{
    struct stat here, there;

    if (fstat(s->dir, &here) || lstat(s->path, &there))
        return errno == ENOENT ? E_STATE_IN_USE : -errno;
    return here.st_ino == there.st_ino && here.st_dev == there.st_dev ? 0 : E_STATE_IN_USE;
}

static int take_lock(struct state *s)
{
    s->lock = openat(s->dir, "lock", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (s->lock < 0)
        return errno == ENOENT || errno == ELOOP || errno == EISDIR || errno == ENXIO ? state_damaged(s, "lock") : -errno;
    int rc = check_private(s->lock, S_IFREG);
    if (!rc && flock(s->lock, LOCK_EX | LOCK_NB))
        rc = errno == EWOULDBLOCK ? E_STATE_IN_USE : -errno;
    return rc ? rc : check_place(s);
}

static int load_keyring(struct state *s, const struct id128 *vault)
{
    int rc = keyring_load(&s->keys, s->dir, "keyring");
    if (rc == -ENOENT || rc == -ELOOP || rc == -EISDIR || rc == -EINVAL)
        rc = E_KEYRING;     /* not there, or not a file */
    if (rc == E_KEYRING)
        snprintf(s->damaged, sizeof s->damaged, "keyring");
    if (!rc && !id_equal(keyring_vault(s->keys), vault))
        rc = E_STATE_FOREIGN;
    return rc;
}

static int open_staging(struct state *s)
{
    s->staging = openat(s->dir, "staging", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->staging >= 0)
        return check_private(s->staging, S_IFDIR);
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? state_damaged(s, "staging") : -errno;
}

/* --- damage ------------------------------------------------------------------------- */

#define MARK "damaged"

int state_damaged(struct state *s, const char *what)
{
    snprintf(s->damaged, sizeof s->damaged, "%s", what);
    log_error("ECL-0332 state: %s is missing or damaged", what);
    return E_STATE_DAMAGED;
}

void state_mark_damaged(const struct state *s, const char *what)
{
    int rc = io_replace_file(s->dir, MARK, what, strlen(what), FAULT_other);
    if (rc)
        log_warning("ECL-0333 the damage could not be noted in the state: %s", error_name(rc));
}

/* What a mount before found, when it found damage. */
static int check_mark(struct state *s)
{
    uint8_t *text = NULL;
    size_t len = 0;
    char what[sizeof s->damaged];

    int rc = io_read_file(s->dir, MARK, sizeof what - 1, &text, &len);
    if (rc == -ENOENT)
        return 0;
    snprintf(what, sizeof what, "%s", rc ? "" : (const char *)text);
    free(text);
    for (char *p = what; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789./-", *p))
            *p = '?';
    return state_damaged(s, *what ? what : MARK);
}

/* Init makes all of them (layout.c), with at least that size. */
static int check_files(struct state *s)
{
    static const struct { const char *name; off_t least; } files[] = {
        { "index.db", 1 }, { "index.db-wal", LOG_LEAST }, { "journal", JOURNAL_SIZE },
    };
    struct stat st;

    for (size_t k = 0; k < ARRAY_SIZE(files); k++) {
        if (fstatat(s->dir, files[k].name, &st, AT_SYMLINK_NOFOLLOW)) {
            if (errno != ENOENT)
                return -errno;
            return state_damaged(s, files[k].name);
        }
        if (!S_ISREG(st.st_mode) || st.st_size < files[k].least)
            return state_damaged(s, files[k].name);
    }
    return check_mark(s);
}

static void closed(struct state *s)
{
    memset(s, 0, sizeof *s);
    s->dir = s->staging = s->lock = -1;
}

int state_open(struct state *s, const char *path, const struct id128 *vault)
{
    closed(s);
    int rc = open_directory(s, path);
    if (!rc)
        rc = take_lock(s);
    if (!rc)
        rc = load_keyring(s, vault);
    if (!rc)
        rc = open_staging(s);
    if (!rc)
        rc = check_files(s);
    if (!rc)
        rc = compare_identity(s);
    if (rc)
        state_close(s);
    return rc;
}

/* A rebuild that was killed between two renames left it aside (renewal.c). */
static int open_put_aside(struct state *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    char aside[PATH_MAX];

    if (!slash || snprintf(aside, sizeof aside, "%.*s/.%s.old", (int)(slash - path), path, slash + 1) >=
                      (int)sizeof aside)
        return E_STATE_MISSING;
    if (rename(aside, path))
        return errno == ENOENT ? E_STATE_MISSING : -errno;
    return open_directory(s, path);
}

int state_open_damaged(struct state *s, const char *path, const struct id128 *vault)
{
    closed(s);
    int rc = open_directory(s, path);
    if (rc == E_STATE_MISSING)
        rc = open_put_aside(s, path);
    if (!rc)
        rc = take_lock(s);
    if (rc == E_STATE_DAMAGED && s->dir >= 0)
        rc = 0;
    if (!rc && load_keyring(s, vault) == E_STATE_FOREIGN)
        rc = E_STATE_FOREIGN;
    if (!rc)
        rc = open_staging(s);
    if (rc == E_STATE_DAMAGED && s->dir >= 0)
        rc = 0;
    if (rc)
        state_close(s);
    return rc;
}

void state_close(struct state *s)
{
    keyring_free(s->keys);
    s->keys = NULL;
    if (s->staging >= 0)
        close(s->staging);
    if (s->dir >= 0)
        close(s->dir);
    if (s->lock >= 0)
        close(s->lock);   /* last: what was locked is no longer touched */
    s->staging = s->dir = s->lock = -1;
}
