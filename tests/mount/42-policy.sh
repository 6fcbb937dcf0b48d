#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The policy of a computer holds for everybody, cannot be weakened by users, and nothing is
# mounted under one that is not understood.
. "$(dirname "$0")/policy.sh"

refused_mount() { # refused_mount WORDS [option...]
    local words=$1
    shift
    LC_ALL=C.UTF-8 expect_exit 15 "$ECLUSE" mount --passfile "${pass:-$PASS}" --state "$STATE" "$@" "$STORE" "$MNT"
    grep -qF -- "$words" "$TMP/said" || fail "no «$words» in: $(cat "$TMP/said")"
    mountpoint -q "$MNT" && fail "mounted all the same"
    return 0
}
nothing_unpublished() { [ "$(status_field unpublished)" = 0 ]; }

make_vault
head -c 64 /dev/urandom >"$TMP/key" && chmod 600 "$TMP/key"
"$ECLUSE" passwd --passfile "$PASS" --add-keyfile "$TMP/key" --state "$STATE" "$STORE" >/dev/null
with_passphrase() { "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$@" "$STORE" "$MNT"; }
mount_vault() { "$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$@" "$STORE" "$MNT"; }   # costs nothing
mount_vault && echo kept >"$MNT/f" && umount_vault
expect_exit 0 check
grep -q "no policy" "$TMP/said" || fail "without a file: $(cat "$TMP/said")"
same "no rules in JSON either" "allowed 0" "$(check --json | jq -r '"\(.verdict) \(.rules | length)"')"

# --- a policy that is not one is refused, with its line ---------------------------------

broken() { # broken WORDS LINE...
    local words=$1
    shift
    policy "$@"
    refused_mount "$words"
    LC_ALL=C.UTF-8 expect_exit 15 check
    grep -qF -- "$words" "$TMP/said" || fail "check says no «$words»: $(cat "$TMP/said")"
}
broken "line 2: color: there is no such rule" "# a comment" "color = blue"
broken "line 3: stores: the rule is there a second time" "stores = /" "" "stores = /srv"
same "check --json" "false refused" "$(check --json 2>/dev/null | jq -r '"\(.valid) \(.verdict)"')"
expect_exit 15 "$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/s2" --state "$TMP/st2" "$TMP/store2"
[ ! -e "$TMP/store2" ] && [ ! -e "$TMP/s2" ] || fail "init made something"
expect_exit 15 "$ECLUSE" passwd --passfile "$PASS" --new-passfile "$PASS" --state "$STATE" "$STORE"
expect_exit 15 "$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/st2" "$STORE"
expect_exit 0 "$ECLUSE" check --no-key "$STORE"   # to look is no harm
broken "line 1: it is not" "stores"
broken "line 1: stores: the value" "stores = "
broken "line 1: stores: the value" "stores = srv"
broken "line 1: stores: the value" "stores = /srv/../home"
broken "line 1: idle_max: the value" "idle_max = soon"
broken "line 1: idle_max: the value" "idle_max = 0"
broken "line 1: idle_max: the value" "idle_max = 99999999999999999999"
broken "line 1: forbid: the value" "forbid = passfile, passfile"
broken "line 1: forbid: the value" "forbid = everything"
broken "line 1: slots: the value" "slots = passphrase,"
broken "line 1: kdf_memory: the value" "kdf_memory = 1M"
broken "line 1: kdf_memory: the value" "kdf_memory = 2G"
broken "line 1: kdf_passes: the value" "kdf_passes = 2"
broken "line 1: log: the value" "log = stderr"
broken "line 1: languages: the value" "languages = fr, de"
broken "line 1: there is a control character" "$(printf 'stores = /\001')"
printf 'stores = /\nidle_max = 1h\0\n' >/etc/ecluse/policy.conf
refused_mount "line 2: there is a control character"
head -c 70000 /dev/zero | tr '\0' '#' >/etc/ecluse/policy.conf
refused_mount "/etc/ecluse/policy.conf"
LC_ALL=fr_CA.UTF-8 LANGUAGE='' expect_exit 15 check
grep -q "la politique de ce poste n’est pas valide" "$TMP/said" || fail "French: $(cat "$TMP/said")"

# --- only root's --------------------------------------------------------------------------

