#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A user cannot weaken the policy with what he has: symbolic links, the environment, options and names
# that hold options, helpers, a unit of his own, a copy of the program, limits on it.
. "$(dirname "$0")/policy.sh"

# A user of the database, whose home the rules mean by "~".
USER_HOME=$TMP/home
mkdir "$USER_HOME"
cp /etc/passwd "$TMP/passwd"
sed -i "s|^nobody:.*|nobody:x:65534:65534::$USER_HOME:/bin/sh|" "$TMP/passwd" && grep -q "$USER_HOME" "$TMP/passwd" ||
    echo "nobody:x:65534:65534::$USER_HOME:/bin/sh" >>"$TMP/passwd"
chmod 644 "$TMP/passwd" && mount --bind "$TMP/passwd" /etc/passwd
open_the_way
chown 65534:65534 "$USER_HOME"
mine() { install -d -o 65534 -g 65534 "$@"; }
mine "$USER_HOME/Sync" "$USER_HOME/Vaults" "$USER_HOME/Vaults/v" "$USER_HOME/elsewhere" "$USER_HOME/elsewhere/v"
HERE=$USER_HOME/Sync/store PLACE=$USER_HOME/Vaults/v
KEY=$USER_HOME/key PHRASE=$USER_HOME/phrase
user() { as_user LC_ALL=C.UTF-8 "$@"; }
new_passphrase "$PHRASE" && (umask 077 && head -c 64 /dev/urandom >"$KEY")
chown 65534:65534 "$KEY" "$PHRASE"
user "$ECLUSE" init --passfile "$PHRASE" --keyfile "$KEY" --recovery-out "$USER_HOME/sheet" "$HERE" >/dev/null
STATE=$USER_HOME/.local/state/ecluse
mounts() { user "$ECLUSE" mount --keyfile "$KEY" "$@"; }
let_go() { user "$ECLUSE" umount "${1:-$PLACE}" && until_true no_daemon; }
option_of() { findmnt -no OPTIONS "$PLACE" | tr , '\n' | grep -qx "$1"; }

# --- where stores and mountpoints are ------------------------------------------------------

policy "stores = ~/Sync" "mountpoints = ~/Vaults"
mounts "$HERE" "$PLACE" && let_go
denied mountpoints user "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$USER_HOME/elsewhere/v"
mv "$HERE" "$USER_HOME/elsewhere/store"
ln -s ../elsewhere/store "$HERE"
denied stores user "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$PLACE"
denied stores user "$ECLUSE" mount --keyfile "$KEY" "/proc/self/root$HERE" "$PLACE"
(cd "$USER_HOME/elsewhere" && denied stores user "$ECLUSE" mount --keyfile "$KEY" store "$PLACE")
HOME=$USER_HOME/elsewhere denied stores user HOME="$USER_HOME/elsewhere" "$ECLUSE" mount --keyfile "$KEY" --state "$STATE" "$HERE" "$PLACE"
ln -s "$ECLUSE" "$TMP/mount.fuse.ecluse"
for way in "$ECLUSE mount" "$ECLUSE" "$TMP/mount.fuse.ecluse"; do
    # shellcheck disable=SC2086
    denied stores user $way "$HERE" "$PLACE" -o "keyfile=$KEY,nofail,x-systemd.automount,user,_netdev"
done
cp "$ECLUSE" "$USER_HOME/own" && chmod 755 "$USER_HOME/own"
denied stores user "$USER_HOME/own" mount --keyfile "$KEY" "$HERE" "$PLACE"
denied stores user "$ECLUSE" mount -o "keyfile=$KEY,fsname=$USER_HOME/Sync/store" "$HERE" "$PLACE"
denied stores user "$ECLUSE" salvage --keyfile "$KEY" "$HERE" "$USER_HOME/out"
denied stores user "$ECLUSE" recover --recovery-file "$USER_HOME/sheet" --keyfile "$KEY" --state "$STATE" "$HERE"
# The folder of the rule itself, by a link that the user made.
mv "$USER_HOME/Sync" "$USER_HOME/Sync.old"
ln -s elsewhere "$USER_HOME/Sync" && chown -h 65534:65534 "$USER_HOME/Sync"
denied stores user "$ECLUSE" mount --keyfile "$KEY" "$USER_HOME/Sync/store" "$PLACE"
mv "$USER_HOME/Vaults" "$USER_HOME/Vaults.old"
ln -s elsewhere "$USER_HOME/Vaults" && chown -h 65534:65534 "$USER_HOME/Vaults"
policy "mountpoints = ~/Vaults"
denied mountpoints user "$ECLUSE" mount --keyfile "$KEY" "$USER_HOME/elsewhere/store" "$USER_HOME/Vaults/v"
rm "$USER_HOME/Vaults" && mv "$USER_HOME/Vaults.old" "$USER_HOME/Vaults"
# By a link that root made it is meant so; through several, relative ones and a loop as well.
policy "stores = ~/Sync"
chown -h 0:0 "$USER_HOME/Sync"
mounts "$USER_HOME/Sync/store" "$PLACE" && let_go
rm "$USER_HOME/Sync" "$USER_HOME/Sync.old/store" && mv "$USER_HOME/Sync.old" "$USER_HOME/Sync"
mv "$USER_HOME/elsewhere/store" "$HERE"
mkdir "$TMP/links" && ln -s "$USER_HOME/Sync" "$TMP/links/one" && ln -s ../links/./one "$TMP/links/two"
ln -s loop "$TMP/links/loop"
policy "stores = $TMP/links/loop:$TMP/links/nowhere:$TMP/links/two/"
mounts "$HERE" "$PLACE" && let_go
policy "stores = $TMP/links/loop"
denied stores user "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$PLACE"

