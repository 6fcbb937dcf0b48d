#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Key slots: what is refused, or interrupted at a question, says why in the user's language,
# has its exit code, and changes nothing.
. "$(dirname "$0")/slots.sh"

new_passphrase "$PASS"

# --- on a terminal -------------------------------------------------------------------------

# asked ANSWER... : the answers, and then what stands in $command, on a terminal whose echo
# must be on again afterwards
command=''
asked() {
    "$TOOLS/terminal" "$@" -- bash -c "trap : INT; $command; code=\$?; stty | grep -q -- '-echo' && exit 98; exit \$code" >"$TMP/said" 2>&1
}
did add --keyfile "$KEY" --new-passfile "$PASS"
command="'$ECLUSE' key add --state '$STATE' '$STORE'"
asked "$(cat "$PASS")" "typed twice" "typed thrice" "typed twice" "typed twice" || fail "typed: $(cat "$TMP/said")"
same "a passphrase that was typed" passphrase "$(kind_of 4)"
(umask 077 && echo "typed twice" >"$TMP/typed")
did test --slot 4 --passfile "$TMP/typed"
command="'$ECLUSE' key test --recovery --state '$STATE' '$STORE'"
"$TOOLS/terminal" -e "$(grep -oE '([0-9A-Z]{5}-){3,}[0-9A-Z]{5}' "$SHEET" | tr '\n' ' ')" -- bash -c "$command" >"$TMP/said" 2>&1 ||
    fail "the recovery key, typed: $(cat "$TMP/said")"

listing "$STATE" "$STORE" >"$TMP/before"
for answers in 0 1 2; do
    command="'$ECLUSE' key add --state '$STATE' '$STORE'"
    given=("$(cat "$PASS")" "not this one")
    code=0
    asked "${given[@]:0:answers}" $'\003' || code=$?
    same "interrupted at question $((answers + 1))" 130 "$code"
done
asked "$(cat "$PASS")" "" && fail "an empty passphrase was taken"
listing "$STATE" "$STORE" | cmp -s "$TMP/before" - || fail "something changed although it was interrupted"

# --- bad input --------------------------------------------------------------------------------

export -n LC_ALL
# refused CODE FRENCH-WORDS ENGLISH-WORDS COMMAND... : in both languages
refused() {
    local code=$1 french=$2 english=$3
    shift 3
    LC_ALL=C.UTF-8 LANGUAGE='' expect_exit "$code" "$@" </dev/null
    grep -qF -- "$english" "$TMP/said" || fail "no «$english» in: $(cat "$TMP/said")"
    LC_ALL=fr_CA.UTF-8 LANGUAGE='' expect_exit "$code" "$@" </dev/null
    grep -qF -- "$french" "$TMP/said" || fail "no «$french» in: $(cat "$TMP/said")"
    listing "$STATE" "$STORE" | cmp -s "$TMP/before" - || fail "something changed: $*"
}
ours=(--keyfile "$KEY")
make_key "$TMP/other key"
mkdir "$TMP/empty"
for action in list add remove test tune; do
    slot=()
    [ $action != remove ] || slot=(--slot 2)
    refused 1 "un dépôt" "one store" "$ECLUSE" key $action "${slot[@]}"
    refused 1 "un dépôt" "one store" key $action "${slot[@]}" "$TMP/empty"
    refused 1 "--danse" "--danse" key $action --danse
    refused 1 "valeur" "a value" "$ECLUSE" key $action --passfile
    refused 1 "une seule façon" "only one way" key $action "${slot[@]}" --keyfile a --passfile b
    refused 1 "une seule façon" "only one way" key $action "${slot[@]}" --recovery --recovery-file b
    refused 2 "n’existe pas" "does not exist" "$ECLUSE" key $action "${slot[@]}" "$TMP/nowhere"
    refused 2 "n’est pas un dépôt" "not an Écluse store" "$ECLUSE" key $action "${slot[@]}" "$TMP/empty"
    refused 11 "pas d’état local" "holds no state" "$ECLUSE" key $action "${slot[@]}" --state "$TMP/elsewhere" "$STORE"
    refused 4 "erronée" "wrong passphrase" key $action "${slot[@]}" --keyfile "$TMP/other key"
    [ $action = list ] ||
        refused 1 "terminal" "terminal" setsid -w "$ECLUSE" key $action "${slot[@]}" --state "$STATE" "$STORE"
done
for action in list add remove test tune; do # in no language
    LC_ALL=C expect_exit 1 "$ECLUSE" key $action
    grep -q 'one store is expected' "$TMP/said" || fail "in the C locale: $(cat "$TMP/said")"
