#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# No nonce ever serves twice under one key: over random work, kills at any moment,
# states that are copied and turned back, and processes that fork.  Every sealing is
# logged.  SEALINGS (200000) and SEED may be given.
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root for umount -f"
need rsync

want=${SEALINGS:-200000} seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "replay with: SEED=$seed SEALINGS=$want $0"
RANDOM=$((seed % 32768))

# The log sees what it should: with a generator that repeats itself it shows the same
# nonce again and again; without one, a record that stands there twice is found.
STORE=$TMP/store-same STATE=$TMP/state-same
export ECLUSE_NONCE_LOG=$TMP/log-same
ECLUSE_FAULT_RANDOM=same make_vault
expect_exit 1 "$TOOLS/nonces" "$TMP/log-same"
grep -q '^sealed twice: key ' "$TMP/said" || fail "the repeats are not shown"
rm "$SHEET"

STORE=$TMP/store STATE=$TMP/state
export ECLUSE_NONCE_LOG=$TMP/log
make_vault
expect_exit 0 "$TOOLS/nonces" "$TMP/log"
records=$(($(stat -c %s "$TMP/log") / 32))
{ cat "$TMP/log" && dd if="$TMP/log" bs=32 skip=$((RANDOM % records)) count=1 status=none; } >"$TMP/log-planted"
expect_exit 1 "$TOOLS/nonces" "$TMP/log-planted"
grep -q ', 1 repeated$' "$TMP/said" || fail "not exactly the planted one: $(cat "$TMP/said")"
head -c 31 "$TMP/log" >"$TMP/log-cut"
expect_exit 2 "$TOOLS/nonces" "$TMP/log-cut"

sealed() { echo $(($(stat -c %s "$TMP/log") / 32)); }

# work SEED : until its daemon is killed under it; it must not fail before that
work() {
    "$TOOLS/stress" --seconds 600 --seed "$1" "$MNT/stress" >/dev/null 2>&1 &
    stress=$!
    "$TOOLS/record" --seed "$1" "$MNT/record" "$TMP/acknowledged" >/dev/null 2>&1 &
    record=$!
    while head -c $((RANDOM * 1500)) /dev/urandom >"$MNT/bulk-$((RANDOM % 5))"; do :; done 2>/dev/null &
    bulk=$!
}
idle() { kill "$stress" "$bulk" 2>/dev/null; wait "$stress" "$record" "$bulk" 2>/dev/null || true; }
enough() { [ "$(sealed)" -ge "$goal" ]; }

printf '#!/bin/sh\ncat %s\n' "$PASS" >"$TMP/extpass"
chmod +x "$TMP/extpass"
round=0
while [ "$(sealed)" -lt "$want" ]; do
    round=$((round + 1))
    # Each turn unlocks otherwise: a passphrase from a program is a fork with secrets about.
    if [ $((round % 2)) = 0 ]; then
        "$ECLUSE" mount --extpass "$TMP/extpass" --state "$STATE" "$STORE" "$MNT" 2>/dev/null
    else
        mount_vault 2>/dev/null
    fi
    rm -rf "$MNT/stress" "$MNT/record"
    mkdir "$MNT/stress" "$MNT/record"
    rm -f "$TMP/acknowledged"
    goal=$(($(sealed) + want / 10 + RANDOM % (want / 20)))
    work $((seed + round))
    until_true enough
    case $((round % 5)) in
    1) # Taken as a snapshot while at work, to be turned back to.
        pid=$(daemon_pid)
        kill -STOP "$pid"
        rm -rf "$TMP/backup" && cp -a "$STATE" "$TMP/backup"
        kill -CONT "$pid"
        ;;
    2) "$ECLUSE" flush --state "$STATE" "$MNT" ;;
    esac
    # A thread that asks the kernel for dirty pages may wait for a page that is locked
    # until a killed worker answers: then only an abort, which -f is, ends the process.
    pid=$(daemon_pid)
    kill -9 "$pid"
    umount -f "$MNT" 2>/dev/null || true
    until_true gone "$pid"
    idle
    umount -l "$MNT" 2>/dev/null || true
    case $((round % 5)) in
    3) rm -r "$STATE" && cp -a "$TMP/backup" "$STATE" ;;
    4) rsync -a --inplace --ignore-times --delete "$TMP/backup/" "$STATE/" ;;
    esac
done
echo "$round rounds"
mount_vault 2>/dev/null
umount_vault
"$TOOLS/nonces" "$TMP/log" || fail "a nonce served twice"
"$TOOLS/dots" "$STORE" "$(echo "$STATE"/*)" "$PASS" >"$TMP/dots"
same "publications under one actor and number" "" "$(cut -d' ' -f1,2 "$TMP/dots" | sort | uniq -d)"
