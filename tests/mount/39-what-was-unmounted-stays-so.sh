#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A mount with --rebuild whose state is damaged while it lasts: the unmount says so and
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault --rebuild
for k in $(seq 200); do mkdir "$MNT/folder$k" && echo "$k" >"$MNT/folder$k/file"; done
"$ECLUSE" flush --state "$STATE" "$MNT"
pid=$(daemon_pid)
for file in "$STATE"/*/index.db*; do
    size=$(stat -c %s "$file")
    dd if=/dev/urandom of="$file" bs=4096 seek=1 count=$((size / 4096 - 1)) conv=notrunc status=none
done
(for k in $(seq 300); do mkdir "$MNT/more$k" || break; done) 2>/dev/null || true
expect_exit 11 "$ECLUSE" umount --state "$STATE" "$MNT"
until_true gone "$pid"
same "rebuilt unasked" "" "$(find "$STATE" -name 'damaged-*')"
mount_vault --rebuild
same "what was published" 200 "$(cat "$MNT/folder200/file")"
umount_vault
