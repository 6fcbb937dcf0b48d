#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A state directory that was copied, restored or taken to another machine is told
# from the one it was: it becomes another actor, keeps its unpublished work, and
# nothing of what the original uses (publication number, segment, nonce) serves twice.
. "$(dirname "$0")/../mount/lib.sh"
need rsync tar

export ECLUSE_NONCE_LOG=$TMP/nonces
COPY=$TMP/copy COPY_MNT=$TMP/copy-mnt BACKUP=$TMP/backup
mkdir "$COPY_MNT"

# on STATE COMMAND... : with that state; the copy has a mountpoint of its own
on() {
    local state=$1
    shift
    case $state in
    "$STATE") "$@" ;;
    *) STATE=$state MNT=$COPY_MNT "$@" ;;
    esac
}
start() { on "$1" mount_vault -v 2>"$TMP/log"; }
warned() { "$ECLUSE" status --json --state "$STATE" "$MNT" | grep -o "\"$1\": *[0-9]*" | grep -o '[0-9]*$'; }

# is_copy STATE, is_original STATE: mounts it; log, status and sentence say so
is_copy() {
    start "$1" || fail "a copy is not mounted: $(cat "$TMP/log")"
    grep -q 'ECL-0513.*new actor: OK' "$TMP/log" || fail "no new actor in the log: $(cat "$TMP/log")"
    grep -q 'ecluse: the local state was copied or restored' "$TMP/log" || fail "no sentence: $(cat "$TMP/log")"
    same "the status of a copy" true "$(on "$1" status_field cloned)"
    same "what failed to open" 0 "$(on "$1" warned refused)"
}
is_original() {
    start "$1" || fail "the original is not mounted: $(cat "$TMP/log")"
    grep -E 'ECL-0513|copied or restored from' "$TMP/log" && fail "a false alarm"
    same "the status of an original" false "$(on "$1" status_field cloned)"
}
stop() { # the other one may go on, which umount_vault would wait for
    local pid
    pid=$(on "$1" daemon_pid)
    on "$1" unmount
    until_true gone "$pid"
}
unmount() { "$ECLUSE" umount --state "$STATE" "$MNT"; }

begin() { # begin NAME : a new vault with something published
    echo "--- $1"
    STORE=$TMP/store-$1
    rm -rf "$COPY" "$BACKUP" "$SHEET" "$STATE" "$TMP/known"
    make_vault
    mount_vault
    mkdir "$MNT/old"
    for k in $(seq 20); do head -c $((k * 777)) /dev/urandom >"$MNT/old/$k"; done
    objects >"$TMP/known"
}

