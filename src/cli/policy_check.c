/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse policy check: which rules hold on this computer, and would they let this through?
 *
 * Nothing is mounted, asked for or noted; anybody may look.
 */
#include "checkup.h"
#include "policy.h"
#include <stdlib.h>

struct check {
    struct mount_options mount;
    bool json, options;
    const char *spec, *place;
    char store[PATH_MAX], mountpoint[PATH_MAX];
};

static const char *const meanings[POLICY_RULE_COUNT] = {
    [POLICY_STORES] = N_("stores lie in one of these folders only"),
    [POLICY_MOUNTPOINTS] = N_("vaults are mounted in one of these folders only"),
    [POLICY_SLOTS] = N_("vaults are opened in these ways only, and with the recovery key"),
    [POLICY_KDF_MEMORY] = N_("checking a passphrase takes at least so much memory"),
    [POLICY_KDF_PASSES] = N_("checking a passphrase takes at least so many passes"),
    [POLICY_IDLE_MAX] = N_("a vault is unmounted after at most that time without use"),
    [POLICY_FORBID] = N_("these options are not allowed"),
    [POLICY_PUBLISH_AFTER] = N_("changes are published after that much quiet"),
    [POLICY_PUBLISH_EVERY] = N_("changes are published at this fixed cadence, whenever they were made"),
    [POLICY_LOG] = N_("the daemon logs there"),
    [POLICY_LANGUAGES] = N_("messages are in these languages"),
};
static const char *const verdict_names[] = {
    [POLICY_UNASKED] = "not_concerned", [POLICY_ALLOWED] = "allowed", [POLICY_REFUSED] = "refused",
};
static const char *const flaw_names[] = {
    [POLICY_NO_FLAW] = "", [POLICY_NO_RULE] = "no_rule", [POLICY_UNKNOWN] = "unknown_rule", [POLICY_TWICE] = "twice",
    [POLICY_BAD_VALUE] = "bad_value", [POLICY_BAD_BYTE] = "bad_byte", [POLICY_OWNER] = "owner",
    [POLICY_UNREADABLE] = "unreadable",
};

static int parse(struct check *k, int argc, char **argv)
{
    static const struct option options[] = {
        { "json", no_argument, NULL, OPTION_JSON }, { "options", required_argument, NULL, 'o' }, { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
        switch (found) {
        case OPTION_JSON: k->json = true; break;
        case 'o': k->options = true; rc = mount_options_parse(&k->mount, optarg, false); break;
        default: argv[0] = (char[]){ "policy" }; rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind > 2)
        rc = usage_error("policy", _("at most a store and a mountpoint are expected"));
    if (rc)
        return rc;
    k->spec = optind < argc ? argv[optind] : NULL;
    k->place = optind + 1 < argc ? argv[optind + 1] : NULL;
    rc = k->spec ? path_real(k->spec, k->store) : 0;
    if (rc)
        return complain(rc, k->spec);
    rc = k->place ? path_real(k->place, k->mountpoint) : 0;
    return rc ? complain(rc, k->place) : EXIT_DONE;
}

/* --- telling ----------------------------------------------------------------------------- */

static enum policy_verdict judge(const struct check *k, const struct policy *p, enum policy_rule rule)
{
    const struct mount_options *m = &k->mount;
    struct policy_use u = {
        .store = k->spec ? k->store : NULL, .mountpoint = k->place ? k->mountpoint : NULL, .state = m->state,
        .sources = &m->sources, .mount = m,
        .slots = !k->place && !k->options ? 0 : m->sources.keyfile ? 1u << SLOT_KEYFILE : POLICY_TEXT,
    };

    /* Without anything to judge, rules are only explained. */
    return k->spec || k->options ? policy_judge(p, rule, &u) : POLICY_UNASKED;
}

static void tell_json(const struct check *k, const struct policy *p, const struct policy_report *r, int rc)
{
    bool any = false, refused = false;

    printf("{\"file\": \"%s\", \"valid\": %s, \"flaw\": \"%s\", \"line\": %u, \"rules\": [", POLICY_FILE, rc ? "false" : "true",
           flaw_names[r->flaw], r->line);
    for (enum policy_rule rule = 0; !rc && rule < POLICY_RULE_COUNT; rule++) {
        if (!p->line[rule])
            continue;
        enum policy_verdict v = judge(k, p, rule);
        printf("%s\n  {\"rule\": \"%s\", \"line\": %u, \"verdict\": \"%s\", \"value\": ", any ? "," : "",
               policy_rule_name(rule), p->line[rule], verdict_names[v]);
        spell_json(stdout, p->value[rule]);
        printf("}");
        any = true;
        refused |= v == POLICY_REFUSED;
    }
    printf("%s], \"verdict\": \"%s\"}\n", any ? "\n" : "", rc || refused ? "refused" : "allowed");
}

static void tell_rule(const struct policy *p, enum policy_rule rule, enum policy_verdict v)
{
    /* TRANSLATORS: a line of policy.conf: its number, the rule */
    printf(_("line %u: %s = "), p->line[rule], policy_rule_name(rule));
    spell_plain(stdout, p->value[rule]);
    printf("\n    %s", _(meanings[rule]));
    if (v == POLICY_ALLOWED)
        printf("%s", _(": allowed"));
    if (v == POLICY_REFUSED)
        printf("%s", _(": NOT ALLOWED"));
    printf("\n");
}

static void tell_plain(const struct check *k, const struct policy *p)
{
    bool any = false, refused = false;

    for (enum policy_rule rule = 0; rule < POLICY_RULE_COUNT; rule++) {
        if (!p->line[rule])
            continue;
        enum policy_verdict v = judge(k, p, rule);
        tell_rule(p, rule, v);
        any = true;
        refused |= v == POLICY_REFUSED;
    }
    if (!any)
        printf(_("This computer has no policy (%s): everything is allowed.\n"), POLICY_FILE);
    else if (k->spec || k->options)
        printf("%s\n", refused ? _("Verdict: not allowed.") : _("Verdict: allowed."));
}

static int check(const struct check *k)
{
    const struct policy_report *r;
    const struct policy *p;
    bool refused = false;

    int rc = policy_current(&p, &r);
    if (k->json)
        tell_json(k, p, r, rc);
    if (rc)
        return policy_broken();
    if (!k->json)
        tell_plain(k, p);
    for (enum policy_rule rule = 0; rule < POLICY_RULE_COUNT; rule++)
        refused |= judge(k, p, rule) == POLICY_REFUSED;
    return refused ? EXIT_POLICY : EXIT_DONE;
}

int command_policy(int argc, char **argv)
{
    struct check k = { 0 };

    if (argc < 2 || strcmp(argv[1], "check"))
        return usage_error("policy", _("“check” is expected"));
    int rc = parse(&k, argc - 1, argv + 1);
    if (!rc)
        rc = check(&k);
    mount_options_free(&k.mount);
    return rc;
}
