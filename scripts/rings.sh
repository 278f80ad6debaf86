#!/usr/bin/env bash
# Rings beside disruptor, rtrb, rust-tango and crossbeam's ArrayQueue.
#
#   scripts/rings.sh [instructions] [throughput] [check]       default: the first two
#
# instructions   of one item of 64 bytes, published and read on one thread, by callgrind; needs valgrind
# throughput     between threads, in one run, and what a push takes, up to p99.99 and the longest; at the end each
#                ratio beside what is aimed at. They say something on an idle machine only
# check          the same, and fails if an aim is missed
set -euo pipefail
cd "$(dirname "$0")/.."

(($# > 0)) || set -- instructions throughput
for part; do
    [[ $part == instructions || $part == throughput || $part == check ]] || {
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
        exit 2
    }
done
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/rings
cargo build --quiet --locked --release --manifest-path benches/rings/Cargo.toml
rings=$CARGO_TARGET_DIR/release/spandrel-rings

instructions() {
    command -v valgrind >/dev/null || {
        echo "rings.sh: SKIPPED, valgrind is not installed" >&2
        return
    }
    local few=20000 many=120000 said name burst
    said=$(mktemp)
    of() { # name, burst, items
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$rings" "$1" "$2" "$3" 2>"$said" >/dev/null
        sed -n 's/.*Collected : //p' "$said"
    }
    printf '%-22s %8s %8s\n' "instructions an item" "burst 1" "burst 100"
    "$rings" --help | sed -n 's/^  //p' | while read -r name; do
        printf '%-22s' "$name"
        for burst in 1 100; do
            # The difference of two runs: what comes once is left out.
            printf ' %8s' "$((($(of "$name" "$burst" $many) - $(of "$name" "$burst" $few)) / (many - few)))"
        done
        echo
    done
    rm -f "$said"
}

for part; do
    case $part in
        instructions) instructions ;;
        throughput) "$rings" ;;
        check) "$rings" check ;;
    esac
done