# add STATE NAME : published and unpublished work; noted, to be looked for later
add() {
    local mnt=$MNT
    [ "$1" = "$STATE" ] || mnt=$COPY_MNT
    mkdir "$mnt/$2"
    head -c 70000 /dev/urandom >"$mnt/$2/flushed"
    "$ECLUSE" flush --state "$1" "$mnt"
    head -c 150000 /dev/urandom >"$mnt/$2/large"
    head -c 99 /dev/urandom >"$mnt/$2/small"
    sync "$mnt/$2/large" "$mnt/$2/small" "$mnt/$2"
    echo more | dd of="$mnt/old/1" conv=notrunc,fsync oflag=append status=none
    note "$1"
}
listed() { # listed STATE : all names and contents
    local mnt=$MNT
    [ "$1" = "$STATE" ] || mnt=$COPY_MNT
    (cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}
note() { listed "$1" >"$TMP/tree-$(basename "$1")"; }
holds() { same "what $(basename "$1") holds" "$(cat "$TMP/tree-$(basename "$1")")" "$(listed "$1")"; }

# again STATE : everything is there after a flush and after a remount, and no alarm
again() {
    local mnt=$MNT
    [ "$1" = "$STATE" ] || mnt=$COPY_MNT
    holds "$1"
    "$ECLUSE" flush --state "$1" "$mnt"
    same "what waits after a flush" 0 "$(on "$1" status_field staged_bytes)"
    holds "$1"
    stop "$1"
    is_original "$1"
    holds "$1"
}

# nothing_twice STATE : in the store, and in all that was ever sealed
nothing_twice() {
    local twice
    wrote_once "$TMP/known"
    objects >"$TMP/known"
    "$TOOLS/dots" "$STORE" "$(echo "$1"/*)" "$PASS" >"$TMP/dots" || fail "an object of the store does not open"
    twice=$(cut -d' ' -f1,2 "$TMP/dots" | sort | uniq -d)
    same "publications under one actor and number" "" "$twice"
    "$TOOLS/nonces" "$TMP/nonces" >"$TMP/said" || fail "$(cat "$TMP/said")"
    store_is_opaque
}
actors() { cut -d' ' -f1 "$TMP/dots" | sort -u | wc -l; }

begin copied
stop "$STATE"
cp -a "$STATE" "$COPY"
is_original "$STATE"
add "$STATE" of-the-original
stop "$STATE"
is_copy "$COPY"
expect "it says that it does not show everything" grep -q 'publications\? in the store .* not shown here' "$TMP/log"
add "$COPY" of-the-copy
again "$COPY"
is_original "$STATE"
again "$STATE"
# Both at the same time.
for k in 1 2 3; do
    add "$STATE" "original-$k" &
    add "$COPY" "copy-$k"
    wait $!
done
again "$STATE"
again "$COPY"
nothing_twice "$STATE"
same "actors" 2 "$(actors)"
# And a copy of the copy.
stop "$COPY"
mv "$COPY" "$TMP/first-copy"
cp -a "$TMP/first-copy" "$COPY"
cp "$TMP/tree-copy" "$TMP/tree-first-copy"
is_copy "$COPY"
holds "$COPY"
add "$COPY" of-the-copys-copy
again "$COPY"
stop "$COPY"
is_original "$TMP/first-copy"
again "$TMP/first-copy"
stop "$TMP/first-copy"
stop "$STATE"
nothing_twice "$STATE"
same "actors" 3 "$(actors)"

# Restored over what has published since. In place, inodes and births are as they were.
place() { stat -c '%i %W' "$STATE"/* "$STATE"/*/lock; }
for way in cp tar rsync; do
    begin "restored-by-$way"
    add "$STATE" before
    stop "$STATE"
    cp -a "$STATE" "$BACKUP"
    is_original "$STATE"
    cp "$TMP/tree-state" "$TMP/tree-backup"
    add "$STATE" lost-with-the-restored
    stop "$STATE"
    place >"$TMP/place"
    case $way in
    cp) rm -r "$STATE" && cp -a "$BACKUP" "$STATE" ;;
    tar) rm -r "$STATE" && mkdir "$STATE" && tar -C "$BACKUP" -c . | tar -C "$STATE" -x ;;
    rsync)
        rsync -a --inplace --ignore-times --delete "$BACKUP/" "$STATE/"
        same "the place of the lock file" "$(cat "$TMP/place")" "$(place)"
        ;;
    esac
    cp "$TMP/tree-backup" "$TMP/tree-state"
    is_copy "$STATE"
    expect "it says what it does not show" grep -q '[12] publications\? in the store .* not shown here' "$TMP/log"
    holds "$STATE"
    add "$STATE" after
    again "$STATE"
    stop "$STATE"
    nothing_twice "$STATE"
    same "actors" 2 "$(actors)"
done

