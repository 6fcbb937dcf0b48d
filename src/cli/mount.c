/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse mount, and the same program as mount.ecluse, the helper of mount(8).
 *
 * The daemon is a child that keeps the terminal until the mount is ready: it
 * asks for the passphrase, complains by itself, and leaves with its exit code.
 * A byte through a pipe says that it is ready; without it, its exit code is
 * ours.  If we are ended meanwhile, so is the child.  Nothing that starts
 * threads or opens the index happens before the fork.  What else the caller had
 * open (a lock, the pipe of a script) is not kept open by the daemon.
 *
 * The helper returns the exit codes of ecluse(1), not the bit mask of mount(8).
 */
#include "policy.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define INHERITED_MAX 1024

struct mounting {
    struct mount_options options;
    const char *spec, *place;            /* as the user typed them */
    char store[PATH_MAX], mountpoint[PATH_MAX], state[PATH_MAX], recovery[PATH_MAX], blamed[PATH_MAX];
    struct secret kept;                  /* until the mount is ready: a rebuild needs it again */
    int argc;                            /* as given, to say how to go on */
    char **argv;
    bool helper;
    bool mounted;                        /* it came to that */
    int ready;                           /* the pipe; -1 once used */
    bool inherited[INHERITED_MAX];       /* descriptors that the caller left open */
};

/* All descriptors of our own are closed on exec. */
static void note_inherited(struct mounting *m)
{
    for (int fd = STDERR_FILENO + 1; fd < INHERITED_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);
        m->inherited[fd] = flags >= 0 && !(flags & FD_CLOEXEC);
    }
}

static void close_inherited(const struct mounting *m)
{
    for (int fd = 0; fd < INHERITED_MAX; fd++)
        if (m->inherited[fd])
            close(fd);
}

/* --- what the daemon asks of us -------------------------------------------------------- */

static int unlock(void *ctx, const struct id128 *vault, struct keyring *keys, int dir)
{
    struct mounting *m = ctx;
    int rc = m->kept.bytes ? 0 : secret_of_vault(&m->options.sources, vault, m->spec, &m->kept, m->blamed);
    return rc ? rc : way_open(&(struct way){ .keys = keys, .secret = &m->kept, .dir = dir, .blamed = m->blamed });
}

static void tell_count(const char *format, uint64_t count)
{
    fprintf(stderr, "ecluse: ");
    fprintf(stderr, format, figure(count));
    fprintf(stderr, "\n");
}

static void tell_notice(void *ctx, bool cloned, const struct fs_status *s)
{
    const struct mounting *m = ctx;

    if (cloned)
        fprintf(stderr, "ecluse: %s\n", words_for_clone(m->options.config.read_only));
    if (s->unseen)
        tell_count(words_for_unseen(s->unseen), s->unseen);
    if (s->forked)
        tell_count(words_for_forks(s->forked), s->forked);
}

/* What the user may do when the store is not what this device knows. */
static void explain_older(const struct mounting *m, int error)
{
    if (error == E_OLDER_STATE)
        fprintf(stderr, _("Nothing was changed. If the store is still being synced, wait and try again. If it was\n"
                          "restored from a backup on purpose: ecluse accept --older %s\n"), shell_word(m->spec));
    if (error == E_OTHER_VAULT)
        fprintf(stderr, _("Nothing was changed. If you put this vault here yourself: ecluse accept --other %s\n"),
                shell_word(m->spec));
}

static void tell_ready(void *ctx)
{
    struct mounting *m = ctx;

    m->mounted = true;
    secret_drop(&m->kept);
    if (m->ready < 0)
        return;
    prctl(PR_SET_PDEATHSIG, 0);
    close_inherited(m);
    if (write(m->ready, "r", 1) != 1)
        return;  /* nobody waits any more: the mount is there all the same */
    close(m->ready);
    m->ready = -1;
}

/* --- parent and child ---------------------------------------------------------------------- */

static int rebuild(struct mounting *m)
{
    const struct mount_options *o = &m->options;
    struct rebuild_request r = {
        .store = m->store, .state_dir = o->config.state_dir, .shown = m->spec, .sources = &o->sources,
        .recovery_file = o->recovery_file ? m->recovery : NULL, .partial = o->rebuild == REBUILD_PARTIAL,
        .kept = &m->kept, .blamed = m->blamed,
    };
    return rebuild_run(&r);
}

