#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The daemon is killed while the kernel writes back pages that it asked for: its thread
# waits in the kernel for an answer that only itself could give.  The mount must
# be dead all the same, not hang, and the vault can be mounted again.
. "$(dirname "$0")/../mount/lib.sh"

# A program that renames over a document what it has written and not yet closed, then
# syncs the directory: one process, as each close, of a copy too, would write it back.
# shellcheck disable=SC2016
program='use Fcntl; use IO::Handle; my ($dir, $text) = @ARGV;
    open(my $f, ">", "$dir/new") or die; syswrite($f, $text) or die;
    rename("$dir/new", "$dir/document") or die;
    sysopen(my $d, $dir, O_RDONLY) or die; exit($d->sync ? 0 : 1)'

make_vault
mount_vault
echo old >"$MNT/document"
umount_vault
for round in 1 2 3; do
    # The head of the new segment is the first append, its block the second.
    ECLUSE_FAULT=segment_append:kill:2 mount_vault
    pid=$(daemon_pid)
    expect_exit 1 timeout -k 1 20 perl -e "$program" "$MNT" "new $round"
    until_true gone "$pid"
    not_connected() { ! timeout 5 ls "$MNT" >/dev/null 2>"$TMP/said" && grep -q 'not connected' "$TMP/said"; }
    until_true not_connected
    mount_vault
    grep -qxE "old|new [0-9]" "$MNT/document" || fail "neither old nor new: $(cat "$MNT/document")"
    umount_vault
done
orphans() { pgrep -P 1 -f '^ecluse sentinel [0-9]+ [0-9]+$'; }
no_orphans() { ! orphans >/dev/null; }
until_true no_orphans
