/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse audit: what this device has noted of a vault, and whether that is all of it.
 *
 *   show     the events, for people or, with --json, as they stand in the file
 *   verify   exit code 0 only when no record was altered, removed or put in
 *
 * Neither needs a key, nor disturbs a mounted vault.  With --unlock, verify also tells whether
 * the head was sealed by a holder of the keys; that is an event itself, noted afterwards.
 */
#include "checkup.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { AUDIT_SINCE = 1024, AUDIT_UNLOCK };

struct audit {
    struct key_options keys;
    struct unlocked vault;
    const char *store;
    bool json, unlock;
    int64_t since;
    int dir;
    uint64_t shown;
};

/* --- words --------------------------------------------------------------------------------- */

struct words { const char *name, *text; };

/* Names that a later version wrote are shown as they are. */
static const char *find(const struct words *list, size_t count, const char *name)
{
    for (size_t k = 0; k < count; k++)
        if (strcmp(name, list[k].name) == 0)
            return _(list[k].text);
    return name;
}

static const struct words events[] = {
    { "log-begun", N_("the log begins") },
    { "log-torn", N_("an incomplete record was cut off, as a power cut leaves it") },
    { "log-missed", N_("events could not be noted") },
    { "log-altered", N_("the log was found altered") },
    { "vault-made", N_("vault made") },
    { "unlocked", N_("vault unlocked") },
    { "mounted", N_("mounted") },
    { "idle", N_("unmounted after a time without use") },
    { "unmounted", N_("unmounted") },
    { "passphrase-changed", N_("passphrase changed") },
    { "key-added", N_("key added") },
    { "key-removed", N_("key removed") },
    { "key-tuned", N_("cost of a key changed") },
    { "accepted", N_("what was refused was accepted") },
    { "recovered", N_("recovered from the store") },
    { "rebuilt", N_("local state rebuilt") },
    { "published", N_("published") },
    { "publish-failed", N_("publication") },
    { "objects-removed", N_("objects that nothing needs removed") },
    { "checked", N_("store checked") },
    { "salvaged", N_("files salvaged") },
    { "integrity-alarm", N_("integrity alarm") },
    { "read-only", N_("the vault became read-only") },
    { "state-copied", N_("the state was copied or restored; it is a device of its own now") },
    { "policy-refused", N_("refused by the policy") },
    { "imported", N_("files imported") },
    { "exported", N_("files exported") },
    { "source-removed", N_("the imported files were removed from their old place") },
};

/* Where the words for a success do not fit a failure. */
static const struct words failures[] = {
    { "unlocked", N_("unlocking failed") }, { "mounted", N_("mounting failed") },
    { "unmounted", N_("unmounted, with an error at the end") }, { "accepted", N_("asked to accept, and not accepted") },
};

static const struct words labels[] = {
    { "vault", N_("vault") }, { "bytes", N_("size") }, { "count", N_("number") }, { "why", N_("why") },
    { "with", N_("with") }, { "read_only", N_("read-only") }, { "seconds", N_("seconds") }, { "kind", N_("kind") },
    { "slot", N_("slot") },
    { "memory_kib", N_("memory") }, { "passes", N_("passes") }, { "what", N_("what") },
    { "publications", N_("publications") }, { "kept", N_("kept") }, { "lost", N_("lost") },
    { "number", N_("number") }, { "objects", N_("objects") }, { "verdict", N_("verdict") }, { "keys", N_("keys") },
    { "read_data", N_("contents read") }, { "older", N_("older store") }, { "foreign", N_("foreign") },
    { "not_arrived", N_("not arrived yet") }, { "damaged", N_("damaged") }, { "attack", N_("attack") },
    { "files", N_("files") }, { "left_out", N_("left out") }, { "rule", N_("rule") }, { "suite", N_("suite") },
};

static const struct words values[] = {
    { "passphrase", N_("passphrase") }, { "recovery", N_("recovery key") }, { "keyfile", N_("key file") },
    { "command", N_("external command") }, { "credential", N_("systemd credential") },
    { "older", N_("an older store") }, { "other", N_("another vault") }, { "ok", N_("ok") },
    { "foreign", N_("foreign") }, { "not_arrived", N_("not arrived yet") }, { "damaged", N_("damaged") },
    { "attack", N_("attack") }, { "none", N_("none") }, { "state", N_("of this device") },
    { "head-missing", N_("its head is missing") }, { "head-forged", N_("its head was not made with the keys") },
    { "log-cut", N_("records are missing at its end") }, { "log-differs", N_("it holds other records") },
};

const char *audit_event_words(const char *event, bool failed)
{
    const char *words = failed ? find(failures, ARRAY_SIZE(failures), event) : event;
    return words == event ? find(events, ARRAY_SIZE(events), event) : words;
}

const char *audit_value_words(const char *word)
{
    return find(values, ARRAY_SIZE(values), word);
}

