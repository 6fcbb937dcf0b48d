#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Each mistake has its exit code and a sentence in the user's language, and changes
# nothing on disk, save that the audit log notes it.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault
echo content >"$MNT/file"
umount_vault
pristine() {
    (cd "$TMP" && find store state ! -name audit ! -name audit.head -printf '%p %m %s %T@\n' | grep -v '/lock ' | sort &&
        find store state -type f ! -name audit ! -name audit.head -exec sha256sum {} + | sort -k2)
}
pristine >"$TMP/pristine"
export -n LC_ALL

# refused CODE FRENCH-WORDS ENGLISH-WORDS COMMAND... : twice, once a language
refused() {
    local code=$1 french=$2 english=$3
    shift 3
    LC_ALL=C.UTF-8 LANGUAGE='' expect_exit "$code" "$@"
    grep -qF -- "$english" "$TMP/said" || fail "no «$english» in: $(cat "$TMP/said")"
    LC_ALL=fr_CA.UTF-8 LANGUAGE='' expect_exit "$code" "$@"
    grep -qF -- "$french" "$TMP/said" || fail "no «$french» in: $(cat "$TMP/said")"
    pristine | cmp -s - "$TMP/pristine" || {
        pristine | diff "$TMP/pristine" - >&2 || true
        fail "something changed: $*"
    }
}
mounting() { echo "$ECLUSE" mount --passfile "${pass:-$PASS}" --state "${state:-$STATE}" "${store:-$STORE}" "${mnt:-$MNT}"; }

store=$TMP/nowhere refused 2 "le dépôt n’existe pas" "the store does not exist" $(store=$TMP/nowhere mounting)
mkdir "$TMP/empty"
refused 2 "n’est pas un dépôt" "not an Écluse store" $(store=$TMP/empty mounting)
new_passphrase "$TMP/other"
refused 4 "erronée" "wrong passphrase" $(pass=$TMP/other mounting)
same "both attempts are in the audit log" 2 "$(grep -c '"unlocked","outcome":"E_PASSPHRASE"' "$STATE"/*/audit)"
refused 3 "point de montage" "mountpoint" $(mnt=$TMP/missing mounting)
mkdir "$TMP/full" && touch "$TMP/full/file"
refused 3 "pas vide" "not empty" $(mnt=$TMP/full mounting)
refused 3 "imbriqués" "inside one another" $(mnt=$STORE/segments mounting)
refused 3 "imbriqués" "inside one another" $(mnt=$TMP mounting)
refused 11 "pas d’état local" "holds no state" $(state=$TMP/elsewhere mounting)
cp "$PASS" "$TMP/open" && chmod 644 "$TMP/open"
refused 10 "lisible par d’autres" "read by other users" $(pass=$TMP/open mounting)
refused 1 "jolie" "jolie" "$ECLUSE" mount --passfile "$PASS" --state "$STATE" -o jolie "$STORE" "$MNT"
refused 1 "danse" "danse" "$ECLUSE" danse
refused 12 "aucun coffre" "no Écluse vault" "$ECLUSE" umount --state "$STATE" "$MNT"
refused 2 "pas vide" "not empty" "$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet2" --state "$STATE" "$STORE"
refused 1 "terminal" "terminal" "$ECLUSE" init --passfile "$PASS" --state "$TMP/state3" "$TMP/store3"
[ ! -e "$TMP/store3" ] || fail "init without a terminal left a store"

# The header: every byte counts, and so does its length.
header=$(echo "$STORE"/vault-*.ecl)
cp -p "$header" "$TMP/header"
size=$(stat -c %s "$header")
alter() { chmod u+w "$header" && cat >"$header" && touch -r "$TMP/header" "$header" && chmod 444 "$header"; }
back() { alter <"$TMP/header"; }
for at in $(seq 0 9 $((size - 1))); do
    { head -c "$at" "$TMP/header"
      tail -c +$((at + 1)) "$TMP/header" | head -c 1 | tr '\000-\377' '\001-\377\000'
      tail -c +$((at + 2)) "$TMP/header"; } | alter
    "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" >"$TMP/said" 2>&1 && fail "header byte $at altered, and mounted"
    code=$?
done
for code in 0; do :; done
head -c 60 "$TMP/header" | alter
expect_exit 8 $(mounting)
back
pristine | cmp -s - "$TMP/pristine" || fail "an altered header changed something else"

# The keyring.
cp -p "$STATE"/*/keyring "$TMP/keyring"
keyring=$(echo "$STATE"/*/keyring)
head -c 100 "$TMP/keyring" >"$keyring"
expect_exit 5 $(mounting)
cp -p "$TMP/keyring" "$keyring"

# A state in use, and a mountpoint in use.
mount_vault
mkdir "$TMP/mnt2"
expect_exit 6 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$TMP/mnt2"
expect_exit 6 $(mounting)
(cd "$MNT" && expect_exit 6 "$ECLUSE" umount --state "$STATE" "$MNT")
umount_vault

# Another vault's state under this vault's name.
"$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet4" --state "$TMP/state4" "$TMP/store4" >/dev/null
mkdir "$TMP/state5"
cp -a "$TMP"/state4/* "$TMP/state5/$(basename "$STATE"/*)"
expect_exit 11 $(state=$TMP/state5 mounting)

# A store that cannot be written, and one that is full.
if as_root; then
    mkdir "$TMP/bound" "$TMP/small"
    mount --bind "$STORE" "$TMP/bound" && mount -o remount,bind,ro "$TMP/bound"
    expect_exit 2 $(store=$TMP/bound mounting)
    expect "read-only it can be mounted" "$ECLUSE" mount -o ro --passfile "$PASS" --state "$STATE" "$TMP/bound" "$MNT"
    same "and read" content "$(cat "$MNT/file")"
    if (: >"$MNT/new") 2>/dev/null; then fail "a read-only vault takes files"; fi
    umount_vault
    umount "$TMP/bound"
    mount -t tmpfs -o size=256k,nr_inodes=50 none "$TMP/small"
    expect_exit 9 "$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet6" --state "$TMP/state6" "$TMP/small/store"
    [ -z "$(ls -A "$TMP/small")" ] || fail "init on a full disk left: $(ls -A "$TMP/small")"
fi
mount_vault
same "the vault is whole" content "$(cat "$MNT/file")"
umount_vault
