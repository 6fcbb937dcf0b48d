/* SPDX-License-Identifier: LiLiQ-Rplus-1.1 */
/*
 * How each command is used: the short form of ecluse(1).
 */
#include "internal.h"
#include <stdio.h>

static const struct topic { const char *name, *text; } topics[] = {
    { "init", N_(
      "ecluse init [--passfile F | --extpass COMMAND] [--keyfile F] [--recovery-out F]\n"
      "            [--confirm[=COMMAND]] [--suite S] [--state DIR] STORE\n"
      "\n"
      "Makes a new vault whose ciphertext goes to STORE, a missing or empty folder.\n"
      "\n"
      "  --passfile F      the passphrase is in the file F (“-”: standard input)\n"
      "  --extpass COMMAND the passphrase is what COMMAND prints; no shell is involved\n"
      "  --keyfile F       the content of F opens the vault too (alone: instead of a passphrase)\n"
      "  --recovery-out F  writes the recovery sheet to the new file F, not to the terminal;\n"
      "                    a page to print, with a QR code, when F ends in .html\n"
      "  --confirm         asks for one group of the recovery key, and else makes nothing\n"
      "  --confirm=COMMAND the group is what COMMAND, given its number, prints\n"
      "  --suite S         aes-256-gcm or chacha20-poly1305 (default: the faster one here)\n"
      "  --state DIR       keeps the local state below DIR\n") },
    { "mount", N_(
      "ecluse mount [--passfile F | --extpass COMMAND | --keyfile F] [--state DIR]\n"
      "             [--rebuild[=partial] [--recovery-file F]] [--foreground] [--verbose]\n"
      "             [-o OPTIONS] STORE MOUNTPOINT\n"
      "ecluse STORE MOUNTPOINT [-o OPTIONS]\n"
      "\n"
      "Returns when the folder is ready. OPTIONS, with commas between:\n"
      "\n"
      "  ro, rw            read-only, or not\n"
      "  passfile=F, extpass=COMMAND, keyfile=F, state=DIR   as the options above\n"
      "  grace=30          days that unreferenced objects stay in the store\n"
      "  idle=30m          unmounts after that time without use (s, m, h, d)\n"
      "  publish_every=10m  publishes at this fixed cadence only (1s to 1d)\n"
      "  strict            every write is ordered; slower\n"
      "  owners            keeps owners and groups (useful to root only)\n"
      "  allow_other, allow_root   other users, or root, may enter\n"
      "  noexec            no program in it may be run\n"
      "  fsname=NAME       what df(1) shows; default: the store\n"
      "  foreground        stays in the foreground\n"
      "  notify=PROGRAM    runs it when something happens (absolute path), or none\n"
      "  log=WHERE         system, journal or syslog; in the foreground also stderr or json\n"
      "  nofail            a missing store is not an error\n"
      "  rebuild, rebuild=partial   as --rebuild\n"
      "\n"
      "--rebuild makes a damaged local state anew from the store, keeps what can be read\n"
      "of what was not published, and keeps the old files. It does nothing to a state\n"
      "that is whole. “partial” accepts that publications are missing. --recovery-file F\n"
      "takes the recovery key from F, for a keyring that is damaged or missing.\n"
      "\n"
      "Words for mount(8) and systemd (auto, _netdev, user, x-…) are accepted. A\n"
      "comma in a value is written “\\,”.\n") },
    { "umount", N_(
      "ecluse umount [--state DIR] MOUNTPOINT | --all\n"
      "\n"
      "Unmounts, and returns when everything is in the store. Also clears a mount\n"
      "whose daemon died. A vault in use stays mounted.\n"
      "\n"
      "  --all             all mounted vaults\n") },
    { "status", N_(
      "ecluse status [--json] [--state DIR] [MOUNTPOINT]\n"
      "\n"
      "Shows what is mounted, what has not been published, and what is wrong.\n") },
    { "flush", N_(
      "ecluse flush [--state DIR] [MOUNTPOINT]\n"
      "\n"
      "Returns when everything written so far is in the store. Without MOUNTPOINT:\n"
      "all mounted vaults.\n") },
    { "gc", N_(
      "ecluse gc [--now] [--json] [--state DIR] MOUNTPOINT | STORE\n"
      "\n"
      "Takes out of the store of a mounted vault what nothing refers to any more and has\n"
      "waited for the grace (mount option grace), and compacts. This also happens by itself.\n"
      "\n"
      "  --now             does not wait for the grace, nor pause\n"
      "  --json            says in JSON what was freed\n") },
    { "passwd", N_(
      "ecluse passwd [--passfile F | --extpass COMMAND | --keyfile F | --recovery |\n"
      "              --recovery-file F] [--new-passfile F] [--add-keyfile F] [--slot N]\n"
      "              [--state DIR] STORE\n"
      "\n"
      "Changes the passphrase on this device. The vault must not be mounted.\n"
      "\n"
      "  --recovery        asks for the recovery key instead of the present passphrase\n"
      "  --recovery-file F takes it from the recovery sheet F\n"
      "  --new-passfile F  takes the new passphrase from the file F\n"
      "  --add-keyfile F   lets the content of F open the vault too\n"
      "  --slot N          which passphrase is replaced (default: the one that was given)\n") },
    { "key", N_(
      "ecluse key list [--json] [WAY] STORE\n"
      "ecluse key add [WAY] [NEW] [--label TEXT] STORE\n"
      "ecluse key remove --slot N [WAY] STORE\n"
      "ecluse key test [--slot N] [WAY] STORE\n"
      "ecluse key tune [--slot N] [--milliseconds N] [WAY] STORE\n"
      "\n"
      "The ways into a vault on this device: up to 8 slots. The store is never touched.\n"
      "Add, remove and tune want the vault unmounted.\n"
      "\n"
      "WAY opens the keyring: --passfile F, --extpass COMMAND, --keyfile F, --recovery or\n"
      "--recovery-file F; without one of them, the passphrase is asked for (list does not ask:\n"
      "it then shows what the file says). All take --state DIR.\n"
      "\n"
      "NEW is what opens the vault from now on; without one of them, a passphrase asked for twice:\n"
      "\n"
      "  --new-passfile F  a passphrase, from the file F\n"
      "  --new-extpass COMMAND   a passphrase that COMMAND prints\n"
      "  --store-with COMMAND    makes a random secret instead, which this COMMAND reads and\n"
      "                    keeps; that of --new-extpass must give it back\n"
      "  --new-keyfile F   the content of F; with --generate, F is made\n"
      "  --new-recovery    the recovery key again, asked for, if its slot was removed\n"
      "  --new-recovery-file F   the same, from the recovery sheet F\n"
      "  --systemd F       makes a random secret and encrypts it into F with systemd-creds(1)\n"
      "  --with-key KEY    for --systemd: host, tpm2, host+tpm2 or auto (default)\n"
      "\n"
      "  --label TEXT      a name for the slot, up to 64 bytes, readable without a key\n"
      "  --slot N          the slot in question, as list numbers it\n"
      "  --milliseconds N  what a try of the passphrase may take (default: 1000)\n"
      "  --json            the list for programs\n"
      "\n"
      "The last slot is not removed. Tune makes a passphrase dearer to guess, never cheaper.\n") },
    { "recover", N_(
      "ecluse recover [--recovery-file F] [--passfile F | --extpass COMMAND | --keyfile F]\n"
      "               [--partial] [--state DIR] STORE\n"
      "\n"
      "Makes this device's state of a vault from the store and the recovery key. A state\n"
      "that is there is not touched. Interrupted, the same command goes on where it stopped.\n"
      "\n"
      "  --recovery-file F takes the recovery key from the sheet F; else it is asked for\n"
      "  --passfile F …    the passphrase or key of this device, as for init\n"
      "  --partial         accepts that publications are missing, or may be\n") },
    { "check", N_(
      "ecluse check [--read-data] [--passfile F | --extpass COMMAND | --keyfile F |\n"
      "             --recovery | --recovery-file F | --no-key] [--manifest F]\n"
      "             [--json] [--state DIR] STORE\n"
      "\n"
      "Tells whether the store is whole and all of it the vault’s, and changes nothing.\n"
      "Verdicts: ok, foreign, not arrived yet, damaged, attack. Exit code 0 only when all\n"
      "is well.\n"
      "\n"
      "  --read-data       opens every block and compares every hash\n"
      "  --passfile F …    the passphrase or key of this device; unless the vault is mounted,\n"
      "                    the store is compared with the local state too\n"
      "  --recovery        asks for the recovery key; no local state is needed\n"
      "  --recovery-file F takes it from the recovery sheet F\n"
      "  --no-key          checks what can be checked without a key\n"
      "  --manifest F      compares with what “ecluse manifest” printed\n"
      "  --json            the findings for programs\n") },
    { "manifest", N_(
      "ecluse manifest [--output F] STORE\n"
      "\n"
      "Prints the SHA-256 of every object, for “sha256sum -c” and for “ecluse check\n"
      "--no-key --manifest”. Needs no key. Keep it where the store’s host cannot reach it.\n"
      "\n"
      "  --output F        writes it to the new file F, outside the store\n") },
    { "salvage", N_(
      "ecluse salvage [--passfile F | --extpass COMMAND | --keyfile F | --recovery |\n"
      "               --recovery-file F] [--json] [--state DIR] STORE FOLDER\n"
      "\n"
      "Gets the contents of files out of a store whose publications are lost, into a new\n"
      "or empty FOLDER, with their names where these are known. Where blocks are missing\n"
      "there are zeros, the name ends in “.incomplete”, and the report says so. When\n"
      "publications can be read, “ecluse recover” gives more.\n") },
    { "accept", N_(
      "ecluse accept --older | --other [--yes] [--passfile F | --extpass COMMAND | --keyfile F]\n"
      "              [--state DIR] STORE\n"
      "\n"
      "Says that a store that is refused is the right one. The vault must not be mounted.\n"
      "\n"
      "  --older           the store was restored on purpose, and lacks what was seen\n"
      "  --other           this vault was put where another one of this device was\n"
      "  --yes             does not ask\n"
      "\n"
      "Nothing is turned back: the folder keeps all its names. What this device has not\n"
      "published is published; files whose contents are gone are named, and give an error\n"
      "until their objects come back. The answer is noted in the log.\n") },
    { "askpass", N_(
      "ecluse askpass [--new] [--retry] [--with pinentry | zenity | terminal] [TEXT]\n"
      "ecluse askpass --probe\n"
      "\n"
      "Asks for a passphrase in a window (pinentry, else zenity), else on the terminal,\n"
      "and writes it to standard output: --extpass 'ecluse askpass'.\n"
      "\n"
      "  --new             for a new one: its strength is shown, and it is typed twice\n"
      "  --retry           says that the last one was wrong\n"
      "  --with MEANS      by this means only\n"
      "  --probe           asks nothing; exit code 0 when there can be a window\n") },
    { "report", N_(
      "ecluse report [--html FILE] [--json] [--state DIR] STORE\n"
      "\n"
      "What can be said of a vault to whoever answers for personal information: since when,\n"
      "what the store holds, the last checks, what third parties could and could not learn,\n"
      "key slots, the audit log, versions, and what all this does not prove. Needs no secret;\n"
      "the vault may be mounted. Exit code 8 when the audit log is not whole.\n"
      "\n"
      "  --html FILE       a page to keep and to print, in French and English, in a new file\n"
      "  --json            for programs; goes with --html\n"
      "  --state DIR       where the local state is\n") },
    { "audit", N_(
      "ecluse audit show [--since DATE] [--json] [--state DIR] STORE\n"
      "ecluse audit verify [--unlock | --passfile F | --extpass COMMAND | --keyfile F]\n"
      "                    [--state DIR] STORE\n"
      "\n"
      "Shows what this device has noted of a vault: who opened it and who failed to, what\n"
      "became of its keys, what was published, accepted or refused. “verify” tells whether\n"
      "anything was altered, removed or put in (exit code 0: no), and the head to note down.\n"
      "\n"
      "  --since DATE      only from then on: 2026-11-27 or 2026-11-27T16:20\n"
      "  --json            the records as they stand in the file, one JSON object a line\n"
      "  --unlock          asks for the passphrase, to tell whether the head is genuine\n"
      "  --passfile F …    the passphrase or key file for that\n") },
    { "doctor", N_(
      "ecluse doctor [--json] [--state DIR] [STORE]\n"
      "\n"
      "Tells whether a vault will work here, and what to do when not: FUSE, AppArmor,\n"
      "locked memory, swap, clock, space, sync clients. Changes nothing. Exit code 0\n"
      "when nothing is a problem, else 13.\n"
      "\n"
      "  --json            the findings for programs\n") },
    { "import", N_(
      "ecluse import [--remove-source [--yes]] [--dry-run] [--cross-mounts] [--json]\n"
      "              [--state DIR] SRC [MOUNTPOINT[/FOLDER]]\n"
      "\n"
      "Copies what is in the folder SRC into a mounted vault, publishes it, reads all of it\n"
      "back and compares. FOLDER is made when it is missing. Nothing is replaced: what is\n"
      "there already and the same counts as done, so the same command goes on after an\n"
      "interruption. Without MOUNTPOINT: the vault that is mounted, if it is the only one.\n"
      "\n"
      "  --remove-source   then removes from SRC what was read back and is the same; asks first\n"
      "  --yes             does not ask\n"
      "  --dry-run         tells what would be copied, and copies nothing\n"
      "  --cross-mounts    goes into what is mounted below SRC, too\n"
      "  --json            the report for programs\n"
      "\n"
      "Exit code 14 when something was left out: the report names it.\n") },
    { "export", N_(
      "ecluse export [--dry-run] [--cross-mounts] [--json] [--state DIR]\n"
      "              [MOUNTPOINT[/FOLDER]] DEST\n"
      "\n"
      "Copies what is in a mounted vault, or in a folder of it, into the folder DEST, in the\n"
      "clear. DEST is made when it is missing. Nothing is replaced, and the same command goes\n"
      "on after an interruption. Options and exit codes as for import.\n") },
    { "policy", N_(
      "ecluse policy check [--json] [-o OPTIONS] [STORE [MOUNTPOINT]]\n"
      "\n"
      "Explains the policy of this computer, /etc/ecluse/policy.conf, rule by rule, and tells\n"
      "whether it would let that store, mountpoint and these mount options through (exit code\n"
      "15: it would not, or the policy is not valid). See ecluse-policy.conf(5).\n"
      "\n"
      "  -o OPTIONS        mount options, with commas between\n"
      "  --json            the same for programs\n") },
    { "version", N_("ecluse version\n\nPrints the version.\n") },
    { "help", N_("ecluse help [COMMAND]\n\nExplains a command.\n") },
};

