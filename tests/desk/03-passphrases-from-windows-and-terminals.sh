#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# ecluse askpass by each of its means, and when one is missing; advice about weak
# passphrases; the recovery sheet as a page, and its confirmation.
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/lib.sh"
need rsvg-convert zbarimg
export LANGUAGE_CODE=en
PHRASE='rivage cloche ananas lente'

asked() { # asked OPTION... : in the background; its exit code is in $TMP/code, the answer in $TMP/answer
    rm -f "$TMP/code"
    {
        code=0
        "$ECLUSE" askpass "$@" >"$TMP/answer" 2>"$TMP/asked" || code=$?
        echo $code >"$TMP/code.new" && mv "$TMP/code.new" "$TMP/code"
    } &
}
answered() { # answered CODE [ANSWER]
    until_true test -e "$TMP/code"
    same "exit code of askpass" "$1" "$(cat "$TMP/code")"
    same "answer" "${2:-}" "$(cat "$TMP/answer")"
}

# Without a screen: the terminal, and else an error.
unset DISPLAY
expect_exit 1 "$ECLUSE" askpass --probe
asked </dev/null
answered 1
grep -q 'terminal' "$TMP/asked" || fail "$(cat "$TMP/asked")"
"$TOOLS/terminal" "$PHRASE" -- bash -c "'$ECLUSE' askpass Word: >'$TMP/answer'" >"$TMP/said" || fail "terminal: $(cat "$TMP/said")"
same "from the terminal" "$PHRASE" "$(cat "$TMP/answer")"
grep -q 'Word: ' "$TMP/said" || fail "the text was not shown"
"$TOOLS/terminal" bonjour no "$PHRASE" "$PHRASE" -- bash -c "'$ECLUSE' askpass --new >'$TMP/answer'" >"$TMP/said" || fail "terminal: $(cat "$TMP/said")"
same "from the terminal, at the second try" "$PHRASE" "$(cat "$TMP/answer")"
grep -q 'Strength: weak' "$TMP/said" && grep -q 'Strength: good' "$TMP/said" || fail "no strength: $(cat "$TMP/said")"
expect_exit 1 "$TOOLS/terminal" -- "$ECLUSE" askpass
grep -q 'not shown on a terminal' "$TMP/said" || fail "a passphrase would be shown: $(cat "$TMP/said")"

# Bad input.
expect_exit 1 "$ECLUSE" askpass --with pigeon
expect_exit 1 "$ECLUSE" askpass one two
expect_exit 1 "$ECLUSE" askpass --new=5
LC_ALL=fr_CA.UTF-8 expect_exit 1 "$ECLUSE" askpass --with pigeon
grep -q 'accepte pinentry' "$TMP/said" || fail "no French: $(cat "$TMP/said")"

# zenity: new, weak, different, and at last twice the same; each time before the keys.
start_screen
expect_exit 0 "$ECLUSE" askpass --probe
asked --with zenity --new 'A new one:'
window '^Écluse: passphrase$'
types bonjour
answer Return
window '^Écluse: a weak passphrase$'
shot zenity-weak
answer Return
window '^Écluse: passphrase$'
types "$PHRASE"
answer Return
window '^Écluse: passphrase$'
shot zenity-again
types other
answer Return
window '^Écluse: passphrase$'
types "$PHRASE"
nowhere "$PHRASE"
answer Return
window '^Écluse: passphrase$'
types "$PHRASE"
keys Return
answered 0 "$PHRASE"
# A weak one is not refused; giving up is.
asked --with zenity --new
window '^Écluse: passphrase$'
types bonjour
answer Return
window '^Écluse: a weak passphrase$'
answer Escape   # is no consent
window '^Écluse: passphrase$'
types bonjour
answer Return
window '^Écluse: a weak passphrase$'
keys Right
answer Return
window '^Écluse: passphrase$'
types bonjour
keys Return
answered 0 bonjour
asked --with zenity
window '^Écluse: passphrase$'
keys Escape
answered 4

# A pinentry that dies, one that speaks nonsense, and one that never saw our commands: the next one is asked.
for pinentry in 'exit 1' 'echo OK; read -r _; exit 1' 'echo hello; echo world; exec cat >/dev/null' \
    'echo OK hi; while read -r line; do case $line in GETPIN) echo "ERR 83886340 no" ;; *) echo "ERR 536871187 Unknown" ;; esac; done'; do
    printf '#!/bin/bash\n%s\n' "$pinentry" >"$TMP/bin/pinentry-x11"
    chmod +x "$TMP/bin/pinentry-x11"
    for other in gnome3 qt gtk-2 gtk2 qt5 fltk; do cp "$TMP/bin/pinentry-x11" "$TMP/bin/pinentry-$other"; done
    cp "$TMP/bin/pinentry-x11" "$TMP/bin/pinentry"
    asked
    window '^Écluse: passphrase$'
    same "whose window it is" zenity "$(cat "/proc/$(xdotool getactivewindow getwindowpid)/comm")"
    types "$PHRASE"
    keys Return
    answered 0 "$PHRASE"
