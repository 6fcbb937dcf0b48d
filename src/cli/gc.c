/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse gc: takes out of the store of a mounted vault what nothing needs any more.
 *
 * The daemon does it by itself from time to time; this asks for it now, and with
 * --now for all of it, whatever the grace.  --json passes the daemon's object on.
 */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

struct gc { bool json, now; char *state; };

static int parse(struct gc *g, int argc, char **argv)
{
    const struct option_place places[] = {
        { "json", &g->json, NULL }, { "now", &g->now, NULL }, { "state", NULL, &g->state }, { 0 },
    };

    return options_take(argc, argv, places, 1, 1, _("one mountpoint, or the store of a mounted vault, is expected"));
}

/* By the mountpoint, else by the store. */
static int find(const char *path, struct daemon_ref *out)
{
    char real[PATH_MAX], store[PATH_MAX];
    struct daemon_ref *all = NULL;
    char *json;

    int rc = daemon_find(path, out);
    if (rc != E_NOT_MOUNTED || path_real(path, real))
        return rc;
    int count = daemon_list(&all);
    for (int k = 0; rc && k < count; k++) {
        if (!all[k].mounted || daemon_status(&all[k], &json))
            continue;
        if (daemon_json_text(json, "store", store, sizeof store) && strcmp(store, real) == 0) {
            *out = all[k];
            rc = 0;
        }
        free(json);
    }
    free(all);
    return rc;
}

static uint64_t number(const char *json, const char *key)
{
    int64_t v = 0;

    daemon_json_number(json, key, &v);
    return v < 0 ? 0 : (uint64_t)v;
}

static void say(const char *json)
{
    char size[WORDS_MAX], when[WORDS_MAX];
    uint64_t removed = number(json, "removed"), compacted = number(json, "compacted"), dead = number(json, "dead"),
             damaged = number(json, "damaged");

    words_for_size(number(json, "removed_bytes"), size);
    printf(ngettext("%s object removed from the store: %s\n", "%s objects removed from the store: %s\n", removed),
           figure(removed), size);
    if (compacted) {
        words_for_size(number(json, "moved_bytes"), size);
        printf(ngettext("%s object compacted: %s sealed anew\n", "%s objects compacted: %s sealed anew\n",
                        compacted), figure(compacted), size);
    }
    if (damaged)
        printf(ngettext("%s object cannot be read, and was left alone\n",
                        "%s objects cannot be read, and were left alone\n", damaged), figure(damaged));
    if (dead) {
        words_for_size(number(json, "dead_bytes"), size);
        words_for_time((int64_t)number(json, "dead_until"), when);
        printf(ngettext("%s object waits for its removal (%s), not before %s\n",
                        "%s objects wait for their removal (%s), the first not before %s\n", dead),
               figure(dead), size, when);
    }
}

int command_gc(int argc, char **argv)
{
    struct gc g = { 0 };
    struct daemon_ref d;
    char *json = NULL;

    int rc = parse(&g, argc, argv);
    if (!rc) {
        int found = find(argv[optind], &d);
        if (!found)
            found = daemon_gc(&d, g.now, &json);
        rc = complain(found, argv[optind]);
    }
    if (json && g.json)
        fputs(json, stdout);
    else if (json)
        say(json);
    free(json);
    free(g.state);
    return rc;
}
