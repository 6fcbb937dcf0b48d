# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034  # programs for bash -c; ALL_LOADS is for run
#
# What is measured.  Each load_* starts with an empty vault of the current peer,
# mounted, and records what it finds under the names of metrics.tsv.  A step that
# fails ends its load: what was not recorded is shown as n/a.
#
# Times are what the caller waits for; where an fsync belongs to it, the name says so.

ALL_LOADS="big append tree git sqlite small sync"

record() { # record METRIC VALUE
    printf '%s\t%s\t%s\t%s\t%s\n' "$PLACE" "$ROUND" "$P" "$1" "$2" >>"$RESULTS"
}
rate() { awk -v n="$1" -v t="$2" 'BEGIN { if (t > 0) printf "%.3f\n", n / t }'; } # rate AMOUNT SECONDS
minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", a - b }'; }

bounded() { timeout -k 5 "$LIMIT" "$@"; }

timed() { # timed METRIC COMMAND... : records the seconds
    local metric=$1 start
    shift
    sync
    start=$EPOCHREALTIME
    bounded "$@" >/dev/null 2>>"$LOG" || return
    record "$metric" "$(minus "$EPOCHREALTIME" "$start")"
}

speed() { # speed METRIC AMOUNT LOAD... : records AMOUNT per second
    local metric=$1 amount=$2 seconds
    shift 2
    sync
    seconds=$(bounded "$BIN/loads" "$@" 2>>"$LOG") || return
    record "$metric" "$(rate "$amount" "${seconds%% *}")"
}

random_io() { # random_io METRIC fio-options... : records operations per second
    local metric=$1 answer
    shift
    sync
    answer=$(bounded fio --name=random --filename="$MNT/big" --size="$BIG" --bs=4k --ioengine=psync \
        --invalidate=0 --randrepeat=1 --allow_file_create=0 --output-format=terse --terse-version=3 \
        "$@" 2>>"$LOG" | grep '^3;') || return
    # KiB moved and milliseconds taken: reading in fields 6 and 9, writing in 47 and 50.
    record "$metric" "$(awk -F ';' '{ printf "%.0f\n", ($6 + $47) / 4 / (($9 + $50) / 1000) }' <<<"$answer")"
}

spending() { # spending METRIC COMMAND... : records the daemon's CPU seconds per GiB
    local metric=$1 before after
    shift
    before=$(cpu_seconds) || before=
    "$@" || return
    [ -n "$before" ] && after=$(cpu_seconds) || return 0
    record "$metric" "$(awk -v s="$(minus "$after" "$before")" -v b="$BIG" \
        'BEGIN { printf "%.2f\n", s / b * 1073741824 }')"
}

load_big() {
    local mb=$((BIG / 1000000))
    spending cpu_write speed seq_write $mb write "$MNT/big" "$BIG" &&
        cold && spending cpu_read speed seq_read_cold $mb read "$MNT/big" &&
        speed seq_read_warm $mb read "$MNT/big" &&
        cold && random_io rand_read --rw=randread --io_size="$RANDOM_BYTES" --runtime="$SECONDS_MAX" &&
        timed copy cp --reflink=auto "$MNT/big" "$MNT/copy" &&
        { [ "$ROUND" -gt 1 ] || cmp "$MNT/big" "$MNT/copy" >>"$LOG"; } && rm "$MNT/copy" &&
        random_io rand_write --rw=randwrite --io_size="$RANDOM_BYTES" --runtime="$SECONDS_MAX" --end_fsync=1 &&
        random_io rand_write_fsync --rw=randwrite --io_size="$FSYNC_BYTES" --runtime="$SECONDS_MAX" --fsync=1
}

load_append() {
    speed append "$APPENDS" append "$MNT/log" "$APPENDS"
}

