/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * The Nth call fails, for every N and every call of the product.
 *
 *   nth [--scene NAME] [--stride N] [--seed N] [--class NAME] [--seconds N]
 *       [--only CLASS:HOW:FROM[-TO]]
 *
 * Scenes: `work` opens the vault, works in it, publishes and closes it; `cross`
 * does so with a store on another filesystem; `cloned` with a state that was
 * copied; `init` makes a vault.  A scene is run once to count its calls to the system and for memory, then again for
 * each of them and each way to fail: an errno, half a transfer, half a transfer
 * and then no space; once, and from then on.  Asserted, each time:
 *
 *   the process neither dies nor hangs, and leaves no descriptor open
 *   an operation that failed says so, and has changed nothing
 *   what a successful sync covered is there after the next opening, which
 *   succeeds, without any alarm; the tree is one that the results allow
 *   a failed sync is followed by no successful one before the vault is reopened, and is
 *   reported, unless it was of the audit log, which says so in the log and is no more than that
 *   an init that failed leaves nothing, or no more than it can be made to leave
 *   when removing fails too, and never a store without its state and key
 *
 * An interrupted call (EINTR) and half a transfer must not be noticed at all.
 * --stride tries every Nth only, from a drawn one on; it is for memory, of which there are
 * thousands.
 */
#include "disk.h"
#include "image.h"
#include "world.h"
#include <dirent.h>
#include <ecluse/error.h>
#include <ecluse/log.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 90u
#define FOREVER 1000000000L

static const struct op ops[] = {
    { OP_WRITE, 0, 0, 1 }, { OP_SYNC, 0, 0, 0 }, { OP_CREATE, 2, 0, 0 }, { OP_WRITE, 2, 0, 2 }, { OP_COMMIT, 0, 0, 0 },
    { OP_RENAME, 2, 1, 0 }, { OP_XATTR, 0, 0, 0 }, { OP_SYNC, 0, 0, 0 }, { OP_FLUSH, 0, 0, 0 }, { OP_TRUNCATE, 0, 0, 1 },
    { OP_UNLINK, 4, 0, 0 }, { OP_COPY, 1, 0, 0 }, { OP_FLUSH, 0, 0, 0 }, { OP_WRITE, 1, 0, 2 }, { OP_WRITE, 1, 0, 2 },
    { OP_WRITE, 0, 0, 2 }, { OP_LINK, 1, 2, 0 }, { OP_GC, 0, 0, 0 }, { OP_WRITE, 1, 0, 0 },
};
#define OPS ARRAY_SIZE(ops)

/* How a class can fail. */
static const struct { enum call class; int how; } ways[] = {
    { CALL_open, EMFILE }, { CALL_open, EIO }, { CALL_open, ENOSPC },
    { CALL_read, EIO }, { CALL_read, EINTR }, { CALL_read, FAIL_SHORT },
    { CALL_write, EIO }, { CALL_write, ENOSPC }, { CALL_write, EINTR }, { CALL_write, FAIL_SHORT },
    { CALL_write, FAIL_TORN },
    { CALL_sync, EIO }, { CALL_sync, ENOSPC }, { CALL_sync, EINTR },
    { CALL_rename, EIO }, { CALL_rename, ENOSPC }, { CALL_link, EIO }, { CALL_link, ENOSPC },
    { CALL_unlink, EIO }, { CALL_mkdir, EIO }, { CALL_mkdir, ENOSPC }, { CALL_truncate, EIO },
    { CALL_allocate, ENOSPC }, { CALL_allocate, EIO }, { CALL_attribute, EIO }, { CALL_stat, EIO },
    { CALL_list, EIO }, { CALL_memory, ENOMEM }, { CALL_thread, EAGAIN },
};

/* What a run found, for the parent. */
struct run { int opened, closed, results[OPS]; bool latched[OPS], delivered; int descriptors; struct world made; };
struct look { int rc; uint8_t hash[SHA256_SIZE]; char words[2048]; };
static struct { struct run run; struct look look; int status; } *shared;

enum scene { SCENE_WORK, SCENE_CROSS, SCENE_CLONED, SCENE_INIT, SCENES };
static const char *const scene_names[SCENES] = { "work", "cross", "cloned", "init" };

static struct { unsigned long stride, seed, seconds; enum scene scene; const char *class, *only; } opt = {
    .stride = 1 };
static struct world base, copy;
static bool sticky;             /* more than one call fails: so may cleaning up */
static struct image *start, *nothing;
static long calls[CALL_COUNT];
static unsigned long runs, failures;
static time_t began;

