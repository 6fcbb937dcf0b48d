/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Every state that a power cut may leave, for short workloads.
 *
 *   states [--scene NAME] [--seed N] [--length N] [--workloads N] [--per-workload N] [--seconds N]
 *          [--ops A,B,…]
 *
 * The idea is of ALICE (Pillai et al., OSDI 2014) and of CrashMonkey's bounded
 * workloads (Mohan et al., OSDI 2018): run a few operations once, record every
 * change and sync, and for each moment build what a disk may then hold.  What
 * was synced is there.  Of everything else any part may be missing, whatever
 * the order in which it was done: writes, also torn in the middle, sizes, new
 * names, renames, removals.  Only a rename is never half done.
 *
 * Each state is opened as after a power cut.  It must open without an alarm,
 * and hold the tree after some prefix of the operations: nothing less than what
 * was synced, nothing more than what was begun.  Objects in the store must be
 * whole in every state.  Of some states the recovery itself is cut again.
 *
 * Scenes: `work`; `cross`, with a store on another filesystem; `cloned`, with a
 * state that was copied and becomes a new actor first.
 *
 * Without --ops, workloads are drawn with a printed seed; --length 2 with
 * --workloads 0 tries all pairs.  --per-workload bounds the states tried of one
 * (0: all of them).
 */
#include "disk.h"
#include "image.h"
#include "world.h"
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

enum note { NOTE_BEGIN = 100, NOTE_END = 200, NOTE_OPENED = 300, NOTE_CLOSED };

#define SUBSETS_ALL 6u          /* this many pending events: all subsets */
#define SUBSETS_DRAWN 12u
#define PENDING_MAX 512u
#define SEEN_MAX (1u << 18)
#define NEST_ONE_OF 25u
#define HANG_SECONDS 60u

enum scene { SCENE_WORK, SCENE_CROSS, SCENE_CLONED, SCENES };
static const char *const scene_names[SCENES] = { "work", "cross", "cloned" };
static struct { unsigned long seed, length, workloads, per_workload, seconds; enum scene scene; } opt = {
    .length = 3, .workloads = 40, .per_workload = 150 };
static struct world base, cut;
static uint64_t random_state;
static struct { unsigned long workloads, moments, states, nested; } done;
static time_t began;

/* What a child found, for its parent. */
static struct { int rc, which; char words[2048]; } *verdict;

static uint64_t draw(uint64_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % below;
}

/* --- a workload, and what is right after it ------------------------------------------- */

struct work {
    struct op ops[OPS_MAX];
    unsigned count, trees;                     /* operations; the last tree */
    uint8_t hashes[OPS_MAX + 1][SHA256_SIZE];  /* the tree after so many operations */
    int results[OPS_MAX];
};

static void foresee(struct work *w)
{
    struct twin *t = twin_new();

    w->trees = w->count;
    twin_hash(t, w->hashes[0]);
    for (unsigned k = 0; k < w->count; k++) {
        w->results[k] = twin_run(t, &w->ops[k]);
        twin_hash(t, w->hashes[k + 1]);
    }
    twin_free(t);
}

static void print_work(const struct work *w)
{
    char text[64];

    for (unsigned k = 0; k < w->count; k++) {
        op_text(&w->ops[k], text);
        printf("    %u. %s\n", k + 1, text);
    }
}

static int which_tree(const struct work *w, const uint8_t hash[SHA256_SIZE], unsigned from, unsigned to)
{
    for (unsigned k = from; k <= to; k++)
        if (!memcmp(w->hashes[k], hash, SHA256_SIZE))
            return (int)k;
    return -1;
}

/* Runs in a child, which ends without closing: what was not synced is open to
 * whatever the states make of it. */
static void perform(const struct work *w, const struct world *world)
{
    uint8_t hash[SHA256_SIZE];
    struct opened v;

    disk->recording = true;
    disk->cross = opt.scene == SCENE_CROSS;
    verdict->rc = world_open(world, &v);
    if (!verdict->rc)
        verdict->rc = tree_hash(v.fs, hash);
    if (verdict->rc)
        return;
    verdict->which = which_tree(w, hash, 0, w->trees);
    disk_note(NOTE_OPENED);
    for (unsigned k = 0; k < w->count; k++) {
        disk_note(NOTE_BEGIN + k);
        int rc = op_run(v.fs, &w->ops[k]);
        disk_note(NOTE_END + k);
        if (rc != w->results[k] && !verdict->rc) {
            verdict->rc = -EPROTO;
            snprintf(verdict->words, sizeof verdict->words, "operation %u gave %s, not %s", k + 1, error_name(rc),
                     error_name(w->results[k]));
        }
    }
    int rc = world_close(&v);
    disk_note(NOTE_CLOSED);
    if (!verdict->rc)
        verdict->rc = rc;
}

