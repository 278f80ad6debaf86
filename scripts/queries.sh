#!/usr/bin/env bash
# What questions cost on a large profile: each command of `spandrel`, as recorded and once optimized.
#
#   scripts/queries.sh [SPANS] [ROUNDS]
#
# Makes a profile of SPANS spans (default: 10000000) at 10,000 a second, and asks each command ROUNDS
# times (default: 3); prints the medians in milliseconds, the whole process from start to end, and the
# largest memory of all rounds. Then the exports, in spans a second: to whoever reads them from the
# standard output, and to a file, where the disk has a say. Wants two processors with nothing else to do,
# and some 12 GB of disk.
#
# Side by side, if these are set: SPANDREL_BEFORE, another build of `spandrel`, is asked in turn with this one what
# looks at all spans as recorded, and must say the same; DUCKDB_PYTHON, a Python with the packages duckdb and
# duckdb-extension-sqlite of one version, sums up the same file with percentiles, by thread and by name. Of both, by
# the clock and by the processors' time of all threads, since others may keep the processors busy.
#
# With the default number of spans it checks what is promised: `info`, `runs`, `top` and `hist` under
# 100 ms; once optimized also `slow`, `tree`, `flame` and a window of a minute; exports at 500,000 spans/s at
# least; memory under 100 MB throughout. Exit code 1 if one of these does not hold.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

