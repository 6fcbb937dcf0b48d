# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# What the tests of sync engines start from: tests/mount/lib.sh, servers on the loopback,
# and the recipes of docs/en/sync.md, which are run as they stand there.
#
# The recipes' home is $HOME, a folder of this test's: the store is ~/vault, the
# mountpoint ~/Protected, what came back ~/returned.  Servers have random ports and
# credentials, and end with the test.

. "$(dirname "${BASH_SOURCE[0]}")/../mount/lib.sh"

SERVERS=$ROOT/build/engines GUIDE=$ROOT/docs/en/sync.md
export HOME=$TMP/home
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME ${!RCLONE_*} ${!AWS_*} ${!AZURE_*} ${!HTTP_*} ${!http_*} ${!HTTPS_*} ${!https_*}
mkdir -p "$HOME" "$TMP/bin" "$TMP/logs"
STORE=$HOME/vault MNT=$HOME/Protected SHEET=$HOME/recovery.txt KEYFILE=$TMP/key
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((seed % 32768))
echo "replay with: SEED=$seed ECLUSE=$ECLUSE $0"

# The recipes say `ecluse`: with the states of this test, and a key file to ask nobody.
cat >"$TMP/bin/ecluse" <<EOF
#!/bin/sh
command=\$1 && shift
case \$command in recover | mount) set -- --keyfile '$KEYFILE' "\$@" ;; esac
exec '$ECLUSE' "\$command" --state "\${STATE:-$STATE}" "\$@"
EOF
chmod +x "$TMP/bin/ecluse"
export PATH=$TMP/bin:$SERVERS/usr/bin:$PATH:/usr/sbin

# Daemons of this test's vaults, servers and engines aside.
daemon_pids() {
    local pid
    for pid in $(all_pids); do
        case $(readlink "/proc/$pid/exe") in */ecluse | *'/ecluse (deleted)') echo "$pid" ;; esac
    done
}
all_pids() { grep -lsaF -f <(printf '%s/\n' "$TMP") /proc/[0-9]*/cmdline | cut -d/ -f3 | grep -vx "$$" || true; }

# Descendants of a process, itself last.
family() {
    local child
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do family "$child"; done
    echo "$1"
}

ended() {
    local status=$? pid pids
    pids="$(jobs -p) $(all_pids)"
    disown -a
    for pid in $pids; do
        [ "$pid" = $$ ] || kill -9 $(family "$pid") 2>/dev/null || true
    done
    (exit $status)
    cleanup
}
trap ended EXIT

# --- recipes ---------------------------------------------------------------------------

# recipe NAME [GUIDE] : the commands or the file that the guide has under this name
recipe() {
    awk -v mark="<!-- recipe: $1 -->" '$0 == mark { on = 1; next } on && /^```/ { if (inside) exit; inside = 1; next }
        inside' "${2:-$GUIDE}" | grep . || fail "no recipe $1"
}

# follow NAME : runs it, ending at the first failure
follow() {
    (cd "$HOME" && exec bash -euo pipefail -c "$(recipe "$1")" </dev/null) >"$TMP/said" 2>&1 ||
        fail "the recipe $1 fails: $(cat "$TMP/said")"
}

# run_service [PLACE] : what systemd runs when the timer starts the service, one command after the
# other; the copy goes to PLACE instead of vault
SERVICE=service
run_service() {
    local line
    while read -ra line; do
        "${line[@]}" </dev/null || return
    done < <(recipe $SERVICE | sed -n 's/^ExecStart=\(..*\)/\1/p' |
        sed "s|%h|$HOME|g; s|far:vault|far:${1:-vault}|g; s|far:arriving|far:${1:+$1-}arriving|g")
}

# --- a vault at work ---------------------------------------------------------------------

