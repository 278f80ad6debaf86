#!/usr/bin/env bash
# All kinds of rings under threads and processes, more of them than processors, with exact counts: each value comes once
# to everybody that has to see it, whole and in its producer's order; or it is counted.
#
#   scripts/ring_stress.sh [seconds] [messages]       default: 20, 100000000
#
# seconds    of each topology: partitions; broadcast with one and several producers, consumers, workers, diamonds, stages in a row,
#            some that join and leave, readers that are overtaken; rings between processes; buffers before a processor that fails
# messages   1000 or more: so many are published, and what an overtaken reader has read and what it was told that it missed
#            must be exactly that together; 1000000000 take a minute or more
#
# Prints a line for each topology. Stops at the first that is not exact.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
messages=${2:-100000000}
if ! [[ $seconds =~ ^[1-9][0-9]*$ && $messages =~ ^[1-9][0-9]{3,}$ ]] || (($# > 2)); then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
ring() { cargo test --quiet --locked --release --package spandrel-ring --features mapped,broadcast,buffer "$@"; }
ring --no-run --lib --test stress --test broadcast_stress --test between
said=$(mktemp)
trap 'rm -f "$said"' EXIT

# The lines of a test; all that it has said, if it fails or was left out.
of() { # words of cargo, name of the test, what its lines begin with
    local words=$1 name=$2 lines=$3
    # shellcheck disable=SC2086 # the words of cargo
    if ! ring $words -- --exact "$name" --nocapture >"$said" 2>&1 || ! grep -o "$lines.*" "$said"; then
        cat "$said"
        echo "ring_stress.sh: FAILED: $words $name" >&2
        exit 1
    fi
}
export SPANDREL_STRESS_SECONDS=$seconds SPANDREL_STRESS_MESSAGES=$messages
of "--test stress" nothing_is_lost_for_as_long_as_asked "partitions, "
of "--test broadcast_stress" nothing_is_lost_for_as_long_as_asked "broadcast, "
of "--test broadcast_stress" what_a_reader_missed_is_exact "broadcast, "
of "--test broadcast_stress" what_a_reader_missed_is_exact_with_several_producers "broadcast, "
of "--test between" stress::nothing_is_lost_for_as_long_as_asked "between processes, "
of "--lib" buffer::tests::stress::nothing_is_lost_for_as_long_as_asked "buffer, "
