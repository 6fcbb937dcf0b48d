#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Each failpoint of FAULT_TABLE is killed at, failed and delayed at least once, in
# one of eleven scenarios: init, a session, the recovery from a dead daemon, a new
# passphrase, key slots, a copied state, a store on another filesystem, a lone
# publication, a rebuild, a store that is collected, a tree that goes in and out.
# Afterwards the vault is whole, and what was acknowledged is there.  The points are
# asked from the table (tests/tools/points.c), and which of them a scenario passes
# from the program (ECLUSE_FAULT_LOG): a point that no scenario passes is a failure.
# Needs a build with FAULTS=1.  ONLY=point, SCENARIOS="a b" limit what is done.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

as_root || skip "needs root, to mount another filesystem for the store"
place=$TMP/place        # everything of the vault under test
STORE=$place/store MNT=$place/mnt STATE=$place/state PASS=$place/pass SHEET=$place/recovery
fault='' what=''

# Runs a command of the program under test with the fault; its status is that of the command.
with_fault() { ECLUSE_FAULT=$fault ECLUSE_FAULT_LOG=$place/passed "$ECLUSE" "$@" >>"$place/said" 2>&1; }
mount_faulty() { with_fault mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"; }
leave_corpse() { # kill -9 what serves, if something does
    local pid
    pid=$(daemon_pid 2>/dev/null || true)
    [ -z "$pid" ] || { kill -9 "$pid" && until_true gone "$pid"; }
}
load() {
    "$TOOLS/load" --writers 3 --ops "$1" --seed "$RANDOM" --faults --flush \
        "$ECLUSE flush --state $STATE $MNT >/dev/null 2>&1" "$MNT" "$place/log"
}

# --- the scenarios: each sets up without the fault, then acts with it ---

set_up_init() { new_passphrase "$PASS" && mkdir "$MNT"; }
act_init() { with_fault init --passfile "$PASS" --recovery-out "$SHEET" --state "$STATE" "$STORE"; }

set_up_session() { make_vault; }
act_session() {
    mount_faulty || return
    load 25
    with_fault umount --state "$STATE" "$MNT"
}

set_up_recovery() {
    make_vault && mount_vault && load 25
    head -c 300000 /dev/urandom >"$MNT/uncommitted"
    leave_corpse
    : >"$(echo "$STATE"/*/staging)/$(printf %030d 7)00"   # what an earlier crash left there
}
act_recovery() { mount_faulty && with_fault umount --state "$STATE" "$MNT"; }

set_up_passwd() { make_vault && new_passphrase "$place/new"; }
act_passwd() { with_fault passwd --passfile "$PASS" --new-passfile "$place/new" --state "$STATE" "$STORE"; }

set_up_slots() { make_vault; }
act_slots() {
    with_fault key add --passfile "$PASS" --new-keyfile "$place/key" --generate --state "$STATE" "$STORE" &&
        with_fault key remove --slot 1 --passfile "$PASS" --state "$STATE" "$STORE"
}
# Whatever the keyring names exists.
check_slots() {
    if "$ECLUSE" key list --state "$STATE" "$STORE" | grep -q 'key file'; then
        "$ECLUSE" key test --keyfile "$place/key" --state "$STATE" "$STORE" >"$TMP/said" 2>&1 ||
            fail "a slot whose key file is lost, $what: $(cat "$TMP/said")"
    fi
    whole
}

set_up_copy() {
    make_vault && mount_vault && load 25
    leave_corpse
    "$ECLUSE" umount --state "$STATE" "$MNT" >/dev/null
    cp -a "$STATE" "$place/copy"
    STATE=$place/copy
}
act_copy() { mount_faulty && with_fault umount --state "$STATE" "$MNT"; }

set_up_elsewhere() {
    mkdir "$STORE" && mount -t tmpfs -o size=256m none "$STORE"
    make_vault
}
act_elsewhere() { act_session; }

set_up_flush() { make_vault; }
act_flush() {
    mount_faulty || return
    mkdir "$MNT/names-alone" || return
    "$ECLUSE" flush --state "$STATE" "$MNT" >>"$place/said" 2>&1 || return
    load 5
    with_fault umount --state "$STATE" "$MNT"
}

set_up_rebuild() {
    make_vault && mount_vault && load 25
    umount_vault
    rm "$(echo "$STATE"/*/index.db)"
}
act_rebuild() {
    with_fault mount --rebuild --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" &&
        with_fault umount --state "$STATE" "$MNT"
}

# Small objects to merge, dead ones to remove.
set_up_gc() {
    make_vault && mount_vault
    for k in 1 2 3 4 5 6; do
        head -c 30000 /dev/urandom >"$MNT/kept$k"
        head -c 30000 /dev/urandom >"$MNT/given-up"
        "$ECLUSE" flush --state "$STATE" "$MNT"
    done
    (cd "$MNT" && sha256sum kept*) >"$place/kept"
    umount_vault
}
act_gc() {
    mount_faulty || return
    load 10
    rm "$MNT/given-up"
    "$ECLUSE" gc --now --state "$STATE" "$MNT" >>"$place/said" 2>&1 || true
    with_fault umount --state "$STATE" "$MNT"
}
check_gc() {
    whole
    mount_vault
    (cd "$MNT" && sha256sum --quiet -c "$place/kept") || fail "other contents, $what"
    "$ECLUSE" gc --now --state "$STATE" "$MNT" >"$place/said" || fail "no gc, $what: $(cat "$place/said")"
    (cd "$MNT" && sha256sum --quiet -c "$place/kept") || fail "other contents after another gc, $what"
    umount_vault
    # What is left is enough, and all of it is known.
    "$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$place/new" "$STORE" >"$place/said" 2>&1 ||
        fail "no recovery, $what: $(cat "$place/said")"
    STATE=$place/new
    mount_vault
    (cd "$MNT" && sha256sum --quiet -c "$place/kept") || fail "other contents after a recovery, $what"
    umount_vault
}

# In, with the source removed, and out again.
set_up_transfer() {
    make_vault && mount_vault
    mkdir "$place/plain" "$place/plain/folder"
    for k in 1 2 3 4; do head -c $((k * 50000)) /dev/urandom >"$place/plain/folder/$k"; done
    ln "$place/plain/folder/1" "$place/plain/again" && ln -s again "$place/plain/link"
    cp -a "$place/plain" "$place/kept"
}
act_transfer() {
    local status=0
    with_fault import --remove-source --yes --state "$STATE" "$place/plain" "$MNT/in" || status=$?
    with_fault export --state "$STATE" "$MNT/in" "$place/out" && return $status
}
# Whatever is there is whole; what is gone from the source is in the vault; and the same
# commands end what was begun.
check_transfer() {
    "$ECLUSE" umount --state "$STATE" "$MNT" >"$TMP/again" 2>&1 || true
    mount_vault
    for dir in "$MNT/in" "$place/out"; do
        [ ! -d "$dir" ] || same "half done in $dir, $what" "" "$(cd "$dir" && find . -path ./.ecluse-partial -prune -o -type f -print0 |
            xargs -0r sha256sum | grep -vxFf <(cd "$place/kept" && find . -type f -print0 | xargs -0 sha256sum) || true)"
    done
    "$ECLUSE" import --remove-source --yes --state "$STATE" "$place/plain" "$MNT/in" >"$TMP/again" 2>&1 ||
        fail "no second import, $what: $(cat "$TMP/again")"
    same "left in the source, $what" "" "$(find "$place/plain" -mindepth 1)"
    "$ECLUSE" export --state "$STATE" "$MNT/in" "$place/out" >"$TMP/again" 2>&1 ||
        fail "no second export, $what: $(cat "$TMP/again")"
    for dir in "$MNT/in" "$place/out"; do same "in $dir, $what" "$(tree "$place/kept")" "$(tree "$dir")"; done
    umount_vault
    whole
}