/* A tree that was cut: how it opens, and which tree it is. */
static void inspect(const struct work *w, unsigned from, unsigned to)
{
    uint8_t hash[SHA256_SIZE];
    struct fs_status status;
    struct buf words = { 0 };
    struct opened v;
    struct op flush = { .kind = OP_FLUSH };

    int rc = world_open(&cut, &v);
    if (!rc) {
        rc = tree_words(v.fs, &words);
        crypto_sha256(words.data, words.len, hash);
        verdict->which = rc ? -1 : which_tree(w, hash, from, to);
        buf_append(&words, "", 1);
        snprintf(verdict->words, sizeof verdict->words, "%s", (char *)words.data);
    }
    if (!rc)
        rc = fs_status(v.fs, &status);
    if (!rc && (status.refused || status.missing || status.foreign))
        rc = E_AUTH;
    if (!rc)
        rc = op_run(v.fs, &flush);     /* it works on */
    if (!rc)
        rc = world_close(&v);
    verdict->rc = rc;
}

/* A child that is given a minute. Its verdict is -ECHILD when it died. */
static void in_child(void (*run)(void *), void *arg)
{
    int status = 0;

    verdict->rc = -ECHILD;
    verdict->which = -1;
    verdict->words[0] = '\0';
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG_SECONDS);
        sqlite3_randomness(0, NULL);   /* a process of its own has its own salts */
        run(arg);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        verdict->rc = -ECHILD;
        snprintf(verdict->words, sizeof verdict->words, "it ended with status %#x\n", (unsigned)status);
    }
}

/* --- events ------------------------------------------------------------------------------- */

static bool of_names(const struct event *e)
{
    return e->kind == EVENT_MAKE || e->kind == EVENT_MOVE || e->kind == EVENT_LINK || e->kind == EVENT_REMOVE;
}

static bool of_bytes(const struct event *e) { return e->kind == EVENT_WRITE || e->kind == EVENT_SIZE; }

/* A file without a name is no change of a directory. */
static bool covered(const struct event *change, uint32_t at, const struct event *sync)
{
    if (at >= sync->began)
        return false;
    if (of_bytes(change))
        return sync->ino == change->ino;
    return sync->ino == change->dir || sync->ino == change->to_dir || (!change->dir && !change->to_dir);
}

/* Events up to `moment` that no sync covers, in order. */
static size_t find_pending(const struct event *events, uint32_t moment, uint32_t from, uint32_t out[PENDING_MAX])
{
    size_t count = 0;

    for (uint32_t k = from; k < moment && count < PENDING_MAX; k++) {
        bool durable = !of_names(&events[k]) && !of_bytes(&events[k]);
        for (uint32_t s = k + 1; !durable && s < moment; s++)
            durable = events[s].kind == EVENT_SYNC && covered(&events[k], k, &events[s]);
        if (!durable)
            out[count++] = k;
    }
    return count;
}

/* --- one state ------------------------------------------------------------------------------ */

/* Which of the pending events are there; one write may be torn. */
struct choice { bool kept[PENDING_MAX]; int torn; bool head; };

struct exploration {
    const struct work *work;
    struct event *events;         /* a copy; their bytes stay in the arena */
    uint32_t count;
    struct image *floor;          /* all events before `floor_at` */
    uint32_t floor_at;
    struct image *whole;          /* all events */
    uint32_t moment;
    uint32_t pending[PENDING_MAX];
    size_t pending_count;
    unsigned least, most;         /* trees that are right at this moment */
    uint64_t *seen;
    size_t seen_count;
    bool counting;                /* first it is found out how many there are */
    unsigned long distinct;
    const struct exploration *parent;  /* nested: whose state is recovered, */
    const struct choice *of;           /* which, */
    unsigned recovered;           /* nested: the tree that the recovery served */
};

static size_t arena_used;         /* by the explorations under way */

static void explore(struct image *start, const struct work *w, const struct exploration *parent,
                    const struct choice *of, bool adopted);

static struct image *build(const struct exploration *x, const struct choice *c)
{
    struct image *i = image_copy(x->floor);
    size_t p = 0;

