/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What a transfer says: each entry that was left out, as it comes, then the figures.
 *
 * Names are those of the user's files: they go to the user, escaped, and nowhere else.
 */
#include "transfer.h"
#include <stdlib.h>
#include <unistd.h>

static const char *const reason_names[LEFT_COUNT] = {
#define X(reason, name) [LEFT_##reason] = name,
    LEFT_REASONS(X)
#undef X
};

static const char *const reason_words[LEFT_COUNT] = {
    [LEFT_UNREADABLE] = N_("it cannot be read"),
    [LEFT_UNWRITABLE] = N_("it cannot be made at the destination"),
    [LEFT_SPECIAL] = N_("neither a file, a folder nor a symbolic link; it is not copied"),
    [LEFT_MOUNT] = N_("something else is mounted there; “--cross-mounts” would copy that too"),
    [LEFT_VAULT] = N_("the vault itself is mounted there; it is not copied into or out of itself"),
    [LEFT_RESERVED] = N_("what an interrupted copy left; it is not copied"),
    [LEFT_CHANGING] = N_("it changes while it is copied; run the command again"),
    [LEFT_CONFLICT] = N_("something else has this name at the destination; it is left as it is"),
    [LEFT_ATTRIBUTES] = N_("the contents are there, but not all dates, permissions or attributes"),
    [LEFT_HARD_LINK] = N_("it is there as a file of its own, not as another name of the same file"),
    [LEFT_NAME] = N_("the destination takes no such name: its characters or its length"),
    [LEFT_NOT_VERIFIED] = N_("what was read back is not the same"),
    [LEFT_NOT_REMOVED] = N_("it was copied, but not removed from the source: it changed, or is in use"),
};

/* --- one entry ------------------------------------------------------------------------- */

static void list_json(struct transfer *t, const char *path, enum left_reason why, int error)
{
    printf("%s\n    {\"path\": ", t->listed ? "," : "");
    spell_json(stdout, path);
    printf(", \"reason\": \"%s\", \"error\": ", reason_names[why]);
    spell_json(stdout, error ? error_name(error) : "");
    printf("}");
}

static void list_plain(const char *path, enum left_reason why, int error)
{
    spell_plain(stdout, path);
    printf(": %s", _(reason_words[why]));
    if (error && error != -EBUSY && why != LEFT_NAME)
        printf(" (%s)", error_sentence(error));
    printf("\n");
}

void transfer_leave(struct transfer *t, const struct node *n, enum left_reason why, int error)
{
    struct buf path = { 0 };

    if (t->phase == PHASE_COUNT || (t->phase > PHASE_COPY && prints_have(&t->told, &n->st)))
        return;
    prints_add(&t->told, &n->st);   /* without memory it is told twice */
    meter_clear(&t->meter);
    walk_path(n, &path);
    const char *shown = path.failed ? n->name : (const char *)path.data;
    t->left[why]++;
    if (t->json)
        list_json(t, shown, why, error);
    else
        list_plain(shown, why, error);
    t->listed++;
    buf_free(&path);
}

static bool ends_all(int error)
{
    /* Who wants to stop has said so with a signal; else it is a filesystem's answer like others. */
    if (error == -EINTR)
        return signals_caught();
    return error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -ENOTCONN || error == -ECONNABORTED ||
           error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EIO;
}

static int dest_error(struct transfer *t, const struct node *n, enum left_reason why, int error)
{
    if (ends_all(error)) {
        t->blamed = t->dest_path;
        return error;
    }
    transfer_leave(t, n, why, error);
    return 0;
}

int transfer_dest_error(struct transfer *t, const struct node *n, int error)
{
    return dest_error(t, n, LEFT_UNWRITABLE, error);
}

int transfer_name_error(struct transfer *t, const struct node *n, int error)
{
    bool name = error == -EINVAL || error == -EILSEQ || error == -ENAMETOOLONG;
    return dest_error(t, n, name ? LEFT_NAME : LEFT_UNWRITABLE, error);
}

int transfer_source_error(struct transfer *t, const struct node *n, int error)
{
    bool changed = error == -EBUSY || error == -ENOENT || error == -ESTALE || error == -ELOOP || error == -ENOTDIR;

    if (ends_all(error) && error != -EIO) {
        t->blamed = t->source_path;
        return error;
    }
    transfer_leave(t, n, changed ? LEFT_CHANGING : LEFT_UNREADABLE, changed ? 0 : error);
    return 0;
}

