#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The rules of POSIX and the habits of ext4 hold: for root with owners, without
# writeback, without owners, and for an ordinary user.  Each program also passes on the
# plain directory beside, which shows that it asks for what is usual.
. "$(dirname "$0")/lib.sh"

failures=0
check_all() { # check_all LABEL DIRECTORY [COMMAND PREFIX...]
    local label=$1 dir=$2 program
    shift 2
    for program in posix_names posix_data posix_attributes; do
        "$@" "$TOOLS/$program" "$dir" >"$TMP/said" 2>&1 || {
            echo "$label, $program:"
            grep -v '^ok' "$TMP/said" || true
            failures=$((failures + 1))
        }
        grep -q '^ok' "$TMP/said" || fail "$program checked nothing"
    done
}

plain=$TMP/plain
mkdir "$plain"
if as_root; then
    [ "$(stat -f -c %T "$plain")" = tmpfs ] || check_all "plain directory" "$plain" env OWNERS=1
    make_vault
    mount_vault -o owners,allow_other
    check_all "root with owners" "$MNT" env OWNERS=1
    remount -o owners,allow_other,strict
    check_all "strict" "$MNT" env OWNERS=1
    remount
    check_all "without owners" "$MNT"
    umount_vault

    # The same as a user who has nothing but a home.
    open_the_way
    install -d -o 65534 -g 65534 -m 700 "$USER_HOME" "$USER_HOME/mnt"
    (umask 077 && echo "a user's passphrase" >"$USER_HOME/pass" && chown 65534:65534 "$USER_HOME/pass")
    as_user "$ECLUSE" init --passfile "$USER_HOME/pass" --recovery-out "$USER_HOME/sheet" "$USER_HOME/store" >/dev/null
    as_user "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"
    check_all "ordinary user" "$USER_HOME/mnt" as_user
    as_user "$ECLUSE" umount "$USER_HOME/mnt"
else
    make_vault
    mount_vault
    check_all "ordinary user" "$MNT"
fi
[ $failures = 0 ] || fail "$failures programs found a difference"
