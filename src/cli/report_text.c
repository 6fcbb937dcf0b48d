/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A report on the terminal.
 */
#include "report.h"

static void heading(struct report_form *form, const char *id, const char *text)
{
    (void)id;
    fprintf(form->out, "\n%s\n", text);
}

static void item(struct report_form *form, const char *label, const char *value)
{
    /* TRANSLATORS: a fact: its label, then its value */
    fprintf(form->out, _("  %s: %s\n"), label, value);
}

static void say(struct report_form *form, const char *text, bool warning)
{
    fprintf(form->out, "  %s%s\n", warning ? "! " : "", text);
}

static void list(struct report_form *form, const char *title, const char *const *items, size_t count)
{
    fprintf(form->out, "  %s\n", title);
    for (size_t k = 0; k < count; k++)
        fprintf(form->out, "  - %s\n", items[k]);
}

static void table(struct report_form *form, const char *caption, const struct report_column *columns, size_t count)
{
    form->columns = columns;
    form->column_count = count;
    fprintf(form->out, "  %s\n", caption);
    for (size_t k = 0; k < count; k++)
        fprintf(form->out, "%s%s", k ? " | " : "    ", _(columns[k].label));
    fputc('\n', form->out);
}

static void row(struct report_form *form, const char *const *cells)
{
    for (size_t k = 0; k < form->column_count; k++)
        fprintf(form->out, "%s%s", k ? " | " : "    ", cells[k]);
    fputc('\n', form->out);
}

static void table_end(struct report_form *form)
{
    (void)form;
}

void report_text(const struct report_facts *f)
{
    struct report_form form = {
        .out = stdout, .heading = heading, .item = item, .say = say, .list = list, .table = table, .row = row,
        .table_end = table_end,
    };

    printf("%s\n", report_title());
    report_tell(f, &form);
}
