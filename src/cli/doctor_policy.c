/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What `ecluse doctor` finds out about the policy of this computer: is there one, is it valid,
 * and does it let this user's vault through?
 *
 * One that is not valid keeps every vault closed, and only an administrator can mend it: so
 * what it says is for him.
 */
#include "doctor.h"
#include "policy.h"
#include <stdlib.h>

static void say_broken(struct doctor *d, const struct policy_report *r)
{
    char place[PATH_MAX];

    switch (r->flaw) {
    case POLICY_OWNER:
        doctor_say(d, "policy", FINDING_PROBLEM,
                   _("others than root may change the policy, so no vault opens: have an administrator run "
                     "“chown root: %s” and “chmod go-w %s”"), r->word, r->word);
        break;
    case POLICY_UNREADABLE:
        doctor_say(d, "policy", FINDING_PROBLEM,
                   _("the policy cannot be read, so no vault opens (%s: %s): have an administrator make it a plain "
                     "file that everybody may read (chmod 644), in a folder that everybody may enter (chmod 755), "
                     "neither of them a symbolic link"), spelled(r->word), error_sentence(r->error));
        break;
    default:
        doctor_say(d, "policy", FINDING_PROBLEM,
                   _("the policy is not valid, so no vault opens (%s): have an administrator mend that line; "
                     "“ecluse policy check” tells when it is right"), spelled(policy_flaw_place(r, place)));
    }
}

/* Each rule that stands in the way of this store or state. */
static bool say_refusals(struct doctor *d, const struct policy *p, const char *store)
{
    const struct policy_use u = { .store = store, .state = d->state };
    char blamed[PATH_MAX];
    bool refused = false;

    for (enum policy_rule rule = 0; rule < POLICY_RULE_COUNT; rule++) {
        if (policy_judge(p, rule, &u) != POLICY_REFUSED)
            continue;
        policy_blame(rule, rule == POLICY_FORBID || !store ? "--state" : store, blamed);
        doctor_say(d, "policy", FINDING_PROBLEM,
                   _("the policy of this computer does not allow it: %s; use what it allows, or ask an administrator"),
                   blamed);
        refused = true;
    }
    return refused;
}

/* Rules that are valid, and may surprise. */
static void say_surprises(struct doctor *d, const struct policy *p)
{
    char kinds[KINDS_WORDS];

    if (p->line[POLICY_SLOTS] && !*policy_kinds(kinds))
        doctor_say(d, "policy", FINDING_PROBLEM,
                   _("the policy allows no way in but the recovery key (%s, line %u), which no mount takes: have an "
                     "administrator allow another one"), POLICY_FILE, p->line[POLICY_SLOTS]);
    if (p->forbidden & 1u << POLICY_NO_EXTPASS)
        doctor_say(d, "policy", FINDING_NOTE,
                   _("the policy forbids “extpass” (%s, line %u): ecluse-open cannot ask for passphrases in a window"),
                   POLICY_FILE, p->line[POLICY_FORBID]);
}

void doctor_policy(struct doctor *d, const char *store)
{
    const struct policy_report *why;
    const struct policy *p;
    char real[PATH_MAX];
    unsigned rules = 0;

    int rc = policy_current(&p, &why);
    if (rc == E_POLICY_BROKEN)
        say_broken(d, why);
    else if (rc)
        doctor_say(d, "policy", FINDING_PROBLEM, "%s: %s", POLICY_FILE, error_sentence(rc));
    for (enum policy_rule rule = 0; !rc && rule < POLICY_RULE_COUNT; rule++)
        rules += p->line[rule] != 0;
    if (rc)
        return;
    if (!rules)
        doctor_say(d, "policy", FINDING_OK, _("this computer has no policy (%s): everything is allowed"), POLICY_FILE);
    else if (!say_refusals(d, p, store && realpath(store, real) ? real : NULL))
        doctor_say(d, "policy", FINDING_OK, _("a policy applies (%s, rules: %s): “ecluse policy check” explains it"),
                   POLICY_FILE, figure(rules));
    say_surprises(d, p);
}