# A link put into the way after the path was judged: never mounted from there.
policy "stores = ~/Sync"
mine "$USER_HOME/Sync/a" && mv "$HERE" "$USER_HOME/Sync/a/store"
cp -a "$USER_HOME/Sync/a" "$USER_HOME/elsewhere/a"
ln -s "$USER_HOME/elsewhere/a" "$USER_HOME/Sync/b" && chown -h 65534:65534 "$USER_HOME/Sync/b"
"$TOOLS/swap" "$USER_HOME/Sync/a" "$USER_HOME/Sync/b" &
swapper=$!
for _ in $(seq 40); do
    code=0
    mounts "$USER_HOME/Sync/a/store" "$PLACE" >"$TMP/said" 2>&1 || code=$?
    case $code in
    0)
        pid=$(user "$ECLUSE" status --json "$PLACE" | jq -r '[.. | .pid? // empty][0]')
        find "/proc/$pid/fd" -lname "$USER_HOME/elsewhere/*" | grep -q . && fail "mounted from elsewhere"
        user "$ECLUSE" umount "$PLACE"
        ;;
    2 | 11 | 13 | 15) ;;
    *) fail "exit $code: $(cat "$TMP/said")" ;;
    esac
done
kill $swapper && wait $swapper 2>/dev/null || true
[ ! -L "$USER_HOME/Sync/a" ] || mv -T "$USER_HOME/Sync/b" "$USER_HOME/Sync/c"
mv "$(find "$USER_HOME/Sync" -mindepth 2 -maxdepth 2 -name store)" "$HERE"
rm -rf "$USER_HOME/elsewhere/a"

# --- options that are forbidden --------------------------------------------------------------

policy "forbid = passfile"
mine -m 700 "$USER_HOME/creds"
install -o 65534 -g 65534 -m 600 "$PHRASE" "$USER_HOME/creds/ecluse.passphrase"
denied forbid user "$ECLUSE" mount -o "passfile=$PHRASE" "$HERE" "$PLACE"
denied forbid user "$ECLUSE" mount --passfile - "$HERE" "$PLACE" <"$PHRASE"
denied forbid user CREDENTIALS_DIRECTORY="$USER_HOME/creds" "$ECLUSE" mount "$HERE" "$PLACE"
grep -q "CREDENTIALS_DIRECTORY (" "$TMP/said" || fail "which? $(cat "$TMP/said")"
denied forbid user CREDENTIALS_DIRECTORY="$USER_HOME/creds" "$ECLUSE" check "$HERE"
denied forbid user CREDENTIALS_DIRECTORY="$USER_HOME/creds" "$ECLUSE" salvage "$HERE" "$USER_HOME/out"
# What the system's manager gives is the administrator's doing.
[ -d /run/credentials ] || { mkdir /run/credentials && made=1; }
mount -t tmpfs -o mode=755 none /run/credentials
mine -m 500 /run/credentials/unit && install -o 65534 -g 65534 -m 400 "$PHRASE" /run/credentials/unit/ecluse.passphrase
user CREDENTIALS_DIRECTORY=/run/credentials/unit "$ECLUSE" mount "$HERE" "$PLACE" || fail "the system's credential"
let_go
ln -s "$USER_HOME/creds" "$TMP/links/creds"
denied forbid user CREDENTIALS_DIRECTORY="/run/credentials/../..$TMP/links/creds" "$ECLUSE" mount "$HERE" "$PLACE"
umount /run/credentials
[ -z "${made:-}" ] || rmdir /run/credentials
no_policy
user CREDENTIALS_DIRECTORY="$USER_HOME/creds" "$ECLUSE" mount "$HERE" "$PLACE" && let_go

