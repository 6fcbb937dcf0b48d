#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A name that others chose (escape sequences, a newline with a false message, a right-to-left
# override, C1 controls, no UTF-8) acts nowhere: every command is run on a store, a state, a
# folder, files and sheets of that name, on a terminal and without one, and what it says holds
# neither a control character nor a line that the name made.  JSON is JSON and holds the name,
# and a command that is to be copied is the right one.
. "$(dirname "$0")/lib.sh"

need python3 jq xmllint
ODD=$'a \e[2J\e]0;owned\a\r\nMADE: line\xe2\x80\xaeled\xc2\x9b31m\xf3\xa0\x80\x81\xff\'"\\<b>&`touch pwned`'
BASE=$TMP/base
mkdir "$BASE"
STORE=$BASE/store-$ODD MNT=$BASE/mnt-$ODD STATE=$BASE/state-$ODD SHEET=$BASE/sheet-$ODD FILES=$BASE/files-$ODD
export XDG_RUNTIME_DIR=$TMP/run TERM=xterm
mkdir -m 700 "$XDG_RUNTIME_DIR"

cat >"$TMP/judge" <<'PYTHON'
import re, sys, unicodedata
how, where = sys.argv[1:]
said = open(where, 'rb').read()
if how == 'terminal':   # what the terminal and our own progress make
    said = said.replace(b'\r\x1b[K', b'').replace(b'\r\n', b'\n')
try:
    text = said.decode()
except UnicodeDecodeError as why:
    sys.exit(f'no UTF-8: {why}: {said!r}')
