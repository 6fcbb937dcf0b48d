#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# ecluse doctor: each finding with its verdict, in both languages and for programs; what it calls a problem
# is refused by init and mount too, and no ordinary folder is taken for a sync client's.
. "$(dirname "$0")/lib.sh"

export HOME=$TMP/home
export -n LC_ALL
export LC_ALL=C.UTF-8 LANGUAGE=
mkdir -p "$HOME"
make_vault
doctor() { "$ECLUSE" doctor --state "$STATE" "$@"; }
verdict() { # verdict CHECK [argument...] : by the JSON
    local check=$1 code=0
    shift
    doctor --json "$@" >"$TMP/json" || code=$?
    jq -e . "$TMP/json" >/dev/null || fail "no JSON: $(cat "$TMP/json")"
    [ $((code != 0)) = $(($(jq .problems "$TMP/json") != 0)) ] || fail "exit $code, and $(jq .problems "$TMP/json") problems"
    jq -r --arg c "$check" '.findings[] | select(.check == $c) | .verdict' "$TMP/json"
}
need jq

# As it should be.
expect_exit 0 doctor "$STORE"
for check in fuse fusermount3 apparmor memlock clock kernel swap policy store store-synced state space store-space; do
    case $(verdict $check "$STORE") in ok* | note*) ;; *) fail "no verdict for $check: $(cat "$TMP/json")" ;; esac
done
same "lines for people and objects for programs" "$(jq '.findings | length' "$TMP/json")" "$(doctor "$STORE" | wc -l)"
same "the state" ok "$(verdict state "$STORE")"
doctor | grep -q '^ok  *local states have their place' || fail "no word of the states"
LC_ALL=fr_CA.UTF-8 doctor "$STORE" >"$TMP/said"
grep -q '^en ordre  *FUSE est disponible' "$TMP/said" || fail "not French: $(cat "$TMP/said")"

# Wrong arguments.
expect_exit 1 "$ECLUSE" doctor --sheep
expect_exit 1 "$ECLUSE" doctor "$STORE" "$STORE"
expect_exit 1 "$ECLUSE" doctor --state
expect_exit 13 doctor "$TMP/nowhere"
grep -q "^problem  *$TMP/nowhere: the store does not exist" "$TMP/said" || fail "not said: $(cat "$TMP/said")"
LC_ALL=fr_CA.UTF-8 expect_exit 13 doctor "$TMP"
grep -q '^problème  *.*pas un dépôt' "$TMP/said" || fail "not said: $(cat "$TMP/said")"
before=$(listing "$STORE" "$STATE")
doctor "$STORE" >/dev/null
same "what it changed" "$before" "$(listing "$STORE" "$STATE")"

# Each client by its marks or configuration: good around a store, refused around a state.
synced() { # synced CLIENT FOLDER : what made it so is in place
    local client=$1 folder=$2
    rm -rf "$folder/deep" && mkdir -p "$folder/deep/er"
    mv "$STORE" "$folder/deep/store"
    same "a store in $client's folder" ok "$(verdict store-synced "$folder/deep/store")"
    grep -qF "that $client copies" "$TMP/json" || fail "not said that it is $client: $(cat "$TMP/json")"
    STATE=$folder/deep/er/state expect_exit 13 doctor
    grep -q "^problem.*$client" "$TMP/said" || fail "a state in $client's folder: $(cat "$TMP/said")"
    expect_exit 11 "$ECLUSE" init --passfile "$PASS" --recovery-out "$TMP/sheet2" --state "$folder/deep/er/state" "$TMP/store2"
    grep -q 'sync client' "$TMP/said" || fail "init: $(cat "$TMP/said")"
    [ ! -e "$TMP/store2" ] && [ ! -e "$TMP/sheet2" ] || fail "init refused, and left something"
    expect_exit 11 "$ECLUSE" recover --recovery-file "$SHEET" --passfile "$PASS" --state "$folder/deep/er/state" "$folder/deep/store"
    mv "$folder/deep/store" "$STORE"
    cp -a "$STATE" "$folder/deep/er/state"
    expect_exit 11 "$ECLUSE" mount --passfile "$PASS" --state "$folder/deep/er/state" "$STORE" "$MNT"
    LC_ALL=fr_CA.UTF-8 expect_exit 11 "$ECLUSE" mount --passfile "$PASS" --state "$folder/deep/er/state" "$STORE" "$MNT"
    grep -q 'client de synchronisation' "$TMP/said" || fail "mount: $(cat "$TMP/said")"
    rm -rf "$folder/deep"
}
mark() { # mark CLIENT NAME [directory]
    local folder=$HOME/marked
    mkdir -p "$(dirname "$folder/$2")"
    if [ -n "${3:-}" ]; then mkdir "$folder/$2"; else : >"$folder/$2"; fi
    synced "$1" "$folder"
    rm -rf "$folder"
}
mark Syncthing .stfolder directory
mark Dropbox .dropbox
mark Nextcloud .sync_0123456789ab.db
mark Nextcloud .nextcloudsync.log
mark Seafile .seafile-data directory
mark "Resilio Sync" .sync/ID
mark MEGA .megaignore
configured() { # configured CLIENT FILE TEXT : of a client whose folder is ~/Folder
    mkdir -p "$(dirname "$HOME/$2")" "$HOME/Folder"
    printf '%s\n' "$3" >"$HOME/$2"
    synced "$1" "$HOME/Folder"
    rm -r "${HOME:?}/$2"
}
configured OneDrive .config/onedrive/config 'sync_dir = "~/Folder"'
configured OneDrive .config/onedrive-work/config "sync_dir = \"$HOME/Folder/\""
configured Dropbox .dropbox/info.json "{\"personal\": {\"path\": \"$HOME/Folder\", \"host\": 1}}"
configured Nextcloud .config/Nextcloud/nextcloud.cfg "0\\Folders\\1\\localPath=$HOME/Folder/"
configured Unison .unison/work.prf "root = $HOME/Folder"
configured Syncthing .local/state/syncthing/config.xml "<folder id=\"a\" path=\"$HOME/Folder\" type=\"sendreceive\">"
mkdir "$HOME/Insync" "$HOME/.config/Insync"
synced Insync "$HOME/Insync"

