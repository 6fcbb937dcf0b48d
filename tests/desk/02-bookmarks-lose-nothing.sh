#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Bookmarks of file managers: added once, taken away, every other byte kept, also in
# files that are odd, linked elsewhere, or not what they seem to be.
. "$(dirname "$0")/../mount/lib.sh"
export HOME=$TMP/home
unset XDG_CONFIG_HOME XDG_DATA_HOME
need xmllint
bookmark=$ROOT/src/desk/bookmark
gtk3=$HOME/.config/gtk-3.0/bookmarks gtk4=$HOME/.config/gtk-4.0/bookmarks kde=$HOME/.local/share/user-places.xbel
folder="$HOME/Écluse/R&D <a\"b> 100% d'été"
url="file://$HOME/%C3%89cluse/R%26D%20%3Ca%22b%3E%20100%25%20d%27%C3%A9t%C3%A9"

# Nothing there yet: GTK's file is made, the others are not.
"$bookmark" add "$folder" "R&D"
same "the first bookmark" "$url R&D" "$(cat "$gtk3")"
expect "no file of GTK 4" [ ! -e "$gtk4" ]
expect "no file of KDE" [ ! -e "$kde" ]
"$bookmark" add "$folder" "another name"
same "only once" 1 "$(wc -l <"$gtk3")"
"$bookmark" remove "$folder"
same "none is left" "" "$(cat "$gtk3")"

# Among others; the last line without its end; through a link; with its mode.
mkdir -p "$(dirname "$gtk4")" "$(dirname "$kde")" "$HOME/dotfiles"
printf 'file:///srv Shared\nfile:///tmp/x%%20y\nsftp://host/a A b' >"$HOME/dotfiles/bookmarks"
chmod 640 "$HOME/dotfiles/bookmarks"
rm "$gtk3" && ln -s ../../dotfiles/bookmarks "$gtk3"
: >"$gtk4"
cat >"$kde" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE xbel>
<xbel xmlns:bookmark="http://www.freedesktop.org/standards/desktop-bookmarks" xmlns:kdepriv="http://www.kde.org/kdepriv">
 <info><metadata owner="http://www.kde.org"><kde_places_version>4</kde_places_version></metadata></info>
 <bookmark href="file:///home/a"><title>Home &amp; more</title></bookmark>
 <separator/>
</xbel>
XML
cp "$kde" "$TMP/kde" && cp "$gtk3" "$TMP/gtk"
"$bookmark" add "$folder" "R&D <1>"
"$bookmark" add "$folder" "R&D <1>"
same "GTK 3" "$(cat "$TMP/gtk"; printf '\n%s R&D <1>' "$url")" "$(cat "$gtk3")"
same "its mode" 640 "$(stat -Lc %a "$gtk3")"
expect "it is still a link" [ -L "$gtk3" ]
same "GTK 4" "$url R&D <1>" "$(cat "$gtk4")"
xmllint --noout "$kde" || fail "not XML: $(cat "$kde")"
same "KDE: title" "R&D <1>" "$(xmllint --xpath "string(//bookmark[@href='${url//\'/&apos;}']/title)" "$kde")"
same "KDE: only once" 2 "$(xmllint --xpath 'count(//bookmark)' "$kde")"
same "KDE: what was there" "" "$(diff "$TMP/kde" "$kde" | grep '^<')"
"$bookmark" remove "$folder"
same "GTK 3 as before" "$(cat "$TMP/gtk")" "$(cat "$gtk3")"
cmp "$TMP/kde" "$kde" || fail "KDE's file is not as before"

# A name that is not text, and one with control characters.
"$bookmark" add "$folder" "$(printf 'a\001b\n\033c \303\251 \377d')"
xmllint --noout "$kde" || fail "not XML: $(cat -v "$kde")"
same "KDE: title" "a b  c é d" "$(xmllint --xpath "string(//bookmark[@href='${url//\'/&apos;}']/title)" "$kde")"
same "GTK 4: title" "$url a b  c é d" "$(cat "$gtk4")"
"$bookmark" remove "$folder"
cmp "$TMP/kde" "$kde" || fail "KDE's file is not as before"

# The user's own bookmark of the folder stays, and so does a file that is not as expected.
sed -i "s|<separator/>|<bookmark href=\"$url\"><title>mine</title></bookmark>|" "$kde"
cp "$kde" "$TMP/kde"
"$bookmark" add "$folder" x && "$bookmark" remove "$folder"
cmp "$TMP/kde" "$kde" || fail "the user's own bookmark was touched"
printf 'not XML at all' >"$kde"
"$bookmark" add "$folder" x && "$bookmark" remove "$folder"
same "left alone" 'not XML at all' "$(cat "$kde")"
same "nothing is left behind" "" "$(find "$HOME" -name '*.??????' -newer "$TMP/gtk" ! -name '*.xbel')"

# A full disk loses nothing (root reads everything, so a mode would not stop it).
if as_root; then
    mkdir "$TMP/small"
    mount -t tmpfs -o size=8k none "$TMP/small"
    rm "$gtk3" && cp "$TMP/gtk" "$TMP/small/bookmarks" && ln -s "$TMP/small/bookmarks" "$gtk3"
    head -c 100000 /dev/zero >"$TMP/small/filler" 2>/dev/null || true
    "$bookmark" add "$folder" x 2>/dev/null && fail "no error on a full disk"
    cmp "$TMP/gtk" "$gtk3" || fail "a full disk lost bookmarks"
    same "no temporary file" "bookmarks filler" "$(ls "$TMP/small" | xargs)"
fi
expect_exit 1 "$bookmark" rename "$folder"
