#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Looking over a large store that is slow takes minutes.  Who asks for the status shares the next
# look with the others, and the unmounting does not wait for one that is under way.
# Needs a build with FAULTS=1.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

OBJECTS=40
make_vault
mount_vault
for n in $(seq $OBJECTS); do echo "$n" >"$MNT/$n"; "$ECLUSE" flush --state "$STATE" "$MNT"; done
umount_vault
[ "$(find "$STORE" -mindepth 2 -type f | wc -l)" -ge $OBJECTS ] || fail "a look would not take long"

mount_slow() { # mount_slow MILLISECONDS [WHEN] : so long for each look at an object, once it is mounted
    ECLUSE_FAULT="store_look:delay=$1:${2:-*}" ECLUSE_FAULT_GATE=$TMP/slow mount_vault
    : >"$TMP/slow"
}

mount_slow 100         # a look at all of them takes 4 s at least
began=$SECONDS
askers=()
for k in $(seq 12); do "$ECLUSE" status --json --state "$STATE" "$MNT" >"$TMP/status-$k" & askers+=($!); done
for asker in "${askers[@]}"; do wait "$asker" || fail "no status"; done
took=$((SECONDS - began))
[ "$took" -ge 4 ] || fail "the store was not slow: $took s"
[ "$took" -lt 40 ] || fail "twelve at once took $took s"
for k in $(seq 12); do
    same "what came of the look, of asker $k" 0 "$(python3 -c 'import json,sys; print(json.load(sys.stdin)["survey_code"])' <"$TMP/status-$k")"
done
rm "$TMP/slow"
umount_vault

# While it asks for each object that should be there, and while it looks what else is there.
export ECLUSE_LIMIT=8  # seconds: so long a look may last, and the end without any progress
for when in '*' $((OBJECTS + 5))+; do
    mount_slow 1000 "$when"
    timeout 60 "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/status"
    grep -q 'the store could not be looked over' "$TMP/status" || fail "the store was not slow: $(cat "$TMP/status")"
    umount_vault
    rm "$TMP/slow"
done
