#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Full disk, not arrived yet, refused, read-only after a disk error, publication late, by a failure or
# without any:
# a real notification server shows each once, with what to do, in the user's language,
# and `ecluse status` says the same for as long as it holds.
[ -n "${TEST_SESSION:-}" ] || TEST_SESSION=1 exec dbus-run-session -- "$0" "$@"
. "$(dirname "$0")/../mount/lib.sh"
BUS=$DBUS_SESSION_BUS_ADDRESS
. "$(dirname "$0")/lib.sh"
export DBUS_SESSION_BUS_ADDRESS=$BUS
need dunst notify-send dbus-monitor jq
as_root || skip "a small disk needs root"
start_screen

cat >"$TMP/dunstrc" <<'END'
[global]
    geometry = "560x5-20+20"
    width = 560
    height = 300
    notification_limit = 5
    font = DejaVu Sans 10
    idle_threshold = 0
    format = "<b>%s</b>\n%b"
    word_wrap = yes
    alignment = left
[urgency_normal]
    background = "#0b4a6f"
    foreground = "#ffffff"
    timeout = 0
END
dunst -conf "$TMP/dunstrc" 2>"$TMP/dunst" &
# (Asking itself would have the bus start another one.)
served() { dbus-send --session --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus \
    org.freedesktop.DBus.NameHasOwner string:org.freedesktop.Notifications | grep -q 'boolean true'; }
until_true served
dbus-monitor --session "interface='org.freedesktop.Notifications',member='Notify'" >"$TMP/bus" 2>/dev/null &
watched() { [ -s "$TMP/bus" ]; }
until_true watched

