/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * ecluse: which command?
 *
 * Called as mount.ecluse or mount.fuse.ecluse, it is the helper of mount(8), as
 * umount.ecluse or umount.fuse.ecluse that of umount(8); with two plain arguments
 * and no command, it mounts the one on the other.
 */
#include "policy.h"
#include <ecluse/audit.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct command { const char *name; int (*run)(int argc, char **argv); } commands[] = {
    { "init", command_init },       { "mount", command_mount },   { "umount", command_umount },
    { "unmount", command_umount },  { "status", command_status }, { "flush", command_flush },
    { "passwd", command_passwd },   { "key", command_key },       { "recover", command_recover },
    { "accept", command_accept },   { "check", command_check },   { "manifest", command_manifest },
    { "salvage", command_salvage }, { "import", command_import }, { "export", command_export },
    { "audit", command_audit },     { "gc", command_gc },         { "doctor", command_doctor },
    { "policy", command_policy },   { "report", command_report }, { "askpass", command_askpass },
    { "version", command_version }, { "help", command_help },
};

static const struct command *find_command(const char *name)
{
    for (size_t k = 0; k < ARRAY_SIZE(commands); k++)
        if (strcmp(name, commands[k].name) == 0)
            return &commands[k];
    return NULL;
}

static const struct command helpers[] = {
    { "mount.ecluse", command_mount_helper },   { "mount.fuse.ecluse", command_mount_helper },
    { "umount.ecluse", command_umount_helper }, { "umount.fuse.ecluse", command_umount_helper },
};

static const struct command *find_helper(const char *program)
{
    const char *slash = strrchr(program, '/');

    for (size_t k = 0; k < ARRAY_SIZE(helpers); k++)
        if (strcmp(slash ? slash + 1 : program, helpers[k].name) == 0)
            return &helpers[k];
    return NULL;
}

static bool wants_help(int argc, char **argv)
{
    for (int k = 1; k < argc && strcmp(argv[k], "--"); k++)
        if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0)
            return true;
    return false;
}

static int dispatch(int argc, char **argv)
{
    static char help[] = "help", version[] = "version", mount[] = "mount";
    const char *word = argc > 1 ? argv[1] : help;

    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        argv[1] = version;
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        argv[1] = help;
    const struct command *c = argc > 1 ? find_command(argv[1]) : find_command(help);
    if (c && c->run != command_help && wants_help(argc - 1, argv + 1))
        return help_for(c->run == command_umount ? "umount" : c->name);
    audit_command(c ? c->name : mount);
    if (c)
        return argc > 1 ? c->run(argc - 1, argv + 1) : (command_help(1, argv), EXIT_USAGE);
    if (argc < 3)
        return usage_error("", _("there is no command “%s”"), argv[1]);
    argv[0] = mount;
    return command_mount(argc, argv);
}

/* Files must never land where messages or a passphrase are expected. */
static void have_standard_files(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* Also what a full disk refused a while ago. */
static bool said_all(void)
{
    bool before = !ferror(stdout);

    errno = 0;
    return !fflush(stdout) && before;
}

int main(int argc, char **argv)
{
    struct rlimit none = { 0, 0 };

    have_standard_files();
    message_start();
    if (policy_language(message_is_french()))
        message_language(policy_language(message_is_french()));
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    opterr = 0;
    int rc = crypto_start();
    if (rc)
        return complain(rc, NULL);
    audit_command("mount");
    const struct command *helper = argc > 0 ? find_helper(argv[0]) : NULL;
    rc = helper ? helper->run(argc, argv) : dispatch(argc, argv);
    return said_all() || rc ? rc : complain(errno ? -errno : -EIO, NULL);
}
