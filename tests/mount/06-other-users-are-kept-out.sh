#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Without allow_other nobody else enters, not even root; with it the permissions of
# the files decide.  Nothing in a vault is suid or a device for whoever gets in.
. "$(dirname "$0")/lib.sh"
as_root || skip "needs root to become several users"

open_the_way
other() { setpriv --reuid=65533 --regid=65533 --clear-groups --inh-caps=-all "$@"; }
refused() { # refused SENTENCE COMMAND...
    local sentence=$1
    shift
    if "$@" >"$TMP/said" 2>&1; then fail "$sentence"; fi
}

# A user's vault.
install -d -o 65534 -g 65534 -m 755 "$USER_HOME" "$USER_HOME/mnt"
(umask 077 && echo phrase >"$USER_HOME/pass" && chown 65534:65534 "$USER_HOME/pass")
as_user "$ECLUSE" init --passfile "$USER_HOME/pass" --recovery-out "$USER_HOME/sheet" "$USER_HOME/store" >/dev/null
as_user "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"
# shellcheck disable=SC2016
as_user sh -c 'echo private >"$HOME/mnt/file"; chmod 666 "$HOME/mnt/file"; chmod 777 "$HOME/mnt"'
same "what its user reads" private "$(as_user cat "$USER_HOME/mnt/file")"
refused "another user listed the mount" other ls "$USER_HOME/mnt"
refused "another user read a file" other cat "$USER_HOME/mnt/file"
refused "root read a file" cat "$USER_HOME/mnt/file"
refused "root listed the mount" ls "$USER_HOME/mnt"
refused "another user unmounted it" other fusermount3 -u "$USER_HOME/mnt"
state=$(find "$USER_HOME/.local/state/ecluse" -mindepth 1 -maxdepth 1 -type d)
same "the rights on the state" 700 "$(stat -c %a "$state")"
refused "another user looked into the state" other ls "$state"
as_user "$ECLUSE" umount "$USER_HOME/mnt"
expect_exit 10 as_user "$ECLUSE" mount -o allow_other --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"

# Root's, without and with allow_other.
make_vault
chmod 755 "$STATE"
mount_vault -o owners
echo readable >"$MNT/readable"
echo secret >"$MNT/secret"
chmod 644 "$MNT/readable"
chmod 600 "$MNT/secret"
refused "another user entered without allow_other" other cat "$MNT/readable"
remount -o owners,allow_other
same "what others may read" readable "$(other cat "$MNT/readable")"
refused "another user read what is root's alone" other cat "$MNT/secret"
refused "another user wrote where only root may" other touch "$MNT/new"
cp /bin/true "$MNT/suid"
chmod 6755 "$MNT/suid"
same "suid is kept" 6755 "$(stat -c %a "$MNT/suid")"
awk -v m="$MNT" '$5 == m { print $6 }' /proc/self/mountinfo >"$TMP/said"
expect "the mount is nosuid" grep -qw nosuid "$TMP/said"

# Without owners everything belongs to whoever mounted, and stays so.
remount -o allow_other
same "the owner without -o owners" "0:0" "$(stat -c %u:%g "$MNT/readable")"
refused "a file was given away without -o owners" chown 65534 "$MNT/readable"
awk -v m="$MNT" '$5 == m { print $6 }' /proc/self/mountinfo >"$TMP/said"
expect "the mount is nodev" grep -qw nodev "$TMP/said"

# The control socket is for its user alone.
socket=$(find /run/ecluse -name '*.sock' | head -n 1)
expect "there is a control socket" test -S "$socket"
same "the rights on its folder" 700 "$(stat -c %a /run/ecluse)"
expect_exit 12 other "$ECLUSE" status "$MNT"
expect_exit 12 other "$ECLUSE" flush "$MNT"