/* The sentence for the name of an error. */
static const char *outcome_words(const char *name)
{
    for (int code = -1; code > -6000; code = code == -200 ? -5000 : code - 1)
        if (strcmp(error_name(code), name) == 0)
            return error_sentence(code);
    return name;
}

/* --- show ------------------------------------------------------------------------------------ */

static void show_fields(const struct audit_record *r)
{
    char size[WORDS_MAX];

    printf(" (%s", r->by);
    if (r->uid != getuid())
        printf(_(", user %u"), r->uid);
    for (size_t k = 0; k < r->field_count; k++) {
        const char *name = r->fields[k].name;
        if (!r->fields[k].is_word && !r->fields[k].number && strcmp(name, "objects"))
            continue;
        /* TRANSLATORS: a detail of an event: its label, then its value */
        printf(_(", %s: "), find(labels, ARRAY_SIZE(labels), name));
        if (r->fields[k].is_word)
            printf("%s", audit_value_words(r->fields[k].word));
        else if (strcmp(name, "bytes") == 0)
            printf("%s", words_for_size(r->fields[k].number, size));
        else if (strcmp(name, "memory_kib") == 0)
            printf("%s", words_for_power(r->fields[k].number, size));
        else
            printf("%llu", (unsigned long long)r->fields[k].number);
    }
    printf(")");
}

static int show_record(void *ctx, const struct audit_record *r, const char *line)
{
    struct audit *a = ctx;
    char when[WORDS_MAX];

    if (r->time < a->since)
        return 0;
    a->shown++;
    if (a->json)
        return printf("%s\n", line) < 0 ? -EIO : 0;
    bool failed = strcmp(r->outcome, "ok");
    printf("%s  %s", words_for_time(r->time, when), audit_event_words(r->event, failed));
    if (failed)
        printf(_(": %s"), outcome_words(r->outcome));
    show_fields(r);
    printf("\n");
    return 0;
}

/* --- verdicts ---------------------------------------------------------------------------------- */

const char *audit_harm_words(enum audit_harm harm)
{
    switch (harm) {
    case AUDIT_WHOLE: return NULL;
    case AUDIT_NO_LOG: return _("there is no audit log");
    case AUDIT_INCOMPLETE: return _("the last record is incomplete, as after a power cut; the next event cuts it off and says so");
    case AUDIT_BROKEN: return _("the audit log was altered: a record was changed, removed or put in");
    case AUDIT_CUT: return _("the audit log was cut: records are missing at its end");
    case AUDIT_DIFFERS: return _("the audit log was altered: it does not hold the record that its head names");
    case AUDIT_NO_HEAD: return _("the head of the audit log is missing");
    case AUDIT_HEAD_FORGED: return _("the head of the audit log was altered, or not made with the keys of this vault");
    }
    return NULL;
}

int audit_complain(const char *store, const struct audit_report *r)
{
    const char *words = audit_harm_words(r->harm);

    if (!words)
        return EXIT_DONE;
    fflush(stdout);
    if (r->harm == AUDIT_BROKEN)
        fprintf(stderr, _("ecluse: %s: line %llu: %s\n"), spelled(store), (unsigned long long)r->line, words);
    else
        fprintf(stderr, _("ecluse: %s: %s\n"), spelled(store), words);
    return EXIT_INTEGRITY;
}

void audit_phrase(const char hash[AUDIT_HASH_TEXT], char out[PHRASE_TEXT])
{
    uint8_t start[4];

    for (size_t k = 0; k < sizeof start; k++)
        start[k] = (uint8_t)strtoul((char[]){ hash[2 * k], hash[2 * k + 1], 0 }, NULL, 16);
    phrase_for(start, out);
}

static void say_whole(const struct audit *a, const struct audit_report *r)
{
    char first[WORDS_MAX], last[WORDS_MAX], phrase[PHRASE_TEXT];

    audit_phrase(r->hash, phrase);
    printf(_("The audit log is whole: %llu records, from %s to %s.\n"), (unsigned long long)r->records,
           words_for_time(r->first, first), words_for_time(r->last, last));
    if (a->unlock)
        printf(_("Sealed with the keys of the vault up to record %llu.\n"), (unsigned long long)r->sealed);
    printf(_("Head: %s (%s)\n"), r->hash, phrase);
}

/* --- the command ------------------------------------------------------------------------------- */

/* 2026-11-27, 2026-11-27 16:20 or with T between; local time. */
static bool parse_date(const char *text, int64_t *out)
{
    static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S" };

    for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
        struct tm tm = { .tm_isdst = -1 };
        const char *stop = strptime(text, forms[k], &tm);
        int day = tm.tm_mday;
        if (!stop || *stop)
            continue;
        *out = mktime(&tm);
        return *out >= 0 && tm.tm_mday == day;   /* there is no 31 February */
    }
    return false;
}

static int parse_since(struct audit *a, const char *command, const char *text)
{
    if (parse_date(text, &a->since))
        return EXIT_DONE;
    return usage_error(command, _("“%s” is not a date (for example 2026-11-27 or 2026-11-27T16:20)"), text);
}

