#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# A report tells what other means of counting find too, in both languages, changes nothing and
# needs no secret; its page is well-formed, whatever others chose as names, asks nothing of the
# network, and a real browser shows and prints it.  What is wrong is said, not passed over.
. "$(dirname "$0")/lib.sh"

need jq xmllint chromium pdftotext pdfinfo identify
STORE=$TMP/$(printf 'st<b>&"\x27ore \351\033[1m')    # a name that is not to be trusted
PAGE=$TMP/report.html
report() { "$ECLUSE" report --state "$STATE" "$@" "$STORE"; }
fact() { report --json | jq -r "$1"; }
log() { echo "$STATE"/*/audit; }
now() { date +%s; }
noted() { jq -rs "map(select($1)) | length" "$(log)"; }

# --- never checked ------------------------------------------------------------------

start=$(now)
make_vault
said=$(report)
expect "a check that is not noted is said to be so" grep -qF 'No check of the store is noted on this device' <<<"$said"
same "checks of a new vault" "null null null" "$(fact '.checks | "\(.with_keys) \(.contents) \(.without_keys)"')"
same "volume of a new vault" 0 "$(fact '.volume | length')"
LC_ALL=fr_CA.UTF-8 report >"$TMP/said"
expect "and in French" grep -qF 'Aucune vérification du dépôt n’est notée sur cet appareil' "$TMP/said"
expect "a page of an empty store" report --html "$TMP/empty.html" >/dev/null
xmllint --noout "$TMP/empty.html"

# --- facts, beside independent counts --------------------------------------------------

new_passphrase "$TMP/wrong"
expect_exit 4 "$ECLUSE" mount --passfile "$TMP/wrong" --state "$STATE" "$STORE" "$MNT"
mount_vault
for size in 100 70000 2000000; do
    head -c $size /dev/urandom >"$MNT/f$size"
    "$ECLUSE" flush --state "$STATE" "$MNT"
done
counted() { find "$STORE/segments" -type f -printf '%s\n' | awk '{ n++; b += $1 } END { print n, b }'; }
same "objects and bytes, while mounted" "$(counted)" "$(fact '.store | "\(.objects) \(.bytes)"')"
same "volume at the end" "$(counted)" "$(fact '.volume[-1] | "\(.objects) \(.bytes)"')"
same "a point for each publication" "$(noted '.event == "published"')" "$(fact '.volume | length')"
same "objects of each size" "$(find "$STORE/segments" -type f -printf '%s\n' | sort -n | uniq -c | awk '{ print $2, $1 }')" \
    "$(fact '.store.sizes[] | select(.objects > 0) | "\(.bytes) \(.objects)"')"
expect "the log accounts for it" grep -qF 'accounts for every object' <<<"$(report)"
umount_vault

expect_exit 0 "$ECLUSE" check --passfile "$PASS" --state "$STATE" --read-data "$STORE"
"$ECLUSE" key add --passfile "$PASS" --new-passfile "$TMP/wrong" --label '</td><i>"&' --state "$STATE" "$STORE" >/dev/null 2>&1
expect_exit 0 "$ECLUSE" check --no-key --state "$STATE" "$STORE"
echo planted >"$STORE/planted.txt"
expect_exit 8 "$ECLUSE" check --passfile "$PASS" --state "$STATE" "$STORE"

everything() { find "$STORE" "$STATE" -printf '%p %T@ %C@ %s\n' | sort; }
before=$(everything)
FACTS=$TMP/facts.json
report --json >"$FACTS"
report --html "$TMP/first.html" >/dev/null
same "a report changes nothing" "$before" "$(everything)"
json() { jq -r "$1" "$FACTS"; }
same "the vault" "$(basename "$STATE"/*)" "$(json .vault)"
same "the format" "$("$ECLUSE" version)" "ecluse $(json .software)"
expect "made now" test "$(json .made)" -ge "$start" -a "$(json .made)" -le "$(now)"
same "since when" "$(json .made)" "$(date -d "$(jq -r 'select(.event == "vault-made") | .time' "$(log)")" +%s)"
same "foreign files" 1 "$(json .store.foreign)"
same "the last check" "foreign 1 state" "$(json '.checks.with_keys | "\(.verdict) \(.foreign) \(.keys)"')"
same "contents were read" "ok true" "$(json '.checks.contents | "\(.verdict) \(.read_data)"')"
same "the check without a key" "ok none" "$(json '.checks.without_keys | "\(.verdict) \(.keys)"')"
same "dates of the checks" "$(jq -r 'select(.event == "checked") | .time' "$(log)" | date -f - +%s | sort)" \
    "$(json '.checks[].time' | sort)"
same "events" "$(jq -r '[.event, (.outcome != "ok")] | join(" ")' "$(log)" | sort | uniq -c | awk '{ print $2, $3, $1 }')" \
    "$(json '.events[] | "\(.event) \(.failed) \(.count)"' | sort)"
same "slots, as key list has them" "$("$ECLUSE" key list --json --state "$STATE" "$STORE" | jq -c '.slots')" "$(jq -c .slots.list "$FACTS")"
same "not authenticated" false "$(json .slots.authenticated)"
same "the head" "whole $(tail -n 1 "$(log)" | jq -r .hash) $(wc -l <"$(log)")" "$(json '.log | "\(.verdict) \(.head) \(.records)"')"
phrase=$("$ECLUSE" audit verify --state "$STATE" "$STORE" | sed -n 's/^Head: .*(\(.*\))$/\1/p')
expect "the four words" grep -qF "$phrase" <<<"$(report)"

# --- the page ------------------------------------------------------------------------------

same "--html and --json go together" "$(json '.store.objects, .log.head')" \
    "$(LC_ALL=fr_CA.UTF-8 report --html "$PAGE" --json 2>/dev/null | jq -r '.store.objects, .log.head')"
LC_ALL=en_CA.UTF-8 report --html "$TMP/english.html" >"$TMP/said"
LC_ALL=C report --html "$TMP/plain.html" >"$TMP/said"
same "its owner alone reads it" 600 "$(stat -c %a "$PAGE")"
# printed PAGE CAPTION : the rows of a table
printed() { tr -d '\n' <"$1" | sed 's/<caption>/\n&/g' | sed -n "s|^<caption>$2.*<tbody>\(.*\)</tbody>.*|\1|p" | sed 's|</tr>|&\n|g' | sed '/^$/d'; }
for page in "$PAGE" "$TMP/english.html" "$TMP/plain.html"; do
    xmllint --noout "$page" || fail "$page is not well-formed"
    expect "UTF-8" iconv -f UTF-8 -t UTF-8 "$page" >/dev/null
    same "both languages" "en fr" "$(xmllint --xpath '//*[local-name()="div"]/@lang' "$page" | grep -o '[a-z]*"' | tr -d '"' | sort | xargs)"
    same "ids are unique" "" "$(grep -o ' id="[^"]*"' "$page" | sort | uniq -d)"
    same "links lead somewhere" "" "$(comm -23 <(grep -o 'href="[^"]*"' "$page" | sed 's/href="#\(.*\)"/\1/' | sort -u) \
        <(grep -o ' id="[^"]*"' "$page" | sed 's/ id="\(.*\)"/\1/' | sort -u))"
    same "neither scripts nor anything from elsewhere" "" \
        "$(grep -oiE '<script|<link|<img|<iframe|src=|@import|url\(|javascript:| on[a-z]+="' "$page" || true)"
    same "addresses" "" "$(grep -oE 'https?://[^"]*' "$page" | grep -v '^http://www.w3.org/' || true)"
    same "words of judgement" "" "$(grep -oiE 'certif[a-zé]*|complian[a-z]*|conform[a-zé]*|approved|approuv[a-zé]*|homologu[a-zé]*|FIPS|Protected B|Protégé B|Law 25|Loi 25|quantum|quantique' "$page" || true)"
    same "elements of others" "" "$(grep -oE '<b>|<i>' "$page" || true)"
    same "headings of tables have a scope" "" "$(grep -oE '<th[ >]' "$page" | grep -v '<th ' || true)"
    same "numbers of the chart" "" "$(xmllint --xpath '//*[local-name()="path"]/@d' "$page" | grep -vE '^ *d="[MHVz0-9 ]+"$' || true)"
    same "charts with a title and a text" "2 2" "$(grep -c '<title id=' "$page") $(grep -c '<desc id=' "$page")"
    same "the chart's alternative" "$(json '.volume | length')" "$(printed "$page" 'What this device' | wc -l)"
    same "in French" "$(json '.volume | length')" "$(printed "$page" 'Ce que cet appareil' | wc -l)"
    expect "the store's name, spelled" grep -qF 'st&lt;b&gt;&amp;&quot;&#39;ore \xe9\x1b[1m' "$page"
done
order() { grep -o '<div class="language" lang="[a-z]*"' "$1" | grep -o '"[a-z]*"$' | tr -d '"' | xargs; }
same "the user's language first" "fr en, en fr, en fr" "$(order "$PAGE"), $(order "$TMP/english.html"), $(order "$TMP/plain.html")"

# --- in a browser, and on paper ----------------------------------------------------------------

browse() { # browse OPTION... PAGE
    timeout 240 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars \
        --user-data-dir="$TMP/browser" "$@" >"$TMP/browser.log" 2>&1 || { cat "$TMP/browser.log" >&2; fail "chromium: $*"; }
}
blanks() { sed 's/\xc2\xa0/ /g; s/  */ /g'; }    # also those that do not break
objects=$(json .store.objects)
for page in "$PAGE" "$TMP/english.html"; do
    browse --window-size=900,1400 --screenshot="$page.png" "file://$page"
    expect "a picture that is not blank" test "$(identify -format '%w %k' "$page.png" | awk '{ print ($1 == 900 && $2 > 30) }')" = 1
    browse --no-pdf-header-footer --print-to-pdf="$page.pdf" "file://$page"
    pages=$(pdfinfo "$page.pdf" | sed -n 's/^Pages: *//p')
    expect "a sane number of pages: $pages" test "$pages" -ge 4 -a "$pages" -le 14
    text=$(pdftotext -layout "$page.pdf" - | blanks)
    for fact in "$(json .vault)" 'Écluse: report on a vault' 'What third parties could and could not learn' \
        'What this report does not prove' "Encrypted objects $objects" "Words of the head $phrase" 'no independent audit' \
        'The last check found something wrong' 'rapport sur un coffre' 'Ce que des tiers ont pu apprendre' \
        'Ce que ce rapport ne prouve pas' "Objets chiffrés $objects" "Mots de la tête $phrase" 'aucun audit indépendant' \
        'La dernière vérification a trouvé une anomalie' '</td><i>"&'; do
        grep -qF -- "$fact" <<<"$text" || { printf '%s\n' "$text" >&2; fail "not on paper: $fact"; }
    done
done

# --- what is refused --------------------------------------------------------------------------------

expect_exit 1 "$ECLUSE" report
expect_exit 1 "$ECLUSE" report "$STORE" "$STORE"
expect_exit 1 "$ECLUSE" report --pdf "$STORE"
expect_exit 1 "$ECLUSE" report "$STORE" --html
expect_exit 2 "$ECLUSE" report "$TMP/nowhere"
mkdir "$TMP/plain"
expect_exit 2 "$ECLUSE" report "$TMP/plain"
LC_ALL=fr_CA.UTF-8 expect_exit 2 "$ECLUSE" report "$TMP/nowhere"
expect "in French" grep -qF 'le dépôt n’existe pas' "$TMP/said"
before=$(sha256sum <"$PAGE")
expect_exit 13 report --html "$PAGE"
expect "a file that exists" grep -qF 'it already exists' "$TMP/said"
same "a file that exists" "$before" "$(sha256sum <"$PAGE")"
ln -s "$TMP/elsewhere" "$TMP/link.html"
expect_exit 13 report --html "$TMP/link.html"
expect "a link is not followed" test ! -e "$TMP/elsewhere"
expect_exit 13 report --html "$TMP/no/such/folder.html"
expect_exit 1 report --html "$STORE/report.html"
expect "it would go to the host" grep -qF 'would go to its host' "$TMP/said"
expect_exit 1 report --json --html "$STORE/segments/00/report.html"
expect "nothing in the store" test -z "$(find "$STORE" -name 'report*')"
if as_root; then
    mkdir "$TMP/full"
    mount -t tmpfs -o size=8k none "$TMP/full"
    expect_exit 9 report --html "$TMP/full/report.html"
    same "nothing half written" "" "$(ls -A "$TMP/full")"
    umount "$TMP/full"
fi
expect_exit 9 bash -c '"$@" >/dev/full' - "$ECLUSE" report --state "$STATE" --json "$STORE"

# --- without a state, and with one that was altered ------------------------------------------------------

"$ECLUSE" report --state "$TMP/none" --json "$STORE" >"$TMP/none.json"
same "without a state" "$(counted) E_STATE_MISSING null null" \
    "$(jq -r '"\(.store.objects) \(.store.bytes) \(.state.error) \(.log) \(.checks)"' "$TMP/none.json")"
expect "nothing is made" test ! -e "$TMP/none"
"$ECLUSE" report --state "$TMP/none" "$STORE" >"$TMP/said"
expect "and it is said" grep -qF 'This device knows nothing of the vault' "$TMP/said"
"$ECLUSE" report --state "$TMP/none" --html "$TMP/none.html" "$STORE" >/dev/null
xmllint --noout "$TMP/none.html"

LOG=$(log)
cp "$LOG" "$TMP/log"
line=$(grep -n '"event":"published"' "$LOG" | sed -n '2s/:.*//p')
sed -i "${line}s/\"bytes\":[0-9]*/\"bytes\":7/" "$LOG"
expect_exit 8 report --html "$TMP/altered.html"
expect "it is said" grep -qF "line $line: the audit log was altered" "$TMP/said"
xmllint --noout "$TMP/altered.html"
expect "and on the page" grep -qF 'the audit log was altered' "$TMP/altered.html"
expect "in French too" grep -qF 'le journal d’audit a été altéré' "$TMP/altered.html"
report --json >"$TMP/altered.json" 2>/dev/null || true
same "nothing behind the break counts" "altered $line $((line - 1)) null" \
    "$(jq -r '"\(.log.verdict) \(.log.line) \(.log.records) \(.checks.with_keys)"' "$TMP/altered.json")"

chain() { # makes a chain of records without hashes: it needs no key
    local record previous
    previous=$(printf '%064d' 0)
    while read -r record; do
        previous=$(printf '%s\n%s' "$previous" "$record" | sha256sum | cut -c1-64)
        printf '%s,"hash":"%s"}\n' "$record" "$previous"
    done
}

# A log that is old, from its own beginning.
sed 's/"time":"20[0-9-]*T/"time":"2020-02-03T/; s/,"hash":.*//' "$TMP/log" | chain >"$LOG"
expect_exit 8 report
expect "an old check is said to be old" grep -qE 'The last check is [0-9]{4} days old' "$TMP/said"
expect "the head belongs to another log" grep -qF 'the audit log was altered' "$TMP/said"

# A long one, of 97 days, on the 50th of which the clock was wrong: 24 rows at most, and the last is right.
rm "$LOG.head"
for day in $(seq 0 97); do
    [ "$day" = 50 ] && date=2001-01-01 || date=$(date -d "2026-03-01 + $day days" +%F)
    event="\"published\",\"outcome\":\"ok\",\"number\":$day,\"objects\":2,\"bytes\":1000000"
    [ "$day" != 0 ] || event='"log-begun","outcome":"ok"'
    [ "$day" != 60 ] || event='"objects-removed","outcome":"ok","objects":20,"bytes":10000000'
    echo "{\"seq\":$((day + 1)),\"time\":\"${date}T12:00:00Z\",\"uid\":0,\"by\":\"mount\",\"event\":$event"
done | chain >"$LOG"
LC_ALL=en_CA.UTF-8 expect_exit 0 report --html "$TMP/long.html"
rows=$(printed "$TMP/long.html" 'What this device')
expect "some 24 rows" test "$(wc -l <<<"$rows")" -ge 20 -a "$(wc -l <<<"$rows")" -le 24
expect "the last: $(tail -n 1 <<<"$rows")" grep -q 'June 6, 2026.*<td class="n">172</td><td class="n">86.0 MB</td>' <<<"$(tail -n 1 <<<"$rows")"
expect "it is not what the store holds" grep -qF 'The audit log accounts for 86.0 MB, the store holds' "$TMP/long.html"
same "numbers of its chart" "" "$(xmllint --xpath '//*[local-name()="path"]/@d' "$TMP/long.html" | grep -vE '^ *d="[MHVz0-9 ]+"$' || true)"

rm "$LOG"
expect_exit 8 report
expect "no log" grep -qF 'there is no audit log' "$TMP/said"
cat "$TMP/log" >"$LOG"
echo garbage >"${LOG%/*}/keyring"
expect_exit 8 report
expect "a keyring that is damaged" grep -qF 'The keyring of this device cannot be read' "$TMP/said"
