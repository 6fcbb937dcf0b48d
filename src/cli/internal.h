/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What the files of the command line share.
 *
 * A command gets its own name in argv[0], returns an exit code of error.h, and
 * has said why before it returns another one than 0.
 */
#ifndef ECLUSE_CLI_INTERNAL_H
#define ECLUSE_CLI_INTERNAL_H

#include <ecluse/daemon.h>
#include <ecluse/error.h>
#include <ecluse/io.h>
#include <ecluse/spell.h>
#include <errno.h>
#include <getopt.h>
#include <libintl.h>
#include <time.h>

#define _(text) gettext(text)
#define N_(text) text

/* What checking a passphrase may take.  Builds for fault tests keep to the
 * floor: they mount thousands of times. */
#ifdef ECLUSE_FAULTS
#define KDF_MILLISECONDS 0
#else
#define KDF_MILLISECONDS 1000
#endif

/* --- message.c ----------------------------------------------------------------- */

/* Finds out the user's language; before anything is said. */
void message_start(void);
bool message_is_french(void);
/* From now on that one, "fr" or "en", for people, whatever the environment says. */
void message_language(const char *language);
/* "ecluse: SUBJECT: SENTENCE"; returns the exit code of the error. */
int complain(int error, const char *subject);
/* The sentence of an error, in the language of all other messages. */
const char *error_sentence(int error);
/* "ecluse: …" and where to find help; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The locale is C: what is said is for programs as much as for people. */
bool message_is_plain(void);
/* What becomes of a copied state; how many publications are not shown (a format
 * for what figure() gives). */
const char *words_for_clone(bool read_only);
const char *words_for_unseen(uint64_t count);
const char *words_for_forks(uint64_t count);
/* One line of a list of devices: name, number and date of its last publication, and
 * the words that two people can compare. */
void say_device(uint64_t actor, uint64_t number, int64_t date, const char *phrase, bool own);

/* --- spell.c: names of others, in one of four places, taken in turn ----------------- */

/* As spell.h has it, for a sentence. */
const char *spelled(const char *text);
/* For a command that the user is to copy: quoted where a shell (or the terminal) needs it. */
const char *shell_word(const char *text);

/* --- words.c: figures as the language writes them, into `text` -------------------- */

#define WORDS_MAX 64
const char *words_for_count(uint64_t n, char text[WORDS_MAX]);            /* 12 345 */
const char *figure(uint64_t n);   /* the same in one of eight places, taken in turn */
const char *words_for_size(uint64_t bytes, char text[WORDS_MAX]);         /* 1,5 Go */
const char *words_for_power(uint64_t kib, char text[WORDS_MAX]);          /* 64 Mio: a power of two, exactly */
const char *words_for_time(int64_t seconds, char text[WORDS_MAX]);        /* 23 novembre 2026 à 14 h 05 */
const char *words_for_duration(uint64_t seconds, char text[WORDS_MAX]);   /* 45 s, 2 min, 1 h 05 */

/* --- event.c -------------------------------------------------------------------- */

void event_text(enum fs_event event, int error, const char *mountpoint, char *summary, size_t summary_size,
                char *sentence, size_t sentence_size);

/* --- options.c -------------------------------------------------------------------- */

/* Where a secret comes from. At most one of the first three. */
struct sources { char *passfile, *extpass, *keyfile; };

/* Whether a damaged state is rebuilt, and from a store that is not complete. */
enum rebuild_wish { REBUILD_NEVER, REBUILD_WHOLE, REBUILD_PARTIAL };

struct mount_options {
    struct mount_config config;  /* what options decide of it */
    struct sources sources;
    char *state, *fsname, *notify, *recovery_file;
    enum rebuild_wish rebuild;
    bool nofail;
};
/* "partial" or NULL; false when it is anything else. */
bool rebuild_wish_parse(const char *value, enum rebuild_wish *out);
/* Parses "a,b=c" as mount(8) writes it; `\,` is a comma inside a value. Unknown words
 * are forgiven when `sloppy`. EXIT_DONE, or EXIT_USAGE after saying why. */
int mount_options_parse(struct mount_options *o, const char *text, bool sloppy);
void mount_options_free(struct mount_options *o);
/* Replaces an option's string; EXIT_DONE or EXIT_SYSTEM. */
int option_set(char **where, const char *value);
void sources_free(struct sources *s);

