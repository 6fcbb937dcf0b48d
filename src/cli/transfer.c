/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse import and ecluse export: a tree into a mounted vault, and out of it.
 *
 * Through the mount, by ordinary system calls, so what a transfer does any program
 * might do.  Import: count, copy, publish, let the daemon forget, verify, and only if
 * asked remove the source.  Export: count, copy; what leaves the vault was
 * authenticated when it was read.  Nothing is ever replaced on either side.
 */
#include "transfer.h"
#include <ecluse/io.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* --- options ------------------------------------------------------------------------ */

struct request { char *state; bool json, dry_run, remove, yes, cross; const char *source, *dest; };

static int parse_option(struct request *r, int argc, char **argv, int found)
{
    bool import = strcmp(argv[0], "import") == 0;

    switch (found) {
    case OPTION_STATE: return option_set(&r->state, optarg);
    case OPTION_JSON: r->json = true; return EXIT_DONE;
    case OPTION_DRY_RUN: r->dry_run = true; return EXIT_DONE;
    case OPTION_CROSS_MOUNTS: r->cross = true; return EXIT_DONE;
    case OPTION_REMOVE_SOURCE: case OPTION_YES:
        if (!import)
            return usage_error(argv[0], _("unknown option “%s”"), argv[optind - 1]);
        r->remove |= found == OPTION_REMOVE_SOURCE;
        r->yes |= found == OPTION_YES;
        return EXIT_DONE;
    default: return option_error(argc, argv, found);
    }
}

static int check_request(const struct request *r, const char *command)
{
    if (r->dry_run && r->remove)
        return usage_error(command, _("“--dry-run” and “--remove-source” exclude each other"));
    if (r->yes && !r->remove)
        return usage_error(command, _("“--yes” goes with “--remove-source” only"));
    if (r->remove && !r->yes && (!isatty(STDIN_FILENO) || !terminal_here()))
        return usage_error(command, _("there is no terminal to ask on: “--remove-source” needs “--yes”"));
    return EXIT_DONE;
}

static int parse(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        { "state", required_argument, NULL, OPTION_STATE },
        { "json", no_argument, NULL, OPTION_JSON },
        { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
        { "remove-source", no_argument, NULL, OPTION_REMOVE_SOURCE },
        { "yes", no_argument, NULL, OPTION_YES },
        { "cross-mounts", no_argument, NULL, OPTION_CROSS_MOUNTS },
        { NULL, 0, NULL, 0 },
    };
    bool import = strcmp(argv[0], "import") == 0;
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1)
        rc = parse_option(r, argc, argv, found);
    int given = argc - optind;
    if (!rc && (given < 1 || given > 2 || !*argv[optind] || !*argv[argc - 1]))
        rc = usage_error(argv[0], import ? _("a folder, and perhaps a mountpoint or a folder in it, are expected")
                                         : _("a folder, and perhaps before it a mountpoint or a folder in it, are expected"));
    if (rc)
        return rc;
    /* One may be left out: the mountpoint. */
    r->source = given == 2 || import ? argv[optind] : NULL;
    r->dest = given == 2 || !import ? argv[argc - 1] : NULL;
    return check_request(r, argv[0]);
}

/* --- which vault ----------------------------------------------------------------------- */

static int only_one(const struct request *r, struct daemon_ref *out, bool *several)
{
    struct daemon_ref *all = NULL;
    char real[PATH_MAX] = "/";
    int rc = r->state ? path_real(r->state, real) : 0;

    int count = rc ? rc : daemon_list(&all);
    rc = count < 0 ? count : E_NOT_MOUNTED;
    for (int k = 0; k < count; k++) {
        if (!all[k].mounted || !path_within(all[k].state, real))
            continue;
        *several = rc == 0;
        if (*several)
            break;
        *out = all[k];
        rc = 0;
    }
    free(all);
    return rc;
}

