#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A part of a checkpoint is intended, and its delivery fails, or the mark behind it: the same
# bytes go before all else, whether that is a round of gc, a publication or nothing at all.
# Nothing counts as damaged, and nothing is read-only.
. "$(dirname "$0")/../mount/lib.sh"

export ECLUSE_FAULT_GATE=$TMP/gate
flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }
gc() { "$ECLUSE" gc --now --state "$STATE" "$MNT"; }
staged() { find "$STATE"/*/staging -type f; }
published() { [ -z "$(staged)" ] && [ -z "$(status_field publish_error)" ]; }

# begin WHAT FAULT : a new vault, where passages count once the gate is open
begin() {
    echo "$1: $2"
    rm -rf "$STORE" "$STATE" "$SHEET" "$TMP/gate"
    make_vault
    # In the foreground, so that it logs into a file of ours.
    ECLUSE_FAULT=$2 "$ECLUSE" mount -f --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" 2>"$TMP/log" &
    serving() { mountpoint -q "$MNT" && "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said" 2>&1; }
    until_true serving
}
# As many publications as there may be before a checkpoint; the next one makes it due.
publications() { for k in $(seq 24); do echo "$k" >"$MNT/$k" && flush; done; }
part_failed() { grep -q "ECL-0420 checkpoint of 1 parts: $1" "$TMP/log" || fail "no part of a checkpoint failed: $(cat "$TMP/log")"; }

# All is published and goes on, now and after another mount; a check has nothing to say.
all_is_well() {
    echo after >"$MNT/after" && flush || fail "it does not go on: $(cat "$TMP/log")"
    same "staged" "" "$(staged)"
    for figure in unpublished=0 refused=0 missing=0 latched= publish_error=; do
        same "${figure%=*}" "${figure#*=}" "$(status_field "${figure%=*}")"
    done
    same "what counts as damaged" "" "$(find "$STATE" -name '*damaged*')"
    tree "$MNT" >"$TMP/tree"
    remount
    tree "$MNT" | cmp - "$TMP/tree" || fail "another tree after a remount"
    umount_vault
    expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"
    store_is_opaque
}

for fault in store_rename:ENOSPC:2 mark_published:EIO:2; do
    case $fault in *ENOSPC*) code=9 ;; *) code=13 ;; esac
    word=${fault#*:} word=${word%:2}

    # The publication that asks for it is followed by a round of gc.
    begin "a round of gc" "$fault"
    publications
    echo more >"$MNT/more" && touch "$TMP/gate"
    expect_exit "$code" gc
    part_failed "$word"
    expect_exit 0 gc
    all_is_well

    # Or by other publications.
    begin "other publications" "$fault"
    publications
    echo more >"$MNT/more" && touch "$TMP/gate"
    expect_exit "$code" flush
    part_failed "$word"
    echo later >"$MNT/later"
    expect_exit 0 flush
    all_is_well
done

# By nothing, after gc has begun one: it is tried again by itself, and soon.
begin "nothing" store_rename:ENOSPC:1
head -c 300000 /dev/urandom >"$MNT/dead" && flush
rm "$MNT/dead" && flush
touch "$TMP/gate"
expect_exit 9 gc
part_failed ENOSPC
until_true published
expect_exit 0 gc
all_is_well
