#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What the policy says of key slots holds in every command that opens a vault: no kind that is
# not allowed opens it, nor a passphrase that is too cheap; the recovery key always does.
. "$(dirname "$0")/policy.sh"

make_key() { (umask 077 && head -c 64 /dev/urandom >"$1"); }
kinds() { "$ECLUSE" key list --json --state "$1" "${2:-$STORE}" | jq -r '[.slots[].kind] | sort | join(" ")'; }

make_vault
make_key "$TMP/key"
key() { local action=$1; shift; "$ECLUSE" key "$action" --state "$STATE" "$@" "$STORE"; }
key add --passfile "$PASS" --new-keyfile "$TMP/key" >/dev/null
"$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT"
echo kept >"$MNT/f"
umount_vault
same "slots to begin with" "keyfile passphrase recovery" "$(kinds "$STATE")"

# --- a kind that is not allowed opens nothing, whichever command asks ----------------------

opens() { # opens SECRET-OPTION... : all commands that open a vault (accept has nothing to accept)
    denied slots "$ECLUSE" mount "$@" --state "$STATE" "$STORE" "$MNT"
    denied slots "$ECLUSE" check "$@" --state "$STATE" "$STORE"
    denied slots "$ECLUSE" salvage "$@" --state "$STATE" "$STORE" "$TMP/out"
    [ ! -e "$TMP/out" ] || fail "salvage made its folder"
    denied slots "$ECLUSE" audit verify "$@" --state "$STATE" "$STORE"
    denied slots "$ECLUSE" accept --older --yes "$@" --state "$STATE" "$STORE"
    denied slots key test "$@"
}
policy "slots = keyfile"
opens --passfile "$PASS"
opens --extpass "cat $PASS"
expect_exit 0 "$ECLUSE" check --keyfile "$TMP/key" --state "$STATE" "$STORE"
policy "slots = passphrase"
opens --keyfile "$TMP/key"
expect_exit 0 "$ECLUSE" audit verify --passfile "$PASS" --state "$STATE" "$STORE"
# Text may be a passphrase's or a credential's: which, shows when it opens.
policy "slots = credential"
opens --passfile "$PASS"
# Needing no key, or the recovery key, is no harm.
expect_exit 0 "$ECLUSE" check --no-key "$STORE"
expect_exit 0 "$ECLUSE" manifest --output "$TMP/sums" "$STORE"
expect_exit 0 "$ECLUSE" audit show --state "$STATE" "$STORE"
expect_exit 0 key list
expect_exit 0 "$ECLUSE" check --recovery-file "$SHEET" --state "$STATE" "$STORE"
expect_exit 0 "$ECLUSE" salvage --recovery-file "$SHEET" --state "$STATE" "$STORE" "$TMP/out"
rm -r "$TMP/out"
# While the vault is mounted its keyring is read beside the daemon, and judged alike.
policy "slots = keyfile"
"$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT"
denied slots "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"
denied slots key test --passfile "$PASS"
umount_vault
# A damaged index: neither a mount nor its rebuild.
cp -a "$STATE" "$TMP/spare"
rm "$STATE"/*/index.db
denied slots "$ECLUSE" mount --rebuild --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
denied slots "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"
"$ECLUSE" mount --rebuild --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT" >/dev/null
same "after a rebuild" kept "$(cat "$MNT/f")"
umount_vault
rm -r "$STATE" && mv "$TMP/spare" "$STATE"
# A passphrase that is too cheap is one that is not allowed.
policy "kdf_passes = 16"
denied kdf_passes "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
denied kdf_passes "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"
denied kdf_passes "$ECLUSE" salvage --passfile "$PASS" --state "$STATE" "$STORE" "$TMP/out"
denied kdf_passes "$ECLUSE" audit verify --passfile "$PASS" --state "$STATE" "$STORE"
denied kdf_passes "$ECLUSE" accept --older --yes --passfile "$PASS" --state "$STATE" "$STORE"
denied kdf_passes key test --passfile "$PASS"

# Who tends the slots may use what is no longer allowed, to make what is.
policy "slots = keyfile"
make_key "$TMP/key2"
expect_exit 0 key add --passfile "$PASS" --new-keyfile "$TMP/key2"
expect_exit 0 key remove --passfile "$PASS" --slot 4
denied slots key add --keyfile "$TMP/key" --new-passfile "$PASS"
denied slots key add --keyfile "$TMP/key" --new-extpass "cat $PASS"
denied slots "$ECLUSE" passwd --passfile "$PASS" --new-passfile "$PASS" --state "$STATE" "$STORE"
denied slots key tune --passfile "$PASS"
same "slots as they were" "keyfile passphrase recovery" "$(kinds "$STATE")"
# Contents do not leave a store elsewhere than is allowed in another way either; a copy can be checked.
policy "stores = /srv"
denied stores "$ECLUSE" salvage --recovery-file "$SHEET" --state "$STATE" "$STORE" "$TMP/out"
denied stores "$ECLUSE" accept --older --yes --keyfile "$TMP/key" --state "$STATE" "$STORE"
denied stores key add --keyfile "$TMP/key" --new-keyfile "$TMP/key2"
expect_exit 0 "$ECLUSE" check --keyfile "$TMP/key" --state "$STATE" "$STORE"
expect_exit 0 "$ECLUSE" check --recovery-file "$SHEET" "$STORE"
expect_exit 0 "$ECLUSE" audit verify --keyfile "$TMP/key" --state "$STATE" "$STORE"
# Nor under a policy that is not one, with whatever key.
policy "slots = sheep"
for with in --passfile=$PASS --keyfile=$TMP/key --recovery-file=$SHEET; do
    expect_exit 15 "$ECLUSE" check "$with" --state "$STATE" "$STORE"
    grep -q "policy.conf, line 1: slots: the value is not valid" "$TMP/said" || fail "not said: $(cat "$TMP/said")"
    expect_exit 15 "$ECLUSE" salvage "$with" --state "$STATE" "$STORE" "$TMP/out"
done
expect_exit 15 "$ECLUSE" audit verify --passfile "$PASS" --state "$STATE" "$STORE"
expect_exit 15 key test --passfile "$PASS"
