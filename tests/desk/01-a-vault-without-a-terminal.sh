#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Somebody who has never seen a terminal makes a vault, prints its recovery sheet,
# works in it, locks it, opens it again, with the keyboard alone, in each language.
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/lib.sh"
start_screen
PHRASE="rivage cloche ananas $(tr -dc a-z </dev/urandom | head -c 6 || true)"   # no other test's

background() { # background COMMAND... ; ended: its exit code is in $TMP/ended
    rm -f "$TMP/ended"
    {
        code=0
        "$@" </dev/null >"$TMP/out" 2>&1 || code=$?
        echo $code >"$TMP/ended.new" && mv "$TMP/ended.new" "$TMP/ended"
    } &
}
ended() { [ -e "$TMP/ended" ]; }
finished() { # finished CODE
    until_true ended
    same "exit code" "$1" "$(cat "$TMP/ended")"
}
shown() { [ "$(tail -n 1 "$TMP/shown")" = "$1" ]; }

# The text of the catalogue, as the program has it.
t() {
    local text
    text=$(TEXTDOMAIN=ecluse TEXTDOMAINDIR=$PREFIX/share/locale gettext "$1")
    shift
    # shellcheck disable=SC2059
    printf "$text" "$@"
}

group_number() { # which group ecluse-open was told to ask for
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -aA3 -x -- --group | grep -axE '[0-9]+' | head -n 1
}

make_it() { # make_it NAME : with the assistant
    local name=$1 sheet
    sheet=$HOME/$(t 'Recovery key of %s' "$name").html
    background user ecluse-open --new
    window "$(t 'Écluse: a new vault')"
    shot 01-new
    answer Return
    window "$(t 'Écluse: which folder is synced or hosted?')"
    if [ -e "$HOME/cloud/Project-en" ]; then
        path "$HOME/cloud" Project-en/segments
        keys Delete
        answer Return
        window "$(t 'Écluse: trouble')"
        shot 02-store
        answer Return
        window "$(t 'Écluse: which folder is synced or hosted?')"
    fi
    path "$HOME" cloud
    keys Delete   # what the chooser proposes after it
    shot 02-folder
    answer Return
    window "$(t 'Écluse: name of the vault')"
    types "$name"
    shot 03-name
    answer Return

    # The first idea is a bad one.
    window "$(t 'Écluse: where to save the recovery sheet')"
    keys ctrl+a
    path "$HOME/cloud" sheet.html
    answer Return
    window "$(t 'Écluse: the sheet would be synced')"
    shot 04-synced
    answer Escape   # is no consent
    window "$(t 'Écluse: where to save the recovery sheet')"
    shot 05-sheet
    answer Return

    # Weak, then strong.
    window "$(t 'Écluse: passphrase')"
    types 'bonjour'
    keys Return
    types 'bonjour'
    shot 06-weak
    answer Return
    window "$(t 'Écluse: a weak passphrase')"
    shot 07-weak-question
    answer Return   # whichever button that is: nothing is taken, and nothing lost
    window "$(t 'Écluse: passphrase')"
    types "$PHRASE"
    nowhere "$PHRASE"
    keys Return
    types "$PHRASE"
    shot 08-passphrase
    answer Return

    window "$(t 'Écluse: print the recovery sheet')"
    shot 09-print
    expect "the sheet is shown" shown "$sheet"
    same "its mode" 600 "$(stat -c %a "$sheet")"
    expect "there is no vault before the key is confirmed" [ ! -e "$HOME/cloud/$name" ]
    nowhere "$(sed -n 's/^<pre>\(.*\)<.*/\1/p' "$sheet")"
    answer Return
    window "$(t 'Écluse: check the recovery key')"
    types 00000
    answer Return
    window "$(t 'Écluse: check the recovery key')"
    shot 10-group
    types "$(sed -n 's/^<pre>\(.*\)<.*/\1/p' "$sheet" | cut -d- -f"$(group_number)" | tr '[:upper:]' '[:lower:]')"
    answer Return
    sed -n 's/^<pre>\(.*\)<.*/\1/p' "$sheet" >"$TMP/key"
    window "$(t 'Écluse: the file of the recovery key')"
    shot 11-delete
    answer Return
    window "$(t 'Écluse: the vault is ready')"
    expect "the sheet's file is gone" [ ! -e "$sheet" ]
    expect "it is a vault" compgen -G "$HOME/cloud/$name/vault-*.ecl" >/dev/null
    shot 12-ready
}