static const char *how_text(int how)
{
    return how == FAIL_SHORT ? "SHORT" : how == FAIL_TORN ? "TORN" : error_name(-how);
}

/* --- a run, in a child ------------------------------------------------------------------- */

static int count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void perform(void)
{
    struct run *r = &shared->run;
    struct fs_status status;
    struct opened v;

    int before = count_descriptors();
    r->opened = world_open(&copy, &v);
    for (size_t k = 0; !r->opened && k < OPS; k++) {
        r->results[k] = op_run(v.fs, &ops[k]);
        r->latched[k] = fs_status(v.fs, &status) == 0 && status.latched;
    }
    r->closed = r->opened ? r->opened : world_close(&v);
    r->descriptors = count_descriptors() - before;
}

static int deliver(void *ctx, const uint8_t recovery[KEY_SIZE], const struct id128 *vault)
{
    (void)ctx, (void)vault;
    memcpy(shared->run.made.recovery, recovery, KEY_SIZE);
    shared->run.delivered = true;
    return 0;
}

/* The result is in `opened`. */
static void perform_init(void)
{
    struct run *r = &shared->run;
    char store[96], state[96];
    uint8_t recovery[KEY_SIZE];
    struct vault_options o = { .store_path = store, .state_dir = state, .suite = SUITE_AES_256_GCM,
                               .cost = KDF_FLOOR, .deliver = deliver };

    r->made = copy;
    world_places(&copy, store, state);
    int before = count_descriptors();
    disk_begin();
    r->opened = vault_create(&o, recovery, &r->made.vault);
    disk_end();
    r->descriptors = count_descriptors() - before;
}

static void look(void)
{
    struct look *l = &shared->look;
    struct op write = { OP_MKDIR, 2, 0, 0 }, flush = { .kind = OP_FLUSH };
    struct fs_status status;
    struct buf words = { 0 };
    struct opened v;

    l->rc = world_open(&copy, &v);
    if (l->rc)
        return;
    l->rc = tree_words(v.fs, &words);
    crypto_sha256(words.data, words.len, l->hash);
    buf_append(&words, "", 1);
    snprintf(l->words, sizeof l->words, "%s", (char *)words.data);
    if (!l->rc)
        l->rc = fs_status(v.fs, &status);
    if (!l->rc && (status.refused || status.missing || status.foreign))
        l->rc = E_AUTH;
    int made = op_run(v.fs, &write);
    if (!l->rc && made && made != -EEXIST)
        l->rc = made;
    if (!l->rc)
        l->rc = op_run(v.fs, &flush);
    int closed = world_close(&v);
    l->rc = l->rc ? l->rc : closed;
}

/* False when it died or hung. */
static bool in_child(void (*work)(void))
{
    char log[80];

    snprintf(log, sizeof log, "%s/../log", copy.top);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen(log, "a", stderr))
            _exit(1);
        alarm(HANG_SECONDS);
        sqlite3_randomness(0, NULL);
        work();
        _exit(0);
    }
    return waitpid(child, &shared->status, 0) == child && WIFEXITED(shared->status) &&
           WEXITSTATUS(shared->status) == 0;
}

/* --- which trees the results allow ----------------------------------------------------------- */

/* A failed operation is not done, so there is one history; a crash may show any
 * moment of it since the last successful sync.  False when an operation
 * succeeded that could not. */
static bool follow(const struct run *r, uint8_t hashes[OPS + 1][SHA256_SIZE], size_t *count)
{
    struct twin *t = twin_new();
    bool right = true;

    *count = 1;
    twin_hash(t, hashes[0]);
    for (size_t k = 0; right && !r->opened && k < OPS; k++) {
        if (r->results[k])
            continue;
        right = twin_run(t, &ops[k]) == 0;
        if (op_is_sync(&ops[k]))
            *count = 0;
        twin_hash(t, hashes[(*count)++]);
    }
    if (!r->closed && !r->opened) {
        twin_hash(t, hashes[0]);
        *count = 1;
    }
    twin_free(t);
    return right;
}

static bool allowed(const struct run *r)
{
    uint8_t hashes[OPS + 1][SHA256_SIZE];
    size_t count;

    if (!follow(r, hashes, &count))
        return false;
    for (size_t k = 0; k < count; k++)
        if (!memcmp(hashes[k], shared->look.hash, SHA256_SIZE))
            return true;
    return false;
}

