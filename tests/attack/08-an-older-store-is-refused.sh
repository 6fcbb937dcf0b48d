#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 8: any single object, then the whole store, of an older snapshot: unmounted and
# mounted.  Refused, and latched, until the store is whole again or the user accepts,
# which loses nothing that this device has.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
close_vault
keep old
opens "nothing is wrong"
whole "nothing is wrong"
echo newer >"$TRUTH/newer" && cp -a "$TRUTH/newer" "$MNT/"
head -c 70000 /dev/urandom >"$TRUTH/folder/3" && cp "$TRUTH/folder/3" "$MNT/folder/3"
flush_vault
close_vault
# Single objects. Objects are never rewritten, so what an old snapshot has of one is that
# very object, or nothing.
for object in $(cd "$STORE" && find segments -type f | sort); do
    [ -f "$TMP/kept-old/store/$object" ] || continue
    cp -af "$TMP/kept-old/store/$object" "$STORE/$object"
done
opens "single objects restored are the same objects"
whole "single objects restored are the same objects"
close_vault
keep new

# The whole store: refused, twice, in both languages, and nothing is touched.
back_store old
for _ in 1 2; do unchanged "the refusal" refused 7 "an older store"; done
id=$(sed -n 's/^ECL-0320 .*object \([0-9a-f]*\)).*/\1/p' "$TMP/said")
[ -f "$TMP/kept-new/store/segments/${id:0:2}/${id:2}" ] || fail "the log names no object that is gone: $(cat "$TMP/said")"
says "^ecluse: $(path_of "$id"): the store is older than what this device has already seen"
says "ecluse accept --older $STORE"
unchanged "a refused read-only mount" eval '! open_vault -o ro'
# Without a terminal, or with another answer than yes, it stays refused.
accept() { "$ECLUSE" accept --older --keyfile "$KEY" --state "$STATE" "$@" "$STORE" >"$TMP/said" 2>&1 </dev/null; }
expect_exit 7 "$ECLUSE" accept --older --keyfile "$KEY" --state "$STATE" "$STORE" </dev/null
says 'not accepted'
refused 7 "after a question that nobody answered"
"$TOOLS/terminal" -e no -- "$ECLUSE" accept --older --keyfile "$KEY" --state "$STATE" "$STORE" >"$TMP/said" 2>&1 && fail "no was taken for yes"
says 'lacks what this device has already seen'
refused 7 "after a no"
expect_exit 1 "$ECLUSE" accept --keyfile "$KEY" --state "$STATE" "$STORE"

# It is a latch of what was seen and not of the store: one that catches up is right again.
back_store new
opens "the store caught up"
whole "the store caught up"
close_vault

