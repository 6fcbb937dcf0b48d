#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The ways into a vault: each kind is added, listed, tried, mounts, and is removed; the
# last one stays; a passphrase gets dearer to guess, never cheaper.  What is refused, or
# interrupted at a question, changes nothing; and the store is never touched.
. "$(dirname "$0")/lib.sh"
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
rm "$DIR/ballast" # 64 MiB less to compare
"$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT" && echo content >"$MNT/file"
umount_vault
objects >"$TMP/objects"
same "slots of a new vault" "recovery keyfile" "$(kind_of 1) $(kind_of 2)"

# --- each kind -----------------------------------------------------------------------

new_passphrase "$PASS" && new_passphrase "$TMP/bob"
did add --keyfile "$KEY" --new-passfile "$PASS" --label "Alice – été"
did add --keyfile "$KEY" --new-passfile "$TMP/bob" --label Bob
did add --keyfile "$KEY" --new-keyfile "$TMP/made" --generate
same "the new key file" "600 64" "$(stat -c '%a %s' "$TMP/made")"
did add --keyfile "$TMP/made" --store-with "tee '$TMP/kept by a program'" --new-extpass "cat '$TMP/kept by a program'"
grep -q "$(cat "$TMP/kept by a program")" "$TMP/said" && fail "the secret was shown"
grep -qaF "$(cat "$TMP/kept by a program")" -r "$STATE" "$STORE" && fail "the secret is in a file of ours"
same "kinds" "recovery keyfile passphrase passphrase keyfile command" "$(for n in 1 2 3 4 5 6; do kind_of $n; done | tr '\n' ' ' | sed 's/ $//')"
same "labels" "Alice – été,Bob," "$(label_of 3),$(label_of 4),$(label_of 5)"
key list --json --keyfile "$KEY" >"$TMP/json"
same "the list is JSON" 1 "$(sqlite3 :memory: "SELECT json_valid(readfile('$TMP/json'))")"
grep -q '"authenticated": true' "$TMP/json" || fail "a list with a key is not authenticated"
key list --json | grep -q '"authenticated": false' || fail "a list without a key is said to be authenticated"
same "a command's secret is not stretched" "0 0" "$(cost_of 6)"
read -r memory passes <<<"$(cost_of 3)"
[ "$memory" -ge 65536 ] && [ "$passes" -ge 3 ] || fail "cost of a passphrase: $memory KiB, $passes passes"

opens "the first passphrase" --passfile "$PASS"
opens "the second passphrase" --passfile "$TMP/bob"
opens "the generated key file" --keyfile "$TMP/made"
opens "what a program keeps" --extpass "cat '$TMP/kept by a program'"
did test --passfile "$TMP/bob"
grep -q 'Slot 4 ' "$TMP/said" || fail "another slot is said to open: $(cat "$TMP/said")"
expect_exit 4 key test --slot 3 --passfile "$TMP/bob"
did test --recovery-file "$SHEET"
grep -q 'Slot 1 ' "$TMP/said" || fail "the recovery key: $(cat "$TMP/said")"
make_key "$TMP/wrong" && expect_exit 4 key test --keyfile "$TMP/wrong"

# --- while mounted ----------------------------------------------------------------------

"$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT"
did list --keyfile "$KEY"
did test --keyfile "$TMP/made"
expect_exit 6 key add --keyfile "$KEY" --new-passfile "$PASS"
expect_exit 6 key remove --slot 3 --keyfile "$KEY"
expect_exit 6 key tune --passfile "$PASS"
umount_vault

# --- passwd, tune ------------------------------------------------------------------------

new_passphrase "$TMP/new"
expect_exit 1 "$ECLUSE" passwd --keyfile "$KEY" --new-passfile "$TMP/new" --state "$STATE" "$STORE"
grep -q -- --slot "$TMP/said" || fail "passwd does not ask which: $(cat "$TMP/said")"
expect_exit 1 "$ECLUSE" passwd --keyfile "$KEY" --new-passfile "$TMP/new" --slot 5 --state "$STATE" "$STORE"
"$ECLUSE" passwd --passfile "$PASS" --new-passfile "$TMP/new" --state "$STATE" "$STORE" >/dev/null
did test --slot 3 --passfile "$TMP/new"
did test --slot 4 --passfile "$TMP/bob"
expect_exit 4 key test --slot 3 --passfile "$PASS"
mv "$TMP/new" "$PASS"
same "its label stays" "Alice – été" "$(label_of 3)"

