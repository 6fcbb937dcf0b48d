#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# fio writes at random with checksums in every block and reads them again: with ordinary
# calls and fsyncs, through mappings, with direct I/O, and once more after a remount.
. "$(dirname "$0")/lib.sh"
need fio

run() { # run NAME OPTION...
    local name=$1
    shift
    (cd "$TMP" && fio --output-format=terse --name="$name" --directory="$MNT" --verify=crc32c --verify_fatal=1 \
        --randseed=20251 --allow_mounted_write=0 "$@" >"$TMP/said" 2>&1) || {
        tail -n 30 "$TMP/said"
        fail "fio: $name"
    }
}
make_vault
mount_vault
run buffered --rw=randwrite --bs=4k --size=48m --fsync=64 --ioengine=psync
run ragged --rw=randwrite --bsrange=512-96k --bs_unaligned=1 --size=24m --fdatasync=200 --ioengine=psync
run mapped --rw=randwrite --bs=4k --size=32m --ioengine=mmap --fsync=500
run direct --rw=randwrite --bs=16k --size=32m --ioengine=psync --direct=1
run parallel --rw=randrw --bs=8k --size=8m --numjobs=4 --ioengine=psync --fsync=100
remount
for again in "buffered --bs=4k --size=48m --ioengine=psync" "mapped --bs=4k --size=32m --ioengine=mmap" \
    "direct --bs=16k --size=32m --ioengine=psync --direct=1"; do
    read -ra words <<<"$again"
    run "${words[@]}" --rw=randwrite --verify_only=1
done
