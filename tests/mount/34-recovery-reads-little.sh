#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# However much was published over the years, whoever recovers reads at most three times
# the metadata as it is: checkpoints.  The tree is the same, with older publications
# there, and with those gone that no checkpoint needs; and a checkpoint of which a part
# is withheld is no beginning, nor does one that is older turn anybody back.
# FILES (default 10000) and EDITS (rounds of changing a tenth of them) may be given.
. "$(dirname "$0")/lib.sh"
need strace

files=${FILES:-10000} edits=${EDITS:-20}
make_files() { # make_files FROM TO WORD
    local k
    for ((k = $1; k <= $2; k++)); do
        [ $((k % 500)) != 0 ] && [ $k != "$1" ] || mkdir -p "$MNT/folder-$((k / 500))"
        echo "$3 $k" >"$MNT/folder-$((k / 500))/a-file-with-a-name-$k.txt"
    done
}
flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }

# newest_checkpoint : the numbers of its first and last part, and its bytes
newest_checkpoint() {
    "$TOOLS/payloads" "$STORE" "$(echo "$STATE"/*)" "$PASS" | sort -n >"$TMP/payloads"
    awk '{ n[NR] = $1; part[NR] = $2; last[NR] = $3; size[NR] = $4 }
        END { for (k = NR; k && !last[k]; k--); if (!k) exit
              for (end = n[k]; ; k--) { sum += size[k]; if (part[k] == 1) break }
              print n[k], end, sum }' "$TMP/payloads"
}

# recover NEW : as somebody who has nothing; what was read of the store is in $read
recover() {
    strace -f -y -e trace=pread64,read,preadv -o "$TMP/trace" "$ECLUSE" recover --recovery-file "$SHEET" \
        --passfile "$PASS" --state "$1" "$STORE" >"$TMP/said" 2>&1 || return
    read=$(grep -F "$STORE/segments" "$TMP/trace" | sed -n 's/.* = \([0-9]*\)$/\1/p' | awk '{ s += $1 } END { print s + 0 }')
}

make_vault
mount_vault
make_files 1 "$files" new
flush
for ((round = 1; round <= edits; round++)); do
    from=$((round * (files / edits / 2)))
    make_files "$from" $((from + files / 10)) "edit-$round"
    flush
done
rm -r "$MNT/folder-3"
umount_vault
# Something is published after the newest checkpoint.
for round in 1 2; do
    read -r first end bytes <<<"$(newest_checkpoint)"
    [ "$(tail -n 1 "$TMP/payloads" | cut -d' ' -f1)" = "${end:-}" ] || break
    mount_vault
    make_files 10 15 last
    umount_vault
done
mount_vault
tree "$MNT" >"$TMP/tree"
umount_vault
read -r first end bytes <<<"$(newest_checkpoint)"
[ "${bytes:-0}" -gt 0 ] || fail "no checkpoint was made: $(cat "$TMP/payloads")"
all=$(awk '{ s += $4 } END { print s }' "$TMP/payloads")
recover "$TMP/second"
echo "$files files, $(wc -l <"$TMP/payloads") publications of $all bytes; the checkpoint has $bytes bytes; $read were read"
[ "$read" -le $((3 * bytes)) ] || fail "a recovery reads $read bytes of $bytes of metadata"
[ "$all" -gt $((3 * bytes)) ] || fail "there was nothing to save: $all bytes of publications"
first_state=$STATE STATE=$TMP/second
mount_vault -o ro # or it may be that one more publication makes a checkpoint due
tree "$MNT" | cmp - "$TMP/tree" || fail "another tree"
"$ECLUSE" umount --state "$STATE" "$MNT"
until_true no_daemon
STATE=$first_state

carriers() { "$TOOLS/dots" "$STORE" "$(echo "$first_state"/*)" "$PASS" | sort -k2 -n; }
carriers >"$TMP/carriers"
mkdir "$TMP/withheld"
withhold() { # withhold ID
    mkdir -p "$TMP/withheld/${1:0:2}" && mv "$STORE/segments/${1:0:2}/${1:2}" "$TMP/withheld/${1:0:2}/"
}
bring_back() { cp -a "$TMP/withheld/." "$STORE/segments/" && rm -rf "$TMP/withheld" && mkdir "$TMP/withheld"; }

# The first part of the newest checkpoint is gone, and so is all that came before: no beginning.
while read -r _ number id; do [ "$number" -gt "$first" ] || withhold "$id"; done <"$TMP/carriers"
if recover "$TMP/third"; then fail "a checkpoint without its first part is a beginning"; fi
bring_back
# Only the last part, with what is older there: what that one tells is told elsewhere too.
withhold "$(awk -v n="$end" '$2 == n { print $3 }' "$TMP/carriers")"
if recover "$TMP/fourth"; then
    STATE=$TMP/fourth
    mount_vault
    tree "$MNT" | cmp - "$TMP/tree" || fail "another tree without a part of a checkpoint"
    "$ECLUSE" umount --state "$STATE" "$MNT"
    until_true no_daemon
    STATE=$first_state
fi
bring_back
# An older store, ending with a whole checkpoint, to a state that has seen more.
mount_vault
make_files 1 100 newest
umount_vault
carriers | while read -r _ number id; do [ "$number" -le "$end" ] || withhold "$id"; done
open_vault() { "$ECLUSE" mount "$@" --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"; }
expect_exit 7 open_vault
rm "$STATE"/*/journal
expect_exit 7 open_vault --rebuild