/* A damaged state: nothing is done about it that was not asked for. */
static int run_damaged(struct mounting *m, int error)
{
    int rc = EXIT_DONE;

    if (m->options.rebuild == REBUILD_NEVER) {
        rc = complain(error, m->blamed);
        if (error == E_STATE_MISSING)
            return rc;
        rebuild_explain(m->argc, m->argv, m->helper, error);
        if (!agreed(_("Rebuild it now? (yes/no) [no] ")))
            return rc;
        m->options.rebuild = REBUILD_WHOLE;
        rc = policy_allows(&(struct policy_use){
            .command = "mount", .store = m->store, .state_dir = m->options.config.state_dir, .mount = &m->options,
        });
        if (rc)
            return rc;
    }
    rc = rebuild(m);
    return rc ? rc : complain(daemon_run(&m->options.config), m->blamed);
}

static int run_daemon(struct mounting *m)
{
    int rc = daemon_run(&m->options.config);
    if (rc == E_STORE_MISSING && m->options.nofail)
        return EXIT_DONE;
    /* What is found damaged afterwards waits for the next mount: what the user unmounted stays so. */
    int code = rebuild_can_mend(rc) && !m->mounted ? run_damaged(m, rc) : complain(rc, m->blamed);
    explain_older(m, rc);
    rc = code;
    secret_drop(&m->kept);
    return rc;
}

static int wait_for_child(pid_t child, int pipe_end)
{
    char byte;
    int status;
    ssize_t n;

    do
        n = read(pipe_end, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return EXIT_DONE;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return complain(-errno, NULL);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    int sig = WTERMSIG(status);
    if (sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGHUP) {
        signal(sig, SIG_DFL);  /* the user's wish: as if we were one process */
        raise(sig);
    }
    fprintf(stderr, _("ecluse: the daemon was ended by signal %d\n"), sig);
    return EXIT_SYSTEM;
}

static int in_background(struct mounting *m)
{
    int ends[2];
    pid_t parent = getpid();

    if (pipe2(ends, O_CLOEXEC))
        return complain(-errno, NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return complain(-errno, NULL);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            return EXIT_SYSTEM;
        close(ends[0]);
        m->ready = ends[1];
        note_inherited(m);
        return run_daemon(m);
    }
    close(ends[1]);
    signal(SIGINT, SIG_IGN);   /* the child has it too, and restores the terminal */
    signal(SIGQUIT, SIG_IGN);
    return wait_for_child(child, ends[0]);
}

static int resolve(struct mounting *m)
{
    struct mount_options *o = &m->options;

    if (!realpath(m->spec, m->store)) {
        if (errno == ENOENT && o->nofail)
            return EXIT_DONE;
        return complain(errno == ENOENT ? E_STORE_MISSING : errno == ENOTDIR ? E_NOT_VAULT : -errno, m->spec);
    }
    int rc = daemon_resolve(m->place, m->mountpoint);
    if (rc)
        return complain(rc, m->place);
    if (o->state) {
        rc = path_real(o->state, m->state);
        if (rc)
            return complain(rc == -ENOENT || rc == -ENOTDIR ? E_STATE_MISSING : rc, o->state);
        o->config.state_dir = m->state;
    }
    /* By then the working directory may be another one. */
    rc = !o->recovery_file ? 0 : path_real(o->recovery_file, m->recovery);
    if (o->recovery_file && strcmp(o->recovery_file, "-") == 0)
        snprintf(m->recovery, sizeof m->recovery, "-");
    return complain(rc, o->recovery_file);
}

/* Better now than when there is something to tell. */
static int check_notify(const char *program)
{
    if (!program || strcmp(program, "none") == 0)
        return EXIT_DONE;
    if (*program != '/')
        return usage_error("mount", _("the mount option “notify” needs an absolute path, or “none”"));
    return access(program, X_OK) ? complain(-errno, program) : EXIT_DONE;
}

static int mount_vault(struct mounting *m)
{
    struct mount_config *c = &m->options.config;

    int rc = sources_check(&m->options.sources, "mount");
    if (!rc && !c->foreground && (c->log == LOG_TARGET_STDERR || c->log == LOG_TARGET_JSON))
        rc = usage_error("mount", _("“log=stderr” and “log=json” go with “foreground”"));
    if (!rc)
        rc = check_notify(m->options.notify);
    if (!rc)
        rc = resolve(m);
    if (rc || !*m->mountpoint)
        return rc;
    rc = policy_allows(&(struct policy_use){
        .command = "mount", .store = m->store, .mountpoint = m->mountpoint, .state = m->options.state,
        .state_dir = c->state_dir, .sources = &m->options.sources, .mount = &m->options,
        .slots = m->options.sources.keyfile ? 1u << SLOT_KEYFILE : POLICY_TEXT,
    });
    if (rc)
        return rc;
    policy_apply(c);
    c->store_path = m->store;
    c->mountpoint = m->mountpoint;
    c->fsname = m->options.fsname ? m->options.fsname : m->store;
    c->uid = getuid();
    c->gid = getgid();
    c->notify = m->options.notify;
    c->words = event_text;
    c->unlock = unlock;
    c->notice = tell_notice;
    c->ready = tell_ready;
    c->ctx = m;
    c->blamed = m->blamed;
    m->ready = -1;
    return c->foreground ? run_daemon(m) : in_background(m);
}

/* --- the two command lines --------------------------------------------------------------------- */

static int parse_mount(struct mounting *m, int argc, char **argv)
{
    static const struct option options[] = {
        { "passfile", required_argument, NULL, OPTION_PASSFILE },
        { "extpass", required_argument, NULL, OPTION_EXTPASS },
        { "keyfile", required_argument, NULL, OPTION_KEYFILE },
        { "state", required_argument, NULL, OPTION_STATE },
        { "rebuild", optional_argument, NULL, OPTION_REBUILD },
        { "recovery-file", required_argument, NULL, OPTION_RECOVERY_FILE },
        { "options", required_argument, NULL, 'o' },
        { "foreground", no_argument, NULL, 'f' },
        { "verbose", no_argument, NULL, 'v' },
        { NULL, 0, NULL, 0 },
    };
    struct mount_options *o = &m->options;
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt_long(argc, argv, ":o:fv", options, NULL)) != -1) {
        switch (found) {
        case OPTION_PASSFILE: rc = option_set(&o->sources.passfile, optarg); break;
        case OPTION_EXTPASS: rc = option_set(&o->sources.extpass, optarg); break;
        case OPTION_KEYFILE: rc = option_set(&o->sources.keyfile, optarg); break;
        case OPTION_STATE: rc = option_set(&o->state, optarg); break;
        case OPTION_REBUILD:
            if (!rebuild_wish_parse(optarg, &o->rebuild))
                rc = usage_error(argv[0], _("“rebuild” takes no other value than “partial”"));
            break;
        case OPTION_RECOVERY_FILE: rc = option_set(&o->recovery_file, optarg); break;
        case 'o': rc = mount_options_parse(o, optarg, false); break;
        case 'f': o->config.foreground = true; break;
        case 'v': o->config.verbose = true; break;
        default: rc = option_error(argc, argv, found);
        }
    }
    if (!rc && o->recovery_file && !o->rebuild)
        rc = usage_error(argv[0], _("the option “%s” goes with “%s”"), "--recovery-file", "--rebuild");
    if (!rc && argc - optind != 2)
        rc = usage_error(argv[0], _("a store and a mountpoint are expected"));
    return rc;
}

