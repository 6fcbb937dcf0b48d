#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 5: any object in the place of any other one, within a vault and from another vault of
# the same owner under the same key; the whole store of the one in the place of the other's.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
close_vault
keep good
first=$STORE first_state=$STATE first_dir=$DIR

# pair A B : A's bytes under B's name
moved() {
    local why=$1
    if open_vault; then
        agrees "$why"
        if [ "$eio" -gt 0 ]; then says "ECL-0201 segment [0-9a-f]{32}: E_AUTH"; fi
        [ "$eio" -gt 0 ] || [ "${2:-}" = unread ] || lied=$((lied + 1))
        close_vault || true
    else
        says 'E_OLDER_STATE|older than what this device'
    fi
    tries=$((tries + 1))
}
tries=0 lied=0
mapfile -t all < <(all_objects)
for a in "${all[@]}"; do
    for b in "${all[@]}"; do
        [ "$a" != "$b" ] || continue
        cp -p --remove-destination "$a" "$b"
        moved "$a copied over $b"
        back good
    done
done
# Exchanged, and all of them in a circle.
mv "${all[0]}" "$TMP/x" && mv "${all[1]}" "${all[0]}" && mv "$TMP/x" "${all[1]}"
moved "two objects exchanged"
back good
echo "$tries exchanges of ${#all[@]} objects, $lied of them in objects that nobody reads (only rows)"
[ $lied -lt $tries ] || fail "no exchange was noticed"

# Another vault of the same owner: same key, same tree.
STORE=$TMP/store2 STATE=$TMP/state SHEET=$TMP/sheet2
make_attacked_beside() { "$ECLUSE" init --keyfile "$KEY" --recovery-out "$SHEET" --state "$STATE" "$STORE" >/dev/null; }
make_attacked_beside
mkdir "$TMP/mnt2"
"$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$STORE" "$TMP/mnt2"
mkdir "$TMP/mnt2/folder" && cp -a "$TRUTH/." "$TMP/mnt2/" && echo "of the second vault" >"$TMP/mnt2/last"
"$ECLUSE" umount "$TMP/mnt2"
mapfile -t others < <(all_objects)
second=$STORE STORE=$first
for k in "${!all[@]}"; do
    cp -p --remove-destination "${others[$((k % ${#others[@]}))]}" "${all[$k]}"
done
if open_vault; then
    agrees "objects of another vault"
    same "blocks of another vault that were read" 0 "$blocks"
    says 'ECL-0201 segment .*: E_AUTH'
    close_vault || true
fi
STATE=$first_state DIR=$first_dir
back good
# Beside our own ones they are foreign.
for o in "${others[@]}"; do
    id=$(id_of "$o")
    cp -p "$o" "$(path_of "$id")"
done
opens "objects of another vault beside ours"
agrees "objects of another vault beside ours"
same "all is there" 0 "$eio"
same "objects of another vault are counted" "${#others[@]}" "$(status_field foreign)"
says 'ECL-0322 object'
close_vault
back good

# The stores exchanged: each vault stands where the other one was.
mv "$first" "$TMP/x" && mv "$second" "$first" && mv "$TMP/x" "$second"
for _ in 1 2; do unchanged "the refusal" refused 7 "another vault at this path"; done
says "^ecluse: $STORE: another vault of yours was last seen here"
says "ecluse accept --other $STORE"
says 'ECL-0327'
STORE=$second refused 7 "another vault at the other path"
expect_exit 7 "$ECLUSE" accept --other --keyfile "$KEY" --state "$STATE" "$first" </dev/null
refused 7 "nobody accepted it"
expect_exit 0 "$ECLUSE" accept --other --yes --keyfile "$KEY" --state "$STATE" "$first"
opens "accepted"
same "the other vault" "of the second vault" "$(cat "$MNT/last")"
close_vault
# What was exchanged back by whoever moved them is no alarm where the vault always was.
mv "$first" "$TMP/x" && mv "$second" "$first" && mv "$TMP/x" "$second"
opens "back at its place"
whole "back at its place"
close_vault
# A store that is moved to where nobody was is no alarm.
mv "$STORE" "$TMP/moved" && STORE=$TMP/moved
opens "moved"
whole "moved"
close_vault
