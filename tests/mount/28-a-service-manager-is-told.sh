#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What a service manager and the user see of a vault that starts, ends, dies and is started
# again; locking all vaults at once; umount(8).
. "$(dirname "$0")/lib.sh"

make_vault
# The programs that the daemon runs note what they were given.
for program in passphrase event; do
    printf '#!/bin/bash\nenv >>"%s/env.%s"\n' "$TMP" $program >"$TMP/$program"
done
echo "cat '$PASS'" >>"$TMP/passphrase"
echo "echo \"\$1: \$3\" >>'$TMP/events'" >>"$TMP/event"
chmod +x "$TMP/passphrase" "$TMP/event"

serve() { # serve SOCKET [mount option...]
    local socket=$1
    shift
    : >"$TMP/heard"
    env XDG_RUNTIME_DIR="$TMP" "$TOOLS/hear" "$socket" "$ECLUSE" mount --foreground --extpass "$TMP/passphrase" \
        --state "$STATE" -o "notify=$TMP/event" "$@" "$STORE" "$MNT" >"$TMP/heard" 2>"$TMP/log" &
    served=$!
    until_true heard 'READY=1'
    mountpoint -q "$MNT" || fail "READY=1 before there is a mount"
}
heard() { grep -qxF -- "$1" "$TMP/heard"; }
before() { # before FIRST SECOND : the order in which they were heard
    [ "$(grep -nxF -m 1 -- "$1" "$TMP/heard" | cut -d: -f1)" -lt "$(grep -nxF -m 1 -- "$2" "$TMP/heard" | cut -d: -f1)" ]
}
# Root is served in /run; what XDG_RUNTIME_DIR says holds for users.
umount_here() { env XDG_RUNTIME_DIR="$TMP" "$ECLUSE" umount --state "$STATE" "$@"; }

for socket in "$TMP/notify" "@$TMP/abstract"; do
    serve "$socket"
    heard 'STATUS=Mounted' || fail "no status: $(cat "$TMP/heard")"
    head -c 3000000 /dev/urandom >"$MNT/blob"
    umount_here "$MNT"
    wait $served || fail "the service ended with $?: $(cat "$TMP/log")"
    before 'READY=1' 'STOPPING=1' || fail "no STOPPING=1 after READY=1"
    grep -qE '^STATUS=Publishing: [0-9]+ changes, [0-9]+ KiB of content left$' "$TMP/heard" || fail "no word of the publication"
    heard 'EXTEND_TIMEOUT_USEC=30000000' || fail "the time was not extended"
    same "nothing left to say" 'STATUS=' "$(tail -n 1 "$TMP/heard")"
    grep -q blob "$TMP/heard" && fail "a name was told"
done
serve "$TMP/notify2" -o ro
heard 'STATUS=Mounted read-only' || fail "read-only is not told"
umount_here "$MNT"
wait $served

# SIGTERM, as a service manager stops it, also while a file is open.
serve "$TMP/notify3"
exec 7>"$MNT/open"
echo unfinished >&7
kill -TERM "$(pgrep -P $served)"
wait $served || fail "stopped by SIGTERM: exit $?"
exec 7>&- || true
mountpoint -q "$MNT" && fail "stopped, and still mounted"

# A daemon that dies: its mount answers with errors until the next one is there, also when that one fails.
serve "$TMP/notify4"
same "what was written to an open file is there" unfinished "$(cat "$MNT/open")"
kill -9 "$(pgrep -P $served)"
expect_exit 137 wait $served
dead() { ! ls "$MNT" >/dev/null 2>"$TMP/said" && grep -q 'not connected' "$TMP/said"; }
until_true dead
new_passphrase "$TMP/wrong"
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
dead || fail "a mount that failed left an empty folder: $(cat "$TMP/said")"
mv "$STORE" "$STORE.away"
expect_exit 2 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
mv "$STORE.away" "$STORE"
dead || fail "a mount without a store left an empty folder"
rm -f "$TMP/events"
serve "$TMP/notify5"
grep -q 'ECL-0504' "$TMP/log" || fail "the death was not logged"
until_true grep -q '^died: .*unexpectedly' "$TMP/events"
same "everything is there" unfinished "$(cat "$MNT/open")"
umount_here "$MNT"
wait $served
cat "$TMP"/env.* | grep NOTIFY_SOCKET && fail "a program could speak for the daemon"

