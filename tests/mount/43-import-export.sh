#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A tree goes in and comes out as it was: contents, times, modes, attributes, links,
# holes, hostile names, depth beyond PATH_MAX.  Nothing is replaced; the source is
# removed only when asked, only what was read back, and never what changed.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault

# looks DIR : all that a transfer keeps, inode numbers aside
looks() (
    cd "$1"
    find . -mindepth 1 -type d -printf '%P|%y|%m|%T@\0' -o -printf '%P|%y|%m|%n|%T@|%s|%l\0' | sort -z
    find . -type f -print0 | sort -z | xargs -0r sha256sum -z
    find . -print0 | sort -z | xargs -0r getfattr -h -d -m - -e hex | tr '\n' '\0'
)
looks_like() { # looks_like SENTENCE WANT GOT
    cmp -s <(looks "$2") <(looks "$3") || {
        diff <(looks "$2" | tr '\0' '\n') <(looks "$3" | tr '\0' '\n') | head -n 20 >&2
        fail "$1: see above"
    }
}
import() { "$ECLUSE" import --state "$STATE" "$@"; }
export_to() { "$ECLUSE" export --state "$STATE" "$@"; }
json() { sqlite3 :memory: "SELECT json_extract(readfile('$TMP/json'), '\$.$1')"; }

# --- real trees ---------------------------------------------------------------------

SRC=$TMP/source
make_tree "$SRC"
rm "$SRC/pipe"
mkdir "$SRC/names"
touch "$SRC/names/$(printf 'bell\a escape\033[2J')" "$SRC/names/$(printf '\342\200\256')txt" "$SRC/names/-rf" "$SRC/names/ " \
    "$SRC/names/*" "$SRC/names/$(printf 'n%.0s' $(seq 255))" "$SRC/names/.ecluse-partial"
(cd "$SRC" && git init -q repository && cd repository && git config user.email a@b && git config user.name c &&
    for k in 1 2 3 4 5; do seq $((k * 1000)) >"f$k" && git add . && git commit -qm "commit $k"; done)
cp -a /usr/share/doc/bash /usr/share/doc/coreutils "$SRC" 2>/dev/null || true
setfattr -n user.binary -v 0x00ff00 "$SRC/documents/2025/blob.bin"
setfattr -n user.large -v "$(printf 'v%.0s' $(seq 3000))" "$SRC/documents/2025/blob.bin" || true
touch -d '2020-02-02 02:02:02.222222222Z' "$SRC/documents/2025/été" "$SRC/names" "$SRC"
ln "$SRC/documents/numbers.txt" "$SRC/names/third"
touch -d '2020-02-02 02:02:02.222222222Z' "$SRC/names"
chmod 0500 "$SRC/names"

expect_exit 0 import "$SRC" "$MNT/in"
same "all is published" 0 "$(status_field unpublished)"
looks_like "what is in the vault" "$SRC" "$MNT/in"
grep -q '^Files read back from the vault' "$TMP/said" || fail "no word of verification: $(cat "$TMP/said")"
same "time and mode of the folder itself" "$(stat -c '%a %y' "$SRC")" "$(stat -c '%a %y' "$MNT/in")"
[ ! -e "$MNT/in/.ecluse-partial" ] || fail "the staging folder is still there"
remount
looks_like "after a remount" "$SRC" "$MNT/in"

export_to --json "$MNT/in" "$TMP/out" >"$TMP/json" || fail "export: $(cat "$TMP/json")"
looks_like "what comes out" "$SRC" "$TMP/out"
same "files as told" "$(find "$SRC" -type f -printf '%i\n' | sort -u | wc -l)" "$(json files)"
same "further names as told" 2 "$(json hard_links)"
same "hard links" "$(stat -c %i "$TMP/out/documents/numbers.txt")" "$(stat -c %i "$TMP/out/names/third")"
expect "holes stay holes" test "$(stat -c %b "$TMP/out/documents/sparse")" -lt 2000
expect "holes stay holes in the vault" test "$(stat -c %b "$MNT/in/documents/sparse")" -lt 2000

# --- once more: nothing to do --------------------------------------------------------

