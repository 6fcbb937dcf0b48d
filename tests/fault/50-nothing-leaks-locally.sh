#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Canaries in a name, contents, an attribute, the passphrase, the recovery key and a key
# file; every command crashed in every phase, with core dumps asked for.  Afterwards
# no canary, plain, in hexadecimal, base64 or UTF-16, is in a core, a log, arguments,
# environment, temporary files, the state or the store.  Processes that see a
# secret can neither dump core nor be looked into, from before they read it.
. "$(dirname "$0")/../mount/lib.sh"

as_root || skip "needs root, to have core dumps where they are found"
words=$TMP/words cores=$TMP/cores logs=$TMP/logs temporary=$TMP/temporary
mkdir "$words" "$cores" "$logs" "$temporary"
export TMPDIR=$temporary

pattern=$(cat /proc/sys/kernel/core_pattern)
restore() { echo "$pattern" >/proc/sys/kernel/core_pattern; }
trap 'status=$?; restore 2>/dev/null; (exit $status); cleanup' EXIT
ulimit -c unlimited
if echo "$cores/core.%p" >/proc/sys/kernel/core_pattern 2>/dev/null; then
    bash -c 'kill -SEGV $$' 2>/dev/null || true
    [ -n "$(ls "$cores")" ] || fail "this system dumps no core when it is asked to"
    rm -f "$cores"/*
fi

# --- canaries, and how they may be written --------------------------------------------------

canary() { printf 'canari-%s-%s' "$1" "$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')"; }
forms() { # forms NAME : of the canary in $words/NAME
    local k
    od -An -v -tx1 "$words/$1" | tr -d ' \n' >"$words/$1.hex"
    tr a-f A-F <"$words/$1.hex" >"$words/$1.HEX"
    iconv -t UTF-16LE "$words/$1" >"$words/$1.utf16"
    for k in 1 2 3; do tail -c +"$k" "$words/$1" | base64 -w0 >"$words/$1.base64.$k"; done
}
for kind in name contents value; do canary $kind >"$words/$kind"; done
(umask 077 && canary passphrase | tee "$PASS" >"$words/passphrase")
(umask 077 && canary passphrase2 | tee "$TMP/pass2" >"$words/passphrase2")
(umask 077 && canary key-file | tee "$TMP/key" >"$words/key-file")

hunted() { # hunted WHEN
    local places=("$cores" "$logs" "$temporary") place
    for place in "$STORE" "$STATE" /run/ecluse /var/log /tmp/core /core "$TMP"/said; do [ ! -e "$place" ] || places+=("$place"); done
    expect "no canary $1" "$TOOLS/hunt" "$words"/* -- "${places[@]}"
    same "core dumps $1" "" "$(ls "$cores")"
}

seen=0
# crashed POINT SIGNAL COMMAND... : the command gets the signal at the point
crashed() {
    local point=$1 signal=$2 pid
    shift 2
    seen=$((seen + 1))
    : >"$TMP/passed"
    ECLUSE_FAULT=$point:delay=60000:1 ECLUSE_FAULT_LOG=$TMP/passed "$@" >>"$logs/$seen" 2>&1 </dev/null &
    pid=$!
    until_true grep -qx "$point" "$TMP/passed"
    looked_at "$pid"
    kill "-$signal" "$pid"
    wait "$pid" 2>/dev/null && fail "it survived SIG$signal at $point: $*"
    umount -l "$MNT" 2>/dev/null || true
    until_true no_daemon
}

looked_at() { # looked_at PID : what anybody sees of it
    { tr '\0' '\n' <"/proc/$1/cmdline" && tr '\0' '\n' <"/proc/$1/environ"; } >"$logs/process.$seen" 2>/dev/null || true
    grep -q '^Max core file size *0 *0 ' "/proc/$1/limits" || fail "process $1 may dump core"
}

# --- every command, in every phase ------------------------------------------------------------

make() {
    "$ECLUSE" init --passfile "$PASS" --keyfile "$TMP/key" --recovery-out "$SHEET" --state "$STATE" "$STORE"
}
mkdir "$MNT"
for point in init keyring_write ballast store_copy; do
    crashed $point SEGV "$ECLUSE" init --passfile "$PASS" --recovery-out "$SHEET" --state "$STATE" "$STORE"
    [ ! -s "$SHEET" ] || { grep -oE '([0-9A-Z]{5}-){12}[0-9A-Z]{5}' "$SHEET" >"$words/recovery-$point" && forms "recovery-$point"; }
    hunted "after init was crashed at $point"
    rm -rf "$STORE" "$STATE" "$SHEET"
done
make >"$logs/init" 2>&1
grep -oE '([0-9A-Z]{5}-){12}[0-9A-Z]{5}' "$SHEET" >"$words/recovery"
grep -qF "$(cat "$words/recovery")" "$logs/init" && rm "$logs/init"   # it may be shown, to its owner alone
for word in "$words"/*; do case ${word##*/} in *.*) ;; *) forms "${word##*/}" ;; esac; done
crashed wal_write ABRT "$ECLUSE" mount -f -v --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
hunted "after a mount was crashed"

