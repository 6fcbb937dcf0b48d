#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Commands ask every daemon whom it serves.  One that was stopped, and whose socket has as
# many callers waiting as it takes, costs a command a few seconds, not minutes.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault
stuck=$(daemon_pid)
STORE=$TMP/store-2 MNT=$TMP/mnt-2 STATE=$TMP/state-2 PASS=$TMP/pass-2 SHEET=$TMP/recovery-2
make_vault
mount_vault
kill -STOP "$stuck"
callers=()
for _ in $(seq 20); do
    timeout 60 "$ECLUSE" flush --state "$TMP/state" "$TMP/mnt" >/dev/null 2>&1 &
    callers+=($!)
done
# Each gives up after some seconds, and remains in the queue.
wait "${callers[@]}" || true
began=$SECONDS
expect "the other vault is flushed" timeout 30 "$ECLUSE" flush --state "$STATE" "$MNT"
[ $((SECONDS - began)) -lt 15 ] || fail "it took $((SECONDS - began)) s"
kill -CONT "$stuck"
released() { "$ECLUSE" umount --state "$TMP/state" "$TMP/mnt" 2>/dev/null; }
until_true released     # it has the callers of before to answer first
umount_vault
