/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the policy of this computer says of a command, before it does anything.
 *
 * A rule refuses what was asked for; where nothing was asked for, it decides (idle_max,
 * publish_after, publish_every, log, exec).  It is read once in each process, and never by the daemon again:
 * a mount keeps the rules under which it was made.  Refusals are logged, and noted in the
 * audit log of the vault where this device has one.
 */
#include "key.h"
#include <ecluse/audit.h>
#include <ecluse/store.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct policy policy;
static struct policy_report report;
static int loaded = 1;               /* 1: not yet; else 0 or an error */

int policy_current(const struct policy **out, const struct policy_report **why)
{
    if (loaded == 1)
        loaded = policy_load(&policy, &report);
    *out = &policy;
    *why = &report;
    return loaded;
}

/* --- verdicts ---------------------------------------------------------------------------- */

static enum policy_verdict verdict(bool concerned, bool good)
{
    return !concerned ? POLICY_UNASKED : good ? POLICY_ALLOWED : POLICY_REFUSED;
}

/* The environment leads the state elsewhere, as the option would. Root's place is fixed. */
static const char *displaced_by(void)
{
    const struct id128 any = { { 0 } };
    char wanted[PATH_MAX], base[PATH_MAX], usual[PATH_MAX];

    const struct passwd *user = geteuid() ? getpwuid(geteuid()) : NULL;
    if (!user || state_path(wanted, NULL, &any))
        return NULL;
    snprintf(usual, sizeof usual, "%s/.local/state/ecluse", user->pw_dir);
    *strrchr(wanted, '/') = '\0';
    if (path_real(wanted, base) || path_real(usual, wanted) || strcmp(base, wanted) == 0)
        return NULL;
    const char *xdg = getenv("XDG_STATE_HOME");
    return xdg && *xdg == '/' ? "XDG_STATE_HOME" : "HOME";
}

/* Options that were given, as bits. */
static unsigned asked(const struct policy_use *u)
{
    const struct sources *s = u->sources;
    const struct mount_options *m = u->mount;
    unsigned bits = 0;

#define ASKED(condition, bit) bits |= (condition) ? 1u << POLICY_NO_##bit : 0
    ASKED(s && s->passfile, PASSFILE);
    ASKED(s && s->extpass, EXTPASS);
    ASKED(s && s->keyfile, KEYFILE);
    ASKED(u->state || (u->store && displaced_by()), STATE);
    ASKED(m && m->config.allow_other, ALLOW_OTHER);
    ASKED(m && m->config.allow_root, ALLOW_ROOT);
    ASKED(m && m->config.owners, OWNERS);
    ASKED(m && m->notify && strcmp(m->notify, "none"), NOTIFY);
    ASKED(m && m->rebuild != REBUILD_NEVER, REBUILD);
    ASKED(m && m->config.foreground, FOREGROUND);
#undef ASKED
    return bits;
}

static bool slots_allowed(const struct policy *p, unsigned slots)
{
    for (unsigned kind = 1; kind < 32; kind++)
        if (slots & 1u << kind && !policy_slot_allowed(p, (enum slot_kind)kind))
            return false;
    return !(slots & POLICY_TEXT) || policy_slot_allowed(p, SLOT_PASSPHRASE) ||
           policy_slot_allowed(p, SLOT_COMMAND) || policy_slot_allowed(p, SLOT_CREDENTIAL);
}

/* "system" is the journal where there is one, else syslog. */
static bool same_log(enum log_target allowed, enum log_target asked_for)
{
    bool systems = asked_for == LOG_TARGET_JOURNAL || asked_for == LOG_TARGET_SYSLOG;
    return allowed == asked_for || (allowed == LOG_TARGET_SYSTEM && systems);
}

enum policy_verdict policy_judge(const struct policy *p, enum policy_rule rule, const struct policy_use *u)
{
    const struct mount_config *c = u->mount ? &u->mount->config : NULL;

