#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The store goes to an S3 server and comes back: while the mount is at work each
# object is uploaded once, whole; what a killed copy left is no alarm.
. "$(dirname "$0")/lib.sh"
need rclone node jq
[ -e "$SERVERS/npm/node_modules/.of" ] || skip "npm could not install the server: run scripts/setup --engines"

export BUCKET=vault REGION=us-east-1 ENDPOINT KEY SECRET
KEY=$(head -c 10 /dev/urandom | xxd -p) SECRET=$(head -c 20 /dev/urandom | xxd -p)
NODE_PATH=$SERVERS/npm/node_modules node "$ROOT/tests/engines/servers/s3.js" "$TMP/s3" >"$TMP/port" 2>&1 &
until_true grep -q . "$TMP/port"
ENDPOINT=http://127.0.0.1:$(cat "$TMP/port")
follow s3
work_and_return
hashes() { rclone hashsum md5 far:vault | sort -k 2; }
same "names and hashes by the server's listing" "$(cd "$STORE" && find . -type f -printf '%P\0' | xargs -0 md5sum | sort -k 2)" "$(hashes)"
cut_copies 4
