#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A name is bytes: it comes back as it was given, also when it is not UTF-8, has
# control characters or is 255 bytes long; and a name from another system is found in
# the other Unicode form.
. "$(dirname "$0")/lib.sh"

composed=$(printf '\303\211t\303\251') decomposed=$(printf 'E\314\201te\314\201')
# shellcheck disable=SC2016
names=(
    "$(printf 'latin \351\350\347')" "$(printf 'a\nb')" "$(printf 'tab\there')" "$(printf 'bell\aescape\033[31m')"
    "$(printf '\001\002\177')" "-rf" "*" "?" 'back\slash' '"quoted"' "'apostrophe'" ' leading' 'trailing '
    '...' '~' '$HOME' 'CON' 'aux.txt' 'a:b' "$(printf '\360\237\230\200')" "$(printf '\377\376\375')"
    "$(printf '\355\240\200')" "$(printf '\303')" "$(printf 'x%.0s' {1..255})" "$(printf 'é%.0s' {1..127})"
    "$(printf '\357\273\277bom')" "$(printf 'a\342\200\256b')"
)
make_vault
mount_vault
mkdir "$MNT/names" "$TMP/twin"
i=0
for name in "${names[@]}"; do
    i=$((i + 1))
    echo "$i" >"$MNT/names/$name"
    echo "$i" >"$TMP/twin/$name"
done
list() (cd "$1" && find . -printf '%P\0' | sort -z | od -c)
same "the names" "$(list "$TMP/twin")" "$(list "$MNT/names")"
remount
same "the names after a remount" "$(list "$TMP/twin")" "$(list "$MNT/names")"
i=0
for name in "${names[@]}"; do
    i=$((i + 1))
    same "the file with name $i" "$i" "$(cat "$MNT/names/$name")"
done

# Both forms, over a remount; listings show the form that was given.
mkdir "$MNT/$decomposed"
echo mac >"$MNT/$decomposed/$decomposed.txt"
echo linux >"$MNT/$decomposed/$composed.odt"
remount
same "a decomposed name, asked for composed" mac "$(cat "$MNT/$composed/$composed.txt")"
same "a composed name, asked for decomposed" linux "$(cat "$MNT/$composed/$decomposed.odt")"
same "the listing" "$(printf '%s\n' "$decomposed.txt" "$composed.odt" | sort)" "$(find "$MNT/$composed" -type f -printf '%f\n' | sort)"
mv "$MNT/$composed/$composed.txt" "$MNT/$composed/plain.txt"
same "a name that was moved away under its other form" "$(printf '%s\n' "$composed.odt" plain.txt | sort)" \
    "$(find "$MNT/$composed" -type f -printf '%f\n' | sort)"
rm -r "${MNT:?}/$composed"
expect "both forms are gone" test ! -e "$MNT/$decomposed"
