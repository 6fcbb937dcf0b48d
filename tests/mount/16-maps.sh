#!/bin/bash
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# GDAL makes a GeoPackage out of a table in the mount, adds to it, and reads it again.
. "$(dirname "$0")/lib.sh"
need ogr2ogr ogrinfo sqlite3

make_vault
mount_vault
mkdir "$MNT/carte"
{
    echo "nom,lon,lat"
    for i in $(seq 1 2000); do echo "écluse $i,-7$((i % 10)).$i,4$((i % 9)).$i"; done
} >"$MNT/carte/points.csv"
cd "$MNT/carte"
convert() { ogr2ogr -oo X_POSSIBLE_NAMES=lon -oo Y_POSSIBLE_NAMES=lat -a_srs EPSG:4326 "$@" >"$TMP/said" 2>&1 || { cat "$TMP/said" && fail "ogr2ogr"; }; }
count() { ogrinfo -so -al "$1" "$2" | sed -n 's/^Feature Count: //p'; }
convert -f GPKG points.gpkg points.csv -nln écluses
same "features" 2000 "$(count points.gpkg écluses)"
convert -f GPKG -update -append points.gpkg points.csv -nln écluses
ogrinfo -q points.gpkg -sql "DELETE FROM \"écluses\" WHERE fid % 4 = 0" >"$TMP/said" 2>&1
ogrinfo -q points.gpkg -sql "VACUUM" >"$TMP/said" 2>&1
cd /
remount
cd "$MNT/carte"
same "features after the remount" 3000 "$(count points.gpkg écluses)"
same "the integrity of the GeoPackage" ok "$(sqlite3 points.gpkg 'PRAGMA integrity_check')"
convert -f "ESRI Shapefile" formes points.gpkg écluses
same "features of the shape file" 3000 "$(count formes écluses)"
convert -f GeoJSON points.json points.gpkg écluses
same "features of the GeoJSON file" 3000 "$(grep -c '"type": "Feature"' points.json)"
