#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# After a busy session no run of 16 bytes of names, contents, attributes, link
# targets or passphrase is in store, state, runtime directory, log or the
# daemon's arguments and environment: while mounted, after a kill, and at the end.
. "$(dirname "$0")/lib.sh"

words=$TMP/words
mkdir "$words"
make_vault
cp "$PASS" "$words/passphrase"
grep -oE '([0-9A-Z]{5}-){12}[0-9A-Z]{5}' "$SHEET" >"$words/recovery-key"
mount_vault

canary() { printf 'canari-%s-%s' "$1" "$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')"; }
busy() { # busy ROUND
    local k name
    for k in $(seq 40); do
        name=$(canary name)
        { canary content && head -c $((k * 997)) /dev/urandom | base64; } >"$words/content-$1-$k"
        cp "$words/content-$1-$k" "$MNT/$name"
        printf '%s' "$name" >"$words/name-$1-$k"
        setfattr -n "user.$(canary key | tee "$words/key-$1-$k")" \
            -v "$(canary value | tee "$words/value-$1-$k")" "$MNT/$name"
        ln -s "$(canary target | tee "$words/target-$1-$k")" "$MNT/link-$1-$k"
        [ $((k % 5)) != 0 ] || sync "$MNT/$name"
        [ $((k % 7)) != 0 ] || rm "$MNT/$name"
        [ $((k % 9)) != 0 ] || mv "$MNT/$name" "$MNT/$(canary renamed | tee "$words/renamed-$1-$k")" 2>/dev/null || true
    done
}

# The search finds what it must: in the mount, and in what we wrote down.
hunted() { # hunted WHEN
    local pid=$2 places=("$STORE" "$STATE")
    mkdir -p "$TMP/process"
    [ -z "$pid" ] || { tr '\0' '\n' <"/proc/$pid/cmdline" && tr '\0' '\n' <"/proc/$pid/environ"; } >"$TMP/process/seen"
    [ ! -d /run/ecluse ] || places+=(/run/ecluse)
    [ ! -f /var/log/syslog ] || places+=(/var/log/syslog)
    expect "no plaintext $1" "$TOOLS/hunt" "$words"/* -- "${places[@]}" "$TMP/process"
}
busy 1
if "$TOOLS/hunt" "$words"/content-1-1 -- "$MNT" >/dev/null; then fail "the hunt finds nothing in the mount itself"; fi
hunted "in staging and index, mounted" "$(daemon_pid)"
"$ECLUSE" flush --state "$STATE" "$MNT"
busy 2
kill_daemon
hunted "after a kill" ""
mount_vault
busy 3
umount_vault
hunted "at the end" ""
# The same plaintext twice gives no equal ciphertext.
mount_vault
for k in 1 2; do head -c 100000 "$words/content-1-40" >"$MNT/twin$k" && "$ECLUSE" flush --state "$STATE" "$MNT"; done
umount_vault
twins=$(find "$STORE/segments" -type f -exec sha256sum {} + | cut -d' ' -f1 | sort | uniq -d)
same "no two objects are equal" "" "$twins"
