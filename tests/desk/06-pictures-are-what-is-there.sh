#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Every picture that a document shows is there, and made by a test; and that of the report is made
# here, from a vault that was worked in for months.
# Needs a build with FAULTS=1, whose clock can be set.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

need chromium convert identify
cd "$ROOT"
seen=0
while IFS=: read -r page picture; do
    at=$(dirname "$page")/$picture
    [ -s "$at" ] || fail "$page shows $picture, which is not there"
    seen=$((seen + 1))
    case $at in
    */images/*)
        name=$(basename "$at" .png)
        case $name in fr-* | en-*) ;; *) fail "$at says no language" ;; esac
        grep -qE "shot ${name#??-}\$" tests/desk/*.sh || fail "no test makes $at"
        ;;
    esac
done < <(grep -noE '!\[[^]]*\]\([^)]*\)' ./*.md docs/*.md docs/*/*.md | sed -E 's/^([^:]*):[0-9]*:.*\(([^)]*)\)$/\1:\2/')
expect "pictures were looked at: $seen" test $seen -ge 10
for picture in docs/images/*; do
    grep -rqF "images/$(basename "$picture")" --include='*.md' . || fail "no document shows $picture"
done

# --- the report ---------------------------------------------------------------------------

SHOTS=${SHOTS:-$ROOT/build/shots}
mkdir -p "$SHOTS"
export ECLUSE_CLOCK=$TMP/clock
day=250
clock() { echo $((($1 - 250) * 86400)) >"$ECLUSE_CLOCK"; }
clock 0
make_vault
for megabytes in 6 3 8 1 2 11 5 2 19 4 7 1 2 12 6; do
    day=$((day - 16))
    clock $((250 - day))
    mount_vault 2>"$TMP/said"
    head -c ${megabytes}000000 /dev/urandom >"$MNT/$day"
    umount_vault
done
clock 250
"$ECLUSE" report --state "$STATE" --html "$TMP/page.html" "$STORE" >"$TMP/said"
shot() { # shot NAME : the section of the store alone, in LANGUAGE_CODE
    sed "s|</head>|<style>h1,nav,.languages,section,.language{display:none}.language#$LANGUAGE_CODE,section[aria-labelledby=$LANGUAGE_CODE-store]{display:block}.language{margin:0!important;border:0!important;padding:0!important}body{margin:0 auto!important}h2{margin-top:.6em!important}</style>&|" \
        "$TMP/page.html" >"$TMP/section.html"
    timeout 240 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --user-data-dir="$TMP/browser" \
        --window-size=720,640 --screenshot="$TMP/shot.png" "file://$TMP/section.html" >"$TMP/browser.log" 2>&1 ||
        { cat "$TMP/browser.log" >&2; fail chromium; }
    convert "$TMP/shot.png" -resize 480x -colors 64 -strip "PNG8:$SHOTS/$LANGUAGE_CODE-$1.png"
    expect "a picture that is not blank" test "$(identify -format %k "$SHOTS/$LANGUAGE_CODE-$1.png")" -gt 20
}
for LANGUAGE_CODE in en fr; do
    shot report
done