# The summary and the sentence of each notification, a line each.
told() {
    awk '/member=Notify/ { n = 0 } /^   string "/ { if (++n >= 3) { sub(/^   string "/, ""); sub(/"$/, ""); printf "%s%s", $0, n == 3 ? "|" : "\n" } }' "$TMP/bus"
}
was_told() { [ "$(told | grep -cF -- "$1")" = "${2:-1}" ]; } # was_told TEXT [TIMES]
status_says() { # status_says TEXT
    "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/status" || fail "no status"
    grep -qF -- "$1" "$TMP/status" || fail "status does not say «$1»: $(cat "$TMP/status")"
}
t() { TEXTDOMAIN=ecluse TEXTDOMAINDIR=$PREFIX/share/locale gettext "$1"; }
# told_and_said SUMMARY SENTENCE FILTER : both by the notification, once, and by status; the filter of jq is true
# of status --json
told_and_said() {
    local summary advice
    summary=$(t "$1")
    advice=$(t "$2")
    advice=${advice##*(%s)}   # what comes after the cause
    until_true was_told "$summary|"
    told | grep -F -- "$summary|" | grep -qF -- "$advice" || fail "«$summary» without «$advice»: $(told)"
    told | grep -F -- "$summary|" | grep -qF -- "$MNT" || fail "not which vault: $(told)"
    status_says "$summary"
    status_says "$advice"
    [ -z "${3:-}" ] || "$ECLUSE" status --json --state "$STATE" "$MNT" | jq -e "$3" >/dev/null || fail "status --json: not $3"
}
again() { "$ECLUSE" umount --state "$STATE" "$MNT" 2>/dev/null || true; until_true no_daemon_here; : >"$TMP/bus"; }
no_daemon_here() { ! mountpoint -q "$MNT" && ! grep -qsaF "$MNT" /proc/[0-9]*/cmdline; }

ECLUSE=$PREFIX/bin/ecluse
for LANGUAGE_CODE in en fr; do
    export LANGUAGE_CODE
    case $LANGUAGE_CODE in en) export LC_ALL=en_CA.UTF-8 ;; fr) export LC_ALL=fr_CA.UTF-8 ;; esac
    STORE=$TMP/store-$LANGUAGE_CODE STATE=$TMP/state-$LANGUAGE_CODE SHEET=$TMP/sheet-$LANGUAGE_CODE
    MNT=$TMP/Project-$LANGUAGE_CODE
    mkdir "$STATE" && mount -t tmpfs -o size=48m none "$STATE"
    mkdir "$STORE" && mount -t tmpfs -o size=16m none "$STORE"
    make_vault
    mount_vault
    head -c 300000 /dev/urandom >"$MNT/first"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    FIRST=$(find "$STORE/segments" -type f)
    echo second >"$MNT/second"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    again

    # Not arrived yet.
    mount_vault
    mkdir -p "$TMP/aside"
    for object in $FIRST; do mv "$object" "$TMP/aside/"; done
    cat "$MNT/first" >/dev/null 2>&1 && fail "read what is not there"
    cat "$MNT/first" >/dev/null 2>&1 && fail "read what is not there"
    told_and_said 'Something is missing in the store' \
        '%s needs objects that are not in the store (%s). Let the sync finish; if it has, the host may have lost or deleted them. Files that need them cannot be read until then.' \
        '.warnings.missing > 0'
    shot notify-not-arrived
    for object in $FIRST; do mv "$TMP/aside/${object##*/}" "$object"; done
    cat "$MNT/first" >/dev/null || fail "not read although it has arrived"
    again

    # Refused.
    mount_vault
    for object in $FIRST; do
        cp "$object" "$TMP/aside/"
        chmod u+w "$object"
        dd if=/dev/zero of="$object" bs=1 seek=2000 count=60000 conv=notrunc status=none
    done
    cat "$MNT/first" >/dev/null 2>&1 && fail "read what was altered"
    cat "$MNT/first" >/dev/null 2>&1 && fail "read what was altered"
    told_and_said 'The store was altered' \
        'An object in the store of %s was refused (%s). Files that need it cannot be read; nothing false is shown. Delete nothing, and have the store checked (ecluse check).' \
        '.warnings.refused > 0'
    again
    for object in $FIRST; do cp "$TMP/aside/${object##*/}" "$object"; done

    # Publication late, and over.
    mount_vault
    head -c 100M /dev/zero >"$STORE/filler" 2>/dev/null || true
    head -c 300000 /dev/urandom >"$MNT/third"
    "$ECLUSE" flush --state "$STATE" "$MNT" 2>/dev/null && fail "published where there is no space"
    told_and_said 'The vault is not being published' \
        'What changed in %s waits on this computer (%s). It is tried again by itself. Until then, keep this computer; see that the folder of the store is there, can be written and has room.' \
        '.publish_code < 0 and .publish_error != ""'
    rm "$STORE/filler"
    "$ECLUSE" flush --state "$STATE" "$MNT" || fail "not published although there is space again"
    until_true was_told "$(t 'The vault is being published again')|"

    again

    # Late without any failure: the store does not answer, which a build for fault tests can have.
    ECLUSE_LIMIT=4 ECLUSE_FAULT=publication:delay=25000:1 mount_vault
    head -c 300000 /dev/urandom >"$MNT/fourth"
    "$ECLUSE" flush --state "$STATE" "$MNT" &
    flush=$!
    told_and_said 'The vault is not being published' \
        'What changed in %s waits on this computer (%s). It is tried again by itself. Until then, keep this computer; see that the folder of the store is there, can be written and has room.' \
        '.publish_code < 0 and .publish_error != ""'
    case $LANGUAGE_CODE in en) cause='the store does not answer' ;; fr) cause='le dépôt ne répond pas' ;; esac
    told | grep -F -- "$(t 'The vault is not being published')|" | grep -qF -- "($cause)" || fail "not why: $(told)"
    status_says "($cause)"
    wait $flush || fail "not published although the store answers again"
    until_true was_told "$(t 'The vault is being published again')|"
    was_told "$(t 'The vault is not being published')|" || fail "told more than once: $(told)"
    again

    # A full disk, and room again. (Without its ballast a vault meets it at once.)
    rm "$STATE"/*/ballast
    head -c 100M /dev/zero >"$STATE/filler" 2>/dev/null || true
    mount_vault
    mkdir "$MNT/refused" 2>/dev/null && fail "a change is taken on a full disk"
    told_and_said 'No space left for the vault' \
        '%s takes no changes (%s): the disk of its local state is full. Make room on this computer, or delete files in the vault: it goes on by itself.' \
        '.no_space'
    rm "$STATE/filler"
    until_true was_told "$(t 'The vault has space again')|"
    again

    # Read-only after a disk error (which a build for fault tests can have).
    ECLUSE_FAULT=journal_sync:EIO:1 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
    (echo x >"$MNT/x" && sync "$MNT/x") 2>/dev/null && fail "acknowledged after a disk error"
    told_and_said 'The vault is read-only' \
        '%s takes no changes since a disk error (%s). What was saved before is safe. Check the disk, then unmount the vault and mount it again.' \
        '.read_only and .latched != ""'
    shot notify-all
    dunstctl close-all
    again
    umount "$STATE" "$STORE"
done
