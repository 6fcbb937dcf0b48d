/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse salvage: contents of files from what is left of a store.
 *
 * For when a recovery cannot be: the publications are lost.  The destination is a
 * new or empty folder outside of store and state.  What is not whole is named in
 * the report, and by its file's name; the exit code is 0 only when nothing is.
 */
#include "checkup.h"
#include <dirent.h>
#include <ecluse/salvage.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct salvage {
    struct key_options keys;
    bool json;
    const char *store, *dest;
    struct unlocked vault;
    int fd;
    bool made;                 /* DEST was not there before */
    struct progress progress;
    uint64_t told;
};

static int parse(struct salvage *s, int argc, char **argv)
{
    static const struct option options[] = {
        KEY_OPTIONS,
        { "json", no_argument, NULL, OPTION_JSON },
        { NULL, 0, NULL, 0 },
    };
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (key_option(&s->keys, found, optarg, &rc))
            continue;
        if (found == OPTION_JSON)
            s->json = true;
        else
            rc = option_error(argc, argv, found);
    }
    if (!rc && argc - optind != 2)
        rc = usage_error(argv[0], _("a store and a folder for the files are expected"));
    if (rc)
        return rc;
    s->store = argv[optind];
    s->dest = argv[optind + 1];
    return key_options_check(&s->keys, argv[0]);
}

/* --- the destination ------------------------------------------------------------------- */

static int check_empty(const char *path)
{
    DIR *dir = opendir(path);
    int rc = 0;

    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *d; !rc && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
            rc = -ENOTEMPTY;
    closedir(dir);
    return rc;
}

/* Before any secret is asked for; nothing is made yet. */
static int check_dest(const struct salvage *s)
{
    char real[PATH_MAX], state[PATH_MAX];

    int rc = path_real(s->dest, real);
    if (rc)
        return rc;
    if (path_within(real, s->vault.path))
        return E_NESTED;
    if (state_path(state, s->keys.state, &s->vault.vault.vault) == 0 && path_within(real, state))
        return E_NESTED;
    return check_empty(real);
}

