#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# With all publications lost, a salvage gives the contents of all files byte for byte,
# newest version, under their names as far as those are known. What is missing is told,
# and is a hole in a file whose name says so. Nothing is written outside of the
# destination, nothing is replaced there, and a full disk ends it without half a file.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault
make_tree "$MNT/tree"
flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }
pattern() { head -c "$2" < <(seq -f "$1 %.0f" 1 1000000); }
mkdir "$MNT/versions" "$MNT/names" "$MNT/again"
pattern old 2000000 >"$MNT/versions/in-part"
pattern old 900000 >"$MNT/versions/shorter"
pattern old 300000 >"$MNT/versions/longer"
pattern old 500000 >"$MNT/versions/replaced"
pattern gone 70001 >"$MNT/again/same name"
# Names that mean something to a shell, to a terminal, or to us.
# shellcheck disable=SC2016 # it is the name
for name in -rf '$(reboot)' '*' ' ' '~' .salvage.partial x.incomplete file-3 folder-3 "$(printf 'bell\a\033[2J')" \
    "$(printf '%0255d' 0)" "$(printf 'é%.0s' $(seq 127))"; do
    pattern "$name" 5001 >"$MNT/names/$name"
done
flush
rm "$MNT/again/same name"
pattern back 70002 >"$MNT/again/same name"
pattern new 50000 | dd of="$MNT/versions/in-part" bs=1000 seek=777 conv=notrunc status=none
pattern new 123456 >"$MNT/versions/shorter"
pattern more 3000001 >>"$MNT/versions/longer"
pattern new 500001 >"$MNT/versions/.new" && mv "$MNT/versions/.new" "$MNT/versions/replaced"
flush
pattern newest 10000 | dd of="$MNT/versions/in-part" bs=1000 seek=800 conv=notrunc status=none
pattern last 17 >>"$MNT/versions/longer"
flush
# More names than one publication holds, most of them without contents.
mkdir "$MNT/many"
(cd "$MNT/many" && seq -f "$(printf '%0200d' 0)-%g" 1 12000 | xargs touch)
for i in $(seq 1 50); do echo "many $i" >"$MNT/many/filled $i"; done
flush

# wanted : hash and size of each content, a sparse file's without the zeros at its end
sums() { find "$1" -type f -size +0 ! -name 'sparse*' ! -name '*.older-end*' -exec sha256sum -z {} + | tr '\0' '\n' | cut -c 1-64 | sort; }
sums "$MNT" | uniq >"$TMP/want"
sparse=$(head -c 30000003 "$MNT/tree/documents/sparse" | sha256sum)
(cd "$MNT" && find . -type f -size +0 -printf '%f\0') | sort -zu >"$TMP/names.want"
umount_vault
cp -a "$STORE" "$TMP/store.clean"

# salvage CODE [option...] : into $TMP/out; asserts that the store stays as it is
salvage() {
    local code=$1
    shift
    rm -rf "$TMP/out"
    listing "$STORE" >"$TMP/before"
    expect_exit "$code" "$ECLUSE" salvage --recovery-file "$SHEET" "$@" "$STORE" "$TMP/out"
    listing "$STORE" >"$TMP/after"
    cmp -s "$TMP/before" "$TMP/after" || fail "a salvage changed the store: $(diff "$TMP/before" "$TMP/after")"
    same "files that are not finished" "" "$(find "$TMP/out" -name .salvage.partial -path '*/out/.salvage*' 2>/dev/null)"
}
all_there() {
    sums "$TMP/out" >"$TMP/got"
    same "contents that are missing" "" "$(comm -23 "$TMP/want" <(uniq "$TMP/got"))"
    same "the file with a hole, up to its last byte" "$sparse" "$(head -c 30000003 "$TMP/out"/folder-*/sparse.incomplete | sha256sum)"
    # A file that was shortened, once more with what was behind its end.
    same "files with an older end" shorter.older-end "$(cd "$TMP/out" && find . -name '*.older-end*' -printf '%f\n')"
    same "the older end" "$(pattern old 900000 | tail -c +126977 | sha256sum)" \
        "$(tail -c +126977 "$TMP"/out/folder-*/shorter.older-end | sha256sum)"
    # What is there beyond what was last there: the two files that were removed, and nothing else.
    same "contents that nobody wrote" "$({ pattern gone 70001 | sha256sum && pattern old 500000 | sha256sum; } |
        cut -c 1-64 | sort)" "$(comm -13 "$TMP/want" <(uniq "$TMP/got"))"
}

# --- whole, then with all publications lost ------------------------------------------------

expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" --read-data "$STORE"
salvage 8 # for the hole
all_there
"$TOOLS/footers" "$STORE" "$SHEET" list | awk '$5 == 1' >"$TMP/carriers"
[ "$(wc -l <"$TMP/carriers")" -ge 5 ] || fail "few publications: $(cat "$TMP/carriers")"
"$TOOLS/footers" "$STORE" "$SHEET" strip
same "publications that are left" "" "$("$TOOLS/footers" "$STORE" "$SHEET" list | awk '$5 != 0')"
expect_exit 8 "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"
grep -q '^damaged: .*index and store' "$TMP/said" || fail "that the publications are gone is not noticed: $(cat "$TMP/said")"
salvage 8
all_there
# Names: each that is in the vault is there, but for the copy that shares all its blocks.
(cd "$TMP/out" && find . -type f -printf '%f\0') | sed -z 's/\.incomplete$//; s/\.older-end$//' | sort -zu >"$TMP/names.got"
comm -z -23 "$TMP/names.want" "$TMP/names.got" | tr '\0' '\n' >"$TMP/names.lost"
# Of two links one name is known; a name of 255 bytes stays, for nothing is added to it.
same "names that are lost" 1 "$(grep -cxE 'numbers.txt|same-numbers' "$TMP/names.lost" || true)"
grep -vxE 'numbers.txt|same-numbers|x.incomplete' "$TMP/names.lost" >"$TMP/x" && fail "names are lost: $(cat "$TMP/x")"
same "both files of one name" 2 "$(find "$TMP/out" -name 'same name*' | wc -l)"
grep -q 'x.incomplete' <(ls "$TMP/out"/folder-*/) || fail "a name that only looks incomplete is gone"
LC_ALL=fr_CA.UTF-8 expect_exit 8 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/fr"
grep -q 'Fichiers récupérés' "$TMP/said" || fail "a salvage speaks no French: $(cat "$TMP/said")"
same "nothing of a terminal's language is printed" "" "$(grep -c "$(printf '\033')" "$TMP/said" | grep -vx 0 || true)"
rm -rf "$TMP/fr"

# Progress, where there is a terminal.
"$TOOLS/terminal" -- "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/shown" >"$TMP/said" || true
grep -q 'Reading the store: 0%' "$TMP/said" || fail "no progress is shown: $(cat "$TMP/said")"
"$TOOLS/terminal" -- "$ECLUSE" check --recovery-file "$SHEET" "$STORE" >"$TMP/said" || true
grep -q 'Checking objects: 0%' "$TMP/said" || fail "no progress is shown: $(cat "$TMP/said")"
rm -rf "$TMP/shown"

# With the passphrase of this device's state, and as JSON.
listing "$STATE" >"$TMP/state.before"
rm -rf "$TMP/out"
expect_exit 8 "$ECLUSE" salvage --passfile "$PASS" --state "$STATE" --json "$STORE" "$TMP/out"
all_there
same "the report is JSON" 1 "$(sqlite3 :memory: "SELECT json_valid(readfile('$TMP/said'))")"
json() { sqlite3 :memory: "SELECT json_extract(readfile('$TMP/said'), '\$.$1')"; }
same "files in the report" "$(json files)" "$(sqlite3 :memory: "SELECT count(*) FROM json_each(readfile('$TMP/said'), '\$.list')")"
same "incomplete files in the report" 1 "$(json incomplete)"
expect "mixed files in the report" [ "$(json mixed)" -ge 2 ]
listing "$STATE" >"$TMP/state.after"
cmp -s "$TMP/state.before" "$TMP/state.after" || fail "a salvage changed the state"

# Little memory: the store is read several times, with the same result.
for runs in 1 30 150; do
    rm -rf "$TMP/out" && mkdir "$TMP/out"
    passes=$("$TOOLS/footers" "$STORE" "$SHEET" salvage "$TMP/out" $runs)
    expect "several passes ($passes)" [ "$passes" -gt 1 ]
    all_there
done

# --- what is missing is told -----------------------------------------------------------------

