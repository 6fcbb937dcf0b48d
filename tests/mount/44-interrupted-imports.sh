#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Imports and exports that are killed, interrupted, run out of space or meet what they
# cannot read or write: nothing is ever half done, the message and the exit code say
# why, and the same command goes on.
. "$(dirname "$0")/lib.sh"
new_disk() { # new_disk NAME SIZE : a small tmpfs at $TMP/NAME
    mkdir "$TMP/$1"
    mount -t tmpfs -o "size=$2,mode=0755" none "$TMP/$1"
}

make_vault
mount_vault
SRC=$TMP/source
mkdir "$SRC"
for k in $(seq 40); do
    mkdir "$SRC/folder$k"
    touch -d "2001-01-$((k % 28 + 1)) 01:02:03.5" "$SRC/folder$k/empty"
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do head -c $((k * n * 300)) /dev/urandom >"$SRC/folder$k/$n"; done
    ln "$SRC/folder$k/1" "$SRC/folder$k/linked"
    ln -s 1 "$SRC/folder$k/soft"
    chmod "0$((700 + k))" "$SRC/folder$k" 2>/dev/null || chmod 0711 "$SRC/folder$k"
    touch -d "2001-02-$((k % 28 + 1)) 01:02:03.5" "$SRC/folder$k"
done
head -c 60M /dev/urandom >"$SRC/large"
looks() (
    cd "$1"
    find . -mindepth 1 -not -path './.ecluse-partial*' -printf '%P|%y|%m|%T@|%l\n' | sort
    find . -type f -not -path './.ecluse-partial*' -print0 | sort -z | xargs -0r sha256sum
)
sums() (cd "$1" && find . -type f -not -path './.ecluse-partial*' -print0 | xargs -0r sha256sum | sort)
# nothing_half SENTENCE DIR : what is there has the bytes that it has to have, whatever is missing
nothing_half() { same "$1: half done" "" "$(comm -13 <(sums "$SRC") <(sums "$2"))"; }
run() { "$ECLUSE" "$1" --state "$STATE" "${@:2}"; }

# --- kill -9, again and again, until it is through -----------------------------------------

for command in import export; do
    [ "$command" = import ] && from=$SRC to=$MNT/killed || from=$MNT/killed to=$TMP/killed
    for k in $(seq 1 40); do
        "$ECLUSE" "$command" --state "$STATE" "$from" "$to" >"$TMP/said" 2>&1 &   # not run: the shell would be killed
        pid=$!
        read -rt "0.$(printf %02d $((RANDOM % 12 + k * 2)))" <> <(:) || true
        kill -9 "$pid" 2>/dev/null || { wait "$pid" && break; }
        wait "$pid" 2>/dev/null || true
        [ ! -d "$to" ] || nothing_half "$command killed $k times" "$to"
    done
    echo "$command: killed $k times"
    expect_exit 0 run "$command" "$from" "$to"
    same "$command, in the end" "$(looks "$SRC")" "$(looks "$to")"
    same "names of the same file" "$(stat -c %i "$to/folder7/1")" "$(stat -c %i "$to/folder7/linked")"
    [ ! -e "$to/.ecluse-partial" ] || fail "the staging folder is still there"
done

# While the source is being removed: what is gone is in the vault.
cp -a "$SRC" "$TMP/going"
for k in $(seq 1 12); do
    "$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/going" "$MNT/killed" >"$TMP/said" 2>&1 &
    pid=$!
    until grep -q '^Files read back' "$TMP/said" || gone "$pid" || [ "$(find "$TMP/going" -type f | wc -l)" -lt 500 ]; do :; done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    same "what is in neither" "" "$(comm -23 <(sums "$SRC") <({ sums "$TMP/going"; sums "$MNT/killed"; } | sort -u))"
done
expect_exit 0 run import --remove-source --yes "$TMP/going" "$MNT/killed"
same "what is left" 0 "$(find "$TMP/going" -mindepth 1 | wc -l)"
same "what is in the vault" "$(looks "$SRC")" "$(looks "$MNT/killed")"

# --- Ctrl-C: a word, and the same command goes on ----------------------------------------------