/* --- the figures ------------------------------------------------------------------------ */

uint64_t transfer_left(const struct transfer *t)
{
    uint64_t sum = 0;

    for (size_t k = 0; k < LEFT_COUNT; k++)
        sum += t->left[k];
    return sum;
}

static double seconds_since(const struct timespec *began)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

void transfer_report_begin(const struct transfer *t)
{
    if (t->json)
        printf("{\"left\": [");
}

static void number_json(const char *key, uint64_t value)
{
    printf(", \"%s\": %llu", key, (unsigned long long)value);
}

static void report_json(const struct transfer *t, int error)
{
    unsigned long long ms = (unsigned long long)(seconds_since(&t->began) * 1000);

    printf("%s],\n  \"command\": \"%s\", \"dry_run\": %s, \"owners\": %s", t->listed ? "\n  " : "",
           t->import ? "import" : "export", t->dry_run ? "true" : "false", t->owners ? "true" : "false");
    number_json("files", t->files);
    number_json("bytes", t->bytes);
    number_json("folders", t->folders);
    number_json("symlinks", t->symlinks);
    number_json("hard_links", t->hard_links);
    number_json("already", t->already);
    number_json("verified", t->verified_files);
    number_json("verified_bytes", t->verified_bytes);
    number_json("removed", t->removed);
    number_json("removed_bytes", t->removed_bytes);
    printf(",\n  \"counts\": {");
    for (size_t k = 0; k < LEFT_COUNT; k++)
        printf("%s\"%s\": %llu", k ? ", " : "", reason_names[k], (unsigned long long)t->left[k]);
    printf("},\n  \"seconds\": %llu.%03llu, \"error\": ", ms / 1000, ms % 1000);   /* a point in every locale */
    spell_json(stdout, error ? error_name(error) : "");
    printf("}\n");
}

static void line(const char *format, uint64_t n)
{
    if (n)
        printf(format, figure(n));
}

static void say_purge(FILE *out)
{
    fputs(_(
        "\n"
        "Removed here is not removed everywhere: whoever hosts the folder may keep earlier versions\n"
        "and a recycle bin, in which the plain files still are. To purge them:\n"
        "  OneDrive, SharePoint  empty the recycle bin on the web site, then the second-stage one\n"
        "  Google Drive          delete in the web, then empty the bin; versions go with the file\n"
        "  Dropbox               deleted files on the web site, “Permanently delete”\n"
        "  S3                    delete every version and delete marker, or a lifecycle rule does\n"
        "  Azure                 delete versions and snapshots; soft-deleted blobs end with their period\n"
        "Retention rules, backups and other devices may keep more. See purge.md in the documentation.\n"), out);
}

static void report_plain(const struct transfer *t, int error)
{
    char size[WORDS_MAX], took[WORDS_MAX];

    printf(t->dry_run ? _("Files that would be copied: %s, %s.\n") : _("Files copied: %s, %s.\n"),
           figure(t->files), words_for_size(t->bytes, size));
    line(_("  folders: %s\n"), t->folders);
    line(_("  symbolic links: %s\n"), t->symlinks);
    line(_("  further names of the same files: %s\n"), t->hard_links);
    line(_("Already there: %s.\n"), t->already);
    if (t->verified_files)
        printf(_("Files read back from the vault and compared: %s, %s.\n"), figure(t->verified_files),
               words_for_size(t->verified_bytes, size));
    line(_("Left out, or not all kept, as told above: %s.\n"), transfer_left(t));
    if (t->owners_lost)
        printf("%s", _("Not all owners and groups were kept: only root can, and in a vault with “-o owners” only.\n"));
    if (t->removed)
        printf(_("Files and links removed from the source: %s, %s.\n"), figure(t->removed),
               words_for_size(t->removed_bytes, size));
    else if (t->remove && !error)
        printf("%s", _("Nothing was removed from the source.\n"));
    printf(_("Time: %s.\n"), words_for_duration((uint64_t)(seconds_since(&t->began) + 0.5), took));
}

void transfer_report(const struct transfer *t, int error)
{
    if (t->json)
        report_json(t, error);
    else
        report_plain(t, error);
    if (t->removed)
        say_purge(t->json ? stderr : stdout);
}