# --- what must be true afterwards ---

check_init() {
    local header
    header=$(find "$STORE" -maxdepth 1 -name 'vault-*.ecl' 2>/dev/null || true)
    if [ -n "$header" ]; then
        grep -q '[a-z0-9]' "$SHEET" || fail "a store whose recovery key nobody has, $what"
        [ -e "$STATE" ] || fail "a store without a state, $what"
    else
        same "files in a store without a header, $what" "" "$(find "$STORE" -type f 2>/dev/null || true)"
        SHEET=$place/second-sheet
        "$ECLUSE" init --passfile "$PASS" --recovery-out "$SHEET" --state "$STATE" "$STORE" >"$TMP/again" 2>&1 ||
            fail "init cannot be run again, $what: $(cat "$TMP/again")"
    fi
    whole
}

check_passwd() {
    if ! "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >"$TMP/old" 2>&1; then
        PASS=$place/new
        mount_vault || fail "neither the old nor the new passphrase, $what: $(cat "$TMP/old")"
    fi
    umount_vault
    whole
    PASS=$place/pass
}

# Where it stopped, the old state or the new one is there, or another rebuild makes it.
check_rebuild() {
    if ! "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >"$TMP/again" 2>&1; then
        "$ECLUSE" mount --rebuild --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >>"$TMP/again" 2>&1 ||
            fail "no second rebuild, $what: $(cat "$TMP/again")"
    fi
    umount_vault
    whole
}

