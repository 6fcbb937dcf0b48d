#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# The recipes that the other tests run stand in the French guide too, word for word but
# for the names of things; the units are what systemd understands.
. "$(dirname "$0")/lib.sh"

FRENCH=$ROOT/docs/fr/synchronisation.md
recipes() { sed -n 's/^<!-- recipe: \(.*\) -->$/\1/p' "$1"; }
in_english() {
    sed -e 's/Copie du coffre vers un autre endroit/Copy of the vault to another place/' \
        -e 's/Copie régulière du coffre vers un autre endroit/Regular copy of the vault to another place/' \
        -e 's/coffre/vault/g; s/\bloin\b/far/g; s/\blieu\b/place/g; s/Protégé/Protected/g; s/retour/returned/g' \
        -e 's/arrivee/arriving/g; s/recuperation/recovery/g; s/\$LOIN/$FAR/g; s/\$ICI/$NEAR/g'
}
same "the names of the recipes" "$(recipes "$GUIDE")" "$(recipes "$FRENCH")"
for name in $(recipes "$GUIDE"); do
    same "the recipe $name" "$(recipe "$name")" "$(recipe "$name" "$FRENCH" | in_english)"
done

if command -v systemd-analyze >/dev/null; then
    for guide in "$GUIDE" "$FRENCH"; do
        mkdir "$TMP/units" "$TMP/units/ecluse-copy.service.d"
        for unit in service timer; do recipe $unit "$guide" >"$TMP/units/ecluse-copy.$unit"; done
        XDG_RUNTIME_DIR=$TMP/units expect "systemd takes the units" \
            systemd-analyze --user verify "$TMP/units/ecluse-copy.service" "$TMP/units/ecluse-copy.timer"
        recipe service-two-steps "$guide" >"$TMP/units/ecluse-copy.service.d/two-steps.conf"
        XDG_RUNTIME_DIR=$TMP/units expect "systemd takes the unit with its addition" \
            systemd-analyze --user verify "$TMP/units/ecluse-copy.service" >"$TMP/said" 2>&1
        same "what systemd says" "" "$(cat "$TMP/said")"
        rm -r "$TMP/units"
    done
fi
