/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A report in sentences of the language of the moment: what was found.
 *
 * Each fact says where it comes from and what it is worth.  A check that is not noted, or is
 * old, is said to be so: silence would pass for a good verdict.
 */
#include "report.h"
#include "key.h"
#include <ecluse/segment.h>
#include <stdarg.h>
#include <stdlib.h>

#define SENTENCE 1024u
#define DAY 86400

static void item(struct report_form *form, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void item(struct report_form *form, const char *label, const char *format, ...)
{
    char text[SENTENCE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    form->item(form, label, text);
}

static void say(struct report_form *form, bool warning, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct report_form *form, bool warning, const char *format, ...)
{
    char text[SENTENCE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    form->say(form, text, warning);
}

static void item_spelled(struct report_form *form, const char *label, const char *text)
{
    form->item(form, label, spelled(text));
}

const char *report_title(void)
{
    return _("Écluse: report on a vault");
}

/* --- in short ---------------------------------------------------------------------------- */

static const char *verdict_words(const struct report_check *c)
{
    return c->older ? _("the store was older than what this device had seen") : audit_value_words(c->verdict);
}

static bool is_old(const struct report_facts *f, const struct report_check *c)
{
    return f->now - c->time >= REPORT_OLD_DAYS * (int64_t)DAY;
}

static void tell_age(const struct report_facts *f, const struct report_check *c, struct report_form *form)
{
    uint64_t days = f->now > c->time ? (uint64_t)(f->now - c->time) / DAY : 0;

    if (is_old(f, c))
        say(form, true, ngettext("The last check is %s day old.", "The last check is %s days old.", days), figure(days));
}

static void tell_summary(const struct report_facts *f, struct report_form *form)
{
    char size[WORDS_MAX], date[WORDS_MAX];
    const struct report_check *last = report_last_check(f);
    const char *harm = f->state ? NULL : audit_harm_words(f->log.harm);

    form->heading(form, "summary", _("In short"));
    item(form, _("Report of"), "%s", words_for_time(f->now, date));
    item(form, _("In the store"), ngettext("%s encrypted object, %s", "%s encrypted objects, %s", f->objects),
         figure(f->objects), words_for_size(f->bytes, size));
    if (f->state)
        item(form, _("Last check"), "%s", _("not known here"));
    else if (!last->time)
        item(form, _("Last check"), "%s", _("none is noted on this device"));
    else
        /* TRANSLATORS: the verdict of a check, and its date */
        item(form, _("Last check"), _("%s, on %s"), verdict_words(last), words_for_time(last->time, date));
    if (!f->state)
        item(form, _("Audit log"), "%s", harm ? harm : _("whole"));
    form->say(form, _("The host of the store, and whoever copies it, has ciphertext only: what it can learn all the same "
                      "is listed below."), false);
    if (f->state)
        form->say(form, _("This device knows nothing of the vault: checks, key slots and the audit log are on the "
                          "devices where it is used. What follows is what the store alone tells."), true);
    else if (!last->time)
        form->say(form, _("No check of the store is noted on this device: whether all of it is there and unaltered "
                          "is not known. “ecluse check” tells."), true);
    else if (last->older || strcmp(last->verdict, "ok"))
        form->say(form, _("The last check found something wrong."), true);
    if (last->time)
        tell_age(f, last, form);
}

/* --- the vault ------------------------------------------------------------------------------ */

static void tell_vault(const struct report_facts *f, struct report_form *form)
{
    char id[ID_TEXT], date[WORDS_MAX];

    id_format(&f->vault.vault.vault, id);
    form->heading(form, "vault", _("The vault"));
    item(form, _("Vault"), "%s", id);
    item_spelled(form, _("Store"), f->vault.path);
    item_spelled(form, _("Computer"), f->computer);
    if (!f->state) {
        item_spelled(form, _("Local state"), f->vault.state_path);
        item(form, _("Made on"), "%s", f->made ? words_for_time(f->made, date) : _("not noted by this device"));
        item(form, _("Known to this device since"), "%s",
             f->log.first ? words_for_time(f->log.first, date) : _("not noted by this device"));
    }
    item(form, _("Encryption"), "%s", f->vault.vault.suite == SUITE_AES_256_GCM ? "AES-256-GCM" : "ChaCha20-Poly1305");
    form->say(form, _("Identifier, encryption and format are what the header of the store says; it is compared with the "
                      "keys at each mount, and at each check with keys."), false);
}

/* --- what the store holds ------------------------------------------------------------------- */

static void tell_sizes(const struct report_facts *f, struct report_form *form)
{
    static const struct report_column columns[] = { { N_("Size of the object"), false }, { N_("Objects"), true } };
    char size[WORDS_MAX];

    form->table(form, _("Objects by size, as their host sees them"), columns, ARRAY_SIZE(columns));
    for (unsigned k = 0; k <= REPORT_SIZES; k++) {
        if (!f->sizes[k])
            continue;
        if (k == REPORT_SIZES)
            snprintf(size, sizeof size, "%s", _("another, which ours do not have"));
        else
            words_for_power(64ull << k, size);
        form->row(form, (const char *const[]){ size, figure(f->sizes[k]) });
    }
    form->table_end(form);
}

static void tell_volume(const struct report_facts *f, struct report_form *form)
{
    static const struct report_column columns[] = {
        { N_("Until"), false }, { N_("Objects"), true }, { N_("Size"), true },
    };
    struct report_point points[REPORT_ROWS];
    size_t count = report_points(f, points);
    char date[WORDS_MAX], size[WORDS_MAX], here[WORDS_MAX];

    if (!count)
        return;
    if (form->chart)
        form->chart(form, f);
    form->table(form, _("What this device has put into the store, less what it removed, by its audit log"), columns,
                ARRAY_SIZE(columns));
    for (size_t k = 0; k < count; k++)
        form->row(form, (const char *const[]){ words_for_time(points[k].time, date), figure(points[k].objects),
                                               words_for_size(points[k].bytes, size) });
    form->table_end(form);
    if (points[count - 1].bytes == f->bytes && points[count - 1].objects == f->objects)
        form->say(form, _("The audit log accounts for every object of the store."), false);
    else
        say(form, false, _("The audit log accounts for %s, the store holds %s: the difference is from before the log began, "
                           "from other devices, has not arrived, or was planted; a check tells."),
            words_for_size(points[count - 1].bytes, size), words_for_size(f->bytes, here));
}

static void tell_store(const struct report_facts *f, struct report_form *form)
{
    char size[WORDS_MAX];

    form->heading(form, "store", _("What the store holds"));
    item(form, _("Encrypted objects"), "%s", figure(f->objects));
    item(form, _("Size"), "%s", words_for_size(f->bytes, size));
    item(form, _("Files that are not objects"), "%s", figure(f->foreign));
    if (f->foreign)
        form->say(form, _("Such files come from other programs, or people. Écluse neither reads nor protects them."), true);
    if (f->objects)
        tell_sizes(f, form);
    if (!f->state)
        tell_volume(f, form);
}

/* --- checks ------------------------------------------------------------------------------------ */

static void tell_checks(const struct report_facts *f, struct report_form *form)
{
    static const struct report_column columns[] = {
        { N_("Check"), false }, { N_("Date"), false }, { N_("Verdict"), false }, { N_("Objects"), true },
    };
    static const char *const names[REPORT_KINDS] = {
        [REPORT_WITH_KEYS] = N_("with the keys: each object is authentic"),
        [REPORT_CONTENTS] = N_("with the keys, all contents opened"),
        [REPORT_WITHOUT_KEYS] = N_("without a key: form, size, randomness"),
    };
    char date[WORDS_MAX];

    form->heading(form, "checks", _("The last checks"));
    form->table(form, _("The last check of each kind on this device"), columns, ARRAY_SIZE(columns));
    for (size_t k = 0; k < REPORT_KINDS; k++) {
        const struct report_check *c = &f->checks[k];
        form->row(form, (const char *const[]){ _(names[k]), c->time ? words_for_time(c->time, date) : _("not noted"),
                                               c->time ? verdict_words(c) : "–", c->time ? figure(c->objects) : "–" });
    }
    form->table_end(form);
    for (size_t k = 0; k < REPORT_KINDS; k++) {
        const struct report_check *c = &f->checks[k];
        if (c->foreign + c->not_arrived + c->damaged + c->attack)
            /* TRANSLATORS: a kind of check, then numbers of objects */
            say(form, true, _("%s: foreign: %s; not arrived yet: %s; damaged: %s; attack: %s."), _(names[k]),
                figure(c->foreign), figure(c->not_arrived), figure(c->damaged), figure(c->attack));
    }
    if (!f->checks[REPORT_CONTENTS].time)
        form->say(form, _("No check that opened the contents is noted on this device: “ecluse check --read-data” does so."), true);
    form->say(form, _("A check speaks of its moment only. It is noted by the device that made it, not by the store."), false);
}

/* --- key slots ------------------------------------------------------------------------------------ */

static void tell_slots(const struct report_facts *f, struct report_form *form)
{
    static const struct report_column columns[] = {
        { N_("Slot"), true }, { N_("Opened by"), false }, { N_("Cost of a guess"), false }, { N_("Since"), false },
        { N_("Label"), false },
    };
    char number[16], cost[COST_WORDS], date[WORDS_MAX];
    struct slot_info s;

    form->heading(form, "keys", _("Ways into the vault"));
    if (f->keyring) {
        say(form, true, _("The keyring of this device cannot be read: %s."), error_sentence(f->keyring));
        return;
    }
    form->table(form, _("Key slots of this device"), columns, ARRAY_SIZE(columns));
    for (size_t k = 0; keyring_slot(f->vault.own, k, &s) == 0; k++) {
        snprintf(number, sizeof number, "%u", s.number);
        form->row(form, (const char *const[]){ number, words_for_kind(s.kind),
                                               s.cost.passes ? words_for_cost(s.cost, cost) : _("it cannot be guessed"),
                                               s.made ? words_for_time(s.made, date) : "–", spelled(s.label) });
    }
    form->table_end(form);
    form->say(form, _("Not authenticated: this is what the file says, read without a secret. “ecluse key list --passfile F” "
                      "checks it. Whoever has the recovery sheet can open the vault too, whatever the slots are."), false);
}

/* --- the audit log ---------------------------------------------------------------------------------- */

static void tell_tally(struct report_form *form, const char *name, const struct report_tally *t, bool failed)
{
    char date[WORDS_MAX];

    if (t->count)
        form->row(form, (const char *const[]){ audit_event_words(name, failed), failed ? _("with an error") : _("without error"),
                                               figure(t->count), words_for_time(t->last, date) });
}

static void tell_log(const struct report_facts *f, struct report_form *form)
{
    static const struct report_column columns[] = {
        { N_("Event"), false }, { N_("Outcome"), false }, { N_("Number"), true }, { N_("Last"), false },
    };
    const struct audit_report *r = &f->log;
    const char *harm = audit_harm_words(r->harm);
    char date[WORDS_MAX], phrase[PHRASE_TEXT];

    form->heading(form, "log", _("The audit log of this device"));
    item(form, _("State of the log"), "%s", harm ? harm : _("whole"));
    if (r->harm == AUDIT_BROKEN)
        say(form, true, _("From line %s on the log counts for nothing: no event behind it is in this report."), figure(r->line));
    else if (harm)
        form->say(form, _("What this report takes from the log may be incomplete."), true);
    if (!r->records)
        return;
    item(form, _("Records"), "%s", figure(r->records));
    item(form, _("First record"), "%s", words_for_time(r->first, date));
    item(form, _("Last record"), "%s", words_for_time(r->last, date));
    item(form, _("Sealed with the keys up to record"), "%s", figure(r->sealed));
    item(form, _("Head"), "%s", r->hash);
    audit_phrase(r->hash, phrase);
    item(form, _("Words of the head"), "%s", phrase);
    form->table(form, _("What was noted"), columns, ARRAY_SIZE(columns));
#define X(id, name, at_once) \
    tell_tally(form, name, &f->done[AUDIT_##id], false); \
    tell_tally(form, name, &f->failed[AUDIT_##id], true);
    AUDIT_EVENTS(X)
#undef X
    form->table_end(form);
    form->say(form, _("The head, written down elsewhere today, shows later whether what was noted until now was changed: "
                      "“ecluse audit show --json” must still hold that record."), false);
}

/* --- all of it ------------------------------------------------------------------------------------------ */

static void tell_versions(const struct report_facts *f, struct report_form *form)
{
    form->heading(form, "versions", _("Software and formats"));
    item(form, _("Software"), "Écluse %s", ECLUSE_VERSION);
    item(form, _("Format of the vault"), "%u", f->vault.vault.format);
    item(form, _("Format of objects, as this version writes them"), "%u", SEGMENT_FORMAT);
    item(form, _("Licence"), "%s", "LiLiQ-R+ 1.1");
}

void report_tell(const struct report_facts *f, struct report_form *form)
{
    tell_summary(f, form);
    tell_vault(f, form);
    tell_store(f, form);
    report_third_parties(form);
    if (!f->state) {
        tell_checks(f, form);
        tell_slots(f, form);
        tell_log(f, form);
    }
    tell_versions(f, form);
    report_limits(form);
}
