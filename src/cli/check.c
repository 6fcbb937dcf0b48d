/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse check: is the store whole, and all of it ours?
 *
 * Findings are told as they come, one line each, or as one JSON object.  Exit code 0
 * only when there are none; an older store has its own, all others are
 * EXIT_INTEGRITY.  Nothing is changed, and nothing is repaired: what to do about an
 * attack, a late object and a damaged one differs, and is the user's to decide.
 */
#include "checkup.h"
#include <ecluse/check.h>
#include <stdlib.h>

#define FOREIGN_SHOWN 20u

struct check {
    struct key_options keys;
    char *manifest_path;
    bool no_key, read_data, json;
    struct unlocked vault;
    struct manifest manifest;
    struct progress progress;
    uint64_t told, foreign;
};

/* Names for programs; never translated, never changed. */
static const char *const verdict_names[CHECK_VERDICTS] = {
    [CHECK_OK] = "ok", [CHECK_FOREIGN] = "foreign", [CHECK_NOT_ARRIVED] = "not_arrived",
    [CHECK_DAMAGED] = "damaged", [CHECK_ATTACK] = "attack",
};
static const char *const reason_names[CHECK_REASON_COUNT] = {
#define X(reason, name) [CHECK_BECAUSE_##reason] = name,
    CHECK_REASONS(X)
#undef X
};

static const char *const verdict_words[CHECK_VERDICTS] = {
    /* TRANSLATORS: verdicts of a check, each in front of a path */
    [CHECK_OK] = N_("ok"), [CHECK_FOREIGN] = N_("foreign"), [CHECK_NOT_ARRIVED] = N_("not arrived yet"),
    [CHECK_DAMAGED] = N_("damaged"), [CHECK_ATTACK] = N_("attack"),
};

/* Those with a number have a %llu. */
static const char *const reason_words[CHECK_REASON_COUNT] = {
    [CHECK_BECAUSE_NONE] = "",
    [CHECK_BECAUSE_NOT_OURS] = N_("not a file of the vault; it is ignored"),
    [CHECK_BECAUSE_OTHER_VAULT] = N_("named like an object, but nothing shows that it is of this vault"),
    [CHECK_BECAUSE_UNLISTED] = N_("not in the manifest: later than it, or planted"),
    [CHECK_BECAUSE_ABSENT] = N_("missing: it has not arrived, or was taken away"),
    [CHECK_BECAUSE_SHORT] = N_("shorter than it will be"),
    [CHECK_BECAUSE_FILLING] = N_("partly filled with zeros: it is still being received"),
    [CHECK_BECAUSE_CHANGING] = N_("its size changed during the check: it is still being received"),
    [CHECK_BECAUSE_WAITS] = N_("its publication waits for number %llu, which is missing"),
    [CHECK_BECAUSE_UNREADABLE] = N_("it cannot be read: "),
    [CHECK_BECAUSE_NEWER] = N_("written by a newer version of Écluse, or altered"),
    [CHECK_BECAUSE_MALFORMED] = N_("it is not as the format has it"),
    [CHECK_BECAUSE_LONGER] = N_("something was added behind its end"),
    [CHECK_BECAUSE_NOT_RANDOM] = N_("its content does not look like ciphertext"),
    [CHECK_BECAUSE_DIFFERS] = N_("it differs from the manifest"),
    [CHECK_BECAUSE_MISPLACED] = N_("another object of the vault stands under this name"),
    [CHECK_BECAUSE_ROWS] = N_("its publication is authentic, but holds what it may not"),
    [CHECK_BECAUSE_REVERSE] = N_("its reverse map lacks a block that files refer to, at byte %llu"),
    [CHECK_BECAUSE_INDEX] = N_("index and store, or rows of the index, do not fit together"),
    [CHECK_BECAUSE_STATE] = N_("the local state is damaged; see “ecluse mount --rebuild”"),
    [CHECK_BECAUSE_FRONT] = N_("its header was altered"),
    [CHECK_BECAUSE_TRAILER] = N_("its trailer does not open: it was altered, or cut"),
    [CHECK_BECAUSE_FOOTER] = N_("its footer does not open: it was altered"),
    [CHECK_BECAUSE_BLOCK] = N_("the block at byte %llu does not open: it was altered"),
    [CHECK_BECAUSE_HASH] = N_("its bytes are not those that were published"),
    [CHECK_BECAUSE_REPLACED] = N_("something else stands in its place"),
    [CHECK_BECAUSE_FORKED] = N_("another publication has its number, %llu: a forgery, or a machine that was turned back"),
    [CHECK_BECAUSE_BROKEN] = N_("its publication, number %llu, follows another one than is there"),
    [CHECK_BECAUSE_OLDER] = N_("the store is older than what this device has seen: publication %llu is gone"),
};

