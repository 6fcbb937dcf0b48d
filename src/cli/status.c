/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse status: what is mounted, what has not left yet, what is wrong.
 *
 * --json passes the daemon's own object on, or a list of them without a
 * mountpoint.  Without a mountpoint, "nothing is mounted" is an answer (exit
 * code 0); with one, it is the error E_NOT_MOUNTED.
 */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

struct status { bool json; char *state; };

static int parse(struct status *s, int argc, char **argv)
{
    const struct option_place places[] = { { "json", &s->json, NULL }, { "state", NULL, &s->state }, { 0 } };

    return options_take(argc, argv, places, 0, 1, _("one mountpoint is expected"));
}

/* --- words ------------------------------------------------------------------------- */

static uint64_t number(const char *json, const char *key)
{
    int64_t v = 0;

    daemon_json_number(json, key, &v);
    return v < 0 ? 0 : (uint64_t)v;
}

static const char *text(const char *json, const char *key, char out[PATH_MAX])
{
    if (!daemon_json_text(json, key, out, PATH_MAX))
        *out = '\0';
    return out;
}

/* One line: a label, padded by characters and not by bytes, and a value. */
static void line(const char *label, const char *value)
{
    int width = 0;

    for (const char *c = label; *c; c++)
        width += ((unsigned char)*c & 0xc0) != 0x80;
    printf("  %s%*s%s\n", label, width < 24 ? 24 - width : 1, "", value);
}

static void say_unpublished(const char *json)
{
    char size[WORDS_MAX], sentence[256];
    uint64_t changes = number(json, "unpublished");

    words_for_size(number(json, "staged_bytes"), size);
    snprintf(sentence, sizeof sentence, ngettext("%s change, %s of content", "%s changes, %s of content", changes),
             figure(changes), size);
    line(_("Not published yet"), changes || number(json, "staged_bytes") ? sentence : _("nothing"));
}

static void say_store(const char *json)
{
    char size[WORDS_MAX], sentence[256];
    uint64_t objects = number(json, "objects");

    words_for_size(number(json, "object_bytes"), size);
    snprintf(sentence, sizeof sentence, ngettext("%s object, %s", "%s objects, %s", objects),
             figure(objects), size);
    line(_("In the store"), sentence);
}

static void say_dead(const char *json)
{
    char size[WORDS_MAX], when[WORDS_MAX], sentence[256];
    uint64_t dead = number(json, "dead");

    if (!dead)
        return;
    words_for_size(number(json, "dead_bytes"), size);
    words_for_time((int64_t)number(json, "dead_until"), when);
    snprintf(sentence, sizeof sentence, ngettext("%s object, %s, not before %s", "%s objects, %s, not before %s", dead),
             figure(dead), size, when);
    line(_("To be removed from it"), sentence);
}

static void warn(uint64_t n, const char *format)
{
    if (!n)
        return;
    printf("  ! ");
    printf(format, figure(n));
    printf("\n");
}

/* The objects of "heads", one after another: none holds another one. */
static void say_heads(const char *json)
{
    char device[32], phrase[PHRASE_TEXT];
    const char *at = strstr(json, "\"heads\":"), *end = at ? strchr(at, ']') : NULL;

    for (at = at ? strchr(at, '{') : NULL; at && at < end; at = strchr(at + 1, '{')) {
        if (!daemon_json_text(at, "device", device, sizeof device) ||
            !daemon_json_text(at, "phrase", phrase, sizeof phrase))
            return;
        say_device(strtoull(device, NULL, 16), number(at, "number"), (int64_t)number(at, "date"), phrase,
                   number(at, "own"));
    }
}

/* What the notification said, for as long as it holds. */
static void say_event(const char *json, enum fs_event event, int error)
{
    char summary[256], sentence[5 * PATH_MAX], mountpoint[PATH_MAX];

    event_text(event, error, text(json, "mountpoint", mountpoint), summary, sizeof summary, sentence, sizeof sentence);
    /* TRANSLATORS: a warning: what happened, and what to do */
    printf(_("  ! %s: %s\n"), summary, sentence);
}