done
refused 1 "list, add" "list, add" "$ECLUSE" key
refused 1 "key danse" "key danse" "$ECLUSE" key danse "$STORE"
refused 1 "--slot" "--slot" key list --slot 2
refused 1 "--slot" "--slot" key remove "${ours[@]}"
for n in 0 9 -1 22 x ''; do refused 1 "(1 à 8)" "(1 to 8)" key remove --slot "$n" "${ours[@]}"; done
refused 1 "un seul emplacement" "only one slot" key remove --slot 2 --slot 3 "${ours[@]}"
for action in remove test tune; do refused 1 "ce numéro" "of that number" key $action --slot 8 "${ours[@]}"; done
for n in 0 -1 x 60001 1.5 ''; do refused 1 "millisecondes" "milliseconds" key tune --milliseconds "$n" "${ours[@]}"; done
refused 1 "phrase de passe" "no passphrase" key tune --slot 2 "${ours[@]}"
refused 1 "--new-passfile" "--new-passfile" "$ECLUSE" passwd "${ours[@]}" --slot 3 --add-keyfile "$KEY" --state "$STATE" "$STORE"

adding() { # adding CODE FRENCH-WORDS ENGLISH-WORDS OPTION...
    refused "$1" "$2" "$3" key add "${ours[@]}" "${@:4}"
}
adding 1 "à la fois" "at a time" --new-passfile "$PASS" --new-keyfile "$KEY"
adding 1 "à la fois" "at a time" --new-recovery --systemd "$TMP/none"
adding 1 "--new-keyfile" "--new-keyfile" --generate
adding 1 "fichier" "a file of its own" --generate --new-keyfile -
adding 1 "--new-extpass" "--new-extpass" --store-with cat
adding 1 "--systemd" "--systemd" --with-key host
adding 1 "rot13" "rot13" --systemd "$TMP/none" --with-key rot13
adding 1 "--new-recovery" "--new-recovery" --new-recovery --new-recovery-file "$SHEET"
adding 1 "64 octets" "64 bytes" --new-passfile "$PASS" --label "$(printf %065d 0)"
adding 1 "64 octets" "64 bytes" --new-passfile "$PASS" --label $'a\nb'
adding 1 "64 octets" "64 bytes" --new-passfile "$PASS" --label $'a\xe2\x80\xaeb'
refused 1 "entrée standard" "standard input" key add --passfile - --new-passfile -
head -c 31 "$KEY" >"$TMP/short" && chmod 600 "$TMP/short"
adding 4 "32 octets" "32 bytes" --new-keyfile "$TMP/short"
adding 13 "existe déjà" "already exists" --new-keyfile "$TMP/short" --generate
adding 13 "existe déjà" "already exists" --systemd "$TMP/short"
adding 3 "imbriqués" "inside one another" --new-keyfile "$STORE/key" --generate
adding 3 "imbriqués" "inside one another" --systemd "$DIR/credential"
adding 13 "introuvable" "no such file" --new-keyfile "$TMP/missing/key" --generate
cp "$PASS" "$TMP/open" && chmod 644 "$TMP/open"
adding 10 "lisible par d’autres" "read by other users" --new-passfile "$TMP/open"
adding 4 "aucune phrase" "no passphrase" --new-extpass false
adding 13 "n’a pas rendu" "did not give back" --store-with false --new-extpass "cat $PASS"
adding 13 "n’a pas rendu" "did not give back" --store-with cat --new-extpass "cat $PASS"
adding 13 "n’a pas rendu" "did not give back" --store-with cat --new-extpass false
adding 13 "introuvable" "no such file" --store-with "$TMP/no program" --new-extpass cat
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$TMP/sheet2" --state "$TMP/state2" "$TMP/store2" >/dev/null
adding 4 "erronée" "wrong passphrase" --new-recovery-file "$TMP/sheet2"
(umask 077 && sed 's/\(recover\|r..up.ration\)//; s/[0-9]/0/g' "$SHEET" >"$TMP/sheet3")
adding 4 "mal saisie" "mistyped" --new-recovery-file "$TMP/sheet3"
[ ! -e "$TMP/none" ] || fail "a credential was made by a command that failed"

# The keyring and the state: damaged, and somebody else's.
cp -p "$DIR/keyring" "$TMP/keyring"
printf '\377' | dd of="$DIR/keyring" bs=1 seek=100 conv=notrunc status=none
touch -r "$TMP/keyring" "$DIR/keyring"
listing "$STATE" "$STORE" >"$TMP/before"
for action in list add test tune; do refused 5 "trousseau" "keyring" key $action "${ours[@]}"; done
cp -p "$TMP/keyring" "$DIR/keyring"
did test "${ours[@]}"
if as_root; then
    open_the_way
    expect_exit 10 as_user "$ECLUSE" key list --state "$STATE" "$STORE"
    expect_exit 11 as_user "$ECLUSE" key list "$STORE"
    expect_exit 10 as_user "$ECLUSE" key add --keyfile "$KEY" --new-passfile "$PASS" --state "$STATE" "$STORE"
fi

LC_ALL=fr_CA.UTF-8 key list | grep -q 'clé de récupération' || fail "the list speaks no French"
same "the store was never touched" "$(cat "$TMP/objects")" "$(objects)"
opens "the vault is whole" --keyfile "$KEY"
