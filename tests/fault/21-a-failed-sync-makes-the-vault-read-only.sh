#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# After a failed fsync the kernel may have dropped what it could not write: the vault
# says so at once (to the program that asked, in status, log and by the program of
# -o notify, once each), takes no more changes, and goes on to be read.  Mounted
# again it is whole: what was acknowledged is there, and it can be written.
. "$(dirname "$0")/../mount/lib.sh"

cat >"$TMP/hook" <<END
#!/bin/bash
[ \$# = 3 ] && printf '%s|%s|%s\n' "\$1" "\$2" "\$3" >>"$TMP/told"
env | sort >"$TMP/env"
ls -l /proc/\$\$/fd | awk '\$9 != 255 && NR > 1 { print \$9, \$11 }' >"$TMP/fds"
awk '/^Sig(Blk|Ign)/ { print substr(\$2, 9) }' /proc/self/status | xargs >"$TMP/signals"
END
chmod +x "$TMP/hook"

# In the foreground, so that it logs into a file of ours; with a fault.
mount_faulty() { # mount_faulty FAULT OPTIONS
    : >"$TMP/log"
    rm -f "$TMP/told"
    ECLUSE_FAULT=$1 "$ECLUSE" mount -f --passfile "$PASS" --state "$STATE" -o "$2" "$STORE" "$MNT" 2>"$TMP/log" &
    serving() { mountpoint -q "$MNT" && "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said" 2>&1; }
    until_true serving
}
told() { [ -s "$TMP/told" ]; }
latched() { [ "$(status_field latched)" = EIO ]; }

# Works until something fails, at the latest when the fault is due.
work_until_it_fails() {
    local status=0
    timeout 30 "$TOOLS/record" --seed "$1" "$MNT" "$TMP/record" 2>"$TMP/ended" || status=$?
    [ $status -le 1 ] || { stacks; fail "the recorder ended with $status: $(cat "$TMP/log" "$TMP/ended")"; }
    grep -qE 'ended by: (Input/output error|Read-only file system)' "$TMP/ended" ||
        fail "the program was told: $(cat "$TMP/ended")"
}

is_read_only_and_says_so() {
    local word=$1
    expect "it is latched" latched
    if (: >"$MNT/later") 2>"$TMP/said"; then fail "written after $word"; fi
    grep -q 'Read-only file system' "$TMP/said" || fail "not EROFS: $(cat "$TMP/said")"
    if rm "$MNT/early" 2>"$TMP/said"; then fail "deleted after $word"; fi
    grep -q 'Read-only file system' "$TMP/said" || fail "not EROFS: $(cat "$TMP/said")"
    same "reading goes on" "$SUM" "$(sha256sum <"$MNT/early")"
    "$ECLUSE" status --state "$STATE" "$MNT" | grep -q "The vault is read-only: $MNT takes no changes since a disk error" || fail "status does not say so"
    same "lines of the log about it" 1 "$(grep -c ECL-0301 "$TMP/log")"
    until_true told
    same "told of" "read-only" "$(grep -v '^publication' "$TMP/told" | cut -d'|' -f1)"
}

whole_after_a_remount() {
    "$ECLUSE" umount --state "$STATE" "$MNT" 2>"$TMP/said" && fail "umount reports nothing"
    until_true no_daemon
    mount_vault -o notify=none
    "$TOOLS/record" --check "$MNT" "$TMP/record" >"$TMP/checked" ||
        fail "acknowledged, and not there: $(cat "$TMP/checked")"
    same "what was there before" "$SUM" "$(sha256sum <"$MNT/early")"
    echo more >"$MNT/later"
    rm "$MNT/later"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    same "refused, missing, latched" "0 0 " "$(status_field refused) $(status_field missing) $(status_field latched)"
    umount_vault
}

make_vault
mount_vault
head -c 200000 /dev/urandom >"$MNT/early"
SUM=$(sha256sum <"$MNT/early")
umount_vault

for fault in journal_sync:EIO:7 journal_sync:EIO:1 segment_sync:EIO:1 segment_sync:EIO:4 wal_sync:EIO:4 wal_sync:EIO:5; do
    mount_faulty "$fault" "notify=$TMP/hook"
    work_until_it_fails "$(echo "$fault" | cksum | cut -d' ' -f1)"
    case $fault in journal*) grep -q 'Input/output' "$TMP/ended" || fail "not EIO: $(cat "$TMP/ended")" ;; esac
    is_read_only_and_says_so "$fault"
    whole_after_a_remount
    echo "$fault: $(wc -l <"$TMP/record") acknowledged so far"
