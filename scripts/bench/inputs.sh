# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# What the workloads read: programs to compile, a tree to unpack, a history to
# clone, statements to run.  Made once, in $INPUT, from what every Debian 12
# machine with the packages of `scripts/setup --bench` has.

make_programs() {
    local example=/usr/share/doc/libfuse3-dev/examples
    mkdir -p "$BIN"
    newer "$BIN/loads" "$HERE/loads.c" ||
        gcc -std=c17 -O2 -Wall -Wextra -o "$BIN/loads" "$HERE/loads.c" || return
    [ -e $example/passthrough_ll.c ] || example=$ROOT/build/bench/examples
    [ ! -e "$BIN/passthrough_ll" ] && [ -e "$example/passthrough_ll.c" ] || return 0
    # shellcheck disable=SC2046
    gcc -O2 -D_FILE_OFFSET_BITS=64 -o "$BIN/passthrough_ll" "$example/passthrough_ll.c" \
        $(pkg-config --cflags --libs fuse3)
}
newer() { [ -e "$1" ] && [ "$1" -nt "$2" ]; }

make_inputs() {
    mkdir -p "$INPUT"
    [ -e "$INPUT/done" ] && return
    rm -rf "${INPUT:?}"/*
    make_tree && make_history && make_statements && touch "$INPUT/done"
}

# A real tree of $FILES files and about $TREE_MB MB, chosen by name order alone:
# in a first pass at most a 16th of the files from each folder of /usr/lib and
# /usr/share and from /usr/include, so that it is varied; then what is missing,
# in order.  One file in 16 is larger than 64 KiB.
choose_tree() {
    find /usr/include /usr/lib /usr/share -xdev -type f -size -8192k ! -perm /7000 -printf '%s\t%p\n' |
        LC_ALL=C sort -t "$(printf '\t')" -k 2 |
        awk -F '\t' -v files="$FILES" -v bytes="$((TREE_MB * 1000000))" '
            function kind(i) { return size[i] > 65536 }
            function take(i) {
                taken[i] = 1
                total += size[i]
                count[kind(i)]++
                print path[i]
            }
            function wanted(i) {
                return !(i in taken) && count[kind(i)] < limit[kind(i)] && total + size[i] <= bytes
            }
            { size[NR] = $1; path[NR] = $2 }
            END {
                limit[1] = int(files / 16)
                limit[0] = files - limit[1]
                for (i = 1; i <= NR; i++) {
                    split(path[i], part, "/")
                    group = kind(i) " " part[3] (part[3] == "include" ? "" : "/" part[4])
                    if (wanted(i) && seen[group] < files / 16 && weight[group] + size[i] < bytes / 8) {
                        seen[group]++
                        weight[group] += size[i]
                        take(i)
                    }
                }
                for (i = 1; i <= NR; i++)
                    if (wanted(i))
                        take(i)
            }'
}

make_tree() {
    choose_tree | LC_ALL=C sort >"$INPUT/list"
    mkdir -p "$INPUT/tree"
    tar -cf - -C / -T <(sed 's,^/,,' "$INPUT/list") | tar -xf - -C "$INPUT/tree" &&
        tar -cf "$INPUT/tree.tar" --sort=name --owner=0 --group=0 -C "$INPUT" tree
}

# A repository whose ten commits add the small files of the tree, tenth by tenth;
# each also adds a line to every third text of the one before it.
make_history() {
    local i work=$INPUT/history/usr
    mkdir -p "$INPUT/history"
    git_quiet init -b main "$INPUT/history" || return
    (cd "$INPUT/tree" && find . -type f -size -64k | LC_ALL=C sort) >"$INPUT/small"
    split -n l/10 -d "$INPUT/small" "$INPUT/part"
    for i in 0 1 2 3 4 5 6 7 8 9; do
        tar -cf - -C "$INPUT/tree" -T "$INPUT/part0$i" | tar -xf - -C "$INPUT/history"
        [ $i = 0 ] || awk 'NR % 3 == 0' "$INPUT/part0$((i - 1))" | touch_up "$INPUT/history" "$i"
        git_quiet -C "$INPUT/history" add -A &&
            git_quiet -C "$INPUT/history" commit -m "part $i" || return
    done
    git_quiet -C "$INPUT/history" gc && [ -e "$work" ]
}
touch_up() { # touch_up DIR WORD : adds a line to each file named on the input
    local name
    while read -r name; do
        chmod u+w "$1/$name" && echo "line $2" >>"$1/$name"
    done
}
git_quiet() {
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=bench \
        GIT_AUTHOR_EMAIL=bench@localhost GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@localhost \
        GIT_AUTHOR_DATE='2025-01-01T00:00:00Z' GIT_COMMITTER_DATE='2025-01-01T00:00:00Z' \
        git -c gc.auto=0 -c safe.directory='*' -c advice.detachedHead=false "$@" >>"$LOG" 2>&1
}

make_statements() {
    local insert="INSERT INTO t(name, value) VALUES"
    {
        echo "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value BLOB);"
        awk -v n="$SQL_SINGLE" -v s="$insert" 'BEGIN {
            for (i = 1; i <= n; i++) printf "%s (\047row %d\047, randomblob(100));\n", s, i }'
    } >"$INPUT/single.sql"
    {
        echo "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, name TEXT, value BLOB); BEGIN;"
        awk -v n="$SQL_BATCH" -v s="$insert" 'BEGIN {
            for (i = 1; i <= n; i++) printf "%s (\047row %d\047, randomblob(100));\n%s", s, i,
                i % 1000 ? "" : "COMMIT; BEGIN;\n" }'
        echo "COMMIT;"
    } >"$INPUT/batch.sql"
}

describe_inputs() {
    awk -v list="$(sha256sum <"$INPUT/list" | cut -c 1-12)" -v tar="$(stat -c %s "$INPUT/tree.tar")" '
        END { printf "tree: %d files, %.0f MB as tar, list %s\n", NR, tar / 1e6, list }' "$INPUT/list"
    echo "history: $(git -c safe.directory='*' -C "$INPUT/history" rev-list --count HEAD) commits," \
        "$(wc -l <"$INPUT/small") files, $(du -sm "$INPUT/history/.git" | cut -f 1) MB packed"
}
