#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A stick (exFAT, here by FUSE) knows no links, no modes, not every name, and no rename that
# refuses to replace.  What can be there is there, the rest is told, nothing is replaced, and a
# run that is killed at any step is ended by the next one.  Salvage arrives there, too.
# Needs a build with FAULTS=1.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root to mount an image"
need mkfs.exfat mount.exfat-fuse

stick=$TMP/stick
truncate -s 64M "$TMP/image"
mkfs.exfat "$TMP/image" >"$TMP/said"
mkdir "$stick"
device=$(losetup --find --show "$TMP/image")
status=0
(cd "$TMP" && mount.exfat-fuse "$device" stick) >"$TMP/said" 2>&1 || status=$?
losetup --detach "$device"                 # when it is unmounted
[ $status = 0 ] || fail "no stick: $(cat "$TMP/said")"
echo there >"$TMP/there"
python3 - "$TMP/there" "$stick/new" <<'END' || fail "this stick refuses to replace: it proves nothing"
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
old, new = (name.encode() for name in sys.argv[1:])
open(new + b"-old", "w").close()
assert libc.renameat2(-100, new + b"-old", -100, new, 1) == -1 and ctypes.get_errno() == errno.EINVAL
END
rm "$stick"/*

make_vault
mount_vault
mkdir -p "$MNT/plain/Été 2026"
for n in 1 2 3 4 5 6 7 8; do head -c $((n * 20000)) /dev/urandom >"$MNT/plain/$n"; done
echo à >"$MNT/plain/Été 2026/été"
: >"$MNT/plain/empty"
truncate -s 300000 "$MNT/plain/sparse"
plain() { (cd "$1" && find . -type f -exec sha256sum {} + | sort); }
export_to() { "$ECLUSE" export --state "$STATE" "$MNT/plain" "$stick/$1" >"$TMP/said" 2>&1; }

expect_exit 0 export_to out
same "what is on the stick" "$(plain "$MNT/plain")" "$(plain "$stick/out")"
same "times" "$(stat -c %Y "$MNT/plain/1")" "$(stat -c %Y "$stick/out/1")"
expect_exit 0 export_to out
grep -q '^Files copied: 0,' "$TMP/said" || fail "copied again: $(cat "$TMP/said")"

# What cannot be there is told, and keeps nothing else back.
echo q >"$MNT/plain/what: now?"
ln "$MNT/plain/1" "$MNT/plain/one"
ln -s 1 "$MNT/plain/link"
echo other >"$MNT/plain/SPARSE"            # the same name, for a stick
echo late >"$MNT/plain/later"
expect_exit 14 export_to out
for name in 'what: now?' one link SPARSE; do
    grep -qF "$name: " "$TMP/said" || fail "not told of $name: $(cat "$TMP/said")"
done
cmp "$MNT/plain/later" "$stick/out/later"
cmp "$MNT/plain/sparse" "$stick/out/sparse"
rm "$MNT/plain/what: now?" "$MNT/plain/one" "$MNT/plain/link" "$MNT/plain/SPARSE"
rm "$stick/out/one"

# Killed at each step of each name: the empty file that held it is no conflict afterwards.
held() { find "$1" -name .ecluse-partial -prune -o -type f -size 0 ! -name empty -printf x | wc -c; }
look() { (cd "$1" && find . -name '.ecluse*' -prune -o -type f -printf '%P %s %T@\n' | sort); }
claims=0
for step in $(seq 1 22); do
    status=0
    (ECLUSE_FAULT=transfer_place:kill:$step export_to "killed-$step"; exit $?) 2>"$TMP/killed" || status=$?
    [ "$status" = 137 ] || fail "not killed at step $step: $status"
    claims=$((claims + $(held "$stick/killed-$step")))
    expect_exit 0 export_to "killed-$step"
    same "after a kill at step $step" "$(plain "$MNT/plain")" "$(plain "$stick/killed-$step")"
    same "dates after a kill at step $step" "$(look "$stick/out")" "$(look "$stick/killed-$step")"
    same "left over" "" "$(find "$stick/killed-$step" -name '.ecluse*')"
    rm -r "$stick/killed-$step"
done
[ $claims -ge 5 ] || fail "hardly a kill left a name held: $claims"

# A rename that fails gives the name back.
for error in EIO ENOSPC EACCES; do
    ECLUSE_FAULT=transfer_place:$error:2 export_to "failed-$error" && fail "$error was not told"
    same "held after $error" 0 "$(held "$stick/failed-$error")"
    expect_exit 0 export_to "failed-$error"
done

# What somebody else put there is left: before it, an empty file too, and in between.
mkdir "$stick/theirs" "$stick/between"
echo mine >"$stick/theirs/1"
: >"$stick/theirs/2"
expect_exit 14 export_to theirs
same "theirs" mine "$(cat "$stick/theirs/1")"
same "their empty file" 0 "$(stat -c %s "$stick/theirs/2")"
ECLUSE_FAULT=transfer_place:delay=3000:2 export_to between & exporting=$!
is_held() { [ "$(held "$stick/between")" = 1 ]; }
until_true is_held
name=$(find "$stick/between" -name .ecluse-partial -prune -o -type f -print)
echo mine >"$name"
status=0
wait $exporting || status=$?
same "the exit status" 14 "$status"
same "what came in between" mine "$(cat "$name")"

# In the vault, which can refuse, an empty file of that date is a file like others.
mkdir "$MNT/dated" "$TMP/dated"
touch -d '1980-01-03 00:00:00 UTC' "$MNT/dated/1"
echo new >"$TMP/dated/1"
expect_exit 14 "$ECLUSE" import --state "$STATE" "$TMP/dated" "$MNT/dated"
same "a file of theirs in the vault" 0 "$(stat -c %s "$MNT/dated/1")"

hashes() { (cd "$1" && find . -type f -size +0 ! -name sparse -exec sha256sum {} + | cut -d' ' -f1 | sort); }
hashes "$MNT/plain" >"$TMP/hashes"
umount_vault
rm -r "${stick:?}"/*
expect_exit 0 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$stick/salvaged"
same "salvaged to the stick" "$(cat "$TMP/hashes")" "$(hashes "$stick/salvaged" | comm -12 - "$TMP/hashes")"
