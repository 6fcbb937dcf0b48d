#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Every command with no, wrong, extra and contradictory arguments, without a terminal, interrupted
# (Ctrl-C) or given up (Ctrl-D) at each of its questions, with a full disk behind standard output,
# on terminals that are dumb, narrow or wide: an exit code and a sentence, a terminal as it was,
# and nothing half done.
. "$(dirname "$0")/lib.sh"

need python3
export XDG_RUNTIME_DIR=$TMP/run XDG_STATE_HOME=$TMP/home/state HOME=$TMP/home
mkdir -m 700 "$XDG_RUNTIME_DIR" "$HOME"
KEY=$TMP/key FILES=$TMP/files
(umask 077 && head -c 64 /dev/urandom >"$KEY")
make_vault --keyfile "$KEY"
mount_vault
echo content >"$MNT/file"
umount_vault
until_true no_daemon
rm "$STATE"/*/ballast # 64 MiB less to compare, again and again
mkdir "$FILES" && echo more >"$FILES/more"
everything() { (cd "$TMP" && listing store state mnt files home recovery pass key; ls -A "$TMP"); }
unchanged() { # unchanged WHAT
    everything >"$TMP/now"
    diff "$TMP/listed" "$TMP/now" >"$TMP/differ" || fail "$1 changed something: $(cat "$TMP/differ")"
}
touch "$TMP/said" "$TMP/out" "$TMP/shown" "$TMP/listed" "$TMP/now" "$TMP/differ" "$TMP/giver-up"
everything >"$TMP/listed"

# --- arguments ------------------------------------------------------------------------

# wrong COMMAND... : exit 1, a sentence on standard error, and not a word on standard output
wrong() {
    local got=0
    timeout 20 "$ECLUSE" "$@" >"$TMP/out" 2>"$TMP/said" </dev/null || got=$?
    same "exit code of: $*: $(cat "$TMP/said")" 1 "$got"
    grep -q '^ecluse: .' "$TMP/said" || fail "no sentence: $*: $(cat "$TMP/said")"
    grep -q 'ecluse help' "$TMP/said" || fail "no hint: $*: $(cat "$TMP/said")"
    [ ! -s "$TMP/out" ] || fail "standard output: $*: $(cat "$TMP/out")"
}
commands=$("$ECLUSE" help | sed -n 's/^  ecluse \([a-z]*\) .*/\1/p' | sort -u)
[ "$(wc -w <<<"$commands")" -gt 18 ] || fail "only these commands: $commands"
for command in $commands; do
    expect_exit 0 "$ECLUSE" help "$command"
    expect_exit 0 "$ECLUSE" "$command" --help
    case $command in
    help | version) continue ;;
    audit) words='show verify' ;;
    key) words='list add remove test tune' ;;
    policy) words=check ;;
    *) words=- ;;
    esac
    [ "$words" = - ] || { wrong "$command"; wrong "$command" nothing; }
    for word in $words; do
        given=("$command")
        [ "$word" = - ] || given+=("$word")
        wrong "${given[@]}" --no-such-option
        wrong "${given[@]}" -Z
        wrong "${given[@]}" a b c d
        case $command in
        askpass | status | flush | doctor | policy) ;;    # nothing is an argument too
        *) wrong "${given[@]}" ;;
        esac
        case $command in
        askpass | manifest | policy) ;;
        *) wrong "${given[@]}" --state ;;
        esac
    done
done
wrong nothing
wrong mount --passfile "$PASS" --keyfile "$KEY" "$STORE" "$MNT"
wrong mount --recovery-file "$SHEET" "$STORE" "$MNT"
wrong mount -o log=stderr "$STORE" "$MNT"
wrong init --passfile "$PASS" --extpass cat "$TMP/none"
wrong init --suite rot13 "$TMP/none"
wrong umount --all "$MNT"
wrong accept --older --other "$STORE"
wrong accept "$STORE"
wrong check --no-key --keyfile "$KEY" "$STORE"
wrong check --no-key --read-data "$STORE"
wrong passwd --keyfile "$KEY" --recovery "$STORE"
wrong passwd --passfile - --new-passfile - "$STORE"
wrong key add --keyfile "$KEY" --generate "$STORE"
wrong key add --keyfile "$KEY" --new-passfile "$PASS" --new-keyfile "$KEY" "$STORE"
wrong key remove --keyfile "$KEY" --slot 0 "$STORE"
wrong key tune --keyfile "$KEY" --milliseconds soon "$STORE"
wrong import --dry-run --remove-source "$FILES" "$MNT"
wrong import --yes "$FILES" "$MNT"
wrong import --remove-source "$FILES" "$MNT"
wrong export --remove-source "$MNT" "$FILES"
wrong audit show --since yesterday "$STORE"
wrong askpass --with telepathy
wrong manifest --output "$STORE/manifest" "$STORE"
wrong report --state "$STATE" --html "$STORE/page" "$STORE"
unchanged "wrong usage"

