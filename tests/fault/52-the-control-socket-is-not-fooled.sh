#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Garbage, endless, half, slow, unread, too many and foreign requests to the control
# socket: the daemon answers or hangs up, keeps its size, and the vault goes on serving.
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root to become several users"

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "replay with: SEED=$seed $0"
open_the_way
chmod 755 "$TMP"
other() { setpriv --reuid=65533 --regid=65533 --clear-groups --inh-caps=-all "$@"; }
poke() { timeout 60 "$TOOLS/poke" "$socket" "$@"; }
size() { awk '/^RssAnon/ { print $2 }' "/proc/$pid/status"; }
fds() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
threads() { find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l; }
socket_of() { find "$1" -name '*.sock' -newer "$TMP/before" | while read -r s; do
    [ "$(timeout 20 "$TOOLS/poke" "$s" say ping | grep -c "\"$2\"")" = 0 ] || echo "$s"; done; }

# serves MOUNTPOINT : files are written and read while SOMETHING happens, and promptly
serves() {
    local k begin=$SECONDS
    for k in $(seq 20); do
        echo "$k" >"$1/serves" && [ "$(cat "$1/serves")" = "$k" ] || fail "the vault does not serve"
    done
    [ $((SECONDS - begin)) -lt 10 ] || fail "the vault hardly serves"
}

# endure MOUNTPOINT COMMAND... : whoever sends all that may: the daemon endures it
endure() {
    local mnt=$1 before_size before_fds
    shift
    "$@" serves "$mnt"
    before_size=$(size) before_fds=$(fds)
    "$@" poke garbage --seed "$seed" 300 || fail "garbage: the daemon is gone"
    "$@" serves "$mnt"
    # What one connection may send before it is hung up is what its socket buffers hold.
    [ "$("$@" poke huge)" -lt 2000000 ] || fail "the daemon swallowed an endless request"
    "$@" poke half 300
    "$@" poke deaf 100
    "$@" serves "$mnt"
    slowly() { "$@" poke slow 60 >"$TMP/slow" & slow=$!; }
    slowly "$@"
    # On a busy computer they may be over before anybody looks.
    full() { kill -0 $slow 2>/dev/null || slowly "$@"; "$@" poke say ping | grep -q '"code": *-11'; }
    until_true full "$@"
    "$@" serves "$mnt"
    # Our own commands wait for their turn; they do not take it for a daemon that is gone.
    "$@" env XDG_RUNTIME_DIR="${run:-$TMP}" "$ECLUSE" status "$mnt" >"$TMP/status" || fail "a full daemon was not found"
    wait $slow
    [ "$(cat "$TMP/slow")" -lt 15000 ] || fail "slow requests were waited for: $(cat "$TMP/slow") ms"
    same "every one of many is answered" 200 "$("$@" poke many 200)"
    "$@" serves "$mnt"
    for text in '' ping-pong "status " STATUS "ping flush" "$(head -c 4090 /dev/zero | tr '\0' p)" "$(head -c 5000 /dev/zero | tr '\0' p)" '../../x' '{"request":"status"}' $'ping\x01'; do
        "$@" poke say "$text" >"$TMP/said"
        grep -qE '"code": *-[0-9]' "$TMP/said" || fail "«${text:0:40}» was answered: $(cat "$TMP/said")"
    done
    settled() { [ "$(fds)" -le $((before_fds + 2)) ]; }
    until_true settled
    [ "$(size)" -lt $((before_size + 8192)) ] || fail "the daemon grew from $before_size to $(size) KiB"
    "$@" poke say ping | grep -q '"mounted": *true' || fail "it does not answer any more"
}
mine() { "$@"; }
user() { # the functions above, as nobody
    local exported
    exported=$(declare -p TOOLS socket SECONDS 2>/dev/null; declare -f poke serves fail)
    as_user bash -c "$exported"$'\n"$@"' bash "$@"
}

touch -d '2 seconds ago' "$TMP/before"
make_vault
mount_vault
pid=$(daemon_pid)
socket=$(socket_of /run/ecluse "$MNT")
expect "the socket is found" test -S "$socket"
same "its mode" 600 "$(stat -c %a "$socket")"
endure "$MNT" mine

# Somebody else does not reach it; and where somebody does, the kernel tells who it is.
if other "$TOOLS/poke" "$socket" say status >"$TMP/said" 2>&1; then fail "another user reached root's socket"; fi
touch "$TMP/exposed"
mount --bind "$socket" "$TMP/exposed"
chmod 666 "$TMP/exposed"
for request in ping status flush unmount; do
    other "$TOOLS/poke" "$TMP/exposed" say "$request" >"$TMP/said"
    same "what a foreign user is told to $request" '{"code":-1,"error":"EPERM","heard":false}' "$(tr -d ' \n' <"$TMP/said")"
done
before=$(threads)
timeout 60 setpriv --reuid=65533 --regid=65533 --clear-groups "$TOOLS/poke" "$TMP/exposed" garbage --seed "$seed" 300
other "$TOOLS/poke" "$TMP/exposed" deaf 300
other "$TOOLS/poke" "$TMP/exposed" slow 20 >"$TMP/slow"
[ "$(cat "$TMP/slow")" -lt 2000 ] || fail "foreign users hold connections"
[ "$(threads)" -le $((before + 3)) ] || fail "foreign users start threads"
serves "$MNT"
expect "it is still mounted" mountpoint -q "$MNT"
chmod 600 "$TMP/exposed"
umount "$TMP/exposed"
umount_vault

# A user's, in a place of its own, with a path short enough for a socket's name.
run=$(mktemp -d /tmp/run.XXXXXX)
trap 'status=$?; rm -rf "$run"; (exit $status); cleanup' EXIT
install -d -o 65534 -g 65534 -m 755 "$USER_HOME" "$USER_HOME/mnt"
chown 65534:65534 "$run"
(umask 077 && echo phrase >"$USER_HOME/pass" && chown 65534:65534 "$USER_HOME/pass")
as_user "$ECLUSE" init --passfile "$USER_HOME/pass" --recovery-out "$USER_HOME/sheet" "$USER_HOME/store" >/dev/null
as_user XDG_RUNTIME_DIR="$run" "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"
socket=$(socket_of "$run" "$USER_HOME/mnt")
expect "the user's socket is found" test -S "$socket"
pid=$("$TOOLS/poke" "$socket" say ping | sed 's/.*"pid": *\([0-9]*\).*/\1/')
endure "$USER_HOME/mnt" user
if other "$TOOLS/poke" "$socket" say status >"$TMP/said" 2>&1; then fail "another user reached the user's socket"; fi
# Root may ask: it could do anything anyway.
"$TOOLS/poke" "$socket" say flush | grep -q '"code": *0' || fail "root is not listened to"
# Who is turned away asks again, whatever the question; and takes it well that nobody answers then.
ready() { grep -q ready "$TMP/turned"; }
turn_away() { # turn_away [--alone] : until ours asks
    : >"$TMP/turned"
    as_user python3 "$ROOT/tests/tools/turn_away.py" "$socket" "$@" >"$TMP/turned" 2>&1 &
    until_true ready
}
ours() { as_user XDG_RUNTIME_DIR="$run" "$ECLUSE" "$@" >"$TMP/said" 2>&1; }
turn_away
for what in status flush gc umount; do
    ours $what "$USER_HOME/mnt" || fail "turned away from $what: $(cat "$TMP/said")"
done
until_true gone "$pid"
wait
[ -S "$socket" ] && rm "$socket"
turn_away --alone
expect_exit 12 ours status "$USER_HOME/mnt"
