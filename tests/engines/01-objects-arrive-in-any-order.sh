#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A sync client that delays, reorders, cuts and doubles what it brings, in both
# directions, while the mount is at work: at every moment the other side has an earlier
# whole tree or "not arrived yet"; in the end both have the same, and every edit.  The
# device changes from round to round, each taking the vault over from the other side.
#
# SEED and ROUNDS (default 3) may be given.
. "$(dirname "$0")/lib.sh"

SIDES=("$HOME/vault" "$TMP/far")
ferry() { "$TOOLS/ferry" "$@" "${SIDES[@]}" || fail "the ferry sank"; }
: >"$TMP/ferried"

# The client works on its own, until told to stop.
ferry_meanwhile() {
    local n=0
    until [ -e "$TMP/enough" ]; do
        ferry $((base + n)) 4 >>"$TMP/ferried"
        n=$((n + 1))
        read -rt 0.1 <> <(:) || true
    done
}
no_alarm() { # no_alarm WHEN
    same "latched, $1" "" "$(status_field latched)"
    same "refused, $1" 0 "$(status_field refused)"
    same "publications not shown, $1" 0 "$(status_field unseen)"
}
objects_of() {
    (cd "$1" && find . -type f -printf '%P\n' | grep -xE 'segments/[0-9a-f]{2}/[0-9a-f]{30}|vault-[0-9a-f]{32}\.ecl' |
        sort | xargs sha256sum)
}

start_vault
for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
    other=${SIDES[round % 2]} base=$(((seed + round) * 1000))
    mkdir -p "$other"
    rm -f "$TMP/enough"
    ferry_meanwhile &
    client=$!
    work $((2 * round - 1))
    work $((2 * round))
    no_alarm "at work in round $round"
    stop_vault
    : >"$TMP/enough"
    wait $client

    # What has come so far, and a bit more, and a bit more.
    for k in 1 2 3 4; do
        part_is_no_alarm "$other"
        ferry $((base + 500 + k)) $((k * 2)) >>"$TMP/ferried"
    done
    ferry $((base + 999)) 0 >>"$TMP/ferried"
    same "objects of both sides in round $round" "$(objects_of "$STORE")" "$(objects_of "$other")"
    came_back "$other"

    # The next round is another device's, on the other side.
    STORE=$other STATE=$TMP/state.$round
    mv "$TMP/state.fresh" "$STATE"
    open_vault 2>"$TMP/said"
    census "$MNT" | cmp -s - "$TMP/trees/$((trees - 1))" || fail "the tree changed hands and is not the same"
done
echo "$earlier looks saw an earlier tree, $waiting something that had not arrived"
awk '{ s += $3; d += $5; p += $7; a += $10; c += $12 }
    END { print s " steps: " d " objects delivered, " p " times in part, " a " again, " c " conflicted copies" }' "$TMP/ferried"

# Objects that are late while the vault is mounted: an error or the right bytes, then all of them.
stop_vault
last=$(find "$STORE/segments" -type f -printf '%C@ %p\n' | grep -E '/[0-9a-f]{30}$' | sort -n | tail -n 1 | cut -d' ' -f2)
for object in $(objects_of "$STORE" | cut -c67- | grep segments/ | grep -vxF "${last#"$STORE"/}" | head -n 6); do
    rm -f "$STORE/$object"
done
open_vault 2>"$TMP/said"
(cd "$MNT" && find . -type f -exec sha256sum {} + 2>/dev/null | sort) >"$TMP/early.sums" || true
ferry $seed 0 >>"$TMP/ferried"
no_alarm "with late objects"
census "$MNT" | cmp -s - "$TMP/trees/$((trees - 1))" || fail "what was late is not served when it has come"
same "contents that were never written" "" \
    "$(comm -23 "$TMP/early.sums" <(cd "$MNT" && find . -type f -exec sha256sum {} + | sort))"
[ "$(wc -l <"$TMP/early.sums")" -lt "$(find "$MNT" -type f | wc -l)" ] || fail "nothing was late"
stop_vault

# The last object to come ends anywhere: the tree before it, and no alarm.
cp -r "$STORE" "$TMP/ends"
object=$TMP/ends/${last#"$STORE"/}
cp "$object" "$TMP/whole"
chmod u+w "$object"
for length in 0 1 95 96 4096 30000 65535 65536 131072 262144 $(($(stat -c %s "$TMP/whole") - 1)); do
    head -c "$length" "$TMP/whole" >"$object"
    recover_from "$TMP/ends" || { grep -q 'has not arrived' "$TMP/said" || fail "at $length: $(cat "$TMP/said")"; }
    if grep -q 'cannot be read' "$TMP/said"; then fail "an alarm for nothing at $length bytes: $(cat "$TMP/said")"; fi
done
