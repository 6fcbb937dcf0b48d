/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Writes down everything that happens to the names in a directory tree.
 *
 *   watch DIRECTORY LOG
 *
 * One line per event, the kind and the path below DIRECTORY.  The first line, `ready`,
 * comes when every directory is watched; those made later are not.  Ends
 * when killed.  A lost event is a line `OVERFLOW`.
 */
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { WATCHES = 4096 };

static int notify;
static char *path_of[WATCHES];
static size_t root_len;

static int add(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    if (type != FTW_D)
        return 0;
    int wd = inotify_add_watch(notify, path, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_MODIFY |
                               IN_ATTRIB | IN_DELETE | IN_CLOSE_WRITE | IN_ONLYDIR);
    if (wd < 0 || wd >= WATCHES)
        return -1;
    path_of[wd] = strdup(path + root_len);
    return 0;
}

static void print_event(FILE *log, const struct inotify_event *e)
{
    static const struct { uint32_t bit; const char *name; } kinds[] = {
        { IN_CREATE, "CREATE" },       { IN_MOVED_TO, "MOVED_TO" }, { IN_MOVED_FROM, "MOVED_FROM" },
        { IN_MODIFY, "MODIFY" },       { IN_ATTRIB, "ATTRIB" },     { IN_DELETE, "DELETE" },
        { IN_CLOSE_WRITE, "CLOSE_WRITE" }, { IN_Q_OVERFLOW, "OVERFLOW" },
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (e->mask & kinds[i].bit)
            fprintf(log, "%s %s/%s\n", kinds[i].name, e->wd >= 0 ? path_of[e->wd] : "", e->len ? e->name : "");
    fflush(log);
}

int main(int argc, char **argv)
{
    char buffer[65536] __attribute__((aligned(8))), root[PATH_MAX];
    FILE *log = argc == 3 ? fopen(argv[2], "w") : NULL;
    notify = inotify_init1(IN_CLOEXEC);
    if (!log || notify < 0 || !realpath(argv[1], root)) {
        fprintf(stderr, "usage: watch DIRECTORY LOG\n");
        return 2;
    }
    root_len = strlen(root);
    if (nftw(root, add, 64, FTW_PHYS)) {
        perror(root);
        return 2;
    }
    fprintf(log, "ready\n");
    fflush(log);
    for (ssize_t n; (n = read(notify, buffer, sizeof(buffer))) > 0;)
        for (char *at = buffer; at < buffer + n;) {
            const struct inotify_event *e = (const void *)at;
            print_event(log, e);
            at += sizeof(*e) + e->len;
        }
    return 1;
}
