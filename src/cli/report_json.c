/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A report for programs.  Names are part of the interface and never translated.
 */
#include "report.h"
#include <ecluse/segment.h>

/* Names for programs. */
static const char *const harm_names[] = {
    [AUDIT_WHOLE] = "whole", [AUDIT_NO_LOG] = "none", [AUDIT_INCOMPLETE] = "incomplete", [AUDIT_BROKEN] = "altered",
    [AUDIT_CUT] = "cut", [AUDIT_DIFFERS] = "differs", [AUDIT_NO_HEAD] = "no-head", [AUDIT_HEAD_FORGED] = "head-forged",
};

static void put_number(const char *name, uint64_t value)
{
    printf(", \"%s\": %llu", name, (unsigned long long)value);
}

static void put_flag(const char *name, bool value)
{
    printf(", \"%s\": %s", name, value ? "true" : "false");
}

static void put_store(const struct report_facts *f)
{
    printf(",\n  \"store\": {\"path\": ");
    spell_json(stdout, f->vault.path);
    put_number("objects", f->objects);
    put_number("bytes", f->bytes);
    put_number("foreign", f->foreign);
    printf(", \"sizes\": [");
    for (size_t k = 0; k < REPORT_SIZES; k++)
        printf("%s{\"bytes\": %llu, \"objects\": %llu}", k ? ", " : "", 65536ull << k, (unsigned long long)f->sizes[k]);
    printf("]");
    put_number("other_sizes", f->sizes[REPORT_SIZES]);
    printf("}");
}

static void put_check(const char *name, const struct report_check *c, bool first)
{
    printf("%s\"%s\": ", first ? "" : ", ", name);
    if (!c->time) {
        printf("null");
        return;
    }
    printf("{\"time\": %lld, \"verdict\": \"%s\", \"keys\": \"%s\"", (long long)c->time, c->verdict, c->keys);
    put_flag("older", c->older);
    put_flag("read_data", c->read_data);
    put_number("objects", c->objects);
    put_number("foreign", c->foreign);
    put_number("not_arrived", c->not_arrived);
    put_number("damaged", c->damaged);
    put_number("attack", c->attack);
    printf("}");
}

static void put_slots(const struct report_facts *f)
{
    struct slot_info s;

    printf(",\n  \"slots\": {\"authenticated\": false, \"error\": ");
    printf(f->keyring ? "\"%s\"" : "null", error_name(f->keyring));
    printf(", \"list\": [");
    for (size_t k = 0; !f->keyring && keyring_slot(f->vault.own, k, &s) == 0; k++) {
        printf("%s{\"slot\": %u, \"kind\": \"%s\"", k ? ", " : "", s.number, audit_slot(s.kind));
        put_number("memory_kib", s.cost.memory_kib);
        put_number("passes", s.cost.passes);
        printf(", \"made\": %lld, \"label\": ", (long long)s.made);
        spell_json(stdout, s.label);
        printf("}");
    }
    printf("]}");
}

static void put_tally(const char *name, const struct report_tally *t, bool failed, bool *first)
{
    if (!t->count)
        return;
    printf("%s\n    {\"event\": \"%s\"", *first ? "" : ",", name);
    *first = false;
    put_flag("failed", failed);
    put_number("count", t->count);
    printf(", \"last\": %lld}", (long long)t->last);
}

static void put_events(const struct report_facts *f)
{
    bool first = true;

    printf(",\n  \"events\": [");
#define X(id, name, at_once) \
    put_tally(name, &f->done[AUDIT_##id], false, &first); \
    put_tally(name, &f->failed[AUDIT_##id], true, &first);
    AUDIT_EVENTS(X)
#undef X
    printf("],\n  \"volume\": [");
    for (size_t k = 0; k < f->point_count; k++)
        printf("%s\n    {\"time\": %lld, \"objects\": %llu, \"bytes\": %llu}", k ? "," : "",
               (long long)f->points[k].time, (unsigned long long)f->points[k].objects,
               (unsigned long long)f->points[k].bytes);
    printf("]");
}

static void put_log(const struct report_facts *f)
{
    const struct audit_report *r = &f->log;

    printf(",\n  \"log\": {\"verdict\": \"%s\"", harm_names[r->harm]);
    put_number("line", r->line);
    put_number("records", r->records);
    put_number("sealed", r->sealed);
    printf(", \"first\": %lld, \"last\": %lld, \"head\": \"%s\"}", (long long)r->first, (long long)r->last, r->hash);
}

void report_json(const struct report_facts *f)
{
    char id[ID_TEXT];

    id_format(&f->vault.vault.vault, id);
    printf("{\"report\": 1, \"time\": %lld, \"software\": \"%s\", \"computer\": ", (long long)f->now, ECLUSE_VERSION);
    spell_json(stdout, f->computer);
    printf(",\n  \"vault\": \"%s\", \"suite\": \"%s\", \"vault_format\": %u, \"object_format\": %u, \"made\": %lld", id,
           suite_name(f->vault.vault.suite), f->vault.vault.format, SEGMENT_FORMAT, (long long)f->made);
    put_store(f);
    printf(",\n  \"state\": {\"path\": ");
    spell_json(stdout, f->vault.state_path);
    printf(", \"error\": ");
    printf(f->state ? "\"%s\"" : "null", error_name(f->state));
    printf("}");
    if (!f->state) {
        printf(",\n  \"checks\": {");
        put_check("with_keys", &f->checks[REPORT_WITH_KEYS], true);
        put_check("contents", &f->checks[REPORT_CONTENTS], false);
        put_check("without_keys", &f->checks[REPORT_WITHOUT_KEYS], false);
        printf("}");
        put_slots(f);
        put_log(f);
        put_events(f);
    }
    printf("\n}\n");
}
