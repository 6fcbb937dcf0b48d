#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The index refuses every commit for lack of space; the journal, which is preallocated,
# goes on.  What fsync acknowledges by the journal after such a commit must be complete
# in it, the segments that the refused commit would have named included.
. "$(dirname "$0")/../mount/lib.sh"

make_vault
mount_vault
echo old >"$MNT/old"
umount_vault
ECLUSE_FAULT=batch_write:ENOSPC:* mount_vault
echo new >"$MNT/new"
exec 3<"$MNT/new"                     # its last reference brings no request
until_refused() { ! mkdir "$MNT/refused" 2>/dev/null || ! rmdir "$MNT/refused"; }
until_true until_refused              # the commit thread has met the full disk
same "df" 0 "$(df --output=avail "$MNT" | tail -n 1 | tr -d ' ')"
rm "$MNT/old"
sync "$MNT" || fail "a deletion is not acknowledged although the journal has room"
kill_daemon
exec 3<&-
mount_vault
[ ! -e "$MNT/old" ] || fail "an acknowledged deletion is lost"
same "the other file" new "$(cat "$MNT/new")"
umount_vault

# Where overwriting takes space the journal may have none: the index takes the rows.
ECLUSE_FAULT=journal_append:short:* mount_vault
echo third >"$MNT/third"
sync "$MNT/third" "$MNT" || fail "a journal without space ends everything"
same "latched" "" "$(status_field latched)"
kill_daemon
mount_vault
same "the third file" third "$(cat "$MNT/third")"
umount_vault
