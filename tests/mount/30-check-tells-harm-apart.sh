#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A healthy store passes every form of check; each kind of harm gets exactly the verdict
# that is meant for it: attack, damaged, not arrived yet, foreign. Nothing is changed
# by a check, neither the store nor the state.
. "$(dirname "$0")/lib.sh"

KEY=$TMP/key
(umask 077 && head -c 64 /dev/urandom >"$KEY")
mkdir "$MNT"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
open_vault() { "$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT"; }

# Three publications; the second has a segment of its own beside its carrier, for the
# daemon was killed with something staged and acknowledged.
open_vault
make_tree "$MNT/tree"
"$ECLUSE" flush --state "$STATE" "$MNT"
objects >"$TMP/objects.first"
cp -a "$STORE" "$TMP/store.first"
head -c 150000 /dev/urandom >"$MNT/second"
sync "$MNT/second"
kill_daemon
umount -l "$MNT"
open_vault
head -c 100000 /dev/urandom >"$MNT/third"
cp "$MNT/tree/documents/numbers.txt" "$MNT/copy"
"$ECLUSE" flush --state "$STATE" "$MNT"
objects >"$TMP/objects.second"
head -c 70000 /dev/urandom | dd of="$MNT/third" conv=notrunc bs=10000 seek=2 status=none 2>/dev/null
"$ECLUSE" flush --state "$STATE" "$MNT"

# While it is mounted the store alone is checked.
expect_exit 0 "$ECLUSE" check --keyfile "$KEY" --state "$STATE" --read-data "$STORE"
grep -q 'mounted' "$TMP/said" || fail "that the state is in use is not said: $(cat "$TMP/said")"
"$ECLUSE" umount --state "$STATE" "$MNT"
until_true no_daemon
rm -f "$STATE"/*/ballast
cp -a "$STORE" "$TMP/store.clean"

# --- forms of check ---------------------------------------------------------------------

"$ECLUSE" manifest "$STORE" >"$TMP/manifest"
(cd "$STORE" && sha256sum -c --quiet "$TMP/manifest") || fail "sha256sum does not agree with the manifest"
same "the manifest is sorted by path" "" "$(sed 's/^[^ ]*  //' "$TMP/manifest" | LC_ALL=C sort -c 2>&1)"
same "everything is in the manifest" "$(find "$STORE" -type f | wc -l)" "$(wc -l <"$TMP/manifest")"
check() { # check FORM [option...]
    local form=$1
    shift
    case $form in
    state) "$ECLUSE" check --keyfile "$KEY" --state "$STATE" "$@" "$STORE" ;;
    state-data) "$ECLUSE" check --keyfile "$KEY" --state "$STATE" --read-data "$@" "$STORE" ;;
    recovery) "$ECLUSE" check --recovery-file "$SHEET" "$@" "$STORE" ;;
    recovery-data) "$ECLUSE" check --recovery-file "$SHEET" --read-data "$@" "$STORE" ;;
    blind) "$ECLUSE" check --no-key "$@" "$STORE" ;;
    manifest) "$ECLUSE" check --no-key --manifest "$TMP/manifest" "$@" "$STORE" ;;
    esac
}
FORMS='state state-data recovery recovery-data blind manifest'

# verdict FORM WANT [REASON [PATH]] : ok, or the overall verdict, with its exit code
verdict() {
    local form=$1 want=$2 code=0 expected=8 got
    check "$form" --json >"$TMP/json" 2>"$TMP/errors" || code=$?
    case $want in ok) expected=0 ;; older) expected=7 want=attack ;; esac
    got=$(sed -n 's/^  "verdict": "\([a-z_]*\)".*/\1/p' "$TMP/json")
    if [ "$got $code" != "$want $expected" ] || { [ -n "${3:-}" ] && ! grep -q "\"reason\": \"$3\"" "$TMP/json"; } ||
        { [ -n "${4:-}" ] && ! grep -qF "\"path\": \"$4\"" "$TMP/json"; }; then
        cat "$TMP/json" "$TMP/errors" >&2
        fail "$harm: check $form: $got (exit $code) instead of $want (exit $expected) ${3:-} ${4:-}"
    fi
    tried=$((tried + 1))
}
# verdicts WORD... : one for each form
verdicts() {
    local form
    for form in $FORMS; do
        verdict "$form" "$1"
        shift
    done
}
tried=0
listing "$STORE" "$STATE" >"$TMP/before"
harm="a healthy store"
verdicts ok ok ok ok ok ok
same "the JSON is one" 1 "$(sqlite3 :memory: "SELECT json_valid(readfile('$TMP/json'))")"
for form in $FORMS; do
    check "$form" >"$TMP/said" || fail "$form: $(cat "$TMP/said")"
    grep -qx 'Verdict: ok' "$TMP/said" || fail "$form says: $(cat "$TMP/said")"
    LC_ALL=fr_CA.UTF-8 check "$form" >"$TMP/said"
    grep -qx 'Verdict : en ordre' "$TMP/said" || fail "$form speaks no French: $(cat "$TMP/said")"
