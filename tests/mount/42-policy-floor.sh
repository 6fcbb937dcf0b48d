#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# No command sets a passphrase at less than the floor of the policy, and each that makes one
# anew raises one that is older.
. "$(dirname "$0")/policy.sh"

passes() { "$ECLUSE" key list --json --state "$1" "${2:-$STORE}" | jq -r '[.slots[] | select(.kind == "passphrase") | .passes] | unique | join(" ")'; }
new_passphrase "$PASS"
mkdir "$MNT"

policy "kdf_passes = 7" "kdf_memory = 65M"
"$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet3" --state "$TMP/st5" "$TMP/store3" >/dev/null
least() { # least SENTENCE STATE STORE
    "$ECLUSE" key list --json --state "$2" "$3" |
        jq -e '[.slots[] | select(.kind == "passphrase")] | length > 0 and all(.passes >= 7 and .memory_kib >= 66560)' >/dev/null ||
        fail "$1: $("$ECLUSE" key list --json --state "$2" "$3")"
}
least init "$TMP/st5" "$TMP/store3"
new_passphrase "$TMP/pass2"
"$ECLUSE" key add --recovery-file "$TMP/sheet3" --new-passfile "$TMP/pass2" --state "$TMP/st5" "$TMP/store3" >/dev/null
"$ECLUSE" key remove --recovery-file "$TMP/sheet3" --slot 2 --state "$TMP/st5" "$TMP/store3" >/dev/null
least "key add" "$TMP/st5" "$TMP/store3"
"$ECLUSE" recover --recovery-file "$TMP/sheet3" --passfile "$PASS" --state "$TMP/st6" "$TMP/store3" >/dev/null
least recover "$TMP/st6" "$TMP/store3"
printf 'x' | dd of="$(echo "$TMP/st6"/*/keyring)" conv=notrunc status=none
"$ECLUSE" mount --rebuild --recovery-file "$TMP/sheet3" --passfile "$PASS" --state "$TMP/st6" "$TMP/store3" "$MNT" >/dev/null
"$ECLUSE" umount "$MNT"
least rebuild "$TMP/st6" "$TMP/store3"
no_policy
"$ECLUSE" recover --recovery-file "$TMP/sheet3" --passfile "$PASS" --state "$TMP/st7" "$TMP/store3" >/dev/null
least=$(($(passes "$TMP/st7" "$TMP/store3") + 4))
[ $least -le 16 ] || least=16
cp -a "$TMP/st7" "$TMP/st8"
policy "kdf_passes = $least"
"$ECLUSE" passwd --passfile "$PASS" --new-passfile "$PASS" --state "$TMP/st7" "$TMP/store3" >/dev/null
same passwd $least "$(passes "$TMP/st7" "$TMP/store3")"
"$ECLUSE" key tune --milliseconds 1 --passfile "$PASS" --state "$TMP/st8" "$TMP/store3" >/dev/null
same "key tune" $least "$(passes "$TMP/st8" "$TMP/store3")"