    for (uint32_t k = x->floor_at; k < x->moment; k++) {
        const struct event *e = &x->events[k];
        bool pending = p < x->pending_count && x->pending[p] == k;
        uint64_t half = e->len / 2 / 512 * 512;
        bool torn = pending && c->torn == (int)p;
        if (torn)
            image_apply(i, e, c->head ? 0 : half, c->head ? half : e->len);
        else if (!pending || c->kept[p])
            image_apply(i, e, 0, e->len);
        p += pending;
    }
    return i;
}

static bool seen_before(struct exploration *x, uint64_t sum)
{
    sum ^= (uint64_t)x->least << 56 ^ (uint64_t)x->most << 48;
    sum += !sum;
    size_t k = (size_t)(sum % SEEN_MAX);
    while (x->seen[k] && x->seen[k] != sum)
        k = (k + 1) % SEEN_MAX;
    bool known = x->seen[k] == sum || x->seen_count > SEEN_MAX / 2;
    x->seen_count += !known;
    x->seen[k] = sum;
    return known;
}

static void print_choice(const struct exploration *x, const struct choice *c)
{
    static const char *const words[] = { "make", "write", "size", "move", "link", "remove", "sync", "note" };
    char name[128] = "?";

    printf("  at event %u of %u trees %u to %u would be right; then\n", x->moment, x->count, x->least, x->most);
    for (size_t p = 0; p < x->pending_count; p++) {
        const struct event *e = &x->events[x->pending[p]];
        image_name(x->whole, e->ino, name);
        printf("    %s event %u: %s %s %s %s at %llu length %llu\n",
               c->torn == (int)p ? c->head ? "head" : "tail" : c->kept[p] ? "kept" : "lost", x->pending[p],
               words[e->kind], name, e->name, e->to, (unsigned long long)e->offset, (unsigned long long)e->len);
    }
}

static void complain(const struct exploration *x, const struct choice *c, const char *what)
{
    const struct exploration *first = x->parent ? x->parent : x;

    printf("FAILED: %s: tree %d, %s\n%s", what, verdict->which, error_name(verdict->rc), verdict->words);
    print_work(first->work);
    if (x->parent)
        print_choice(x->parent, x->of);
    if (x->parent)
        printf("  was recovered to tree %u; that was cut\n", x->recovered);
    print_choice(x, c);
    exit(1);
}

static void inspect_it(void *arg)
{
    struct exploration *x = arg;
    inspect(x->work, x->least, x->most);
}

static void try_state(struct exploration *x, const struct choice *c)
{
    char found[128];

    struct image *i = build(x, c);
    unsigned long most = x->parent ? opt.per_workload / 8 : opt.per_workload;
    bool skip = seen_before(x, image_sum(i));
    x->distinct += x->counting && !skip;
    skip |= x->counting || (opt.per_workload && draw(x->distinct) >= most);
    if (skip) {
        image_free(i);
        return;
    }
    if (!image_whole(i, x->whole, "store", found)) {
        snprintf(verdict->words, sizeof verdict->words, "object %s\n", found);
        complain(x, c, "an object in the store is not whole");
    }
    image_store(i, cut.top);
    bool adopted = opt.scene != SCENE_CLONED || image_same_file(i, x->whole, "lock");
    if (adopted)
        world_adopt(&cut);
    disk_reset();
    in_child(inspect_it, x);
    if (verdict->rc || verdict->which < 0)
        complain(x, c, verdict->rc ? "it does not open, or not without an alarm" : "the tree is of no right moment");
    done.states++;
    if (!x->parent && draw(NEST_ONE_OF) == 0) {
        struct work rest = { .trees = x->most - x->least };
        memcpy(rest.hashes, x->work->hashes[x->least], (rest.trees + 1) * SHA256_SIZE);
        done.nested++;
        explore(i, &rest, x, c, adopted);
    }
    image_free(i);
}

/* --- all states of a moment -------------------------------------------------------------------- */

static void fill(struct choice *c, size_t count, bool kept)
{
    for (size_t p = 0; p < count; p++)
        c->kept[p] = kept;
}

static void try_few(struct exploration *x, struct choice *c)
{
    for (unsigned mask = 0; mask < 1u << x->pending_count; mask++) {
        for (size_t p = 0; p < x->pending_count; p++)
            c->kept[p] = mask >> p & 1;
        try_state(x, c);
    }
}