busy() {
    local name
    name=$(cat "$words/name")
    cp "$words/contents" "$MNT/$name" && setfattr -n user.canary -v "$(cat "$words/value")" "$MNT/$name" &&
        sync "$MNT/$name" "$MNT" && "$ECLUSE" flush --state "$STATE" "$MNT"
}
# crashed_at_work POINT SIGNAL : while a daemon works
crashed_at_work() {
    local pid
    seen=$((seen + 1))
    : >"$TMP/passed"
    ECLUSE_FAULT=$1:delay=20000:2+ ECLUSE_FAULT_LOG=$TMP/passed \
        "$ECLUSE" mount -f -v --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >>"$logs/$seen" 2>&1 </dev/null &
    pid=$!
    passed() { grep -qx "$1" "$TMP/passed"; }
    under_way() { mountpoint -q "$MNT" || passed "$1"; }   # some points are passed before
    until_true under_way "$1"
    looked_at "$pid"
    [ "$(awk '/VmLck/ { print $2 }' "/proc/$pid/status")" -gt 0 ] || fail "no memory is locked"
    (while mountpoint -q "$MNT" && busy; do :; done >/dev/null 2>&1) &
    local load=$!
    until_true passed "$1"
    kill "-$2" "$pid"
    wait "$pid" 2>/dev/null && fail "it survived SIG$2 at $1"
    wait $load || true
    umount -l "$MNT" 2>/dev/null || true
    until_true no_daemon
}
signals=(SEGV ABRT KILL BUS)
k=0
for point in segment_append journal_append batch_write commit wal_sync segment_footer intent store_rename mark_published; do
    crashed_at_work $point "${signals[$((k++ % 4))]}"
    hunted "after a crash at $point"
done
crashed keyring_rename SEGV "$ECLUSE" passwd --passfile "$PASS" --new-passfile "$TMP/pass2" --state "$STATE" "$STORE"
hunted "after passwd was crashed"
mount_vault
grep -qF "$(cat "$words/contents")" "$MNT/$(cat "$words/name")" || fail "the vault is not whole"
umount_vault
hunted "at the end"
cp "$words/value" "$temporary/planted"
"$TOOLS/hunt" "$words"/* -- "$temporary" >/dev/null && fail "the hunt does not find what is planted"
od -An -v -tx1 "$words/passphrase" | tr -d ' \n' >"$temporary/planted"
"$TOOLS/hunt" "$words"/* -- "$temporary" >/dev/null && fail "the hunt does not find hexadecimal"
rm "$temporary/planted"

# --- ordinary users, who could trace their own processes ------------------------------------------

open_the_way
install -d -o 65534 -g 65534 "$USER_HOME"
mkfifo "$TMP/pipe"
chmod 666 "$TMP/pipe"
as_user bash -c 'ulimit -c unlimited; exec "$@"' - "$ECLUSE" init --passfile - --recovery-out "$USER_HOME/sheet" \
    --state "$USER_HOME/state" "$USER_HOME/store" <"$TMP/pipe" >"$logs/user" 2>&1 &
job=$!
exec 9>"$TMP/pipe"
at_work() {
    user=$(pgrep -u 65534 -f "init --passfile - --recovery-out $USER_HOME/" | tail -n 1)
    [ -n "$user" ] && [ "$(cat "/proc/$user/comm")" = ecluse ] && grep -q '^Max core file size *0 *0 ' "/proc/$user/limits"
}
until_true at_work              # it waits for the passphrase, and cannot dump core
same "whose it is, seen by its own user" 0 "$(stat -c %u "/proc/$user/environ")"
as_user dd if="/proc/$user/mem" bs=1 count=0 of=/dev/null status=none 2>"$TMP/said" && fail "its memory can be opened"
grep -q 'Permission denied' "$TMP/said" || fail "not refused: $(cat "$TMP/said")"
cat "$PASS" >&9
exec 9>&-
wait $job || fail "init by a user: $(cat "$logs/user")"
# Without the right to lock memory it works, and says so.
as_user bash -c 'ulimit -l 0; exec "$@"' - "$ECLUSE" passwd --passfile - --new-passfile "$PASS" --state "$USER_HOME/state" \
    "$USER_HOME/store" <"$PASS" >"$logs/unlocked" 2>&1 || true
grep -q 'ECL-0711\|swap' "$logs/unlocked" || fail "nobody is told that memory is not locked: $(cat "$logs/unlocked")"
