# SPDX-License-Identifier: LiLiQ-Rplus-1.1
# shellcheck shell=bash
#
# A document keeps its prose; only what stands between two marks is generated:
#
#     <!-- NAME: begin -->
#     <!-- NAME: end -->

put_between() { # put_between NAME TEXT DOCUMENT : file TEXT into DOCUMENT
    local begin="<!-- $1: begin -->" end="<!-- $1: end -->"
    if [ "$(grep -cxF -e "$begin" -e "$end" "$3")" != 2 ]; then
        echo "bench: $3 lacks the lines $begin and $end" >&2
        return 1
    fi
    awk -v begin="$begin" -v end="$end" -v text="$2" '
        $0 == end { inside = 0 }
        !inside
        $0 == begin {
            inside = 1
            print ""
            while ((getline line <text) > 0)
                print line
            print ""
        }' "$3" >"$3.new" && mv "$3.new" "$3"
}
