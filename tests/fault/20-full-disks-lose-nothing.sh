#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The disk of the state, of the store, or the one that has both, is full to the last
# byte, through the mount and from outside: writers are told, nothing acknowledged
# is lost, files can be deleted (also after a kill, and after a remount, while it is
# full), publication waits and says so, df(1) tells the truth, and all goes on by
# itself when there is space again.
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/disks.sh"

# In the foreground, so that it logs into a file of ours.
mount_vault() {
    "$ECLUSE" mount -f --passfile "$PASS" --state "$STATE" "$STORE" "$MNT" 2>>"$TMP/log" &
    serving() { mountpoint -q "$MNT" && "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said" 2>&1; }
    until_true serving
}

# --- filling ------------------------------------------------------------------------------

fill_from_outside() { # fill_from_outside DISK : to the last byte
    local dir=$TMP/disks/$1/filler size k=0
    mkdir -p "$dir"
    for size in 1M 4k 1; do
        k=$((k + 1))
        dd if=/dev/zero of="$dir/$k" bs=$size count=4096 status=none 2>/dev/null || true
    done
}
make_room() { rm -rf "$TMP/disks/$1/filler"; }

# Writes through the mount until it is told that there is no space.
fill_through_mount() { # fill_through_mount NAME
    local k
    for k in $(seq 1 2000); do
        dd if=/dev/urandom of="$MNT/$1.$k" bs=64k count=16 conv=fsync status=none 2>"$TMP/said" || break
        sha256sum "$MNT/$1.$k" >>"$TMP/sums"
    done
    grep -qE 'No space left|quota' "$TMP/said" || fail "not told of a full disk: $(cat "$TMP/said")"
    rm -f "$MNT/$1.$k"
}

# --- what must hold -----------------------------------------------------------------------

acknowledged() { sha256sum --quiet -c "$TMP/sums"; }
available() { df --output=avail -B1 "$MNT" | tail -n 1; }
can_write() { dd if=/dev/urandom of="$MNT/again" bs=64k count=1 conv=fsync status=none 2>/dev/null; }
sync_dir() { sync "$1"; }

nothing_refused() {
    same "refused, missing, latched" "0 0 " "$(status_field refused) $(status_field missing) $(status_field latched)"
}

add_tree() { # add_tree NAME : 200 small files, acknowledged
    local k
    mkdir "$MNT/$1"
    for k in $(seq 200); do seq "$k" "$((k + 300))" >"$MNT/$1/$k"; done
    sync "$MNT/$1"
}
remove_tree() { # remove_tree NAME : deletes, and makes the deletion durable
    rm -r "${MNT:?}/$1" || fail "$1 cannot be deleted when full"
    sync "$MNT" || fail "the deletion of $1 cannot be made durable when full"
}

while_full() { # while_full DISK
    local disk=$1
    mkdir "$TMP/disks/$disk/filler"
    head -c 8M /dev/zero >"$TMP/disks/$disk/filler/large"
    fill_through_mount file
    fill_from_outside "$disk"
    if can_write; then fail "writing goes on where nothing is left"; fi
    expect "df tells that nothing is left, not $(available)" [ "$(available)" -lt 2097152 ]
    expect "acknowledged before, there when full" acknowledged
    store_is_opaque

    remove_tree one
    fill_from_outside "$disk"
    kill_daemon
    mount_vault
    expect "a deletion when full survives a kill" [ ! -e "$MNT/one" ]
    expect "acknowledged before, there after a kill when full" acknowledged
    remove_tree two
    fill_from_outside "$disk"
    "$ECLUSE" umount --state "$STATE" "$MNT" 2>"$TMP/said" || grep -q 'space' "$TMP/said" ||
        fail "umount when full: $(cat "$TMP/said")"
    until_true no_daemon
    mount_vault
    expect "a deletion when full survives a remount" [ ! -e "$MNT/two" ]
    expect "acknowledged before, there after a remount when full" acknowledged
    nothing_refused
}

# Publication waits, says so everywhere, and nothing of it is in the store.
publication_waits() {
    objects >"$TMP/before"
    expect_exit 9 "$ECLUSE" flush --state "$STATE" "$MNT"
    grep -q 'no space left' "$TMP/said" || fail "flush does not say why: $(cat "$TMP/said")"
    same "publish_error" ENOSPC "$(status_field publish_error)"
    "$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said"
    grep -q 'not being published: .*no space left' "$TMP/said" || fail "status does not say why: $(cat "$TMP/said")"
    grep -q 'ECL-0410 publication: ENOSPC' "$TMP/log" || fail "the log does not say why: $(cat "$TMP/log")"
    store_is_opaque
    wrote_once "$TMP/before"
}
published_again() { [ "$(status_field unpublished)" = 0 ] && published; }
published() { [ -z "$(status_field publish_error)" ]; }