static void say_warnings(const char *json)
{
    char name[PATH_MAX];
    int64_t code = 0;

    uint64_t missing = number(json, "missing"), foreign = number(json, "foreign"), refused = number(json, "refused"),
             unseen = number(json, "unseen");

    warn(missing, ngettext("%s object has not arrived in the store, or was taken away",
                           "%s objects have not arrived in the store, or were taken away", missing));
    warn(foreign, ngettext("%s file in the store is not ours; it is ignored",
                           "%s files in the store are not ours; they are ignored", foreign));
    warn(refused, ngettext("%s object was refused: altered, or not where it belongs",
                           "%s objects were refused: altered, or not where they belong", refused));
    warn(unseen, words_for_unseen(unseen));
    warn(number(json, "forked"), words_for_forks(number(json, "forked")));
    if (number(json, "older"))
        printf("%s", _("  ! the store lacks what this device has already seen: nothing is published until it is\n"
                       "    complete again, or until it is unmounted and accepted (ecluse accept --older)\n"));
    if (daemon_json_number(json, "survey_code", &code) && code)
        printf(_("  ! the store could not be looked over, so these counts are of earlier: %s\n"), error_sentence((int)code));
    if (missing)
        say_event(json, FS_EVENT_NOT_ARRIVED, E_NOT_ARRIVED);
    if (refused)
        say_event(json, FS_EVENT_REFUSED, E_AUTH);
    if (daemon_json_number(json, "publish_code", &code) && code)
        say_event(json, FS_EVENT_PUBLICATION_WAITS, (int)code);
    if (number(json, "no_space"))
        say_event(json, FS_EVENT_NO_SPACE, -ENOSPC);
    if (*text(json, "latched", name))
        say_event(json, FS_EVENT_READ_ONLY, strcmp(name, "EIO") == 0 ? -EIO : E_LATCHED);
    if (number(json, "cloned"))
        printf("  ! %s\n", words_for_clone(number(json, "read_only")));
}

static void say_mode(const char *json)
{
    char every[WORDS_MAX], sentence[256];

    line(_("Writing"), number(json, "read_only") ? _("read-only") : _("allowed"));
    if (!number(json, "publish_every") || number(json, "read_only"))
        return;
    snprintf(sentence, sizeof sentence, _("at a fixed cadence, every %s"),
             words_for_duration(number(json, "publish_every"), every));
    line(_("Publishing"), sentence);
}

static void say(const char *json)
{
    char value[PATH_MAX], words[WORDS_MAX];

    printf("%s\n", spelled(text(json, "mountpoint", value)));
    line(_("Store"), spelled(text(json, "store", value)));
    if (!number(json, "mounted")) {
        line(_("State"), _("unmounted; the last changes are being published"));
        return;
    }
    line(_("Mounted since"), words_for_time((int64_t)number(json, "since"), words));
    say_mode(json);
    line(_("Not yet on disk"), words_for_size(number(json, "dirty_bytes"), words));
    say_unpublished(json);
    line(_("Last publication"), words_for_time((int64_t)number(json, "published_at"), words));
    say_store(json);
    say_heads(json);
    say_dead(json);
    say_warnings(json);
}

/* --- asking -------------------------------------------------------------------------------- */

static int one(const struct status *s, const char *path)
{
    struct daemon_ref d;
    char *json = NULL;

    int rc = daemon_find(path, &d);
    if (!rc)
        rc = daemon_status(&d, &json);
    if (rc)
        return complain(rc, path);
    if (s->json)
        fputs(json, stdout);
    else
        say(json);
    free(json);
    return EXIT_DONE;
}

static int each(const struct status *s, const struct daemon_ref *all, int count)
{
    char real[PATH_MAX] = "/";
    int shown = 0, first = EXIT_DONE;

    if (s->state && path_real(s->state, real))
        return complain(-ENOENT, s->state);
    for (int k = 0; k < count; k++) {
        char *json;
        if (!path_within(all[k].state, real))
            continue;
        int rc = daemon_status(&all[k], &json);
        if (rc == E_NOT_MOUNTED)
            continue;
        if (rc) {
            first = first ? first : complain(rc, all[k].mountpoint);
            continue;
        }
        if (s->json)
            printf("%s%.*s", shown ? ",\n" : "", (int)strcspn(json, "\n"), json);
        else
            say(json);
        shown++;
        free(json);
    }
    if (!shown && !first && !s->json)
        printf(_("No vault is mounted.\n"));
    return first;
}

int command_status(int argc, char **argv)
{
    struct status s = { 0 };
    struct daemon_ref *all = NULL;

    int rc = parse(&s, argc, argv);
    if (!rc && optind < argc)
        rc = one(&s, argv[optind]);
    else if (!rc) {
        int count = daemon_list(&all);
        if (count < 0)
            rc = complain(count, NULL);
        else {
            if (s.json)
                printf("[");
            rc = each(&s, all, count);
            if (s.json)
                printf("]\n");
        }
        free(all);
    }
    free(s.state);
    return rc;
}
