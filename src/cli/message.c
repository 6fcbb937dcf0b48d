/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Words for people, in one language at a time.
 *
 * The language is that of the environment (LC_ALL, LC_MESSAGES, LANG), also
 * on servers where the French locale was never generated: then C.UTF-8 is
 * taken and gettext is told to look for French all the same.  Whether French
 * was found is asked of the catalogue itself, so that sentences of the error
 * table and sentences of the catalogue never mix.
 *
 * Catalogues are looked for beside the program (an installed tree that was
 * moved, a build folder), then under the prefix it was built for.
 */
#include "internal.h"
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool french, plain;

static const char *wished_locale(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

    for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
        const char *value = getenv(names[k]);
        if (value && *value)
            return value;
    }
    return "C";
}

static bool has_catalogue(const char *dir)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/fr/LC_MESSAGES/ecluse.mo", dir);
    return access(path, R_OK) == 0;
}

/* Builds with SAN or FAULTS lie one or two folders deeper. */
static void find_catalogue(void)
{
    static const char *const beside[] = { "../share/locale", "locale", "../locale", "../../locale" };
    static char dir[PATH_MAX];
    char program[PATH_MAX / 2];

    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = len > 0 ? memrchr(program, '/', (size_t)len) : NULL;
    for (size_t k = 0; slash && k < ARRAY_SIZE(beside); k++) {
        snprintf(dir, sizeof dir, "%.*s/%s", (int)(slash - program), program, beside[k]);
        if (has_catalogue(dir)) {
            bindtextdomain("ecluse", dir);
            return;
        }
    }
    bindtextdomain("ecluse", ECLUSE_PREFIX "/share/locale");
}

void message_start(void)
{
    const char *wish = wished_locale();
    bool wants_french = strncmp(wish, "fr", 2) == 0;

    const char *got = setlocale(LC_ALL, "");
    if (wants_french && (!got || strncmp(setlocale(LC_MESSAGES, NULL), "fr", 2))) {
        setlocale(LC_ALL, "C.UTF-8");
        setenv("LANGUAGE", "fr", 1);
    }
    plain = strcmp(wish, "C") == 0 || strncmp(wish, "C.", 2) == 0 || strcmp(wish, "POSIX") == 0;
    find_catalogue();
    textdomain("ecluse");
    /* TRANSLATORS: the code of your language: fr, en… */
    french = strcmp(_("en"), "fr") == 0 || (wants_french && !getenv("LANGUAGE"));
}

bool message_is_plain(void)
{
    return plain;
}

bool message_is_french(void) { return french; }

void message_language(const char *language)
{
    unsetenv("LANGUAGE");
    setenv("LC_ALL", strcmp(language, "fr") ? "C.UTF-8" : "fr_CA.UTF-8", 1);
    message_start();
    plain = false;
}

/* --- errors ------------------------------------------------------------------------ */

static const char *domain_sentence(int error)
{
    switch (error) {
#define X(code, value, err, exit, en, fr) \
    case value: return french ? fr : en;
    ERROR_TABLE(X)
#undef X
    default: return NULL;
    }
}

/* The frequent ones by ourselves: the C library's own catalogue is seldom
 * installed. */
static const char *system_sentence(int number)
{
    switch (number) {
    case ENOENT: return _("no such file or directory");
    case EACCES: return _("access denied");
    case EPERM: return _("not permitted");
    case EEXIST: return _("it already exists");
    case ENOTDIR: return _("it is not a directory");
    case EISDIR: return _("it is a directory");
    case ENOTEMPTY: return _("it is not empty");
    case ENOSPC: return _("no space left on the disk");
    case EDQUOT: return _("the disk quota is used up");
    case EROFS: return _("the filesystem is read-only");
    case EIO: return _("input or output error");
    case ENOMEM: return _("not enough memory");
    case EMFILE: case ENFILE: return _("too many open files");
    case ENAMETOOLONG: return _("the name is too long");
    case EFBIG: return _("the file is too large");
    case ELOOP: return _("too many symbolic links");
    case EBUSY: return _("it is in use");
    case EAGAIN: return _("busy for the moment; try again");
    case ENOTCONN: return _("its daemon is gone");
    case EINTR: return _("interrupted");
    case EINVAL: return _("invalid value");
    case EOPNOTSUPP: case ENOSYS: return _("the filesystem cannot do that");
    default: return strerror(number);
    }
}

const char *error_sentence(int error)
{
    const char *sentence = domain_sentence(error);
    return sentence ? sentence : system_sentence(-error);
}

int complain(int error, const char *subject)
{
    if (!error)
        return EXIT_DONE;
    if (subject && *subject)
        fprintf(stderr, _("ecluse: %s: %s\n"), spelled(subject), error_sentence(error));
    else
        fprintf(stderr, _("ecluse: %s\n"), error_sentence(error));
    return error_exit(error);
}

int usage_error(const char *command, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, _("ecluse: %s\n"), spelled(text));
    if (*command)
        fprintf(stderr, _("See “ecluse help %s”.\n"), command);
    else
        fprintf(stderr, "%s", _("See “ecluse help”.\n"));
    return EXIT_USAGE;
}

/* --- copies ------------------------------------------------------------------------------ */

const char *words_for_clone(bool read_only)
{
    return read_only ? _("the local state was copied or restored from elsewhere; mounted read-only, it stays as it is")
                     : _("the local state was copied or restored from elsewhere; it goes on as a device of its own");
}

const char *words_for_forks(uint64_t count)
{
    return ngettext("%s publication in the store contradicts another one: somebody went on from an old copy of a state, "
                    "or the store shows two histories; it is not shown here",
                    "%s publications in the store contradict others: somebody went on from an old copy of a state, "
                    "or the store shows two histories; they are not shown here", count);
}

void say_device(uint64_t actor, uint64_t number, int64_t date, const char *phrase, bool own)
{
    char words[WORDS_MAX];

    /* TRANSLATORS: a device, the number and the date of its last publication, four words to compare */
    printf(own ? _("  This device (%08llx): publication %llu, %s: %s\n") : _("  Device %08llx: publication %llu, %s: %s\n"),
           (unsigned long long)(actor >> 32), (unsigned long long)number, words_for_time(date, words), phrase);
}

const char *words_for_unseen(uint64_t count)
{
    return ngettext("%s publication in the store is not shown here: it comes from another copy of the local state, "
                    "or is later than the backup that was restored",
                    "%s publications in the store are not shown here: they come from another copy of the local state, "
                    "or are later than the backup that was restored", count);
}
