/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Where secrets come from: a file, standard input, a program, the service
 * manager's credentials, the terminal.  Never the command line, never the
 * environment (which holds at most the name of the credentials' directory).
 *
 * A file that group or others may read is refused, and so is one that belongs
 * to another user.  One newline at the end of a passphrase is not part of it;
 * a key file is taken byte for byte.  Everything lands in guarded memory.
 */
#include "internal.h"
#include "policy.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int sources_check(const struct sources *s, const char *command)
{
    if (!!s->passfile + !!s->extpass + !!s->keyfile > 1)
        return usage_error(command, _("only one of passfile, extpass and keyfile can be given"));
    return EXIT_DONE;
}

void secret_drop(struct secret *s)
{
    secret_free(s->bytes);
    *s = (struct secret){ 0 };
}

int secret_copy(const struct secret *from, struct secret *to)
{
    *to = (struct secret){ .kind = from->kind, .bytes = secret_alloc(from->len), .len = from->len,
                           .claimed = from->claimed };
    if (!to->bytes)
        return -ENOMEM;
    memcpy(to->bytes, from->bytes, from->len);
    return 0;
}

struct kdf_cost secret_cost(const struct secret *s, struct kdf_cost least)
{
    return s->bytes && s->kind == SLOT_PASSPHRASE ? policy_cost(kdf_calibrate(least, KDF_MILLISECONDS))
                                                 : (struct kdf_cost){ 0, 0 };
}

static int blamed_path(char *blamed, const char *path, int error)
{
    if (error)
        snprintf(blamed, PATH_MAX, "%s", path);
    return error;
}

/* --- files -------------------------------------------------------------------------- */

#define PRIVATE 077
/* Where systemd gives a credential to a user by an ACL, the mask of that ACL
 * shows as the group's right; the directory is the user's alone. */
#define CREDENTIAL 007

static int open_private(const char *path, mode_t forbidden)
{
    struct stat st;

    if (strcmp(path, "-") == 0)
        return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) ? -errno : 0;
    if (!rc && S_ISDIR(st.st_mode))
        rc = -EISDIR;
    if (!rc && ((st.st_mode & forbidden) || (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0)))
        rc = E_SECRET_EXPOSED;
    if (rc) {
        close(fd);
        return rc;
    }
    return fd;
}

/* The whole file, at most `limit` bytes; -EFBIG beyond. */
static int read_private(const char *path, mode_t forbidden, size_t limit, struct secret *out)
{
    int rc = 0;

    int fd = open_private(path, forbidden);
    if (fd < 0)
        return fd;
    out->bytes = secret_alloc(limit + 1);
    if (!out->bytes)
        rc = -ENOMEM;
    while (!rc) {
        ssize_t n = read(fd, out->bytes + out->len, limit + 1 - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        out->len += (size_t)n;
        if (out->len > limit)
            rc = -EFBIG;
    }
    close(fd);
    if (rc)
        secret_drop(out);
    return rc;
}

/* A passphrase without the newline at its end; an empty one is none. */
static int trim(struct secret *s)
{
    if (s->len && s->bytes[s->len - 1] == '\n')
        s->len--;
    if (s->len && s->bytes[s->len - 1] == '\r')
        s->len--;
    if (s->len)
        return 0;
    secret_drop(s);
    return E_NO_SECRET;
}

static int from_passfile(const char *path, mode_t forbidden, struct secret *out)
{
    out->kind = SLOT_PASSPHRASE;
    int rc = read_private(path, forbidden, PASSPHRASE_MAX, out);
    return rc ? rc : trim(out);
}

int secret_keyfile(const char *path, struct secret *out, char *blamed)
{
    *out = (struct secret){ .kind = SLOT_KEYFILE };
    int rc = read_private(path, PRIVATE, KEYFILE_MAX, out);
    if (!rc && out->len < KEYFILE_LEAST)
        rc = out->len ? E_KEYFILE_SHORT : E_NO_SECRET;
    if (rc)
        secret_drop(out);
    return blamed_path(blamed, path, rc);
}

/* --- programs, credentials, terminal ---------------------------------------------------- */

int secret_program(const char *command, struct secret *out)
{
    *out = (struct secret){ .kind = SLOT_PASSPHRASE, .bytes = secret_alloc(PASSPHRASE_MAX + 2) };
    if (!out->bytes)
        return -ENOMEM;
    ssize_t len = external_run(command, NULL, out->bytes, PASSPHRASE_MAX + 2);
    if (len < 0) {
        secret_drop(out);
        return (int)len;
    }
    out->len = (size_t)len;
    return trim(out);
}

/* The system's service manager makes them where only root can; a user's manager, like its user,
 * wherever the environment says. */
static bool is_systems(const char *dir)
{
    char real[PATH_MAX];
    return realpath(dir, real) && path_inside(real, "/run/credentials") && !path_inside("/run/credentials", real);
}

/* ecluse.<vault id>, then ecluse.passphrase. -ENOENT when there is none. */
static int from_credentials(const struct id128 *vault, struct secret *out, char *blamed)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX], name[ID_TEXT] = "";
    int rc = -ENOENT;

    if (!dir || *dir != '/')
        return -ENOENT;
    if (vault) {
        id_format(vault, name);
        snprintf(path, sizeof path, "%s/ecluse.%s", dir, name);
        rc = from_passfile(path, CREDENTIAL, out);
    }
    if (rc == -ENOENT) {
        snprintf(path, sizeof path, "%s/ecluse.passphrase", dir);
        rc = from_passfile(path, CREDENTIAL, out);
    }
    out->claimed = !rc && !is_systems(dir);
    return rc == -ENOENT ? rc : blamed_path(blamed, path, rc);
}

