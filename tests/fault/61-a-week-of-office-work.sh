#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Seven days of office work, the clock running ahead: documents are saved whole, notes
# are edited, folders come and go.  At no day's end are there more than 1.5 times the
# live data plus what is dead and waits for the grace, nor more than one object for
# 4 MiB of live data plus 100, those that wait aside; after the grace they are gone.  The
# daemon does it by itself, nobody asks for it.  Then one who recovers finds the same.
# Needs a build with FAULTS=1, for the clock.  SEED, DAYS and DOCUMENTS may be given.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"
export ECLUSE_CLOCK=$TMP/clock
seed=${SEED:-$((RANDOM * 32768 + RANDOM))} days=${DAYS:-7} documents=${DOCUMENTS:-60} clock=0
echo "replay with: SEED=$seed DAYS=$days DOCUMENTS=$documents ECLUSE=$ECLUSE $0"
RANDOM=$((seed % 32768))
echo 0 >"$ECLUSE_CLOCK"

later() { clock=$((clock + $1)) && echo "$clock" >"$ECLUSE_CLOCK"; }
flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }
# A document as programs save it: beside, then renamed over; 0.2 to 3 MB.
save() { head -c $(((RANDOM * 90) % 2800000 + 200000)) /dev/urandom >"$1.new" && mv "$1.new" "$1"; }

# A file that was renamed over stays for two seconds, which are hours here.
nobody_in_limbo() { flush && [ "$(status_field inodes)" = "$(find "$MNT" | wc -l)" ]; }

measure() { # measure WHEN
    local live store dead objects waiting limit
    flush
    live=$(find "$MNT" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')
    read -r store objects <<<"$(find "$STORE/segments" -type f -printf '%s\n' | awk '{ s += $1 } END { print s, NR }')"
    dead=$(status_field dead_bytes) waiting=$(status_field dead)
    limit=$((live / 4194304 + 100))
    printf '%s: live %d MiB, store %d MiB, of these dead %d MiB; ratio %d %%; %d objects, %d of them dead, limit %d\n' \
        "$1" $((live >> 20)) $((store >> 20)) $((dead >> 20)) $(((store - dead) * 100 / live)) "$objects" "$waiting" $limit
    [ $(((store - dead) * 2)) -le $((live * 3)) ] || fail "more than 1.5 times the live data, $1"
    [ $((objects - waiting)) -le $limit ] || fail "too many objects, $1"
}

make_vault
mount_vault
mkdir "$MNT/documents" "$MNT/notes"
for ((k = 0; k < documents; k++)); do save "$MNT/documents/report-$k.odt"; done
for ((k = 0; k < 400; k++)); do echo "a note, number $k" >"$MNT/notes/$k.txt"; done
flush
for ((day = 1; day <= days; day++)); do
    # Twelve times a day somebody has been quiet for long enough.
    for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
        for n in 1 2; do save "$MNT/documents/report-$((RANDOM % documents)).odt"; done
        for n in 1 2 3 4 5; do echo "edited on day $day, $round" >>"$MNT/notes/$((RANDOM % 400)).txt"; done
        rm -f "$MNT/notes/$((RANDOM % 400)).txt"
        [ $round != 6 ] || { mkdir "$MNT/day-$day" && for n in 1 2 3 4; do save "$MNT/day-$day/scan-$n.pdf"; done; }
        [ $round != 9 ] || [ $day -lt 3 ] || rm -rf "$MNT/day-$((day - 2))"
        flush
        later 2400
    done
    until_true nobody_in_limbo
    later 57600
    echo "$day" >"$MNT/notes/day" && flush
    measure "day $day"
    [ $day != 4 ] || remount
done
tree "$MNT" >"$TMP/tree"

# The grace is over: a round each minute takes some of them, until none is due.
later $((31 * 86400))
for ((k = 0; k < 100; k++)); do
    echo "$k" >"$MNT/notes/day" && flush
    later 61 && flush
    [ "$(status_field dead_until)" -lt $(($(date +%s) + clock + 29 * 86400)) ] || break
done
[ $k -lt 100 ] || fail "what was dead before the grace is still there"
measure "after the grace, $k minutes later"
same "missing objects" 0 "$(status_field missing)"
tree "$MNT" | grep -v notes/day | cmp - <(grep -v notes/day "$TMP/tree") || fail "another tree"
umount_vault
"$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/new" "$STORE" >"$TMP/said" 2>&1 ||
    fail "recover: $(cat "$TMP/said")"
STATE=$TMP/new
mount_vault
tree "$MNT" | grep -v notes/day | cmp - <(grep -v notes/day "$TMP/tree") || fail "another tree after a recovery"
umount_vault
