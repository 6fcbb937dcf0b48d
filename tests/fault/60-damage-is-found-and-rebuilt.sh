#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A state with any byte flipped or any file missing is found out, at the mount or at
# first use; the refusal changes nothing on disk; `mount --rebuild` brings back what
# was published byte for byte, and what was not as far as it can be read, also when
# it is killed at any step; the old files all stay.
#
# SEED, and FLIPS (bytes of the index that are tried), may be given; ALL=1 tries every
# STEPth byte (default 1) of it, and a kill at every step; PARTS names what is tried.
. "$(dirname "$0")/../mount/lib.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((seed % 32768))
echo "replay with: SEED=$seed FLIPS=${FLIPS:-} ALL=${ALL:-} STEP=${STEP:-} ECLUSE=$ECLUSE $0"
KEY=$TMP/key

open_vault() { "$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$@" "$STORE" "$MNT" </dev/null; }
close_vault() {
    "$ECLUSE" umount --state "$STATE" "$MNT" >"$TMP/said" 2>&1 || true
    until_true no_daemon
}

# --- two states of one vault: published and left alone; killed with more to publish ----

(umask 077 && head -c 64 /dev/urandom >"$KEY")
mkdir "$MNT"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
rm -f "$STATE"/*/ballast # 64 MiB less to copy, again and again
open_vault
make_tree "$MNT/tree"
rm "$MNT/tree/pipe" # its time is beyond what some filesystems that hold a copy can
"$ECLUSE" flush --state "$STATE" "$MNT"
head -c 100000 /dev/urandom >"$MNT/tree/second"
mkdir "$MNT/tree/later"
"$ECLUSE" flush --state "$STATE" "$MNT"
census "$MNT" >"$TMP/published"
(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TMP/published.sums"
close_vault
cp -a "$STORE" "$TMP/store.clean"
cp -a --sparse=always "$STATE" "$TMP/state.clean"

open_vault
head -c 400000 /dev/urandom >"$MNT/tree/third"
head -c 150000 /dev/urandom | dd of="$MNT/tree/documents/2025/blob.bin" bs=50000 seek=10 conv=notrunc status=none 2>/dev/null ||
    fail "cannot write over a file"
mkdir "$MNT/tree/newer"
mv "$MNT/tree/documents/numbers.txt" "$MNT/tree/newer/moved"
rm "$MNT/tree/documents/with blanks/17" "$MNT/tree/second"
setfattr -n user.more -v later "$MNT/tree/newer"
sync "$MNT/tree/newer" # to the index
for i in 1 2 3; do echo "small $i" >"$MNT/tree/newer/small$i" && sync "$MNT/tree/newer/small$i"; done
census "$MNT" >"$TMP/current"
(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TMP/current.sums"
kill_daemon
umount -l "$MNT"
[ "$(find "$STATE"/*/staging -type f | wc -l)" -gt 0 ] || fail "nothing is staged"
cp -a --sparse=always "$STATE" "$TMP/state.killed"
mv "$STORE" "$TMP/store.killed"