for signal in INT TERM HUP; do
    # A shell starts what runs in the background with SIGINT ignored.
    env --default-signal=INT "$ECLUSE" import --state "$STATE" "$SRC" "$MNT/$signal" >"$TMP/said" 2>&1 &
    pid=$!
    until [ -e "$MNT/$signal/.ecluse-partial" ]; do :; done
    kill -"$signal" "$pid"
    code=0
    wait "$pid" || code=$?
    if [ "$code" != 0 ]; then
        same "exit code" $((128 + $(kill -l "$signal"))) "$code"
        grep -q '^Interrupted' "$TMP/said" || fail "no word: $(cat "$TMP/said")"
        [ ! -e "$MNT/$signal/.ecluse-partial" ] || fail "something staged is left"
    fi
    nothing_half "after $signal" "$MNT/$signal"
    expect_exit 0 run import "$SRC" "$MNT/$signal"
    same "after $signal" "$(looks "$SRC")" "$(looks "$MNT/$signal")"
done

# At the question: nothing was removed.
cp -a "$SRC/folder9" "$TMP/asked"
"$TOOLS/terminal" -e "$(printf '\003')" -- "$ECLUSE" import --remove-source --state "$STATE" "$TMP/asked" "$MNT/asked" >"$TMP/said" && fail "it went on"
same "what is left of the source" "$(ls "$SRC/folder9")" "$(ls "$TMP/asked")"
code=0
setsid -w "$ECLUSE" import --remove-source --state "$STATE" "$TMP/asked" "$MNT/asked" </dev/null >"$TMP/said" 2>&1 || code=$?
same "without a terminal" 1 "$code"
grep -q 'needs “--yes”' "$TMP/said" || fail "$(cat "$TMP/said")"

# --- what changes while it is copied --------------------------------------------------------------

mkdir "$TMP/moving" && head -c 20M /dev/urandom >"$TMP/moving/file" && echo still >"$TMP/moving/quiet"
(while [ ! -e "$TMP/enough" ]; do printf x | dd of="$TMP/moving/file" bs=1 seek=$((RANDOM * 100)) conv=notrunc status=none; done) &
writer=$!
expect_exit 14 run import --remove-source --yes "$TMP/moving" "$MNT/moving"
touch "$TMP/enough" && wait $writer
grep -q '^file: it changes' "$TMP/said" || fail "no word of the change: $(cat "$TMP/said")"
same "only what is quiet went" file "$(ls "$TMP/moving")"
same "it is there" still "$(cat "$MNT/moving/quiet")"

# A file with two names, written to between the looks at one and at the other.
mkdir -p "$TMP/twice/a" && echo 'one version' >"$TMP/twice/a/name"
head -c 80M /dev/urandom >"$TMP/twice/between" && mkdir "$TMP/twice/z" && ln "$TMP/twice/a/name" "$TMP/twice/z/other"
"$ECLUSE" import --remove-source --yes --state "$STATE" "$TMP/twice" "$MNT/twice" >"$TMP/said" 2>&1 &
pid=$!
until find "/proc/$pid/fd" -lname "$MNT/twice/between" 2>/dev/null | grep -q . || gone "$pid"; do :; done
printf two | dd of="$TMP/twice/a/name" conv=notrunc status=none 2>/dev/null || true
wait "$pid" || true
grep -sq '^two' "$TMP/twice/a/name" "$TMP/twice/z/other" "$MNT/twice/a/name" ||
    fail "what was written is in neither: $(cat "$TMP/said")"

# What ends all ends it also where a file of the source is opened: it is not left out in silence.
need strace
mkdir "$TMP/opened" && echo 1 >"$TMP/opened/fine" && echo 2 >"$TMP/opened/last" && ln -s fine "$TMP/opened/soft"
for name in last soft; do
    expect_exit 13 strace -E ASAN_OPTIONS=detect_leaks=0 -qqo /dev/null -P $name -e trace=openat -e inject=openat:error=ENFILE "$ECLUSE" import --state "$STATE" "$TMP/opened" "$MNT/opened-$name"
    grep -q '^It ended before its time' "$TMP/said" || fail "$(cat "$TMP/said")"
done
# A filesystem may say that it was interrupted; nobody has interrupted us.
expect_exit 14 strace -E ASAN_OPTIONS=detect_leaks=0 -qqo /dev/null -P last -e trace=openat -e inject=openat:error=EINTR "$ECLUSE" import --state "$STATE" "$TMP/opened" "$MNT/opened-again"
grep -q '^last: it cannot be read' "$TMP/said" && ! grep -q '^Interrupted' "$TMP/said" || fail "$(cat "$TMP/said")"
same "the others are there" "fine soft" "$(cd "$MNT/opened-again" && echo *)"
rm -r "$MNT"/opened-*
expect_exit 0 run import "$TMP/opened" "$MNT/opened"
expect_exit 13 strace -E ASAN_OPTIONS=detect_leaks=0 -qqo /dev/null -P last -e trace=openat -e inject=openat:error=ENFILE "$ECLUSE" export --state "$STATE" "$MNT/opened" "$TMP/closed"
expect_exit 0 run export "$MNT/opened" "$TMP/closed"
same "what came out in the end" "fine last soft" "$(cd "$TMP/closed" && echo *)"