/* --- one failure ----------------------------------------------------------------------------- */

static bool unnoticed(int how) { return how == EINTR || how == FAIL_SHORT; }

static bool all_well(const struct run *r)
{
    bool well = !r->opened && !r->closed;
    for (size_t k = 0; well && k < OPS; k++)
        well = !r->results[k];
    return well;
}

static bool synced_after_latch(const struct run *r)
{
    for (size_t k = 1; !r->opened && k < OPS; k++)
        if (r->latched[k - 1] && op_is_sync(&ops[k]) && !r->results[k])
            return true;
    return false;
}

static bool store_has_header(void)
{
    char store[96], state[96];
    bool found = false;

    world_places(&copy, store, state);
    DIR *d = opendir(store);
    for (struct dirent *e; d && (e = readdir(d));)
        found |= strncmp(e->d_name, "vault-", 6) == 0;
    if (d)
        closedir(d);
    return found;
}

static void look_at_new(void)
{
    struct opened v;

    shared->look.rc = world_open(&shared->run.made, &v);
    if (!shared->look.rc)
        shared->look.rc = world_close(&v);
}

/* The vault's id is known to nobody when its making failed. */
static const char *judge_init(int how, bool survived)
{
    const struct run *r = &shared->run;
    char store[96], state[96];

    if (!survived)
        return "the process died or hung";
    if (r->descriptors)
        return "descriptors were left open";
    if (unnoticed(how) && r->opened)
        return "what needs no error gave one";
    if (r->opened) {
        world_places(&copy, store, state);
        if (store_has_header() && (!r->delivered || access(state, F_OK)))
            return "a store whose key or state nobody has";
        if (!sticky && !(access(store, F_OK) && access(state, F_OK)))
            return "something was left";
        return NULL;
    }
    if (!in_child(look_at_new))
        return "the next opening died or hung";
    return shared->look.rc ? "the new vault does not open" : NULL;
}

static const char *judge(enum call class, int how, bool survived)
{
    const struct run *r = &shared->run;

    if (!survived)
        return "the process died or hung";
    if (r->descriptors)
        return "descriptors were left open";
    if (unnoticed(how) && !all_well(r))
        return "what needs no error gave one";
    if (synced_after_latch(r))
        return "a sync succeeded after a failed one";
    if (class == CALL_sync && how == EIO && disk->failed > disk->aside && !r->closed && !r->opened && all_well(r))
        return "a failed sync was not reported";
    if (!in_child(look))
        return "the next opening died or hung";
    if (shared->look.rc)
        return "the vault is not whole at the next opening";
    return allowed(r) ? NULL : "the tree is not one that the results allow";
}

/* What the product said meanwhile. */
static void print_log(void)
{
    char path[80], line[256];

    snprintf(path, sizeof path, "%s/../log", copy.top);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        printf("  | %s", line);
    if (f)
        fclose(f);
}

static void report(enum call class, int how, long from, long to, const char *what)
{
    const struct run *r = &shared->run;
    char text[64];

    failures++;
    printf("FAILED: %s\n  replay with: nth --scene %s --only %s:%s:%ld-%ld\n", what, scene_names[opt.scene], call_names[class], how_text(how), from, to);
    if (WIFSIGNALED(shared->status))
        printf("  signal %d\n", WTERMSIG(shared->status));
    printf("  open: %s\n", error_name(r->opened));
    for (size_t k = 0; !r->opened && k < OPS; k++) {
        op_text(&ops[k], text);
        printf("  %s: %s%s\n", text, error_name(r->results[k]), r->latched[k] ? " (read-only)" : "");
    }
    printf("  close: %s; descriptors %+d\n  next opening: %s\n%s", error_name(r->closed), r->descriptors,
           error_name(shared->look.rc), shared->look.words);
    print_log();
}

static void prepare(void)
{
    char log[80];

    memset(&shared->run, 0, sizeof shared->run);
    memset(&shared->look, 0, sizeof shared->look);
    snprintf(log, sizeof log, "%s/../log", copy.top);
    unlink(log);
    image_store(opt.scene == SCENE_INIT ? nothing : start, copy.top);
    if (opt.scene == SCENE_WORK || opt.scene == SCENE_CROSS)
        world_adopt(&copy);
    disk_reset();
    disk->cross = opt.scene == SCENE_CROSS;
}