load_tree() {
    rested && cat "$INPUT/tree.tar" >/dev/null &&
        timed untar tar -xf "$INPUT/tree.tar" -C "$MNT" &&
        cold && timed ls_cold ls -lR "$MNT/tree" &&
        timed ls_warm ls -lR "$MNT/tree" &&
        cold && timed tree_read find "$MNT/tree" -type f -exec cat {} + &&
        { [ "$ROUND" -gt 1 ] || diff -r --no-dereference "$INPUT/tree" "$MNT/tree" >>"$LOG"; } &&
        timed rm rm -rf "$MNT/tree"
}

rested() { # the daemon a second after the mount
    [ -n "$PID" ] || return 0
    sleep 1
    record mem_rest "$(resident VmRSS)"
    record anon_rest "$(resident RssAnon)"
}

load_git() {
    export -f git_quiet
    export LOG
    cat "$INPUT"/history/.git/objects/pack/* >/dev/null
    timed git_clone bash -c 'git_quiet clone --no-hardlinks "$1" "$2"' - "$INPUT/history" "$MNT/clone" &&
        timed git_status bash -c 'git_quiet -C "$1" status' - "$MNT/clone" &&
        awk 'NR % 10 == 0' "$INPUT/small" | touch_up "$MNT/clone" after &&
        git_quiet -C "$MNT/clone" commit -a -m after &&
        timed git_gc bash -c 'git_quiet -C "$1" gc' - "$MNT/clone" &&
        git_quiet -C "$MNT/clone" fsck
}

load_sqlite() {
    sql sqlite_single "$SQL_SINGLE" single && sql sqlite_batch "$SQL_BATCH" batch
}
sql() { # sql METRIC COUNT FILE : inserts per second
    local start
    sync
    start=$EPOCHREALTIME
    bounded sqlite3 "$MNT/base.db" <"$INPUT/$3.sql" >>"$LOG" 2>&1 || return
    record "$1" "$(rate "$2" "$(minus "$EPOCHREALTIME" "$start")")"
}

load_small() {
    mkdir "$MNT/many" && "$BIN/loads" make "$MNT/many" "$SMALL" 1000 >/dev/null &&
        speed create "$SMALL" create "$MNT/many" "$SMALL" 1000 &&
        cold && speed stat "$SMALL" stat "$MNT/many" "$SMALL" 1000 &&
        speed unlink "$SMALL" unlink "$MNT/many" "$SMALL" 1000
}

# What a sync client must upload for three changes.  The store is listed while
# nothing is mounted, so everything has been flushed.  Deterministic: once is enough.
load_sync() {
    [ "$ROUND" = 1 ] && [ "$PLACE" = "${WHERE%% *}" ] || return 0
    "$BIN/loads" write "$MNT/big" "$BIG" >/dev/null &&
        upload upload_small bash -c 'mkdir "$2" && "$1" create "$2" "$3"' - \
            "$BIN/loads" "$MNT/folder" "$FILES" &&
        upload upload_edit "$BIN/loads" edit "$MNT/big" $((BIG / 2)) &&
        upload upload_rename mv "$MNT/folder" "$MNT/another"
}

upload() { # upload METRIC COMMAND... : records objects, bytes and moved objects
    local metric=$1
    shift
    peer_umount && list_store >"$A/before" && peer_mount &&
        bounded "$@" >/dev/null 2>>"$LOG" &&
        peer_umount && list_store >"$A/after" && peer_mount || return
    read -r objects bytes moved < <(compare_lists "$A/before" "$A/after")
    record "${metric}_objects" "$objects"
    record "${metric}_kib" "$bytes"
    record "${metric}_moved" "$moved"
}
list_store() { # birth and inode tell a moved file from a new one
    find "$STORE" -type f -printf '%i-%B@\t%s\t%T@\t%P\n'
}
compare_lists() {
    awk -F '\t' '
        NR == FNR { at[$4] = $1 FS $2 FS $3; known[$1 FS $2 FS $3] = 1; next }
        at[$4] == $1 FS $2 FS $3 { next }
        ($1 FS $2 FS $3) in known { moved++; next }
        { objects++; bytes += $2 }
        END { printf "%d %.1f %d\n", objects, bytes / 1024, moved }' "$1" "$2"
}