/* Options that commands share, for getopt_long. */
enum {
    OPTION_STATE = 256, OPTION_PASSFILE, OPTION_EXTPASS, OPTION_KEYFILE, OPTION_RECOVERY_OUT, OPTION_SUITE,
    OPTION_RECOVERY, OPTION_RECOVERY_FILE, OPTION_NEW_PASSFILE, OPTION_ADD_KEYFILE, OPTION_JSON, OPTION_REBUILD,
    OPTION_PARTIAL, OPTION_OLDER, OPTION_OTHER, OPTION_YES, OPTION_SLOT, OPTION_DRY_RUN, OPTION_REMOVE_SOURCE,
    OPTION_CROSS_MOUNTS, OPTION_CONFIRM, OPTION_NEW, OPTION_RETRY, OPTION_WITH, OPTION_PROBE,
};
/* An option of a command: a flag, or a value, which is copied. */
struct option_place { const char *name; bool *flag; char **value; };
#define SOURCES_PLACES(s) \
    { "passfile", NULL, &(s).passfile }, { "extpass", NULL, &(s).extpass }, { "keyfile", NULL, &(s).keyfile }
/* Takes them off the command line, whose words, at optind, are then so many, or else
 * `expected` is said. `places` ends with zeros. EXIT_DONE or EXIT_USAGE. */
int options_take(int argc, char **argv, const struct option_place *places, int least, int most, const char *expected);
/* The number of a slot, once. EXIT_DONE, or EXIT_USAGE after saying why. */
int slot_option(unsigned *slot, const char *command, const char *value);
/* What getopt found wrong ('?' or ':'). */
int option_error(int argc, char **argv, int found);

/* --- path.c ---------------------------------------------------------------------------- */

/* Absolute and real as far as it exists, the rest as it is. -errno. */
int path_real(const char *path, char out[PATH_MAX]);
/* True when `path`, which may not exist yet, lies in `outer`, or is it. */
bool path_within(const char *path, const char *outer);
/* Syncs the directory in which `path`, which exists, is. */
int path_sync_parent(const char *path, enum fault_point point);

/* --- output.c: a file for the user, whole or not at all ---------------------------------- */

/* `straight`: a pipe, a device or /dev/stdout, which is written to as it is. */
struct output { int fd; bool straight, named; char path[PATH_MAX], temp[PATH_MAX]; };
/* `fd` is to be written to. -EEXIST when there is a file or a folder already. */
int output_begin(struct output *o, const char *path, mode_t mode);
/* Makes it durable and gives it its name; -EEXIST when that was taken meanwhile. */
int output_commit(struct output *o, enum fault_point point);
/* Always, after output_begin: what was not committed is gone. */
void output_end(struct output *o);
/* All three; mode 0600. */
int output_write(const char *path, const void *bytes, size_t len, enum fault_point point);

/* --- secret.c ------------------------------------------------------------------------------ */

#define PASSPHRASE_MAX 1024u
#define KEYFILE_LEAST 32u
#define KEYFILE_MAX 8192u
#define SHEET_MAX 65536u    /* a recovery sheet */

/* A secret in guarded memory that the caller frees with secret_free. `blamed`
 * (PATH_MAX bytes) receives what an error is about. `vault` may be NULL. */
struct secret {
    enum slot_kind kind;
    uint8_t *bytes;
    size_t len;
    bool claimed;               /* from a credentials' directory that the user may have made himself */
};
int secret_get(const struct sources *s, const struct id128 *vault, const char *prompt, bool confirm,
               struct secret *out, char *blamed);
/* The present one of a vault, which the question calls `shown`. */
int secret_of_vault(const struct sources *s, const struct id128 *vault, const char *shown, struct secret *out,
                    char *blamed);
/* The content of a key file; what a program prints; the recovery key found in a file or
 * typed in. */
int secret_keyfile(const char *path, struct secret *out, char *blamed);
int secret_program(const char *command, struct secret *out);
int secret_recovery(const char *path, struct secret *out, char *blamed);
void secret_drop(struct secret *s);
/* False too when its strength cannot be told (*bits: an error). */
bool secret_is_weak(const struct secret *s, int *bits);
int secret_copy(const struct secret *from, struct secret *to);
/* What guessing shall cost: calibrated for passphrases, and no less than `least`; nothing
 * for what cannot be guessed. */
struct kdf_cost secret_cost(const struct secret *s, struct kdf_cost least);
/* EXIT_USAGE, after saying so, when more than one source is given. */
int sources_check(const struct sources *s, const char *command);

/* --- aside.c, strength.c ------------------------------------------------------------------- */

/* Runs `work` in a child; what it puts into out (bytes, or -1) comes back. Bytes or an error. */
typedef ssize_t aside_work(const void *in, size_t len, uint8_t *out, size_t size);
ssize_t aside_run(aside_work *work, const void *in, size_t len, uint8_t *out, size_t size);

/* Bits that a guesser has to search; limits of what the words say. */
#define STRENGTH_WEAK 35
#define STRENGTH_FAIR 50
#define STRENGTH_GOOD 70
/* An estimate, or an error: then nothing can be said. */
int strength_bits(const uint8_t *text, size_t len);
/* "weak" … "very good". */
const char *strength_words(int bits);