when_there_is_room() { # when_there_is_room DISK
    make_room "$1"
    until_true can_write
    expect "df sees the room" [ "$(available)" -gt 2097152 ]
    rm "$MNT/again"
    "$ECLUSE" flush --state "$STATE" "$MNT"
    expect "publication waits no more" published
    expect "acknowledged before, there when there is room" acknowledged
    nothing_refused
    store_is_opaque
    rm "$MNT"/file.*
    sed -i '/file\./d' "$TMP/sums"
    remount
    expect "acknowledged before, there in the end" acknowledged
    umount_vault
}

begin() { # begin NAME STATE-DISK STORE-DISK
    echo "full: $1"
    STATE=$TMP/disks/$2/state STORE=$TMP/disks/$3/store SHEET=$TMP/recovery.$1
    make_vault
    mount_vault
    head -c 300000 /dev/urandom >"$MNT/early"
    sync "$MNT/early"
    sha256sum "$MNT/early" >"$TMP/sums"
    add_tree one
    add_tree two
}

new_disk small1 ext4 48M
new_disk large1 ext4 400M
begin state small1 large1
while_full small1
when_there_is_room small1

new_disk small2 tmpfs 64M
begin both small2 small2
while_full small2
publication_waits
when_there_is_room small2

# A full store keeps nobody from working as long as the state has room.
new_disk large3 xfs 400M
new_disk small3 ext4 32M
begin store large3 small3
fill_from_outside small3
for k in 1 2 3; do
    dd if=/dev/urandom of="$MNT/file.$k" bs=1M count=2 conv=fsync status=none
    sha256sum "$MNT/file.$k" >>"$TMP/sums"
done
expect "df tells that nothing is left, not $(available)" [ "$(available)" -lt 2097152 ]
publication_waits
remove_tree one
kill_daemon
mount_vault
"$ECLUSE" umount --state "$STATE" "$MNT" 2>"$TMP/said" && fail "umount says that all is in a full store"
grep -q 'no space left' "$TMP/said" || fail "umount does not say why: $(cat "$TMP/said")"
until_true no_daemon
mount_vault
publication_waits
expect "acknowledged before, there when the store is full" acknowledged
make_room small3
until_true published_again
when_there_is_room small3

# A disk of ordinary size: df is believed to within a sixteenth and 8 MiB, and the
# ballast, 64 MiB there, is spent and made again.
new_disk large4 ext4 1536M
begin large large4 large4
ballast() { stat -c %b "$STATE"/*/ballast 2>/dev/null || echo 0; }
has_ballast() { [ "$(ballast)" -ge 131072 ]; }
expect "a ballast of 64 MiB" has_ballast
fallocate -l 1200M "$TMP/disks/large4/large"
promised=$(available)
size=$((promised - promised / 16 - 8388608))
[ $size -gt 50000000 ] || fail "only $promised bytes are said to be available"
head -c $size /dev/urandom >"$MNT/file.large" || fail "df promised $promised, and $size cannot be written"
sync "$MNT/file.large" || fail "df promised $promised, and $size cannot be synced"
sha256sum "$MNT/file.large" >>"$TMP/sums"
while_full large4
rm "$TMP/disks/large4/large"
when_there_is_room large4
mount_vault
expect "a ballast again" until_true has_ballast
umount_vault

# A vault that begins on a full disk, its ballast spent, and has nothing to commit: that
# there is room again must be noticed all the same.
new_disk idle tmpfs 64M
begin idle idle idle
umount_vault
rm "$STATE"/*/ballast
fill_from_outside idle
mount_vault
if mkdir "$MNT/refused" 2>/dev/null; then fail "a vault without ballast on a full disk takes changes"; fi
same "no_space" true "$(status_field no_space)"
"$ECLUSE" status --state "$STATE" "$MNT" | grep -q 'the disk of its local state is full' || fail "status does not say so"
make_room idle
until_true can_write
same "no_space" false "$(status_field no_space)"
umount_vault

# No inode left: what needs a new object waits; deletions, and space already there, do not.
new_disk inodes tmpfs 64M nr_inodes=340
begin inodes inodes inodes
k=0
while : 2>/dev/null >"$TMP/disks/inodes/i$k"; do k=$((k + 1)); done
until_told() { ! dd if=/dev/urandom of="$MNT/many" bs=1M count=20 conv=fsync status=none 2>"$TMP/said"; }
until_true until_told
grep -q 'No space left' "$TMP/said" || fail "not told: $(cat "$TMP/said")"
rm -f "$MNT/many"
same "inodes that df promises" 0 "$(df --output=iavail "$MNT" | tail -n 1 | tr -d ' ')"
expect "acknowledged before, there without inodes" acknowledged
remove_tree one
kill_daemon
mount_vault
expect "a deletion without inodes survives a kill" [ ! -e "$MNT/one" ]
rm "$TMP/disks/inodes"/i*
until_true can_write
"$ECLUSE" flush --state "$STATE" "$MNT"
nothing_refused
expect "acknowledged before, there in the end" acknowledged
umount_vault
echo "$SECONDS s"