# No false alarm: a home directory that is synced as a whole, the client's own folder of settings, a folder
# that begins alike.
mkdir -p "$HOME/.dropbox" "$HOME/.config/onedrive" "$HOME/Folder"
printf 'root = %s\nroot = ssh://host/%s\n' "$HOME" "$HOME" >"$HOME/.unison/all.prf"
printf 'sync_dir = "~/Folder"\n' >"$HOME/.config/onedrive/config"
for innocent in "$HOME/state" "$HOME/Folder-2/state" "$HOME/.dropbox-2/state"; do
    STATE=$innocent expect_exit 0 doctor
done
same "an ordinary folder around a store" note "$(verdict store-synced "$STORE")"
mount_vault
umount_vault

# A state that is open to others; a device that does not know the vault.
chmod 755 "$STATE"/*/
same "an open state" problem "$(verdict state "$STORE")"
chmod 700 "$STATE"/*/
same "no state" note "$(STATE=$TMP/elsewhere verdict state "$STORE")"

as_root || exit 0
# FUSE that is closed to this user is not FUSE that is missing; nor is what fusermount3 refuses a file that is open.
USER_HOME=$TMP/people
open_the_way
install -d -o 65534 -g 65534 "$USER_HOME" "$USER_HOME/mnt"
install -o 65534 -g 65534 -m 600 "$PASS" "$USER_HOME/pass"
as_user "$ECLUSE" init --passfile "$USER_HOME/pass" --recovery-out "$USER_HOME/sheet" "$USER_HOME/store" >/dev/null
cat >"$TMP/in-namespace" <<END
. "$ROOT/tests/mount/lib.sh"
trap - EXIT
TMP=$TMP USER_HOME=$USER_HOME ECLUSE=$ECLUSE
mounting() { as_user "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"; }
mkdir "$TMP/dev"
mount -t tmpfs -o mode=755,dev none "$TMP/dev"
mknod -m 600 "$TMP/dev/fuse" c 10 229
mount --bind "$TMP/dev/fuse" /dev/fuse
expect_exit 10 mounting
grep -q 'closed to this user' "$TMP/said"
expect_exit 13 as_user "$ECLUSE" doctor
grep -q '^problem  */dev/fuse is closed to this user' "$TMP/said"
umount /dev/fuse
mknod -m 666 "$TMP/dev/none" c 10 254
mount --bind "$TMP/dev/none" /dev/fuse
expect_exit 13 mounting
grep -q 'FUSE is not available' "$TMP/said"
expect_exit 13 as_user "$ECLUSE" doctor
grep -q '^problem  *FUSE is not available' "$TMP/said"
END
mountpoint -q / && private=() || private=(--propagation unchanged)
expect "FUSE that is closed" unshare -m "${private[@]}" bash -e "$TMP/in-namespace"

mkdir "$TMP/bin"
cat >"$TMP/bin/fusermount3" <<END
#!/bin/sh
[ -s "$TMP/cause" ] || exec /usr/bin/fusermount3 "\$@"
echo "fusermount3: failed to unmount \$4: \$(cat "$TMP/cause")" >&2
exit 1
END
chmod 755 "$TMP/bin" "$TMP/bin/fusermount3"
as_user env PATH="$TMP/bin:$PATH" "$ECLUSE" mount --passfile "$USER_HOME/pass" "$USER_HOME/store" "$USER_HOME/mnt"
why() { # why CAUSE CODE SENTENCE
    echo "$1" >"$TMP/cause"
    chmod 644 "$TMP/cause"
    expect_exit "$2" as_user "$ECLUSE" umount "$USER_HOME/mnt"
    grep -q "$3" "$TMP/said" || fail "$1: $(cat "$TMP/said")"
    grep -q 'unmounted all the same' "$TMP/said" && fail "$1: it is not unmounted"
    grep -q " $USER_HOME/mnt " /proc/self/mountinfo || fail "$1: unmounted"
}
why 'Device or resource busy' 6 'still open'
why 'Operation not permitted' 10 .
why 'Permission denied' 10 .
why 'Invalid argument' 13 'fusermount3 could not unmount'
rm "$TMP/cause"
as_user "$ECLUSE" umount "$USER_HOME/mnt"