done
listing "$STORE" "$STATE" >"$TMP/after"
cmp -s "$TMP/before" "$TMP/after" || fail "a check changed something: $(diff "$TMP/before" "$TMP/after")"
same "nothing of the state was copied out" "" "$(find "$STORE" -newer "$TMP/before" -type f)"

# --- what is there ------------------------------------------------------------------------

"$TOOLS/footers" "$STORE" "$SHEET" list >"$TMP/list"
added() { comm -13 <(sort "$1") <(sort "$2") | sed 's/^[^ ]*  \.\///'; }
objects >"$TMP/objects.third"
first=$(sed -n 's/^[^ ]*  \.\/\(segments.*\)/\1/p' "$TMP/objects.first")
last=$(added "$TMP/objects.second" "$TMP/objects.third")
same "publications with one object" 2 "$(printf '%s\n' "$first" "$last" | wc -l)"
plain=$(awk '$5 == 0 { print $1 }' "$TMP/list")
same "segments that carry no publication" 1 "$(wc -l <<<"$plain")"
second=$(added "$TMP/objects.first" "$TMP/objects.second" | grep -vF "$plain")
[ -n "$second" ] || fail "the second publication was not found"
field() { awk -v p="$1" -v f="$2" '$1 == p { print $f }' "$TMP/list"; }

reset() { # undoes what was done to PATH...
    local path
    for path; do
        rm -rf "${STORE:?}/$path"
        [ ! -e "$TMP/store.clean/$path" ] || cp -a "$TMP/store.clean/$path" "$STORE/$path"
    done
}
flip() { # flip PATH OFFSET : one bit of that byte
    local byte
    chmod u+w "$STORE/$1"
    byte=$(od -An -tu1 -j "$2" -N1 "$STORE/$1")
    # shellcheck disable=SC2059
    printf "\\x$(printf %x $((byte ^ 16)))" | dd of="$STORE/$1" bs=1 seek="$2" conv=notrunc status=none
}

# --- one bit in each region ---------------------------------------------------------------

# flipped PATH REGION OFFSET WORD... : the last words for FORMS
flipped() {
    local path=$1
    harm="a bit of $2 (byte $3) of $path"
    flip "$path" "$3"
    shift 3
    verdicts "$@"
    reset "$path"
}
for path in "$plain" "$second"; do
    at=$(field "$path" 2) len=$(field "$path" 3) size=$(field "$path" 4)
    for region in magic:0 format:8 suite:12 vault:24 segment:40 zeros:57; do
        flipped "$path" "${region%:*}" "${region#*:}" attack attack attack attack damaged damaged
    done
    # The number of the epoch, and all that is sealed, look as good as any to whoever has no key.
    flipped "$path" epoch 16 attack attack attack attack ok damaged
    flipped "$path" commitment 70 attack attack attack attack ok damaged
    flipped "$path" "a nonce" 97 ok attack ok attack ok damaged
    flipped "$path" "a block" 200 ok attack ok attack ok damaged
    flipped "$path" footer $((at + 20)) attack attack attack attack ok damaged
    flipped "$path" "the footer's tag" $((at + len - 1)) attack attack attack attack ok damaged
    [ $((at + len + 200)) -lt $((size - 60)) ] || fail "no padding in $path"
    # Nothing but the hash covers padding, and nothing but the index has that of a carrier.
    [ "$path" = "$plain" ] && word=attack || word=ok
    flipped "$path" padding $((size - 100)) ok attack ok "$word" ok damaged
    flipped "$path" trailer $((size - 30)) attack attack attack attack ok damaged
