/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * What `ecluse doctor` finds out about the machine: FUSE and who may use it, locked
 * memory, the clock, versions.
 */
#include "doctor.h"
#include <ecluse/session.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BUILT 1763164800     /* 2025-11-15: no clock that is right shows less */
#define LOCKED (256u << 10)  /* bytes that keys take with room to spare */

/* --- FUSE ---------------------------------------------------------------------------- */

static void check_device(struct doctor *d)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        doctor_say(d, "fuse", FINDING_OK, "%s", _("FUSE is available"));
    else if (errno == EACCES || errno == EPERM)
        doctor_say(d, "fuse", FINDING_PROBLEM, "%s",
                   _("/dev/fuse is closed to this user: have an administrator give you access to it (its group, or "
                     "chmod 666 /dev/fuse)"));
    else
        doctor_say(d, "fuse", FINDING_PROBLEM, _("FUSE is not available (/dev/fuse: %s): load it with “modprobe fuse”, "
                                                 "or, in a container, have the device passed to it"), strerror(errno));
    if (fd >= 0)
        close(fd);
}

static const char *find_helper(struct stat *st)
{
    static const char *const places[] = { "/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3" };

    for (size_t k = 0; k < ARRAY_SIZE(places); k++)
        if (stat(places[k], st) == 0)
            return places[k];
    return NULL;
}

/* Root does without it. */
static void check_helper(struct doctor *d)
{
    struct stat st;
    const char *helper = find_helper(&st);

    if (!helper)
        doctor_say(d, "fusermount3", geteuid() ? FINDING_PROBLEM : FINDING_NOTE, "%s",
                   _("fusermount3 is missing: users cannot mount without it; install the package fuse3"));
    else if (st.st_uid || !(st.st_mode & S_ISUID) || access(helper, X_OK))
        doctor_say(d, "fusermount3", geteuid() ? FINDING_PROBLEM : FINDING_NOTE,
                   _("%s is not setuid root, or you may not run it: users cannot mount; install the package fuse3 anew"),
                   helper);
    else if (access("/etc/mtab", R_OK))
        doctor_say(d, "fusermount3", geteuid() ? FINDING_PROBLEM : FINDING_NOTE, "%s",
                   _("/etc/mtab is missing: fusermount3 cannot unmount; make it with “ln -s ../proc/self/mounts /etc/mtab”"));
    else
        doctor_say(d, "fusermount3", FINDING_OK, _("users may mount (%s)"), helper);
}

/* --- AppArmor ------------------------------------------------------------------------- */

static bool file_has(const char *path, const char *text)
{
    char line[512];
    bool found = false;

    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = line[strspn(line, " \t")] != '#' && strstr(line, text);
    if (f)
        fclose(f);
    return found;
}

/* From Ubuntu 24.10 on a profile says where fusermount3 may mount. */
static void check_apparmor(struct doctor *d)
{
    bool on = file_has("/sys/module/apparmor/parameters/enabled", "Y");
    bool limits = access("/etc/apparmor.d/fusermount3", F_OK) == 0 && access("/etc/apparmor.d/disable/fusermount3", F_OK);

    if (!on)
        doctor_say(d, "apparmor", FINDING_OK, "%s", _("AppArmor is not in use here"));
    else if (!limits)
        doctor_say(d, "apparmor", FINDING_OK, "%s", _("AppArmor does not limit where users may mount"));
    else if (file_has("/etc/apparmor.d/local/fusermount3", "abstractions/ecluse"))
        doctor_say(d, "apparmor", FINDING_OK, "%s",
                   _("AppArmor limits where users may mount, and knows of Écluse (/etc/apparmor.d/abstractions/ecluse)"));
    else
        doctor_say(d, "apparmor", FINDING_NOTE, "%s",
                   _("AppArmor lets users mount below their home directory, /mnt, /media and /tmp only; for other places, "
                     "add the line “include <abstractions/ecluse>” to /etc/apparmor.d/local/fusermount3, then run "
                     "“apparmor_parser -r /etc/apparmor.d/fusermount3”"));
}

/* --- memory, clock, versions ------------------------------------------------------------ */

static void check_memlock(struct doctor *d)
{
    struct rlimit r = { 0, 0 };
    char size[WORDS_MAX];

    getrlimit(RLIMIT_MEMLOCK, &r);
    void *p = mmap(NULL, LOCKED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool locked = p != MAP_FAILED && mlock(p, LOCKED) == 0;
    if (p != MAP_FAILED)
        munmap(p, LOCKED);
    if (locked)
        doctor_say(d, "memlock", FINDING_OK, "%s", _("keys can be locked in memory"));
    else
        doctor_say(d, "memlock", FINDING_NOTE,
                   _("only %s of memory may be locked: keys may reach the swap; raise “memlock” in "
                     "/etc/security/limits.conf, or LimitMEMLOCK= in the unit"), words_for_size(r.rlim_cur, size));
}

static void check_clock(struct doctor *d)
{
    struct timex t = { 0 };
    char now[WORDS_MAX];
    int64_t seconds = time(NULL);

    int state = adjtimex(&t);
    if (seconds < BUILT)
        doctor_say(d, "clock", FINDING_PROBLEM, _("the clock is wrong (%s): dates of publications would be, too; set it"),
                   words_for_time(seconds, now));
    else if (state == TIME_ERROR)
        doctor_say(d, "clock", FINDING_NOTE, _("the clock (%s) is not synchronized: check that it is right, or run "
                                               "“timedatectl set-ntp true”"), words_for_time(seconds, now));
    else
        doctor_say(d, "clock", FINDING_OK, _("the clock is synchronized (%s)"), words_for_time(seconds, now));
}

/* What the kernel offers decides how fast writing is, and whether all promises can be kept. */
static void check_versions(struct doctor *d)
{
    struct utsname u;
    unsigned major = 0, minor = 0;

    uname(&u);
    sscanf(u.release, "%u.%u", &major, &minor);
    bool old = major < 5 || (major == 5 && minor < 12);
    if (old)
        doctor_say(d, "kernel", FINDING_NOTE,
                   _("Linux %s, libfuse %s: writing is slower than with Linux 5.12 or later"), u.release,
                   session_library());
    else
        doctor_say(d, "kernel", FINDING_OK,
                   _("Linux %s, libfuse %s: gathered writes, cached listings, few requests for each write"), u.release,
                   session_library());
}

void doctor_system(struct doctor *d)
{
    check_device(d);
    check_helper(d);
    check_apparmor(d);
    check_memlock(d);
    check_clock(d);
    check_versions(d);
}
