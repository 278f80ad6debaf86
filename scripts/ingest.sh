#!/usr/bin/env bash
# What a store takes for a row: instructions (callgrind), processor and wall time, bytes in the
# closed file; by the way of the rows, the order of their ids, the size of batches and of the log.
#
#   scripts/ingest.sh [--no-instructions] [--only NAME]      NAME: ways, order, batches, checkpoints
#
# A row is a span; with fields, one with 43 or 44 bytes of JSON. Instructions are the difference of
# two runs, divided by the difference of their rows, less what making the rows takes; so opening and
# closing cancel. Times wobble with the neighbours: compare within a table.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

few=4
many=12
times=3
only=all
instructions=yes
while [[ $# -gt 0 ]]; do
    case $1 in
        --no-instructions) instructions=no ;;
        --only) only=${2:?a name}; shift ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
    shift
done
if ! command -v valgrind >/dev/null; then
    echo "ingest.sh: instructions are SKIPPED, valgrind is not installed" >&2
    instructions=no
fi

cargo build --quiet --release --package spandrel-benches --bin ingest
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
program=$target/release/ingest
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Instructions of the whole program.
count() { # batches and settings
    valgrind --quiet --tool=callgrind --callgrind-out-file="$folder/callgrind" \
        "$program" "$@" >"$folder/said" 2>"$folder/complained" || {
        cat "$folder/said" "$folder/complained" >&2
        echo "ingest.sh: failed: $*" >&2
        return 1
    }
    awk '$1 == "totals:" { print $2; found = 1; exit } END { exit !found }' "$folder/callgrind"
}

per_row() { # rows of a batch, settings
    local rows=$1
    shift
    [[ $instructions == yes ]] || { echo -; return; }
    local a b c d
    a=$(count "$few" rows="$rows" "$@")
    b=$(count "$many" rows="$rows" "$@")
    c=$(count "$few" rows="$rows" "$@" append=0)
    d=$(count "$many" rows="$rows" "$@" append=0)
    awk -v s="$((b - a - d + c))" -v n="$(((many - few) * rows))" 'BEGIN { printf "%.0f", s / n }'
}

# The middle one of several runs, by processor time.
timed() { # batches and settings; prints the fields that follow, by name
    for _ in $(seq "$times"); do
        "$program" "$@" | awk '{ printf "%s ", $2 } END { print "" }'
    done | sort -n -k 2 | sed -n "$(((times + 1) / 2))p"
}

line() { # label, rows of a batch, batches, settings
    local label=$1 rows=$2 batches=$3
    shift 3
    local own
    own=$(per_row "$rows" "$@")
    timed "$batches" rows="$rows" "$@" | awk -v label="$label" -v own="$own" \
        '{ printf "%-34s%13s%9s%9s%9s%12s%13s%12s\n", label, own, $2, $3, $7, $4, $5, $6 }'
}

title() {
    echo
    echo "$1"
    printf '%-34s%13s%9s%9s%9s%12s%13s%12s\n' '' instructions 'cpu ns' 'wall ns' bytes \
        'longest ms' checkpoints 'of them ms'
}

wanted() { [[ $only == all || $only == "$1" ]]; }

if wanted ways; then
    title "A row, in batches of 8,192"
    for fields in 0 1; do
        name=$([[ $fields == 0 ]] && echo "no fields" || echo "3 fields")
        line "$name, statements" 8192 120 fields=$fields transfer=999999999
        line "$name, copied" 8192 120 fields=$fields transfer=0
    done
fi
if wanted order; then
    title "A row without fields, by the order of ids (batches of 8,111)"
    line "1 thread" 8111 120
    line "2 threads, 64 ids a block" 8111 120 streams=2
    for block in 16 64 256; do
        line "8 threads, $block ids a block" 8111 120 streams=8 block=$block
    done
    line "1,000 long traces open" 8111 120 long=1000
fi
if wanted batches; then
    title "A row without fields, by the size of batches"
    for rows in 32 64 128 256 1024; do
        line "$rows rows, statements" "$rows" $((400000 / rows)) transfer=999999999
        line "$rows rows, copied" "$rows" $((400000 / rows)) transfer=0
    done
fi
if wanted checkpoints; then
    instructions=no
    title "A row without fields, by the log before a checkpoint"
    for mib in 1 2 4 8 16 32; do
        line "$mib MiB" 8192 240 wal=$mib
    done
fi
