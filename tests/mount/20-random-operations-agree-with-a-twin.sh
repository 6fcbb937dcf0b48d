#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# Random operations on the vault and on a plain directory give the same results,
# also across remounts.  OPS and SEED may be given; the seed is printed.
. "$(dirname "$0")/lib.sh"

ops=${OPS:-120000} seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "replay with: SEED=$seed OPS=$ops $0"
mkdir "$TMP/plain"
make_vault
if as_root; then options=(-o owners) flags=(--owners); else options=() flags=(); fi
mount_vault "${options[@]}"
cat >"$TMP/again" <<END
#!/bin/bash
set -e
"$ECLUSE" umount --state "$STATE" "$MNT"
"$ECLUSE" mount --passfile "$PASS" --state "$STATE" ${options[*]} "$STORE" "$MNT"
END
chmod +x "$TMP/again"
expect "vault and plain directory agree" "$TOOLS/../model/model" --seed "$seed" --ops "$ops" \
    --remount "$TMP/again" --remount-every $((ops / 6)) "${flags[@]}" "$MNT" "$TMP/plain"
umount_vault
