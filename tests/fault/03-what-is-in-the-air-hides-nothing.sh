#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# While one append to a segment is under way, another program's fsync succeeds: its bytes,
# further on in the same segment, survive a kill and the publication that follows.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

as_root || skip "needs root, to see where a thread waits"
make_vault
# The header of the segment is the first append, `first` the second, `slow` the third.
ECLUSE_FAULT=segment_append:delay=4000:3 mount_vault
pid=$(daemon_pid)
printf first >"$MNT/first"
sync "$MNT/first"
(printf slow >"$MNT/slow") &
slow=$!
in_the_air() { grep -qs hrtimer_nanosleep /proc/"$pid"/task/*/wchan; }
until_true in_the_air
head -c 30000 /dev/urandom >"$TMP/want"
dd if="$TMP/want" of="$MNT/quick" bs=30000 conv=fsync status=none
kill_daemon
wait "$slow" || true
mount_vault
expect "what was synced is there" cmp "$TMP/want" "$MNT/quick"
remount
expect "and is there after its publication" cmp "$TMP/want" "$MNT/quick"
umount_vault
