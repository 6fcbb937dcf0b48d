# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
# shellcheck disable=SC2034  # the other files of scripts/bench use what is set here
#
# The filesystems that are measured, each in three verbs and a note:
#
#     PEER_init      an empty vault in $STORE
#     PEER_mount     serves it at $MNT; leaves the daemon's process id in $PID
#     PEER_detach    asks for the unmount
#     PEER_note      version and set-up, one line
#
# $A is the peer's folder; $STORE, $MNT, $STATE and $PASS lie in it.  What all
# have in common (waiting, memory, the cold restart) comes after them.
# Every peer but Écluse is kept in the foreground, as a child of this shell, so
# that `wait` says when it has flushed and gone.

ALL_PEERS="ecluse gocryptfs securefs cryfs passthrough bare"

# --- Écluse: as a user gets it; ECLUSE_OPTIONS adds mount options ---

ecluse_there() { [ -x "$ECLUSE" ]; }
ecluse_note() { echo "Écluse: $("$ECLUSE" version | head -n 1), ${ECLUSE_OPTIONS:-default options}"; }
ecluse_init() {
    "$ECLUSE" init --passfile "$PASS" --recovery-out "$A/sheet" --state "$STATE" "$STORE"
}
ecluse_mount() {
    # shellcheck disable=SC2086
    "$ECLUSE" mount --passfile "$PASS" --state "$STATE" ${ECLUSE_OPTIONS:-} "$STORE" "$MNT" &&
        PID=$("$ECLUSE" status --json --state "$STATE" "$MNT" | tr ',' '\n' |
            sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1) && [ -n "$PID" ]
}
ecluse_detach() { "$ECLUSE" umount --state "$STATE" "$MNT"; }

# --- gocryptfs: default set-up (AES-256-GCM, encrypted names) ---

gocryptfs_there() { command -v gocryptfs >/dev/null; }
gocryptfs_note() { echo "gocryptfs: $(gocryptfs -version | cut -d';' -f1), default options"; }
gocryptfs_init() { gocryptfs -init -q -passfile "$PASS" "$STORE"; }
gocryptfs_mount() {
    gocryptfs -q -fg -passfile "$PASS" "$STORE" "$MNT" &
    PID=$!
}
gocryptfs_detach() { umount "$MNT"; }

# --- securefs: the default of `securefs create`, which is format 4 ("lite") ---

securefs_there() { command -v securefs >/dev/null; }
securefs_note() {
    echo "securefs: $(package_version securefs), format 4 (lite, the default of create)"
}
securefs_init() { securefs create --pass "$(<"$PASS")" "$STORE"; }
securefs_mount() {
    securefs mount --pass "$(<"$PASS")" "$STORE" "$MNT" &
    PID=$!
}
securefs_detach() { umount "$MNT"; }

# --- CryFS: default cipher and block size, no question asked, no update check ---

cryfs_there() { command -v cryfs >/dev/null; }
cryfs_note() {
    echo "CryFS: $(package_version cryfs), default cipher (xchacha20-poly1305) and 16 KiB blocks"
}
cryfs_run() {
    CRYFS_FRONTEND=noninteractive CRYFS_NO_UPDATE_CHECK=true CRYFS_LOCAL_STATE_DIR="$STATE" \
        exec cryfs -f "$STORE" "$MNT" <"$PASS"
}
cryfs_init() { :; } # made by the first mount
cryfs_mount() {
    cryfs_run &
    PID=$!
}
cryfs_detach() { umount "$MNT"; }

# --- libfuse's passthrough_ll: no encryption, what FUSE itself costs ---
# Its descriptors, one for every inode it knows, need the higher limit.

PASSTHROUGH_OPTIONS=writeback,cache=always,xattr,default_permissions

passthrough_there() { [ -x "$BIN/passthrough_ll" ]; }
passthrough_note() {
    echo "passthrough_ll: example of libfuse $(package_version libfuse3-dev)," \
        "compiled with -O2, -o $PASSTHROUGH_OPTIONS"
}
passthrough_run() {
    ulimit -n "$(cat /proc/sys/fs/nr_open)" 2>/dev/null
    exec "$BIN/passthrough_ll" -f -o "source=$STORE,$PASSTHROUGH_OPTIONS" "$MNT"
}
passthrough_init() { :; }
passthrough_mount() {
    passthrough_run &
    PID=$!
}
passthrough_detach() { umount "$MNT"; }

# --- the bare directory, bound to the same path ---

bare_there() { :; }
bare_note() { echo "bare: the directory itself, through a bind mount"; }
bare_init() { :; }
bare_mount() {
    PID=
    mount --bind "$STORE" "$MNT"
}
bare_detach() { umount "$MNT"; }

