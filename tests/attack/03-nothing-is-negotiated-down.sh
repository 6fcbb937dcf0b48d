#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 3: suites, formats and costs of the key derivation that are huge, zero or others, in
# vault header, keyring and objects, under right checksums: refused at once, without taking
# memory, and never anything weaker.
. "$(dirname "$0")/lib.sh"

make_attacked --passfile <(echo "a passphrase that is long enough")
PASS2=$TMP/pass2 && (umask 077 && echo "a passphrase that is long enough" >"$PASS2")
opens "a new vault"
fill
close_vault
keep good
header=$(echo "$STORE"/vault-*.ecl) keyring=$DIR/keyring

for value in 0 2 3 255 0x7fffffff 0xffffffff; do
    for at in 8 12; do
        [ $at = 12 ] && [ "$("$FORGE" word /dev/null 0 0 2>/dev/null; od -An -tu4 -j12 -N4 "$header" | tr -d ' ')" = $((value)) ] && continue
        "$FORGE" word "$header" $at $value && "$FORGE" sum "$header"
        refused "2 8" "header: $value at $at"
        back_store good
    done
done

# The slots: recovery key, passphrase, key file.  Costs of the passphrase's slot.
slot=$((40 + 132))
same "the passphrase's slot" 1 "$(od -An -tu4 -j$slot -N4 "$keyring" | tr -d ' ')"
case $ECLUSE in */address,undefined/* | */thread/*) room=unlimited ;; *) room=4000000 ;; esac
try_pass() { (ulimit -v $room && timeout 20 "$ECLUSE" mount --passfile "$PASS2" --state "$STATE" "$STORE" "$MNT") >"$TMP/said" 2>&1; }
for at in 4 8; do
    for value in 0 1 2 17 65535 1048577 0x7fffffff 0xffffffff; do
        [ $at = 8 ] && [ "$value" = 17 ] || [ $at = 4 ] || [ $((value)) -lt 3 ] || [ $((value)) -gt 16 ] || continue
        "$FORGE" word "$keyring" $((slot + at)) $value && "$FORGE" sum "$keyring"
        begin=${EPOCHREALTIME/[.,]/}
        code=0
        try_pass || code=$?
        same "cost $value at $at" 5 "$code"
        [ $((${EPOCHREALTIME/[.,]/} - begin)) -lt 2000000 ] || fail "cost $value at $at was tried"
        back good
    done
done
# A cost within the bounds, but another one, is another key.
"$FORGE" word "$keyring" $((slot + 8)) 4 && "$FORGE" sum "$keyring"
code=0 && try_pass || code=$?
same "another cost" 4 "$code"
back good

# Objects: suite and format of each header.
for object in $(all_objects); do
    for at in 8 12 16; do "$FORGE" word "$object" $at 2; done
done
opens "objects say that they are of another suite and format"
agrees "objects say that they are of another suite and format"
same "what is read from them" 0 "$blocks"
says 'ECL-0201 segment [0-9a-f]{32}: E_(NEWER_FORMAT|FORMAT|AUTH)' 
close_vault
