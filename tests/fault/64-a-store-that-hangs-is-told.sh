#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A store on a mount whose server went away lets writes wait for ever, and no error comes.
# That nothing is published any more is told once all the same; status answers, and the
# unmounting ends with a word, within bounds.  When the store is back, all is published.
# (The store's filesystem is another vault, whose daemon is stopped: a real FUSE hang.)
. "$(dirname "$0")/../mount/lib.sh"
LATE=6                 # seconds, instead of minutes
export ECLUSE_LIMIT=$LATE

make_vault
mount_vault
BELOW_STATE=$STATE BELOW_MNT=$MNT
server=$(daemon_pid)
STORE=$MNT/store STATE=$TMP/state-2 MNT=$TMP/mnt-2 PASS=$TMP/pass-2 SHEET=$TMP/recovery-2
make_vault
cat >"$TMP/notify" <<END
#!/bin/sh
printf '%s|%s\n' "\$1" "\$3" >>"$TMP/told"
END
chmod +x "$TMP/notify"
: >"$TMP/told"
log() { grep -h "$1" "$TMP"/log*; }
mount_it() { # mount_it LOG : the daemon stays in the foreground, for its log
    "$ECLUSE" mount --passfile "$PASS" --state "$STATE" -o "notify=$TMP/notify,foreground" "$STORE" "$MNT" 2>"$1" &
    until_true mountpoint -q "$MNT"
    until_true daemon_pid >/dev/null
}
mount_it "$TMP/log1"
head -c 100000 /dev/urandom >"$MNT/before"
"$ECLUSE" flush --state "$STATE" "$MNT"
daemon=$(daemon_pid)
stuck() { kill -STOP "$server"; }
back() { kill -CONT "$server"; }
trap 'set -- $?; kill -CONT "$server" 2>/dev/null; set +e; (exit "$1"); cleanup' EXIT

# A slow store that answers is not late.
for _ in 1 2 3 4 5; do
    stuck; read -rt 1 <> <(:) || true; back
    head -c 50000 /dev/urandom >"$MNT/slow" && "$ECLUSE" flush --state "$STATE" "$MNT"
done
same "told of a store that is only slow" "" "$(cat "$TMP/told")"

head -c 100 /dev/urandom >"$MNT/log"
for k in 1 2 3 4; do
    "$ECLUSE" flush --state "$STATE" "$MNT"
    head -c 5000 /dev/urandom >"$MNT/part-$k"
done
"$ECLUSE" flush --state "$STATE" "$MNT"
stuck
head -c 300000 /dev/urandom >"$MNT/document"
sync "$MNT/document"                # durable here, whatever the store does
told() { grep -q "^$1|" "$TMP/told"; }
until_true told publication-waits
grep '^publication-waits|' "$TMP/told" | grep -q 'the store does not answer' || fail "not why: $(cat "$TMP/told")"
log "ECL-0412 .*E_STORE_STUCK" || fail "the log does not say it: $(cat "$TMP/log1")"
head -c 300000 "$MNT/document" | cmp - "$MNT/document" || fail "what is on this computer is not served"
cp "$MNT/document" "$MNT/copy"

# Status answers, and says so; more often than there are connections.
for _ in 1 2 3; do
    askers=()
    for _ in $(seq 8); do timeout 60 "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/status" & askers+=($!); done
    for asker in "${askers[@]}"; do wait "$asker" || fail "no status"; done
done
began=$SECONDS
timeout 60 "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/status" || fail "no status"
[ $((SECONDS - began)) -le $((LATE + 25)) ] || fail "status took $((SECONDS - began)) s"
grep -q 'The vault is not being published.*the store does not answer' "$TMP/status" || fail "$(cat "$TMP/status")"
grep -q 'the store could not be looked over.*the store does not answer' "$TMP/status" || fail "$(cat "$TMP/status")"
same "in status --json" E_STORE_STUCK "$(status_field publish_error)"
[ "$(grep -c '^publication-waits|' "$TMP/told")" = 1 ] || fail "told more than once: $(cat "$TMP/told")"

