/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A local state made anew from the store: the question, the keys, the report.
 *
 * The keyring of the old state is used when it opens; only with its local key
 * can the old index be read.  Otherwise the recovery key makes a new one, which
 * the vault header must confirm, and the passphrase that is given, or asked
 * for twice, becomes the one of this device.
 *
 * An end by a signal is taken at the next step, so that what is there by then is
 * kept and the user told how to go on; then the signal does what it would have done.
 */
#include "checkup.h"
#include <ecluse/audit.h>
#include <ecluse/rebuild.h>
#include <ecluse/synced.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* All of one rebuild. */
struct work {
    const struct rebuild_request *r;
    struct store *store;
    uint8_t *header;
    size_t header_len;
    struct vault_header vault;
    char path[PATH_MAX];
    struct state old;
    bool has_old;
    struct keyring *fresh;           /* made with the recovery key */
    struct secret recovery;          /* that, while it is needed */
    struct progress progress;
    int phase;
};

bool rebuild_can_mend(int error)
{
    return error == E_STATE_DAMAGED || error == E_KEYRING || error == E_STATE_MISSING;
}

/* --- the question -------------------------------------------------------------------- */

void rebuild_explain(int argc, char **argv, bool helper, int error)
{
    fprintf(stderr, "%s", _("Nothing was changed. The state can be rebuilt from the store. What this device has not\n"
                            "published is kept as far as it can be read, and the old files are kept too:\n"));
    fprintf(stderr, "  %s", helper ? shell_word(argv[0]) : "ecluse mount --rebuild");
    if (error == E_KEYRING && !helper)
        fprintf(stderr, " --recovery-file %s", _("SHEET"));
    for (int k = 1; k < argc; k++)
        fprintf(stderr, " %s", shell_word(argv[k]));
    fputs(helper ? " -o rebuild\n" : "\n", stderr);
}

bool agreed(const char *question)
{
    uint8_t answer[16] = "";

    if (!isatty(STDIN_FILENO) || !terminal_here())
        return false;
    ssize_t len = terminal_ask(question, true, answer, sizeof answer - 1);
    answer[len > 0 ? len : 0] = '\0';
    /* TRANSLATORS: the answer to questions such as “Rebuild it now?”; its first letter will do */
    const char *yes = _("yes");
    return len > 0 && (strcasecmp((char *)answer, yes) == 0 || strcasecmp((char *)answer, "yes") == 0 ||
                       (len == 1 && (answer[0] | 0x20) == (uint8_t)*yes));
}

/* --- what there is -------------------------------------------------------------------- */

static int blamed_path(const struct work *w, const char *path, int error)
{
    if (error)
        snprintf(w->r->blamed, PATH_MAX, "%s", path);
    return error;
}

static int open_store(struct work *w)
{
    int rc = store_open(&w->store, w->r->store, &w->header, &w->header_len);
    if (rc == -ENOENT)
        rc = E_STORE_MISSING;
    if (!rc && !store_is_at(w->store, w->r->store))
        rc = -ESTALE;
    if (!rc)
        rc = vault_header_parse(w->header, w->header_len, &w->vault);
    return blamed_path(w, w->r->store, rc);
}

/* A daemon whose lock file was taken away would not be noticed by its lock. */
static int check_unused(const struct work *w)
{
    struct daemon_ref *all = NULL;
    int rc = 0;

    int count = daemon_list(&all);
    for (int k = 0; k < count; k++)
        if (strcmp(all[k].state, w->path) == 0)
            rc = E_STATE_IN_USE;
    free(all);
    return rc;
}

static int open_old(struct work *w)
{
    char root[PATH_MAX];

    int rc = state_path(w->path, w->r->state_dir, &w->vault.vault);
    if (!rc && synced_by(w->path, root))
        rc = E_STATE_SYNCED;
    if (!rc)
        rc = state_open_damaged(&w->old, w->path, &w->vault.vault);
    w->has_old = !rc;
    if (!rc && w->old.lock < 0)
        rc = check_unused(w);
    if (!rc && w->r->only_new)
        rc = E_STATE_EXISTS;
    return blamed_path(w, w->path, rc == E_STATE_MISSING ? 0 : rc);
}

/* --- keys -------------------------------------------------------------------------------- */

static int check_header(struct work *w, const struct keyring *k)
{
    const uint8_t *epoch0 = keyring_epoch_key(k, 0);

    if (!epoch0)
        return E_KEYRING;
    if (w->header_len != VAULT_HEADER_SIZE || keyring_suite(k) != w->vault.suite)
        return E_STORE_HEADER;
    return vault_header_check(w->header, epoch0);
}

