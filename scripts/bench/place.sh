# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
# shellcheck disable=SC2034  # PLACE is for the other files
#
# Where it is measured: an empty folder $AREA on the disk of $BENCH_DIR or on a
# tmpfs of $ROOM MiB, refused when there is no such room, and gone afterwards
# with all that was mounted and served in it.

stop() {
    printf 'bench: %s\n' "$*" >&2
    exit 1
}
tell() { printf '%s\n' "$*" >&2; }

check_machine() {
    local tool
    [ "$(id -u)" = 0 ] || stop "must run as root, to drop the page cache between measurements"
    for tool in gcc pkg-config fio gnuplot git sqlite3 fusermount3; do
        command -v "$tool" >/dev/null || stop "$tool is missing: run scripts/setup --bench"
    done
    mkdir -p "$BENCH_DIR"
    exec 9>"$BENCH_DIR/lock"
    flock -n 9 || stop "another run uses $BENCH_DIR"
    [ -c /dev/fuse ] || stop "/dev/fuse is missing: run scripts/setup --fuse"
}

open_place() { # open_place disk|tmpfs : $AREA, an empty folder there
    local need=$ROOM free
    AREA=$BENCH_DIR/$1
    close_place # what a killed run may have left
    PLACE=$1 AREA=$BENCH_DIR/$1
    mkdir -p "$AREA"
    case $1 in
    disk) free=$(df -m --output=avail "$AREA" | tail -n 1) ;;
    tmpfs)
        # As much again for the page cache of the mounts, and a gigabyte for the daemons.
        free=$((($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) / 1024 - 1024) / 2))
        [ "$free" -lt "$need" ] || mount -t tmpfs -o "size=${need}m,mode=0700" bench "$AREA" ||
            stop "no tmpfs can be mounted at $AREA"
        ;;
    *) stop "no such place: $1" ;;
    esac
    [ "$free" -ge "$need" ] || stop "$1 has room for $free MiB, $need MiB are needed"
}

close_place() {
    local point
    [ -n "$AREA" ] || return 0
    [ -z "${P:-}" ] || peer_drop
    awk -v d="$AREA" '$5 == d || index($5, d "/") == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r point; do umount -l "$point"; done
    rm -rf --one-file-system "$AREA"
    AREA='' P=''
}

# A virtual machine gets memory from its host page by page, at the first touch, and
# whoever is measured first would pay for it: so all that is free is touched once.
touch_memory() {
    local mb=$(($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) / 1024 - 1024))
    AREA=$BENCH_DIR/memory
    close_place
    AREA=$BENCH_DIR/memory
    mkdir -p "$AREA" && mount -t tmpfs -o "size=${mb}m,mode=0700" bench "$AREA" &&
        head -c "${mb}M" /dev/zero >"$AREA/all" 2>/dev/null
    close_place
}

describe_place() {
    printf '%s: %s\n' "$PLACE" "$(findmnt -no FSTYPE,OPTIONS -T "$AREA" | tr -s ' ')"
}

kernel_and_machine() {
    date -u '+date: %Y-%m-%d %H:%M UTC'
    echo "kernel: $(uname -sr), $(. /etc/os-release && echo "$PRETTY_NAME")"
    echo "machine: $(nproc) CPUs, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)," \
        "$(awk '/^MemTotal/ { printf "%.0f GiB\n", $2 / 1048576 }' /proc/meminfo)"
    echo "source: $(git -c safe.directory='*' -C "$ROOT" describe --always --dirty 2>/dev/null || echo unknown)"
}
