#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Mountpoint, store and state that are swapped for symbolic links while a mount is
# under way: it is on the real thing or refused, never on or in something else.
# What is in the folder below a mount is never hidden, and plaintext that lands there is.
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root, whom nothing else would stop"

ours() { awk -v d="$TMP/" 'index($5, d) == 1 && $0 ~ / fuse.ecluse / { print $5 }' /proc/self/mountinfo; }
mkdir "$TMP/race" "$TMP/victim"
echo precious >"$TMP/victim/file"
make_vault
mount_vault
echo content >"$MNT/file"
umount_vault
rmdir "$MNT" 2>/dev/null || { chmod u+w "$MNT" && rmdir "$MNT"; }

# race WHAT REAL : REAL and a link to the victim change places while it is mounted
race() {
    local round points code done=0 refused=0
    mv "$2" "$TMP/race/spot"
    ln -s "$TMP/victim" "$TMP/race/link"
    "$TOOLS/swap" "$TMP/race/spot" "$TMP/race/link" &
    swapper=$!
    listing "$TMP/victim" >"$TMP/before"
    for round in $(seq "${ROUNDS:-30}"); do
        code=0
        "$ECLUSE" mount --passfile "$PASS" --state "$state" "$store" "$mnt" >"$TMP/said" 2>&1 || code=$?
        points=$(ours)
        if [ $code = 0 ]; then
            done=$((done + 1))
            [ "$(wc -l <<<"$points")" = 1 ] && [ -n "$points" ] || fail "$1: done, and mounted: «$points»"
            same "$1: what is mounted" content "$(cat "$points/file")"
            "$ECLUSE" umount "$points" || fail "$1: it cannot be unmounted from $points"
        else
            refused=$((refused + 1))
            case $code in 2 | 3 | 6 | 8 | 11 | 13) ;; *) fail "$1: exit $code: $(cat "$TMP/said")" ;; esac
            same "$1: what a refused mount leaves, after: $(cat "$TMP/said")" "" "$points"
        fi
        same "$1: what was never meant" "$(cat "$TMP/before")" "$(listing "$TMP/victim")"
    done
    kill $swapper
    wait $swapper 2>/dev/null || true
    if [ -L "$TMP/race/spot" ]; then
        rm "$TMP/race/spot" && mv "$TMP/race/link" "$2"
    else
        rm "$TMP/race/link" && mv "$TMP/race/spot" "$2"
    fi
    echo "$1: $done mounted, $refused refused"
    [ $((done * refused)) -gt 0 ] || echo "$1: only one of both happened"
}
mkdir "$MNT"
state=$STATE store=$STORE mnt=$TMP/race/spot race mountpoint "$MNT"
chmod 755 "$MNT"
state=$STATE store=$TMP/race/spot mnt=$MNT race store "$STORE"
state=$TMP/race/spot store=$STORE mnt=$MNT race state "$STATE"

# Ordinary refusals that change nothing: a file, a folder that is not empty, inside one
# another, and a state or a mountpoint that is taken.
refused() { # refused CODE STORE MOUNTPOINT
    listing "$TMP/victim" "$STORE" >"$TMP/before"
    expect_exit "$1" "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$2" "$3"
    same "what a refused mount changes" "$(cat "$TMP/before")" "$(listing "$TMP/victim" "$STORE")"
    same "what a refused mount leaves" "" "$(ours | grep -vx "$MNT" || true)"
}
refused 3 "$STORE" "$TMP/victim"
refused 3 "$STORE" "$TMP/victim/file"
refused 3 "$STORE" "$STORE/segments"
refused 3 "$STORE" "$TMP"
ln -s "$TMP/victim" "$TMP/to-victim"
refused 3 "$STORE" "$TMP/to-victim"
mount_vault
mkdir "$TMP/second"
refused 6 "$STORE" "$TMP/second"
refused 6 "$STORE" "$MNT"
# A store inside the mount of another vault may be; inside its own it cannot.
cp -r "$STORE" "$MNT/inner"
refused 3 "$MNT/inner" "$MNT/inner/segments"
rm -rf "$MNT/inner"
umount_vault

# The folder below: nobody but root can write there while it is not mounted, and what
# got there all the same is seen at the next mount.
same "who may write into the folder below" 0 $((0$(stat -c %a "$MNT") & 0222))
echo plaintext >"$MNT/saved-by-mistake"
expect_exit 3 "$ECLUSE" mount --passfile "$PASS" --state "$STATE" "$STORE" "$MNT"
grep -q 'not empty' "$TMP/said" || fail "it does not say why: $(cat "$TMP/said")"
same "what was saved by mistake" plaintext "$(cat "$MNT/saved-by-mistake")"
rm "$MNT/saved-by-mistake"
mount_vault
kill_daemon
if (: >"$MNT/late") 2>/dev/null; then fail "a dead mount takes plaintext"; fi
mount_vault
same "what is in it" content "$(cat "$MNT/file")"
umount_vault
open_the_way
chmod 755 "$TMP"
install -d -o 65534 -g 65534 -m 755 "$USER_HOME" "$USER_HOME/mnt"
(umask 077 && echo phrase >"$USER_HOME/pass" && chown 65534:65534 "$USER_HOME/pass")
as_user "$ECLUSE" init --passfile "$USER_HOME/pass" --recovery-out "$USER_HOME/sheet" "$USER_HOME/store" >/dev/null
as_user "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"
as_user "$ECLUSE" umount "$USER_HOME/mnt"
if as_user touch "$USER_HOME/mnt/x" 2>/dev/null; then fail "a user can save beside the vault"; fi
install -d -m 755 "$TMP/roots"
expect_exit 10 as_user "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$TMP/roots"
same "nothing is mounted" "" "$(ours)"
