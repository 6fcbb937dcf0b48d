#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# What was deleted leaves the store: dead objects after the grace or at once when asked,
# what is left of sparse and small ones in new objects; the tree stays as it is, also
# for whoever recovers, and while programs write.  A damaged object is left alone, and
# nothing is removed while another device publishes into the store.
. "$(dirname "$0")/lib.sh"

flush() { "$ECLUSE" flush --state "$STATE" "$MNT"; }
gc() { "$ECLUSE" gc --json --state "$STATE" "$@"; }
field() { sed 's/[{},]/\n/g' "$TMP/gc" | sed -n "s/^ *\"$1\": *\([0-9]*\)$/\1/p"; }
kib() { find "$STORE/segments" -type f -printf '%s\n' | awk '{ s += $1 } END { print int(s / 1024) }'; }
count() { find "$STORE/segments" -type f | wc -l; }
same_tree() { tree "$MNT" | cmp - "$TMP/tree" || fail "$1"; }

make_vault
mount_vault
make_tree "$MNT/tree"
mkdir "$MNT/big"
for k in $(seq 1 40); do head -c 1000000 /dev/urandom >"$MNT/big/$k" && flush; done
for k in $(seq 1 12); do echo "note $k" >"$MNT/note" && flush; done
for k in $(seq 1 2 40); do rm "$MNT/big/$k"; done
cp --reflink=auto "$MNT/big/2" "$MNT/copy" # may share blocks
tree "$MNT" >"$TMP/tree"
flush

# By itself it waits for the grace: what is emptied stays for the time being.
before=$(kib)
gc "$MNT" >"$TMP/gc"
same "objects removed within the grace" 0 "$(field removed)"
[ "$(kib)" -ge "$before" ] || fail "something went within the grace"
[ "$(status_field dead)" -gt 20 ] || fail "nothing is dead: $(cat "$TMP/gc")"
now=$(date +%s) until=$(status_field dead_until)
[ $((until - now)) -gt $((29 * 86400)) ] && [ $((until - now)) -le $((30 * 86400)) ] || fail "goes in $((until - now)) s"
"$ECLUSE" status --state "$STATE" "$MNT" | grep -q 'To be removed' || fail "status says nothing of it"
same_tree "another tree after compaction"

# At once; also by the store's path.
gc --now "$STORE" >"$TMP/gc"
[ "$(field removed)" -gt 40 ] || fail "few were removed: $(cat "$TMP/gc")"
live=$(du -sk --apparent-size "$MNT/big" "$MNT/tree" | awk '{ s += $1 } END { print s }')
[ "$(kib)" -lt $((before * 2 / 3)) ] || fail "$(kib) KiB are left of $before"
same_tree "another tree after gc"
echo "$before KiB became $(kib) KiB in $(count) objects, for $live KiB of files"
count=$(count)
gc --now "$MNT" >"$TMP/gc"
[ "$(count)" -le $((count + 2)) ] || fail "again and again there are more"
store_is_opaque

# Whoever recovers finds the same, and collects in turn.
umount_vault
"$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/second" "$STORE" >"$TMP/said" 2>&1 ||
    fail "recover: $(cat "$TMP/said")"
first=$STATE STATE=$TMP/second
mount_vault -o grace=0
same_tree "another tree after a recovery"
rm "$MNT/big/2" "$MNT/copy"
tree "$MNT" >"$TMP/tree.second"
flush
gc --now "$MNT" >"$TMP/gc"
tree "$MNT" | cmp - "$TMP/tree.second" || fail "another tree after the gc of who recovered"
"$ECLUSE" umount --state "$STATE" "$MNT" && until_true no_daemon

# The first device, meanwhile, sees that another one publishes: nothing goes.
STATE=$first
mount_vault
rm "$MNT/big/4"
objects >"$TMP/before"
expect_exit 10 "$ECLUSE" gc --now --state "$STATE" "$MNT"
wrote_once "$TMP/before"
umount_vault
# A damaged object is left alone, and said so; the others go.
STORE=$TMP/store3 STATE=$TMP/state3 SHEET=$TMP/sheet3
make_vault
mount_vault
for k in $(seq 1 6); do head -c 40000 /dev/urandom >"$MNT/$k" && flush; done
victim=$(find "$STORE/segments" -type f | sort | head -n 1)   # each holds a file; what comes yet, times only
sha256sum "$MNT"/[2-6] >"$TMP/sums"
umount_vault
chmod u+w "$victim" && printf XXXX | dd of="$victim" bs=1 seek=20000 conv=notrunc status=none && chmod a-w "$victim"
mount_vault
gc --now "$MNT" >"$TMP/gc"
same "damaged objects" 1 "$(field damaged)"
[ -e "$victim" ] || fail "what cannot be read was removed"
[ "$(grep -c . <(sha256sum "$MNT"/[1-6] 2>/dev/null))" = 5 ] || fail "not the other five files"
umount_vault

# Nothing is lost while programs write, truncate and delete.
STORE=$TMP/store4 STATE=$TMP/state4 SHEET=$TMP/sheet4
make_vault
mount_vault -o grace=0
mkdir "$MNT/w"
for k in $(seq 1 8); do head -c 50000 /dev/urandom >"$MNT/w/still$k" && flush; done
sha256sum "$MNT"/w/still* >"$TMP/still"
python3 - "$MNT/w" "$TMP/written" <<'P' &
import os, random, sys, hashlib
d, out = sys.argv[1:]
random.seed(1)
want = {}
for n in range(1500):
    k = random.randrange(12)
    p = f"{d}/moving{k}"
    what = random.randrange(4)
    if what == 0 or k not in want:
        want[k] = bytearray(random.randbytes(random.randrange(1, 90000)))
        open(p, "wb").write(want[k])
    elif what == 1:
        at = random.randrange(len(want[k]) + 1); b = random.randbytes(random.randrange(1, 20000))
        with open(p, "r+b") as f: f.seek(at); f.write(b)
        want[k][at:at + len(b)] = b
    elif what == 2:
        n = random.randrange(len(want[k]) + 1)
        os.truncate(p, n); del want[k][n:]
    else:
        os.unlink(p); del want[k]
with open(out, "w") as f:
    for k in sorted(want): f.write(f"{hashlib.sha256(want[k]).hexdigest()}  {d}/moving{k}\n")
P
writer=$!
rounds=0
while kill -0 $writer 2>/dev/null; do gc --now "$MNT" >"$TMP/gc" && rounds=$((rounds + 1)); done
wait $writer || fail "the writer failed"
gc --now "$MNT" >"$TMP/gc"
sha256sum --quiet -c "$TMP/still" "$TMP/written" || fail "other contents while collecting"
remount -o grace=0
sha256sum --quiet -c "$TMP/still" "$TMP/written" || fail "other contents after a remount"
umount_vault
"$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$TMP/state5" "$STORE" >"$TMP/said" 2>&1
STATE=$TMP/state5
mount_vault
sha256sum --quiet -c "$TMP/still" "$TMP/written" || fail "other contents after a recovery"
same "missing objects" 0 "$(status_field missing)"
umount_vault
echo "$rounds rounds while a program wrote"
