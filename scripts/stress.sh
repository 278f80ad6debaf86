#!/usr/bin/env bash
# Loads that are larger, longer and odder than the gate's, each verified span by span, then rings
# alone: scripts/ring_stress.sh.
#
#   scripts/stress.sh [seconds]         of each load; default 20
#
# Prints the result line of each load. Stops at the first whose ledger does not balance or whose
# file does not hold what was sent, and shows it; so it does at long-lived spans of which something
# was dropped, or whose memory grew by more than 4 MiB in the second half. A load marked with `?` may drop.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
loads=(
    "--rate 10000 --threads 4"
    "--rate 100000 --threads 4 --fields 0"
    "--rate 100000 --threads 4"
    "--rate 100000 --threads 4 --async"
    "--rate 100000 --threads 64 --depth 1"
    "--rate 50000 --threads 256 --depth 16 --fields 6"
    "--rate max --threads 1 --fields 0"
    "--rate max --threads 2"
    "--rate max --threads 16 --fields 6"
    "--rate max --threads 8 --async"
    "--rate 100000 --threads 4 --subscriber"
    "--rate max --threads 8 --async --subscriber"
    "--long-lived 10000 --rate 100000 --threads 2"
    "--long-lived 10000 --rate 100000 --threads 16 --depth 1 --subscriber"
    "?--long-lived 1000 --rate max --threads 4 --depth 16"
)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --release --package spandrel-examples --example load_test
for load in "${loads[@]}"; do
    options=${load#\?}
    # shellcheck disable=SC2086 # the words of a load are options
    if ! cargo run --quiet --locked --release --example load_test -- --seconds "$seconds" $options \
        --database "$folder/stress.db" >"$folder/said" 2>&1; then
        cat "$folder/said"
        echo "stress.sh: FAILED: $load" >&2
        exit 1
    fi
    result=$(tail -n 1 "$folder/said")
    printf '%-50s %s\n' "$load" "$result"
    [[ $load == --long-lived* ]] || continue
    of() { sed "s/.* $1=\([0-9]*\).*/\1/" <<<"$result"; }
    grown=$(($(of memory_end_kib) - $(of memory_half_kib)))
    if (($(of dropped) + $(of entries_dropped) > 0 || grown > 4096)); then
        echo "stress.sh: FAILED: dropped, or memory grew by $grown KiB: $load" >&2
        exit 1
    fi
done
scripts/ring_stress.sh "$seconds"
