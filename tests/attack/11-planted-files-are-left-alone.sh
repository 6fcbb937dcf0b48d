#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Row 11: garbage, foreign objects, conflicted copies, links, FIFOs, devices, a sparse file
# of 1 TiB and hostile names, in the store: never followed, opened to their harm or
# removed; counted; and mount, status, flush and recover take no longer for it.
. "$(dirname "$0")/lib.sh"

make_attacked
opens "a new vault"
fill
close_vault
keep good
object=$(all_objects | head -n 1)
random_id() { head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
echo "a secret of somebody else's" >"$TMP/victim"
chmod 600 "$TMP/victim"

plant() {
    local k
    for k in 1 2 3; do head -c 65536 /dev/urandom >"$(path_of "$(random_id)")"; done
    head -c 65535 /dev/urandom >"$(path_of "$(random_id)")"        # may be on its way: no alarm
    : >"$(path_of "$(random_id)")"
    cp "$object" "${object}"' (conflicted copy 2026-01-02)'
    cp "$object" "$object.sync-conflict-20260102-030405-ABCDEFG"
    cp "$STORE"/vault-*.ecl "$STORE/vault (copie conflictuelle).ecl"
    cp "$object" "$(path_of "$(random_id)")"                       # an authentic one, elsewhere
    ln -s "$TMP/victim" "$(path_of "$(random_id)")"
    ln -s / "$STORE/segments/root"
    ln -s loop "$STORE/loop"
    mkfifo "$(path_of "$(random_id)")" "$STORE/fifo"
    mknod "$(path_of "$(random_id)")" c 1 5                        # /dev/zero: endless
    mknod "$STORE/segments/00/console" c 5 1
    ln "$TMP/victim" "$STORE/segments/00/hard"
    ln "$object" "$STORE/segments/hard-link"
    truncate -s 1T "$(path_of "$(random_id)")"
    truncate -s 16M "$(path_of "$(random_id)")"
    mkdir -p "$(path_of "$(random_id)")" "$STORE/segments/zz/deep/er"
    printf x >"$STORE/$(printf 'line\nbreak\033[31m')"
    printf x >"$STORE/segments/-rf"
    printf x >"$STORE/segments/00/%s%n%n"
    printf x >"$STORE/$(printf '\377\376')"
    printf x >"$STORE/$(head -c 255 /dev/zero | tr '\0' a)"
}
plant
(cd "$STORE" && find . -printf '%p|%y|%i|%m|%n|%s\n' | sort) >"$TMP/planted"
begin=$SECONDS
opens "planted files"
agrees "planted files"
same "all is there" 0 "$eio"
same "refused" 0 "$(status_field refused)"
foreign=$(status_field foreign)
[ "$foreign" -ge 25 ] || fail "only $foreign are counted"
echo more >"$TRUTH/more" && cp "$TRUTH/more" "$MNT/" && flush_vault
close_vault
(cd "$STORE" && find . -printf '%p|%y|%i|%m|%n|%s\n' | sort) >"$TMP/later"
same "planted files that are gone or changed" "" "$(comm -23 "$TMP/planted" "$TMP/later")"
same "the victim" "a secret of somebody else's" "$(cat "$TMP/victim")"
opens "planted files, again"
agrees "planted files, again"
says 'ECL-0322 object [0-9a-f]{32} in the store is nothing of this vault'
grep -aq $'\033' "$TMP/said" && fail "a hostile name reached the terminal"
close_vault
"$ECLUSE" recover --recovery-file "$SHEET" --keyfile "$KEY" --state "$TMP/recovered" "$STORE" >"$TMP/said" 2>&1 || fail "recover: $(cat "$TMP/said")"
[ $((SECONDS - begin)) -lt 30 ] || fail "it took $((SECONDS - begin)) s"
mkdir "$TMP/mnt2"
"$ECLUSE" mount --keyfile "$KEY" --state "$TMP/recovered" "$STORE" "$TMP/mnt2"
expect "the recovered tree is the truth" "$TOOLS/agree" "$TRUTH" "$TMP/mnt2"
"$ECLUSE" umount "$TMP/mnt2"
echo "$foreign foreign files, $((SECONDS - begin)) s"

# In the place of what is needed: of an object, of a fan-out directory, of segments itself.
rm "$TRUTH/more"
back good
for kind in symlink fifo device directory; do
    for target in "$object" "$(dirname "$object")" "$STORE/segments"; do
        mv "$target" "$TMP/moved"
        case $kind in
        symlink) ln -s "$TMP/moved" "$target" ;;
        fifo) mkfifo "$target" ;;
        device) mknod "$target" c 1 5 ;;
        directory) mkdir "$target" ;;
        esac
        if open_vault; then
            agrees "a $kind as ${target#"$STORE"/}"
            close_vault || true
        else
            says 'older than what this device|ill|malformed|not an Écluse|cannot be written'
        fi
        rm -rf "$TMP/moved"
        back good
    done
done
