#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The ways into a vault: each kind is added, listed, tried, mounts, and is removed; the
# last one stays; a passphrase gets dearer to guess, never cheaper; and the store is never
# touched.
. "$(dirname "$0")/slots.sh"

same "slots of a new vault" "recovery keyfile" "$(kind_of 1) $(kind_of 2)"

# --- each kind -----------------------------------------------------------------------

new_passphrase "$PASS" && new_passphrase "$TMP/bob"
did add --keyfile "$KEY" --new-passfile "$PASS" --label "Alice – été"
did add --keyfile "$KEY" --new-passfile "$TMP/bob" --label Bob
did add --keyfile "$KEY" --new-keyfile "$TMP/made" --generate
same "the new key file" "600 64" "$(stat -c '%a %s' "$TMP/made")"
did add --keyfile "$TMP/made" --store-with "tee '$TMP/kept by a program'" --new-extpass "cat '$TMP/kept by a program'"
grep -q "$(cat "$TMP/kept by a program")" "$TMP/said" && fail "the secret was shown"
grep -qaF "$(cat "$TMP/kept by a program")" -r "$STATE" "$STORE" && fail "the secret is in a file of ours"
same "kinds" "recovery keyfile passphrase passphrase keyfile command" "$(for n in 1 2 3 4 5 6; do kind_of $n; done | tr '\n' ' ' | sed 's/ $//')"
same "labels" "Alice – été,Bob," "$(label_of 3),$(label_of 4),$(label_of 5)"
key list --json --keyfile "$KEY" >"$TMP/json"
same "the list is JSON" 1 "$(sqlite3 :memory: "SELECT json_valid(readfile('$TMP/json'))")"
grep -q '"authenticated": true' "$TMP/json" || fail "a list with a key is not authenticated"
key list --json | grep -q '"authenticated": false' || fail "a list without a key is said to be authenticated"
same "a command's secret is not stretched" "0 0" "$(cost_of 6)"
read -r memory passes <<<"$(cost_of 3)"
[ "$memory" -ge 65536 ] && [ "$passes" -ge 3 ] || fail "cost of a passphrase: $memory KiB, $passes passes"

opens "the first passphrase" --passfile "$PASS"
opens "the second passphrase" --passfile "$TMP/bob"
opens "the generated key file" --keyfile "$TMP/made"
opens "what a program keeps" --extpass "cat '$TMP/kept by a program'"
did test --passfile "$TMP/bob"
grep -q 'Slot 4 ' "$TMP/said" || fail "another slot is said to open: $(cat "$TMP/said")"
expect_exit 4 key test --slot 3 --passfile "$TMP/bob"
did test --recovery-file "$SHEET"
grep -q 'Slot 1 ' "$TMP/said" || fail "the recovery key: $(cat "$TMP/said")"
make_key "$TMP/wrong" && expect_exit 4 key test --keyfile "$TMP/wrong"

# --- while mounted ----------------------------------------------------------------------

"$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT"
did list --keyfile "$KEY"
did test --keyfile "$TMP/made"
expect_exit 6 key add --keyfile "$KEY" --new-passfile "$PASS"
expect_exit 6 key remove --slot 3 --keyfile "$KEY"
expect_exit 6 key tune --passfile "$PASS"
umount_vault

# --- passwd, tune ------------------------------------------------------------------------

new_passphrase "$TMP/new"
expect_exit 1 "$ECLUSE" passwd --keyfile "$KEY" --new-passfile "$TMP/new" --state "$STATE" "$STORE"
grep -q -- --slot "$TMP/said" || fail "passwd does not ask which: $(cat "$TMP/said")"
expect_exit 1 "$ECLUSE" passwd --keyfile "$KEY" --new-passfile "$TMP/new" --slot 5 --state "$STATE" "$STORE"
"$ECLUSE" passwd --passfile "$PASS" --new-passfile "$TMP/new" --state "$STATE" "$STORE" >/dev/null
did test --slot 3 --passfile "$TMP/new"
did test --slot 4 --passfile "$TMP/bob"
expect_exit 4 key test --slot 3 --passfile "$PASS"
mv "$TMP/new" "$PASS"
same "its label stays" "Alice – été" "$(label_of 3)"

cost=$(cost_of 4)
did tune --passfile "$TMP/bob" --milliseconds 1
same "a cost that is not lowered" "$cost" "$(cost_of 4)"
read -r memory passes <<<"$cost"
did tune --passfile "$TMP/bob" --slot 4 --milliseconds 2500
read -r dearer longer <<<"$(cost_of 4)"
[ "$dearer" -ge "$memory" ] && [ "$longer" -ge "$passes" ] && [ $((dearer * longer)) -gt $((memory * passes)) ] ||
    fail "tuned from $cost to $dearer $longer"
did test --slot 4 --passfile "$TMP/bob"
expect_exit 1 key tune --keyfile "$KEY"
same "what was not tuned" "keyfile 0 0" "$(kind_of 2) $(cost_of 2)"

# --- remove -----------------------------------------------------------------------------------

did remove --slot 4 --keyfile "$KEY"
expect_exit 4 key test --passfile "$TMP/bob"
did add --keyfile "$KEY" --new-keyfile "$TMP/wrong"
same "a free number is taken again" keyfile "$(kind_of 4)"
for n in 1 3 4 5; do did remove --slot $n --keyfile "$KEY"; done
did remove --slot 6 --keyfile "$KEY"
expect_exit 10 key remove --slot 2 --keyfile "$KEY"
same "the last one stays" "keyfile" "$(kind_of 2)"
did test --keyfile "$KEY"
expect_exit 4 "$ECLUSE" passwd --recovery-file "$SHEET" --new-passfile "$PASS" --state "$STATE" "$STORE"
did add --keyfile "$KEY" --new-recovery-file "$SHEET" --label sheet
did remove --slot 2 --recovery-file "$SHEET"
grep -q 'Only the recovery key' "$TMP/said" || fail "it is not said that only the recovery key is left"
did add --recovery-file "$SHEET" --new-keyfile "$KEY"
did add --keyfile "$KEY" --new-recovery-file "$SHEET"
same "one recovery key, one slot" "recovery keyfile 2" "$(kind_of 1) $(kind_of 2) $(slots)"
same "its label stays" sheet "$(label_of 1)"

for n in 3 4 5 6 7 8; do did add --keyfile "$KEY" --new-keyfile "$TMP/made"; done
expect_exit 10 key add --keyfile "$KEY" --new-keyfile "$TMP/none" --generate
[ ! -e "$TMP/none" ] || fail "a key file was made for which there is no slot"
for n in 3 4 5 6 7 8; do did remove --slot $n --keyfile "$KEY"; done
same "the store was never touched" "$(cat "$TMP/objects")" "$(objects)"
opens "the vault is whole" --keyfile "$KEY"
