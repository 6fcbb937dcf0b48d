# SPDX-License-Identifier: LiLiQ-Rplus-1.1
#
# One place of a run as a Markdown table, or (chart=1) as rows for gnuplot.
#
#     awk -v place=disk [-v chart=1] -f report.awk metrics.tsv results.tsv
#
# Run it with LC_ALL=C: widths are counted in bytes, less the continuation bytes.

BEGIN {
    FS = "\t"
    columns = split("ecluse gocryptfs securefs cryfs passthrough bare", peer, " ")
    split("Écluse gocryptfs securefs CryFS passthrough_ll bare", shown, " ")
}

FNR == 1 { file++ }
/^#/ { next }

file == 1 {
    id[++metrics] = $1
    title[$1] = $2
    unit[$1] = $3
    sense[$1] = $4
    wanted[$1, "gocryptfs"] = $5
    aim[$1, "gocryptfs"] = $6
    wanted[$1, "passthrough"] = $7
    aim[$1, "passthrough"] = $8
    most[$1] = $9
    next
}

$1 == place && $5 != "" {
    n = ++runs[$4, $3]
    value[$4, $3, n] = $5 + 0
    present[$3] = 1
    known[$4] = 1
}

END {
    if (chart)
        draw()
    else
        table()
}

function result(m, p) { # the median, or the highest; "" where nothing was measured
    return sense[m] == "peak" ? extreme(m, p) : median(m, p)
}

function extreme(m, p,    i, best) {
    for (i = 1; i <= runs[m, p]; i++)
        if (best == "" || value[m, p, i] > best)
            best = value[m, p, i]
    return best
}

function median(m, p,    n, i, j, t, v) {
    n = runs[m, p]
    if (!n)
        return ""
    for (i = 1; i <= n; i++) {
        t = value[m, p, i]
        for (j = i - 1; j > 0 && v[j] > t; j--)
            v[j + 1] = v[j]
        v[j + 1] = t
    }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function ratio(m, p, other,    a, b) { # how many times as fast p is as other
    a = result(m, p)
    b = result(m, other)
    if (a == "" || b == "" || a <= 0 || b <= 0 || (sense[m] != "rate" && sense[m] != "time"))
        return ""
    return sense[m] == "rate" ? a / b : b / a
}

function number(m, x) {
    if (x == "")
        return "n/a"
    if (unit[m] == "" || x == 0 || x >= 100)
        return sprintf("%.0f", x)
    return sprintf(x >= 10 ? "%.1f" : x >= 1 ? "%.2f" : "%.3f", x)
}

function judged(m, other,    r, text) { # the ratio, its mark, what was wanted
    r = ratio(m, "ecluse", other)
    if (r == "")
        return wanted[m, other] == "" ? "" : "n/a (" wanted[m, other] "×)"
    text = (r >= 100 ? sprintf("%.0f", r) : sprintf("%.2f", r)) "×"
    if (wanted[m, other] == "")
        return text
    text = text " " (r < wanted[m, other] ? "**missed**" : aim[m, other] == "" || r < aim[m, other] ? "met" : "aim")
    return text " (" wanted[m, other] "×" (aim[m, other] == "" ? "" : ", aim " aim[m, other] "×") ")"
}

function limited(m,    x) { # Écluse's value, and its limit where it has one
    x = result(m, "ecluse")
    if (most[m] == "" || x == "")
        return number(m, x)
    return number(m, x) " " (x <= most[m] ? "met" : "**missed**") " (at most " most[m] ")"
}

function table(    i, k, r, c, m) {
    r = c = 0
    cell(0, ++c, "workload")
    cell(0, ++c, "unit")
    for (k = 1; k <= columns; k++)
        if (peer[k] in present)
            cell(0, ++c, shown[k])
    cell(0, ++c, "to gocryptfs")
    cell(0, ++c, "to passthrough_ll")
    for (i = 1; i <= metrics; i++) {
        m = id[i]
        if (!(m in known))
            continue
        c = 0
        cell(++r, ++c, title[m])
        cell(r, ++c, unit[m])
        for (k = 1; k <= columns; k++)
            if (peer[k] in present)
                cell(r, ++c, peer[k] == "ecluse" ? limited(m) : number(m, result(m, peer[k])))
        cell(r, ++c, judged(m, "gocryptfs"))
        cell(r, ++c, judged(m, "passthrough"))
    }
    for (i = 0; i <= r; i++) {
        line(i, c)
        if (!i)
            rule(c)
    }
}

function letters(s) {
    gsub(/[\200-\277]/, "", s)
    return length(s)
}

function cell(r, c, text) {
    grid[r, c] = text
    if (letters(text) > width[c])
        width[c] = letters(text)
}

function line(r, columns,    c) {
    for (c = 1; c <= columns; c++)
        printf "| %s%*s ", grid[r, c], width[c] - letters(grid[r, c]), ""
    print "|"
}

function rule(columns,    c, s) {
    for (c = 1; c <= columns; c++) {
        s = sprintf("%*s", width[c], "")
        gsub(/ /, "-", s)
        printf "| %s ", s
    }
    print "|"
}

# Speeds as multiples of gocryptfs's, a column for each peer.
function draw(    i, k, m, r) {
    printf "workload"
    for (k = 1; k <= columns; k++)
        if (peer[k] in present && peer[k] != "gocryptfs")
            printf "\t%s", shown[k]
    print ""
    for (i = 1; i <= metrics; i++) {
        m = id[i]
        if (!(m in known) || result(m, "gocryptfs") == "" || (sense[m] != "rate" && sense[m] != "time"))
            continue
        printf "%s", title[m]
        for (k = 1; k <= columns; k++)
            if (peer[k] in present && peer[k] != "gocryptfs") {
                r = ratio(m, peer[k], "gocryptfs")
                printf "\t%s", r == "" ? "NaN" : sprintf("%.4f", r)
            }
        print ""
    }
}
