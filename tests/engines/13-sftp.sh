#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The store goes to an SFTP server and comes back.  There rclone writes under the final
# name, so the recipe brings objects into place by a rename once they are whole.
. "$(dirname "$0")/lib.sh"
need rclone ssh-keygen jq

export HOST=127.0.0.1 PORT NAME FOLDER=$TMP/sftp/store
SSHD=$SERVERS/usr/sbin/sshd SERVICE=service-two-steps
[ -x "$SSHD" ] || fail "sshd is missing: run scripts/setup"
NAME=$(as_root && id -nu 65534 || id -nu)
mkdir -p "$FOLDER" "$HOME/.ssh" "$TMP/sftp/program"
# Under a name for which PAM has no rules but the general ones; others may not reach the checkout.
cp "$SERVERS"/usr/lib/*/libwrap.so.0 "$TMP/sftp/program/"
cp "$SSHD" "$TMP/sftp/program/ecluse-sshd"
ssh-keygen -qt ed25519 -N '' -f "$HOME/.ssh/id_ed25519"
ssh-keygen -qt ed25519 -N '' -f "$TMP/sftp/host"
cp "$HOME/.ssh/id_ed25519.pub" "$TMP/sftp/authorized"
configure() { # configure PORT
    cat <<EOF
Port $1
ListenAddress 127.0.0.1
HostKey $TMP/sftp/host
PidFile none
AuthorizedKeysFile $TMP/sftp/authorized
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
StrictModes no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
AllowTcpForwarding no
EOF
}
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
start() {
    for PORT in $(shuf -i 20000-32000 -n 20); do
        ! answers "$PORT" || continue
        configure "$PORT" >"$TMP/sftp/conf"
        run_server env LD_LIBRARY_PATH="$TMP/sftp/program" "$TMP/sftp/program/ecluse-sshd" -D -e -f "$TMP/sftp/conf"
        until_true either answers "$PORT" or gone "$server"
        if answers "$PORT"; then return; fi
    done
    fail "sshd does not start: $(cat "$TMP/server.log")"
}
start
echo "[127.0.0.1]:$PORT $(cut -d' ' -f1,2 "$TMP/sftp/host.pub")" >"$HOME/.ssh/known_hosts"
follow sftp
work_and_return
same "what the server has" "$(listed "$STORE")" "$(listed "$FOLDER/vault")"
run_service 2>"$TMP/said" || fail "a run with nothing to do fails: $(cat "$TMP/said")"
same "left on the way" "" "$(find "$FOLDER/arriving" -type f)"
# Most of the time goes into the first step.
cut_copies 2 900
cut_returns 4
