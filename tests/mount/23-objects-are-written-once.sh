#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Whoever watches the store sees objects appear whole, under their final name, and
# never change: no other name, no write, over a busy session and a kill.
. "$(dirname "$0")/lib.sh"

make_vault
touch "$TMP/events"
# With short names, lest it be taken for a daemon of this test's.
(cd "$TMP" && exec "$TOOLS/watch" store events) &
watcher=$!
until_true grep -q '^ready' "$TMP/events"
sums() { find "$STORE" -type f -exec sha256sum {} + | sort -k 2; }

mount_vault
for round in 1 2 3; do
    mkdir "$MNT/$round"
    for k in $(seq 60); do head -c $((k * 3000)) /dev/urandom >"$MNT/$round/$k"; done
    dd if=/dev/urandom of="$MNT/large" bs=1M count=20 conv=notrunc status=none
    "$ECLUSE" flush --state "$STATE" "$MNT"
    [ "$round" = 1 ] || expect "objects of before are as they were" \
        test -z "$(comm -23 <(sort "$TMP/sums") <(sums | sort))"
    sums >"$TMP/sums"
    [ "$round" != 2 ] || { kill_daemon && mount_vault; }
    rm -r "${MNT:?}/$round"
done
umount_vault
expect "nothing is gone or changed" test -z "$(comm -23 <(sort "$TMP/sums") <(sums | sort))"
sleep_free() { read -rt 0.2 <> <(:) || true; }
sleep_free
kill "$watcher"
grep -q OVERFLOW "$TMP/events" && fail "the watcher lost events"
# A move into place is seen as MOVED_TO, or as CREATE when the name is a new link.
# A mount asks with a file without a name (O_TMPFILE) whether it may write.
strange=$(grep -vE '^(ready|CLOSE_WRITE /segments/#[0-9]+|(MOVED_TO|CREATE|ATTRIB) /segments/[0-9a-f]{2}/[0-9a-f]{30})$' "$TMP/events" || true)
same "only whole objects under final names" "" "$strange"
same "nothing was modified" "" "$(grep -E '^MODIFY' "$TMP/events" || true)"
doubled=$(grep -E '^(MOVED_TO|CREATE) ' "$TMP/events" | cut -d' ' -f2 | sort | uniq -d)
same "no name appeared twice" "" "$doubled"
[ "$(grep -cE '^(MOVED_TO|CREATE) ' "$TMP/events")" = "$(find "$STORE/segments" -type f | wc -l)" ] ||
    fail "events and objects are not as many"
modes=$(find "$STORE/segments" -type f -printf '%m %TY\n' | sort -u)
same "modes and times are constant" "444 2000" "$modes"
