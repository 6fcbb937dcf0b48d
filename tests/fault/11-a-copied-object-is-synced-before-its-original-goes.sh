#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Store and state on different disks: an object is copied, and the staged file is the
# only durable copy until the store's directory is synced.  The store loses its power
# just before that, while the state goes on and makes durable whatever it did.
. "$(dirname "$0")/../mount/lib.sh"
. "$(dirname "$0")/disks.sh"

new_disk state ext4 200M
new_disk store "${1:-ext4}" 400M
STATE=$TMP/disks/state/state STORE=$TMP/disks/store/store
make_vault
export ECLUSE_FAULT_LOG=$TMP/points ECLUSE_FAULT=store_dir_sync:delay=3000:*
mount_vault
unset ECLUSE_FAULT
head -c 3000000 /dev/urandom >"$MNT/file"
sync "$MNT/file"
sha256sum <"$MNT/file" >"$TMP/sum"
"$ECLUSE" flush --state "$STATE" "$MNT" >"$TMP/said" 2>&1 &
flush=$!
arrived() { grep -qx store_dir_sync "$TMP/points" && [ -n "$(find "$STORE/segments" -type f)" ]; }
until_true arrived
# The state's disk commits its journal, with all that was done to its names so far.
sync -f "$STATE"
cut_power store
if wait $flush; then fail "a flush to a store without power said that it was done"; fi
kill_daemon
power_on store
mount_vault
sha256sum <"$MNT/file" | expect "the file is there" cmp - "$TMP/sum"
"$ECLUSE" flush --state "$STATE" "$MNT"
same "missing" 0 "$(status_field missing)"
same "what stays in staging" "" "$(find "$STATE" -path '*/staging/*')"
remount
sha256sum <"$MNT/file" | expect "the file is in the store" cmp - "$TMP/sum"
umount_vault
