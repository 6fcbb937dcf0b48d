#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The power of the state's disk, of the store's, or of both is cut at random moments:
# under load, while publishing, while unmounting.  After each cut the disks and the
# vault are mounted again: everything acknowledged is there, nothing is refused or
# missing, and the interrupted publication is completed.
#
# CUTS (for each of the three layouts of disks) and SEED may be given.
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/disks.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
cuts=${CUTS:-20}
echo "replay with: SEED=$seed CUTS=$cuts $0"
RANDOM=$((seed % 32768))
WRITERS=3

# --- the load: what writes, and what looks afterwards ----------------------------------

start_load() { # start_load ROUND
    local k
    LOAD=()
    for k in $(seq $WRITERS); do
        mkdir -p "$MNT/$k"
        "$TOOLS/record" --seed $((seed + $1 * WRITERS + k)) "$MNT/$k" "$TMP/log.$k" >"$TMP/load.$k" 2>&1 &
        LOAD+=($!)
    done
}
check_load() {
    local k
    for k in $(seq $WRITERS); do
        "$TOOLS/record" --check "$MNT/$k" "$TMP/log.$k" || return
    done
}
progress() { cat "$TMP"/log.* 2>/dev/null | wc -l; }

# Whatever ended the writers, they ended because their files failed.
end_load() {
    local pid status
    for pid in "${LOAD[@]}"; do
        status=0
        wait "$pid" || status=$?
        [ $status -le 1 ] || fail "a writer ended with $status: $(cat "$TMP"/load.*)"
    done
    LOAD=()
}

# --- one cut -----------------------------------------------------------------------------

# A random moment within so many milliseconds, which is what this test is about.
moment() { read -rt "0.$(printf %03d $((RANDOM % $1)))" <> <(:) || true; }

kill_vault() {
    local pid
    for pid in $(daemon_pids); do
        grep -qsa "^$ECLUSE" "/proc/$pid/cmdline" || continue
        kill -9 "$pid" 2>/dev/null || true
        until_true gone "$pid"
    done
    while mountpoint -q "$MNT"; do umount -l "$MNT"; done
}

flush_all_the_time() {
    while "$ECLUSE" flush --state "$STATE" "$MNT"; do :; done >/dev/null 2>&1
}

# cut_during WHEN DISK... : WHEN is load, publish or unmount
cut_during() {
    local when=$1 others=() begun more
    shift
    begun=$(progress)
    more=$((begun + 5 + RANDOM % 60))
    [ "$when" = load ] || { flush_all_the_time & others+=($!); }
    # Of each writer something, or there would be nothing of it to look for.
    enough() { [ "$(progress)" -ge $more ] && [ "$(find "$TMP" -maxdepth 1 -name 'log.*' -size +0 | wc -l)" = $WRITERS ]; }
    until_true enough
    if [ "$when" = unmount ]; then
        kill "${LOAD[@]}"
        wait "${LOAD[@]}" || true
        LOAD=()
        kill "${others[@]}" 2>/dev/null || true
        "$ECLUSE" umount --state "$STATE" "$MNT" >"$TMP/said" 2>&1 &
        others+=($!)
    fi
    moment 150
    if ((RANDOM % 2)); then cut_power "$@"; else for disk; do cut_power "$disk"; done; fi
    # A disk that failed alone leaves the daemon alive; what it then says counts too.
    moment 50
    kill_vault
    end_load
    wait "${others[@]}" || true
}

check_vault() {
    local started=$SECONDS
    mount_vault
    check_load >"$TMP/checked" || fail "acknowledged, and not there: $(cat "$TMP/checked")"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    same "refused, missing, latched" "0 0 " \
        "$(status_field refused) $(status_field missing) $(status_field latched)"
    store_is_opaque
    [ $((SECONDS - started)) -lt 60 ] || fail "mounting and checking took a minute"
}

# --- the three layouts -------------------------------------------------------------------

# layout NAME TYPE-OF-STATE TYPE-OF-STORE ; "-" as second type: on the same disk
layout() {
    local round kinds=(load publish unmount) victims when
    DISKS=(state-"$1")
    new_disk "state-$1" "$2" 400M
    STATE=$TMP/disks/state-$1/state STORE=$TMP/disks/state-$1/store
    if [ "$3" != - ]; then
        new_disk "store-$1" "$3" 400M
        DISKS+=(store-"$1")
        STORE=$TMP/disks/store-$1/store
    fi
    SHEET=$TMP/recovery.$1
    make_vault
    mount_vault
    for round in $(seq "$cuts"); do
        when=${kinds[RANDOM % 3]}
        case $((RANDOM % 3)) in
        0) victims=("${DISKS[0]}") ;;
        1) victims=("${DISKS[-1]}") ;;
        2) victims=("${DISKS[@]}") ;;
        esac
        if ((RANDOM % 2)) && [ ${#victims[@]} = 2 ]; then victims=("${victims[1]}" "${victims[0]}"); fi
        echo "$1 round $round: $when, ${victims[*]}"
        start_load "$round"
        cut_during "$when" "${victims[@]}"
        power_on "${victims[@]}"
        check_vault
    done
    umount_vault
    rm -f "$TMP"/log.*
    total=$((total + cuts))
    for disk in "${DISKS[@]}"; do umount "$TMP/disks/$disk"; done
}

total=0
layout ext4 ext4 -
layout xfs xfs -
layout both ext4 xfs
echo "$total cuts in $SECONDS s"