policy "idle_max = 1h"
mount_vault && umount_vault
chmod 664 /etc/ecluse/policy.conf && refused_mount "policy.conf: it must belong to root" && chmod 644 /etc/ecluse/policy.conf
chown 65534 /etc/ecluse/policy.conf && refused_mount "policy.conf: it must belong to root" && chown 0 /etc/ecluse/policy.conf
chmod 777 /etc/ecluse && refused_mount "/etc/ecluse: it must belong to root" && chmod 755 /etc/ecluse
chown 65534 /etc/ecluse && refused_mount "/etc/ecluse: it must belong to root" && chown 0 /etc/ecluse
open_the_way
expect_exit 0 as_user "$ECLUSE" policy check
chmod 700 /etc/ecluse   # what they cannot read may hold rules for them
expect_exit 15 as_user "$ECLUSE" policy check
grep -q "policy.conf: access denied" "$TMP/said" || fail "closed: $(cat "$TMP/said")"
chmod 755 /etc/ecluse
mv /etc/ecluse/policy.conf "$TMP/elsewhere" && ln -s "$TMP/elsewhere" /etc/ecluse/policy.conf
refused_mount "/etc/ecluse/policy.conf"
rm /etc/ecluse/policy.conf && mkdir /etc/ecluse/policy.conf
refused_mount "/etc/ecluse/policy.conf"
rmdir /etc/ecluse/policy.conf

# --- each rule ------------------------------------------------------------------------------

policy "stores = $TMP/allowed:/srv"
refused_mount "line 1: stores = "
expect_exit 15 "$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/s2" --state "$TMP/st2" "$TMP/store2"
expect_exit 15 "$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/st2" "$STORE"
expect_exit 15 "$ECLUSE" key add --keyfile "$TMP/key" --new-recovery-file "$SHEET" --state "$STATE" "$STORE"
mkdir "$TMP/allowed"
ln -s "$STORE" "$TMP/allowed/link"
expect_exit 15 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$TMP/allowed/link" "$MNT"
expect_exit 15 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$TMP/allowed/../store" "$MNT"
expect_exit 15 "$ECLUSE" mount -o "passfile=$PASS,state=$STATE" "$STORE" "$MNT"
ln -sf "$ECLUSE" "$TMP/mount.ecluse"
expect_exit 15 "$TMP/mount.ecluse" "$STORE" "$MNT" -o "passfile=$PASS,state=$STATE"
policy "stores = /srv : $TMP"
mount_vault && umount_vault
expect_exit 15 check /usr
expect_exit 0 check "$STORE"
same "verdicts in JSON" "stores 1 allowed" "$(check --json "$STORE" | jq -r '.rules[0] | "\(.rule) \(.line) \(.verdict)"')"

policy "mountpoints = /media"
refused_mount "line 1: mountpoints = /media"
expect_exit 15 check "$STORE" "$MNT"
expect_exit 0 check "$STORE"
policy "mountpoints = ~/Vaults"
HOME=$TMP refused_mount "mountpoints"

policy "slots = keyfile"
refused_mount "slots = keyfile"
policy "slots = passphrase"
expect_exit 15 "$ECLUSE" passwd --passfile "$PASS" --add-keyfile "$TMP/key" --state "$STATE" "$STORE"
expect_exit 15 "$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT"
with_passphrase && umount_vault
"$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/st3" "$STORE" >/dev/null 2>&1 || fail "the recovery key is no longer a way in"

# A passphrase that is too cheap opens nothing, and can be made dearer.
policy "kdf_passes = 16" "# dear"
refused_mount "kdf_passes = 16"
mount_vault && umount_vault   # a key file cannot be guessed
"$ECLUSE" passwd --passfile "$PASS" --new-passfile "$PASS" --state "$STATE" "$STORE" >/dev/null
with_passphrase && umount_vault

policy "idle_max = 2s"
refused_mount "idle_max" -o idle=1h
mount_vault -o idle=1s
until_true no_daemon
mount_vault
until_true no_daemon   # nothing was asked for: the policy decides

