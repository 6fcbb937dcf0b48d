/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Mount options, in the syntax of mount(8) and fstab(5).
 *
 * Words that say what we do anyway, or what concerns mount(8) or systemd, are
 * accepted; a word that asks for what we do not do is refused by name, rather
 * than ignored: `suid` and `dev` are never granted.  A comma within a value is
 * written `\,` and a backslash `\\`.
 */
#include "internal.h"
#include <ecluse/policy.h>
#include <stdio.h>
#include <stdlib.h>

enum treatment { IGNORED, ON, OFF, TEXT, DURATION, CADENCE, DAYS, REBUILD, LOG };

static const struct word { const char *name; enum treatment treatment; size_t offset; } words[] = {
#define AT(member) offsetof(struct mount_options, member)
    { "ro", ON, AT(config.read_only) }, { "rw", OFF, AT(config.read_only) },
    { "allow_other", ON, AT(config.allow_other) }, { "allow_root", ON, AT(config.allow_root) },
    { "strict", ON, AT(config.strict) }, { "owners", ON, AT(config.owners) },
    { "foreground", ON, AT(config.foreground) }, { "noexec", ON, AT(config.noexec) },
    { "exec", OFF, AT(config.noexec) }, { "nofail", ON, AT(nofail) }, { "fail", OFF, AT(nofail) },
    { "passfile", TEXT, AT(sources.passfile) }, { "extpass", TEXT, AT(sources.extpass) },
    { "keyfile", TEXT, AT(sources.keyfile) }, { "state", TEXT, AT(state) }, { "fsname", TEXT, AT(fsname) },
    { "notify", TEXT, AT(notify) }, { "log", LOG, AT(config.log) },
    { "grace", DAYS, AT(config.grace) }, { "idle", DURATION, AT(config.idle_seconds) }, { "rebuild", REBUILD, AT(rebuild) },
    { "publish_every", CADENCE, AT(config.publish_every) },
    { "defaults", IGNORED, 0 }, { "auto", IGNORED, 0 }, { "noauto", IGNORED, 0 }, { "_netdev", IGNORED, 0 },
    { "user", IGNORED, 0 }, { "nouser", IGNORED, 0 }, { "users", IGNORED, 0 }, { "nousers", IGNORED, 0 },
    { "owner", IGNORED, 0 }, { "noowner", IGNORED, 0 }, { "group", IGNORED, 0 }, { "nogroup", IGNORED, 0 },
    { "comment", IGNORED, 0 }, { "nosuid", IGNORED, 0 }, { "nodev", IGNORED, 0 }, { "async", IGNORED, 0 },
    { "noatime", IGNORED, 0 }, { "relatime", IGNORED, 0 }, { "diratime", IGNORED, 0 },
    { "nodiratime", IGNORED, 0 }, { "nolazytime", IGNORED, 0 }, { "loud", IGNORED, 0 },
    { "silent", IGNORED, 0 }, { "default_permissions", IGNORED, 0 },
#undef AT
};

int option_set(char **where, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return complain(-ENOMEM, NULL);
    free(*where);
    *where = copy;
    return EXIT_DONE;
}

void sources_free(struct sources *s)
{
    free(s->passfile);
    free(s->extpass);
    free(s->keyfile);
    *s = (struct sources){ 0 };
}

/* 90, 90s, 30m, 8h, 1d */
static bool parse_duration(const char *text, unsigned *out)
{
    static const char units[] = "smhd";
    static const unsigned seconds[] = { 1, 60, 3600, 86400 };
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : units;
    if (errno || !unit || (*end && end[1]) || n > 365ul * 86400 / seconds[unit - units])
        return false;
    *out = (unsigned)n * seconds[unit - units];
    return true;
}

static bool parse_cadence(const char *text, unsigned *out)
{
    return parse_duration(text, out) && *out >= 1 && *out <= POLICY_CADENCE_MAX;
}

#define DAYS_MAX 36500ul

/* 30 or 30d; what is kept is one more, 0 being "not said". */
static bool parse_days(const char *text, unsigned *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || n > DAYS_MAX || (*end && strcmp(end, "d")))
        return false;
    *out = (unsigned)n + 1;
    return true;
}

bool rebuild_wish_parse(const char *value, enum rebuild_wish *out)
{
    *out = value ? REBUILD_PARTIAL : REBUILD_WHOLE;
    return !value || strcmp(value, "partial") == 0;
}

static const struct word *find_word(const char *name)
{
    for (size_t k = 0; k < ARRAY_SIZE(words); k++)
        if (strcmp(name, words[k].name) == 0)
            return &words[k];
    return NULL;
}