import --json "$SRC" "$MNT/in" >"$TMP/json" || fail "a second import: $(cat "$TMP/json")"
same "copied by a second run" 0 "$(json files)"
same "verified by it" "$(find "$SRC" -type f -printf x | wc -c)" "$(json verified)"
expect_exit 0 export_to "$MNT/in" "$TMP/out"
looks_like "what is in the vault after it" "$SRC" "$MNT/in"

# --- deeper than a path may be ----------------------------------------------------------

mkdir "$TMP/deep"
(cd "$TMP/deep" && name=$(printf 'd%.0s' $(seq 200)) &&
    for _ in $(seq 80); do mkdir "$name" && cd -P "$name" && echo here >file; done)
expect_exit 0 import "$TMP/deep" "$MNT/deep"
expect_exit 0 export_to "$MNT/deep" "$TMP/deep-out"
same "files at all depths" 80 "$(find "$TMP/deep-out" -type f -size 5c | wc -l)"
expect_exit 0 import --remove-source --yes "$TMP/deep" "$MNT/deep"
same "what is left of it" 0 "$(find "$TMP/deep" -mindepth 1 | wc -l)"

# --- nothing is replaced --------------------------------------------------------------------

mkdir "$TMP/more" "$TMP/more/folder" && echo mine >"$TMP/more/same-name" && echo a >"$TMP/more/folder/new" && echo x >"$TMP/more/kind"
echo equal >"$TMP/more/equal" && touch -d 2001-01-01 "$TMP/more/equal"
mkdir "$MNT/more" "$MNT/more/kind" "$MNT/more/folder" && echo other >"$MNT/more/same-name" && echo here >"$MNT/more/folder/old"
echo equal >"$MNT/more/equal"
expect_exit 14 import --remove-source --yes "$TMP/more" "$MNT/more"
same "what was there" "other here" "$(cat "$MNT/more/same-name") $(cat "$MNT/more/folder/old")"
same "what was added" a "$(cat "$MNT/more/folder/new")"
same "what is left of the source" "equal kind same-name" "$(cd "$TMP/more" && echo *)"
for word in '^same-name: something else' '^kind: something else' '^equal: the contents are there, but'; do
    grep -q "$word" "$TMP/said" || fail "no «$word» in $(cat "$TMP/said")"
done
grep -q 'OneDrive, SharePoint' "$TMP/said" || fail "no word of versions and bins"
expect_exit 14 export_to "$MNT/more" "$TMP/more"
same "what was there outside" mine "$(cat "$TMP/more/same-name")"

# --- the source goes, when it was read back -----------------------------------------------------

cp -a "$SRC" "$TMP/going"
mkfifo "$TMP/going/pipe"
"$TOOLS/terminal" -e no -- "$ECLUSE" import --remove-source --state "$STATE" "$TMP/going" "$MNT/in" >"$TMP/said" || true
grep -q 'Nothing was removed' "$TMP/said" || fail "no was not understood: $(cat "$TMP/said")"
expect_exit 14 "$TOOLS/terminal" -e yes -- "$ECLUSE" import --remove-source --state "$STATE" "$TMP/going" "$MNT/in"
same "only what cannot be copied is left" pipe "$(cd "$TMP/going" && find . -mindepth 1 -printf '%P\n')"
looks_like "the copy" "$SRC" "$MNT/in"

# What is open for writing stays.
mkdir "$TMP/busy" && for k in open quiet; do echo "$k" >"$TMP/busy/$k"; done
exec 7>>"$TMP/busy/open"
expect_exit 14 import --remove-source --yes "$TMP/busy" "$MNT/busy"
exec 7>&-
same "what is in use stays" open "$(cd "$TMP/busy" && echo *)"

# --- special files, mounts, --dry-run -----------------------------------------------------------

mkdir "$TMP/odd" "$TMP/odd/below" && mkfifo "$TMP/odd/fifo" && echo 1 >"$TMP/odd/file"
python3 -c 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$TMP/odd/socket"
expect_exit 14 import --dry-run "$TMP/odd" "$MNT/odd"
[ ! -e "$MNT/odd" ] || fail "a dry run made something"
grep -q '^Files that would be copied: 1, 2 B' "$TMP/said" || fail "$(cat "$TMP/said")"
if as_root; then
    mount -t tmpfs none "$TMP/odd/below" && echo 2 >"$TMP/odd/below/file"
    mknod "$TMP/odd/null" c 1 3
