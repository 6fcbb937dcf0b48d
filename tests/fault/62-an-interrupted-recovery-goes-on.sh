#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A recovery that is cut at any step goes on where it stopped: what was applied is neither
# applied nor read again, and what comes out equals what an uninterrupted one makes, also
# when the store changed meanwhile.  What an interruption left and is damaged, or belongs to
# another history, is given up, and said so.
. "$(dirname "$0")/../mount/lib.sh"
need strace

KEY=$TMP/key
DEVICE=$STATE
(umask 077 && head -c 64 /dev/urandom >"$KEY")
mkdir "$MNT"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$DEVICE" "$STORE" >/dev/null
open_vault() { "$ECLUSE" mount --keyfile "$KEY" --state "$1" "$STORE" "$MNT" 2>"$TMP/mount.said"; }
close_vault() {
    "$ECLUSE" umount --state "$1" "$MNT" >"$TMP/said" 2>&1 || fail "unmount: $(cat "$TMP/said")"
    until_true no_daemon
}
NEW=$TMP/new HALF=$TMP/half
vault=$(basename "$STORE"/vault-*.ecl .ecl) && vault=${vault#vault-}
recover() { "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$NEW" "$STORE"; }
since() { sed -n 's/^.*kept from before the interruption: \([0-9]*\)\.$/\1/p' "$TMP/said"; }
publications() { sed -n 's/^.*rebuilt: [0-9]* .* from \([0-9]*\) publications.*/\1/p' "$TMP/said"; }
afresh() { rm -rf "$NEW" && mkdir "$NEW"; }

# goes_on WHY CENSUS : the state that is there shows that tree, and works. The store is as
# it was afterwards.
goes_on() {
    rm -rf "$TMP/store.kept" && cp -a "$STORE" "$TMP/store.kept"
    [ "$(ls -A "$NEW")" = "$vault" ] || fail "$1: left beside the state: $(ls -A "$NEW")"
    open_vault "$NEW"
    same "$1: what the first mount says" "" "$(cat "$TMP/mount.said")"
    census "$MNT" | cmp -s - "$2" || {
        diff <(tr '\0' '\n' <"$2") <(census "$MNT" | tr '\0' '\n') | head -n 20 >&2 || true
        fail "$1: another tree"
    }
    echo more >"$MNT/more"
    close_vault "$NEW"
    rm -rf "$STORE" && mv "$TMP/store.kept" "$STORE"
    for trace in rebuilding history; do
        [ ! -e "$NEW/$vault/$trace" ] || fail "$1: $trace stays in the state"
    done
}

# What was published since: small as they are, publications have one object each.
note_carrier() {
    find "$STORE/segments" -type f | sort >"$TMP/listed"
    comm -13 "$TMP/listed.before" "$TMP/listed" >>"$TMP/carriers"
    mv "$TMP/listed" "$TMP/listed.before"
}

open_vault "$DEVICE"
make_tree "$MNT/tree"
rm -f "$MNT/tree/pipe"
: >"$TMP/listed.before"
for k in 1 2 3 4 5 6 7 8; do
    head -c $((k * 9000)) /dev/urandom >"$MNT/tree/file-$k"
    mkdir "$MNT/tree/folder-$k" && ln "$MNT/tree/file-$k" "$MNT/tree/folder-$k/link"
    setfattr -n user.round -v $k "$MNT/tree/folder-$k"
    "$ECLUSE" flush --state "$DEVICE" "$MNT"
    note_carrier
done
census "$MNT" >"$TMP/tree"
close_vault "$DEVICE"
note_carrier
cp -a "$STORE" "$TMP/store.first"

# Without an interruption.
afresh
expect_exit 0 recover
all=$(publications)
[ "$all" -ge 8 ] || fail "only $all publications: $(cat "$TMP/said")"
same "nothing is there since before" "" "$(since)"
goes_on "uninterrupted" "$TMP/tree"

# --- cut at each step --------------------------------------------------------------------

faults=false
case $ECLUSE in */faults/*) faults=true ;; esac

cut_at() { # cut_at FAULT : the exit code
    local code=0
    afresh
    ECLUSE_FAULT=$1 recover >"$TMP/said" 2>&1 || code=$?
    return $code
}

part_steps() {
    local n point before=0 most=0 resumed=0
    for point in rebuild:kill rebuild:ENOSPC '*:kill' '*:EIO'; do
        for ((n = 1; ; n += ${STRIDE:-$([ "${point%%:*}" = rebuild ] && echo 1 || echo 31)})); do
            if cut_at "$point:$n"; then break; fi
            cp "$TMP/said" "$TMP/cut.said"
            if [ -d "$NEW/$vault" ]; then
                goes_on "$point:$n, after the switch" "$TMP/tree"
                continue
            fi
            expect_exit 0 recover
            same "$point:$n: publications" "$all" "$(publications)"
            before=$(since)
            if [ -n "$before" ]; then resumed=$((resumed + 1)); fi
            [ "${before:-0}" -le "$most" ] || most=$before
            if [ "${point#*:}" = ENOSPC ] && [ -n "$before" ]; then
                grep -q 'the same command goes on from there' "$TMP/cut.said" || fail "it does not say how to go on: $(cat "$TMP/cut.said")"
            fi
            grep -q 'was of no use' "$TMP/said" && fail "$point:$n: what was left was of no use: $(cat "$TMP/said")"
            goes_on "$point:$n" "$TMP/tree"
        done
        echo "$point: $n steps, $resumed times gone on, after $most of $all publications at most"
        [ "$n" -gt 10 ] || fail "$point: hardly any step was passed"
    done
    same "gone on after all of them" "$all" "$most"
    [ "$resumed" -gt "$all" ] || fail "hardly ever gone on: $resumed times"
}

# --- what is left after a cut in the middle -----------------------------------------------

# left N : NEW as a recovery leaves it that was killed at step N of the point; in $HALF too
left() {
    if cut_at "rebuild:kill:$1"; then fail "it came to its end"; fi
    rm -rf "$HALF" && cp -a --sparse=always "$NEW" "$HALF"
}
again() { rm -rf "$NEW" && cp -a --sparse=always "$HALF" "$NEW"; }
# The step in whose middle half of the publications are there.
middle() {
    local n
    for ((n = 1; n < 60; n++)); do
        left $n
        expect_exit 0 recover
        [ "$(since)" != $((all / 2)) ] || break
    done
    same "half of them are there" $((all / 2)) "$(since)"
    middle=$n
}

part_reads() { # what was applied is not read again, beyond header and trailer
    reads() { # reads : bytes of the store that a recovery reads
        strace -f -y -e trace=pread64,read,preadv -o "$TMP/trace" "$ECLUSE" recover --recovery-file "$SHEET" \
            --keyfile "$KEY" --state "$NEW" "$STORE" >"$TMP/said" 2>&1 || fail "recover: $(cat "$TMP/said")"
        grep -F "$STORE/segments" "$TMP/trace" | sed -n 's/.* = \([0-9]*\)$/\1/p' | awk '{ s += $1 } END { print s + 0 }'
    }
    local whole half fronts
    fronts=$((156 * $(find "$STORE/segments" -type f | wc -l)))
    afresh
    whole=$(reads)
    again
    half=$(reads)
    echo "an uninterrupted recovery reads $whole bytes, one that goes on after half of the publications $half, of them $fronts of fronts and ends"
    [ $((half - fronts)) -lt $(((whole - fronts) * 2 / 3)) ] || fail "what was applied is read again: $half of $whole bytes"
    goes_on "with strace" "$TMP/tree"
}

part_damage() {
    local name
    for name in keyring history index.db index.db-wal lock staging; do
        again
        case $name in
        lock | staging) rm -r "$NEW/.$vault.rebuild/$name" ;;
        index.db-wal) head -c 5000 /dev/urandom | dd of="$NEW/.$vault.rebuild/$name" bs=4096 seek=1 conv=notrunc status=none ;;
        *) printf x | dd of="$NEW/.$vault.rebuild/$name" bs=1 seek=$(($(stat -c %s "$NEW/.$vault.rebuild/$name") / 2)) conv=notrunc status=none ;;
        esac
        expect_exit 0 recover
        if [ -z "$(since)" ] && [ $name != lock ] && [ $name != staging ]; then
            grep -q 'was of no use' "$TMP/said" || fail "$name is damaged, and nothing is said: $(cat "$TMP/said")"
        fi
        same "$name damaged: publications" "$all" "$(publications)"
        goes_on "$name damaged" "$TMP/tree"
    done
    # Any byte of the index: found, or without meaning.
    for name in 1 2 3 4 5 6; do
        again
        printf "\\$(printf %o $((RANDOM % 256)))" | dd of="$NEW/.$vault.rebuild/index.db" bs=1 conv=notrunc status=none \
            seek=$(((RANDOM * 32768 + RANDOM) % $(stat -c %s "$NEW/.$vault.rebuild/index.db")))
        expect_exit 0 recover
        goes_on "a byte of the index" "$TMP/tree"
    done
    # Another vault's key: refused, and what is left stays.
    again
    "$ECLUSE" init --keyfile "$KEY" --recovery-out "$TMP/other.sheet" --state "$TMP/other.state" "$TMP/other.store" >/dev/null
    expect_exit 4 "$ECLUSE" recover --recovery-file "$TMP/other.sheet" --keyfile "$KEY" --state "$NEW" "$STORE"
    expect_exit 0 recover
    same "after another vault's key" $((all / 2)) "$(since)"
    # Another secret for this device: the one given last.
    again
    (umask 077 && head -c 64 /dev/urandom >"$TMP/key2")
    expect_exit 0 "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$TMP/key2" --state "$NEW" "$STORE"
    same "with another secret" $((all / 2)) "$(since)"
    expect_exit 4 "$ECLUSE" mount --keyfile "$KEY" --state "$NEW" "$STORE" "$MNT"
    KEY=$TMP/key2 goes_on "with another secret" "$TMP/tree"
    # Gone on with from two copies: two devices.
    again
    expect_exit 0 recover
    mv "$NEW" "$TMP/twin" && again
    expect_exit 0 recover
    cp -a "$STORE" "$TMP/store.kept"
    for twin in "$NEW" "$TMP/twin"; do
        open_vault "$twin"
        echo "$twin" >"$MNT/whose"
        close_vault "$twin"
    done
    mv "$NEW" "$TMP/twin2" && mkdir "$NEW"
    expect_exit 0 "$ECLUSE" recover --partial --recovery-file "$SHEET" --keyfile "$KEY" --state "$NEW" "$STORE"
    same "devices, with the one that made it" 3 "$(grep -c '^  Device ' "$TMP/said")"
    rm -rf "$STORE" "$TMP/twin2" && mv "$TMP/store.kept" "$STORE"
}

part_store() {
    local object
    # The store goes away on the way.
    again
    mv "$STORE" "$TMP/away"
    expect_exit 2 recover
    mv "$TMP/away" "$STORE"
    expect_exit 0 recover
    same "the store came back" $((all / 2)) "$(since)"
    # More was published meanwhile.
    again
    open_vault "$DEVICE"
    echo newer >"$MNT/newer" && rm "$MNT/tree/file-1"
    census "$MNT" >"$TMP/newer"
    close_vault "$DEVICE"
    expect_exit 0 recover
    same "with newer publications: since before" $((all / 2)) "$(since)"
    goes_on "with newer publications" "$TMP/newer"
    # A newer checkpoint: another beginning.
    again
    open_vault "$DEVICE"
    for ((k = 0; k < 40; k++)); do
        echo $k >"$MNT/counter" && "$ECLUSE" flush --state "$DEVICE" "$MNT"
    done
    census "$MNT" >"$TMP/newest"
    close_vault "$DEVICE"
    expect_exit 0 recover
    grep -q 'was of no use' "$TMP/said" || fail "no checkpoint was made, or it is not noticed: $(cat "$TMP/said")"
    goes_on "with a newer checkpoint" "$TMP/newest"
    # The last publications are taken away again, first those that were not applied yet …
    rm -rf "$STORE" && cp -a "$TMP/store.first" "$STORE"
    again
    object=$(tail -n 1 "$TMP/carriers")
    mv "$object" "$TMP/withheld"
    expect_exit 0 recover
    same "without the last one: since before" $((all / 2)) "$(since)"
    same "without the last one: publications" $((all - 1)) "$(publications)"
    mv "$TMP/withheld" "$object"
    # … then one that was.
    object=$(sed -n "$((all / 2))p" "$TMP/carriers")
    mv "$object" "$TMP/withheld"
    again
    expect_exit 8 recover
    mv "$TMP/withheld" "$object"
    expect_exit 0 recover
    same "it came back: since before" $((all / 2)) "$(since)"
    goes_on "it came back" "$TMP/tree"
}

# --- Ctrl-C ----------------------------------------------------------------------------------

part_signal() {
    local lang code said child
    for lang in C.UTF-8 fr_CA.UTF-8; do
        afresh
        # A shell starts what runs in the background with SIGINT ignored, and may itself have been started so.
        ECLUSE_FAULT=rebuild:delay=6000:$middle LC_ALL=$lang env --default-signal=INT "$ECLUSE" recover \
            --recovery-file "$SHEET" --keyfile "$KEY" --state "$NEW" "$STORE" >"$TMP/said.child" 2>&1 &
        child=$!
        until_true test -e "$NEW/.$vault.rebuild/history"
        kill -STOP $child     # or it is through before the other one has begun, on a busy computer
        expect_exit 6 recover # at the same time
        grep -q 'another recovery of this vault is at work' "$TMP/said" || fail "two at once: $(cat "$TMP/said")"
        kill -INT $child
        kill -CONT $child
        code=0
        wait $child || code=$?
        same "its exit code" 130 $code
        case $lang in
        fr*) said='la même commande reprend' ;;
        *) said='the same command goes on from there' ;;
        esac
        grep -q "$said" "$TMP/said.child" || fail "it does not say how to go on: $(cat "$TMP/said.child")"
        expect_exit 0 recover
        [ -n "$(since)" ] || fail "it began anew: $(cat "$TMP/said")"
        goes_on "interrupted" "$TMP/tree"
    done
}

# --- on a terminal --------------------------------------------------------------------------------

part_progress() { # each phase shows how far it is, and goes on; nothing of it stays
    afresh
    ECLUSE_FAULT=rebuild:delay=150:1+ "$TOOLS/terminal" -- "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" \
        --state "$NEW" "$STORE" >"$TMP/said" 2>&1 || fail "on a terminal: $(cat "$TMP/said")"
    tr '\r' '\n' <"$TMP/said" | sed 's/\x1b\[K//' >"$TMP/lines"
    grep -q '^Reading the store: [0-9]*%$' "$TMP/lines" || fail "nothing of the survey: $(cat "$TMP/lines")"
    grep -q '^Reading publications: [0-9]*%$' "$TMP/lines" || fail "nothing of the footers: $(cat "$TMP/lines")"
    sed -n 's/^Rebuilding the tree: \([0-9]*\)%$/\1/p' "$TMP/lines" >"$TMP/percents"
    [ "$(wc -l <"$TMP/percents")" -ge $((all / 2)) ] || fail "it hardly moves: $(cat "$TMP/percents")"
    sort -n -c "$TMP/percents" && [ "$(tail -n 1 "$TMP/percents")" -gt 80 ] || fail "not from 0 to 100: $(cat "$TMP/percents")"
    tail -n 3 "$TMP/lines" | grep -q 'To work in it' || fail "something is left on the line: $(tail -n 3 "$TMP/lines")"
    goes_on "on a terminal" "$TMP/tree"
}

if $faults; then
    for part in ${PARTS:-steps middle reads damage store signal progress}; do
        case $part in middle) middle ;; *) [ -n "${middle:-}" ] || [ "$part" = steps ] || middle; "part_$part" ;; esac
    done
fi
