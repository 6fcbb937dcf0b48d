/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * Is the swap encrypted?  What `ecluse doctor` says of each place in /proc/swaps.
 *
 * The kernel tells of each block device below which others lie (`slaves`), and of a
 * device mapper what it is: dm-crypt's identifiers begin with CRYPT-.  A swap file
 * lies on the device of its filesystem.
 */
#include "doctor.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEPTH_MAX 8

static bool begins(const char *path, const char *word)
{
    char text[64] = "";

    FILE *f = fopen(path, "re");
    if (f && !fgets(text, sizeof text, f))
        *text = '\0';
    if (f)
        fclose(f);
    return strncmp(text, word, strlen(word)) == 0;
}

/* `place`: of a device in /sys. All that it lies on must be encrypted, else it is not. */
static bool is_encrypted(const char *place, int depth)
{
    char path[PATH_MAX];
    bool all = true;
    int below = 0;

    if (snprintf(path, sizeof path, "%s/dm/uuid", place) >= (int)sizeof path || depth > DEPTH_MAX)
        return false;
    if (begins(path, "CRYPT-"))
        return true;
    snprintf(path, sizeof path, "%s/slaves", place);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (*e->d_name == '.' || snprintf(path, sizeof path, "%s/slaves/%s", place, e->d_name) >= (int)sizeof path)
            continue;
        below++;
        all = all && is_encrypted(path, depth + 1);
    }
    if (dir)
        closedir(dir);
    return below && all;
}

static void check_place(struct doctor *d, const char *place)
{
    char device[64];
    struct stat st;

    if (strncmp(place, "/dev/zram", 9) == 0) {
        doctor_say(d, "swap", FINDING_OK, _("the swap %s is in memory"), place);
        return;
    }
    bool known = stat(place, &st) == 0;
    dev_t on = known && S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    if (known)
        snprintf(device, sizeof device, "/sys/dev/block/%u:%u", major(on), minor(on));
    if (known && is_encrypted(device, 0))
        doctor_say(d, "swap", FINDING_OK, _("the swap %s is encrypted"), place);
    else
        doctor_say(d, "swap", FINDING_NOTE,
                   _("the swap %s is not known to be encrypted: contents of open files may reach the disk in the clear; "
                     "encrypt it (crypttab), or do without"), place);
}

/* As the kernel writes blanks: \040. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *s = text; *s; to++) {
        unsigned byte;
        if (*s == '\\' && sscanf(s + 1, "%3o", &byte) == 1 && strlen(s) >= 4) {
            *to = (char)byte;
            s += 4;
        } else {
            *to = *s++;
        }
    }
    *to = '\0';
}

void doctor_swap(struct doctor *d)
{
    char *line = NULL, place[PATH_MAX];
    size_t room = 0;
    int count = 0;

    FILE *table = fopen("/proc/swaps", "re");
    while (table && getline(&line, &room, table) > 0) {
        if (*line != '/' || sscanf(line, "%4095s", place) != 1)
            continue;
        unescape(place);
        check_place(d, place);
        count++;
    }
    if (table && !count)
        doctor_say(d, "swap", FINDING_OK, "%s", _("there is no swap"));
    free(line);
    if (table)
        fclose(table);
}
