#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# umount(8), as root, unmounts by itself and asks the daemon afterwards.  However quickly that one
# ends, what it could not publish is told.
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root"
need strace

mkdir "$STORE"
mount -t tmpfs -o size=3m none "$STORE"
make_vault
mount_vault
daemon=$(daemon_pid)
ln -s "$ECLUSE" "$TMP/umount.ecluse"
dd if=/dev/zero of="$STORE/fill" bs=4k 2>/dev/null || true
head -c 4096 /dev/urandom >"$MNT/late"
# The system call returns when the daemon has had all the time to be over.
expect_exit 9 strace -f -o "$TMP/trace" -e trace=umount2 -e inject=umount2:delay_exit=3000000 "$TMP/umount.ecluse" "$MNT"
grep -q 'What could not be published stays on this' "$TMP/said" || fail "$(cat "$TMP/said")"
gone "$daemon" || fail "the daemon had not ended yet"
rm "$STORE/fill"
mount_vault
same "nothing is lost" 4096 "$(stat -c %s "$MNT/late")"
"$TMP/umount.ecluse" "$MNT"
umount "$STORE"