static int open_dest(struct salvage *s)
{
    s->made = mkdir(s->dest, 0700) == 0;
    if (!s->made && errno != EEXIST)
        return -errno;
    s->fd = open(s->dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->fd < 0 ? -errno : 0;
}

/* --- telling -------------------------------------------------------------------------------- */

static void put_json(const struct salvage_file *f)
{
    printf("{\"path\": ");
    spell_json(stdout, f->path);
    printf(", \"size\": %llu, \"blocks\": %llu, \"lost\": %llu, \"gaps\": %llu, \"left_out\": %llu, \"mixed\": %s, "
           "\"open_end\": %s, \"error\": ", (unsigned long long)f->size, (unsigned long long)f->blocks,
           (unsigned long long)f->lost, (unsigned long long)f->gaps, (unsigned long long)f->left_out,
           f->mixed ? "true" : "false", f->open_end ? "true" : "false");
    spell_json(stdout, f->error ? error_name(f->error) : "");
    printf("}");
}

static void say(const char *format, uint64_t count)
{
    if (count)
        printf(format, figure(count));
}

static void put_plain(const struct salvage_file *f)
{
    spell_plain(stdout, f->path);
    printf("\n");
    say(_("  blocks that do not open, or are gone: %s\n"), f->lost);
    say(_("  blocks without content (holes of the file, or segments that are missing): %s\n"), f->gaps);
    if (f->error)
        printf(_("  not written: %s\n"), error_sentence(f->error));
}

/* JSON has all; a person reads what is not whole. */
static void tell_file(void *ctx, const struct salvage_file *f)
{
    struct salvage *s = ctx;

    if (s->json) {
        printf("%s\n    ", s->told ? "," : "");
        put_json(f);
    } else if (f->lost || f->gaps || f->error) {
        progress_clear(&s->progress);
        put_plain(f);
    }
    s->told++;
}

static void tell_object(void *ctx, const char *path, int error)
{
    struct salvage *s = ctx;

    progress_clear(&s->progress);
    complain(error, path);
}

static void show(void *ctx, enum salvage_phase phase, uint64_t done, uint64_t total)
{
    struct salvage *s = ctx;
    progress_show(&s->progress, phase == SALVAGE_READ ? _("Reading the store") : _("Writing files"), done, total);
}

static void sum_json(const struct salvage *s, const struct salvage_report *r, int rc)
{
    printf("%s],\n  \"files\": %llu, \"bytes\": %llu, \"incomplete\": %llu, \"failed\": %llu, \"mixed\": %llu, "
           "\"open_ended\": %llu, \"cut\": %llu,\n  \"objects\": %llu, \"unreadable\": %llu, \"foreign\": %llu, "
           "\"passes\": %u, \"error\": ", s->told ? "\n  " : "", (unsigned long long)r->files,
           (unsigned long long)r->bytes, (unsigned long long)r->incomplete, (unsigned long long)r->failed,
           (unsigned long long)r->mixed, (unsigned long long)r->open_ended, (unsigned long long)r->cut,
           (unsigned long long)r->objects, (unsigned long long)r->unreadable, (unsigned long long)r->foreign, r->passes);
    spell_json(stdout, rc ? error_name(rc) : "");
    printf("}\n");
}

static void sum_plain(const struct salvage_report *r)
{
    char size[WORDS_MAX];

    printf(_("Files salvaged: %s, %s.\n"), figure(r->files), words_for_size(r->bytes, size));
    say(_("  incomplete, with a name that ends in “.incomplete”: %s\n"), r->incomplete);
    say(_("  that could not be written: %s\n"), r->failed);
    say(_("  put together from several versions (changed in part; or shortened in between, then their end may be "
          "older): %s\n"), r->mixed);
    say(_("  whose end is not certain, for their last block is full: %s\n"), r->open_ended);
    say(_("  with older blocks behind their end, left out, but kept in a second file “….older-end”: %s\n"), r->cut);
    say(_("Objects of the store that cannot be used: %s\n"), r->unreadable);
    say(_("Foreign files in the store: %s\n"), r->foreign);
    printf(_("Paths, empty files, dates and permissions are not in segments: only “ecluse recover” brings them back.\n"));
}

/* --- the command ------------------------------------------------------------------------------ */

static int salvage(struct salvage *s)
{
    struct salvage_report r;
    struct salvage_options o = { .store = s->vault.store, .keys = s->vault.keys, .dest = s->fd, .file = tell_file,
                                 .object = tell_object, .progress = show, .ctx = s };

    if (s->json)
        printf("{\"list\": [");
    int rc = salvage_store(&o, &r);
    unlocked_note(&s->vault, &s->keys, AUDIT_SALVAGED, rc,
                  AUDIT_FIELDS(AUDIT_NUMBER("files", r.files), AUDIT_NUMBER("bytes", r.bytes)));
    progress_clear(&s->progress);
    if (s->json)
        sum_json(s, &r, rc);
    else
        sum_plain(&r);
    if (rc) {
        fflush(stdout);
        int code = complain(rc, s->dest);
        fprintf(stderr, _("The salvage ended before its time: the files that are there are finished, others are "
                          "missing.\n"));
        return code;
    }
    return r.incomplete || r.failed || r.unreadable ? EXIT_INTEGRITY : EXIT_DONE;
}

static int run(struct salvage *s, int argc, char **argv)
{
    int rc = parse(s, argc, argv);
    if (rc)
        return rc;
    rc = unlocked_store(&s->vault, s->store);
    if (rc)
        return complain(rc, s->vault.blamed);
    rc = check_dest(s);
    if (rc)
        return complain(rc, s->dest);
    rc = unlocked_keys(&s->vault, &s->keys, s->store, WAY_OPENS);
    if (rc)
        return complain(rc, s->vault.blamed);
    rc = open_dest(s);
    return rc ? complain(rc, s->dest) : salvage(s);
}

int command_salvage(int argc, char **argv)
{
    struct salvage s = { .fd = -1 };

    int rc = run(&s, argc, argv);
    if (s.fd >= 0)
        close(s.fd);
    if (rc && s.made)
        rmdir(s.dest);           /* if nothing is in it */
    unlocked_close(&s.vault);
    key_options_free(&s.keys);
    return rc;
}
