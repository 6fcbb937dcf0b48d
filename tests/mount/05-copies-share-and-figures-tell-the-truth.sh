#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A copy inside the mount moves no data; holes take no space; a small edit of a large
# file uploads little; du and df say what is true.
. "$(dirname "$0")/lib.sh"

bytes() { find "$STORE" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }'; }
flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }
grew_by_at_most() { # grew_by_at_most LIMIT SENTENCE
    local now
    now=$(bytes)
    expect "$2: the store grew by $((now - last)) bytes, at most $1" test $((now - last)) -le "$1"
    last=$now
}

make_vault
mount_vault
head -c 96M /dev/urandom >"$MNT/original"
flush
expect "random data takes its space" test "$(bytes)" -ge 100000000
last=$(bytes)

cp --reflink=auto "$MNT/original" "$MNT/copy"
flush
grew_by_at_most 262144 "a copy of 96 MiB"
cmp "$MNT/original" "$MNT/copy" || fail "the copy is another file"

printf changed | dd of="$MNT/copy" bs=1 seek=50000000 conv=notrunc status=none
flush
grew_by_at_most 131072 "an edit of one block"
cmp -s "$MNT/original" "$MNT/copy" && fail "the edit reached nothing"
same "the block that was edited" changed "$(dd if="$MNT/copy" bs=1 skip=50000000 count=7 status=none)"
# One of the random bytes may have been what was written.
differ=$(cmp -l <(printf changed) <(dd if="$MNT/original" bs=1 skip=50000000 count=7 status=none) | wc -l || true)
same "bytes that differ" "$differ" "$(cmp -l "$MNT/original" "$MNT/copy" | wc -l)"

truncate -s 20G "$MNT/holes"
fallocate -p -o 10M -l 20M "$MNT/copy"
flush
grew_by_at_most 131072 "holes"
expect "a sparse file takes no space" test "$(du -k "$MNT/holes" | cut -f1)" -le 64
expect "a punched file takes less" test "$(du -k "$MNT/copy" | cut -f1)" -le $((77 * 1024))
expect "a full file takes what it holds" test "$(du -k "$MNT/original" | cut -f1)" -ge $((96 * 1024))
remount
cmp -n 10485760 "$MNT/original" "$MNT/copy" || fail "before the punched hole"
cmp -n 20971520 -i 10485760:0 "$MNT/copy" /dev/zero || fail "the punched hole is not zeros"
cmp -i 60000000 "$MNT/original" "$MNT/copy" || fail "after the punched hole"

mkdir -p "$MNT/folder/sub"
for i in $(seq 1 500); do echo "$i" >"$MNT/folder/sub/$i"; done
flush
last=$(bytes)
mv "$MNT/folder" "$MNT/moved"
flush
grew_by_at_most 65536 "the rename of a directory of 500 files"

# df: the file system below, by size and by what is free.
read -r total free < <(df -B1 --output=size,avail "$STORE" | tail -n 1)
read -r seen left < <(df -B1 --output=size,avail "$MNT" | tail -n 1)
expect "the size shown is at most that of the disk" test "$seen" -le "$total"
expect "what is shown as free is free" test "$left" -le $((free + 67108864))
expect "what is free is shown" test "$left" -ge $((free - 536870912))
same "the source that df shows" "$STORE" "$(df --output=source "$MNT" | tail -n 1)"
same "the type" fuse.ecluse "$(df --output=fstype "$MNT" | tail -n 1)"
