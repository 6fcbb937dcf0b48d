#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 10: files whose contents are objects of the vault are written through the mount, and
# the ciphertext of those contents is put where objects, footers and publications are
# expected: nothing sealed as a block opens as anything else, nor elsewhere.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
carrier=$(all_objects | xargs ls -S | tail -n 1)
all_objects >"$TMP/before"
for object in $(cat "$TMP/before"); do cp "$object" "$TRUTH/object-$(id_of "$object")"; done
cp "$STORE"/vault-*.ecl "$TRUTH/header"
cp "$TRUTH"/object-* "$TRUTH/header" "$MNT/"
flush_vault
made=$(all_objects | comm -13 "$TMP/before" - | xargs ls -S | head -n 1)
whole "objects as contents"
close_vault
keep good

# Pieces of the new object under names of their own.
plant() { # plant FILE : under a random id
    local id
    id=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    cp "$1" "$(path_of "$id")"
}
planted=0
for from in 0 12 96 108 $((96 + 4124)) $((108 + 4124)); do
    for size in 65536 131072; do
        dd if="$made" of="$TMP/piece" bs=64k skip="$from" count=$size iflag=skip_bytes,count_bytes,fullblock status=none
        truncate -s $size "$TMP/piece"
        plant "$TMP/piece"
        planted=$((planted + 1))
    done
done
opens "pieces of contents as objects"
whole "pieces of contents as objects"
same "they are counted" $planted "$(status_field foreign)"
close_vault
"$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered" "$STORE" >"$TMP/said" 2>&1 || fail "recover: $(cat "$TMP/said")"
says "cannot be read: $planted"
mkdir "$TMP/mnt2"
"$ECLUSE" mount --keyfile "$KEY" --state "$TMP/recovered" "$STORE" "$TMP/mnt2"
expect "the recovered tree is the truth" "$TOOLS/agree" "$TRUTH" "$TMP/mnt2"
"$ECLUSE" umount "$TMP/mnt2"
back good

# A sealed block where the footer of a carrier is, where its trailer is, where its header is.
size=$(stat -c %s "$carrier")
for at in 0 96 $((size - 4124)) $((size - 60)); do
    chmod u+w "$carrier"
    dd if="$made" of="$carrier" bs=1 skip=96 seek="$at" count=$((size - at < 4124 ? size - at : 4124)) conv=notrunc status=none
    if open_vault; then
        agrees "a block at $at of a carrier"
        close_vault || true
    fi
    code=0
    "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered-$at" "$STORE" >"$TMP/said" 2>&1 || code=$?
    if [ $code = 0 ]; then
        "$ECLUSE" mount --keyfile "$KEY" --state "$TMP/recovered-$at" "$STORE" "$TMP/mnt2"
        "$TOOLS/agree" "$TRUTH" "$TMP/mnt2" >"$TMP/agree" || says 'cannot be read: [1-9]'
        "$ECLUSE" umount "$TMP/mnt2"
    fi
    back good
done
