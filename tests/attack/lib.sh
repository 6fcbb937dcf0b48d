# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# What the tests of a malicious store share: source it instead of tests/mount/lib.sh.
#
# A vault that opens with a key file (no Argon2id for each of hundreds of mounts), a
# tree with its truth beside it, and the one oracle: exact bytes, or EIO and a report
# that names the object and the cause; the listing whole; no crash, no hang, no alarm
# where nothing is wrong.

. "$(dirname "${BASH_SOURCE[0]}")/../mount/lib.sh"
as_root || skip "needs root, to write into read-only objects"
need rsync

KEY=$TMP/key TRUTH=$TMP/truth
FORGE=$TOOLS/forge

seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((seed % 32768))
echo "replay with: SEED=$seed ECLUSE=$ECLUSE $0"

new_key() { (umask 077 && head -c 64 /dev/urandom >"$1"); }

# make_attacked [init option...] : an empty vault at $STORE
make_attacked() {
    [ -f "$KEY" ] || new_key "$KEY"
    mkdir -p "$MNT"
    "$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$@" "$STORE" >/dev/null
    DIR=$(echo "$STATE"/*)
    rm -f "$DIR/ballast" # 64 MiB less to copy
}

# open_vault [option...] : its sentences, and its log while it is mounted, are in $TMP/said
open_vault() {
    local pid
    rm -f "$TMP/said"
    "$ECLUSE" mount --foreground --keyfile "$KEY" --state "$STATE" "$@" "$STORE" "$MNT" >>"$TMP/said" 2>&1 </dev/null &
    pid=$!
    until_true mounted_or_gone $pid
    if mountpoint -q "$MNT"; then return 0; fi
    wait $pid
}
mounted_or_gone() { mountpoint -q "$MNT" || ! kill -0 "$1" 2>/dev/null; }
close_vault() { "$ECLUSE" umount --state "$STATE" "$MNT" >"$TMP/said.umount" 2>&1; local rc=$?; until_true no_daemon; return $rc; }
flush_vault() { "$ECLUSE" flush --state "$STATE" "$MNT"; }

# opens WHY [option...], refused CODE WHY : a mount that must succeed, that must not
opens() { local why=$1; shift; open_vault "$@" || fail "$why: not mounted: $(cat "$TMP/said")"; }
refused() {
    local code=$1 why=$2 got=0
    open_vault || got=$?
    [ "$got" != 0 ] || fail "$why: mounted all the same"
    case " $code " in *" $got "*) ;; *) fail "$why: exit $got and not $code: $(cat "$TMP/said")" ;; esac
    mountpoint -q "$MNT" && fail "$why: something is mounted"
    return 0
}
says() { grep -aqE -- "$1" "$TMP/said" || fail "it does not say «$1»: $(cat "$TMP/said")"; }

# fill : files of all kinds of sizes in several publications, the truth in $TRUTH
fill() {
    local k
    mkdir -p "$TRUTH/folder/deep"
    for k in $(seq 12); do head -c $((k * k * 1700 + k)) /dev/urandom >"$TRUTH/folder/$k"; done
    seq 1 9000 >"$TRUTH/numbers"
    cp -a "$TRUTH/." "$MNT/"
    flush_vault
    head -c 300000 /dev/urandom >"$TRUTH/folder/deep/large"
    ln -s ../numbers "$TRUTH/folder/link"
    : >"$TRUTH/nothing"
    cp -a "$TRUTH/folder/deep/large" "$MNT/folder/deep/"
    cp -a "$TRUTH/folder/link" "$MNT/folder/"
    cp -a "$TRUTH/nothing" "$MNT/"
    flush_vault
    echo last >"$TRUTH/last"
    cp -a "$TRUTH/last" "$MNT/"
    flush_vault
}

# agrees WHY : the mount shows the truth or EIO; $blocks and $eio say how much of each
agrees() {
    local got=0
    timeout 60 "$TOOLS/agree" "$TRUTH" "$MNT" >"$TMP/agree" || got=$?
    [ "$got" = 0 ] || fail "$1: $(cat "$TMP/agree") ($got)"
    read -r blocks _ eio _ <"$TMP/agree"
}
# whole WHY : all of it, without an alarm
whole() {
    agrees "$1"
    [ "$eio" = 0 ] || fail "$1: $eio blocks are refused"
    same "$1: refused" 0 "$(status_field refused)"
    same "$1: missing" 0 "$(status_field missing)"
    same "$1: forked" 0 "$(status_field forked)"
    same "$1: older" false "$(status_field older)"
}

all_objects() { find "$STORE/segments" -type f | sort; }
id_of() { echo "$1" | sed 's,.*/\([0-9a-f]\{2\}\)/\([0-9a-f]\{30\}\)$,\1\2,'; }
path_of() { echo "$STORE/segments/${1:0:2}/${1:2}"; }

# keep NAME, back NAME : store and state as they were; the state keeps its inodes, lest it
# be taken for a copy
keep() {
    rm -rf "$TMP/kept-$1"
    mkdir "$TMP/kept-$1"
    cp -a "$STORE" "$TMP/kept-$1/store"
    cp -a --sparse=always "$DIR" "$TMP/kept-$1/state"
}
back() {
    back_store "$1"
    rsync -a --checksum --delete --exclude lock "$TMP/kept-$1/state/" "$DIR/"
}
back_store() { # objects all have one time: their bytes are compared
    find "$STORE" -mindepth 1 -maxdepth 3 ! -type f ! -type d -delete 2>/dev/null || true
    rsync -a --checksum --delete --force "$TMP/kept-$1/store/" "$STORE/"
}

# unchanged WHY COMMAND... : runs it; nothing in store and state is another afterwards
unchanged() {
    local why=$1
    shift
    listing "$STATE" "$STORE" >"$TMP/before"
    "$@"
    listing "$STATE" "$STORE" >"$TMP/after"
    cmp -s "$TMP/before" "$TMP/after" || {
        diff "$TMP/before" "$TMP/after" | head >&2 || true
        fail "$why: something changed"
    }
}
