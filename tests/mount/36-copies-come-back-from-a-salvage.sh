#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Copies made inside the mount share the blocks of their originals.  With all publications
# lost a salvage gives each of them byte for byte, whatever became of the originals since:
# overwritten, cut, deleted; blocks moved by a compaction, and the objects that first told
# of the copies removed.
. "$(dirname "$0")/lib.sh"

flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }
random() { head -c "$1" /dev/urandom; }
objects_now() { find "$STORE/segments" -type f -printf '%P\n' | sort; }
# share FROM OFFSET TO OFFSET LENGTH : by copy_file_range(2), and nothing else
share() {
    python3 - "$@" <<'PY'
import os, sys
a, b = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[3], os.O_RDWR | os.O_CREAT, 0o644)
at, to, left = int(sys.argv[2]), int(sys.argv[4]), int(sys.argv[5])
while left > 0:
    n = os.copy_file_range(a, b, left, at, to)
    if n == 0:
        sys.exit("nothing was copied")
    at, to, left = at + n, to + n, left - n
PY
}
copy() { share "$1" 0 "$2" 0 "$(stat -c %s "$1")"; }

# round : garbage, so that a checkpoint is worth it, and what is dead goes
round() {
    random 4000000 >"$MNT/garbage"
    flush
    rm "$MNT/garbage"
    rounds=$((rounds + 1))
    random 50000 >"$MNT/to/more $rounds"
    flush
    "$ECLUSE" gc --now --state "$STATE" "$MNT" >"$TMP/said"
}
rounds=0

# salvaged SENTENCE : of the store without its publications; each file is there by contents
# and by name
salvaged() {
    (cd "$MNT" && find . -type f -exec sha256sum -z {} + | tr '\0' '\n' | sort -k2) >"$TMP/want"
    rm -rf "$TMP/store.lost" "$TMP/out"
    cp -a "$STORE" "$TMP/store.lost"
    "$TOOLS/footers" "$TMP/store.lost" "$SHEET" strip
    same "publications that are left" "" "$("$TOOLS/footers" "$TMP/store.lost" "$SHEET" list | awk '$5 != 0')"
    "$ECLUSE" salvage --recovery-file "$SHEET" "$TMP/store.lost" "$TMP/out" >"$TMP/said" 2>&1 || true
    (cd "$TMP/out" && find . -type f -exec sha256sum -z {} + | tr '\0' '\n') >"$TMP/got"
    while read -r hash name; do
        name=${name##*/}
        [ "$name" != renamed ] || name=        # by its old name or the new one
        grep "^$hash " "$TMP/got" | grep -qF "/$name" || fail "$1: $name did not come back: $(cat "$TMP/said")"
    done <"$TMP/want"
    [ "$(wc -l <"$TMP/want")" -ge 12 ] || fail "$1: few files were compared"
}

make_vault
mount_vault -o grace=0
mkdir "$MNT/from" "$MNT/to"
random 5000001 >"$MNT/from/overwritten"
random 9000000 >"$MNT/from/deleted, too" # leaves a segment sparse
random 3000000 >"$MNT/from/cut"
random 2097152 >"$MNT/from/deleted"
random 777 >"$MNT/from/small"
random 1500000 >"$MNT/from/holes"
fallocate -p -o 409600 -l 409600 "$MNT/from/holes"
# A short block in the middle: behind it a hole, and then something.
random 1000 >"$MNT/from/short"
random 100000 | dd of="$MNT/from/short" bs=4096 seek=300 conv=notrunc status=none
random 1200000 >"$MNT/to/own" # will be half its own
random 400000 >"$MNT/from/staged" "$MNT/from/deleted, too"
copy "$MNT/from/staged" "$MNT/to/staged" # while nothing is published
flush
objects_now >"$TMP/originals"
before=$(du -sk "$STORE" | cut -f1)
for name in overwritten cut deleted small holes short; do copy "$MNT/from/$name" "$MNT/to/$name"; done
flush # an object that holds no block
objects_now | comm -13 "$TMP/originals" - >"$TMP/first"
share "$MNT/from/overwritten" 1048576 "$MNT/to/own" 409600 409600
share "$MNT/from/cut" 0 "$MNT/from/cut.end" 0 1000000 # ends within the original
share "$MNT/from/cut" 409600 "$MNT/from/holes" 2048000 40960 # a file that has copies gets some, too
flush
[ $(($(du -sk "$STORE" | cut -f1) - before)) -lt 1500 ] || fail "the copies share no blocks"
salvaged "copies, originals as they were"

# The originals change, and so do some of the copies.
random 5000001 | dd of="$MNT/from/overwritten" bs=1M conv=notrunc status=none
random 1000 >"$MNT/from/cut"
rm "$MNT/from/deleted" "$MNT/from/small" "$MNT/from/staged" "$MNT/from/deleted, too"
copy "$MNT/to/deleted" "$MNT/to/copy of a copy"
flush
salvaged "originals overwritten, cut, deleted"
random 4096 | dd of="$MNT/to/overwritten" bs=4096 seek=100 conv=notrunc status=none
random 10000 >>"$MNT/to/deleted"
mv "$MNT/to/cut" "$MNT/to/renamed"
truncate -s 300000 "$MNT/to/holes" && random 5 >>"$MNT/to/holes"
flush
salvaged "copies changed"
rm "$MNT/from/short" "$MNT/from/holes"

# The objects that first told of the copies go: dead, or compacted; twice, so that both
# checkpoints that are kept are new.
for _ in 1 2 3; do round; done
objects_now >"$TMP/last"
same "objects that are left of the one that first told of the copies" "" "$(comm -12 "$TMP/first" "$TMP/last")"
[ -n "$(comm -23 "$TMP/originals" "$TMP/last")" ] || fail "no object of the originals was compacted"
salvaged "compacted"
remount -o grace=0
salvaged "after a remount"

# Who recovers knows which files share.
umount_vault
rm -rf "$STATE"
"$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$STATE" "$STORE" >"$TMP/said" 2>&1 ||
    fail "recover: $(cat "$TMP/said")"
mount_vault -o grace=0
random 4096 | dd of="$MNT/to/overwritten" bs=4096 seek=7 conv=notrunc status=none
flush
for _ in 1 2 3; do round; done
salvaged "after a recovery"
umount_vault
expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" --read-data "$STORE"
