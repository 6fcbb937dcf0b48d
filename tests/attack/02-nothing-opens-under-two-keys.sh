#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 2: a slot, or an object, whose sealed bytes open under a second key too is refused by
# the commitment, which is compared before anything is opened.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
close_vault
keep good

# A slot of which all but the commitment is right for another key file: both are refused.
new_key "$TMP/other"
"$FORGE" slot "$DIR/keyring" "$TMP/other" "$KEY"
cp "$KEY" "$TMP/first"
refused 4 "the first key of a slot for two"
cp "$TMP/other" "$KEY"
refused 4 "the second key of a slot for two"
cp "$TMP/first" "$KEY"
back good

# Objects that open under epoch 0's key, but for the commitment: of another key, of an
# epoch that does not exist.  They are nothing of ours: named, counted, passed over.
for epoch in 0 7; do
    id=$("$FORGE" object "$DIR" "$KEY" $epoch "$STORE/segments")
    opens "an object under two keys"
    says "ECL-0322 object $id .*E_AUTH"
    agrees "an object under two keys"
    same "all is there" 0 "$eio"
    [ "$(status_field foreign)" -ge 1 ] || fail "it is not counted"
    close_vault
    # An altered object may hold the newest changes; whoever knows better says so.
    expect_exit 8 "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered-$epoch" "$STORE"
    says "ECL-0351 object $id "
    "$ECLUSE" recover --partial --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered-$epoch" "$STORE" \
        >"$TMP/said" 2>&1 || fail "recover: $(cat "$TMP/said")"
    says 'cannot be read: [1-9]'
    back good
done

# And one in the place of an object that is needed.
for object in $(all_objects); do
    id=$("$FORGE" object "$DIR" "$KEY" 0 "$STORE/segments")
    mv -f "$(path_of "$id")" "$object"
done
open_vault || says 'older than what this device' # its own last one may have another length
if mountpoint -q "$MNT"; then
    agrees "objects replaced"
    [ "$blocks" = 0 ] || fail "$blocks blocks were read from objects under another key"
    says 'ECL-0201 segment .*: E_'
    close_vault
fi
