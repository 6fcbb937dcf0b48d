#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The daemon is killed at every failpoint that it passes, and at any moment, under
# load, while it recovers from the kill before, and while it ends; each time the next
# mount shows what promise 3 allows (tests/tools/load.c, prove.c), and nothing is refused,
# missing, locked or changed in the store.  Needs a build with FAULTS=1.
#
# KILLS, SEED and LANES (vaults at the same time) may be given.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

kills=${KILLS:-500} lanes=${LANES:-2} seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
bound=1.2 vault_life=30
echo "replay with: SEED=$seed KILLS=$kills LANES=$lanes $0"
"$TOOLS/points" >"$TMP/points"

# The attributes of a dead mount's root may be remembered; its statfs is not.
serves() { [ "$(stat -f -c %t "$MNT" 2>/dev/null)" = 65735546 ]; }

start_daemon() { # start_daemon [FAULT] : until it serves, or is dead; $daemon, $dead
    { echo "-- ${1:-no fault}" && cat "$lane/said"; } >>"$lane/daemons" 2>/dev/null || true
    : >"$lane/said"
    ECLUSE_FAULT=${1:-} ECLUSE_FAULT_LOG=$lane/passed \
        "$ECLUSE" mount --foreground --passfile "$PASS" --state "$STATE" "${options[@]}" "$STORE" "$MNT" \
        >"$lane/said" 2>&1 &
    daemon=$! dead=
    until serves; do
        ! gone "$daemon" || { reap && return; }
        read -rt 0.01 <>"$TMP/never" || true
    done
}

# The daemon is gone: by SIGKILL, or it must be said.
reap() {
    local status=0
    wait "$daemon" || status=$?
    dead=yes
    [ $status = 137 ] || [ "$status" = "${1:-137}" ] || {
        cat "$lane/said" >&2
        fail "the daemon ended with $status, $what"
    }
    [ $status = 137 ]
}

kill_it() {
    kill -9 "$daemon" 2>/dev/null || true
    reap && count "kill -9"
}

count() {
    echo "$1" >>"$lane/kills"
    done_here=$((done_here + 1))
}

# Waits for the load or for the bound; the daemon may go on living.
await() { # await SECONDS PID
    local timer
    sleep "$1" &
    timer=$!
    wait -n "$2" "$timer" || true
    kill "$timer" 2>/dev/null || true
    wait "$timer" 2>/dev/null || true
}

start_load() { # start_load [option...]
    "$TOOLS/load" --seed $((seed + done_here)) "${strict[@]}" "$@" \
        --flush "$ECLUSE flush --state $STATE $MNT >>$lane/flush 2>&1" "$MNT" "$lane/log" 2>"$lane/load" &
    load=$!
}

end_load() {
    wait "$load" || { local status=$?; stacks; fail "the load ended with $status, $what: $(cat "$lane/load" "$lane/said")"; }
}

# Of those that were passed, one of the points that were killed at least often; the
# first mount of a vault passes points of its own, and gets the least of all.
next_point() {
    sort -u "$lane/passed" | while read -r p; do
        echo "$(grep -cx "$p" "$lane/kills") $RANDOM $p"
    done | sort -n | head -n $((fresh ? 1 : 4)) | shuf -n 1 --random-source=<(yes $RANDOM) | cut -d' ' -f3
}

fault_round() {
    local point nth action
    point=$(next_point)
    # From the first passages on to later ones, as long as they come within the bound.
    most[$point]=${most[$point]:-3}
    nth=$((1 + RANDOM % most[$point] * (RANDOM % 100 + 1) / 100))
    action='kill'
    [ $((RANDOM % 2)) = 0 ] || action=torn
    case $((RANDOM % 8)) in 0) how=recovery ;; 1) how=end ;; *) how=load ;; esac
    [ $how != recovery ] || nth=$((1 + (nth - 1) % 4))
    what="$point:$action:$nth ($how)"
    start_daemon "$point:$action:$nth"
    if [ -n "$dead" ]; then
        count "$point"
        return
    fi
    case $how in
    recovery) kill_it; return ;;
    load) start_load; await $bound "$load" ;;
    end)
        start_load --ops $((20 + RANDOM % 60))
        end_load
        if "$ECLUSE" umount --state "$STATE" "$MNT" >"$lane/umount" 2>&1; then
            # What was dead before may be unmounted too, and promises nothing.
            if reap 0; then count "$point"; else all=--all; fi
        fi
        ;;
    esac
    if [ "$dead" ]; then
        :
    elif [ -e "/proc/$daemon" ] && ! gone "$daemon"; then
        most[$point]=$((most[$point] / 2 + 1))
        kill_it
    else
        reap && count "$point"
        most[$point]=$((most[$point] * 2))
    fi
    [ $how = end ] || end_load
}

