#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What programs do to save a document (tests/data/saves, recorded from the programs
# themselves or made by hand) is cut at each step, with their files still open:
#
#   killed       the daemon is killed at that very moment
#   committed    something else is synced first: what the program has done so far is
#                what the commit sees
#   POINT        the daemon dies inside that commit, at this failpoint
#
# After the next mount the document is the old or the new one, whole, where the
# program always keeps one; and in any case the tree after some step, the last synced
# one or a later (tests/tools/replay.c says exactly what is right).  A program that cuts
# its document and writes it again keeps none in between: there the document is, after
# a commit, exactly what the program has written so far, so it is empty only when nothing
# was written.
#
# All programs run in one round, in turn, each up to a step of its own.  ROUNDS and SEED
# may be given; ALL=1 takes every step of each program with each of the ways to die.
. "$(dirname "$0")/../mount/lib.sh"

case $ECLUSE in */faults/*) ;; *) ECLUSE=$ROOT/build/faults/ecluse ;; esac
TOOLS=$(dirname "$ECLUSE")/tests/tools
[ -x "$TOOLS/replay" ] || fail "$TOOLS/replay is missing: make FAULTS=1 tests"
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
rounds=${ROUNDS:-48}
echo "replay with: SEED=$seed ROUNDS=$rounds ${ALL:+ALL=$ALL }$0"
RANDOM=$((seed % 32768))

saves=$ROOT/tests/data/saves
gate=$TMP/gate
# Where a commit passes by itself, and where only `ecluse flush` goes.
small=(journal_append journal_sync)
large=(segment_sync batch_write commit wal_write wal_sync segment_footer intent store_rename
    store_dir_sync publication mark_published)
variants=(killed committed "${small[@]}" "${large[@]}")

declare -A steps at
longest=0
mapfile -t programs < <(cd "$saves" && printf '%s\n' *.steps | sed 's/\.steps$//')
for program in "${programs[@]}"; do
    steps[$program]=$("$TOOLS/replay" count "$saves/$program.steps")
    [ "${steps[$program]}" -le $longest ] || longest=${steps[$program]}
done

mkfifo "$TMP/hold"
mkdir "$TMP/twins"
: >"$TMP/classes"

run_programs() { # run_programs ROUND : each up to its step of $at, their files kept open
    local program
    for program in $(shuf -e "${programs[@]}" --random-source=<(yes "$seed $1")); do
        "$TOOLS/replay" run "$saves/$program.steps" "$MNT/$1/$program" "${at[$program]}" <"$TMP/hold" ||
            fail "$program, step ${at[$program]}"
    done
}

die_as() { # die_as VARIANT : sets $when to what must be durable then
    local pid
    pid=$(daemon_pid)
    when=killed
    : >"$gate"
    case " $1 " in
    " killed ") ;;
    " committed ") sync "$MNT/unrelated" && when=committed ;;
    *)
        # Either it dies before anything is acknowledged, or all is.
        if [[ " ${small[*]} " = *" $1 "* ]]; then
            sync "$MNT/unrelated" 2>/dev/null && when=committed
        else
            "$ECLUSE" flush --state "$STATE" "$MNT" 2>/dev/null >&2 && when=committed
        fi
        [ $when = committed ] || reached[$1]=1
        ;;
    esac
    rm "$gate"
    kill -9 "$pid" 2>/dev/null || true
    until_true gone "$pid"
}

judge() { # judge ROUND VARIANT
    local program
    for program in "${programs[@]}"; do
        "$TOOLS/replay" check "$saves/$program.steps" "$MNT/$1/$program" "${at[$program]}" "$TMP/twins/t" $when \
            >"$TMP/said" || {
            cat "$TMP/said"
            fail "round $1, $2: $program, cut after step ${at[$program]}"
        }
        rm -r "$TMP/twins/t"
        cat "$TMP/said" >>"$TMP/classes"
    done
}

declare -A reached
cuts=0
one_round() { # one_round ROUND VARIANT
    local fault=''
    [ "$2" = killed ] || [ "$2" = committed ] || fault=$2:kill:1
    ECLUSE_FAULT=$fault ECLUSE_FAULT_GATE=$gate mount_vault
    mkdir "$MNT/$1"
    : >"$MNT/unrelated"
    exec {hold}<>"$TMP/hold"
    run_programs "$1"
    die_as "$2"
    exec {hold}>&-
    [ -z "$(daemon_pids)" ] || until_true no_daemon
    mount_vault
    judge "$1" "$2"
    same "objects that were refused" 0 "$(status_field refused)"
    rm -r "${MNT:?}/$1"
    kill_daemon
    cuts=$((cuts + ${#programs[@]}))
}

make_vault
round=0
if [ -n "${ALL:-}" ]; then
    for variant in "${variants[@]}"; do
        for step in $(seq 0 $longest); do
            for program in "${programs[@]}"; do
                n=${steps[$program]}
                at[$program]=$((step <= n ? step : RANDOM % (n + 1)))
            done
            one_round $((++round)) "$variant"
        done
    done
else
    for round in $(seq "$rounds"); do
        # One in three of each of the first two, the rest inside commits.
        case $((round % 3)) in
        0) variant=killed ;;
        1) variant=committed ;;
        *) variant=${variants[2 + round / 3 % (${#variants[@]} - 2)]} ;;
        esac
        for program in "${programs[@]}"; do
            at[$program]=$((RANDOM % (steps[$program] + 1)))
        done
        one_round "$round" "$variant"
    done
fi
mount_vault
umount_vault
echo "$cuts cuts in $round rounds; died inside commits at: ${!reached[*]}"
tr ' ' '\n' <"$TMP/classes" | sort | uniq -c
