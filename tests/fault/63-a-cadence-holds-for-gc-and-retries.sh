#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# With publish_every a publication that failed, and a round of gc that nobody asked for, wait for
# a tick of the clock like everything else.
. "$(dirname "$0")/../mount/lib.sh"

EVERY=12 WINDOW=5
make_vault
export ECLUSE_CLOCK=$TMP/clock
echo 0 >"$ECLUSE_CLOCK"
gate=$TMP/gate
ECLUSE_FAULT=intent:ENOSPC:1 ECLUSE_FAULT_GATE=$gate mount_vault -o publish_every=${EVERY}s,grace=1
stored() { find "$STORE/segments" -type f -printf '%P\n' 2>/dev/null | sort; }
# The moment of each addition (>) and removal (<), to a fifth of a second.
watch_store() {
    local before after
    before=$(stored)
    while [ -e "$TMP/watching" ]; do
        after=$(stored)
        [ "$before" = "$after" ] || diff <(echo "$before") <(echo "$after") | sed -n "s/^\([<>] .\)/$EPOCHREALTIME \1/p" >>"$TMP/seen" || true
        before=$after
        read -rt 0.2 <> <(:) || true
    done
}
touch "$TMP/watching" "$TMP/seen"
watch_store &
off_the_ticks() { awk -v every=$EVERY -v window=$WINDOW '{ if ($1 % every > window) print }' "$TMP/seen"; }

# The first attempt fails; the next one is at a tick, and sooner than the 30 s without a cadence.
head -c 4000000 /dev/urandom >"$MNT/document"
sync "$MNT/document"
touch "$gate"
failed() { [ "$(status_field publish_error)" = ENOSPC ]; }
until_true failed
failed_at=$EPOCHSECONDS
published() { [ "$(status_field unpublished)" = 0 ] && [ "$(status_field staged_bytes)" = 0 ] && ! failed; }
until_true published
[ $((EPOCHSECONDS - failed_at)) -le $((EVERY + WINDOW)) ] || fail "tried again after $((EPOCHSECONDS - failed_at)) s"
seen() { [ -s "$TMP/seen" ]; }
until_true seen
same "what was published between the ticks" "" "$(off_the_ticks)"

# A round of its own: what was deleted goes once the clock says that its time has come, and at a tick; a
# flush between two ticks publishes, and takes nothing away.
rm "$MNT/document"
echo other >"$MNT/other" && sync "$MNT"
until_true published
mid_period() { [ $((EPOCHSECONDS % EVERY)) = $((WINDOW + 1)) ]; }
after_tick() { [ $((EPOCHSECONDS / EVERY)) -gt "$tick" ]; }
removed() { grep -q ' < ' "$TMP/seen"; }
for round in 1 2 3 4 5 6; do
    until_true mid_period
    echo $((round * 40 * 86400)) >"$ECLUSE_CLOCK"
    echo "$round" >"$MNT/filler"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    tick=$((EPOCHSECONDS / EVERY))
    until_true after_tick
    ! removed || break
done
until_true removed
same "what was removed between the ticks" "" "$(off_the_ticks | grep ' < ' || true)"
off_the_ticks | grep -q " > " || fail "the flushes waited for ticks: $(awk -v e=$EVERY "{ print \$0, \$1 % e }" "$TMP/seen")"
rm "$TMP/watching"
wait $!
umount_vault