start_vault() {
    (umask 077 && head -c 64 /dev/urandom >"$KEYFILE")
    mkdir -p "$MNT"
    "$ECLUSE" init --keyfile "$KEYFILE" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
    rm -f "$STATE"/*/ballast
    open_vault
    : >"$TMP/events"
    (cd "$STORE/.." && exec "$TOOLS/watch" vault "$(realpath --relative-to=. "$TMP/events")") &
    until_true grep -q '^ready' "$TMP/events"
    mkdir "$TMP/trees"
    remember_tree
}
open_vault() { "$ECLUSE" mount --keyfile "$KEYFILE" --state "$STATE" "$STORE" "$MNT" </dev/null; }

# The tree as it is, one of those that a recovery may give.
trees=0
remember_tree() {
    census "$MNT" >"$TMP/trees/$trees"
    trees=$((trees + 1))
}

# work ROUND : a bit of everything, new, changed, moved, gone; then it is published
work() {
    local dir=$MNT/round-$1 k before
    before=$(status_field publications)
    if [ "$1" = 1 ]; then make_tree "$MNT/tree"; fi
    mkdir "$dir"
    for k in 1 2 3 4 5; do head -c $((RANDOM * 8)) /dev/urandom >"$dir/$k"; done
    # A publication of several objects, now and then.
    head -c $((RANDOM * 40 + ($1 % 3 == 2 ? 17000000 : 300000))) /dev/urandom >"$dir/large"
    publish
    dd if=/dev/urandom of="$MNT/tree/documents/sparse" bs=64k seek=$((RANDOM % 600)) count=2 conv=notrunc status=none
    echo "round $1" >>"$MNT/tree/documents/2025/été/résumé.txt"
    setfattr -n user.round -v "$1" "$MNT/tree/documents"
    chmod $((600 + $1 % 8)) "$dir/1"
    touch -d "$((1990 + $1))-01-02 03:04:05.678901234Z" "$dir/2"
    ln "$dir/3" "$dir/linked" && ln -s ../round-1 "$dir/link"
    if [ "$1" -gt 1 ]; then
        mv "$MNT/round-$(($1 - 1))/large" "$dir/moved"
        rm "$MNT/round-$(($1 - 1))/4"
    fi
    publish
    # On a slow machine it may have published by itself in between: trees that nobody noted.
    [ $(($(status_field publications) - before)) -le 2 ] || unnoted=true
}
unnoted=false
publish() {
    "$ECLUSE" flush --state "$STATE" "$MNT"
    remember_tree
}

stop_vault() {
    "$ECLUSE" umount --state "$STATE" "$MNT"
    [ -z "$(daemon_pids)" ] || until_true no_daemon
}

# --- what must hold ------------------------------------------------------------------------

# listed DIR : names and hashes of all that a copy of the store has
listed() { (cd "$1" && find . -type f -printf '%P\0' | sort -z | xargs -0r sha256sum | sed 's/^\(\S*\)  /\1 /'); }

# The store saw nothing but whole objects that appear once.
store_was_written_once() {
    local strange
    grep -q OVERFLOW "$TMP/events" && fail "the watcher lost events"
    strange=$(grep -vE "^(ready|CLOSE_WRITE /segments/#[0-9]+|(MOVED_TO|CREATE|ATTRIB) /segments/[0-9a-f]{2}/[0-9a-f]{30}${1:+|$1})\$" \
        "$TMP/events" || true)
    same "strange events in the store" "" "$strange"
    strange=$(grep -E '^(MOVED_TO|CREATE) /segments/../' "$TMP/events" | cut -d' ' -f2 | sort | uniq -d)
    same "names that appeared twice in the store" "" "$strange"
}

# recover_from DIR : a fresh state from what a copy holds; its exit code, words in $TMP/said
recover_from() {
    rm -rf "$TMP/state.fresh"
    mkdir "$TMP/state.fresh"
    STATE=$TMP/state.fresh ecluse recover --recovery-file "$SHEET" "$1" >"$TMP/said" 2>&1
}

# tree_of DIR : the census of the vault there, by the state that recover_from made; read-only, lest
# a look at an earlier tree become a branch of its own
tree_of() {
    mkdir -p "$TMP/shown"
    "$ECLUSE" mount --keyfile "$KEYFILE" --state "$TMP/state.fresh" -o ro "$1" "$TMP/shown" </dev/null 2>"$TMP/log"
    census "$TMP/shown" >"$TMP/tree"
    "$ECLUSE" status --json --state "$TMP/state.fresh" "$TMP/shown" >"$TMP/status"
    "$ECLUSE" umount --state "$TMP/state.fresh" "$TMP/shown"
    until_true gone "$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' "$TMP/status")"
    grep -q '"latched": *""' "$TMP/status" || fail "the recovered vault is latched: $(cat "$TMP/status")"
}

# came_back DIR : everything that was in the mount is in the vault that lies there
came_back() {
    recover_from "$1" || fail "recover: $(cat "$TMP/said")"
    grep -q 'cannot be read\|left out\|not whole' "$TMP/said" && fail "an alarm for nothing: $(cat "$TMP/said")"
    tree_of "$1"
    cmp -s "$TMP/tree" "$TMP/trees/$((trees - 1))" || {
        diff <(tr '\0' '\n' <"$TMP/trees/$((trees - 1))") <(tr '\0' '\n' <"$TMP/tree") | head -n 20 >&2 || true
        fail "not the tree that it was"
    }
}

# part_is_no_alarm DIR : what has arrived there of the store gives an earlier whole tree,
# or "not arrived yet"; counts in $earlier and $waiting, words in $outcome
earlier=0 waiting=0
part_is_no_alarm() {
    local code=0
    recover_from "$1" || code=$?
    if [ -z "$(find "$1" -mindepth 1 -name '.*' -prune -o -type f -print -quit)" ]; then
        [ $code = 2 ] || fail "nothing arrived, and exit $code: $(cat "$TMP/said")"
        outcome='nothing there'
    elif [ $code != 0 ]; then
        [ $code = 8 ] && grep -q 'has not arrived' "$TMP/said" || fail "exit $code: $(cat "$TMP/said")"
        waiting=$((waiting + 1)) outcome='not arrived yet'
    else
        an_earlier_tree "$1"
    fi
}
an_earlier_tree() {
    local k
    grep -q 'cannot be read\|forged' "$TMP/said" && fail "an alarm for nothing: $(cat "$TMP/said")"
    tree_of "$1"
    for ((k = 0; k < trees; k++)); do
        if cmp -s "$TMP/tree" "$TMP/trees/$k"; then
            earlier=$((earlier + 1)) outcome="tree $k of $((trees - 1))"
            return
        fi
    done
    $unnoted || fail "a tree that never was: $(cat "$TMP/said")"
    outcome='some tree' earlier=$((earlier + 1))
}

# --- rclone ------------------------------------------------------------------------------------

# copy_once LOG : one run of the service, logged
copy_once() {
    RCLONE_LOG_LEVEL=DEBUG RCLONE_USE_JSON_LOG=true RCLONE_LOG_FILE=$TMP/logs/$1 run_service 2>"$TMP/copied"
}

# One run after the other, until $TMP/enough is there and one more run was begun after.
copy_meanwhile() {
    local n=0 last=false
    until $last; do
        [ -e "$TMP/enough" ] && last=true
        n=$((n + 1))
        copy_once "run-$(printf %03d $n)" || fail "the copy fails: $(tail -n 5 "$TMP/logs"/run-*)"
        read -rt 0.3 <> <(:) || true
    done
    echo "$n" >"$TMP/runs"
}

copies() { jq -r 'select(.msg | startswith("Copied (")) | "\(.msg) \(.object)"' "$TMP/logs"/run-*; }

# The logs of all runs: each object copied new, once, and nothing else.
each_was_copied_once() {
    local count
    same "errors of rclone" "" "$(jq -r 'select(.level == "error") | "\(.msg) \(.object // "")"' "$TMP/logs"/run-*)"
    same "copies that were not of a new object" "" "$(copies | grep -v '^Copied (new) ' || true)"
    same "objects copied more than once" "" "$(copies | sort | uniq -d)"
    count=$(copies | wc -l)
    same "objects copied" "$(find "$STORE" -type f | wc -l)" "$count"
    echo "$(cat "$TMP/runs") runs of rclone while the mount was at work: $count objects, each transferred once"
}

# A session in the mount while rclone copies; the store comes back, and everything is in it.
work_and_return() {
    local copier k
    start_vault
    copy_meanwhile &
    copier=$!
    for k in 1 2 3 4 5; do work $k; done
    stop_vault
    : >"$TMP/enough"
    wait $copier || fail "the copy did not end well"
    each_was_copied_once
    store_was_written_once
    store_is_opaque
    follow verify
    follow "return"
    same "objects that came back" "$(listed "$STORE")" "$(listed "$HOME/returned")"
    came_back "$HOME/returned"
    recovered_as_told
}

# The same in the words of the guide, and the vault works on.
recovered_as_told() {
    mkdir "$TMP/state.told"
    STATE=$TMP/state.told follow recover
    census "$MNT" | cmp -s - "$TMP/trees/$((trees - 1))" || fail "not the tree that it was, by the guide's words"
    echo more >"$MNT/more"
    "$ECLUSE" umount --state "$TMP/state.told" "$MNT"
    until_true no_daemon
}

# cut_copies TIMES [SOONEST] : kills a copy to a new place at a random moment, in whatever order, and looks at what
# is there; the last of them then goes on to its end.
cut_copies() {
    local n place size ms count
    local orders=('' size,ascending size,descending name,descending)
    size=$(du -sk --apparent-size "$STORE" | cut -f1)
    for ((n = 1; n <= $1; n++)); do
        place=cut-$n
        ms=$((RANDOM % 900 + ${2:-150}))
        RCLONE_BWLIMIT=$((size * 2))K RCLONE_TRANSFERS=$((1 << RANDOM % 4)) RCLONE_ORDER_BY=${orders[RANDOM % 4]} \
            cut_once $ms run_service $place
        fetch "$place" || grep -q 'directory not found' "$TMP/said" || fail "the copy back of a part: $(cat "$TMP/said")"
        mkdir -p "$TMP/cut"
        count=$(find "$TMP/cut" -type f | wc -l)
        part_is_no_alarm "$TMP/cut"
        echo "killed after $ms ms: $count of $(objects | wc -l) objects; $outcome"
    done
    echo "$1 copies killed: $earlier gave an earlier tree, $waiting had not arrived"
    run_service $place 2>"$TMP/said" || fail "a copy that was cut does not go on: $(cat "$TMP/said")"
    fetch "$place" || fail "the copy back: $(cat "$TMP/said")"
    same "objects of a copy that went on" "$(listed "$STORE")" "$(listed "$TMP/cut")"
    came_back "$TMP/cut"
}

# cut_returns TIMES : kills the copy back, which writes under the final names on this disk
cut_returns() {
    local n ms size
    size=$(du -sk --apparent-size "$STORE" | cut -f1)
    for ((n = 1; n <= $1; n++)); do
        ms=$((RANDOM % 900 + 150))
        rm -rf "$TMP/cut"
        RCLONE_BWLIMIT=$((size * 2))K RCLONE_TRANSFERS=$((1 << RANDOM % 4)) cut_once $ms fetch vault
        mkdir -p "$TMP/cut"
        part_is_no_alarm "$TMP/cut"
        echo "return killed after $ms ms: $(find "$TMP/cut" -type f | wc -l) of $(objects | wc -l) objects; $outcome"
    done
    fetch_again vault || fail "a return that was cut does not go on: $(cat "$TMP/said")"
    same "objects that came back after a cut" "$(listed "$STORE")" "$(listed "$TMP/cut")"
}

# fetch PLACE : as the recipe brings a store back, to $TMP/cut
fetch() {
    rm -rf "$TMP/cut"
    fetch_again "$1"
}
fetch_again() {
    (cd "$HOME" && eval "$(recipe return | sed "s|far:vault|far:$1|; s|~/returned|$TMP/cut|")") 2>"$TMP/said"
}

# cut_once MILLISECONDS COMMAND... : killed then, unless it ended before
cut_once() {
    local pid ms=$1
    shift
    "$@" >/dev/null 2>&1 &
    pid=$!
    read -rt "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" <> <(:) || true
    # shellcheck disable=SC2046
    kill -9 $(family $pid) 2>/dev/null || true
    wait $pid 2>/dev/null || true
}

# --- servers -----------------------------------------------------------------------------------

# run_server COMMAND... : in the background, as nobody if this is root, $TMP/$1 being its own;
# $server is its process
run_server() {
    if as_root; then
        open_the_way
        chown -R 65534:65534 "$TMP/webdav" "$TMP/sftp" 2>/dev/null || true
        as_user "$@" >>"$TMP/server.log" 2>&1 </dev/null &
    else
        "$@" >>"$TMP/server.log" 2>&1 </dev/null &
    fi
    server=$!
}
either() { # either CONDITION or CONDITION
    local -a first=()
    while [ "$1" != or ]; do first+=("$1") && shift; done
    "${first[@]}" || "${@:2}"
}