# --- no terminal ----------------------------------------------------------------------------

# What would ask says that it cannot.
for words in "init $TMP/none" "mount --state $STATE $STORE $MNT" "passwd --state $STATE $STORE" \
    "key add --state $STATE $STORE" "key test --state $STATE $STORE" "check --state $STATE $STORE" \
    "salvage --state $STATE $STORE $TMP/none" "recover --state $TMP/none $STORE" "audit verify --unlock --state $STATE $STORE" \
    "accept --older --state $STATE $STORE" "askpass"; do
    # shellcheck disable=SC2086
    expect_exit 1 setsid -w "$ECLUSE" $words </dev/null
    grep -q 'terminal' "$TMP/said" || fail "$words: $(cat "$TMP/said")"
done
unchanged "no terminal"

# --- questions -----------------------------------------------------------------------------------

cat >"$TMP/giver-up" <<'PYTHON'
# giver-up KEY ANSWER... -- COMMAND... : gives the answers, and at the next question Ctrl-C or Ctrl-D.
# Prints how the command ended and whether the terminal is as it was.
import fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios, time
at = sys.argv.index('--')
key, answers, command = sys.argv[1], sys.argv[2:at], sys.argv[at + 1:]
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
def child():
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
p = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=child)
shown, new, end = b'', b'', time.time() + 90
def question():
    return new.endswith(b' ') and new.strip()
while p.poll() is None and time.time() < end:
    if select.select([master], [], [], 0.05)[0]:
        new += os.read(master, 4096)
        continue
    if question():
        shown, new = shown + new, b''
        if answers:
            os.write(master, answers.pop(0).encode() + b'\n')
        elif key:
            os.write(master, {'C': b'\x03', 'D': b'\x04'}[key])
while select.select([master], [], [], 0.2)[0]:
    new += os.read(master, 4096)
shown += new
if p.poll() is None:
    p.kill()
    sys.exit(f'it does not end: {shown!r}')
same = termios.tcgetattr(slave) == before
print(f'{p.returncode}', 'terminal as before' if same else 'ANOTHER TERMINAL', 'unasked' if answers else '')
sys.stderr.buffer.write(shown)
PYTHON
given_up() { # given_up KEY EXPECTED ANSWER... -- COMMAND...
    local key=$1 want=$2 got
    shift 2
    got=$(python3 "$TMP/giver-up" "$key" "$@" 2>"$TMP/shown") || fail "$*: $got $(cat "$TMP/shown")"
    same "Ctrl-$key: $*: $(cat "$TMP/shown")" "$want terminal as before " "$got"
    [ -z "$(daemon_pids)" ] || until_true no_daemon
    unchanged "Ctrl-$key: $*"
}
pass=$(cat "$PASS")
at=(--state "$STATE" "$STORE")
asking() { # asking CODE-OF-CTRL-D ANSWER... -- COMMAND...
    local code=$1
    shift
    given_up C -2 "$@"
    given_up D "$code" "$@"
}
asking 4 -- "$ECLUSE" init "$TMP/none"
given_up C -2 "$pass" -- "$ECLUSE" init "$TMP/none"
given_up D 4 "$pass" "$pass" -- "$ECLUSE" init --confirm --recovery-out "$TMP/sheet" "$TMP/none"
# It undoes what it made.
given_up C 4 "$pass" "$pass" -- "$ECLUSE" init --confirm --recovery-out "$TMP/sheet" "$TMP/none"
asking 4 -- "$ECLUSE" mount "${at[@]}" "$MNT"
asking 4 -- "$ECLUSE" mount -o foreground "${at[@]}" "$MNT"
asking 4 -- "$ECLUSE" passwd "${at[@]}"
asking 4 -- "$ECLUSE" passwd --keyfile "$KEY" "${at[@]}"
given_up C -2 new -- "$ECLUSE" passwd --keyfile "$KEY" "${at[@]}"
asking 4 -- "$ECLUSE" passwd --recovery "${at[@]}"
asking 4 -- "$ECLUSE" key add "${at[@]}"
asking 4 -- "$ECLUSE" key add --keyfile "$KEY" "${at[@]}"
asking 4 -- "$ECLUSE" key add --keyfile "$KEY" --new-recovery "${at[@]}"
asking 4 -- "$ECLUSE" key remove --slot 1 "${at[@]}"
asking 4 -- "$ECLUSE" key test "${at[@]}"
asking 4 -- "$ECLUSE" key tune "${at[@]}"
asking 4 -- "$ECLUSE" check "${at[@]}"
asking 4 -- "$ECLUSE" check --recovery "${at[@]}"
asking 4 -- "$ECLUSE" salvage "${at[@]}" "$TMP/none"
asking 4 -- "$ECLUSE" recover --state "$TMP/none" "$STORE"
asking 4 -- "$ECLUSE" recover --recovery-file "$SHEET" --state "$TMP/none" "$STORE"
asking 4 -- "$ECLUSE" accept --older "${at[@]}"
asking 4 -- "$ECLUSE" audit verify --unlock "${at[@]}"
asking 4 -- bash -c '"$0" askpass | cat; exit "${PIPESTATUS[0]}"' "$ECLUSE"