if [ -s /etc/machine-id ] && as_root; then
    begin "on-another-machine"
    add "$STATE" before
    stop "$STATE"
    tr 0-9a-f 1-9a-f0 </etc/machine-id >"$TMP/machine-id"
    elsewhere() {
        mount --bind "$TMP/machine-id" /etc/machine-id
        is_copy "$STATE"
        holds "$STATE"
        add "$STATE" there
        again "$STATE"
        stop "$STATE"
    }
    # shellcheck disable=SC2016
    run_elsewhere() {
        unshare -m --propagation private bash -c '
            set -euo pipefail
            for f in "$0"/*; do . "$f"; done
            trap - EXIT
            elsewhere' "$TMP/carried"
    }
    mkdir -p "$TMP/carried"
    { declare -p ROOT ECLUSE TOOLS TMP STORE MNT STATE PASS SHEET COPY COPY_MNT && declare -f; } >"$TMP/carried/all"
    run_elsewhere
    is_copy "$STATE"
    holds "$STATE"
    add "$STATE" back
    again "$STATE"
    stop "$STATE"
    nothing_twice "$STATE"
    same "actors" 3 "$(actors)"
fi

# As a snapshot of the disk has it, taken of a mounted vault at work.
begin "snapshot-while-mounted"
add "$STATE" before
pid=$(daemon_pid)
kill -STOP "$pid"
cp -a "$STATE" "$COPY"
kill -CONT "$pid"
cp "$TMP/tree-state" "$TMP/tree-copy"
add "$STATE" of-the-original
is_copy "$COPY"
holds "$COPY"
add "$COPY" of-the-copy
again "$COPY"
again "$STATE"
stop "$STATE"
stop "$COPY"
nothing_twice "$STATE"
same "actors" 2 "$(actors)"

# What a copy's gc removes is not the end of what its original published: idle, that one would
# take the store for an older one.
begin "collected-by-the-copy"
export ECLUSE_CLOCK=$TMP/clock
echo 0 >"$ECLUSE_CLOCK"
remount
collect() { "$ECLUSE" gc "$@" --state "$STATE" "$MNT" >"$TMP/said"; }
note "$STATE"                            # reading is noted too, and would be published last
for k in $(seq 14); do mkdir "$MNT/names-alone-$k" && "$ECLUSE" flush --state "$STATE" "$MNT"; done
collect --json
stop "$STATE"
"$TOOLS/dots" "$STORE" "$(echo "$STATE"/*)" "$PASS" >"$TMP/dots"
last=$(sort -k 2n "$TMP/dots" | tail -n 1 | cut -d' ' -f3)
objects >"$TMP/known"
cp -a "$STATE" "$COPY"
is_copy "$COPY"
echo $((40 * 86400)) >"$ECLUSE_CLOCK"
for how in --json --now; do
    on "$COPY" collect $how
    find "$STORE" -type f | tr -d / | grep -q "$last$" || fail "the last publication of the original is gone after gc $how"
done
[ "$(sort "$TMP/known" | comm -23 - <(objects | sort) | wc -l)" -gt 10 ] || fail "gc removed next to nothing: $(cat "$TMP/said")"
is_original "$STATE"
holds "$STATE"
stop "$STATE"
stop "$COPY"
unset ECLUSE_CLOCK

# Killed: unpublished segments, records in the journal, publications on their way.
for point in none intent store_rename store_rename:kill:2 publication mark_published; do
    begin "killed-at-$point"
    add "$STATE" before
    if [ "$point" = none ]; then
        kill_daemon
    else
        stop "$STATE"
        case $point in *:*) fault=$point size=20000000 ;; *) fault=$point:kill size=3000000 ;; esac
        ECLUSE_FAULT=$fault start "$STATE"
        head -c "$size" /dev/urandom >"$MNT/on-its-way"
        sync "$MNT/on-its-way" "$MNT"
        note "$STATE"
        pid=$(daemon_pid)
        "$ECLUSE" flush --state "$STATE" "$MNT" 2>"$TMP/said" && fail "$point was not passed"
        until_true gone "$pid"
        umount -l "$MNT"
    fi
    cp -a "$STATE" "$COPY"
    cp "$TMP/tree-state" "$TMP/tree-copy"
    is_copy "$COPY"
    is_original "$STATE"
    holds "$COPY"
    add "$COPY" of-the-copy
    add "$STATE" of-the-original
    again "$COPY"
    again "$STATE"
    stop "$STATE"
    stop "$COPY"
    nothing_twice "$STATE"
    same "actors" 2 "$(actors)"
done

# Killed as soon as it has become somebody else: what it sealed anew for that is what it
# publishes, though the next mount does not take it for a copy any more.
begin "killed-when-it-has-changed"
add "$STATE" before
kill_daemon
umount -l "$MNT"
cp -a "$STATE" "$COPY"
cp "$TMP/tree-state" "$TMP/tree-copy"
(cd "$STATE"/*/staging && printf '%s\n' *) >"$TMP/staged"
grep -qx '[0-9a-f]\{32\}' "$TMP/staged" || fail "nothing is staged"
is_copy "$COPY"
on "$COPY" kill_daemon
umount -l "$COPY_MNT"
is_original "$COPY"
again "$COPY"
{ ls "$COPY"/*/staging && objects | sed -n 's|.*segments/\(..\)/|\1|p'; } >"$TMP/used"
same "names that the original may use as well" "" "$(sort "$TMP/used" | comm -12 - "$TMP/staged")"
is_original "$STATE"
again "$STATE"
holds "$COPY"
stop "$STATE"
stop "$COPY"
nothing_twice "$STATE"
same "actors" 2 "$(actors)"

# The keyring of before, put back into a copy that has gone on: it names the original,
# whether the store tells that by now or not.
begin "an-older-keyring"
add "$STATE" before
stop "$STATE"
cp -a "$STATE" "$COPY"
cp "$TMP/tree-state" "$TMP/tree-copy"
is_copy "$COPY"
add "$COPY" of-the-copy
again "$COPY"
stop "$COPY"
put_back() { cp "$STATE"/*/keyring "$(echo "$COPY"/*)/"; }
put_back
is_copy "$COPY"
holds "$COPY"
add "$COPY" of-another-copy
is_original "$STATE"
add "$STATE" of-the-original
again "$COPY"
stop "$COPY"
put_back
on "$COPY" mount_vault -o ro 2>"$TMP/log"
grep contradict "$TMP/log" && fail "the original is taken for another history"
same "the status of a copy, read-only" true "$(on "$COPY" status_field cloned)"
holds "$COPY"
stop "$COPY"
is_copy "$COPY"
holds "$COPY"
add "$COPY" of-one-more
again "$COPY"
again "$STATE"
stop "$STATE"
stop "$COPY"
nothing_twice "$STATE"
same "actors" 4 "$(actors)"

# Killed while it becomes somebody else: it is a copy still. Read-only it stays one.
begin "killed-while-it-changes"
add "$STATE" before
kill_daemon
umount -l "$MNT"
cp -a "$STATE" "$COPY"
cp "$TMP/tree-state" "$TMP/tree-copy"
for point in keyring_write keyring_rename wal_write wal_sync segment_append segment_sync state_adopt; do
    ECLUSE_FAULT=$point:kill expect_exit 13 "$ECLUSE" mount --passfile "$PASS" --state "$COPY" "$STORE" "$COPY_MNT"
    grep -q "ended by signal 9" "$TMP/said" || fail "$point was not passed: $(cat "$TMP/said")"
done
on "$COPY" mount_vault -o ro
same "the status of a copy, read-only" true "$(on "$COPY" status_field cloned)"
holds "$COPY"
stop "$COPY"
is_copy "$COPY"
holds "$COPY"
add "$COPY" of-the-copy
again "$COPY"
is_original "$STATE"
add "$STATE" of-the-original
again "$STATE"
stop "$STATE"
stop "$COPY"
nothing_twice "$STATE"
tail -n 1 "$TMP/said"