# fresh KIND : the state and the store as they were then. The directory and its lock
# stay when they are there, lest it be a copy, which takes a new actor before all else.
fresh() {
    rm -rf "$STORE"
    cp -a "$TMP/store.$1" "$STORE"
    dir=$STATE/$(ls "$TMP/state.$1")
    (umask 077 && mkdir -p "$dir")
    find "$dir" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
    (cd "$TMP/state.$1"/* && find . -mindepth 1 -maxdepth 1 ! -name lock -exec cp -a --sparse=always {} "$dir/" \;)
    # A copy has not the room that the log keeps reserved.
    fallocate -n -l 8M "$dir/index.db-wal" && touch -r "$TMP/state.$1"/*/index.db-wal "$dir/index.db-wal"
    [ -e "$dir/lock" ] || cp -a "$TMP/state.$1"/*/lock "$dir/"
}
whole() { [ "$1" = clean ] && echo "$TMP/published" || echo "$TMP/current"; }

# unchanged WHAT : nothing is different from what $TMP/before says
unchanged() {
    listing "$STATE" "$STORE" >"$TMP/after"
    diff "$TMP/before" "$TMP/after" >"$TMP/changes" && return
    head -n 20 "$TMP/changes" >&2
    fail "the refusal changed something: $1"
}

# refused CODE WHAT : a mount says what is damaged and how to go on, and changes nothing
refused() {
    listing "$STATE" "$STORE" >"$TMP/before"
    expect_exit "$1" open_vault
    grep -qF "$2: " "$TMP/said" || fail "the complaint does not name $2: $(cat "$TMP/said")"
    grep -q -- '^  ecluse mount --rebuild ' "$TMP/said" || fail "no way out is offered: $(cat "$TMP/said")"
    unchanged "$2"
}

# old_files_are_kept BEFORE : all of them, with their content, in damaged-<time>
old_files_are_kept() {
    local kept
    kept=$(cd "$dir" && echo damaged-*)
    [ -d "$dir/$kept" ] || fail "no directory with the old files: $(ls -A "$dir")"
    (cd "$dir/$kept" && sums) | cmp -s - "$1" || {
        (cd "$dir/$kept" && sums) | diff "$1" - | head >&2 || true
        fail "the old files are not all there as they were"
    }
    "$ECLUSE" audit verify --state "$STATE" "$STORE" >"$TMP/said" 2>&1 || fail "the audit log does not go on: $(cat "$TMP/said")"
}
# The audit log aside: it goes on in the new state, by a second name.
sums() { find . -type f ! -name audit ! -name audit.head -print0 | sort -z | xargs -0r sha256sum; }

# works_on : the rebuilt vault takes writes, publishes, and comes back
works_on() {
    census "$MNT/tree" >"$TMP/rebuilt"
    echo more >"$MNT/more"
    "$ECLUSE" flush --state "$STATE" "$MNT" || fail "the rebuilt vault does not publish"
    close_vault
    open_vault || fail "the rebuilt vault does not mount again"
    same "written after the rebuild" more "$(cat "$MNT/more")"
    census "$MNT/tree" | cmp -s - "$TMP/rebuilt" || fail "the tree changed when it was mounted again"
    same "refused" 0 "$(status_field refused)"
    same "publications that are not shown" 0 "$(status_field unseen)"
    close_vault
    store_is_opaque
}

# rebuilt CENSUS [option...] : brings back that tree, keeps the old files, works on
rebuilt() {
    local want=$1
    shift
    (cd "$dir" && sums) >"$TMP/old.sums"
    open_vault --rebuild "$@" >"$TMP/said" 2>&1 || fail "rebuild: $(cat "$TMP/said")"
    census "$MNT" | cmp -s - "$want" || {
        diff <(tr '\0' '\n' <"$want") <(census "$MNT" | tr '\0' '\n') | head -n 20 >&2 || true
        fail "not the tree that it was: $(cat "$TMP/said")"
    }
    old_files_are_kept "$TMP/old.sums"
    works_on
}

# --- files that are missing or cut ------------------------------------------------------

damage_file() { # damage_file KIND CODE NAME COMMAND CENSUS [option...]
    local kind=$1 code=$2 name=$3 command=$4 want=$5
    shift 5
    fresh "$kind"
    (cd "$dir" && eval "$command")
    refused "$code" "$name"
    rebuilt "$want" "$@"
}
part_files() {
    damage_file killed 11 lock 'rm lock' "$TMP/current"
    damage_file killed 11 index.db 'rm index.db' "$TMP/published"
    damage_file killed 11 index.db-wal ': >index.db-wal' "$TMP/published"
    damage_file killed 5 keyring 'printf x | dd of=keyring bs=1 seek=50 conv=notrunc status=none' \
        "$TMP/published" --recovery-file "$SHEET"
    damage_file clean 11 index.db ': >index.db' "$TMP/published"
    damage_file clean 11 index.db 'head -c 20000 index.db >x && mv x index.db' "$TMP/published"
    damage_file clean 11 index.db-wal 'rm index.db-wal' "$TMP/published"
    damage_file clean 11 journal 'rm journal' "$TMP/published"
    damage_file clean 11 staging 'rm -r staging' "$TMP/published"
    damage_file clean 5 keyring 'rm keyring' "$TMP/published" --recovery-file "$SHEET"
}

# Half of an index that a kill left in its log: what the log has is whole all the same.
# Without staged bytes, or without the journal, some of what was not published is gone.
published_is_there() {
    (cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TMP/now.sums"
    # Nothing but contents that a file once had; a file has its old or its new one.
    sed 's/  .*//' "$TMP/now.sums" | sort -u >"$TMP/now.hashes"
    cat "$TMP/published.sums" "$TMP/current.sums" | sed 's/  .*//' | sort -u >"$TMP/known.hashes"
    same "contents that no file ever had" "" "$(comm -23 "$TMP/now.hashes" "$TMP/known.hashes")"
    # What is published and was not touched since must be there.
    comm -12 <(sort "$TMP/published.sums") <(sort "$TMP/current.sums") >"$TMP/untouched"
    same "published files that are gone" "" "$(comm -23 "$TMP/untouched" <(sort "$TMP/now.sums"))"
}
partly() { # partly NAME COMMAND
    fresh killed
    (cd "$dir" && eval "$2")
    refused 11 "$1"
    (cd "$dir" && sums) >"$TMP/old.sums"
    open_vault --rebuild >"$TMP/report" 2>&1 || fail "rebuild: $(cat "$TMP/report")"
    published_is_there
    old_files_are_kept "$TMP/old.sums"
    if [ "$1" = staging ]; then works_on; else close_vault; fi
}
part_partly() {
    local name command
    for command in 'rm journal' 'head -c 5000 journal >x && mv x journal'; do
        partly journal "$command"
        grep -q 'old journal is missing or damaged' "$TMP/report" || fail "not reported: $(cat "$TMP/report")"
    done
    # A record that rotted in the middle: what was fsynced before it is there.
    partly index.db 'flip journal 4196'
    grep -q 'old journal is missing or damaged' "$TMP/report" || fail "a rotten record is not reported: $(cat "$TMP/report")"
    partly staging 'rm -r staging'
    for name in $(cd "$TMP"/state.killed/*/staging && ls); do
        partly "staging/$name" "rm staging/$name"
        grep -q 'changes lost' "$TMP/report" || fail "a lost segment is not reported: $(cat "$TMP/report")"
        partly "staging/$name" "truncate -s 2000 staging/$name"
        grep -q 'changes lost' "$TMP/report" || fail "a cut segment is not reported: $(cat "$TMP/report")"
    done
}

# An index whose log is gone, and which notes as unpublished what has been changed again
# and published since: it must not turn the file back.
part_stale() {
    fresh clean
    ECLUSE_FAULT=intent:EIO:1+ open_vault
    chmod 600 "$MNT/tree/documents/nothing"
    close_vault
    open_vault
    chmod 755 "$MNT/tree/documents/nothing"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    census "$MNT" >"$TMP/newer"
    kill_daemon
    umount -l "$MNT"
    : >"$dir/index.db-wal"
    refused 11 index.db-wal
    rebuilt "$TMP/newer"
}

# --- bytes of the index -------------------------------------------------------------------

flip() { # flip FILE OFFSET
    printf "\\$(printf %o $((0x$(xxd -s "$2" -l 1 -p "$1") ^ (1 << RANDOM % 8))))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
latched() { "$ECLUSE" status --json --state "$STATE" "$MNT" 2>/dev/null | grep -q '"latched": *"E_STATE_DAMAGED"'; }

try_flip() { # try_flip KIND OFFSET REBUILD? ; counts
    local at=$2 code=0
    fresh "$1"
    flip "$dir/index.db" "$at"
    listing "$STATE" "$STORE" >"$TMP/before"
    open_vault >"$TMP/said" 2>&1 || code=$?
    if [ $code != 0 ]; then
        [ $code = 11 ] || fail "byte $at of the index: exit $code: $(cat "$TMP/said")"
        unchanged "byte $at"
        at_mount=$((at_mount + 1))
    elif census "$MNT" >"$TMP/now" 2>/dev/null && cmp -s "$TMP/now" "$(whole "$1")"; then
        unused=$((unused + 1)) # a page that nothing needs
        close_vault
        return
    else
        until_true latched
        if (: >"$MNT/new") 2>/dev/null; then fail "byte $at: a damaged vault takes files"; fi
        close_vault
        expect_exit 11 open_vault
        at_use=$((at_use + 1))
    fi
    $3 || return 0
    (cd "$dir" && sums) >"$TMP/old.sums"
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "byte $at: rebuild: $(cat "$TMP/said")"
    if [ "$1" = clean ]; then
        census "$MNT" | cmp -s - "$TMP/published" || fail "byte $at: not the published tree: $(cat "$TMP/said")"
    fi
    published_is_there
    old_files_are_kept "$TMP/old.sums"
    works_on
}
part_flips() {
    local size at n=0 at_mount=0 at_use=0 unused=0
    size=$(stat -c %s "$TMP/state.clean"/*/index.db)
    if [ -n "${ALL:-}" ]; then
        for ((at = 0; at < size; at += ${STEP:-1})); do try_flip clean $at false; done
    fi
    for ((n = 0; n < ${FLIPS:-6}; n++)); do
        at=$(((RANDOM * 32768 + RANDOM) % size))
        try_flip clean $at "$([ $((n % 5)) = 0 ] && echo true || echo false)"
    done
    echo "flips of the index: $at_mount found at the mount, $at_use at first use, $unused without meaning"
    [ $((at_mount + at_use)) -gt 0 ] || fail "no flip was found"
}

# --- staged bytes ------------------------------------------------------------------------------

part_staged() {
    local name at
    # The header of a staged file says nothing that the index does not: all comes back.
    for at in 2 9 40 90; do
        fresh killed
        name=$(cd "$dir/staging" && ls -S | head -n 1)
        flip "$dir/staging/$name" $at
        refused 11 "staging/$name"
        rebuilt "$TMP/current"
    done
    # In a copy, which seals anew what is staged, a block that rotted is in the way.
    fresh killed
    rm "$dir/lock" && cp -a "$TMP/state.killed"/*/lock "$dir/"
    name=$(cd "$dir/staging" && ls -S | head -n 1)
    flip "$dir/staging/$name" 5000
    expect_exit 11 open_vault
    grep -qF "staging/$name: " "$TMP/said" || fail "the complaint does not name it: $(cat "$TMP/said")"
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "rebuild: $(cat "$TMP/said")"
    published_is_there
    works_on
    # A block that rotted: an error for who reads it, not for the vault; nor for the rebuild.
    fresh killed
    name=$(cd "$dir/staging" && ls -S | head -n 1)
    flip "$dir/staging/$name" 5000
    rm "$dir/journal"
    refused 11 journal
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "rebuild: $(cat "$TMP/said")"
    published_is_there
    works_on
    # An intent whose segment rotted before it left: it must not enter the store.
    fresh clean
    ECLUSE_FAULT=publication:kill:1 open_vault
    head -c 200000 /dev/urandom >"$MNT/intended"
    sha256sum <"$MNT/intended" >"$TMP/sum"
    "$ECLUSE" flush --state "$STATE" "$MNT" >"$TMP/said" 2>&1 || true
    until_true no_daemon
    umount -l "$MNT"
    cp -a --sparse=always "$STATE" "$TMP/state.intent" && cp -a "$STORE" "$TMP/store.intent"
    name=$(cd "$dir/staging" && ls)
    objects >"$TMP/objects.before"
    flip "$dir/staging/$name" 150000
    refused 11 "staging/$name"
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "rebuild: $(cat "$TMP/said")"
    [ ! -e "$MNT/intended" ] || fail "a file whose bytes rotted is served"
    census "$MNT" | cmp -s - "$TMP/published" || fail "not the published tree: $(cat "$TMP/said")"
    works_on
    wrote_once "$TMP/objects.before"
    # The same intent, whole, with the index gone: it tells its rows by itself.
    fresh intent
    rm "$dir/index.db"
    refused 11 index.db
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "rebuild: $(cat "$TMP/said")"
    sha256sum <"$MNT/intended" | cmp -s - "$TMP/sum" || fail "what was about to be published is lost: $(cat "$TMP/said")"
    works_on
}

# --- a publication in parts, of which the second never left -----------------------------------------

part_series() {
    local long
    long=$(printf %0220d 0)
    fresh clean
    ECLUSE_FAULT=publication:kill:2 open_vault
    mkdir "$MNT/many"
    (cd "$MNT/many" && seq -f "%g-$long" 1 9000 | xargs touch)
    census "$MNT" >"$TMP/many"
    "$ECLUSE" flush --state "$STATE" "$MNT" >"$TMP/said" 2>&1 || true
    until_true no_daemon
    umount -l "$MNT"
    cp -a --sparse=always "$STATE" "$TMP/state.series" && cp -a "$STORE" "$TMP/store.series"
    # By the index, by the two parts alone, and without the second: all or nothing.
    damage_file series 11 journal 'rm journal' "$TMP/many"
    damage_file series 11 index.db 'rm index.db' "$TMP/many"
    damage_file series 11 index.db 'rm -r index.db staging/*' "$TMP/published"
}

# --- a store that is not complete ------------------------------------------------------------------

part_store() {
    local last
    # The second publication's objects are withheld.
    fresh clean
    open_vault
    echo third >"$MNT/third-publication"
    objects >"$TMP/objects.before"
    close_vault
    last=$(objects | sort | comm -13 <(sort "$TMP/objects.before") - | sed 's/^[^ ]*  //')
    [ -n "$last" ] || fail "nothing was published"
    for object in $last; do mv "$STORE/$object" "$TMP/withheld"; done
    rm "$dir/journal"
    listing "$STATE" "$STORE" >"$TMP/before"
    expect_exit 7 open_vault --rebuild
    unchanged "an incomplete store"
    grep -q -- '--rebuild=partial' "$TMP/said" || fail "no way out: $(cat "$TMP/said")"
    expect_exit 0 open_vault --rebuild=partial
    [ ! -e "$MNT/third-publication" ] || fail "what is not in the store is served"
    census "$MNT" | cmp -s - "$TMP/published" || fail "not the tree that the store has"
    works_on
    # One in the middle: what follows it is pending.
    fresh clean
    rm "$dir/index.db"
    for object in $(cd "$STORE" && find segments -type f -size +63k | sort); do
        mv "$STORE/$object" "$TMP/withheld"
        code=0
        open_vault --rebuild >"$TMP/said" 2>&1 || code=$?
        mv "$TMP/withheld" "$STORE/$object"
        [ $code = 0 ] || break
        close_vault
        fresh clean
        rm "$dir/index.db"
    done
    [ $code = 0 ] || [ $code = 8 ] || fail "exit $code: $(cat "$TMP/said")"
    # A key that is not this vault's.
    fresh clean
    rm "$dir/keyring"
    "$ECLUSE" init --keyfile "$KEY" --recovery-out "$TMP/other.sheet" --state "$TMP/state.other" "$TMP/store.other" >/dev/null
    listing "$STATE" "$STORE" >"$TMP/before"
    expect_exit 4 open_vault --rebuild --recovery-file "$TMP/other.sheet"
    unchanged "a wrong recovery key"
}

# --- a device that knows nothing of the vault ----------------------------------------------------------

part_recover() {
    recover() { "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$STATE" "$STORE"; }
    fresh clean
    rm -rf "$STATE" && mkdir "$STATE"
    expect_exit 0 recover
    listing "$STATE" "$STORE" >"$TMP/before"
    expect_exit 11 recover
    unchanged "a state that is there"
    open_vault
    census "$MNT" | cmp -s - "$TMP/published" || fail "not the published tree"
    works_on
}

# --- kills and failures on the way ------------------------------------------------------------------

part_kills() {
    local n code point left stride
    for point in rebuild:kill:9 rebuild:ENOSPC:13 '*:kill:61'; do
        stride=${point##*:} point=${point%:*}
        [ -z "${ALL:-}" ] || stride=1
        for ((n = 1 + RANDOM % stride; ; n += stride)); do
            fresh killed
            rm "$dir/lock"
            (cd "$dir" && sums) >"$TMP/old.sums"
            code=0
            ECLUSE_FAULT=$point:$n open_vault --rebuild >"$TMP/said" 2>&1 || code=$?
            if [ $code = 0 ]; then
                close_vault
                break
            fi
            until_true no_daemon
            umount -l "$MNT" 2>/dev/null || true
            if [ -e "$dir/lock" ]; then
                # The new state is in place, and whole.
                open_vault || fail "$point:$n: the new state does not mount"
            else
                (cd "$dir" && sums) | cmp -s - "$TMP/old.sums" || fail "$point:$n changed the old state"
                expect_exit 11 open_vault
                open_vault --rebuild >"$TMP/said" 2>&1 || fail "$point:$n, then rebuild: $(cat "$TMP/said")"
            fi
            census "$MNT" | cmp -s - "$TMP/current" || fail "$point:$n: not the tree that it was: $(cat "$TMP/said")"
            old_files_are_kept "$TMP/old.sums"
            ! grep -q '"log-altered"' "$dir/audit" || fail "$point:$n: an alarm about the audit log: $(grep '"log-altered"' "$dir/audit")"
            close_vault
            left=$(find "$STATE" -mindepth 1 -maxdepth 1 ! -path "$dir")
            same "$point:$n: left beside the state" "" "$left"
            [ ! -e "$dir/rebuilding" ] || fail "$point:$n: the mark of a rebuild stays"
        done
        echo "$point: $n steps, every ${stride}th"
        [ "$n" -gt 20 ] || fail "$point: hardly any step was passed"
    done
}

# What a killed rebuild leaves is removed by the next one, and by the one after that when it is
# killed meanwhile.
part_leftovers() {
    local n left before=1000
    for ((n = 1; ; n++)); do
        fresh killed
        rm "$dir/lock"
        ECLUSE_FAULT=ballast:kill open_vault --rebuild >/dev/null 2>&1 || true
        left=$STATE/.$(basename "$dir").rebuild
        [ -e "$left/rebuilding" ] || fail "nothing is left of a killed rebuild"
        before=$(find "$left" | wc -l)
        ECLUSE_FAULT=rebuild:kill:$n open_vault --rebuild >/dev/null 2>&1 || true
        [ "$(find "$left" 2>/dev/null | wc -l)" -lt "$before" ] || [ "$n" = 1 ] || fail "step $n removes nothing"
        # Past the last file of it the mark goes: the rest is part_kills.
        [ -e "$left/index.db" ] || [ -e "$left/journal" ] || [ -e "$left/lock" ] || break
        open_vault --rebuild >"$TMP/said" 2>&1 || fail "cut at step $n of the removal: $(cat "$TMP/said")"
        census "$MNT" | cmp -s - "$TMP/current" || fail "step $n: not the tree that it was"
        close_vault
    done
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "cut at the end of the removal: $(cat "$TMP/said")"
    close_vault
    # Or what fails to be removed: the mark stays with it.
    fresh killed
    rm "$dir/lock"
    ECLUSE_FAULT=ballast:kill open_vault --rebuild >/dev/null 2>&1 || true
    expect_exit 13 env ECLUSE_FAULT=rebuild:EIO:2 "$ECLUSE" mount --rebuild --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT" </dev/null
    [ -e "$left/rebuilding" ] || fail "the mark went before the rest"
    open_vault --rebuild >"$TMP/said" 2>&1 || fail "after a removal that failed: $(cat "$TMP/said")"
    census "$MNT" | cmp -s - "$TMP/current" || fail "not the tree that it was"
    close_vault
    echo "a removal of $before files cut at $n steps"
    [ "$n" -gt 4 ] || fail "hardly any step was passed"
}

for part in ${PARTS:-files partly stale flips staged series store recover leftovers kills}; do
    begin=$SECONDS
    part_$part
    echo "$part: $((SECONDS - begin)) s"
done
