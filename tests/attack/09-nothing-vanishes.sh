#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 9: any object, a fan-out directory, all objects are deleted, and come back: an error
# or a refusal for what is gone, never a shorter listing; and no alarm once it is back.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
close_vault
keep good

gone() { # gone WHY : after something was removed
    if open_vault; then
        agrees "$1"
        same "$1: refused" 0 "$(status_field refused)"
        same "$1: it is missing, and no alarm" false "$(status_field older)"
        [ "$(status_field missing)" -gt 0 ] || fail "$1: nothing is missing"
        [ "$eio" = 0 ] || says 'ECL-0201 segment [0-9a-f]{32}: E_NOT_ARRIVED'
        # What is written meanwhile is published.
        echo x >"$MNT/x" && flush_vault && rm "$MNT/x"
        flush_vault || fail "$1: it does not publish"
        close_vault
        missing=$((missing + 1))
    else
        says 'older than what this device'
        older=$((older + 1))
    fi
}
missing=0 older=0
for object in $(all_objects); do
    rm -f "$object"
    gone "$object deleted"
    if [ "$(ls "$TMP/kept-good/store/segments" | wc -l)" = 256 ]; then cp -an "$TMP/kept-good/store/segments/." "$STORE/segments/"; fi
    opens "$object is back"
    whole "$object is back"
    close_vault
    back good
done
echo "$missing times missing, $older times older"
[ $missing -gt 0 ] && [ $older -gt 0 ] || fail "one of both never happened"

# While mounted, one after another until none is left; then all come back.
opens "nothing is wrong"
whole "nothing is wrong"
mkdir "$TMP/away"
for object in $(all_objects); do
    mv "$object" "$TMP/away/$(id_of "$object")"
    agrees "$object deleted while mounted"
done
same "status says what is missing" "$(find "$TMP/away" -type f | wc -l)" "$(status_field missing)"
rm -r "$STORE/segments"
agrees "no directory is left"
mkdir "$STORE/segments"
for k in "$TMP"/away/*; do
    mkdir -p "$(dirname "$(path_of "${k##*/}")")"
    mv "$k" "$(path_of "${k##*/}")"
done
whole "all is back"
close_vault || fail "the unmount: $(cat "$TMP/said.umount")"
# What was published and replaced since is history; shown again it is neither news nor alarm.
opens "nothing is wrong"
head -c 5000 /dev/urandom >"$TRUTH/last" && cp "$TRUTH/last" "$MNT/" && flush_vault
close_vault
cp -an "$TMP/kept-good/store/segments/." "$STORE/segments/"
opens "old objects are shown again"
whole "old objects are shown again"
same "unseen" 0 "$(status_field unseen)"
close_vault