bad = {c for c in text if c != '\n' and unicodedata.category(c) in ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')}
if bad:
    sys.exit(f'raw {bad!r} in {text!r}')
if re.search(r'^MADE', text, re.M):
    sys.exit(f'the name made a line: {text!r}')
PYTHON
judge() { python3 "$TMP/judge" "$@" || fail "see above"; } # judge pipe|terminal FILE

runs=0 named=0
counted() { # in one language and then in the other
    runs=$((runs + 1))
    [ $((runs % 2)) = 0 ] && export LC_ALL=C.UTF-8 || export LC_ALL=fr_CA.UTF-8
}
# clean CODE COMMAND... : both streams into $TMP/said, judged
clean() {
    expect_exit "$@"
    judge pipe "$TMP/said"
    counted
    ! grep -qaF '\x1b[2J' "$TMP/said" || named=$((named + 1))
}
# asks CODE ANSWER... -- COMMAND... : the same on a terminal
asks() {
    local code=$1 got=0
    shift
    "$TOOLS/terminal" "$@" >"$TMP/said" 2>"$TMP/trouble" || got=$?
    same "exit code on a terminal: $(cat "$TMP/said" "$TMP/trouble")" "$code" "$got"
    judge terminal "$TMP/said"
    counted
    grep -qaF '\x1b[2J' "$TMP/said" || fail "not named: $(cat "$TMP/said")"
}
# json CODE KEY VALUE COMMAND... : standard output is JSON in which KEY is that name
json() {
    local code=$1 key=$2 value=$3 got=0
    shift 3
    "$@" >"$TMP/said" 2>"$TMP/errors" || got=$?
    same "$*" "$code" "$got"
    judge pipe "$TMP/said"
    judge pipe "$TMP/errors"
    python3 - "$TMP/said" "$key" "$value" <<'PYTHON' || fail "$*: $(cat "$TMP/said")"
import json, os, sys
def holds(x):
    if isinstance(x, dict):
        return any((k == sys.argv[2] and isinstance(v, str) and sys.argv[3] in v) or holds(v) for k, v in x.items())
    return isinstance(x, list) and any(map(holds, x))
x = json.loads(open(sys.argv[1], encoding='utf-8').read())
# Bytes that are no UTF-8 are the same lone surrogates in our arguments and in the JSON.
sys.exit(not (sys.argv[2] == '' or holds(x)))
PYTHON
    counted
}

# --- made ---------------------------------------------------------------------------
new_passphrase "$PASS"
(umask 077 && head -c 64 /dev/urandom >"$TMP/key")
mkdir "$MNT" "$FILES"
clean 1 "$ECLUSE" init --passfile "$PASS" --state "$STATE" "$STORE"           # no terminal for the sheet
clean 0 "$ECLUSE" init --passfile "$PASS" --keyfile "$TMP/key" --recovery-out "$SHEET" --state "$STATE" "$STORE"
judge pipe "$SHEET"
line=$(sed -n 's/^.*: \(ecluse mount .*\) [A-Z]*$/\1/p' "$TMP/said")
eval "set -- $line"
same "the command to copy names the store" "$STORE" "$3"
clean 2 "$ECLUSE" init --keyfile "$TMP/key" --recovery-out "$SHEET.2" --state "$STATE" "$STORE"
clean 13 "$ECLUSE" init --keyfile "$TMP/key" --recovery-out "$SHEET" --state "$STATE" "$STORE.2"
clean 0 "$ECLUSE" init --keyfile "$TMP/key" --recovery-out "$SHEET.html" --state "$STATE" "$STORE.2"
judge pipe "$SHEET.html"
asks 0 "$(cat "$PASS")" "$(cat "$PASS")" -- "$ECLUSE" init --state "$STATE" "$STORE.3"
(umask 077 && echo aaaa >"$PASS-$ODD")
clean 0 "$ECLUSE" init --passfile "$PASS-$ODD" --recovery-out "$SHEET.4" --state "$STATE" "$STORE.4"
rm -rf "$STORE".[234] "$SHEET".*

# --- mounted ------------------------------------------------------------------------
open=(--keyfile "$TMP/key" --state "$STATE")
asks 0 "$(cat "$PASS")" -- "$ECLUSE" mount --state "$STATE" "$STORE" "$MNT"
"$ECLUSE" umount "$MNT"
until_true no_daemon
asks 4 wrong -- "$ECLUSE" mount --state "$STATE" "$STORE" "$MNT"
clean 4 "$ECLUSE" mount --passfile "$PASS-$ODD" --state "$STATE" "$STORE" "$MNT"
clean 13 "$ECLUSE" mount --extpass "false $ODD" --state "$STATE" "$STORE" "$MNT"
clean 3 "$ECLUSE" mount "${open[@]}" "$STORE" "$MNT.none"
clean 2 "$ECLUSE" mount "${open[@]}" "$STORE.none" "$MNT"
clean 11 "$ECLUSE" mount --passfile "$PASS" --state "$STATE.none" "$STORE" "$MNT"
clean 1 "$ECLUSE" mount "${open[@]}" -o "$ODD" "$STORE" "$MNT"
clean 1 "$ECLUSE" mount "${open[@]}" -o "idle=$ODD" "$STORE" "$MNT"
clean 0 "$ECLUSE" mount "${open[@]}" "$STORE" "$MNT"
echo content >"$MNT/$ODD"
json 0 mountpoint "$MNT" "$ECLUSE" status --json "$MNT"
json 0 store "$STORE" "$ECLUSE" status --json
clean 0 "$ECLUSE" status
clean 0 "$ECLUSE" status "$MNT"
clean 0 "$ECLUSE" flush "$MNT"
clean 0 "$ECLUSE" gc --now "$MNT"
json 0 '' '' "$ECLUSE" gc --json --now "$STORE"
clean 6 "$ECLUSE" mount "${open[@]}" "$STORE" "$MNT"
clean 6 "$ECLUSE" passwd "${open[@]}" --new-passfile "$PASS" "$STORE"
(cd "$MNT" && clean 6 "$ECLUSE" umount "$MNT")

# --- files in and out -----------------------------------------------------------------
echo more >"$FILES/$ODD"
mkfifo "$FILES/pipe-$ODD"
mkdir "$MNT/in-$ODD" "$BASE/out-$ODD"
clean 14 "$ECLUSE" import "$FILES" "$MNT/in-$ODD"
json 14 path "pipe-$ODD" "$ECLUSE" import --json "$FILES" "$MNT/in-$ODD"
clean 0 "$ECLUSE" export "$MNT/in-$ODD" "$BASE/out-$ODD"
clean 3 "$ECLUSE" import "$MNT" "$MNT/in-$ODD"
clean 0 "$ECLUSE" umount "$MNT"
clean 12 "$ECLUSE" umount "$MNT"
clean 12 "$ECLUSE" status "$MNT"
clean 12 "$ECLUSE" flush "$MNT"
clean 12 "$ECLUSE" gc "$STORE"
until_true no_daemon

# --- keys ---------------------------------------------------------------------------
asks 0 "$(cat "$PASS")" -- "$ECLUSE" key test --state "$STATE" "$STORE"
asks 4 wrong -- "$ECLUSE" key test --state "$STATE" "$STORE"
clean 0 "$ECLUSE" key add "${open[@]}" --new-keyfile "$BASE/key-$ODD" --generate "$STORE"
clean 13 "$ECLUSE" key add "${open[@]}" --new-keyfile "$BASE/key-$ODD" --generate "$STORE"
clean 1 "$ECLUSE" key add "${open[@]}" --new-keyfile "$BASE/key-$ODD" --label "$ODD" "$STORE"
clean 0 "$ECLUSE" key add "${open[@]}" --new-passfile "$PASS-$ODD" --label "<b>étiquette" "$STORE"
clean 0 "$ECLUSE" key list --state "$STATE" "$STORE"
json 0 label '<b>étiquette' "$ECLUSE" key list --json --state "$STATE" "$STORE"
clean 1 "$ECLUSE" key remove "${open[@]}" --slot "$ODD" "$STORE"
clean 1 "$ECLUSE" key "$ODD"
clean 10 "$ECLUSE" key test --keyfile "$FILES/$ODD" --state "$STATE" "$STORE"

# --- looked at ------------------------------------------------------------------------
echo planted >"$STORE/$ODD"
clean 8 "$ECLUSE" check "${open[@]}" "$STORE"
json 8 path "MADE: line" "$ECLUSE" check --json "${open[@]}" "$STORE"
clean 8 "$ECLUSE" check --no-key "$STORE"
asks 8 "$(cat "$PASS")" -- "$ECLUSE" check --state "$STATE" "$STORE"
clean 0 "$ECLUSE" manifest "$STORE"
clean 1 "$ECLUSE" manifest --output "$STORE/manifest" "$STORE"
clean 0 "$ECLUSE" manifest --output "$BASE/manifest-$ODD" "$STORE"
clean 13 "$ECLUSE" manifest --output "$BASE/manifest-$ODD" "$STORE"
clean 1 "$ECLUSE" check --no-key --manifest "$FILES/$ODD" "$STORE"
clean 0 "$ECLUSE" audit show --state "$STATE" "$STORE"
clean 0 "$ECLUSE" audit show --json --state "$STATE" "$STORE"
clean 0 "$ECLUSE" audit verify --state "$STATE" "$STORE"
asks 0 "$(cat "$PASS")" -- "$ECLUSE" audit verify --unlock --state "$STATE" "$STORE"
clean 1 "$ECLUSE" audit show --since "$ODD" --state "$STATE" "$STORE"
clean 0 "$ECLUSE" report --state "$STATE" "$STORE"
json 0 path "$STORE" "$ECLUSE" report --json --state "$STATE" "$STORE"
clean 0 "$ECLUSE" report --html "$BASE/report-$ODD" --state "$STATE" "$STORE"
judge pipe "$BASE/report-$ODD"
cp "$BASE/report-$ODD" "$TMP/report" && xmllint --noout "$TMP/report"
clean 1 "$ECLUSE" report --html "$STORE/report" --state "$STATE" "$STORE"
"$ECLUSE" doctor --state "$STATE" "$STORE" >"$TMP/said" || :
judge pipe "$TMP/said"
"$ECLUSE" doctor --json --state "$STATE" "$STORE" >"$TMP/said" || :
judge pipe "$TMP/said"
jq -e .findings "$TMP/said" >"$TMP/null"
clean 0 "$ECLUSE" policy check "$STORE" "$MNT"
json 0 '' '' "$ECLUSE" policy check --json "$STORE" "$MNT"
rm "$STORE/$ODD"

# --- saved ----------------------------------------------------------------------------
clean 0 "$ECLUSE" salvage "${open[@]}" "$STORE" "$BASE/salvaged-$ODD"
json 0 path "MADE: line" "$ECLUSE" salvage --json "${open[@]}" "$STORE" "$BASE/salvaged2-$ODD"
clean 13 "$ECLUSE" salvage "${open[@]}" "$STORE" "$BASE/salvaged-$ODD"
clean 0 "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$TMP/key" --state "$STATE.new" "$STORE"
clean 11 "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$TMP/key" --state "$STATE.new" "$STORE"
clean 10 "$ECLUSE" recover --recovery-file "$FILES/$ODD" --passfile "$PASS" --state "$STATE.2" "$STORE"
echo broken >"$(echo "$STATE.new"/*/index.db)"
clean 11 "$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE.new" "$STORE" "$MNT"
line=$(sed -n 's/^  ecluse \(mount .*\)/\1/p' "$TMP/said")
eval "set -- $line"
same "the command to copy is the one that was given, with --rebuild" "mount --rebuild --keyfile $TMP/key --state $STATE.new $STORE $MNT" "$*"
asks 11 -e no -- "$ECLUSE" mount --keyfile "$TMP/key" --state "$STATE.new" "$STORE" "$MNT"
clean 0 "$ECLUSE" mount --rebuild --keyfile "$TMP/key" --state "$STATE.new" "$STORE" "$MNT"
clean 0 "$ECLUSE" umount --all --state "$STATE.new"
until_true no_daemon

# --- older, other ---------------------------------------------------------------------
cp -a "$STORE" "$BASE/old"
"$ECLUSE" mount "${open[@]}" "$STORE" "$MNT" && echo new >"$MNT/new" && "$ECLUSE" umount "$MNT"
until_true no_daemon
mv "$STORE" "$BASE/new" && mv "$BASE/old" "$STORE"
clean 7 "$ECLUSE" mount "${open[@]}" "$STORE" "$MNT"
line=$(sed -n 's/^.*\(ecluse accept --older .*\)$/\1/p' "$TMP/said")
eval "set -- $line"
same "how to accept it" "$STORE" "$4"
clean 7 "$ECLUSE" accept --older "${open[@]}" "$STORE"
clean 0 "$ECLUSE" accept --older --yes "${open[@]}" "$STORE"
clean 0 "$ECLUSE" init --keyfile "$TMP/key" --recovery-out "$SHEET.other" --state "$STATE" "$STORE.other"
mv "$STORE" "$BASE/first" && mv "$STORE.other" "$STORE"
clean 7 "$ECLUSE" mount "${open[@]}" "$STORE" "$MNT"
clean 7 "$ECLUSE" accept --other "${open[@]}" "$STORE"
clean 0 "$ECLUSE" accept --other --yes "${open[@]}" "$STORE"

# --- words that are no names ------------------------------------------------------------
clean 1 "$ECLUSE" "$ODD"
clean 1 "$ECLUSE" help "$ODD"
for command in init mount umount status flush gc passwd recover accept check manifest salvage import export \
    doctor report askpass 'policy check' 'audit show' 'key list'; do
    # shellcheck disable=SC2086
    clean 1 "$ECLUSE" $command "--$ODD"
done
asks 0 -e "answer" -- bash -c '"$0" askpass "$1" >"$2"' "$ECLUSE" "$ODD" "$TMP/answer"
[ $named -gt 30 ] || fail "hardly any message named what it is about: $named of $runs"
[ ! -e pwned ] || fail "a name was run"
[ $runs -gt 100 ] || fail "only $runs runs"