done
# One that does not end is ended.
printf '#!/bin/bash\ntrap "" TERM\necho OK\nwhile read -r line; do case $line in GETPIN) printf "D word\\nOK\\n" ;; *) echo OK ;; esac; done\nwhile :; do read -rt 1 <> <(:); done\n' >"$TMP/bin/pinentry-x11"
asked
answered 0 word
# Every character arrives; a pinentry that cannot compare is asked twice.
cat >"$TMP/bin/pinentry-x11" <<'END'
#!/bin/bash
echo OK
while read -r line; do
    case $line in
    SETREPEAT*) echo "ERR 536871187 Unknown" ;;
    GETPIN) printf 'INQUIRE QUALITY a%%20b%%25\n' && read -r d && read -r end && echo "# $d $end"; printf 'D caf\303\251 100%%25 +%%0Aend\nOK\n' ;;
    CONFIRM) echo "ERR 83886194 no" ;;
    *) echo OK ;;
    esac
done
END
asked --new
answered 0 $'café 100% +\nend'
rm "$TMP"/bin/pinentry*

# The sheet as a page: the key is read back from it, and from its code.
cd "$TMP" || exit
new_passphrase "$PASS"
"$ECLUSE" init --passfile "$PASS" --recovery-out sheet.html --state "$STATE" "$STORE" 2>"$TMP/said" >/dev/null
same "no warning" "" "$(cat "$TMP/said")"
same "the sheet is for its owner alone" 600 "$(stat -c %a sheet.html)"
xmllint --html --noout sheet.html 2>"$TMP/said" || fail "no HTML: $(cat "$TMP/said")"
grep -qE 'https?:|<script|src=' sheet.html && fail "something from elsewhere"
key=$(sed -n 's/^<pre>\(.*\)<\/pre>$/\1/p' sheet.html)
same "the groups of the list" "$key" "$(sed -n 's/^<li>\([0-9A-Z]\{5\}\)<\/li>$/\1/p' sheet.html | paste -sd-)"
sed -n 's/^\(<svg .*<\/svg>\)$/\1/p' sheet.html | sed 's/<svg/<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="410" height="410"/' >code.svg
rsvg-convert code.svg -o code.png
same "the code" "$key" "$(zbarimg -q --raw code.png 2>/dev/null)"
"$ECLUSE" passwd --recovery-file sheet.html --new-passfile "$PASS" --state "$STATE" "$STORE" >/dev/null
LC_ALL=fr_CA.UTF-8 "$ECLUSE" init --passfile "$PASS" --recovery-out fr.html --state "$STATE" "$TMP/R&D <é>" >/dev/null
grep -q '<html lang="fr">' fr.html && grep -q 'clé de récupération' fr.html || fail "no French sheet"
grep -qF 'R&amp;D &lt;é&gt;' fr.html || fail "the store's name is not escaped"
xmllint --html --noout fr.html || fail "no HTML"

# Where it would be synced, and a weak passphrase: warned, and done.
mkdir -p "$TMP/OneDrive - Ministry/.stfolder" && (umask 077 && echo bonjour2024 >weak)
"$ECLUSE" init --passfile weak --recovery-out "$TMP/OneDrive - Ministry/s.txt" --state "$STATE" "$TMP/s2" 2>"$TMP/said" >/dev/null
grep -q 'seems to be synced' "$TMP/said" || fail "no warning of the place: $(cat "$TMP/said")"
grep -q 'is weak' "$TMP/said" || fail "no warning of the passphrase: $(cat "$TMP/said")"

# --confirm: right at the third time; else nothing is left, wherever it was asked.
cat >group <<END
#!/bin/bash
echo x >>tries
[ "\$(wc -l <tries)" -lt "\$1" ] && echo 00000 && exit
sed -n 's/^<pre>\(.*\)<\/pre>$/\1/p' "\$2" | cut -d- -f"\$3"
END
chmod +x group
"$ECLUSE" init --passfile "$PASS" --recovery-out c.html --confirm="./group 3 c.html" --state "$STATE" "$TMP/s3" >/dev/null 2>"$TMP/said"
same "attempts" 3 "$(wc -l <tries)"
expect "made" compgen -G "$TMP/s3/vault-*.ecl" >/dev/null
before=$(ls "$STATE")
for command in "./group 9 d.html" "false" "./nothing" "'unfinished"; do
    rm -f tries
    expect_exit 4 "$ECLUSE" init --passfile "$PASS" --recovery-out d.html --confirm="$command" --state "$STATE" "$TMP/s4"
    grep -q 'nothing was made' "$TMP/said" || fail "$(cat "$TMP/said")"
    expect "nothing is left" [ ! -e "$TMP/s4" ] && expect "no sheet" [ ! -e d.html ]
    same "states" "$before" "$(ls "$STATE")"
done
expect_exit 1 "$ECLUSE" init --passfile "$PASS" --recovery-out d.html --confirm --state "$STATE" "$TMP/s4" </dev/null
code=0
"$TOOLS/terminal" -e 00000 abcde '' -- "$ECLUSE" init --passfile "$PASS" --recovery-out d.html --confirm --state "$STATE" "$TMP/s4" >"$TMP/said" || code=$?
same "three wrong groups on the terminal" 4 "$code"
grep -q 'type its group [0-9]* (of 13): ' "$TMP/said" || fail "$(cat "$TMP/said")"
expect "nothing is left" [ ! -e "$TMP/s4" ] && expect "no sheet" [ ! -e d.html ]
