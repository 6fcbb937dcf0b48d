/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * A secret from a program (a password manager, a smart card tool), or for one to keep.
 *
 * No shell: the command line is cut at blanks; 'single' and "double" quotes
 * keep blanks, a backslash takes the next character as it is (but not within
 * single quotes), and nothing is ever expanded.  The program keeps our standard
 * error, and our standard input unless it is given one; what it writes to its output
 * goes into the caller's memory.
 */
#include "internal.h"
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64

extern char **environ;

/* Takes one argument off *from into *to, which moves on behind its NUL. */
static bool take_argument(const char **from, char **to)
{
    char quote = 0;
    const char *s = *from;
    char *t = *to;

    for (; *s && (quote || !strchr(" \t\n", *s)); s++) {
        if (quote ? *s == quote : *s == '\'' || *s == '"')
            quote = quote ? 0 : *s;
        else if (*s == '\\' && quote != '\'' && s[1])
            *t++ = *++s;
        else
            *t++ = *s;
    }
    *t++ = '\0';
    *from = s;
    *to = t;
    return !quote;
}

/* argv points into `room`, which holds strlen(command) + 1 bytes. */
static int split_command(const char *command, char *room, char *argv[ARGUMENTS_MAX + 1])
{
    int count = 0;

    for (command += strspn(command, " \t\n"); *command; command += strspn(command, " \t\n")) {
        if (count == ARGUMENTS_MAX)
            return -E2BIG;
        argv[count++] = room;
        if (!take_argument(&command, &room))
            return -EINVAL;
    }
    argv[count] = NULL;
    return count ? 0 : -EINVAL;
}

/* A pipe that holds all that is to be read from it: nothing blocks, nothing is lost when
 * the program does not want it. The descriptor, or -errno. */
static int fill_pipe(const struct secret *in)
{
    int ends[2], rc = 0;

    if (in->len > PIPE_BUF)
        return -EFBIG;
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    if (write(ends[1], in->bytes, in->len) != (ssize_t)in->len)
        rc = -EIO;
    close(ends[1]);
    if (rc)
        close(ends[0]);
    return rc ? rc : ends[0];
}

/* `input` is -1 for our own. */
static int start(char *const argv[], int input, pid_t *pid, int *output)
{
    posix_spawn_file_actions_t files;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    int rc = posix_spawnp(pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (rc)
        close(ends[0]);
    *output = ends[0];
    return -rc;
}

static ssize_t read_all(int fd, uint8_t *out, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t n = read(fd, out + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return (ssize_t)used;
        used += (size_t)n;
    }
    return -EFBIG;
}

/* `input` is closed. */
static ssize_t run(char *const argv[], int input, uint8_t *out, size_t size)
{
    int output = -1, status = -1;
    pid_t pid;

    ssize_t rc = start(argv, input, &pid, &output);
    if (input >= 0)
        close(input);
    if (rc)
        return rc;
    rc = read_all(output, out, size);
    close(output);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? rc : E_NO_SECRET;
}

ssize_t external_run_words(char *const argv[], uint8_t *out, size_t size)
{
    return run(argv, -1, out, size);
}

ssize_t external_run(const char *command, const struct secret *in, uint8_t *out, size_t size)
{
    char *argv[ARGUMENTS_MAX + 1];
    int input = -1;

    char *room = malloc(strlen(command) + 1);
    ssize_t rc = room ? split_command(command, room, argv) : -ENOMEM;
    if (!rc && in) {
        input = fill_pipe(in);
        rc = input < 0 ? input : 0;
    }
    if (!rc)
        rc = run(argv, input, out, size);
    free(room);
    return rc;
}

bool external_here(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];

    for (const char *end; path && *path; path = *end ? end + 1 : end) {
        end = strchrnul(path, ':');
        int n = snprintf(file, sizeof file, "%.*s/%s", (int)(end - path), path, program);
        if (*path == '/' && n < PATH_MAX && access(file, X_OK) == 0)
            return true;
    }
    return false;
}
