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
        while read -r point; do umount -l "$point" 2>/dev/null || fusermount3 -uz "$point"; done
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
        [ $SECONDS -lt $end ] || fail "waited a minute for: $*"
        read -rt 0.02 <> <(:) || true
    done
}

new_passphrase() { # new_passphrase FILE
    (umask 077 && head -c 18 /dev/urandom | base64 >"$1")
}

make_vault() { # make_vault [init option...]
    new_passphrase "$PASS"
    mkdir -p "$MNT"
    "$ECLUSE" init --passfile "$PASS" --recovery-out "$SHEET" --state "$STATE" "$@" "$STORE" >/dev/null
}

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

remount() { # remount [mount option...]
    umount_vault
    mount_vault "$@"
}

status_field() { # status_field KEY : a number of `status --json`
    "$ECLUSE" status --json --state "$STATE" "$MNT" | tr ',{}[]' '\n\n\n\n\n' |
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
    [ "$2" = "$3" ] || fail "$1: expected «$2», got «$3»"
}

# tree DIR : every name, type, mode, size, target and content hash, sorted; no times
tree() {
    (cd "$1" && find . -mindepth 1 \( -type f -printf '%p %y %m %s ' -exec sha256sum {} \; \) \
        -o -printf '%p %y %m %l\n' | sort)
}
