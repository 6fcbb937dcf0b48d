#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The commands, where a passphrase may come from, mount(8) and fstab, idleness.
. "$(dirname "$0")/lib.sh"

make_vault
same "the sheet is for its owner alone" 600 "$(stat -c %a "$SHEET")"
mount_vault
echo one >"$MNT/f"
"$ECLUSE" status --json --state "$STATE" "$MNT" >"$TMP/json"
same "status is JSON" 1 "$(sqlite3 :memory: "SELECT json_valid(readfile('$TMP/json'))")"
for key in vault mountpoint store pid mounted since dirty_bytes unpublished published_at objects object_bytes missing foreign refused; do
    grep -q "\"$key\"" "$TMP/json" || fail "status --json has no $key"
done
touch "$STORE/segments/conflicted copy"
"$ECLUSE" flush --state "$STATE" "$MNT"
same "a flush leaves nothing unpublished" 0 "$(status_field unpublished)"
umount_vault
rm "$STORE/segments/conflicted copy"
"$ECLUSE" version | grep -q '[0-9]\.[0-9]' || fail "version says none"
LC_ALL=fr_CA.UTF-8 "$ECLUSE" help | grep -q 'coffre' || fail "help speaks no French"
LC_ALL=C.UTF-8 "$ECLUSE" help | grep -q 'vault' || fail "help speaks no English"

# Sources of the passphrase.
"$ECLUSE" mount --passfile - --state "$STATE" "$STORE" "$MNT" <"$PASS" && umount_vault
"$ECLUSE" mount -o "extpass=cat $PASS,state=$STATE" "$STORE" "$MNT" && umount_vault
mkdir -m 700 "$TMP/credentials" && install -m 400 "$PASS" "$TMP/credentials/ecluse.passphrase"
CREDENTIALS_DIRECTORY=$TMP/credentials "$ECLUSE" "$STORE" "$MNT" -o "state=$STATE" </dev/null && umount_vault
head -c 64 /dev/urandom >"$TMP/key" && chmod 600 "$TMP/key"
"$ECLUSE" passwd --passfile "$PASS" --new-passfile "$PASS" --add-keyfile "$TMP/key" --state "$STATE" "$STORE" >/dev/null
"$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT" && umount_vault
new_passphrase "$TMP/new"
"$ECLUSE" passwd --recovery-file "$SHEET" --new-passfile "$TMP/new" --state "$STATE" "$STORE" >/dev/null
expect_exit 4 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
mv "$TMP/new" "$PASS"
"$TOOLS/terminal" "$(cat "$PASS")" -- "$ECLUSE" mount --state "$STATE" "$STORE" "$MNT" >"$TMP/said" || fail "terminal: $(cat "$TMP/said")"
same "all is there" one "$(cat "$MNT/f")"
umount_vault

# umount(8) alone publishes as well; the daemon is gone soon after.
mount_vault
echo two >"$MNT/g"
umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT"
until_true no_daemon
mount_vault -o ro
same "umount(8) lost nothing" two "$(cat "$MNT/g")"
umount_vault

mount_vault -o idle=1s
until_true no_daemon
mountpoint -q "$MNT" && fail "idle, and still mounted"

if as_root; then
    # The installation, mount(8), and a line of fstab, in a mount namespace of our own.
    make -s -C "$ROOT" install DESTDIR="$TMP/root" PREFIX=/usr >/dev/null
    for man in man1/ecluse.1 man8/mount.ecluse.8 fr/man1/ecluse.1 fr/man8/mount.ecluse.8; do
        [ -f "$TMP/root/usr/share/man/$man" ] || fail "no $man was installed"
    done
    [ -f "$TMP/root/usr/share/locale/fr/LC_MESSAGES/ecluse.mo" ] || fail "no French was installed"
    cp -L "$ECLUSE" "$TMP/helper"
    cat >"$TMP/in-namespace" <<END
set -e
trap 'umount -l /usr/sbin' EXIT
mkdir "$TMP/upper" "$TMP/work"
mount -t tmpfs none "$TMP/upper" && mkdir "$TMP/upper/u" "$TMP/upper/w"
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$TMP/upper/u,workdir=$TMP/upper/w" none /usr/sbin
install -m 755 "$TMP/helper" /usr/sbin/mount.fuse.ecluse
mount -t fuse.ecluse "$STORE" "$MNT" -o "passfile=$PASS,state=$STATE"
grep -q one "$MNT/f"
umount "$MNT"
printf '%s %s fuse.ecluse passfile=%s,state=%s,noauto,nofail,_netdev,x-systemd.automount 0 0\n' "$STORE" "$MNT" "$PASS" "$STATE" >"$TMP/fstab"
until mount -T "$TMP/fstab" "$MNT" 2>"$TMP/said"; do grep -q 'already mounted\|déjà' "$TMP/said" || { cat "$TMP/said"; exit 1; }; done
grep -q two "$MNT/g"
"$ECLUSE" umount --state "$STATE" "$MNT"
END
    # A root that is no mount of its own (chroot) cannot be made private.
    mountpoint -q / && private=() || private=(--propagation unchanged)
    expect "mount(8) and fstab" unshare -m "${private[@]}" bash "$TMP/in-namespace"
fi
