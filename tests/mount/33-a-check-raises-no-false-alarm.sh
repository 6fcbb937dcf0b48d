#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# While the vault is written to and published, checks find nothing wrong, with and
# without keys; copies of a state that go on apart are no attack; a sync client that
# delivers object by object, in any order and in pieces, never looks like one.
#
# SECONDS_BUSY may be given.
. "$(dirname "$0")/lib.sh"

make_vault
mount_vault
busy() {
    local i=0
    while [ ! -e "$TMP/stop" ]; do
        i=$((i + 1))
        head -c $((RANDOM * 20 + 10)) /dev/urandom >"$MNT/file $((i % 40))"
        [ $((i % 5)) != 0 ] || "$ECLUSE" flush --state "$STATE" "$MNT"
        [ $((i % 150)) != 0 ] || head -c 20000000 /dev/urandom >"$MNT/large"
    done
}
busy &
writer=$!
end=$((SECONDS + ${SECONDS_BUSY:-8})) checks=0
while [ $SECONDS -lt $end ]; do
    expect_exit 0 "$ECLUSE" check --recovery-file "$SHEET" --read-data "$STORE"
    expect_exit 0 "$ECLUSE" check --no-key "$STORE"
    checks=$((checks + 2))
done
touch "$TMP/stop"
wait $writer
umount_vault
expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" --read-data "$STORE"
echo "$checks checks beside $(sed -n 's/^Publications: \([0-9]*\).*/\1/p' "$TMP/said") publications"

# Two copies of the state, each with publications that the other does not know.
cp -a "$STATE" "$TMP/state.copy"
mount_vault && echo a >"$MNT/a" && umount_vault
mv "$STATE" "$TMP/state.a" && mv "$TMP/state.copy" "$STATE"
mount_vault 2>/dev/null && echo b >"$MNT/b" && umount_vault
for copy in "$STATE" "$TMP/state.a"; do
    expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$copy" "$STORE"
    grep -q 'other devices.*: 1$' "$TMP/said" || fail "the other branch is not counted: $(cat "$TMP/said")"
done

# The store arrives elsewhere, by name, in a random order, half an object at a time.
mkdir "$TMP/arriving"
(cd "$STORE" && find . -type d -exec mkdir -p "$TMP/arriving/{}" \; && cp vault-* "$TMP/arriving/")
n=0 waits=0
while read -r object; do
    n=$((n + 1))
    # In place, as rsync --inplace does, and at last whole.
    head -c 70000 "$STORE/$object" >"$TMP/arriving/$object"
    if [ $((n % 12)) = 0 ]; then
        code=0
        "$ECLUSE" check --recovery-file "$SHEET" --json "$TMP/arriving" >"$TMP/json" || code=$?
        verdict=$(sed -n 's/^  "verdict": "\([a-z_]*\)".*/\1/p' "$TMP/json")
        case $code,$verdict in 0,ok) ;; 8,not_arrived) waits=$((waits + 1)) ;; *) fail "$code $verdict: $(cat "$TMP/json")" ;; esac
    fi
    cp "$STORE/$object" "$TMP/arriving/$object"
done < <(cd "$STORE" && find segments -type f | shuf | head -n 120)
expect "something was waited for" [ $waits -gt 0 ]
rm -rf "$TMP/arriving"
