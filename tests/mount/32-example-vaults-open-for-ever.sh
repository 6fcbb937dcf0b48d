#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The example vault of each version of the format (scripts/make-example-vault), with
# its recovery sheet: it is recovered, byte for byte, passes every form of check, gives its
# contents to a salvage, and can be worked in. So whoever keeps store and key reads it
# with any later version.
. "$(dirname "$0")/lib.sh"

new_passphrase "$PASS"
mkdir "$MNT"
count=0
for vault in "$ROOT"/tests/data/vaults/v*/; do
    example=$(basename "$vault")
    rm -rf "$STORE" "$STATE" "$TMP/out"
    cp -r "$vault/store" "$STORE"
    (umask 077 && cat "$vault/recovery" >"$SHEET")
    listing "$STORE" >"$TMP/before"
    (cd "$STORE" && sha256sum -c --quiet "$vault/manifest") || fail "$example is not what it was"

    expect_exit 0 "$ECLUSE" check --no-key --manifest "$vault/manifest" "$STORE"
    expect_exit 0 "$ECLUSE" check --recovery-file "$SHEET" --read-data "$STORE"
    expect_exit 0 "$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$STATE" "$STORE"
    expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" --read-data "$STORE"
    mount_vault -o ro
    "$ROOT/tests/data/vaults/describe" "$MNT" >"$TMP/listing"
    diff "$vault/listing" "$TMP/listing" >"$TMP/said" || fail "$example is not the tree that it was: $(cat "$TMP/said")"
    umount_vault

    # A salvage: 8 for holes, which look like segments that are missing.
    code=0
    "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/out" >"$TMP/said" 2>&1 || code=$?
    [ $code = 0 ] || [ $code = 8 ] || fail "$example: salvage: exit $code: $(cat "$TMP/said")"
    find "$TMP/out" -type f ! -name '*.incomplete' -exec sha256sum {} + | cut -c 1-64 | sort -u >"$TMP/salvaged"
    while read -r hash name; do
        # Empty files have no blocks, that with a hole is longer than its blocks, and the size that
        # one was cut to is in no segment.
        case $name in */rien | */troué | */5000 | *même) continue ;; esac
        grep -qx "$hash" "$TMP/salvaged" || fail "$example: a salvage did not give $name"
    done < <(grep -aE '^[0-9a-f]{64}  ' "$vault/listing")
    listing "$STORE" >"$TMP/after"
    cmp -s "$TMP/before" "$TMP/after" || fail "$example: reading changed the store"

    mount_vault 2>/dev/null
    echo new >"$MNT/new"
    umount_vault
    (cd "$STORE" && sha256sum -c --quiet "$vault/manifest") || fail "$example: working in it changed what was there"
    expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" --read-data "$STORE"
    count=$((count + 1))
done
expect "there are examples" [ $count -ge 1 ]
