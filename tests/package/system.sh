#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The package in a new Debian 12: it installs, works, upgrades, is removed and purged, and loses no
# vault; then that system is started, and systemd serves vaults in it (inside.sh).
# What `make check-deb` runs: needs root, the network, and minutes.  DEBIAN_ROOT may name a folder made by
#   debootstrap --variant=minbase --include=systemd-sysv,dbus,libpam-systemd,fuse3 bookworm FOLDER
. "$(dirname "$0")/../mount/lib.sh"
as_root || skip "needs root"
need debootstrap systemd-nspawn

MIRROR=${MIRROR:-http://deb.debian.org/debian}
root=$TMP/root
if [ -d "${DEBIAN_ROOT:-}" ]; then
    cp -a "$DEBIAN_ROOT" "$root"
else
    debootstrap --variant=minbase --include=systemd-sysv,dbus,libpam-systemd,fuse3 bookworm "$root" "$MIRROR" >"$TMP/log" 2>&1 ||
        { tail -n 20 "$TMP/log" && fail "debootstrap"; }
fi
undo() {
    umount -l "$root/dev/fuse" "$root/proc" 2>/dev/null || true
}
trap 'status=$?; undo; (exit $status); cleanup' EXIT
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
[ -e "$root/dev/fuse" ] || mknod -m 666 "$root/dev/fuse" c 10 229
ln -sf ../proc/self/mounts "$root/etc/mtab"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
dead_mounts() { awk -v d="$root/" 'index($5, d) == 1 && / - fuse/ { print $5 }' /proc/self/mountinfo; }

# A later version of the same: what an upgrade meets.
debs=$ROOT/build/deb
version=$(dpkg-parsechangelog -l "$ROOT/scripts/deb/changelog" -S Version)
deb=$debs/ecluse_${version}_$(dpkg --print-architecture).deb
[ -f "$deb" ] || fail "$deb is missing: make deb"
dpkg-deb -R "$deb" "$TMP/later"
sed -i "s/^Version: .*/&.1/" "$TMP/later/DEBIAN/control"
dpkg-deb --root-owner-group -b "$TMP/later" "$root/later.deb" >/dev/null
cp "$deb" "$root/first.deb"

inside apt-get -qq update
inside apt-get -qq install -y --no-install-recommends /first.deb dbus-bin >"$TMP/log" 2>&1 || { tail -n 20 "$TMP/log" && fail "the installation"; }
same "its version" "ecluse $(sed -n 's/^VERSION := //p' "$ROOT/Makefile")" "$(inside ecluse version)"
inside ecluse doctor >"$TMP/said" || { cat "$TMP/said" && fail "the doctor finds a problem in a new system"; }

inside sh -c 'umask 077; mkdir -p /srv/sync /srv/documents; chmod 777 /srv /srv/documents; echo "a phrase of the test" >/etc/ecluse/pass'
inside ecluse init --passfile /etc/ecluse/pass --recovery-out /root/sheet /srv/sync/vault >/dev/null
inside mount -t fuse.ecluse /srv/sync/vault /srv/documents -o passfile=/etc/ecluse/pass
echo precious >"$root/srv/documents/file"
inside dpkg -i /later.deb >"$TMP/log" 2>&1 || { cat "$TMP/log" && fail "the upgrade"; }
same "what is mounted during an upgrade" precious "$(cat "$root/srv/documents/file")"
exec 7<"$root/srv/documents/file"
if inside dpkg -r ecluse >"$TMP/log" 2>&1; then fail "removed while a vault was in use"; fi
grep -q 'still open' "$TMP/log" || fail "not said why: $(cat "$TMP/log")"
exec 7<&-
inside dpkg -r ecluse >"$TMP/log" 2>&1 || { cat "$TMP/log" && fail "the removal"; }
same "what is mounted after the removal" "" "$(dead_mounts)"
inside dpkg -P ecluse >"$TMP/log" 2>&1 || { cat "$TMP/log" && fail "the purge"; }
grep -q /var/lib/ecluse "$TMP/log" || fail "a purge says nothing of the states: $(cat "$TMP/log")"
same "what a purge leaves of the package" "" "$(find "$root"/usr "$root"/lib/systemd "$root"/etc/apparmor.d -name '*ecluse*' -not -path '*/log/*' 2>/dev/null)"
inside dpkg -i /first.deb >"$TMP/log" 2>&1 || { cat "$TMP/log" && fail "the second installation"; }
inside mount -t fuse.ecluse /srv/sync/vault /srv/documents -o passfile=/etc/ecluse/pass
same "what is there after a purge" precious "$(cat "$root/srv/documents/file")"
inside umount /srv/documents
same "what waits for publication after umount(8)" "" "$(dead_mounts)"

# systemd serves it.
undo
install -m 755 "$ROOT/tests/package/inside.sh" "$root/root/inside.sh"
cat >"$root/etc/systemd/system/inside.service" <<'END'
[Unit]
After=multi-user.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
ExecStart=/root/inside.sh
StandardOutput=append:/root/inside.log
StandardError=append:/root/inside.log
TimeoutStartSec=15min
END
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -s ../inside.service "$root/etc/systemd/system/default.target.wants/inside.service"
rm -f "$root/dev/fuse"
timeout -k 5 1200 systemd-nspawn -q -D "$root" --boot --register=no --keep-unit --bind=/dev/fuse \
    $([ ! -e /dev/autofs ] || echo --bind=/dev/autofs) </dev/null >"$TMP/boot" 2>&1 || true
[ -e "$root/root/passed" ] || { tail -n 40 "$root/root/inside.log" "$TMP/boot" && fail "inside: see above"; }
grep -q 'ecluse@documents' "$TMP/boot" || echo "the console did not show the unit"

# What was written right before the system stopped is in the store: recovered without the state.
mount -t proc proc "$root/proc"
[ -e "$root/dev/fuse" ] || mknod -m 666 "$root/dev/fuse" c 10 229
inside ecluse recover --recovery-file /root/sheet --passfile /etc/ecluse/pass --state /root/other /srv/sync/vault >/dev/null
inside ecluse mount --passfile /etc/ecluse/pass --state /root/other -o ro /srv/sync/vault /srv/documents
expect "the last file is in the store" cmp "$root/root/last" "$root/srv/documents/last"
inside ecluse umount /srv/documents
