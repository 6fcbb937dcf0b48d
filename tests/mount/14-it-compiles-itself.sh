#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# This project builds inside its own mount, and make finds nothing to do after a remount.
. "$(dirname "$0")/lib.sh"
need make gcc

make_vault
mount_vault
mkdir "$MNT/source"
cp -r "$ROOT"/{Makefile,include,src} "$MNT/source/"
[ ! -d "$ROOT/po" ] || cp -r "$ROOT/po" "$MNT/source/"
build() { env -u MAKEFLAGS -u MAKELEVEL -u SAN -u CFLAGS make -C "$MNT/source" -j2 OPT=-O0 "$@"; }
build >"$TMP/said" 2>&1 || {
    tail -n 20 "$TMP/said"
    fail "it does not compile in its own mount"
}
same "what the new program says" "$("$ECLUSE" version)" "$("$MNT/source/build/ecluse" version)"
count=$(find "$MNT/source/build" -name '*.o' | wc -l)
expect "object files were made" test "$count" -gt 50
remount
build -q || fail "make finds something to do after a remount"
touch "$MNT/source/src/cli/main.c"
build >"$TMP/said" 2>&1
same "files compiled after one was touched" 1 "$(grep -c '  CC ' "$TMP/said")"
same "what it says after the remount" "$("$ECLUSE" version)" "$("$MNT/source/build/ecluse" version)"
