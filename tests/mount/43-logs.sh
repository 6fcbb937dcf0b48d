#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Log lines reach the journal with their fields, JSON where that is asked for, and hold
# no name; without a journal, or with one that has died, nothing waits for it.
[ "${INSIDE:-}" ] || [ "$(id -u)" != 0 ] || exec env INSIDE=1 unshare -m "$0" "$@"
. "$(dirname "$0")/lib.sh"

as_root || skip "needs root, to put a journal in its place"
need jq
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
"$TOOLS/journal" /run/systemd/journal/socket >>"$TMP/journal" &
journal=$!
until_true test -S /run/systemd/journal/socket
CANARY=canary-of-a-name-5d20
entry() { # entry ID : the fields of the last entry with that id, one a line
    awk -v RS= -v id="ECLUSE_ID=$1" 'index($0 "\n", id "\n") { last = $0 } END { print last }' "$TMP/journal"
}
has() { entry "$1" | grep -qxF -- "$2" || fail "$1 has no $2: $(entry "$1")"; }
said() { [ -n "$(entry "$1")" ]; }

make_vault
vault=$(basename "$STATE"/*)
said ECL-0373 || fail "init is in no log"
mount_vault -o log=journal
echo "$CANARY" >"$MNT/$CANARY"
umount_vault
until_true said ECL-0512
for id in ECL-0510 ECL-0512; do
    has $id "ECLUSE_VAULT=$vault"
    has $id PRIORITY=6
    has $id SYSLOG_IDENTIFIER=ecluse
done
has ECL-0510 "MESSAGE=ECL-0510 mounted"

# What is refused has the name of its error as a field; commands log too.
new_passphrase "$TMP/wrong"
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
entry ECL-0373 | grep -q '^MESSAGE=ECL-0373 audit: [0-9]* unlocked E_PASSPHRASE [0-9a-f]\{64\}$' || fail "no failure in the log: $(entry ECL-0373)"
has ECL-0373 "ECLUSE_VAULT=$vault"
object=$(find "$STORE/segments" -type f)
chmod u+w "$object" && printf 'altered' | dd of="$object" bs=1 seek=110 conv=notrunc status=none
mount_vault
cat "$MNT/$CANARY" >/dev/null 2>&1 && fail "altered bytes were served"
until_true said ECL-0201
has ECL-0201 ECLUSE_ERROR=E_AUTH
has ECL-0201 PRIORITY=3
until_true said ECL-0373
umount_vault
same "the alarm is in the audit log" E_AUTH \
    "$("$ECLUSE" audit show --json --state "$STATE" "$STORE" | jq -r 'select(.event == "integrity-alarm") | .outcome')"
grep -qF "$CANARY" "$TMP/journal" && fail "a name is in the log"

# JSON, in the foreground.
expect_exit 1 "$ECLUSE" mount -o log=json --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
expect_exit 1 "$ECLUSE" mount -o log=paper --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
expect_exit 1 "$ECLUSE" mount -o log --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
"$ECLUSE" mount --foreground -o log=json --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" 2>"$TMP/json" &
until_true mountpoint -q "$MNT"
cat "$MNT/$CANARY" >/dev/null 2>&1 || true
umount_vault
wait $!
same "every line is an object with its id, level and vault" "" \
    "$(jq -r "select((.id | test(\"^ECL-[0-9]{4}$\") | not) or (.vault != null and .vault != \"$vault\") or (.level | IN(\"error\", \"warning\", \"info\") | not) or (.time | test(\"Z$\") | not) or .pid < 2)" "$TMP/json")"
same "an error is a member" E_AUTH "$(jq -r 'select(.id == "ECL-0201") | .error' "$TMP/json" | head -n 1)"
grep -qF "$CANARY" "$TMP/json" && fail "a name is in the log"

# In the foreground, where standard error is the journal already, as in our units: there with the fields, and once.
foreground() { # foreground JOURNAL_STREAM : mounts and unmounts, standard error in $TMP/stream
    : >"$TMP/journal"
    JOURNAL_STREAM=$1 "$ECLUSE" mount --foreground --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" 2>"$TMP/stream" &
    until_true mountpoint -q "$MNT"
    umount_vault
    wait $!
}
: >"$TMP/stream"
foreground "$(stat -c %d:%i "$TMP/stream")"
until_true said ECL-0512
has ECL-0512 "ECLUSE_VAULT=$vault"
same "on standard error, which is the journal" "" "$(cat "$TMP/stream")"
foreground "$(stat -c %d:%i "$TMP/journal")"   # that of whoever started us, and redirected
grep -q '^ECL-0512' "$TMP/stream" || fail "not on standard error: $(cat "$TMP/stream")"
said ECL-0512 && fail "in the journal too: $(entry ECL-0512)"

# A journal that stopped reading, and none at all.
kill -STOP $journal
begin=$SECONDS
mount_vault && umount_vault
[ $((SECONDS - begin)) -lt 45 ] || fail "a stuck journal held the mount up for $((SECONDS - begin)) s"
kill -9 $journal
mount_vault && umount_vault
rm -r /run/systemd
mount_vault -o log=syslog && umount_vault

# A syslog that stopped reading: nothing waits for it, and what was lost is counted. (The /dev of this
# test's own has the devices that it needs, and its log.)
mkdir "$TMP/dev"
mount --rbind /dev "$TMP/dev"
mount -t tmpfs none /dev
for device in null zero full random urandom tty fuse; do
    : >"/dev/$device" && mount --bind "$TMP/dev/$device" "/dev/$device"
done
ln -s /proc/self/fd /dev/fd
"$TOOLS/journal" /dev/log >"$TMP/syslog" &
syslog=$!
until_true test -S /dev/log
mount_vault && umount_vault
in_syslog() { grep -q "$1" "$TMP/syslog"; }
until_true in_syslog '^<30>[A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]\{8\} ecluse\[[0-9]*\]: ECL-0512 unmounted'
kill -STOP $syslog
begin=$SECONDS
for _ in 1 2 3; do
    timeout 100 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" || fail "a stuck syslog holds the mount up"
    timeout 20 cat "$MNT/$CANARY" >/dev/null 2>&1 && fail "altered bytes were served"
    timeout 100 "$ECLUSE" umount --state "$STATE" "$MNT" || fail "a stuck syslog holds the unmounting up"
done
[ $((SECONDS - begin)) -lt 60 ] || fail "a stuck syslog held the mount up for $((SECONDS - begin)) s"
mount_vault -o log=syslog
for _ in $(seq 30); do "$ECLUSE" status --state "$STATE" "$MNT" >/dev/null && "$ECLUSE" flush --state "$STATE" "$MNT"; done
timeout 20 cat "$MNT/$CANARY" >/dev/null 2>&1 && fail "altered bytes were served"
kill -CONT $syslog
umount_vault
until_true in_syslog 'ECL-0712 [0-9]* lines of the log were lost before this one'
kill $syslog
