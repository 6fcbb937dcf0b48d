#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# With publish_every whatever is done in the vault reaches the store at the ticks of the
# clock, and at no other moment: the times at which somebody works in between are not told.
# A tick with nothing to publish shows nothing.  What is asked for does not wait.
. "$(dirname "$0")/lib.sh"

EVERY=12 WINDOW=5      # seconds: the period, and what a publication may take here
make_vault
for prefix in {0..15}; do for digit in {0..15}; do printf '%x%x\n' "$prefix" "$digit"; done; done |
    (mkdir -p "$STORE/segments" && cd "$STORE/segments" && xargs mkdir -p)
for wrong in 0 2d x '' 25h -5; do
    expect_exit 1 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" -o "publish_every=$wrong" "$STORE" "$MNT"
done
mount_vault -o publish_every="${EVERY}s"
same "status --json has it" "$EVERY" "$(status_field publish_every)"
"$ECLUSE" status --state "$STATE" "$MNT" | grep -q 'at a fixed cadence, every 12 s' || fail "status does not say it"

# Every event in the store, with its moment. (A file that never has a name, by which a mount finds
# out whether it may write, is none.)
mkfifo "$TMP/events"
while read -r event; do [[ $event == *"/#"* ]] || echo "$EPOCHREALTIME $event"; done <"$TMP/events" >>"$TMP/arrivals" &
"$TOOLS/watch" "$STORE" "$TMP/events" &
watcher=$!
watched() { grep -q ' ready$' "$TMP/arrivals"; }
until_true watched
# off_the_ticks : events that are no publication of a tick
off_the_ticks() {
    awk -v every=$EVERY -v window=$WINDOW '{ if ($1 % every > window) print }' "$TMP/arrivals"
}
wait_for_phase() { # wait_for_phase SECONDS : so long after a tick
    local phase=$1
    in_phase() { [ $((EPOCHSECONDS % EVERY)) = "$phase" ]; }
    until_true in_phase
}
ticks() { awk -v every=$EVERY '{ print int($1 / every) }' "$TMP/arrivals" | sort -u; }

# Somebody types: bursts, pauses, savings, from a seed.
SEED=${SEED:-$RANDOM}
echo "SEED=$SEED"
RANDOM=$SEED
type_until_ticks() { # type_until_ticks COUNT
    local n=0 end=$((SECONDS + 150))
    until [ "$(ticks | wc -l)" -ge "$1" ]; do
        [ $SECONDS -lt $end ] || fail "only $(ticks | wc -l) ticks brought anything: $(cat "$TMP/arrivals")"
        n=$((n + 1))
        head -c $((RANDOM * 3)) /dev/urandom >"$MNT/document-$((RANDOM % 9))"
        [ $((RANDOM % 3)) = 0 ] && sync "$MNT"
        read -rt "0.$((RANDOM % 9 + 1))" <> <(:) || true
        [ $((RANDOM % 4)) != 0 ] || read -rt $((RANDOM % 6)) <> <(:) || true
    done
    echo "$n savings"
}
wait_for_phase 1
: >"$TMP/arrivals"
type_until_ticks 4
same "what arrived between the ticks" "" "$(off_the_ticks)"
# The same by the times that the kernel gives objects, and that nobody can set.
same "objects that were put there between the ticks" "" \
    "$(find "$STORE/segments" -type f -printf '%C@ %P\n' | awk -v every=$EVERY -v window=$WINDOW '{ if ($1 % every > window) print }')"

# With nothing to publish the store is left alone.
published() { [ "$(status_field unpublished)" = 0 ] && [ "$(status_field staged_bytes)" = 0 ]; }
until_true published
wait_for_phase $((WINDOW + 1))
: >"$TMP/arrivals"
now=$((EPOCHSECONDS / EVERY))
two_ticks_later() { [ $((EPOCHSECONDS / EVERY)) -ge $((now + 2)) ] && [ $((EPOCHSECONDS % EVERY)) -gt $WINDOW ]; }
until_true two_ticks_later
same "events without work" "" "$(cat "$TMP/arrivals")"

# Who asks is not kept waiting; and that is seen.
wait_for_phase $((WINDOW + 2))
echo asked >"$MNT/asked"
"$ECLUSE" flush --state "$STATE" "$MNT"
published || fail "the flush did not publish"
[ -n "$(off_the_ticks)" ] || fail "the flush waited for the tick"

# What a killed daemon left waits for a tick too, not for the next mount.
wait_for_phase $((WINDOW + 1))
echo later >"$MNT/later" && sync "$MNT"
kill_daemon
fusermount3 -uz "$MNT" 2>/dev/null || umount -l "$MNT" 2>/dev/null || true
: >"$TMP/arrivals"
wait_for_phase $((WINDOW + 1))
mount_vault -o publish_every="${EVERY}s"
until_true published
same "what arrived between the ticks after a crash" "" "$(off_the_ticks)"

wait_for_phase $((WINDOW + 1))
: >"$TMP/arrivals"
echo last >"$MNT/last"
"$ECLUSE" umount --state "$STATE" "$MNT"
arrived() { [ -s "$TMP/arrivals" ]; }
until_true arrived
[ -n "$(off_the_ticks)" ] || fail "the unmounting waited for the tick"
kill $watcher
mount_vault
same "all is there" "last later asked" "$(cat "$MNT/last" "$MNT/later" "$MNT/asked" | tr '\n' ' ' | sed 's/ $//')"
same "no cadence without the option" 0 "$(status_field publish_every)"
umount_vault
