#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A page that cannot be written to its end is not there at all, whichever step fails; and a check
# grows old in reports as time goes by.
ECLUSE=${ECLUSE:-$(dirname "$0")/../../build/faults/ecluse}
. "$(dirname "$0")/../mount/lib.sh"

export ECLUSE_CLOCK=$TMP/clock
echo 0 >"$ECLUSE_CLOCK"
make_vault
report() { "$ECLUSE" report --state "$STATE" "$@" "$STORE"; }
mkdir "$TMP/pages"
for error in ENOSPC EIO; do
    for nth in 1 2 3; do     # the write, its sync, that of the folder
        got=0
        ECLUSE_FAULT=other:$error:$nth report --html "$TMP/pages/$error$nth.html" >"$TMP/said" 2>&1 || got=$?
        same "step $nth fails with $error" "$([ $error = ENOSPC ] && echo 9 || echo 13)" $got
        same "what is left of it" "" "$(ls -A "$TMP/pages")"
    done
done
report --html "$TMP/pages/whole.html" >"$TMP/said"
expect "without a fault it is whole" grep -qx '</html>' "$TMP/pages/whole.html"

"$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE" >"$TMP/said"
days() { echo $(($1 * 86400 + 60)) >"$ECLUSE_CLOCK"; }
days 29
report >"$TMP/said"
expect "after 29 days a check is not old" test "$(grep -c 'days old' "$TMP/said")" = 0
days 30
report >"$TMP/said"
expect "after 30 days it is" grep -qF 'The last check is 30 days old.' "$TMP/said"
LC_ALL=fr_CA.UTF-8 report >"$TMP/said"
expect "in French" grep -qF 'La dernière vérification date de 30 jours.' "$TMP/said"
