/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of “ecluse report” share.
 *
 * Facts are gathered once (report_facts.c) and do not change any more.  They are told either
 * as JSON (report_json.c) or in sentences of the language of the moment (report_words.c),
 * into a form: the terminal (report_text.c) or a page (report_html.c).
 */
#ifndef ECLUSE_CLI_REPORT_H
#define ECLUSE_CLI_REPORT_H

#include "checkup.h"

#define REPORT_SIZES 9u            /* classes of objects: 64 KiB … 16 MiB */
#define REPORT_ROWS 24u            /* points of the chart at most */
#define REPORT_OLD_DAYS 30         /* a check that is older is said to be old */

/* What the log accounts for from that moment on. */
struct report_point { int64_t time; uint64_t objects, bytes; };

enum report_kind { REPORT_WITH_KEYS, REPORT_CONTENTS, REPORT_WITHOUT_KEYS, REPORT_KINDS };
struct report_check {
    int64_t time;                  /* 0: never made */
    char verdict[AUDIT_WORD_MAX], keys[AUDIT_WORD_MAX];
    bool older, read_data;
    uint64_t objects, foreign, not_arrived, damaged, attack;
};

struct report_tally { uint64_t count; int64_t last; };

struct report_facts {
    struct unlocked vault;         /* the store and its header */
    char computer[65];
    int64_t now;
    uint64_t objects, bytes, foreign;
    uint64_t sizes[REPORT_SIZES + 1];   /* the last: of no such size */
    int state;                     /* 0, or E_STATE_MISSING */
    int keyring;                   /* the same of its keyring */
    struct audit_report log;       /* and what follows: with a state */
    int64_t made;                  /* 0: not noted */
    struct report_check checks[REPORT_KINDS];
    struct report_tally done[AUDIT_EVENT_COUNT], failed[AUDIT_EVENT_COUNT];
    struct report_point *points;
    size_t point_count, point_room;
};

/* --- report_facts.c ------------------------------------------------------------------ */

/* `f` starts as zeros. Nothing is changed, and no secret is asked for. 0 or an error, and
 * then vault.blamed says of what; without a state 0. */
int report_gather(struct report_facts *f, const char *store, const char *state_dir);
void report_free(struct report_facts *f);
/* The last check of all; its time is 0 when there was none. */
const struct report_check *report_last_check(const struct report_facts *f);
/* At most REPORT_ROWS points: each the last one of its part of the time. */
size_t report_points(const struct report_facts *f, struct report_point out[REPORT_ROWS]);

/* --- forms --------------------------------------------------------------------------- */

struct report_column { const char *label; bool number; };
struct report_form {
    FILE *out;
    /* `id` names a section in links. */
    void (*heading)(struct report_form *form, const char *id, const char *text);
    void (*item)(struct report_form *form, const char *label, const char *value);
    void (*say)(struct report_form *form, const char *text, bool warning);
    void (*list)(struct report_form *form, const char *title, const char *const *items, size_t count);
    void (*table)(struct report_form *form, const char *caption, const struct report_column *columns, size_t count);
    void (*row)(struct report_form *form, const char *const *cells);
    void (*table_end)(struct report_form *form);
    void (*chart)(struct report_form *form, const struct report_facts *f);   /* NULL: none */
    const struct report_column *columns;
    size_t column_count;
    bool items;                    /* a list of items is open */
};

/* --- report_words.c, report_limits.c, report_text.c, report_json.c, report_html.c, report_chart.c --- */

const char *report_title(void);
void report_tell(const struct report_facts *f, struct report_form *form);
void report_third_parties(struct report_form *form);
void report_limits(struct report_form *form);
void report_text(const struct report_facts *f);
void report_json(const struct report_facts *f);
/* The whole page, in both languages; malloc'd. -ENOMEM. The language is again what it was. */
int report_html(const struct report_facts *f, char **page, size_t *len);
/* An SVG figure; `prefix` in front of its ids. */
void report_chart(FILE *out, const struct report_facts *f, const char *prefix);
/* Text of ours or of others, for HTML and XML. */
void report_escape(FILE *out, const char *text);

#endif