/* The secret that a mount will need again, unless it is the recovery key. */
static int given_secret(struct work *w, struct secret *s)
{
    const struct rebuild_request *r = w->r;

    if (r->recovery_file)
        return secret_recovery(r->recovery_file, s, r->blamed);
    if (r->kept->bytes)
        return secret_copy(r->kept, s);
    int rc = secret_of_vault(r->sources, &w->vault.vault, r->shown, s, r->blamed);
    return rc ? rc : secret_copy(s, r->kept);
}

/* 0, or E_KEYRING when it is damaged behind its slots. */
static int unlock_old(struct work *w)
{
    struct secret s = { 0 };

    int rc = given_secret(w, &s);
    if (rc) {
        secret_drop(&s);             /* it was had, and could not be kept */
        return rc;
    }
    rc = way_open(&(struct way){ .keys = w->old.keys, .secret = &s, .dir = w->old.dir, .blamed = w->r->blamed });
    secret_drop(&s);
    if (rc == E_POLICY || rc == E_POLICY_BROKEN)
        return rc;
    if (rc)
        return blamed_path(w, rc == E_PASSPHRASE ? w->r->store : w->path, rc);
    return blamed_path(w, w->r->store, check_header(w, w->old.keys));
}

/* The passphrase or key file of the new keyring, and of the mount that follows. Where the policy
 * allows no such way, the recovery key remains the only one, and opens that mount. */
static int add_slot(struct work *w)
{
    struct secret *kept = w->r->kept;

    secret_drop(kept);
    if (!policy_permits(w->r->sources->keyfile ? SLOT_KEYFILE : SLOT_PASSPHRASE))
        return secret_copy(&w->recovery, kept);
    int rc = secret_get(w->r->sources, NULL, _("New passphrase for this device: "), true, kept, w->r->blamed);
    return rc ? rc : way_add(w->fresh, 0, kept, secret_cost(kept, KDF_FLOOR), w->has_old ? w->old.dir : -1, w->r->blamed);
}

static int make_keys(struct work *w)
{
    struct secret *s = &w->recovery;

    int rc = secret_recovery(w->r->recovery_file, s, w->r->blamed);
    if (!rc)
        rc = way_recover(&w->fresh, &w->vault.vault, w->vault.suite, s, w->r->blamed);
    if (!rc && check_header(w, w->fresh)) {
        if (w->has_old)
            audit_append(w->old.dir, NULL, AUDIT_UNLOCKED, E_PASSPHRASE,
                         AUDIT_FIELDS(AUDIT_WORD("with", audit_slot(SLOT_RECOVERY))));
        return blamed_path(w, w->r->recovery_file ? w->r->recovery_file : w->r->store, E_PASSPHRASE);
    }
    if (!rc)
        rc = way_add(w->fresh, 0, s, (struct kdf_cost){ 0, 0 }, -1, w->r->blamed);
    return rc ? rc : add_slot(w);
}

static int get_keys(struct work *w)
{
    int rc = w->has_old && w->old.keys ? unlock_old(w) : E_KEYRING;
    if (rc != E_KEYRING)
        return rc;
    if (w->has_old) {
        keyring_free(w->old.keys);
        w->old.keys = NULL;
    }
    return make_keys(w);
}

/* --- progress and report --------------------------------------------------------------------- */

static volatile sig_atomic_t ended_by;

static void note_signal(int sig)
{
    ended_by = sig;
}

static const int endings[] = { SIGINT, SIGTERM, SIGHUP };

static void catch_endings(struct sigaction old[ARRAY_SIZE(endings)])
{
    struct sigaction act = { .sa_handler = note_signal, .sa_flags = SA_RESETHAND }; /* a second one ends at once */

    ended_by = 0;
    for (size_t k = 0; k < ARRAY_SIZE(endings); k++) {
        sigaction(endings[k], NULL, &old[k]);
        if (old[k].sa_handler != SIG_IGN)
            sigaction(endings[k], &act, NULL);
    }
}

static void release_endings(const struct sigaction old[ARRAY_SIZE(endings)])
{
    for (size_t k = 0; k < ARRAY_SIZE(endings); k++)
        sigaction(endings[k], &old[k], NULL);
}

