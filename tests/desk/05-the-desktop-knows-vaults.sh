#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What is installed for desktops is valid, in both languages, leads to the program, and
# the header of a vault is recognised by its name and by its bytes.
. "$(dirname "$0")/../mount/lib.sh"
need desktop-file-validate update-mime-database update-desktop-database xmllint rsvg-convert gio convert
make -s -C "$ROOT" install PREFIX="$TMP/usr" SBINDIR="$TMP/sbin" >/dev/null   # lib.sh does it once more
SHARE=$TMP/usr/share

same "faults of the entry" "" "$(desktop-file-validate "$SHARE/applications/ecluse.desktop" | grep -v ': hint: ' || true)"
for file in applications/ecluse.desktop kio/servicemenus/ecluse.desktop file-manager/actions/ecluse.desktop nemo/actions/ecluse.nemo_action; do
    for key in Name Comment GenericName Keywords; do # (Écluse has the same name in both.)
        same "$file: translations of $key" "$(grep "^$key=" "$SHARE/$file" | grep -vcx 'Name=Écluse')" \
            "$(grep -c "^$key\[fr\]=" "$SHARE/$file")"
    done
    if grep '^Exec=' "$SHARE/$file" | grep -vxE 'Exec=ecluse-open( --new)?( %[fF])?'; then fail "$file runs something else"; fi
done
[ -x "$TMP/usr/bin/ecluse-open" ] && [ -x "$TMP/usr/libexec/ecluse/bookmark" ] || fail "no program"

# The type of a vault's header, also under another name; of nothing else.
export XDG_DATA_DIRS=$SHARE XDG_DATA_HOME=$TMP/data GIO_USE_VFS=local PKGSYSTEM_ENABLE_FSYNC=0
export PATH=$TMP/usr/bin:$PATH
update-mime-database "$SHARE/mime" 2>"$TMP/said" || fail "$(cat "$TMP/said")"
update-desktop-database "$SHARE/applications"
make_vault
kind() { gio info -a standard::content-type "$1" | sed -n 's/.*content-type: //p'; }
header=$(compgen -G "$STORE/vault-*.ecl")
same "by its name" application/x-ecluse-vault "$(kind "$header")"
cp "$header" "$TMP/renamed"
same "by its bytes" application/x-ecluse-vault "$(kind "$TMP/renamed")"
echo text >"$TMP/notes.ecl"
if [ "$(kind "$TMP/notes.ecl")" = application/x-ecluse-vault ]; then fail "another .ecl is no vault"; fi
grep -q ecluse.desktop <<<"$(gio mime application/x-ecluse-vault)" || fail "nothing opens a vault"
if grep -q ecluse.desktop <<<"$(gio mime inode/directory)"; then fail "all folders would be opened by Écluse"; fi

# A vault in a folder whose name is a pattern is one of the list too.
mkdir -p "$TMP/config/ecluse" "$TMP/fake" "$TMP/a[b]*" && cp -r "$STORE" "$TMP/a[b]*/store"
printf '%s\t%s\n' "$TMP/a[b]*/store" "$TMP/a[b]*/open" >"$TMP/config/ecluse/vaults"
printf '#!/bin/sh\ncat >%q\nexit 1\n' "$TMP/rows" >"$TMP/fake/zenity" && chmod +x "$TMP/fake/zenity"
XDG_CONFIG_HOME=$TMP/config DISPLAY=:none PATH=$TMP/fake:$PATH ecluse-open
grep -qxF "open $TMP/a[b]*/store" "$TMP/rows" || fail "not in the list: $(cat "$TMP/rows")"

# The icon, at each size, has its colours.
xmllint --noout "$SHARE/icons/hicolor/scalable/apps/ecluse.svg"
for size in 16 24 32 48 128 256; do
    rsvg-convert -w $size -h $size "$SHARE/icons/hicolor/scalable/apps/ecluse.svg" -o "$TMP/icon.png"
    colours=$(convert "$TMP/icon.png" -unique-colors -format %w info:)
    [ "$colours" -ge 12 ] || fail "the icon at $size px has $colours colours"
done

# Without windows: the terminal does it, and says where.
. "$(dirname "$0")/lib.sh"
unset DISPLAY
chown -R --reference="$HOME" "$STORE" "$STATE"
chmod a+rx "$STORE"
user mkdir -p "$HOME/.local/state"
mv "$STATE" "$HOME/.local/state/ecluse"
# shellcheck disable=SC2016
user "$TOOLS/terminal" "$(cat "$PASS")" -- ecluse-open "$header" >"$TMP/said" || fail "on a terminal: $(cat "$TMP/said")"
grep -qF " $HOME/Écluse/store " /proc/self/mountinfo || fail "not mounted: $(cat "$TMP/said")"
grep -q "$HOME/Écluse/store" "$TMP/said" || fail "not said where: $(cat "$TMP/said")"
grep -q 'Mounted since' <<<"$(user ecluse-open --status "$HOME/Écluse/store")" || fail "no status"
user ecluse-open --lock "$HOME/Écluse/store"
if grep -qF " $HOME/Écluse/store " /proc/self/mountinfo; then fail "not locked"; fi
grep -q -- '--lock' <<<"$(ecluse-open --help)" || fail "no help"