    if (!p->line[rule])
        return POLICY_UNASKED;
    switch (rule) {
    case POLICY_STORES: return verdict(u->store && !u->anywhere, u->store && policy_path_allowed(p, rule, u->store));
    case POLICY_MOUNTPOINTS: return verdict(u->mountpoint, u->mountpoint && policy_path_allowed(p, rule, u->mountpoint));
    case POLICY_SLOTS: return verdict(u->slots, slots_allowed(p, u->slots));
    case POLICY_KDF_MEMORY: return verdict(u->cost, u->cost && u->cost->memory_kib >= p->floor.memory_kib);
    case POLICY_KDF_PASSES: return verdict(u->cost, u->cost && u->cost->passes >= p->floor.passes);
    case POLICY_IDLE_MAX: return verdict(c && c->idle_seconds, c && c->idle_seconds <= p->idle_max);
    case POLICY_FORBID: return verdict(u->sources || c || u->state || u->store, !(asked(u) & p->forbidden));
    case POLICY_LOG: return verdict(c && c->log, c && same_log(p->log, c->log));
    /* When everything is published is not the user's to choose, either way. */
    case POLICY_PUBLISH_AFTER: return verdict(c && c->publish_every, p->line[POLICY_PUBLISH_EVERY]);
    case POLICY_PUBLISH_EVERY: return verdict(c && c->publish_every, c && c->publish_every == p->publish_every);
    case POLICY_LANGUAGES: case POLICY_RULE_COUNT: break;
    }
    return POLICY_UNASKED;
}

/* --- refusing -------------------------------------------------------------------------------- */

/* In the log of this device's state of the vault in that store, when there is one. */
static void note(const struct policy_use *u, const char *rule)
{
    struct store *store = NULL;
    struct vault_header vault;
    uint8_t *header = NULL;
    size_t len;

    log_system(LOG_LEVEL_WARNING, "ECL-0380 refused by the policy: %s", rule);
    if (!u->store || store_open(&store, u->store, &header, &len))
        return;
    if (vault_header_parse(header, len, &vault) == 0)
        audit_append_at(u->state_dir, &vault.vault, AUDIT_POLICY_REFUSED, E_POLICY, AUDIT_FIELDS(AUDIT_WORD("rule", rule)));
    store_close(store);
    free(header);
}

void policy_blame(enum policy_rule rule, const char *subject, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, _("%.2000s (%s, line %u: %s = %.1000s)"), subject, POLICY_FILE, policy.line[rule],
             policy_rule_name(rule), policy.value[rule]);
}

static int refuse(const struct policy_use *u, enum policy_rule rule, char blamed[PATH_MAX])
{
    const char *subject = rule == POLICY_MOUNTPOINTS ? u->mountpoint : u->store ? u->store : u->command;

    if (rule == POLICY_FORBID && !u->state && displaced_by() && policy.forbidden & 1u << POLICY_NO_STATE)
        subject = displaced_by();
    policy_blame(rule, subject ? subject : "", blamed);
    note(u, policy_rule_name(rule));
    return E_POLICY;
}

const char *policy_flaw_words(const struct policy_report *r)
{
    switch (r->flaw) {
    case POLICY_NO_FLAW: break;
    case POLICY_NO_RULE: return _("it is not “key = value”");
    case POLICY_UNKNOWN: return _("there is no such rule");
    case POLICY_TWICE: return _("the rule is there a second time");
    case POLICY_BAD_VALUE: return _("the value is not valid for this rule");
    case POLICY_BAD_BYTE: return _("there is a control character");
    case POLICY_OWNER: return _("it must belong to root, and nobody else may be able to write it");
    case POLICY_UNREADABLE: return error_sentence(r->error);
    }
    return "";
}

int policy_broken(void)
{
    char place[PATH_MAX];

    if (loaded != E_POLICY_BROKEN)
        return complain(loaded, POLICY_FILE);
    fprintf(stderr, _("ecluse: %s\n"), spelled(policy_flaw_place(&report, place)));
    return complain(E_POLICY_BROKEN, NULL);
}

const char *policy_flaw_place(const struct policy_report *r, char out[PATH_MAX])
{
    const char *words = policy_flaw_words(r);

    if (r->line && *r->word)
        snprintf(out, PATH_MAX, _("%s, line %u: %s: %s"), POLICY_FILE, r->line, r->word, words);
    else if (r->line)
        snprintf(out, PATH_MAX, _("%s, line %u: %s"), POLICY_FILE, r->line, words);
    else
        snprintf(out, PATH_MAX, _("%s: %s"), r->word, words);
    return out;
}

static int blame_broken(int error, char blamed[PATH_MAX])
{
    if (error == E_POLICY_BROKEN)
        policy_flaw_place(&report, blamed);
    else
        snprintf(blamed, PATH_MAX, "%s", POLICY_FILE);
    return error;
}

int policy_refuses(const struct policy_use *u, char blamed[PATH_MAX])
{
    const struct policy_report *why;
    const struct policy *p;

    int rc = policy_current(&p, &why);
    if (rc) {
        note(u, "broken");
        return blame_broken(rc, blamed);
    }
    for (enum policy_rule rule = 0; rule < POLICY_RULE_COUNT; rule++)
        if (policy_judge(p, rule, u) == POLICY_REFUSED)
            return refuse(u, rule, blamed);
    return 0;
}

