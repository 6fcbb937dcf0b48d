/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse manifest: the SHA-256 of every object, for sha256sum -c and for
 * “ecluse check --no-key --manifest”.
 *
 * Never into the store, which is to hold nothing but objects; a file that is there
 * already is not replaced; what was begun and failed, or was killed, leaves none.
 */
#include "checkup.h"
#include <ecluse/check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct manifest_work {
    char *output;
    struct output file;
    FILE *out;
    struct unlocked vault;
    struct progress progress;
    uint64_t left_out, foreign;
};

static int parse(struct manifest_work *m, int argc, char **argv)
{
    const struct option_place places[] = { { "output", NULL, &m->output }, { 0 } };

    return options_take(argc, argv, places, 1, 1, _("one store is expected"));
}

/* Where standard output goes, when that is a file. */
static bool output_is_inside(const struct manifest_work *m)
{
    char path[PATH_MAX];
    struct stat st;

    if (m->output)
        return path_within(m->output, m->vault.path);
    if (fstat(STDOUT_FILENO, &st) || !S_ISREG(st.st_mode))
        return false;
    ssize_t len = readlink("/proc/self/fd/1", path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    return len > 0 && path_within(path, m->vault.path);
}

static int open_output(struct manifest_work *m, const char *command)
{
    m->out = stdout;
    if (output_is_inside(m))
        return usage_error(command, _("the manifest must not lie inside the store"));
    if (!m->output)
        return EXIT_DONE;
    int rc = output_begin(&m->file, m->output, 0666);
    int fd = rc ? -1 : fcntl(m->file.fd, F_DUPFD_CLOEXEC, 3);
    m->out = fd < 0 ? NULL : fdopen(fd, "w");
    return rc || !m->out ? complain(rc ? rc : -errno, m->output) : EXIT_DONE;
}

static int put(void *ctx, const char *line)
{
    struct manifest_work *m = ctx;

    if (m->out == stdout)
        progress_clear(&m->progress);
    return fputs(line, m->out) < 0 ? -errno : 0;
}

static int left_out(void *ctx, const char *path, int error)
{
    struct manifest_work *m = ctx;

    progress_clear(&m->progress);
    m->left_out++;
    complain(error, path);
    return 0;
}

static int foreign(void *ctx, const char *path)
{
    (void)path;
    ((struct manifest_work *)ctx)->foreign++;
    return 0;
}

static void show(void *ctx, uint64_t done, uint64_t total)
{
    struct manifest_work *m = ctx;
    progress_show(&m->progress, _("Reading everything"), done, total);
}

static int write_it(struct manifest_work *m)
{
    struct manifest_options o = {
        .store = m->vault.store, .header = m->vault.header, .header_len = m->vault.header_len, .put = put,
        .left_out = left_out, .foreign = foreign, .progress = show, .ctx = m,
    };

    int rc = manifest_write(&o);
    progress_clear(&m->progress);
    if (fflush(m->out) && !rc)
        rc = -errno;
    if (m->output && fclose(m->out) && !rc)
        rc = -errno;
    return rc || !m->output ? rc : output_commit(&m->file, FAULT_other);
}

static int run(struct manifest_work *m, int argc, char **argv)
{
    int rc = parse(m, argc, argv);
    if (rc)
        return rc;
    const char *store = argv[optind];
    rc = unlocked_store(&m->vault, store);
    if (rc)
        return complain(rc, m->vault.blamed);
    rc = open_output(m, argv[0]);
    if (rc)
        return rc;
    rc = write_it(m);
    if (rc)
        return complain(rc, m->output ? m->output : store);
    if (m->foreign)
        fprintf(stderr, _("Foreign files in the store, not in the manifest: %s.\n"), figure(m->foreign));
    if (m->left_out)
        fprintf(stderr, _("Objects that are not whole, not in the manifest: %s.\n"), figure(m->left_out));
    return m->left_out ? EXIT_INTEGRITY : EXIT_DONE;
}

int command_manifest(int argc, char **argv)
{
    struct manifest_work m = { .file.fd = -1 };

    int rc = run(&m, argc, argv);
    output_end(&m.file);
    unlocked_close(&m.vault);
    free(m.output);
    return rc;
}
