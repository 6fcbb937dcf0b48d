/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse askpass: a passphrase from a window, for --extpass.
 *
 * A pinentry, else zenity, else the terminal; the first one that works. A new
 * passphrase is typed twice while its strength is shown, and a weak one is asked
 * about but not refused.  It is written to standard output, which must be a pipe
 * or a file of the caller's, so that it is on no screen.
 */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct asking {
    const char *what;            /* the description */
    char text[1024];             /* the same, when it was given */
    char *with;                  /* one means only */
    bool fresh, retry, probe;
    struct secret secret;
};

static const char *const pinentries[] = { "pinentry-x11", "pinentry-gnome3", "pinentry-qt", "pinentry-gtk-2",
                                          "pinentry-gtk2", "pinentry-qt5", "pinentry-fltk", "pinentry" };

static bool has_screen(void)
{
    const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    return (x && *x) || (wayland && *wayland);
}

static bool same_secret(const struct secret *a, const struct secret *b)
{
    return a->len == b->len && crypto_equal(a->bytes, b->bytes, a->len);
}

static const char *weak_question(void)
{
    return _("This passphrase is weak: whoever steals this computer might guess it. Four or five words that do not "
             "belong together are better.");
}

static bool is_weak(const struct secret *s)
{
    int bits;
    return secret_is_weak(s, &bits);
}

/* Whatever the means, it leaves 0, E_NO_SECRET, or an error: then the next one is tried. */
static int secret_new(struct secret *s)
{
    *s = (struct secret){ .kind = SLOT_PASSPHRASE, .bytes = secret_alloc(PASSPHRASE_MAX + 2) };
    return s->bytes ? 0 : -ENOMEM;
}

/* --- pinentry ------------------------------------------------------------------------- */

struct setting { const char *command, *text; };

static int set_all(struct pinentry *p, const struct setting *settings, size_t count)
{
    int rc = 0;

    for (size_t k = 0; !rc && k < count; k++)
        rc = pinentry_set(p, settings[k].command, settings[k].text);
    return rc;
}

static int prepare(struct pinentry *p, const char *what, bool fresh, const char *error)
{
    const struct setting all[] = {
        { "SETTITLE", _("Écluse: passphrase") }, { "SETDESC", what }, { "SETPROMPT", _("Passphrase:") },
        { "SETERROR", error }, { "SETOK", _("OK") }, { "SETCANCEL", _("Cancel") },
        { "SETREPEAT", _("Once more:") }, { "SETREPEATERROR", _("The two are not the same.") },
        { "SETQUALITYBAR", _("Strength:") },
        { "SETQUALITYBAR_TT", _("How hard it is to guess. Words that do not belong together are better than signs.") },
    };
    return set_all(p, all, fresh ? ARRAY_SIZE(all) : ARRAY_SIZE(all) - 4);
}

/* A pinentry that cannot compare is asked again. */
static int ask_pinentry(struct pinentry *p, struct secret *s, bool fresh, const char **error)
{
    struct secret again = { 0 };
    bool repeated;

    int rc = secret_new(s);
    ssize_t n = rc ? rc : pinentry_ask(p, s->bytes, PASSPHRASE_MAX, &repeated);
    if (n < 0)
        return (int)n;
    s->len = (size_t)n;
    *error = n ? "" : _("No passphrase was given.");
    if (!n || !fresh || repeated)
        return 0;
    rc = secret_new(&again);
    n = rc ? rc : pinentry_ask(p, again.bytes, PASSPHRASE_MAX, &repeated);
    again.len = n < 0 ? 0 : (size_t)n;
    if (n >= 0 && !same_secret(s, &again))
        *error = _("The two are not the same.");
    secret_drop(&again);
    return n < 0 ? (int)n : 0;
}

/* 1: another one shall be chosen; also when the question is given up, which the next window can be too: many
 * pinentries have that button in front, and all that was answered before would be lost. */