/* Too many for all subsets: prefixes, each alone, each missing, some others. */
static void try_many(struct exploration *x, struct choice *c)
{
    size_t n = x->pending_count;

    for (size_t k = 0; k <= n; k++) {
        for (size_t p = 0; p < n; p++)
            c->kept[p] = p < k;
        try_state(x, c);
    }
    for (size_t k = 0; k < n; k++) {
        fill(c, n, false);
        c->kept[k] = true;
        try_state(x, c);
        fill(c, n, true);
        c->kept[k] = false;
        try_state(x, c);
    }
    for (unsigned k = 0; k < SUBSETS_DRAWN; k++) {
        for (size_t p = 0; p < n; p++)
            c->kept[p] = draw(2);
        try_state(x, c);
    }
}

/* Each pending write in halves, with all else there, and with nothing after it. */
static void try_torn(struct exploration *x, struct choice *c)
{
    for (size_t k = 0; k < x->pending_count; k++) {
        const struct event *e = &x->events[x->pending[k]];
        if (e->kind != EVENT_WRITE || e->len < 1024)
            continue;
        for (unsigned variant = 0; variant < 4; variant++) {
            for (size_t p = 0; p < x->pending_count; p++)
                c->kept[p] = variant < 2 || p < k;
            c->torn = (int)k;
            c->head = variant & 1;
            try_state(x, c);
        }
    }
    c->torn = -1;
}

/* Which trees are right once the events before `moment` have happened. */
static void bounds(struct exploration *x)
{
    const struct work *w = x->work;

    x->least = 0;
    x->most = x->parent ? w->trees : 0;
    for (uint32_t k = 0; k < x->moment; k++) {
        uint64_t note = x->events[k].offset;
        if (x->events[k].kind != EVENT_NOTE)
            continue;
        if (note == NOTE_OPENED && x->parent)
            x->least = x->most = x->recovered;
        else if (note == NOTE_CLOSED)
            x->least = x->most;
        else if (note >= NOTE_END && note < NOTE_OPENED && op_is_sync(&w->ops[note - NOTE_END]))
            x->least = (unsigned)(note - NOTE_END) + 1;
        else if (note < NOTE_END)
            x->most = (unsigned)(note - NOTE_BEGIN) + 1;
    }
}

static void try_moment(struct exploration *x)
{
    struct choice c = { .torn = -1 };

    bounds(x);
    x->pending_count = find_pending(x->events, x->moment, x->floor_at, x->pending);
    uint32_t first = x->pending_count ? x->pending[0] : x->moment;
    for (; x->floor_at < first; x->floor_at++)
        image_apply(x->floor, &x->events[x->floor_at], 0, x->events[x->floor_at].len);
    if (x->pending_count <= SUBSETS_ALL)
        try_few(x, &c);
    else
        try_many(x, &c);
    try_torn(x, &c);
}

static void try_all(struct exploration *x, const struct image *start, bool counting)
{
    x->counting = counting;
    x->seen = calloc(SEEN_MAX, sizeof *x->seen);
    x->seen_count = 0;
    x->floor = image_copy(start);
    x->floor_at = 0;
    for (x->moment = 0; x->moment <= x->count; x->moment++)
        try_moment(x);
    image_free(x->floor);
    free(x->seen);
}

struct performing { const struct work *w; const struct world *world; };

static void perform_it(void *arg)
{
    struct performing *p = arg;
    perform(p->w, p->world);
}

/* A nested one performs nothing: it only opens, which is to recover. */
static void explore(struct image *start, const struct work *w, const struct exploration *parent,
                    const struct choice *of, bool adopted)
{
    struct exploration x = { .work = w, .parent = parent, .of = of };
    struct performing p = { w, &cut };
    size_t used = arena_used;

    image_store(start, cut.top);
    if (adopted)
        world_adopt(&cut);
    struct image *real = image_load(cut.top);
    disk_reset();
    disk->used = arena_used;
    in_child(perform_it, &p);
    if (verdict->rc || disk->overflow || verdict->which < 0) {
        printf("FAILED: %s %s%s\n", error_name(verdict->rc), verdict->words, disk->overflow ? " (too long)" : "");
        print_work(w);
        exit(1);
    }
    x.recovered = (unsigned)verdict->which;
    arena_used = disk->used;
    x.count = disk->count;
    x.events = malloc(x.count * sizeof *x.events + 1);
    memcpy(x.events, disk->events, x.count * sizeof *x.events);
    x.whole = image_copy(real);
    for (uint32_t k = 0; k < x.count; k++)
        image_apply(x.whole, &x.events[k], 0, x.events[k].len);
    try_all(&x, real, true);
    try_all(&x, real, false);
    done.moments += x.count + 1;
    image_free(x.whole);
    image_free(real);
    free(x.events);
    arena_used = used;
}

