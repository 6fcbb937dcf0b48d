#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Killed, torn or failed at each step of each change of the key slots, the keyring is the
# old one or the new one, whole; what it names opens it; the store is not touched; and the
# next change leaves no second keyring behind.
# Needs a build with FAULTS=1.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/slots.sh"

new_passphrase "$PASS" && new_passphrase "$TMP/new"
did add --keyfile "$KEY" --new-passfile "$PASS"
did add --keyfile "$KEY" --new-keyfile "$KEY" --label spare
cp -a --sparse=always "$STATE" "$TMP/kept"

command_add() { fault key add --keyfile "$KEY" --new-keyfile "$TMP/made" --generate; }
command_remove() { fault key remove --keyfile "$KEY" --slot 4; }
command_tune() { fault key tune --passfile "$PASS" --milliseconds 500; }
command_passwd() { fault passwd --passfile "$PASS" --new-passfile "$TMP/new"; }
fault() { ECLUSE_FAULT=$fault ECLUSE_FAULT_LOG=$TMP/passed "$ECLUSE" "$@" --state "$STATE" "$STORE" >"$TMP/said" 2>&1; }

back() { # the keyring as it was
    rm -f "$DIR"/keyring.new-* "$TMP/made"
    cp "$TMP/kept/$VAULT/keyring" "$DIR/keyring"
}
opened_by() { "$ECLUSE" key test --slot "$1" "${@:2}" --state "$STATE" "$STORE" >/dev/null 2>&1; }

# Each slot that is there opens with what it should.
intact() {
    key list --json --keyfile "$KEY" >"$TMP/list" 2>"$TMP/said" || fail "the keyring is neither old nor new, $what: $(cat "$TMP/said")"
    grep -q '"authenticated": true' "$TMP/list" || fail "not authenticated, $what"
    opened_by 1 --recovery-file "$SHEET" && opened_by 2 --keyfile "$KEY" || fail "slots that nobody touched, $what"
    case $command in
    tune | passwd)
        opened_by 3 --passfile "$PASS" || opened_by 3 --passfile "$TMP/new" ||
            fail "neither the old nor the new passphrase, $what"
        ;;
    esac
    case $(jq -c '[.slots[].slot]' "$TMP/list") in
    '[1,2,3]' | '[1,2,3,4]') ;;
    '[1,2,3,4,5]') opened_by 5 --keyfile "$TMP/made" || fail "a slot whose key is nowhere, $what" ;;
    *) fail "other slots, $what: $(cat "$TMP/list")" ;;
    esac
}

runs=0
for command in add remove tune passwd; do
    for point in key_file keyring_write keyring_rename; do
        [ $point != key_file ] || [ $command = add ] || continue # only that makes one
        for action in kill torn ENOSPC; do
            for passage in $(seq 20); do
                back
                : >"$TMP/passed"
                fault=$point:$action:$passage what="$command with $point:$action:$passage" code=0
                command_$command || code=$?
                intact
                runs=$((runs + 1))
                [ $code != 0 ] || break
                # A failure is told, and what was not done is not said to be.
                grep -qE 'opens the vault from now on|is removed|before,|has been changed' "$TMP/said" &&
                    fail "it is said to be done, $what: $(cat "$TMP/said")"
                # The next change works, and is the only keyring then.
                fault=''
                fault key add --keyfile "$KEY" --new-keyfile "$KEY" || fail "the next change, $what: $(cat "$TMP/said")"
                same "keyrings, $what" keyring "$(cd "$DIR" && echo keyring*)"
            done
            [ "$passage" -lt 20 ] || fail "no end of passages, $what"
        done
    done
done
[ $runs -gt 50 ] || fail "only $runs runs: were the points met?"
same "the store was never touched" "$(cat "$TMP/objects")" "$(objects)"
back
opens "the vault is whole" --keyfile "$KEY"
echo "$runs runs"
