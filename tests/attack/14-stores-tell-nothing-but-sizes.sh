#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 14, beside tests/mount/22: two vaults with other names and contents, but of equal
# sizes in the same order, have stores that differ in random bytes only: same number and
# sizes of objects, same modes and times, and no run of 16 bytes in common.
. "$(dirname "$0")/lib.sh"

work() { # work WORD : the same steps, other names and contents
    local k
    mkdir "$MNT/$1"
    for k in $(seq 30); do
        head -c $((k * 3777)) < <(yes "$1 $k" 2>/dev/null) >"$MNT/$1/$1-$k"
        [ $((k % 10)) != 0 ] || flush_vault
    done
    rm "$MNT/$1/$1-7" && mv "$MNT/$1/$1-8" "$MNT/$1-moved"
    flush_vault
}
profile() { (cd "$STORE" && find . -type f -printf '%s %m %T@\n' | sort); }
for word in tulipe marbre; do
    STORE=$TMP/store-$word STATE=$TMP/state-$word SHEET=$TMP/sheet-$word
    make_attacked
    opens "$word"
    work $word
    close_vault
    profile >"$TMP/profile-$word"
done
cmp "$TMP/profile-tulipe" "$TMP/profile-marbre" || {
    diff "$TMP/profile-tulipe" "$TMP/profile-marbre" >&2 || true
    fail "two trees of the same sizes are told apart"
}
# 16 bytes at a time, headers (plain: magic, format, suite, epoch) aside.
pieces() { find "$1/segments" -type f -exec tail -q -c +65 {} + | od -An -v -tx1 -w16 | sort -u; }
pieces "$TMP/store-tulipe" >"$TMP/pieces-1"
pieces "$TMP/store-marbre" >"$TMP/pieces-2"
[ "$(wc -l <"$TMP/pieces-1")" -gt 10000 ] || fail "hardly anything was compared"
same "pieces in common" "" "$(comm -12 "$TMP/pieces-1" "$TMP/pieces-2")"
same "equal objects" "" "$(find "$TMP"/store-* -path '*segments*' -type f -exec sha256sum {} + | cut -d' ' -f1 | sort | uniq -d)"