static int apply(struct mount_options *o, const struct word *w, const char *value)
{
    char *member = (char *)o + w->offset;

    if (w->treatment == TEXT && (!value || !*value))
        return usage_error("mount", _("the mount option “%s” needs a value"), w->name);
    if ((w->treatment == ON || w->treatment == OFF) && value)
        return usage_error("mount", _("the mount option “%s” takes no value"), w->name);
    switch (w->treatment) {
    case ON: case OFF: *(bool *)(void *)member = w->treatment == ON; break;
    case TEXT: return option_set((char **)(void *)member, value);
    case DURATION:
        if (!value || !parse_duration(value, (unsigned *)(void *)member))
            return usage_error("mount", _("“%s” is not a duration for the mount option “%s” (for example 30m)"),
                               value ? value : "", w->name);
        break;
    case CADENCE:
        if (!value || !parse_cadence(value, (unsigned *)(void *)member))
            return usage_error("mount", _("“%s” is not a cadence for the mount option “%s” (1s to 1d, for example 10m)"),
                               value ? value : "", w->name);
        break;
    case DAYS:
        if (!value || !parse_days(value, (unsigned *)(void *)member))
            return usage_error("mount", _("“%s” is not a number of days for the mount option “%s”"),
                               value ? value : "", w->name);
        break;
    case REBUILD:
        if (!rebuild_wish_parse(value, (enum rebuild_wish *)(void *)member))
            return usage_error("mount", _("“rebuild” takes no other value than “partial”"));
        break;
    case LOG:
        if (!value || !log_target_parse(value, (enum log_target *)(void *)member))
            return usage_error("mount", _("the mount option “log” takes journal, syslog, system, stderr or json"));
        break;
    case IGNORED: break;
    }
    return EXIT_DONE;
}

static int apply_word(struct mount_options *o, char *text, bool sloppy)
{
    char *value = strchr(text, '=');

    if (value)
        *value++ = '\0';
    if (!*text || strncmp(text, "x-", 2) == 0 || strncmp(text, "X-", 2) == 0)
        return EXIT_DONE;
    const struct word *w = find_word(text);
    if (w)
        return apply(o, w, value);
    if (strcmp(text, "suid") == 0 || strcmp(text, "dev") == 0)
        return usage_error("mount", _("the mount option “%s” is never granted: a vault is nosuid,nodev"), text);
    return sloppy ? EXIT_DONE : usage_error("mount", _("unknown mount option “%s”"), text);
}

int mount_options_parse(struct mount_options *o, const char *text, bool sloppy)
{
    char *word = malloc(strlen(text) + 1);
    int rc = word ? EXIT_DONE : complain(-ENOMEM, NULL);
    size_t len = 0;

    for (const char *s = text; !rc; s++) {
        if (*s == '\\' && (s[1] == ',' || s[1] == '\\')) {
            word[len++] = *++s;
            continue;
        }
        if (*s && *s != ',') {
            word[len++] = *s;
            continue;
        }
        word[len] = '\0';
        len = 0;
        rc = apply_word(o, word, sloppy);
        if (!*s)
            break;
    }
    free(word);
    return rc;
}

void mount_options_free(struct mount_options *o)
{
    sources_free(&o->sources);
    free(o->state);
    free(o->fsname);
    free(o->notify);
    free(o->recovery_file);
}

#define PLACES_MAX 12u

int options_take(int argc, char **argv, const struct option_place *places, int least, int most, const char *expected)
{
    struct option options[PLACES_MAX + 1] = { 0 };
    int found, rc = EXIT_DONE;

    for (size_t k = 0; k < PLACES_MAX && places[k].name; k++)
        options[k] = (struct option){ places[k].name, places[k].flag ? no_argument : required_argument, NULL,
                                      OPTION_STATE + (int)k };
    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        const struct option_place *p = places + (found - OPTION_STATE);
        if (found < OPTION_STATE)
            rc = option_error(argc, argv, found);
        else if (p->flag)
            *p->flag = true;
        else
            rc = option_set(p->value, optarg);
    }
    if (!rc && (argc - optind < least || argc - optind > most))
        rc = usage_error(argv[0], "%s", expected);
    return rc;
}

_Static_assert(SLOT_LIMIT <= 9, "the number of a slot is one digit");

int slot_option(unsigned *slot, const char *command, const char *value)
{
    if (*slot)
        return usage_error(command, _("only one slot can be given"));
    if (*value < '1' || *value > '0' + (int)SLOT_LIMIT || value[1])
        return usage_error(command, _("“%s” is not the number of a slot (1 to %u)"), value, SLOT_LIMIT);
    *slot = (unsigned)(*value - '0');
    return EXIT_DONE;
}

int option_error(int argc, char **argv, int found)
{
    const char *given = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    char letter[3] = { '-', (char)optopt, '\0' };

    if (optopt > 0 && optopt < 256)
        given = letter;
    if (found == ':')
        return usage_error(argv[0], _("the option “%s” needs a value"), given);
    return usage_error(argv[0], _("unknown option “%s”"), given);
}
