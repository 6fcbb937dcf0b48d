#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Syncthing carries the store between two directories while the mount is at work; the
# other side takes over, and it carries the store back.  Each object arrives once, no
# conflicted copy is made; what has come at any moment, also when Syncthing is killed, is no alarm.
. "$(dirname "$0")/lib.sh"
need syncthing curl jq

NEAR_HOME=$HOME FAR_HOME=$TMP/far
APIKEY=$(head -c 16 /dev/urandom | xxd -p)
STORE=$NEAR_HOME/Sync/vault
mkdir -p "$FAR_HOME" "$NEAR_HOME/Sync"

free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}
# rest HOME PATH [curl option...] : of the instance whose home that is
rest() { curl -sS --noproxy '*' -H "X-API-Key: $APIKEY" "http://$(cat "$1/address")/rest/$2" "${@:3}"; }
alive() { rest "$1" system/ping >/dev/null 2>&1; }

start_syncthing() { # start_syncthing HOME
    local gui listen config=$1/.config/syncthing/config.xml
    HOME=$1 syncthing generate --no-default-folder --skip-port-probing >"$1/log" 2>&1
    gui=127.0.0.1:$(free_port) listen=tcp://127.0.0.1:$(free_port)
    # Nothing but the loopback, and no waiting for quiet.
    sed -i -e "s|<address>127.0.0.1:8384</address>|<address>$gui</address>|" -e "s|<apikey>.*</apikey>|<apikey>$APIKEY</apikey>|" \
        -e "s|<listenAddress>.*</listenAddress>|<listenAddress>$listen</listenAddress>|" \
        -e 's|<\(globalAnnounceEnabled\|localAnnounceEnabled\|relaysEnabled\|natEnabled\|startBrowser\|crashReportingEnabled\)>true<|<\1>false<|' \
        -e 's|<urAccepted>0<|<urAccepted>-1<|' -e 's|\(<minHomeDiskFree.*\)>1<|\1>0<|' "$config"
    echo "$gui" >"$1/address"
    echo "$listen" >"$1/listen"
    serve "$1"
}
serve() { # serve HOME ; its events are noted from the beginning
    HOME=$1 syncthing serve --no-browser --no-restart --home="$1/.config/syncthing" >>"$1/log" 2>&1 </dev/null &
    echo $! >"$1/pid"
    disown $!
    until_true alive "$1"
    note_finished "$1"
}
id_of() { rest "$1" system/status | jq -r .myID; }
at() { # at HOME NAME : a recipe there
    (cd "$1" && HOME=$1 bash -euo pipefail -c "$(recipe "$2")" </dev/null) || fail "the recipe $2 fails"
}
# introduce HOME OTHER : where the other one is, and no waiting for quiet
introduce() {
    local other
    other=$(id_of "$2")
    rest "$1" "config/devices/$other" -X PATCH -d "{\"addresses\": [\"$(cat "$2/listen")\"]}"
    rest "$1" config/folders/vault -X PATCH -d '{"fsWatcherDelayS": 1, "minDiskFree": {"value": 0, "unit": "%"}}'
}
# all_is_at HOME FROM : that instance needs nothing more of what the other one has
all_is_at() {
    rest "$2" db/scan?folder=vault -X POST
    [ "$(objects_of "$1/Sync/vault" | sort)" = "$(objects_of "$2/Sync/vault" | sort)" ]
}
objects_of() { [ ! -d "$1" ] || (cd "$1" && find . -type f ! -name '.*' -exec sha256sum {} +); }
# What came to an end since it was last noted.
note_finished() {
    local since
    since=$(cat "$1/since" 2>/dev/null || echo 0)
    events "$1" "$since" >"$1/events"
    jq -r '.[-1].id // empty' "$1/events" | grep . >"$1/since" || echo "$since" >"$1/since"
    jq -r '.[].data | select(.type == "file") | "\(.action) \(.error) \(.item)"' "$1/events" >>"$1/finished"
}
events() { rest "$1" "events?events=ItemFinished&since=$2&limit=10000&timeout=1"; }

# kill_far : at some moment; what lies there then is no alarm; it goes on by itself
kill_far() {
    note_finished "$FAR_HOME"
    read -rt "0.$((RANDOM % 10))" <> <(:) || true
    # shellcheck disable=SC2046
    kill -9 $(family "$(cat "$FAR_HOME/pid")")
    look killed
    rm -f "$FAR_HOME/since"
    serve "$FAR_HOME"
}
look() { # look WHEN : at what lies there at this moment
    rm -rf "$TMP/moment"
    [ ! -d "$FAR_HOME/Sync/vault" ] || cp -r "$FAR_HOME/Sync/vault" "$TMP/moment" 2>/dev/null || true
    if [ -d "$TMP/moment" ]; then
        part_is_no_alarm "$TMP/moment"
        echo "$1: $(find "$TMP/moment" -type f -name '[!.]*' | wc -l) of $(objects | wc -l) objects; $outcome"
    fi
}

# Each object that lies there arrived once, and none under another name.
arrived_once() { # arrived_once HOME COUNT ; some of a killed one may have gone unnoted
    local seen
    note_finished "$1"
    same "errors and changes of Syncthing" "" "$(grep -v '^update null ' "$1/finished" || true)"
    same "objects that arrived more than once" "" "$(sort "$1/finished" | uniq -d)"
    seen=$(wc -l <"$1/finished")
    [ "$seen" = "$2" ] || { [ "$seen" -lt "$2" ] && [ "$1" = "$FAR_HOME" ]; } || fail "$2 objects, $seen arrived"
    same "conflicted copies" "" "$(find "$NEAR_HOME/Sync" "$FAR_HOME/Sync" -name '*sync-conflict*')"
}

start_syncthing "$NEAR_HOME"
start_syncthing "$FAR_HOME"
export NEAR FAR
NEAR=$(id_of "$NEAR_HOME") FAR=$(id_of "$FAR_HOME")
start_vault
at "$NEAR_HOME" syncthing-near
at "$FAR_HOME" syncthing-far
introduce "$NEAR_HOME" "$FAR_HOME"
introduce "$FAR_HOME" "$NEAR_HOME"
for round in 1 2 3; do
    work $round
    if [ $round = 2 ]; then kill_far; else look "at work"; fi
done
stop_vault
until_true all_is_at "$FAR_HOME" "$NEAR_HOME"
arrived_once "$FAR_HOME" "$(objects | wc -l)"
store_was_written_once
came_back "$FAR_HOME/Sync/vault"
sent=$(objects | wc -l)

# The far side takes over.
at "$NEAR_HOME" syncthing-give
at "$FAR_HOME" syncthing-take
STORE=$FAR_HOME/Sync/vault STATE=$TMP/state.far
mv "$TMP/state.fresh" "$STATE"
open_vault 2>"$TMP/said"
work 4
work 5
stop_vault
until_true all_is_at "$NEAR_HOME" "$FAR_HOME"
arrived_once "$NEAR_HOME" $(($(objects | wc -l) - sent))
came_back "$NEAR_HOME/Sync/vault"
echo "$sent objects went, $(($(objects | wc -l) - sent)) came back, each once, without a conflicted copy"
