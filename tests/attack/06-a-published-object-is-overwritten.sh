#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 6: header, commitment, blocks, footer and trailer of an object that was just
# published are overwritten in place while the vault is mounted, and stay so.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
for part in header commitment blocks footer trailer all; do
    all_objects >"$TMP/before"
    head -c 50000 /dev/urandom >"$TRUTH/new-$part"
    cp "$TRUTH/new-$part" "$MNT/"
    flush_vault
    object=$(all_objects | comm -13 "$TMP/before" - | head -n 1)
    size=$(stat -c %s "$object")
    case $part in
    header) from=0 len=64 ;;
    commitment) from=64 len=32 ;;
    blocks) from=96 len=50000 ;;
    footer) from=$((96 + 50000 + 13 * 28)) len=200 ;;
    trailer) from=$((size - 60)) len=60 ;;
    all) from=0 len=$size ;;
    esac
    cp -p "$object" "$TMP/object"
    chmod u+w "$object"
    head -c $len /dev/urandom | dd of="$object" bs=64k seek=$from oflag=seek_bytes conv=notrunc status=none iflag=fullblock
    agrees "$part overwritten while mounted"
    case $part in blocks | all) [ "$eio" -gt 0 ] || fail "$part: nothing is refused" ;; esac
    # The next publication goes on all the same.
    echo "$part" >"$TRUTH/after-$part" && cp "$TRUTH/after-$part" "$MNT/"
    flush_vault || fail "$part: it does not publish any more"
    agrees "$part overwritten, and published upon"
    close_vault
    opens "$part overwritten, mounted again"
    agrees "$part overwritten, mounted again"
    case $part in
    footer | trailer) same "$part: only a recovery needs it" 0 "$eio" ;;
    *)
        [ "$eio" -gt 0 ] || fail "$part: nothing is refused"
        says "ECL-0201 segment $(id_of "$object"): E_"
        [ "$(status_field refused)" -gt 0 ] || fail "$part: it is not counted"
        ;;
    esac
    # Whoever recovers from it is told.
    code=0
    "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered-$part" "$STORE" >"$TMP/said" 2>&1 || code=$?
    [ "$part" = blocks ] || [ $code != 0 ] || fail "$part: recovered as if nothing were wrong: $(cat "$TMP/said")"
    cat "$TMP/object" >"$object" && chmod 444 "$object"
    close_vault
    opens "$part put right"
    whole "$part put right"
done
close_vault
