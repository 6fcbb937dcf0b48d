#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What a command writes for its user (a report, a manifest, a recovery sheet, a key) is whole or not
# there at all, whichever step fails or is killed, with no trace beside it, and never replaces
# anything; a pipe and /dev/stdout are written to straight.  And a check grows old in reports as time
# goes by.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

export ECLUSE_CLOCK=$TMP/clock
echo 0 >"$ECLUSE_CLOCK"
make_vault
report() { "$ECLUSE" report --state "$STATE" "$@" "$STORE"; }
manifest() { "$ECLUSE" manifest "$@" "$STORE"; }
new_vault() { "$ECLUSE" init --keyfile "$TMP/key" --state "$TMP/state2" "$@" "$TMP/store2"; }
new_key() { "$ECLUSE" key add --passfile "$PASS" --generate --new-keyfile "$@" --state "$STATE" "$STORE"; }
(umask 077 && head -c 64 /dev/urandom >"$TMP/key")
cp -a "$STATE" "$TMP/state.kept"
write() { # write WHAT FILE
    case $1 in
    report) report --html "$2" ;;
    manifest) manifest --output "$2" ;;
    sheet) new_vault --recovery-out "$2" ;;
    page) new_vault --recovery-out "$2.html" && mv "$2.html" "$2" ;;
    key) new_key "$2" ;;
    esac
}
whole() { # whole WHAT FILE
    case $1 in
    report | page) [ "$(tail -n 1 "$2")" = "</html>" ] ;;
    manifest) (cd "$STORE" && sha256sum --quiet -c "$2") ;;
    sheet) grep -qE '^ +[0-9A-Z]{5}(-[0-9A-Z]{5}){12}$' "$2" && grep -q 'passwd --recovery' "$2" ;;
    key) [ "$(stat -c %s "$2")" = 64 ] ;;
    esac
}
mkdir "$TMP/pages"
for what in report manifest sheet page key; do
    case $what in sheet | page) point=init ;; key) point=key_file ;; *) point=other ;; esac
    # The write, if it passes the point, its sync, that of the folder; init has steps of its own, too.
    for action in ENOSPC EIO kill torn; do
        for nth in $(seq 40); do
            rm -rf "$TMP/pages" "$TMP/store2" "$TMP/state2" && mkdir "$TMP/pages"
            rm -rf "$STATE" && cp -a "$TMP/state.kept" "$STATE"
            got=0
            ECLUSE_FAULT=$point:$action:$nth write $what "$TMP/pages/file" >"$TMP/said" 2>&1 || got=$?
            [ $got != 0 ] || break
            case $action in
            ENOSPC) same "$what, step $nth" 9 $got ;;
            EIO) same "$what, step $nth" 13 $got ;;
            *) same "$what, step $nth killed" 137 $got ;;
            esac
            left=$(ls -A "$TMP/pages")
            case $action:$left in
            *: ) ;;
            kill:file | torn:file | kill:file.html | torn:file.html) expect "$what is whole after $action $nth" whole $what "$TMP/pages/$left" ;;
            *) fail "$what, $action $nth: this is left: $left" ;;
            esac
        done
        same "$what: $action was injected, and then nothing was left to fail" 0 $got
        expect "$what: steps" test "$nth" -gt 1
        expect "$what without a fault" whole $what "$TMP/pages/file"
    done
    # Its name is taken: untouched. (A page is a sheet under another name.)
    [ $what != page ] || continue
    echo mine >"$TMP/pages/taken"
    rm -rf "$TMP/store2" "$TMP/state2"
    expect_exit 13 write $what "$TMP/pages/taken"
    same "what was there" mine "$(cat "$TMP/pages/taken")"
done
rm -rf "$TMP/pages" && mkdir "$TMP/pages"
(umask 027 && manifest --output "$TMP/pages/mode")
same "a manifest has the mode of other files" 640 "$(stat -c %a "$TMP/pages/mode")"

# A filesystem without files that have no name: a vault is one.
mount_vault
mkdir "$MNT/pages"
report --html "$MNT/pages/report" >"$TMP/said"
expect "a report in a vault" whole report "$MNT/pages/report"
expect_exit 13 report --html "$MNT/pages/report"
manifest --output "$MNT/pages/manifest"
expect "a manifest in a vault" test -s "$MNT/pages/manifest"
got=0
ECLUSE_FAULT=other:ENOSPC report --html "$MNT/pages/failed" >"$TMP/said" 2>&1 || got=$?
same "no space there" 9 $got
same "names in the vault" "manifest report" "$(ls -A "$MNT/pages" | xargs)"
umount_vault

# Not files: straight.
report --html /dev/stdout >"$TMP/pages/straight"
expect "a page on standard output, and nothing else" whole report "$TMP/pages/straight"
report --html /dev/stdout | tail -n 1 >"$TMP/said"
same "a page in a pipe" "</html>" "$(cat "$TMP/said")"
mkfifo "$TMP/fifo"
cat "$TMP/fifo" >"$TMP/pages/fifo" &
reader=$!
manifest --output "$TMP/fifo"
wait $reader
expect "a manifest through a pipe" whole manifest "$TMP/pages/fifo"
[ -p "$TMP/fifo" ] || fail "the pipe was replaced"
expect_exit 9 report --html /dev/full
expect_exit 9 manifest --output /dev/full
report --html "$TMP/pages/whole.html" >"$TMP/said"
expect "without a fault it is whole" grep -qx '</html>' "$TMP/pages/whole.html"

"$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE" >"$TMP/said"
days() { echo $(($1 * 86400 + 60)) >"$ECLUSE_CLOCK"; }
days 29
report >"$TMP/said"
expect "after 29 days a check is not old" test "$(grep -c 'days old' "$TMP/said")" = 0
days 30
report >"$TMP/said"
expect "after 30 days it is" grep -qF 'The last check is 30 days old.' "$TMP/said"
LC_ALL=fr_CA.UTF-8 report >"$TMP/said"
expect "in French" grep -qF 'La dernière vérification date de 30 jours.' "$TMP/said"