static int parse(struct audit *a, bool show, int argc, char **argv)
{
    static const struct option show_options[] = {
        { "json", no_argument, NULL, OPTION_JSON }, { "since", required_argument, NULL, AUDIT_SINCE },
        { "state", required_argument, NULL, OPTION_STATE }, { NULL, 0, NULL, 0 },
    };
    static const struct option verify_options[] = {
        { "unlock", no_argument, NULL, AUDIT_UNLOCK },
        { "passfile", required_argument, NULL, OPTION_PASSFILE },
        { "extpass", required_argument, NULL, OPTION_EXTPASS },
        { "keyfile", required_argument, NULL, OPTION_KEYFILE },
        { "state", required_argument, NULL, OPTION_STATE }, { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", show ? show_options : verify_options, NULL)) != -1) {
        if (key_option(&a->keys, found, optarg, &rc))
            continue;
        switch (found) {
        case OPTION_JSON: a->json = true; break;
        case AUDIT_UNLOCK: a->unlock = true; break;
        case AUDIT_SINCE: rc = parse_since(a, "audit", optarg); break;
        default: argv[0] = (char[]){ "audit" }; rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind != 1)
        rc = usage_error("audit", _("one store is expected"));
    a->unlock |= key_options_any(&a->keys);
    return rc ? rc : key_options_check(&a->keys, "audit");
}

static int open_state(struct audit *a)
{
    struct unlocked *u = &a->vault;
    char base[PATH_MAX];

    int rc = unlocked_store(u, a->store);
    if (!rc && a->keys.state)
        rc = path_real(a->keys.state, base);
    if (!rc)
        rc = state_path(u->state_path, a->keys.state ? base : NULL, &u->vault.vault);
    if (rc)
        return complain(rc, *u->blamed ? u->blamed : a->keys.state);
    a->dir = open(u->state_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return a->dir < 0 ? complain(errno == ENOENT ? E_STATE_MISSING : -errno, u->state_path) : EXIT_DONE;
}

static int show(struct audit *a)
{
    struct audit_report r;

    int rc = audit_read(a->dir, &a->vault.vault.vault, NULL, show_record, a, &r);
    if (rc)
        return complain(rc, a->vault.state_path);
    if (!a->json && !a->shown && r.harm == AUDIT_WHOLE)
        printf("%s", _("Nothing was noted since then.\n"));
    return audit_complain(a->store, &r);
}

/* The keyring alone: a daemon may hold the state. Judged first, noted afterwards. */
static int verify_unlocked(struct audit *a, struct audit_report *r)
{
    struct unlocked *u = &a->vault;
    struct secret s = { 0 };

    int rc = keyring_load(&u->own, a->dir, "keyring");
    if (rc)
        return complain(rc == -ENOENT ? E_KEYRING : rc, u->state_path);
    if (!id_equal(keyring_vault(u->own), &u->vault.vault))
        return complain(E_STATE_FOREIGN, u->state_path);
    rc = unlocked_allowed(u, &a->keys, WAY_LOOKS);
    if (!rc)
        rc = secret_of_vault(&a->keys.sources, &u->vault.vault, a->store, &s, u->blamed);
    if (rc)
        return complain(rc, u->blamed);
    const struct way way = { .keys = u->own, .secret = &s, .use = WAY_LOOKS, .dir = a->dir, .noted_later = true, .blamed = u->blamed };
    rc = way_open(&way);
    if (rc == E_PASSPHRASE)
        snprintf(u->blamed, sizeof u->blamed, "%s", a->store);
    else if (rc != E_POLICY && rc != E_POLICY_BROKEN)
        snprintf(u->blamed, sizeof u->blamed, "%s", u->state_path);
    int read = rc ? rc : audit_read(a->dir, &u->vault.vault, u->own, NULL, NULL, r);
    if (!rc)
        way_note(&way, 0);
    secret_drop(&s);
    return complain(read, u->blamed);
}

static int verify(struct audit *a)
{
    struct audit_report r;

    int rc = a->unlock ? verify_unlocked(a, &r)
                       : complain(audit_read(a->dir, &a->vault.vault.vault, NULL, NULL, NULL, &r), a->vault.state_path);
    if (!rc)
        rc = audit_complain(a->store, &r);
    if (!rc)
        say_whole(a, &r);
    return rc;
}

int command_audit(int argc, char **argv)
{
    struct audit a = { .dir = -1 };
    const char *word = argc > 1 ? argv[1] : "";
    bool shows = strcmp(word, "show") == 0;

    if (!shows && strcmp(word, "verify"))
        return usage_error("audit", _("either “show” or “verify” is expected"));
    int rc = parse(&a, shows, argc - 1, argv + 1);
    if (!rc) {
        a.store = argv[1 + optind];
        rc = open_state(&a);
    }
    if (!rc)
        rc = shows ? show(&a) : verify(&a);
    if (a.dir >= 0)
        close(a.dir);
    unlocked_close(&a.vault);
    key_options_free(&a.keys);
    return rc;
}
