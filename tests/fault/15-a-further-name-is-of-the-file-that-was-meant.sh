#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# An export goes on that has made one of a file's two names; somebody writes to that
# one meanwhile.  The other name is then not linked to it, but has the contents that
# the vault has.  Needs a build with FAULTS=1.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

make_vault
mount_vault
mkdir "$MNT/in"
echo meant >"$MNT/in/first" && echo between >"$MNT/in/second" && mkdir "$MNT/in/third" && ln "$MNT/in/first" "$MNT/in/third/linked"
out=$TMP/out
expect_exit 0 "$ECLUSE" export --state "$STATE" "$MNT/in" "$out"
same "both names" "$(stat -c %i "$out/first")" "$(stat -c %i "$out/third/linked")"

rm "$out/second" "$out/third/linked"
ECLUSE_FAULT_LOG=$TMP/points ECLUSE_FAULT=transfer_write:delay=2500:1 \
    "$ECLUSE" export --state "$STATE" "$MNT/in" "$out" >"$TMP/said" 2>&1 &
pid=$!
until_true grep -qsx transfer_write "$TMP/points"
echo other >"$out/first"
wait "$pid" || fail "$(cat "$TMP/said")"
same "the first name" other "$(cat "$out/first")"
same "the other one" meant "$(cat "$out/third/linked")"
umount_vault
