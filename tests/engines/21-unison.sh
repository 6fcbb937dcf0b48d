#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Unison carries the store between two directories, in both directions, while the mount is
# at work; the other side takes over.  It copies each object once and changes or
# deletes none; killed at random moments it leaves no alarm behind.
. "$(dirname "$0")/lib.sh"
need unison jq

export FAR=$TMP/far
mkdir "$FAR"
# The commands of the recipe, with a log of what is copied.
unison() { command unison "$@" -logfile "$TMP/logs/unison" >"$TMP/unison" 2>&1 </dev/null; }
export -f unison
export TMP
carry() { (cd "$HOME" && exec bash -euo pipefail -c "$(recipe unison)"); }
carry_meanwhile() {
    local n=0 last=false
    until $last; do
        [ -e "$TMP/enough" ] && last=true
        carry || fail "Unison fails: $(cat "$TMP/unison")"
        n=$((n + 1))
        read -rt 0.3 <> <(:) || true
    done
    echo "$n" >"$TMP/runs"
}
each_was_carried_once() {
    sed -n 's/^\[BGN\] //p' "$TMP/logs/unison" | sort >"$TMP/carried"
    same "what Unison did but copying" "" "$(grep -v '^Copying ' "$TMP/carried" || true)"
    same "carried more than once" "" "$(uniq -d "$TMP/carried")"
    same "objects on both sides" "$(listed "$HOME/vault")" "$(listed "$FAR")"
}
# work_here ROUND... : in the mount, while Unison runs over and over
work_here() {
    local carrier k
    rm -f "$TMP/enough"
    carry_meanwhile &
    carrier=$!
    for k; do work "$k"; done
    stop_vault
    : >"$TMP/enough"
    wait $carrier || fail "Unison did not end well"
    each_was_carried_once
}

start_vault
work_here 1 2 3 4
store_was_written_once
echo "$(cat "$TMP/runs") runs of Unison while the mount was at work: $(objects | wc -l) objects, each carried once"
came_back "$FAR"
near=$STORE
STORE=$FAR STATE=$TMP/state.far
mv "$TMP/state.fresh" "$STATE"
open_vault 2>"$TMP/said"
work_here 5 6
came_back "$near"

arrived() { find "$TMP/far" -name '.*' -prune -o -type f -print | wc -l; }
# cut_at COUNT : killed when so many objects are there
cut_at() {
    local pid
    carry &
    pid=$!
    until [ "$(arrived)" -ge "$1" ] || gone $pid; do :; done
    # shellcheck disable=SC2046
    kill -9 $(family $pid) 2>/dev/null || true
    wait $pid 2>/dev/null || true
}
# Killed, each time with no memory of the run before.
for n in 1 2 3 4 5 6; do
    rm -rf "$HOME/.unison" "$TMP/far"
    # A directory that is new there comes as a whole; so they are there before.
    (cd "$near" && find . -type d -print0) | (mkdir "$TMP/far" && cd "$TMP/far" && xargs -0 mkdir -p)
    cut_at $((RANDOM % (2 * n) + 1))
    part_is_no_alarm "$TMP/far"
    echo "killed: $(arrived) of $(find "$near" -type f | wc -l) objects; $outcome"
done
rm -f "$HOME"/.unison/lk*
carry || fail "what was cut does not go on: $(cat "$TMP/unison")"
came_back "$TMP/far"
