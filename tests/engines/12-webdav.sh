#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The store goes to a WebDAV server (Apache) and comes back.
. "$(dirname "$0")/lib.sh"
need rclone apache2 jq openssl

export NAME=user$RANDOM PASSWORD URL
PASSWORD=$(head -c 15 /dev/urandom | base64)
mkdir -p "$TMP/webdav/files/store"
echo "$NAME:$(openssl passwd -apr1 -stdin <<<"$PASSWORD")" >"$TMP/webdav/passwords"
# configure PORT
configure() {
    local module
    for module in mpm_event authn_core authn_file authz_core authz_user auth_basic dav dav_fs; do
        echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
    done
    cat <<EOF
ServerName localhost
Listen 127.0.0.1:$1
ServerRoot $TMP/webdav
DocumentRoot $TMP/webdav/files
PidFile $TMP/webdav/pid
ErrorLog $TMP/webdav/errors
DavLockDB $TMP/webdav/locks
<Directory $TMP/webdav/files>
    Dav on
    AuthType Basic
    AuthName vault
    AuthUserFile $TMP/webdav/passwords
    Require valid-user
</Directory>
EOF
}
answers() { curl -s --noproxy '*' -o /dev/null "http://127.0.0.1:$1/"; }
start() {
    local port
    for port in $(shuf -i 20000-32000 -n 20); do
        ! answers "$port" || continue
        configure "$port" >"$TMP/webdav/conf"
        run_server apache2 -f "$TMP/webdav/conf" -D FOREGROUND
        until_true either answers "$port" or gone "$server"
        if answers "$port"; then URL=http://127.0.0.1:$port/store; return; fi
    done
    fail "Apache does not start: $(cat "$TMP/webdav/errors")"
}
start
follow webdav
work_and_return
same "what the server has" "$(listed "$STORE")" "$(listed "$TMP/webdav/files/store/vault")"
cut_copies 4
