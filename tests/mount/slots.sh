# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# What the tests of key slots share: source it instead of lib.sh.  Gives a vault with one
# file, which the recovery key (slot 1) and the key file $KEY (slot 2) open.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need jq sqlite3

make_key() { (umask 077 && head -c 64 /dev/urandom >"$1"); }
key() { # key ACTION OPTION... : on the vault
    local action=$1
    shift
    "$ECLUSE" key "$action" --state "$STATE" "$@" "$STORE"
}
did() { key "$@" >"$TMP/said" 2>&1 || fail "key $*: $(cat "$TMP/said")"; } # output in $TMP/said
slot() { key list --json | jq -r ".slots[] | select(.slot == $1) | $2"; } # slot NUMBER FILTER
kind_of() { slot "$1" .kind; }
cost_of() { slot "$1" '"\(.memory_kib) \(.passes)"'; }
label_of() { slot "$1" .label; }
slots() { key list --json | jq '.slots | length'; }
opens() { # opens SENTENCE MOUNT-OPTION... : a mount shows the file
    local sentence=$1
    shift
    "$ECLUSE" mount --state "$STATE" "$@" "$STORE" "$MNT" </dev/null >"$TMP/said" 2>&1 || fail "$sentence: $(cat "$TMP/said")"
    same "$sentence" content "$(cat "$MNT/file")"
    umount_vault
}

KEY=$TMP/key && make_key "$KEY"
mkdir "$MNT"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
VAULT=$(basename "$STATE"/*)
DIR=$STATE/$VAULT
"$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT" && echo content >"$MNT/file"
# Read for the first time since it was written, a file has a new access time, which is published.
# Whether that is so depends on whether the kernel's clock ticked before its content was written.
touch -a -d '1 hour' "$MNT/file"
umount_vault
rm "$DIR/ballast" # 64 MiB less to compare
objects >"$TMP/objects"