plain_round() {
    what="kill -9 under load"
    start_daemon
    start_load
    await "0.$((RANDOM % 8))$((RANDOM % 10))" "$load"
    kill_it
    end_load
}

prove() {
    echo "$what" >>"$lane/rounds"
    what="$what; then"
    start_daemon
    "$TOOLS/prove" ${all:+"$all"} "$MNT" "$lane/log" >"$lane/proof" 2>&1 || {
        cat "$lane/proof" "$lane/said" >&2
        tail -n 20 "$lane/daemons" >&2
        tail -n 6 "$lane/rounds" >&2
        [ -z "${KEEP:-}" ] || { kill -9 "$daemon"; umount -l "$MNT"; cp -a "$lane" "$KEEP"; }
        fail "not what promise 3 allows, $what"
    }
    all=
    "$ECLUSE" flush --state "$STATE" "$MNT" || { stacks; fail "no publication, $what: $(cat "$lane/said")"; }
    "$ECLUSE" status --json --state "$STATE" "$MNT" >"$lane/status"
    for figure in '"missing":0' '"refused":0' '"foreign":0' '"latched":""' '"publish_error":""' '"unpublished":0'; do
        tr -d ' ' <"$lane/status" | grep -q "$figure" || fail "not $figure, $what: $(cat "$lane/status")"
    done
    # Whatever is done to a file changes its ctime.
    find "$STORE" -type f -printf '%P %i %s %C@\n' | sort >"$lane/now"
    same "objects changed, $what" "" "$(comm -23 "$lane/objects" "$lane/now")"
    mv "$lane/now" "$lane/objects"
}

# After the proof the daemon ends, or is killed while it publishes or is idle.
leave() {
    local n=$((RANDOM % 8)) file
    if [ $n = 0 ]; then
        "$ECLUSE" umount --state "$STATE" "$MNT"
        wait "$daemon" || fail "a clean end gives $?: $(cat "$lane/said")"
        return
    fi
    if [ $n -lt 6 ]; then
        file=$(find "$MNT" -type f -size +0 | shuf -n 1)
        [ -z "$file" ] || setfattr -n user.other -v $RANDOM "$file"
        "$ECLUSE" flush --state "$STATE" "$MNT" >/dev/null 2>&1 &
        await "0.0$((RANDOM % 10))" $!
    fi
    kill_it
    wait
}

new_vault() {
    if [ -d "$STORE" ]; then
        "$ECLUSE" umount --state "$STATE" "$MNT" >/dev/null 2>&1 || true    # the corpse, if there is one
        store_is_opaque
        rm -rf "$STORE" "$STATE"
    fi
    rm -f "$SHEET" "$lane"/log*
    make_vault
    : >"$lane/objects"
    "$TOOLS/load" "$lane/none" "$lane/log" 2>/dev/null || true    # an empty log
    options=() strict=()
    [ $((RANDOM % 4)) != 0 ] || options=(-o strict) strict=(--strict)
}

run_lane() { # run_lane NUMBER KILLS
    declare -A most=()
    local n=$1 done_here=0 next=0 round=0 fresh=1 all='' what='' daemon load how options strict dead figure
    lane=$TMP/$n
    RANDOM=$((seed % 32749 + n))
    seed=$((seed + n * 1000000))
    mkdir "$lane"
    STORE=$lane/store MNT=$lane/mnt STATE=$lane/state PASS=$lane/pass SHEET=$lane/recovery
    cp "$TMP/common" "$lane/passed"
    : >"$lane/kills"
    while [ $done_here -lt "$2" ]; do
        if [ $done_here -ge $next ]; then
            new_vault
            next=$((done_here + vault_life)) fresh=1
        fi
        round=$((round + 1))
        if [ $((round % 6)) = 1 ] && { [ $round = 1 ] || [ $fresh = 0 ]; }; then plain_round; else fault_round; fi
        fresh=0
        prove
        leave
    done
}

: >"$TMP/common"
mkfifo "$TMP/never"
exec 2> >(grep -v ' Killed  ' >&2)   # what bash says about its children
pids=()
for n in $(seq "$lanes"); do
    (trap - EXIT && run_lane "$n" $(((kills + lanes - 1) / lanes))) &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "see above"; done

cat "$TMP"/*/kills | sort | uniq -c | sort -rn
echo "$(cat "$TMP"/*/kills | wc -l) kills in $SECONDS s"
# A checkpoint is due only after many publications; 02 is killed at each of its parts.
never=$(comm -23 <(cat "$TMP"/*/passed | sort -u | grep -vx checkpoint_part) <(cat "$TMP"/*/kills | sort -u))
same "points that the daemon passes and was never killed at" "" "$never"
