#!/usr/bin/env bash
# What a span costs the writer's thread, from the ring into the database, phase by phase.
#
#   scripts/writer_cost.sh [CASE ...]      cases of benches/src/cases.rs [default: no_fields 3_fields]
#   scripts/writer_cost.sh --collected PROGRAMS [CASE ...]
#       the same of `spandrel collect`, which collects from so many programs at once
#
# Instructions are counted by callgrind; each figure is the difference of two runs divided by the
# difference of their spans, so that starting and ending cancel. Every instruction stands in one row:
# our own source files decide, also where the compiler has inlined them; what the standard library
# and libc take stands with those who called them, shared out by cost where there are several. Where
# nobody of ours called, it is `other`. The last row is measured without valgrind: processor time, the
# kernel's share included, the median of five runs.
#
#   drain       from the ring into memory of the writer
#   self times  time of parents less that of their children
#   convert     ticks to nanoseconds, callsites and threads to ids, rows
#   fields      values to JSON
#   pacing      the writer's loop, counters, rows about itself
#   encode      from rows to what SQLite takes
#   rollup      sums and percentiles
#   SQLite      the same without the next row
#   checkpoint  from the log into the file
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

collected=0
if [[ ${1:-} == --collected ]]; then
    collected=${2:-}
    [[ $collected =~ ^[1-9][0-9]*$ ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
    shift 2
fi
few=20000
many=60000
if ((collected > 0)); then
    # Of all programs together. Each makes bursts, as many spans as come between two commits at 50,000 a second.
    burst=25000
    few=$((collected * burst * 2))
    many=$((collected * burst * 6))
fi
few_timed=100000
many_timed=500000
# Room for all of them, so that none is lost: half of it would be enough.
ring_slots=262144
ring_slots_timed=2097152
cases=("$@")
[[ $# -gt 0 ]] || cases=(no_fields 3_fields)

if ! command -v valgrind >/dev/null; then
    echo "writer_cost.sh: SKIPPED, valgrind is not installed" >&2
    exit 0
fi

# With lines for what is ours; the rest has none, and is not built anew.
lines=()
for package in spandrel spandrel-storage spandrel-ring rusqlite spandrel-benches; do
    lines+=(--config "profile.release.package.$package.debug=\"line-tables-only\"")
done
lines+=(--config 'profile.release.package.spandrel-benches.strip=false')
if ((collected > 0)); then
    lines+=(--config 'profile.release.package.spandrel-cli.strip=false')
    cargo build --quiet --profile bench --package spandrel-benches --bin steady --features collected
    cargo build --quiet --profile bench --package spandrel-cli --bin spandrel "${lines[@]}"
else
    cargo build --quiet --profile bench --package spandrel-benches --bin record_spans "${lines[@]}"
fi
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
program=$target/release/record_spans
folder=$(mktemp -d)
rings=$(mktemp -d -p /dev/shm spandrel-writer-cost-XXXXXX)
trap 'rm -rf "$folder" "$rings"' EXIT

counting=(--quiet --tool=callgrind --separate-threads=yes --callgrind-out-file="$folder/callgrind")

record_in_process() { # case, spans
    valgrind "${counting[@]}" "$program" "$1" spandrel "$2" "$ring_slots"
}

# The programs of which is collected run beside valgrind.
record_collected() { # case, spans
    local n pids=() collector failed=0
    rm -f "$folder"/collected.db*
    # In a process of its own, which takes the signal.
    (exec valgrind "${counting[@]}" "$target/release/spandrel" collect "$rings" -o "$folder/collected.db") &
    collector=$!
    for ((n = 0; n < collected; n++)); do
        "$target/release/steady" collected "$rings" "$1" $(($2 / collected)) 0 "$burst" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || failed=1; done
    kill -TERM "$collector"
    wait "$collector" || failed=1
    return "$failed"
}

record=record_in_process drains=drain_pass
if ((collected > 0)); then record=record_collected drains=store_drained; fi

# Instructions of the writer's thread by phase, one a line.
phases() { # case, spans
    rm -f "$folder"/callgrind*
    "$record" "$1" "$2" >"$folder/said" 2>&1 || {
        cat "$folder/said" >&2
        echo "writer_cost.sh: failed: $1 $2" >&2
        return 1
    }
    # The writer's thread is not always the second one.
    local counted
    counted=$(grep -l "$drains" "$folder"/callgrind-[0-9]* | xargs ls -S | head -1)
    awk '
        # A name is given once, with its number; from then on the number stands for it.
        function name_of(text, names,    number) {
            match(text, /\([0-9]+\)/)
            number = substr(text, RSTART, RLENGTH)
            if (length(text) > RSTART + RLENGTH) names[number] = substr(text, RSTART + RLENGTH + 1)
            return names[number]
        }
        # The phase that a source file belongs to, "" if it is none of ours.
        function phase_of_file(file) {
            if (file ~ /\/sqlite3\.c$/) return "SQLite"
            if (file ~ /\/rusqlite-[^\/]*\/src\//) return "encode"
            if (file ~ /\/storage\/src\/(rollup|histogram)\.rs$/) return "rollup"
            if (file ~ /\/storage\/src\//) return "encode"
            if (file ~ /\/ring\/src\// || file ~ /\/profiler\/src\/writer\/(raw|drain|collect\/drain|recover\/check)\.rs$/) return "drain"
            if (file ~ /\/profiler\/src\/writer\/(json|cursor|keys|digits)\.rs$/) return "fields"
            if (file ~ /\/profiler\/src\/(json_string|recorder\/fields)\.rs$/) return "fields"
            if (file ~ /\/profiler\/src\/writer\/(self_time|self_time\/[a-z_]*|id_table|closed_spans)\.rs$/) return "self times"
            if (file ~ /\/profiler\/src\/(writer\/convert|recorder\/record\/[a-z_]*|recorder\/clock)\.rs$/) return "convert"
            if (file ~ /\/profiler\/src\//) return "pacing"
            return ""
        }
        # The phase of what a function takes in code that is not ours and was inlined into it.
        function phase_of_function(name, file) {
            # Without lines; of what is linked into the program, that has names without paths.
            if (object ~ /(record_spans|spandrel)$/ && name !~ /::|^_|^rust|^main$/) return "SQLite"
            if (name ~ /drain_pass|drain_until|RawBatch/) return "drain"
            if (name ~ /Converter::some_fields|writer::(json|cursor|keys|digits)/) return "fields"
            if (name ~ /count_late_children|SelfTimes/) return "self times"
            if (name ~ /Converter|::prepare|Timeline/) return "convert"
            if (name ~ /[Rr]ollup|Histogram/) return "rollup"
            if (name ~ /spandrel_storage|rusqlite/) return "encode"
            if (name ~ /spandrel_ring/) return "drain"
            if (name ~ /spandrel::/) return "pacing"
            return phase_of_file(file)
        }
        # Shares what functions took that are not ours out among those who called them, and so on up to
        # functions that are ours: all of them one step at a time, since their ways meet again and again.
        function share_out(    name, cost, at, caller, more, step) {
            for (step = 0; step < 60; step++) {
                more = 0
                split("", next_left)
                for (name in left) {
                    cost = left[name]
                    if (phase[name] != "") sums[phase[name]] += cost
                    else if (!(called[name] > 0)) sums["other"] += cost
                    else for (at = 1; at <= callers[name]; at++) {
                        caller = caller_of[name, at]
                        next_left[caller] += cost * edge[caller, name] / called[name]
                        more = 1
                    }
                }
                split("", left)
                for (name in next_left) left[name] = next_left[name]
                if (!more) return
            }
            for (name in left) sums["other"] += left[name]
        }
        /^ob=/ { object = name_of($0, objects); next }
        /^cob=/ { name_of($0, objects); next }
        /^fl=/ { file = name_of($0, files); next }
        /^f[ie]=/ { file = name_of($0, files); next }
        /^cf[il]=/ { name_of($0, files); next }
        /^fn=/ {
            current = name_of($0, functions)
            if (!(current in phase)) phase[current] = phase_of_function(current, file)
            next
        }
        /^cfn=/ { callee = name_of($0, functions); next }
        /^calls=/ { call = 1; next }
        /^[-+*0-9]/ {
            if (call) {
                call = 0
                if (callee == current) next
                if (!((current, callee) in edge)) caller_of[callee, ++callers[callee]] = current
                edge[current, callee] += $2
                called[callee] += $2
                if (callee ~ /^sqlite3Checkpoint/ && current !~ /^sqlite3Checkpoint/) {
                    sums["checkpoint"] += $2
                    sums["SQLite"] -= $2
                }
                next
            }
            own = phase_of_file(file)
            if (own == "") own = phase[current]
            if (own == "") left[current] += $2
            else sums[own] += $2
        }
        END {
            share_out()
            for (name in sums) printf "%s\t%.0f\n", name, sums[name]
        }
    ' "$counted"
}

# Nanoseconds of processor time of the writer's thread: the median of five.
processor_time() { # case, spans
    for _ in 1 2 3 4 5; do
        "$program" "$1" spandrel "$2" "$ring_slots_timed" | sed -n 's/^writer_cpu_ns //p'
    done | sort -n | sed -n 3p
}

rows=(drain "self times" convert fields pacing encode rollup SQLite checkpoint other)
declare -A figures
for case in "${cases[@]}"; do
    for spans in "$few" "$many"; do
        while IFS=$'\t' read -r phase cost; do
            figures[$case,$phase,$spans]=$cost
        done < <(phases "$case" "$spans")
    done
    [[ -n ${figures[$case,SQLite,$many]:-} ]] || { echo "writer_cost.sh: no figures" >&2; exit 1; }
    ((collected == 0)) || continue
    figures[$case,few]=$(processor_time "$case" "$few_timed")
    figures[$case,many]=$(processor_time "$case" "$many_timed")
done

if ((collected > 0)); then
    echo "Instructions of the collector per span, of $collected at once"
else
    echo "Instructions of the writer's thread per span"
fi
echo
printf '%-24s' phase
printf '%12s' "${cases[@]}"
echo
line() { # title, phases ...
    printf '%-24s' "$1"
    shift
    local case phase sum
    for case in "${cases[@]}"; do
        sum=0
        for phase in "$@"; do
            sum=$((sum + ${figures[$case,$phase,$many]:-0} - ${figures[$case,$phase,$few]:-0}))
        done
        awk -v sum="$sum" -v n="$((many - few))" 'BEGIN { printf "%12.1f", sum / n }'
    done
    echo
}
for row in "${rows[@]}"; do line "$row" "$row"; done
line "without the store" drain "self times" convert fields pacing other
line "all" "${rows[@]}"
((collected == 0)) || exit 0
printf '%-24s' "CPU, ns"
for case in "${cases[@]}"; do
    awk -v a="${figures[$case,few]}" -v b="${figures[$case,many]}" \
        -v n="$((many_timed - few_timed))" 'BEGIN { printf "%12.1f", (b - a) / n }'
done
echo