static int ask(const char *prompt, struct secret *out)
{
    *out = (struct secret){ .kind = SLOT_PASSPHRASE, .bytes = secret_alloc(PASSPHRASE_MAX + 1) };
    if (!out->bytes)
        return -ENOMEM;
    ssize_t len = terminal_ask(prompt, false, out->bytes, PASSPHRASE_MAX + 1);
    if (len > 0) {
        out->len = (size_t)len;
        return 0;
    }
    secret_drop(out);
    return len < 0 ? (int)len : E_NO_SECRET;
}

bool secret_is_weak(const struct secret *s, int *bits)
{
    *bits = strength_bits(s->bytes, s->len);
    return *bits >= 0 && *bits < STRENGTH_WEAK;
}

/* Advice about a new passphrase; nothing is refused. */
static void show_strength(const struct secret *s)
{
    char text[512];
    int bits;

    bool weak = secret_is_weak(s, &bits);
    if (bits < 0)
        return;
    snprintf(text, sizeof text, _("Strength: %s.\n"), strength_words(bits));
    terminal_show(text);
    if (weak)
        terminal_show(_("Whoever steals this computer might guess it. Four or five words that do not belong together\n"
                        "are better. To choose another one, give an empty answer.\n"));
}

static void warn_of_weakness(const struct secret *s, const char *from)
{
    int bits;

    if (secret_is_weak(s, &bits))
        fprintf(stderr, _("ecluse: warning: the passphrase from “%s” is weak\n"), spelled(from));
}

/* Twice, until both are the same; an empty second one begins anew. */
static int ask_confirmed(const char *prompt, struct secret *out)
{
    struct secret again = { 0 };

    for (;;) {
        int rc = ask(prompt, out);
        if (rc)
            return rc;
        show_strength(out);
        rc = ask(_("The same once more: "), &again);
        bool same = !rc && again.len == out->len && crypto_equal(again.bytes, out->bytes, out->len);
        secret_drop(&again);
        if (same)
            return 0;
        secret_drop(out);
        if (rc && rc != E_NO_SECRET)
            return rc;
        terminal_show(_("The two are not the same.\n"));
    }
}

int secret_get(const struct sources *s, const struct id128 *vault, const char *prompt, bool confirm,
               struct secret *out, char *blamed)
{
    *out = (struct secret){ 0 };
    if (s->passfile) {
        int rc = blamed_path(blamed, s->passfile, from_passfile(s->passfile, PRIVATE, out));
        if (!rc && confirm)
            warn_of_weakness(out, s->passfile);
        return rc;
    }
    if (s->keyfile)
        return secret_keyfile(s->keyfile, out, blamed);
    if (s->extpass)
        return blamed_path(blamed, s->extpass, secret_program(s->extpass, out));
    if (confirm)  /* a new one: credentials hold the present one */
        return ask_confirmed(prompt, out);
    int rc = from_credentials(vault, out, blamed);
    return rc == -ENOENT ? ask(prompt, out) : rc;
}

int secret_of_vault(const struct sources *s, const struct id128 *vault, const char *shown, struct secret *out,
                    char *blamed)
{
    char prompt[5 * PATH_MAX];

    snprintf(prompt, sizeof prompt, _("Passphrase for %s: "), spelled(shown));
    return secret_get(s, vault, prompt, false, out, blamed);
}

/* --- the recovery key --------------------------------------------------------------------- */

static int parse_recovery(const struct secret *text, struct secret *out, char *blamed)
{
    int bad_group = 0;

    *out = (struct secret){ .kind = SLOT_RECOVERY, .bytes = secret_alloc(KEY_SIZE), .len = KEY_SIZE };
    if (!out->bytes)
        return -ENOMEM;
    int rc = recovery_parse((const char *)text->bytes, text->len, out->bytes, &bad_group);
    if (rc && bad_group)
        /* TRANSLATORS: of the recovery key */
        snprintf(blamed, PATH_MAX, _("group %d"), bad_group);
    if (rc)
        secret_drop(out);
    return rc;
}

/* Typed in with echo: 65 symbols blindly would only be mistyped. */
static int type_recovery(struct secret *text)
{
    *text = (struct secret){ .bytes = secret_alloc(PASSPHRASE_MAX + 1) };
    if (!text->bytes)
        return -ENOMEM;
    ssize_t len = terminal_ask(_("Recovery key: "), true, text->bytes, PASSPHRASE_MAX + 1);
    if (len < 0) {
        secret_drop(text);
        return (int)len;
    }
    text->len = (size_t)len;
    return 0;
}

int secret_recovery(const char *path, struct secret *out, char *blamed)
{
    struct secret text = { 0 };

    *out = (struct secret){ 0 };
    int rc = path ? blamed_path(blamed, path, read_private(path, PRIVATE, SHEET_MAX, &text)) : type_recovery(&text);
    if (!rc)
        rc = parse_recovery(&text, out, blamed);
    secret_drop(&text);
    return rc;
}