back
until_true told publication-resumes
published() { [ "$(status_field unpublished)" = 0 ] && [ "$(status_field publish_error)" = "" ]; }
until_true published
[ "$(grep -c '^publication' "$TMP/told")" = 2 ] || fail "told: $(cat "$TMP/told")"

# The unmounting: the folder goes, the command ends and says what it knows.
echo last >"$MNT/last" && sync "$MNT/last"
stuck
began=$SECONDS
expect_exit 2 timeout 100 "$ECLUSE" umount --state "$STATE" "$MNT"
[ $((SECONDS - began)) -lt $((LATE + 40)) ] || fail "it took $((SECONDS - began)) s"
grep -q 'the store does not answer' "$TMP/said" || fail "$(cat "$TMP/said")"
grep -q 'The folder is unmounted. What could not be published stays on this device' "$TMP/said" || fail "$(cat "$TMP/said")"
mountpoint -q "$MNT" && fail "still mounted"
[ -e "/proc/$daemon" ] || fail "nobody is left to publish"
# Neither does who asks again wait.
began=$SECONDS
expect_exit 2 timeout 100 "$ECLUSE" umount --state "$STATE" "$MNT"
[ $((SECONDS - began)) -lt 20 ] || fail "the second time it took $((SECONDS - began)) s"

# The daemon that waited publishes when the store is back, and ends.
back
until_true gone "$daemon"
mount_it "$TMP/log2"
same "all is there" last "$(cat "$MNT/last")"
same "and published" 0 "$(status_field unpublished)"
cmp "$MNT/copy" "$MNT/document"
daemon=$(daemon_pid)
"$ECLUSE" umount --state "$STATE" "$MNT"
until_true gone "$daemon"
mount_it "$TMP/log4"

# A log that is turned while it is open: its last block is in the store (and only there: the
# objects of other files have been read since), and nobody needs it.
sum=$(sha256sum <"$MNT/log")
for other in slow last copy part-{1..4}; do cat "$MNT/$other" >/dev/null; done
stuck
{
    echo "one line more"
    : >"$TMP/written"
    until [ -e "$TMP/turned" ]; do read -rt 0.02 <> <(:) || true; done
} >>"$MNT/log" &
writer=$!
until_true test -e "$TMP/written"
mv "$MNT/log" "$MNT/log.1"
echo other >"$MNT/other"
timeout 20 sync "$MNT/other" || fail "the store holds up who works on this computer"
back
touch "$TMP/turned"
wait $writer
same "the log" "$sum" "$(head -c 100 "$MNT/log.1" | sha256sum)"
same "its last line" "one line more" "$(tail -c 14 "$MNT/log.1")"

# Two who wait for the store, the first after a burst of small requests, hold up nobody else.
stuck
python3 -c '
import os, sys
for k in range(300): os.path.exists("%s/no-%d" % (sys.argv[1], k))
open(sys.argv[1] + "/document", "rb").read(4096)' "$MNT" & readers=($!)
waits() { grep -qE "^State:[[:space:]]*[SD]" "/proc/$1/status" && grep -qE 'fuse|folio' "/proc/$1/wchan"; }
until_true waits "${readers[0]}"
head -c 4096 "$MNT/before" >/dev/null & readers+=($!)
until_true waits "${readers[1]}"
timeout 20 touch "$MNT/alive" || fail "nobody serves the folder any more"
back
for reader in "${readers[@]}"; do wait "$reader" || fail "a file cannot be read when the store is back"; done

# A shutdown meanwhile loses nothing either, not even what no program has synced.
until_true published
daemon=$(daemon_pid)
stuck
echo later >"$MNT/later"
expect_exit 2 timeout 100 "$ECLUSE" umount --state "$STATE" "$MNT"
kill -9 "$daemon"
back
until_true gone "$daemon"
mount_it "$TMP/log3"
same "what waited is there" later "$(cat "$MNT/later")"
"$ECLUSE" umount --state "$STATE" "$MNT"
MNT=$BELOW_MNT STATE=$BELOW_STATE
"$ECLUSE" umount --state "$STATE" "$MNT"
