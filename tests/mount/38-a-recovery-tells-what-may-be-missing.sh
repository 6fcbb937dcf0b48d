#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The object with the newest publication is named by nothing: altered, cut or on its way it
# must not be passed over in silence.  A recovery refuses, says what may be missing and how
# to go on, in both languages, and writes nothing; `--partial` gives the tree before it.
# What shows nothing of this vault, and what is altered but needed by nobody, refuses nothing.
. "$(dirname "$0")/lib.sh"
as_root || skip "needs root, to write into read-only objects"

KEY=$TMP/key NEW=$TMP/new
(umask 077 && head -c 64 /dev/urandom >"$KEY")
mkdir "$MNT"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
open_vault() { "$ECLUSE" mount --keyfile "$KEY" --state "$1" "$STORE" "$MNT"; }
close_vault() {
    "$ECLUSE" umount --state "$1" "$MNT" >/dev/null
    until_true no_daemon
}
stored() { find "$STORE/segments" -type f | sort; }
recover() { "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$NEW" "$@" "$STORE"; }
says() { grep -qE -- "$1" "$TMP/said" || fail "it does not say «$1»: $(cat "$TMP/said")"; }

open_vault "$STATE"
make_tree "$MNT/tree"
"$ECLUSE" flush --state "$STATE" "$MNT"
stored >"$TMP/objects.first"
head -c 300000 /dev/urandom >"$MNT/second"
"$ECLUSE" flush --state "$STATE" "$MNT"
census "$MNT" >"$TMP/before"
stored >"$TMP/objects.before"
head -c 60000 /dev/urandom >"$MNT/newest"
chmod 600 "$MNT/second"
census "$MNT" >"$TMP/all"
close_vault "$STATE"
newest=$(stored | comm -13 "$TMP/objects.before" -)
same "the newest publication has one object" 1 "$(wc -l <<<"$newest")"
id=$(sed 's,.*/\(..\)/\([^/]*\)$,\1\2,' <<<"$newest")
size=$(stat -c %s "$newest")
cp -a "$newest" "$TMP/newest"
cp -a "$STORE" "$TMP/store.kept"

put() { # put FILE OBJECT : over a read-only object
    chmod u+w "$2" && cat "$1" >"$2" && chmod 444 "$2"
}
spoil() { # spoil OFFSET LENGTH OBJECT
    chmod u+w "$3"
    head -c "$2" /dev/urandom | dd of="$3" bs=64k seek="$1" oflag=seek_bytes conv=notrunc iflag=fullblock status=none
    chmod 444 "$3"
}
# shows CENSUS WHY : what was recovered is that tree
shows() {
    open_vault "$NEW"
    census "$MNT" | cmp -s - "$1" || fail "$2: another tree: $(cat "$TMP/said")"
    close_vault "$NEW"
    rm -rf "$STORE" "$NEW"
    cp -a "$TMP/store.kept" "$STORE"
}
refuses() { # refuses WHY WORDS : and then gives the tree before it
    listing "$STORE" >"$TMP/listed"
    for lang in C.UTF-8 fr_CA.UTF-8; do
        LC_ALL=$lang expect_exit 8 recover
        [ -z "$(ls -A "$NEW" 2>/dev/null)" ] || fail "$1: a refusal leaves something: $(ls -A "$NEW")"
    done
    says 'Dépôt|dépôt'
    says 'changements les plus récents'
    says -- '--partial'
    expect_exit 8 recover
    says "$2"
    says "ECL-0351 object $id"
    says 'may hold the newest changes'
    says '--partial'
    says 'ecluse check'
    says '^  Device [0-9a-f]{8}: publication [0-9]+, .*: [a-z]+ [a-z]+ [a-z]+ [a-z]+$'
    listing "$STORE" | cmp -s - "$TMP/listed" || fail "$1: something was written to the store"
    expect_exit 0 recover --partial
    says 'left out that may hold newer changes: 1 '
    shows "$TMP/before" "$1"
}
takes() { # takes WHY CENSUS [option...]
    local why=$1 want=$2
    shift 2
    expect_exit 0 recover "$@"
    if grep -q 'may hold' "$TMP/said"; then fail "$why: a false alarm: $(cat "$TMP/said")"; fi
    shows "$want" "$why"
}

takes "nothing is wrong" "$TMP/all"

