#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 7: blocks exchanged, doubled, dropped; any range zeroed, punched, replaced; objects
# cut, from the whole to nothing, and extended.  STRIDE (997) is the step of the cuts; ALL=1
# cuts at every byte.
. "$(dirname "$0")/lib.sh"

make_attacked
mkdir "$TRUTH"
head -c 30000 /dev/urandom >"$TRUTH/small"   # one object of 64 KiB
opens "a new vault"
cp "$TRUTH/small" "$MNT/" && flush_vault
small=$(all_objects)
head -c 900000 /dev/urandom >"$TRUTH/larger"
cp "$TRUTH/larger" "$MNT/" && flush_vault
large=$(all_objects | grep -v "$small" | xargs ls -S | head -n 1)
close_vault
keep good
size=$(stat -c %s "$large")
sealed=4124

tries=0
attack() { # attack WHY MUST-BE-NOTICED COMMAND...
    local why=$1 must=$2
    shift 2
    chmod u+w "$small" "$large"
    "$@"
    if open_vault; then
        agrees "$why"
        [ "$eio" -gt 0 ] || [ "$must" = no ] || fail "$why: not noticed"
        [ "$eio" = 0 ] || says "ECL-0201 segment $(id_of "$large"): E_"
        close_vault || true
    else
        says 'older than what this device'
    fi
    back good
    tries=$((tries + 1))
}
range() { dd "$@" bs=64k conv=notrunc status=none iflag=fullblock,skip_bytes,count_bytes oflag=seek_bytes; }
copy_block() { range if="$1" skip=$((96 + $2 * sealed)) count=$sealed of="$TMP/block"; range if="$TMP/block" of="$1" seek=$((96 + $3 * sealed)); }
drop_block() { { head -c $((96 + $2 * sealed)) "$1" && tail -c +$((97 + ($2 + 1) * sealed)) "$1" && head -c $sealed /dev/zero; } >"$TMP/x" && cat "$TMP/x" >"$1"; }

for _ in 1 2 3 4; do
    a=$((RANDOM % 100)) b=$((100 + RANDOM % 100))
    attack "blocks $a and $b exchanged" yes "$FORGE" exchange "$large" $((96 + a * sealed)) $((96 + b * sealed)) $sealed
    attack "block $a doubled" yes copy_block "$large" $a $b
    attack "block $a dropped" yes drop_block "$large" $a
    attack "nonces of $a and $b exchanged" yes "$FORGE" exchange "$large" $((96 + a * sealed)) $((96 + b * sealed)) 12
    attack "a bit of block $b" yes "$FORGE" flip "$large" $((96 + b * sealed + RANDOM % sealed))
    at=$((96 + RANDOM * 25)) len=$((1 + RANDOM * 3))
    attack "$len zeros at $at" yes range if=/dev/zero of="$large" seek=$at count=$len
    attack "$len random bytes at $at" yes range if=/dev/urandom of="$large" seek=$at count=$len
    attack "a hole of 8192 bytes in block $a" yes fallocate -p -o $((96 + a * sealed)) -l 8192 "$large"
done
attack "all zeros" yes range if=/dev/zero of="$large" count="$size"
attack "extended by a byte" no sh -c 'echo -n x >>"$1"' sh "$large"
attack "extended to the next size class" no truncate -s $((2 * size)) "$large"
attack "doubled" no sh -c 'cat "$1" >"$2" && cat "$2" >>"$1"' sh "$large" "$TMP/x"
attack "an object within an object" yes range if="$small" of="$large" seek=4096
echo "$tries alterations"

# Cuts, from the end on, while mounted: each block is there, or refused.
opens "before the cuts"
[ -n "${ALL:-}" ] && stride=1 || stride=${STRIDE:-997}
chmod u+w "$small"
cuts=0
for at in $(seq $((65536 - 1 - RANDOM % stride)) -$stride 0) 0; do
    truncate -s "$at" "$small"
    agrees "cut at $at"
    cuts=$((cuts + 1))
done
[ "$eio" -gt 0 ] || fail "nothing is left, and nothing is refused"
echo "$cuts cuts"
same "status counts it" 1 "$(status_field missing)"
close_vault || true
