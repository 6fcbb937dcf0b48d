#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What a file server needs: handles that open the same file later, after the
# caches were dropped and after a remount, and stale ones for files that are gone.
. "$(dirname "$0")/lib.sh"
as_root || skip "opening by handle needs root"

make_vault
mount_vault -o owners,allow_other
mkdir -p "$MNT/a/b/c"
for i in $(seq 1 50); do echo "content $i" >"$MNT/a/b/c/$i"; done
"$TOOLS/handle" save "$MNT" "$MNT"/a "$MNT"/a/b "$MNT"/a/b/c/* >"$TMP/handles"
same "handles" 53 "$(wc -l <"$TMP/handles")"
"$TOOLS/handle" open "$MNT" <"$TMP/handles" >"$TMP/before" || {
    cat "$TMP/before"
    fail "handles do not open"
}
same "files with their content" 50 "$(grep -c ' content ' "$TMP/before")"
sync
echo 2 >/proc/sys/vm/drop_caches
"$TOOLS/handle" open "$MNT" <"$TMP/handles" >"$TMP/after" || true
diff "$TMP/before" "$TMP/after" | head -n 20 >"$TMP/said" || true
[ ! -s "$TMP/said" ] || cat "$TMP/said"
cmp -s "$TMP/before" "$TMP/after" || fail "handles open something else once the caches are dropped"

mv "$MNT/a/b/c/7" "$MNT/moved"
mv "$MNT/a/b" "$MNT/b"
remount -o owners,allow_other
"$TOOLS/handle" open "$MNT" <"$TMP/handles" >"$TMP/after" || true
diff "$TMP/before" "$TMP/after" | head -n 20 >"$TMP/said" || true
[ ! -s "$TMP/said" ] || cat "$TMP/said"
cmp -s "$TMP/before" "$TMP/after" || fail "handles open something else after a remount"

rm "$MNT/moved"
remount -o owners,allow_other
for i in $(seq 1 100); do echo new >"$MNT/new-$i"; done
"$TOOLS/handle" open "$MNT" <"$TMP/handles" >"$TMP/after" || true
same "handles of removed files" 1 "$(grep -c '^refused: Stale file handle' "$TMP/after")"
same "handles that open other files than theirs" "" "$(grep -v '^refused' "$TMP/after" | grep -vxFf "$TMP/before" || true)"