# --- standard output --------------------------------------------------------------------------------

full() { # full COMMAND... : nothing can be said
    local got=0
    "$ECLUSE" "$@" >/dev/full 2>"$TMP/said" </dev/null || got=$?
    same "a full disk behind: $*: $(cat "$TMP/said")" 9 "$got"
    grep -q 'no space left' "$TMP/said" || fail "$*: $(cat "$TMP/said")"
}
mount_vault
for words in help 'help key' version 'status' "status $MNT" "status --json" "gc $MNT" "gc --json $MNT" \
    "import --dry-run $FILES $MNT" "import --dry-run --json $FILES $MNT" "export --dry-run $MNT $FILES"; do
    # shellcheck disable=SC2086
    full $words
done
umount_vault
for words in "key list" "key list --json" "audit show" "audit show --json" "audit verify" "report" "report --json" \
    "check --keyfile $KEY" "check --json --keyfile $KEY" "key test --keyfile $KEY"; do
    # shellcheck disable=SC2086
    full $words "${at[@]}"
done
full check --no-key "$STORE"
full manifest "$STORE"
full policy check "$STORE"
full policy check --json "$STORE"
for i in $(seq 3000); do echo "a line that is longer than most, so that standard output is full before its end: $i"; done >"$FILES/long"
got=0
"$ECLUSE" askpass --with terminal </dev/null >/dev/full 2>"$TMP/said" || got=$?
expect "askpass" test $got != 0
"$ECLUSE" manifest "$STORE" | true || same "a reader that is gone" 141 "${PIPESTATUS[0]}"

# --- terminals ------------------------------------------------------------------------------------------

# shown NAME=VALUE... COMMAND : what a terminal would get
shown() { python3 "$TMP/giver-up" '' -- env "$@" 2>&1 >"$TMP/out"; }
for setting in TERM=dumb NO_COLOR=1 COLUMNS=40 COLUMNS=200 LC_ALL=C LC_ALL=fr_CA.UTF-8 LC_ALL=xx_XX.nonsense; do
    shown $setting "$ECLUSE" check --keyfile "$KEY" "${at[@]}" >"$TMP/shown"
    grep -q '^0 terminal as before' "$TMP/out" || fail "$setting: $(cat "$TMP/out" "$TMP/shown")"
    grep -qaE '\[[0-9;]*m' "$TMP/shown" && fail "colours with $setting"
    case $setting in TERM=dumb) grep -qa $'\e' "$TMP/shown" && fail "a dumb terminal gets escape sequences" ;; esac
done

# --- another user -----------------------------------------------------------------------------------------

if as_root; then
    open_the_way
    mkdir -p "$USER_HOME/other" && chmod 755 "$USER_HOME" "$USER_HOME/other"
    for words in "mount $STORE $USER_HOME/other" "passwd $STORE" "key list $STORE" "check --keyfile $KEY $STORE" "manifest $STORE" \
        "salvage --keyfile $KEY $STORE $USER_HOME/none" "audit show $STORE" "report $STORE" "init --keyfile $KEY $STORE.2" \
        "recover --recovery-file $SHEET $STORE" "accept --older $STORE" "import $FILES $MNT" "umount $MNT" "flush $MNT" "status $MNT"; do
        got=0
        # shellcheck disable=SC2086
        as_user "$ECLUSE" ${words%% *} --state "$STATE" ${words#* } >"$TMP/said" 2>&1 </dev/null || got=$?
        case $words in manifest*) expect "manifest has no --state" test $got = 1 && continue ;; esac
        expect "exit code $got of another user's $words: $(cat "$TMP/said")" test $got -gt 0 -a $got -lt 16
        grep -q '^ecluse: .' "$TMP/said" || fail "no sentence: $words"
    done
fi