/* One line that is written over on a terminal, else one line for each phase. */
static int show_progress(void *ctx, enum rebuild_phase phase, uint64_t done, uint64_t total)
{
    static const char *const names[] = {
        [REBUILD_SURVEY] = N_("Reading the store"), [REBUILD_READ] = N_("Reading publications"),
        [REBUILD_APPLY] = N_("Rebuilding the tree"), [REBUILD_KEEP] = N_("Keeping what was not published"),
    };
    struct work *w = ctx;

    if (terminal_redraws())
        progress_show(&w->progress, _(names[phase]), done, total);
    else if (w->phase != (int)phase)
        fprintf(stderr, "%s\n", _(names[phase]));
    w->phase = (int)phase;
    return ended_by ? -EINTR : 0;
}

static void say(const char *format, uint64_t count)
{
    if (count)
        printf(format, figure(count));
}

static void report_store(const struct rebuild_report *p)
{
    char date[WORDS_MAX];

    printf(_("The local state has been rebuilt: %s files and folders from %s publications, the last of %s.\n"),
           figure(p->inodes), figure(p->publications), words_for_time(p->time, date));
    say(_("  Publications kept from before the interruption: %s.\n"), p->resumed);
    if (p->anew)
        printf("%s", _("  What an interruption had left was of no use: all was read anew.\n"));
    say(_("  Objects of the store that cannot be read: %s (the log names them).\n"), p->unreadable);
    say(_("  Objects that are not whole, still on their way or altered: %s (the log names them).\n"), p->arriving);
    say(_("  Objects that the store lacks, as was accepted: %s; files that need them give an error.\n"), p->gone);
    say(_("  Objects of this vault left out that may hold newer changes: %s (the log names them).\n"),
        p->late + p->altered + p->newer);
    say(_("  Publications left out because something that they need is missing: %s.\n"), p->pending);
    say(_("  Publications left out because they were forged or forked: %s.\n"), p->refused);
    say(_("  Publications of other devices that are not part of this tree: %s.\n"), p->branches);
}

static void report_device(const struct work *w, const struct rebuild_report *p)
{
    char size[WORDS_MAX];

    say(_("  Unpublished changes kept: %s.\n"), p->kept);
    say(_("  Unpublished changes lost, for they or their contents cannot be read: %s.\n"), p->lost);
    if (w->has_old && !p->old_read)
        printf("%s", _("  The old index cannot be read: changes that were only in it are lost.\n"));
    if (p->old_journal_cut)
        printf("%s", _("  The old journal is missing or damaged: changes that were only in it are lost.\n"));
    if (p->old_stale)
        printf("%s", _("  The old index is older than the store: its unpublished changes were left out.\n"));
    say(_("  Files that lost their name, now “recovered-…” in the top folder: %s.\n"), p->named);
    if (p->left)
        printf(_("  Staged segments that no file refers to, kept with the old files: %s (%s).\n"),
               figure(p->left), words_for_size(p->left_bytes, size));
    if (*p->damaged)
        printf(_("  The old files are in %s: delete them once nothing is missing.\n"), spelled(p->damaged));
}

/* What the user must do before the next mount, which takes no recovery key. */
void rebuild_explain_keys(const char *store, const char *state)
{
    char kinds[KINDS_WORDS];

    printf("%s", _("The policy of this computer allows no passphrase here: only the recovery key opens the vault on this device.\n"));
    if (!*policy_kinds(kinds))
        return;
    /* TRANSLATORS: kinds of key slots, as in “ecluse key list” */
    printf(_("Before the next mount add a way in that it allows (%s), while the vault is not mounted:\n"), kinds);
    printf("  ecluse key add --recovery-file %s", _("SHEET"));
    if (state)
        printf(" --state %s", shell_word(state));
    printf(" … %s\n", shell_word(store));
}

/* An old store cannot be told by a device that has seen nothing. */
static void report_heads(const struct rebuild_report *p)
{
    if (!p->head_count)
        return;
    printf("%s", _("Last publication of each device. Compare the date and the words with what “ecluse status” shows there,\n"
                   "by telephone for instance: if they differ, the store shows the past.\n"));
    for (size_t k = 0; k < p->head_count; k++)
        say_device(p->heads[k].actor, p->heads[k].seq, p->heads[k].time, p->heads[k].phrase, false);
}

/* The way on, where there is one. */
static void explain_refusal(const struct work *w, int error, const struct rebuild_report *p)
{
    if (error != E_NOT_ARRIVED && error != E_OLDER_STATE && error != E_FORKED && error != E_AUTH &&
        error != E_NEWER_FORMAT)
        return;
    fprintf(stderr, _("Nothing was changed. Readable: %s publications; waiting for what is missing: %s; refused: "
                      "%s.\nLet the store become complete and try again; or accept what is missing with "
                      "“%s”.\n"),
            figure(p->publications), figure(p->pending), figure(p->refused),
            w->r->only_new ? "--partial" : "--rebuild=partial");
}