/* The vault in which `real` lies: the innermost. */
static int vault_around(const char *real, struct daemon_ref *out)
{
    struct daemon_ref *all = NULL;
    size_t longest = 0;

    int count = daemon_list(&all);
    int rc = count < 0 ? count : E_NOT_MOUNTED;
    for (int k = 0; k < count; k++) {
        if (!all[k].mounted || !path_inside(real, all[k].mountpoint) || strlen(all[k].mountpoint) <= longest)
            continue;
        longest = strlen(all[k].mountpoint);
        *out = all[k];
        rc = 0;
    }
    free(all);
    return rc;
}

static int find_vault(struct transfer *t, const struct request *r)
{
    const char *given = t->import ? r->dest : r->source;
    char *inside = t->import ? t->dest_path : t->source_path;
    char *outside = t->import ? t->source_path : t->dest_path;
    bool several = false;

    const char *other = t->import ? r->source : r->dest;
    int rc = path_real(other, outside);
    if (rc)
        return complain(rc, other);
    if (!given) {
        rc = only_one(r, &t->daemon, &several);
        if (several)
            return usage_error(t->import ? "import" : "export", _("several vaults are mounted: say which mountpoint"));
        snprintf(inside, PATH_MAX, "%s", rc ? "" : t->daemon.mountpoint);
        return complain(rc, NULL);
    }
    rc = path_real(given, inside);
    if (!rc)
        rc = vault_around(inside, &t->daemon);
    return complain(rc, given);
}

/* --- what must not lie in what ------------------------------------------------------------ */

static int nested(const char *a, const char *b)
{
    fputs("ecluse: ", stderr);
    spell_plain(stderr, a);
    /* TRANSLATORS: between two paths */
    fputs(_(" and "), stderr);
    spell_plain(stderr, b);
    fputs(_(": one lies inside the other\n"), stderr);
    return EXIT_MOUNTPOINT;
}

static int check_apart(const char *path, const char *own)
{
    return path_inside(path, own) || path_inside(own, path) ? nested(path, own) : EXIT_DONE;
}

/* The plain side must not touch store, state or mount of any vault of this user: what
 * is copied out must not land there, what is removed must not be taken from there. */
static int check_vault(const struct transfer *t, const struct daemon_ref *d)
{
    const char *plain = t->import ? t->source_path : t->dest_path;
    bool same = strcmp(d->mountpoint, t->daemon.mountpoint) == 0;
    char store[PATH_MAX] = "";
    char *json = NULL;

    /* Another vault's mount may be the other side. */
    int rc = (same && path_inside(plain, d->mountpoint)) || (!t->import && path_inside(d->mountpoint, plain))
                 ? nested(plain, d->mountpoint) : EXIT_DONE;
    if (!rc)
        rc = check_apart(plain, d->state);
    if (!rc && daemon_status(d, &json) == 0 && daemon_json_text(json, "store", store, sizeof store))
        rc = check_apart(plain, store);
    free(json);
    return rc ? rc : *store || !same ? EXIT_DONE : complain(E_CONTROL, d->mountpoint);
}