work_in_it() { # work_in_it NAME : from the assistant's last window on
    local name=$1 folder=$HOME/Écluse/$1
    answer Return
    window "$(t 'Écluse: passphrase')"
    types 'something else'
    answer Return
    window "$(t 'Écluse: passphrase')"
    shot 13-wrong
    types "$PHRASE"
    answer Return
    finished 0
    expect "it is mounted" mounted "$folder"
    until_true shown "$folder"
    grep -q "^file://.*/%C3%89cluse/$name $name\$" "$HOME/.config/gtk-3.0/bookmarks" || fail "no bookmark"
    user bash -c 'echo hello >"$1"' - "$folder/file"

    # The list: show, lock, status, …
    background user ecluse-open
    window '^Écluse$'
    shot 14-list
    keys Down Down
    answer Return
    window "$(t 'Écluse: status')"
    shot 15-status
    answer Escape
    finished 0
    background user ecluse-open
    window '^Écluse$'
    keys Down
    answer Return
    window "$(t 'Écluse: locked')"
    shot 16-locked
    answer Return
    finished 0
    expect "it is locked" not_mounted "$folder"
    if grep -q "$name" "$HOME/.config/gtk-3.0/bookmarks"; then fail "the bookmark is still there"; fi

    # Double-clicked: the header in the store; given up, then not.
    background user ecluse-open "$(compgen -G "$HOME/cloud/$name/vault-*.ecl")"
    window "$(t 'Écluse: passphrase')"
    shot 17-passphrase
    answer Escape
    finished 4
    expect "given up, and locked" not_mounted "$folder"
    background user ecluse-open "$HOME/cloud/$name"
    window "$(t 'Écluse: passphrase')"
    types "$PHRASE"
    answer Return
    finished 0
    same "what was written" hello "$(user cat "$folder/file")"
    user ecluse umount "$folder"

    # As on a computer that does not know the vault: given up, mistyped, typed.
    rm -r "$HOME/.local/state/ecluse"
    background user ecluse-open "$HOME/cloud/$name"
    window "$(t 'Écluse: this computer does not know the vault')"
    shot 19-unknown
    answer Escape
    finished 4
    for key in "$(tr 0-9 1-90 <"$TMP/key")" "$(tr '[:upper:]-' '[:lower:] ' <"$TMP/key")"; do
        background user ecluse-open "$HOME/cloud/$name"
        window "$(t 'Écluse: this computer does not know the vault')"
        answer Return
        window "$(t 'Écluse: recovery key')"
        types "$key"
        shot 20-key
        answer Return
        [ "$key" = "$(tr '[:upper:]-' '[:lower:] ' <"$TMP/key")" ] && break
        window "$(t 'Écluse: trouble')"
        shot 21-mistyped
        answer Return
        finished 1
    done
    window "$(t 'Écluse: passphrase')"
    types "$PHRASE again"
    keys Return
    types "$PHRASE again"
    answer Return
    window "$(t 'Écluse: passphrase')"
    types "$PHRASE again"
    answer Return
    finished 0
    same "what was written, recovered" hello "$(user cat "$folder/file")"
    user ecluse umount "$folder"

    background user ecluse-open "$HOME/cloud"
    window "$(t 'Écluse: trouble')"
    shot 18-no-store
    answer Return
    finished 2
}
# (Root may not look into another user's mount.)
mounted() { grep -qF " $1 " /proc/self/mountinfo; }
not_mounted() { ! mounted "$1"; }

user mkdir "$HOME/cloud"
for LANGUAGE_CODE in en fr; do
    export LANGUAGE_CODE
    case $LANGUAGE_CODE in
    en) export LC_ALL=en_CA.UTF-8 ;;
    fr) export LC_ALL=fr_CA.UTF-8 ;;
    esac
    make_it "Project-$LANGUAGE_CODE"
    work_in_it "Project-$LANGUAGE_CODE"
    rm "$HOME/.config/ecluse/vaults"
done