spans=${1:-10000000}
rounds=${2:-3}
[[ $spans =~ ^[1-9][0-9]*$ && $rounds =~ ^[1-9][0-9]*$ ]] ||
    { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
[[ -x /usr/bin/time ]] ||
    { echo "queries.sh: /usr/bin/time is not installed (apt install time)" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --release --package spandrel-example-generate --example generate_profile
cargo build --quiet --locked --release --package spandrel-cli
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
spandrel=$target/release/spandrel
profile=$folder/large.db
export SPANDREL_DB=$profile
"$target/release/examples/generate_profile" --spans "$spans" --database "$profile"
echo

# Asks once; appends milliseconds by the clock and of the processors, and KiB of memory, to three files of that name.
ask() { # name, command...
    local name=$1 start=$EPOCHREALTIME end
    shift
    /usr/bin/time --quiet -o "$folder/used" -f "%M %U %S" "$spandrel" "$@" >"${said:-$folder/said}" 2>"$folder/errors" ||
        { echo "queries.sh: spandrel $*: $(head -n 3 "$folder/errors")" >&2; exit 1; }
    end=$EPOCHREALTIME
    echo $(((${end/./} - ${start/./}) / 1000)) >>"$folder/$name.ms"
    tail -n 1 "$folder/used" | awk '{ print $1 }' >>"$folder/$name.kib"
    tail -n 1 "$folder/used" | awk '{ print ($2 + $3) * 1000 }' >>"$folder/$name.cpu"
}

median() { median_of "$1.ms"; }
median_of() { sort -n "$folder/$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
ratio() { awk "BEGIN { print $2 ? $1 / $2 : 0 }"; }
most() { sort -n "$folder/$1.kib" | tail -n 1; }

broken=()
# What must be below its limit.
hold() { # what, figure, limit
    ((spans != 10000000 || $2 < $3)) || broken+=("$1: $2, and it must be below $3")
}

# Commands, and from when on they must take less than 100 ms.
questions=(
    "always|info"
    "always|runs"
    "always|top"
    "always|hist http.request"
    "optimized|slow"
    "optimized|slow http.request"
    "optimized|tree"
    "optimized|top --since 1m"
    "optimized|hist http.request --since 1m"
    "optimized|slow http.request --since 1m"
    "optimized|tree --since 1m"
    "optimized|flame --since 1m"
    "-|explain http.request --since 1m"
    "-|top --by thread --since 1m"
    "-|top -w status=error"
    "-|top --by thread"
    "-|hist http.request -w field.shard=7"
    "-|slow --by busy"
    "optimized|flame"
    "-|explain http.request"
    "-|diff latest latest"
    "-|check --baseline latest"
    "-|doctor"
    "-|sql 'SELECT count(*) FROM span'"
    "-|report -o $folder/report.html"
)

ask_all() { # recorded or optimized
    local line command words round
    for line in "${questions[@]}"; do
        command=${line#*|}
        eval "words=($command)"
        for ((round = 1; round <= rounds; round++)); do
            ask "$1 ${command//\//_}" "${words[@]}"
        done
    done
}

# What looks at all spans of a profile as it was recorded.
whole=(
    "top --by thread" "diff latest latest" "check --baseline latest" "explain http.request" "flame"
    "hist http.request -w field.shard=7" "tree" "report -o $folder/report.html"
)

beside_before() {
    local command round
    printf '%-42s%12s%12s%8s%10s%10s%8s%12s\n' "as recorded, spandrel ..." "before, ms" "now, ms" "ratio" \
        "CPU" "now" "ratio" "memory, MB"
    for command in "${whole[@]}"; do
        for ((round = 1; round <= rounds; round++)); do
            # shellcheck disable=SC2086
            spandrel=$SPANDREL_BEFORE said=$folder/before ask "before ${command//\//_}" $command
            # shellcheck disable=SC2086
            ask "now ${command//\//_}" $command
            cmp -s "$folder/before" "$folder/said" || broken+=("$command: the two builds do not say the same")
        done
        local before now cpu_before cpu_now
        before=$(median "before ${command//\//_}") now=$(median "now ${command//\//_}")
        cpu_before=$(median_of "before ${command//\//_}.cpu") cpu_now=$(median_of "now ${command//\//_}.cpu")
        printf '%-42s%12d%12d%8.2f%10d%10d%8.2f%12.1f\n' "${command/$folder/.}" "$before" "$now" \
            "$(ratio "$now" "$before")" "$cpu_before" "$cpu_now" "$(ratio "$cpu_now" "$cpu_before")" \
            "$(awk "BEGIN { print $(most "now ${command//\//_}") * 1.024 / 1000 }")"
    done
    echo
}

# The same figures as `top` has, of the same file.
beside_duckdb() {
    local by round
    cat >"$folder/percentiles.py" <<'PYTHON'
import glob, os, shutil, sys
import duckdb, duckdb_extension_sqlite
# An extension is told by the name of its file.
packed = glob.glob(os.path.dirname(duckdb_extension_sqlite.__file__) + "/extensions/*/*.duckdb_extension")[0]
extension = os.path.join(os.path.dirname(sys.argv[0]), "sqlite_scanner.duckdb_extension")
shutil.copy(packed, extension)
duck = duckdb.connect()
duck.execute(f"LOAD '{extension}'")
duck.execute(f"ATTACH '{os.environ['SPANDREL_DB']}' AS p (TYPE sqlite, READ_ONLY)")
by, table = {"thread": ("thread_id", "thread"), "name": ("callsite_id", "callsite")}[sys.argv[1]]
rows = duck.execute(f"""
    SELECT t.name, count(*), sum(s.duration_ns), sum(s.self_ns), max(s.duration_ns),
      approx_quantile(s.duration_ns, [0.5, 0.95, 0.99])
    FROM p.span AS s JOIN p.{table} AS t ON t.id = s.{by} WHERE s.duration_ns IS NOT NULL GROUP BY ALL
""").fetchall()
assert rows
PYTHON
    printf '%-42s%12s%12s%8s%10s%10s%8s%12s\n' "DuckDB" "ms" "top, ms" "ratio" "CPU" "top" "ratio" \
        "memory, MB"
    for by in thread name; do
        for ((round = 1; round <= rounds; round++)); do
            spandrel=$DUCKDB_PYTHON ask "duckdb $by" "$folder/percentiles.py" "$by"
            ask "beside duckdb $by" top --by "$by"
        done
        local duck top cpu_duck cpu_top
        duck=$(median "duckdb $by") top=$(median "beside duckdb $by")
        cpu_duck=$(median_of "duckdb $by.cpu") cpu_top=$(median_of "beside duckdb $by.cpu")
        printf '%-42s%12d%12d%8.2f%10d%10d%8.2f%12.1f\n' "percentiles by $by" "$duck" "$top" \
            "$(ratio "$top" "$duck")" "$cpu_duck" "$cpu_top" "$(ratio "$cpu_top" "$cpu_duck")" \
            "$(awk "BEGIN { print $(most "duckdb $by") * 1.024 / 1000 }")"
    done
    echo
}

# Who else is at work: the ratios hold all the same, the times do not.
[[ ! -r /proc/loadavg ]] || echo "load $(cut -d ' ' -f 1-3 /proc/loadavg)"
[[ -z ${SPANDREL_BEFORE-} ]] || beside_before
[[ -z ${DUCKDB_PYTHON-} ]] || beside_duckdb
ask_all recorded
ask optimize optimize
ask_all optimized

printf '%-42s%14s%14s%12s\n' "spandrel ..." "recorded, ms" "optimized, ms" "memory, MB"
for line in "${questions[@]}"; do
    when=${line%%|*} command=${line#*|}
    recorded=$(median "recorded ${command//\//_}")
    optimized=$(median "optimized ${command//\//_}")
    kib=$(most "recorded ${command//\//_}")
    kib_optimized=$(most "optimized ${command//\//_}")
    ((kib >= kib_optimized)) || kib=$kib_optimized
    printf '%-42s%14d%14d%12.1f\n' "${command/$folder/.}" "$recorded" "$optimized" \
        "$(awk "BEGIN { print $kib * 1.024 / 1000 }")"
    [[ $when != always ]] || hold "$command, ms" "$recorded" 100
    [[ $when == - ]] || hold "$command, optimized, ms" "$optimized" 100
    hold "$command, KiB" "$kib" 97656
done
printf '%-42s%14d%26.1f\n' optimize "$(median optimize)" \
    "$(awk "BEGIN { print $(most optimize) * 1.024 / 1000 }")"
hold "optimize, KiB" "$(most optimize)" 97656

printf '\n%-30s%14s%14s%14s%12s\n' "spandrel export --format ..." "spans/s" "to a file" "bytes/span" \
    "memory, MB"
# Each that can be a file: those that the list gives an ending.
formats=$("$spandrel" export | awk '$2 ~ /^\./ { print $1 }')
for format in ${formats:?}; do
    to_file=(-o "$folder/exported")
    for ((round = 1; round <= rounds; round++)); do
        ask "export $format, file" export --format "$format" "${to_file[@]}"
        bytes=$(stat -c %s "$folder/exported")
        rm -f "$folder/exported"
        # A database is nothing to stream.
        [[ $format != sqlite ]] || { cp "$folder/export $format, file.ms" "$folder/export $format.ms"; continue; }
        said=/dev/null ask "export $format" export --format "$format"
    done
    ms=$(median "export $format") file_ms=$(median "export $format, file")
    kib=$(most "export $format, file")
    printf '%-30s%14d%14d%14d%12.1f\n' "$format" $((spans * 1000 / ms)) $((spans * 1000 / file_ms)) \
        $((bytes / spans)) "$(awk "BEGIN { print $kib * 1.024 / 1000 }")"
    hold "export $format, ms for 500,000 spans/s" "$ms" $((spans / 500))
    hold "export $format, KiB" "$kib" 97656
done

if ((${#broken[@]} > 0)); then
    printf 'queries.sh: %s\n' "${broken[@]}" >&2
    exit 1
fi
