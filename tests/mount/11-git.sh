#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# git clones this very repository into the mount, commits, branches, repacks and checks
# it; after a remount everything is there and in the index of git unchanged.
. "$(dirname "$0")/lib.sh"
need git

export GIT_CONFIG_GLOBAL=$TMP/gitconfig GIT_CONFIG_SYSTEM=/dev/null
git config --global user.name Tester
git config --global user.email tester@example.org
git config --global safe.directory '*'
git config --global gc.auto 0
if ! git -C "$ROOT" rev-parse HEAD >/dev/null 2>&1; then
    # From an archive without history: any repository will do.
    cp -r "$ROOT/src" "$TMP/origin"
    git -C "$TMP/origin" init -q
    git -C "$TMP/origin" add -A
    git -C "$TMP/origin" commit -qm "everything"
    ORIGIN=$TMP/origin
fi
make_vault
mount_vault
git clone -q --no-local "${ORIGIN:-$ROOT}" "$MNT/clone"
cd "$MNT/clone"
same "changes after the clone" "" "$(git status --porcelain)"
git fsck --full --strict 2>"$TMP/said" || fail "git fsck after the clone"
git checkout -q -b work
for i in $(seq 1 20); do
    echo "line $i" >>notes.txt
    git add notes.txt
    git commit -qm "note $i"
done
git branch -q other HEAD~10
git checkout -q other
git checkout -q work
git gc -q --prune=now
git fsck --full --strict 2>"$TMP/said" || fail "git fsck after gc"
head=$(git rev-parse HEAD)
cd /
remount
cd "$MNT/clone"
same "the commit after the remount" "$head" "$(git rev-parse HEAD)"
# What makes git read every file again: a changed inode number, ctime or size.
same "files that git believes changed" "" "$(GIT_OPTIONAL_LOCKS=0 git diff-files --name-only)"
git fsck --full --strict 2>"$TMP/said" || fail "git fsck after the remount"
git clone -q . "$MNT/second"
same "the clone of the clone" "$head" "$(git -C "$MNT/second" rev-parse HEAD)"
git worktree add -q "$MNT/tree" other
git stash list >/dev/null
same "the worktree" "line 10" "$(tail -n 1 "$MNT/tree/notes.txt")"