int policy_allows(const struct policy_use *u)
{
    char blamed[PATH_MAX];

    int rc = policy_refuses(u, blamed);
    return rc == E_POLICY_BROKEN ? policy_broken() : complain(rc, blamed);
}

/* --- for keys ---------------------------------------------------------------------------------- */

static int refuse_slot(enum policy_rule rule, const char *subject, int dir, char blamed[PATH_MAX])
{
    policy_blame(rule, subject, blamed);
    log_system(LOG_LEVEL_WARNING, "ECL-0380 refused by the policy: %s", policy_rule_name(rule));
    if (dir >= 0)
        audit_append(dir, NULL, AUDIT_POLICY_REFUSED, E_POLICY,
                     AUDIT_FIELDS(AUDIT_WORD("rule", policy_rule_name(rule))));
    return E_POLICY;
}

int policy_allows_slot(enum slot_kind kind, const struct kdf_cost *cost, int dir, char blamed[PATH_MAX])
{
    struct policy_use u = { .slots = 1u << kind, .cost = kind == SLOT_PASSPHRASE ? cost : NULL };
    const struct policy_report *why;
    const struct policy *p;

    int rc = policy_current(&p, &why);
    if (rc)
        return blame_broken(rc, blamed);
    for (enum policy_rule rule = 0; !rc && rule < POLICY_RULE_COUNT; rule++)
        if (policy_judge(p, rule, &u) == POLICY_REFUSED)
            rc = refuse_slot(rule, audit_slot(kind), dir, blamed);
    return rc;
}

/* The slot that opened it. */
static struct slot_info opened_by(const struct keyring *keys)
{
    struct slot_info s;

    for (size_t k = 0; keyring_slot(keys, k, &s) == 0; k++)
        if (s.number == keyring_opened_by(keys))
            return s;
    return (struct slot_info){ 0 };
}

int policy_allows_way(const struct way *w)
{
    const struct policy_report *why;
    const struct policy *p;
    const struct slot_info s = opened_by(w->keys);

    int rc = policy_current(&p, &why);
    if (rc)
        return blame_broken(rc, w->blamed);
    /* A passphrase in a file, by another name. */
    if (w->secret->claimed && s.kind != SLOT_CREDENTIAL && p->forbidden & 1u << POLICY_NO_PASSFILE)
        return refuse_slot(POLICY_FORBID, "CREDENTIALS_DIRECTORY", w->dir, w->blamed);
    return w->use != WAY_TENDS ? policy_allows_slot(s.kind, &s.cost, w->dir, w->blamed) : 0;
}

bool policy_permits(enum slot_kind kind)
{
    const struct policy_report *why;
    const struct policy *p;

    return policy_current(&p, &why) == 0 && policy_slot_allowed(p, kind);
}

const char *policy_kinds(char out[KINDS_WORDS])
{
    size_t len = 0;

    *out = '\0';
    for (enum slot_kind kind = SLOT_PASSPHRASE; kind <= SLOT_CREDENTIAL; kind++)
        if (kind != SLOT_RECOVERY && policy_permits(kind) && len < KINDS_WORDS)
            len += (size_t)snprintf(out + len, KINDS_WORDS - len, "%s%s", len ? ", " : "", words_for_kind(kind));
    return out;
}

struct kdf_cost policy_cost(struct kdf_cost cost)
{
    const struct policy_report *why;
    const struct policy *p;

    if (policy_current(&p, &why))
        return cost;
    cost.memory_kib = cost.memory_kib > p->floor.memory_kib ? cost.memory_kib : p->floor.memory_kib;
    cost.passes = cost.passes > p->floor.passes ? cost.passes : p->floor.passes;
    return cost;
}

/* --- where nothing was asked for -------------------------------------------------------------------- */

void policy_apply(struct mount_config *c)
{
    const struct policy_report *why;
    const struct policy *p;

    if (policy_current(&p, &why))
        return;
    if (p->line[POLICY_IDLE_MAX] && !c->idle_seconds)
        c->idle_seconds = p->idle_max;
    if (p->forbidden & 1u << POLICY_NO_EXEC)
        c->noexec = true;
    c->publish_seconds = p->publish_after;
    if (p->line[POLICY_PUBLISH_EVERY])
        c->publish_every = p->publish_every;
    if (p->line[POLICY_LOG] && !c->log)
        c->log = p->log;
}

const char *policy_language(bool french)
{
    const struct policy_report *why;
    const struct policy *p;

    if (policy_current(&p, &why) || !p->line[POLICY_LANGUAGES])
        return NULL;
    return (french ? p->french : p->english) ? NULL : p->language;
}
