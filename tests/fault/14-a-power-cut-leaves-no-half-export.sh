#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The power of the disk that an export goes to is cut at random moments: what has its
# name there is whole, with its time; the same command goes on, and what it calls done
# is there after another cut.
#
# CUTS for each filesystem may be given.
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/disks.sh"

cuts=${CUTS:-5}
make_vault
mount_vault
for k in $(seq 30); do
    mkdir -p "$MNT/in/folder$k"
    for n in $(seq 30); do head -c $((k * n * 40)) /dev/urandom >"$MNT/in/folder$k/$n"; done
    ln "$MNT/in/folder$k/1" "$MNT/in/folder$k/linked"
    ln -s 1 "$MNT/in/folder$k/soft"
    chmod 0750 "$MNT/in/folder$k"
done
head -c 30M /dev/urandom >"$MNT/in/large"
find "$MNT/in" -type f -print0 | xargs -0 touch -d '2001-02-03 04:05:06.7'
files() (cd "$1" && find . -path ./.ecluse-partial -prune -o -type f -printf '%P %s %m %T@ ' -exec sha256sum -z {} \; | tr '\0' '\n' | sort)
all() (cd "$1" && find . -mindepth 1 -printf '%P %y %m %l %T@\n' | sort)
files "$MNT/in" >"$TMP/files"

for type in ext4 xfs; do
    new_disk "$type" "$type" 400M
    dest=$TMP/disks/$type/out
    for k in $(seq "$cuts"); do
        "$ECLUSE" export --state "$STATE" "$MNT/in" "$dest" >"$TMP/said" 2>&1 &
        pid=$!
        read -rt "0.$(printf %03d $((RANDOM % 1000)))" <> <(:) || true
        cut_power "$type"
        wait "$pid" || true
        power_on "$type"
        [ -d "$dest" ] || continue
        same "$type, cut $k: half done" "" "$(comm -13 "$TMP/files" <(files "$dest"))"
        there=$(files "$dest" | wc -l)
        echo "$type, cut $k: $there of $(wc -l <"$TMP/files") files"
        [ "$there" != "$(wc -l <"$TMP/files")" ] || rm -r "$dest"
    done
    expect_exit 0 "$ECLUSE" export --state "$STATE" "$MNT/in" "$dest"
    cut_power "$type"
    power_on "$type"
    same "$type: done, and cut" "$(all "$MNT/in")" "$(all "$dest")"
    same "$type: the contents" "$(cat "$TMP/files")" "$(files "$dest")"
    umount "$TMP/disks/$type"
done
umount_vault
