#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The audit log tells what was done, in order and without a name; whatever is changed in
# it is found; what a crash, a full disk or another process does to it is no alarm.
. "$(dirname "$0")/lib.sh"

need jq sha256sum
CANARY=canary-of-name-and-content-8c1f
PASS2=$TMP/pass2
audit() { "$ECLUSE" audit "$1" --state "$STATE" "${@:2}" "$STORE"; }
log() { echo "$STATE"/*/audit; }
events() { jq -r '[.event, .outcome, .by] | join(" ")' "$(log)"; }
events_have() { events | grep -qxF "$1"; }
whole() { audit verify >"$TMP/said" 2>&1 || fail "$1: $(cat "$TMP/said")"; }

# --- events, in order ---------------------------------------------------------------

make_vault
new_passphrase "$TMP/wrong"
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
mount_vault
mkdir "$MNT/$CANARY"
echo "$CANARY" >"$MNT/$CANARY/$CANARY"
"$ECLUSE" flush --state "$STATE" "$MNT"
expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"   # mounted: another process writes too
umount_vault
mount_vault -o idle=1s
until_true events_have 'idle ok mount'
until_true no_daemon
new_passphrase "$PASS2"
head -c 64 /dev/urandom >"$TMP/key" && chmod 600 "$TMP/key"
"$ECLUSE" passwd --passfile "$PASS" --new-passfile "$PASS2" --add-keyfile "$TMP/key" --state "$STATE" "$STORE" >/dev/null
mv "$PASS2" "$PASS"
mount_vault -o ro
umount_vault

same "what was done, in order" "log-begun ok init
vault-made ok init
unlocked E_PASSPHRASE mount
unlocked ok mount
mounted ok mount
published ok mount
unlocked ok check
checked ok check
unmounted ok mount
unlocked ok mount
mounted ok mount
idle ok mount
unmounted ok mount
unlocked ok passwd
key-added ok passwd
passphrase-changed ok passwd
unlocked ok mount
mounted ok mount
unmounted ok mount" "$(events)"
same "its owner alone reads it" "600 600" "$(stat -c %a "$(log)" "$(log).head" | xargs)"
same "numbers without a gap" "$(seq "$(wc -l <"$(log)")")" "$(jq .seq "$(log)")"
same "the figures of the check" "1 0 ok" "$(jq -r 'select(.event == "checked") | "\(.objects) \(.attack) \(.verdict)"' "$(log)")"
same "the figures of the publication" "$(find "$STORE/segments" -type f -printf '%s\n' | awk '{ n++; b += $1 } END { print n, b }')" \
    "$(jq -r 'select(.event == "published") | "\(.objects) \(.bytes)"' "$(log)")"
for word in "$CANARY" "$TMP" "$(cat "$PASS")" "$(cat "$TMP/wrong")"; do
    grep -qF -- "$word" "$(log)" && fail "the log tells too much"
done
whole "a log that nobody touched"
expect "the head is genuine" audit verify --passfile "$PASS" >"$TMP/said"
expect_exit 4 "$ECLUSE" audit verify --passfile "$TMP/wrong" --state "$STATE" "$STORE"
whole "after two verifications"

# --- anybody can verify with what every system has --------------------------------------

previous=$(printf %064d 0)
while IFS= read -r line; do
    body=${line%,\"hash\"*} hash=${line##*\"hash\":\"} hash=${hash%\"\}}
    same "the hash of a record" "$hash" "$(printf '%s\n%s' "$previous" "$body" | sha256sum | cut -c1-64)"
    previous=$hash
done <"$(log)"
grep -qF "$previous" <(audit verify) || fail "verify names another head"

# --- what people and programs read ---------------------------------------------------------

LC_ALL=C.UTF-8 audit show >"$TMP/said"
grep -q '^20[0-9-]* [0-9:]*  unlocking failed: wrong passphrase or key (mount, with: passphrase)$' "$TMP/said" || fail "English: $(cat "$TMP/said")"
LC_ALL=fr_CA.UTF-8 LANGUAGE='' audit show >"$TMP/said"
grep -q '  échec du déverrouillage.*phrase de passe ou clé erronée' "$TMP/said" || fail "French: $(cat "$TMP/said")"
audit show --json | cmp -s - "$(log)" || fail "show --json is not the file"
same "nothing since tomorrow" "" "$(audit show --json --since "$(date -d tomorrow +%F)")"
same "all since yesterday" "$(wc -l <"$(log)")" "$(audit show --json --since "$(date -d yesterday +%FT%H:%M)" | wc -l)"
expect_exit 1 "$ECLUSE" audit show --since 2026-02-31 --state "$STATE" "$STORE"
expect_exit 1 "$ECLUSE" audit show --since soon --state "$STATE" "$STORE"
expect_exit 1 "$ECLUSE" audit
expect_exit 1 "$ECLUSE" audit show
expect_exit 1 "$ECLUSE" audit erase "$STORE"
expect_exit 1 "$ECLUSE" audit verify --json --state "$STATE" "$STORE"
expect_exit 1 "$ECLUSE" audit verify --unlock --passfile "$PASS" --keyfile "$TMP/key" --state "$STATE" "$STORE" extra
expect_exit 2 "$ECLUSE" audit show --state "$STATE" "$TMP/nowhere"
expect_exit 11 "$ECLUSE" audit show --state "$TMP/nowhere" "$STORE"

# --- tampering -------------------------------------------------------------------------------

mount_vault && umount_vault   # a holder of the keys has the last word
LOG=$(log)
cp -p "$LOG" "$TMP/log" && cp -p "$LOG.head" "$TMP/head"
restore() { cat "$TMP/log" >"$LOG" && cat "$TMP/head" >"$LOG.head"; }
altered() { # altered WORDS: verify says so, in the log's own words
    LC_ALL=C.UTF-8 expect_exit 8 "$ECLUSE" audit verify --state "$STATE" "$STORE"
    grep -qF -- "$1" "$TMP/said" || fail "no «$1» in: $(cat "$TMP/said")"
    restore
}
size=$(stat -c %s "$LOG")
flip() { # flip FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j"$2" -N1 "$1")
    printf "\\$(printf %03o $((byte ^ (1 << RANDOM % 8))))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
# A sample: tests/unit/test_audit.c flips each bit.
for at in $(seq $((RANDOM % 97)) 97 $((size - 1))) $((size - 1)); do
    flip "$LOG" "$at"
    "$ECLUSE" audit verify --state "$STATE" "$STORE" >"$TMP/said" 2>&1 && fail "byte $at was flipped, and the log is whole"
    restore
done
for at in $(seq $((RANDOM % 9)) 9 105); do
    flip "$LOG.head" "$at"
    "$ECLUSE" audit verify --state "$STATE" "$STORE" >"$TMP/said" 2>&1 && fail "byte $at of the head was flipped, and nothing found"
    restore
done
flip "$LOG.head" 130   # its MAC: only the keys tell
expect_exit 8 "$ECLUSE" audit verify --passfile "$PASS" --state "$STATE" "$STORE"
same "the forged head is noted" head-forged "$(jq -r 'select(.event == "log-altered") | .why' "$LOG")"
whole "after it was noted, and sealed anew"
restore
sed -i 4d "$LOG" && altered "line 4: the audit log was altered"
sed -i '4{h;d};5G' "$LOG" && altered "line 4: the audit log was altered"
sed -i 's/"uid":[0-9]*,"by":"mount","event":"idle"/"uid":77,"by":"mount","event":"idle"/' "$LOG" && altered "was altered"
sed -i '$d' "$LOG" && altered "records are missing at its end"
rm "$LOG.head" && altered "the head of the audit log is missing"
rm "$LOG" && altered "there is no audit log"
# What nobody with the keys has come after yet can be taken away: documented.
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
whole "with a failure at its end"
restore
chmod 600 "$LOG" "$LOG.head"
# Whoever rewrites the tail and knows the format, but has no keys, is found by the head.
head -n -1 "$TMP/log" >"$LOG"
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
LC_ALL=C.UTF-8 expect_exit 8 "$ECLUSE" audit verify --state "$STATE" "$STORE"
mount_vault && umount_vault
same "the next unlocking notes it" 1 "$(jq -r 'select(.event == "log-altered") | .why' "$LOG" | grep -c 'log-differs')"
restore

# --- what a power cut leaves is no tampering ----------------------------------------------------

truncate -s $((size - 40)) "$LOG"
LC_ALL=C.UTF-8 expect_exit 8 "$ECLUSE" audit verify --state "$STATE" "$STORE"
grep -q "incomplete, as after a power cut" "$TMP/said" || fail "torn: $(cat "$TMP/said")"
restore
printf '{"seq":99,"time":' >>"$LOG"
mount_vault && umount_vault
same "what was torn is noted" "17" "$(jq -r 'select(.event == "log-torn") | .bytes' "$LOG")"
whole "after a torn record was cut off"
head -c 300 /dev/zero >>"$LOG"
mount_vault && umount_vault
whole "after zeros at the end"

# --- kill -9, and two processes at once ----------------------------------------------------------

mount_vault
echo more >"$MNT/more"
for k in 1 2 3; do
    for j in 1 2 3 4 5 6; do "$ECLUSE" audit verify --keyfile "$TMP/key" --state "$STATE" "$STORE" >/dev/null & done
    echo "$k" >"$MNT/more"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    wait
done
whole "a daemon and eighteen other processes"
same "each of them is noted" 18 "$(jq -r 'select(.by == "audit" and .outcome == "ok") | .seq' "$LOG" | tail -n 18 | wc -l)"
kill_daemon
whole "after kill -9"
mount_vault && umount_vault
whole "after the mount that follows"

# --- a file that cannot be written hinders nothing; the gap is noted --------------------------------

mv "$LOG" "$TMP/aside" && mkdir "$LOG"
mount_vault
echo again >"$MNT/more"
rmdir "$LOG" && mv "$TMP/aside" "$LOG"
"$ECLUSE" flush --state "$STATE" "$MNT"
same "a gap is noted" 2 "$(jq -r 'select(.event == "log-missed") | .count' "$LOG")"
umount_vault
whole "after a gap"

# --- a rebuild keeps the log ---------------------------------------------------------------------------

before=$(wc -l <"$LOG")
rm "$(dirname "$LOG")/index.db"
"$ECLUSE" mount --rebuild --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >/dev/null 2>&1
umount_vault
whole "after a rebuild"
expect "the log goes on in the rebuilt state" events_have "rebuilt ok mount"
[ "$(wc -l <"$LOG")" -gt "$before" ] || fail "the log was begun anew"
expect "a rebuilt state is another device" events_have "state-copied ok mount"
# Also a log that cannot have a second name: here because root made it append-only.
if as_root && chattr +a "$LOG" 2>/dev/null; then
    before=$(wc -l <"$LOG") got=0
    rm "$(dirname "$LOG")/index.db"
    "$ECLUSE" mount --rebuild --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >"$TMP/said" 2>&1 || got=$?
    chattr -a "$STATE"/*/audit "$STATE"/*/damaged-*/audit
    same "the rebuild of a state with such a log" 0 "$got"
    umount_vault
    whole "after a rebuild with a log that cannot be linked"
    [ "$(wc -l <"$LOG")" -gt "$before" ] || fail "the log was begun anew"
fi
"$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/new" "$STORE" >/dev/null 2>&1
same "a recovered device has a log of its own" "log-begun recovered" "$(jq -r .event "$TMP"/new/*/audit | xargs)"

# --- a full disk --------------------------------------------------------------------------------------------

as_root || exit 0
mkdir "$TMP/small"
mount -t tmpfs -o size=120m none "$TMP/small"
STATE=$TMP/small/state STORE=$TMP/store2 SHEET=$TMP/sheet2
make_vault
mount_vault
echo one >"$MNT/f"
dd if=/dev/zero of="$TMP/small/filler" bs=4k status=none 2>/dev/null || true
before=$(wc -l <"$(log)")
timeout 100 "$ECLUSE" umount --state "$STATE" "$MNT" >"$TMP/said" 2>&1 || true
until_true no_daemon
[ "$(wc -l <"$(log)")" -gt "$before" ] || fail "a full disk keeps the log from being written, in spite of the reserve"
whole "on a full disk"
# The reserve comes to its end; nothing else does.
head -c 64 /dev/urandom >"$TMP/key2" && chmod 600 "$TMP/key2"
for k in $(seq 1 600); do
    before=$(wc -l <"$(log)")
    expect_exit 4 "$ECLUSE" audit verify --keyfile "$TMP/key2" --state "$STATE" "$STORE"
    [ "$(wc -l <"$(log)")" -gt "$before" ] || break
done
[ "$k" -gt 50 ] || fail "there was room for $k events only"
[ "$k" -lt 600 ] || fail "the disk was never full"
whole "when nothing can be noted any more"
rm "$TMP/small/filler"
mount_vault
same "the file is there" one "$(cat "$MNT/f")"
umount_vault
whole "once there is space again"
