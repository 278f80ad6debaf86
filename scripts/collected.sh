#!/usr/bin/env bash
# Four programs at 50,000 spans a second each, and one collector. Is anything lost, does each run's ledger come to the same
# as what its program knows and its profile has, and what does a span cost?
#
#   scripts/collected.sh [SECONDS [CASE]]     default: 60 no_fields; cases of benches/src/cases.rs
#
# First the collector alone, for 10 s: what it takes at rest. Then the four programs, and at the same rate four that
# write their profiles themselves (`database`, at its default settings), each with a writer's thread: what that costs for a
# span is what the collector is compared with. Both are processor time, the kernel's share included. Last the same
# spans, in one run, counted in the profile.
#
# Exit code 1 if anything is lost or not exact, the collector costs more than 1.15 x what the writers do for a span, takes more
# than 50 ms of processor time in 10 s at rest, or more than 128 MiB of memory.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

seconds=${1:-60}
case=${2:-no_fields}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
programs=4
rate=50000
rest_seconds=10
ratio_max=1.15
rest_max_ms=50
memory_max_mib=128
spans=$((rate * seconds))

cargo build --quiet --release --package spandrel-benches --bin steady --features collected
cargo build --quiet --release --package spandrel-cli --bin spandrel
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
steady=$target/release/steady
spandrel=$target/release/spandrel
folder=$(mktemp -d)
rings=$(mktemp -d -p /dev/shm spandrel-collected-XXXXXX)
collector=
finish() {
    [[ -z $collector ]] || kill -9 "$collector" 2>/dev/null || true
    rm -rf "$folder" "$rings"
}
trap finish EXIT

# Nanoseconds of processor time of all threads of the collector.
collector_cpu() {
    awk '{ sum += $1 } END { printf "%.0f\n", sum }' /proc/"$collector"/task/*/schedstat
}

value() { # name, file
    sed -n "s/^$1 //p" "$2"
}

total() { # name, mode
    local sum=0 n
    for n in $(seq "$programs"); do sum=$((sum + $(value "$1" "$folder/$2-$n"))); done
    echo "$sum"
}

# All programs of a mode at once.
run() { # mode
    local n pids=() place
    for n in $(seq "$programs"); do
        place=$folder/database-$n.db
        [[ $1 == database ]] || place=$rings
        "$steady" "$1" "$place" "$case" "$spans" "$rate" >"$folder/$1-$n" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

failed=0
wrong() {
    echo "  ! $*"
    failed=1
}

"$spandrel" collect "$rings" -o "$folder/collected.db" >"$folder/collector" 2>&1 &
collector=$!
sleep 1
before=$(collector_cpu)
sleep "$rest_seconds"
rest_ns=$(($(collector_cpu) - before))

before=$(collector_cpu)
run collected
# Each program has waited until all of its spans are stored; now it finds them closed, and counts.
for _ in $(seq 100); do
    [[ $(grep -c 'has ended' "$folder/collector") -lt $programs ]] || break
    sleep 0.1
done
collector_ns=$(($(collector_cpu) - before))
peak_kib=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$collector/status")
kill -TERM "$collector"
wait "$collector" || wrong "the collector has failed: $(cat "$folder/collector")"
collector=

run database

recorded=$(total recorded collected)
lost=$(total lost collected)
stored=0
echo "$programs programs, $rate spans/s each ($case), $seconds s"
echo
printf '%-8s%12s%12s%12s%10s  %s\n' run recorded stored lost late ledger
for n in $(seq "$programs"); do
    file=$folder/collected-$n
    pid=$(value pid "$file")
    # What the profile has, its rows counted one by one; what its ledger says; and what its losses do.
    counted=$("$spandrel" sql --db "$folder/collected.db" --timeout 10min -f csv "
        SELECT (SELECT count(*) FROM span WHERE run_id = r.id), r.report ->> '$.spans.recorded', r.report ->> '$.spans.stored',
               r.dropped_spans, (SELECT coalesce(sum(spans), 0) FROM loss WHERE run_id = r.id)
        FROM run AS r WHERE r.pid = $pid" | tail -n 1)
    IFS=, read -r rows said_recorded said_stored said_lost losses <<<"$counted"
    stored=$((stored + rows))
    ledger=exact
    [[ $rows -eq $said_stored && $said_recorded -eq $(value recorded "$file") ]] || ledger=WRONG
    [[ $said_lost -eq $losses && $said_recorded -eq $((rows + losses)) ]] || ledger=WRONG
    printf '%-8s%12d%12d%12d%8dms  %s\n' "$n" "$said_recorded" "$rows" "$losses" "$(value late_ms "$file")" "$ledger"
    [[ $ledger == exact ]] || wrong "run $n: $counted, and its program says $(tr '\n' ' ' <"$file")"
done
[[ $recorded -eq $((programs * spans)) ]] || wrong "of $((programs * spans)) spans $recorded were recorded"
[[ $lost -eq 0 && $stored -eq $recorded ]] || wrong "$((recorded - stored)) of $recorded spans are lost"
database_lost=$(total lost database)
((database_lost == 0)) || echo "  those who write themselves, into smaller rings, have lost $database_lost: the machine was busy"

writer_ns=$(total writer_cpu_ns database)
figures() {
    awk -v collector="$collector_ns" -v writer="$writer_ns" -v n="$recorded" -v written="$((recorded - database_lost))" -v most="$ratio_max" \
        -v rest="$rest_ns" -v rest_max="$rest_max_ms" -v rest_seconds="$rest_seconds" \
        -v peak="$peak_kib" -v peak_max="$memory_max_mib" 'BEGIN {
            printf "\n%-48s%10.0f ns\n", "collector, processor time a span", collector / n
            printf "%-48s%10.0f ns\n", "writer threads of the same spans", writer / written
            ratio = (collector / n) / (writer / written)
            printf "%-48s%10.2f      at most %s\n", "ratio", ratio, most
            printf "%-48s%10.1f ms   at most %s\n", "collector at rest, in " rest_seconds " s", rest / 1e6, rest_max
            printf "%-48s%10.1f MiB  at most %s\n", "collector, memory at its peak", peak / 1024, peak_max
            exit ratio > most || rest / 1e6 > rest_max || peak / 1024 > peak_max
        }'
}
figures || wrong "above a limit"
exit "$failed"
