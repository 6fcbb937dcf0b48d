#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# LibreOffice converts inside the mount, opens what it saved there after a remount, and
# saves it again over itself, with its lock files and renames.
. "$(dirname "$0")/lib.sh"
need soffice unzip

office() {
    HOME=$TMP/office timeout 120 soffice "-env:UserInstallation=file://$TMP/office" --headless --norestore "$@" >"$TMP/said" 2>&1 || {
        cat "$TMP/said"
        fail "LibreOffice failed"
    }
}
make_vault
mount_vault
mkdir "$MNT/reports" "$TMP/office"
{
    echo "Rapport annuel"
    for i in $(seq 1 300); do echo "Paragraphe $i : les élèves du canal, «écluse» et péniche."; done
} >"$MNT/reports/rapport été.txt"
cd "$MNT/reports"
office --convert-to odt:writer8 "rapport été.txt"
unzip -tq "rapport été.odt" || fail "the document is not whole"
remount_from() { cd / && remount && cd "$MNT/reports"; }
remount_from

# A save over the document itself, as an editor does it.
before=$(stat -c %i "rapport été.odt")
mkdir again
office --convert-to odt:writer8 --outdir again "rapport été.odt"
office --convert-to odt:writer8 --outdir "$MNT/reports" "again/rapport été.odt"
expect "the document is a file" test -s "rapport été.odt"
echo "was inode $before, is $(stat -c %i "rapport été.odt")"
unzip -tq "rapport été.odt" || fail "the document that was saved over is not whole"
office --convert-to pdf "rapport été.odt"
same "the kind of the PDF" "%PDF" "$(head -c 4 "rapport été.pdf")"
remount_from
unzip -tq "rapport été.odt" || fail "the document is not whole after the remount"
office --convert-to txt:Text "again/rapport été.odt" --outdir "$TMP"
expect "the text came back" grep -q 'Paragraphe 300' "$TMP/rapport été.txt"
same "lock files that were left" "" "$(find "$MNT" -name '.~lock*')"
