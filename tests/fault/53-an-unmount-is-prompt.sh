#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# An unmount right after a burst of small requests does not wait for anything but the
# publication: threads that were put aside during the burst hear of the end.
. "$(dirname "$0")/../mount/lib.sh"

make_vault
for round in $(seq "${ROUNDS:-15}"); do
    mount_vault
    mkdir "$MNT/$round"
    for k in $(seq 20); do head -c $((k * 777)) /dev/urandom >"$MNT/$round/$k"; done
    (cd "$MNT" && find . -type f -print0 | xargs -0 sha256sum) >/dev/null
    begin=$EPOCHREALTIME
    umount_vault
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a > 8 }' ||
        fail "the unmount of round $round took its ten seconds"
done