# The same with an intent on its way when the daemon died, and half of it in the store.
if [ -x "$ROOT/build/faults/ecluse" ] && case $ECLUSE in */faults/*) true ;; *) false ;; esac; then
    ECLUSE_FAULT=publication:kill open_vault
    head -c 9000 /dev/urandom >"$TRUTH/on-its-way" && cp "$TRUTH/on-its-way" "$MNT/"
    pid=$(daemon_pid)
    flush_vault 2>"$TMP/said" && fail "the point was not passed"
    until_true gone "$pid"
    umount -l "$MNT" 2>/dev/null || true
    back_store old
    refused 7 "an older store, with a publication on its way"
    back_store new
    opens "the publication is completed"
    whole "the publication is completed"
    close_vault
    keep new
fi

# While mounted: what is open, or read again, is the truth or EIO; nothing is published
# upon it; the user is told; and when the store is whole again all goes on.
opens "before the store goes back"
mv "$STORE/segments" "$TMP/segments.new" && cp -a "$TMP/kept-old/store/segments" "$STORE/"
agrees "gone back while mounted"
same "status says so" true "$(status_field older)"
"$ECLUSE" status --state "$STATE" "$MNT" >"$TMP/said" && says 'lacks what this device has already seen'
echo meanwhile >"$TRUTH/meanwhile" && cp "$TRUTH/meanwhile" "$MNT/"
expect_exit 7 flush_vault
same "nothing was put into it" "$(cd "$TMP/kept-old/store" && find . -type f | sort)" "$(cd "$STORE" && find . -type f | sort)"
agrees "gone back while mounted, and written to"
rm -rf "$STORE/segments" && mv "$TMP/segments.new" "$STORE/segments"
flush_vault || fail "the store is whole again, and it does not publish"
whole "whole again while mounted"
# And unmounted while it is older.
mv "$STORE/segments" "$TMP/segments.new" && cp -a "$TMP/kept-old/store/segments" "$STORE/"
echo later >"$TRUTH/later" && cp "$TRUTH/later" "$MNT/"
close_vault && fail "the unmount says that it published"
grep -q 'older than what this device' "$TMP/said.umount" || fail "the unmount does not say why: $(cat "$TMP/said.umount")"
refused 7 "unmounted while it was older"

# Accepted: what was not published is published, names stay, what is gone is named.
"$TOOLS/terminal" -e yes -- "$ECLUSE" accept --older --keyfile "$KEY" --state "$STATE" "$STORE" >"$TMP/said" 2>&1 || fail "accept: $(cat "$TMP/said")"
says 'publications of this device: [1-9]'
says '^  /?folder/3'
opens "after accept"
agrees "after accept"
[ "$eio" -gt 0 ] || fail "contents that are gone were read"
same "what was not published is in the store" later "$(cat "$MNT/later")"
[ "$(status_field missing)" -gt 0 ] || fail "nothing is missing"
echo on >"$TRUTH/on" && cp "$TRUTH/on" "$MNT/"
flush_vault || fail "after accept nothing is published"
agrees "after accept and a publication"
close_vault
keep accepted
# A check names what is absent, and takes it for no attack.
expect_exit 8 "$ECLUSE" check --json --keyfile "$KEY" --state "$STATE" "$STORE"
says '"not_arrived": [1-9][0-9]*, "damaged": 0, "attack": 0'
# Whoever recovers from it has the same tree, for a checkpoint closes the gap: all files
# but those whose contents are gone, and these with an error.
recover() { "$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered" "$@" "$STORE"; }
expect_exit 0 recover
says '^  Device [0-9a-f]{8}: publication [0-9]+, .*: [a-z]+ [a-z]+ [a-z]+ [a-z]+$'
says 'lacks, as was accepted: [1-9]'
if grep -qE 'Publications (left out|of other)' "$TMP/said"; then fail "something is left out: $(cat "$TMP/said")"; fi
lost=$eio device=$STATE
(cd "$TRUTH" && find . -printf '%p|%y|%m|%s|%l\n' | sort) >"$TMP/tree.truth"
STATE=$TMP/recovered
opens "recovered after accept"
(cd "$MNT" && find . -printf '%p|%y|%m|%s|%l\n' | sort) >"$TMP/tree.recovered"
same "the tree" "$(sed 's/|d|\([0-7]*\)|[0-9]*|/|d|\1||/' "$TMP/tree.truth")" "$(sed 's/|d|\([0-7]*\)|[0-9]*|/|d|\1||/' "$TMP/tree.recovered")"
agrees "recovered after accept"
same "blocks that are gone" "$lost" "$eio"
# It goes on: what it publishes can be recovered in turn, also when it changes a file whose
# contents are gone.
echo recovered >"$MNT/recovered-here" && chmod 600 "$MNT/folder/3"
close_vault || fail "the recovered device does not publish: $(cat "$TMP/said.umount")"
mv "$TMP/recovered" "$TMP/recovered.1"
expect_exit 0 recover
opens "recovered once more"
same "what the recovered device wrote" recovered "$(cat "$MNT/recovered-here")"
same "what it changed" 600 "$(stat -c %a "$MNT/folder/3")"
close_vault
rm -r "$TMP/recovered" "$TMP/recovered.1"
STATE=$device
back accepted
# An even older one is refused again.
rm -r "$STORE/segments" && cp -a "$TMP/kept-old/store/segments" "$STORE/"
refused 7 "older again"
back accepted
# What comes back is readable again.
cp -an "$TMP/segments.new/." "$STORE/segments/"
opens "the lost objects came back"
whole "the lost objects came back"
close_vault
accept --yes || fail "accept without need: $(cat "$TMP/said")"
says 'nothing to accept'
keep whole

# A round of gc that nobody asked for makes no checkpoint in a store that went back, which would then
# look whole, and removes nothing from it.
gc() { "$ECLUSE" gc "$@" --state "$STATE" "$MNT" >/dev/null; }
stored() { (cd "$STORE" && find . -type f | sort); }
case $ECLUSE in */faults/*)
    back whole
    export ECLUSE_CLOCK=$TMP/clock
    echo 0 >"$ECLUSE_CLOCK"
    opens "before gc"
    head -c 2000000 /dev/urandom >"$MNT/dead" && flush_vault && rm "$MNT/dead" && flush_vault
    gc || fail "no gc"
    close_vault
    opens "with nothing to publish" -o publish_every=1s
    mv "$STORE/segments" "$TMP/segments.gc" && cp -a "$TMP/kept-old/store/segments" "$STORE/"
    before=$(stored)
    echo $((40 * 86400)) >"$ECLUSE_CLOCK"
    round() { grep -q 'ECL-0433 gc: E_OLDER_STATE' "$TMP/said" || [ "$before" != "$(stored)" ]; }
    until_true round
    same "what a round of gc did to an older store" "$before" "$(stored)"
    same "status still says so" true "$(status_field older)"
    expect_exit 7 "$ECLUSE" gc --now --state "$STATE" "$MNT"
    same "what gc --now did to an older store" "$before" "$(stored)"
    rm -r "$STORE/segments" && mv "$TMP/segments.gc" "$STORE/segments"
    flush_vault || fail "the store is whole again, and it does not publish"
    whole "whole again after gc"
    close_vault
    unset ECLUSE_CLOCK
    ;;
esac

# Once gc has removed what carried old publications, an older store is accepted all the same: one
# that has nothing, and one from before those, whose date is told.
back whole
opens "before objects go"
head -c 15000000 /dev/urandom >"$TRUTH/early" && cp "$TRUTH/early" "$MNT/" && flush_vault
close_vault
keep early
opens "objects go"
for k in 1 2 3; do echo "$k" >"$MNT/again" && flush_vault; done
rm "$MNT/again"
gc --now || fail "no gc"
close_vault
keep collected
for way in nothing early; do
    back collected
    case $way in early) back_store early ;; *) rm -r "$STORE/segments"/* ;; esac
    refused 7 "after gc, a store with $way"
    accept --yes || fail "accept after gc, a store with $way: $(cat "$TMP/said")"
    case $way in early) date='[0-9]{4}-.*' ;; *) date=never ;; esac
    says "publications of this device: [1-9][0-9]* \\(the last one that is there: $date\\)"
    opens "accepted after gc, with $way"
    agrees "accepted after gc, with $way"
    [ "$way" = nothing ] || cmp "$MNT/early" "$TRUTH/early" || fail "what is there is not read"
    echo more >"$MNT/more" && flush_vault || fail "accepted after gc, with $way: nothing is published"
    same "what is published then" more "$(cat "$MNT/more")"
    close_vault
    opens "accepted after gc, with $way, again"
    close_vault
done
