#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A vault that is new, recovered or rebuilt gets only slots that the policy allows, and the recovery
# key's if there is no other; a recovery that was interrupted too.
. "$(dirname "$0")/policy.sh"

make_key() { (umask 077 && head -c 64 /dev/urandom >"$1"); }
kinds() { "$ECLUSE" key list --json --state "$1" "${2:-$STORE}" | jq -r '[.slots[].kind] | sort | join(" ")'; }

make_key "$TMP/key"
make_key "$TMP/key2"
new_passphrase "$PASS"
mkdir "$MNT"
"$ECLUSE" init --keyfile "$TMP/key" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
"$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT"
echo kept >"$MNT/f"
umount_vault

# --- recovered, rebuilt or new: only slots that are allowed ----------------------------------

recover() { "$ECLUSE" recover --recovery-file "$SHEET" --state "$1" "${@:2}" "$STORE"; }
policy "slots = keyfile, credential"
expect_exit 15 recover "$TMP/st1" --passfile "$PASS"
expect_exit 15 recover "$TMP/st1" --extpass "cat $PASS"
[ ! -e "$TMP/st1" ] || fail "a refused recovery left something"
recover "$TMP/st1" </dev/null >"$TMP/said" || fail "without a way in: $(cat "$TMP/said")"
same "only the recovery key" recovery "$(kinds "$TMP/st1")"
grep -q "allows no passphrase here" "$TMP/said" || fail "it does not say so: $(cat "$TMP/said")"
grep -q "it allows (key file, systemd credential)" "$TMP/said" || fail "which are? $(cat "$TMP/said")"
grep -qF "ecluse key add --recovery-file SHEET --state $TMP/st1 … $STORE" "$TMP/said" || fail "no way on: $(cat "$TMP/said")"
grep -q "To work in it" "$TMP/said" && fail "it cannot be mounted yet: $(cat "$TMP/said")"
# What it says is the way on.
"$ECLUSE" key add --recovery-file "$SHEET" --state "$TMP/st1" --new-keyfile "$TMP/key" "$STORE" >/dev/null
"$ECLUSE" mount --keyfile "$TMP/key" --state "$TMP/st1" "$STORE" "$MNT"
same "after a recovery" kept "$(cat "$MNT/f")"
"$ECLUSE" umount "$MNT"
# An allowed kind that is given is used.
recover "$TMP/st2" --keyfile "$TMP/key2" >"$TMP/said"
same "the key file that was given" "keyfile recovery" "$(kinds "$TMP/st2")"
grep -q "To work in it" "$TMP/said" || fail "it can be mounted: $(cat "$TMP/said")"
policy "slots = passphrase"
expect_exit 15 recover "$TMP/st3" --keyfile "$TMP/key2"
LC_ALL=fr_CA.UTF-8 LANGUAGE='' "$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/st3" "$STORE" >/dev/null
same "a passphrase that is allowed" "passphrase recovery" "$(kinds "$TMP/st3")"

# One that was interrupted goes on, and gets the slots that are allowed by then.
need strace
cut=0 vault=$(basename "$STATE"/*)
for step in $(seq 22 -3 1); do
    rm -rf "$TMP/st9"
    policy "slots = keyfile"
    strace -f -o /dev/null -e trace=fdatasync,fsync -e "inject=fdatasync,fsync:signal=SIGKILL:when=$step" \
        "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$TMP/key" --state "$TMP/st9" "$STORE" >/dev/null 2>&1 && continue
    [ ! -e "$TMP/st9/$vault/keyring" ] || continue    # it was done
    cut=$((cut + 1))
    policy "slots = credential"
    recover "$TMP/st9" </dev/null >"$TMP/said" 2>&1 || fail "after a cut at $step: $(cat "$TMP/said")"
    same "the slots after a cut at $step" recovery "$(kinds "$TMP/st9")"
done
[ $cut -gt 2 ] || fail "only $cut recoveries were cut"
policy "slots = keyfile"
"$ECLUSE" key add --recovery-file "$SHEET" --state "$TMP/st9" --new-keyfile "$TMP/key" "$STORE" >/dev/null
"$ECLUSE" mount --keyfile "$TMP/key" --state "$TMP/st9" "$STORE" "$MNT"
same "after a cut" kept "$(cat "$MNT/f")"
"$ECLUSE" umount "$MNT"

# A rebuild whose keyring is damaged: the recovery key opens the mount that follows, and nothing else is made.
policy "slots = credential"
printf 'x' | dd of="$(echo "$STATE"/*/keyring)" conv=notrunc status=none
"$ECLUSE" mount --rebuild --recovery-file "$SHEET" --state "$STATE" "$STORE" "$MNT" </dev/null >"$TMP/said" || fail "no rebuild: $(cat "$TMP/said")"
same "mounted all the same" kept "$(cat "$MNT/f")"
grep -q "allows no passphrase here" "$TMP/said" || fail "it does not say so: $(cat "$TMP/said")"
umount_vault
same "only the recovery key, after a rebuild" recovery "$(kinds "$STATE")"
same "with which it was opened" recovery "$(jq -r 'select(.event == "unlocked") | .with' "$STATE"/*/audit | tail -1)"

# A new vault, where no kind that init makes is allowed.
expect_exit 15 "$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet2" --state "$TMP/st4" "$TMP/store2"
"$ECLUSE" init --recovery-out "$TMP/sheet2" --state "$TMP/st4" "$TMP/store2" </dev/null >"$TMP/said"
same "a new vault" recovery "$(kinds "$TMP/st4" "$TMP/store2")"
grep -q "it allows (systemd credential)" "$TMP/said" || fail "which are? $(cat "$TMP/said")"