int command_mount(int argc, char **argv)
{
    struct mounting m = { .argc = argc, .argv = argv };

    int rc = parse_mount(&m, argc, argv);
    if (!rc) {
        m.spec = argv[optind];
        m.place = argv[optind + 1];
        rc = mount_vault(&m);
    }
    mount_options_free(&m.options);
    return rc;
}

/* mount.ecluse SPEC DIR [-sfnv] [-N namespace] [-o options] [-t type] */
static int parse_helper(struct mounting *m, int argc, char **argv, bool *fake)
{
    struct buf words = { 0 };   /* -s may come after -o */
    bool sloppy = false;
    int found, rc = EXIT_DONE;

    while (!rc && (found = getopt(argc, argv, ":sfnvN:o:t:")) != -1) {
        switch (found) {
        case 's': sloppy = true; break;
        case 'f': *fake = true; break;
        case 'v': m->options.config.verbose = true; break;
        case 'n': case 'N': case 't': break;
        case 'o':
            buf_append(&words, optarg, strlen(optarg));
            buf_byte(&words, ',');
            break;
        default: rc = option_error(argc, argv, found);
        }
    }
    buf_byte(&words, '\0');
    if (!rc)
        rc = words.failed ? complain(-ENOMEM, NULL)
                          : mount_options_parse(&m->options, (const char *)words.data, sloppy);
    buf_free(&words);
    if (!rc && argc - optind != 2)
        rc = usage_error("mount", _("a store and a mountpoint are expected"));
    return rc;
}

int command_mount_helper(int argc, char **argv)
{
    struct mounting m = { .argc = argc, .argv = argv, .helper = true };
    bool fake = false;

    int rc = parse_helper(&m, argc, argv, &fake);
    if (!rc && !fake) {
        m.spec = argv[optind];
        m.place = argv[optind + 1];
        rc = mount_vault(&m);
    }
    mount_options_free(&m.options);
    return rc;
}