# A folder that can be opened, but not listed, is told by its own name.
mkdir -p "$TMP/unlisted/folder" && echo 1 >"$TMP/unlisted/folder/file" && echo 2 >"$TMP/unlisted/other"
expect_exit 14 strace -E ASAN_OPTIONS=detect_leaks=0 -qqo /dev/null -P "$TMP/unlisted/folder" -e trace=getdents64 -e inject=getdents64:error=EIO "$ECLUSE" import --state "$STATE" "$TMP/unlisted" "$MNT/unlisted"
same "what was told" "folder: it cannot be read (input or output error)" "$(grep ': it' "$TMP/said")"
same "what was copied" "folder other" "$(ls "$MNT/unlisted" | xargs)"

# Two at a time into one place: the second one is refused, and empties nothing.
mkdir "$TMP/big" && head -c 300M /dev/zero | tr '\0' 'y' >"$TMP/big/file"
run import "$TMP/big" "$MNT/two" >/dev/null &
until [ -e "$MNT/two/.ecluse-partial/0000000000000001" ]; do :; done
expect_exit 13 run import "$SRC" "$MNT/two"
grep -q 'in use' "$TMP/said" || fail "$(cat "$TMP/said")"
wait %% || fail "the first one was disturbed"
mkdir -p "$MNT/held/.ecluse-partial"
expect_exit 13 flock "$MNT/held/.ecluse-partial" "$ECLUSE" import --state "$STATE" "$SRC" "$MNT/held"
[ -d "$MNT/held/.ecluse-partial" ] || fail "the second one took the first one's empty staging folder away"

# --- as another user --------------------------------------------------------------------------------