/* --- workloads --------------------------------------------------------------------------------- */

static unsigned op_count(void)
{
    struct op op;
    unsigned n = 0;
    while (op_at(n, &op))
        n++;
    return n;
}

static void try_workload(struct image *start, struct work *w)
{
    foresee(w);
    explore(start, w, NULL, NULL, opt.scene != SCENE_CLONED);
    done.workloads++;
}

/* All sequences of opt.length operations and one that makes them durable, or
 * drawn ones, until the time is over. */
static void try_workloads(struct image *start)
{
    static const enum op_kind syncs[] = { OP_SYNC, OP_COMMIT, OP_FLUSH, OP_GC };
    unsigned n = op_count();
    unsigned long total = ARRAY_SIZE(syncs);

    for (unsigned long k = 0; k < opt.length; k++)
        total *= n;
    for (unsigned long k = 0; k < (opt.workloads ? opt.workloads : total); k++) {
        unsigned long number = opt.workloads ? draw(total) : k;
        struct work w = { .count = (unsigned)opt.length };
        if (opt.seconds && time(NULL) - began >= (time_t)opt.seconds)
            return;
        for (unsigned i = 0; i < w.count; i++, number /= n)
            op_at((unsigned)(number % n), &w.ops[i]);
        w.ops[w.count++].kind = syncs[number];
        try_workload(start, &w);
    }
}

static void try_named(struct image *start, const char *list)
{
    struct work w = { 0 };
    char *rest = strdup(list), *one, *copy = rest;

    while ((one = strsep(&rest, ",")))
        if (w.count == OPS_MAX || !op_at((unsigned)atoi(one), &w.ops[w.count++])) {
            fprintf(stderr, "states: no operation %s\n", one);
            exit(2);
        }
    free(copy);
    try_workload(start, &w);
}

static void usage(void)
{
    fprintf(stderr, "usage: states [--scene NAME] [--seed N] [--length N] [--workloads N] [--per-workload N] [--seconds N] "
                    "[--ops A,B,...]\n");
    exit(2);
}

static const char *parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "scene", 1, NULL, 'e' }, { "seed", 1, NULL, 's' }, { "length", 1, NULL, 'l' }, { "workloads", 1, NULL, 'w' },
        { "per-workload", 1, NULL, 'p' }, { "seconds", 1, NULL, 't' }, { "ops", 1, NULL, 'o' }, { 0 } };
    const char *ops = NULL;
    int c;

    opt.seed = (unsigned long)time(NULL);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (c) {
        case 's': opt.seed = strtoul(optarg, NULL, 10); break;
        case 'l': opt.length = strtoul(optarg, NULL, 10); break;
        case 'w': opt.workloads = strtoul(optarg, NULL, 10); break;
        case 'p': opt.per_workload = strtoul(optarg, NULL, 10); break;
        case 't': opt.seconds = strtoul(optarg, NULL, 10); break;
        case 'o': ops = optarg; break;
        case 'e':
            for (opt.scene = 0; opt.scene < SCENES && strcmp(optarg, scene_names[opt.scene]); opt.scene++)
                continue;
            break;
        default: usage();
        }
    if (optind < argc || opt.scene == SCENES || !opt.length || opt.length >= OPS_MAX)
        usage();
    return ops;
}

int main(int argc, char **argv)
{
    const char *ops = parse(argc, argv);
    char top[64];

    random_state = opt.seed;
    began = time(NULL);
    verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    disk_start();
    memory_folder(top);
    snprintf(base.top, sizeof base.top, "%.50s/base", top);
    mkdir(base.top, 0700);
    printf("replay with: states --scene %s --seed %lu --length %lu --workloads %lu --per-workload %lu%s%s\n", scene_names[opt.scene],
           opt.seed, opt.length, opt.workloads, opt.per_workload, ops ? " --ops " : "", ops ? ops : "");
    world_make(&base);
    struct image *start = image_load(base.top);
    image_forget_fans(start);
    cut = base;
    snprintf(cut.top, sizeof cut.top, "%.50s/cut", top);
    if (ops)
        try_named(start, ops);
    else
        try_workloads(start);
    image_free(start);
    printf("%lu workloads, %lu moments, %lu states opened, %lu recoveries cut again\n", done.workloads,
           done.moments, done.states, done.nested);
    return done.states ? 0 : 1;
}