fi
import --json "$TMP/odd" "$MNT/odd" >"$TMP/json" && fail "special files were not told"
same "files" 1 "$(json files)"
same "special" "$(as_root && echo 3 || echo 2)" "$(json counts.special)"
if as_root; then
    same "mounts" 1 "$(json counts.mount)"
    expect_exit 14 import --cross-mounts "$TMP/odd" "$MNT/odd"
    same "crossed" 2 "$(cat "$MNT/odd/below/file")"
    umount "$TMP/odd/below"
fi

# --- which vault, and where not -----------------------------------------------------------------------

mkdir "$TMP/little" && echo little >"$TMP/little/one"
expect_exit 0 import "$TMP/little"
same "without a mountpoint" little "$(cat "$MNT/one")"
expect_exit 0 export_to "$MNT/in/documents/with blanks" "$TMP/part"
looks_like "a part" "$SRC/documents/with blanks" "$TMP/part"
# refused WORDS CODE COMMAND...: and nothing changes
refused() {
    local words=$1 code=$2
    shift 2
    expect_exit "$code" "$@"
    grep -qF -- "$words" "$TMP/said" || fail "no «$words» in $(cat "$TMP/said")"
}
refused "inside the other" 3 import "$MNT" "$MNT/again"
refused "inside the other" 3 import "$MNT/in" "$MNT/again"
refused "inside the other" 3 import "$STORE" "$MNT/again"
refused "inside the other" 3 import "$STORE/segments" "$MNT/again"
refused "inside the other" 3 import "$TMP" "$MNT/again"
refused "inside the other" 3 import "$STATE" "$MNT/again"
refused "inside the other" 3 export_to "$MNT/in" "$MNT/elsewhere"
refused "inside the other" 3 export_to "$MNT/in" "$STORE/elsewhere"
refused "inside the other" 3 export_to "$MNT/in" "$TMP"
refused "no Écluse vault" 12 import "$TMP/little" "$TMP/part"
refused "no Écluse vault" 12 export_to "$TMP/little" "$TMP/out2"
ln -s "$TMP/part" "$MNT/way-out"
refused "no Écluse vault" 12 import "$TMP/little" "$MNT/way-out"
refused "no such file" 13 import "$TMP/little" "$MNT/a/b"
refused "not a directory" 13 import "$TMP/little/one" "$MNT/again" || true
[ ! -e "$MNT/again" ] && [ ! -e "$TMP/out2" ] && [ ! -e "$STORE/elsewhere" ] || fail "a refusal left something"

# The same vault by another path: it is its own copy, and nothing of it is removed.
if as_root; then
    mkdir "$TMP/again" "$TMP/around" "$TMP/around/vault"
    mount --bind "$MNT" "$TMP/again" && mount --bind "$MNT/in" "$TMP/around/vault" && echo 1 >"$TMP/around/file"
    refused "inside the other" 3 import --remove-source --yes "$TMP/again" "$MNT"
    refused "inside the other" 3 import --remove-source --yes "$TMP/again/in" "$MNT/in"
    refused "inside the other" 3 export_to "$MNT" "$TMP/again/out"
    refused "vault: the vault itself is mounted there" 14 import --cross-mounts --remove-source --yes "$TMP/around" "$MNT/in/around"
    same "what went in" file "$(ls "$MNT/in/around")"
    umount "$TMP/again" "$TMP/around/vault"
    rm -r "$MNT/in/around"
    looks_like "what is in the vault after that" "$SRC" "$MNT/in"
fi

# Two vaults: one into the other is allowed, but which one must be said.
first=$STORE:$MNT:$STATE:$PASS
STORE=$TMP/store2 MNT=$TMP/mnt2 STATE=$TMP/state2 PASS=$TMP/pass2 SHEET=$TMP/recovery2
make_vault
mount_vault
refused "several vaults" 1 "$ECLUSE" import "$TMP/little"
refused "several vaults" 1 "$ECLUSE" export "$TMP/out2"
expect_exit 0 "$ECLUSE" import "$TMP/mnt/in" "$MNT/in"
looks_like "from one vault into the other" "$SRC" "$MNT/in"
"$ECLUSE" umount "$MNT"
IFS=: read -r STORE MNT STATE PASS <<<"$first"