static int check_places(const struct transfer *t)
{
    struct daemon_ref *all = NULL;
    int count = daemon_list(&all), rc = count < 0 ? complain(count, NULL) : EXIT_DONE;

    for (int k = 0; !rc && k < count; k++)
        rc = check_vault(t, &all[k]);
    free(all);
    return rc;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_source(struct transfer *t)
{
    t->source = open(t->source_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return t->source < 0 ? complain(-errno, t->source_path) : EXIT_DONE;
}

/* Made when it is missing; its parent must be there. */
static int open_dest(struct transfer *t)
{
    struct stat st;

    t->dest = open(t->dest_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->dest < 0 && errno == ENOENT && !t->dry_run) {
        t->dest_made = mkdir(t->dest_path, FOLDER_BEGUN) == 0;
        if (t->dest_made || errno == EEXIST)
            t->dest = open(t->dest_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (t->dest < 0)
        return t->dry_run && errno == ENOENT ? EXIT_DONE : complain(-errno, t->dest_path);
    /* Still in the mount, and not on something that was mounted below it? */
    if (t->import && (fstat(t->dest, &st) || st.st_dev != t->vault))
        return complain(E_NOT_MOUNTED, t->dest_path);
    return EXIT_DONE;
}

/* Not the vault by another path (a bind mount): what is there would be its own copy, and
 * be removed as such. */
static int open_both(struct transfer *t)
{
    struct stat st;

    if (stat(t->daemon.mountpoint, &st))
        return complain(-errno, t->daemon.mountpoint);
    t->vault = st.st_dev;
    int rc = open_source(t);
    if (!rc)
        rc = open_dest(t);
    int plain = t->import ? t->source : t->dest;
    return !rc && plain >= 0 && (fstat(plain, &st) || st.st_dev == t->vault) ? nested(t->source_path, t->dest_path) : rc;
}

/* --- the phases ----------------------------------------------------------------------------------- */

static void begin(struct transfer *t, enum phase phase, const char *label)
{
    t->phase = phase;
    t->blamed = NULL;
    meter_begin(&t->meter, label, t->found, t->found_bytes);
}

static int count(struct transfer *t)
{
    begin(t, PHASE_COUNT, _("Counting"));
    int dest = t->dest;
    t->dest = -1;
    int rc = walk_tree(t, &visitor_count);
    t->dest = dest;
    return rc;
}

/* The destination's own folder, when this run or an interrupted one made it. */
static int finish_top(struct transfer *t)
{
    struct stat from, to;

    if (fstat(t->source, &from) || fstat(t->dest, &to))
        return -errno;
    if ((to.st_mode & 07777) != FOLDER_BEGUN)
        return 0;
    int rc = attributes_copy(t, t->source, t->dest, &from);
    return rc < 0 ? rc : 0;
}

static int copy(struct transfer *t)
{
    int rc = t->dry_run ? 0 : staging_open(t);

    if (!rc && !t->dry_run)
        rc = batches_open(t);
    begin(t, PHASE_COPY, t->dry_run ? _("Comparing") : _("Copying"));
    if (rc)
        t->blamed = t->dest_path;
    if (!rc)
        rc = walk_tree(t, &visitor_copy);
    /* What is whole counts, also when the walk failed; but who interrupts does not wait. */
    const char *blamed = t->blamed;
    int settled = rc == -EINTR && signals_caught() ? 0 : batches_settle(t);
    if (rc)
        t->blamed = blamed;
    else
        rc = settled;
    batches_close(t);
    staging_close(t);
    if (!rc && !t->dry_run) {
        rc = finish_top(t);
        /* For the vault too: times that the kernel still holds would come after the
         * publication otherwise, and ask for another one. */
        if (!rc && syncfs(t->dest))
            rc = -errno;
        if (rc)
            t->blamed = t->dest_path;
    }
    return rc;
}

static int verify(struct transfer *t)
{
    begin(t, PHASE_VERIFY, _("Publishing"));
    t->blamed = t->daemon.mountpoint;
    signals_wait(true);
    int rc = daemon_forget(&t->daemon);
    signals_wait(false);
    if (rc)
        return rc;
    begin(t, PHASE_VERIFY, _("Verifying"));
    return walk_tree(t, &visitor_verify);
}

static bool confirmed(const struct transfer *t)
{
    char question[PATH_MAX + 256], size[WORDS_MAX];

    if (t->yes)
        return true;
    snprintf(question, sizeof question,
             ngettext("%s file (%s) was read back and is the same. Remove it from the source? (yes or no) ",
                      "%s files (%s) were read back and are the same. Remove them from the source? (yes or no) ",
                      t->verified_files), figure(t->verified_files),
             words_for_size(t->verified_bytes, size));
    return agreed(question);
}

static int remove_source(struct transfer *t)
{
    meter_clear(&t->meter);
    if (!t->verified.count || !confirmed(t))
        return signals_caught() ? -EINTR : 0;
    begin(t, PHASE_REMOVE, _("Removing from the source"));
    return walk_tree(t, &visitor_remove);
}

static int work(struct transfer *t)
{
    int rc = count(t);

    if (!rc)
        rc = copy(t);
    if (!rc && t->import && !t->dry_run)
        rc = verify(t);
    if (!rc && t->remove)
        rc = remove_source(t);
    meter_clear(&t->meter);
    return rc;
}

/* --- the commands ------------------------------------------------------------------------------------ */

/* Without the keys, which the daemon has: its next event vouches for these. */
static void note(const struct transfer *t, int error)
{
    int state = open(t->daemon.state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (state < 0)
        return;
    audit_append(state, NULL, t->import ? AUDIT_IMPORTED : AUDIT_EXPORTED, error,
                 AUDIT_FIELDS(AUDIT_NUMBER("files", t->files), AUDIT_NUMBER("bytes", t->bytes),
                              AUDIT_NUMBER("left_out", transfer_left(t))));
    if (t->removed)
        audit_append(state, NULL, AUDIT_SOURCE_REMOVED, error,
                     AUDIT_FIELDS(AUDIT_NUMBER("files", t->removed), AUDIT_NUMBER("bytes", t->removed_bytes)));
    close(state);
}

/* The one place where a transfer that began ends. */
static int conclude(struct transfer *t, int error)
{
    transfer_report(t, error);
    if (!t->dry_run)
        note(t, error);
    if (error == -EINTR && signals_caught()) {
        fflush(stdout);
        fputs(_("Interrupted; nothing is half done. The same command goes on where it was.\n"), stderr);
        signals_end();
    }
    if (error) {
        fflush(stdout);
        int code = error == -ESTALE ? EXIT_SYSTEM : complain(error, t->blamed);
        fputs(error == -ESTALE ? _("ecluse: a folder was moved away during the work. The same command goes on.\n")
                               : _("It ended before its time; nothing is half done. The same command goes on.\n"), stderr);
        return code;
    }
    return transfer_left(t) ? EXIT_PARTIAL : EXIT_DONE;
}

static int run(struct transfer *t, const struct request *r)
{
    int rc = find_vault(t, r);

    umask(0);   /* modes are the source's; what is not whole is in a folder of mode 0700 */
    if (!rc)
        rc = check_places(t);
    if (!rc)
        rc = open_both(t);
    if (rc)
        return rc;
    t->buffer = aligned_alloc(4096, COPY_SIZE);
    t->other = aligned_alloc(4096, COPY_SIZE);
    if (!t->buffer || !t->other)
        return complain(-ENOMEM, NULL);
    signals_catch(_("\nInterrupted while publishing: all is copied, and the same command verifies it.\n"));
    clock_gettime(CLOCK_MONOTONIC, &t->began);
    transfer_report_begin(t);
    return conclude(t, work(t));
}

static int transfer(bool import, int argc, char **argv)
{
    struct transfer t = { .import = import, .source = -1, .dest = -1, .staging = -1 };
    struct request r = { 0 };

    int rc = parse(&r, argc, argv);
    if (!rc) {
        t.json = r.json;
        t.dry_run = r.dry_run;
        t.remove = r.remove;
        t.yes = r.yes;
        t.cross = r.cross;
        rc = run(&t, &r);
    }
    if (t.dest_made && rc && rc != EXIT_PARTIAL)
        rmdir(t.dest_path);   /* if nothing is in it */
    for (size_t k = 0; k < 2; k++)
        if ((k ? t.dest : t.source) >= 0)
            close(k ? t.dest : t.source);
    free(t.buffer);
    free(t.other);
    links_free(&t.links);
    prints_free(&t.verified);
    prints_free(&t.told);
    prints_free(&t.merged);
    free(r.state);
    return rc;
}

int command_import(int argc, char **argv) { return transfer(true, argc, argv); }
int command_export(int argc, char **argv) { return transfer(false, argc, argv); }