static const char *const advice[CHECK_VERDICTS] = {
    [CHECK_FOREIGN] = N_("Foreign files do no harm; remove them from the store if nobody needs them."),
    [CHECK_NOT_ARRIVED] = N_("Let the sync client finish, then check again."),
    [CHECK_DAMAGED] = N_("Fetch the damaged files anew from the host or from a backup of the store, then check again."),
    [CHECK_ATTACK] = N_("Keep this store as it is, and the local state: it is what protects you. Fetch the store anew "
                        "from the host or from a backup, into another folder, and check that."),
};

/* --- options ---------------------------------------------------------------------------- */

enum { CHECK_READ_DATA = 1024, CHECK_NO_KEY, CHECK_MANIFEST };

static int parse(struct check *k, int argc, char **argv)
{
    static const struct option options[] = {
        KEY_OPTIONS,
        { "read-data", no_argument, NULL, CHECK_READ_DATA },
        { "no-key", no_argument, NULL, CHECK_NO_KEY },
        { "manifest", required_argument, NULL, CHECK_MANIFEST },
        { "json", no_argument, NULL, OPTION_JSON },
        { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (key_option(&k->keys, found, optarg, &rc))
            continue;
        switch (found) {
        case CHECK_READ_DATA: k->read_data = true; break;
        case CHECK_NO_KEY: k->no_key = true; break;
        case CHECK_MANIFEST: rc = option_set(&k->manifest_path, optarg); break;
        case OPTION_JSON: k->json = true; break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && argc - optind != 1)
        rc = usage_error(argv[0], _("one store is expected"));
    if (!rc && k->no_key && (key_options_any(&k->keys) || k->read_data))
        rc = usage_error(argv[0], _("“--no-key” goes with neither a key nor “--read-data”"));
    return rc ? rc : key_options_check(&k->keys, argv[0]);
}

/* --- telling ------------------------------------------------------------------------------ */

static void tell_reason(const struct check_finding *f)
{
    printf(_(reason_words[f->reason]), (unsigned long long)f->number);
    if (f->reason == CHECK_BECAUSE_UNREADABLE)
        fputs(error_sentence(f->error), stdout);
}

static void tell_json(struct check *k, const struct check_finding *f)
{
    printf("%s\n    {\"verdict\": \"%s\", \"reason\": \"%s\", \"path\": ", k->told ? "," : "", verdict_names[f->verdict],
           reason_names[f->reason]);
    spell_json(stdout, f->path);
    if (f->number)
        printf(", \"number\": %llu", (unsigned long long)f->number);
    printf("}");
}

static void tell_plain(struct check *k, const struct check_finding *f)
{
    if (f->verdict == CHECK_FOREIGN && ++k->foreign > FOREIGN_SHOWN)
        return;
    printf("%s", _(verdict_words[f->verdict]));
    printf(_(": %s"), "");         /* French has a space before it */
    spell_plain(stdout, f->path);
    printf(_(": %s"), "");
    tell_reason(f);
    printf("\n");
}

static void tell(void *ctx, const struct check_finding *f)
{
    struct check *k = ctx;

    progress_clear(&k->progress);
    if (k->json)
        tell_json(k, f);
    else
        tell_plain(k, f);
    k->told++;
}

static void show(void *ctx, enum check_phase phase, uint64_t done, uint64_t total)
{
    static const char *const names[] = {
        [CHECK_PHASE_OBJECTS] = N_("Checking objects"), [CHECK_PHASE_ROWS] = N_("Checking publications"),
        [CHECK_PHASE_DATA] = N_("Reading everything"),
    };
    struct check *k = ctx;

    progress_show(&k->progress, _(names[phase]), done, total);
}

/* --- the summary ----------------------------------------------------------------------------- */

static const char *state_name(const struct check *k)
{
    static const char *const names[] = {
        [STATE_UNUSED] = "unused", [STATE_OPEN] = "compared", [STATE_BUSY] = "in_use", [STATE_BROKEN] = "damaged",
    };
    return names[k->vault.part];
}

static void sum_json(const struct check *k, const struct check_report *r)
{
    char id[ID_TEXT];

    id_format(&k->vault.vault.vault, id);
    printf("%s],\n  \"verdict\": \"%s\", \"older\": %s, \"vault\": \"%s\", \"keys\": \"%s\", \"state\": \"%s\", "
           "\"read_data\": %s, \"manifest\": %s,\n", k->told ? "\n  " : "", verdict_names[r->worst],
           r->older ? "true" : "false", id,
           k->no_key ? "none" : k->keys.recovery || k->keys.recovery_file ? "recovery" : "state", state_name(k),
           k->read_data ? "true" : "false", k->manifest_path ? "true" : "false");
    printf("  \"objects\": %llu, \"object_bytes\": %llu, \"ok\": %llu, \"foreign\": %llu, \"not_arrived\": %llu, "
           "\"damaged\": %llu, \"attack\": %llu,\n", (unsigned long long)r->objects, (unsigned long long)r->bytes,
           (unsigned long long)r->count[CHECK_OK], (unsigned long long)r->count[CHECK_FOREIGN],
           (unsigned long long)r->count[CHECK_NOT_ARRIVED], (unsigned long long)r->count[CHECK_DAMAGED],
           (unsigned long long)r->count[CHECK_ATTACK]);
    printf("  \"publications\": %llu, \"published_at\": %lld, \"branches\": %llu, \"duplicates\": %llu, "
           "\"unfinished\": %llu, \"rows\": %llu, \"blocks\": %llu}\n", (unsigned long long)r->publications,
           (long long)r->time, (unsigned long long)r->branches, (unsigned long long)r->duplicates,
           (unsigned long long)r->unfinished, (unsigned long long)r->rows, (unsigned long long)r->blocks);
}

static void say(const char *format, uint64_t count)
{
    if (count)
        printf(format, figure(count));
}

static void sum_keys(const struct check *k, const struct check_report *r)
{
    char date[WORDS_MAX];

    if (r->publications)
        printf(_("Publications: %s, the last of %s.\n"), figure(r->publications),
               words_for_time(r->time, date));
    else
        printf("%s", _("Publications: none.\n"));
    say(_("  of other devices, not part of this history: %s\n"), r->branches);
    say(_("  carried by a second object too: %s\n"), r->duplicates);
    say(_("  parts at the end of a series that goes on: %s\n"), r->unfinished);
    if (k->read_data)
        printf(_("Blocks opened: %s.\n"), figure(r->blocks));
    else
        printf(_("File contents were not read; “--read-data” opens them.\n"));
    if (k->vault.part == STATE_OPEN)
        printf(_("The store was compared with the local state.\n"));
}

static void sum_plain(const struct check *k, const struct check_report *r)
{
    char size[WORDS_MAX];

    if (k->foreign > FOREIGN_SHOWN)
        printf(_("… and %s more foreign files\n"), figure(k->foreign - FOREIGN_SHOWN));
    printf(_("Objects: %s, %s; in order: %s.\n"), figure(r->objects), words_for_size(r->bytes, size),
           figure(r->count[CHECK_OK]));
    if (!k->no_key)
        sum_keys(k, r);
    else
        printf("%s\n", k->manifest_path ? _("Checked without a key: form, size, randomness and the manifest.")
                                        : _("Checked without a key: form, size and randomness."));
    printf(_("Verdict: %s\n"), _(verdict_words[r->worst]));
    if (advice[r->worst])
        printf("%s\n", _(advice[r->worst]));
}

/* --- the command ------------------------------------------------------------------------------ */

static int read_manifest(struct check *k)
{
    size_t line = 0;

    int rc = k->manifest_path ? manifest_read(k->manifest_path, &k->manifest, &line) : 0;
    if (rc != E_FORMAT)
        return rc ? complain(rc, k->manifest_path) : EXIT_DONE;
    fprintf(stderr, _("ecluse: %s: line %s is not one of a manifest\n"), spelled(k->manifest_path), figure(line));
    return EXIT_USAGE;
}

static void say_state(const struct check *k)
{
    if (k->vault.part == STATE_BUSY)
        fprintf(stderr, "%s", _("The local state is in use (is the vault mounted?): the store is checked, but not compared with it.\n"));
    if (k->vault.part == STATE_BROKEN)
        fprintf(stderr, "%s", _("The local state is damaged: the store is checked, but not compared with it.\n"));
}

static int unlock(struct check *k, const char *store)
{
    int rc = unlocked_store(&k->vault, store);
    if (!rc && !k->no_key)
        rc = unlocked_keys(&k->vault, &k->keys, store, WAY_LOOKS);
    if (!rc)
        return EXIT_DONE;
    int code = complain(rc, k->vault.blamed);
    if (rc == E_STATE_MISSING)
        fprintf(stderr, "%s", _("Without a local state, “--recovery-file SHEET” gives the keys; “--no-key” needs none.\n"));
    return code;
}

/* What the next report tells of it. */
static void note_check(const struct check *k, const struct check_report *r)
{
    unlocked_note(&k->vault, &k->keys, AUDIT_CHECKED, 0,
                  AUDIT_FIELDS(AUDIT_WORD("verdict", verdict_names[r->worst]), AUDIT_NUMBER("older", r->older),
                               AUDIT_WORD("keys", k->no_key ? "none" : k->keys.recovery || k->keys.recovery_file ? "recovery" : "state"),
                               AUDIT_NUMBER("read_data", k->read_data), AUDIT_NUMBER("objects", r->objects),
                               AUDIT_NUMBER("foreign", r->count[CHECK_FOREIGN]),
                               AUDIT_NUMBER("not_arrived", r->count[CHECK_NOT_ARRIVED]),
                               AUDIT_NUMBER("damaged", r->count[CHECK_DAMAGED]),
                               AUDIT_NUMBER("attack", r->count[CHECK_ATTACK])));
}

static int check(struct check *k, const char *store)
{
    struct unlocked *v = &k->vault;
    struct check_report report;
    struct check_options o = {
        .store = v->store, .vault = &v->vault, .header = v->header, .header_len = v->header_len, .keys = v->keys,
        .state = v->part == STATE_OPEN ? &v->state : NULL, .manifest = k->manifest_path ? &k->manifest : NULL,
        .read_data = k->read_data, .finding = tell, .progress = show, .ctx = k,
    };

    if (k->json)
        printf("{\"findings\": [");
    if (v->part == STATE_BROKEN)
        tell(k, &(struct check_finding){ CHECK_DAMAGED, CHECK_BECAUSE_STATE, v->state_path, 0, 0 });
    int rc = check_store(&o, &report);
    progress_clear(&k->progress);
    if (rc) {
        if (k->json)
            printf("], \"verdict\": null}\n");
        return complain(rc, store);
    }
    if (v->part == STATE_BROKEN) {
        report.count[CHECK_DAMAGED]++;
        report.worst = report.worst > CHECK_DAMAGED ? report.worst : CHECK_DAMAGED;
    }
    note_check(k, &report);
    if (k->json)
        sum_json(k, &report);
    else
        sum_plain(k, &report);
    return report.worst == CHECK_OK ? EXIT_DONE : report.older ? EXIT_OLDER : EXIT_INTEGRITY;
}

int command_check(int argc, char **argv)
{
    struct check k = { 0 };

    int rc = parse(&k, argc, argv);
    if (!rc)
        rc = read_manifest(&k);
    if (!rc)
        rc = unlock(&k, argv[optind]);
    if (!rc) {
        say_state(&k);
        rc = check(&k, argv[optind]);
    }
    unlocked_close(&k.vault);
    manifest_free(&k.manifest);
    key_options_free(&k.keys);
    free(k.manifest_path);
    return rc;
}