static int accept_weak(struct pinentry *p)
{
    const struct setting all[] = {
        { "SETTITLE", _("Écluse: a weak passphrase") }, { "SETDESC", weak_question() }, { "SETERROR", "" },
        { "SETOK", _("Choose another one") }, { "SETNOTOK", _("Use it all the same") },
    };
    int rc = set_all(p, all, ARRAY_SIZE(all));
    if (!rc)
        rc = pinentry_confirm(p);
    return rc == E_NO_SECRET ? 1 : rc;
}

static int by_pinentry(struct asking *a, const char *program)
{
    const char *error = a->retry ? _("The passphrase was wrong. Try again.") : "";
    struct pinentry p;

    int rc = pinentry_start(&p, program);
    if (rc)
        return rc;
    for (int again = 1; !rc && again;) {
        secret_drop(&a->secret);
        rc = prepare(&p, a->what, a->fresh, error);
        if (!rc)
            rc = ask_pinentry(&p, &a->secret, a->fresh, &error);
        again = *error != '\0';
        if (!rc && !again && a->fresh && is_weak(&a->secret)) {
            again = accept_weak(&p);
            rc = again < 0 ? again : 0;
        }
    }
    pinentry_end(&p);
    return rc;
}

/* --- zenity ------------------------------------------------------------------------------ */

#define ZENITY(...) ((char *[]){ (char *)(uintptr_t)"zenity", __VA_ARGS__, NULL })
#define WORD(text) ((char *)(uintptr_t)(text))

/* To zenity, backslashes are escapes, and an underscore stands before a letter to press. */
static const char *entry_text(const char *text, char *out, size_t size)
{
    size_t used = 0;

    for (; *text && used + 3 < size; text++) {
        if (*text == '\\' || *text == '_')
            out[used++] = *text;
        out[used++] = *text;
    }
    out[used] = '\0';
    return out;
}

static int entry(const char *text, struct secret *s)
{
    char safe[2048];

    int rc = secret_new(s);
    ssize_t n = rc ? rc : external_run_words(ZENITY(WORD("--entry"), WORD("--hide-text"), WORD("--class=ecluse"),
                                                    WORD("--width=460"), WORD("--title"), WORD(_("Écluse: passphrase")),
                                                    WORD("--text"), WORD(entry_text(text, safe, sizeof safe))),
                                             s->bytes, PASSPHRASE_MAX + 2);
    if (n < 0)
        return (int)n;
    s->len = (size_t)n - (n && s->bytes[n - 1] == '\n');
    return 0;
}

/* 1: yes; E_NO_SECRET: no, as for Return, Escape, and a window that is closed. */
static int question(const char *text, const char *yes, const char *no)
{
    uint8_t nothing[64];
    char yes_label[128], no_label[128];

    snprintf(yes_label, sizeof yes_label, "--ok-label=%s", yes);
    snprintf(no_label, sizeof no_label, "--cancel-label=%s", no);
    ssize_t n = external_run_words(ZENITY(WORD("--question"), WORD("--no-markup"), WORD("--class=ecluse"),
                                          WORD("--default-cancel"), WORD("--width=460"), WORD("--title"), WORD(_("Écluse: a weak passphrase")),
                                          yes_label, no_label, WORD("--text"), WORD(text)),
                                   nothing, sizeof nothing);
    return n < 0 ? (int)n : 1;
}

static int entry_again(struct asking *a, const char **error)
{
    struct secret again = { 0 };
    char text[512];
    int bits = strength_bits(a->secret.bytes, a->secret.len);

    if (bits >= 0)
        snprintf(text, sizeof text, _("Strength: %s.\nThe same once more:"), strength_words(bits));
    else
        snprintf(text, sizeof text, "%s", _("The same once more: "));
    int rc = entry(text, &again);
    if (!rc && !same_secret(&a->secret, &again))
        *error = _("The two are not the same.");
    secret_drop(&again);
    return rc;
}

