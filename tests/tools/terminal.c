/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Runs a command on a terminal of its own and answers its secret questions.
 *
 *   terminal [-e] ANSWER... -- COMMAND [ARGUMENT...]
 *
 * An answer is typed only when the command has switched the echo off (with -e: when
 * what it showed ends in a space, as a question does); what the
 * terminal shows goes to standard output.  The exit code is the command's; 99 when
 * it ended or waited a minute before every answer was asked for.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static bool echo_is_off(int terminal)
{
    struct termios t;
    return !tcgetattr(terminal, &t) && !(t.c_lflag & ECHO);
}

static char last_shown = '\n';
static bool with_echo;

/* Shows output for a moment; false when the command has gone. */
static bool show(int terminal)
{
    char got[4096];
    struct pollfd p = { .fd = terminal, .events = POLLIN };
    if (poll(&p, 1, 10) <= 0)
        return true;
    ssize_t n = read(terminal, got, sizeof(got));
    if (n <= 0)
        return false;
    fwrite(got, 1, (size_t)n, stdout);
    fflush(stdout);
    last_shown = got[n - 1];
    return true;
}

/* Types when the echo is off and a question stands there, whichever comes first. */
static bool answer(int terminal, const char *text)
{
    time_t end = time(NULL) + 60;
    while (with_echo ? last_shown != ' ' : !echo_is_off(terminal) || last_shown == '\n')
        if (!show(terminal) || time(NULL) > end)
            return false;
    last_shown = '\n';
    return write(terminal, text, strlen(text)) == (ssize_t)strlen(text) && write(terminal, "\n", 1) == 1;
}

int main(int argc, char **argv)
{
    int terminal, status = 0, i = 1, split = 1;
    bool asked = true;
    if (argc > 1 && strcmp(argv[1], "-e") == 0) {
        with_echo = true;
        i++;
    }
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    if (split + 1 >= argc) {
        fprintf(stderr, "usage: terminal [-e] ANSWER... -- COMMAND [ARGUMENT...]\n");
        return 2;
    }
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0) {
        execvp(argv[split + 1], argv + split + 1);
        _exit(127);
    }
    for (; child > 0 && asked && i < split; i++)
        asked = answer(terminal, argv[i]);
    if (!asked)
        fprintf(stderr, "the command did not ask for answer %d%s\n", i - 1, with_echo ? "" : " with the echo off");
    time_t end = time(NULL) + 60;
    while (asked && show(terminal) && time(NULL) <= end)
        ;
    close(terminal);
    if (child < 0 || waitpid(child, &status, 0) != child || !asked)
        return 99;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
