/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse report: for whoever answers for personal information, what can be said of a vault.
 *
 *   (nothing)    on the terminal, in the user's language
 *   --json       for programs
 *   --html FILE  a page to keep and to print, in both languages, in a new file
 *
 * --html and --json go together: one reading, told twice.  No secret is needed, and a mounted
 * vault is not disturbed.  A log that was altered is told in the report, and by the exit code.
 */
#include "policy.h"
#include "report.h"
#include <stdlib.h>
#include <sys/stat.h>

struct report { char *html, *state; bool json; const char *store; };

static int parse(struct report *r, int argc, char **argv)
{
    const struct option_place places[] = {
        { "html", NULL, &r->html }, { "json", &r->json, NULL }, { "state", NULL, &r->state }, { 0 },
    };

    int rc = options_take(argc, argv, places, 1, 1, _("one store is expected"));
    r->store = rc ? NULL : argv[optind];
    return rc;
}

/* Before anything is read: a page in the store would go to its host. */
static int check_file(const struct report *r, const struct report_facts *f)
{
    char real[PATH_MAX];

    int rc = path_real(r->html, real);
    if (!rc && path_within(real, f->vault.path))
        return usage_error("report", _("%s is in the store: the report would go to its host"), r->html);
    return complain(rc, r->html);
}

static int write_page(const struct report *r, const struct report_facts *f)
{
    struct stat st;
    char *page;
    size_t len;

    int rc = report_html(f, &page, &len);
    if (!rc)
        rc = output_write(r->html, page, len, FAULT_other);
    free(page);
    if (rc)
        return complain(rc, r->html);
    if (lstat(r->html, &st) == 0 && S_ISREG(st.st_mode))   /* and not a pipe or /dev/stdout */
        fprintf(r->json ? stderr : stdout, _("The report is in %s.\n"), spelled(r->html));
    return EXIT_DONE;
}

static int tell(const struct report *r, const struct report_facts *f)
{
    int rc = r->html ? check_file(r, f) : EXIT_DONE;
    if (!rc && r->html)
        rc = write_page(r, f);
    if (!rc && r->json)
        report_json(f);
    else if (!rc && !r->html)
        report_text(f);
    if (!rc && fflush(stdout))
        rc = complain(-errno, NULL);
    return rc || f->state ? rc : audit_complain(r->store, &f->log);
}

static int run(struct report *r, struct report_facts *f)
{
    char base[PATH_MAX];

    int rc = r->state ? path_real(r->state, base) : 0;
    if (rc)
        return complain(rc, r->state);
    rc = r->state ? policy_allows(&(struct policy_use){ .command = "report", .state = r->state, .state_dir = base }) : EXIT_DONE;
    if (rc)
        return rc;
    rc = report_gather(f, r->store, r->state ? base : NULL);
    return rc ? complain(rc, *f->vault.blamed ? f->vault.blamed : r->store) : tell(r, f);
}

int command_report(int argc, char **argv)
{
    struct report r = { 0 };
    struct report_facts f = { 0 };

    int rc = parse(&r, argc, argv);
    if (!rc)
        rc = run(&r, &f);
    report_free(&f);
    free(r.html);
    free(r.state);
    return rc;
}
