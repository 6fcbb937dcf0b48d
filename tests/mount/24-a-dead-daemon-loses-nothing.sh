#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# kill -9 under load: the folder answers ENOTCONN rather than look empty, the next
# mount brings back everything that was acknowledged.  KILLS and SEED may be given.
. "$(dirname "$0")/lib.sh"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "replay with: SEED=$seed KILLS=${KILLS:-6} $0"
make_vault
mount_vault
for round in $(seq "${KILLS:-6}"); do
    rm -f "$TMP/log"
    "$TOOLS/load" --seed $((seed + round)) --flush "$ECLUSE flush --state $STATE $MNT >$TMP/flushed 2>&1" \
        "$MNT" "$TMP/log" 2>"$TMP/loader" &
    loader=$!
    # The log begins with the number of events, twice.
    enough() { [ "$(od -An -tu8 -N8 "$TMP/log" | tr -d ' ')" -gt $((20 + round % 10 * 60)) ]; }
    until_true test -s "$TMP/log"
    until_true enough
    kill_daemon
    wait "$loader" || fail "the load: $(cat "$TMP/loader")"
    if ls "$MNT" >/dev/null 2>"$TMP/said"; then fail "a dead mount lists something"; fi
    grep -q 'not connected' "$TMP/said" || fail "not ENOTCONN: $(cat "$TMP/said")"
    if (: >"$MNT/plaintext") 2>/dev/null; then fail "a dead mount takes files"; fi
    mount_vault
    expect "everything acknowledged is there" "$TOOLS/prove" "$MNT" "$TMP/log"
done
# A last publication of names alone is carried by a segment that no commit has seen: its
# number must not be given out again.
"$ECLUSE" flush --state "$STATE" "$MNT"
mkdir "$MNT/names-alone"
umount_vault
mount_vault
dd if=/dev/urandom of="$MNT/after" bs=64k count=1 conv=fsync status=none
sha256sum <"$MNT/after" >"$TMP/sum"
kill_daemon
mount_vault
sha256sum <"$MNT/after" | expect "what came after is there" cmp - "$TMP/sum"
same "nothing was refused" 0 "$(status_field refused)"
kill_daemon
"$ECLUSE" umount --state "$STATE" "$MNT"
mountpoint -q "$MNT" && fail "umount left the dead mount"
# The folder below does not take plaintext by mistake: ordinary users are refused.
[ $((0$(stat -c %a "$MNT") & 0222)) = 0 ] || fail "the folder below can be written"
mount_vault
umount_vault

# A dead mount goes right before the next one; by then another vault may stand in its place: that one stays.
"$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/recovery2" --state "$TMP/state2" "$TMP/store2" >/dev/null
printf '#!/bin/bash\n: >"%s/asked"\nuntil [ -e "%s/answered" ]; do sleep 0.05; done\ncat "%s"\n' "$TMP" "$TMP" "$PASS" >"$TMP/slow"
chmod 755 "$TMP/slow"
mount_vault
kill_daemon
"$ECLUSE" mount --extpass "$TMP/slow" --state "$STATE" "$STORE" "$MNT" >"$TMP/said" 2>&1 &
slow=$!
until_true test -e "$TMP/asked"
"$ECLUSE" mount --passfile "$PASS" --state "$TMP/state2" "$TMP/store2" "$MNT"
echo theirs >"$MNT/theirs"
: >"$TMP/answered"
if wait $slow; then fail "mounted over another vault"; fi
same "what was mounted meanwhile" theirs "$(cat "$MNT/theirs")"
"$ECLUSE" umount --state "$TMP/state2" "$MNT"
mount_vault
umount_vault