policy "forbid = allow_other, extpass, exec, owners, notify, foreground, rebuild"
refused_mount "forbid" -o allow_other
refused_mount "forbid" -o owners
refused_mount "forbid" -o notify=/bin/true
refused_mount "forbid" --foreground
refused_mount "forbid" --rebuild
# Nor is a rebuild to be had by answering yes.
cp -a "$STATE" "$TMP/spare"
rm "$STATE"/*/index.db
expect_exit 15 "$TOOLS/terminal" -e yes -- "$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE" "$STORE" "$MNT"
grep -q 'Rebuild it now' "$TMP/said" || fail "not asked: $(cat "$TMP/said")"
rm -r "$STATE" && mv "$TMP/spare" "$STATE"
expect_exit 15 "$ECLUSE" mount --extpass "cat $PASS" --state "$STATE" "$STORE" "$MNT"
expect_exit 15 "$ECLUSE" check --extpass "cat $PASS" --state "$STATE" "$STORE"
expect_exit 15 check -o allow_other
expect_exit 0 check -o ro,strict
mount_vault -o exec
findmnt -no OPTIONS "$MNT" | grep -q noexec || fail "programs may be run"
umount_vault
policy "forbid = passfile"
refused_mount "forbid = passfile"
refused_mount "forbid = passfile" -o ro
expect_exit 15 "$ECLUSE" key add --keyfile "$TMP/key" --new-passfile "$PASS" --state "$STATE" "$STORE"
"$TOOLS/terminal" "$(cat "$PASS")" -- "$ECLUSE" mount --state "$STATE" "$STORE" "$MNT" >"$TMP/said" || fail "terminal: $(cat "$TMP/said")"
umount_vault
policy "forbid = state"
refused_mount "forbid = state"

policy "publish_after = 1s"
mount_vault && echo soon >"$MNT/soon"
until_true nothing_unpublished
umount_vault
refused_mount "publish_after = 1s" -o publish_every=1d    # nor is publication put off
for wrong in 0 2d 86401 often 10m,5m; do broken "line 1: publish_every: the value" "publish_every = $wrong"; done
policy "publish_every = 6s" "publish_after = 300s"
for other in 1s 5s 7s 1d; do refused_mount "publish_every = 6s" -o "publish_every=$other"; done
for given in "" -opublish_every=6s; do
    mount_vault ${given:+"$given"}
    same "the cadence of the policy" 6 "$(status_field publish_every)"
    echo soon >"$MNT/soon"
    until_true nothing_unpublished
    umount_vault
done
expect_exit 15 check -o publish_every=7s
expect_exit 0 check -o publish_every=6s
check >"$TMP/said" && grep -q 'changes are published at this fixed cadence' "$TMP/said" || fail "not explained: $(cat "$TMP/said")"
policy "log = journal"
refused_mount "log = journal" -o log=syslog
mount_vault -o log=journal && umount_vault

policy "languages = fr"
LC_ALL=C.UTF-8 "$ECLUSE" help >"$TMP/said" && grep -q "coffre" "$TMP/said" || fail "not in French: $(head -3 "$TMP/said")"
policy "languages = en"
LC_ALL=fr_CA.UTF-8 "$ECLUSE" help >"$TMP/said" && grep -q "vault" "$TMP/said" || fail "not in English"

# --- users cannot weaken it; refusals are noted ---------------------------------------------------

policy "stores = /srv"
for variable in ECLUSE_POLICY POLICY_FILE ECLUSE_CONF XDG_CONFIG_HOME XDG_CONFIG_DIRS HOME; do
    env "$variable=$TMP" "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >"$TMP/said" 2>&1 && fail "$variable leads elsewhere"
done
for option in --policy --config --no-policy; do
    expect_exit 1 "$ECLUSE" mount "$option" "$TMP/x" --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
done
before=$(jq -r 'select(.event == "policy-refused") | .rule' "$STATE"/*/audit | wc -l)
refused_mount stores
same "a refusal is in the audit log" $((before + 1)) "$(jq -r 'select(.event == "policy-refused") | .rule' "$STATE"/*/audit | wc -l)"
same "with its rule" stores "$(jq -r 'select(.event == "policy-refused") | .rule' "$STATE"/*/audit | tail -1)"
"$ECLUSE" audit verify --state "$STATE" "$STORE" >/dev/null || fail "the audit log is not whole"
expect_exit 1 "$ECLUSE" policy
expect_exit 1 "$ECLUSE" policy show
expect_exit 1 check a b c
expect_exit 1 check -o nonsense
no_policy
mount_vault
same "nothing came to harm" kept "$(cat "$MNT/f")"
umount_vault
