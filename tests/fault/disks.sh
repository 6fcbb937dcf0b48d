# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# Disks of a test's own, whose power can be cut and which can be filled.  Source it
# after lib.sh.
#
# A disk is a sparse file in memory with a filesystem on it, mounted by a loop device
# at $TMP/disks/NAME.  `cut_power` stops its filesystem at once, without letting the
# journal out (tests/tools/cut.c): what was not synced
# is gone, as after a power cut on a disk that honours flushes.

as_root || skip "needs root, for loop devices"
losetup -f >/dev/null 2>&1 || skip "there is no loop device"
need mkfs.ext4 mkfs.xfs

IMAGES=$TMP/images
mkdir -p "$IMAGES" "$TMP/disks"
mount -t tmpfs -o size=8G,mode=0700 images "$IMAGES"

new_disk() { # new_disk NAME ext4|xfs|tmpfs SIZE [mkfs or mount option...]
    local name=$1 type=$2 size=$3 image=$IMAGES/$1 point=$TMP/disks/$1
    shift 3
    mkdir -p "$point"
    if [ "$type" = tmpfs ]; then
        mount -t tmpfs -o "size=$size,mode=0700${1:+,$1}" "$name" "$point"
        return
    fi
    truncate -s "$size" "$image"
    case $type in
    ext4) mkfs.ext4 -q -m 0 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$@" "$image" ;;
    xfs) mkfs.xfs -q -K "$@" "$image" ;;
    esac
    mount -o loop "$image" "$point"
}

cut_power() { # cut_power NAME...
    "$TOOLS/cut" "${@/#/$TMP/disks/}"
}

is_free() { # is_free NAME : neither mounted, nor is its image used by a loop device
    ! mountpoint -q "$TMP/disks/$1" && [ -z "$(losetup -j "$IMAGES/$1")" ]
}
try_umount() { umount "$TMP/disks/$1" 2>"$TMP/said.umount" || ! mountpoint -q "$TMP/disks/$1"; }

# Once nobody uses it any more.  Not lazily: the next mount must read the disk, and not
# get the old filesystem with what it has in memory.
power_on() { # power_on NAME...
    local name
    for name; do
        until_true try_umount "$name"
        until_true is_free "$name"
        mount -o loop "$IMAGES/$name" "$TMP/disks/$name"
    done
}
