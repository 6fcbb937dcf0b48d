#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The store goes to an Azure Blob server and comes back, with a shared access signature
# that may not delete.
. "$(dirname "$0")/lib.sh"
need rclone node jq openssl
[ -e "$SERVERS/npm/node_modules/.of" ] || skip "npm could not install the server: run scripts/setup --engines"

account=test$RANDOM key=$(head -c 32 /dev/urandom | base64 -w 0)
export CONTAINER=container$RANDOM SAS_URL
AZURITE_ACCOUNTS=$account:$key node "$SERVERS/npm/node_modules/.bin/azurite-blob" --silent --skipApiVersionCheck \
    --blobHost 127.0.0.1 --blobPort 0 --location "$TMP/azure/" >"$TMP/port" 2>&1 &
until_true grep -q 'successfully listens on http' "$TMP/port"
port=$(sed -n 's|.*listens on http://127.0.0.1:\([0-9]*\).*|\1|p' "$TMP/port")

hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(base64 -d <<<"$key" | xxd -p -c 64)" -binary | base64 -w 0; }

# signature PERMISSIONS : the query of a signed URL of the container, good for a day
signature() {
    local end sign version=2020-10-02
    end=$(date -u -d tomorrow +%Y-%m-%dT%H:%M:%SZ)
    sign=$(printf '%s\n\n%s\n%s\n\n\nhttps,http\n%s\nc\n\n\n\n\n\n' "$1" "$end" "/blob/$account/$CONTAINER" "$version" |
        hmac)
    printf 'sv=%s&sr=c&sp=%s&se=%s&spr=https,http&sig=%s' "$version" "$1" "$end" "$(jq -rn --arg s "$sign" '$s | @uri')"
}
SAS_URL="http://127.0.0.1:$port/$account/$CONTAINER?$(signature rcwl)"
follow azure
# The signature of a container does not reach as far as making it.
now=$(date -u '+%a, %d %b %Y %H:%M:%S GMT')
sign=$(printf 'PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2020-10-02\n/%s/%s/%s\nrestype:container' \
    "$now" "$account" "$account" "$CONTAINER" | hmac)
curl -sSf --noproxy '*' -X PUT -H "x-ms-date: $now" -H 'x-ms-version: 2020-10-02' -H 'Content-Length: 0' \
    -H "Authorization: SharedKey $account:$sign" "http://127.0.0.1:$port/$account/$CONTAINER?restype=container"
work_and_return
same "names and hashes by the server's listing" \
    "$(cd "$STORE" && find . -type f -printf '%P\0' | xargs -0 md5sum | sort -k 2)" "$(rclone hashsum md5 far:vault | sort -k 2)"
cut_copies 4
