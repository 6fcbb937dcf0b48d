#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# rsync, tar and zip carry a tree into the mount and out of it again with everything that
# it has, and find nothing to do the second time.
. "$(dirname "$0")/lib.sh"
need rsync tar zip unzip setfattr

# Without inode numbers, ctimes and the times of directories that tools set last.
same_trees() { # same_trees SENTENCE A B
    tree "$2" >"$TMP/a"
    tree "$3" >"$TMP/b"
    cmp "$TMP/a" "$TMP/b" || fail "$1"
    (cd "$2" && find . -type f -printf '%P %n %T@\n' | sort) >"$TMP/a"
    (cd "$3" && find . -type f -printf '%P %n %T@\n' | sort) >"$TMP/b"
    cmp "$TMP/a" "$TMP/b" || fail "$1: times or links"
    (cd "$2" && find . -print0 | sort -z | xargs -0 getfattr -h -d -m '^user\.' -e hex) >"$TMP/a"
    (cd "$3" && find . -print0 | sort -z | xargs -0 getfattr -h -d -m '^user\.' -e hex) >"$TMP/b"
    cmp "$TMP/a" "$TMP/b" || fail "$1: extended attributes"
}
make_tree "$TMP/plain"
cp -r "$ROOT/src" "$TMP/plain/src"
if as_root; then
    options=owners
    chown -R 1000:1000 "$TMP/plain/documents/2025"
else
    options=rw
fi
make_vault
mount_vault -o $options

rsync -aHAX --checksum "$TMP/plain/" "$MNT/rsync/"
same_trees "rsync into the mount" "$TMP/plain" "$MNT/rsync"
same "what a second run of rsync would do" "" "$(rsync -aHAX --checksum --itemize-changes "$TMP/plain/" "$MNT/rsync/")"
remount -o $options
same "what rsync would do after a remount" "" "$(rsync -aHAX --itemize-changes "$TMP/plain/" "$MNT/rsync/")"
rsync -aHAX --sparse --checksum "$MNT/rsync/" "$TMP/back/"
same_trees "rsync out of the mount" "$TMP/plain" "$TMP/back"
rm -rf "$TMP/back"

# In place, a delta, and deletion.
echo changed >>"$TMP/plain/documents/numbers.txt"
rm -r "$TMP/plain/src"
rsync -aHAX --inplace --no-whole-file --delete "$TMP/plain/" "$MNT/rsync/"
same_trees "rsync in place" "$TMP/plain" "$MNT/rsync"

mkdir "$MNT/tar" "$TMP/back"
tar --xattrs --sparse -C "$TMP/plain" -cf - . | tar --xattrs -C "$MNT/tar" -xpf -
same_trees "tar into the mount" "$TMP/plain" "$MNT/tar"
tar --xattrs --sparse -C "$MNT/tar" -cf "$MNT/archive.tar" .
expect "tar sees the holes" test "$(stat -c %s "$MNT/archive.tar")" -le 25000000
remount -o $options
tar --xattrs -C "$TMP/back" -xpf "$MNT/archive.tar"
same_trees "tar out of the mount" "$TMP/plain" "$TMP/back"
tar -C "$MNT/tar" -df "$MNT/archive.tar" || fail "tar finds a difference"

(cd "$MNT/rsync" && zip -qry "$MNT/all.zip" documents/2025 documents/numbers.txt empty)
unzip -tq "$MNT/all.zip" || fail "the zip file is not whole"
mkdir "$MNT/unzip"
unzip -q "$MNT/all.zip" -d "$MNT/unzip"
hashes() (cd "$1/documents" && find 2025 numbers.txt -type f -print0 | sort -z | xargs -0 sha256sum)
same "files out of the zip file" "$(hashes "$MNT/rsync")" "$(hashes "$MNT/unzip")"
cp -a "$MNT/rsync" "$MNT/copy"
same_trees "cp -a inside the mount" "$MNT/rsync" "$MNT/copy"
diff -r --no-dereference "$MNT/rsync/documents" "$MNT/copy/documents" || fail "diff finds a difference"