# The newest object: altered in each of its parts but the blocks, cut, and on its way.
footer=$((96 + 60000 + 15 * 28 + 10))
for part in "header 8 80" "commitment 64 32" "footer $footer 50" "trailer $((size - 60)) 60" "the end of the trailer $((size - 1)) 1"; do
    read -r name from len <<<"$(awk '{ n = $1; for (k = 2; k <= NF - 2; k++) n = n "_" $k; print n, $(NF - 1), $NF }' <<<"$part")"
    spoil "$from" "$len" "$newest"
    refuses "altered: $name" 'failed authentication|has not arrived'
done
for length in 8 40 95 96 5000 $((size / 2)) $((size - 1)); do
    head -c "$length" "$TMP/newest" >"$TMP/cut"
    put "$TMP/cut" "$newest"
    refuses "cut to $length bytes" 'has not arrived'
done
{ head -c 8192 "$TMP/newest" && head -c $((size - 8192)) /dev/zero; } >"$TMP/cut"
put "$TMP/cut" "$newest"
refuses "being filled" 'has not arrived'
{ cat "$TMP/newest" && echo more; } >"$TMP/cut"
put "$TMP/cut" "$newest"
refuses "longer" 'failed authentication'
# Of a newer version, which alone could tell what is in it; exit status 2, as for any newer format.
newer() { # newer FILE : an object as such a version may write it, into a file
    head -c 8 "$1" && printf '\2\0\0\0' && head -c 64 "$1" | tail -c 52 && head -c $(($(stat -c %s "$1") - 64)) /dev/urandom
}
newer "$TMP/newest" >"$TMP/made"
put "$TMP/made" "$newest"
for lang in fr_CA.UTF-8 C.UTF-8; do
    LC_ALL=$lang expect_exit 2 recover
    [ -z "$(ls -A "$NEW" 2>/dev/null)" ] || fail "newer: a refusal leaves something"
    says "ECL-0351 object $id is of this vault, is of a newer version"
    says -- '--partial'
done
says 'this was written by a newer version'
says 'Objects that a newer version of Écluse wrote: 1\.'
expect_exit 0 recover --partial
says 'left out that may hold newer changes: 1 '
shows "$TMP/before" "newer"
# Under a foreign name.
other=$STORE/segments/$(head -c 1 /dev/urandom | xxd -p)/$(head -c 15 /dev/urandom | xxd -p)
mv "$newest" "$other"
expect_exit 8 recover
says 'may hold the newest changes'
mv "$other" "$newest"

# Its blocks are no publication's concern: the tree is whole, reading tells.
spoil 200 60000 "$newest"
expect_exit 0 recover
rm -rf "$NEW" "$STORE" && cp -a "$TMP/store.kept" "$STORE"

# What another publication names came before it: no doubt about the newest.
while read -r object; do
    size=$(stat -c %s "$object")
    spoil $((size - 60)) 60 "$object"
    code=0
    recover >"$TMP/said" 2>&1 || code=$?
    if [ $code = 0 ]; then
        if grep -q 'may hold' "$TMP/said"; then fail "an object that is named is in doubt: $(cat "$TMP/said")"; fi
        rm -rf "$NEW"
    else
        same "an older publication is missing" 8 $code
        says 'waiting for what is missing: [1-9]'
    fi
    rm -rf "$STORE" && cp -a "$TMP/store.kept" "$STORE"
done <"$TMP/objects.before"

# Nothing of this vault: no alarm.
head -c 80000 /dev/urandom | xxd -p -c 16 | while read -r name; do
    echo "not of this vault" >"$STORE/segments/${name:0:2}/${name:2}"
done
for k in 10 20 30; do head -c 65536 /dev/urandom >"$STORE/segments/$k/$(head -c 15 /dev/urandom | xxd -p)"; done
: >"$STORE/segments/00/$(head -c 15 /dev/urandom | xxd -p)"
truncate -s 65536 "$STORE/segments/00/$(head -c 15 /dev/urandom | xxd -p)"
head -c 70 /dev/urandom >"$STORE/segments/00/$(head -c 15 /dev/urandom | xxd -p)"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$TMP/other.sheet" --state "$TMP/other.state" "$TMP/other.store" >/dev/null
"$ECLUSE" mount --keyfile "$KEY" --state "$TMP/other.state" "$TMP/other.store" "$MNT"
echo foreign >"$MNT/foreign"
"$ECLUSE" umount --state "$TMP/other.state" "$MNT" >/dev/null
until_true no_daemon
cp -a "$TMP/other.store/segments/." "$STORE/segments/"
other=$(find "$TMP/other.store/segments" -type f | head -n 1)
newer "$other" >"$STORE/segments/00/$(head -c 15 /dev/urandom | xxd -p)"
takes "foreign objects" "$TMP/all"