/* --- terminal.c, external.c ------------------------------------------------------------------ */

bool terminal_here(void);
/* Standard error is one that can go back to the start of a line. */
bool terminal_redraws(void);
/* Asks on the controlling terminal. Bytes read, or E_NO_TERMINAL, -EINTR… */
ssize_t terminal_ask(const char *prompt, bool echo, uint8_t *out, size_t size);
int terminal_show(const char *text);
/* Runs a command line without a shell, its output into out. It reads `in`, at most PIPE_BUF
 * bytes, or our own standard input when that is NULL. Bytes or an error; E_NO_SECRET when
 * the program fails. */
ssize_t external_run(const char *command, const struct secret *in, uint8_t *out, size_t size);
/* The same with its words, and our own standard input. */
ssize_t external_run_words(char *const argv[], uint8_t *out, size_t size);
/* Is it in PATH? */
bool external_here(const char *program);

/* --- pinentry.c: a window for secrets --------------------------------------------------------- */

struct pinentry { pid_t pid; int fd; char *line; size_t used, shown; };
/* Starts the program and greets it. Then any number of the others, and pinentry_end. */
int pinentry_start(struct pinentry *p, const char *program);
/* "COMMAND text"; what it does not know is no error. */
int pinentry_set(struct pinentry *p, const char *command, const char *text);
/* Asks. Bytes, E_NO_SECRET when the user gave up, or an error of the program.
 * *repeated: it was typed twice, and both were the same. */
ssize_t pinentry_ask(struct pinentry *p, uint8_t *out, size_t size, bool *repeated);
/* 1: the first button, 0: the other one, E_NO_SECRET: given up. */
int pinentry_confirm(struct pinentry *p);
void pinentry_end(struct pinentry *p);

/* --- sheet.c, sheet_html.c: the recovery sheet --------------------------------------------------------------- */

/* Text in guarded memory, or NULL. */
char *sheet_text(const uint8_t recovery[KEY_SIZE], const struct id128 *vault, const char *store);
/* The same as a page to print, with a QR code. */
char *sheet_html(const uint8_t recovery[KEY_SIZE], const struct id128 *vault, const char *store);

/* --- vault.c: a store's header and this device's state, for commands ------------------------------ */

struct vault_ref { struct id128 vault; struct state state; bool open; uint8_t *header; size_t header_len; };
int vault_open(struct vault_ref *v, const char *store, const char *state_dir, char *blamed);
void vault_close(struct vault_ref *v);

/* --- rebuild.c: a local state made anew from the store -------------------------------------------------- */

struct rebuild_request {
    const char *store, *state_dir;   /* absolute; state_dir may be NULL */
    const char *shown;               /* the store as the user typed it, for prompts */
    const struct sources *sources;
    const char *recovery_file;       /* NULL: the keyring's secret, or typed in */
    bool partial;
    bool only_new;                   /* a state that is there is not touched: E_STATE_EXISTS */
    struct secret *kept;             /* the secret that opened the keyring, once known; then that
                                      * which opens the new state's: SLOT_RECOVERY where the policy
                                      * allows no other here */
    char *blamed;                    /* PATH_MAX bytes */
};
/* Can a rebuild mend what a mount complained of? */
bool rebuild_can_mend(int error);
/* Rebuilds, says how it went, and returns an exit code. */
int rebuild_run(const struct rebuild_request *r);
/* The policy left the recovery key as the only way in: what to do next. */
void rebuild_explain_keys(const char *store, const char *state);
/* Asks a question on the terminal; false without one, and unless the answer is yes. */
bool agreed(const char *question);
/* Says that nothing was changed and which command goes on: the one that was given, with `option`. */
void rebuild_explain(int argc, char **argv, bool helper, int error);

/* --- commands ------------------------------------------------------------------------------------------ */

int command_init(int argc, char **argv);
int command_mount(int argc, char **argv);
int command_mount_helper(int argc, char **argv);  /* as mount(8) calls it */
int command_umount(int argc, char **argv);
int command_umount_helper(int argc, char **argv); /* as umount(8) calls it */
int command_status(int argc, char **argv);
int command_flush(int argc, char **argv);
int command_gc(int argc, char **argv);
int command_passwd(int argc, char **argv);
int command_key(int argc, char **argv);
int command_report(int argc, char **argv);
int command_recover(int argc, char **argv);
int command_check(int argc, char **argv);
int command_manifest(int argc, char **argv);
int command_salvage(int argc, char **argv);
int command_accept(int argc, char **argv);
int command_askpass(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_import(int argc, char **argv);
int command_export(int argc, char **argv);
int command_policy(int argc, char **argv);
int command_version(int argc, char **argv);
int command_help(int argc, char **argv);
/* Prints how a command is used; EXIT_DONE. */
int help_for(const char *command);

#endif