cost=$(cost_of 4)
did tune --passfile "$TMP/bob" --milliseconds 1
same "a cost that is not lowered" "$cost" "$(cost_of 4)"
read -r memory passes <<<"$cost"
did tune --passfile "$TMP/bob" --slot 4 --milliseconds 2500
read -r dearer longer <<<"$(cost_of 4)"
[ "$dearer" -ge "$memory" ] && [ "$longer" -ge "$passes" ] && [ $((dearer * longer)) -gt $((memory * passes)) ] ||
    fail "tuned from $cost to $dearer $longer"
did test --slot 4 --passfile "$TMP/bob"
expect_exit 1 key tune --keyfile "$KEY"
same "what was not tuned" "keyfile 0 0" "$(kind_of 2) $(cost_of 2)"

# --- remove -----------------------------------------------------------------------------------

did remove --slot 4 --keyfile "$KEY"
expect_exit 4 key test --passfile "$TMP/bob"
did add --keyfile "$KEY" --new-keyfile "$TMP/wrong"
same "a free number is taken again" keyfile "$(kind_of 4)"
for n in 1 3 4 5; do did remove --slot $n --keyfile "$KEY"; done
did remove --slot 6 --keyfile "$KEY"
expect_exit 10 key remove --slot 2 --keyfile "$KEY"
same "the last one stays" "keyfile" "$(kind_of 2)"
did test --keyfile "$KEY"
expect_exit 4 "$ECLUSE" passwd --recovery-file "$SHEET" --new-passfile "$PASS" --state "$STATE" "$STORE"
did add --keyfile "$KEY" --new-recovery-file "$SHEET" --label sheet
did remove --slot 2 --recovery-file "$SHEET"
grep -q 'Only the recovery key' "$TMP/said" || fail "it is not said that only the recovery key is left"
did add --recovery-file "$SHEET" --new-keyfile "$KEY"
did add --keyfile "$KEY" --new-recovery-file "$SHEET"
same "one recovery key, one slot" "recovery keyfile 2" "$(kind_of 1) $(kind_of 2) $(slots)"
same "its label stays" sheet "$(label_of 1)"

for n in 3 4 5 6 7 8; do did add --keyfile "$KEY" --new-keyfile "$TMP/made"; done
expect_exit 10 key add --keyfile "$KEY" --new-keyfile "$TMP/none" --generate
[ ! -e "$TMP/none" ] || fail "a key file was made for which there is no slot"
for n in 3 4 5 6 7 8; do did remove --slot $n --keyfile "$KEY"; done

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
# refused CODE FRENCH-WORDS ENGLISH-WORDS ACTION OPTION... : in both languages, and in none
refused() {
    local code=$1 french=$2 english=$3
    shift 3
    LC_ALL=C.UTF-8 LANGUAGE='' expect_exit "$code" "$@" </dev/null
    grep -qF -- "$english" "$TMP/said" || fail "no «$english» in: $(cat "$TMP/said")"
    LC_ALL=fr_CA.UTF-8 LANGUAGE='' expect_exit "$code" "$@" </dev/null
    grep -qF -- "$french" "$TMP/said" || fail "no «$french» in: $(cat "$TMP/said")"
    LC_ALL=C LANGUAGE='' expect_exit "$code" "$@" </dev/null
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

# What somebody wrote into the file is shown, and acts on no terminal.
LC_ALL=C.UTF-8
same "a list in another language is another list" "$(key list | wc -l)" "$(LC_ALL=fr_CA.UTF-8 key list | wc -l)"
LC_ALL=fr_CA.UTF-8 key list | grep -q 'clé de récupération' || fail "the list speaks no French"
same "the store was never touched" "$(cat "$TMP/objects")" "$(objects)"
opens "the vault is whole" --keyfile "$KEY"