done
echo "flips: $tried verdicts"

# --- cut, extended, half received --------------------------------------------------------------

for path in "$plain" "$second"; do
    size=$(field "$path" 4)
    for to in 0 1 50 95 96 97 4096 65535 65537 $((size / 2 - 60)) $((size - 4096)) $((size - 60)) $((size - 1)); do
        harm="$path cut to $to of $size bytes"
        chmod u+w "$STORE/$path" && truncate -s "$to" "$STORE/$path"
        for form in state recovery blind manifest; do verdict $form not_arrived "" "$path"; done
        reset "$path"
    done
    # Cut to a smaller class: whoever knows the length knows that it is short.
    harm="$path cut to a smaller class"
    chmod u+w "$STORE/$path" && truncate -s $((size / 2)) "$STORE/$path"
    verdict state not_arrived short "$path"
    if [ "$path" = "$plain" ]; then
        verdict recovery not_arrived short "$path"
    else
        verdict recovery attack trailer "$path"
    fi
    verdict blind ok
    verdict manifest damaged differs "$path"
    reset "$path"
    # Clients that make room first: the end is zeros, or nothing has come yet.
    for from in 0 4096 $((size / 2)) $((size - 4096)); do
        harm="$path, of which $from bytes of $size have come"
        chmod u+w "$STORE/$path" && truncate -s "$from" "$STORE/$path" && truncate -s "$size" "$STORE/$path"
        for form in state recovery recovery-data blind manifest; do verdict $form not_arrived filling "$path"; done
        reset "$path"
    done
    for more in 1 4096 "$size"; do
        harm="$path with $more bytes behind its end"
        chmod u+w "$STORE/$path" && head -c "$more" /dev/urandom >>"$STORE/$path"
        for form in state recovery; do verdict $form attack longer "$path"; done
        verdict manifest damaged longer "$path"
        reset "$path"
    done
done
harm="a page of zeros amid blocks"
chmod u+w "$STORE/$plain" && dd if=/dev/zero of="$STORE/$plain" bs=4096 seek=4 count=1 conv=notrunc status=none
for form in recovery-data state-data blind manifest; do verdict $form not_arrived filling "$plain"; done
reset "$plain"

# --- gone ------------------------------------------------------------------------------------------

harm="the segment of a publication is gone"
rm -f "$STORE/$plain"
for form in state recovery recovery-data manifest; do verdict $form not_arrived absent "$plain"; done
verdict blind ok
reset "$plain"
harm="a publication in the middle is gone"
rm -f "$STORE/$second"
verdict recovery not_arrived waits "$last"
verdict state not_arrived absent "$second"
verdict manifest not_arrived absent "$second"
reset "$second"
harm="the last publication is gone"
rm -f "$STORE/$last"
verdict state older older "$last"
verdict recovery ok # who has seen nothing can miss nothing
verdict manifest not_arrived absent "$last"
reset "$last"
harm="an older store"
mv "$STORE" "$TMP/store.now" && cp -a "$TMP/store.first" "$STORE"
verdict state older older
verdict recovery-data ok
verdict manifest not_arrived absent
rm -rf "$STORE" && mv "$TMP/store.now" "$STORE"

# --- exchanged, copied, planted ----------------------------------------------------------------------

