#!/usr/bin/env bash
# System calls of a program that records spans, by thread, counted by strace.
#
#   scripts/syscalls.sh [SPANS]         default: 500,000
#
# The thread that makes the spans says when it begins and ends; what it calls in between should be
# nothing at all, however many spans it makes. The ring is large enough for all of them, so that
# none is dropped. The writer's calls are counted over its whole life. Fails if the thread called
# anything.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

spans=${1:-500000}
if ! command -v strace >/dev/null; then
    echo "syscalls.sh: SKIPPED, strace is not installed" >&2
    exit 0
fi

# With that feature, as scripts/instructions.sh builds it.
cargo build --quiet --profile bench --package spandrel-benches --bin record_spans --features crash-proof
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Calls between the marks, and the rest by name.
trace() { # case, spans
    local slots=$((16 * $2)) # half of it is leased, and half of that wakes the writer; two a span
    if ! strace -f -o "$folder/trace" "$target/release/record_spans" "$1" "$recorder" "$2" "$slots" \
        >"$folder/said" 2>&1; then
        cat "$folder/said" >&2
        echo "syscalls.sh: failed: $1, $2 spans" >&2
        return 1
    fi
    awk -v what="$1" -v spans="$2" '
        NR == 1 { first = $1 }
        # A call that another thread interrupts takes two lines; the second one is not a new call.
        /<\.\.\. .* resumed>/ || /(\+\+\+|---) / { next }
        $1 == first && /write\(1, "begin\\n"/ { inside = 1; next }
        $1 == first && /write\(1, "end\\n"/ { inside = 0; next }
        { call = $2; sub(/\(.*/, "", call) }
        $1 != first { others++; by_name[call]++ }
        $1 == first && inside { own++; own_names = own_names " " call }
        END {
            printf "%-10s%10d%12d%14.6f%12d%14.6f   ", what, spans, own, own / spans, others,
                others / spans
            for (name in by_name) if (by_name[name] * 20 > others)
                printf " %s %d", name, by_name[name]
            print ""
            if (own) print "   the thread called:" own_names
            exit own > 0
        }' "$folder/trace"
}

failed=no
for recorder in spandrel subscriber; do
    echo "System calls, the recorder is: $recorder"
    echo
    printf '%-10s%10s%12s%14s%12s%14s    %s\n' case spans "own thread" "a span" "writer" "a span" \
        "the writer's most frequent"
    for case in no_fields 3_fields nested async; do
        for n in 10000 "$spans"; do
            trace "$case" "$n" || failed=yes
        done
    done
    echo
done
if [[ $failed == yes ]]; then
    echo "syscalls.sh: the thread that makes the spans made system calls" >&2
    exit 1
fi