"$TOOLS/footers" "$STORE" "$SHEET" list >"$TMP/list"
biggest=$(sort -n -k 4 "$TMP/list" | tail -n 1 | cut -d' ' -f1)
flip() { # flip OFFSET : one bit of the biggest object
    local byte
    chmod u+w "$STORE/$biggest"
    byte=$(od -An -tu1 -j "$1" -N1 "$STORE/$biggest")
    # shellcheck disable=SC2059
    printf "\\x$(printf %x $((byte ^ 16)))" | dd of="$STORE/$biggest" bs=1 seek="$1" conv=notrunc status=none
}
flip 60000
salvage 8 --json
same "one block is lost" 1 "$(sqlite3 :memory: "SELECT sum(json_extract(value, '\$.lost')) FROM json_each(readfile('$TMP/said'), '\$.list')")"
lost=$(sqlite3 :memory: "SELECT json_extract(value, '\$.path') FROM json_each(readfile('$TMP/said'), '\$.list') WHERE json_extract(value, '\$.lost') > 0")
case $lost in *.incomplete) ;; *) fail "a file without a block has a name like any other: $lost" ;; esac
[ -f "$TMP/out/$lost" ] || fail "$lost is not there"
# Every other content is whole.
sums "$TMP/out" | uniq >"$TMP/got"
expect "at most one content is missing" [ "$(comm -23 "$TMP/want" "$TMP/got" | wc -l)" -le 1 ]
salvage 8
grep -qF "$lost" "$TMP/said" || fail "the report does not name $lost: $(cat "$TMP/said")"
# A segment that does not open, and one that is gone.
flip 70
salvage 8
grep -qF "$biggest" "$TMP/said" || fail "the report does not name the object: $(cat "$TMP/said")"
cp --remove-destination "$TMP/store.clean/$biggest" "$STORE/$biggest"
chmod u+w "$STORE/$biggest" && truncate -s 100000 "$STORE/$biggest"
salvage 8
grep -q "arrived" "$TMP/said" || fail "an object that is short is not told as such: $(cat "$TMP/said")"
rm -f "$STORE/$biggest"
salvage 8
for hash in $(sums "$TMP/out"); do
    grep -qx "$hash" "$TMP/want" || echo "$hash"
done >"$TMP/odd"
# Whatever lost something says so in its name, or in the report as put together or cut off.
(cd "$TMP/out" && find . -type f ! -name '*.incomplete' ! -path './folder-*/in-part' ! -path './folder-*/longer' \
    ! -path './folder-*/shorter*' ! -path './folder-*/replaced*' ! -name 'same name*' -exec sha256sum -z {} +) |
    tr '\0' '\n' | cut -c 1-64 | grep -xF -f "$TMP/odd" >"$TMP/x" && fail "contents that nobody wrote: $(cat "$TMP/x")"
rm -rf "$STORE" && cp -a "$TMP/store.clean" "$STORE"

# --- nothing escapes, nothing is replaced -------------------------------------------------------

for name in ../../escaped .. . a/b /tmp/escaped; do
    "$TOOLS/footers" "$STORE" "$SHEET" name "$name"
    find "$TMP" \( -path "$TMP/out" -o -name 'tree.*' \) -prune -o -printf '%P\n' | sort >"$TMP/tree.before"
    salvage 8
    find "$TMP" \( -path "$TMP/out" -o -name 'tree.*' \) -prune -o -printf '%P\n' | sort >"$TMP/tree.after"
    same "names outside of the destination, for $name" "" "$(diff "$TMP/tree.before" "$TMP/tree.after")"
    [ ! -e /tmp/escaped ] || fail "$name escaped"
    rm -rf "$STORE" && cp -a "$TMP/store.clean" "$STORE"
done
"$TOOLS/footers" "$STORE" "$SHEET" name one
salvage 8 # all under one name
same "every file has a name of its own" "$(find "$TMP/out" -type f | wc -l)" \
    "$(find "$TMP/out" -type f \( -name one -o -name 'one.*' \) | wc -l)"
expect "as many files as before" [ "$(find "$TMP/out" -type f | wc -l)" -ge "$(wc -l <"$TMP/want")" ]
rm -rf "$STORE" && cp -a "$TMP/store.clean" "$STORE"

listing "$TMP/out" "$STORE" >"$TMP/before"
expect_exit 13 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/out"
grep -q 'empty' "$TMP/said" || fail "why not is not said: $(cat "$TMP/said")"
expect_exit 13 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$SHEET"
expect_exit 13 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/not/there/yet"
expect_exit 3 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$STORE/out"
expect_exit 3 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$STORE"
expect_exit 3 "$ECLUSE" salvage --passfile "$PASS" --state "$STATE" "$STORE" "$(echo "$STATE"/*)/out"
expect_exit 1 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE"
listing "$TMP/out" "$STORE" >"$TMP/after"
cmp -s "$TMP/before" "$TMP/after" || fail "a refusal changed something: $(diff "$TMP/before" "$TMP/after")"

# --- the destination is full ----------------------------------------------------------------------

as_root || exit 0
mkdir "$TMP/small"
mount -t tmpfs -o size=3m none "$TMP/small"
expect_exit 9 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/small/out"
grep -q 'before its time' "$TMP/said" || fail "that it ended early is not said: $(cat "$TMP/said")"
for hash in $(sums "$TMP/small/out"); do
    grep -qx "$hash" "$TMP/got" "$TMP/want" || fail "half a file under a whole one's name"
done
same "files that are not finished" "" "$(find "$TMP/small" -name '*.partial' ! -path '*/folder-*')"
