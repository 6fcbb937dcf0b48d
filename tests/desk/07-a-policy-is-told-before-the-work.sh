#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Where the policy of the computer does not allow a vault, the assistant says so, and which rule it is, before a
# sheet is printed and a passphrase is chosen in vain; the example of a policy lets the assistant work.
[ "${INSIDE:-}" ] || [ "$(id -u)" != 0 ] || exec env INSIDE=1 unshare -m "$0" "$@"
. "$(dirname "$0")/../mount/lib.sh"

as_root || skip "needs root, to put a policy in its place"
make -s -C "$ROOT" install PREFIX="$TMP/usr" SBINDIR="$TMP/sbin" >/dev/null
mount --make-rprivate /
trap 'status=$?; umount -l /etc || :; (exit $status); cleanup' EXIT
mkdir -p "$TMP/whole" "$TMP/home/Sync" "$TMP/home/elsewhere" "$TMP/bin"
cp -a /etc/. "$TMP/whole/" && rm -rf "$TMP/whole/ecluse" && mkdir "$TMP/whole/ecluse"
mount --bind "$TMP/whole" /etc

# Answers as a hurried user would, and notes what was shown: the first folder chosen is elsewhere, the second the synced one.
cat >"$TMP/bin/zenity" <<'END'
#!/bin/bash
printf '%s\n' "${*//$'\n'/ }" >>"$NOTES"
case "$*" in
*--file-selection*--save*) exit 1 ;;
*--file-selection*) [ -e "$NOTES.second" ] && echo "$HOME/Sync" || { : >"$NOTES.second"; echo "$HOME/elsewhere"; } ;;
*--entry*) echo Vault ;;
esac
END
chmod +x "$TMP/bin/zenity"
assistant() { # assistant LOCALE
    rm -f "$TMP"/notes*
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6) LC_ALL=$1 DISPLAY=:none NOTES=$TMP/notes PATH=$TMP/bin:$PATH \
        "$TMP/usr/bin/ecluse-open" --new || true
}
# "~" is the home of the database of users.
sed -i "s|^\(root:[^:]*:0:0:[^:]*:\)[^:]*|\1$TMP/home|" /etc/passwd

cp "$ROOT/docs/examples/policy.conf" /etc/ecluse/policy.conf
chown -R root: /etc/ecluse && chmod 644 /etc/ecluse/policy.conf
assistant C.UTF-8
grep -q -- '--error.*policy of this computer' "$TMP/notes" || fail "nothing was said: $(cat "$TMP/notes")"
grep -q 'stores = ~/Sync' "$TMP/notes" || fail "not which rule: $(cat "$TMP/notes")"
grep -q 'mountpoints' "$TMP/notes" && fail "a rule that allows it is blamed: $(cat "$TMP/notes")"
same "errors told, folders asked for, places of a sheet asked for" "1 2 1" \
    "$(for pattern in --error 'file-selection.*--directory' 'file-selection.*--save'; do grep -c -- "$pattern" "$TMP/notes"; done | paste -sd ' ')"
assistant fr_CA.UTF-8
grep -q -- '--error.*politique de ce poste' "$TMP/notes" || fail "no French: $(cat "$TMP/notes")"
rm /etc/ecluse/policy.conf
assistant C.UTF-8
grep -q -- --error "$TMP/notes" && fail "an error without a policy: $(cat "$TMP/notes")"
same "places of a sheet asked for" 1 "$(grep -c -- 'file-selection.*--save' "$TMP/notes")"