harm="two objects exchanged"
mv "$STORE/$plain" "$TMP/x" && mv "$STORE/$last" "$STORE/$plain" && mv "$TMP/x" "$STORE/$last"
for form in state recovery; do verdict $form attack misplaced "$plain"; done
for form in blind manifest; do verdict $form damaged "" "$plain"; done
reset "$plain" "$last"
harm="an object under another name"
name=segments/00/123456789abcdef0123456789abcde
cp "$STORE/$plain" "$STORE/$name"
for form in state recovery; do verdict $form attack misplaced "$name"; done
verdict blind damaged misplaced "$name"
reset "$name"
harm="an object replaced by random bytes"
rm -f "$STORE/$plain" && head -c 262144 /dev/urandom >"$STORE/$plain"
for form in state recovery; do verdict $form attack replaced "$plain"; done
verdict manifest damaged malformed "$plain"
reset "$plain"
harm="plaintext under the front of an object"
chmod u+w "$STORE/$plain" && head -c 20000 < <(seq 1 9000) | dd of="$STORE/$plain" bs=8192 seek=3 conv=notrunc status=none
verdict blind damaged not_random "$plain"
verdict recovery-data attack block "$plain"
reset "$plain"
harm="an object of another vault"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$TMP/other.sheet" --state "$TMP/state.other" "$TMP/store.other" >/dev/null
"$ECLUSE" mount --keyfile "$KEY" --state "$TMP/state.other" "$TMP/store.other" "$MNT"
echo other >"$MNT/other"
"$ECLUSE" umount --state "$TMP/state.other" "$MNT"
other=$(cd "$TMP/store.other" && find segments -type f | head -n 1)
cp "$TMP/store.other/$other" "$STORE/$other"
for form in state recovery blind manifest; do verdict $form foreign "" "$other"; done
rm -f "$STORE/$other"
harm="garbage named like an object"
head -c 65536 /dev/urandom >"$STORE/$name"
for form in state recovery blind manifest; do verdict $form foreign other_vault "$name"; done
rm -f "$STORE/$name"
harm="a terabyte of nothing named like an object"
truncate -s 1T "$STORE/$name"
for form in state recovery-data blind manifest; do verdict $form foreign other_vault "$name"; done
expect_exit 8 "$ECLUSE" manifest "$STORE"
rm -f "$STORE/$name"

foreign() { # foreign PATH COMMAND...
    local path=$1
    harm="a foreign file: $path"
    shift
    "$@"
    for form in state recovery blind manifest; do verdict $form foreign not_ours; done
    rm -rf "${STORE:?}/$path"
}
foreign "${plain} (conflicted copy)" cp "$STORE/$plain" "$STORE/$plain (conflicted copy)"
foreign desktop.ini touch "$STORE/desktop.ini"
foreign segments/00/link ln -s "$STORE/$plain" "$STORE/segments/00/link"
foreign "$name" ln -s "$STORE/$plain" "$STORE/$name"
foreign "$name" mkfifo "$STORE/$name"
foreign segments/more mkdir "$STORE/segments/more"
harm="two thousand foreign files"
(cd "$STORE/segments/77" && seq -f 'photo %g.jpg' 1 2000 | tr '\n' '\0' | xargs -0 touch)
verdict recovery foreign not_ours
same "all of them are in the JSON" 2000 "$(grep -c '"reason": "not_ours"' "$TMP/json")"
expect_exit 8 check blind
[ "$(wc -l <"$TMP/said")" -lt 40 ] || fail "two thousand lines for foreign files"
grep -q 1980 "$TMP/said" || fail "the number of foreign files is not told: $(cat "$TMP/said")"
find "$STORE" -name 'photo*' -delete
if ! as_root; then
    harm="an object that cannot be read"
    chmod 0 "$STORE/$plain"
    for form in recovery blind; do verdict $form damaged unreadable "$plain"; done
    chmod 444 "$STORE/$plain"
fi
harm="an object that the manifest does not have"
grep -vF "$plain" "$TMP/manifest" >"$TMP/less" && mv "$TMP/less" "$TMP/manifest"
verdict manifest foreign unlisted "$plain"

# --- bad input: words, a code, and nothing done -----------------------------------------------------

