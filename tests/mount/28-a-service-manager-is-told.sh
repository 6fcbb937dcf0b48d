#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What a service manager and the user see of a vault that starts, ends, dies and is started
# again; locking all vaults at once.
. "$(dirname "$0")/lib.sh"

# What asks for a person is not tried again: all exit codes but those of a disk, a daemon or the system.
for unit in system user; do
    same "codes after which the $unit's unit stays down" "1 2 3 4 5 6 7 8 10 11 15" \
        "$(sed -n 's/^RestartPreventExitStatus=//p' "$ROOT/src/share/systemd/$unit/ecluse@.service")"
done

make_vault
# The programs that the daemon runs note what they were given.
for program in passphrase event; do
    printf '#!/bin/bash\nenv >>"%s/env.%s"\n' "$TMP" $program >"$TMP/$program"
done
echo "cat '$PASS'" >>"$TMP/passphrase"
echo "echo \"\$1: \$3\" >>'$TMP/events'" >>"$TMP/event"
chmod +x "$TMP/passphrase" "$TMP/event"

serve() { # serve SOCKET [mount option...]
    local socket=$1
    shift
    : >"$TMP/heard"
    env XDG_RUNTIME_DIR="$TMP" "$TOOLS/hear" "$socket" "$ECLUSE" mount --foreground --extpass "$TMP/passphrase" \
        --state "$STATE" -o "notify=$TMP/event" "$@" "$STORE" "$MNT" >"$TMP/heard" 2>"$TMP/log" &
    served=$!
    until_true heard 'READY=1'
    mountpoint -q "$MNT" || fail "READY=1 before there is a mount"
}
heard() { grep -qxF -- "$1" "$TMP/heard"; }
before() { # before FIRST SECOND : the order in which they were heard
    [ "$(grep -nxF -m 1 -- "$1" "$TMP/heard" | cut -d: -f1)" -lt "$(grep -nxF -m 1 -- "$2" "$TMP/heard" | cut -d: -f1)" ]
}
# Root is served in /run; what XDG_RUNTIME_DIR says holds for users.
umount_here() { env XDG_RUNTIME_DIR="$TMP" "$ECLUSE" umount --state "$STATE" "$@"; }

for socket in "$TMP/notify" "@$TMP/abstract"; do
    serve "$socket"
    heard 'STATUS=Mounted' || fail "no status: $(cat "$TMP/heard")"
    head -c 3000000 /dev/urandom >"$MNT/blob"
    umount_here "$MNT"
    wait $served || fail "the service ended with $?: $(cat "$TMP/log")"
    before 'READY=1' 'STOPPING=1' || fail "no STOPPING=1 after READY=1"
    grep -qE '^STATUS=Publishing: [0-9]+ changes, [0-9]+ KiB of content left$' "$TMP/heard" || fail "no word of the publication"
    heard 'EXTEND_TIMEOUT_USEC=30000000' || fail "the time was not extended"
    same "nothing left to say" 'STATUS=' "$(tail -n 1 "$TMP/heard")"
    grep -q blob "$TMP/heard" && fail "a name was told"
done
serve "$TMP/notify2" -o ro
heard 'STATUS=Mounted read-only' || fail "read-only is not told"
umount_here "$MNT"
wait $served

# SIGTERM, as a service manager stops it, also while a file is open.
serve "$TMP/notify3"
exec 7>"$MNT/open"
echo unfinished >&7
kill -TERM "$(pgrep -P $served)"
wait $served || fail "stopped by SIGTERM: exit $?"
exec 7>&- || true
mountpoint -q "$MNT" && fail "stopped, and still mounted"

# What programs have written and keep open is there, however much the kernel still had of it.
serve "$TMP/notify6"
kept=()
for k in $(seq 64); do
    exec {fd}>"$MNT/kept-$k"
    echo "of file $k" >&"$fd"
    kept+=("$fd")
done
exec 7>"$MNT/large"
head -c 64M /dev/urandom | tee "$TMP/large" >&7
kill -TERM "$(pgrep -P $served)"
wait $served || fail "stopped by SIGTERM: exit $?"
for fd in "${kept[@]}" 7; do exec {fd}>&- || true; done
serve "$TMP/notify7"
for k in $(seq 64); do echo "of file $k" | cmp - "$MNT/kept-$k" || fail "not all is there"; done
cmp "$TMP/large" "$MNT/large" || fail "not all of the large file is there"
umount_here "$MNT"
wait $served

# A daemon that dies: its mount answers with errors until the next one is there, also when that one fails.
serve "$TMP/notify4"
same "what was written to an open file is there" unfinished "$(cat "$MNT/open")"
kill -9 "$(pgrep -P $served)"
expect_exit 137 wait $served
dead() { ! ls "$MNT" >/dev/null 2>"$TMP/said" && grep -q 'not connected' "$TMP/said"; }
until_true dead
new_passphrase "$TMP/wrong"
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
dead || fail "a mount that failed left an empty folder: $(cat "$TMP/said")"
mv "$STORE" "$STORE.away"
expect_exit 2 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
mv "$STORE.away" "$STORE"
dead || fail "a mount without a store left an empty folder"
rm -f "$TMP/events"
serve "$TMP/notify5"
grep -q 'ECL-0504' "$TMP/log" || fail "the death was not logged"
until_true grep -q '^died: .*unexpectedly' "$TMP/events"
same "everything is there" unfinished "$(cat "$MNT/open")"
umount_here "$MNT"
wait $served
cat "$TMP"/env.* | grep NOTIFY_SOCKET && fail "a program could speak for the daemon"

# All vaults at once; one in use stays, and is named.
second=$TMP/second
mkdir "$TMP/mnt2"
"$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet2" --state "$STATE" "$second" >/dev/null
"$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$second" "$TMP/mnt2"
mount_vault
expect_exit 1 "$ECLUSE" umount --all "$MNT"
expect_exit 1 "$ECLUSE" umount --state "$STATE"
(
    cd "$TMP/mnt2"
    expect_exit 6 "$ECLUSE" umount --all --state "$STATE"
)
grep -q "$TMP/mnt2: files are still open" "$TMP/said" || fail "not said: $(cat "$TMP/said")"
mountpoint -q "$TMP/mnt2" || fail "a vault in use was unmounted"
mountpoint -q "$MNT" && fail "the other one is still there"
"$ECLUSE" umount --all --state "$STATE"
mountpoint -q "$TMP/mnt2" && fail "--all left one"
expect_exit 0 "$ECLUSE" umount --all --state "$STATE"
