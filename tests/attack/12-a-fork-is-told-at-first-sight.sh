#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 12: the store keeps two devices, or a device and its own past, apart, and shows the
# branch of the one to the other: it is told at first sight, by log, sentence and status, and
# nothing of it is mixed into the tree.  What was seen of another device is not forgotten, and
# while there are two branches gc removes nothing of either.
. "$(dirname "$0")/lib.sh"

export ECLUSE_CLOCK=$TMP/clock
echo 0 >"$ECLUSE_CLOCK"
# gc_removes_nothing WHY : not even when the grace is over
gc_removes_nothing() {
    local now days
    all_objects >"$TMP/before"
    for days in 0 40 80; do
        for now in '' --now; do
            echo $((days * 86400)) >"$ECLUSE_CLOCK"
            # shellcheck disable=SC2086
            expect_exit 10 "$ECLUSE" gc $now --state "$STATE" "$MNT"
            same "$1: gc" "ecluse: $MNT: another device publishes into this store, and may need what would be removed" "$(cat "$TMP/said")"
        done
    done
    same "$1: objects that are gone" "" "$(all_objects | comm -23 "$TMP/before" -)"
    echo 0 >"$ECLUSE_CLOCK"
}

make_attacked
opens "a new vault"
fill
close_vault
keep old

# One actor, one number, two publications.
branch() { # branch NAME : what follows from `old`, alone
    back old
    opens "before the branch $1"
    echo "of $1" >"$MNT/branch" && flush_vault
    echo "more of $1" >"$MNT/branch-more" && flush_vault
    close_vault
    keep "$1"
}
branch a
branch b
cp -an "$TMP/kept-a/store/segments/." "$STORE/segments/"
opens "both branches"
says 'ECL-0323 fork: publication [0-9a-f]{16}/[0-9]+ \(object [0-9a-f]{32}\) is another one than this device published'
says '^ecluse: [0-9]+ publications? in the store contradicts? '
[ "$(status_field forked)" -gt 0 ] || fail "status does not say it"
same "our own branch is shown" "of b" "$(cat "$MNT/branch")"
"$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said" && says '^  ! [0-9]+ publications? in the store contradicts? '
echo "goes on" >"$MNT/on" && flush_vault || fail "our own branch does not go on"
gc_removes_nothing "both branches"
close_vault
# Nor when gc is the first to see what came while it is mounted.
back b
opens "one branch, before gc"
cp -an "$TMP/kept-a/store/segments/." "$STORE/segments/"
gc_removes_nothing "come while mounted"
same "our own branch is shown" "of b" "$(cat "$MNT/branch")"
close_vault
# The same while it is mounted.
back b
opens "one branch"
same "forked" 0 "$(status_field forked)"
cp -an "$TMP/kept-a/store/segments/." "$STORE/segments/"
[ "$(status_field forked)" -gt 0 ] || fail "status does not say what came while it is mounted"
says 'ECL-0323 fork'
same "our own branch is shown" "of b" "$(cat "$MNT/branch")"
echo "goes on" >"$MNT/on" && flush_vault
close_vault
opens "again"
[ "$(status_field forked)" -gt 0 ] || fail "it is forgotten"
same "our own branch is shown" "goes on" "$(cat "$MNT/on")"
close_vault
expect_exit 8 "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered" "$STORE"
says 'two different publications have one number'

# Two devices: the second is a copy of the first one's state.  It follows branch a, and
# is then shown to the device that is on branch b.
back a
rm -rf "$TMP/second" "$TMP/mnt2"
cp -a "$STATE" "$TMP/second"
mkdir "$TMP/mnt2"
second() { "$ECLUSE" mount --keyfile "$KEY" --state "$TMP/second" -v "$STORE" "$TMP/mnt2" >"$TMP/said2" 2>&1; }
leave() { "$ECLUSE" umount --state "$TMP/second" "$TMP/mnt2" && until_true no_daemon; }
second && echo "of the second device" >"$TMP/mnt2/second" && leave
rm -rf "$TMP/store.a" && cp -a "$STORE" "$TMP/store.a"
back b
new=$(comm -13 <(cd "$TMP/kept-a/store" && find segments -type f | sort) <(cd "$TMP/store.a" && find segments -type f | sort))
for o in $new; do cp -a "$TMP/store.a/$o" "$STORE/$o"; done # only what the second device made
opens "a device of the other branch"
says 'ECL-0323 fork: publication .* follows another one than this device published'
[ "$(status_field forked)" -gt 0 ] || fail "status does not say it"
same "our own branch is shown" "of b" "$(cat "$MNT/branch")"
close_vault

# No branch, only another device: no alarm; but once seen it may not go again.
back a
cp -an "$TMP/store.a/segments/." "$STORE/segments/"
opens "another device"
same "forked" 0 "$(status_field forked)"
[ "$(status_field unseen)" -gt 0 ] || fail "the other device is not seen"
"$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said" && says '^  Device [0-9a-f]{8}: publication [0-9]+, .*: [a-z]+ [a-z]+ [a-z]+ [a-z]+$'
phrase=$(sed -n 's/^  Device .*: //p' "$TMP/said")
# … come while mounted, gone, and back.
close_vault
back a
opens "before the other device comes"
same "unseen" 0 "$(status_field unseen)"
cp -an "$TMP/store.a/segments/." "$STORE/segments/"
[ "$(status_field unseen)" -gt 0 ] || fail "the other device is not seen while mounted"
for o in $new; do mv "$STORE/$o" "$TMP/away-${o##*/}"; done
same "status says that it is gone" true "$(status_field older)"
echo x >"$MNT/x"
expect_exit 7 flush_vault
for o in $new; do mv "$TMP/away-${o##*/}" "$STORE/$o"; done
flush_vault || fail "it is back, and nothing is published"
same "status says that it is back" false "$(status_field older)"
close_vault
# … gone while unmounted.
keep seen
for o in $new; do rm -f "$STORE/$o"; done
unchanged "the refusal" refused 7 "another device's publications are gone"
says 'ECL-0324 seen before, and not in the store: E_OLDER_STATE: publication'
"$ECLUSE" accept --older --yes --keyfile "$KEY" --state "$STATE" "$STORE" >"$TMP/said" 2>&1 || fail "accept: $(cat "$TMP/said")"
says 'publications of other devices: 1'
opens "accepted"
same "unseen" 0 "$(status_field unseen)"
close_vault
# … and the same words wherever they are shown.
back seen
second
"$ECLUSE" status --state "$TMP/second" "$TMP/mnt2" >"$TMP/said" && says "^  This device \([0-9a-f]{8}\): .*: $phrase$"
leave
