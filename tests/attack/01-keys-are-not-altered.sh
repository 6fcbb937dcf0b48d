#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 1: each byte of the vault header and of the keyring, as it is and under a checksum
# that was made right again; slots exchanged, copied and taken from another vault: refused
# before anything is written, and all failures of a slot are one.  ALL=1 tries every byte and not
# every fifth or thirteenth.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
close_vault
header=$(echo "$STORE"/vault-*.ecl) keyring=$DIR/keyring
cp -p "$header" "$TMP/header"
cp -p "$keyring" "$TMP/keyring"
STORE=$TMP/store2 STATE=$TMP/state2 SHEET=$TMP/sheet2 make_attacked # the same owner, the same key
DIR=$(echo "$STATE"/*)
listing "$STATE" "$STORE" >"$TMP/pristine"

# altered FILE KEPT OFFSET CODES : the byte is another one, with and without a right checksum
altered() {
    "$FORGE" flip "$1" "$3"
    refused "$4" "$1, byte $3"
    "$FORGE" sum "$1"
    if ! cmp -s "$1" "$2"; then refused "$4" "$1, byte $3 under a right checksum"; fi
    restore "$1" "$2"
}
restore() { cat "$2" >"$1" && chmod --reference="$2" "$1" && touch -r "$2" "$1"; }

tries=0
[ -n "${ALL:-}" ] && stride=1 || stride=5
for at in $(seq $((RANDOM % stride)) "$stride" 127); do
    altered "$header" "$TMP/header" "$at" "2 7 8 11"
    tries=$((tries + 2))
done
size=$(stat -c %s "$keyring")
[ -n "${ALL:-}" ] && stride=1 || stride=13
for at in $(seq $((RANDOM % stride)) "$stride" $((size - 1))); do
    altered "$keyring" "$TMP/keyring" "$at" "2 4 5 11"
    tries=$((tries + 2))
done
echo "$tries alterations"

# One error for whatever is wrong with a slot, and no other than for a wrong key.
cp "$KEY" "$TMP/right" && new_key "$KEY.wrong"
wrong() { timeout 60 "$ECLUSE" mount --keyfile "$KEY.wrong" --state "$STATE" "$STORE" "$MNT" 2>&1; }
! sentence=$(wrong) || fail "a wrong key opened"
slot=$((40 + 132))
for at in 12 27 28 59 60 83 84 115 131; do
    "$FORGE" flip "$keyring" $((slot + at)) && "$FORGE" sum "$keyring"
    refused 4 "byte $at of the slot"
    same "the sentence for byte $at of the slot" "$sentence" "$(grep -v '^ECL-0373 ' "$TMP/said")"
    restore "$keyring" "$TMP/keyring"
done

# Slots that change places, one instead of the other, and the keyring of another vault.
"$FORGE" exchange "$keyring" 40 $slot 132 && "$FORGE" sum "$keyring"
refused 5 "slots exchanged"
restore "$keyring" "$TMP/keyring"
other=$(echo "$TMP"/state2/*/keyring)
cat "$other" >"$keyring"
refused 11 "the keyring of another vault"
dd if="$other" of="$TMP/transplanted" bs=1 skip=$slot count=132 status=none
restore "$keyring" "$TMP/keyring"
dd if="$TMP/transplanted" of="$keyring" bs=1 seek=$slot conv=notrunc status=none
"$FORGE" sum "$keyring"
refused 4 "a slot of another vault under the same key"
restore "$keyring" "$TMP/keyring"
# The header of another vault of the owner.
cat "$TMP"/store2/vault-*.ecl >"$header"
refused "7 8 11" "the header of another vault in this one's file"
restore "$header" "$TMP/header"

listing "$STATE" "$STORE" | cmp -s - "$TMP/pristine" || fail "a refusal wrote something"
# The slot of a random text, and the notes beside the slots: the same.
"$ECLUSE" key add --keyfile "$KEY" --store-with "tee $TMP/text" --new-extpass "cat $TMP/text" --label here --state "$STATE" "$STORE" >/dev/null
cp -p "$keyring" "$TMP/keyring"
slot=$((40 + 2 * 132)) notes=$((40 + 3 * 132))
text() { expect_exit "$1" "$ECLUSE" key test --extpass "cat $TMP/text" --state "$STATE" "$STORE"; }
text 0
for at in 12 27 28 59 60 83 84 115 131; do
    "$FORGE" flip "$keyring" $((slot + at)) && "$FORGE" sum "$keyring"
    text 4
    refused 5 "byte $at of a slot beside the one that opens"
    restore "$keyring" "$TMP/keyring"
done
"$FORGE" word "$keyring" $slot 5 && "$FORGE" sum "$keyring"
text 4 # a credential's now, and another key
restore "$keyring" "$TMP/keyring"
"$FORGE" word "$keyring" $slot 1 && "$FORGE" sum "$keyring"
text 5 # a passphrase without a cost
restore "$keyring" "$TMP/keyring"
for at in 0 4 8 16 20 79; do
    "$FORGE" flip "$keyring" $((notes + 160 + at)) && "$FORGE" sum "$keyring"
    refused 5 "byte $at of a note"
    restore "$keyring" "$TMP/keyring"
done
"$FORGE" exchange "$keyring" $notes $((notes + 80)) 80 && "$FORGE" sum "$keyring"
refused 5 "notes exchanged"
restore "$keyring" "$TMP/keyring"

opens "all is as it was"
whole "all is as it was"
close_vault