find "$STORE" -type d -exec touch -d 2020-01-01 {} +
listing "$STORE" >"$TMP/before"
tr 'A-Z0-9' 'B-ZA1-90' <"$SHEET" >"$TMP/wrong" && chmod 600 "$TMP/wrong"
group=$(grep -oE '([0-9A-Z]{5}-){12}[0-9A-Z]{5}' "$SHEET" | head -n 1)
mistyped=${group:0:12}$(printf %s "${group:12:5}" | tr 0-9A-Z 1-9A-Z0)${group:17}
(umask 077 && printf '%s\n' "$mistyped" >"$TMP/mistyped")
expect_exit 4 "$ECLUSE" check --recovery-file "$TMP/mistyped" "$STORE"
grep -q 'group 3' "$TMP/said" || fail "which group is wrong is not said: $(cat "$TMP/said")"
expect_exit 4 "$ECLUSE" check --recovery-file "$TMP/other.sheet" "$STORE"
expect_exit 4 "$ECLUSE" salvage --recovery-file "$TMP/other.sheet" "$STORE" "$TMP/out"
[ ! -e "$TMP/out" ] || fail "a wrong key left a folder"
head -c 40 /dev/urandom >"$TMP/nokey" && chmod 600 "$TMP/nokey"
expect_exit 4 "$ECLUSE" check --keyfile "$TMP/nokey" --state "$STATE" "$STORE"
expect_exit 11 "$ECLUSE" check --keyfile "$KEY" --state "$TMP/nowhere" "$STORE"
grep -q -- '--recovery-file' "$TMP/said" || fail "no way out: $(cat "$TMP/said")"
expect_exit 2 "$ECLUSE" check --no-key "$TMP/nowhere"
expect_exit 1 "$ECLUSE" check --no-key --keyfile "$KEY" "$STORE"
expect_exit 1 "$ECLUSE" check --no-key --read-data "$STORE"
expect_exit 1 "$ECLUSE" check --no-key
expect_exit 1 "$ECLUSE" check --no-key --manifest "$SHEET" "$STORE"
grep -q 'line 1 ' "$TMP/said" || fail "which line of the manifest is wrong is not said: $(cat "$TMP/said")"
expect_exit 1 "$ECLUSE" manifest --output "$STORE/manifest" "$STORE"
expect_exit 1 sh -c "exec '$ECLUSE' manifest '$STORE' >'$STORE/../store/inside'"
rm -f "$STORE/inside" # made by the shell, empty
find "$STORE" -type d -exec touch -d 2020-01-01 {} +
expect_exit 13 "$ECLUSE" manifest --output "$SHEET" "$STORE"
expect_exit 0 "$ECLUSE" manifest --output "$TMP/again" "$STORE"
(cd "$STORE" && sha256sum -c --quiet "$TMP/again") || fail "manifest --output"
header=$(cd "$STORE" && echo vault-*)
mv "$STORE/$header" "$TMP/header"
for command in "check --no-key" "check --recovery-file $SHEET" manifest; do
    # shellcheck disable=SC2086
    expect_exit 2 "$ECLUSE" $command "$STORE"
done
expect_exit 2 "$ECLUSE" salvage --recovery-file "$SHEET" "$STORE" "$TMP/out"
head -c 100 "$TMP/header" >"$STORE/$header"
expect_exit 8 "$ECLUSE" check --no-key "$STORE"
expect_exit 8 "$ECLUSE" check --recovery-file "$SHEET" "$STORE"
rm -f "$STORE/$header"
mv "$TMP/header" "$STORE/$header"
chmod u+w "$STORE/$plain" && truncate -s 5000 "$STORE/$plain"
expect_exit 8 "$ECLUSE" manifest "$STORE"
grep -qF "$plain" "$TMP/said" || fail "what is not in the manifest is not said: $(cat "$TMP/said")"
reset "$plain"
find "$STORE" -type d -exec touch -d 2020-01-01 {} +
listing "$STORE" | sed 's/|[0-9]*|/|/' >"$TMP/after"
sed -i 's/|[0-9]*|/|/' "$TMP/before"
cmp -s "$TMP/before" "$TMP/after" || fail "bad input changed the store: $(diff "$TMP/before" "$TMP/after")"
[ ! -e "$TMP/out" ] || fail "bad input left a folder"
echo "$tried verdicts"