whole() {
    local round
    for round in 1 2; do
        mount_vault || fail "no mount, $what"
        [ ! -e "$place/log" ] || "$TOOLS/prove" "$MNT" "$place/log" >"$place/proof" 2>&1 || {
            cat "$place/proof" "$place/said" >&2
            fail "not what promise 3 allows, $what"
        }
        echo "$round" >"$MNT/word"
        sync "$MNT/word"
        "$ECLUSE" flush --state "$STATE" "$MNT" || fail "no publication, $what"
        for figure in '"missing":0' '"refused":0' '"foreign":0' '"latched":""' '"unpublished":0'; do
            "$ECLUSE" status --json --state "$STATE" "$MNT" | tr -d ' ' >"$TMP/status"
            grep -q "$figure" "$TMP/status" || fail "not $figure, $what: $(cat "$TMP/status")"
        done
        umount_vault
        same "leftovers in staging, $what" "" "$(find "$STATE" -path "*/staging/*" -not -path '*/damaged-*')"
    done
    store_is_opaque
}

# --- one run ---

scenarios=${SCENARIOS:-init session recovery passwd slots copy elsewhere flush rebuild gc transfer}

clean_up() {
    mountpoint -q "$MNT" 2>/dev/null && leave_corpse
    "$ECLUSE" umount --state "$STATE" "$MNT" >/dev/null 2>&1 || true
    ! mountpoint -q "$STORE" || umount "$STORE"
    [ -z "$(daemon_pids)" ] || until_true no_daemon
    rm -rf "$place"
    STATE=$place/state SHEET=$place/recovery
}

run_one() { # run_one SCENARIO FAULT
    mkdir "$place"
    what="$1 with ${2:-no fault}" fault=''
    : >"$place/said"
    "set_up_$1"
    fault=$2
    "act_$1" || true
    leave_corpse
    fault=''
    if [ "$(type -t "check_$1")" = function ]; then "check_$1"; else whole; fi
    # Passed by this very run: so the first passage met the fault.
    if [ -n "$2" ]; then
        grep -qx "${2%%:*}" "$place/passed" 2>/dev/null && echo "$2" | cut -d: -f1,2 >>"$TMP/done"
    else
        sort -u "$place/passed" 2>/dev/null | sed "s/^/$1 /" >>"$TMP/passes" || true
    fi
    clean_up
}

: >"$TMP/done"
: >"$TMP/passes"
for scenario in $scenarios; do run_one "$scenario" ''; done
runs=0
for point in ${ONLY:-$("$TOOLS/points")}; do
    who=$(sed -n "s/ $point\$//p" "$TMP/passes")
    [ -n "$who" ] || fail "no scenario passes $point"
    # One scenario that passes it is killed there, with ALL=1 every one; the first meets the rest.
    # (What a load passes differs from run to run: then another one is killed.)
    for scenario in $(shuf <<<"$who"); do
        run_one "$scenario" "$point:kill"
        runs=$((runs + 1))
        if [ -z "${ALL:-}" ] && grep -qx "$point:kill" "$TMP/done"; then break; fi
    done
    for action in torn EIO ENOSPC delay=30; do
        run_one "${who%%$'\n'*}" "$point:$action:1"
        runs=$((runs + 1))
    done
done
# A kill at each passage that init makes, until one is left out.
passage=1
while [ -z "${ONLY:-}" ] && [ $passage -lt 200 ]; do
    : >"$TMP/done.init"
    mkdir "$place" && : >"$place/said" && set_up_init
    what="init with init:kill:$passage" fault=init:kill:$passage status=0
    act_init || status=$?
    fault=''
    check_init
    clean_up
    [ $status != 0 ] || break
    passage=$((passage + 1))
done
for point in ${ONLY:-$("$TOOLS/points")}; do
    for action in kill EIO delay=30; do
        grep -qx "$point:$action" "$TMP/done" || fail "$point:$action was never met"
    done
done
echo "$runs runs over $("$TOOLS/points" | wc -l) points, $passage passages of init, in $SECONDS s"
