#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What was done in one mount is there in the next, to the last attribute; the
# store holds only opaque objects, and none of them ever changes again.
. "$(dirname "$0")/lib.sh"
need setfattr getfattr

make_vault
store_is_opaque
same "a new vault has only its header" 1 "$(find "$STORE" -type f | wc -l)"

mount_vault -o owners
make_tree "$MNT/tree"
if as_root; then
    chown 1234:4321 "$MNT/tree/documents/nothing"
    setfattr -n trusted.secret -v root "$MNT/tree/documents/nothing"
    mknod "$MNT/tree/null" c 1 3
fi
census "$MNT" >"$TMP/before"
remount -o owners
store_is_opaque
objects >"$TMP/objects.1"
census "$MNT" >"$TMP/after"
cmp "$TMP/before" "$TMP/after" || fail "the second mount shows another tree"

# A session that changes little adds little and leaves the rest alone.
bytes=$(du -sb "$STORE" | cut -f1)
mv "$MNT/tree/documents" "$MNT/papers"
rm "$MNT/papers/2025/blob.bin"
echo more >>"$MNT/papers/numbers.txt"
census "$MNT" >"$TMP/before"
umount_vault
store_is_opaque
wrote_once "$TMP/objects.1"
objects >"$TMP/objects.2"
grown=$(($(du -sb "$STORE" | cut -f1) - bytes))
expect "a small session costs at most 256 KiB, not $grown bytes" test "$grown" -le 262144

# Looking again changes nothing in the store, nor does a read-only mount.  (The first
# look may move access times.)
mount_vault -o owners
census "$MNT" >"$TMP/after"
cmp "$TMP/before" "$TMP/after" || fail "the third mount shows another tree"
remount -o owners
objects >"$TMP/objects.3"
census "$MNT" >"$TMP/after"
remount -o owners,ro
census "$MNT" >"$TMP/after"
cmp "$TMP/before" "$TMP/after" || fail "a read-only mount shows another tree"
expect_exit 1 touch "$MNT/new"
umount_vault
wrote_once "$TMP/objects.2"
same "objects after sessions of reading" "$(cat "$TMP/objects.3")" "$(objects)"

# A thousand small files are few objects.
mount_vault -o owners
mkdir "$MNT/many"
for i in $(seq 1 1000); do echo "$i" >"$MNT/many/$i"; done
count=$(find "$STORE" -type f | wc -l)
umount_vault
added=$(($(find "$STORE" -type f | wc -l) - count))
expect "1000 small files are at most 8 objects, not $added" test "$added" -le 8
