#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# SQLite in the mount, with a rollback journal and with WAL (locks, shared mappings), with
# readers beside the writer, over a remount, and after the death of the daemon.
. "$(dirname "$0")/lib.sh"
need sqlite3

rows() { sqlite3 -cmd '.timeout 60000' "$1" 'SELECT count(*) FROM t'; }
check() { same "the integrity of ${1##*/}" ok "$(sqlite3 "$1" 'PRAGMA integrity_check')"; }
make_vault
mount_vault
for mode in delete truncate persist wal; do
    db=$MNT/$mode.db
    sqlite3 "$db" "PRAGMA journal_mode=$mode; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)" >"$TMP/said"
    same "the journal mode" "$mode" "$(head -n 1 "$TMP/said")"
    sqlite3 "$db" "BEGIN; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<20000)
        INSERT INTO t SELECT x, hex(randomblob(40)) FROM c; COMMIT"
    for i in $(seq 1 20); do
        sqlite3 "$db" "INSERT INTO t(b) VALUES ('single $i'); UPDATE t SET b = 'changed' WHERE a % 97 = $i"
    done
    sqlite3 "$db" "BEGIN; DELETE FROM t; ROLLBACK"
    check "$db"
    same "rows with journal_mode=$mode" 20020 "$(rows "$db")"
done

# Two writers and a reader at once: locks hold, nothing is lost.
insert() { for i in $(seq 1 100); do sqlite3 -cmd '.timeout 60000' "$MNT/wal.db" "INSERT INTO t(b) VALUES ('$1 $i')"; done; }
insert first &
one=$!
insert second &
two=$!
while kill -0 $one 2>/dev/null; do rows "$MNT/wal.db" >/dev/null; done
wait $one || fail "a writer failed"
wait $two || fail "a writer failed"
same "rows of two writers" 20220 "$(rows "$MNT/wal.db")"
sqlite3 "$MNT/delete.db" 'VACUUM'
remount
for mode in delete truncate persist wal; do check "$MNT/$mode.db"; done
same "rows after the remount" 20220 "$(rows "$MNT/wal.db")"

# A transaction that returned is there after the daemon was killed.
sqlite3 "$MNT/wal.db" "PRAGMA synchronous=FULL; INSERT INTO t(b) VALUES ('last in the log')"
sqlite3 "$MNT/delete.db" "PRAGMA synchronous=EXTRA; INSERT INTO t(b) VALUES ('last in the journal')"
kill_daemon
mount_vault
for mode in delete wal; do check "$MNT/$mode.db"; done
same "the last transaction in the log" 1 "$(sqlite3 "$MNT/wal.db" "SELECT count(*) FROM t WHERE b = 'last in the log'")"
same "the last transaction in the journal" 1 "$(sqlite3 "$MNT/delete.db" "SELECT count(*) FROM t WHERE b = 'last in the journal'")"