if as_root; then
    open_the_way
    mkdir -p "$USER_HOME" && chown 65534:65534 "$USER_HOME"
    expect_exit 10 as_user "$ECLUSE" import "$USER_HOME" "$MNT/other"
    expect_exit 10 as_user "$ECLUSE" export "$MNT/killed" "$USER_HOME/out"
    [ ! -e "$USER_HOME/out" ] && [ ! -e "$MNT/other" ] || fail "something was made"
    # Their own vault, and files that they cannot read, or keep as they are.
    u="$USER_HOME/u"
    as_user mkdir "$u" "$u/mnt" "$u/src" "$u/src/closed" "$u/src/theirs"
    as_user sh -c "umask 077; echo secret phrase of nobody >$u/pass; echo 1 >$u/src/open; echo 2 >$u/src/closed/file; chmod 000 $u/src/closed"
    echo root >"$u/src/theirs/of-root" && chmod 600 "$u/src/theirs/of-root" && echo root >"$u/src/of-root" && chmod 644 "$u/src/of-root"
    as_user "$ECLUSE" init --passfile "$u/pass" --recovery-out "$u/sheet" --state "$u/state" "$u/store" >/dev/null
    as_user "$ECLUSE" mount --passfile "$u/pass" --state "$u/state" "$u/store" "$u/mnt"
    expect_exit 14 as_user "$ECLUSE" import --remove-source --yes --state "$u/state" "$u/src" "$u/mnt/in"
    grep -q '^closed: it cannot be read (access denied)' "$TMP/said" || fail "$(cat "$TMP/said")"
    grep -q '^theirs/of-root: it cannot be read (access denied)' "$TMP/said" || fail "$(cat "$TMP/said")"
    same "what was imported" "in in/of-root in/open in/theirs" "$(as_user sh -c "cd $u/mnt && find . -mindepth 1 -printf '%P ' | tr ' ' '\n' | sort | xargs")"
    same "what stays" "closed theirs theirs/of-root" "$(cd "$u/src" && find . -mindepth 1 -not -name file -printf '%P\n' | sort | xargs)"
    chmod 555 "$u/src"
    mkdir "$u/src/nowhere" && chmod 755 "$u/src/nowhere"
    expect_exit 10 as_user "$ECLUSE" export --state "$u/state" "$u/mnt" "$u/src/nowhere"
    grep -q 'access denied' "$TMP/said" || fail "$(cat "$TMP/said")"
    as_user "$ECLUSE" umount "$u/mnt"

    # --- full and read-only places ---------------------------------------------------------------------

    new_disk small 20M
    expect_exit 9 run export "$MNT/killed" "$TMP/small/out"
    grep -q 'no space left' "$TMP/said" || fail "$(cat "$TMP/said")"
    nothing_half "a full disk" "$TMP/small/out"
    [ ! -e "$TMP/small/out/.ecluse-partial" ] || fail "something staged is left"
    mount -o remount,size=200M "$TMP/small"
    expect_exit 0 run export "$MNT/killed" "$TMP/small/out"
    same "with space again" "$(looks "$SRC")" "$(looks "$TMP/small/out")"
    mount -o remount,ro "$TMP/small"
    expect_exit 0 run export --dry-run "$MNT/killed" "$TMP/small/out"
    expect_exit 2 run export "$MNT/killed" "$TMP/small/other"
    grep -q 'read-only' "$TMP/said" || fail "$(cat "$TMP/said")"
    expect_exit 2 run export "$MNT/killed" "$TMP/small/out"
    remount -o ro
    expect_exit 2 run import "$SRC" "$MNT/nothing"
    grep -q 'read-only' "$TMP/said" || fail "$(cat "$TMP/said")"
    umount_vault

    # A store, then a state, that is too small: nothing is removed, and nothing is lost.
    new_disk store2 24M
    STORE=$TMP/store2/s STATE=$TMP/state2 SHEET=$TMP/recovery2
    make_vault
    mount_vault
    expect_exit 9 run import --remove-source --yes "$SRC" "$MNT/in"
    same "the source after it" "$(looks "$SRC" | sha256sum)" "$(looks "$TMP/small/out" | sha256sum)"
    mount -o remount,size=300M "$TMP/store2"
    expect_exit 0 run import "$SRC" "$MNT/in"
    same "with space in the store" "$(looks "$SRC")" "$(looks "$MNT/in")"
    umount_vault
    new_disk state3 40M
    STORE=$TMP/store3 STATE=$TMP/state3/s SHEET=$TMP/recovery3
    make_vault
    mount_vault
    expect_exit 9 run import --remove-source --yes "$SRC" "$MNT/in"
    nothing_half "a full state" "$MNT/in"
    same "the source after that" "$(looks "$SRC" | sha256sum)" "$(looks "$TMP/small/out" | sha256sum)"
    mount -o remount,size=400M "$TMP/state3"
    "$ECLUSE" flush --state "$STATE" "$MNT" || true
    until_true run import "$SRC" "$MNT/in"
    same "with space in the state" "$(looks "$SRC")" "$(looks "$MNT/in")"
fi

# --- arguments -----------------------------------------------------------------------------------------------

export -n LC_ALL
refused() { # refused CODE FRENCH ENGLISH ARGUMENT...
    local code=$1 french=$2 english=$3
    shift 3
    LC_ALL=C.UTF-8 LANGUAGE='' expect_exit "$code" "$ECLUSE" "$@"
    grep -qF -- "$english" "$TMP/said" || fail "no «$english» in: $(cat "$TMP/said")"
    LC_ALL=fr_CA.UTF-8 LANGUAGE='' expect_exit "$code" "$ECLUSE" "$@"
    grep -qF -- "$french" "$TMP/said" || fail "no «$french» in: $(cat "$TMP/said")"
    LC_ALL=C expect_exit "$code" "$ECLUSE" "$@"
}
for command in import export; do
    refused 1 "il faut indiquer un dossier" "a folder, and perhaps" $command
    refused 1 "il faut indiquer un dossier" "a folder, and perhaps" $command a b c
    refused 1 "il faut indiquer un dossier" "a folder, and perhaps" $command ""
    refused 1 "option inconnue" "unknown option" $command --fast a b
    refused 1 "valeur" "needs a value" $command a b --state
done
refused 1 "option inconnue" "unknown option" export --remove-source a b
refused 1 "option inconnue" "unknown option" export --yes a b
refused 1 "s’excluent" "exclude each other" import --dry-run --remove-source a b
refused 1 "ne s’emploie qu’avec" "goes with “--remove-source” only" import --yes a b
refused 12 "aucun coffre" "no Écluse vault" import "$SRC" "$TMP"
LC_ALL=C.UTF-8 expect_exit 0 "$ECLUSE" import --help
LC_ALL=fr_CA.UTF-8 "$ECLUSE" help export | grep -q 'en clair' || fail "no help in French"
mountpoint -q "$MNT" && umount_vault || true
