#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 4: markers of a rotation, a recovery or a migration that was half done, in the store
# or in the header's reserved bytes: there is no such state in a store, so they are foreign
# files or a refusal; no plaintext is ever written for them.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
cp "$TRUTH/numbers" "$TMP/word"
close_vault
keep good
header=$(echo "$STORE"/vault-*.ecl)

name=${header##*/}
for marker in rotation rotation.lock recovery recovering rebuilding damaged reencrypt .rotate "$name.new" "$name.old" \
    "$name~" "segments/rotation" segments/.rebuild "segments/00/rebuilding" keyring index.db journal; do
    echo "resume decryption" >"$STORE/$marker"
done
mkdir "$STORE/staging" "$STORE/decrypted"
opens "markers in the store"
whole "markers in the store"
[ "$(status_field foreign)" -ge 15 ] || fail "only $(status_field foreign) files are counted as foreign"
flush_vault
close_vault
same "what is in the planted directories" "" "$(find "$STORE/staging" "$STORE/decrypted" -mindepth 1)"
expect "no plaintext in the store" "$TOOLS/hunt" "$TMP/word" -- "$STORE" "$STATE"
back good

# In the reserved bytes of header and objects; under a right checksum.
for at in 32 40 60; do
    "$FORGE" word "$header" $at 1 && "$FORGE" sum "$header"
    unchanged "the refusal" refused 8 "a mark in the header at $at"
    back_store good
done
for object in $(all_objects); do "$FORGE" word "$object" 20 1; done
opens "marks in objects"
agrees "marks in objects"
same "what is read from objects with a mark" 0 "$blocks"
close_vault
back good
# A second header: nobody chooses between two.
cp "$header" "$STORE/vault-00000000000000000000000000000000.ecl"
unchanged "the refusal" refused 2 "two headers"
expect "no plaintext in the store" "$TOOLS/hunt" "$TMP/word" -- "$STORE" "$STATE"
