#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Many threads write, rename, map, link and delete at the same time; what each
# may rely on stays true, also after a remount.  SECONDS_OF_STRESS and SEED may be given.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault
files=$(find "/proc/$(daemon_pid)/fd" | wc -l)
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "replay with: SEED=$seed $0"
expect "what the threads rely on is true" \
    "$TOOLS/stress" --seconds "${SECONDS_OF_STRESS:-15}" --seed "$seed" "$MNT"
"$ECLUSE" flush --state "$STATE" "$MNT"
# Segments stay open for reading, up to 192.
now=$(find "/proc/$(daemon_pid)/fd" | wc -l)
[ "$now" -lt $((files + 200)) ] || fail "$now descriptors are open, $files were before"
tree "$MNT" >"$TMP/before"
remount
tree "$MNT" >"$TMP/after"
expect "the tree is the same after a remount" cmp "$TMP/before" "$TMP/after"
umount_vault
