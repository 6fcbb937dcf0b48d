#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# After a kill at any step of a commit or a publication the store passes every check,
# with the state as it was left, with the recovery key, and without a key.
. "$(dirname "$0")/../mount/lib.sh"

KEY=$TMP/key
(umask 077 && head -c 64 /dev/urandom >"$KEY")
mkdir "$MNT"
"$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null
open_vault() { "$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$MNT"; }
close_vault() { "$ECLUSE" umount --state "$STATE" "$MNT"; }
open_vault
make_tree "$MNT/tree"
close_vault
work() {
    head -c 300000 /dev/urandom >"$MNT/large $1"
    echo "small $1" >"$MNT/small"
    sync "$MNT/small"
    head -c 100000 /dev/urandom | dd of="$MNT/tree/documents/2025/new" conv=notrunc status=none
    "$ECLUSE" flush --state "$STATE" "$MNT"
    close_vault
}
kills=0
for point in segment_append segment_sync segment_footer journal_append commit wal_write intent store_rename \
    store_dir_sync publication mark_published staging_cleanup staging_create; do
    for nth in 1 3; do
        if ECLUSE_FAULT=$point:kill:$nth open_vault >"$TMP/said" 2>&1; then
            work "$kills" >"$TMP/said" 2>&1 || true
        fi
        until_true no_daemon
        umount -l "$MNT" 2>/dev/null || true
        for form in "--keyfile $KEY --state $STATE --read-data" "--recovery-file $SHEET --read-data" --no-key; do
            # shellcheck disable=SC2086
            expect_exit 0 "$ECLUSE" check $form "$STORE"
        done
        kills=$((kills + 1))
    done
done
open_vault
close_vault
echo "$kills kills"
