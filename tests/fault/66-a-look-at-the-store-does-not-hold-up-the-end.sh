#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Looking over a large store that is slow takes minutes.  Who asks for the status shares the next
# look with the others, and the unmounting does not wait for one that is under way.
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root to trace the daemon"
need strace

make_vault
mount_vault
for n in $(seq 40); do echo "$n" >"$MNT/$n"; "$ECLUSE" flush --state "$STATE" "$MNT"; done
daemon=$(daemon_pid)
slow() { # slow SECONDS : so long for each object whose size is asked
    strace -f -p "$daemon" -o "$TMP/trace" -e trace=newfstatat -e inject=newfstatat:delay_enter="$1" 2>"$TMP/strace" &
    tracer=$!
    attached() { grep -q attached "$TMP/strace"; }
    until_true attached
}
slow 100000            # microseconds: a look takes 4 s at least
began=$SECONDS
askers=()
for _ in $(seq 10); do "$ECLUSE" status --json --state "$STATE" "$MNT" >"$TMP/status" & askers+=($!); done
for asker in "${askers[@]}"; do wait "$asker" || fail "no status"; done
took=$((SECONDS - began))
[ "$took" -lt 30 ] || fail "ten at once took $took s"
kill "$tracer"; wait "$tracer" || true

slow 2000000
timeout 60 "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/status"
grep -q 'the store could not be looked over' "$TMP/status" || fail "the store was not slow: $(cat "$TMP/status")"
began=$SECONDS
"$ECLUSE" umount --state "$STATE" "$MNT"
[ $((SECONDS - began)) -lt 40 ] || fail "the unmounting took $((SECONDS - began)) s"
