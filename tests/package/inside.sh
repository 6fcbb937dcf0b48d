#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Runs as a service in the system that system.sh starts: units, locking, fstab, with a real systemd.
set -euxo pipefail
fail() { echo "FAILED: $*"; journalctl -n 60 --no-pager; exit 1; }
until_true() {
    local end=$((SECONDS + 90))
    until "$@"; do [ $SECONDS -lt $end ] || fail "waited for: $*"; sleep 0.1; done
}
property() { systemctl show -P "$2" "$1"; }
# What the kernel says: a user's vault is closed to root.
mounted() { grep -q " $1 .* - fuse.ecluse " /proc/self/mountinfo; }
absent() { ! mounted "$1"; }
running() { grep -qsx "$1" /proc/[0-9]*/comm; }
# shellcheck disable=SC2317
refused() { if "$@"; then fail "it worked: $*"; fi; }

systemctl daemon-reload
systemd-analyze verify --man=no ecluse@documents.service ecluse-suspend.service

# A vault of the machine, its passphrase as an encrypted credential.
cat >/etc/ecluse/documents.conf <<'END'
STORE=/srv/sync/vault
MOUNTPOINT=/srv/documents
OPTIONS=allow_other
END
mkdir -p /etc/credstore.encrypted
if systemd-creds encrypt --name=ecluse.passphrase /etc/ecluse/pass /etc/credstore.encrypted/ecluse-documents.passphrase; then
    echo "with a credential"
else
    echo OPTIONS=allow_other,passfile=/etc/ecluse/pass >>/etc/ecluse/documents.conf
fi
systemctl start ecluse@documents
mounted /srv/documents
[ "$(cat /srv/documents/file)" = precious ]
[ "$(property ecluse@documents StatusText)" = Mounted ]
# Its lines have their fields, and are there once.
logged() { journalctl -u ecluse@documents "ECLUSE_ID=$1" ECLUSE_VAULT="$(basename /srv/sync/vault/vault-*.ecl .ecl | cut -d- -f2)" -o cat --no-pager; }
logged_mount() { logged ECL-0510 | grep mounted; }
until_true logged_mount
[ "$(journalctl -u ecluse@documents -o cat --no-pager | grep -c 'ECL-0373.* mounted ok')" = 1 ]

# A daemon that dies is started again; meanwhile the folder takes nothing, from no user.
useradd -m alice
runuser -u alice -- bash -c 'while [ ! -e /tmp/end ]; do ls /srv/documents >/dev/null 2>&1 && [ -z "$(ls /srv/documents)" ] && (: >/srv/documents/plain) 2>/dev/null && touch /tmp/fell; done; true' &
writer=$!
kill -9 "$(property ecluse@documents MainPID)"
restarted() { [ "$(property ecluse@documents NRestarts)" = 1 ] && [ "$(property ecluse@documents ActiveState)" = active ]; }
until_true restarted
mounted /srv/documents
[ "$(cat /srv/documents/file)" = precious ]
touch /tmp/end
wait $writer
[ ! -e /tmp/fell ]
journalctl -u ecluse@documents --no-pager | grep ECL-0504

# Stopping unmounts, also under an open file, and publishes.
sleep 1000 </srv/documents/file &
systemctl stop ecluse@documents
absent /srv/documents
kill %%
[ "$(property ecluse@documents Result)" = success ]
[ "$(stat -c %a /srv/documents)" = 555 ]

# A wrong passphrase is not tried again.
sed -i '/^OPTIONS/d' /etc/ecluse/documents.conf
(umask 077 && echo wrong >/etc/ecluse/wrong)
echo OPTIONS=passfile=/etc/ecluse/wrong >>/etc/ecluse/documents.conf
refused systemctl start ecluse@documents
sleep 3
[ "$(property ecluse@documents ActiveState)" = failed ]
[ "$(property ecluse@documents NRestarts)" = 0 ]
sed -i '/^OPTIONS/d' /etc/ecluse/documents.conf
echo OPTIONS=allow_other,passfile=/etc/ecluse/pass >>/etc/ecluse/documents.conf
systemctl reset-failed

# Before sleep all vaults are locked; one that is in use stays, and the journal says so.
systemctl start ecluse@documents
systemctl start ecluse-suspend
absent /srv/documents
systemctl start ecluse@documents
sleep 1000 </srv/documents/file &
refused systemctl start ecluse-suspend
mounted /srv/documents
journalctl -u ecluse-suspend --no-pager | grep 'files are still open'
kill %%
systemctl enable ecluse-suspend
systemctl list-dependencies sleep.target | grep ecluse-suspend
systemctl stop ecluse@documents

# fstab: mounted when first looked into; its unit stops when all is published.
mkdir /srv/first
echo '/srv/sync/vault /srv/first fuse.ecluse passfile=/etc/ecluse/pass,noauto,nofail,x-systemd.automount 0 0' >>/etc/fstab
systemctl daemon-reload
if [ -e /dev/autofs ]; then systemctl start srv-first.automount; else systemctl start srv-first.mount; fi
[ "$(cat /srv/first/file)" = precious ]
[ "$(findmnt -no FSTYPE -t fuse.ecluse /srv/first)" = fuse.ecluse ]
head -c 3000000 /dev/urandom >/srv/first/automounted
systemctl stop srv-first.mount
refused running 'mount.fuse.eclu.*'
[ ! -e /dev/autofs ] || systemctl stop srv-first.automount

# One that nobody looks into is unmounted again: until umount(8) is done, autofs holds up everybody else.
if [ -e /dev/autofs ]; then
    mkdir /srv/idle
    echo '/srv/sync/vault /srv/idle fuse.ecluse passfile=/etc/ecluse/pass,noauto,nofail,x-systemd.automount,x-systemd.idle-timeout=2s 0 0' >>/etc/fstab
    systemctl daemon-reload
    systemctl start srv-idle.automount
    [ "$(cat /srv/idle/file)" = precious ]
    until_true absent /srv/idle
    [ "$(property srv-idle.mount Result)" = success ]
    [ "$(cat /srv/idle/file)" = precious ]
    systemctl stop srv-idle.automount srv-idle.mount
fi

# A user's vault, at login, locked with the screen.
as_alice() { runuser -u alice -- env XDG_RUNTIME_DIR="/run/user/$(id -u alice)" HOME=/home/alice "$@"; }
loginctl enable-linger alice
until_true test -S "/run/user/$(id -u alice)/systemd/private"
as_alice mkdir -p /home/alice/.config/ecluse /home/alice/Protected
as_alice bash -c 'umask 077; echo "another phrase" >~/pass'
as_alice ecluse init --passfile /home/alice/pass --recovery-out /home/alice/sheet /home/alice/vault >/dev/null
as_alice bash -c 'printf "STORE=vault\nMOUNTPOINT=Protected\nOPTIONS=passfile=%s/pass\n" "$HOME" >~/.config/ecluse/mine.conf'
as_alice systemctl --user enable --now ecluse@mine
mounted /home/alice/Protected
as_alice systemctl --user start ecluse-lock
until_true running dbus-monitor
sleep 1
systemd-run --unit=session -p PAMName=login -p User=alice sleep 1000
in_session() { loginctl list-sessions --no-legend | grep -q alice; }
until_true in_session
loginctl lock-sessions
until_true absent /home/alice/Protected
as_alice systemctl --user start ecluse@mine
as_alice bash -c 'echo mine >~/Protected/file'

# The system stops with both mounted, and something just written.
systemctl enable --now ecluse@documents
head -c 8000000 /dev/urandom >/srv/documents/last
cp /srv/documents/last /root/last
touch /root/passed