static void overview(void)
{
    printf("%s", _(
        "Écluse keeps a folder encrypted: you work in the mounted folder, and only\n"
        "ciphertext reaches the store that somebody else syncs or hosts.\n"
        "\n"
        "  ecluse init STORE                 makes a vault\n"
        "  ecluse mount STORE MOUNTPOINT     opens it\n"
        "  ecluse umount MOUNTPOINT          closes it, once everything is in the store\n"
        "  ecluse status [MOUNTPOINT]        what is mounted, unpublished, wrong\n"
        "  ecluse flush [MOUNTPOINT]         waits until everything is in the store\n"
        "  ecluse import SRC MOUNTPOINT      copies a folder in, and reads it back\n"
        "  ecluse export MOUNTPOINT DEST     copies it out, in the clear\n"
        "  ecluse gc MOUNTPOINT              frees what the store does not need any more\n"
        "  ecluse passwd STORE               changes the passphrase\n"
        "  ecluse key list STORE             the ways into a vault; also add, remove, test, tune\n"
        "  ecluse recover STORE              opens a vault on a device that does not know it\n"
        "  ecluse check STORE                is the store whole, and all of it the vault’s?\n"
        "  ecluse manifest STORE             the sums of all objects, for whoever has no key\n"
        "  ecluse salvage STORE FOLDER       contents of files when publications are lost\n"
        "  ecluse accept --older STORE       accepts a store that was restored from a backup\n"
        "  ecluse audit show STORE           who opened the vault, and what was done\n"
        "  ecluse report --html FILE STORE   a page on the vault, for a privacy officer\n"
        "  ecluse doctor [STORE]             will a vault work here?\n"
        "  ecluse policy check               what the policy of this computer allows\n"
        "  ecluse askpass                    asks for a passphrase in a window, for --extpass\n"
        "  ecluse version                    prints the version\n"
        "  ecluse help COMMAND               explains a command\n"
        "\n"
        "Exit codes: 0 done, 1 usage, 2 store, 3 mountpoint, 4 passphrase, 5 keyring,\n"
        "6 already mounted or in use, 7 older store, 8 integrity, 9 no space,\n"
        "10 not permitted, 11 local state, 12 not mounted, 13 system, 14 some left out,\n15 policy.\n"));
}

/* What has no more to be said of than the overview does. */
static bool needs_no_topic(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "version") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int help_for(const char *command)
{
    if (strcmp(command, "unmount") == 0)
        command = "umount";
    for (size_t k = 0; k < ARRAY_SIZE(topics); k++) {
        if (strcmp(command, topics[k].name) == 0) {
            printf("%s", _(topics[k].text));
            return EXIT_DONE;
        }
    }
    if (!needs_no_topic(command))
        return usage_error("", _("there is no command “%s”"), command);
    overview();
    return EXIT_DONE;
}

int command_help(int argc, char **argv)
{
    if (argc > 2)
        return usage_error(argv[0], _("one command is expected"));
    if (argc == 2)
        return help_for(argv[1]);
    overview();
    return EXIT_DONE;
}

int command_version(int argc, char **argv)
{
    if (argc > 1)
        return usage_error(argv[0], _("no argument is expected"));
    printf("ecluse %s\n", ECLUSE_VERSION);
    return EXIT_DONE;
}