/* The newest publication is named by nothing: that it does not open is all that shows. */
static void explain_doubts(const struct rebuild_report *p)
{
    if (p->newer)
        fprintf(stderr, _("Objects that a newer version of Écluse wrote: %s. Each may hold the newest changes of a device. Recover the\n"
                          "vault with that version.\n"), figure(p->newer));
    if (p->late || p->altered)
        fprintf(stderr, _("Objects of this vault that are not whole: %s; altered: %s. Each may hold the newest changes of a\n"
                      "device. If the store is still being synced, wait and try again; otherwise “ecluse check” tells\n"
                      "which they are.\n"), figure(p->late), figure(p->altered));
    if (!p->late && !p->altered && !p->newer)
        return;
    fflush(stderr);
    report_heads(p);
    fflush(stdout);
}

/* What an error or a signal leaves. */
static void explain_half(const struct work *w, int error, const struct rebuild_report *p)
{
    if (error == -EINTR)
        fprintf(stderr, "%s", _("ecluse: interrupted\n"));
    if (p->kept_half)
        fprintf(stderr, "%s", _("What was recovered so far is kept: the same command goes on from there.\n"));
    else if (error == -EINTR)
        fprintf(stderr, "%s", w->has_old ? _("Nothing was changed.\n")
                                         : _("Nothing was changed: the same command begins anew.\n"));
}

static int complain_of_rebuild(const struct work *w, int error, const struct rebuild_report *p)
{
    enum exit_code kind = error_exit(error);
    bool store = kind == EXIT_OLDER || kind == EXIT_INTEGRITY || kind == EXIT_STORE;
    int code = EXIT_SYSTEM;

    if (error == E_STATE_IN_USE && !w->has_old) {
        fprintf(stderr, _("ecluse: %s: another recovery of this vault is at work\n"), spelled(w->path));
        return kind;
    }
    if (error != -EINTR)
        code = complain(error, store ? w->r->store : w->path);
    explain_refusal(w, error, p);
    if (error == E_AUTH || error == E_NOT_ARRIVED || error == E_NEWER_FORMAT)
        explain_doubts(p);
    explain_half(w, error, p);
    return code;
}

/* Whoever recovers a vault from here knows that it is here; and the log goes on. */
static void settle(const struct work *w, const struct rebuild_report *p)
{
    int dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return;
    place_claim(dir, w->r->store);   /* if not, the next mount does */
    audit_append(dir, w->fresh ? w->fresh : w->old.keys, w->has_old ? AUDIT_REBUILT : AUDIT_RECOVERED, 0,
                 AUDIT_FIELDS(AUDIT_NUMBER("publications", p->publications), AUDIT_NUMBER("kept", p->kept),
                              AUDIT_NUMBER("lost", p->lost)));
    close(dir);
}

static int rebuild_it(struct work *w)
{
    struct sigaction old[ARRAY_SIZE(endings)];
    struct rebuild_report report;
    struct rebuild_options o = {
        .path = w->path, .old = w->has_old ? &w->old : NULL, .store = w->store, .recovery = w->recovery.bytes,
        .keys = w->fresh ? w->fresh : w->old.keys, .partial = w->r->partial, .uid = getuid(), .gid = getgid(),
        .progress = show_progress, .ctx = w,
    };

    catch_endings(old);
    int rc = rebuild_state(&o, &report);
    release_endings(old);
    secret_drop(&w->recovery);
    progress_clear(&w->progress);
    if (!rc) {
        report_store(&report);
        report_device(w, &report);
        report_heads(&report);
        if (w->fresh && w->r->kept->kind == SLOT_RECOVERY)
            rebuild_explain_keys(w->r->shown, w->r->state_dir);
        fflush(stdout);
        settle(w, &report);
    }
    int code = rc ? complain_of_rebuild(w, rc, &report) : EXIT_DONE;
    free(report.heads);
    if (rc == -EINTR && ended_by)
        raise(ended_by);
    return code;
}

int rebuild_run(const struct rebuild_request *r)
{
    struct work w = { .r = r, .phase = -1 };

    int rc = open_store(&w);
    if (!rc)
        rc = open_old(&w);
    if (!rc)
        rc = get_keys(&w);
    int code = rc ? complain(rc, r->blamed) : rebuild_it(&w);
    secret_drop(&w.recovery);
    keyring_free(w.fresh);
    if (w.has_old)
        state_close(&w.old);
    if (w.store)
        store_close(w.store);
    free(w.header);
    return code;
}