# --- common ---

choose_peers() {
    local peer there=
    for peer in $PEERS; do
        declare -F "${peer}_there" >/dev/null || stop "no such peer: $peer"
        if "${peer}_there"; then
            there="$there $peer"
        else
            tell "bench: $peer is not there and will be n/a"
        fi
    done
    PEERS=${there# }
    [ -n "$PEERS" ] || stop "nothing to measure"
}

package_version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo '?'; }

peer_paths() { # peer_paths PEER PARENT
    P=$1 A=$2/$1
    STORE=$A/store MNT=$A/mnt STATE=$A/state PASS=$A/pass PID=
}

peer_init() { # a fresh vault, where there is nothing
    peer_drop
    mkdir -p "$STORE" "$MNT" "$STATE"
    (umask 077 && echo "a passphrase for the measurement" >"$PASS")
    "${P}_init" </dev/null >>"$LOG" 2>&1
}

peer_mount() {
    local end=$((SECONDS + 120))
    "${P}_mount" </dev/null >>"$LOG" 2>&1 || return
    until mountpoint -q "$MNT"; do
        [ $SECONDS -lt $end ] && kill -0 "$PID" 2>/dev/null || return
        sleep 0.05
    done
    # Deriving a key from a passphrase takes memory on purpose: told apart from the peak of the work.
    [ -z "$PID" ] || { UNLOCK=$(resident VmHWM) && echo 5 >"/proc/$PID/clear_refs"; }
}

# Unmounts and waits until the daemon has flushed and gone, watching its memory.
peer_umount() {
    local detach end=$((SECONDS + 600))
    note_memory
    "${P}_detach" >>"$LOG" 2>&1 &
    detach=$!
    while [ -n "$PID" ] && note_memory && [ $SECONDS -lt $end ]; do sleep 0.1; done
    wait "$detach" || return
    [ -z "$PID" ] || wait "$PID" 2>/dev/null
    PID=
}

# Whatever state it is in: no mount, no daemon, no files.
peer_drop() {
    if mountpoint -q "$MNT" 2>/dev/null || stat "$MNT" 2>&1 | grep -q 'not connected'; then
        "${P}_detach" >>"$LOG" 2>&1 || umount -l "$MNT"
    fi
    if [ -n "$PID" ]; then
        kill_after_a_while "$PID"
        wait "$PID" 2>/dev/null
    fi
    PID=
    rm -rf --one-file-system "$A"
}

kill_after_a_while() {
    local end=$((SECONDS + 60))
    while kill -0 "$1" 2>/dev/null; do
        [ $SECONDS -lt $end ] || kill -9 "$1" 2>/dev/null
        sleep 0.05
    done
}

# Nothing in any cache: unmounted, page cache dropped, mounted again.  The tools
# that measure are then loaded, or the first of them would pay for the others.
cold() {
    peer_umount && drop_caches && peer_mount && load_tools
}
drop_caches() { sync && echo 3 >/proc/sys/vm/drop_caches; }
load_tools() {
    {
        ls -lR /etc/apt
        find /etc/apt -type f -exec cat {} +
        cp -r /etc/apt "$A/warm" && rm -rf "$A/warm"
        fio --version
        "$BIN/loads"
    } >/dev/null 2>&1
    return 0
}

# --- what a daemon uses ---

# note_memory : keeps the highest VmHWM and RssAnon since forget_memory, in KiB
note_memory() {
    local key value seen=1
    [ -n "$PID" ] && [ -r "/proc/$PID/status" ] || return
    while read -r key value _; do
        case $key in
        VmHWM:)
            seen=0
            [ "$value" -le "$PEAK" ] || PEAK=$value
            ;;
        RssAnon:) [ "$value" -le "$ANON" ] || ANON=$value ;;
        esac
    done <"/proc/$PID/status" 2>/dev/null
    return $seen
}
forget_memory() { PEAK=0 ANON=0 UNLOCK=; }

resident() { # resident KEY : VmRSS, VmHWM or RssAnon now, in MB
    [ -n "$PID" ] && megabytes "$(awk -v k="$1:" '$1 == k { print $2 }' "/proc/$PID/status")"
}
megabytes() { awk -v k="$1" 'BEGIN { printf "%.1f\n", k * 1.024 / 1000 }'; } # of KiB

cpu_seconds() { # of the daemon and of its children
    [ -n "$PID" ] && sed 's/.*) //' "/proc/$PID/stat" |
        awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f\n", ($12 + $13 + $14 + $15) / hz }'
}