static void try_one(enum call class, int how, long from, long to)
{
    prepare();
    disk_fail(class, from, to, how);
    sticky = to > from;
    bool survived = in_child(opt.scene == SCENE_INIT ? perform_init : perform);
    long failed = atomic_load(&disk->failed), aside = atomic_load(&disk->aside);
    disk_fail(CALL_COUNT, 1, 0, 0);
    atomic_store(&disk->active, 0);
    atomic_store(&disk->failed, failed);
    atomic_store(&disk->aside, aside);
    const char *what = opt.scene == SCENE_INIT ? judge_init(how, survived) : judge(class, how, survived);
    runs++;
    if (what)
        report(class, how, from, to, what);
}

/* --- all of them ------------------------------------------------------------------------------ */

static void count_calls(void)
{
    prepare();
    if (!in_child(opt.scene == SCENE_INIT ? perform_init : perform) || !all_well(&shared->run)) {
        printf("FAILED: the workload fails by itself\n");
        report(CALL_COUNT - 1, 0, 0, 0, "nothing was made to fail");
        exit(1);
    }
    for (int k = 0; k < CALL_COUNT; k++)
        calls[k] = atomic_load(&disk->passages[k]);
}

static bool time_is_over(void) { return opt.seconds && time(NULL) - began >= (time_t)opt.seconds; }

static void try_way(enum call class, int how)
{
    long step = class == CALL_memory ? (long)opt.stride : 1;
    unsigned long before = runs;

    /* A few more, as the threads do not always take turns alike. */
    for (long n = 1 + (long)(opt.seed % (unsigned long)step); n <= calls[class] + 2 && !time_is_over(); n += step) {
        try_one(class, how, n, n);
        if (!unnoticed(how))
            try_one(class, how, n, FOREVER);
        if (!unnoticed(how) && class != CALL_memory)
            try_one(class, how, n, n + 1);
    }
    printf("%s %s: %ld calls, %lu runs\n", call_names[class], how_text(how), calls[class], runs - before);
}

static void try_only(const char *text)
{
    char class[16], how[16];
    long from, to;

    int found = sscanf(text, "%15[^:]:%15[^:]:%ld-%ld", class, how, &from, &to);
    if (found < 3) {
        fprintf(stderr, "nth: --only CLASS:HOW:FROM[-TO]\n");
        exit(2);
    }
    for (size_t k = 0; k < ARRAY_SIZE(ways); k++)
        if (!strcmp(call_names[ways[k].class], class) && !strcmp(how_text(ways[k].how), how))
            try_one(ways[k].class, ways[k].how, from, found == 4 ? to : from);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "stride", 1, NULL, 'n' }, { "seed", 1, NULL, 's' }, { "class", 1, NULL, 'c' }, { "seconds", 1, NULL, 't' },
        { "only", 1, NULL, 'o' }, { "scene", 1, NULL, 'e' }, { 0 } };
    int c;

    opt.seed = (unsigned long)time(NULL);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (c) {
        case 'n': opt.stride = strtoul(optarg, NULL, 10); break;
        case 's': opt.seed = strtoul(optarg, NULL, 10); break;
        case 't': opt.seconds = strtoul(optarg, NULL, 10); break;
        case 'c': opt.class = optarg; break;
        case 'o': opt.only = optarg; break;
        case 'e':
            for (opt.scene = 0; opt.scene < SCENES && strcmp(optarg, scene_names[opt.scene]); opt.scene++)
                continue;
            break;
        default: exit(2);
        }
    if (optind < argc || !opt.stride || opt.scene == SCENES)
        exit(2);
}

int main(int argc, char **argv)
{
    char top[64];

    parse(argc, argv);
    began = time(NULL);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    disk_start();
    memory_folder(top);
    snprintf(base.top, sizeof base.top, "%.50s/base", top);
    mkdir(base.top, 0700);
    printf("replay with: nth --scene %s --seed %lu --stride %lu\n", scene_names[opt.scene], opt.seed, opt.stride);
    nothing = image_load(base.top);
    world_make(&base);
    start = image_load(base.top);
    image_forget_fans(start);
    copy = base;
    snprintf(copy.top, sizeof copy.top, "%.50s/copy", top);
    count_calls();
    if (opt.only)
        try_only(opt.only);
    for (size_t k = 0; !opt.only && k < ARRAY_SIZE(ways); k++)
        if (!opt.class || !strcmp(opt.class, call_names[ways[k].class]))
            try_way(ways[k].class, ways[k].how);
    image_free(start);
    image_free(nothing);
    printf("%lu runs, %lu failures\n", runs, failures);
    return failures || !runs ? 1 : 0;
}
