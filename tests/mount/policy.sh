# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# What the tests of the policy share: source it instead of lib.sh.
#
# /etc/ecluse is another one for each test, in a mount namespace of its own: the program
# knows no other place.
[ "${INSIDE:-}" ] || [ "$(id -u)" != 0 ] || exec env INSIDE=1 unshare -m "$0" "$@"
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

as_root || skip "needs root, to put a policy in its place"
need jq
mount --make-rprivate /
leave() {
    local status=$?
    set +e
    umount -l /etc/ecluse
    [ ! -e "$TMP/whole" ] || umount -l /etc
    (exit $status)
    cleanup
}
trap leave EXIT
mkdir -p "$TMP/etc" && chmod 755 "$TMP" "$TMP/etc"
[ -d /etc/ecluse ] && mount --bind "$TMP/etc" /etc/ecluse || {
    # Without the folder there: a copy of /etc over it, for this test alone.
    mkdir "$TMP/whole" && cp -a /etc/. "$TMP/whole/" && chmod 755 "$TMP/whole" && mkdir "$TMP/whole/ecluse"
    mount --bind "$TMP/whole" /etc && mount --bind "$TMP/etc" /etc/ecluse
}
policy() { printf '%s\n' "$@" >/etc/ecluse/policy.conf && chmod 644 /etc/ecluse/policy.conf; }
no_policy() { rm -f /etc/ecluse/policy.conf; }
check() { "$ECLUSE" policy check "$@"; }
refusals() { cat "$STATE"/*/audit 2>/dev/null | jq -r 'select(.event == "policy-refused") | .rule' | wc -l; }
# denied RULE COMMAND... : exit code 15, the rule named as a mount names it, and noted in the audit log
denied() {
    local rule=$1 before
    shift
    before=$(refusals)
    expect_exit 15 "$@"
    grep -q "/etc/ecluse/policy.conf, line [0-9]*: $rule = " "$TMP/said" || fail "$*: no «$rule» in: $(cat "$TMP/said")"
    grep -q "the policy of this computer does not allow it" "$TMP/said" || fail "$*: $(cat "$TMP/said")"
    same "refusals noted of: $*" $((before + 1)) "$(refusals)"
}
