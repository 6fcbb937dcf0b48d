#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# `make deb`: what is in the package, that lintian finds no error, that the same source gives the same bytes;
# and what the installed completions offer. system.sh installs it in a whole system.
. "$(dirname "$0")/../mount/lib.sh"
need dpkg-deb dpkg-shlibdeps lintian

"$ROOT/scripts/deb/build" "$TMP/one" >"$TMP/log" 2>&1 || { cat "$TMP/log" && fail "the package is not built"; }
deb=$(echo "$TMP"/one/ecluse_*.deb)
dpkg-deb --fsys-tarfile "$deb" | tar -tf - | sed 's|^\./||; /\/$/d; /^$/d' | sort >"$TMP/contents"
cat >"$TMP/expected" <<'END'
etc/apparmor.d/abstractions/ecluse
lib/systemd/system/ecluse-suspend.service
lib/systemd/system/ecluse@.service
usr/bin/ecluse
usr/bin/ecluse-open
usr/lib/systemd/user/ecluse-lock.service
usr/lib/systemd/user/ecluse@.service
usr/libexec/ecluse/bookmark
usr/libexec/ecluse/lock-watch
usr/sbin/mount.ecluse
usr/sbin/mount.fuse.ecluse
usr/sbin/umount.ecluse
usr/sbin/umount.fuse.ecluse
usr/share/applications/ecluse.desktop
usr/share/bash-completion/completions/ecluse
usr/share/doc/ecluse/changelog.Debian.gz
usr/share/doc/ecluse/changelog.gz
usr/share/doc/ecluse/copyright
usr/share/doc/ecluse/docs/en/administration.md
usr/share/doc/ecluse/docs/examples/policy.conf
usr/share/doc/ecluse/docs/fr/administration.md
usr/share/file-manager/actions/ecluse.desktop
usr/share/fish/vendor_completions.d/ecluse.fish
usr/share/icons/hicolor/scalable/apps/ecluse.svg
usr/share/kio/servicemenus/ecluse.desktop
usr/share/locale/fr/LC_MESSAGES/ecluse.mo
usr/share/man/fr/man1/ecluse-open.1.gz
usr/share/man/fr/man1/ecluse.1.gz
usr/share/man/fr/man5/ecluse-policy.conf.5.gz
usr/share/man/fr/man8/mount.ecluse.8.gz
usr/share/man/man1/ecluse-open.1.gz
usr/share/man/man1/ecluse.1.gz
usr/share/man/man5/ecluse-policy.conf.5.gz
usr/share/man/man8/mount.ecluse.8.gz
usr/share/man/man8/umount.ecluse.8.gz
usr/share/mime/packages/ecluse.xml
usr/share/nemo/actions/ecluse.nemo_action
usr/share/zsh/vendor-completions/_ecluse
END
same "what is missing" "" "$(comm -13 "$TMP/contents" "$TMP/expected")"
same "places where a package may not put anything" "" "$(grep -vE '^(etc/apparmor.d/abstractions|lib/systemd/system|usr)/' "$TMP/contents" || true)"
same "places that are somebody else's" "" "$(grep -E 'apparmor.d/local|usr/local' "$TMP/contents" || true)"
same "the folder of the policy, which users read" drwxr-xr-x "$(dpkg-deb -c "$deb" | awk '$6 == "./etc/ecluse/" { print $1 }')"
dpkg-deb -f "$deb" Depends | grep -q 'fuse3.*libc6.*libfuse3-3' || fail "depends on: $(dpkg-deb -f "$deb" Depends)"
dpkg-deb --fsys-tarfile "$deb" | tar -xf - -C "$TMP" ./usr ./lib
(
    cd "$TMP/usr/share/doc/ecluse"
    for page in README.md LISEZMOI.md docs/{en,fr}/*.md; do   # manuals and licence are elsewhere in a package
        grep -o '](\([^)#:]*\)[)#]' "$page" | sed 's/](\(.*\)./\1/' | grep -vE '(^|/)man/|LICENSE|CHANGELOG|^$' |
            while read -r link; do [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"; done || true
    done
) >"$TMP/dead"
same "links of the guides that lead nowhere" "" "$(cat "$TMP/dead")"
grep -aqF "$ROOT" "$TMP/usr/bin/ecluse" && fail "the path of this checkout is in the program"
same "the program's version" "$("$ECLUSE" version)" "$("$TMP/usr/bin/ecluse" version)"
same "the version of the package" "$("$ECLUSE" version | cut -d' ' -f2)" "$(dpkg-deb -f "$deb" Version | cut -d- -f1)"

lintian --fail-on error "$TMP"/one/*.deb >"$TMP/said" 2>&1 || { cat "$TMP/said" && fail "lintian"; }
if command -v systemd-analyze >/dev/null && [ -x /usr/bin/man ]; then
    # Their programs are not installed here; their options are what is looked at.
    for unit in "$TMP"/lib/systemd/system/*.service "$TMP"/usr/lib/systemd/user/*.service; do
        systemd-analyze verify --man=no "$unit" 2>&1 | grep -F ecluse | grep -v 'is not executable' && fail "$unit"
    done || true
fi

# The rules for a profile that Debian 12 does not have, in one of ours: they are read, and not loaded.
need apparmor_parser
mkdir "$TMP/profiles"
dpkg-deb --fsys-tarfile "$deb" | tar -xf - -C "$TMP/profiles" --strip-components=3 ./etc/apparmor.d
printf 'profile fusermount3 /usr/bin/fusermount3 {\n  include <abstractions/ecluse>\n}\n' >"$TMP/profiles/fusermount3"
apparmor_parser --preprocess --skip-kernel-load --skip-cache --base "$TMP/profiles" "$TMP/profiles/fusermount3" >"$TMP/said" 2>&1 &&
    apparmor_parser --skip-kernel-load --skip-cache --base "$TMP/profiles" "$TMP/profiles/fusermount3" >"$TMP/log" 2>&1 ||
    { cat "$TMP/said" "$TMP/log" && fail "the rules for AppArmor"; }
grep -q 'mount fstype=fuse.ecluse' "$TMP/said" || fail "the rules are not in the profile"

"$ROOT/scripts/deb/build" "$TMP/two" >"$TMP/log" 2>&1
for package in "$TMP"/one/*.deb; do
    cmp "$package" "$TMP/two/$(basename "$package")" || fail "$(basename "$package") is another one the second time"
done

# Completions: what the help has, in each shell.
PATH=$(dirname "$ECLUSE"):$PATH
share=$TMP/usr/share
commands=$(LC_ALL=C "$ECLUSE" help | sed -n 's/^  ecluse \([a-z]*\) .*/\1/p' | sort)
options=$("$ECLUSE" help check | grep -oE -- '--[a-z][a-z-]*' | sort -u)
complete_bash() { # complete_bash WORD... : the last is being typed
    bash --norc -c '. "$0"; compopt() { :; }; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _ecluse; printf "%s\n" "${COMPREPLY[@]}"' \
        "$share/bash-completion/completions/ecluse" "$@" | sort
}
complete_fish() { # complete_fish LINE
    HOME=$TMP fish --no-config -c "source $share/fish/vendor_completions.d/ecluse.fish; complete -C '$1'" | cut -f1 | sort
}
same "commands in bash" "$commands" "$(complete_bash ecluse '')"
same "options in bash" "$options" "$(complete_bash ecluse check --)"
same "mount options in bash" "$(printf 'ro,idle=')" "$(complete_bash ecluse mount -o ro,id)"
complete_bash ecluse mount -o '' >"$TMP/words"
for word in ro rw owners strict passfile= grace= idle= notify= rebuild rebuild= allow_root; do
    grep -qx -- "$word" "$TMP/words" || fail "bash does not know -o $word: $(cat "$TMP/words")"
done
need fish zsh
same "options in fish" "$options" "$(complete_fish 'ecluse check --')"
same "a command in fish" status "$(complete_fish 'ecluse stat')"
same "mount options in fish" "$(printf 'ro,idle=')" "$(complete_fish 'ecluse mount -o ro,id')"
zsh -fc "autoload -Uz compinit; fpath=($share/zsh/vendor-completions \$fpath); compinit -D -d $TMP/zcompdump; whence _ecluse; print \$_comps[ecluse]" >"$TMP/said"
grep -qx _ecluse "$TMP/said" || fail "zsh does not know the function: $(cat "$TMP/said")"
# zsh completes on a terminal only: what it would offer is asked of the function itself.
zsh -fc '_describe() { print -l $found; }; _files() { :; }; compadd() { print -l -- ${(P)2}; }
    compset() { :; }; words=(ecluse check --); CURRENT=3; _ecluse() { . '"$share"'/zsh/vendor-completions/_ecluse; }; _ecluse' |
    sort >"$TMP/said"
same "options in zsh" "$options" "$(cat "$TMP/said")"