# All vaults at once; one in use stays, and is named.
second=$TMP/second
mkdir "$TMP/mnt2"
"$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet2" --state "$STATE" "$second" >/dev/null
"$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$second" "$TMP/mnt2"
mount_vault
expect_exit 1 "$ECLUSE" umount --all "$MNT"
expect_exit 1 "$ECLUSE" umount --state "$STATE"
(
    cd "$TMP/mnt2"
    expect_exit 6 "$ECLUSE" umount --all --state "$STATE"
)
grep -q "$TMP/mnt2: files are still open" "$TMP/said" || fail "not said: $(cat "$TMP/said")"
mountpoint -q "$TMP/mnt2" || fail "a vault in use was unmounted"
mountpoint -q "$MNT" && fail "the other one is still there"
"$ECLUSE" umount --all --state "$STATE"
mountpoint -q "$TMP/mnt2" && fail "--all left one"
expect_exit 0 "$ECLUSE" umount --all --state "$STATE"

as_root || exit 0
# Programs that write all the time while daemons die and are started again. fusermount3 wants a folder that
# can be written: what falls in at that very moment is told, and refused at the next mount, never covered up.
open_the_way
theirs=$USER_HOME/theirs
install -d -o 65534 -g 65534 -m 755 "$USER_HOME" "$theirs"
install -o 65534 -g 65534 -m 600 "$PASS" "$USER_HOME/pass"
printf '#!/bin/bash\necho "$1" >>"%s/events"\n' "$USER_HOME" >"$USER_HOME/event"
chmod 755 "$USER_HOME/event"
as_user "$ECLUSE" init --passfile "$USER_HOME/pass" --recovery-out "$USER_HOME/sheet" "$USER_HOME/store" >/dev/null
mount_theirs() { as_user "$ECLUSE" mount --passfile "$USER_HOME/pass" -o "notify=$USER_HOME/event" "$USER_HOME/store" "$theirs"; }
mount_theirs
# shellcheck disable=SC2016
as_user bash -c 'while [ ! -e "$1/end" ]; do echo plaintext >"$2/file$((n++ % 50))"; done' - "$USER_HOME" "$theirs" 2>/dev/null &
writer=$!
for _ in 1 2 3 4; do
    pid=$(as_user "$ECLUSE" status --json "$theirs" | grep -oP '"pid": \K[0-9]+')
    kill -9 "$pid"
    until_true gone "$pid"
    mount_theirs 2>"$TMP/said" && continue
    grep -q 'not empty' "$TMP/said" || fail "not mounted again: $(cat "$TMP/said")"
    until_true grep -qx beside "$USER_HOME/events"
    if (as_user touch "$theirs/more") 2>/dev/null; then fail "the folder below can be written"; fi
    rm "$theirs"/file*
    mount_theirs
done
touch "$USER_HOME/end"
wait $writer
same "what was written" plaintext "$(as_user cat "$theirs/file1")"
grep -qx died "$USER_HOME/events" || fail "no word of a daemon that died"
as_user "$ECLUSE" umount "$theirs"
[ -z "$(ls -A "$theirs")" ] || until_true grep -qx beside "$USER_HOME/events"

# umount(8), through its helper, waits for the publication; lazily it does not.
ln -s "$(realpath "$ECLUSE")" "$TMP/mount.fuse.ecluse"
ln -s "$(realpath "$ECLUSE")" "$TMP/umount.fuse.ecluse"
cat >"$TMP/in-namespace" <<END
set -e
mount -t tmpfs none "$TMP/upper" && mkdir "$TMP/upper/u" "$TMP/upper/w"
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$TMP/upper/u,workdir=$TMP/upper/w" none /usr/sbin
trap 'umount -l /usr/sbin' EXIT
cp -P "$TMP/mount.fuse.ecluse" "$TMP/umount.fuse.ecluse" /usr/sbin/
printf '%s %s fuse.ecluse passfile=%s,state=%s,noauto,nofail,_netdev,user,x-systemd.automount 0 0\n' "$STORE" "$MNT" "$PASS" "$STATE" >"$TMP/fstab"
printf '%s %s fuse.ecluse passfile=%s,state=%s,nofail 0 0\n' "$TMP/nowhere" "$TMP/mnt2" "$PASS" "$STATE" >>"$TMP/fstab"
mount -a -T "$TMP/fstab"                # noauto, and a store that is not there
mountpoint -q "$MNT" && exit 1
mount -T "$TMP/fstab" "$MNT"
head -c 3000000 /dev/urandom >"$MNT/last"
sum=\$(sha256sum <"$MNT/last")
(cd "$MNT" && ! umount "$MNT" 2>"$TMP/said")
grep -q 'still open' "$TMP/said"
umount "$MNT"
! grep -lsaF "$STATE" /proc/[0-9]*/cmdline | xargs -r grep -lzqx mount
mount -T "$TMP/fstab" "$MNT"
[ "\$(sha256sum <"$MNT/last")" = "\$sum" ]
(cd "$MNT" && umount -l "$MNT")
! mountpoint -q "$MNT"
END
mkdir "$TMP/upper"
mountpoint -q / && private=() || private=(--propagation unchanged)
expect "umount(8) waits" unshare -m "${private[@]}" bash -x "$TMP/in-namespace"
until_true no_daemon
