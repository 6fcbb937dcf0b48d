/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A report as a page: for a browser, on a screen, on paper and for a screen reader, in both
 * languages, without scripts and without anything from elsewhere.
 *
 * It is XML as well as HTML, so that any tool can read it.  Whatever others chose (paths,
 * labels, the computer's name) is spelled and escaped.
 */
#include "report.h"
#include <stdlib.h>

struct page {
    struct report_form form;       /* first: callbacks get its address */
    FILE *contents;                /* the table of contents, as sections come */
    const char *language;          /* also the prefix of ids */
    bool section;                  /* one is open */
};

void report_escape(FILE *out, const char *text)
{
    for (; *text; text++) {
        const char *name = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;"
                           : *text == '"' ? "&quot;" : *text == '\'' ? "&#39;" : NULL;
        if (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0) {
            name = "&#xfffd;";     /* no characters of XML */
            text += 2;
        }
        if (name)
            fputs(name, out);
        else
            fputc(*text, out);
    }
}

static void put_element(FILE *out, const char *open, const char *text, const char *close)
{
    fputs(open, out);
    report_escape(out, text);
    fputs(close, out);
}

/* --- the form ------------------------------------------------------------------------- */

static void end_items(struct report_form *form)
{
    if (form->items)
        fputs("</dl>\n", form->out);
    form->items = false;
}

static void end_section(struct page *p)
{
    end_items(&p->form);
    if (p->section)
        fputs("</section>\n", p->form.out);
    p->section = false;
}

static void heading(struct report_form *form, const char *id, const char *text)
{
    struct page *p = (struct page *)form;

    end_section(p);
    fprintf(form->out, "<section aria-labelledby=\"%s-%s\">\n<h2 id=\"%s-%s\">", p->language, id, p->language, id);
    put_element(form->out, "", text, "</h2>\n");
    fprintf(p->contents, "<li><a href=\"#%s-%s\">", p->language, id);
    put_element(p->contents, "", text, "</a></li>\n");
    p->section = true;
}

static void item(struct report_form *form, const char *label, const char *value)
{
    if (!form->items)
        fputs("<dl>\n", form->out);
    form->items = true;
    put_element(form->out, "<dt>", label, "</dt>");
    put_element(form->out, "<dd>", value, "</dd>\n");
}

static void say(struct report_form *form, const char *text, bool warning)
{
    end_items(form);
    fputs(warning ? "<p class=\"warning\"><strong>" : "<p>", form->out);
    if (warning)
        put_element(form->out, "", _("Note:"), "</strong> ");
    put_element(form->out, "", text, "</p>\n");
}

static void list(struct report_form *form, const char *title, const char *const *items, size_t count)
{
    end_items(form);
    put_element(form->out, "<h3>", title, "</h3>\n<ul>\n");
    for (size_t k = 0; k < count; k++)
        put_element(form->out, "<li>", items[k], "</li>\n");
    fputs("</ul>\n", form->out);
}

static void table(struct report_form *form, const char *caption, const struct report_column *columns, size_t count)
{
    end_items(form);
    form->columns = columns;
    form->column_count = count;
    put_element(form->out, "<table>\n<caption>", caption, "</caption>\n<thead><tr>");
    for (size_t k = 0; k < count; k++)
        put_element(form->out, columns[k].number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">", _(columns[k].label),
                    "</th>");
    fputs("</tr></thead>\n<tbody>\n", form->out);
}

static void row(struct report_form *form, const char *const *cells)
{
    fputs("<tr>", form->out);
    for (size_t k = 0; k < form->column_count; k++) {
        const char *class = form->columns[k].number ? " class=\"n\">" : ">";
        fputs(k ? "<td" : "<th scope=\"row\"", form->out);
        put_element(form->out, class, cells[k], k ? "</td>" : "</th>");
    }
    fputs("</tr>\n", form->out);
}

static void table_end(struct report_form *form)
{
    fputs("</tbody>\n</table>\n", form->out);
}

static void chart(struct report_form *form, const struct report_facts *f)
{
    end_items(form);
    report_chart(form->out, f, ((struct page *)form)->language);
}

/* --- the page --------------------------------------------------------------------------------- */

static const char style[] =
    "@page{margin:16mm}\n"
    "body{font:11pt/1.5 'DejaVu Sans',Verdana,sans-serif;color:#111;background:#fff;max-width:50em;margin:1.5em auto;"
    "padding:0 1em}\n"
    "a{color:#0b4a6f}a:focus{outline:3px solid #c25700;outline-offset:2px}\n"
    "h1{font-size:1.6em;line-height:1.25;border-bottom:3px solid #0b4a6f;padding-bottom:.25em}\n"
    "h2{font-size:1.2em;color:#0b4a6f;margin:1.8em 0 .5em;break-after:avoid}h3{font-size:1em;margin:1em 0 .3em;"
    "break-after:avoid}\n"
    "dl{display:grid;grid-template-columns:minmax(8em,max-content) 1fr;gap:.15em 1.4em;margin:.6em 0}dt{font-weight:bold;"
    "max-width:20em}dd{margin:0;min-width:0;overflow-wrap:anywhere}\n"
    "p,ul{margin:.6em 0}li{margin:.2em 0}\n"
    ".warning{border-left:5px solid #9a3b00;background:#fff4ea;padding:.5em .8em}\n"
    "table{border-collapse:collapse;width:100%;margin:1em 0;font-size:.92em}caption{text-align:left;font-weight:bold;"
    "padding-bottom:.3em}\n"
    "th,td{text-align:left;vertical-align:top;padding:.3em .6em;border-bottom:1px solid #8a8a8a;overflow-wrap:anywhere}"
    "thead th{border-bottom:2px solid #111}tbody th{font-weight:normal}.n{text-align:right;white-space:nowrap}\n"
    "thead{display:table-header-group}tr,figure,.warning{break-inside:avoid}caption,thead{break-after:avoid}tbody tr:first-child{break-before:avoid}\n"
    "figure{margin:1em 0}svg{width:100%;height:auto;display:block}\n"
    "nav ul{padding-left:1.2em}.languages{padding:0;list-style:none;display:flex;gap:1.5em}\n"
    ".language+.language{margin-top:4em;border-top:1px solid #8a8a8a;padding-top:1em}\n"
    "@media print{body{margin:0;max-width:none;padding:0;font-size:9.5pt}a{color:inherit;text-decoration:none}"
    ".languages{display:none}.language+.language{break-before:page;border:0;margin:0;padding:0}"
    "h2{margin-top:1.2em}*{print-color-adjust:exact}}\n";

/* The sections into `body`, and links to them into `contents`, which the caller frees. -ENOMEM. */
static int tell_sections(const struct report_facts *f, const char *language, char **body, char **contents)
{
    size_t body_len, contents_len;
    struct page p = {
        .form = { .out = open_memstream(body, &body_len), .heading = heading, .item = item, .say = say, .list = list,
                  .table = table, .row = row, .table_end = table_end, .chart = chart },
        .contents = open_memstream(contents, &contents_len), .language = language,
    };

    if (p.form.out && p.contents) {
        report_tell(f, &p.form);
        end_section(&p);
    }
    bool failed = !p.form.out || fclose(p.form.out);
    failed |= !p.contents || fclose(p.contents);
    return failed ? -ENOMEM : 0;
}

static int put_language(FILE *out, const struct report_facts *f, const char *language)
{
    char *body = NULL, *contents = NULL;

    message_language(language);
    int rc = tell_sections(f, language, &body, &contents);
    if (!rc) {
        fprintf(out, "<div class=\"language\" lang=\"%s\" id=\"%s\">\n", _("en"), language);
        put_element(out, "<h1>", report_title(), "</h1>\n");
        fprintf(out, "<nav aria-labelledby=\"%s-contents\">\n<h2 id=\"%s-contents\">", language, language);
        put_element(out, "", _("Contents"), "</h2>\n<ul>\n");
        fprintf(out, "%s</ul>\n</nav>\n%s</div>\n", contents, body);
    }
    free(body);
    free(contents);
    return rc;
}

int report_html(const struct report_facts *f, char **page, size_t *len)
{
    bool french_first = message_is_french();

    *page = NULL;
    FILE *out = open_memstream(page, len);
    if (!out)
        return -ENOMEM;
    fprintf(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"%s\">\n<head>\n"
                 "<meta charset=\"utf-8\"/>\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"referrer\" "
                 "content=\"no-referrer\"/>\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
                 "<title>Écluse : rapport sur un coffre / report on a vault</title>\n<style>\n%s</style>\n</head>\n<body>\n"
                 "<nav aria-label=\"Langues / Languages\">\n<ul class=\"languages\">\n"
                 "<li><a href=\"#fr\" lang=\"fr\" hreflang=\"fr\">Français</a></li>\n"
                 "<li><a href=\"#en\" lang=\"en\" hreflang=\"en\">English</a></li>\n</ul>\n</nav>\n<main>\n",
            french_first ? "fr" : "en", style);
    int rc = put_language(out, f, french_first ? "fr" : "en");
    if (!rc)
        rc = put_language(out, f, french_first ? "en" : "fr");
    message_language(french_first ? "fr" : "en");
    fputs("</main>\n</body>\n</html>\n", out);
    if (fclose(out))
        rc = -ENOMEM;
    if (!rc)
        return 0;
    free(*page);
    *page = NULL;
    return rc;
}
