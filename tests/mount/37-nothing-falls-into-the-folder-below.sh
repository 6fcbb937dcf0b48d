#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The folder below a vault while daemons die and others take their place, under programs that never stop
# writing; and umount(8), which waits through its helper.
. "$(dirname "$0")/lib.sh"
as_root || skip "needs root to become another user, and for mount(8)"

open_the_way
make_vault
# What root mounts is never there for others to write to, not for a moment.
chmod 777 "$MNT"
mount_vault -o allow_other
as_user bash -c 'while [ ! -e "$1/end" ]; do (: >"$2/plain$((n++ % 50))") 2>/dev/null; done; true' - "$TMP" "$MNT" &
writer=$!
for _ in 1 2 3; do
    kill_daemon
    mount_vault -o allow_other
done
kill_daemon
touch "$TMP/end"
wait $writer
umount -l "$MNT"
expect "the writer could reach the folder" as_user ls "$MNT"
same "what fell into the folder below" "" "$(ls -A "$MNT")"
mkdir "$TMP/mnt2"

# Programs that write all the time while daemons die and are started again. fusermount3 wants a folder that
# can be written: what falls in at that very moment is told, and refused at the next mount, never covered up.
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
for _ in 1 2 3; do
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
as_user touch "$theirs/last"
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

# As pam_mount calls it, through mount.fuse, with the passphrase on standard input.
PATH=$(dirname "$ECLUSE"):$PATH mount.fuse3 "ecluse#$STORE" "$MNT" -o "nodev,nosuid,passfile=-,state=$STATE" <"$PASS"
[ -e "$MNT/last" ] || fail "pam_mount's way does not show the vault"
umount_vault
