#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Files to 8 EiB, names in both Unicode forms, 20,000 entries in a directory, trees 200
# deep, hard links: and all of it again after a remount.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault
"$TOOLS/limits" "$MNT" >"$TMP/said" 2>&1 || {
    cat "$TMP/said"
    fail "limits do not hold"
}
rm -rf "$MNT"/check-*

# A large directory, in full and in part, over a remount.
mkdir "$MNT/large"
(cd "$MNT/large" && seq -f 'entry-%06.0f' 1 20000 | xargs touch)
same "entries of the large directory" 20000 "$(find "$MNT/large" -type f | wc -l)"
(cd "$MNT/large" && seq -f 'entry-%06.0f' 2 2 20000 | xargs rm)

deep=$MNT/deep
for _ in $(seq 1 200); do deep=$deep/d; done
mkdir -p "$deep"
echo bottom >"$deep/file"
mkdir "$MNT/links"
echo linked >"$MNT/links/0"
for i in $(seq 1 300); do ln "$MNT/links/0" "$MNT/links/$i"; done
truncate -s 7E "$MNT/huge"
printf far | dd of="$MNT/huge" bs=1 seek=6000000000000000000 conv=notrunc status=none
find "$MNT" -printf '%i %n %s %P\n' | sort >"$TMP/before"
remount
find "$MNT" -printf '%i %n %s %P\n' | sort >"$TMP/after"
grep -v ' [0-9]* large$' "$TMP/before" | cmp - <(grep -v ' [0-9]* large$' "$TMP/after") ||
    fail "sizes, links or inode numbers changed over a remount"
same "entries after the remount" 10000 "$(find "$MNT/large" -type f | wc -l)"
same "the deepest file" bottom "$(cat "$deep/file")"
same "a link" linked "$(cat "$MNT/links/300")"
same "links" 301 "$(stat -c %h "$MNT/links/7")"
same "the far end" far "$(dd if="$MNT/huge" bs=1 skip=6000000000000000000 count=3 status=none)"
rm -rf "${MNT:?}"/*
same "what is left after everything was removed" "" "$(ls -A "$MNT")"

# Many files open at once, by one process, and no descriptor of the daemon stays.
before=$(find "/proc/$(daemon_pid)/fd" | wc -l)
(
    ulimit -n 4096
    for i in $(seq 10 3000); do eval "exec $i>\"$MNT/open-$i\""; done
    echo still here >&2999
    same "open files" 2991 "$(find "$MNT" -name 'open-*' | wc -l)"
)
same "what was written to one of 2991 open files" "still here" "$(cat "$MNT/open-2999")"
settled() { [ "$(find "/proc/$(daemon_pid)/fd" | wc -l)" -le $((before + 2)) ]; }
until_true settled