done

# While publishing.
for fault in segment_footer:EIO:2 segment_footer:EIO:3 store_dir_sync:EIO:1 store_dir_sync:EIO:3; do
    mount_faulty "$fault" "notify=$TMP/hook"
    echo "$fault" >"$MNT/published"
    expect_exit 13 "$ECLUSE" flush --state "$STATE" "$MNT"
    is_read_only_and_says_so "$fault"
    whole_after_a_remount
done

# What the program of -o notify gets.
same "the program's environment" "HOME LC_ALL PATH PWD SHLVL _" \
    "$(cut -d= -f1 "$TMP/env" | grep -vE '^(LANG|LC_|DISPLAY|WAYLAND_DISPLAY|DBUS_SESSION|XDG_RUNTIME)' | sort -u |
        { cat; echo LC_ALL; } | sort | xargs)"
same "its descriptors" "0 1 2" "$(cut -d' ' -f1 "$TMP/fds" | sort | head -n 3 | xargs)"
if grep -qE '/dev/fuse|lock|socket|index|staging' "$TMP/fds"; then fail "it got descriptors: $(cat "$TMP/fds")"; fi
grep -q '^0 /dev/null' "$TMP/fds" || fail "its standard input: $(cat "$TMP/fds")"
# (The C library of the daemon leaves two signals of its own ignored, beyond 31.)
same "its signals, blocked and ignored" "00000000 00000000" "$(sed 's/8\(0000000\)$/0\1/' "$TMP/signals")"
grep -qF "$MNT" "$TMP/told" || fail "the sentence does not name the mountpoint: $(cat "$TMP/told")"

# In the user's language.
LC_ALL=fr_CA.UTF-8 mount_faulty journal_sync:EIO:1 "notify=$TMP/hook"
(echo x >"$MNT/x" && sync "$MNT/x") 2>/dev/null && fail "acknowledged"
until_true told
grep -q '|Le coffre est en lecture seule|' "$TMP/told" || fail "not in French: $(cat "$TMP/told")"
whole_after_a_remount

# A program that hangs holds nobody up, and does not outlive the vault.
printf '#!/bin/bash\necho "$1" >>%q\nsleep 1000 & wait\n' "$TMP/told" >"$TMP/hang"
chmod +x "$TMP/hang"
mount_faulty journal_sync:EIO:1 "notify=$TMP/hang"
(echo x >"$MNT/x" && sync "$MNT/x") 2>/dev/null && fail "acknowledged"
until_true told
before=$SECONDS
if (: >"$MNT/later") 2>/dev/null; then fail "written"; fi
# What could not be saved does not stay on this device, and nobody says so.
expect_exit 13 "$ECLUSE" umount --state "$STATE" "$MNT"
grep -q 'Check the files that you changed last' "$TMP/said" || fail "$(cat "$TMP/said")"
grep -q 'stays on this' "$TMP/said" && fail "$(cat "$TMP/said")"
until_true no_daemon
[ $((SECONDS - before)) -lt 9 ] || fail "a hanging program holds the vault up for $((SECONDS - before)) s"

# Options.
expect_exit 1 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" -o notify=hook "$STORE" "$MNT"
grep -q 'absolute' "$TMP/said" || fail "$(cat "$TMP/said")"
if "$ECLUSE" mount --passfile "$PASS" --state "$STATE" -o "notify=$TMP/nothing" "$STORE" "$MNT" 2>"$TMP/said"; then
    fail "a program that is not there"
fi
mount_vault -o notify=none
umount_vault

# notify-send, when there is a session bus.  Its body is markup; a folder's name is none.
MNT="$TMP/R&D <b>"
mkdir "$MNT"
mkdir "$TMP/bin"
printf '#!/bin/bash\nprintf "%%s|" "$@" >>%q\n' "$TMP/told" >"$TMP/bin/notify-send"
chmod +x "$TMP/bin/notify-send"
PATH=$TMP/bin:$PATH DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere mount_faulty journal_sync:EIO:1 rw
(echo x >"$MNT/x" && sync "$MNT/x") 2>/dev/null && fail "acknowledged"
until_true told
grep -q '^--app-name=Écluse|--|The vault is read-only|' "$TMP/told" || fail "notify-send got: $(cat "$TMP/told")"
grep -qF "$TMP/R&amp;D &lt;b&gt; takes no changes" "$TMP/told" || fail "the folder's name is markup: $(cat "$TMP/told")"
"$ECLUSE" umount --state "$STATE" "$MNT" 2>/dev/null || true
until_true no_daemon