# --- owners and access lists, where root keeps them -----------------------------------------------------

if as_root; then
    # Where they are not kept, nobody's program runs as somebody else.
    mkdir "$TMP/others" && cp /bin/true "$TMP/others/both" && cp /bin/true "$TMP/others/group" && cp /bin/true "$TMP/others/mine"
    chown 1234:4321 "$TMP/others/both" && chown 0:4321 "$TMP/others/group" && chmod 6755 "$TMP/others"/*
    expect_exit 0 import --remove-source --yes "$TMP/others" "$MNT/others"
    expect_exit 0 export_to "$MNT/others" "$TMP/others-out"
    for place in "$MNT/others" "$TMP/others-out"; do
        same "modes in $place" "both 755 0:0 group 4755 0:0 mine 6755 0:0" "$(cd "$place" && stat -c '%n %a %u:%g' * | xargs)"
    done

    remount -o owners
    mkdir "$TMP/owned" && echo 1 >"$TMP/owned/a" && echo 2 >"$TMP/owned/suid" && mkdir "$TMP/owned/sub" && echo 3 >"$TMP/owned/sub/b"
    chown 1234:4321 "$TMP/owned/a" "$TMP/owned/sub" && chown 65534:1 "$TMP/owned/suid" && chmod 6755 "$TMP/owned/suid"
    ln -s a "$TMP/owned/link" && chown -h 77:88 "$TMP/owned/link"
    setfacl -m u:99:rwx,g:98:r "$TMP/owned/a" && setfacl -d -m u:99:rwx "$TMP/owned/sub"
    expect_exit 0 import "$TMP/owned" "$MNT/owned"
    owners() (cd "$1" && find . -mindepth 1 -printf '%P %U:%G %m\n' | sort && find . -mindepth 1 -not -type l -print0 | sort -z | xargs -0 getfacl -np)
    same "owners and lists" "$(owners "$TMP/owned")" "$(owners "$MNT/owned")"
    expect_exit 0 export_to "$MNT/owned" "$TMP/owned-out"
    same "owners and lists outside" "$(owners "$TMP/owned")" "$(owners "$TMP/owned-out")"
    looks_like "the rest" "$TMP/owned" "$TMP/owned-out"
    expect_exit 0 import --remove-source --yes "$TMP/owned" "$MNT/owned"
    same "what is left" 0 "$(find "$TMP/owned" -mindepth 1 | wc -l)"
fi

# --- in French, and names that would act on a terminal ---------------------------------------------------

mkdir "$TMP/loud" && mkfifo "$TMP/loud/$(printf 'a\033[2Jb\nc')"
LC_ALL=fr_CA.UTF-8 expect_exit 14 "$ECLUSE" import --state "$STATE" "$TMP/loud" "$MNT/loud"
grep -qF 'a\x1b[2Jb\x0ac: ni fichier, ni dossier' "$TMP/said" || fail "$(cat -v "$TMP/said")"
grep -qE '^Fichiers copiés.: 0, 0.o\.$' "$TMP/said" || fail "$(cat "$TMP/said")"
LC_ALL=C expect_exit 14 "$ECLUSE" import --state "$STATE" "$TMP/loud" "$MNT/loud"

# The bar: no wider than the terminal, and none without one.
mkdir "$TMP/wide" && head -c 300M /dev/zero | tr '\0' 'x' >"$TMP/wide/file"
expect_exit 0 "$TOOLS/terminal" -- sh -c "stty cols 30; '$ECLUSE' import --state '$STATE' '$TMP/wide' '$MNT/wide'"
same "lines wider than the terminal" "" "$(tr '\r' '\n' <"$TMP/said" | sed -n 's/^\x1b\[K//p' | awk 'length($0) > 29')"
grep -q 'Copying: ' "$TMP/said" || fail "no bar"
expect_exit 0 import "$TMP/wide" "$MNT/wide2"
same "escapes without a terminal" 0 "$(grep -c $'\033' "$TMP/said")"
umount_vault
