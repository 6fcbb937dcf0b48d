#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A slot whose secret is a systemd credential, bound to this machine's key or to a TPM2 (a
# software one here, which systemd-creds reaches through its library): it mounts as
# in a unit, it is sealed to the vault's name, and without that TPM nothing is changed.
. "$(dirname "$0")/slots.sh"
as_root || skip "needs root, to use the host's key"
need systemd-creds swtpm

# as_unit FILE : the credential as the service manager hands it over, in $CREDENTIALS_DIRECTORY
as_unit() {
    rm -rf "$TMP/credentials" && mkdir -m 700 "$TMP/credentials"
    (umask 377 && systemd-creds decrypt --name="ecluse.$VAULT" "$1" "$TMP/credentials/ecluse.$VAULT") 2>"$TMP/said" ||
        fail "$1 does not open: $(cat "$TMP/said")"
}
mounts_as_unit() { CREDENTIALS_DIRECTORY=$TMP/credentials opens "the credential of a unit"; }
gone() { ! kill -0 "$1" 2>/dev/null; }

# --- the host's key -----------------------------------------------------------------------

did add --keyfile "$KEY" --systemd "$TMP/a credential" --with-key host --label boot
grep -qF "LoadCredentialEncrypted=ecluse.$VAULT:$TMP/a credential" "$TMP/said" || fail "no line for the unit: $(cat "$TMP/said")"
same "its slot" "credential boot 600" "$(kind_of 3) $(label_of 3) $(stat -c %a "$TMP/a credential")"
as_unit "$TMP/a credential"
mounts_as_unit
grep -qaF "$(cat "$TMP/credentials"/*)" -r "$STATE" "$STORE" "$TMP/a credential" && fail "the secret lies open"
CREDENTIALS_DIRECTORY=$TMP/credentials key test >"$TMP/said" && grep -q 'Slot 3 ' "$TMP/said" || fail "test: $(cat "$TMP/said")"
opens "the credential through systemd-creds" --extpass "systemd-creds decrypt --name=ecluse.$VAULT '$TMP/a credential' -"
systemd-creds decrypt --name="ecluse.$(printf %032d 0)" "$TMP/a credential" - >/dev/null 2>&1 && fail "it opens under another vault's name"
did remove --slot 3 --keyfile "$KEY"
CREDENTIALS_DIRECTORY=$TMP/credentials expect_exit 4 key test

did add --keyfile "$KEY" --systemd "$TMP/automatic"
as_unit "$TMP/automatic"
mounts_as_unit

# --- a TPM2 ------------------------------------------------------------------------------------

# Without one, and without the program.
cp -p "$DIR/keyring" "$TMP/keyring"
export SYSTEMD_TPM2_DEVICE=swtpm:path=$TMP/tpm
expect_exit 13 key add --keyfile "$KEY" --systemd "$TMP/sealed" --with-key tpm2
grep -q 'systemd-creds: the program failed' "$TMP/said" || fail "no TPM: $(cat "$TMP/said")"
mkdir "$TMP/bin" && ln -s "$ECLUSE" "$TMP/bin/ecluse"
PATH=$TMP/bin expect_exit 13 "$ECLUSE" key add --keyfile "$KEY" --systemd "$TMP/sealed" --state "$STATE" "$STORE"
grep -q 'systemd-creds: no such file' "$TMP/said" || fail "no systemd-creds: $(cat "$TMP/said")"
[ ! -e "$TMP/sealed" ] || fail "a credential without a secret"
cmp -s "$DIR/keyring" "$TMP/keyring" || fail "a failure changed the keyring"

# start_tpm : a new one each time; it has no resource manager, and so three sessions in all
start_tpm() {
    rm -rf "$TMP/tpm.state" && mkdir "$TMP/tpm.state"
    swtpm socket --tpm2 --tpmstate "dir=$TMP/tpm.state" --server "type=unixio,path=$TMP/tpm" \
        --ctrl "type=unixio,path=$TMP/tpm.ctrl" --flags startup-clear --daemon --pid "file=$TMP/tpm.pid"
}
stop_tpm() {
    local pid
    pid=$(cat "$TMP/tpm.pid")
    kill "$pid" && until_true gone "$pid"
    rm -f "$TMP/tpm" "$TMP/tpm.ctrl"
}
for with in tpm2 host+tpm2; do
    start_tpm
    did add --keyfile "$KEY" --systemd "$TMP/sealed by $with" --with-key $with
    as_unit "$TMP/sealed by $with"
    stop_tpm
    mounts_as_unit
done
same "their slots" "credential credential" "$(kind_of 4) $(kind_of 5)"
start_tpm
systemd-creds decrypt --name="ecluse.$VAULT" "$TMP/sealed by tpm2" - >/dev/null 2>&1 && fail "another TPM opens it"
stop_tpm
same "the store was never touched" "$(cat "$TMP/objects")" "$(objects)"
