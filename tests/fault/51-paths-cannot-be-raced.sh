#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Somebody swaps directories and symbolic links at the paths of mountpoint, store and
# state while the vault is mounted, again and again: each time it is mounted where it
# was asked for, or refused; nothing is mounted or written anywhere else.
. "$(dirname "$0")/../mount/lib.sh"

make_vault
mkdir "$TMP/elsewhere" "$TMP/elsewhere/segments"
echo untouched >"$TMP/elsewhere/file"
listing "$TMP/elsewhere" >"$TMP/before"

# swap PATH : the real thing and a link to elsewhere change places until it is stopped
swap() {
    while [ ! -e "$TMP/enough" ]; do
        mv -T "$1" "$1.real" && ln -s "$TMP/elsewhere" "$1" && rm "$1" && mv -T "$1.real" "$1"
    done 2>/dev/null
    [ ! -L "$1" ] || rm "$1"
    [ ! -e "$1.real" ] || mv -T "$1.real" "$1"
}

mounts() { awk -v d="$TMP/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo; }
rounds=${ROUNDS:-12}
for what in "$MNT" "$STORE" "$STATE"; do
    rm -f "$TMP/enough"
    mounted=0 refused=0
    for _ in $(seq "$rounds"); do
        swap "$what" &
        swapper=$!
        "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >"$TMP/said" 2>&1 && code=0 || code=$?
        touch "$TMP/enough"
        wait $swapper
        rm "$TMP/enough"
        case $code in 2 | 3 | 5 | 6 | 10 | 11 | 13) refused=$((refused + 1)) ;;
        0) mounted=$((mounted + 1)) ;;
        *) fail "exit $code: $(cat "$TMP/said")" ;;
        esac
        # The mount moved with the directory when that was renamed under it.
        point=$(mounts)
        [ -z "$point" ] || [ "$point" = "$MNT" ] || [ "$point" = "$MNT.real" ] || fail "mounted at $point"
        [ -z "$point" ] || umount "$point"
        until_true no_daemon
        listing "$TMP/elsewhere" | cmp -s - "$TMP/before" || fail "something was written elsewhere: $(find "$TMP/elsewhere")"
    done
    echo "${what##*/}: mounted $mounted times, refused $refused times"
done
mount_vault
echo whole >"$MNT/file"
remount
same "the vault works" whole "$(cat "$MNT/file")"
umount_vault
