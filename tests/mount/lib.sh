# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# What every mount test starts from: source it first.
#
# Gives $ROOT (the checkout), $ECLUSE (the program), $TMP (a folder of this test's
# own) and in it $STORE, $MNT, $STATE, $PASS and $SHEET.  Whatever happens, the
# exit trap unmounts what lies under $TMP and kills what serves it.  Nothing
# here sleeps: `ecluse mount` returns when the mount is ready, `ecluse umount` when
# the vault is published, and what must still be waited for is polled.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ECLUSE=$(realpath -m "${ECLUSE:-$ROOT/build/ecluse}")
TOOLS=${TOOLS:-$ROOT/build/tests/tools}
TMP=$(mktemp -d "${TMPDIR:-/tmp}/ecluse.XXXXXX")
TMP=$(realpath "$TMP")
STORE=$TMP/store MNT=$TMP/mnt STATE=$TMP/state PASS=$TMP/pass SHEET=$TMP/recovery
export LC_ALL=C.UTF-8

skip() {
    echo "$*"
    exit 77
}

fail() {
    printf 'FAILED: %s (%s line %s)\n' "$*" "${BASH_SOURCE[1]##*/}" "${BASH_LINENO[0]}" >&2
    exit 1
}

cleanup() {
    local status=$? point pid
    trap - EXIT
    cd /
    awk -v d="$TMP/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r point; do
            point=$(printf '%b' "$point")    # \040 is a blank
            umount -l "$point" 2>/dev/null || fusermount3 -uz "$point"
        done
    for pid in $(daemon_pids); do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$TMP" 2>/dev/null || rm -rf "$TMP"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Processes that name this test's folder in their command line, this one aside.
daemon_pids() {
    # The pattern comes from a file, lest grep find itself.
    grep -lsaF -f <(printf '%s/\n' "$TMP") /proc/[0-9]*/cmdline | cut -d/ -f3 | grep -vx "$$" || true
}

as_root() { [ "$(id -u)" = 0 ]; }

need() { # need PROGRAM... : what scripts/setup installs
    local program
    for program; do
        command -v "$program" >/dev/null || fail "$program is missing: run scripts/setup"
    done
}

# until_true CONDITION... : polls for at most a minute
until_true() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ $SECONDS -lt $end ] || { stacks; fail "waited a minute for: $*"; }
        read -rt 0.02 <> <(:) || true
    done
}

# Where the processes of this test stand, when something does not come to an end.
stacks() {
    local task
    for task in $(daemon_pids | sed 's|.*|/proc/&/task/*|'); do
        echo "$(cat "$task/comm") $(sed -n 's/^State:\s*//p' "$task/status") $(cat "$task/syscall")"
        as_root && cat "$task/stack"
    done >&2 2>/dev/null || true
}

new_passphrase() { # new_passphrase FILE
    (umask 077 && head -c 18 /dev/urandom | base64 >"$1")
}

# shellcheck disable=SC2120
make_vault() { # make_vault [init option...]
    new_passphrase "$PASS"
    mkdir -p "$MNT"
    "$ECLUSE" init --passfile "$PASS" --recovery-out "$SHEET" --state "$STATE" "$@" "$STORE" >/dev/null
}

# shellcheck disable=SC2120
mount_vault() { # mount_vault [mount option...], with -o where mount(8) has it
    "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$@" "$STORE" "$MNT"
    mountpoint -q "$MNT" || fail "mount said that it was done, but nothing is mounted"
}

umount_vault() {
    "$ECLUSE" umount --state "$STATE" "$MNT"
    mountpoint -q "$MNT" && fail "umount said that it was done, but it is still mounted"
    [ -z "$(daemon_pids)" ] || until_true no_daemon
}
no_daemon() { [ -z "$(daemon_pids)" ]; }

# shellcheck disable=SC2120
remount() { # remount [mount option...]
    umount_vault
    mount_vault "$@"
}

status_field() { # status_field KEY : a number of `status --json`
    "$ECLUSE" status --json --state "$STATE" "$MNT" | sed 's/[][,{}]/\n/g' |
        sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\"]*\)\"\{0,1\} *$/\1/p" | head -n 1
}

daemon_pid() { status_field pid; }

kill_daemon() { # kill -9, and wait until it is gone
    local pid
    pid=$(daemon_pid)
    kill -9 "$pid"
    until_true gone "$pid"
}
gone() { ! [ -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

expect_exit() { # expect_exit CODE COMMAND... ; its output is left in $TMP/said
    local want=$1 got=0
    shift
    "$@" >"$TMP/said" 2>&1 || got=$?
    [ "$got" = "$want" ] || {
        cat "$TMP/said" >&2
        fail "exit $got instead of $want: $*"
    }
}

expect() { # expect SENTENCE COMMAND...
    local sentence=$1
    shift
    "$@" || fail "$sentence"
}

same() { # same SENTENCE EXPECTED ACTUAL
    [ "$2" = "$3" ] && return
    case $2$3 in
    *$'\n'*) diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | head -n 40 >&2 || true && fail "$1: see above" ;;
    *) fail "$1: expected «$2», got «$3»" ;;
    esac
}

