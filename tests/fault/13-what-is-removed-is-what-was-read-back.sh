#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# `import --remove-source`, with somebody else at work in the source: what takes a
# file's name, or writes to it, in the last moment before it is removed survives; what
# a kill leaves aside is back with the next run.  Needs a build with FAULTS=1.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

make_vault
mount_vault

# while_held PASSAGE ACTION : the ACTION is done while the removal waits at its PASSAGE
# (1: before the file is moved aside; 2: before what lies aside is removed)
while_held() {
    local pid code=0
    rm -rf "$TMP/src" "$TMP/points" "$TMP/gate" "$MNT/in"
    mkdir "$TMP/src" && echo verified >"$TMP/src/file"
    ECLUSE_FAULT_LOG=$TMP/points ECLUSE_FAULT=source_remove:delay=2500:$1 \
        "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/src" "$MNT/in" >"$TMP/said" 2>&1 &
    pid=$!
    until_true grep -qsx source_remove "$TMP/points"
    [ "$1" = 1 ] || until_true test -e "$TMP/src/.ecluse-removing/file"
    eval "$2"
    wait "$pid" || code=$?
    same "nothing is left aside" "" "$(find "$TMP/src" -name '.ecluse*')"
    same "what is in the vault" verified "$(cat "$MNT/in/file")"
    return $code
}

code=0
while_held 1 'echo newer >"$TMP/other"; mv "$TMP/other" "$TMP/src/file"' || code=$?
same "another file with its name: exit code" 14 $code
same "another file with its name" newer "$(cat "$TMP/src/file")"
code=0
while_held 1 'echo -n x >>"$TMP/src/file"' || code=$?
same "what was written to it: exit code" 14 $code
same "what was written to it" $'verified\nx' "$(cat "$TMP/src/file")"
# Aside, a new file with the name is no concern of ours: both go their way.
while_held 2 'echo newer >"$TMP/src/file"' || fail "$(cat "$TMP/said")"
same "a new file" newer "$(cat "$TMP/src/file")"
# Who has found it before it was moved, and opens it for writing now, keeps it.
code=0
while_held 2 'echo late >>"$TMP/src/.ecluse-removing/file"' || code=$?
same "late" 14 $code
same "what was written late" $'verified\nlate' "$(cat "$TMP/src/file")"

# A kill at each passage: the file is in the source or in the vault, and the same command ends it.
for passage in 1 2; do
    rm -rf "$TMP/src" "$MNT/in"
    mkdir -p "$TMP/src/folder" && echo verified >"$TMP/src/folder/file" && echo other >"$TMP/src/file"
    expect_exit 137 env ECLUSE_FAULT="source_remove:kill:$passage" "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/src" "$MNT/in"
    same "in the source, killed at $passage" 2 "$(find "$TMP/src" -type f | wc -l)"
    expect_exit 0 "$ECLUSE" import --state "$STATE" "$TMP/src" "$MNT/in"
    same "back where it was, killed at $passage" "./file ./folder/file" "$(cd "$TMP/src" && find . -type f | sort | xargs)"
    expect_exit 0 "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/src" "$MNT/in"
    same "what is left, killed at $passage" "" "$(find "$TMP/src" -mindepth 1)"
done

# A filesystem that cannot refuse to replace (NFS): what takes the name meanwhile survives too.
need strace
without_noreplace() { # without_noreplace INJECTION... : an import, as it would be there
    strace -E ASAN_OPTIONS=detect_leaks=0 -qqo /dev/null -P "$TMP/src/.ecluse-removing" -e trace=renameat2,linkat \
        -e inject=renameat2:error=EINVAL "$@" \
        "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/src" "$MNT/in" >"$TMP/said" 2>&1
}
afresh() { rm -rf "$TMP/src" "$MNT/in" && mkdir "$TMP/src" && echo verified >"$TMP/src/file"; }
afresh
without_noreplace || fail "$(cat "$TMP/said")"
same "left without RENAME_NOREPLACE" "" "$(find "$TMP/src" -mindepth 1)"
afresh
code=0
without_noreplace -e inject=linkat:delay_exit=2500000:when=1 &
pid=$!
until_true test -e "$TMP/src/.ecluse-removing/file"
echo newer >"$TMP/other" && mv "$TMP/other" "$TMP/src/file"
wait $pid || code=$?
same "another file's name, without RENAME_NOREPLACE: exit code" 14 $code
same "another file's name, without RENAME_NOREPLACE" newer "$(cat "$TMP/src/file")"
same "nothing is left aside" "" "$(find "$TMP/src" -name '.ecluse*')"
# Through a map that was there before, into a page that its disk has not seen yet: without care
# no time would tell of it. A disk of its own, for the vault's is synced meanwhile.
if as_root && losetup -f >/dev/null 2>&1; then
    need mkfs.ext4 python3
    rm -rf "$TMP/src" "$MNT/in" "$TMP/points"
    truncate -s 16M "$TMP/disk" && mkfs.ext4 -q "$TMP/disk" && mkdir "$TMP/src" && mount -o loop "$TMP/disk" "$TMP/src"
    rmdir "$TMP/src/lost+found" && echo first >"$TMP/src/a" && echo one >"$TMP/src/b" && mkfifo "$TMP/go"
    python3 -c 'import mmap, sys
f = open(sys.argv[1], "r+b"); m = mmap.mmap(f.fileno(), 0); m[:3] = b"ONE"
open(sys.argv[2]).read()
m[:3] = b"two"' "$TMP/src/b" "$TMP/go" &
    writer=$!
    until_true grep -qsx ONE "$TMP/src/b"
    ECLUSE_FAULT_LOG=$TMP/points ECLUSE_FAULT=source_remove:delay=3000:1 \
        "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/src" "$MNT/in" >"$TMP/said" 2>&1 &
    pid=$! code=0
    until_true grep -qsx source_remove "$TMP/points"
    [ -e "$TMP/src/b" ] || fail "it was the first one"
    : >"$TMP/go" && wait $writer
    wait $pid || code=$?
    same "through a map: exit code" 14 $code
    same "what was written through a map" two "$(cat "$TMP/src/b")"
    umount "$TMP/src"
fi
# What a kill left under both names is one file.
afresh && mkdir "$TMP/src/.ecluse-removing" && ln "$TMP/src/file" "$TMP/src/.ecluse-removing/file"
expect_exit 0 "$ECLUSE" import --state "$STATE" "$TMP/src" "$MNT/in"
same "under one name" "$TMP/src/file" "$(find "$TMP/src" -mindepth 1)"

# What cannot go back, as its name is taken, stays, and is told.
mkdir -p "$TMP/src/.ecluse-removing" && echo aside >"$TMP/src/.ecluse-removing/file" && echo new >"$TMP/src/file"
rm -r "$MNT/in"
expect_exit 14 "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/src" "$MNT/in"
same "what was aside" aside "$(cat "$TMP/src/.ecluse-removing/file")"
grep -q '^.ecluse-removing: what an interrupted copy left' "$TMP/said" || fail "$(cat "$TMP/said")"
umount_vault