policy "forbid = state"
mine "$USER_HOME/second" && cp -a "$STATE" "$USER_HOME/second/ecluse"
expect_exit 15 user XDG_STATE_HOME="$USER_HOME/second" "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$PLACE"
grep -q "XDG_STATE_HOME (" "$TMP/said" || fail "which? $(cat "$TMP/said")"
mkdir -p "$USER_HOME/second/.local/state" && cp -a "$STATE" "$USER_HOME/second/.local/state/"
expect_exit 15 user HOME="$USER_HOME/second" "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$PLACE"
grep -q "HOME (/etc/ecluse" "$TMP/said" || fail "which? $(cat "$TMP/said")"
expect_exit 15 user XDG_STATE_HOME="$USER_HOME/third" "$ECLUSE" recover --recovery-file "$USER_HOME/sheet" --keyfile "$KEY" "$HERE"
expect_exit 15 user XDG_STATE_HOME="$USER_HOME/third" "$ECLUSE" init --keyfile "$KEY" --recovery-out "$USER_HOME/s2" "$USER_HOME/Sync/store2"
for same_place in XDG_STATE_HOME="$USER_HOME/.local/state" XDG_STATE_HOME="$USER_HOME/Sync/../.local/state/" XDG_STATE_HOME=relative; do
    user "$same_place" "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$PLACE" && let_go
done
user env -u HOME "$ECLUSE" mount --keyfile "$KEY" "$HERE" "$PLACE" && let_go

# Names of options within names.
policy "forbid = allow_other, exec"
odd="$USER_HOME/Sync/a,allow_other,exec" && cp -a "$HERE" "$odd"
mounts "$HERE" "$PLACE" -o 'fsname=x\,allow_other\,exec\,suid,exec'
option_of noexec && option_of nosuid && ! option_of allow_other || fail "options: $(findmnt -no OPTIONS "$PLACE")"
let_go
rm -rf "$HERE.kept" && mv "$HERE" "$HERE.kept"
user "$ECLUSE" accept --other --yes --keyfile "$KEY" "$odd" >/dev/null 2>&1 || true
mounts "$odd" "$PLACE"
option_of noexec && ! option_of allow_other || fail "options: $(findmnt -no OPTIONS "$PLACE")"
let_go
rm -rf "$odd" && mv "$HERE.kept" "$HERE"
denied forbid user "$ECLUSE" mount --keyfile "$KEY" -o allow_other "$HERE" "$PLACE"
denied forbid user "$TMP/mount.fuse.ecluse" "$HERE" "$PLACE" -s -o "keyfile=$KEY,allow_other"

# --- what is decided where nothing is asked for ---------------------------------------------------

policy "idle_max = 2s"
for idle in idle=0 idle=1s,idle=0 noauto; do
    mounts "$HERE" "$PLACE" -o "$idle"
    until_true no_daemon
done
denied idle_max user "$ECLUSE" mount --keyfile "$KEY" -o idle=1s,idle=3s "$HERE" "$PLACE"
policy "log = system"
for log in stderr json; do
    denied log user "$ECLUSE" mount --keyfile "$KEY" --foreground -o log=$log "$HERE" "$PLACE"
done
mounts "$HERE" "$PLACE" -o log=syslog && let_go
policy "languages = fr"
for words in LANGUAGE=en LC_ALL=C LC_MESSAGES=en_CA.UTF-8; do
    user "$words" "$ECLUSE" help | grep -q coffre || fail "$words: not in French"
done

# --- a policy that cannot be read is not one that is absent -------------------------------------------

policy "stores = /srv"
for limit in "-n 3" "-n 4" "-n 5" "-v 20000"; do
    code=0
    # shellcheck disable=SC2086
    (ulimit $limit && mounts "$HERE" "$PLACE") >"$TMP/said" 2>&1 || code=$?
    [ $code != 0 ] && ! mountpoint -q "$PLACE" || fail "mounted under ulimit $limit"
done
mkfifo -m 644 "$TMP/etc/pipe" && mv "$TMP/etc/pipe" /etc/ecluse/policy.conf
expect_exit 15 timeout 20 setpriv --reuid=65534 --regid=65534 --clear-groups "$ECLUSE" policy check
rm /etc/ecluse/policy.conf