# tree DIR : every name, type, mode, size, target and content hash, sorted; no times
tree() {
    (cd "$1" && find . -mindepth 1 \( -type f -printf '%p %y %m %s ' -exec sha256sum {} \; \) \
        -o -printf '%p %y %m %l\n' | sort)
}

# open_the_way : lets other users reach $TMP, through the folders of the test run, and
# the programs, which a checkout in root's home hides from them
open_the_way() {
    local dir=$TMP
    while [ "$dir" != / ]; do
        case $dir in */ecluse*) chmod a+x "$dir" ;; esac
        dir=$(dirname "$dir")
    done
    as_user test -x "$ECLUSE" && as_user test -x "$TOOLS" && return
    mkdir "$TMP/programs"
    cp "$ECLUSE" "$TMP/programs/"
    cp -r "$TOOLS" "$TMP/programs/tools"
    ECLUSE=$TMP/programs/ecluse TOOLS=$TMP/programs/tools
}

# as_user COMMAND... : as nobody, with $USER_HOME as home and a clean environment
USER_HOME=$TMP/home
as_user() {
    setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
        env -u XDG_RUNTIME_DIR -u XDG_STATE_HOME HOME="$USER_HOME" "$@"
}

# census DIR : all that must be the same after a remount, inode numbers, times and
# extended attributes included
census() (
    cd "$1"
    find . -mindepth 1 \( -type d -printf '%P|%i|%y|%m|%n|%U:%G|%T@|%C@\0' -o \
        -printf '%P|%i|%y|%m|%n|%U:%G|%T@|%C@|%s|%l\0' \) | sort -z
    find . -type f -print0 | sort -z | xargs -0r sha256sum -z
    find . -print0 | sort -z | xargs -0r getfattr -h -d -m - -e hex | tr '\n' '\0'
)

# listing PATH... : all that must be the same when nothing was changed on disk; the audit
# log aside, which notes attempts too
listing() {
    find "$@" ! -name audit ! -name audit.head -printf '%p|%i|%y|%m|%n|%U:%G|%T@|%s|%l\n' | sort
    find "$@" ! -name audit ! -name audit.head -type f -print0 | sort -z | xargs -0r sha256sum
}

# objects : hash and name of every file in the store
objects() (cd "$STORE" && find . -type f -print0 | sort -z | xargs -0 sha256sum)

# store_is_opaque : nothing but objects under names of ours, with constant modes
# and times and sizes of a few classes
store_is_opaque() {
    local odd
    odd=$(find "$STORE" -mindepth 1 -printf '%P %y\n' | grep -vxE \
        'segments d|segments/[0-9a-f]{2} d|segments/[0-9a-f]{2}/[0-9a-f]{30} f|vault-[0-9a-f]{32}\.ecl f' || true)
    same "names in the store" "" "$odd"
    same "modes and times of objects" "444 946684800.0000000000" \
        "$(find "$STORE" -type f -printf '%m %T@\n' | sort -u)"
    odd=$(find "$STORE/segments" -type f -printf '%s\n' |
        awk '{ for (c = 65536; c < $1; c *= 2); if (c != $1 || c > 16777216) print }')
    same "sizes of objects" "" "$odd"
}

# wrote_once BEFORE : every object that `objects` saw in file BEFORE is still the same
wrote_once() {
    objects >"$TMP/objects.now"
    same "objects that changed or went away" "" "$(sort "$1" | comm -23 - <(sort "$TMP/objects.now"))"
}

# make_tree DIR : a bit of everything that a tree can hold
make_tree() (
    mkdir -p "$1"
    cd "$1"
    mkdir -p documents/2025/été "documents/with blanks" empty
    seq 1 30000 >documents/numbers.txt
    head -c 3000000 /dev/urandom >documents/2025/blob.bin
    printf 'Résumé du projet\n' >documents/2025/été/résumé.txt
    printf 'one byte less\n' >"documents/with blanks/$(printf 'line\nbreak')"
    printf x >"$(printf 'latin-\351')"
    : >documents/nothing
    truncate -s 40M documents/sparse
    printf end | dd of=documents/sparse bs=1 seek=30000000 conv=notrunc status=none
    ln documents/numbers.txt documents/2025/same-numbers
    ln -s ../documents/numbers.txt documents/link
    ln -s /nowhere/at/all dangling
    mkfifo pipe
    for i in $(seq 1 200); do echo "file $i" >"documents/with blanks/$i"; done
    setfattr -n user.comment -v 'kept with the file' documents/numbers.txt
    setfattr -n user.folder -v yes documents
    chmod 0751 documents/2025
    chmod 0400 documents/2025/blob.bin
    touch -d '1955-11-05 06:15:00.123456789Z' documents/numbers.txt
    touch -d '2110-01-01 00:00:00.000000001Z' pipe
    touch -h -d '2001-02-03 04:05:06.7Z' dangling
)
