#!/usr/bin/env bash
# The tail: what the slowest of 10,000 spans costs the thread that makes it, at 10,000 spans a second
# while the writer commits, beside a layer that does nothing under the same load; and with the ring in a file, beside
# the ring on the heap.
#
#   scripts/tail.sh [ROUNDS]
#
# Each round (default: 5) is 10 s of either, by the layer and by spandrel's own subscriber, on the heap and in a file, in
# turns. The medians of the rounds are compared: whoever else uses the machine makes a tail of his own. Wants two
# processors with nothing else to do. Exit code 1 above twice that of the layer that does nothing, or if the ring in a
# file has more than 1.2 times the tail of the heap's.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
cd "$(dirname "$0")/.."

rounds=${1:-5}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --locked --release --package spandrel-examples --example load_test --features crash-proof
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
in_file_limit=1.2

# One recording: its p99 and p99.99, and those of the layer that does nothing if it is to run, too.
record() { # front end, heap or file, seconds of the layer that does nothing
    local flags=()
    [[ $1 == layer ]] || flags+=(--subscriber)
    [[ $2 == heap ]] || flags+=(--crash-proof)
    "$target/release/examples/load_test" --baseline "$3" --database "$folder/tail.db" "${flags[@]}" >"$folder/said"
    sed -n 's/^RESULT .* p99_ns=\([0-9]*\) .* p9999_ns=\([0-9]*\) .*/\1 \2/p' "$folder/said" >>"$folder/$1-$2"
    [[ $3 != 10 ]] || sed -n 's/^RESULT .* baseline_p9999_ns=\([0-9]*\).*/0 \1/p' "$folder/said" >>"$folder/baseline"
}

for ((round = 1; round <= rounds; round++)); do
    for front_end in layer subscriber; do
        # Whoever is first has the same advantage as often as the other.
        if ((round % 2)); then
            record $front_end heap 10
            record $front_end file 0.01
        else
            record $front_end file 0.01
            record $front_end heap 10
        fi
    done
done

median() { # what, column
    sort -n -k "$2,$2" "$folder/$1" | awk -v at="$2" '{ all[NR] = $at } END { print all[int((NR + 1) / 2)] }'
}
broken=no
floor=$(median baseline 2)
printf '%-36s%12s%14s%10s\n' 'one span, medians' 'p99 ns' 'p99.99 ns' ratio
printf '%-36s%12s%14s%10s\n' 'a layer that does nothing' '' "$floor" 1.00
row() { # name, file, of, limit
    local ours of
    ours=$(median "$2" 2)
    of=$3
    awk -v name="$1" -v p99="$(median "$2" 1)" -v ours="$ours" -v of="$of" -v limit="$4" \
        'BEGIN { printf "%-36s%12d%14d%10.2f\n", name, p99, ours, ours / of
                 exit ours > limit * of }' || broken=yes
}
for front_end in layer subscriber; do row "spandrel, $front_end" "$front_end-heap" "$floor" 2; done
echo
printf '%-36s%12s%14s%10s\n' 'the ring in a file, beside the heap' 'p99 ns' 'p99.99 ns' ratio
for front_end in layer subscriber; do
    row "spandrel, $front_end" "$front_end-file" "$(median "$front_end-heap" 2)" "$in_file_limit"
done
[[ $broken == no ]] || { echo "tail.sh: a tail is longer than it may be" >&2; exit 1; }
