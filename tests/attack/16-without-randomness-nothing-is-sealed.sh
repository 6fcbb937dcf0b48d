#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 16: the random generator fails, at the start and at any later moment: the process
# ends before it seals anything with what it did not get; what was acknowledged stays.
. "$(dirname "$0")/lib.sh"

case $ECLUSE in */faults/*) ;; *) skip "needs a build with FAULTS=1" ;; esac

ECLUSE_FAULT_RANDOM=fail expect_exit 13 "$ECLUSE" init --recovery-out "$SHEET" --state "$STATE" --keyfile /dev/null "$STORE"
says 'random generator failed'
[ ! -e "$STORE" ] && [ ! -e "$STATE" ] && [ ! -e "$SHEET" ] || fail "something was made without randomness"

export ECLUSE_NONCE_LOG=$TMP/nonces
make_attacked
opens "a new vault"
fill
close_vault
keep good
ECLUSE_FAULT_RANDOM=fail refused 13 "no randomness at the mount"
says 'random generator failed'

ends=0
for k in 1 2 3 5 8 13 $((RANDOM % 30)) $((RANDOM % 60)) $((RANDOM % 100)); do
    mkdir -p "$MNT"
    : >"$TMP/acknowledged"
    # The draw that fails is counted from the start, some in the mount itself.
    if ECLUSE_FAULT_RANDOM=fail=$((k + 1)) open_vault; then
        pid=$(daemon_pid)
        for n in $(seq 40); do
            echo "$n" >"$MNT/more-$n" 2>/dev/null && sync "$MNT/more-$n" 2>/dev/null || break
            echo "$n" >>"$TMP/acknowledged"
        done
        timeout 20 "$ECLUSE" flush --state "$STATE" "$MNT" 2>/dev/null || true
        "$ECLUSE" umount --state "$STATE" "$MNT" >/dev/null 2>&1 || true
        umount -l "$MNT" 2>/dev/null || true
        until_true gone "$pid"
    else
        says 'ECL-0710|random generator failed'
        ends=$((ends + 1))
    fi
    umount -l "$MNT" 2>/dev/null || true
    until_true no_daemon
    opens "after the generator failed at $k"
    while read -r n; do same "what was acknowledged before draw $k" "$n" "$(cat "$MNT/more-$n")"; done <"$TMP/acknowledged"
    rm -f "$MNT"/more-*
    agrees "after the generator failed at $k"
    same "all is there" 0 "$eio"
    close_vault
done
"$TOOLS/nonces" "$TMP/nonces" >"$TMP/said" || fail "$(cat "$TMP/said")"
echo "$ends mounts ended at once"
