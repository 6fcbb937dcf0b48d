#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# ecluse doctor and the policy: whether there is one; what is wrong with it, and what to do; whether it
# lets this store and this state through. For everybody, in both languages.
. "$(dirname "$0")/policy.sh"

make_vault
open_the_way
doctor() { "$ECLUSE" doctor --state "$STATE" "$@"; }
says() { # says VERDICT WORDS COMMAND... : and exits as it must
    local verdict=$1 words=$2 code=0
    shift 2
    [ "$verdict" != problem ] || code=13
    expect_exit $code "$@"
    grep -q "^$verdict  *.*$words" "$TMP/said" || fail "no «$verdict … $words»: $(cat "$TMP/said")"
    "$@" --json >"$TMP/json" || true
    jq -e --arg v "$verdict" '.findings[] | select(.check == "policy" and .verdict == $v)' "$TMP/json" >/dev/null ||
        fail "not in JSON: $(cat "$TMP/json")"
}
says ok "this computer has no policy" doctor "$STORE"
says ok "this computer has no policy" doctor
policy "# nothing"
says ok "this computer has no policy" doctor
policy "stores = $TMP" "idle_max = 1h"
says ok "a policy applies (/etc/ecluse/policy.conf, rules: 2)" doctor "$STORE"

# --- not valid ---------------------------------------------------------------------------

policy "# a comment" "color = blue"
says problem "no vault opens (/etc/ecluse/policy.conf, line 2: color: there is no such rule)" doctor "$STORE"
grep -q "have an administrator mend that line" "$TMP/said" || fail "what to do? $(cat "$TMP/said")"
printf 'idle_max = 1h\n\0\n' >/etc/ecluse/policy.conf
says problem "line 2: there is a control character" doctor
head -c 70000 /dev/zero | tr '\0' '#' >/etc/ecluse/policy.conf
says problem "the policy cannot be read" doctor
head -c 60000 /dev/urandom >/etc/ecluse/policy.conf
says problem "the policy is not valid" doctor
policy "idle_max = 1h"
chmod 666 /etc/ecluse/policy.conf
says problem "“chmod go-w /etc/ecluse/policy.conf”" doctor
chmod 644 /etc/ecluse/policy.conf
chown 65534 /etc/ecluse/policy.conf
says problem "“chown root: /etc/ecluse/policy.conf”" doctor
LC_ALL=fr_CA.UTF-8 LANGUAGE='' expect_exit 13 doctor
grep -q "^problème .*«.chown root: /etc/ecluse/policy.conf.»" "$TMP/said" || fail "French: $(cat "$TMP/said")"
chown 0 /etc/ecluse/policy.conf
chmod 777 /etc/ecluse
says problem "“chown root: /etc/ecluse” and “chmod go-w /etc/ecluse”" doctor
chmod 755 /etc/ecluse
mv /etc/ecluse/policy.conf "$TMP/elsewhere" && ln -s "$TMP/elsewhere" /etc/ecluse/policy.conf
says problem "neither of them a symbolic link" doctor
rm /etc/ecluse/policy.conf && mkdir /etc/ecluse/policy.conf
says problem "the policy cannot be read" doctor
rmdir /etc/ecluse/policy.conf
mkfifo -m 644 /etc/ecluse/policy.conf   # nor does it wait for what will never come
says problem "the policy" timeout 20 "$ECLUSE" doctor --state "$STATE"
rm /etc/ecluse/policy.conf
# As another user sees it.
policy "idle_max = 1h"
chmod 600 /etc/ecluse/policy.conf
expect_exit 13 as_user "$ECLUSE" doctor
grep -q "^problem .*the policy cannot be read, so no vault opens (/etc/ecluse/policy.conf: access denied)" "$TMP/said" ||
    fail "a user who may not read it: $(cat "$TMP/said")"
chmod 644 /etc/ecluse/policy.conf

# --- valid, and in the way ---------------------------------------------------------------------

policy "stores = /srv"
says problem "does not allow it: $STORE (/etc/ecluse/policy.conf, line 1: stores = /srv)" doctor "$STORE"
says ok "a policy applies" doctor
policy "forbid = state"
says problem "does not allow it: --state (/etc/ecluse/policy.conf, line 1: forbid = state)" doctor "$STORE"
policy "slots = recovery"
says problem "no way in but the recovery key" doctor "$STORE"
policy "forbid = extpass"
says note "ecluse-open cannot ask" doctor "$STORE"