static int by_zenity(struct asking *a)
{
    const char *error = a->retry ? _("The passphrase was wrong. Try again.") : "";
    char text[1024];
    int rc = 0;

    do {
        secret_drop(&a->secret);
        snprintf(text, sizeof text, "%s%s%s", error, *error ? "\n\n" : "", a->what);
        error = "";
        rc = entry(text, &a->secret);
        if (!rc && !a->secret.len)
            error = _("No passphrase was given.");
        else if (!rc && a->fresh && is_weak(&a->secret) &&
                 question(weak_question(), _("Use it all the same"), _("Choose another one")) != 1)
            error = _("Another passphrase:");
        else if (!rc && a->fresh)
            rc = entry_again(a, &error);
    } while (!rc && *error);
    return rc;
}

/* --- which one ----------------------------------------------------------------------------- */

static bool wanted(const struct asking *a, const char *means)
{
    return !a->with || strcmp(a->with, means) == 0;
}

static int by_any(struct asking *a)
{
    char prompt[1024], blamed[PATH_MAX] = "";
    int rc = E_NO_TERMINAL;

    for (size_t k = 0; k < ARRAY_SIZE(pinentries) && rc && rc != E_NO_SECRET; k++)
        if (wanted(a, "pinentry") && has_screen() && external_here(pinentries[k]))
            rc = a->probe ? 0 : by_pinentry(a, pinentries[k]);
    if (rc && rc != E_NO_SECRET && wanted(a, "zenity") && has_screen() && external_here("zenity"))
        rc = a->probe ? 0 : by_zenity(a);
    if (rc && rc != E_NO_SECRET && !a->probe && wanted(a, "terminal")) {
        secret_drop(&a->secret);
        snprintf(prompt, sizeof prompt, "%s ", a->what);
        rc = secret_get(&(struct sources){ 0 }, NULL, prompt, a->fresh, &a->secret, blamed);
    }
    return rc;
}

static int write_out(const struct secret *s)
{
    for (size_t done = 0; done < s->len;) {
        ssize_t n = write(STDOUT_FILENO, s->bytes + done, s->len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return write(STDOUT_FILENO, "\n", 1) == 1 ? 0 : -errno;
}

static int parse(struct asking *a, int argc, char **argv)
{
    static const struct option options[] = {
        { "new", no_argument, NULL, OPTION_NEW },
        { "retry", no_argument, NULL, OPTION_RETRY },
        { "probe", no_argument, NULL, OPTION_PROBE },
        { "with", required_argument, NULL, OPTION_WITH },
        { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (found) {
        case OPTION_NEW: a->fresh = true; break;
        case OPTION_RETRY: a->retry = true; break;
        case OPTION_PROBE: a->probe = true; break;
        case OPTION_WITH:
            a->with = optarg;
            if (strcmp(optarg, "pinentry") && strcmp(optarg, "zenity") && strcmp(optarg, "terminal"))
                rc = usage_error(argv[0], _("“with” takes pinentry, zenity or terminal"));
            break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind > 1)
        rc = usage_error(argv[0], _("one text is expected"));
    if (!rc && !a->probe && isatty(STDOUT_FILENO))
        rc = usage_error(argv[0], _("a passphrase is not shown on a terminal: it is for --extpass"));
    /* It may hold the name of a vault. */
    if (optind < argc)
        spell(argv[optind], a->text, sizeof a->text);
    a->what = optind < argc ? a->text : a->fresh ? _("New passphrase:") : _("Passphrase:");
    return rc;
}

int command_askpass(int argc, char **argv)
{
    struct asking a = { 0 };

    int rc = parse(&a, argc, argv);
    if (rc)
        return rc;
    rc = by_any(&a);
    if (!rc && !a.probe)
        rc = write_out(&a.secret);
    secret_drop(&a.secret);
    return a.probe ? (int)error_exit(rc) : complain(rc, NULL);
}
